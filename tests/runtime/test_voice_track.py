"""VoiceTrack: what a mouth that looks ahead presents is what another one would, only later."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import F32, MOUTH, SAMPLE_RATE, SAMPLES_PER_FRAME, MouthTrack
from engines.mouth import Mouth
from runtime.speech import FADE_SAMPLES, SpeechQueue
from runtime.voice_track import Turn, VoiceTrack

LOOKAHEADS = (0, 320, 640, 960, 1280)


class DelayedMouth:
    """Opens as far as a frame is loud; hears it ``lookahead`` samples before it has to show it."""

    def __init__(self, lookahead: int = 0) -> None:
        self.lookahead = lookahead
        self.reset()

    def reset(self) -> None:
        self._line = np.zeros(self.lookahead, np.float32)
        self._tokens = np.zeros((0, 256), np.float32)
        self._loud = False

    @property
    def speaking(self) -> bool:
        return self._loud

    @property
    def tokens(self) -> F32:
        return self._tokens

    def push(self, samples: F32) -> MouthTrack:
        self._tokens = np.zeros((2 * len(samples) // SAMPLES_PER_FRAME, 256), np.float32)
        held = np.concatenate((self._line, samples))
        self._line = held[len(samples) :]
        frames = held[: len(samples)].reshape(-1, SAMPLES_PER_FRAME)
        track = MouthTrack.rest(len(frames))
        level = frames.std(axis=1)  # a constant offset is no sound
        track.values[:, MOUTH["jaw"]] = np.minimum(level, 1.0)
        self._loud = bool(len(level)) and bool(level[-1] > 0.02)
        return track


def sound(samples: int, seed: int = 0) -> F32:
    """Something between a voice and noise, never zero."""
    t = np.arange(samples) / SAMPLE_RATE
    wave = np.sin(2 * np.pi * 130 * t) + 0.5 * np.sin(2 * np.pi * 1100 * t)
    noise = np.random.default_rng(seed).uniform(0.01, 0.2, samples)
    return np.asarray(0.3 * wave + noise, np.float32)


@dataclass
class Rehearsal:
    """A track over a queue of its own, and all it has presented."""

    lookahead: int
    samples: list[F32] = field(default_factory=list)
    mouths: list[F32] = field(default_factory=list)
    turns: list[tuple[int, bool, str | None]] = field(default_factory=list)
    underruns: int = 0
    frame: int = 0

    def __post_init__(self) -> None:
        mouth: Mouth = DelayedMouth(self.lookahead)
        self.queue = SpeechQueue(limit=60.0, start_ms=60, live_backlog_ms=200)
        self.track = VoiceTrack(self.queue, mouth)

    def advance(self, frames: int) -> None:
        voiced = self.track.advance(frames)
        assert len(voiced.mouth) == frames
        assert len(voiced.samples) == frames * SAMPLES_PER_FRAME
        self.samples.append(voiced.samples)
        self.mouths.append(voiced.mouth.values)
        self.underruns += voiced.underruns
        self.turns += [(self.frame + t.frame, t.began, t.cause) for t in voiced.turns]
        self.frame += frames

    def say(self, samples: F32, cause: str) -> None:
        segment = self.queue.open(cause)
        self.queue.push(segment, samples)
        self.queue.close(segment)

    @property
    def presented(self) -> F32:
        return np.concatenate(self.samples)


deeds = st.lists(
    st.one_of(
        st.tuples(st.just("push"), st.integers(0, 2_500)),
        st.tuples(st.just("end"), st.just(0)),
        st.tuples(st.just("say"), st.integers(0, 4_000)),
        st.tuples(st.just("advance"), st.integers(1, 8)),
    ),
    max_size=14,
)


@settings(max_examples=60, deadline=None)
@given(deeds, st.sampled_from(LOOKAHEADS))
def test_looking_ahead_only_delays(done: list[tuple[str, int]], lookahead: int) -> None:
    plain, ahead = Rehearsal(0), Rehearsal(lookahead)
    for k, (what, size) in enumerate([*done, ("end", 0), ("advance", 12)]):
        for one in (plain, ahead):
            match what:
                case "push":
                    one.track.push(sound(size, k), "stream", live=False)
                case "end":
                    one.track.end()
                case "say":
                    one.say(sound(size, k), f"say{k}")
                case "advance":
                    one.advance(size)
    length = len(ahead.presented)
    delayed = np.concatenate((np.zeros(lookahead, np.float32), plain.presented))
    assert np.array_equal(ahead.presented, delayed[:length])
    assert np.array_equal(np.concatenate(ahead.mouths), DelayedMouth().push(ahead.presented).values)
    begin, end = lookahead // SAMPLES_PER_FRAME, -(-lookahead // SAMPLES_PER_FRAME)
    expected = [(f + (begin if began else end), began, cause) for f, began, cause in plain.turns]
    assert ahead.turns == [turn for turn in expected if turn[0] < ahead.frame]
    assert ahead.underruns == plain.underruns
    assert ahead.track.active == (plain.track.active or len(ahead.turns) < len(plain.turns))


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 12_000),
    st.integers(0, 25),
    st.sampled_from(LOOKAHEADS),
    st.integers(0, 3),
)
def test_an_interrupt_fades_what_would_have_been_heard_and_nothing_follows(
    size: int, frames: int, lookahead: int, again: int
) -> None:
    cut, whole = Rehearsal(lookahead), Rehearsal(lookahead)
    for one in (cut, whole):
        one.say(sound(size), "a")
        one.say(sound(3_000), "b")
        for _ in range(frames):
            one.advance(1)
    had = whole.track.active
    sounding = whole.track.sounding
    dropped, ended = cut.track.interrupt()
    assert dropped == had
    assert (ended is not None) == sounding
    assert not cut.track.coming(4_000)[FADE_SAMPLES:].any()
    before, told = len(cut.presented) if frames else 0, len(cut.turns)
    for one in (cut, whole):
        one.advance(8)
    heard = cut.presented[before:]
    would = whole.presented[before : before + FADE_SAMPLES]
    assert not heard[FADE_SAMPLES:].any()
    assert (np.abs(heard[:FADE_SAMPLES]) <= np.abs(would) + 1e-6).all()
    share = heard[:FADE_SAMPLES][would != 0] / would[would != 0]
    assert (np.diff(share) <= 1e-5).all()  # it only gets softer
    assert len(cut.turns) == told
    assert not cut.track.active
    cut.say(sound(2_000, 7), "c")
    cut.advance(12)
    after = cut.presented[before + 8 * SAMPLES_PER_FRAME :]
    assert np.array_equal(after[lookahead : lookahead + 2_000], sound(2_000, 7))
    assert [t[1:] for t in cut.turns[told:]] == [(True, "c"), (False, "c")]


@pytest.mark.parametrize("lookahead", LOOKAHEADS)
def test_after_an_interrupt_the_mouth_closes_in_time(lookahead: int) -> None:
    one = Rehearsal(lookahead)
    one.say(sound(20_000), "a")
    one.advance(15)
    assert one.mouths[-1][-1, MOUTH["jaw"]] > 0.1
    one.track.interrupt()
    one.advance(8)
    assert one.mouths[-1][5:, MOUTH["jaw"]].max() < 0.05  # 200 ms later; lips may be pressed


@pytest.mark.parametrize("lookahead", LOOKAHEADS)
def test_two_interrupts_are_one(lookahead: int) -> None:
    one = Rehearsal(lookahead)
    one.say(sound(20_000), "a")
    one.advance(3)
    assert one.track.interrupt()[0]
    one.advance(1)
    assert one.track.interrupt() == (False, None)
    one.advance(4)
    faded = np.concatenate(one.samples[1:])
    assert not faded[FADE_SAMPLES:].any()
    assert np.abs(np.diff(faded)).max() < 0.5  # no click


@pytest.mark.parametrize("lookahead", LOOKAHEADS)
def test_a_microphone_s_turns_are_told_when_they_are_heard(lookahead: int) -> None:
    one = Rehearsal(lookahead)
    quiet, voice = np.zeros(8_000, np.float32), sound(9_600)
    whole = np.concatenate((quiet, voice, quiet, quiet))
    for at in range(0, len(whole), SAMPLES_PER_FRAME):
        one.track.push(whole[at : at + SAMPLES_PER_FRAME], "mic", live=True)
        one.advance(1)
    assert [(began, cause) for _, began, cause in one.turns] == [(True, "mic"), (False, "mic")]
    onset = np.flatnonzero(one.presented)[0] // SAMPLES_PER_FRAME
    assert 0 <= one.turns[0][0] - onset <= 3


@pytest.mark.parametrize("lookahead", LOOKAHEADS)
def test_wild_samples_are_tamed_before_anybody_hears_them(lookahead: int) -> None:
    one = Rehearsal(lookahead)
    wild = sound(6_400)
    wild[::7], wild[1::7], wild[2::7] = np.nan, np.inf, -40.0
    one.track.push(wild, None, live=False)
    one.track.end()
    one.advance(14)
    assert np.isfinite(one.presented).all() and np.abs(one.presented).max() == 1.0
    assert np.isfinite(np.concatenate(one.mouths)).all()


@pytest.mark.parametrize("level", [0.05, 0.5, 1.0, -1.0])
def test_a_constant_offset_is_no_speech(level: float) -> None:
    one = Rehearsal(640)
    for _ in range(50):
        one.track.push(np.full(640, level, np.float32), None, live=True)
        one.advance(1)
    assert one.turns == []
    assert np.concatenate(one.mouths)[8:].max() < 1e-6  # its beginning is a click


def test_what_comes_is_seen_through_the_delay() -> None:
    one = Rehearsal(960)
    assert not len(one.track.coming(0)) and not one.track.coming(5_000).any()
    wave = sound(4_000)
    one.say(wave, "a")
    one.advance(2)
    coming = one.track.coming(2_000)
    assert np.array_equal(coming, wave[2 * 640 - 960 :][:2_000])
    one.advance(1)
    assert np.array_equal(one.samples[-1], coming[:640])


def test_a_turn_says_where_in_the_window_it_is() -> None:
    one = Rehearsal(640)
    one.say(sound(1_000), "a")
    assert one.track.advance(8).turns == (Turn(1, True, "a"), Turn(2, False, "a"))


@pytest.mark.parametrize("lookahead", LOOKAHEADS)
def test_a_microphone_that_never_sounded_leaves_nothing_open(lookahead: int) -> None:
    one = Rehearsal(lookahead)
    one.say(sound(16_000), "a")
    one.advance(25 + lookahead // SAMPLES_PER_FRAME)
    assert one.track.speaking
    one.track.push(sound(10), "mic", live=True)  # while the voice before still rings
    one.advance(1)
    one.track.interrupt()
    one.track.push(np.zeros(0, np.float32), "mic", live=True)
    one.advance(2)
    one.track.end()
    one.advance(10)
    assert not one.track.active
