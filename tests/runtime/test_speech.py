"""SpeechQueue: nothing is lost, nothing is invented, late is not silent."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import F32, FPS, SAMPLE_RATE, SAMPLES_PER_FRAME, Busy
from runtime.speech import EDGE_SAMPLES, FADE_SAMPLES, LOW, SpeechQueue


def queue(limit: float = 10.0, start_ms: int = 80, backlog_ms: int = 200) -> SpeechQueue:
    return SpeechQueue(limit=limit, start_ms=start_ms, live_backlog_ms=backlog_ms)


def tone(samples: int) -> F32:
    return np.full(samples, 0.5, np.float32)


def test_silence_when_there_is_nothing_to_say() -> None:
    spoken = queue().take()
    assert spoken.samples.shape == (SAMPLES_PER_FRAME,)
    assert not spoken.samples.any()
    assert not spoken.underrun


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 3000), min_size=1, max_size=20))
def test_closed_segment_plays_every_sample_once_and_in_order(sizes: list[int]) -> None:
    q = queue()
    segment = q.open("m1")
    ramp = np.linspace(0.1, 0.9, max(1, sum(sizes)), dtype=np.float32)
    at = 0
    for size in sizes:
        q.push(segment, ramp[at : at + size])
        at += size
    q.close(segment)
    played, started, ended = [], 0, 0
    for _ in range(sum(sizes) // SAMPLES_PER_FRAME + 2):
        speech = q.take()
        played.append(speech.samples)
        started += speech.started is segment
        ended += speech.ended is segment
    out = np.concatenate(played)
    assert np.array_equal(out[:at], ramp[:at])
    assert not out[at:].any()
    assert started == ended == (1 if at else 0)
    assert not q.active


def test_streamed_speech_waits_for_its_start_threshold() -> None:
    q = queue(start_ms=80)
    segment = q.open()
    q.push(segment, tone(SAMPLES_PER_FRAME))
    assert not q.take().samples.any()
    q.push(segment, tone(SAMPLES_PER_FRAME))
    speech = q.take()
    assert speech.started is segment
    assert speech.samples[0] == 0.5


def test_running_dry_is_an_underrun_and_resumes_without_a_click() -> None:
    q = queue(start_ms=40)
    segment = q.open()
    q.push(segment, tone(SAMPLES_PER_FRAME + 100))
    assert not q.take().underrun
    dry = q.take()
    assert dry.underrun
    assert dry.samples[99] == pytest.approx(0.0)
    assert q.take().underrun
    q.push(segment, tone(2 * SAMPLES_PER_FRAME))
    back = q.take()
    assert not back.underrun
    assert back.samples[0] == 0.0
    assert back.samples[EDGE_SAMPLES] == 0.5


def test_segments_play_in_the_order_they_were_opened() -> None:
    q = queue(start_ms=0)
    first, second = q.open("a"), q.open("b")
    q.push(second, tone(SAMPLES_PER_FRAME))
    q.push(first, -tone(SAMPLES_PER_FRAME))
    q.close(first)
    q.close(second)
    assert q.take().samples[0] == -0.5
    assert q.take().samples[0] == 0.5


def test_interrupt_fades_and_leaves_nothing_behind() -> None:
    q = queue()
    segment = q.open()
    q.push(segment, tone(16_000))
    q.take()
    assert q.interrupt()
    fade = np.concatenate([q.take().samples, q.take().samples])
    assert fade[0] == pytest.approx(0.5)
    assert (np.diff(fade[:FADE_SAMPLES]) <= 0).all()
    assert not fade[FADE_SAMPLES:].any()
    q.push(segment, tone(16_000))  # its source has not heard of the interrupt yet
    assert not q.take().samples.any()
    assert not q.interrupt()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1500), st.integers(0, 2000), st.booleans())
def test_a_fade_begins_in_what_was_taken_and_goes_on_behind_it(
    ahead: int, queued: int, flowing: bool
) -> None:
    q = queue(start_ms=0)
    segment = q.open()
    if flowing:
        q.push(segment, tone(SAMPLES_PER_FRAME))
        q.take()
    q.push(segment, tone(queued))
    taken = tone(ahead)
    assert q.interrupt(taken)
    whole = np.concatenate((taken, *(q.take().samples for _ in range(3))))
    length = min(FADE_SAMPLES, ahead + (queued if flowing else 0))
    assert not whole[length:].any()
    assert (np.diff(whole) <= 0).all()
    if length > 1:
        assert whole[0] == 0.5 and whole[length - 1] == 0.0
        assert whole[length // 2] == pytest.approx(0.125, abs=0.5 / length + 1e-3)
    assert not q.active


def test_what_is_peeked_at_is_still_there() -> None:
    q = queue(start_ms=0)
    assert len(q.peek(10)) == 0
    first, second = q.open(), q.open()
    ramp = np.linspace(0.1, 0.9, 3000, dtype=np.float32)
    for at in range(0, 3000, 700):
        q.push(first, ramp[at : at + 700])
    q.push(second, tone(100))
    for count in (0, 1, 700, 701, 2999):
        assert np.array_equal(q.peek(count), ramp[:count])
    assert np.array_equal(q.peek(9000), ramp)
    assert np.array_equal(q.take().samples, ramp[:SAMPLES_PER_FRAME])
    assert q.peek(1)[0] == ramp[SAMPLES_PER_FRAME]


def test_a_full_queue_refuses_and_keeps_what_it_has() -> None:
    q = queue(limit=1.0)
    segment = q.open()
    q.push(segment, tone(16_000))
    with pytest.raises(Busy):
        q.push(segment, tone(1))
    assert q.waiting == 16_000


def test_a_live_microphone_drops_the_oldest_when_it_lags() -> None:
    q = queue(backlog_ms=200)
    segment = q.open(live=True)
    for _ in range(10):
        q.push(segment, tone(SAMPLES_PER_FRAME))
    assert q.waiting <= 3200
    assert q.dropped == 10 * SAMPLES_PER_FRAME - q.waiting


def words(seconds: float) -> F32:
    """Loud for 320 ms, hardly anything for 120."""
    at = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    loud = np.where(at % 0.44 < 0.32, 0.5, 0.01)
    return np.asarray(loud * np.sign(np.sin(2 * np.pi * 150 * at) + 1e-9), np.float32)


def supplied(q: SpeechQueue, speech: F32, rate: float, *, ahead: int = 0) -> tuple[F32, int]:
    """What is heard of a voice that makes ``rate`` times real time, and the most that waited."""
    segment, at, played, most = q.open(), 0, list[F32](), 0
    for frame in range(1, 100 * FPS):
        due = min(len(speech), ahead + round(frame * rate * SAMPLES_PER_FRAME))
        if due > at:
            q.push(segment, speech[at:due])
            at = due
        if at == len(speech):
            q.close(segment)
        if not q.active:
            break
        most = max(most, q.waiting)
        played.append(q.take().samples)
    return np.concatenate(played), most


def breaks(heard: F32) -> list[float]:
    """How loud it was in the 20 ms before each pause of two frames or more."""
    silent = ~heard.reshape(-1, SAMPLES_PER_FRAME).any(axis=1)
    found = []
    for frame in range(2, len(silent) - 1):
        if silent[frame] and silent[frame + 1] and not silent[frame - 1]:
            end = np.flatnonzero(heard[: frame * SAMPLES_PER_FRAME])[-1]
            found.append(float(np.abs(heard[end - 400 : end - EDGE_SAMPLES]).max()))
    return found


@pytest.mark.parametrize("rate", [0.5, 0.6, 0.7, 0.8])
def test_a_voice_slower_than_speech_pauses_between_words(rate: float) -> None:
    """Not in the middle of a vowel, as it would where it runs dry."""
    speech = words(12)
    heard, _ = supplied(queue(), speech, rate)
    told = breaks(heard)[4:]  # it takes a second to know the voice
    assert len(told) >= 3
    assert np.mean([level < 0.1 for level in told]) >= 0.9, told
    spoken = heard[heard != 0]
    assert len(spoken) >= len(speech) - len(told) * 4 * EDGE_SAMPLES, "nothing is lost"


@pytest.mark.parametrize(("rate", "ahead"), [(1.0, LOW // 2), (1.0, LOW), (3.0, 0)])
def test_a_voice_that_keeps_up_never_pauses_and_nothing_gathers(rate: float, ahead: int) -> None:
    speech = words(8)
    heard, most = supplied(queue(), speech, rate, ahead=ahead)
    began = int(np.flatnonzero(heard)[0])
    assert np.array_equal(heard[began : began + len(speech)], speech)
    if rate == 1.0:
        assert most <= ahead + 2 * SAMPLES_PER_FRAME


def test_a_source_that_is_silent_for_a_while_is_not_slow() -> None:
    """It speaks in real time, with breaks in which it sends nothing: no delay comes from that."""
    q = queue(start_ms=80)
    segment = q.open()
    for _ in range(6):
        for frame in range(30):
            q.push(segment, tone(SAMPLES_PER_FRAME))
            spoken = q.take()
            assert spoken.samples.any() or frame < 1
        for _ in range(20):
            q.take()
