"""Blinks: closed eyes are found closed, other things the lids do are not, and matching is fair."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from core import F32
from engines.evaluate.metrics.blinks import Blink, find_blinks, match_blinks

FPS = 25.0
SHAPE = np.array([0.3, 0.9, 1.0, 0.8, 0.45, 0.2], np.float32)


def lids(*at: int, frames: int = 100, height: float = 1.0, base: float = 0.0) -> F32:
    """Lids at ``base`` with blinks that start at the given frames."""
    out = np.full(frames, base, np.float32)
    for start in at:
        out[start : start + 6] = base + (height - base) * SHAPE
    return out


def blinks(*peaks: int) -> list[Blink]:
    return [Blink(p - 1, p, p + 2, 1.0) for p in peaks]


# --- finding -------------------------------------------------------------------------------


def test_closed_eyes_are_found_closed() -> None:
    assert find_blinks(lids(10, 50), FPS) == [Blink(10, 12, 16, 1.0), Blink(50, 52, 56, 1.0)]
    assert find_blinks(lids(), FPS) == []
    assert find_blinks(np.zeros(0, np.float32), FPS) == []


def test_the_frame_rate_is_taken_into_account() -> None:
    fast = np.interp(np.arange(240) / 60, np.arange(100) / FPS, lids(10, 50)).astype(np.float32)
    assert [round(b.peak / 60, 1) for b in find_blinks(fast, 60)] == [0.5, 2.1]


@pytest.mark.parametrize(
    ("curve", "what"),
    [
        (lids(10, height=0.4), "half a blink"),
        (np.repeat(np.array([0, 1, 0], np.float32), (40, 20, 40)), "eyes shut for 0.8 s"),
        (np.linspace(0, 1, 100, dtype=np.float32), "lids that sink"),
        (lids(base=0.6), "droop"),
        (np.eye(1, 100, 50, dtype=np.float32)[0], "one bad frame"),
        (np.repeat(np.array([1, 0], np.float32), (5, 95)), "cut off by the start"),
        (0.6 + 0.1 * np.random.default_rng(0).random(100, dtype=np.float32), "trembling lids"),
    ],
)
def test_what_is_no_blink_is_not_found(curve: F32, what: str) -> None:
    assert find_blinks(curve, FPS) == [], what


def test_droopy_lids_still_blink() -> None:
    [blink] = find_blinks(lids(40, base=0.5), FPS)
    assert blink.peak == 42 and blink.depth == 1


def test_noise_does_not_cut_a_blink_in_two() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        curve = lids(10, 50) + rng.normal(0, 0.03, 100).astype(np.float32)
        assert [
            abs(b.peak - p) <= 1 for b, p in zip(find_blinks(curve, FPS), (12, 52), strict=True)
        ]


def test_a_face_lost_for_a_moment_is_no_blink() -> None:
    curve = lids(50)
    curve[[0, 1, 20, 21, 22]] = np.nan
    assert [b.peak for b in find_blinks(curve, FPS)] == [52]
    assert find_blinks(np.full(50, np.nan, np.float32), FPS) == []


@given(hnp.arrays(np.float32, st.integers(0, 120), elements=st.floats(0, 1, width=32)))
def test_any_curve_gives_blinks_in_order(curve: F32) -> None:
    found = find_blinks(curve, FPS)
    assert all(b.start <= b.peak < b.end and b.depth >= 0.5 for b in found)
    assert all(a.end <= b.start for a, b in zip(found, found[1:], strict=False))


# --- matching ------------------------------------------------------------------------------


def test_matches_and_misses_are_counted() -> None:
    match = match_blinks(blinks(10, 52, 90), blinks(12, 50, 70, 120), FPS)
    assert match.precision == pytest.approx(2 / 3)
    assert match.recall == pytest.approx(2 / 4)
    assert match.f1 == pytest.approx(4 / 7)
    assert match.errors == pytest.approx([-0.08, 0.08])


def test_none_against_none_says_nothing() -> None:
    match = match_blinks([], [], FPS)
    assert np.isnan([match.precision, match.recall, match.f1]).all()


def test_blinks_out_of_nowhere_and_missing_ones() -> None:
    made = match_blinks(blinks(10), [], FPS)
    assert (made.precision, made.f1) == (0, 0) and np.isnan(made.recall)
    missed = match_blinks([], blinks(10), FPS)
    assert (missed.recall, missed.f1) == (0, 0) and np.isnan(missed.precision)


def test_each_blink_has_one_partner() -> None:
    assert match_blinks(blinks(10, 12, 14), blinks(12), FPS).precision == pytest.approx(1 / 3)
    assert match_blinks(blinks(10, 12, 14), blinks(12), FPS).errors == pytest.approx([0])


def test_more_pairs_go_before_nearer_ones() -> None:
    """The nearest pair alone (14, 14) would leave 10 and 18 without partners within 0.2 s."""
    match = match_blinks(blinks(10, 14), blinks(14, 18), FPS)
    assert match.f1 == 1 and match.errors == pytest.approx([-0.16, -0.16])


PEAKS = st.lists(st.integers(0, 40), max_size=4, unique=True).map(sorted)


@given(PEAKS, PEAKS)
def test_no_other_pairing_is_better(a: list[int], b: list[int]) -> None:
    match = match_blinks(blinks(*a), blinks(*b), FPS, within=0.2)
    best = (0, 0.0)
    padded = [*b, *[10**6] * len(a)]
    for order in permutations(padded, len(a)):
        near = [abs(x - y) / FPS for x, y in zip(a, order, strict=True) if abs(x - y) <= 5]
        best = max(best, (len(near), -sum(near)))
    assert len(match.errors) == best[0]
    assert np.abs(match.errors).sum() == pytest.approx(-best[1], abs=1e-6)


@given(PEAKS, PEAKS)
def test_turned_around_precision_is_recall(a: list[int], b: list[int]) -> None:
    there, back = (match_blinks(blinks(*x), blinks(*y), FPS) for x, y in ((a, b), (b, a)))
    np.testing.assert_equal(there.precision, back.recall)
    np.testing.assert_equal(there.f1, back.f1)
