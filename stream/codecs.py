"""Encoders tuned for a 25 fps talking head. They keep aiortc's packetisers.

One encoder a viewer for now, so a key frame on joining comes by itself. Medians of a moving
512×512 portrait at 1.5 Mbit/s on one core of a server CPU: RGB → YUV 0.5 ms, VP8 1.9 ms
(41.7 dB), H.264 2.5 ms (42.3 dB), Opus 0.2 ms.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Final

import aiortc.codecs
import av
from aiortc.codecs.base import Encoder
from aiortc.codecs.h264 import H264Encoder
from aiortc.codecs.vpx import Vp8Encoder
from aiortc.rtcrtpparameters import RTCRtpCodecParameters
from av.frame import Frame
from av.video.frame import PictureType
from av.video.reformatter import VideoReformatter

from core import FPS, VIDEO_CLOCK, WIRE_SAMPLE_RATE
from stream.settings import StreamSettings

CHANGE: Final = 0.25
"A bit rate that differs less than this is not worth a new encoder and its key frame."
SETTLE_DOWN: Final = 2.0
"Seconds after a change before the bit rate may fall: a receiver in trouble can not wait long."
SETTLE_UP: Final = 10.0
"Seconds after a change before it may rise: more quality is not urgent."
AUDIO_BITRATE: Final = 48_000


class Rate:
    """The bit rate of one encoder, with hysteresis: each change costs a key frame."""

    def __init__(self, settings: StreamSettings, now: float) -> None:
        self._low, self._high = settings.min_bitrate, settings.max_bitrate
        self.wanted = settings.bitrate
        self.used = settings.bitrate
        self._changed = now

    def ask(self, bitrate: int) -> None:
        """The receiver's estimate (REMB), bit/s."""
        self.wanted = max(self._low, min(self._high, bitrate))

    def due(self, now: float) -> bool:
        """Whether to rebuild the encoder at the wanted rate now; if so, it counts as done."""
        step = (self.wanted - self.used) / self.used
        settle = SETTLE_UP if step > 0 else SETTLE_DOWN
        if abs(step) <= CHANGE or now - self._changed < settle:
            return False
        self.used, self._changed = self.wanted, now
        return True


class Video:
    """What both video encoders share: libav context, rate, key frames."""

    def __init__(self, name: str, settings: StreamSettings, options: dict[str, str]) -> None:
        self._name = name
        self._options = options
        self.rate = Rate(settings, time.monotonic())
        self._reformatter = VideoReformatter()
        self._context: Any = None

    def encode(self, frame: av.VideoFrame, key: bool) -> bytes:
        """One frame, RGB or YUV → its bit stream."""
        context = self._context
        size = (frame.width, frame.height)
        if context is None or (context.width, context.height) != size:
            context = self._open(*size)
        elif self.rate.due(time.monotonic()):
            context = self._open(*size)
        yuv = self._reformatter.reformat(frame, format="yuv420p")
        yuv.pts, yuv.time_base = frame.pts, frame.time_base
        yuv.pict_type = PictureType.I if key else PictureType.NONE
        return b"".join(bytes(packet) for packet in context.encode(yuv))

    def _open(self, width: int, height: int) -> Any:
        context: Any = av.CodecContext.create(self._name, "w")
        context.width, context.height = width, height
        context.pix_fmt = "yuv420p"
        context.framerate = Fraction(FPS)
        context.time_base = Fraction(1, VIDEO_CLOCK)
        context.gop_size = 3000  # key frames on demand: when a viewer joins or loses one
        context.thread_count = 1  # sessions share the cores; slices would only add bits
        rate = self.rate.used
        context.bit_rate = rate
        context.options = self._options | {"maxrate": str(rate), "bufsize": str(rate // 2)}
        if self._name == "libx264":
            context.profile = "Baseline"
        else:
            context.qmin, context.qmax = 4, 52
            context.options |= {"minrate": str(rate)}
        self._context = context
        return context


class Vp8(Vp8Encoder):
    """libvpx in real-time mode (RFC 7741 payload by aiortc)."""

    def __init__(self, settings: StreamSettings) -> None:
        super().__init__()
        self._video = Video(
            "libvpx",
            settings,
            {
                "deadline": "realtime",
                "cpu-used": "-8",
                "lag-in-frames": "0",
                "static-thresh": "1",
                "overshoot-pct": "15",
                "undershoot-pct": "100",
                "noise-sensitivity": "0",
            },
        )

    def encode(self, frame: Frame, force_keyframe: bool = False) -> tuple[list[bytes], int]:
        """See aiortc's Encoder; the timestamp is in 90 kHz ticks."""
        assert isinstance(frame, av.VideoFrame) and frame.pts is not None
        payloads = self._packetize(self._video.encode(frame, force_keyframe), self.picture_id)
        self.picture_id = (self.picture_id + 1) % (1 << 15)
        return payloads, frame.pts

    @property
    def target_bitrate(self) -> int:
        """Bit/s in use."""
        return self._video.rate.used

    @target_bitrate.setter
    def target_bitrate(self, bitrate: int) -> None:
        self._video.rate.ask(bitrate)


class H264(H264Encoder):
    """x264, constrained baseline, no B-frames (RFC 6184 payload by aiortc)."""

    def __init__(self, settings: StreamSettings) -> None:
        super().__init__()
        self._video = Video(
            "libx264", settings, {"preset": "veryfast", "tune": "zerolatency", "level": "31"}
        )

    def _encode_frame(self, frame: av.VideoFrame, force_keyframe: bool) -> Iterator[bytes]:
        yield from self._split_bitstream(self._video.encode(frame, force_keyframe))

    def encode(self, frame: Frame, force_keyframe: bool = False) -> tuple[list[bytes], int]:
        """See aiortc's Encoder; the timestamp is in 90 kHz ticks."""
        assert isinstance(frame, av.VideoFrame) and frame.pts is not None
        return self._packetize(self._encode_frame(frame, force_keyframe)), frame.pts

    @property
    def target_bitrate(self) -> int:
        """Bit/s in use."""
        return self._video.rate.used

    @target_bitrate.setter
    def target_bitrate(self, bitrate: int) -> None:
        self._video.rate.ask(bitrate)


class Opus(Encoder):
    """Mono speech with in-band error correction (RFC 6716 section 2.1.7, RFC 7587)."""

    def __init__(self) -> None:
        context: Any = av.CodecContext.create("libopus", "w")
        context.bit_rate = AUDIO_BITRATE
        context.format, context.layout = "s16", "mono"
        context.sample_rate = WIRE_SAMPLE_RATE
        context.time_base = Fraction(1, WIRE_SAMPLE_RATE)
        context.options = {"application": "voip", "fec": "1", "packet_loss": "5"}
        self._context = context

    def encode(self, frame: Frame, force_keyframe: bool = False) -> tuple[list[bytes], int]:
        """20 ms of s16 mono at 48 kHz → one packet; the timestamp is the frame's own pts."""
        assert isinstance(frame, av.AudioFrame) and frame.pts is not None
        pts = frame.pts  # the codec moves it to make up for its own delay
        return [bytes(packet) for packet in self._context.encode(frame)], pts

    def pack(self, packet: Any) -> tuple[list[bytes], int]:
        """See aiortc's Encoder: a packet that is encoded already."""
        return [bytes(packet)], packet.pts


def encoder_for(codec: RTCRtpCodecParameters, settings: StreamSettings) -> Encoder:
    """A new encoder of a negotiated codec. Raises ValueError for one nobody knows."""
    match codec.mimeType.lower():
        case "video/vp8":
            return Vp8(settings)
        case "video/h264":
            return H264(settings)
        case "audio/opus":
            return Opus()
    return aiortc.codecs.get_encoder(codec)
