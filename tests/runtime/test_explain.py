"""Explain: plans become JSON that says when, what and why."""

from __future__ import annotations

import json

from core import SAMPLES_PER_FRAME
from planner.behaviour import Behaviour
from planner.library import load_library
from planner.plan import Exchange
from runtime import explain
from runtime.lookahead import Lookahead


def test_a_plan_explains_itself() -> None:
    performer = Behaviour(
        4, label="cognitive_effort", instruction="raise an eyebrow", library=load_library()
    )
    ahead = Lookahead(performer, label="cognitive_effort", instruction="raise an eyebrow")
    for _ in range(150):
        ahead.take(1)
    ahead.offer(None, (Exchange("planning", "endpoint", {}, {}, "so", "timed out", 1.23456),))
    told = json.loads(json.dumps([explain.chunk(chunk) for chunk in ahead.plans()]))
    assert [plan["status"] for plan in told] == ["ahead", "playing", "played"]
    ahead_plan, playing, played = told
    assert played["start"] == 0 and played["end"] == playing["start"] == 100 * SAMPLES_PER_FRAME
    assert ahead_plan["exchanges"][0] == {
        "role": "planning", "source": "endpoint", "seconds": 1.235, "reasoning": "so",
        "request": {}, "answer": {}, "error": "timed out",
    }  # fmt: skip
    for plan in told:
        events = plan["events"]
        assert events[0]["start"] == plan["start"] and events[-1]["end"] == plan["end"]
        assert all(a["end"] == b["start"] for a, b in zip(events, events[1:], strict=False))
        assert all(event["prototype"]["source"] for event in events)
        assert all("raises the" in event["semantics"] for event in events[1:])
    looks = [event["look"]["where"] for event in played["events"] if event["look"]]
    assert "viewer" in looks and {"side", "up_side"} & set(looks)


def test_what_was_mended_is_told() -> None:
    performer = Behaviour(1, library=load_library())
    ahead = Lookahead(performer)
    ahead.behave(instruction="look 40 degrees left without moving your head")
    for _ in range(300):
        ahead.take(1)
    plans = [explain.chunk(chunk) for chunk in ahead.plans()]
    assert any(plan["repaired"] for plan in plans)
    for plan in plans:
        for found in plan["repaired"]:
            assert found["rule"] == "eyes-far-out"
            assert plan["start"] <= found["start"] < found["end"] <= plan["end"]
            assert "gaze_left" in found["channels"]
