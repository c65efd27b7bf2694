"""``extract``: videos to CSV files of blend shape scores and head angles.

A planner's library of prototypes can be built from them (docs/library.md): so from one's own
videos.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np

from core import FPS, U8, InvalidInput, Unavailable
from engines.evaluate.discover import VIDEOS
from engines.evaluate.extract.landmarker import (
    Landmarker,
    Scores,
    download_landmarker,
    find_landmarker,
)
from engines.evaluate.extract.table import write_csv
from engines.evaluate.footage import Skipped, framed, seconds_of
from engines.evaluate.track import FaceTrack
from engines.landmarks import FaceMesh

SIZE: Final = 512
"Side of the frames looked at, pixels: small closed eyes are missed at 256."
PIECE: Final = 4 * FPS
"Frames held at once."
SEEN: Final = 0.5
"Of the frames, at least this share has to show the face."

Progress = Callable[[int, int, str], None]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("videos", nargs="+", type=Path, help="files, or folders of them")
    parser.add_argument("--out", type=Path, default=Path("motion"), help="folder of the CSV files")
    parser.add_argument("--minutes", type=float, default=10.0, help="of each video, at most")
    parser.add_argument("--again", action="store_true", help="also what is there already")
    parser.add_argument("--landmarker", type=Path, help="the file face_landmarker.task")
    parser.add_argument("--download", action="store_true", help="fetch that file (3.8 MB)")


def run(options: argparse.Namespace, progress: Progress) -> None:
    """Write the files; say which videos could not be used, and why.

    Raises:
        InvalidInput: None of them could.
        Unavailable: The landmarker's model file is missing.
    """
    if not 0 < options.minutes <= 24 * 60:
        raise InvalidInput("--minutes: more than 0, at most a day.")
    jobs = _jobs(options.videos, options.out)
    skipped: dict[Path, str] = {}
    written = 0
    with Landmarker(_model(options)) as landmarker, FaceMesh() as meshes:
        for i, (video, target) in enumerate(jobs):
            progress(i, len(jobs), video.name)
            if target.exists() and not options.again:
                continue
            try:
                frames = round(options.minutes * 60 * FPS)
                part = _Part(i, len(jobs), video, frames, progress)
                track, scores = _scores(part, landmarker, meshes)
            except InvalidInput as error:
                skipped[video] = error.message
                continue
            write_csv(track, scores, target)
            written += 1
    progress(len(jobs), len(jobs), "done")
    kept = len(jobs) - written - len(skipped)
    print(f"\n{written} files written to {options.out}" + (f", {kept} were there" if kept else ""))
    for video, reason in skipped.items():
        print(f"skipped {video}: {reason}")
    if len(skipped) == len(jobs):
        raise InvalidInput("None of the videos could be used.")


class _Part:
    """One video out of many, for the progress bar."""

    def __init__(self, at: int, of: int, video: Path, frames: int, progress: Progress) -> None:
        self.video, self.frames = video, frames
        self._at, self._of, self._progress = at, of, progress
        self._expected = max(1, min(frames, round(seconds_of(video) * FPS)))

    def tell(self, done: int) -> None:
        """So many frames are done."""
        share = min(100, 100 * done // self._expected)
        self._progress(self._at, self._of, f"{self.video.name} {share} %")


def _scores(part: _Part, landmarker: Landmarker, meshes: FaceMesh) -> tuple[FaceTrack, Scores]:
    """A whole video, piece by piece."""
    frames = framed(part.video, frames=part.frames, size=SIZE, meshes=meshes)
    tracks: list[FaceTrack] = []
    scores: list[Scores] = []
    done = 0
    for piece in _pieces(frames):
        track, values = landmarker.scores(np.stack(piece))
        tracks.append(track)
        scores.append(values)
        done += len(piece)
        part.tell(done)
    seen = np.concatenate([track.seen for track in tracks]) if tracks else np.zeros(0, bool)
    if len(seen) < 2 or seen.mean() < SEEN:
        raise Skipped(f"a face is seen in {seen.sum()} of {len(seen)} frames")
    return _joined(tracks), _joined_scores(scores)


def _pieces(frames: Iterator[U8]) -> Iterator[list[U8]]:
    while piece := list(islice(frames, PIECE)):
        yield piece


def _joined(tracks: Sequence[FaceTrack]) -> FaceTrack:
    return FaceTrack(
        tracks[0].extractor,
        *(
            np.concatenate([getattr(track, name) for track in tracks])
            for name in ("seen", "mesh", "aus", "gaze", "pose")
        ),
    )


def _joined_scores(scores: Sequence[Scores]) -> Scores:
    names = next(part.names for part in scores if part.names)
    width = len(names)
    rows = [
        part.values if part.names else np.full((len(part.values), width), np.nan, np.float32)
        for part in scores
    ]
    return Scores(names, np.concatenate(rows))


def _jobs(paths: Sequence[Path], out: Path) -> list[tuple[Path, Path]]:
    """Videos and the files they become; two of one name keep their folders' names apart."""
    videos: list[tuple[Path, str]] = []
    for path in paths:
        if path.is_dir():
            found = sorted(p for p in path.rglob("*") if p.suffix.lower() in VIDEOS)
            videos += [(p, p.relative_to(path).with_suffix("").as_posix()) for p in found]
        else:
            videos.append((path, path.stem))
    if not videos:
        raise InvalidInput(f"No video there ({', '.join(VIDEOS)}).")
    names = [name for _, name in videos]
    if len(set(names)) < len(names):
        videos = [(video, f"{video.resolve().parent.name}/{name}") for video, name in videos]
    names = [name for _, name in videos]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InvalidInput(f"Two videos would both become {twice[0]}.csv: rename one.")
    return [(video, out / f"{name}.csv") for video, name in videos]


def _model(options: argparse.Namespace) -> Path:
    try:
        return find_landmarker(options.landmarker)
    except Unavailable:
        if not options.download or options.landmarker is not None:
            raise
    return download_landmarker()
