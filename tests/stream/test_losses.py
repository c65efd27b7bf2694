"""Receiver reports put together: a share of packets that says something."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from stream.losses import ENOUGH, SPAN, STRANGE, Losses


def shares(losses: Losses, reports: list[tuple[float, int]], gap: float) -> list[float]:
    """``reports``: the fraction lost, and packets since the one before; ``gap`` seconds apart."""
    highest, found = 70_000, []
    for k, (fraction, packets) in enumerate([(0.0, 0), *reports]):
        highest += packets
        share = losses.report(fraction, highest % (1 << 32), k * gap)
        if share is not None:
            found.append(share)
    return found


def test_one_packet_of_six_is_not_seventeen_per_cent() -> None:
    chance = random.Random(3)
    reports = []
    for _ in range(1000):
        lost = sum(chance.random() < 0.05 for _ in range(6))
        reports.append((lost / 6, 6))
    found = shares(Losses(), reports, gap=0.2)
    assert max(lost for lost, _ in reports) >= 2 / 6
    assert max(found) < 0.16
    assert 0.04 < sum(found) / len(found) < 0.06


def test_a_share_comes_once_a_second_however_many_reports_do() -> None:
    found = shares(Losses(), [(0.5, 10)] * 1000, gap=0.01)
    assert 8 <= len(found) <= 10
    assert set(found) == {0.5}


def test_the_same_report_again_and_again_says_nothing() -> None:
    assert shares(Losses(), [(1.0, 0)] * 1000, gap=0.1) == []


def test_a_slow_stream_is_told_of_as_well() -> None:
    found = shares(Losses(), [(0.2, 5)] * 20, gap=1.0)
    assert all(abs(share - 0.2) < 1e-9 for share in found)
    assert 5 <= len(found) <= 7


def test_numbers_wrap() -> None:
    losses = Losses()
    assert losses.report(0.0, (1 << 32) - 10, 0.0) is None
    assert losses.report(0.25, ENOUGH, SPAN) == 0.25


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, (1 << 32) - 1)), max_size=60))
def test_nothing_a_receiver_says_is_more_than_all(reports: list[tuple[float, int]]) -> None:
    losses = Losses()
    for k, (fraction, highest) in enumerate(reports):
        share = losses.report(fraction, highest, k * SPAN)
        assert share is None or 0 <= share <= 1


def test_a_jump_of_the_numbers_begins_anew() -> None:
    losses = Losses()
    losses.report(0.0, 100, 0.0)
    assert losses.report(1.0, 100 + STRANGE + 1, SPAN) is None
    assert losses.report(0.0, 100 + STRANGE + 1 + ENOUGH, 2 * SPAN) == 0.0
