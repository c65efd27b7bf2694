"""Logs: one line an event, with its session, for people and for machines."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Iterator

import pytest

from core import U8
from runtime.log_context import about
from runtime.session import Session
from runtime.window import Window
from stream.logs import JsonLines, KeyValue, name_session
from stream.peer import Peer
from tests.runtime.test_session import Flat
from tests.stream.conftest import Live
from tests.stream.test_viewer import viewer


def record(**extra: object) -> logging.LogRecord:
    logger = logging.getLogger("stream.test")
    try:
        raise ValueError("broken")
    except ValueError:
        found = sys.exc_info()
    return logger.makeRecord(
        "stream.test", logging.WARNING, "f", 1, "viewer %s", ("gone",), found, extra=extra
    )


def test_machines_get_one_json_object_a_line() -> None:
    line = JsonLines().format(record(session="s1", odd=object()))
    assert "\n" not in line
    entry = json.loads(line)
    assert entry["message"] == "viewer gone" and entry["session"] == "s1"
    assert entry["level"] == "warning" and entry["logger"] == "stream.test"
    assert "ValueError: broken" in entry["traceback"]


def test_people_get_the_message_then_the_facts() -> None:
    line = KeyValue().format(record(session="s1"))
    first, _, rest = line.partition("\n")
    assert first.endswith("warning viewer gone session=s1")
    assert "ValueError: broken" in rest


class Kept(logging.Handler):
    """Keeps what is logged, as the server's handler would see it."""

    def __init__(self) -> None:
        super().__init__()
        self.addFilter(name_session)
        self.sessions: dict[str, set[str | None]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        told = self.sessions.setdefault(record.getMessage(), set())
        told.add(getattr(record, "session", None))


@pytest.fixture
def kept() -> Iterator[Kept]:
    handler = Kept()
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)


class Grumbling(Flat):
    """A renderer that logs in its thread, and knows of no session."""

    def quick(self, window: Window, first: int) -> list[U8]:
        logging.getLogger("engines.somewhere").warning("grumble")
        return super().quick(window, first)


async def test_threads_aiortc_and_requests_log_the_session_they_work_for(
    live: Live, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = [await live.session() for _ in range(2)]
    for made in pair:
        live.sessions.get(made["id"]).renderer = Grumbling()
    changed = Peer._changed

    def noisy(peer: Peer) -> None:  # called by aiortc, in a task of its own
        logging.getLogger("aiortc.somewhere").warning("state of %s", peer.session.id)
        changed(peer)

    monkeypatch.setattr(Peer, "_changed", noisy)
    monkeypatch.setattr(Session, "plans", lambda self: 1 // 0)
    async with viewer(live, pair[0]) as one, viewer(live, pair[1]) as two:
        await asyncio.gather(one.frames("video", 3), two.frames("video", 3))
    for made in pair:
        answer = await live.http.get(f"/v1/sessions/{made['id']}/plans", headers=live.auth(made))
        assert answer.status_code == 500
        assert kept.sessions[f"state of {made['id']}"] == {made["id"]}
        path = f"unhandled error at /v1/sessions/{made['id']}/plans"
        assert kept.sessions[path] == {made["id"]}
    assert kept.sessions["grumble"] == {made["id"] for made in pair}


def test_a_line_that_names_its_session_keeps_the_name() -> None:
    with about("s2"):
        named, unnamed = record(session="s1"), record()
        assert name_session(named) and name_session(unnamed)
    assert getattr(named, "session", None) == "s1" and getattr(unnamed, "session", None) == "s2"
    outside = record()
    assert name_session(outside) and not hasattr(outside, "session")
