"""When a viewer's pictures are sent twice. Pure; the time is an argument.

A lost packet is asked for again (NACK), which takes a round trip, and a second one when the request
or its answer is lost as well: on a network with 100 ms and 5 % each way that is a picture a quarter
of a second late every few seconds, and players call that a freeze. So where packets get lost and
the way is long, each picture's packets are sent once more with the next picture, as retransmissions
that nobody asked for (RFC 4588 lets a sender do that). It costs twice the bits, hence two bounds:
the encoder gets half of what the network takes, and when losses grow with it, the network was full,
not noisy: it is given up, and tried again ever more rarely.
"""

from __future__ import annotations

from typing import Final

BEGIN: Final = 0.015
"Share of packets lost above which packets are repeated."
END: Final = 0.005
"And below which they are not any more."
HOPELESS: Final = 0.2
"Share above which it is congestion, whatever else it may look like."
GROWN: Final = 0.06
"Losses may be so much above twice what they were before repeating."
LASTING: Final = 3
"Reports in a row with losses above `BEGIN` until it begins; by then the share is known."
FAR: Final = 0.04
"Seconds of a round trip below which asking again is as quick as repeating."
KEEP: Final = 10.0
"Seconds that it goes on after the last loss."
PATIENCE: Final = 30.0
"Seconds after an attempt that made it worse; each one that follows doubles them."
PATIENCE_MOST: Final = 480.0
SMOOTH: Final = 0.5
"Weight of a new share: one second's losses of 5 % scatter between 0 and 10 %."


class Repeats:
    """One viewer's."""

    def __init__(self) -> None:
        self.on = False
        self._loss = 0.0
        self._lossy = 0  # reports in a row
        self._before = 0.0  # losses when it began
        self._needed = float("-inf")  # when losses were last seen
        self._not_until = float("-inf")
        self._patience = PATIENCE

    @property
    def copies(self) -> int:
        """How often each packet is sent."""
        return 2 if self.on else 1

    def report(self, share: float, round_trip: float | None, now: float) -> None:
        """What a second or more of receiver reports say (`stream.losses`).

        Args:
            share: Of packets lost, 0 to 1.
            round_trip: Seconds; None when not known yet.
            now: Monotonic seconds.
        """
        self._loss += SMOOTH * (share - self._loss)
        self._lossy = self._lossy + 1 if self._loss >= BEGIN else 0
        if self._loss > END:
            self._needed = now
        if self.on:
            if self._loss > min(HOPELESS, 2 * self._before + GROWN):
                self.on = False
                self._not_until = now + self._patience
                self._patience = min(PATIENCE_MOST, 2 * self._patience)
            elif now - self._needed > KEEP:
                self.on, self._patience = False, PATIENCE
        elif round_trip is not None and round_trip >= FAR and now >= self._not_until:
            self.on = self._lossy >= LASTING and self._loss <= HOPELESS
            self._before = self._loss
