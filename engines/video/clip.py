"""One training clip: the regions of a face over time, and all that a generator is told of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from core import F32, KEYPOINTS, LATENT_FRAMES, MOUTH_CHANNELS, U8
from engines.video.regions import REGIONS, SIDE

TOKENS_PER_FRAME: Final = 2
"Audio tokens of 20 ms to a video frame."
TOKEN_WIDTH: Final = 256
"Features of an audio token (`engines.audio.encoder.Heard.tokens`)."
AUDIO_LEAD: Final = 2
"""Tokens by which the sound of a clip is ahead: rows 2 t and 2 t + 1 are of the sound 40 ms after
frame t began and later, all that a live session has heard when it makes the frame."""
STILL: Final = "still"
"Label of a clip that does not move: two real pictures of one person. For the codec alone."
OWN: Final = TOKENS_PER_FRAME * LATENT_FRAMES
"Audio tokens of a latent frame's own 160 ms."
REACH: Final = OWN
"""Audio tokens before its own that a latent frame hears: 160 ms. None after: a window is made when
its sound is there, and waiting for more would be felt (the tokens lead by 40 ms as it is)."""


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """Pictures and conditions of one stretch of video, all in the pose of the reference."""

    person: str
    label: str
    "What the person feels or does, as the planner names it; `STILL`; or empty."
    text: str
    "Instruction; mostly empty."
    reference: U8
    "uint8 ``[3, 96, 96, 3]``: the regions of the portrait, in an expression of its own."
    frames: U8
    "uint8 ``[T, 3, 96, 96, 3]``; T is a multiple of 4."
    reference_points: F32
    "float32 ``[3, 62, 2]``: the reference's keypoints in the coordinates of each region."
    points: F32
    "float32 ``[T, 3, 62, 2]``."
    felt: F32
    "float32 ``[T, 9]``: what the expression adds to the mouth of speech, as it is added."
    audio: F32
    "float32 ``[2 T, 256]``: tokens of the sound, `AUDIO_LEAD` ahead."
    heard_mouth: F32
    "float32 ``[T, 9]``: the mouth that speech asks for; for losses and diagnosis alone."

    def __post_init__(self) -> None:
        count, crop = len(self.frames), (len(REGIONS), SIDE, SIDE, 3)
        spots, mouth = (len(REGIONS), len(KEYPOINTS), 2), len(MOUTH_CHANNELS)
        for name, shape, kind in (
            ("reference", crop, np.uint8),
            ("frames", (count, *crop), np.uint8),
            ("reference_points", spots, np.float32),
            ("points", (count, *spots), np.float32),
            ("felt", (count, mouth), np.float32),
            ("audio", (TOKENS_PER_FRAME * count, TOKEN_WIDTH), np.float32),
            ("heard_mouth", (count, mouth), np.float32),
        ):
            array = getattr(self, name)
            if array.shape != shape or array.dtype != kind:
                expected = f"{np.dtype(kind)} {list(shape)}"
                raise ValueError(
                    f"{name}: expected {expected}, got {array.dtype} {list(array.shape)}"
                )
        if not count or count % LATENT_FRAMES:
            raise ValueError(f"frames: expected a multiple of {LATENT_FRAMES}, got {count}")

    def __len__(self) -> int:
        return len(self.frames)
