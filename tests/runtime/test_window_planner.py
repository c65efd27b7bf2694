"""Windows touch; a command takes back what could be made anew, from every part at once."""

from __future__ import annotations

import numpy as np
import pytest

from core import F32, FPS, SAMPLES_PER_FRAME
from planner.behaviour import Behaviour
from runtime.lookahead import Lookahead
from runtime.session_clock import SessionClock
from runtime.settings import RuntimeSettings
from runtime.speech import FADE_SAMPLES, SpeechQueue
from runtime.state import State
from runtime.stats import Stats
from runtime.teller import Teller
from runtime.timeline import Timeline
from runtime.turn_taking import TurnTaking
from runtime.utterances import Utterances
from runtime.voice_track import VoiceTrack
from runtime.window import Window
from runtime.window_planner import WindowPlanner
from tests.runtime.test_voice_track import DelayedMouth, sound

LEAD = 0.16
NOW = 100.0


class Stage:
    """All that windows are planned from, without a session."""

    def __init__(self) -> None:
        settings = RuntimeSettings()
        self.clock = SessionClock(lambda: LEAD, NOW)
        self.timeline = Timeline(LEAD)
        self.voice = VoiceTrack(queue := SpeechQueue(limit=60, start_ms=0, live_backlog_ms=0),
                                DelayedMouth())  # fmt: skip
        self.turns = TurnTaking(lambda state, cause: None)
        self.planner = WindowPlanner(
            Lookahead(Behaviour(1)), self.voice,
            Utterances(None, queue, settings, lambda error, cause: None), self.turns,
            clock=self.clock, timeline=self.timeline, teller=Teller("test", self.clock),
            stats=Stats(),
        )  # fmt: skip

    def plan(self, windows: int, frames: int = 8) -> list[Window]:
        made = [self.planner.plan(frames, "idle", "", 1.0) for _ in range(windows)]
        for window in made:
            self.timeline.add(window, "for nobody")
        return made

    def say(self, samples: F32) -> None:
        self.voice.push(samples, None, live=False)
        self.voice.end()


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_windows_touch_and_time_moves_past_them(stage: Stage) -> None:
    first, second = stage.plan(2)
    assert (first.start, second.start, stage.clock.frame) == (0, 8, 16)
    assert first.audio.end == second.audio.pts and len(stage.timeline) == 16


def test_what_is_taken_back_leaves_the_timeline_and_is_said_again(stage: Stage) -> None:
    stage.say(sound(10 * SAMPLES_PER_FRAME))
    before = np.concatenate([window.audio.samples for window in stage.plan(3)])
    stage.planner.plan_again(NOW + 4 / FPS)
    kept = stage.clock.frame
    assert kept == stage.clock.soonest(NOW + 4 / FPS) == len(stage.timeline) < 24
    (anew,) = stage.plan(1, 24 - kept)
    assert np.array_equal(anew.audio.samples, before[kept * SAMPLES_PER_FRAME :])


def test_what_has_left_is_not_taken_back_however_late_the_command_asks(stage: Stage) -> None:
    stage.plan(3)
    assert list(stage.timeline.leave(10 / FPS))
    left = stage.clock.frame - stage.timeline.loose
    stage.planner.plan_again(NOW - 10.0)  # as if all of it could be made anew
    assert stage.clock.frame == left > 0


def test_silence_gives_way_to_speech_and_speech_to_nothing(stage: Stage) -> None:
    stage.plan(3)
    stage.planner.hurry(NOW)
    assert stage.clock.frame == 24, "nothing waits to be said"
    stage.say(sound(20 * SAMPLES_PER_FRAME))
    stage.planner.hurry(NOW)
    free = stage.clock.soonest(NOW)
    assert stage.clock.frame == free
    (spoken,) = stage.plan(1)
    assert spoken.audio.samples.any() and stage.turns.state is State.SPEAKING
    stage.planner.hurry(NOW)
    assert stage.clock.frame == free + 8, "no speech is taken back for speech"


def test_an_interruption_fades_in_what_waits_and_says_when_it_is_silent(stage: Stage) -> None:
    stage.say(sound(60 * SAMPLES_PER_FRAME))
    stage.plan(2)
    cut = stage.planner.interrupt()
    assert cut.dropped and cut.ended is not None and cut.heard["heard_ms"] == 0
    assert cut.silent == -(-FADE_SAMPLES // SAMPLES_PER_FRAME)
    waits = stage.timeline.unheard()
    assert waits[:FADE_SAMPLES].any() and not waits[cut.silent * SAMPLES_PER_FRAME :].any()
    (after,) = stage.plan(1)
    assert not after.audio.samples.any() and not stage.planner.interrupt().dropped
