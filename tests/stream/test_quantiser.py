"""VP8's rate loop, against an encoder that is an equation."""

from __future__ import annotations

from math import exp

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import FPS
from stream.quantiser import COARSEST, FINEST, Quantiser


def bits_of(q: int, busy: float, key: bool) -> int:
    """Frames shrink by a tenth with each step; a key frame is six times as large."""
    return round(busy * exp(-0.1 * q) * (6 if key else 1))


def run(quantiser: Quantiser, seconds: float, busy: float, keys: int = 0) -> list[int]:
    sizes = []
    for k in range(round(seconds * FPS)):
        key = bool(keys) and k % keys == 0
        bits = bits_of(quantiser.next(key), busy, key)
        quantiser.spent(bits, key)
        sizes.append(bits)
    return sizes


@pytest.mark.parametrize("bitrate", [200_000, 600_000, 1_500_000, 3_000_000])
def test_the_wanted_rate_is_found_and_kept(bitrate: int) -> None:
    quantiser = Quantiser(bitrate)
    run(quantiser, 2.0, busy=400_000)
    assert sum(run(quantiser, 4.0, busy=400_000)) / 4 == pytest.approx(bitrate, rel=0.1)


def test_a_changed_rate_is_followed_within_a_second_and_soon_downwards() -> None:
    quantiser = Quantiser(1_500_000)
    run(quantiser, 3.0, busy=400_000)
    quantiser.bitrate = 400_000
    sizes = run(quantiser, 3.0, busy=400_000)
    assert sum(sizes[25:50]) <= 1.15 * 400_000
    assert sum(sizes[12:25]) <= 0.7 * 1_500_000 / 2
    quantiser.bitrate = 1_500_000
    assert sum(run(quantiser, 3.0, busy=400_000)[50:]) == pytest.approx(1_500_000, rel=0.15)


def test_a_storm_of_key_frames_does_not_break_the_rate() -> None:
    quantiser = Quantiser(800_000)
    run(quantiser, 2.0, busy=300_000, keys=12)
    assert sum(run(quantiser, 6.0, busy=300_000, keys=12)) / 6 <= 1.2 * 800_000


@given(
    st.lists(st.tuples(st.integers(0, 10_000_000), st.booleans()), max_size=80),
    st.integers(50_000, 10_000_000),
)
def test_whatever_comes_out_the_quantiser_is_one(sizes: list[tuple[int, bool]], rate: int) -> None:
    quantiser = Quantiser(rate)
    for bits, key in sizes:
        assert FINEST <= quantiser.next(key) <= COARSEST
        quantiser.spent(bits, key)


def test_after_a_still_picture_the_first_second_may_be_large_and_no_other() -> None:
    quantiser = Quantiser(1_000_000)
    run(quantiser, 60.0, busy=1_000)
    sizes = run(quantiser, 3.0, busy=400_000)
    assert sum(sizes[:25]) <= 2_750_000
    assert sum(sizes[25:50]) <= 1_150_000
