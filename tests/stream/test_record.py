"""Recordings of living sessions: begun, fetched, ended by whatever may end them."""

from __future__ import annotations

import asyncio
import io
import os
import resource
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from core import AudioChunk, VideoFrame
from runtime.portraits import PortraitStore
from stream.bench import babble
from stream.probe_reader import BeepFinder, read_number
from stream.record import MOST_PICTURES, MOST_SOUND, Inbox
from tests.stream.conftest import Live, serving
from tests.stream.test_mp4 import play


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "recordings"


@pytest.fixture
async def live(store: PortraitStore, folder: Path) -> AsyncIterator[Live]:
    async with serving(store, recordings=folder) as running:
        yield running


def files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def path(session: dict[str, str]) -> str:
    return f"/v1/sessions/{session['id']}/recordings"


async def begin(live: Live, session: dict[str, str]) -> str:
    """Start a recording; its address."""
    made = await live.http.post(path(session), headers=live.auth(session))
    assert made.status_code == 201, made.text
    where: str = made.headers["location"]
    assert made.json()["state"] == "recording"
    assert where == f"{path(session)}/{made.json()['id']}"
    return where


async def show(live: Live, session: dict[str, str], where: str) -> dict[str, Any]:
    answer = await live.http.get(where, headers=live.auth(session))
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def ended(live: Live, session: dict[str, str], where: str) -> dict[str, Any]:
    async with asyncio.timeout(10):
        while True:
            info = await show(live, session, where)
            if info["state"] != "recording":
                return info
            await asyncio.sleep(0.05)


async def test_a_session_is_recorded_fetched_and_deleted(live: Live, folder: Path) -> None:
    session = await live.session()
    auth = live.auth(session)
    where = await begin(live, session)
    busy = await live.http.post(path(session), headers=auth)
    assert busy.status_code == 503 and "being recorded" in busy.json()["detail"]
    assert live.sessions.get(session["id"]).viewers == 1
    speech = np.random.default_rng(1).normal(0, 0.1, 16_000).astype(np.float32)
    live.sessions.get(session["id"]).play(speech)
    await asyncio.sleep(1.5)
    assert (await live.http.get(where + "/file", headers=auth)).status_code == 409
    stopped = (await live.http.delete(where, headers=auth)).json()
    assert stopped["state"] == "stopped" and stopped["seconds"] > 1
    assert live.sessions.get(session["id"]).viewers == 0

    file = await live.http.get(stopped["file"], headers=auth)
    assert file.headers["content-type"] == "video/mp4" and len(file.content) == stopped["bytes"]
    part = await live.http.get(stopped["file"], headers=auth | {"Range": "bytes=4-7"})
    assert part.status_code == 206 and part.content == b"ftyp"
    played = play(io.BytesIO(file.content))
    assert played.shown[0] == 0 and np.diff(played.shown) == pytest.approx(0.04)
    assert abs(played.heard - len(played.shown) * 0.04) <= 0.04
    assert played.heard == pytest.approx(stopped["seconds"], abs=0.04)

    assert [one["id"] for one in (await live.http.get(path(session), headers=auth)).json()] == [
        stopped["id"]
    ]
    (kept,) = files(folder)
    assert kept.name == f"{session['id']}-{stopped['id']}.mp4"
    assert os.stat(kept).st_mode & 0o077 == 0
    assert (await live.http.delete(where, headers=auth)).json()["state"] == "removed"
    assert files(folder) == []
    assert (await live.http.get(where, headers=auth)).status_code == 404


def offsets(file: Path | io.BytesIO) -> list[float]:
    """Seconds by which each beep of the probe is later in a file than its moment's picture."""
    moments: list[float] = []  # of the file at which the session began, by each picture
    beeps: list[float] = []
    finder, seen, heard = BeepFinder(), -1, 0
    with av.open(file, "r") as container:
        for frame in container.decode():
            if isinstance(frame, av.VideoFrame):
                number = read_number(np.asarray(frame.to_ndarray(format="gray"), np.uint8))
                if number is not None and number > seen:  # one that is held comes again
                    moments.append(float(frame.time or 0) - number / 25)
                    seen = number
            else:
                assert isinstance(frame, av.AudioFrame) and frame.sample_rate == 48_000
                samples = frame.to_ndarray()[0].astype(np.float64)
                heard = round(float(frame.time or 0) * 48_000)
                beeps += [beep / 48_000 for beep in finder.push(samples, heard)]
    del moments[0]  # a copy of the first picture fills up what the sound's coder puts before it
    began = float(np.median(moments))
    assert np.abs(np.array(moments) - began).max() < 0.001, "each picture has its own time"
    return [(beep - began + 0.5) % 1 - 0.5 for beep in beeps]


async def test_sound_and_pictures_of_a_recorded_session_are_in_step(
    store: PortraitStore, folder: Path
) -> None:
    """By the marks that the probe burns in, as they are read at receivers: coders' delays too."""
    async with serving(store, recordings=folder, probe=True) as live:
        session = await live.session()
        where = await begin(live, session)
        living = live.sessions.get(session["id"])
        living.play(0.5 * babble(3.0))
        async with asyncio.timeout(30):
            while living.pts < 4 * 16_000:  # noqa: ASYNC110 - no event
                await asyncio.sleep(0.05)
        stopped = (await live.http.delete(where, headers=live.auth(session))).json()
        file = await live.http.get(stopped["file"], headers=live.auth(session))
    found = offsets(io.BytesIO(file.content))
    print("OFFSETS ms", [round(1e3 * x, 2) for x in found])
    assert len(found) >= 2 and np.abs(found).max() < 0.005, found


async def test_the_end_of_the_session_ends_it_and_the_token_still_opens_it(live: Live) -> None:
    session, other = await live.session(), await live.session()
    where = await begin(live, session)
    await asyncio.sleep(0.8)
    gone = await live.http.delete(f"/v1/sessions/{session['id']}", headers=live.auth(session))
    assert gone.status_code == 204
    info = await ended(live, session, where)
    assert (info["state"], info["reason"]) == ("stopped", "the session ended")
    file = await live.http.get(info["file"], headers=live.auth(session))
    assert len(play(io.BytesIO(file.content)).shown) > 10
    for headers in ({}, live.auth(other)):
        assert (await live.http.get(info["file"], headers=headers)).status_code in (401, 404)
    assert (await live.http.post(path(session), headers=live.auth(session))).status_code == 404
    assert (await live.http.delete(where, headers=live.auth(session))).status_code == 200


async def test_the_end_of_the_server_finishes_the_file(live: Live, folder: Path) -> None:
    session = await live.session()
    await begin(live, session)
    await asyncio.sleep(0.8)
    await live.stop()
    (file,) = files(folder)
    assert b"mfra" not in file.read_bytes()[-200:]  # closed: an index, not the fragments' own
    assert len(play(file).shown) > 10


@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        ({"max_recording": 0.6}, "max_recording"),
        ({"max_recording_bytes": 20_000}, "max_recording_bytes"),
        ({"recordings_bytes": 20_000}, "recordings_bytes"),
    ],
)
async def test_limits_end_a_recording_and_not_the_session(
    store: PortraitStore, folder: Path, limit: dict[str, Any], reason: str
) -> None:
    async with serving(store, recordings=folder, **limit) as live:
        session = await live.session()
        where = await begin(live, session)
        info = await ended(live, session, where)
        assert info["state"] == "stopped" and reason in info["reason"]
        file = await live.http.get(info["file"], headers=live.auth(session))
        assert len(play(io.BytesIO(file.content)).shown) > 10
        assert live.sessions.get(session["id"]).viewers == 0
        again = await live.http.post(path(session), headers=live.auth(session))
        full = reason == "recordings_bytes"
        assert again.status_code == (507 if full else 201)
        assert not full or "recordings_bytes" in again.json()["detail"]


@contextmanager
def small_disk(size: int) -> Iterator[None]:
    """No file of this process may grow beyond ``size``: writes fail as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_full_disk_ends_a_recording_and_not_the_session(live: Live) -> None:
    session = await live.session()
    with small_disk(30_000):
        where = await begin(live, session)
        info = await ended(live, session, where)
    assert info["state"] == "failed" and "too large" in info["reason"]
    assert (
        await live.http.get(f"/v1/sessions/{session['id']}", headers=live.auth(session))
    ).json()["viewers"] == 0
    await begin(live, session)


async def test_recording_is_off_without_room_for_it(store: PortraitStore, folder: Path) -> None:
    async with serving(store, recordings=folder, recordings_bytes=0) as live:
        session = await live.session()
        made = await live.http.post(path(session), headers=live.auth(session))
        assert made.status_code == 403 and "recordings_bytes" in made.json()["detail"]
        assert (await live.http.post(path(session))).status_code == 401


def test_a_slow_disk_costs_pictures_and_no_sound() -> None:
    inbox = Inbox()
    pixels = np.zeros((2, 2, 3), np.uint8)
    silence = np.zeros(640, np.float32)
    for k in range(MOST_SOUND):
        assert inbox.put(AudioChunk(silence, k * 640))
        assert inbox.put(VideoFrame(pixels, k * 640))
    assert inbox.dropped == MOST_SOUND - MOST_PICTURES
    assert not inbox.put(AudioChunk(silence, 0))
    inbox.end()
    taken = list(iter(inbox.take, None))
    assert sum(isinstance(item, AudioChunk) for item in taken) == MOST_SOUND
    assert sum(isinstance(item, VideoFrame) for item in taken) == MOST_PICTURES
