"""Training clips as latents, to learn from.

The transformer learns on latents alone. A folder of them is a few flat files of float16 that are
mapped into memory, one row a latent frame (or a multiple of it), and an index: any stretch of any
clip is a copy of some rows.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from core import KEYPOINTS, LATENT_FRAMES, MOUTH_CHANNELS, InvalidInput
from engines.video.clip import OWN, REACH, TOKEN_WIDTH
from engines.video.codec import GRID, Codec
from engines.video.coding import codec_id
from engines.video.conditions import Conditions
from engines.video.regions import REGIONS
from engines.video.text import tokenise

F16 = npt.NDArray[np.float16]
INDEX: Final = "index.json"
MEASURED: Final = 256
"Clips whose difference to their reference is measured."
LEAST: Final = 0.1
"Of a latent's deviation, which is 1 (free): nothing stands quite still."
_SPOTS: Final = (len(REGIONS), len(KEYPOINTS), 2)


@dataclass(frozen=True, slots=True)
class Entry:
    """A clip among the latents."""

    person: str
    label: str
    text: str
    first: int
    "Its first latent frame among all."
    count: int
    "Latent frames."
    clip: int
    "Which clip of the shards it is."


@dataclass(frozen=True, slots=True, eq=False)
class LatentBatch:
    """Stretches of L latent frames, and what is said of them."""

    latents: Tensor
    "float32 ``[B, L, 3, C, 6, 6]``."
    reference: Tensor
    "float32 ``[B, 3, C, 6, 6]``."
    conditions: Conditions


@dataclass(frozen=True, slots=True, eq=False)
class Latents:
    """A folder of latents, mapped into memory."""

    entries: tuple[Entry, ...]
    codec: str
    "`codec_id` of the codec that made them."
    counts: npt.NDArray[np.int64]
    "Latent frames of each clip."
    latents: F16
    "float16 ``[N, 3, C, 6, 6]``, clip after clip."
    points: F16
    "float16 ``[N, 4, 3, 62, 2]``."
    felt: F16
    "float16 ``[N, 4, 9]``."
    audio: F16
    "float16 ``[N, 8, 256]``."
    references: F16
    "float16 ``[clips, 3, C, 6, 6]``."
    reference_points: F16
    "float16 ``[clips, 3, 62, 2]``."

    def __len__(self) -> int:
        """Clips."""
        return len(self.entries)

    def stretch(self, i: int, first: int, count: int) -> LatentBatch:
        """Latent frames [first, first + count) of a clip, as a batch of one.

        Raises:
            ValueError: The clip has no such frames.
        """
        entry = self.entries[i]
        if first < 0 or count < 1 or first + count > entry.count:
            raise ValueError(f"latent frames {first} + {count} of a clip with {entry.count}")
        at = slice(entry.first + first, entry.first + first + count)
        audio, hears = self._sound(entry, first, count)
        conditions = Conditions(
            points=_row(self.points[at].reshape(-1, *_SPOTS)),
            reference_points=_row(self.reference_points[i]),
            felt=_row(self.felt[at].reshape(-1, len(MOUTH_CHANNELS))),
            audio=_row(audio),
            hears=torch.from_numpy(hears)[None],
            words=torch.from_numpy(tokenise(entry.label, entry.text))[None],
            posed=torch.ones(1, dtype=torch.bool),
        )
        return LatentBatch(_row(self.latents[at]), _row(self.references[i]), conditions)

    def batch(self, rng: np.random.Generator, size: int, count: int) -> LatentBatch:
        """Random stretches of ``count`` latent frames, every possible one equally likely.

        Raises:
            InvalidInput: No clip is that long.
        """
        starts = np.maximum(self.counts - (count - 1), 0)
        ends = np.cumsum(starts)
        if not len(ends) or not ends[-1]:
            raise InvalidInput(f"No clip among the latents has {count} latent frames.")
        picks = rng.integers(0, ends[-1], size)
        clips = np.searchsorted(ends, picks, side="right")
        firsts = picks - ends[clips] + starts[clips]
        return join(
            [self.stretch(int(i), int(k), count) for i, k in zip(clips, firsts, strict=True)]
        )

    def spread(self) -> Tensor:
        """How far latents are from their reference's, root mean square over `MEASURED` clips.

        Returns:
            float32 ``[108, C]``, at least `LEAST`.
        """
        picked = np.linspace(0, len(self) - 1, min(MEASURED, len(self))).astype(int)
        total = np.zeros(self.references.shape[1:], np.float64)
        for i in picked:
            entry = self.entries[i]
            own = self.latents[entry.first : entry.first + entry.count].astype(np.float32)
            total += np.square(own - self.references[i].astype(np.float32)).mean(0) / len(picked)
        flat = torch.from_numpy(np.sqrt(total).astype(np.float32)).movedim(1, -1)
        return flat.flatten(0, 2).clamp(min=LEAST)

    def _sound(self, entry: Entry, first: int, count: int) -> tuple[F16, npt.NDArray[np.bool_]]:
        """Tokens of a stretch and `REACH` before it; beyond the clip nothing is heard."""
        total = entry.count * OWN
        wanted = np.arange(first * OWN - REACH, (first + count) * OWN)
        hears = (wanted >= 0) & (wanted < total)
        own = self.audio[entry.first : entry.first + entry.count].reshape(total, TOKEN_WIDTH)
        audio = np.zeros((len(wanted), TOKEN_WIDTH), np.float16)
        audio[hears] = own[wanted[hears]]
        return audio, hears


def join(parts: Sequence[LatentBatch]) -> LatentBatch:
    """Stretches of one length as one batch."""
    return LatentBatch(
        torch.cat([part.latents for part in parts]),
        torch.cat([part.reference for part in parts]),
        Conditions.stack([part.conditions for part in parts]),
    )


def open_latents(folder: Path) -> Latents:
    """Map a folder of latents.

    Raises:
        InvalidInput: It holds none, they are not finished, or a file is too short.
    """
    index = read_index(folder)
    if index is None or not index["clips"]:
        raise InvalidInput(f"{folder} holds no latents. Make them: python -m engines.video latents")
    if not index["finished"]:
        raise InvalidInput(
            f"The latents in {folder} are not finished. Run the command that makes them again."
        )
    entries = tuple(Entry(**clip) for clip in index["clips"])
    frames = entries[-1].first + entries[-1].count
    arrays = {}
    for name, (of_clip, shape) in files_of(index["channels"]).items():
        rows = len(entries) if of_clip else frames
        try:
            arrays[name] = np.memmap(folder / f"{name}.f16", np.float16, "r", 0, (rows, *shape))
        except (OSError, ValueError) as error:
            raise InvalidInput(f"{folder / name}.f16 is damaged: {error}.") from error
    counts = np.array([entry.count for entry in entries], np.int64)
    return Latents(entries, index["codec"], counts, **arrays)


def require_latents_of(codec: Codec, *folders: Latents) -> str:
    """The codec's `codec_id`, which all these latents have to name.

    Raises:
        InvalidInput: Some were made by another codec.
    """
    name = codec_id(codec)
    if any(latents.codec != name for latents in folders):
        raise InvalidInput("The latents were made by another codec. Make them again.")
    return name


def files_of(channels: int) -> dict[str, tuple[bool, tuple[int, ...]]]:
    """Of each file: whether a row is a clip (or a latent frame), and the shape of a row."""
    latent = (len(REGIONS), channels, GRID, GRID)
    return {
        "latents": (False, latent),
        "points": (False, (LATENT_FRAMES, *_SPOTS)),
        "felt": (False, (LATENT_FRAMES, len(MOUTH_CHANNELS))),
        "audio": (False, (OWN, TOKEN_WIDTH)),
        "references": (True, latent),
        "reference_points": (True, _SPOTS),
    }


def _row(array: F16) -> Tensor:
    return torch.from_numpy(np.asarray(array, np.float32))[None]


def read_index(folder: Path) -> dict[str, Any] | None:
    """The index of a folder, None where there is none.

    Raises:
        InvalidInput: It is damaged.
    """
    path = folder / INDEX
    if not path.exists():
        return None
    try:
        index: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if not {"codec", "channels", "finished", "clips"} <= index.keys():
            raise ValueError("not such an index")
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path} is damaged: {error}. Remove the folder.") from error
    return index
