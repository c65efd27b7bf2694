"""Metrics: what operators watch is measured where it happens, and every name is documented."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from starlette.responses import Response
from websockets.asyncio.client import connect

from runtime.portraits import PortraitStore
from stream.broadcast import Broadcasts
from stream.metrics import Metrics
from stream.publications import Publications
from stream.rates import Rates
from stream.recordings import Recordings
from stream.rendition import View
from stream.settings import StreamSettings
from stream.whep import Peers
from tests.e2e.browser import ROOT
from tests.runtime.test_session import vowel
from tests.stream.conftest import Live, serving
from tests.stream.test_record import files
from tests.stream.test_sender import stage
from tests.stream.test_viewer import viewer
from tests.stream.whip_endpoint import TOKEN, whip_endpoint

DOCS = (ROOT / "docs" / "operations.md").read_text()


def read(text: str) -> dict[str, float]:
    """Samples by name, with their one label."""
    out = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            label = "".join(f"{{{value}}}" for value in sample.labels.values())
            out[sample.name + label] = sample.value
    return out


def metrics_of(live: Live, broadcasts: Broadcasts) -> Metrics:
    settings = StreamSettings()
    return Metrics(
        live.sessions,
        Peers(settings, broadcasts),
        Publications(settings, broadcasts),
        Recordings(None, settings),
        Rates(0),
    )


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
    assert 0 < abs(found["saccade_av_gap_seconds"]) < 0.5
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


async def test_counters_of_sessions_reach_their_names(live: Live) -> None:
    """Each has its own number, so none can stand in for another. What feeds them is tested where
    they are fed (tests/runtime/test_sessions.py)."""
    session = await live.session()
    living = live.sessions.get(session["id"])
    names = ("held", "stalls", "underruns", "plans_written", "plans_mended")
    for number, name in enumerate(names, 1000):
        setattr(living.stats, name, getattr(living.stats, name) + number)
    living.renderer = Reduced(living.renderer)
    living.play(vowel(5.0))
    refused = await asyncio.gather(*(live.http.post("/v1/sessions") for _ in range(3)))
    assert [answer.status_code for answer in refused].count(503) == 2
    found = read((await live.http.get("/metrics")).text)
    for number, name in enumerate(names, 1000):
        assert number <= found[f"saccade_{name}_total"] < number + 100, name
    assert 2 < found["saccade_queue_seconds"] <= 5
    assert found["saccade_sessions"] == found["saccade_sessions_max"] == 2
    assert found["saccade_rejections_total{full}"] == 2 and found["saccade_waiting"] == 2
    assert found["saccade_degraded"] == 1 and found["saccade_lead_seconds"] >= 3.0
    assert found["saccade_plans_total"] >= 1


class Reduced:
    """A renderer that does less than was asked for, and wants its windows early."""

    lead_ms = 3000
    degraded = True

    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


async def test_what_came_too_late_for_its_viewer_is_counted() -> None:
    """Sound that a sender skips, and pictures that are not even encoded."""
    async with stage() as on:
        await on.sender("video")
        _, sound = await on.sender("audio")
        await asyncio.sleep(0)
        show = on.show
        await show.run(5, step=0.02)
        async with asyncio.timeout(5):
            while not sound.packets:  # noqa: ASYNC110 - no event
                await asyncio.sleep(0.01)
        assert not on.broadcasts.dropped.total()
        for _ in range(4):
            show.publish()
            show.epoch -= 0.7  # the moment of what was published is over
            await asyncio.sleep(0.05)
        seen = on.broadcasts.dropped
        assert 1 <= seen["video"] <= 4 and 2 <= seen["audio"] <= 20
    assert on.broadcasts.dropped == seen, "who left stays counted"


async def test_dropped_frames_and_encoding_reach_their_names(live: Live) -> None:
    session = await live.session()
    async with viewer(live, session) as seen:
        await asyncio.gather(seen.frames("video", 5), seen.frames("audio", 5))
        found = read((await live.http.get("/metrics")).text)
        assert found["saccade_frames_total"] > 0 and found["saccade_render_seconds"] > 0
        assert found["saccade_encode_seconds"] > 0 and found["saccade_renditions"] == 1
        assert found["saccade_viewers"] == found["saccade_offers_total{accepted}"] == 1
        assert found["saccade_keyframes_total"] >= 1
        living = live.sessions.get(session["id"])
        living.delivery._media.dropped += 1000
        async with asyncio.timeout(5):
            while found["saccade_dropped_total"] < 1000:
                found = read((await live.http.get("/metrics")).text)
                await asyncio.sleep(0.02)
        assert found["saccade_dropped_sound_total"] < 1000


async def test_publications_and_recordings_are_counted(
    store: PortraitStore, tmp_path: Path
) -> None:
    async with (
        whip_endpoint() as there,
        serving(store, recordings=tmp_path, publish_to=(there.base,)) as live,
    ):
        session = await live.session()
        auth = live.auth(session)
        base = f"/v1/sessions/{session['id']}"

        async def metric(name: str, least: float) -> float:
            async with asyncio.timeout(15):
                while True:
                    found = read((await live.http.get("/metrics")).text)[f"saccade_{name}"]
                    if found >= least:
                        return found
                    await asyncio.sleep(0.05)

        made = await live.http.post(f"{base}/recordings", headers=auth)
        assert await metric("recordings", 1) == 1
        running = await metric("recorded_seconds_total", 0.2)
        there.moods.append(Response(status_code=403))
        wanted = {"url": there.url, "token": TOKEN}
        for _ in range(2):
            await live.http.post(f"{base}/publications", json=wanted, headers=auth)
        assert await metric("publication_failures_total", 1) == 1
        assert await metric("publications{failed}", 1) == await metric("publications{live}", 1) == 1
        await there.drop()
        assert await metric("publication_reconnects_total", 1) == 1
        await live.http.delete(made.headers["location"], headers=auth)
        assert await metric("recordings", 0) == 0
        assert await metric("recorded_seconds_total", 0.3) >= running
        (size,) = [file.stat().st_size for file in files(tmp_path)]
        assert await metric("recorded_bytes_total", 1) == size
        assert await metric("recording_failures_total", 0) == 0
        await live.http.delete(base, headers=auth)
        await metric("publication_failures_total", 1)
        found = read((await live.http.get("/metrics")).text)
        assert found["saccade_publication_failures_total"] == 1, "what ended stays counted"
        assert found["saccade_publication_reconnects_total"] == 1
        assert found["saccade_publications{live}"] == 0


async def test_repeated_pictures_reach_their_names(live: Live) -> None:
    """They are counted where they are sent (tests/stream/test_sender.py)."""
    async with stage() as on:
        sender, _ = await on.sender("video")
        await asyncio.sleep(0)
        assert isinstance(sender.outlet, View)
        sender.outlet.repeated, sender.outlet.bandwidth.copies = 5, 2
        on.broadcasts.stats.repeated = 30
        found = {family.name: family for family in metrics_of(live, on.broadcasts).collect()}
        assert found["saccade_repeated"].samples[0].value == 35
        assert found["saccade_repeating"].samples[0].value == 1


async def test_every_name_is_in_the_docs_and_nothing_else(live: Live) -> None:
    broadcasts = Broadcasts(StreamSettings())
    names = {family.name for family in metrics_of(live, broadcasts).collect()}
    always = {"saccade_fps", "saccade_av_gap_seconds", "saccade_sessions_full_quality"}
    told = set(re.findall(r"`(saccade_\w+)", DOCS))
    assert {name.removesuffix("_total") for name in told} == names | always
