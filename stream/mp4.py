"""Writes a session's sound and pictures to one MP4 file: H.264 and AAC, playable after a crash.

Each second is a fragment of its own (ISO/IEC 14496-12 section 8.8) and goes to the file as soon as
it is whole, so a file that was cut by a crash plays to within a second or two of the cut. One that
is closed gets an ordinary index, which hides the fragments: every player seeks in it.

Sound is the clock. The file begins with the first picture; from there on there are 25 pictures a
second and sound without a gap: where a picture is missing the one before is held, where sound is
missing there is silence. Blocks; knows no session, thread or event loop.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any, Final, Protocol

import av
import numpy as np
from av.error import FFmpegError
from av.video.reformatter import VideoReformatter

from core import (
    F32,
    FPS,
    SAMPLE_RATE,
    SAMPLES_PER_FRAME,
    U8,
    WIRE_SAMPLE_RATE,
    AudioChunk,
    VideoFrame,
)
from engines.resample import Resampler

FLAGS: Final = "frag_keyframe+empty_moov+default_base_moof+hybrid_fragmented"
GOP: Final = FPS
"Frames from key frame to key frame, and so in a fragment: what a crash costs at most."
AUDIO_BITRATE: Final = 96_000
QUALITY: Final = 21
"x264's constant rate factor; a talking head at 512 px takes about 0.5 Mbit/s."
PATIENCE: Final = 10 * SAMPLES_PER_FRAME
"How far sound may be ahead (0.4 s) before a picture that did not come is replaced by the last."
SOUND_AHEAD: Final = FPS * 2
"Chunks of sound kept while the first picture is waited for."
PRIMING: Final = 1024
"""Samples that FFmpeg's AAC encoder puts before the first. The file begins that much earlier,
filled up to one frame by silence and a copy of the first picture: so no timestamp is negative, none
has to be mended by an edit list, which players read in different ways, and the rate is constant."""


class File(Protocol):
    """What a recording is written to: a binary file that can be positioned."""

    def write(self, data: bytes, /) -> int | None:
        """Raises OSError."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """As in `io`."""

    def tell(self) -> int:
        """As in `io`."""


class Guarded:
    """A file that takes nothing more once a write has failed.

    The index is written last, and then the head of the file is turned to it. With a full disk the
    first fails; were the second still done, nothing would lead to the fragments any more.
    """

    def __init__(self, file: File) -> None:
        self.seek, self.tell = file.seek, file.tell
        self.error: OSError | None = None
        self._file = file

    def write(self, data: bytes) -> int:
        """All of ``data``. Raises OSError."""
        if self.error is not None:
            raise self.error
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._file.write(bytes(rest)) or 0 :]
        except OSError as error:
            self.error = error
            raise
        return len(data)

    @contextmanager
    def blamed(self) -> Iterator[None]:
        """FFmpeg tells of a failed write whatever came of it; raise what it was."""
        try:
            yield
        except (OSError, FFmpegError):
            if self.error is not None:
                raise self.error from None
            raise


class Mp4:
    """One file being written. Chunks and frames come in order, either kind ahead of the other."""

    def __init__(self, file: File) -> None:
        """Nothing is written before the first picture, whose size is the file's."""
        self.held = 0
        "Pictures that were missing, so that the one before stayed."
        self.late = 0
        "Pictures that came after their place had been filled."
        self._file = Guarded(file)
        self._out: Any = None
        self._video: Any = None
        self._audio: Any = None
        self._start = 0  # pts of the file's first picture and sound
        self._next = 0  # pts of the next picture
        self._heard = 0  # pts up to which there is sound
        self._waiting: deque[AudioChunk] = deque(maxlen=SOUND_AHEAD)
        self._last: U8 | None = None
        self._reformatter = VideoReformatter()
        self._resampler = Resampler(SAMPLE_RATE, WIRE_SAMPLE_RATE)
        self._sounded = PRIMING  # 48 kHz samples given to the encoder, and its own

    @property
    def seconds(self) -> float:
        """Length so far."""
        return max(self._next, self._heard) / SAMPLE_RATE - self._start / SAMPLE_RATE

    def picture(self, frame: VideoFrame) -> None:
        """Write a picture; what is missing before it is held. Raises OSError."""
        with self._file.blamed():
            if self._out is None:
                self._open(frame)
            if frame.pts < self._next:
                self.late += 1
                return
            self._hold(frame.pts)
            self._show(frame.pixels)

    def sound(self, chunk: AudioChunk) -> None:
        """Write sound; a gap before it is filled with silence. Raises OSError."""
        if self._out is None:
            self._waiting.append(chunk)
            return
        late = self._heard - chunk.pts
        if late >= len(chunk.samples):
            return
        with self._file.blamed():
            if late < 0:
                self._say(np.zeros(-late, np.float32))
            self._say(chunk.samples[max(0, late) :])
            self._hold(self._heard - PATIENCE)

    def close(self) -> None:
        """Make both tracks equally long, write the index. Raises OSError; idempotent."""
        if self._out is None:
            return
        out = self._out
        with self._file.blamed():
            try:
                if self._file.error is None:
                    self._finish()
            finally:
                self._out = self._last = None
                out.close()

    def _finish(self) -> None:
        self._hold(self._heard)
        if self._next > self._heard:
            self._say(np.zeros(self._next - self._heard, np.float32))
        self._encode_sound(self._resampler.flush())
        for stream in (self._video, self._audio):
            self._out.mux(stream.encode(None))

    def _open(self, first: VideoFrame) -> None:
        height, width = first.pixels.shape[:2]
        options = {"movflags": FLAGS, "flush_packets": "1"}
        out: Any = av.open(self._file, "w", format="mp4", options=options)
        video: Any = out.add_stream("libx264", rate=FPS)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        video.time_base = Fraction(1, FPS)
        context = video.codec_context
        context.gop_size = GOP
        context.thread_count = 1  # the other cores have pictures to render
        # No frames wait in the encoder: what waits is lost in a crash.
        context.options = {
            "preset": "veryfast", "tune": "zerolatency", "crf": str(QUALITY), "sc_threshold": "0",
        }  # fmt: skip
        audio: Any = out.add_stream("aac", rate=WIRE_SAMPLE_RATE, layout="mono")
        audio.bit_rate = AUDIO_BITRATE
        self._out, self._video, self._audio = out, video, audio
        self._start = self._next = first.pts - SAMPLES_PER_FRAME
        self._heard = first.pts
        self._show(first.pixels)
        self._encode_sound(np.zeros(WIRE_SAMPLE_RATE // FPS - PRIMING, np.float32))
        while self._waiting:
            self.sound(self._waiting.popleft())

    def _show(self, pixels: U8) -> None:
        self._last = pixels
        rgb = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        picture = self._reformatter.reformat(rgb, format="yuv420p")
        picture.pts = (self._next - self._start) // SAMPLES_PER_FRAME
        picture.time_base = Fraction(1, FPS)
        self._out.mux(self._video.encode(picture))
        self._next += SAMPLES_PER_FRAME

    def _hold(self, until: int) -> None:
        """Repeat the last picture up to a pts."""
        while self._last is not None and self._next < until:
            self._show(self._last)
            self.held += 1

    def _say(self, samples: F32) -> None:
        self._heard += len(samples)
        self._encode_sound(self._resampler.push(samples))

    def _encode_sound(self, samples: F32) -> None:
        if not len(samples):
            return
        frame = av.AudioFrame.from_ndarray(samples[None, :], format="fltp", layout="mono")
        frame.sample_rate = WIRE_SAMPLE_RATE
        frame.pts, frame.time_base = self._sounded, Fraction(1, WIRE_SAMPLE_RATE)
        self._sounded += len(samples)
        self._out.mux(self._audio.encode(frame))
