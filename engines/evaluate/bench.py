"""Measures one case: what a worker process does, with everything it keeps open.

The truth is seen first (`see_truth`), since what counts as a full action unit is a property of all
truths together (`engines.evaluate.scales`); rows are rendered and measured after (`measure_row`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from core import F32, FPS, U8, ControlTrack, InvalidInput, MouthTrack, Unavailable
from engines.audio.encoder import hear
from engines.evaluate.case import Case
from engines.evaluate.extract.choose import open_extractor
from engines.evaluate.extract.extractor import Extractor
from engines.evaluate.extract.neutral import neutral_of
from engines.evaluate.fit import held, keypoints_of, relative_pose
from engines.evaluate.footage import Footage, read_film, read_footage
from engines.evaluate.generators import FILM, Drive, Generator, Mode, Row, open_generator
from engines.evaluate.measure import Seen, measure
from engines.evaluate.metrics.sync import frames_of, heard_mouth, lips_of, mouth_sync
from engines.evaluate.networks.suite import Suite
from engines.evaluate.planning import Planning, open_planning
from engines.evaluate.results import TRUTH, film_path, write_json
from engines.evaluate.scales import normalise
from engines.evaluate.track import FaceTrack, Neutral, as_controls
from engines.film import write_film
from engines.video.shipped import SHIPPED, fingerprint

VERSION: Final = 1
"Raised when what is measured changes: older results are then made again."
LEAST_SEEN: Final = 0.5
"Of the truth's frames, the share that has to show the face."


@dataclass(frozen=True, slots=True)
class Settings:
    """What a worker needs to know."""

    out: Path
    size: int = 256
    extractor: str = "auto"
    landmarker: Path | None = None
    weights: Path | None = None
    films: bool = True
    video_features: bool = False
    networks: Path = SHIPPED
    "Folder of the video generator's weights."
    scales: Mapping[str, float] = field(default_factory=dict)


class Bench:
    """Everything one process keeps open between cases. Not thread-safe; close it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.extractor: Extractor = open_extractor(settings.extractor, settings.landmarker)
        self.suite = Suite(settings.weights, video=settings.video_features)
        self._planning: Planning | None = None
        self._generators: dict[Row, Generator] = {}

    def close(self) -> None:
        """Free the extractor."""
        self.extractor.close()

    @property
    def planning(self) -> Planning:
        """The planner, opened when a row first asks for it."""
        if self._planning is None:
            self._planning = open_planning()
        return self._planning

    # --- the truth ---------------------------------------------------------------------------

    def see_truth(self, case: Case) -> None:
        """Track the clip of a case and keep what was seen; done before, it is left as it is.

        Raises:
            InvalidInput: It can not be used; the message says why.
        """
        folder = self.settings.out / "cases" / case.id
        print_ = self._print(case)
        if _known(folder / "case.json", print_) and (folder / f"{TRUTH}.npz").exists():
            return
        footage = self._footage(case)
        track = self.extractor.track(footage.frames)
        if track.seen.mean() < LEAST_SEEN or not track.seen[0]:
            raise InvalidInput(f"its face is seen in {track.seen.mean():.0%} of the frames")
        folder.mkdir(parents=True, exist_ok=True)
        # Stale rows would be taken for this truth's.
        for old in folder.iterdir():
            old.unlink()
        write_film(film_path(self.settings.out, case.id, TRUTH), footage.frames, footage.samples)
        _save_track(folder / "track.npz", track)
        controls = as_controls(track, neutral_of(track))
        save_arrays(folder / f"{TRUTH}.npz", {"raw": controls, "controls": controls})
        note = {"category": case.category, "person": case.person, "notes": list(footage.notes)}
        write_json(folder / "case.json", note | {"fingerprint": print_})

    def _footage(self, case: Case) -> Footage:
        s = self.settings
        footage = read_footage(case.clip, start=case.start, frames=case.frames, size=s.size)
        if len(footage.frames) < 0.8 * case.frames:
            raise InvalidInput(f"only {len(footage.frames)} of its {case.frames} frames are there")
        return footage

    # --- rows --------------------------------------------------------------------------------

    def measure_rows(self, case: Case, rows: tuple[Row, ...]) -> None:
        """Render and measure every row of a case that is not there yet."""
        folder = self.settings.out / "cases" / case.id
        wanted = [
            row for row in rows if not _known(folder / f"{row.name}.json", self._row(case, row))
        ]
        if not wanted:
            return
        footage = self._footage(case)
        track = load_track(folder / "track.npz")
        neutral = neutral_of(track)
        truth = Seen(footage.frames, track, as_controls(track, neutral))
        heard = _heard(footage.samples)
        save_arrays(folder / "features.npz", self.suite.features(footage.frames))
        for row in wanted:
            note: dict[str, Any] = {"fingerprint": self._row(case, row), "values": {}}
            try:
                note["values"] = self._measure(case, row, footage, truth, neutral, heard)
            except (InvalidInput, Unavailable) as error:
                note["skipped"] = str(error)
            write_json(folder / f"{row.name}.json", note)

    def _measure(self, case: Case, row: Row, footage: Footage, truth: Seen, neutral: Neutral,
                 heard: F32 | None) -> dict[str, float]:  # fmt: skip
        frames, asked = self._render(case, row, footage, truth.track)
        folder, scales = self.settings.out / "cases" / case.id, self.settings.scales
        track = self.extractor.track(frames)
        made = Seen(frames, track, as_controls(track, neutral))
        values = measure(made, truth, category=case.category, scales=scales)
        if heard is not None:
            with contextlib.suppress(InvalidInput):  # lips that do not move have no lag
                found = mouth_sync(heard, lips_of(track.mesh))
                values |= {"sync": found.best, "sync_lag": found.lag_ms}
        networks = self.suite.measure(made, truth, footage.samples)
        arrays = {"controls": normalise(made.controls, scales)} | self.suite.features(frames)
        if asked is not None:
            arrays["asked"] = asked.values
        save_arrays(folder / f"{row.name}.npz", arrays)
        if self.settings.films:
            write_film(film_path(self.settings.out, case.id, row.name), frames, footage.samples)
        return {k: float(v) for k, v in (values | networks).items() if np.isfinite(v)}

    def _render(
        self, case: Case, row: Row, footage: Footage, truth: FaceTrack
    ) -> tuple[U8, ControlTrack | None]:
        s = self.settings
        if row.generator == FILM:
            return read_film(film_path(s.out, case.id, TRUTH), len(truth), s.size), None
        drive = self.drive(case, row.mode, footage, truth)
        if row not in self._generators:
            self._generators[row] = open_generator(row, s.networks)
        frames, asked = self._generators[row].generate(drive)
        if frames.shape[1:] != (s.size, s.size, 3):
            raise InvalidInput(f"{row.name} gave frames of {frames.shape[1:]}, not {s.size} px.")
        return frames, asked

    def drive(self, case: Case, mode: Mode, footage: Footage, truth: FaceTrack) -> Drive:
        """What a generator is told of a case in a mode."""
        frames, portrait = len(truth), footage.portrait
        assert portrait is not None  # read_footage was asked for one
        controls, keypoints, pose = None, None, None
        match mode:
            case "keypoints":
                keypoints = keypoints_of(truth, portrait, self.settings.size)
                pose = relative_pose(held(truth.pose))
            case "inverted":
                controls = from_portrait(self.planning.invert(truth))
            case "label" | "other-label":
                label = self._label(case, mode)
                controls = self.planning.plan(label, frames, seed_of(case.id), case.prompt)
        return Drive(
            case.id, portrait, frames, self.settings.size, mouth_of(footage.samples, frames),
            footage.samples, case.prompt, controls, keypoints, pose,
        )  # fmt: skip

    def _label(self, case: Case, mode: Mode) -> str:
        labels = self.planning.labels()
        if case.category not in labels:
            raise InvalidInput(f"the category {case.category!r} is none a plan can be made for")
        if mode == "label":
            return case.category
        others = [label for label in labels if label != case.category]
        return others[seed_of(case.id) % len(others)]

    # --- what was done before ----------------------------------------------------------------

    def _print(self, case: Case) -> str:
        clip = case.clip.resolve()
        size = clip.stat().st_size if clip.exists() else 0
        facts = asdict(case) | {"annotations": 0, "prompt": "", "clip": [str(clip), size]}
        return _hash(facts, self.settings.size, self.extractor.name)

    def _row(self, case: Case, row: Row) -> str:
        s = self.settings
        scales = {k: round(v, 4) for k, v in s.scales.items()}
        known = fingerprint(s.networks) if row.generator == "dit" else ""
        facts = (case.prompt, row.spec, scales, self.suite.names, s.films)
        return _hash(self._print(case), *facts, *([known] if known else []))


def from_portrait(controls: ControlTrack) -> ControlTrack:
    """Controls as changes of the first frame: that is the portrait, and shows what it shows."""
    values = controls.values - controls.values[0]
    values[:, :14] = np.clip(values[:, :14], 0, 1)
    # A gaze that comes back from the left has turned to the right of the portrait's own.
    for one, other in ((10, 11), (12, 13)):
        signed = controls.values[:, one] - controls.values[:, other]
        signed = signed - signed[0]
        values[:, one], values[:, other] = np.clip(signed, 0, 1), np.clip(-signed, 0, 1)
    return ControlTrack(np.ascontiguousarray(values, np.float32))


def mouth_of(samples: F32 | None, frames: int) -> MouthTrack:
    """The mouth heard in a sound, ``[frames, 9]``; at rest without one."""
    out = np.zeros((frames, MouthTrack.rest(1).values.shape[1]), np.float32)
    if samples is not None:
        rows = frames_of(hear(samples).mouth)[:frames]
        out[: len(rows)] = rows
    return MouthTrack(out)


def seed_of(case: str) -> int:
    """A plan's seed: the same for a case in every run."""
    return zlib.crc32(case.encode())


def _heard(samples: F32 | None) -> F32 | None:
    if samples is None:
        return None
    with contextlib.suppress(InvalidInput):  # silence says nothing about lips
        return heard_mouth(samples)
    return None


# --- files -----------------------------------------------------------------------------------


def save_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write an npz, whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        np.savez_compressed(file, **arrays)
    partial.replace(path)


def _save_track(path: Path, track: FaceTrack) -> None:
    save_arrays(path, {
        "extractor": np.array(track.extractor), "seen": track.seen, "mesh": track.mesh,
        "aus": track.aus, "gaze": track.gaze, "pose": track.pose,
    })  # fmt: skip


def load_track(path: Path) -> FaceTrack:
    """The truth's track of a case.

    Raises:
        InvalidInput: It is missing or damaged.
    """
    try:
        with path.open("rb") as file, np.load(file) as data:
            return FaceTrack(
                str(data["extractor"]), data["seen"], data["mesh"], data["aus"], data["gaze"],
                data["pose"],
            )  # fmt: skip
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InvalidInput(f"{path} is damaged; delete its folder and run again.") from error


def _hash(*facts: object) -> str:
    text = json.dumps([VERSION, FPS, *facts], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _known(path: Path, fingerprint: str) -> bool:
    try:
        return bool(json.loads(path.read_text(encoding="utf-8"))["fingerprint"] == fingerprint)
    except (OSError, ValueError, KeyError, TypeError):
        return False
