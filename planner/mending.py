"""What the menders of faulty rows share."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from planner.evidence import F64, Spans, Violation

SHARE: Final = 0.95
"Of a limit that is made use of, so that rounding does not cross it."
REACH: Final = (0, 4, 12, 50, 10_000)
"Frames on either side of a fault that a round of mending may change."


@dataclass(frozen=True, slots=True)
class Job:
    """Rows to be mended in place."""

    rows: F64
    "float64 ``[N + T, 17]``: the rows before, as they are, and the track."
    first: int
    "N: where the track begins."
    faults: tuple[Violation, ...]
    "What was found so far, in frames of the track."
    round: int
    "How often it has been tried."

    @property
    def reach(self) -> int:
        """Frames on either side of a fault that may be changed."""
        return REACH[self.round]

    def spans(
        self, rules: Collection[str] = (), channel: str = "", *, before: int = 0, after: int = 0
    ) -> Spans:
        """Where rows are to be mended: apart, in order, ``[start, end)`` counted in `rows`.

        Args:
            rules: Faults of these rules only; all if empty.
            channel: Faults of this channel only.
            before: Frames to mend on the left of a fault at least.
            after: Frames on the right.
        """
        spans: Spans = []
        left, right = max(before, self.reach), max(after, self.reach)
        n = len(self.rows)
        for fault in sorted(self.faults, key=lambda fault: fault.start):
            if (rules and fault.rule not in rules) or (channel and channel not in fault.channels):
                continue
            start = max(fault.start - left, 0) + self.first
            end = min(fault.end + right + self.first, n)
            if spans and start <= spans[-1][1]:
                spans[-1] = (spans[-1][0], max(spans[-1][1], end))
            else:
                spans.append((start, end))
        return spans
