"""Which extractor a run uses."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from core import Unavailable
from engines.evaluate.extract.extractor import Extractor
from engines.evaluate.extract.landmarker import Landmarker, find_landmarker
from engines.evaluate.extract.mesh import MeshExtractor

KINDS: Final = ("auto", "landmarker", "mesh")


def open_extractor(kind: str, landmarker: Path | None) -> Extractor:
    """Open an extractor.

    Args:
        kind: One of `KINDS`; ``auto`` is the landmarker where its model file is to be had, else the
            mesh, which needs none.
        landmarker: The landmarker's model file, if it is in no usual place.

    Raises:
        Unavailable: The model file is asked for and missing.
    """
    if kind == "mesh":
        return MeshExtractor()
    try:
        return Landmarker(find_landmarker(landmarker))
    except Unavailable:
        if kind == "landmarker" or landmarker is not None:
            raise
    return MeshExtractor()
