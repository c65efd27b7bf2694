"""``application/trickle-ice-sdpfrag`` (RFC 8840): what a PATCH of a WHEP resource says.

Source of the two uses, candidates and ICE restarts: RFC 9725 section 4.3.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from aiortc import RTCIceCandidate
from aiortc.sdp import candidate_from_sdp, candidate_to_sdp

from core import InvalidInput
from stream.offer import MAX_CANDIDATES

FRAGMENT: Final = "application/trickle-ice-sdpfrag"
UFRAG: Final = re.compile(r"[A-Za-z0-9+/]{4,256}")
"RFC 8839 section 5.4."
PASSWORD: Final = re.compile(r"[A-Za-z0-9+/]{22,256}")
"RFC 8839 section 5.4."


@dataclass(frozen=True, slots=True)
class Fragment:
    """What a PATCH says."""

    candidates: list[RTCIceCandidate] = field(default_factory=list)
    done: bool = False
    "end-of-candidates."
    ufrag: str | None = None
    "The ICE user name it belongs to; another one than before asks for an ICE restart."
    password: str | None = None
    media: str = ""
    "Its first ``m=`` line and what identifies that section, as they came."


def parse_fragment(text: str) -> Fragment:
    """A fragment's text → what it says.

    Raises:
        InvalidInput: A line that is no SDP, a malformed candidate, or too many.
    """
    candidates: list[RTCIceCandidate] = []
    media: list[str] = []
    mid: str | None = None
    index = -1
    done = False
    ufrag = password = None
    for line in text.splitlines():
        if not line:
            continue
        if len(line) < 2 or line[1] != "=":
            raise InvalidInput("The fragment is not SDP: each line is a letter, '=' and a value.")
        if line.startswith("m="):
            index, mid = index + 1, None
            if index == 0:
                media.append(line)
        elif line.startswith("a=mid:"):
            mid = line[6:]
            if index == 0:
                media.append(line)
        elif line.startswith("a=ice-ufrag:"):
            ufrag = line[12:]
        elif line.startswith("a=ice-pwd:"):
            password = line[10:]
        elif line.startswith("a=end-of-candidates"):
            done = True
        elif line.startswith("a=candidate:"):
            candidates.append(_candidate(line[12:], mid, max(index, 0)))
            if len(candidates) > MAX_CANDIDATES:
                raise InvalidInput(f"A fragment holds at most {MAX_CANDIDATES} candidates.")
    return Fragment(candidates, done, ufrag, password, "\r\n".join(media))


def _candidate(value: str, mid: str | None, index: int) -> RTCIceCandidate:
    try:
        candidate = candidate_from_sdp(value)
    except (ValueError, IndexError, AssertionError, KeyError) as error:
        raise InvalidInput(f"A candidate can not be read: {error}.") from None
    candidate.sdpMid = mid
    candidate.sdpMLineIndex = index
    return candidate


def credentials(fragment: Fragment) -> tuple[str, str]:
    """ICE user name and password of a fragment that restarts ICE. Raises InvalidInput."""
    ufrag, password = fragment.ufrag or "", fragment.password or ""
    if not UFRAG.fullmatch(ufrag) or not PASSWORD.fullmatch(password):
        raise InvalidInput(
            "An ICE restart needs ice-ufrag (4 to 256 ice-chars) and ice-pwd (22 to 256)."
        )
    return ufrag, password


def write_fragment(
    ufrag: str, password: str, candidates: Sequence[RTCIceCandidate], *, media: str = ""
) -> str:
    """Credentials and all candidates of a side as a fragment; ``media`` as `Fragment` has it."""
    lines = [f"a=ice-ufrag:{ufrag}", f"a=ice-pwd:{password}"]
    if media:
        lines.append(media)
    lines += [f"a=candidate:{candidate_to_sdp(candidate)}" for candidate in candidates]
    lines.append("a=end-of-candidates")
    return "\r\n".join(lines) + "\r\n"
