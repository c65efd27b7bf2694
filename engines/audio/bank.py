"""Utterances → what training reads: log-mels of clean and spoilt copies, with targets.

Spoiling sound (codecs, rooms, music) costs more than a training step, so each utterance is spoilt
some times beforehand; level and stationary noise are varied again at every step (`train`).
"""

from __future__ import annotations

import argparse
import json
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from core import F32, MOUTH_CHANNELS, SAMPLE_RATE, InvalidInput
from engines.audio.coarticulation import targets
from engines.audio.corpus import Phone, Utterance, load_shard, shards_in
from engines.audio.encoder import TOKEN
from engines.audio.network import HOP, WINDOW, LogMel
from engines.audio.spoil.augment import augment
from engines.audio.spoil.background import background
from engines.audio.visemes import VISEMES

GAP: Final = 40
"Tokens of silence between two utterances of the bank: 0.8 s, so that pauses are learnt too."
_REAL: Final = 5
_QUIET: Final = -40.0
"dB below this voice's usual that stands for silence in the loudness target."
ROW: Final = len(VISEMES) + len(MOUTH_CHANNELS) + 2


@dataclass(frozen=True, slots=True)
class Bank:
    """Everything to train on, as memory maps."""

    mels: npt.NDArray[np.float16]
    "float16 ``[2 T, mels]``."
    rows: npt.NDArray[np.float16]
    "float16 ``[T, 26]``: viseme weights, mouth, activity, loudness in units of 20 dB."

    @property
    def hours(self) -> float:
        """Sound in it."""
        return len(self.rows) * TOKEN / SAMPLE_RATE / 3600


def open_bank(folder: Path) -> Bank:
    """Map a bank that `build` made.

    Raises:
        InvalidInput: There is none.
    """
    try:
        names = ("mels", "rows")
        return Bank(*(np.load(folder / f"{n}.npy", mmap_mode="r") for n in names))
    except OSError as error:
        raise InvalidInput(
            f"{folder} holds no bank ({error}). Make one: python -m engines.audio bank"
        ) from error


def build(
    shards: Sequence[Path],
    folder: Path,
    *,
    copies: int = 3,
    held_out: bool = False,
    background_minutes: float = 30.0,
    mels: int = 64,
    seed: int = 1,
    workers: int = 2,
    progress: Callable[[int, int, str], None],
) -> None:
    """Make the bank of all utterances that may be trained on; finished shards are kept.

    Args:
        copies: Spoilt copies of each utterance, beside the clean one; of real speech, which is
            scarce, `_REAL` times as many.
        background_minutes: Sound in which nobody speaks, beside them.
        held_out: Of the utterances that may not be trained on, instead: to validate.
    """
    parts = folder / "parts"
    parts.mkdir(parents=True, exist_ok=True)
    todo = [s for s in shards if not (parts / f"{s.stem}.npz").exists()]
    done = len(shards) - len(todo)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        waiting = {
            pool.submit(_part, s, shards, parts / f"{s.stem}.npz", copies, held_out, mels, seed): s
            for s in todo
        }
        for future in as_completed(waiting):
            future.result()
            done += 1
            progress(done, len(shards), waiting[future].stem)
    made = [parts / f"{s.stem}.npz" for s in sorted(shards)]
    if not held_out:
        _quiet(parts / "nobody.npz", background_minutes, mels, seed)
        made.append(parts / "nobody.npz")
    _join(made, folder)


def _quiet(out: Path, minutes: float, mels: int, seed: int) -> None:
    """Sound in which nobody speaks: the mouth must stay shut whatever is heard."""
    if out.exists():
        return
    rng = np.random.default_rng([seed, 0])
    front, length = LogMel(mels), 12 * SAMPLE_RATE
    heard, rows = [], []
    for _ in range(max(1, round(minutes * 5))):
        samples = background(length, rng)
        if rng.random() < 0.3:
            samples = augment(samples, rng)
        heard.append(_mels(front, samples))
        rows.append(_rows(np.zeros_like(samples), []).astype(np.float16))
    _save_part(out, heard, rows)


def _mels(front: LogMel, samples: F32) -> npt.NDArray[np.float16]:
    import torch

    padded = np.pad(samples, (WINDOW - HOP, 0))
    with torch.inference_mode():
        mels: npt.NDArray[np.float16] = (
            front(torch.from_numpy(padded[None]))[0].numpy().astype("f2")
        )
    return mels


def _save_part(
    out: Path, mels: list[npt.NDArray[np.float16]], rows: list[npt.NDArray[np.float16]]
) -> None:
    partial = out.with_suffix(".partial")
    with partial.open("wb") as file:
        np.savez(file, mels=np.concatenate(mels), rows=np.concatenate(rows))
    partial.replace(out)


def _join(parts: Sequence[Path], folder: Path) -> None:
    """Parts → three plain arrays that can be memory-mapped."""
    lengths = [_length(p) for p in parts]
    total = sum(lengths)
    with np.load(parts[0]) as first:
        bands = first["mels"].shape[1]
    shapes = {"mels": (2 * total, bands), "rows": (total, ROW)}
    for name, shape in shapes.items():
        out = np.lib.format.open_memmap(  # type: ignore[no-untyped-call]
            folder / f"{name}.npy", mode="w+", dtype=np.float16, shape=shape
        )
        at = 0
        for path in parts:
            with np.load(path) as part:
                data = part[name]
            out[at : at + len(data)] = data
            at += len(data)
        out.flush()
    (folder / "bank.json").write_text(json.dumps({"parts": [p.stem for p in parts]}))


def _length(path: Path) -> int:
    with np.load(path) as part:
        return len(part["rows"])


def _part(
    shard: Path,
    shards: Sequence[Path],
    out: Path,
    copies: int,
    held_out: bool,
    mels: int,
    seed: int,
) -> None:
    """One shard's share of the bank."""
    import torch

    torch.set_num_threads(1)
    front = LogMel(mels)
    rng = np.random.default_rng([seed, zlib.crc32(shard.stem.encode())])
    others = _others(shards, shard, rng)
    heard: list[npt.NDArray[np.float16]] = [np.zeros((0, mels), np.float16)]
    rows: list[npt.NDArray[np.float16]] = [np.zeros((0, ROW), np.float16)]
    for utterance in (u for u in load_shard(shard) if u.training is not held_out):
        times = _REAL if utterance.source == "recorded" and not held_out else 1
        for copy in range(times * copies + 1):
            samples, phones = _layout(utterance, rng)
            rows.append(_rows(samples, phones).astype(np.float16))
            if copy:
                samples = augment(samples, rng, others=others)
            heard.append(_mels(front, samples))
    _save_part(out, heard, rows)


def _others(shards: Sequence[Path], shard: Path, rng: np.random.Generator) -> list[F32]:
    """Other voices, for babble."""
    chosen = [shards[i] for i in rng.integers(0, len(shards), 2)]
    found: list[F32] = []
    for path in chosen:
        if path != shard:
            found += [u.samples[: 8 * SAMPLE_RATE].astype(np.float32) / 32768
                      for u in load_shard(path)[:12]]  # fmt: skip
    return found


def _layout(utterance: Utterance, rng: np.random.Generator) -> tuple[F32, list[Phone]]:
    """The utterance at another speed, with silence around it, in whole tokens."""
    from engines.audio.spoil.degrade import resample_speed

    factor = float(rng.choice([0.85, 0.92, 1.0, 1.0, 1.08, 1.17]))
    sound = utterance.samples.astype(np.float32) / 32768
    if factor != 1.0:
        sound = resample_speed(sound, factor)
    before = int(rng.integers(2, GAP // 2)) * TOKEN + int(rng.integers(0, TOKEN))
    after = int(rng.integers(2, GAP)) * TOKEN
    whole = -(-(before + len(sound) + after) // TOKEN) * TOKEN
    samples = np.zeros(whole, np.float32)
    samples[before : before + len(sound)] = sound
    shift = before / SAMPLE_RATE
    phones = [
        Phone(p.symbol, p.start / factor + shift, p.end / factor + shift) for p in utterance.phones
    ]
    return samples, phones


def _rows(samples: F32, phones: list[Phone]) -> F32:
    """Targets of each token, float32 ``[T, 26]``."""
    tokens = len(samples) // TOKEN
    clean = np.round(samples * 32767).astype(np.int16)
    wanted = targets(phones, tokens, clean)
    power = np.mean(np.square(samples.reshape(tokens, TOKEN)), axis=1)
    level = 10.0 * np.log10(power + 1e-9)
    spoken = wanted.activity > 0
    usual = float(np.mean(level[spoken])) if spoken.any() else -90.0
    loudness = np.clip(level - usual, _QUIET, 20.0) / 20.0
    rows: F32 = np.concatenate(
        (wanted.visemes, wanted.mouth, wanted.activity[:, None], loudness[:, None]), axis=1
    ).astype(np.float32)
    return rows


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("folder", type=Path, help="where the bank goes")
    parser.add_argument("shards", type=Path, nargs="+", help="shards or folders of them")
    parser.add_argument("--copies", type=int, default=3)
    parser.add_argument("--held-out", action="store_true", help="of held-out voices, to validate")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)


def run(options: argparse.Namespace, progress: Callable[[int, int, str], None]) -> None:
    """Make a bank as the options say."""
    build(
        shards_in(options.shards),
        options.folder,
        copies=options.copies,
        held_out=options.held_out,
        seed=options.seed,
        workers=options.workers,
        progress=progress,
    )
