"""What a viewer's network takes, from what its receiver reports. Pure; the time is an argument.

Two reports count: the receiver's own estimate (REMB) and the share of packets it lost, with the
rules of draft-ietf-rmcat-gcc-02 section 6 (below 2 % up, above 10 % down, as it is in between).
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from stream.settings import StreamSettings

LITTLE: Final = 0.02
MUCH: Final = 0.10
"Shares of lost packets below which the rate may rise, and above which it has to fall."
RISE: Final = 1.08
"A report, of a second or more, without losses."
HALF_BELOW: Final = 0.4
"Share of the usual bit rate below which a picture of half the size looks better."
FULL_ABOVE: Final = 0.6
"And above which the full one does."
SETTLE_DOWN: Final = 1.0
"Seconds after a change of size before the next one to the smaller."
SETTLE_UP: Final = 10.0
"And to the larger: each change costs a key frame."
SETTLE_MOST: Final = 160.0
"The same after attempts that failed: each doubles the wait."
BUSY: Final = 0.9
"""An estimate counts as the network's limit when this share of it is sent. Without congestion it is
one and a half times what comes: quiet faces send less."""
STARTING: Final = 8.0
"Seconds in which estimates are still on their way up, by 8 % a second from a few hundred kbit/s."
LARGE: Final = 512
"Side of a picture that needs the usual bit rate; smaller ones need less, in proportion."


def usual_rate(bitrate: int, side: int) -> int:
    """Bit/s for a picture of ``side`` pixels, when one of `LARGE` has ``bitrate``."""
    return round(bitrate * min(1.0, side / LARGE))


class Rung(Enum):
    """A picture's size."""

    FULL = 1
    HALF = 2


class Bandwidth:
    """One viewer's share."""

    def __init__(self, settings: StreamSettings) -> None:
        self._usual = settings.bitrate
        self._least, self._most = settings.min_bitrate, settings.max_bitrate
        self._estimate = settings.bitrate
        self._lossless = settings.max_bitrate
        self._changed = float("-inf")
        self._patience = SETTLE_UP
        self._began: float | None = None
        self.rung = Rung.FULL
        self.copies = 1
        "How often each packet is sent; all of them have to fit."

    @property
    def allowed(self) -> int:
        """Bit/s that this viewer may be sent."""
        return max(self._least, min(self._most, self._estimate, self._lossless) // self.copies)

    def estimated(self, bitrate: int) -> None:
        """The receiver's estimate (REMB), bit/s."""
        self._estimate = bitrate

    def lost(self, share: float, sent: int) -> None:
        """Of the packets of a second or more, so many (0 to 1) got lost; it was sent ``sent``
        bit/s meanwhile. See `stream.losses`."""
        if share > MUCH:
            used = min(self.allowed, max(sent, self._least))
            self._lossless = max(self._least, round(used * (1 - 0.5 * share)))
        elif share < LITTLE:
            self._lossless = min(self._most, round(self._lossless * RISE))

    def choose(self, sent: int, now: float, side: int = LARGE) -> Rung:
        """Which size suits.

        Args:
            sent: Bit/s that are being sent.
            now: Monotonic seconds.
            side: Of the full picture.
        """
        since, usual = now - self._changed, usual_rate(self._usual, side)
        self._began = now if self._began is None else self._began
        if now - self._began < STARTING and self._lossless >= self._most:
            return self.rung
        limited = sent >= BUSY * self.allowed
        if self.rung is Rung.FULL:
            if limited and self.allowed < HALF_BELOW * usual and since >= SETTLE_DOWN:
                failed = since < 2 * SETTLE_UP
                self._patience = min(SETTLE_MOST, 2 * self._patience) if failed else SETTLE_UP
                self.rung, self._changed = Rung.HALF, now
        # An estimate grows no further than 1.5 times what is sent, so a small picture that leaves
        # room is reason enough to try the large one.
        elif since >= self._patience and (self.allowed > FULL_ABOVE * usual or not limited):
            self.rung, self._changed = Rung.FULL, now
        return self.rung
