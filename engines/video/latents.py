"""Training clips through the codec, once: ``python -m engines.video latents``.

The transformer learns on latents alone. A folder of them is a few flat files of float16 that are
mapped into memory, one row a latent frame (or a multiple of it), and an index: any stretch of any
clip is a copy of some rows.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from core import KEYPOINTS, LATENT_FRAMES, MOUTH_CHANNELS, U8, InvalidInput
from engines.video.clip import STILL, TOKEN_WIDTH, Clip
from engines.video.codec import GRID, Codec, load_codec, to_bytes, to_unit
from engines.video.conditions import OWN, REACH, Conditions
from engines.video.data.shards import Shards, open_shards
from engines.video.plan import Plan
from engines.video.regions import REGIONS
from engines.video.text import tokenise

F16 = npt.NDArray[np.float16]
INDEX: Final = "index.json"
AT_ONCE: Final = {"cpu": 4, "cuda": 64}
"Latent frames that go through the codec together: a CPU wants them to stay in its caches."
EVERY: Final = 32
"Clips between two writings of the index."
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
    index = _read_index(folder)
    if index is None or not index["clips"]:
        raise InvalidInput(f"{folder} holds no latents. Make them: python -m engines.video latents")
    if not index["finished"]:
        raise InvalidInput(
            f"The latents in {folder} are not finished. Run the command that makes them again."
        )
    entries = tuple(Entry(**clip) for clip in index["clips"])
    frames = entries[-1].first + entries[-1].count
    arrays = {}
    for name, (of_clip, shape) in _files(index["channels"]).items():
        rows = len(entries) if of_clip else frames
        try:
            arrays[name] = np.memmap(folder / f"{name}.f16", np.float16, "r", 0, (rows, *shape))
        except (OSError, ValueError) as error:
            raise InvalidInput(f"{folder / name}.f16 is damaged: {error}.") from error
    counts = np.array([entry.count for entry in entries], np.int64)
    return Latents(entries, index["codec"], counts, **arrays)


def make_latents(
    shards: Shards,
    codec: Codec,
    out: Path,
    progress: Callable[[int, int, str], None],
    *,
    device: str = "cpu",
    bf16: bool = False,
    workers: int = 1,
) -> None:
    """Encode every clip of ``shards`` that moves; goes on where it was interrupted.

    Args:
        shards: The clips.
        codec: The codec, trained.
        out: Folder to write.
        progress: Told after every clip.
        device: Where the codec runs.
        bf16: Compute in bfloat16: latents are off by some 0.4 % of their deviation.
        workers: Threads that decode pictures.

    Raises:
        InvalidInput: ``out`` holds latents of another codec or of other clips.
    """
    out.mkdir(parents=True, exist_ok=True)
    index = _read_index(out) or _new_index(codec, shards)
    if (index["codec"], index["shards"]) != (codec_id(codec), _digest(shards)):
        raise InvalidInput(f"{out} holds latents of another codec or of other clips: remove it.")
    wanted = [i for i, label in enumerate(shards.labels) if label != STILL]
    clips: list[dict[str, Any]] = index["clips"]
    codec = codec.to(device).eval()
    with _Files(out, codec.config.latent, [Entry(**clip) for clip in clips]) as files:
        for clip, i in _ahead(shards, wanted[len(clips) :], workers):
            with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=bf16):
                latents, reference = encode_clip(codec, clip)
            clips.append(asdict(files.append(clip, i, latents, reference)))
            progress(len(clips), len(wanted), f"{clip.person} {clip.label}")
            if len(clips) % EVERY == 0:
                files.flush()
                _write_index(index, out)
        files.flush()
        index["finished"] = True
        _write_index(index, out)


@torch.inference_mode()
def encode_clip(codec: Codec, clip: Clip) -> tuple[F16, F16]:
    """A clip's latents ``[L, 3, C, 6, 6]`` and its reference's ``[3, C, 6, 6]``, float16.

    The reference is encoded as four frames that do not move.
    """
    frames = clip.frames.reshape(-1, LATENT_FRAMES, *clip.frames.shape[1:])
    still = np.repeat(clip.reference[None, None], LATENT_FRAMES, axis=1)
    groups = np.concatenate([still, frames])
    step = AT_ONCE.get(next(codec.parameters()).device.type, 4)
    parts = [encode(codec, groups[at : at + step]) for at in range(0, len(groups), step)]
    latents = torch.cat(parts).to("cpu", torch.float16).numpy()
    return latents[1:], latents[0]


def encode(codec: Codec, groups: U8) -> Tensor:
    """Four frames each, uint8 ``[N, 4, 3, 96, 96, 3]`` → float32 ``[N, 3, C, 6, 6]``."""
    device = next(codec.parameters()).device
    pictures = to_unit(torch.from_numpy(np.ascontiguousarray(groups)).to(device))
    count = len(REGIONS)
    region = torch.arange(count, device=device).repeat(len(groups))
    latents = codec.encode(pictures.transpose(1, 2).flatten(0, 1), region)
    return latents.reshape(len(groups), count, *latents.shape[2:])


@torch.inference_mode()
def decode(codec: Codec, latents: Tensor, references: U8) -> U8:
    """Latents to pictures, clip by clip.

    Args:
        codec: In evaluation mode.
        latents: ``[B, L, 3, C, 6, 6]``.
        references: uint8 ``[B, 3, 96, 96, 3]``.

    Returns:
        uint8 ``[B, 4 L, 3, 96, 96, 3]``.
    """
    device = next(codec.parameters()).device
    region = torch.arange(len(REGIONS), device=device)
    made = []
    for clip, reference in zip(latents, references, strict=True):
        known = to_unit(torch.from_numpy(reference).to(device))
        frames = codec.decode(clip.to(device).transpose(0, 1), known, region)
        made.append(to_bytes(frames).swapaxes(0, 1))
    return np.stack(made)


def codec_id(codec: Codec) -> str:
    """Tells encoders, and so latents, apart; a decoder may be trained on beside the latents.

    The same for all precisions down to float16 that one is kept in.
    """
    digest = hashlib.sha256()
    for name, value in sorted(codec.encoder.state_dict().items()):
        digest.update(name.encode() + value.detach().half().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


class _Files:
    """The flat files while they grow."""

    def __init__(self, folder: Path, channels: int, entries: Sequence[Entry]) -> None:
        self._frames = entries[-1].first + entries[-1].count if entries else 0
        self._open: dict[str, BinaryIO] = {}
        for name, (of_clip, shape) in _files(channels).items():
            rows = len(entries) if of_clip else self._frames
            file = (folder / f"{name}.f16").open("ab")
            # What was written after the last index is written again.
            file.truncate(rows * int(np.prod(shape)) * 2)
            self._open[name] = file

    def __enter__(self) -> _Files:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._open.values():
            file.close()

    def append(self, clip: Clip, i: int, latents: F16, reference: F16) -> Entry:
        rows: dict[str, npt.NDArray[Any]] = {
            "latents": latents, "points": clip.points, "felt": clip.felt, "audio": clip.audio,
            "references": reference, "reference_points": clip.reference_points,
        }  # fmt: skip
        for name, array in rows.items():
            self._open[name].write(array.astype(np.float16).tobytes())
        entry = Entry(clip.person, clip.label, clip.text, self._frames, len(latents), i)
        self._frames += len(latents)
        return entry

    def flush(self) -> None:
        for file in self._open.values():
            file.flush()


def _files(channels: int) -> dict[str, tuple[bool, tuple[int, ...]]]:
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


def _ahead(shards: Shards, wanted: Sequence[int], workers: int) -> Iterator[tuple[Clip, int]]:
    """Clips in order, decoded ahead by threads."""
    with ThreadPoolExecutor(workers, "clip") as pool:
        ahead = 2 * workers
        made = [pool.submit(shards.clip, i) for i in wanted[:ahead]]
        for k, i in enumerate(wanted):
            clip = made.pop(0).result()
            if k + ahead < len(wanted):
                made.append(pool.submit(shards.clip, wanted[k + ahead]))
            yield clip, i


def _digest(shards: Shards) -> str:
    """Tells whether the clips are the same ones in the same order."""
    facts = list(zip(shards.persons, shards.labels, shards.lengths, strict=True))
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def _new_index(codec: Codec, shards: Shards) -> dict[str, Any]:
    return {
        "codec": codec_id(codec), "channels": codec.config.latent, "shards": _digest(shards),
        "finished": False, "clips": [],
    }  # fmt: skip


def _read_index(folder: Path) -> dict[str, Any] | None:
    path = folder / INDEX
    if not path.exists():
        return None
    try:
        index: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if not {"codec", "channels", "shards", "finished", "clips"} <= index.keys():
            raise ValueError("not such an index")
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path} is damaged: {error}. Remove the folder.") from error
    return index


def _write_index(index: dict[str, Any], folder: Path) -> None:
    fresh = folder / f"{INDEX}.part"
    fresh.write_text(json.dumps(index), encoding="utf-8")
    fresh.replace(folder / INDEX)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``latents``."""
    parser.add_argument("shards", type=Path, help="folder of training clips")
    parser.add_argument("codec", type=Path, help="the codec's weights")
    parser.add_argument("out", type=Path, help="folder to write")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", choices=("auto", "bf16", "fp32"), default="auto")
    parser.add_argument("--workers", type=int, default=2, help="threads that decode pictures")


def run(options: argparse.Namespace, progress: Callable[[int, int, str], None]) -> None:
    """Encode a folder of clips."""
    plan = Plan(device=options.device, precision=options.precision)
    make_latents(
        open_shards(options.shards), load_codec(options.codec), options.out, progress,
        device=plan.device_name, bf16=plan.use_bf16, workers=max(1, options.workers),
    )  # fmt: skip
