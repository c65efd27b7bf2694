"""An RTP sender that follows the media clock, in the place of aiortc's.

aiortc's `RTCRtpSender` does the RTP work; three of its ways do not suit a server:

- its sender reports pair an RTP timestamp with the moment the packet was *sent*, so encoding time
  and late first frames become an offset between voice and lips. Here a report says which RTP
  timestamp the media clock presents at its own NTP time (RFC 3550 section 6.4.1), for both tracks
  from the same clock;
- it encodes in the event loop's default thread pool, behind whatever else blocks there. Here
  pictures have a pool of their own; sound (0.2 ms) is encoded in place;
- it answers each picture-loss indication with a key frame. Here they come twice a second at most.

Encoding once for all viewers of a session goes in at `_encode`.
"""

from __future__ import annotations

import asyncio
import importlib
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, Final

from aiortc import MediaStreamTrack, RTCRtpSender
from aiortc.codecs.base import Encoder
from aiortc.rtcrtpparameters import RTCRtpCodecParameters
from aiortc.rtcrtpsender import RTCEncodedFrame
from aiortc.rtp import AnyRtcpPacket, RtcpSrPacket, compute_audio_level_dbov
from av import AudioFrame

from core import VIDEO_CLOCK, WIRE_SAMPLE_RATE
from stream.codecs import encoder_for
from stream.pacer import Pacer
from stream.settings import StreamSettings

HISTORY: Final = 1024
"RTP packets kept for retransmission, about three seconds; aiortc's 128 do not outlast a key frame."
KEY_GAP: Final = 0.5
"Least seconds between key frames that receivers ask for."
WRAP: Final = 1 << 32

# aiortc keeps these to itself; a test fails when a new version moves them.
ENCODER: Final = "_RTCRtpSender__encoder"
LAST_TIMESTAMP: Final = "_RTCRtpSender__rtp_timestamp"
LAST_REPORT: Final = "_RTCRtpSender__lsr"


class MediaSender(RTCRtpSender):
    """Sends one track of one viewer."""

    def __init__(
        self,
        track: MediaStreamTrack,
        transport: Any,
        *,
        pacer: Pacer,
        pool: Executor,
        settings: StreamSettings,
    ) -> None:
        """``pool`` encodes the pictures."""
        super().__init__(track, transport)
        self._pacer = pacer
        self._pool = pool
        self._settings = settings
        self._rate = VIDEO_CLOCK if track.kind == "video" else WIRE_SAMPLE_RATE
        self._encoded: int | None = None  # media timestamp of the last encoded frame
        self._origin: int | None = None  # RTP timestamp of media time 0
        self._key_wanted = True
        self._key_sent = float("-inf")
        self.left: tuple[float, float] | None = None
        "Media time of what left last, and the monotonic time then, seconds."
        self.first_left: Callable[[], None] = lambda: None
        "Called once, when the first frame is about to leave."

    async def _next_encoded_frame(self, codec: RTCRtpCodecParameters) -> RTCEncodedFrame | None:
        if self._origin is None and self._encoded is not None:  # the first frame has just been sent
            self._origin = (getattr(self, LAST_TIMESTAMP) - self._encoded) % WRAP
        frame = await self.track.recv()
        if not self._enabled:
            return None
        encoder: Encoder | None = getattr(self, ENCODER)
        if encoder is None:
            encoder = encoder_for(codec, self._settings)
            setattr(self, ENCODER, encoder)  # where aiortc tells it the receiver's bit rate
        level = compute_audio_level_dbov(frame) if isinstance(frame, AudioFrame) else None
        payloads, timestamp = await self._encode(encoder, frame)
        if not payloads:
            return None
        if self.left is None:
            self.first_left()
        self.left = (timestamp / self._rate, time.monotonic())
        self._encoded = timestamp
        return RTCEncodedFrame(payloads, timestamp, level)  # type: ignore[arg-type]

    async def _encode(self, encoder: Encoder, frame: Any) -> tuple[list[bytes], int]:
        if isinstance(frame, AudioFrame):
            return encoder.encode(frame)
        now = time.monotonic()
        key = self._key_wanted and now - self._key_sent >= KEY_GAP
        if key:
            self._key_wanted, self._key_sent = False, now
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, encoder.encode, frame, key)

    def _send_keyframe(self) -> None:
        self._key_wanted = True

    async def _send_rtcp(self, packets: list[AnyRtcpPacket]) -> None:
        for packet in packets:
            if isinstance(packet, RtcpSrPacket):
                if self._origin is None:
                    return  # nothing was sent yet, so there is nothing to report
                self._follow_clock(packet, time.monotonic(), self._origin)
        await super()._send_rtcp(packets)

    def _follow_clock(self, report: RtcpSrPacket, now: float, origin: int) -> None:
        info = report.sender_info
        info.ntp_timestamp = self._pacer.ntp(now)
        info.rtp_timestamp = (origin + round(self._pacer.media_time(now) * self._rate)) % WRAP
        setattr(self, LAST_REPORT, (info.ntp_timestamp >> 16) % WRAP)  # to measure round trips


def keep_history() -> None:
    """Make aiortc keep more sent packets. It reads a constant, so this is for the process."""
    module: Any = importlib.import_module("aiortc.rtcrtpsender")
    module.RTP_HISTORY_SIZE = HISTORY
