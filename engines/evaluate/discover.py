"""From a folder of clips to a manifest: what is usable, where it begins, what is seen in it.

Finds the videos below a folder, takes category, person and prompt from an ``index.csv`` (or from
the planner's own facts about known collections), looks at each with an extractor, and begins a
case where the eyes are open and the face is nearly frontal, since its first frame is the portrait.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

import cv2
import numpy as np

from core import FPS, InvalidInput
from engines.evaluate.annotate import annotate, openness
from engines.evaluate.case import Case, Manifest
from engines.evaluate.extract.choose import open_extractor
from engines.evaluate.extract.extractor import Extractor
from engines.evaluate.footage import Skipped, framed
from engines.evaluate.planning import Planning
from engines.evaluate.track import FaceTrack
from engines.evaluate.workers import in_order
from engines.landmarks import FaceMesh

Opened: TypeAlias = tuple[str, Path | None]
VIDEOS: Final = (".mp4", ".mov", ".webm", ".mkv", ".avi", ".m4v")
MOST_FILES: Final = 20_000
SIZE: Final = 256
"Pixels at which clips are looked at."
SEARCHED: Final = 2.0
"Seconds in which a good first frame is looked for."
OPEN: Final = 0.35
"Lid closure up to which eyes count as open."
FRONTAL: Final = 20.0
"Degrees of yaw and pitch of a portrait."
SEEN: Final = 0.9
"Of a case's frames, the share that has to show the face."


@dataclass(frozen=True, slots=True)
class Found:
    """A video, and what is known about it."""

    path: Path
    name: str
    "Below the folder, without suffix."
    category: str
    person: str
    prompt: str


def find_clips(folder: Path, planning: Planning | None) -> list[Found]:
    """All videos below ``folder``, in the order of their names.

    Raises:
        InvalidInput: There is no such folder, none in it, or its index can not be read.
    """
    if not folder.is_dir():
        raise InvalidInput(f"There is no folder {folder}.")
    index = _index(folder / "index.csv")
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in VIDEOS and p.is_file())
    if not paths:
        raise InvalidInput(f"{folder} holds no video ({', '.join(VIDEOS)}).")
    found = []
    for path in paths[:MOST_FILES]:
        file = path.relative_to(folder).as_posix()
        name, row = file[: -len(path.suffix)], index.get(file, {})
        category, person = planning.describe(name, row) if planning else ("", "")
        found.append(
            Found(
                path, name, row.get("category") or category, row.get("person") or person or name,
                row.get("prompt", ""),
            )
        )  # fmt: skip
    return found


def build(clips: Sequence[Found], opened: Opened, *, name: str, seconds: float, limit: int,
          workers: int, told: Callable[[int, int, str], None]) -> Manifest:  # fmt: skip
    """A manifest of at most ``limit`` cases, categories and people in turn.

    Args:
        clips: What there is.
        opened: Kind and model file of the extractor that looks at it, see `open_extractor`.
        name: Of the manifest.
        seconds: Of a case; shorter clips give shorter cases, down to half of it.
        limit: At most so many cases.
        workers: Processes.
        told: Called with how many are done, of how many, and the name of the last.
    """
    cases: list[Case] = []
    left_out: dict[str, str] = {}
    total = min(limit, len(clips))
    for clip, found in in_order(
        in_turn(clips), partial(_look, seconds=seconds), begin=_begin, given=opened, workers=workers
    ):
        if isinstance(found, Case):
            cases.append(found)
        else:
            left_out[clip.name] = found or "the process that looked at it died"
        told(len(cases), total, clip.name)
        if len(cases) == limit:
            break
    cases.sort(key=lambda case: (case.category, case.id))
    return Manifest(name, tuple(cases), left_out)


_looking: tuple[Extractor, FaceMesh] | None = None
"Of a worker process; it lives as long as that."


def _begin(kind: str, landmarker: Path | None) -> None:
    global _looking
    cv2.setNumThreads(1)  # as many processes as cores
    _looking = open_extractor(kind, landmarker), FaceMesh()


def _look(clip: Found, seconds: float) -> Case | str:
    """The case a clip gives, or why it gives none."""
    assert _looking is not None
    try:
        return look_at(clip, *_looking, seconds)
    except InvalidInput as error:
        return str(error)
    except Exception as error:  # whatever a wild file does to a decoder, the others go on
        return f"{type(error).__name__}: {error}"


def in_turn(clips: Sequence[Found]) -> Iterator[Found]:
    """Clips so that every category, and in it every person, comes before any comes again."""
    by_category: dict[str, dict[str, list[Found]]] = defaultdict(lambda: defaultdict(list))
    for clip in clips:
        by_category[clip.category][clip.person].append(clip)
    queues = [_alternate(list(people.values())) for _, people in sorted(by_category.items())]
    yield from _alternate(queues)


def _alternate(queues: Sequence[list[Found]]) -> list[Found]:
    longest = max(map(len, queues), default=0)
    return [queue[i] for i in range(longest) for queue in queues if i < len(queue)]


def look_at(clip: Found, extractor: Extractor, meshes: FaceMesh, seconds: float) -> Case:
    """The case a clip gives.

    Raises:
        InvalidInput: It gives none; the message says why.
    """
    frames = round(seconds * FPS)
    ahead = round(SEARCHED * FPS)
    shown = list(framed(clip.path, frames=frames + ahead, size=SIZE, meshes=meshes))
    if len(shown) < frames / 2:
        raise Skipped(f"it lasts {len(shown) / FPS:.1f} s only")
    track = extractor.track(np.stack(shown))
    first = _first(track, max(1, min(ahead, len(track) - frames // 2)))
    seen = track.seen[first : first + frames]
    if seen.mean() < SEEN:
        raise Skipped(f"its face is seen in {seen.mean():.0%} of the frames")
    case = Case(
        case_id(clip.name), clip.path, clip.category, clip.person,
        start=first / FPS, frames=len(seen), prompt=clip.prompt,
    )  # fmt: skip
    return replace(case, annotations=annotate(track, first, first + len(seen)))


def _first(track: FaceTrack, within: int) -> int:
    """The first frame that makes a good portrait.

    Raises:
        Skipped: None does.
    """
    closure = openness(track)
    turned = np.abs(track.pose[:, :2]).max(axis=1)
    for k in range(within):
        if track.seen[k] and closure[k] < OPEN and turned[k] < FRONTAL:
            return k
    raise Skipped(f"no frame of its first {within / FPS:.1f} s shows open eyes and a frontal face")


def case_id(name: str) -> str:
    """A name as an id: unique even where two differ in odd characters only."""
    plain = re.sub(r"[^A-Za-z0-9_.+-]+", "-", name).strip("-._")
    if plain and plain == name.replace("/", "-") and len(plain) <= 100:
        return plain
    return f"{plain[:90] or 'clip'}-{hashlib.sha256(name.encode()).hexdigest()[:8]}".lstrip("-._+")


def _index(path: Path) -> Mapping[str, Mapping[str, str]]:
    if not path.is_file():
        return {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as lines:
            rows = list(csv.DictReader(lines))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(f"{path} can not be read: {error}.") from error
    return {
        row["file"]: {k: v for k, v in row.items() if isinstance(k, str) and isinstance(v, str)}
        for row in rows
        if row.get("file")
    }
