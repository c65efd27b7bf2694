"""What a viewer may be sent: estimates, losses, and the size of its picture."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stream.bandwidth import SETTLE_UP, STARTING, Bandwidth, Rung
from stream.settings import StreamSettings

SETTINGS = StreamSettings(bitrate=1_000_000, min_bitrate=100_000, max_bitrate=2_000_000)


def fresh() -> Bandwidth:
    """Of a viewer that has been there for a while."""
    band = Bandwidth(SETTINGS)
    band.choose(sent=0, now=-STARTING)
    return band


def test_the_receiver_s_estimate_counts_within_bounds() -> None:
    band = fresh()
    assert band.allowed == 1_000_000
    for estimate, allowed in ((640_000, 640_000), (1, 100_000), (99_000_000, 2_000_000)):
        band.estimated(estimate)
        assert band.allowed == allowed


def test_much_loss_lowers_little_loss_raises_and_some_does_neither() -> None:
    band = fresh()
    band.lost(0.05, 900_000)
    assert band.allowed == 1_000_000
    band.lost(0.2, 900_000)
    assert band.allowed == 810_000
    band.lost(0.05, 800_000)
    assert band.allowed == 810_000
    band.lost(0.0, 800_000)
    assert 860_000 < band.allowed < 900_000
    for _ in range(55):
        band.lost(0.0, 800_000)
    assert band.allowed == 1_000_000, "the estimate bounds it still"


def test_packets_that_are_sent_twice_have_to_fit_twice() -> None:
    band = fresh()
    band.copies = 2
    assert band.allowed == 500_000
    band.estimated(99_000_000)
    assert band.allowed == SETTINGS.max_bitrate // 2
    band.estimated(1)
    assert band.allowed == SETTINGS.min_bitrate


def test_a_network_that_is_too_slow_gets_the_small_picture_and_a_try_later() -> None:
    band = fresh()
    band.estimated(300_000)
    assert band.choose(sent=400_000, now=1.0) is Rung.HALF
    band.estimated(700_000)
    assert band.choose(sent=500_000, now=SETTLE_UP) is Rung.HALF
    assert band.choose(sent=500_000, now=SETTLE_UP + 1) is Rung.FULL


def test_an_estimate_that_a_still_face_keeps_low_is_no_reason_for_a_small_picture() -> None:
    band = fresh()
    band.estimated(300_000)
    assert band.choose(sent=150_000, now=1.0) is Rung.FULL


def test_an_estimate_on_its_way_up_is_no_reason_but_losses_are() -> None:
    band, lossy = Bandwidth(SETTINGS), Bandwidth(SETTINGS)
    for second in range(8):
        now = float(second)
        for one in (band, lossy):
            one.estimated(round(300_000 * 1.08**second))
        lossy.lost(0.3, 300_000)
        assert band.choose(sent=400_000, now=now) is Rung.FULL
        lossy.choose(sent=400_000, now=now)
    assert lossy.rung is Rung.HALF


def test_a_small_picture_needs_less() -> None:
    band = fresh()
    band.estimated(300_000)
    assert band.choose(sent=300_000, now=1.0, side=256) is Rung.FULL
    band.estimated(150_000)
    assert band.choose(sent=150_000, now=2.0, side=256) is Rung.HALF


def test_each_failed_try_of_the_large_picture_waits_longer() -> None:
    """A link between the two sizes must not flip, with a key frame each time."""
    band, flips, now = fresh(), 0, 0.0
    band.estimated(350_000)
    while now < 600.0:
        before = band.rung
        # The small picture leaves room, the large one does not.
        band.choose(sent=200_000 if band.rung is Rung.HALF else 400_000, now=now)
        flips += band.rung is not before
        now += 1.0
    assert band.rung in Rung and flips <= 14


@given(
    st.lists(
        st.one_of(
            st.integers(0, 10**10).map(lambda b: ("remb", b)),
            st.floats(0, 1).map(lambda f: ("loss", f)),
        ),
        max_size=60,
    )
)
def test_whatever_is_reported_the_rate_stays_within_bounds(
    reports: list[tuple[str, float]],
) -> None:
    band = fresh()
    for now, (kind, value) in enumerate(reports):
        if kind == "remb":
            band.estimated(int(value))
        else:
            band.lost(value, band.allowed)
        band.choose(band.allowed, float(now))
        assert 100_000 <= band.allowed <= 2_000_000
