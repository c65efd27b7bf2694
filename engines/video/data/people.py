"""Whom the generator may be trained on: portraits whose licence allows it, enrolled once.

The rules are `SOURCES` and `DEMOS`, and nothing else gets in. One `person` is one name, whatever
the number of pictures; a tenth of the people, chosen by their names, is held out of everything.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from core import F32, U8, InvalidInput, Portrait, PortraitRejected
from engines.enrol import enrol, eye_openings, head_roll, head_yaw, portrait_id
from engines.evaluate.workers import in_order
from engines.glasses import glasses_share
from engines.landmarks import FaceMesh
from engines.portrait_file import load_portrait, save_portrait
from face import FaceModel

HELD_OUT: Final = 0.1
"Share of people that training never sees."
SOURCES: Final = {
    "faker-js_assets-person-portrait": "CC0-1.0",
    "antgroup_echomimic_v2": "Apache-2.0, made by FLUX",
    "openpeople_pypi": "MIT",
    "openpeople_expressions": "MIT",
}
"Folders of the portrait collection whose licence lets a trained result be kept."
DEMOS: Final = {
    "aniportrait": "Apache-2.0", "dreamtalk": "MIT", "echomimic": "Apache-2.0",
    "echomimic3": "Apache-2.0", "fantasyportrait": "Apache-2.0", "hallo": "MIT",
    "hellomeme": "MIT", "liveavatar": "Apache-2.0", "liveportrait": "MIT",
    "xportrait": "Apache-2.0",
}  # fmt: skip
"Of the folder demo-assets, by the first part of the name: made by a machine, or out of copyright."
DOUBTFUL: Final = frozenset(
    {"dreamtalk__nscu2", "dreamtalk__zp1", "dreamtalk__zt12", "liveavatar__music_producer"}
)
"Of those, pictures that may show a real person in disguise, or a profile."
EXPRESSIONS: Final = "openpeople_expressions"
_ALIKE: Final = "natural_bk_openhand"


@dataclass(frozen=True, slots=True)
class Source:
    """A picture that may be trained on."""

    path: Path
    person: str
    label: str
    "What the collection says it shows, an expression perhaps."
    licence: str


@dataclass(frozen=True, slots=True)
class Likeness:
    """What must agree for two faces to be mixed."""

    yaw: float
    pitch: float
    "Degrees, as far as a single picture tells."
    roll: float
    eyes: float
    "Height over width of the opening between the lids, of the eye that is less open."
    lips: float
    "Height over width of the mouth's opening."
    smile: float
    "How far the corners lie above the middle of the lips, in widths of the mouth."
    glasses: float
    "0 to 1."
    skin: float
    "Luma of the cheeks, 0 to 1."


@dataclass(frozen=True, slots=True)
class Sitter:
    """An enrolled picture."""

    person: str
    label: str
    path: Path
    "Of the portrait (`engines.portrait_file`)."
    likeness: Likeness
    expression: bool
    "One of several labelled expressions of the same person."


@dataclass(frozen=True, slots=True)
class Census:
    """What was found."""

    sitters: tuple[Sitter, ...]
    skipped: tuple[tuple[str, str], ...]
    "File and reason."


def is_held_out(person: str) -> bool:
    """Whether training must never see a person; the same on every machine, for ever."""
    digest = hashlib.sha256(b"held-out:" + person.encode()).digest()
    return int.from_bytes(digest[:4], "big") < HELD_OUT * 2**32


def find_sources(folder: Path) -> tuple[list[Source], int]:
    """Pictures below a folder with an ``index.csv`` that may be trained on, and how many may not.

    Raises:
        InvalidInput: There is no readable index.
    """
    index = folder / "index.csv"
    try:
        with index.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        told = [(row["file"], row["source"], row["label"]) for row in rows]
    except (OSError, KeyError, ValueError, csv.Error) as error:
        raise InvalidInput(
            f"{index} can not be read ({error}). Name a folder with portraits and an index.csv "
            "that has the columns file, source and label."
        ) from error
    found = []
    for name, source, label in told:
        licence = _licence(source, Path(name).stem)
        if licence and Path(name).parts[0] == source:
            found.append(Source(folder / name, _person(source, Path(name)), label or "", licence))
    return found, len(told) - len(found)


def _licence(source: str, stem: str) -> str:
    """Why a picture may be trained on; empty where it may not."""
    if source == "demo-assets":
        return "" if stem in DOUBTFUL else DEMOS.get(stem.split("__")[0], "")
    return SOURCES.get(source, "")


def _person(source: str, name: Path) -> str:
    if source == EXPRESSIONS:
        return name.parts[1]
    if source == "openpeople_pypi":
        return name.stem.split("_")[0]
    # These were made from one prompt and look like one woman.
    return f"{source}/{_ALIKE if name.stem.startswith(_ALIKE) else name.stem}"


def take_census(
    folder: Path,
    cache: Path,
    *,
    workers: int = 2,
    progress: Callable[[int, int, str], None] = lambda done, total, note: None,
) -> Census:
    """Enrol all pictures that may be trained on; what is in the cache is not enrolled again.

    Args:
        folder: See `find_sources`.
        cache: Where portraits are kept, as ``ID.npz`` with ``ID.json`` beside it.

    Raises:
        InvalidInput: No index, or no picture could be enrolled.
    """
    sources, refused = find_sources(folder)
    cache.mkdir(parents=True, exist_ok=True)
    notes = {source: _noted(source, cache)[1] for source in sources}
    new = [source for source in sources if notes[source] is None]
    work = in_order(new, _enrol, begin=_begin, given=(cache,), workers=workers)
    for done, (source, result) in enumerate(work, len(sources) - len(new)):
        notes[source] = result
        progress(done + 1, len(sources), f"{source.person} ({refused} pictures not allowed)")
    sitters, skipped = [], []
    for source in sources:
        note = notes[source] or {"reason": "the enrolment died of it"}
        if "reason" in note:
            skipped.append((source.path.relative_to(folder).as_posix(), str(note["reason"])))
        else:
            likeness = Likeness(**note["likeness"])
            path = cache / f"{note['id']}.npz"
            expression = EXPRESSIONS in source.path.parts
            sitters.append(Sitter(source.person, source.label, path, likeness, expression))
    if not sitters:
        raise InvalidInput(f"None of the pictures in {folder} may be trained on and has a face.")
    return Census(tuple(sitters), tuple(skipped))


_CACHE: list[Path] = []
_MESHES: list[FaceMesh] = []


def _begin(cache: Path) -> None:
    _CACHE[:] = [cache]


def _noted(source: Source, cache: Path) -> tuple[Path, dict[str, Any] | None]:
    """Where the note of a picture lies, and what it says if it was made before."""
    path = cache / f"{portrait_id(source.path.read_bytes())}.json"
    try:
        stored: dict[str, Any] = json.loads(path.read_text())
        return path, stored if stored["version"] == LIKENESS_VERSION else None
    except (OSError, ValueError, KeyError):
        return path, None


def _enrol(source: Source) -> dict[str, Any]:
    """The note of a picture, made or found in the cache; runs in a worker."""
    note, stored = _noted(source, _CACHE[0])  # another picture may be the same, byte by byte
    if stored is not None:
        return stored
    made: dict[str, Any] = {"version": LIKENESS_VERSION, "id": note.stem}
    try:
        portrait = _stored(note.with_suffix(".npz"))
        if portrait is None:
            if not _MESHES:
                _MESHES.append(FaceMesh())
            portrait = enrol(source.path.read_bytes(), source.person, meshes=_MESHES[0])
            save_portrait(portrait, note.with_suffix(".npz"))
        made["likeness"] = asdict(likeness_of(portrait))
    except PortraitRejected as error:
        made["reason"] = error.facts.get("reason", error.message)
    partial = note.with_suffix(".partial")
    partial.write_text(json.dumps(made))
    partial.replace(note)
    return made


def _stored(path: Path) -> Portrait | None:
    try:
        return load_portrait(path)
    except (OSError, ValueError):
        return None


LIKENESS_VERSION: Final = 2
"Raise it when `likeness_of` changes."


def likeness_of(portrait: Portrait) -> Likeness:
    """Measure a portrait."""
    mesh, face = portrait.mesh, FaceModel.from_mesh(portrait.mesh)
    up = mesh[10] - mesh[152]
    width = 2 * face.mouth.half
    middle = (mesh[13, :2] + mesh[14, :2]) / 2
    corners = (mesh[61, :2] + mesh[291, :2]) / 2
    return Likeness(
        yaw=head_yaw(mesh),
        pitch=float(np.degrees(np.arctan2(up[2], -up[1]))),
        roll=head_roll(mesh),
        eyes=min(eye_openings(mesh).values()),
        lips=float(face.mouth.gap(np.zeros(1, np.float32))[0]) / width,
        smile=float((middle - corners) @ face.mouth.down) / width,
        glasses=glasses_share(portrait.crop, face),
        skin=_cheeks(portrait.crop, mesh),
    )


def _cheeks(crop: U8, mesh: F32) -> float:
    at = np.clip(mesh[[50, 280, 117, 346], :2].astype(int), 3, crop.shape[0] - 4)
    spots = [crop[y - 3 : y + 4, x - 3 : x + 4].reshape(-1, 3).mean(axis=0) for x, y in at]
    return float(np.median(spots, axis=0) @ (0.299, 0.587, 0.114)) / 255


def for_training(sitters: Sequence[Sitter]) -> tuple[Sitter, ...]:
    """Those who are not held out."""
    return tuple(s for s in sitters if not is_held_out(s.person))


def held_out(sitters: Sequence[Sitter]) -> tuple[Sitter, ...]:
    """Those whom training never sees."""
    return tuple(s for s in sitters if is_held_out(s.person))


def by_person(sitters: Sequence[Sitter]) -> dict[str, list[Sitter]]:
    """Pictures of each person, in order of the names."""
    people: dict[str, list[Sitter]] = {}
    for sitter in sorted(sitters, key=lambda s: (s.person, s.path.name)):
        people.setdefault(sitter.person, []).append(sitter)
    return people


def portraits_of(sitters: Sequence[Sitter]) -> Iterator[Portrait]:
    """Load them one by one.

    Raises:
        InvalidInput: A file of the cache is missing or damaged.
    """
    for sitter in sitters:
        try:
            yield load_portrait(sitter.path)
        except (OSError, ValueError) as error:
            raise InvalidInput(f"{error}. Delete it and enrol again.") from error
