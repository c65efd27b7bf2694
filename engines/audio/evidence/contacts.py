"""Where the puppet's lips meet: how far a mouth is open, and whether p b m and f v are made."""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from core import CHANNELS, F32, MESH_POINTS, MOUTH
from face import FIELD, JAW_DROP, FaceModel, Slit, amplitudes

Bools: TypeAlias = npt.NDArray[np.bool_]

PRESS: Final = 0.35
"Lips that are meant to close press at least this; jaw 0 alone leaves a parted portrait parted."
LIPS_MEET: Final = 0.02
"""Half mouth widths (0.5 mm): with no more between them the puppet's lips look shut. With no other
control in play press 0.35 shuts a jaw of 0.08, press 0.5 one of 0.13, press 0.7 one of 0.28."""
TUCK: Final = 0.4
TEETH: Final = 0.084
"The puppet's upper teeth end this far (2.1 mm of 25) below the line of the lips."


def _closed_face() -> FaceModel:
    """A face whose lips meet at rest, in units of half its mouth's width."""
    zero = np.zeros(4, np.float32)
    slit = Slit(np.zeros(2, np.float32), np.array([1, 0], np.float32), 1.0, zero, zero)
    mesh = np.zeros((MESH_POINTS, 3), np.float32)
    return FaceModel(
        mesh, (slit, slit), slit, 1.0, (1.0, 1.0), np.zeros(3, np.float32), np.empty(0, np.float32)
    )


_FACE: Final = _closed_face()


def _lips(mouth: F32) -> tuple[F32, F32]:
    """How far the middle of the upper and lower lip lie below the line of closed lips."""
    rest = np.zeros((len(mouth), len(CHANNELS)), np.float32)
    moved = amplitudes(_FACE, rest, np.clip(mouth, 0, 1))
    lower: F32 = JAW_DROP * moved[:, FIELD["jaw"]] + moved[:, FIELD["lip_lower"]]
    return moved[:, FIELD["lip_upper"]], lower


def lip_gap(mouth: F32) -> F32:
    """Opening between the puppet's inner lips at their middle, as the puppet draws them.

    Args:
        mouth: float32 ``[T, 9]``.

    Returns:
        float32 ``[T]`` in half mouth widths, at least 0, for a portrait with closed lips.
    """
    upper, lower = _lips(mouth)
    gap: F32 = np.maximum(lower - upper, 0)
    return gap


def pressed(mouth: F32) -> Bools:
    """Where the lips are pressed shut (p, b, m), bool ``[T]``."""
    shut: Bools = (mouth[:, MOUTH["press"]] >= PRESS) & (lip_gap(mouth) <= LIPS_MEET)
    return shut


def tucked(mouth: F32) -> Bools:
    """Where the lower lip touches the upper teeth (f, v), bool ``[T]``."""
    touch: Bools = (mouth[:, MOUTH["tuck"]] >= TUCK) & (_lips(mouth)[1] <= TEETH)
    return touch
