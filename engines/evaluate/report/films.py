"""Single frames of the films of a run."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Final

import av
import numpy as np
from av.error import FFmpegError

from core import U8, InvalidInput
from engines.evaluate.case import MOST_FRAMES

LARGEST: Final = 4096
"Pixels a side."


def stills(path: Path, wanted: Collection[int]) -> dict[int, U8]:
    """Frames by their number, uint8 RGB ``[H, W, 3]``; those behind the end are missing.

    Raises:
        InvalidInput: There is no film, or none that can be decoded; the message is a few words.
    """
    last = min(max(wanted, default=-1), MOST_FRAMES)
    out: dict[int, U8] = {}
    try:
        if not path.is_file():
            raise InvalidInput("no film")
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise InvalidInput("a film without pictures")
            stream = container.streams.video[0]
            context = stream.codec_context
            if context is None:
                raise InvalidInput("can not be decoded")
            if max(context.width, context.height) > LARGEST:
                raise InvalidInput(f"larger than {LARGEST} pixels")
            for at, frame in enumerate(container.decode(stream)):
                if at in wanted:
                    out[at] = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
                if at >= last:
                    break
    except (FFmpegError, OSError, ValueError) as error:
        # A film cut off at its end still shows its beginning.
        if not out:
            raise InvalidInput("can not be decoded") from error
    if not out:
        raise InvalidInput("no frames")
    return out
