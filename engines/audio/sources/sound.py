"""Sound files of any kind → 16 kHz mono."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from av.error import FFmpegError

from core import F32, SAMPLE_RATE, InvalidInput


def read_sound(path: Path, *, limit: float = 3600.0) -> F32:
    """The first sound track of a file, float32 ``[N]`` at 16 kHz, channels mixed.

    A file that breaks off gives what came before.

    Args:
        limit: Seconds read at most.

    Raises:
        InvalidInput: No sound can be read from it.
    """
    parts: list[F32] = []
    count = 0
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise InvalidInput(f"{path.name} has no sound.")
            # The mixing to mono is ours: FFmpeg's makes equal channels 3 dB louder.
            resampler = av.AudioResampler("fltp", None, SAMPLE_RATE)
            try:
                for frame in container.decode(audio=0):
                    for part in resampler.resample(frame):
                        parts.append(part.to_ndarray().mean(axis=0, dtype=np.float32))
                        count += parts[-1].size
                    if count > limit * SAMPLE_RATE:
                        break
            except FFmpegError:
                if not parts:
                    raise
            for part in resampler.resample(None):
                parts.append(part.to_ndarray().mean(axis=0, dtype=np.float32))
    except (FFmpegError, OSError) as error:
        raise InvalidInput(f"{path.name} can not be read as sound: {error}.") from error
    sound: F32 = np.concatenate(parts).astype(np.float32) if parts else np.zeros(0, np.float32)
    return sound[: int(limit * SAMPLE_RATE)]
