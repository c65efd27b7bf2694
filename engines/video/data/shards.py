"""Training clips on disk: some dozens a file, pictures as JPEG, any frames of any clip at once.

A file is `MAGIC`, the clips one after another, an index in JSON, and its length. A clip is a table
of sizes and checksums, its numbers, and one JPEG a frame with the three regions below each other,
the reference first. Nothing is read before it is asked for.
"""

from __future__ import annotations

import json
import struct
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from core import F32, KEYPOINTS, LATENT_FRAMES, MOUTH_CHANNELS, U8, InvalidInput
from engines.video.clip import TOKEN_WIDTH, TOKENS_PER_FRAME, Clip
from engines.video.regions import REGIONS, SIDE

MAGIC: Final = b"SACCLIP1"
SUFFIX: Final = ".clips"
QUALITY: Final = 95
_TAIL: Final = struct.Struct("<Q")
_SPOTS: Final = (len(REGIONS), len(KEYPOINTS), 2)
_MOUTH: Final = len(MOUTH_CHANNELS)
_STRIP: Final = (len(REGIONS) * SIDE, SIDE, 3)
LONGEST: Final = 10_000
"Frames of a clip that an index may claim."


@dataclass(frozen=True, slots=True)
class Packed:
    """A clip as it lies in a shard."""

    note: dict[str, Any]
    "person, label, text, frames."
    data: bytes


def pack(clip: Clip, quality: int = QUALITY) -> Packed:
    """Compress a clip."""
    pictures = [_encode(picture, quality) for picture in (clip.reference, *clip.frames)]
    spots = np.concatenate([clip.reference_points[None], clip.points])
    arrays = (spots, clip.felt, clip.heard_mouth, clip.audio)
    numbers = b"".join(a.astype("<f2").tobytes() for a in arrays)
    parts = [numbers, *pictures]
    table = np.array([[len(p), zlib.crc32(p)] for p in parts], "<u4").tobytes()
    note = {n: getattr(clip, n) for n in ("person", "label", "text")} | {"frames": len(clip)}
    return Packed(note, b"".join((table, *parts)))


def write_shard(path: Path, clips: Iterable[Packed]) -> int:
    """Write a shard, whole or not at all; returns its bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    index, at = [], len(MAGIC)
    with partial.open("wb") as file:
        file.write(MAGIC)
        for clip in clips:
            file.write(clip.data)
            index.append({**clip.note, "at": at, "size": len(clip.data)})
            at += len(clip.data)
        told = json.dumps(index).encode()
        file.write(told + _TAIL.pack(len(told)))
    partial.replace(path)
    return at + len(told) + _TAIL.size


@dataclass(frozen=True, slots=True)
class _Entry:
    person: str
    label: str
    text: str
    frames: int
    at: int
    size: int


@dataclass(frozen=True, slots=True)
class Shards:
    """Clips of a folder, in the order of its files. Holds the index alone; for any process."""

    paths: tuple[Path, ...]
    entries: tuple[tuple[_Entry, ...], ...]
    ends: tuple[int, ...]
    "Clips up to and with each file."

    def __len__(self) -> int:
        return self.ends[-1]

    @property
    def persons(self) -> tuple[str, ...]:
        """Who is in each clip."""
        return tuple(entry.person for part in self.entries for entry in part)

    @property
    def labels(self) -> tuple[str, ...]:
        """Label of each clip."""
        return tuple(entry.label for part in self.entries for entry in part)

    @property
    def lengths(self) -> tuple[int, ...]:
        """Frames of each clip."""
        return tuple(entry.frames for part in self.entries for entry in part)

    def clip(self, i: int, first: int = 0, frames: int | None = None) -> Clip:
        """Frames [first, first + frames) of a clip, or all after ``first``.

        Raises:
            IndexError: There is no such clip.
            ValueError: The clip has no such frames, or not a multiple of 4 was asked for.
            InvalidInput: The file is damaged there.
        """
        if not 0 <= i < len(self):
            raise IndexError(f"clip {i} of {len(self)}")
        part = bisect_right(self.ends, i)
        path, entries = self.paths[part], self.entries[part]
        entry = entries[i - self.ends[part] + len(entries)]
        count = entry.frames - first if frames is None else frames
        if first < 0 or count < 1 or first + count > entry.frames or count % LATENT_FRAMES:
            raise ValueError(f"frames {first} + {count} of a clip with {entry.frames}")
        try:
            return _read(path, entry, first, count)
        except _DAMAGE as error:
            raise _damaged(path, error) from error


def open_shards(folder: Path) -> Shards:
    """Open all finished shards of a folder; what is still being written is passed over.

    Raises:
        InvalidInput: There are none, or one is damaged; the message names it.
    """
    paths = tuple(sorted(folder.glob(f"*{SUFFIX}")))
    entries = tuple(_index(path) for path in paths)
    ends = tuple(accumulate(len(part) for part in entries))
    if not ends or not ends[-1]:
        raise InvalidInput(
            f"{folder} holds no training clips. Make some: python -m engines.video render"
        )
    return Shards(paths, entries, ends)


_DAMAGE: Final = (OSError, ValueError, KeyError, TypeError, struct.error, cv2.error)


def _damaged(path: Path, error: Exception) -> InvalidInput:
    return InvalidInput(
        f"{path} is not a shard of training clips, or it is damaged ({error}). Delete it and "
        "run the command that made it again."
    )


def _index(path: Path) -> tuple[_Entry, ...]:
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise ValueError("it begins otherwise")
            file.seek(size - _TAIL.size)
            (length,) = _TAIL.unpack(file.read(_TAIL.size))
            end = size - _TAIL.size - length
            if end < len(MAGIC):
                raise ValueError("it is cut short")
            file.seek(end)
            entries = tuple(_Entry(**note) for note in json.loads(file.read(length)))
        at = len(MAGIC)
        for entry in entries:
            if entry.at != at or not 0 < entry.frames <= LONGEST or entry.size <= 0:
                raise ValueError("its index is wrong")
            at += entry.size
        if at != end:
            raise ValueError("its index is wrong")
        return entries
    except _DAMAGE as error:
        raise _damaged(path, error) from error


def _read(path: Path, entry: _Entry, first: int, count: int) -> Clip:
    total = entry.frames
    with path.open("rb") as file:
        file.seek(entry.at)
        rows = np.frombuffer(file.read(8 * (total + 2)), "<u4").reshape(total + 2, 2)
        sizes = [int(size) for size in rows[:, 0]]
        if rows.nbytes + sum(sizes) != entry.size:
            raise ValueError("a clip's table is wrong")
        numbers, reference = _parts(file.read(sizes[0] + sizes[1]), rows[:2])
        file.seek(sum(sizes[2 : 2 + first]), 1)
        wanted = slice(2 + first, 2 + first + count)
        pictures = _parts(file.read(sum(sizes[wanted])), rows[wanted])
    spots, felt, heard, audio = _arrays(numbers, total)
    here = slice(first, first + count)
    tokens = slice(TOKENS_PER_FRAME * first, TOKENS_PER_FRAME * (first + count))
    return Clip(
        entry.person, entry.label, entry.text,
        _decode(reference), np.stack([_decode(picture) for picture in pictures]),
        spots[0], spots[1:][here], felt[here], audio[tokens], heard[here],
    )  # fmt: skip


def _parts(data: bytes, rows: npt.NDArray[np.uint32]) -> list[bytes]:
    """Cut ``data`` as a table's rows say, and check every part."""
    ends = np.cumsum(rows[:, 0], dtype=np.int64)
    parts = [data[end - size : end] for end, size in zip(ends, rows[:, 0], strict=True)]
    for part, (size, check) in zip(parts, rows, strict=True):
        if len(part) != size or zlib.crc32(part) != check:
            raise ValueError("a checksum is wrong")
    return parts


def _arrays(numbers: bytes, total: int) -> list[F32]:
    shapes: Sequence[tuple[int, ...]] = (
        (total + 1, *_SPOTS), (total, _MOUTH), (total, _MOUTH),
        (TOKENS_PER_FRAME * total, TOKEN_WIDTH),
    )  # fmt: skip
    flat = np.frombuffer(numbers, "<f2").astype(np.float32)
    cuts = list(accumulate(int(np.prod(shape)) for shape in shapes))
    if cuts[-1] != len(flat):
        raise ValueError("a clip has too few numbers, or too many")
    parts = np.split(flat, cuts[:-1])
    return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]


def _encode(crops: U8, quality: int) -> bytes:
    options = [
        cv2.IMWRITE_JPEG_QUALITY, quality,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    ]  # fmt: skip
    strip = cv2.cvtColor(crops.reshape(_STRIP), cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", strip, options)[1].tobytes()


def _decode(data: bytes) -> U8:
    strip = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if strip is None or strip.shape != _STRIP:
        raise ValueError("a picture can not be decoded")
    rgb = np.asarray(cv2.cvtColor(strip, cv2.COLOR_BGR2RGB), np.uint8)
    return rgb.reshape(len(REGIONS), SIDE, SIDE, 3)
