"""Encoders tuned for a 25 fps talking head. Their bit rate can be changed at any time.

Medians of a moving 512×512 portrait at 1.5 Mbit/s on one core of a server CPU: RGB → YUV 0.5 ms,
VP8 1.9 ms, H.264 2.5 ms (48.7 and 48.9 dB), Opus 0.2 ms.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import av
from av.video.frame import PictureType

from core import FPS, VIDEO_CLOCK, WIRE_SAMPLE_RATE
from stream.aiortc_ways import PAYLOAD, h264_payloads
from stream.quantiser import FINEST, START, Quantiser
from stream.settings import StreamSettings

AUDIO_BITRATE: Final = 48_000
AUDIO_LOSS: Final = 10
"Per cent of packets that Opus expects to be lost: how much it repeats in the next one."
VIDEO_BASE: Final = Fraction(1, VIDEO_CLOCK)
AUDIO_BASE: Final = Fraction(1, WIRE_SAMPLE_RATE)
VP8_HEAD: Final = 4
"Bytes of a VP8 payload descriptor with a 15-bit picture id (RFC 7741 section 4.2)."
UNREACHABLE: Final = 50_000
"Bit/s that no picture is so coarse for: libvpx then always takes the quantiser it is told."


@dataclass(frozen=True, slots=True)
class Bits:
    """One picture's bit stream, in RTP payloads."""

    parts: tuple[bytes, ...]
    "VP8: without their descriptors, which hold a picture id of each viewer's own."
    key: bool

    @property
    def size(self) -> int:
        """In bits."""
        return 8 * sum(map(len, self.parts))


class VideoEncoder(ABC):
    """A libav encoder that makes key frames on demand only."""

    def __init__(self, settings: StreamSettings) -> None:
        self.bitrate = settings.bitrate
        "Bit/s; may be set at any time."
        self._settings = settings
        self._context: Any = None

    def encode(self, picture: av.VideoFrame, key: bool) -> Bits:
        """One frame, YUV 4:2:0 → its payloads. Another size than before opens a new encoder."""
        size = (picture.width, picture.height)
        if self._context is None or (self._context.width, self._context.height) != size:
            self._context, key = self._open(*size), True
        picture.pict_type = PictureType.I if key else PictureType.NONE
        self._steer(self._context, key)
        packets = self._context.encode(picture)
        bits = Bits(
            tuple(self._split(b"".join(bytes(packet) for packet in packets))),
            any(packet.is_keyframe for packet in packets),
        )
        self._spent(bits)
        return bits

    @abstractmethod
    def _open(self, width: int, height: int) -> Any: ...

    @abstractmethod
    def _steer(self, context: Any, key: bool) -> None:
        """Set the open encoder to the wanted bit rate."""

    @abstractmethod
    def _spent(self, bits: Bits) -> None:
        """A frame came out."""

    @abstractmethod
    def _split(self, stream: bytes) -> list[bytes]: ...

    def _create(self, name: str, width: int, height: int) -> Any:
        context: Any = av.CodecContext.create(name, "w")
        context.width, context.height = width, height
        context.pix_fmt = "yuv420p"
        context.framerate = Fraction(FPS)
        context.time_base = VIDEO_BASE
        context.gop_size = 3000  # key frames on demand: when a viewer joins or loses one
        context.thread_count = 1  # sessions share the cores; slices would only add bits
        return context


class Vp8(VideoEncoder):
    """libvpx in real-time mode. Its rate is steered by `stream.quantiser`."""

    def __init__(self, settings: StreamSettings) -> None:
        super().__init__(settings)
        self._quantiser = Quantiser(settings.bitrate)

    def _open(self, width: int, height: int) -> Any:
        context = self._create("libvpx", width, height)
        context.bit_rate = UNREACHABLE
        context.qmin, context.qmax = FINEST, round(START)
        context.options = {
            "deadline": "realtime",
            "cpu-used": "-8",
            "lag-in-frames": "0",
            "static-thresh": "1",
            "noise-sensitivity": "0",
            "minrate": str(UNREACHABLE),
            "maxrate": str(UNREACHABLE),
            "bufsize": str(UNREACHABLE),
            "undershoot-pct": "100",
            "overshoot-pct": "15",
        }
        self._quantiser = Quantiser(self.bitrate)
        return context

    def _steer(self, context: Any, key: bool) -> None:
        self._quantiser.bitrate = self.bitrate
        context.qmax = self._quantiser.next(key)

    def _spent(self, bits: Bits) -> None:
        self._quantiser.spent(bits.size, bits.key)

    def _split(self, stream: bytes) -> list[bytes]:
        step = PAYLOAD - VP8_HEAD
        return [stream[at : at + step] for at in range(0, len(stream), step)]


class H264(VideoEncoder):
    """x264, constrained baseline, no B-frames (RFC 6184 payload by aiortc).

    x264 follows a changed bit rate only where it is a constant one, with the size of the buffer it
    was opened with, and never above the rate it was opened with. So it is opened at the largest.
    """

    def _open(self, width: int, height: int) -> Any:
        context = self._create("libx264", width, height)
        most = self._settings.max_bitrate
        context.bit_rate = most
        context.profile = "Baseline"
        context.options = {
            "preset": "veryfast",
            "tune": "zerolatency",
            "level": "31",
            "sc_threshold": "0",  # a fast movement is no reason for a key frame
            "maxrate": str(most),
            # A sixth of a second of the largest rate: bounds key frames also where the rate is low.
            "bufsize": str(most // 6),
        }
        context.open()
        return context

    def _steer(self, context: Any, key: bool) -> None:
        context.bit_rate = self.bitrate

    def _spent(self, bits: Bits) -> None: ...

    def _split(self, stream: bytes) -> list[bytes]:
        return h264_payloads(stream)


class Opus:
    """Mono speech with in-band error correction (RFC 6716 section 2.1.7, RFC 7587)."""

    def __init__(self) -> None:
        context: Any = av.CodecContext.create("libopus", "w")
        context.bit_rate = AUDIO_BITRATE
        context.format, context.layout = "s16", "mono"
        context.sample_rate = WIRE_SAMPLE_RATE
        context.time_base = AUDIO_BASE
        context.options = {"application": "voip", "fec": "1", "packet_loss": str(AUDIO_LOSS)}
        self._context = context

    def encode(self, frame: av.AudioFrame) -> bytes:
        """20 ms of s16 mono at 48 kHz → one packet."""
        return b"".join(bytes(packet) for packet in self._context.encode(frame))


def video_encoder(mime: str, settings: StreamSettings) -> VideoEncoder:
    """A new encoder of a negotiated codec. Raises ValueError for one nobody knows."""
    match mime.lower():
        case "video/vp8":
            return Vp8(settings)
        case "video/h264":
            return H264(settings)
    raise ValueError(f"There is no encoder for {mime}.")


def vp8_payload(part: bytes, first: bool, picture: int) -> bytes:
    """A VP8 part with its descriptor. Source: RFC 7741 section 4.2."""
    return bytes((0x90 if first else 0x80, 0x80, 0x80 | picture >> 8 & 0x7F, picture & 0xFF)) + part
