"""``python -m engines.video latents``: training clips through the codec, once."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt
import torch

from core import LATENT_FRAMES, InvalidInput
from engines.video.clip import STILL, Clip
from engines.video.codec import Codec, load_codec
from engines.video.coding import codec_id, encode_clip
from engines.video.data.shards import Shards, open_shards
from engines.video.latents import F16, INDEX, Entry, files_of, read_index
from engines.video.plan import Plan

EVERY: Final = 32
"Clips between two writings of the index."


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
    """Encode every clip of ``shards`` that moves.

    Goes on where it was interrupted, or with the clips filmed since.

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
    new: dict[str, Any] = {"codec": codec_id(codec), "channels": codec.config.latent, "clips": []}
    index = read_index(out) or new
    wanted = [i for i, label in enumerate(shards.labels) if label != STILL]
    clips: list[dict[str, Any]] = index["clips"]
    if index["codec"] != new["codec"] or not _are(clips, shards, wanted):
        raise InvalidInput(f"{out} holds latents of another codec or of other clips: remove it.")
    index["finished"] = False
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


class _Files:
    """The flat files while they grow."""

    def __init__(self, folder: Path, channels: int, entries: Sequence[Entry]) -> None:
        self._frames = entries[-1].first + entries[-1].count if entries else 0
        self._open: dict[str, BinaryIO] = {}
        for name, (of_clip, shape) in files_of(channels).items():
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


def _are(clips: Sequence[dict[str, Any]], shards: Shards, wanted: Sequence[int]) -> bool:
    """Whether these are the first of the clips wanted: more may have been filmed since."""
    facts = [
        (i, shards.persons[i], shards.labels[i], shards.lengths[i] // LATENT_FRAMES)
        for i in wanted[: len(clips)]
    ]
    return facts == [(c["clip"], c["person"], c["label"], c["count"]) for c in clips]


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
