"""Video files as pictures that stand upright, at 25 a second, whatever the file's own rate."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, TypeVar

import av
import numpy as np
from av.error import FFmpegError

from core import FPS, U8, InvalidInput

T = TypeVar("T")

MAX_SIDE: Final = 8192
"Pixels; nothing larger is decoded."
SEEK_FROM: Final = 10.0
"Seconds: a start earlier than this is reached by decoding."
LONGEST_HOLD: Final = 0.2
"Seconds the last picture is held at most, where nobody says how long it is shown."
UNEVEN: Final = 1.5
"Distances of frames this many times off their median make the rate a variable one."
COARSE: Final = 18.0
"Frames a second below which blinks (100-400 ms) are hardly seen (free)."
SAFE: Final = {"protocol_whitelist": "file"}
"Playlists could make FFmpeg open addresses."


class Skipped(InvalidInput):
    """A clip that can not be measured; the message is the reason."""

    code = "skipped"


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A decoded frame and how it is to be turned."""

    frame: av.VideoFrame
    aspect: float
    "Width over height of one of its pixels."
    swap: bool
    "Rows become columns, before the flips."
    flip_x: bool
    flip_y: bool

    @property
    def size(self) -> tuple[int, int]:
        """Width and height as shown, pixels: upright, with square pixels."""
        width, height = self._square()
        return (height, width) if self.swap else (width, height)

    @property
    def turned(self) -> bool:
        """Whether the file asks for any turn."""
        return self.swap or self.flip_x or self.flip_y

    def rgb(self, scale: float = 1.0) -> U8:
        """The picture as shown, uint8 ``[H, W, 3]``, made smaller as it is converted.

        Args:
            scale: At most 1.
        """
        width, height = (max(2, round(n * min(scale, 1.0))) for n in self._square())
        way = "AREA" if width < self.frame.width else "BICUBIC"
        rgb = self.frame.to_ndarray(format="rgb24", width=width, height=height, interpolation=way)
        if self.swap:
            rgb = rgb.swapaxes(0, 1)
        rgb = rgb[:: -1 if self.flip_y else 1, :: -1 if self.flip_x else 1]
        return np.ascontiguousarray(rgb, np.uint8)

    def _square(self) -> tuple[int, int]:
        """Width and height of the frame once its pixels are square."""
        return round(self.frame.width * self.aspect), self.frame.height


class Video:
    """An open video file. Not thread-safe; `close` is idempotent."""

    def __init__(self, path: Path) -> None:
        """Raises Skipped when it is none that can be decoded."""
        try:
            self._container: Any = av.open(str(path), options=SAFE)
        except (FFmpegError, OSError, ValueError) as error:
            raise Skipped(f"it can not be decoded: {_reason(error)}") from error
        self._closed = False
        self.damaged = False
        "Whether something could not be decoded so far."
        self._turned = self._unstamped = False
        self._times: list[float] = []
        streams = self._container.streams.video
        if not streams:
            self.close()
            raise Skipped("it has no picture")
        self._stream = streams[0]
        context = self._stream.codec_context
        if context is None:
            self.close()
            raise Skipped("it can not be decoded: nobody knows its kind of picture")
        if max(context.width, context.height) > MAX_SIDE:
            self.close()
            raise Skipped(f"its pictures are larger than {MAX_SIDE} pixels")
        self._stream.thread_type = "AUTO"
        aspect = float(self._stream.sample_aspect_ratio or 1)
        self._aspect = aspect if 0.1 < aspect < 10 else 1.0
        begin, unit = self._stream.start_time, self._stream.time_base
        self.origin = 0.0 if begin is None or unit is None else float(begin * unit)
        "Seconds of the first picture on the file's clock."

    def __enter__(self) -> Video:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        if not self._closed:
            self._container.close()
        self._closed = True

    def pictures(self, start: float, frames: int) -> Iterator[Picture]:
        """What is shown k / 25 s after ``start``, at most ``frames`` of it; to be called once.

        A picture that is shown for longer is given again as the same object.

        Args:
            start: Seconds after the first picture.
            frames: Fewer are given where the file ends, or breaks off.
        """
        return nearest(self._shown(start), frames)

    def seconds(self) -> float:
        """How long the pictures last, from the packets alone; nothing may be decoded after it."""
        first, last, step = np.inf, -np.inf, 1 / FPS
        with contextlib.suppress(FFmpegError, OSError):  # the rest is missing
            for packet in self._container.demux(self._stream):
                if packet.pts is not None:
                    time = float(packet.pts * packet.time_base)
                    first, last = min(first, time), max(last, time)
                    if packet.duration:
                        step = float(packet.duration * packet.time_base)
        return float(last - first + step) if last >= first else 0.0

    def notes(self) -> tuple[str, ...]:
        """What was odd about what has been decoded so far."""
        told = []
        if self._turned:
            told.append("turned by its display matrix")
        if self._unstamped:
            told.append("no time stamps: taken to be evenly spaced")
        gaps = np.diff(self._times)
        if len(gaps) > 1:
            middle = float(np.median(gaps))
            if gaps.max() > UNEVEN * middle or gaps.min() < middle / UNEVEN:
                told.append(f"variable frame rate: a frame every {gaps.min() * 1000:.0f} to"
                            f" {gaps.max() * 1000:.0f} ms")  # fmt: skip
            if 1 / middle < COARSE:
                told.append(f"few frames: {1 / middle:.0f} a second")
        if self.damaged:
            told.append("damaged: some frames could not be decoded")
        return tuple(told)

    def _shown(self, start: float) -> Iterator[tuple[float, Picture]]:
        """Pictures in order, with the seconds after ``start`` at which each appears."""
        if start > SEEK_FROM:
            with contextlib.suppress(FFmpegError, OSError):  # then all of it is decoded
                self._container.seek(int(1e6 * (self.origin + start - 1)))
        rate = float(self._stream.average_rate or self._stream.guessed_rate or FPS)
        newest = -np.inf
        for count, frame in enumerate(self._decoded()):
            if frame.time is None:
                self._unstamped = True
                time = count / rate - start
            else:
                time = frame.time - self.origin - start
            if time <= newest:
                continue
            newest = time
            picture = Picture(frame, self._aspect, *_turn(frame))
            self._turned |= picture.turned
            if time > -1 / FPS:
                self._times.append(time)
            yield time, picture

    def _decoded(self) -> Iterator[av.VideoFrame]:
        try:
            for packet in self._container.demux(self._stream):
                try:
                    yield from packet.decode()
                except FFmpegError:
                    self.damaged = True
        except (FFmpegError, OSError):  # the rest is missing
            self.damaged = True


def nearest(shown: Iterator[tuple[float, T]], frames: int) -> Iterator[T]:
    """For each k of ``frames``, what appears nearest to k / 25 s.

    The last one is held for as long as the one before it was. Ends early where the source does.

    Args:
        shown: Increasing times in seconds, and what appears then.
        frames: At most so many are given.
    """
    held: tuple[float, T] | None = None
    done, step = 0, 1 / FPS
    for time, item in shown:
        if held is not None:
            step = time - held[0]
            while done < frames and done / FPS <= (held[0] + time) / 2:
                yield held[1]
                done += 1
        if done >= frames:
            return
        held = time, item
    hold = min(step, LONGEST_HOLD) - 2e-3  # time stamps are rounded to ms in some files
    while held is not None and done < frames and done / FPS < held[0] + hold:
        yield held[1]
        done += 1


def _turn(frame: av.VideoFrame) -> tuple[bool, bool, bool]:
    """Swap, flip x, flip y that show the frame as its display matrix asks, to a quarter turn.

    Source: FFmpeg's libavutil/display.h: 16.16 fixed point, x' = a p + c q, y' = b p + d q.
    """
    side: Any = frame.side_data.get("DISPLAYMATRIX")
    if side is None or len(bytes(side)) < 36:
        return False, False, False
    a, b, _, c, d = np.frombuffer(bytes(side)[:20], np.int32)
    if abs(int(a)) + abs(int(d)) >= abs(int(b)) + abs(int(c)):
        return False, bool(a < 0), bool(d < 0)
    return True, bool(c < 0), bool(b < 0)


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
