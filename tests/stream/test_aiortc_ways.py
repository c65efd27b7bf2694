"""What is relied upon of aiortc and aioice is still there: a failure here means they changed."""

from __future__ import annotations

import asyncio
import importlib
import inspect
from typing import Any

import pytest
from aioice import Connection
from aioice.ice import StunProtocol
from aiortc import RTCPeerConnection, RTCRtpReceiver, RTCRtpSender
from aiortc.rtcdtlstransport import RTCCertificate, RTCDtlsTransport
from aiortc.rtcicetransport import RTCIceGatherer, RTCIceTransport
from aiortc.rtcrtpparameters import RTCRtpCodecParameters
from aiortc.rtp import (
    HeaderExtensionsMap,
    RtcpSdesPacket,
    RtcpSenderInfo,
    RtcpSrPacket,
    RtpPacket,
)

from stream import aiortc_ways
from stream.codecs import vp8_payload


def a_sender() -> Any:
    transport = RTCDtlsTransport(
        RTCIceTransport(RTCIceGatherer()), [RTCCertificate.generateCertificate()]
    )
    return RTCRtpSender("video", transport)


async def test_the_sender_keeps_what_is_taken_from_it() -> None:
    sender = a_sender()
    assert isinstance(aiortc_ways.started(sender), asyncio.Event)
    assert isinstance(aiortc_ways.exited(sender), asyncio.Event)
    mid, extensions = aiortc_ways.header_of(sender)
    assert mid is None and isinstance(extensions, HeaderExtensionsMap)
    assert aiortc_ways.rtx_type(sender) is None
    assert getattr(sender, aiortc_ways.LAST_REPORT) is None
    assert getattr(sender, aiortc_ways.LAST_REPORT_AT) is None
    assert getattr(sender, aiortc_ways.CNAME) is None
    assert aiortc_ways.round_trip(sender) is None
    aiortc_ways.note_report(sender, 0x1234_5678_9ABC_DEF0)
    assert getattr(sender, aiortc_ways.LAST_REPORT) == 0x5678_9ABC
    assert isinstance(getattr(sender, aiortc_ways.LAST_REPORT_AT), float)
    setattr(sender, aiortc_ways.CNAME, "me")
    report, names = aiortc_ways.a_report(sender)
    assert isinstance(report, RtcpSrPacket) and isinstance(names, RtcpSdesPacket)
    assert names.chunks[0].items == [(1, b"me")]
    assert "__cname" in inspect.getsource(RTCRtpSender) and bytes(report) and bytes(names)
    for name in ("_ssrc", "_rtx_ssrc", "_stream_id", "_enabled"):
        assert hasattr(sender, name), name


def test_what_is_overridden_is_still_called_that_way() -> None:
    wanted = {
        "_run_rtp": ["self", "codec"],
        "_run_rtcp": ["self"],
        "_retransmit": ["self", "sequence_number"],
        "_send_keyframe": ["self"],
        "_send_rtcp": ["self", "packets"],
        "_handle_rtcp_packet": ["self", "packet"],
    }
    for name, parameters in wanted.items():
        found = inspect.signature(getattr(RTCRtpSender, name))
        assert list(found.parameters) == parameters, name
    source = inspect.getsource(RTCRtpSender)
    for call in ("_run_rtp(", "_retransmit(", "_send_keyframe(", "_send_rtcp("):
        assert f"self.{call}" in source, call
    assert "__rtp_started" in source and "__rtp_exited" in source
    info = RtcpSenderInfo(ntp_timestamp=0, rtp_timestamp=0, packet_count=0, octet_count=0)
    assert RtcpSrPacket(ssrc=1, sender_info=info).sender_info is info


async def test_a_transceiver_takes_another_sender() -> None:
    pc = RTCPeerConnection()
    line = pc.addTransceiver("video")
    old, new = line.sender, RTCRtpSender("video", line.sender.transport)
    aiortc_ways.replace_sender(line, new)
    assert line.sender is new and pc.getSenders() == [new]
    assert (new._ssrc, new._stream_id) == (old._ssrc, old._stream_id)
    assert line._offerDirection is None
    await pc.close()


def test_h264_is_split_into_payloads() -> None:
    unit = b"\0\0\0\1\x65" + bytes(range(1, 200)) * 20
    payloads = aiortc_ways.h264_payloads(unit)
    assert len(payloads) == 4 and max(map(len, payloads)) <= aiortc_ways.PAYLOAD


def a_receiver() -> Any:
    transport = RTCDtlsTransport(
        RTCIceTransport(RTCIceGatherer([])), [RTCCertificate.generateCertificate()]
    )
    receiver: Any = RTCRtpReceiver("video", transport)
    vp8 = RTCRtpCodecParameters(mimeType="video/VP8", clockRate=90_000, payloadType=97)
    h264 = RTCRtpCodecParameters(mimeType="video/H264", clockRate=90_000, payloadType=99)
    getattr(receiver, aiortc_ways.CODECS).update({97: vp8, 99: h264})
    return receiver


def vp8(sequence: int, *, key: bool = False, first: bool = True) -> RtpPacket:
    payload = vp8_payload(b"\x00" if key else b"\x01", first, 5)
    return RtpPacket(97, 0, sequence % 65_536, sequence * 3000, 7, payload)


async def test_a_receiver_tells_of_packets_and_leaves_out_what_is_lost() -> None:
    """A hundred packets are missing for good: the key frame after them is decoded all the same."""
    receiver = a_receiver()
    got: list[int] = []
    aiortc_ways.on_packet(receiver, lambda packet: got.append(packet.sequence_number))
    buffer = getattr(receiver, aiortc_ways.JITTER)
    first = 65_500  # the numbers wrap meanwhile
    assert not aiortc_ways.has_gap(receiver)
    await receiver._handle_rtp_packet(vp8(first), arrival_time_ms=0)
    assert not aiortc_ways.has_gap(receiver)
    for later in range(101, 110):
        packet = vp8(first + later, key=later == 105)
        if aiortc_ways.starts_key_frame(receiver, packet):
            assert buffer._origin == first and aiortc_ways.has_gap(receiver)
            aiortc_ways.skip_to(receiver, packet.sequence_number)
        await receiver._handle_rtp_packet(packet, arrival_time_ms=0)
    assert got[0] == first and len(got) == 10
    assert buffer._origin == (first + 109) % 65_536, "all before the newest frame was given out"
    assert not getattr(receiver, aiortc_ways.NACKS).missing and not aiortc_ways.has_gap(receiver)
    aiortc_ways.skip_to(receiver, first)
    assert buffer._origin == (first + 109) % 65_536, "never back"
    mapper = getattr(receiver, aiortc_ways.MAPPER)
    assert mapper.map(1000) == 0 and mapper.map(4000) == 3000
    assert aiortc_ways.rtp_origin(receiver) == 1000
    assert not aiortc_ways.is_resent(receiver, vp8(1))
    getattr(receiver, aiortc_ways.RTX_OF)[7] = 8
    assert aiortc_ways.is_resent(receiver, vp8(1))
    assert "__timestamp_mapper" in inspect.getsource(RTCRtpReceiver._handle_rtp_packet)
    assert list(inspect.signature(receiver._send_rtcp_pli).parameters) == ["media_ssrc"]


def test_key_frames_are_told_by_their_first_packet() -> None:
    receiver = a_receiver()

    def starts(type: int, payload: bytes) -> bool:
        return aiortc_ways.starts_key_frame(receiver, RtpPacket(type, 0, 1, 1, 7, payload))

    assert starts(97, vp8_payload(b"\x10\x02", True, 300))
    assert not starts(97, vp8_payload(b"\x11\x02", True, 300)), "made from another"
    assert not starts(97, vp8_payload(b"\x10\x02", False, 300)), "not its beginning"
    sps = b"\x67\x42\xe0\x1f"
    assert starts(99, sps) and starts(99, b"\x78\x00\x04" + sps)
    assert not starts(99, b"\x65\x88") and not starts(99, b"\x61\x88")
    for wild in (b"", b"\x90", b"\x78\x00", b"\xf0\xff\x80"):
        assert not starts(97, wild) and not starts(99, wild) and not starts(5, wild)


def test_a_lost_network_is_noticed_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    ice: Any = importlib.import_module("aioice.ice")
    for name in ("CONSENT_FAILURES", "CONSENT_INTERVAL"):
        monkeypatch.setattr(ice, name, getattr(ice, name))
        assert name in inspect.getsource(ice.Connection), "the connection reads the constant"
    aiortc_ways.tune_ice(9.0)
    assert (ice.CONSENT_FAILURES, ice.CONSENT_INTERVAL) == (3, 3.0)


async def test_an_empty_datagram_still_breaks_aiortc_and_strangers_are_still_handed_on() -> None:
    """Both are why `stream.listener.Listener` is there; without them it can go."""
    source = inspect.getsource(RTCDtlsTransport._recv_next)
    assert "data[0]" in source and "if not data" not in source
    handed = Connection(ice_controlling=False)
    StunProtocol(handed).receiver.data_received(b"", 1)
    assert await handed._queue.get() == (b"", 1)
    assert handed._check_list == [] and handed._nominated == {}
