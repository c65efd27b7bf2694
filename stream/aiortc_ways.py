"""What aiortc and aioice keep to themselves and we rely on, each with its reason.

A test constructs the real objects and fails when a new version moves any of these names.
"""

from __future__ import annotations

import asyncio
import importlib
import time
from collections.abc import Callable
from typing import Any, Final

from aiortc import RTCRtpReceiver, RTCRtpSender, RTCRtpTransceiver
from aiortc.codecs.h264 import H264Encoder
from aiortc.codecs.vpx import PACKET_MAX, VpxPayloadDescriptor
from aiortc.rtp import (
    AnyRtcpPacket,
    HeaderExtensionsMap,
    RtcpSdesPacket,
    RtcpSenderInfo,
    RtcpSourceInfo,
    RtcpSrPacket,
    RtpPacket,
)

PAYLOAD: Final = PACKET_MAX
"Most bytes of an RTP payload: fits into one UDP packet on any path, as in aiortc's packetisers."

CONSENT_CHECKS: Final = 3
"Unanswered consent checks (RFC 7675) after which a network is taken for lost."

# aiortc makes its own sender for each transceiver and has no way to give it another one. Its sender
# encodes for one viewer, and the project does not want to share encoders (aiortc issues 449 and
# 544), sends a frame's packets back to back, and has sender reports tell when a packet was *sent*.
SENDER: Final = "_RTCRtpTransceiver__sender"

# `stop()` waits for both tasks to have started and to have ended, so a `_run_rtp` of our own has to
# say so, or closing a peer hangs.
STARTED: Final = "_RTCRtpSender__rtp_started"
EXITED: Final = "_RTCRtpSender__rtp_exited"

# What `send()` takes from the negotiated parameters and an RTP packet has to have.
MID: Final = "_RTCRtpSender__mid"
EXTENSIONS: Final = "_RTCRtpSender__rtp_header_extensions_map"
RTX_TYPE: Final = "_RTCRtpSender__rtx_payload_type"

# With which report a receiver's answer is compared to measure round trips; ours have other times.
LAST_REPORT: Final = "_RTCRtpSender__lsr"
LAST_REPORT_AT: Final = "_RTCRtpSender__lsr_time"
ROUND_TRIP: Final = "_RTCRtpSender__rtt"

# aiortc reports from a loop of its own, every half to one and a half seconds, and has no way to ask
# for one. After the media clock has moved, receivers would align the tracks by old reports until
# then, one track sooner than the other (RFC 6051 section 2 on why not to wait).
CNAME: Final = "_RTCRtpSender__cname"

# A receiver's frames count from the first one; what timestamp that was is kept here, and which
# packets are retransmissions of what.
MAPPER: Final = "_RTCRtpReceiver__timestamp_mapper"
RTX_OF: Final = "_RTCRtpReceiver__rtx_ssrc"
CODECS: Final = "_RTCRtpReceiver__codecs"

# aiortc's receiver gives out frames in order and waits for each missing packet until 512 later ones
# have come; of those that are missing it asks for the newest 128 only, and for a key frame at the
# end of that wait. So pictures stand for seconds after a cut, even with a key frame in its hands
# (aiortc#58 has that asking for one is not enough).
JITTER: Final = "_RTCRtpReceiver__jitter_buffer"
NACKS: Final = "_RTCRtpReceiver__nack_generator"


def replace_sender(line: RTCRtpTransceiver, sender: RTCRtpSender) -> None:
    """Put a sender in the place of aiortc's, which has not started. It keeps what SDP tells."""
    old = line.sender
    sender._stream_id = old._stream_id
    sender._ssrc = old._ssrc  # the receiver of this transceiver reports under it
    setattr(line, SENDER, sender)


def started(sender: RTCRtpSender) -> asyncio.Event:
    """To be set when a sender's RTP task runs."""
    event: asyncio.Event = getattr(sender, STARTED)
    return event


def exited(sender: RTCRtpSender) -> asyncio.Event:
    """To be set when a sender's RTP task has ended."""
    event: asyncio.Event = getattr(sender, EXITED)
    return event


def header_of(sender: RTCRtpSender) -> tuple[str | None, HeaderExtensionsMap]:
    """The media section's id and the ids of header extensions; known once `send` was called."""
    extensions: HeaderExtensionsMap = getattr(sender, EXTENSIONS)
    return getattr(sender, MID), extensions


def rtx_type(sender: RTCRtpSender) -> int | None:
    """The payload type of retransmissions (RFC 4588), when the viewer wants them apart."""
    found: int | None = getattr(sender, RTX_TYPE)
    return found


def note_report(sender: RTCRtpSender, ntp: int) -> None:
    """Tell a sender the NTP time of the report it has just sent."""
    setattr(sender, LAST_REPORT, (ntp >> 16) & 0xFFFFFFFF)
    setattr(sender, LAST_REPORT_AT, time.time())


def round_trip(sender: RTCRtpSender) -> float | None:
    """Seconds to the viewer and back, smoothed; None before it has reported twice."""
    found: float | None = getattr(sender, ROUND_TRIP)
    return found


def a_report(sender: RTCRtpSender) -> list[AnyRtcpPacket]:
    """What aiortc's loop gives to `_send_rtcp`; the numbers are for the sender to fill in."""
    info = RtcpSenderInfo(ntp_timestamp=0, rtp_timestamp=0, packet_count=0, octet_count=0)
    packets: list[AnyRtcpPacket] = [RtcpSrPacket(ssrc=sender._ssrc, sender_info=info)]
    name: str | None = getattr(sender, CNAME)
    if name is not None:
        source = RtcpSourceInfo(ssrc=sender._ssrc, items=[(1, name.encode())])
        packets.append(RtcpSdesPacket(chunks=[source]))
    return packets


def h264_payloads(stream: bytes) -> list[bytes]:
    """An Annex B bit stream → RTP payloads (RFC 6184). aiortc has the packetiser, not in public."""
    return H264Encoder._packetize(H264Encoder._split_bitstream(stream))


def rtp_origin(receiver: RTCRtpReceiver) -> int:
    """The RTP timestamp of pts 0 of the frames that a receiver's track gives."""
    origin: int = getattr(receiver, MAPPER)._origin
    return origin


def on_packet(receiver: RTCRtpReceiver, note: Callable[[RtpPacket], None]) -> None:
    """Have a receiver tell of each RTP packet before it takes it; decoded frames do not."""
    handle = receiver._handle_rtp_packet

    async def noted(packet: RtpPacket, arrival_time_ms: int) -> None:
        note(packet)
        await handle(packet, arrival_time_ms=arrival_time_ms)

    receiver._handle_rtp_packet = noted  # type: ignore[method-assign]


def is_resent(receiver: RTCRtpReceiver, packet: RtpPacket) -> bool:
    """Whether a packet is a retransmission (RFC 4588), under another SSRC than the track's."""
    return packet.ssrc in getattr(receiver, RTX_OF)


def starts_key_frame(receiver: RTCRtpReceiver, packet: RtpPacket) -> bool:
    """Whether decoding can begin with this packet: VP8's P bit (RFC 7741 section 4.3), or an H.264
    sequence parameter set, alone or first in an aggregate (RFC 6184 section 5.7.1)."""
    codec = getattr(receiver, CODECS).get(packet.payload_type)
    data = packet.payload
    if codec is None or not data:
        return False
    if codec.name.upper() == "VP8":
        try:
            head, picture = VpxPayloadDescriptor.parse(data)
        except ValueError:
            return False
        first = head.partition_start == 1 and head.partition_id == 0
        return first and bool(picture) and not picture[0] & 1
    kind = data[3] & 31 if data[0] & 31 == 24 and len(data) > 3 else data[0] & 31
    return bool(codec.name.upper() == "H264" and kind == 7)


def has_gap(receiver: RTCRtpReceiver) -> bool:
    """Whether a receiver holds packets that it does not use, as one before them is missing."""
    buffer = getattr(receiver, JITTER)
    if buffer._origin is None:
        return False
    held = [buffer._packets[(buffer._origin + k) % buffer.capacity] for k in range(buffer.capacity)]
    first = held.index(None) if None in held else len(held)
    return any(packet is not None for packet in held[first:])


def skip_to(receiver: RTCRtpReceiver, sequence: int) -> None:
    """Wait no longer for packets before ``sequence``, which begins a key frame."""
    buffer, nacks = getattr(receiver, JITTER), getattr(receiver, NACKS)
    ahead = (sequence - buffer._origin) % (1 << 16) if buffer._origin is not None else 0
    if 0 < ahead < 1 << 15:
        buffer.remove(min(ahead, buffer.capacity))
        buffer._origin = sequence
        nacks.missing.clear()


async def ask_key_frame(receiver: RTCRtpReceiver, ssrc: int) -> None:
    """Send a picture loss indication (RFC 4585 section 6.3.1)."""
    await receiver._send_rtcp_pli(ssrc)


def tune_ice(grace: float) -> None:
    """Notice a lost network after ``grace`` seconds; aioice does after 30 s, by constants that its
    connections read, so this is for the process. A place is not held that long."""
    ice: Any = importlib.import_module("aioice.ice")
    ice.CONSENT_FAILURES = CONSENT_CHECKS
    ice.CONSENT_INTERVAL = grace / CONSENT_CHECKS
