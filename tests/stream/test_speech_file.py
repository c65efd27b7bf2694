"""Speech as a file: POST /v1/sessions/{id}/speech."""

from __future__ import annotations

import asyncio
import json
import threading

import httpx
import numpy as np
import pytest
from websockets.asyncio.client import connect

from core import SAMPLE_RATE
from engines.audio_file import Recording, decode_audio
from engines.resample import to_pcm16
from tests.engines.test_audio_file import encoded, raw_wav, tone
from tests.stream.conftest import Live
from tests.stream.test_app import is_problem, until


async def post(live: Live, session: dict[str, str], data: bytes, query: str = "") -> httpx.Response:
    address = f"/v1/sessions/{session['id']}/speech{query}"
    return await live.http.post(address, content=data, headers=live.auth(session))


@pytest.mark.parametrize(
    ("form", "codec"), [("mp3", "libmp3lame"), ("ogg", "libopus"), ("wav", "pcm_s24le")]
)
async def test_a_file_is_spoken_and_its_events_carry_its_id(
    live: Live, form: str, codec: str
) -> None:
    session = await live.session()
    address = f"{live.base.replace('http', 'ws')}{session['control']}?token={session['token']}"
    async with connect(address) as socket:
        await until(socket, "hello")
        data = encoded(form, codec, layout="stereo", sound=tone(48_000, 0.6))
        answer = await post(live, session, data, "?cause=f1")
        assert answer.status_code == 202
        told = answer.json()
        assert (told["id"], told["warnings"]) == ("f1", [])
        assert told["seconds"] == pytest.approx(0.6, abs=0.06)
        began, ended = await until(socket, "speech"), await until(socket, "speech")
    assert (began["phase"], began["cause"]) == ("started", "f1")
    assert (ended["phase"], ended["cause"]) == ("ended", "f1")
    length = (int(str(ended["pts"])) - int(str(began["pts"]))) / SAMPLE_RATE
    assert length == pytest.approx(0.6, abs=0.1)


async def test_a_form_will_do_and_an_interrupt_ends_it(live: Live) -> None:
    session = await live.session()
    living = live.sessions.get(session["id"])
    answer = await live.http.post(
        f"/v1/sessions/{session['id']}/speech",
        files={"file": ("talk.flac", encoded("flac", "flac", sound=tone(48_000, 9.0)))},
        headers=live.auth(session),
    )
    assert answer.status_code == 202 and answer.json()["id"].startswith("file-")
    async with asyncio.timeout(5):
        while living.state != "speaking":  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.01)
    living.interrupt()
    assert living.state == "listening" and not living._utterances.waiting
    async with asyncio.timeout(1):
        while living._voice.active:  # noqa: ASYNC110 - it fades
            await asyncio.sleep(0.01)


async def test_a_cut_file_plays_what_is_there_and_says_so(live: Live) -> None:
    session = await live.session()
    data = encoded("wav", "pcm_s16le", sound=tone(48_000, 1.0))
    told = (await post(live, session, data[: len(data) // 2])).json()
    assert told["seconds"] == pytest.approx(0.5, abs=0.01)
    assert "ends early" in told["warnings"][0]


async def test_what_can_not_be_spoken_is_a_problem_and_nothing_is_queued(live: Live) -> None:
    session = await live.session()
    nan = np.full(8_000, np.nan, "<f4").tobytes()
    pcm = to_pcm16(tone(16_000))
    for data, reason in (
        (b"", "empty"),
        (pcm, "not-audio"),
        (json.dumps({"file": "x"}).encode(), "not-audio"),
        (raw_wav(bytes(2_000), rate=16_000, bits=16), "silent"),
        (raw_wav(nan, rate=16_000, bits=32, tag=3), "not-a-number"),
    ):
        problem = is_problem(await post(live, session, data), 422)
        assert problem["type"] == "urn:saccade:audio-rejected" and problem["reason"] == reason
    is_problem(await post(live, session, bytes((4 << 20) + 1)), 413)
    is_problem(await post(live, session, pcm, f"?cause={'x' * 65}"), 422)
    living = live.sessions.get(session["id"])
    assert not living._voice.active and not living._utterances.waiting


async def test_files_are_bounded_together(live: Live) -> None:
    session = await live.session()
    long = encoded("flac", "flac", 16_000, sound=tone(16_000, 290.0))
    for _ in range(2):  # one is being spoken, one waits
        assert (await post(live, session, long)).status_code == 202
        await asyncio.sleep(0.05)
    refused = await post(live, session, long)
    is_problem(refused, 503)
    assert int(refused.headers["retry-after"]) > 0
    longer = encoded("flac", "flac", 16_000, sound=tone(16_000, 301.0))
    assert is_problem(await post(live, session, longer), 422)["reason"] == "too-long"


async def test_only_the_token_opens_it(live: Live) -> None:
    session = await live.session()
    address = f"/v1/sessions/{session['id']}/speech"
    is_problem(await live.http.post(address, content=b"x"), 401)
    is_problem(await live.http.post("/v1/sessions/nosuch/speech", content=b"x"), 404)
    is_problem(await live.http.get(address), 405)


async def test_a_session_that_ends_meanwhile_is_not_there(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, released = threading.Event(), threading.Event()

    def slow(data: bytes, *, limit: float) -> Recording:
        started.set()
        released.wait(5)
        return decode_audio(data, limit=limit)

    monkeypatch.setattr("stream.api_speech.decode_audio", slow)
    session = await live.session()
    decoding = asyncio.create_task(post(live, session, encoded("flac", "flac")))
    await asyncio.to_thread(started.wait, 5)
    await live.http.delete(f"/v1/sessions/{session['id']}", headers=live.auth(session))
    released.set()
    is_problem(await decoding, 404)


async def test_a_file_for_an_interrupted_turn_is_not_spoken(live: Live) -> None:
    session = await live.session()
    living, data = live.sessions.get(session["id"]), encoded("flac", "flac")
    living.interrupt()
    for stale in ("0", "2"):
        problem = is_problem(await post(live, session, data, f"?turn={stale}"), 409)
        assert problem["type"] == "urn:saccade:stale-turn" and problem["turn"] == 1
    is_problem(await post(live, session, data, "?turn=soon"), 422)
    is_problem(await post(live, session, data, "?turn=-1"), 422)
    assert not living._voice.active and not living._utterances.waiting
    assert (await post(live, session, data, "?turn=1")).status_code == 202
    assert living._voice.active or living._utterances.waiting


async def test_a_file_whose_turn_ends_while_it_is_read_is_not_spoken(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, released = threading.Event(), threading.Event()

    def slow(data: bytes, *, limit: float) -> Recording:
        started.set()
        released.wait(5)
        return decode_audio(data, limit=limit)

    monkeypatch.setattr("stream.api_speech.decode_audio", slow)
    session = await live.session()
    living = live.sessions.get(session["id"])
    decoding = asyncio.create_task(post(live, session, encoded("flac", "flac"), "?turn=0"))
    await asyncio.to_thread(started.wait, 5)
    living.interrupt()
    released.set()
    assert is_problem(await decoding, 409)["turn"] == 1
    assert not living._voice.active and not living._utterances.waiting
