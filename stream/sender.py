"""The RTP of one viewer's track, in the place of aiortc's sender.

Pictures and sound come encoded (`stream.broadcast`); here they get a viewer's own numbers and leave
when they are due. What is other than in aiortc, which does the RTCP and negotiation still:

- sender reports say which RTP timestamp the media clock presents at a report's NTP time (RFC 3550
  section 6.4.1), for both tracks from the same clock. aiortc pairs a timestamp with the moment the
  packet was sent, so late first frames become an offset between voice and lips;
- the packets of a large frame are spread over a part of the frame time. aiortc sends them back to
  back, which overflows the queues of slow links just when a key frame matters;
- packets are kept for about three seconds, as aiortc's 128 do not outlast a key frame, and resent
  at a bounded rate; on lossy long ways also unasked (`stream.repeats`);
- key frames and bit rates are asked of the encoder that all viewers share.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterator
from math import ceil
from typing import Any, Final, Literal

from aiortc import RTCRtpSender, clock
from aiortc.rtcrtpparameters import RTCRtpCodecParameters
from aiortc.rtp import (
    RTCP_PSFB_APP,
    AnyRtcpPacket,
    RtcpPsfbPacket,
    RtcpRrPacket,
    RtcpSrPacket,
    RtpPacket,
    unpack_remb_fci,
    wrap_rtx,
)

from core import FPS, SAMPLE_RATE, VIDEO_CLOCK, WIRE_SAMPLE_RATE
from runtime.media import FeedClosed
from stream import aiortc_ways
from stream.bandwidth import Bandwidth
from stream.broadcast import Broadcast
from stream.codecs import vp8_payload
from stream.losses import Losses
from stream.pacer import Pacer
from stream.rendition import Encoded, Outlet, View
from stream.repeats import Repeats
from stream.settings import StreamSettings

log = logging.getLogger(__name__)

HISTORY: Final = 1024
"Packets kept for retransmission, about three seconds."
RESEND_RATE: Final = 400
"Packets resent a second, at most, and a second's worth at once: a whole second of 3 Mbit/s."
SPREAD: Final = 0.7 / FPS
"Seconds within which the packets of one frame leave."
AT_ONCE: Final = 10
"Packets that leave together: twice a usual frame, which so is not delayed."
TICK: Final = 0.004
"Seconds between two groups of packets: event loops sleep in milliseconds."
MOVED: Final = 0.001
"Seconds by which the media clock has to move for receivers to be told at once."
WRAP: Final = 1 << 32


def spread(packets: int) -> Iterator[int]:
    """How many packets leave in each group, `TICK` apart: all at once, or over `SPREAD`."""
    groups = int(SPREAD / TICK)
    size = max(AT_ONCE, ceil(packets / groups))
    while packets > 0:
        yield min(size, packets)
        packets -= size


class Budget:
    """Packets that may be resent: a token bucket. Pure."""

    def __init__(self, now: float) -> None:
        self._left = float(RESEND_RATE)
        self._at = now

    def take(self, now: float) -> bool:
        """Whether one more may go."""
        self._left = min(RESEND_RATE, self._left + (now - self._at) * RESEND_RATE)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class MediaSender(RTCRtpSender):
    """Sends one track of one viewer."""

    def __init__(
        self,
        kind: Literal["audio", "video"],
        transport: Any,
        *,
        broadcast: Broadcast,
        pacer: Pacer,
        settings: StreamSettings,
    ) -> None:
        """Args:
        kind: The track.
        transport: aiortc's DTLS transport.
        broadcast: Where the encoded frames come from.
        pacer: The viewer's clock, of both its tracks.
        settings: Bounds of the bit rate.
        """
        super().__init__(kind, transport)
        now = time.monotonic()
        self._broadcast = broadcast
        self._pacer = pacer
        self._clock_rate = VIDEO_CLOCK if kind == "video" else WIRE_SAMPLE_RATE
        self._bandwidth = Bandwidth(settings)
        self._outlet: Outlet | None = None
        self._origin = random.getrandbits(32)  # RTP timestamp of media time 0 (RFC 3550, 5.1)
        self._sequence = random.getrandbits(15)  # not near the wrap, where SRTP may lose count
        self._picture = random.getrandbits(15)
        self._rtx_sequence = random.getrandbits(15)
        self._header = aiortc_ways.header_of(self)
        self._history: dict[int, RtpPacket] = {}
        self._budget = Budget(now)
        self._losses = Losses()
        self._repeats = Repeats()
        self._again: list[RtpPacket] = []  # of the last picture, to be repeated with the next
        self._reported = float("-inf")  # the epoch that the receiver knows of
        self.packets = 0
        self.octets = 0
        self.left: tuple[float, float] | None = None
        "Media time of what left last, and the monotonic time then, seconds."
        self.first_left: Callable[[], None] = lambda: None
        "Called once, when the first frame is about to leave."

    @property
    def outlet(self) -> Outlet | None:
        """What waits to be sent; None before the viewer is connected."""
        return self._outlet

    @property
    def origin(self) -> int:
        """The RTP timestamp of the session's beginning."""
        return self._origin

    async def _run_rtp(self, codec: RTCRtpCodecParameters) -> None:
        """aiortc's task of a connected sender."""
        aiortc_ways.started(self).set()
        assert codec.payloadType is not None
        self._header = aiortc_ways.header_of(self)
        vp8 = codec.mimeType.lower() == "video/vp8"
        try:
            if self.kind == "video":
                self._outlet = self._broadcast.see(codec.mimeType, self._bandwidth)
            else:
                self._outlet = self._broadcast.hear()
            while True:
                frame = await self._outlet.take()
                await self._send_frame(frame, self._packets(frame, codec.payloadType, vp8))
        except (asyncio.CancelledError, ConnectionError, FeedClosed):
            pass
        except Exception:
            log.exception("sending failed")
        finally:
            if self._outlet is not None:
                self._broadcast.leave(self._outlet)
            aiortc_ways.exited(self).set()

    async def _send_frame(self, frame: Encoded, packets: Iterator[RtpPacket]) -> None:
        now = time.monotonic()
        if self.kind == "video":
            wait: float | None = self._pacer.encoded_wait(frame.pts, now)
        else:
            wait = self._pacer.audio_wait(frame.pts, now)
        if wait is None:
            if self._outlet is not None:
                self._outlet.dropped += 1
            return
        await asyncio.sleep(wait)
        if not self._enabled:
            return
        began = time.monotonic()
        if self.left is None:
            self.first_left()
        self.left = (frame.pts / SAMPLE_RATE, began)
        if abs(self._pacer.epoch - self._reported) > MOVED:
            await self._send_rtcp(aiortc_ways.a_report(self))
        again, self._again = self._again, []
        for group, count in enumerate(spread(len(again) + len(frame.parts))):
            if group:
                await asyncio.sleep(max(0.0, began + group * TICK - time.monotonic()))
            for _ in range(count):
                if again:
                    await self._put_again(again.pop(0))
                    if isinstance(self._outlet, View):
                        self._outlet.repeated += 1
                else:
                    await self._put_new(next(packets))

    def _packets(self, frame: Encoded, type: int, vp8: bool) -> Iterator[RtpPacket]:
        """Numbered as they leave; a frame that does not leave uses up no numbers."""
        timestamp = (self._origin + frame.timestamp) % WRAP
        last = len(frame.parts) - 1
        for index, part in enumerate(frame.parts):
            packet = RtpPacket(
                payload_type=type,
                marker=int(index == last),
                sequence_number=self._sequence,
                timestamp=timestamp,
                ssrc=self._ssrc,
                payload=vp8_payload(part, index == 0, self._picture) if vp8 else part,
            )
            packet.extensions.mid = self._header[0]
            if frame.level is not None:
                packet.extensions.audio_level = (False, -frame.level)
            self._sequence = (self._sequence + 1) % (1 << 16)
            if index == last:
                self._picture = (self._picture + 1) % (1 << 15)
            yield packet

    async def _put_new(self, packet: RtpPacket) -> None:
        self._history[packet.sequence_number % HISTORY] = packet
        if self._repeats.on:
            self._again.append(packet)
        await self._put_on_wire(packet)
        self.packets += 1
        self.octets += len(packet.payload)

    async def _put_again(self, packet: RtpPacket) -> None:
        rtx = aiortc_ways.rtx_type(self)
        if rtx is not None:
            packet = wrap_rtx(
                packet,
                payload_type=rtx,
                sequence_number=self._rtx_sequence,
                ssrc=self._rtx_ssrc,
            )
            self._rtx_sequence = (self._rtx_sequence + 1) % (1 << 16)
        await self._put_on_wire(packet)

    async def _put_on_wire(self, packet: RtpPacket) -> None:
        packet.extensions.abs_send_time = clock.current_ntp_time() >> 14 & 0xFFFFFF
        await self.transport._send_rtp(packet.serialize(self._header[1]))

    async def _retransmit(self, sequence_number: int) -> None:
        """A receiver lacks a packet (RFC 4585 section 6.2.1)."""
        packet = self._history.get(sequence_number % HISTORY)
        if packet is None or packet.sequence_number != sequence_number:
            return
        if self._budget.take(time.monotonic()):
            await self._put_again(packet)

    def _send_keyframe(self) -> None:
        """A receiver can not decode what it has (PLI, FIR)."""
        if isinstance(self._outlet, View):
            self._outlet.ask_key()

    async def _handle_rtcp_packet(self, packet: AnyRtcpPacket) -> None:
        await super()._handle_rtcp_packet(packet)
        view = self._outlet
        if not isinstance(view, View):
            return
        now = time.monotonic()
        if isinstance(packet, (RtcpRrPacket, RtcpSrPacket)):
            for report in packet.reports:
                if report.ssrc == self._ssrc:
                    fraction, highest = report.fraction_lost / 256, report.highest_sequence
                    share = self._losses.report(fraction, highest, now)
                    if share is not None:
                        self._lost(share, view.sent, now)
        elif isinstance(packet, RtcpPsfbPacket) and packet.fmt == RTCP_PSFB_APP:
            try:
                bitrate, ssrcs = unpack_remb_fci(packet.fci)
            except ValueError:
                return
            if self._ssrc not in ssrcs:
                return
            self._bandwidth.estimated(bitrate)
        else:
            return
        self._broadcast.adapt(view, now)

    def _lost(self, share: float, sent: int, now: float) -> None:
        self._bandwidth.lost(share, sent)
        if aiortc_ways.rtx_type(self) is None:
            return  # the same packet twice confuses receivers' counts of what got lost
        was = self._repeats.on
        self._repeats.report(share, aiortc_ways.round_trip(self), now)
        self._bandwidth.copies = self._repeats.copies
        if self._repeats.on is not was:
            log.info(
                "pictures are sent %s",
                "twice" if self._repeats.on else "once",
                extra={"loss": round(share, 3)},
            )

    async def _send_rtcp(self, packets: list[AnyRtcpPacket]) -> None:
        for packet in packets:
            if isinstance(packet, RtcpSrPacket):
                if not self.packets:
                    return  # nothing was sent yet, so there is nothing to report
                self._follow_clock(packet, time.monotonic())
        await super()._send_rtcp(packets)

    def _follow_clock(self, report: RtcpSrPacket, now: float) -> None:
        self._reported = self._pacer.epoch
        info = report.sender_info
        info.ntp_timestamp = self._pacer.ntp(now)
        media = round(self._pacer.media_time(now) * self._clock_rate)
        info.rtp_timestamp = (self._origin + media) % WRAP
        info.packet_count, info.octet_count = self.packets % WRAP, self.octets % WRAP
        aiortc_ways.note_report(self, info.ntp_timestamp)
