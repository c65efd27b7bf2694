"""Windows are planned ahead; a command takes back what could still be made anew, and no more."""

from __future__ import annotations

import numpy as np
import pytest

from core import F32, FPS, SAMPLE_RATE, SAMPLES_PER_FRAME, Portrait
from engines.mouth import Mouth
from engines.voice import Voice
from runtime.session import Session
from runtime.settings import RuntimeSettings
from runtime.timeline import PIECE, SOUND_AHEAD
from runtime.window import Window
from tests.runtime.test_session import Clock, Flat, vowel
from tests.runtime.test_voice_track import LOOKAHEADS, DelayedMouth

LEAD = 0.16
TICK = 0.01


class Eights(Flat):
    window_frames = 8
    lead_ms = round(1000 * LEAD)


class Played:
    """A session and all that it sent, by a clock of its own; pictures are there at once."""

    def __init__(
        self,
        portrait: Portrait,
        mouth: Mouth | None = None,
        *,
        renderer: type[Flat] = Eights,
        voice: Voice | None = None,
    ) -> None:
        self.clock = Clock()
        self.session = Session(
            "test", portrait, renderer(), RuntimeSettings(), voice=voice, now=self.clock(),
            clock=self.clock, seed=1, mouth=mouth,
        )  # fmt: skip
        self.windows: list[Window] = []
        self.sound: list[F32] = []
        self.pictures: list[int] = []

    def run(self, seconds: float) -> None:
        """What the scheduler does."""
        session = self.session
        for _ in range(round(seconds / TICK)):
            self.clock.now += TICK
            session.hurry(self.clock())
            if session.clock.due() <= self.clock():
                window = session.plan()
                self.windows.append(window)
                session.timeline.add(window, "made")
                for frame, picture in enumerate(session.renderer.render(window, 0), window.start):
                    session.timeline.show(window, frame, picture)
            for leaving in session.timeline.leave(self.clock() - session.epoch):
                if leaving.audio is not None:
                    assert leaving.audio.pts == len(self.sound) * PIECE
                    self.sound.append(leaving.audio.samples)
                if leaving.video is not None:
                    self.pictures.append(leaving.video.pts // SAMPLES_PER_FRAME)

    @property
    def all_sound(self) -> F32:
        return np.concatenate(self.sound)

    def controls(self) -> F32:
        """As presented: where windows overlap, the later one counts."""
        return self._rows([window.controls.values for window in self.windows])

    def mouths(self) -> F32:
        """The same of the mouth."""
        return self._rows([window.mouth.values for window in self.windows])

    def _rows(self, tracks: list[F32]) -> F32:
        last = self.windows[-1]
        rows = np.zeros((last.start + len(last), tracks[0].shape[1]), np.float32)
        for window, values in zip(self.windows, tracks, strict=True):
            rows[window.start : window.start + len(window)] = values
        return rows

    def now(self) -> int:
        """The frame that is presented."""
        return int((self.clock() - self.session.epoch) * FPS)


@pytest.fixture
def played(portrait: Portrait) -> Played:
    made = Played(portrait)
    made.run(2.0)
    return made


def test_everything_leaves_once_and_in_order(played: Played) -> None:
    assert played.pictures == list(range(len(played.pictures)))
    assert len(played.pictures) == pytest.approx(2.0 * FPS, abs=4)
    # Sound leaves 50 ms later, so that an interruption still reaches it.
    assert len(played.sound) / 2 == pytest.approx(len(played.pictures) - 1.25, abs=1.25)


def test_speech_is_heard_after_a_window_s_lead_not_after_the_window(portrait: Portrait) -> None:
    late = []
    for wait in np.arange(0, 0.32, 0.04):  # at any moment of a window
        played = Played(portrait)
        played.run(2.0 + wait)
        played.session.push_audio(vowel(1.0))
        played.session.end_audio()
        since = played.clock() - played.session.epoch
        played.run(2.0)
        first = np.flatnonzero(np.abs(played.all_sound) > 1e-4)[0] / SAMPLE_RATE
        late.append(first - since)
        assert played.pictures == list(range(len(played.pictures)))
    assert max(late) < LEAD + 0.04 + 0.04 + 0.04  # what the mouth looks ahead, frames, ticks
    assert np.sum(played.all_sound**2) == pytest.approx(np.sum(vowel(1.0) ** 2), rel=0.01)


def test_an_interruption_fades_where_it_cuts(played: Played) -> None:
    played.session.push_audio(vowel(3.0))
    played.session.end_audio()
    played.run(1.1)
    at = played.clock() - played.session.epoch
    played.session.interrupt()
    played.run(1.0)
    loud = np.flatnonzero(np.abs(played.all_sound) > 1e-4)
    # At once, whatever time a window takes: what is about to sound, 20 ms of it, and the fade.
    assert loud[-1] / SAMPLE_RATE <= at + SOUND_AHEAD + 0.02 + 0.06 + 1e-3
    assert np.abs(np.diff(played.all_sound)).max() <= np.abs(np.diff(vowel(3.0))).max() * 1.05
    assert played.pictures == list(range(len(played.pictures)))
    assert not played.session.info()["state"] == "speaking"


def test_a_new_label_shows_soon_and_without_a_jump(played: Played) -> None:
    before = played.controls().copy()
    at = played.now()
    played.session.behave(label="surprise")
    played.run(1.5)
    after = played.controls()
    same = len(before)
    differs = np.flatnonzero(np.abs(after[:same] - before).max(1) > 1e-6)
    assert len(differs) and differs[0] - at <= (LEAD + 0.08) * FPS
    assert differs[0] - at >= LEAD * FPS - 1  # what could not be made in time stays
    step = np.abs(np.diff(after[:, :10], axis=0)).max(1)
    assert step[at : at + 12].max() < 0.5


@pytest.mark.parametrize("lookahead", LOOKAHEADS)
def test_what_is_said_is_said_once_though_the_eyes_change(
    portrait: Portrait, lookahead: int
) -> None:
    """Commands in the middle of speech take back pictures, never a sound."""
    played = Played(portrait, DelayedMouth(lookahead))
    played.run(1.0)
    said = vowel(2.0)
    played.session.push_audio(said)
    played.session.end_audio()
    for label in ("surprise", "anger", "sadness", "idle", "fear"):
        played.run(0.27)
        played.session.behave(label=label)
    played.run(2.0)
    loud = np.flatnonzero(np.abs(played.all_sound) > 1e-6)
    heard = played.all_sound[loud[0] : loud[-1] + 1]
    first = np.flatnonzero(np.abs(said) > 1e-6)[0]
    assert np.allclose(heard, said[first : first + len(heard)], atol=1e-6)
    assert len(heard) > 0.95 * (len(said) - first)
    starts = [w.start for w in played.windows]
    assert any(b - a < 8 for a, b in zip(starts, starts[1:], strict=False))  # some were cut


def test_a_slow_stream_of_sound_is_not_torn(played: Played) -> None:
    """Sound that arrives just as fast as it is spoken gathers before a window takes it."""
    said = vowel(2.0)
    for first in range(0, len(said), 640):
        played.session.push_audio(said[first : first + 640])
        played.run(0.04)
    played.session.end_audio()
    played.run(1.0)
    assert played.session.stats.underruns == 0
    loud = np.flatnonzero(np.abs(played.all_sound) > 1e-6)
    assert loud[-1] - loud[0] == pytest.approx(2.0 * SAMPLE_RATE, rel=0.05)


def test_nothing_is_taken_back_that_can_not_be_made_in_time(played: Played) -> None:
    session = played.session
    session.clock.rendering_since = played.clock()  # a window is just being made
    frame = session.clock.frame
    session.behave(label="fear")
    left = session.clock.presented(session.clock.frame) - played.clock()
    assert left >= min(2 * LEAD, session.clock.presented(frame) - played.clock()) - 0.04
