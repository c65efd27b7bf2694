"""Performs what is planned, frame by frame: never frozen, never the same twice, never a jump.

Layers, each a curve in time: what is felt (events of a score, or stages of the label) and what is
asked for (cues of the instruction) set the posture of brows, lids, mouth and head; recorded motion
of real people gives them texture; the head drifts, breathes, nods and beats on top; the eyes look
somewhere in space and take the head's motion off again; lids blink over all of it.

A performer can be copied at any frame (`fork`), so that a chunk can be performed ahead of time
and taken back to where a new command cuts it.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np

from core import CHANNEL, F32, FPS, POSE_SLICE, ControlTrack, InvalidInput, MouthTrack
from planner import physiology as ph
from planner.action import Action
from planner.blinks import Blinks, as_action
from planner.categories import AT_EASE_IN, category
from planner.cues import Cue, CueSheet, announce
from planner.gaze import Gaze
from planner.grammar import parse
from planner.idle import HeadManner, Idle
from planner.library import Library, texture
from planner.manners import (
    MANNERS,
    PHRASE_BLINK,
    THINK_AT_ONCE_SECONDS,
    TURN_START_AVERSION,
    TURN_START_SECONDS,
    UNHEARD,
    State,
)
from planner.motion import Pulse, Pulses, Row
from planner.outline import outline
from planner.plan import Score
from planner.posture import FADE_OUT_SECONDS, Posture
from planner.row import LIDS, MOUTH_START, PITCH, WIDTH, YAW, bound, gaze_channels
from planner.shared import Forked, Shared
from planner.stages import Category
from planner.staging import Scene, Staging

MAX_ACTIONS: Final = 256
"Announcements kept for a caller that does not fetch them."
LONGEST_ADVANCE: Final = 60 * 60 * FPS
RELEASE_SECONDS: Final = 0.6
"How long it takes to let go of what an instruction held."
CHOICE: Final = 4
"One of this many nearest prototypes is taken, so that a stage does not always move the same way."
STILL_DRIFT: Final = 0.15
"What is left of the drift of a head that is told to hold still."
AU5: Final = CHANNEL["AU5"]


@dataclass(frozen=True, slots=True)
class Piece(Shared):
    """A recorded prototype that gives a stretch of frames its texture."""

    start: int
    "First frame, counted since the session began."
    prototype: str
    source: str
    kind: str
    distance: float
    "D(q, p) to what the stage asked for (CogPortrait eq. 3)."


class Behaviour(Forked):
    """Performs one session's behaviour. Deterministic for a seed and the calls made.

    Commands take effect with the first frame of the next `advance`.
    """

    def __init__(
        self,
        seed: int,
        *,
        label: str = "idle",
        instruction: str = "",
        library: Library | None = None,
    ) -> None:
        """Args:
            seed: Any integer: another person in another mood.
            label: One of `planner.categories.LABELS`.
            instruction: See `planner.grammar`.
            library: Where recorded motion comes from; without one, all motion is made up.

        Raises:
            InvalidInput: An unknown label, or an instruction that is too long.
        """
        first = category(label)
        streams = np.random.SeedSequence(seed % (1 << 64)).spawn(7)
        own, blinks, gaze, idle, stages, noise, pick = map(np.random.default_rng, streams)
        self._rng = own
        self._pick = pick
        self._library = library
        self._frame = 0
        self._label = label
        self._state: State = "idle"
        self._staging = Staging(stages, first, 0.0)
        self._scene: Scene | None = None
        self._sheet = CueSheet((), 0.0)
        self._gaze_held = False
        self._still = False
        self._posture = Posture(noise)
        self._gestures = Pulses()
        manner = MANNERS["idle"]
        self._gaze = Gaze(gaze, manner.gaze)
        self._idle = Idle(idle, manner.head)
        self._blinks = Blinks(blinks)
        self._actions: deque[tuple[int, Action]] = deque(maxlen=MAX_ACTIONS)
        self._pieces: deque[Piece] = deque(maxlen=MAX_ACTIONS)
        self.wearing: Piece | None = None
        "The recording that gives the present stage its texture."
        self._adjust(0.0)
        self.last_mouth = MouthTrack.rest(0)
        "The mouth's share of the expression for exactly the frames last advanced."
        self.unknown: list[str] = []
        "Parts of the last instruction that were not understood."
        if instruction:
            self.set_instruction(instruction)

    @property
    def frame(self) -> int:
        """The next frame, counted since the session began."""
        return self._frame

    @property
    def state(self) -> State:
        """What the conversation is at."""
        return self._state

    # --- commands ----------------------------------------------------------------------------

    def set_label(self, label: str) -> None:
        """Feel ``label`` from the next frame on.

        Raises:
            InvalidInput: There is no such label; nothing changes.
        """
        category(label)
        if label != self._label:
            self._label = label
            self._staging.set_category(self._category(), self._now)

    def set_instruction(self, text: str) -> list[str]:
        """Do what ``text`` says, over whatever the label asks for; empty text clears it.

        Returns:
            The parts that were not understood.

        Raises:
            InvalidInput: The text is too long; nothing changes.
        """
        parsed = parse(text, seed=int(self._rng.integers(1 << 31)))
        t = self._now
        acted = self._sheet.playing
        for cue in self._sheet.waiting:
            self._tell(announce(cue, self._sheet.start, withdrawn=True))
        self._sheet = CueSheet(parsed.cues, t)
        self._gestures.withdraw(t)
        kept = [name for cue in parsed.cues if cue.at == 0 for name in cue.controls]
        self._posture.release_all_but(kept, t, RELEASE_SECONDS)
        if self._gaze_held and not any(cue.gaze is not None for cue in parsed.cues):
            self._release_gaze(t)
        if any(cue.label for cue in acted):
            self._staging.set_category(self._category(), t)
        self._still = False
        self._adjust(t)
        for cue in parsed.cues:
            self._tell(announce(cue, t))
        self.unknown = list(parsed.unknown)
        return self.unknown

    def set_state(self, state: State) -> None:
        """Behave as one who is idle, listens, thinks or speaks, from the next frame on.

        Raises:
            InvalidInput: There is no such state; nothing changes.
        """
        if state not in MANNERS:
            raise InvalidInput(f"There is no state {state!r}. States: {', '.join(MANNERS)}.")
        before, self._state = self._state, state
        if before == state:
            return
        t = self._now
        if self._label == "idle" and {before, state} & set(AT_EASE_IN):
            self._staging.set_category(self._category(), t)
        self._adjust(t)
        self._turn(before, t)

    def end_phrase(self) -> bool:
        """A spoken phrase has just ended: often the moment of a blink. Whether it is now."""
        if self._rng.random() >= PHRASE_BLINK:
            return False
        return self._blink_along(self._now, "at the end of a phrase")

    def perform(self, score: Score) -> None:
        """Play ``score`` from the next frame on, then the label's own stages again."""
        self._staging.play(score.events, self._next)

    def score(self, frames: int) -> Score:
        """The embedded planning agent: the staged events of the next ``frames`` frames.

        Spans add up to ``frames``; a stage that began earlier or goes on longer is cut.
        """
        first = self._frame
        scenes = self._staging.until((first + frames - 0.5) / FPS)
        if self._scene is not None and (not scenes or math.ceil(scenes[0].start * FPS) > first):
            scenes.insert(0, self._scene)
        return outline(scenes, self._sheet, first, frames)

    def actions(self) -> list[Action]:
        """What was planned since the last call, by start. At most the last 256 are kept."""
        return sorted((action for _, action in self.decided()), key=lambda action: action.start)

    def decided(self) -> list[tuple[int, Action]]:
        """As `actions`, in the order of deciding, each with the frame before which it was."""
        told = list(self._actions)
        self._actions.clear()
        return told

    def pieces(self) -> list[Piece]:
        """Which recorded prototypes were taken since the last call."""
        taken = list(self._pieces)
        self._pieces.clear()
        return taken

    def advance(self, frames: int) -> ControlTrack:
        """The next ``frames`` frames; `last_mouth` holds the mouth that goes with them.

        Raises:
            InvalidInput: A negative or absurdly large number.
        """
        if not 0 <= frames <= LONGEST_ADVANCE:
            raise InvalidInput(f"Can not advance by {frames} frames.")
        steps = []
        for _ in range(frames):
            steps.append(self._step(self._frame / FPS))
            self._collect()
            self._frame += 1
        rows = bound(np.array(steps).reshape(frames, WIDTH)).astype(np.float32)
        self.last_mouth = MouthTrack(np.ascontiguousarray(rows[:, MOUTH_START:]))
        return ControlTrack(np.ascontiguousarray(rows[:, :MOUTH_START]))

    # --- one frame ---------------------------------------------------------------------------

    @property
    def _now(self) -> float:
        """When a command given now takes hold: right after the last frame shown."""
        return max(self._frame - 1, 0) / FPS

    @property
    def _next(self) -> float:
        """The time of the next frame, for what begins with it and not right after the last."""
        return self._frame / FPS

    def _step(self, t: float) -> Row:
        scene = self._staging.step(t)
        if scene is not None:
            self._enter(scene, max(scene.start, self._now))
        self._cue(t)
        values: Row = self._posture.row(t).tolist()
        self._gestures.add_to(values, t)
        self._idle.step(t, values)
        self._turn_eyes(t, values)
        self._close_lids(t, values)
        return values

    def _turn_eyes(self, t: float, values: Row) -> None:
        yaw, pitch = self._gaze.head_at(t)
        values[YAW] += yaw
        values[PITCH] += pitch
        sideways, down = self._gaze.eyes_at(t, values[YAW], values[PITCH])
        values[10:14] = gaze_channels(sideways, down)
        for start in self._gaze.blinks:
            self._blink_along(start)
        self._gaze.blinks.clear()

    def _blink_along(self, t: float, why: str = "with the gaze shift") -> bool:
        blink = self._blinks.accompany(t, why)
        if blink is not None:
            self._tell(as_action(blink))
        return blink is not None

    def _close_lids(self, t: float, values: Row) -> None:
        left, right = self._blinks.step(t)
        for channel, closure in zip(LIDS, (left, right), strict=True):
            values[channel] = 1 - (1 - min(max(values[channel], 0.0), 1.0)) * (1 - closure)
        # A raised and a closing lid exclude each other: the levator lets go first.
        values[AU5] *= 1 - max(values[LIDS[0]], values[LIDS[1]])

    # --- the label ---------------------------------------------------------------------------

    def _enter(self, scene: Scene, t: float) -> None:
        """Begin a stage: posture, rhythm, gaze and habits."""
        self._scene = scene
        stage = scene.stage
        self._posture.feel(scene.targets, t, scene.rise)
        self._posture.swing(stage.rhythm, t, scene.rise)
        self._adjust(t)
        if not self._gaze_held:
            if scene.look is None:
                self._gaze.release(t)
            else:
                self._gaze.look(scene.look, t, hold=True, head=True, why=stage.why)
        if stage.blink:
            self._blink_along(t)
        self._take_texture(scene, t)

    def _take_texture(self, scene: Scene, t: float) -> None:
        """Retrieve recorded motion for a stage: near what it asks for, not always the nearest."""
        if self._library is None:
            return
        targets = scene.targets[:MOUTH_START].astype(np.float32)
        if scene.look is not None:
            targets[10:14] = gaze_channels(*scene.look)
        found = self._library.nearest(targets, category=self._feeling, count=CHOICE)
        if not found:
            self._posture.wear(None, t, scene.rise)
            self.wearing = None
            return
        weights = np.array([1 / (0.2 + distance) for _, distance in found])
        chosen, distance = found[int(self._pick.choice(len(found), p=weights / weights.sum()))]
        frames = math.ceil((scene.seconds + FADE_OUT_SECONDS + 1) * FPS)
        rows: F32 = texture(chosen, frames, targets, self._pick)
        rows[:, POSE_SLICE] *= min(scene.stage.drift, 1.3)
        self._posture.wear(rows, t, max(scene.rise, 0.4))
        self.wearing = Piece(
            self._frame, chosen.name, chosen.source, chosen.kind, round(distance, 3)
        )
        self._pieces.append(self.wearing)

    @property
    def _feeling(self) -> str:
        """The label that recorded motion is looked up under."""
        return "speaking" if self._label == "idle" and self._state == "speaking" else self._label

    def _adjust(self, t: float) -> None:
        """Habits of the present state and stage."""
        state: State = self._state
        unheard = self._label == "speaking" and state == "idle"
        if unheard:
            state = "speaking"
        manner, rate = MANNERS[state], ph.BLINKS_PER_MINUTE[state]
        head = UNHEARD if unheard else manner.head
        if self._scene is None:
            self._blinks.set_manner(rate, 1.0, t)
            self._gaze.set_manner(manner.gaze, t)
            self._idle.set_manner(head, t)
            return
        stage = self._scene.stage
        self._blinks.set_manner(rate * stage.blinks, stage.slowness, t)
        self._gaze.set_manner(stage.gaze or manner.gaze, t)
        nods = head.nods + (stage.nods if state != "speaking" else 0.0)
        quiet = HeadManner(STILL_DRIFT) if self._still else None
        manner_now = HeadManner(head.drift * stage.drift, nods, head.accents)
        self._idle.set_manner(quiet or manner_now, t)

    def _turn(self, before: State, t: float) -> None:
        """What people do with their eyes when a turn begins and ends (Kendon 1967)."""
        if self._state == "thinking":
            seconds = float(self._rng.uniform(*THINK_AT_ONCE_SECONDS))
            self._gaze.avert(t, seconds, "looks away to think")
        elif self._state == "speaking" and self._rng.random() < TURN_START_AVERSION:
            seconds = float(self._rng.uniform(*TURN_START_SECONDS))
            self._gaze.avert(t, seconds, "looks away to begin speaking")
        elif before == "speaking":
            self._gaze.come_back(t, "hands over the turn")

    def _category(self) -> Category:
        """What the label comes to in the present state of the conversation."""
        felt = category(self._label)
        return AT_EASE_IN.get(self._state, felt) if self._label == "idle" else felt

    # --- the instruction ---------------------------------------------------------------------

    def _cue(self, t: float) -> None:
        for cue in self._sheet.ended(t):
            self._end(cue, t)
        for cue in self._sheet.begun(t):
            self._begin(cue, self._now)

    def _begin(self, cue: Cue, t: float) -> None:
        if cue.label:
            self._staging.set_category(category(cue.label), t)
        if cue.no_blink:
            self._blinks.hold_off(t + cue.no_blink, t)
        if cue.still:
            self._still = True
            self._adjust(t)
        self._posture.hold(cue.controls, t, max(cue.rise, ph.AU_RISE_SECONDS))
        self._posture.release([name for name in cue.free if name != "gaze"], t, cue.rise)
        if "gaze" in cue.free and self._gaze_held:
            self._release_gaze(t)
        if cue.gaze is not None:
            self._gaze_held = True
            free = not self._still and not {"yaw", "pitch"} & set(cue.controls)
            self._gaze.look(cue.gaze, t, hold=True, head=free, why=cue.words)
        self._gesture(cue, t)

    def _end(self, cue: Cue, t: float) -> None:
        """Let go of what the cue still holds; what a later cue took over stays."""
        later = [c for c in self._sheet.playing if c.at > cue.at]
        taken = {name for c in later for name in c.controls}
        self._posture.release([n for n in cue.controls if n not in taken], t, RELEASE_SECONDS)
        if cue.gaze is not None and all(c.gaze is None for c in later):
            self._release_gaze(t)
        if cue.label and not any(c.label for c in later):
            self._staging.set_category(self._category(), t)
        if cue.still:
            self._still = False
            self._adjust(t)

    def _gesture(self, cue: Cue, t: float) -> None:
        if cue.gesture in ("blink", "wink"):
            self._blinks.hold_off(t + 0.8 * cue.times, t)
        if cue.gesture == "blink":
            for i in range(cue.times):
                at = t + 0.42 * cue.slowness * i
                self._blinks.ask(at, cue.words, closure=cue.size, slowness=cue.slowness)
        elif cue.gesture == "nod":
            self._idle.nod(t, cue.times, cue.size, cue.words)
        elif cue.gesture == "shake":
            self._idle.shake(t, cue.times, cue.size, cue.words)
        elif cue.gesture == "wink":
            lid = CHANNEL[f"AU45_{cue.side}"]
            brow = CHANNEL[f"AU2_{cue.side}"]
            for i in range(cue.times):
                amounts = ((lid, 1.0), (CHANNEL["AU6"], 0.3), (brow, -0.2))
                self._gestures.add(Pulse(t + 0.75 * i, 0.16, 0.16, 0.26, amounts, "wink"))

    def _release_gaze(self, t: float) -> None:
        self._gaze_held = False
        scene = self._scene
        if scene is not None and scene.look is not None:
            self._gaze.look(scene.look, t, hold=True, head=True, why=scene.stage.why)
        else:
            self._gaze.release(t)

    def _collect(self) -> None:
        for layer in (self._staging, self._gaze, self._idle, self._blinks):
            for action in layer.news():
                self._tell(action)

    def _tell(self, action: Action) -> None:
        self._actions.append((self._frame, action))
