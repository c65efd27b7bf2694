"""An interruption empties every stage at once, and tells what had been heard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import numpy as np
import pytest

from core import F32, FPS, MOUTH, SAMPLE_RATE, Portrait
from engines.mouth import SpeechMouth
from runtime.heard import CHARACTERS, Heard, spoken
from runtime.session import Session
from runtime.speech import Segment, SpeechQueue
from runtime.timeline import SOUND_AHEAD, Timeline
from runtime.utterances import Utterances
from tests.runtime.test_session import Flat, ToneVoice, drain, vowel
from tests.runtime.test_taking_back import TICK, Eights, Played

SILENT_WITHIN = 0.1
"Seconds until the last old sound is over, its packet's 20 ms among them."
CLOSED_WITHIN = 0.25


class Endless(ToneVoice):
    """A voice that is quicker than speech, and does not stop by itself."""

    async def synthesise(self, text: str) -> AsyncGenerator[F32, None]:
        try:
            while True:
                await asyncio.sleep(0)
                yield vowel(0.1)
        finally:
            self.released += 1


async def busy(portrait: Portrait, renderer: type[Flat] = Flat) -> tuple[Played, Endless]:
    """A session that speaks, with more of everything queued behind."""
    voice = Endless()
    played = Played(portrait, renderer=renderer, voice=voice)
    played.run(0.5)
    session = played.session
    session.say("It goes on and on and on.", "a")
    session.say("And on.", "b")
    session.play(vowel(1.0), "c")
    for _ in range(30):
        await asyncio.sleep(0)
        played.run(0.02)
    assert session.state == "speaking"
    return played, voice


async def interrupted(played: Played) -> float:
    """Interrupt and run on; media time of the interruption."""
    played.session.behave(label="idle")  # something is taken back to be said again
    at = played.clock() - played.session.epoch
    played.session.interrupt("x")
    for _ in range(50):
        await asyncio.sleep(0)
        played.run(2 * TICK)
    return at


def check(played: Played, voice: Endless, at: float) -> None:
    loud = np.flatnonzero(np.abs(played.all_sound) > 1e-4)[-1] / SAMPLE_RATE
    assert 0.02 < loud - at <= SILENT_WITHIN
    assert played.session.queue_ms == 0 and played.session.state == "listening"
    assert voice.released == 1, "the voice was let go, and the next never began"


@pytest.mark.parametrize("renderer", [Flat, Eights])
async def test_of_all_that_waits_nothing_is_heard_100_ms_after_an_interruption(
    portrait: Portrait, renderer: type[Flat]
) -> None:
    for wait in range(6):  # at any moment of a window
        played, voice = await busy(portrait, renderer)
        played.run(0.013 * wait + 0.04 * wait)
        at = await interrupted(played)
        check(played, voice, at)
        step = np.abs(np.diff(played.all_sound)).max()
        assert step <= np.abs(np.diff(vowel(3.0))).max() * 1.3, "it fades, it does not click"
        jaw = played.mouths()[:, MOUTH["jaw"]]
        closed = (np.flatnonzero(jaw > 0.05)[-1] + 1) / FPS - at
        assert closed <= (CLOSED_WITHIN if renderer is Flat else CLOSED_WITHIN + 0.08)
        # The next turn is all its own.
        new = vowel(0.4)
        before = len(played.all_sound)
        played.session.push_audio(new)
        played.session.end_audio()
        played.run(1.5)
        after = played.all_sound[before:]
        assert np.sum(after**2) == pytest.approx(np.sum(new**2), rel=0.02)
        assert played.session.state == "listening"
        await played.session.close()


@pytest.mark.parametrize(
    ("stage", "name"),
    [
        (Utterances, "interrupt"),
        (SpeechQueue, "interrupt"),
        (Timeline, "sound"),
        (Timeline, "cut"),
    ],
)
async def test_a_stage_that_is_not_emptied_is_noticed(
    portrait: Portrait, stage: type, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    played, voice = await busy(portrait, Eights)

    def nothing(*_: Any, **__: Any) -> bool:
        return True

    with monkeypatch.context() as patch, pytest.raises(AssertionError):
        patch.setattr(stage, name, nothing)
        check(played, voice, await interrupted(played))
    await played.session.close()


async def test_what_was_taken_back_is_not_said_again(portrait: Portrait) -> None:
    """A window that was made when the interruption came, and is planned anew after it."""
    played, voice = await busy(portrait, Eights)
    session = played.session
    session.clock.rendering_since = played.clock()
    at = played.clock() - session.epoch
    session.interrupt()
    session.clock.rendering_since = None
    session.behave(label="surprise")
    for _ in range(10):
        await asyncio.sleep(0)
        played.run(0.1)
    check(played, voice, at)
    await session.close()


async def test_an_interruption_tells_what_had_been_heard(portrait: Portrait) -> None:
    class Reads(ToneVoice):
        async def synthesise(self, text: str) -> AsyncGenerator[F32, None]:
            yield vowel(2.0)

    played = Played(portrait, renderer=Flat, voice=Reads())
    session: Session = played.session
    text = "one two three four five six seven eight nine ten"
    async with session.subscribe() as events:
        session.interrupt("nothing")
        session.say(text, "a")
        for _ in range(5):
            await asyncio.sleep(0)
        played.run(1.2)
        began = [e.pts for e in await drain(events) if e.type == "speech"][0] / SAMPLE_RATE
        now = played.clock() - session.epoch
        session.interrupt("x")
        session.interrupt("again")
        told = [e.data for e in await drain(events) if e.type == "interrupted"]
    assert told[0]["dropped"] and not told[1]["dropped"]
    assert told[0]["heard_ms"] == pytest.approx(1000 * (now - began + SOUND_AHEAD), abs=21)
    share = told[0]["heard_ms"] / 2000
    assert text.startswith(told[0]["text"]) and text[len(told[0]["text"])] == " "
    assert len(told[0]["text"]) == pytest.approx(share * len(text), abs=6)
    assert told[1] == {"dropped": False, "heard_ms": 0, "text": "", "turn": 3}
    await session.close()


def test_words_are_told_whole_and_characters_where_there_are_none() -> None:
    done = Segment(text="alpha beta gamma", open=False, pushed=16_000)
    assert spoken(done, 0) == ""
    assert spoken(done, 9_000) == "alpha"
    assert spoken(done, 10_000) == "alpha beta"
    assert spoken(done, 16_000) == "alpha beta gamma"
    assert spoken(Segment(text="你好世界", open=False, pushed=16_000), 8_000) == "你好"
    assert spoken(Segment(open=False, pushed=16_000), 8_000) == ""
    growing = Segment(text="x " * CHARACTERS, pushed=8_000)  # two seconds; half of one is there
    assert spoken(growing, 8_000) == ("x " * 4)[:-1]


def test_silence_of_a_late_voice_was_not_heard() -> None:
    heard, segment = Heard(), Segment(text="", pushed=99_999)
    heard.turn(segment, 16_000, began=True)
    heard.missed(4_000)
    assert heard.interrupt(32_000) == {"heard_ms": 750, "text": ""}
    assert heard.interrupt(32_000)["heard_ms"] == 0, "told once"
    heard.turn(segment, 16_000, began=True)
    heard.turn(segment, 32_000, began=False)
    assert heard.interrupt(33_000)["heard_ms"] == 0, "it was over"


async def test_the_backlog_is_back_to_its_floor_after_each_of_50_turns(portrait: Portrait) -> None:
    played = Played(portrait, renderer=Flat)
    session, planned = played.session, set()
    played.run(0.4)
    for turn in range(50):
        session.push_audio(vowel(0.2 + 0.01 * (turn % 7)))
        if turn % 3:
            session.end_audio()
            played.run(0.6)
        else:
            played.run(0.1)
            session.interrupt()
            assert session.queue_ms == 0, "at once, not when it has been played"
            played.run(0.3)
        assert session.queue_ms == 0 and not session._voice.active
        planned.add(len(session.timeline))
    assert max(planned) - min(planned) <= 1 and max(planned) <= 4


async def test_a_voice_at_0_7_of_real_time_leaves_nothing_out_and_speaks_to_its_end(
    portrait: Portrait,
) -> None:
    played = Played(portrait, renderer=Flat)
    session, said = played.session, vowel(2.1)
    played.run(0.4)
    before = len(played.all_sound)
    step = round(0.7 * 0.02 * SAMPLE_RATE)
    states = set()
    for at in range(0, len(said), step):
        session.push_audio(said[at : at + step])
        played.run(0.02)
        states.add((at > SAMPLE_RATE * 0.2, session.state.value))
    assert {state for later, state in states if later} == {"speaking"}
    session.end_audio()
    played.run(0.6)
    assert session.state == "listening" and session.stats.underruns > 10
    # Only where it ran dry is silence between, and of what came every sample is heard once.
    heard = played.all_sound[before:]
    assert np.sum(heard**2) == pytest.approx(np.sum(said**2), rel=0.1)
    assert np.sum(np.abs(heard) > 1e-4) == pytest.approx(np.sum(np.abs(said) > 1e-4), rel=0.05)


@pytest.mark.parametrize("level", [0.0, 1e-3])
def test_silence_and_noise_at_minus_60_db_do_not_move_the_lips(level: float) -> None:
    mouth = SpeechMouth(40)
    noise = level * np.random.default_rng(1).standard_normal(10 * SAMPLE_RATE)
    rows = [mouth.push(np.asarray(s, np.float32)).values for s in np.split(noise, 10 * FPS)]
    assert np.concatenate(rows).max() < 0.02
