"""Copies of a performer: equal to begin with, independent from then on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.behaviour import Behaviour
from planner.categories import LABELS
from planner.library import load_library
from planner.manners import MANNERS
from planner.shared import Forked, Shared

Command = Callable[[Behaviour], object]
COMMANDS: st.SearchStrategy[Command] = st.one_of(
    st.sampled_from(sorted(LABELS)).map(lambda name: lambda b: b.set_label(name)),
    st.sampled_from(sorted(MANNERS)).map(lambda state: lambda b: b.set_state(state)),
    st.sampled_from(
        ("", "look left, nod, then wink", "shake your head twice", "blink 4 times", "act sad")
    ).map(lambda text: lambda b: b.set_instruction(text)),
    st.just(lambda b: b.end_phrase()),
    st.just(lambda b: b.score(100)),
)
TURNS = st.lists(st.tuples(COMMANDS, st.integers(1, 40)), max_size=4)


def played(performer: Behaviour, turns: list[tuple[Command, int]]) -> list[object]:
    """All that it does, to the last bit."""
    told: list[object] = []
    for command, frames in [*turns, (lambda b: None, 30)]:
        command(performer)
        told += [performer.advance(frames).values.tobytes(), performer.last_mouth.values.tobytes()]
        told += [performer.decided(), performer.pieces(), performer.frame, performer.unknown]
    return told


@given(st.integers(0, 10**6), TURNS, TURNS, TURNS)
@settings(max_examples=25, deadline=None)
def test_a_copy_does_what_the_original_would_whatever_the_original_does(
    seed: int,
    before: list[tuple[Command, int]],
    others: list[tuple[Command, int]],
    after: list[tuple[Command, int]],
) -> None:
    alone, copied = (Behaviour(seed, library=load_library()) for _ in range(2))
    assert played(alone, before) == played(copied, before)
    twin, kept = copied.fork(), copied.fork()
    played(copied, others)
    expected = played(alone, after)
    assert played(twin, after) == expected
    assert played(kept.fork(), after) == expected


class Part(Forked):
    def __init__(self) -> None:
        self.rng = np.random.default_rng(3)
        self.changes = np.zeros(3)
        self.stays = np.zeros(3)
        self.stays.setflags(write=False)
        self.list, self.queue, self.table = [1], deque([1], maxlen=4), {1: 1}
        self.shared = Shared()


class Whole(Forked):
    def __init__(self) -> None:
        self.part = Part()
        self.rng = self.part.rng


def test_what_changes_is_copied_and_the_rest_is_shared() -> None:
    one = Part()
    other = one.fork()
    assert other.stays is one.stays and other.shared is one.shared
    for name in ("rng", "changes", "list", "queue", "table"):
        assert getattr(other, name) is not getattr(one, name)
    assert other.queue.maxlen == 4
    assert other.rng.random(5).tolist() == one.rng.random(5).tolist()


def test_parts_that_draw_from_one_generator_go_on_doing_so() -> None:
    whole = Whole()
    twin = whole.fork()
    assert twin.rng is twin.part.rng and twin.rng is not whole.rng


def test_what_nobody_said_how_to_copy_is_refused() -> None:
    part = Part()
    part.extra = {1, 2}  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="set"):
        part.fork()
