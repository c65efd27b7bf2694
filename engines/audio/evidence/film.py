"""Look and listen: ``python -m engines.audio film SOUND... --out DIR`` makes a portrait say it.

For every recording, NAME.mp4 is the puppet with its sound, and NAME.png a sheet of its mouth every
80 ms with what was said (where that is known) and what was heard. A shard of `corpus` can stand
for a recording: its utterances come with their phones. ``--say`` speaks a text.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
import openpeople

from core import CHANNELS, F32, SAMPLE_RATE, SAMPLES_PER_FRAME, U8, InvalidInput, Portrait
from engines.audio.corpus import Phone, load_shard
from engines.audio.evidence.evaluate import Progress
from engines.audio.evidence.listeners import NAMES, Hearing, Listener, open_listener
from engines.audio.evidence.sheet import Sheet, draw, save_png
from engines.audio.sources.sound import read_sound
from engines.evaluate.metrics.sync import frames_of
from engines.film import write_film
from engines.puppet import Puppet
from engines.rig import Rig, build_rig

PEOPLE: Final = Path(openpeople.__file__).parent / "data" / "curated"
PAD: Final = 0.4
"Seconds of silence put behind the sound, so that the mouth is seen to come to rest."
WIRE: Final = 48_000
"Hz of the sound in the film: players are most at home with it."
MOUTH_MM: Final = (38.0, 24.0, 34.0)
"Half the width shown around the mouth, above its middle and below, millimetres."
MAX_SECONDS: Final = 120.0


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """Something to say."""

    name: str
    samples: F32
    phones: tuple[Phone, ...] = ()
    "Empty when nobody knows them."
    text: str = ""


def open_recordings(path: Path, count: int) -> Iterator[Recording]:
    """A sound file, or the first ``count`` utterances of a shard.

    Raises:
        InvalidInput: It is neither.
    """
    if path.suffix != ".npz":
        yield Recording(path.stem, read_sound(path, limit=MAX_SECONDS))
        return
    for utterance in load_shard(path)[:count]:
        samples = utterance.samples.astype(np.float32) / np.float32(32768)
        yield Recording(utterance.name, samples, utterance.phones, utterance.text)


def spoken(text: str) -> Recording:
    """Speech of the bundled Piper voice, with its phones.

    Raises:
        Unavailable: The voice is not installed.
        InvalidInput: Nothing in the text can be spoken.
    """
    from engines.audio.sources.speakers import PiperSpeaker

    said = PiperSpeaker().say(text, "en-us", np.random.default_rng(0))
    if said is None:
        raise InvalidInput("The text has nothing that can be spoken. Send words or numbers.")
    name = "".join(c if c.isalnum() else "_" for c in text)[:40].strip("_").lower()
    return Recording(name, said.samples, said.phones, text)


def open_portrait(name: str) -> Portrait:
    """A picture, or one of the built-in people, P001 to P010.

    Raises:
        PortraitRejected: The picture can not become a portrait.
        InvalidInput: It can not be read.
    """
    from engines.enrol import enrol  # the face mesh takes a second to import

    builtin = PEOPLE / name / "assets" / "studio_portrait.jpg"
    path = builtin if builtin.is_file() else Path(name)
    try:
        return enrol(path.read_bytes(), name)
    except OSError as error:
        raise InvalidInput(
            f"There is no portrait {name} ({error.strerror}). Give a picture or P001 to P010."
        ) from error


# --- pictures --------------------------------------------------------------------------------


def film(recording: Recording, listener: Listener, rig: Rig, out: Path, *,
         start: float = 0.0, seconds: float = 5.12) -> list[Path]:  # fmt: skip
    """Write the video of a recording and the sheet of a part of it.

    Args:
        recording: What is said.
        listener: Hears it.
        rig: Says it.
        out: Folder; made when missing.
        start: Where the sheet begins, seconds.
        seconds: How much the sheet shows.

    Returns:
        The paths written.
    """
    quiet = np.zeros(round(PAD * SAMPLE_RATE), np.float32)
    samples = np.concatenate((recording.samples, quiet))
    rest = -len(samples) % SAMPLES_PER_FRAME
    samples = np.concatenate((samples, np.zeros(rest, np.float32)))
    heard = listener(samples)
    sheet = Sheet(start, min(seconds, max(len(samples) / SAMPLE_RATE - start, 0.08)))
    tiles: dict[int, U8] = {}
    out.mkdir(parents=True, exist_ok=True)
    plain = recording.name.replace("/", "_")
    video, picture = out / f"{plain}.mp4", out / f"{plain}.png"
    frames = _kept(pictures(Puppet(rig), heard), sheet.frames(), mouth_box(rig), tiles)
    write_film(video, frames, samples)
    title = recording.text or recording.name
    save_png(picture, draw(sheet, title, tiles, heard, recording.phones, samples))
    return [video, picture]


def pictures(puppet: Puppet, heard: Hearing) -> Iterator[U8]:
    """The puppet's frames under a heard mouth, all else at rest: uint8 RGB, 25 a second."""
    still = np.zeros(len(CHANNELS), np.float32)
    for row in frames_of(heard.mouth):
        yield puppet.render(still, row)


def mouth_box(rig: Rig) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of what the sheet shows of a frame."""
    x, y = rig.face.mouth.centre
    half, above, below = (mm * rig.face.mm for mm in MOUTH_MM)
    left, top = max(int(x - half), 0), max(int(y - above), 0)
    return left, top, min(int(x + half), rig.size), min(int(y + below), rig.size)


def _kept(frames: Iterable[U8], wanted: range, box: tuple[int, int, int, int],
          tiles: dict[int, U8]) -> Iterator[U8]:  # fmt: skip
    """Pass frames on, keeping what ``box`` cuts out of those of the given numbers."""
    left, top, right, bottom = box
    for at, picture in enumerate(frames):
        if at in wanted:
            tiles[at] = picture[top:bottom, left:right].copy()
        yield picture


# --- the command -----------------------------------------------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("sounds", type=Path, nargs="*", help="recordings, or shards of utterances")
    parser.add_argument("--say", action="append", default=[], metavar="TEXT", help="speak this")
    parser.add_argument("--count", type=int, default=3, help="utterances taken of a shard")
    parser.add_argument("--portrait", default="P001", help="a picture, or P001 to P010")
    parser.add_argument("--listener", default="trained", help=", ".join(NAMES))
    parser.add_argument("--size", type=int, choices=(256, 512), default=512)
    parser.add_argument("--start", type=float, default=0.0, help="where the sheet begins, seconds")
    parser.add_argument("--seconds", type=float, default=5.12, help="how much the sheet shows")
    parser.add_argument("--out", type=Path, default=Path("films"))


def run(options: argparse.Namespace, progress: Progress) -> None:
    """Make the films and say where they are.

    Raises:
        SaccadeError: Something named is not there or can not be used.
    """
    if not options.sounds and not options.say:
        raise InvalidInput("Nothing to say: give recordings, shards or --say TEXT.")
    if not (0 <= options.start <= MAX_SECONDS and 0.08 <= options.seconds <= 30):
        raise InvalidInput("A sheet begins within 120 s and shows 0.08 to 30 s.")
    listener = open_listener(options.listener)
    rig = build_rig(open_portrait(options.portrait), options.size)
    total = len(options.sounds) + len(options.say)
    written: list[Path] = []
    for done, recordings in enumerate(_wanted(options.sounds, options.say, options.count)):
        for recording in recordings:
            written += film(recording, listener, rig, options.out,
                            start=options.start, seconds=options.seconds)  # fmt: skip
            progress(done + 1, total, recording.name)
    print("\n" + "\n".join(str(path) for path in written))


def _wanted(
    sounds: Sequence[Path], texts: Sequence[str], count: int
) -> Iterator[Iterable[Recording]]:
    for path in sounds:
        yield islice(open_recordings(path, count), count)
    for text in texts:
        yield [spoken(text)]
