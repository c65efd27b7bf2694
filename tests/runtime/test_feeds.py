"""Feeds: bounded, fan out without copies, end with the session."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from core import SAMPLES_PER_FRAME, AudioChunk, VideoFrame
from runtime.events import FEED_LIMIT, Event, EventHub
from runtime.media import AUDIO_LIMIT, VIDEO_LIMIT, FeedClosed, MediaHub


def moment(i: int) -> tuple[AudioChunk, VideoFrame]:
    pts = i * SAMPLES_PER_FRAME
    return (
        AudioChunk(np.zeros(SAMPLES_PER_FRAME, np.float32), pts),
        VideoFrame(np.zeros((4, 4, 3), np.uint8), pts),
    )


async def test_every_viewer_gets_the_same_objects() -> None:
    hub = MediaHub()
    async with hub.watch() as a, hub.watch() as b:
        audio, video = moment(0)
        hub.publish(audio, video)
        assert await a.video() is video
        assert await b.video() is video
        assert await a.audio() is audio
    assert not hub.feeds


async def test_a_slow_viewer_loses_the_oldest_frames_and_nobody_waits() -> None:
    hub = MediaHub()
    async with hub.watch() as feed:
        for i in range(100):
            hub.publish(*moment(i))
        assert feed.dropped == 100 - VIDEO_LIMIT
        assert (await feed.video()).pts == (100 - VIDEO_LIMIT) * SAMPLES_PER_FRAME
        assert (await feed.audio()).pts == (100 - AUDIO_LIMIT) * SAMPLES_PER_FRAME


async def test_a_held_picture_still_sends_its_audio() -> None:
    hub = MediaHub()
    async with hub.watch() as feed:
        hub.publish(moment(0)[0], None)
        assert (await feed.audio()).pts == 0
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await feed.video()


async def test_closing_wakes_a_waiting_viewer() -> None:
    hub = MediaHub()
    async with hub.watch() as feed:
        waiting = asyncio.create_task(feed.video())
        await asyncio.sleep(0)
        hub.close()
        with pytest.raises(FeedClosed):
            await waiting
    late = hub.watch()
    with pytest.raises(FeedClosed):
        await late.audio()


async def test_a_full_event_feed_gives_up_what_is_obsolete_first() -> None:
    hub = EventHub()
    async with hub.subscribe() as feed:
        hub.publish(Event("state", {"state": "idle"}))
        for i in range(FEED_LIMIT * 2):
            hub.publish(Event("stats", {"i": i}))
        hub.publish(Event("speech", {"phase": "started"}))
        hub.close()
        kinds = [event.type async for event in feed]
    assert len(kinds) <= FEED_LIMIT
    assert kinds[0] == "state"
    assert kinds[-1] == "speech"
