"""Features of one portrait that were learnt for it, on disk. No torch.

The decoder reads a portrait as feature maps beside its picture (`engines.video.graphs`). They are
inputs of its graph, so maps that were learnt for one face (`engines.video.adapt`) take the place of
those that the networks find in its picture: nothing is compiled anew, sessions still share graphs
and batches, and a frame costs what it cost before.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core import F32, InvalidInput
from engines.video.regions import REGIONS
from engines.video.shipped import codec_file


@dataclass(frozen=True, slots=True, eq=False)
class Adapted:
    """What was learnt for a portrait."""

    portrait: str
    "Its id."
    codec: str
    "`codec_mark` of the weights it was learnt for."
    features: Mapping[str, F32]
    "As `engines.video.live.Prepared.features`: name → float32 ``[1, 3, width, side, side]``."
    before: Mapping[str, float]
    "PSNR of what moves, dB, by region: generated motion that was not learnt from; without."
    after: Mapping[str, float]
    "The same with these features."

    @property
    def gain(self) -> float:
        """Decibels, mean over the regions."""
        return sum(self.after[name] - self.before[name] for name in REGIONS) / len(REGIONS)


def codec_mark(folder: Path) -> str:
    """Tells the codec's weights in a folder apart. Raises InvalidInput where there are none."""
    try:
        return hashlib.sha256(codec_file(folder).read_bytes()).hexdigest()[:16]
    except OSError as error:
        raise InvalidInput(f"There is no codec in {folder}: {error.strerror}.") from error


def save_adapted(adapted: Adapted, path: Path) -> None:
    """Write it as npz in half precision: a reader sees all of it or nothing."""
    note = {
        "portrait": adapted.portrait,
        "codec": adapted.codec,
        "before": dict(adapted.before),
        "after": dict(adapted.after),
    }
    halves = {name: x.astype(np.float16) for name, x in adapted.features.items()}
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez_compressed(file, note=np.array(json.dumps(note)), **halves)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def load_adapted(path: Path) -> Adapted:
    """Read what `save_adapted` wrote.

    Raises:
        FileNotFoundError: There is none.
        InvalidInput: The file is damaged or of another kind.
    """
    with path.open("rb") as file:  # what fails here says nothing about the file's content
        try:
            with np.load(file, allow_pickle=False) as stored:
                note = json.loads(str(stored["note"]))
                features = {n: stored[n].astype(np.float32) for n in stored.files if n != "note"}
            scores = [
                {name: float(note[when][name]) for name in REGIONS} for when in ("before", "after")
            ]
            found = Adapted(str(note["portrait"]), str(note["codec"]), features, *scores)
        except Exception as error:  # zip, zlib, npy headers, JSON: a dozen kinds when damaged
            raise InvalidInput(f"{path} is no adapted portrait: {error}.") from error
    if not features or not all(np.isfinite(x).all() for x in features.values()):
        raise InvalidInput(f"{path} is no adapted portrait: it holds no numbers.")
    return found
