"""A session's picture and sound, encoded once for all who watch."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import av
import numpy as np
import pytest
from aiortc.codecs.opus import OpusDecoder
from aiortc.jitterbuffer import JitterFrame

from core import F32, SAMPLES_PER_FRAME, AudioChunk, VideoFrame
from runtime.media import FeedClosed, MediaFeed, MediaHub
from stream.bandwidth import STARTING, Bandwidth, Rung
from stream.broadcast import OPUS_DELAY, Broadcast, Broadcasts, Sound
from stream.rendition import KEY_GAP, PICTURES, Encoded, Outlet
from stream.settings import StreamSettings

SETTINGS = StreamSettings(bitrate=1_000_000, min_bitrate=100_000)


class Show:
    """What a broadcast takes of a session: its clock, and a hub that a test publishes to."""

    def __init__(self) -> None:
        self.id = "show"
        self.epoch = time.monotonic() + 0.08
        self.hub = MediaHub()
        self.frame = 0

    def watch(self) -> MediaFeed:
        return self.hub.watch()

    def publish(self, sound: F32 | None = None) -> None:
        """The next frame, as of now."""
        pts = self.frame * SAMPLES_PER_FRAME
        self.epoch = time.monotonic() + 0.08 - pts / 16_000
        pixels = np.random.default_rng(self.frame).integers(0, 200, (64, 64, 3)).astype(np.uint8)
        samples = np.zeros(SAMPLES_PER_FRAME, np.float32) if sound is None else sound
        self.hub.publish(AudioChunk(samples, pts), VideoFrame(pixels, pts))
        self.frame += 1

    async def run(self, frames: int, step: float = 0.01) -> None:
        for _ in range(frames):
            self.publish()
            await asyncio.sleep(step)


@asynccontextmanager
async def broadcasting() -> AsyncIterator[tuple[Show, Broadcasts, Broadcast]]:
    show, broadcasts = Show(), Broadcasts(SETTINGS)
    try:
        async with broadcasts.watch(show) as broadcast:
            yield show, broadcasts, broadcast
        assert not show.hub.feeds and broadcasts.renditions == 0
    finally:
        broadcasts.close()


async def all_of(outlet: Outlet) -> list[Encoded]:
    return [await outlet.take() for _ in range(len(outlet))]


async def test_eight_viewers_are_one_encoding() -> None:
    async with broadcasting() as (show, broadcasts, broadcast), AsyncExitStack() as stack:
        views = [broadcast.see("video/VP8", Bandwidth(SETTINGS))]
        for _ in range(7):
            same = await stack.enter_async_context(broadcasts.watch(show))
            assert same is broadcast
            views.append(same.see("video/VP8", Bandwidth(SETTINGS)))
        assert show.hub.watchers == 8 and len(show.hub.feeds) == 1
        assert broadcasts.renditions == 1
        await show.run(8)
        await asyncio.sleep(0.1)
        seen = [await all_of(view) for view in views]
        assert len(seen[0]) == 8 and seen[0][0].key
        for other in seen[1:]:
            assert all(a is b for a, b in zip(seen[0], other, strict=True))
        assert broadcasts.stats.frames == 8 and broadcasts.stats.keys == 1
        assert 0 < np.median(broadcasts.stats.ms) < 100
        broadcast.leave(views[0])
        assert broadcasts.renditions == 1
        for view in views:
            broadcast.leave(view)
        assert broadcasts.renditions == 0, "nobody sees it"


async def test_two_codecs_are_two_encodings_and_no_more() -> None:
    async with broadcasting() as (show, broadcasts, broadcast):
        kinds = ("video/VP8", "video/H264", "video/vp8", "video/h264")
        views = [broadcast.see(mime, Bandwidth(SETTINGS)) for mime in kinds]
        await show.run(4)
        await asyncio.sleep(0.1)
        assert broadcasts.renditions == 2 and broadcasts.stats.frames == 8
        assert all(len(view) == 4 for view in views)


async def test_who_joins_later_begins_with_a_key_frame_at_once() -> None:
    async with broadcasting() as (show, broadcasts, broadcast):
        first = broadcast.see("video/VP8", Bandwidth(SETTINGS))
        for _ in range(int(KEY_GAP / 0.02) + 5):
            await show.run(1, step=0.02)
            await all_of(first)
        late = broadcast.see("video/VP8", Bandwidth(SETTINGS))
        next_pts = show.frame * SAMPLES_PER_FRAME
        await show.run(3, step=0.02)
        await asyncio.sleep(0.05)
        frames = await all_of(late)
        assert [f.key for f in frames] == [True, False, False]
        assert frames[0].pts == next_pts
        assert broadcasts.stats.keys == 2


async def test_a_viewer_that_takes_nothing_does_not_hold_the_others() -> None:
    async with broadcasting() as (show, broadcasts, broadcast):
        stalled, fine = (broadcast.see("video/VP8", Bandwidth(SETTINGS)) for _ in range(2))
        deaf, hears = broadcast.hear(), broadcast.hear()
        seen, heard = [], []
        for _ in range(60):
            show.publish()
            await asyncio.sleep(0.02)
            seen += [frame.pts for frame in await all_of(fine)]
            heard += [packet.pts for packet in await all_of(hears)]
        assert seen == [k * SAMPLES_PER_FRAME for k in range(len(seen))] and len(seen) >= 58
        assert (np.diff(heard) == SAMPLES_PER_FRAME // 2).all() and len(heard) >= 116
        assert len(stalled) <= PICTURES and stalled.dropped > 30
        assert len(deaf) <= 50
        counted = broadcasts.dropped
        assert counted == {"video": stalled.dropped, "audio": deaf.dropped}
        for _ in range(2):
            broadcast.leave(stalled)
        assert broadcasts.dropped == counted, "who left stays counted, once"
        assert broadcasts.stats.keys <= 4, "its key frames are rate-limited too"


async def test_a_slow_viewer_gets_the_small_picture_and_the_others_keep_theirs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("stream.bandwidth.LARGE", 64)  # these pictures
    async with broadcasting() as (show, broadcasts, broadcast):
        slow, fast = (broadcast.see("video/VP8", Bandwidth(SETTINGS)) for _ in range(2))
        slow.bandwidth.choose(0, time.monotonic() - STARTING)
        await show.run(10)
        await asyncio.sleep(0.05)
        await all_of(slow)
        await all_of(fast)
        slow.bandwidth.estimated(150_000)
        broadcast.adapt(slow, time.monotonic())
        assert slow.bandwidth.rung is Rung.HALF and broadcasts.renditions == 2
        await show.run(8)
        await asyncio.sleep(0.05)
        frames = await all_of(slow)
        assert [f.pts for f in frames] == [(10 + k) * SAMPLES_PER_FRAME for k in range(8)]
        assert frames[0].key, "a new encoder's first picture is one"
        size = vp8_size(b"".join(frames[0].parts))
        assert size == (32, 32)
        assert slow.shown is not fast.shown
        # The network recovers: full size again, without ever more than two encoders.
        slow.bandwidth.estimated(5_000_000)
        broadcast.adapt(slow, time.monotonic() + 11)
        for _ in range(70):
            await show.run(1)
            await all_of(slow)
            await all_of(fast)
        await asyncio.sleep(0.05)
        assert slow.shown is fast.shown and broadcasts.renditions == 1


def vp8_size(stream: bytes) -> tuple[int, int]:
    """Width and height of a key frame (RFC 6386 section 9.1)."""
    assert stream[3:6] == b"\x9d\x01\x2a"
    sides = np.frombuffer(stream[6:10], "<u2") & 0x3FFF
    return int(sides[0]), int(sides[1])


async def test_a_late_picture_is_left_out_before_it_is_encoded() -> None:
    async with broadcasting() as (show, broadcasts, broadcast):
        view = broadcast.see("video/VP8", Bandwidth(SETTINGS))
        await show.run(3)
        pts = show.frame * SAMPLES_PER_FRAME
        show.epoch = time.monotonic() - pts / 16_000 - 0.5
        show.hub.publish(None, VideoFrame(np.zeros((64, 64, 3), np.uint8), pts))
        show.frame += 1
        await asyncio.sleep(0.05)
        await show.run(3)
        await asyncio.sleep(0.05)
        assert [f.pts // SAMPLES_PER_FRAME for f in await all_of(view)] == [0, 1, 2, 4, 5, 6]
        assert broadcasts.stats.keys == 1, "and so nobody needs a key frame"


async def test_the_end_of_the_session_ends_all_and_a_new_viewer_finds_it_ended() -> None:
    async with broadcasting() as (show, broadcasts, broadcast):
        view, sound = broadcast.see("video/VP8", Bandwidth(SETTINGS)), broadcast.hear()
        await show.run(2)
        show.hub.close()
        async with asyncio.timeout(1):
            await broadcast.wait_closed()
            for outlet in (view, sound):
                with pytest.raises(FeedClosed):
                    while True:
                        await outlet.take()
        async with broadcasts.watch(show) as after, asyncio.timeout(1):
            await after.wait_closed()


def tone(frames: int) -> F32:
    t = np.arange(frames * SAMPLES_PER_FRAME) / 16_000
    return np.asarray(0.4 * np.sin(2 * np.pi * 220 * t), np.float32)


def test_sound_keeps_its_media_time_also_over_a_gap() -> None:
    sound, wave = Sound(), tone(12)
    packets: list[Encoded] = []
    for k in range(12):
        at = k * SAMPLES_PER_FRAME
        gap = 0 if k < 6 else 5 * SAMPLES_PER_FRAME
        packets += sound.push(AudioChunk(wave[at : at + SAMPLES_PER_FRAME], at + gap))
    stamps = [p.timestamp for p in packets]
    steps = np.diff(stamps)
    assert stamps[0] == -OPUS_DELAY and (steps[steps != 960] > 5 * 1900).all()
    assert np.count_nonzero(steps != 960) == 1
    assert all(p.pts * 3 == p.timestamp + OPUS_DELAY and p.key for p in packets)
    decoder = OpusDecoder()
    heard = []
    for packet in packets:
        for frame in decoder.decode(JitterFrame(packet.parts[0], packet.timestamp)):
            assert isinstance(frame, av.AudioFrame)
            heard.append(frame.to_ndarray())
    samples = np.concatenate(heard, axis=1).astype(float) / 32768
    assert np.sqrt((samples[:, 4000:] ** 2).mean()) == pytest.approx(0.28, rel=0.15)


def test_a_click_comes_out_of_the_decoder_when_its_timestamp_says() -> None:
    """Opus's look-ahead of 6.5 ms would otherwise put every voice behind its lips."""
    said, at = np.zeros(8_000, np.float32), 4_000
    t = np.arange(80) / 16_000
    click = np.hanning(80) * np.sin(2 * np.pi * 1_000 * t)
    said[at : at + 80] = 0.8 * click
    sound, decoder, heard = Sound(), OpusDecoder(), []
    packets = [
        p for k in range(0, 8_000, 320) for p in sound.push(AudioChunk(said[k : k + 320], k))
    ]
    for packet in packets:
        for frame in decoder.decode(JitterFrame(packet.parts[0], packet.timestamp)):
            assert isinstance(frame, av.AudioFrame)
            heard.append(frame.to_ndarray().reshape(-1, 2).mean(axis=1))
    wave = np.concatenate(heard) / 32768
    like = np.interp(np.arange(240) / 3, np.arange(80), click)
    found = int(np.correlate(wave, like, "valid").argmax()) + packets[0].timestamp
    assert found == pytest.approx(3 * at, abs=24)  # half a millisecond


@pytest.mark.parametrize(("loud", "level"), [(0.0, -120), (0.4, -11)])
def test_a_packet_says_how_loud_it_is(loud: float, level: int) -> None:
    wave = np.asarray(loud / 0.4 * tone(4), np.float32)
    packets = Sound().push(AudioChunk(wave, 0))
    assert packets[-1].level == pytest.approx(level, abs=1)
