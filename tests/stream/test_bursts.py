"""After a stall nothing is sent in a burst, and nothing stays late. Numbers are a viewer's."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from core import FPS, SAMPLES_PER_FRAME
from stream.pacer import Pacer

BURST = 0.04
"Seconds in which at most two pictures leave."
NOTICED = 0.125
"Seconds by which sound may be ahead of its picture before it is noticed (ITU-R BT.1359)."


def most_within(times: npt.NDArray[np.float64], span: float) -> int:
    """How many of the times lie in any ``span`` seconds, at most."""
    return max(int(((times >= at) & (times < at + span - 1e-6)).sum()) for at in times)


@pytest.mark.parametrize("stall", [0.05, 0.09, 0.13, 0.2, 0.4, 0.8, 2.0])
@pytest.mark.parametrize("encoded", [False, True])
def test_whatever_the_stall_two_pictures_in_40_ms_and_lips_are_back_with_the_voice(
    stall: float, encoded: bool
) -> None:
    """All that was due meanwhile is there at once, as from a producer or network that woke up."""
    epoch = 100.0
    pacer = Pacer(lambda: epoch, wall=0.0, now=0.0)
    wait = pacer.encoded_wait if encoded else pacer.video_wait
    stood, woke, now = epoch + 1.0, epoch + 1.0 + stall, 0.0
    left, late = [], []
    for k in range(int((3 + 2 * stall) * FPS)):
        due = epoch + k / FPS
        there = max(due - 0.08, woke if stood <= due < woke else 0.0)
        now = max(now, there)
        waited = wait(k * SAMPLES_PER_FRAME, now)
        if waited is None:
            continue
        now += waited
        left.append(now)
        late.append(now - due)
    assert most_within(np.array(left), BURST) <= 2
    if not encoded:  # later ones are made from those that are encoded: they are made up for
        assert max(late) <= NOTICED
    again = next(k for k, at in enumerate(left) if at >= woke + stall + 0.1)
    assert np.abs(late[again:]).max() < 1e-6, "no offset stays"
    assert len(left) - again > FPS
