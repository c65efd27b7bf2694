"""Logs: one line an event, with its session, for people and for machines."""

from __future__ import annotations

import json
import logging
import sys

from stream.logs import JsonLines, KeyValue


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
