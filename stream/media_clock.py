"""Which moment of the session an RTP timestamp is, as the answer to an offer tells it.

The reference clock is the session's own; each track's ``a=mediaclk:direct`` is the RTP timestamp of
its beginning (RFC 7273 section 5.2). So a receiver knows the time of its first frame at once, the
same for both tracks, also after the session's clock had to move against the wall clock. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from core import SAMPLE_RATE

WRAP: Final = 1 << 32
MEDIA: Final = re.compile(r"^m=(\w+) ")
DIRECT: Final = re.compile(r"^a=mediaclk:direct=(\d{1,10})\b")


def with_clocks(sdp: str, origins: Mapping[str, int]) -> str:
    """A description whose first section of each kind in ``origins`` tells its beginning."""
    lines: list[str] = []
    left = dict(origins)
    told: int | None = None
    for line in [*sdp.splitlines(), "m="]:
        if line.startswith("m="):
            if told is not None:
                lines += ["a=ts-refclk:private", f"a=mediaclk:direct={told}"]
            found = MEDIA.match(line)
            told = left.pop(found[1], None) if found else None
        lines.append(line)
    return "\r\n".join(lines[:-1]) + "\r\n"


def read_clocks(sdp: str) -> dict[str, int]:
    """Kind → RTP timestamp of the session's beginning, of sections that tell it."""
    origins: dict[str, int] = {}
    kind = ""
    for line in sdp.splitlines():
        if found := MEDIA.match(line):
            kind = found[1]
        elif found := DIRECT.match(line):
            origins.setdefault(kind, int(found[1]) % WRAP)
    return origins


def session_pts(rtp: int, origin: int, rate: int, near: int) -> int:
    """An RTP timestamp → session time.

    Args:
        rtp: The timestamp, modulo 2³².
        origin: That of the session's beginning.
        rate: The track's RTP clock, Hz.
        near: A pts no further away than half a wrap (6 hours of pictures, 12 of sound).

    Returns:
        16 kHz samples since the session began; negative just before.
    """
    about = near * rate // SAMPLE_RATE
    ticks = about + (rtp - origin - about + WRAP // 2) % WRAP - WRAP // 2
    return round(ticks * SAMPLE_RATE / rate)
