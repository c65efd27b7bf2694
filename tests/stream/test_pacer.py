"""Pacer: pure time arithmetic. One epoch, no burst, no drift."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import SAMPLES_PER_FRAME
from stream.pacer import REANCHOR, VIDEO_LATE, Pacer

FRAME = 0.04


def started(epoch: float = 100.0) -> Pacer:
    pacer = Pacer()
    pacer.start(epoch)
    return pacer


def test_frames_leave_at_their_own_time() -> None:
    pacer = started()
    for k in range(1000):
        pts = k * SAMPLES_PER_FRAME
        assert pacer.audio_wait(pts, 100.0) == pytest.approx(min(k * FRAME, 1.12), abs=1e-6) or (
            k * FRAME > 1 + REANCHOR
        )
        if k * FRAME > 1:
            break


def test_waiting_exactly_as_told_never_drifts() -> None:
    pacer = started()
    now = 100.0
    for k in range(25 * 3600):
        now += pacer.audio_wait(k * SAMPLES_PER_FRAME, now)
    assert now == pytest.approx(100.0 + (25 * 3600 - 1) * FRAME, abs=1e-3)
    assert pacer.reanchors == 0


def test_slightly_late_audio_hurries_and_keeps_its_epoch() -> None:
    pacer = started()
    assert pacer.audio_wait(0, 100.05) == 0
    assert pacer.audio_wait(5 * SAMPLES_PER_FRAME, 100.05) == pytest.approx(0.15)
    assert pacer.reanchors == 0


def test_after_a_stall_audio_moves_the_epoch_and_video_follows() -> None:
    pacer = started()
    assert pacer.audio_wait(0, 100.8) == 0
    assert pacer.reanchors == 1
    assert pacer.audio_wait(SAMPLES_PER_FRAME, 100.8) == pytest.approx(FRAME)
    assert pacer.video_wait(SAMPLES_PER_FRAME, 100.8) == pytest.approx(FRAME)


def test_late_video_is_dropped_against_audio() -> None:
    pacer = started()
    assert pacer.video_wait(0, 100.0 + VIDEO_LATE + 0.001) is None
    assert pacer.video_wait(0, 100.0 + VIDEO_LATE / 2) == 0


@given(st.lists(st.floats(0, 0.5), min_size=20, max_size=60))
def test_whatever_the_delays_no_burst_and_no_negative_wait(delays: list[float]) -> None:
    """After any pattern of stalls audio runs at most REANCHOR ahead of real time."""
    pacer = started(0.0)
    now, sent = 0.0, []
    for k, delay in enumerate(delays):
        now += delay if k % 7 == 0 else 0.0
        wait = pacer.audio_wait(k * SAMPLES_PER_FRAME, now)
        assert wait >= 0
        now += wait
        sent.append(now)
    for i in range(len(sent)):
        for j in range(i + 1, len(sent)):
            assert sent[j] - sent[i] >= (j - i) * FRAME - REANCHOR - 1e-6
