"""VP8's bit rate, steered from outside while the encoder runs. Pure arithmetic.

libavcodec's libvpx wrapper ignores a bit rate that changes while the encoder is open (measured:
1.5 Mbit/s stays 1.5 Mbit/s), so following a receiver would take a new encoder and a key frame for
each change. It does follow the largest quantiser. So the encoder is opened with a target it can
never reach, which makes it use the largest quantiser always, and that is set here, frame by frame.
On a moving 512×512 portrait this is as good as libvpx's own constant bit rate (48.7 / 46.2 / 44.3
against 48.7 / 46.2 / 44.1 dB at 1.5 / 0.6 / 0.3 Mbit/s) and a change is followed within half a
second.
"""

from __future__ import annotations

from math import log
from typing import Final

from core import FPS

FINEST: Final = 4
COARSEST: Final = 56
"libvpx's quantisers go from 0 to 63; finer than 4 is not seen, coarser than 56 is no face."
START: Final = 20.0
"A first key frame of 80 kbit at 512 pixels; a second later it is as fine as the rate allows."
KEY_COARSER: Final = 2
"A key frame is this much coarser than its neighbours: it is large, and mended at once."
SMOOTH: Final = 0.25
"Weight of the newest frame in the mean size."
SAVED: Final = 0.1
"Seconds of bits that quiet frames save up for later ones, at most."
OWED: Final = 0.5
"Seconds of bits that large frames may owe: a key frame is paid back by the frames after it."
STEP_DOWN: Final = -1.0
STEP_UP: Final = 3.0
"Quantiser steps from one frame to the next: bits that are too many are worse than too few."


class Quantiser:
    """The quantiser of each frame, from the sizes of those before."""

    def __init__(self, bitrate: int) -> None:
        """``bitrate`` in bit/s; it may be changed at any time."""
        self.bitrate = bitrate
        self._q = START
        self._mean = bitrate / FPS
        self._debt = 0.0

    def next(self, key: bool) -> int:
        """For the next frame."""
        wanted = round(self._q) + (KEY_COARSER if key else 0)
        return max(FINEST, min(COARSEST, wanted))

    def spent(self, bits: int, key: bool) -> None:
        """The frame came out this large."""
        share = self.bitrate / FPS
        owed = self._debt + bits - share
        self._debt = max(-SAVED * self.bitrate, min(OWED * self.bitrate, owed))
        if not key:  # how large a key frame is says nothing about the next frame
            self._mean += SMOOTH * (bits - self._mean)
        over = log(max(self._mean, 1.0) / share)
        step = 0.5 * over + self._debt / self.bitrate
        step = max(STEP_DOWN, min(STEP_UP, step))
        self._q = max(FINEST, min(COARSEST, self._q + step))
