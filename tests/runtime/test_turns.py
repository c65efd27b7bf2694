"""Turns of speech: an interruption ends all of them, whatever they are and however often it comes;
each begins once and ends once."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncGenerator

import numpy as np
import pytest

from core import F32, FPS, MOUTH, SAMPLE_RATE, SAMPLES_PER_FRAME, Portrait
from tests.runtime.test_interrupting import CLOSED_WITHIN, SILENT_WITHIN, Endless, check
from tests.runtime.test_session import Flat, ToneVoice, drain, vowel
from tests.runtime.test_taking_back import Eights, Played


@pytest.mark.parametrize("renderer", [Flat, Eights])
async def test_one_interruption_ends_all_streams_texts_and_files_that_wait(
    portrait: Portrait, renderer: type[Flat]
) -> None:
    """Streams stand behind one another in the queue itself, not behind the voice."""
    voice = Endless()
    played = Played(portrait, renderer=renderer, voice=voice)
    played.run(0.4)
    session = played.session
    for _ in range(4):
        session.push_audio(vowel(0.8))
        session.end_audio()
    session.push_audio(vowel(0.5))  # and one that is still open
    session.say("And on.", "say")
    session.play(vowel(1.0), "file")
    played.run(0.7)
    assert session.state == "speaking"
    at = played.clock() - session.epoch
    session.interrupt()
    for _ in range(60):
        await asyncio.sleep(0)
        played.run(0.05)
    loud = np.flatnonzero(np.abs(played.all_sound) > 1e-4)[-1] / SAMPLE_RATE
    assert loud - at <= SILENT_WITHIN
    assert session.queue_ms == 0 and session.state == "listening"
    await session.close()


@pytest.mark.parametrize("wait", [0.0, 0.06, 0.13, 0.19, 0.26])
async def test_the_mouth_of_windows_made_ahead_is_shut_too(portrait: Portrait, wait: float) -> None:
    """No other command has taken them back: the interruption has to."""
    voice = Endless()
    played = Played(portrait, renderer=Eights, voice=voice)
    played.run(0.5)
    played.session.say("It goes on and on.", "a")
    for _ in range(30):
        await asyncio.sleep(0)
        played.run(0.03)
    played.run(wait)
    at = played.clock() - played.session.epoch
    played.session.interrupt()
    for _ in range(50):
        await asyncio.sleep(0)
        played.run(0.02)
    check(played, voice, at)
    jaw = played.mouths()[:, MOUTH["jaw"]]
    assert jaw[: int(at * FPS)].max() > 0.1
    closed = (np.flatnonzero(jaw > 0.05)[-1] + 1) / FPS - at
    assert closed <= CLOSED_WITHIN + 0.08, "a window that is being made is shown"
    await played.session.close()


@pytest.mark.parametrize("wait", [0.0, 0.05, 0.11, 0.17])
async def test_the_mouth_is_shut_three_frames_after_it_can_be(
    portrait: Portrait, wait: float
) -> None:
    """It does not finish what it has heard ahead, nor come to rest as after a word."""
    voice = Endless()
    played = Played(portrait, renderer=Flat, voice=voice)
    played.run(0.4)
    played.session.say("It goes on and on.", "a")
    for _ in range(30):
        await asyncio.sleep(0)
        played.run(0.03)
    played.run(wait)
    before = played.mouths()[:, MOUTH["jaw"]]
    played.session.interrupt()
    anew = played.session.clock.frame
    played.run(0.6)
    jaw = played.mouths()[:, MOUTH["jaw"]]
    assert before[-4:].max() > 0.15, "it was open"
    assert jaw[anew + 2 : anew + 12].max() < 0.02
    await played.session.close()


class Reads(ToneVoice):
    async def synthesise(self, text: str) -> AsyncGenerator[F32, None]:
        for _ in range(len(text)):
            await asyncio.sleep(0)
            yield vowel(0.1)


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_is_said_and_interrupted_each_turn_that_starts_ends_once(
    portrait: Portrait, seed: int
) -> None:
    """Also before the first sound, while nothing is said, and twice in a row: each interruption is
    answered, once. An agent that waits for the end of a turn is never left waiting."""
    chance = random.Random(seed)
    played = Played(portrait, renderer=chance.choice((Flat, Eights)), voice=Reads())
    session, asked, told = played.session, 0, []
    async with session.subscribe() as events:
        for number in range(25):
            match chance.randrange(6):
                case 0:
                    session.push_audio(vowel(chance.uniform(0.01, 0.4)), f"stream{number}")
                case 1:
                    session.end_audio()
                case 2:
                    session.say("x" * chance.randint(1, 4), f"say{number}")
                case 3:
                    session.play(vowel(0.2), f"file{number}")
                case 4:
                    for _ in range(chance.randint(1, 2)):
                        asked += 1
                        session.interrupt(f"stop{asked}")
                case _:
                    session.behave(label=chance.choice(("idle", "surprise", "fear")))
            for _ in range(chance.randint(0, 6)):
                await asyncio.sleep(0)
                played.run(0.05)
            told += await drain(events)
        session.end_audio()
        for _ in range(200):
            await asyncio.sleep(0)
            played.run(0.05)
            if not session._planner._has_more():
                break
        told += await drain(events)
    phases = [(e.data["phase"], e.cause) for e in told if e.type == "speech"]
    began = Counter(cause for phase, cause in phases if phase == "started")
    ended = Counter(cause for phase, cause in phases if phase == "ended")
    assert began == ended and set(began.values()) <= {1}
    for place, (phase, cause) in enumerate(phases):
        if phase == "ended":
            assert ("started", cause) in phases[:place]
    stops = [e.cause for e in told if e.type == "interrupted"]
    assert stops == [f"stop{n + 1}" for n in range(asked)]
    assert session.state in ("listening", "idle")
    await session.close()


async def test_the_end_of_a_turn_is_not_told_before_it_is_heard(portrait: Portrait) -> None:
    """To the frame, with the mouth that is in use and windows made ahead."""
    played = Played(portrait, renderer=Eights)
    played.run(0.5)
    async with played.session.subscribe() as events:
        played.session.push_audio(vowel(1.3) + np.float32(0.01), "a")
        played.session.end_audio()
        played.run(2.5)
        told = [e for e in await drain(events) if e.type == "speech"]
    assert [e.data["phase"] for e in told] == ["started", "ended"]
    loud = np.flatnonzero(np.abs(played.all_sound) > 1e-6)
    assert 0 <= loud[0] - told[0].pts < SAMPLES_PER_FRAME
    frame = told[1].pts // SAMPLES_PER_FRAME
    assert frame * SAMPLES_PER_FRAME <= loud[-1] < (frame + 1) * SAMPLES_PER_FRAME


async def test_silence_while_a_voice_is_late_does_not_gather_behind_it(portrait: Portrait) -> None:
    """It takes time away from nothing that is said: the answer ends when its voice does."""
    played = Played(portrait, renderer=Flat)
    session, said = played.session, vowel(1.2) + np.float32(0.01)
    played.run(0.4)
    step, most = round(0.5 * 0.02 * SAMPLE_RATE), 0
    for at in range(0, len(said), step):
        session.push_audio(said[at : at + step])
        played.run(0.02)
        most = max(most, session.queue_ms)
    done = played.clock() - session.epoch
    session.end_audio()
    played.run(1.0)
    assert session.stats.underruns > 10 and most <= 420  # it goes on with 400
    over = np.flatnonzero(np.abs(played.all_sound) > 1e-4)[-1] / SAMPLE_RATE
    assert over - done <= 0.6
    await session.close()


async def test_a_later_answer_comes_as_soon_as_the_first(portrait: Portrait) -> None:
    """Voices that come at once, late or in real time, and interruptions: nothing stays behind to
    delay the next turn, and an answer is over when its voice is."""
    chance, played = random.Random(4), Played(portrait, renderer=Flat)
    session, said = played.session, vowel(0.4) + np.float32(0.01)
    begins: list[float] = []
    ends: list[float] = []
    played.run(0.4)
    for turn in range(18):
        rate = (100.0, 0.7, 1.0)[turn % 3]
        step = round(min(rate * 0.02, 0.5) * SAMPLE_RATE)
        mark, asked = len(played.all_sound), played.clock() - session.epoch
        cut = turn % 5 == 4
        for at in range(0, len(said), step):
            session.push_audio(said[at : at + step])
            played.run(0.02)
            if cut and at > len(said) // 2:
                break
        done = played.clock() - session.epoch
        if cut or turn % 7 == 6:
            session.interrupt()
            assert session.queue_ms == 0, "at once, not when it has been played"
            played.run(0.1 + chance.uniform(0, 0.1))
            assert not np.abs(played.all_sound[-800:]).max() > 1e-4
        else:
            session.end_audio()
            over = asked + len(said) / SAMPLE_RATE if rate > 1 else done
            played.run(over - done + 0.35 + chance.uniform(0, 0.1))
            loud = mark + np.flatnonzero(np.abs(played.all_sound[mark:]) > 1e-4)
            begins.append(loud[0] / SAMPLE_RATE - asked)
            ends.append(loud[-1] / SAMPLE_RATE - over)
            assert session.state == "listening" and session.queue_ms == 0
    for delays, most in ((begins, 0.35), (ends, 0.3)):
        assert max(delays) <= most, delays
        assert np.mean(delays[-6:]) - np.mean(delays[:6]) < 0.04, "and it does not grow"
