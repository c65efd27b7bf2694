"""How often one address may come: pure, and for clocks of our own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.rates import BURST, Proxies, Rates, group
from stream.settings import StreamSettings


def come(rates: Rates, host: str, now: float) -> bool:
    """Whether it may at once; it does then."""
    free = rates.wait(host, now) == 0
    if free:
        rates.take(host, now)
    return free


def test_two_seconds_worth_may_come_at_once_and_then_so_many_a_second() -> None:
    rates = Rates(10)
    assert sum(come(rates, "192.0.2.1", 100.0) for _ in range(50)) == 10 * BURST
    assert rates.wait("192.0.2.1", 100.0) == pytest.approx(0.1)
    assert sum(come(rates, "192.0.2.1", 100 + k / 50) for k in range(251)) == pytest.approx(50, 1)
    assert come(rates, "192.0.2.2", 100.0), "others are not concerned"


@given(st.lists(st.floats(0, 2), max_size=200), st.floats(0.5, 50))
def test_whenever_they_come_there_are_never_more(pauses: list[float], rate: float) -> None:
    rates, now, came = Rates(rate), 5.0, []
    for pause in pauses:
        now += pause
        if come(rates, "192.0.2.1", now):
            came.append(now)
    for i, first in enumerate(came):
        for j in range(i, len(came)):
            assert j - i + 1 <= rate * (came[j] - first + BURST) + 1e-3 + (rate * BURST < 1)


def test_who_waits_has_a_turn_of_their_own() -> None:
    rates, waits = Rates(10), []
    for _ in range(25):
        waits.append(rates.wait("192.0.2.1", 0.0))
        rates.take("192.0.2.1", 0.0)
    assert waits == pytest.approx([0.0] * 20 + [0.1, 0.2, 0.3, 0.4, 0.5])


def test_0_bounds_nothing_and_keeps_nothing() -> None:
    rates = Rates(0)
    assert all(come(rates, "192.0.2.1", 0.0) for _ in range(1000)) and len(rates) == 0


def test_the_table_is_bounded_and_forgets_whose_bucket_is_full() -> None:
    rates = Rates(1, addresses=100)
    for number in range(1000):
        rates.take(f"192.0.{number >> 8}.{number & 255}", 0.0)
        assert len(rates) <= 100
    rates.take("198.51.100.1", 5.0)
    assert len(rates) == 1


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("192.0.2.1", "192.0.2.2", False),
        ("fe80::1%eth0", "fe80::2", True),
        ("unknown", "x" * 5000, True),
        ("", "unknown", True),
    ],
)
def test_one_machine_is_one_address(one: str, other: str, same: bool) -> None:
    assert (group(one) == group(other)) is same
    assert len(group(other)) < 50


def test_proxies_are_this_machine_and_those_of_the_settings() -> None:
    proxies = Proxies(("10.0.0.0/8", "2001:db8::1"))
    for host in ("127.0.0.1", "::1", "10.9.8.7", "2001:db8::1"):
        assert host in proxies
    for host in ("127.0.0.2", "192.0.2.1", "2001:db8::2", "", "unknown"):
        assert host not in proxies
    for wrong in ("10.0.0.1/8", "proxy.example.com", "*"):
        with pytest.raises(ValueError, match="trusted_proxies"):
            StreamSettings(trusted_proxies=(wrong,))
