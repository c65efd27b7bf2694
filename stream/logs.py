"""Structured logs: one line an event, with the session it belongs to."""

from __future__ import annotations

import json
import logging
import time
from typing import Any, Final

from runtime.log_context import SESSION

STANDARD: Final = frozenset(logging.makeLogRecord({}).__dict__) | {
    "message",
    "asctime",
    "color_message",
}
"What every record carries; the rest came through ``extra=`` and is worth printing."


def configure_logging(level: str = "info", *, as_json: bool = False) -> None:
    """Send logs to stderr as ``key=value`` or JSON lines.

    DEBUG is data, INFO birth and death, WARNING degraded but served, ERROR a bug of ours.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if as_json else KeyValue())
    handler.addFilter(name_session)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    chatty_ones = (
        "aioice", "aiortc", "uvicorn.error", "websockets", "httpx", "httpcore", "numba",
    )  # fmt: skip
    for chatty in chatty_ones:
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))


def name_session(record: logging.LogRecord) -> bool:
    """Add the session that a line is about where whoever logged it did not say."""
    session = SESSION.get()
    if session is not None and not hasattr(record, "session"):
        record.session = session
    return True


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    return {k: v for k, v in record.__dict__.items() if k not in STANDARD}


class KeyValue(logging.Formatter):
    """For people: time, level, message, then ``key=value``."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        tail = "".join(f" {k}={v}" for k, v in _extras(record).items())
        line = f"{clock} {record.levelname.lower():<7} {record.getMessage()}{tail}"
        return line + (f"\n{self.formatException(record.exc_info)}" if record.exc_info else "")


class JsonLines(logging.Formatter):
    """For machines: one JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        entry = {
            "time": round(record.created, 3),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_extras(record),
        }
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)
