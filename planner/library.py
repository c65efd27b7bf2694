"""The prototype library: real behaviour as numbers, looked up by what a stage asks for.

A prototype is a few seconds of controls as a person moved them, with its category and where it
comes from (CogPortrait section 3.2). The library ships as ``planner/data/library.npz``; it is
made, and its dynamics are reported, by::

    python -m planner.library build  [--data DIR] [--out FILE] [--include-limited] …
    python -m planner.library report [--data DIR]
"""

from __future__ import annotations

import json
import sys
import zipfile
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from core import CHANNELS, F32, FPS, POSE_SLICE, InvalidInput
from planner.retrieval import COMPARABLE, MOST_GAIN, Jumps, jumps, trend, trim
from planner.shared import Shared

SHIPPED: Final = Path(__file__).parent / "data" / "library.npz"
FORMAT: Final = 1
"Layout of the file; a file of another layout is refused."

GAZE_WEIGHT: Final = 0.4
POSE_WEIGHT: Final = 0.4
WEIGHTS: Final[F32] = np.array([1.0] * 10 + [GAZE_WEIGHT] * 4 + [POSE_WEIGHT] * 3, np.float32)
"""w of equation 3: action units above gaze and pose, as the paper says; how far above is free. Pose
is in shares of its reach."""
WEIGHTS.setflags(write=False)

SLOWEST_SECONDS: Final = 3.0
"""Period from which motion is the performer's own (its glides, stages and posture shifts) and is
taken off a texture."""
EDGE_FRAMES: Final = 5
"A texture comes and goes within this many frames, at rest on either end."
UNIT_SHARE: Final = 0.3
"Most a texture moves an action unit, as a share of what the stage asks of it …"
UNIT_REST: Final = 0.03
"… plus this, which a resting face shows too."
POSE_MOST: Final = (2.5, 3.0, 1.8)
"Most a texture moves pitch, yaw and roll, degrees: talking heads stray further, by intent (free)."
USUAL: Final = 90
"Percentile of the motion that is fitted under those bounds …"
USUAL_SHARE: Final = 0.5
"… at this share of them, so that one burst does not quieten everything else."
_TEXTURED: Final = [i for i in range(len(CHANNELS)) if i < 8 or i >= POSE_SLICE.start]
"AU1 to AU7 and the head; gaze and blinks have planners of their own."


@dataclass(frozen=True, slots=True, eq=False)
class Prototype(Shared):
    """A few seconds of behaviour."""

    name: str
    "Unique in a library."
    category: str
    "One of `planner.categories.LABELS`, or empty."
    controls: F32
    "float32 ``[T, 17]``, read-only."
    mean: F32
    "float32 ``[17]``, p̄ of equation 3, read-only."
    source: str
    "Repository, commit and file, or the papers a synthetic one follows."
    licence: str
    kind: Literal["recorded", "synthetic"]
    quality: float
    "In (0, 1]: how much motion there is over how much tracker noise."
    dynamics: F32
    """float32 ``[T', 17]``, read-only: the recorded motion that a texture is cut from. Its own, or
    that of the recording that lent it to a synthetic one."""
    donor: str = ""
    "Name of the prototype that lent its dynamics."
    liveliness: float = 1.0
    "Factor on borrowed dynamics."


@dataclass(frozen=True, slots=True, eq=False)
class BlinkShapes(Shared):
    """Closure curves of real blinks, all with their top at the same sample."""

    curves: F32
    "float32 ``[K, 2, N]``, left and right, 0 open to 1 at the top; read-only."
    top: int
    "Sample of the top."
    rate: float
    "Samples a second."
    depth: F32
    "float32 ``[K]``: how far the fuller lid really closed."
    asymmetry: F32
    "float32 ``[K]``: left over right closure as recorded."
    person: npt.NDArray[np.int32]
    "int32 ``[K]``: who blinked."
    source: str
    licence: str

    def __len__(self) -> int:
        return len(self.curves)


@dataclass(frozen=True, slots=True, eq=False)
class Library(Shared):
    """Prototypes and blinks."""

    prototypes: tuple[Prototype, ...]
    blinks: BlinkShapes
    _means: F32 = field(init=False, repr=False)

    def __post_init__(self) -> None:
        means = np.array([p.mean for p in self.prototypes], np.float32).reshape(-1, len(CHANNELS))
        object.__setattr__(self, "_means", means * COMPARABLE)

    def nearest(
        self, query: F32, *, category: str | None = None, count: int = 1
    ) -> list[tuple[Prototype, float]]:
        """The ``count`` prototypes nearest to ``query``, nearest first, with their distances.

        Args:
            query: float32 ``[17]``: what a stage asks for.
            category: Only of this one, unless there is none of it.
            count: At least 1; fewer come back where there are fewer.

        Source: equation 3, D(q, p) = sum_j w_j |q_j - p̄_j|.
        """
        distances = np.abs(self._means - query * COMPARABLE) @ WEIGHTS
        allowed = [i for i, p in enumerate(self.prototypes) if p.category == category]
        ranked = sorted(allowed or range(len(self.prototypes)), key=lambda i: float(distances[i]))
        return [(self.prototypes[i], float(distances[i])) for i in ranked[:count]]


def distance(query: F32, mean: F32) -> float:
    """D(q, p) of equation 3 between two rows of controls, float32 ``[17]``."""
    return float(np.abs(query - mean) * COMPARABLE @ WEIGHTS)


def texture(prototype: Prototype, frames: int, targets: F32, rng: np.random.Generator) -> F32:
    """How a real face strays around what it shows: to be added to a planned posture.

    The prototype is trimmed to length, freed of its mean and of what is slower than a few
    seconds, and scaled by one number a channel: an action unit by how much of it the stage asks
    for, so that a brow at rest stays nearly at rest. Within that, its velocities are those
    of the recording.

    Args:
        prototype: From `Library.nearest`.
        frames: Length, at least 0.
        targets: float32 ``[17]``: what the stage asks for.
        rng: Draws which part is taken.

    Returns:
        float32 ``[frames, 17]``, zero-mean, at rest on either end; zero in the columns of gaze and
        blinks.
    """
    out = np.zeros((frames, len(CHANNELS)), np.float32)
    dynamics = prototype.dynamics
    if frames < 2 * EDGE_FRAMES + 2 or len(dynamics) < 2:
        return out
    motion = trim(dynamics, frames, rng, _jumps_of(prototype))[:, _TEXTURED]
    slow = trend(frames, SLOWEST_SECONDS, FPS)
    motion = motion - slow @ (slow.T @ motion)
    mean, wanted = dynamics.mean(axis=0)[_TEXTURED], targets[_TEXTURED]
    gain = np.ones(len(_TEXTURED), np.float32)
    gain[:8] = np.clip((wanted[:8] + UNIT_REST) / (mean[:8] + UNIT_REST), 0.25, MOST_GAIN)
    most = np.concatenate([UNIT_SHARE * np.clip(wanted[:8], 0, 1) + UNIT_REST, POSE_MOST])
    usual = np.percentile(np.abs(motion), USUAL, axis=0) * gain
    gain *= np.minimum(USUAL_SHARE * most / np.maximum(usual, 1e-6), 1) * prototype.liveliness
    motion = most * np.tanh(motion * gain / most)  # bends the rare peaks alone
    edges = _edges(frames)[:, None]
    motion = motion * edges
    out[:, _TEXTURED] = motion - edges * (motion.sum(axis=0) / edges.sum())
    return out


@lru_cache(maxsize=8)
def load_library(path: Path = SHIPPED) -> Library:
    """The library at ``path``; the shipped one takes a few milliseconds, once.

    Raises:
        InvalidInput: The file can not be read or is no library.
    """
    try:
        with path.open("rb") as data, np.load(data, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        facts = json.loads(arrays["facts"].tobytes().decode())
        if facts["format"] != FORMAT:
            raise ValueError(f"layout {facts['format']}, not {FORMAT}")
        return Library(_prototypes(arrays, facts), _blinks(arrays, facts))
    except (OSError, KeyError, TypeError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InvalidInput(
            f"{path} is no prototype library ({error}). "
            "Make one with: python -m planner.library build"
        ) from error


def save_library(library: Library, path: Path) -> None:
    """Write ``library`` compactly; the same library gives the same bytes.

    Raises:
        InvalidInput: The file can not be written.
    """
    blinks = library.blinks
    facts = {
        "format": FORMAT,
        "prototypes": [
            {
                "name": p.name, "category": p.category, "frames": len(p.controls),
                "source": p.source, "licence": p.licence, "kind": p.kind,
                "quality": round(p.quality, 3), "donor": p.donor, "liveliness": p.liveliness,
            }
            for p in library.prototypes
        ],
        "blinks": {
            "top": blinks.top, "rate": blinks.rate,
            "source": blinks.source, "licence": blinks.licence,
        },
    }  # fmt: skip
    text = json.dumps(facts, ensure_ascii=False, sort_keys=True).encode()
    controls = [p.controls for p in library.prototypes] or [
        np.zeros((0, len(CHANNELS)), np.float32)
    ]
    try:
        with path.open("wb") as out:
            np.savez_compressed(
                out,
                facts=np.frombuffer(text, np.uint8),
                controls=np.concatenate(controls).astype(np.float16),
                curves=np.round(blinks.curves * 255).astype(np.uint8),
                depth=blinks.depth.astype(np.float16),
                asymmetry=blinks.asymmetry.astype(np.float16),
                person=blinks.person.astype(np.uint8),
            )
    except OSError as error:
        raise InvalidInput(f"{path} can not be written: {error}.") from error


# --- inside ----------------------------------------------------------------------------------


def _prototypes(arrays: dict[str, Any], facts: dict[str, Any]) -> tuple[Prototype, ...]:
    rows = arrays["controls"].astype(np.float32)
    rows.setflags(write=False)
    found: dict[str, Prototype] = {}
    at = 0
    for fact in facts["prototypes"]:
        controls = rows[at : at + fact["frames"]]
        at += fact["frames"]
        told = (fact[key] for key in ("source", "licence", "kind", "quality"))
        made = make_prototype(fact["name"], fact["category"], controls, *told)
        donor = found.get(fact["donor"])
        found[made.name] = made if donor is None else lend(made, donor, fact["liveliness"])
    return tuple(found.values())


def make_prototype(
    name: str,
    category: str,
    controls: F32,
    source: str,
    licence: str,
    kind: Literal["recorded", "synthetic"],
    quality: float,
) -> Prototype:
    """A prototype with its mean."""
    mean = controls.mean(axis=0, dtype=np.float32)
    controls.setflags(write=False)
    mean.setflags(write=False)
    return Prototype(name, category, controls, mean, source, licence, kind, quality, controls)


def lend(made: Prototype, donor: Prototype, liveliness: float) -> Prototype:
    """``made`` with the dynamics of ``donor``."""
    return replace(made, dynamics=donor.dynamics, donor=donor.name, liveliness=liveliness)


@lru_cache(maxsize=512)
def _jumps_of(prototype: Prototype) -> Jumps:
    """Where its dynamics can play on for longer than they last."""
    return jumps(prototype.dynamics)


def _blinks(arrays: dict[str, Any], facts: dict[str, Any]) -> BlinkShapes:
    curves = arrays["curves"].astype(np.float32) / np.float32(255)
    curves.setflags(write=False)
    told = facts["blinks"]
    return BlinkShapes(
        curves, int(told["top"]), float(told["rate"]),
        arrays["depth"].astype(np.float32), arrays["asymmetry"].astype(np.float32),
        arrays["person"].astype(np.int32), told["source"], told["licence"],
    )  # fmt: skip


def _edges(frames: int) -> F32:
    """1 inside, and smoothly 0 at either end."""
    i = np.arange(frames, dtype=np.float32)
    s = np.clip(np.minimum(i, frames - 1 - i) / EDGE_FRAMES, 0, 1)
    return (s * s * (3 - 2 * s)).astype(np.float32)


if __name__ == "__main__":
    from planner.build_library import main

    sys.exit(main())
