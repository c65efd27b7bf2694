"""Plans windows ahead, and takes back those that a command overtakes.

Speech, mouth and behaviour of the next frames are gathered into a `Window`. What has not left the
timeline and could be made anew in time is taken back from all of them at once and planned again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from core import SAMPLES_PER_FRAME, AudioChunk
from runtime.heard import Heard, Hearing
from runtime.lookahead import Lookahead
from runtime.mouth_mix import MouthMix
from runtime.prosody import Prosody
from runtime.said import Said
from runtime.session_clock import SessionClock
from runtime.speech import FADE_SAMPLES
from runtime.state import Signal, State
from runtime.stats import Stats
from runtime.teller import Teller
from runtime.timeline import Timeline
from runtime.turn_taking import TurnTaking
from runtime.utterances import Utterances
from runtime.voice_track import Turn, Voiced, VoiceTrack
from runtime.window import Window


@dataclass(frozen=True, slots=True)
class Interruption:
    """What an interruption cut off."""

    dropped: bool
    "Something had been or was to be said."
    ended: Turn | None
    "The turn that sounded."
    heard: Hearing
    "What had been heard of it."
    silent: int
    "The first frame in which nothing of it sounds any more."


class WindowPlanner:
    """One instance a session. It alone moves the clock's frame, and takes from the timeline."""

    def __init__(
        self,
        ahead: Lookahead,
        voice: VoiceTrack,
        utterances: Utterances,
        turns: TurnTaking,
        *,
        clock: SessionClock,
        timeline: Timeline,
        teller: Teller,
        stats: Stats,
    ) -> None:
        """Args:
        ahead: The behaviour.
        voice: What is said.
        utterances: What waits to become that.
        turns: Is told where speech begins and ends.
        clock: Says which frame is next, and which could still be made anew.
        timeline: Where whoever renders them puts the windows.
        teller: Publishes what is planned.
        stats: Counts it.
        """
        self._ahead, self._voice, self._utterances, self._turns = ahead, voice, utterances, turns
        self._clock, self._timeline, self._teller, self._stats = clock, timeline, teller, stats
        self._said = Said(voice)
        self._heard = Heard()
        self._prosody = Prosody()
        self._mouth = MouthMix()

    def plan(self, frames: int, label: str, instruction: str, eyes: float) -> Window:
        """Gather the next window and advance media time past it.

        Args:
            frames: Its length.
            label, instruction, eyes: See `Window`.
        """
        self._turns.advance(frames, more=self._has_more(), active=self._voice.active)
        voiced, fresh = self._said.advance(frames)
        self._utterances.drained()
        self._stats.underruns += voiced.underruns
        for turn in voiced.turns:
            self._take_turn(turn)
        self._heard.missed(voiced.underruns * SAMPLES_PER_FRAME)
        if fresh is not None:
            self._follow_speech(fresh)
        controls, felt = self._ahead.take(frames)
        mouth, felt = self._mouth.mix(
            voiced.mouth, felt, voiced.samples,
            speaking=self._turns.state is State.SPEAKING, coming=self._voice.coming,
        )  # fmt: skip
        window = Window(
            start=self._clock.frame,
            controls=controls,
            mouth=mouth,
            audio=AudioChunk(voiced.samples, self._clock.pts),
            felt=felt,
            tokens=voiced.tokens,
            label=label,
            instruction=instruction,
            eyes=eyes,
        )
        self._tell(window)
        self._clock.frame += frames
        return window

    def plan_again(self, now: float) -> None:
        """Take back what could be made anew. What is said there stays."""
        self._take_back(self._clock.frame - self._clock.soonest(now), again=True)

    def hurry(self, now: float) -> None:
        """Where speech waits behind windows of silence, take those back."""
        if not self._voice.ready or self._voice.sounding:
            return
        loose = self._clock.frame - self._clock.soonest(now)
        self._take_back(min(self._said.silent, loose), again=False)

    def interrupt(self) -> Interruption:
        """Cut off what is said: what is about to sound fades, the rest is gone."""
        planned = self._timeline.unheard()
        pts = self._clock.pts - len(planned)
        heard = self._heard.interrupt(pts)
        dropped, ended = self._said.interrupt(planned)
        self._timeline.sound(planned)
        self._mouth.stop()
        silent = math.ceil((pts + FADE_SAMPLES) / SAMPLES_PER_FRAME)
        return Interruption(dropped, ended, heard, silent)

    # --- inside ------------------------------------------------------------------------------

    def _take_back(self, frames: int, *, again: bool) -> None:
        """Take back up to ``frames`` of the frames planned last; say what was said there again?"""
        most = min(max(frames, 0), len(self._said), self._timeline.loose)
        back = self._ahead.rewind(most)
        self._clock.frame -= back
        self._timeline.cut(self._clock.frame)
        self._teller.take_back(back)
        self._said.take_back(back, again=again)

    def _take_turn(self, turn: Turn) -> None:
        """Tell that speech begins or ends in the window being planned."""
        if turn.began:
            self._turns.fire(Signal.SPEECH_STARTED, turn.cause)
        phase = {"phase": "started" if turn.began else "ended"}
        pts = self._clock.pts + turn.frame * SAMPLES_PER_FRAME
        self._teller.tell("speech", phase, turn.cause, pts=pts)
        if turn.segment is not None:
            self._heard.turn(turn.segment, pts, turn.began)
        # Otherwise the next one follows at once.
        if not turn.began and (self._voice.live or not self._has_more()):
            self._turns.fire(Signal.SPEECH_ENDED, turn.cause)

    def _has_more(self) -> bool:
        return self._utterances.waiting or self._voice.active

    def _follow_speech(self, voiced: Voiced) -> None:
        """Beats on stressed syllables, blinks at the ends of phrases."""
        speaking = self._voice.speaking
        strength = self._prosody.stress(voiced.samples, speaking)
        if strength is not None:
            self._ahead.strike(strength)
        if self._prosody.phrase_ends(speaking, len(voiced.mouth)):
            self._ahead.end_phrase()

    def _tell(self, window: Window) -> None:
        """What the eyes will do, and the controls as they are."""
        for chunk in self._ahead.fresh():
            self._stats.planned(chunk.plan)
            self._teller.plan(chunk)
        self._teller.actions(self._ahead.news())
        self._teller.controls(window.start, window.controls)
