"""Session: media time, speech, behaviour and events, driven step by step with our own clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import numpy as np
import pytest

from core import (
    F32,
    FPS,
    MOUTH,
    SAMPLE_RATE,
    SAMPLES_PER_FRAME,
    U8,
    Busy,
    InvalidInput,
    NotFound,
    Portrait,
    Unavailable,
)
from engines.mouth import Mouth
from runtime.events import Event, EventFeed
from runtime.session import Session
from runtime.settings import RuntimeSettings
from runtime.turn_taking import REST_FRAMES
from runtime.window import Window
from tests.runtime.test_voice_track import LOOKAHEADS, DelayedMouth


class Flat:
    """Renders nothing but a grey whose brightness is the frame number."""

    window_frames = 1
    lead_ms = 0
    level = "flat"
    degraded = False
    guided = False

    def render(self, window: Window, deadline: float) -> list[U8]:
        return self.quick(window, window.start)

    def quick(self, window: Window, first: int) -> list[U8]:
        return [
            np.full((8, 8, 3), (window.start + i) % 256, np.uint8)
            for i in range(first - window.start, len(window))
        ]


class ToneVoice:
    """Speaks each text as half a second of a vowel; ``broken`` raises as a dead endpoint does."""

    name = "tone"

    def __init__(self, broken: bool = False) -> None:
        self.broken = broken
        self.released = 0

    async def synthesise(self, text: str) -> AsyncGenerator[F32, None]:
        try:
            if self.broken:
                raise Unavailable("the endpoint is down")
            for _ in range(5):
                await asyncio.sleep(0)
                yield vowel(0.1)
        finally:
            self.released += 1

    async def close(self) -> None:
        pass


def vowel(seconds: float) -> F32:
    """A voice that glides between vowels in syllables: what the audio encoder takes for speech."""
    t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    pitch = 120 + 25 * np.sin(2 * np.pi * 0.9 * t)
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
    sweep = 0.5 + 0.5 * np.sin(2 * np.pi * 2.2 * t - 1.2)
    formants = ((300 + 500 * sweep, 70.0, 1.0), (1_900 - 800 * sweep, 110.0, 0.6))
    wave = np.zeros_like(t)
    for k in range(1, 34):
        gain = sum(g / (1 + ((k * pitch - f) / width) ** 2) for f, width, g in formants)
        wave += (gain + 0.01) / k**0.4 * np.sin(k * phase)
    wave *= 0.35 + 0.65 * np.clip(np.sin(2 * np.pi * 4 * t + 0.4), 0, 1)
    return np.asarray(0.3 * wave / np.abs(wave).max(), np.float32)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def make(
    portrait: Portrait,
    voice: ToneVoice | None = None,
    mouth: Mouth | None = None,
    **settings: float,
) -> Session:
    clock = Clock()
    return Session(
        "test",
        portrait,
        Flat(),
        RuntimeSettings(**settings),  # type: ignore[arg-type]
        voice=voice,
        now=clock(),
        clock=clock,
        seed=1,
        mouth=mouth,
    )


def run(session: Session, frames: int) -> list[Window]:
    windows = []
    for _ in range(frames):
        window = session.plan()
        session.timeline.add(window, "made")
        for frame, picture in enumerate(session.renderer.render(window, 0.0), window.start):
            session.timeline.show(window, frame, picture)
        session.delivery.leave(session.clock.presented(window.start + len(window)))
        windows.append(window)
    return windows


async def drain(feed: EventFeed) -> list[Event]:
    found: list[Event] = []
    try:
        async with asyncio.timeout(0.05):
            async for event in feed:
                found.append(event)
    except TimeoutError:
        pass
    return found


def test_windows_touch_and_carry_their_own_audio(portrait: Portrait) -> None:
    windows = run(make(portrait), 10)
    assert [w.start for w in windows] == list(range(10))
    assert all(a.audio.end == b.audio.pts for a, b in zip(windows, windows[1:], strict=False))


def test_silence_keeps_the_mouth_closed_and_the_rest_alive(portrait: Portrait) -> None:
    windows = run(make(portrait), 5 * FPS)
    assert not np.concatenate([w.mouth.values for w in windows]).any()
    controls = np.concatenate([w.controls.values for w in windows])
    assert (np.ptp(controls, axis=0) > 0).sum() >= 5
    assert np.abs(np.diff(controls, axis=0)).max(axis=1).min() > 0  # no two frames alike


async def test_viewers_get_frame_and_audio_of_the_same_moment(portrait: Portrait) -> None:
    session = make(portrait)
    async with session.watch() as feed:
        run(session, 3)
        for _ in range(3):
            video, audio = await feed.video(), await feed.audio()
            assert video.pts == audio.pts
            rest = await feed.audio()
            assert rest.pts == audio.end and rest.end == video.pts + SAMPLES_PER_FRAME


async def test_streamed_speech_moves_the_mouth_and_tells_when(portrait: Portrait) -> None:
    session = make(portrait)
    async with session.subscribe() as events:
        run(session, 10)
        session.push_audio(vowel(0.5), "m1")
        session.end_audio()
        windows = run(session, 25)
        opened = [w.start for w in windows if w.mouth.values[0, 0] > 0.05]
        assert opened and opened[0] - 10 <= 4
        assert windows[-1].mouth.values.max() < 0.01
        told = await drain(events)
    phases = [(e.data["phase"], e.cause) for e in told if e.type == "speech"]
    assert phases == [("started", "m1"), ("ended", "m1")]
    states = [e.data["state"] for e in told if e.type == "state"]
    assert states == ["speaking", "listening"]
    assert [e.type for e in told].index("speech") < len(told)


def test_listening_becomes_idle_after_a_while(portrait: Portrait) -> None:
    session = make(portrait)
    session.push_audio(vowel(0.2))
    session.end_audio()
    run(session, 10)
    assert session.state == "listening"
    run(session, REST_FRAMES + 2)
    assert session.state == "idle"


async def test_say_speaks_in_order_and_ends_once(portrait: Portrait) -> None:
    voice = ToneVoice()
    session = make(portrait, voice)
    async with session.subscribe() as events:
        session.say("one", "a")
        session.say("two", "b")
        assert session.state == "thinking"
        for _ in range(50):
            await asyncio.sleep(0)
            run(session, 1)
        told = await drain(events)
    spoken = [(e.data["phase"], e.cause) for e in told if e.type == "speech"]
    assert spoken == [("started", "a"), ("ended", "a"), ("started", "b"), ("ended", "b")]
    assert [e.data["state"] for e in told if e.type == "state"] == [
        "thinking", "speaking", "listening",
    ]  # fmt: skip
    assert voice.released == 2
    await session.close()


@pytest.mark.parametrize("lookahead", LOOKAHEADS)
async def test_interrupt_silences_within_60_ms_and_frees_the_voice(
    portrait: Portrait, lookahead: int
) -> None:
    voice = ToneVoice()
    session = make(portrait, voice, DelayedMouth(lookahead))
    session.say("something long", "a")
    for _ in range(8):
        await asyncio.sleep(0)
    run(session, 4)
    assert session.state == "speaking"
    async with session.subscribe() as events:
        session.interrupt("x")
        now = session.pts
        windows = run(session, 12)
        told = await drain(events)
    assert [(e.type, e.pts) for e in told if e.type in ("interrupted", "speech")] == [
        ("speech", now), ("interrupted", now),
    ]  # fmt: skip
    assert max(w.mouth.values[0, MOUTH["jaw"]] for w in windows[5:]) < 0.05
    audio = np.concatenate([w.audio.samples for w in windows])
    assert not audio[SAMPLE_RATE * 60 // 1000 :].any()
    assert not windows[-1].mouth.values.any()
    assert session.state == "listening"
    assert "interrupted" in [e.type for e in told]
    await session.close()
    assert voice.released == 1


async def test_a_broken_voice_is_told_and_harms_nothing(portrait: Portrait) -> None:
    session = make(portrait, ToneVoice(broken=True))
    async with session.subscribe() as events:
        session.say("hello", "a")
        await asyncio.sleep(0.01)
        run(session, 3)
        told = await drain(events)
    errors = [e for e in told if e.type == "error"]
    assert [e.cause for e in errors] == ["a"]
    assert "endpoint" in errors[0].data["detail"]
    assert session.state == "listening"
    await session.close()


def test_bad_commands_change_nothing(portrait: Portrait) -> None:
    session = make(portrait, max_speech=1.0)
    before = session.info()
    with pytest.raises(Unavailable):
        session.say("no voice here")
    with pytest.raises(InvalidInput):
        session.behave(label="flabbergasted")
    with pytest.raises(InvalidInput):
        session.behave(instruction="look " * 500)
    with pytest.raises(InvalidInput):
        session.attend("dancing")
    assert session.info() == before
    session.push_audio(np.zeros(SAMPLE_RATE, np.float32))
    with pytest.raises(Busy):
        session.push_audio(np.zeros(1, np.float32))


async def test_microphone_speech_follows_its_voice(portrait: Portrait) -> None:
    session = make(portrait)
    async with session.subscribe() as events:
        quiet = np.zeros(8000, np.float32)
        sound = np.concatenate([quiet, vowel(0.6), quiet, quiet, quiet])
        for at in range(0, len(sound), SAMPLES_PER_FRAME):
            session.push_audio(sound[at : at + SAMPLES_PER_FRAME], live=True)
            run(session, 1)
        told = await drain(events)
    phases = [(e.data["phase"], e.pts // SAMPLES_PER_FRAME) for e in told if e.type == "speech"]
    assert [p for p, _ in phases] == ["started", "ended"]
    assert 12 <= phases[0][1] <= 18
    assert session.state == "listening"


@pytest.mark.parametrize("lookahead", LOOKAHEADS)
async def test_events_tell_of_what_is_presented(portrait: Portrait, lookahead: int) -> None:
    session = make(portrait, mouth=DelayedMouth(lookahead))
    async with session.subscribe() as events:
        run(session, 3)
        session.push_audio(vowel(0.5) + np.float32(0.01), "m1")
        session.end_audio()
        windows = run(session, 30)
        told = await drain(events)
    heard = [w for w in windows if w.audio.samples.any()]
    (began, start), (ended, end) = [(e.data["phase"], e.pts) for e in told if e.type == "speech"]
    assert (began, start, ended) == ("started", heard[0].audio.pts, "ended")
    assert end - heard[-1].audio.pts in ((0, 640) if lookahead % SAMPLES_PER_FRAME else (0,))
    states = [(e.data["state"], e.pts) for e in told if e.type == "state"]
    assert states == [("speaking", start), ("listening", end)]
    assert heard[0].start - 3 == lookahead // SAMPLES_PER_FRAME
    opened = next(w.start for w in windows if w.mouth.values[0, MOUTH["jaw"]] > 0.05)
    assert abs(opened - heard[0].start) <= 1


async def test_what_the_mouth_waits_for_need_not_be_gathered_first(portrait: Portrait) -> None:
    session = make(portrait, mouth=DelayedMouth(1280), speech_start_ms=160)
    silent = 0
    while silent < 10:
        session.push_audio(vowel(0.04))
        if run(session, 1)[0].audio.samples.any():
            break
        silent += 1
    assert silent == 3  # as without look-ahead: 160 ms have come by then


async def test_recordings_queue_like_text_and_tell_their_cause(portrait: Portrait) -> None:
    session = make(portrait, ToneVoice(), max_speech=2.0)
    async with session.subscribe() as events:
        session.play(vowel(5.0) + np.float32(0.01), "f1")
        session.say("one", "s")
        session.play(vowel(0.3) + np.float32(0.01), "f2")
        windows = []
        for _ in range(170):
            await asyncio.sleep(0)
            windows += run(session, 1)
            assert session._speech.waiting <= 2 * SAMPLE_RATE
        told = await drain(events)
    speech = [(e.data["phase"], e.cause) for e in told if e.type == "speech"]
    assert speech == [(p, c) for c in ("f1", "s", "f2") for p in ("started", "ended")]
    audio = np.concatenate([w.audio.samples for w in windows])
    assert np.count_nonzero(audio) == pytest.approx(5.8 * SAMPLE_RATE, abs=SAMPLES_PER_FRAME)
    assert session.state == "listening" and session.stats.underruns == 0
    await session.close()


async def test_recordings_are_bounded_interruptible_and_end_with_the_session(
    portrait: Portrait,
) -> None:
    session = make(portrait, max_recorded=3.0, max_utterances=2)
    with pytest.raises(Busy):
        session.play(vowel(3.1))
    assert not session._utterances.waiting
    session.play(vowel(2.0))
    await asyncio.sleep(0)  # that one is being spoken now
    session.play(vowel(2.0))
    with pytest.raises(Busy, match="2 s are waiting"):
        session.play(vowel(1.1))
    session.play(vowel(0.1))
    with pytest.raises(Busy, match="2 utterances"):
        session.play(vowel(0.1))
    run(session, 5)
    session.interrupt()
    assert not np.concatenate([w.audio.samples for w in run(session, 10)])[960:].any()
    session.play(vowel(3.0))
    await session.close()
    with pytest.raises(NotFound):
        session.play(vowel(0.1))


async def test_a_speaker_breathes_in_a_pause_of_what_is_queued(portrait: Portrait) -> None:
    session = make(portrait)
    session.play(np.concatenate([vowel(1.5), np.zeros(16_000, np.float32), vowel(1.0)]))
    await asyncio.sleep(0)
    jaw = np.array([w.mouth.values[0, MOUTH["jaw"]] for w in run(session, 80)])
    pause = jaw[45:62]
    assert 0.08 < pause.max() < 0.13 and pause[0] < 0.03 and pause[-1] < 0.05
    await session.close()


def test_expiry_counts_from_the_last_touch(portrait: Portrait) -> None:
    session = make(portrait, idle_timeout=60.0)
    assert session.expires_in(130.0) == 30.0
    assert session.expires_in(500.0) == 0.0


async def test_closing_twice_is_fine_and_ends_all_feeds(portrait: Portrait) -> None:
    session = make(portrait)
    async with session.subscribe() as events:
        await session.close()
        await session.close()
        assert [e.type for e in await drain(events)] == ["state"]
    assert session.state == "closed"
