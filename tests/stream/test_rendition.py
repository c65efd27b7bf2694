"""One encoder for many: queues that wait for nobody, key frames that nobody waits for long."""

from __future__ import annotations

import asyncio

import av
import numpy as np
import pytest

from runtime.media import FeedClosed
from stream.bandwidth import Bandwidth, Rung
from stream.codecs import VIDEO_BASE
from stream.rendition import (
    KEY_GAP,
    PICTURES,
    Encoded,
    KeyFrames,
    Outlet,
    Rendition,
    Scale,
    View,
    encode_all,
)
from stream.settings import StreamSettings

SETTINGS = StreamSettings(bitrate=1_000_000, min_bitrate=100_000, max_bitrate=2_000_000)


def frame(k: int, key: bool = False) -> Encoded:
    return Encoded(k * 640, k * 3600, (b"x" * 500,), key)


async def taken(outlet: Outlet) -> list[int]:
    return [(await outlet.take()).pts // 640 for _ in range(len(outlet))]


def test_a_key_frame_is_immediate_when_the_last_one_is_half_a_second_ago() -> None:
    keys = KeyFrames()
    assert keys.take(10.0)
    keys.made(10.0)
    assert not keys.take(10.04)
    keys.ask()
    assert not keys.take(10.0 + KEY_GAP - 0.01)
    assert keys.take(10.0 + KEY_GAP)
    keys.made(10.5)
    assert not keys.take(99.0), "one request, one key frame"
    keys.ask()
    assert keys.take(99.0)


def test_a_storm_of_requests_gives_two_key_frames_a_second_and_loses_none() -> None:
    keys, made = KeyFrames(), []
    for k in range(250):
        now = k / 25
        keys.ask()
        if keys.take(now):
            keys.made(now)
            made.append(now)
    assert len(made) <= 20 and np.diff(made).max() <= KEY_GAP + 0.05


async def test_who_joins_gets_nothing_that_can_not_be_decoded() -> None:
    outlet = Outlet(PICTURES)
    assert not outlet.put(frame(0)) and not outlet.put(frame(1))
    assert outlet.put(frame(2, key=True)) and outlet.put(frame(3))
    assert await taken(outlet) == [2, 3]


async def test_a_slow_viewer_s_queue_is_bounded_and_goes_on_with_a_key_frame() -> None:
    outlet = Outlet(PICTURES)
    outlet.put(frame(0, key=True))
    asked = [k for k in range(1, 40) if not outlet.put(frame(k))]
    assert len(outlet) <= PICTURES and asked, "a key frame has to be asked for"
    assert asked == list(range(asked[0], 40)), "no frame passes whose past was dropped"
    assert outlet.put(frame(40, key=True)) and outlet.put(frame(41))
    assert await taken(outlet) == [40, 41]
    assert outlet.dropped == 40


async def test_the_end_is_told_to_who_waits() -> None:
    outlet = Outlet(PICTURES)
    waiting = asyncio.create_task(outlet.take())
    await asyncio.sleep(0)
    outlet.close()
    with pytest.raises(FeedClosed):
        await waiting


def test_the_slowest_viewer_sets_the_rate_but_only_so_far() -> None:
    rendition = Rendition("video/vp8", Rung.FULL, SETTINGS)
    views = [View("video/vp8", Bandwidth(SETTINGS)) for _ in range(3)]
    for view in views:
        rendition.add(view)
    for view, estimate in zip(views, (2_000_000, 700_000, 5_000_000), strict=True):
        view.bandwidth.estimated(estimate)
    assert rendition.bitrate == 700_000
    views[1].bandwidth.estimated(1)
    assert rendition.bitrate == 400_000, "below, a viewer gets the small picture instead"
    rendition.remove(views[1])
    assert rendition.bitrate == 2_000_000
    small = Rendition("video/vp8", Rung.HALF, SETTINGS)
    small.add(views[1])
    assert small.bitrate == 100_000


async def test_a_viewer_changes_its_size_at_a_key_frame_without_a_gap() -> None:
    full, half = (Rendition("video/vp8", rung, SETTINGS) for rung in (Rung.FULL, Rung.HALF))
    view = View("video/vp8", Bandwidth(SETTINGS))
    full.add(view)
    for k in range(6):
        if k == 3:
            half.add(view)
        of = {full: frame(k, k == 0), half: Encoded(k * 640, k * 3600, (b"half",), k == 4)}
        for rendition, bits in of.items():
            rendition.adopt(bits)
        for rendition, bits in of.items():
            rendition.deliver(bits, taken=0.0)
    got = [await view.take() for _ in range(len(view))]
    assert [f.pts // 640 for f in got] == [0, 1, 2, 3, 4, 5], "each picture once"
    assert [f.parts == (b"half",) for f in got] == [False] * 4 + [True] * 2
    assert view.shown is half and view.coming is None
    assert not full.views


def test_a_picture_is_converted_once_and_halved_for_the_small_one() -> None:
    both = [Rendition("video/vp8", rung, SETTINGS) for rung in (Rung.FULL, Rung.HALF)]
    scale = Scale()
    pixels = np.random.default_rng(0).integers(0, 255, (130, 130, 3)).astype(np.uint8)
    picture = av.VideoFrame.from_ndarray(pixels, format="rgb24")
    assert scale.to(picture, Rung.FULL) is scale.to(picture, Rung.FULL)
    sizes = [(f.width, f.height) for f in (scale.to(picture, rung) for rung in Rung)]
    assert sizes == [(130, 130), (64, 64)]
    work = [(rendition, True, 500_000) for rendition in both]
    frames, ms = encode_all(picture, 640, work, scale)
    assert [f.key for f in frames] == [True, True] and ms > 0
    assert [f.timestamp for f in frames] == [3600, 3600]
    assert scale.to(picture, Rung.FULL).time_base == VIDEO_BASE
