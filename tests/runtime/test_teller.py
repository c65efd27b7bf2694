"""What a session tells: events with their media time, and nothing that was taken back."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from core import CHANNELS, SAMPLES_PER_FRAME, Busy, ControlTrack
from runtime.session_clock import SessionClock
from runtime.teller import CONTROLS_FRAMES, Teller
from tests.runtime.test_session import drain


def teller() -> tuple[Teller, SessionClock]:
    clock = SessionClock(lambda: 0.08, 100.0)
    return Teller("test", clock), clock


def track(*values: float) -> ControlTrack:
    return ControlTrack(np.repeat(np.array(values, np.float32)[:, None], len(CHANNELS), axis=1))


async def test_an_event_is_of_the_next_window_unless_it_says_when() -> None:
    made, clock = teller()
    clock.frame = 10
    async with made.subscribe() as feed:
        made.tell("state", {"state": "idle"}, "a")
        made.tell("speech", {}, pts=320)
        told = [(e.type, e.pts, e.cause) for e in await drain(feed)]
    assert told == [("state", 10 * SAMPLES_PER_FRAME, "a"), ("speech", 320, None)]


async def test_controls_are_told_some_at_once_each_frame_once_also_when_planned_anew() -> None:
    made, _ = teller()
    async with made.subscribe() as feed:
        made.controls(0, track(0.0, 0.1, 0.2))
        assert not await drain(feed)
        made.take_back(2)
        made.controls(1, track(0.5, 0.6, 0.7, 0.8))
        made.take_back(2)  # these were told
        made.controls(3, track(0.9))
        (told,) = await drain(feed)
    assert told.pts == 0 and told.data["rate"] == 25
    values = [row[0] for row in told.data["values"]]
    assert values == [0.0, 0.5, 0.6, 0.7, 0.8], "and three digits on the wire, no more"
    assert len(values) == CONTROLS_FRAMES


async def test_controls_tell_where_they_begin() -> None:
    made, _ = teller()
    async with made.subscribe() as feed:
        made.controls(0, track(*[0.1] * 3))
        made.controls(3, track(*[0.1] * 8))
        made.controls(11, track(*[0.1] * 8))
        told = [(e.pts // SAMPLES_PER_FRAME, len(e.data["values"])) for e in await drain(feed)]
    assert told == [(0, 11), (11, 8)]


async def test_pictures_that_get_worse_are_told_once_and_so_is_that_they_are_well() -> None:
    made, _ = teller()
    async with made.subscribe() as feed:
        for level, degraded in (("2 steps", False), ("puppet", True), ("still", True),
                                ("2 steps", False)):  # fmt: skip
            made.pictures(level, degraded=degraded)
        told = [(e.data["level"], e.data["restored"]) for e in await drain(feed)]
    assert told == [("puppet", False), ("2 steps", True)]


async def test_what_goes_wrong_is_told_and_logged_with_its_session(
    caplog: pytest.LogCaptureFixture,
) -> None:
    made, _ = teller()
    with caplog.at_level(logging.WARNING, "runtime.teller"):
        async with made.subscribe() as feed:
            made.failed(Busy("the endpoint is full"), "a")
            made.stalled(0.8)
            made.planner("no answer was usable")
            made.planner("")
            told = [(e.type, e.cause, e.data) for e in await drain(feed)]
    assert told == [
        ("error", "a", {"code": "busy", "detail": "the endpoint is full"}),
        ("degraded", None, {"reason": "stall", "shift_ms": 800}),
        ("degraded", None, {"reason": "planner", "detail": "no answer was usable"}),
        ("degraded", None, {"reason": "planner", "detail": ""}),
    ]
    said = [(record.getMessage(), getattr(record, "session", "")) for record in caplog.records]
    assert said == [
        ("utterance failed: the endpoint is full", "test"),
        ("clock moved", "test"),
        ("planner: no answer was usable", "test"),
    ]
