"""The generator's passes of all sessions: one computation at a time, the most urgent first.

A network keeps all the cores (or the device) that it is given busy, so two at once would only make
both late. Where a back end is faster with several windows at once, those that wait and fit together
go together.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from threading import Condition
from typing import Final

from core import U8
from engines.video.live import Asked, LiveStream, make_windows

Make = Callable[[Sequence[LiveStream], Sequence[Asked]], Sequence[U8 | Exception]]


@dataclass(order=True, slots=True)
class _Job:
    """A window that waits for its turn."""

    deadline: float
    number: int
    stream: LiveStream = field(compare=False)
    asked: Asked = field(compare=False)
    made: U8 | Exception | None = field(default=None, compare=False)


class Compute:
    """Shared by all sessions. Called from their threads."""

    def __init__(self, at_once: int = 1, make: Make = make_windows) -> None:
        """Args:
        at_once: Windows that are made together at most.
        make: Makes them.
        """
        self.at_once: Final = at_once
        self._make = make
        self._waiting: list[_Job] = []
        self._changed = Condition()
        self._busy = False
        self._numbers = count()

    def window(self, stream: LiveStream, asked: Asked, deadline: float) -> U8:
        """Wait for a turn, make the stream's next window.

        Args:
            stream: Nobody else's meanwhile.
            asked: What the window shows.
            deadline: When it is needed; any clock, the same for all.

        Raises:
            BrokenWindow: As `LiveStream.make`; or whatever else the back end raised.
        """
        job = _Job(deadline, next(self._numbers), stream, asked)
        with self._changed:
            heapq.heappush(self._waiting, job)
            while job.made is None and (self._busy or self._waiting[0] is not job):
                self._changed.wait()
            together = [] if job.made is not None else self._take()
            self._busy = self._busy or bool(together)
        if together:
            self._run(together)
        if isinstance(job.made, Exception):
            raise job.made
        assert job.made is not None
        return job.made

    def _take(self) -> list[_Job]:
        """The first that waits, and those that can go with it."""
        first = heapq.heappop(self._waiting)
        fit = [job for job in sorted(self._waiting) if job.stream.fits(first.stream)]
        together = [first, *fit[: self.at_once - 1]]
        self._waiting = [job for job in self._waiting if job not in together]
        heapq.heapify(self._waiting)
        return together

    def _run(self, jobs: list[_Job]) -> None:
        made: Sequence[U8 | Exception]
        try:
            made = self._make([job.stream for job in jobs], [job.asked for job in jobs])
        except Exception as error:  # of the back end: each session hears of it in its own thread
            made = [error] * len(jobs)
        with self._changed:
            for job, result in zip(jobs, made, strict=True):
                job.made = result
            self._busy = False
            self._changed.notify_all()
