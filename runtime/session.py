"""One avatar, alive from creation to close, whoever watches.

The way of a frame: `plan` gathers speech, mouth and behaviour into a `Window` (event loop) and puts
it on the timeline, the scheduler renders it in a thread, `delivery` hands sound and pictures to the
viewers when they are due. A command cuts the timeline: what has not left and could be made anew in
time is taken back and planned again.

What that takes is next door: the media time (`session_clock`), whose turn it is (`turn_taking`),
windows and their taking back (`window_planner`), what the viewers get (`delivery`), what listeners
are told (`teller`). Here are the commands, and who owns what.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, cast

from core import F32, SAMPLE_RATE, InvalidInput, NotFound, Portrait
from engines.mouth import Mouth, SpeechMouth
from engines.voice import Voice
from planner.behaviour import Behaviour
from planner.library import load_library
from planner.manners import State as Manner
from runtime import explain
from runtime.author import Author, Writers
from runtime.delivery import Delivery
from runtime.events import EventFeed
from runtime.limits import Limits
from runtime.lookahead import Lookahead
from runtime.media import MediaFeed
from runtime.renderer import Renderer
from runtime.session_clock import SessionClock
from runtime.settings import RuntimeSettings
from runtime.speech import SpeechQueue
from runtime.state import Signal, State
from runtime.stats import Stats
from runtime.teller import Teller
from runtime.timeline import Timeline
from runtime.turn_taking import TurnTaking
from runtime.utterances import Utterances
from runtime.voice_track import VoiceTrack
from runtime.window import Window
from runtime.window_planner import WindowPlanner

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
        self.settings = settings
        self.renderer = renderer
        self.clock: Final = SessionClock(
            lambda: max(settings.lead_ms, self.renderer.lead_ms) / 1000, now
        )
        "Media time: what is planned next, and by when."
        self.limits: Final = Limits(settings, created=now, touched=now)
        "When it ends by itself."
        self.stats = Stats()
        self.timeline: Final = Timeline(settings.lead_ms / 1000)
        "What is planned and has not left."
        self.delivery: Final = Delivery(self.timeline, self.clock, self.stats)
        "Hands over what is due."
        self.eyes = _strength(eyes)
        "How strongly the eyes are guided."
        self.turn = 0
        "Counts interruptions: what was meant for an earlier turn is not to be spoken."
        self.warned = False
        self.ended = asyncio.Event()
        "Set when the session is closed."
        self._now = clock
        performer = Behaviour(seed, label=label, instruction=instruction, library=load_library())
        self.unknown: list[str] = performer.unknown
        "Parts of the instruction that were not understood."
        self._ahead = Lookahead(performer, label=label, instruction=instruction, seed=seed)
        self._teller = Teller(id, self.clock)
        self._author = None if writers is None else Author(writers, portrait, self._teller.planner)
        self._text = ""
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
        self._turns = TurnTaking(self._changed)
        self._planner = WindowPlanner(
            self._ahead, self._voice, self._utterances, self._turns,
            clock=self.clock, timeline=self.timeline, teller=self._teller, stats=self.stats,
        )  # fmt: skip

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
        self._text = text
        self._planner.plan_again(self._now())
        self._turns.fire(Signal.ASKED, cause)

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
        self._text = ""

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
            self._planner.plan_again(self._now())
            unknown = self._ahead.behave(label=label, instruction=instruction)
        self.eyes = eyes
        self.delivery.reactions.expect(self.clock.frame, self._now())
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
        signal = self._turns.signal_of(state)
        self._planner.plan_again(self._now())
        self._turns.fire(signal, cause)

    def interrupt(self, cause: str | None = None) -> None:
        """Stop speaking: everything queued goes, what is about to sound fades within 40 ms."""
        self._touch()
        self.turn += 1
        self._utterances.interrupt()
        self._text = ""
        self._planner.plan_again(self._now())
        cut = self._planner.interrupt()
        if cut.dropped:
            self.delivery.hushes.expect(cut.silent, self._now())
        if cut.ended is not None:
            self.tell("speech", {"phase": "ended", "interrupted": True}, cut.ended.cause)
        self._turns.fire(Signal.INTERRUPTED, cause)
        self.tell("interrupted", {"dropped": cut.dropped, **cut.heard, "turn": self.turn}, cause)

    # --- listeners ---------------------------------------------------------------------------

    def subscribe(self) -> EventFeed:
        """A feed of events, to be entered with ``async with``."""
        return self._teller.subscribe()

    def watch(self) -> MediaFeed:
        """A feed of frames and audio, to be entered with ``async with``."""
        return self.delivery.watch()

    def keep(self) -> None:
        """Somebody is on the way to watch: the session does not count as idle."""
        self.limits.touched = self._now()

    def tell(self, type: str, data: dict[str, Any], cause: str | None = None) -> None:
        """Publish an event, of the next window."""
        self._teller.tell(type, data, cause)

    @property
    def state(self) -> State:
        """What it does in the conversation."""
        return self._turns.state

    @property
    def viewers(self) -> int:
        """Who watches, through open media feeds."""
        return self.delivery.viewers

    @property
    def epoch(self) -> float:
        """Monotonic time at which pts 0 is presented; it moves after a stall."""
        return self.clock.epoch

    @property
    def lead(self) -> float:
        """Seconds before its presentation at which a window is planned."""
        return self.clock.lead

    @property
    def pts(self) -> int:
        """Media time of the next window, 16 kHz samples."""
        return self.clock.pts

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
            "expires_in": self.expires_in(self._now()),
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
        self.limits.drained = self._now() + seconds
        self.warn_expiring(seconds)

    # --- the live loop (scheduler) -----------------------------------------------------------

    def reanchor(self, now: float) -> None:
        """After a stall, move the session's clock instead of sending a burst."""
        shift = self.clock.reanchor(now)
        self.stats.stalls += 1
        self._teller.stalled(shift)

    def plan(self) -> Window:
        """Gather the next window and advance media time past it."""
        frames = self.renderer.window_frames
        window = self._planner.plan(frames, self.label, self.instruction, self.eyes)
        if self._author is not None:
            said = self._text if self.state in (State.THINKING, State.SPEAKING) else ""
            self._author.follow(self._ahead, said, bool(self.unknown))
        if self.viewers:
            self.limits.watched = self._now()
        return window

    def hurry(self, now: float) -> None:
        """Where speech waits behind windows of silence, take those back."""
        self._planner.hurry(now)

    def rendered(self) -> None:
        """A window was rendered: tell if it can not be done as well as asked for, or can again."""
        self.stats.level = self.renderer.level
        self._teller.pictures(self.renderer.level, degraded=self.renderer.degraded)

    def report(self, now: float) -> None:
        """Publish a `stats` event."""
        data = self.stats.snapshot(now)
        self.tell("stats", data | {"viewers": self.viewers, "queue_ms": self.queue_ms})

    def warn_expiring(self, seconds: float) -> None:
        """Announce, once, that a limit is about to end the session."""
        self.warned = True
        self.tell("expiring", {"in_s": seconds, "reason": self.limit})

    async def close(self) -> None:
        """Stop the voice, end all feeds. Closing twice is fine."""
        if self.state is State.CLOSED:
            return
        self._turns.fire(Signal.CLOSED)
        self._speech.interrupt()
        if self._author is not None:
            await self._author.close()
        await self._utterances.close()
        self.delivery.close()
        self._teller.close()
        self.ended.set()

    # --- inside ------------------------------------------------------------------------------

    def _touch(self) -> None:
        self.limits.touched = self._now()
        self.warned = False

    def _failed(self, error: Exception, cause: str | None) -> None:
        """An utterance could not be spoken."""
        self._teller.failed(error, cause)
        if self.state is State.THINKING:
            self._turns.fire(Signal.ATTENDED, cause)

    def _changed(self, state: State, cause: str | None) -> None:
        """The eyes follow the conversation."""
        if state is not State.CLOSED:
            self._ahead.set_state(cast(Manner, state.value))
        self.tell("state", {"state": state.value}, cause)


def _strength(eyes: float) -> float:
    if not 0 <= eyes <= MOST_EYES:
        raise InvalidInput(f"eyes is a number from 0 to {MOST_EYES:g}, not {eyes:g}.")
    return eyes
