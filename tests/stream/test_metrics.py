"""Metrics: what operators watch is measured where it happens, and every name is documented."""

from __future__ import annotations

import asyncio
import json
import re

from prometheus_client.parser import text_string_to_metric_families
from websockets.asyncio.client import connect

from stream.broadcast import Broadcasts
from stream.metrics import Metrics
from stream.settings import StreamSettings
from stream.whep import Peers
from tests.e2e.browser import ROOT
from tests.runtime.test_session import vowel
from tests.stream.conftest import Live
from tests.stream.test_viewer import viewer

DOCS = (ROOT / "docs" / "operations.md").read_text()


def read(text: str) -> dict[str, float]:
    """Samples by name, with their one label."""
    out = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            label = "".join(f"{{{value}}}" for value in sample.labels.values())
            out[sample.name + label] = sample.value
    return out


async def test_latencies_are_counted_where_they_happen(live: Live) -> None:
    session = await live.session()
    address = f"{live.base.replace('http', 'ws')}{session['control']}?token={session['token']}"
    async with viewer(live, session) as seen, connect(address) as socket:
        await seen.frames("video", 30)
        before = read((await live.http.get("/metrics")).text)
        assert before["saccade_reaction_seconds_count"] == 0
        await socket.send(json.dumps({"type": "behave", "instruction": "look left"}))
        await socket.send((vowel(2.0) * 32767).astype("<i2").tobytes())
        await seen.frames("video", 20)
        await socket.send(json.dumps({"type": "interrupt"}))
        await seen.frames("video", 15)
        found = read((await live.http.get("/metrics")).text)
    assert found["saccade_first_picture_seconds_count"] == 1
    assert found["saccade_create_seconds_count"] == 1
    for name, most in (("reaction", 1.0), ("hush", 0.75), ("first_picture", 5.0)):
        name = f"saccade_{name}_seconds"
        assert found[f"{name}_count"] == 1 and 0 < found[f"{name}_sum"] < most, name
        assert found[f"{name}_bucket{{+Inf}}"] == 1
    assert found["saccade_fps"] > 10
    assert abs(found["saccade_av_gap_seconds"]) < 0.5
    assert found["saccade_queue_seconds"] == 0
    await live.http.delete(f"/v1/sessions/{session['id']}", headers=live.auth(session))
    after = read((await live.http.get("/metrics")).text)
    assert after["saccade_hush_seconds_count"] == 1, "what ended stays counted"
    assert after["saccade_sessions_ended_total{closed}"] == 1


async def test_what_nobody_watches_is_no_latency(live: Live) -> None:
    session = await live.session()
    living = live.sessions.get(session["id"])
    living.behave(instruction="look left")
    await asyncio.sleep(0.3)
    async with viewer(live, session) as seen:
        await seen.frames("video", 5)
    assert sum(living.stats.reaction.counts) == 0


async def test_every_name_is_in_the_docs_and_nothing_else(live: Live) -> None:
    metrics = Metrics(live.sessions, Peers(StreamSettings(), Broadcasts(StreamSettings())))
    names = {family.name for family in metrics.collect()}
    always = {"saccade_fps", "saccade_av_gap_seconds", "saccade_sessions_full_quality"}
    told = set(re.findall(r"`(saccade_\w+)", DOCS))
    assert {name.removesuffix("_total") for name in told} == names | always
