"""Pacer: pure time arithmetic. One epoch, no burst, no drift."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import SAMPLES_PER_FRAME
from stream.pacer import AUDIO_LATE, AUDIO_START_LATE, NTP_UNIX, VIDEO_GAP, VIDEO_LATE, Pacer

FRAME = 0.04


class Session:
    """An epoch that can be moved, as a session moves its own after a stall."""

    epoch = 100.0


def pacer_of(session: Session, wall: float = 0.0, now: float = 0.0) -> Pacer:
    return Pacer(lambda: session.epoch, wall=wall, now=now)


def pts(frame: int) -> int:
    return frame * SAMPLES_PER_FRAME


def test_sound_and_picture_of_one_moment_leave_together() -> None:
    pacer = pacer_of(Session())
    for k in range(25):
        assert pacer.audio_wait(pts(k), 100.0) == pytest.approx(k * FRAME)
        assert pacer.video_wait(pts(k), 100.0) == pytest.approx(k * FRAME)


def test_waiting_exactly_as_told_never_drifts() -> None:
    pacer = pacer_of(Session())
    now = 100.0
    for k in range(25 * 3600):
        wait = pacer.video_wait(pts(k), now)
        assert wait is not None
        now += wait
    assert now == pytest.approx(100.0 + (25 * 3600 - 1) * FRAME, abs=1e-3)


def test_a_stall_moves_both_by_the_same_amount() -> None:
    session = Session()
    pacer = pacer_of(session)
    session.epoch += 0.8
    assert pacer.audio_wait(pts(3), 100.9) == pytest.approx(0.02)
    assert pacer.video_wait(pts(3), 100.9) == pytest.approx(0.02)


def test_late_video_is_skipped_and_counted() -> None:
    pacer = pacer_of(Session())
    assert pacer.video_wait(0, 100.0 + VIDEO_LATE + 0.001) is None
    assert pacer.skipped == 1
    assert pacer.video_wait(0, 100.0 + VIDEO_LATE / 2) == 0


def test_late_sound_leaves_at_once_until_it_is_not_worth_hearing() -> None:
    pacer = pacer_of(Session())
    assert pacer.audio_wait(0, 100.0 + AUDIO_START_LATE + 0.001) is None
    assert pacer.audio_wait(0, 100.0) == 0
    assert pacer.audio_wait(0, 100.0 + AUDIO_LATE - 0.001) == 0
    assert pacer.audio_wait(0, 100.0 + AUDIO_LATE + 0.001) is None


def test_an_encoded_frame_is_never_skipped_and_a_delay_is_made_up_for_at_twice_the_rate() -> None:
    pacer = pacer_of(Session())
    assert pacer.encoded_wait(pts(0), 99.9) == pytest.approx(0.1)
    now = 100.0 + 10.5 * FRAME  # the transport stood still for ten frames
    left = []
    for k in range(1, 40):
        now += pacer.encoded_wait(pts(k), now)
        left.append(now)
    gaps = np.diff(left)
    assert gaps.min() >= VIDEO_GAP - 1e-9
    assert left[25] == pytest.approx(100.0 + 26 * FRAME), "on time again"


@given(st.lists(st.floats(0, 0.5), min_size=20, max_size=60), st.booleans())
def test_whatever_the_delays_video_never_bursts(delays: list[float], moves: bool) -> None:
    """Never more than two frames in 40 ms, and never one that is too late."""
    session = Session()
    pacer = pacer_of(session)
    now, left = 100.0, []
    for k, delay in enumerate(delays):
        if k % 5 == 0:
            now += delay
            session.epoch += delay if moves else 0.0
        wait = pacer.video_wait(pts(k), now)
        if wait is None:
            assert now - (session.epoch + k * FRAME) > VIDEO_LATE
            continue
        assert wait >= 0
        now += wait
        left.append(now)
        assert now - (session.epoch + k * FRAME) <= VIDEO_LATE + VIDEO_GAP * len(delays)
    gaps = [b - a for a, b in zip(left, left[1:], strict=False)]
    assert all(gap >= VIDEO_GAP - 1e-9 for gap in gaps)


def test_reports_follow_the_media_clock() -> None:
    session = Session()
    pacer = pacer_of(session, wall=1_000_000.5, now=90.0)
    assert pacer.media_time(101.5) == pytest.approx(1.5)
    assert pacer.ntp(90.0) / 2**32 == pytest.approx(1_000_000.5 + NTP_UNIX, abs=1e-5)
    assert (pacer.ntp(92.0) - pacer.ntp(90.0)) / 2**32 == pytest.approx(2.0, abs=1e-5)
    session.epoch += 0.5
    assert pacer.media_time(101.5) == pytest.approx(1.0)


def test_a_producer_that_stands_still_for_800_ms_makes_no_burst_and_no_offset() -> None:
    """What was made meanwhile is there at once; then the session moves its clock."""
    session = Session()
    pacer = pacer_of(session)
    left, offsets = [], []
    free = 100.0
    for k in range(60):
        made = 100.0 + k * FRAME - 0.08
        if k == 20:
            session.epoch += 0.8
        if k >= 20:
            made += 0.8
        elif k >= 12:
            made = 100.0 + 20 * FRAME + 0.5  # eight frames are made together
        now = max(made, free)
        wait = pacer.video_wait(pts(k), now)
        heard = pacer.audio_wait(pts(k), made)
        if wait is not None:
            free = now + wait
            left.append(free)
            if heard is not None and k >= 22:
                offsets.append(free - made - heard)
    times = np.array(left)
    for at in times:
        assert ((times >= at - 1e-9) & (times < at + FRAME - 1e-9)).sum() <= 2
    assert len(offsets) >= 30 and np.abs(offsets).max() <= 0.04
