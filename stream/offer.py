"""Offers: what a viewer asks for, checked and reduced to what this server does.

aiortc would take more than is good for us (old telephone codecs, any number of media sections,
each with its own sockets) and less (no direction means sendrecv, RFC 8866 section 6.7), so an offer
is read, mended and written anew before aiortc sees it.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Final

from aiortc import RTCIceCandidate
from aiortc.rtcrtpparameters import RTCRtpCodecParameters
from aiortc.sdp import MediaDescription, SessionDescription

from core import InvalidInput

MAX_SECTIONS: Final = 4
"Media sections of one offer; players send two, some a third for data."
MAX_CANDIDATES: Final = 64
"ICE candidates of one offer or fragment."
CODECS: Final = {"audio": ("opus",), "video": ("vp8", "h264", "rtx")}


@dataclass(frozen=True, slots=True)
class Offer:
    """An offer that can be answered."""

    sdp: str
    kinds: frozenset[str]
    "What it wants to receive: video, audio or both."
    ufrag: str
    "ICE user name of its first section (RFC 8445 section 5.3)."
    hides: bool
    """Some of its addresses are ``.local`` names. Resolving them waits for multicast answers that
    servers rarely get; such a viewer reaches us and becomes known as a peer-reflexive candidate
    (RFC 8445 section 7.3.1.3), so its end of candidates must not be taken for the end of hope."""


def read_offer(text: str) -> Offer:
    """SDP → an offer that can be answered.

    Raises:
        InvalidInput: It is no SDP, asks for nothing, or for nothing this server has.
    """
    description = _parse(text)
    if not description.media:
        raise InvalidInput("The offer has no media section; add a recvonly video transceiver.")
    if len(description.media) > MAX_SECTIONS:
        raise InvalidInput(f"The offer has more than {MAX_SECTIONS} media sections.")
    _mend_bundle(description)
    description.host = None
    hides = any([_mend(media) for media in description.media])
    kinds = frozenset(m.kind for m in description.media if m.direction in ("recvonly", "sendrecv"))
    if not kinds & {"audio", "video"}:
        raise InvalidInput("The offer asks to receive neither video nor audio.")
    ice = description.media[0].ice
    ufrag = ice.usernameFragment if ice is not None else None
    return Offer(str(description), kinds & {"audio", "video"}, ufrag or "", hides)


def read_echo(text: str) -> str:
    """The offer of a self-test, one data channel → SDP. Raises InvalidInput for anything else."""
    description = _parse(text)
    if [media.kind for media in description.media] != ["application"]:
        raise InvalidInput("A self-test offers one data channel and nothing else.")
    _mend_bundle(description)
    description.host = None
    _mend(description.media[0])
    return str(description)


def _parse(text: str) -> SessionDescription:
    try:
        return SessionDescription.parse(text)
    except Exception as error:  # the parser lets out whatever its expressions raise on wild text
        reason = str(error) or type(error).__name__
        raise InvalidInput(f"The offer is not SDP that can be read: {reason}.") from None


def _mend_bundle(description: SessionDescription) -> None:
    """Every section has a name of its own, and a bundle names none that is missing (RFC 9143)."""
    mids = [media.rtp.muxId for media in description.media]
    if len(set(mids)) != len(mids) or (len(mids) > 1 and not all(mids)):
        raise InvalidInput("The offer has media sections without a mid of their own.")
    for group in description.group:
        group.items = [mid for mid in dict.fromkeys(group.items) if mid in mids]


def _mend(media: MediaDescription) -> bool:
    """Reduce a section to what can be served. Returns whether it hides addresses."""
    if media.kind not in ("audio", "video", "application"):
        raise InvalidInput(f"The offer has a section of kind {media.kind!r}, which is not served.")
    if media.ice is None or not media.ice.usernameFragment or not media.ice.password:
        raise InvalidInput("The offer has a section without ice-ufrag and ice-pwd.")
    if media.dtls is None or not media.dtls.fingerprints:
        raise InvalidInput("The offer has a section without DTLS fingerprint and setup.")
    if media.kind == "application":
        media.direction = None
    else:
        _mend_rtp(media)
    media.host = None
    usable = [c for c in media.ice_candidates[:MAX_CANDIDATES] if reachable(c)]
    hides = any(hidden(c) for c in media.ice_candidates)
    media.ice_candidates = usable
    media.ice_candidates_complete &= not hides
    return hides


def _mend_rtp(media: MediaDescription) -> None:
    if not media.rtcp_mux:
        raise InvalidInput("The offer has a section without rtcp-mux, which is needed.")
    media.rtcp_port, media.rtcp_host = 9, None  # with mux it says nothing (RFC 8843 section 10)
    media.direction = media.direction or "sendrecv"
    media.rtp.codecs = [codec for codec in media.rtp.codecs if _served(media.kind, codec)]
    media.fmt = [codec.payloadType for codec in media.rtp.codecs]
    if not any(codec.name.lower() != "rtx" for codec in media.rtp.codecs):
        wanted = "Opus at 48 kHz" if media.kind == "audio" else "VP8 or H.264 (mode 1)"
        raise InvalidInput(f"The offer's {media.kind} has none of our codecs: {wanted}.")


def _served(kind: str, codec: RTCRtpCodecParameters) -> bool:
    if codec.name.lower() not in CODECS[kind]:
        return False
    return codec.name.lower() != "h264" or str(codec.parameters.get("packetization-mode")) == "1"


def hidden(candidate: RTCIceCandidate) -> bool:
    """Whether it is an mDNS name (draft-ietf-mmusic-mdns-ice-candidates)."""
    return candidate.ip.lower().endswith(".local")


def reachable(candidate: RTCIceCandidate) -> bool:
    """Whether connectivity checks can be sent to it: a UDP address, not a name."""
    try:
        ipaddress.ip_address(candidate.ip)
    except ValueError:
        return False
    return candidate.protocol.lower() == "udp" and 0 < candidate.port < 1 << 16
