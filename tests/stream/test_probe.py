"""The probe: its marks survive coding, its arithmetic finds what was put in, and it measures us."""

from __future__ import annotations

import asyncio
from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import SAMPLES_PER_FRAME, U8, AudioChunk, Portrait, Unavailable, VideoFrame
from runtime.portraits import PortraitStore
from stream.bench import babble
from stream.pacer import NTP_UNIX
from stream.probe import probe
from stream.probe_mark import beep, marked, overlay
from stream.probe_reader import BeepFinder, SenderClock, Tally, line, outliers, read_number
from stream.settings import StreamSettings
from tests.stream.conftest import serving

SLOWEST = 200_000


def vp8(pictures: list[U8], bitrate: int) -> list[npt.NDArray[np.uint8]]:
    """Pictures through a real-time encoder and back: their luma."""
    size = len(pictures[0])
    out: Any = av.CodecContext.create("libvpx", "w")
    out.width = out.height = size
    out.pix_fmt, out.bit_rate = "yuv420p", bitrate
    out.time_base, out.framerate = Fraction(1, 25), Fraction(25)
    out.options = {"deadline": "realtime", "cpu-used": "-8", "lag-in-frames": "0"}
    back: Any = av.CodecContext.create("vp8", "r")
    seen = []
    for pts, pixels in enumerate(pictures):
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        frame.pts, frame.time_base = pts, Fraction(1, 25)
        for packet in out.encode(frame):
            for got in back.decode(av.Packet(bytes(packet))):
                seen.append(got.to_ndarray(format="gray"))
    return seen


@pytest.mark.parametrize("size", [256, 512])
def test_numbers_survive_a_slow_link(portrait: Portrait, size: int) -> None:
    face = np.asarray(cv2.resize(portrait.crop, (size, size)), np.uint8)
    first = 123_456
    pictures = [
        marked(np.roll(face, 3 * k, axis=1), first + k)
        for k in range(25)  # all of it moves
    ]
    read = [read_number(luma) for luma in vp8(pictures, SLOWEST)]
    assert read == list(range(first, first + 25))


def test_pictures_without_marks_have_no_number(portrait: Portrait) -> None:
    for plain in (0, 60, 255):
        assert read_number(np.full((256, 256), plain, np.uint8)) is None
    assert read_number(portrait.crop[:, :, 1]) is None
    assert read_number(np.zeros((8, 8), np.uint8)) is None


@given(st.integers(0, (1 << 24) - 1), st.sampled_from([64, 250, 256, 512, 720]))
def test_any_number_is_read_at_any_size(number: int, size: int) -> None:
    assert read_number(marked(np.zeros((size, size, 3), np.uint8), number)[:, :, 0]) == number


def test_flash_and_beep_begin_with_the_same_second() -> None:
    grey = np.full((256, 256, 3), 90, np.uint8)
    quiet = np.zeros(SAMPLES_PER_FRAME, np.float32)
    flashes, beeps = [], []
    for frame in range(51):
        pts = frame * SAMPLES_PER_FRAME
        audio, video = overlay(AudioChunk(quiet, pts), VideoFrame(grey, pts))
        assert audio is not None and video is not None
        flashes += [frame] if video.pixels[20, 100].min() == 255 else []
        beeps += [frame] if audio.samples.any() else []
        assert (video.pixels[64:] == 90).all(), "only the corner is marked"
    assert flashes == beeps == [0, 25, 50]
    assert not quiet.any() and (grey == 90).all()


def test_beeps_are_found_to_the_sample_in_noise_and_speech() -> None:
    rng = np.random.default_rng(1)
    sound = 0.01 * rng.standard_normal(48_000 * 3)
    sound += 0.2 * babble(3.0).repeat(3)
    at = [10_000, 58_003, 106_040]
    for start in at:
        sound[start : start + 480] += beep(48_000)
    finder, found = BeepFinder(), list[float]()
    for k in range(0, len(sound), 960):
        found += finder.push(sound[k : k + 960], 777 + k)
    assert found == pytest.approx([777 + start for start in at], abs=2)


def test_speech_alone_has_no_beeps() -> None:
    finder = BeepFinder()
    assert finder.push(babble(5.0).repeat(3).astype(np.float64), 0) == []


def test_reports_map_timestamps_across_their_wrap() -> None:
    clock = SenderClock(90_000)
    assert clock.at(5) is None
    clock.report(round((1000.5 + NTP_UNIX) * 2**32), 2**32 - 900)
    assert clock.at(2**32 - 900) == pytest.approx(1000.5, abs=1e-5)
    assert clock.at(900) == pytest.approx(1000.52, abs=1e-5)
    assert clock.at(2**32 - 1800) == pytest.approx(1000.49, abs=1e-5)


@pytest.mark.parametrize(("late", "drift"), [(0.037, 0.0), (-0.012, 0.0), (0.0, 2e-5)])
def test_an_offset_and_a_drift_that_are_put_in_come_out(late: float, drift: float) -> None:
    tally = Tally()
    for clock, rate in ((tally.picture, 90_000), (tally.sound, 48_000)):
        clock.report(round((100.0 + NTP_UNIX) * 2**32), 40 * rate)
    for frame in range(500, 1500):
        if frame not in (600, 601):
            tally.saw(frame, 40 * 90_000 + frame * 3600, 100.0 + frame * 0.04 + 0.08)
        if not frame % 25:
            second = frame / 25
            tally.heard((40 + second + late + drift * second) * 48_000)
    found = tally.found()
    assert found is not None and found.beeps == 40 and found.lost == 2
    middle = 1e3 * (late + drift * 39.5)
    assert found.offset_median == pytest.approx(middle, abs=0.5)
    assert found.offset_p95 >= abs(found.offset_median) - 1e-6
    assert found.drift_per_hour == pytest.approx(drift * 3600e3, abs=1)
    assert found.latency_median == pytest.approx(80, abs=0.5)


def test_a_line_tells_how_sure_its_slope_is() -> None:
    rng = np.random.default_rng(0)
    x = np.arange(500.0)
    slope, error = line(x, 2 * x + rng.standard_normal(500))
    assert abs(slope - 2) < 4 * error < 0.01


def test_beeps_after_a_stall_do_not_make_a_drift() -> None:
    rng = np.random.default_rng(0)
    x = np.arange(60.0)
    y = 0.006 + 1e-6 * x + 1e-4 * rng.standard_normal(60)
    y[[3, 50, 51]] += 0.2
    off = outliers(x, y)
    assert off.nonzero()[0].tolist() == [3, 50, 51]
    assert line(x[~off], y[~off])[0] == pytest.approx(1e-6, abs=3e-6)
    assert not outliers(x, 5e-3 * x).any(), "a drift is none, however strong"


@pytest.mark.realtime
async def test_lips_and_voice_of_a_real_stream_are_together_at_a_real_receiver(
    store: PortraitStore,
) -> None:
    async with serving(store, settings=StreamSettings(probe=True)) as live:
        found = await probe(live.base, 6.0)
        assert live.sessions.list() == [], "the session it opened has to be closed"
    # The median: a stall of a machine that is busy with other things may take some beeps off.
    assert abs(found.offset_median) <= 40 and found.unreadable == 0
    assert 0 < found.latency_median < 500
    assert found.frames > 50 and found.lost < found.frames


async def test_a_server_without_marks_and_no_server_are_told_apart(store: PortraitStore) -> None:
    async with serving(store) as live:
        with pytest.raises(Unavailable, match="SACCADE_STREAM__PROBE"):
            await probe(live.base, 1.0)
    with pytest.raises(Unavailable, match="No server"):
        async with asyncio.timeout(5):
            await probe("http://127.0.0.1:9", 1.0)
