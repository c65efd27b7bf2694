"""One avatar, alive from creation to close, whoever watches.

The way of a frame: `plan` gathers speech, mouth and behaviour into a `Window` (event loop) and puts
it on the timeline, the scheduler renders it in a thread, `leave` hands sound and pictures to the
viewers when they are due. A command cuts the timeline: what has not
left and could be made anew in time is taken back and planned again.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from typing import Any, Final, TypeAlias, cast

import numpy as np

from core import (
    F32,
    FPS,
    SAMPLE_RATE,
    SAMPLES_PER_FRAME,
    AudioChunk,
    ControlTrack,
    InvalidInput,
    NotFound,
    Portrait,
    VideoFrame,
)
from engines.mouth import Mouth, SpeechMouth
from engines.voice import Voice
from planner.behaviour import Behaviour
from planner.library import load_library
from planner.manners import State as Manner
from runtime import explain
from runtime.author import Author, Writers
from runtime.events import Event, EventFeed, EventHub
from runtime.heard import Heard
from runtime.latency import Awaited
from runtime.limits import Limits
from runtime.lookahead import Lookahead
from runtime.media import MediaFeed, MediaHub
from runtime.mouth_mix import MouthMix
from runtime.prosody import Prosody
from runtime.renderer import Renderer
from runtime.said import Said
from runtime.settings import RuntimeSettings
from runtime.speech import FADE_SAMPLES, SpeechQueue
from runtime.state import Signal, State, fire
from runtime.stats import Stats
from runtime.timeline import Timeline
from runtime.utterances import Utterances
from runtime.voice_track import Turn, Voiced, VoiceTrack
from runtime.window import Window

log = logging.getLogger(__name__)

Overlay: TypeAlias = Callable[
    [AudioChunk | None, VideoFrame | None], tuple[AudioChunk | None, VideoFrame | None]
]
CONTROLS_FRAMES: Final = 5
"Frames in one `controls` event: five events a second are smooth in a chart and cheap to send."
REST_FRAMES: Final = 6 * FPS
"Six quiet seconds after speaking, the avatar goes from listening to idle."
MOST_EYES: Final = 2.5
"Strongest guidance that students learn (`engines.video.distil.STRONGEST`): 1 + 2 · 2.5."


class Session:
    """Owns all one avatar uses: speech, behaviour, mouth, renderer, feeds, the voice's task."""

    def __init__(
        self,
        id: str,
        portrait: Portrait,
        renderer: Renderer,
        settings: RuntimeSettings,
        *,
        voice: Voice | None,
        now: float,
        clock: Callable[[], float],
        seed: int = 0,
        label: str = "idle",
        instruction: str = "",
        eyes: float = 1.0,
        writers: Writers | None = None,
        mouth: Mouth | None = None,
    ) -> None:
        """Args:
            eyes: As in `behave`.
            writers: Have a language model plan ahead; without, the embedded planner does.
            mouth: Turns sound into a mouth, for this session alone; by default, the trained one.

        Raises:
            InvalidInput: An unknown label, or an instruction that is too long.
        """
        self.id = id
        self.portrait = portrait
        self.label = label
        self.instruction = instruction
        self.state = State.IDLE
        self.settings = settings
        self.renderer = renderer
        self._ahead_ms = settings.lead_ms
        self.epoch = now + self.lead
        "Monotonic time at which pts 0 is presented."
        self.limits: Final = Limits(settings, created=now, touched=now)
        "When it ends by itself."
        self.stats = Stats()
        self._reacting = Awaited(self.stats.reaction)
        self._hushing = Awaited(self.stats.hush)
        self.overlay: Overlay | None = None
        "Changes what leaves; for measuring."
        self.timeline: Final = Timeline(settings.lead_ms / 1000)
        "What is planned and has not left."
        self.eyes = _strength(eyes)
        "How strongly the eyes are guided."
        self.turn = 0
        "Counts interruptions: what was meant for an earlier turn is not to be spoken."
        self.warned = False
        self._clock = clock
        self._frame = 0
        performer = Behaviour(seed, label=label, instruction=instruction, library=load_library())
        self._ahead = Lookahead(performer, label=label, instruction=instruction, seed=seed)
        self._author = None if writers is None else Author(writers, portrait, self._hear_trouble)
        self._said = ""
        self.unknown: list[str] = performer.unknown
        "Parts of the instruction that were not understood."
        mouth = mouth or SpeechMouth(settings.mouth_lookahead_ms)
        # What the mouth waits for anyway need not be gathered before it starts.
        ahead_ms = mouth.lookahead * 1000 // SAMPLE_RATE
        self._speech = SpeechQueue(
            limit=settings.max_speech,
            start_ms=max(0, settings.speech_start_ms - ahead_ms),
            live_backlog_ms=settings.live_backlog_ms,
            window_frames=renderer.window_frames,
        )
        self._voice = VoiceTrack(self._speech, mouth)
        self._utterances = Utterances(voice, self._speech, settings, self._failed)
        self._events = EventHub()
        self._media = MediaHub()
        self._quiet = 0
        self._prosody = Prosody()
        self._mouth = MouthMix()
        self._controls: list[F32] = []
        self._sayings = Said(self._voice)
        self._heard = Heard()
        self._degraded = False
        self.ended = asyncio.Event()
        "Set when the session is closed."
        self.rendering_since: float | None = None
        "When the window began that is being rendered; the scheduler's."

    # --- commands (event loop) ---------------------------------------------------------------

    def push_audio(self, samples: F32, cause: str | None = None, *, live: bool = False) -> None:
        """Speak float32 ``[N]`` at 16 kHz as it arrives; `end_audio` says that it is over.

        Args:
            live: A microphone: late audio is dropped, and speaking is told by voice activity.

        Raises:
            Busy: More speech is queued than the session may hold.
        """
        self._touch()
        self._voice.push(samples, cause, live=live)

    def end_audio(self, cause: str | None = None) -> None:
        """Nothing follows the audio pushed so far. Without any, nothing happens."""
        self._touch()
        self._voice.end()

    def say(self, text: str, cause: str | None = None) -> None:
        """Queue ``text`` on the voice.

        Raises:
            InvalidInput: Empty or too long.
            Busy: Too many utterances wait.
            Unavailable: There is no voice.
        """
        self._touch()
        self._utterances.say(text, cause)
        self._said = text
        self._plan_again()
        self._fire(Signal.ASKED, cause)

    def play(self, samples: F32, cause: str | None = None) -> None:
        """Queue a recording, float32 ``[N]`` at 16 kHz, behind what is being said.

        Raises:
            Busy: Too much waits.
            NotFound: The session has ended.
        """
        if self.state is State.CLOSED:
            raise NotFound("The session has ended.")
        self._touch()
        self._utterances.play(samples, cause)
        self._said = ""

    def behave(
        self,
        *,
        label: str | None = None,
        instruction: str | None = None,
        eyes: float | None = None,
        cause: str | None = None,
    ) -> list[str]:
        """Change what the eyes mean, as soon as a window can be made.

        Args:
            label: A state, see `planner.categories`.
            instruction: What to do, in words.
            eyes: How strongly the generator's eyes are guided, 0 to `MOST_EYES`; 1 is usual.
            cause: Id of the command.

        Returns:
            The parts of the instruction that were not understood.

        Raises:
            InvalidInput: An unknown label, an instruction that is too long, or a strength out of
                range; nothing changes.
        """
        self._touch()
        eyes = self.eyes if eyes is None else _strength(eyes)
        unknown: list[str] = []
        if label is not None or instruction is not None:
            self._plan_again()
            unknown = self._ahead.behave(label=label, instruction=instruction)
        self.eyes = eyes
        self._reacting.expect(self._frame, self._clock())
        if instruction is not None:
            self.unknown = unknown
        self.label = self.label if label is None else label
        self.instruction = self.instruction if instruction is None else instruction
        return unknown

    def attend(self, state: str, cause: str | None = None) -> None:
        """The client says what goes on: listening (the user talks), thinking, or idle.

        Raises:
            InvalidInput: Another word; or the avatar speaks (interrupt it first).
        """
        self._touch()
        signals = {
            "listening": Signal.ATTENDED,
            "thinking": Signal.ASKED,
            "idle": Signal.RESTED,
        }
        if state not in signals:
            raise InvalidInput(f"state is one of {', '.join(signals)}, not {state!r}.")
        if self.state is State.SPEAKING:
            raise InvalidInput("The avatar is speaking; interrupt it first.")
        self._quiet = 0
        self._plan_again()
        self._fire(signals[state], cause)

    def interrupt(self, cause: str | None = None) -> None:
        """Stop speaking: everything queued goes, what is about to sound fades within 40 ms."""
        self._touch()
        self.turn += 1
        self._utterances.interrupt()
        self._said = ""
        self._plan_again()
        planned = self.timeline.unheard()
        pts = self.pts - len(planned)
        heard = self._heard.interrupt(pts)
        dropped, ended = self._sayings.interrupt(planned)
        self.timeline.sound(planned)
        if dropped:
            faded = math.ceil((pts + FADE_SAMPLES) / SAMPLES_PER_FRAME)
            self._hushing.expect(faded, self._clock())
        self._mouth.stop()
        if ended is not None:
            self._emit("speech", {"phase": "ended", "interrupted": True}, ended.cause)
        self._fire(Signal.INTERRUPTED, cause)
        self._emit("interrupted", {"dropped": dropped, **heard, "turn": self.turn}, cause)

    # --- listeners ---------------------------------------------------------------------------

    def subscribe(self) -> EventFeed:
        """A feed of events, to be entered with ``async with``."""
        return self._events.subscribe()

    def watch(self) -> MediaFeed:
        """A feed of frames and audio, to be entered with ``async with``."""
        return self._media.watch()

    def keep(self) -> None:
        """Somebody is on the way to watch: the session does not count as idle."""
        self.limits.touched = self._clock()

    def tell(self, type: str, data: dict[str, Any]) -> None:
        """Publish an event of what was made of the session's media."""
        self._emit(type, data)

    @property
    def viewers(self) -> int:
        """Who watches, through open media feeds."""
        return self._media.watchers

    @property
    def frame(self) -> int:
        """The first frame of the next window."""
        return self._frame

    @property
    def pts(self) -> int:
        """Media time of the next window, 16 kHz samples."""
        return self._frame * SAMPLES_PER_FRAME

    def info(self) -> dict[str, Any]:
        """JSON-ready description."""
        return {
            "id": self.id,
            "portrait": self.portrait.id,
            "label": self.label,
            "instruction": self.instruction,
            "unknown": self.unknown,
            "eyes": self.eyes if self.renderer.guided else None,
            "state": self.state.value,
            "turn": self.turn,
            "viewers": self.viewers,
            "pts": self.pts,
            "expires_in": self.expires_in(self._clock()),
        }

    def plans(self) -> list[dict[str, Any]]:
        """The latest plans and how each came about, newest first, JSON-ready."""
        return [explain.chunk(chunk) for chunk in self._ahead.plans()]

    @property
    def queue_ms(self) -> int:
        """Speech that waits, ms."""
        return self._speech.waiting * 1000 // SAMPLE_RATE

    def expires_in(self, now: float) -> float | None:
        """Seconds until a limit ends the session; None when none applies."""
        first = self.limits.first(watched=bool(self.viewers))
        return None if first is None else round(max(0.0, first[0] - now), 1)

    @property
    def limit(self) -> str:
        """Which limit ends the session first, see `Limits.first`; empty for none."""
        first = self.limits.first(watched=bool(self.viewers))
        return "" if first is None else first[1]

    def end_in(self, seconds: float) -> None:
        """End at that time at the latest, and tell so: the server is about to stop."""
        self.limits.drained = self._clock() + seconds
        self.warn_expiring(seconds)

    # --- the live loop (scheduler) -----------------------------------------------------------

    @property
    def lead(self) -> float:
        """Seconds before its presentation at which a window is planned."""
        return max(self._ahead_ms, self.renderer.lead_ms) / 1000

    def due(self) -> float:
        """Monotonic time at which the next window should be planned."""
        return self.presented(self._frame) - self.lead

    def presented(self, frame: int) -> float:
        """Monotonic time at which a frame is presented."""
        return self.epoch + frame / FPS

    def late_ms(self, now: float) -> float:
        """How far the next window is behind its plan time; negative when early."""
        return (now - self.due()) * 1000

    def reanchor(self, now: float) -> None:
        """After a stall, move the session's clock instead of sending a burst."""
        shift = now - self.due()
        self.epoch += shift
        self.stats.stalls += 1
        log.warning("clock moved", extra={"session": self.id, "late_ms": round(shift * 1000)})
        self._emit("degraded", {"reason": "stall", "shift_ms": round(shift * 1000)})

    def plan(self) -> Window:
        """Gather the next window and advance media time past it."""
        frames = self.renderer.window_frames
        self._pump_state()
        voiced, fresh = self._sayings.advance(frames)
        self._utterances.drained()
        self.stats.underruns += voiced.underruns
        for turn in voiced.turns:
            self._take_turn(turn)
        self._heard.missed(voiced.underruns * SAMPLES_PER_FRAME)
        if fresh is not None:
            self._follow_speech(fresh)
        controls, felt = self._ahead.take(frames)
        mouth, felt = self._mouth.mix(
            voiced.mouth, felt, voiced.samples,
            speaking=self.state is State.SPEAKING, coming=self._voice.coming,
        )  # fmt: skip
        window = Window(
            start=self._frame,
            controls=controls,
            mouth=mouth,
            audio=AudioChunk(voiced.samples, self.pts),
            felt=felt,
            tokens=voiced.tokens,
            label=self.label,
            instruction=self.instruction,
            eyes=self.eyes,
        )
        self._tell_plan(controls)
        self._frame += frames
        if self._author is not None:
            said = self._said if self.state in (State.THINKING, State.SPEAKING) else ""
            self._author.follow(self._ahead, said, bool(self.unknown))
        if self.viewers:
            self.limits.watched = self._clock()
        return window

    def hurry(self, now: float) -> None:
        """Where speech waits behind windows of silence, take those back."""
        if not self._voice.ready or self._voice.sounding:
            return
        silent = self._sayings.silent
        self._take_back(min(silent, self._frame - self._soonest(now)), again=False)

    def leave(self, now: float) -> None:
        """Hand over what is due."""
        for leaving in self.timeline.leave(now - self.epoch):
            audio, video = leaving.audio, leaving.video
            if self.overlay is not None:
                audio, video = self.overlay(audio, video)
            self._media.publish(audio, video)
            if self.viewers:
                self._count(audio, video, now)
            else:
                self._reacting.forget()
                self._hushing.forget()

    def _count(self, audio: AudioChunk | None, video: VideoFrame | None, now: float) -> None:
        """Of what leaves, to viewers: how much, and how long it took."""
        if audio is None:
            self.stats.delivered(video is not None)
        else:
            frame = audio.pts // SAMPLES_PER_FRAME
            self._hushing.left(frame, max(now, self.presented(frame)))
        if video is not None:
            frame = video.pts // SAMPLES_PER_FRAME
            self._reacting.left(frame, max(now, self.presented(frame)))
        self.stats.dropped = self._media.dropped

    def rendered(self) -> None:
        """A window was rendered: tell if it can not be done as well as asked for, or can again."""
        degraded = self.renderer.degraded
        self.stats.level = self.renderer.level
        if degraded != self._degraded:
            self._degraded = degraded
            log.warning("pictures: %s", self.renderer.level, extra={"session": self.id})
            data = {"reason": "load", "level": self.renderer.level, "restored": not degraded}
            self._emit("degraded", data)

    def leaves(self) -> float | None:
        """Monotonic time at which something leaves next; None while nothing waits."""
        after = self.timeline.next()
        return None if after is None else self.epoch + after

    def report(self, now: float) -> None:
        """Publish a `stats` event."""
        data = self.stats.snapshot(now)
        data["viewers"] = self.viewers
        data["queue_ms"] = self.queue_ms
        self._emit("stats", data)

    def warn_expiring(self, seconds: float) -> None:
        """Announce, once, that a limit is about to end the session."""
        self.warned = True
        self._emit("expiring", {"in_s": seconds, "reason": self.limit})

    async def close(self) -> None:
        """Stop the voice, end all feeds. Closing twice is fine."""
        if self.state is State.CLOSED:
            return
        self._fire(Signal.CLOSED, None)
        self._speech.interrupt()
        if self._author is not None:
            await self._author.close()
        await self._utterances.close()
        self._media.close()
        self._events.close()
        self.ended.set()

    # --- inside ------------------------------------------------------------------------------

    def _soonest(self, now: float) -> int:
        """The first frame that could still be made anew."""
        since, busy = self.rendering_since, 0.0
        if since is not None:
            busy = max(0.0, self.lead - (now - since))
        return max(0, math.ceil((now + busy + self.lead - self.epoch) * FPS))

    def _plan_again(self) -> None:
        """Take back what could be made anew. What is said there stays."""
        self._take_back(self._frame - self._soonest(self._clock()), again=True)

    def _take_back(self, frames: int, *, again: bool) -> None:
        """Take back up to ``frames`` of the frames planned last; say what was said there again?"""
        most = min(max(frames, 0), len(self._sayings), self.timeline.loose)
        back = self._ahead.rewind(most)
        self._frame -= back
        self.timeline.cut(self._frame)
        del self._controls[max(0, len(self._controls) - back) :]
        self._sayings.take_back(back, again=again)

    def _touch(self) -> None:
        self.limits.touched = self._clock()
        self.warned = False

    def _emit(self, type: str, data: dict[str, Any], cause: str | None = None) -> None:
        self._events.publish(Event(type, data, self.pts, cause))

    def _failed(self, error: Exception, cause: str | None) -> None:
        log.warning("utterance failed: %s", error, extra={"session": self.id})
        code = getattr(error, "code", "error")
        self._emit("error", {"code": code, "detail": str(error)}, cause)
        if self.state is State.THINKING:
            self._fire(Signal.ATTENDED, cause)

    def _hear_trouble(self, trouble: str) -> None:
        """Tell that a language model does not plan, or does again."""
        if trouble:
            log.warning("planner: %s", trouble, extra={"session": self.id})
        self._emit("degraded", {"reason": "planner", "detail": trouble})

    def _fire(self, signal: Signal, cause: str | None) -> None:
        before, self.state = self.state, fire(self.state, signal)
        if self.state is before:
            return
        self._quiet = 0
        if self.state is not State.CLOSED:
            self._ahead.set_state(cast(Manner, self.state.value))
        self._emit("state", {"state": self.state.value}, cause)

    def _pump_state(self) -> None:
        """Idle again after a while of nothing; never speaking with nothing left to say."""
        if self.state is State.SPEAKING and not self._has_more():
            self._fire(Signal.SPEECH_ENDED, None)
        if self.state is State.LISTENING and not self._voice.active:
            self._quiet += 1
            if self._quiet > REST_FRAMES:
                self._fire(Signal.RESTED, None)

    def _take_turn(self, turn: Turn) -> None:
        """Tell that speech begins or ends in the window being planned."""
        if turn.began:
            self._fire(Signal.SPEECH_STARTED, turn.cause)
        phase = {"phase": "started" if turn.began else "ended"}
        pts = self.pts + turn.frame * SAMPLES_PER_FRAME
        self._events.publish(Event("speech", phase, pts, turn.cause))
        if turn.segment is not None:
            self._heard.turn(turn.segment, pts, turn.began)
        # Otherwise the next one follows at once.
        if not turn.began and (self._voice.live or not self._has_more()):
            self._fire(Signal.SPEECH_ENDED, turn.cause)

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

    def _tell_plan(self, controls: ControlTrack) -> None:
        """Publish what the eyes will do, and the controls as they are."""
        for chunk in self._ahead.fresh():
            self.stats.planned(chunk.plan)
            self._emit("score", explain.outline(chunk))
        actions = self._ahead.news()
        if actions:
            self._emit("plan", {"actions": [explain.action(a) for a in actions]})
        self._controls.extend(controls.values)
        if len(self._controls) >= CONTROLS_FRAMES:
            first = self._frame + len(controls) - len(self._controls)
            values = np.round(np.stack(self._controls), 3).tolist()
            self._controls.clear()
            pts = first * SAMPLES_PER_FRAME
            self._events.publish(Event("controls", {"rate": FPS, "values": values}, pts))


def _strength(eyes: float) -> float:
    if not 0 <= eyes <= MOST_EYES:
        raise InvalidInput(f"eyes is a number from 0 to {MOST_EYES:g}, not {eyes:g}.")
    return eyes
