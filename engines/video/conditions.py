"""All that the generator is told of some clips, as tensors with the batch in front."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from core import KEYPOINTS, LATENT_FRAMES, MOUTH_CHANNELS
from engines.video.clip import OWN, REACH, TOKEN_WIDTH, TOKENS_PER_FRAME, Clip
from engines.video.regions import REGIONS
from engines.video.text import LENGTH, NOTHING, tokenise


@dataclass(frozen=True, slots=True, eq=False)
class Conditions:
    """Conditions of B clips of T = 4 L video frames, and of the sound just before."""

    points: Tensor
    "float32 ``[B, T, 3, 62, 2]``: keypoints in the coordinates of each region."
    reference_points: Tensor
    "float32 ``[B, 3, 62, 2]``."
    felt: Tensor
    "float32 ``[B, T, 9]``: the mouth that the expression asks for."
    audio: Tensor
    "float32 ``[B, 8 + 2 T, 256]``: tokens of the sound, from 160 ms before."
    hears: Tensor
    "bool ``[B, 8 + 2 T]``: False where there is no sound, or it was dropped."
    words: Tensor
    "int64 ``[B, 16]``: `text.tokenise`."
    posed: Tensor
    "bool ``[B]``: False where keypoints and felt mouth were dropped."

    def __post_init__(self) -> None:
        count, frames = self.points.shape[:2]
        heard = TOKENS_PER_FRAME * frames + REACH
        spots = (len(REGIONS), len(KEYPOINTS), 2)
        for name, shape in (
            ("points", (count, frames, *spots)),
            ("reference_points", (count, *spots)),
            ("felt", (count, frames, len(MOUTH_CHANNELS))),
            ("audio", (count, heard, TOKEN_WIDTH)),
            ("hears", (count, heard)),
            ("words", (count, LENGTH)),
            ("posed", (count,)),
        ):
            tensor: Tensor = getattr(self, name)
            if tuple(tensor.shape) != shape:
                raise ValueError(f"{name}: expected {list(shape)}, got {list(tensor.shape)}")
        if not frames or frames % LATENT_FRAMES:
            raise ValueError(f"frames: expected a multiple of {LATENT_FRAMES}, got {frames}")

    def __len__(self) -> int:
        """How many clips."""
        return len(self.posed)

    @property
    def latents(self) -> int:
        """Latent frames of each clip."""
        return self.points.shape[1] // LATENT_FRAMES

    @classmethod
    def of(cls, clip: Clip, first: int = 0, frames: int | None = None) -> Conditions:
        """Conditions of a clip or a stretch of it; beyond the clip's own ends nothing is heard.

        Args:
            clip: The clip.
            first: First video frame of the stretch.
            frames: Its length, a multiple of 4; None is up to the end.
        """
        count = len(clip) - first if frames is None else frames
        if first < 0 or count < 1 or first + count > len(clip):
            raise ValueError(f"frames {first} to {first + count} of a clip of {len(clip)}")
        padded = np.pad(clip.audio, ((REACH, 0), (0, 0)))
        hears = np.pad(np.ones(len(clip.audio), np.bool_), (REACH, 0))
        sound = slice(TOKENS_PER_FRAME * first, TOKENS_PER_FRAME * (first + count) + REACH)
        seen = slice(first, first + count)
        return cls(
            points=torch.from_numpy(clip.points[seen].copy())[None],
            reference_points=torch.from_numpy(clip.reference_points.copy())[None],
            felt=torch.from_numpy(clip.felt[seen].copy())[None],
            audio=torch.from_numpy(padded[sound])[None],
            hears=torch.from_numpy(hears[sound])[None],
            words=torch.from_numpy(tokenise(clip.label, clip.text))[None],
            posed=torch.ones(1, dtype=torch.bool),
        )

    @classmethod
    def stack(cls, parts: Sequence[Conditions]) -> Conditions:
        """Clips of one length as one batch."""
        names = [f.name for f in fields(cls)]
        return cls(**{n: torch.cat([getattr(p, n) for p in parts]) for n in names})

    def to(self, device: torch.device | str) -> Conditions:
        """The same on a device."""
        return Conditions(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})

    def stretch(self, first: int, count: int) -> Conditions:
        """``count`` latent frames from ``first`` on, with the sound around them."""
        seen = slice(first * LATENT_FRAMES, (first + count) * LATENT_FRAMES)
        sound = slice(first * OWN, (first + count) * OWN + REACH)
        return replace(
            self,
            points=self.points[:, seen],
            felt=self.felt[:, seen],
            audio=self.audio[:, sound],
            hears=self.hears[:, sound],
        )

    def drop(
        self,
        *,
        pose: Tensor | bool = False,
        audio: Tensor | bool = False,
        text: Tensor | bool = False,
    ) -> Conditions:
        """The same without some conditions, for all clips or where a bool ``[B]`` says so.

        What is dropped is gone from the tensors too, not only marked.
        """
        poses, sounds, texts = (self._mask(m) for m in (pose, audio, text))
        return replace(
            self,
            points=self.points.masked_fill(poses[:, None, None, None, None], 0.0),
            felt=self.felt.masked_fill(poses[:, None, None], 0.0),
            posed=self.posed & ~poses,
            audio=self.audio.masked_fill(sounds[:, None, None], 0.0),
            hears=self.hears & ~sounds[:, None],
            words=self.words.masked_fill(texts[:, None], NOTHING),
        )

    def unconditional(self) -> Conditions:
        """What the unconditional branch of guidance knows: no keypoints, felt mouth, audio, text.

        The reference, with its keypoints, and the context stay.
        """
        return self.drop(pose=True, audio=True, text=True)

    def _mask(self, which: Tensor | bool) -> Tensor:
        if isinstance(which, Tensor):
            return which.to(self.posed.device)
        return torch.full_like(self.posed, which)
