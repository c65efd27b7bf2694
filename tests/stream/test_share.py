"""What one session's commands may take of the server's time."""

from __future__ import annotations

import pytest

from stream.share import BURST, Share


def test_work_is_bounded_to_its_share_and_a_little_is_never_kept_waiting() -> None:
    share, now, done = Share(0.25, 0.0), 0.0, 0.0
    while now < 20:
        now += share.wait(now)
        share.spent(0.05)
        done, now = done + 0.05, now + 0.05
    assert done == pytest.approx(0.25 * 20 + BURST, rel=0.05)
    calm = Share(0.25, 0.0)
    for second in range(20):
        assert calm.wait(float(second)) == 0
        calm.spent(0.2)
