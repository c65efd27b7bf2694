"""Recorded files: in step, at a constant rate, playable wherever they were cut."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from core import SAMPLES_PER_FRAME, AudioChunk, VideoFrame
from stream.mp4 import Mp4

FIRST = 100
"The session's frame at which the recording begins."
ROOT = Path(__file__).parent.parent.parent


@dataclass
class Played:
    """What a player gets out of a file."""

    shown: list[float]
    "Seconds at which each picture is shown."
    light: float | None
    "When the bright picture is shown."
    beep: float | None
    "When the beep is heard."
    heard: float
    "Seconds of sound."


def play(file: Path | io.BytesIO) -> Played:
    shown: list[float] = []
    sound: list[npt.NDArray[np.float32]] = []
    light = None
    with av.open(file, "r") as container:
        for frame in container.decode():
            if isinstance(frame, av.VideoFrame):
                shown.append(float(frame.time or 0))
                if frame.to_ndarray(format="gray").mean() > 200 and light is None:
                    light = shown[-1]
            else:
                assert isinstance(frame, av.AudioFrame)
                at = float(frame.time or 0)
                assert at == pytest.approx(sum(map(len, sound)) / 48_000, abs=0.001)  # no gap
                sound.append(frame.to_ndarray()[0])
    samples = np.abs(np.concatenate(sound)) if sound else np.zeros(0)
    loud = np.flatnonzero(samples > 0.3)
    return Played(shown, light, loud[0] / 48_000 if len(loud) else None, len(samples) / 48_000)


def picture(frame: int, *, light: bool = False) -> VideoFrame:
    pixels = np.full((64, 64, 3), 255 if light else 60, np.uint8)
    pixels[frame % 64] = 90
    return VideoFrame(pixels, frame * SAMPLES_PER_FRAME)


def sound(frame: int, *, beep: bool = False) -> AudioChunk:
    t = np.arange(SAMPLES_PER_FRAME) / 16_000
    samples = 0.8 * np.sin(2 * np.pi * 1000 * t) if beep else 0.01 * np.sin(2 * np.pi * 200 * t)
    return AudioChunk(samples.astype(np.float32), frame * SAMPLES_PER_FRAME)


def write(mp4: Mp4, frames: int, *, missing: range = range(0), silent: range = range(0)) -> None:
    """Sound ahead of pictures by three frames, as it leaves a session; a clap after two seconds."""
    for k in range(frames + 3):
        if k < frames and k not in silent:
            mp4.sound(sound(FIRST + k, beep=k == 50))
        if k >= 3 and k - 3 not in missing:
            mp4.picture(picture(FIRST + k - 3, light=k - 3 == 50))


def test_sound_and_pictures_are_in_step_and_equally_long(tmp_path: Path) -> None:
    with open(tmp_path / "a.mp4", "w+b", buffering=0) as file:
        mp4 = Mp4(file)
        write(mp4, 100)
        mp4.close()
        mp4.close()
    played = play(tmp_path / "a.mp4")
    assert played.light is not None and played.beep is not None
    assert abs(played.light - played.beep) <= 0.005
    assert len(played.shown) == 101 and played.shown[0] == 0
    assert np.diff(played.shown) == pytest.approx(0.04)
    assert played.heard == pytest.approx(101 * 0.04, abs=0.03)
    with av.open(tmp_path / "a.mp4") as container:
        assert container.duration == pytest.approx(101 * 40_000, abs=30_000)  # it has an index
        assert {s.codec_context.name for s in container.streams} == {"h264", "aac"}


def test_missing_pictures_are_held_and_missing_sound_is_silence() -> None:
    file = io.BytesIO()
    mp4 = Mp4(file)
    write(mp4, 75, missing=range(20, 45), silent=range(60, 70))
    late = picture(FIRST + 22)
    mp4.picture(late)
    mp4.close()
    assert (mp4.held, mp4.late) == (25, 1)
    file.seek(0)
    played = play(file)
    assert np.diff(played.shown) == pytest.approx(0.04) and len(played.shown) == 76
    assert played.light is not None and played.light == pytest.approx(played.beep, abs=0.005)
    assert played.heard == pytest.approx(76 * 0.04, abs=0.03)


def test_pictures_that_stop_are_held_while_sound_goes_on() -> None:
    file = io.BytesIO()
    mp4 = Mp4(file)
    mp4.picture(picture(FIRST))
    for k in range(50):
        mp4.sound(sound(FIRST + k))
    assert 38 <= mp4.held <= 41  # before the end: a crash must not lose them
    mp4.close()
    file.seek(0)
    assert len(play(file).shown) == 51


class Short(io.BytesIO):
    """A disk with so much room."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self._room = room

    def write(self, data: object, /) -> int:
        if self.tell() + len(bytes(data)) > self._room:  # type: ignore[call-overload]
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data)  # type: ignore[arg-type]


def test_a_disk_that_fills_up_anywhere_leaves_what_can_be_played() -> None:
    whole = Short(1 << 30)
    mp4 = Mp4(whole)
    write(mp4, 100)
    mp4.close()
    size = len(whole.getvalue())
    for room in (size - 1, size - 600, size - 2000, size // 2):  # in the index, in a fragment
        disk = Short(room)
        mp4 = Mp4(disk)
        with pytest.raises(OSError, match="No space"):
            try:
                write(mp4, 100)
            finally:
                mp4.close()
        played = play(io.BytesIO(disk.getvalue()))
        assert len(played.shown) >= 100 * room / size - 30
    with open("/dev/full", "r+b", buffering=0) as full, pytest.raises(OSError, match="No space"):
        mp4 = Mp4(full)
        write(mp4, 100)


KILLED = """
import os, signal, sys, time
from stream.mp4 import Mp4
from tests.stream.test_mp4 import FIRST, picture, sound
mp4 = Mp4(open(sys.argv[1], "xb+", buffering=0))
for k in range(10_000):
    mp4.sound(sound(FIRST + k, beep=k == 50))
    mp4.picture(picture(FIRST + k, light=k == 50))
    if k == 130:
        print(k, flush=True)
        time.sleep(60)
"""


def test_a_recording_plays_after_the_process_was_killed(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    command = [sys.executable, "-c", KILLED, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        written = int(child.stdout.readline()) * 0.04
        child.kill()
    assert child.returncode == -9
    played = play(path)
    assert played.shown[-1] >= written - 1.5 and played.heard >= written - 1.5
    assert played.light is not None and played.light == pytest.approx(played.beep, abs=0.005)
