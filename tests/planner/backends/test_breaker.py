"""A dead endpoint is left alone for longer and longer, and tried by one at a time."""

from __future__ import annotations

from planner.backends.breaker import Breaker


def test_a_few_failures_cost_nothing() -> None:
    breaker = Breaker(patience=3)
    breaker.failed(0)
    breaker.failed(0)
    assert breaker.wait(0) == 0


def test_pauses_grow_to_a_limit() -> None:
    breaker, now, pauses = Breaker(patience=2, first_pause=1, longest_pause=5), 0.0, []
    breaker.failed(now)
    for _ in range(5):
        breaker.failed(now)
        pauses.append(breaker.wait(now))
        now += pauses[-1]
        assert breaker.wait(now) == 0
    assert pauses == [1, 2, 4, 5, 5]


def test_one_caller_tries_while_the_others_wait() -> None:
    breaker = Breaker(patience=1, first_pause=10)
    breaker.failed(0)
    assert breaker.wait(10) == 0
    assert breaker.wait(10.1) > 0


def test_a_caller_that_never_tells_blocks_nobody_for_ever() -> None:
    breaker = Breaker(patience=1, first_pause=10)
    breaker.failed(0)
    assert breaker.wait(10) == 0
    assert breaker.wait(20) == 0


def test_success_forgets() -> None:
    breaker = Breaker(patience=1, first_pause=10)
    breaker.failed(0)
    breaker.succeeded()
    assert breaker.wait(0) == 0
    breaker.failed(0)
    assert breaker.wait(0) == 10


def test_very_many_failures_do_not_overflow() -> None:
    breaker, now = Breaker(), 0.0
    for _ in range(5000):
        now += breaker.wait(now)
        assert breaker.wait(now) == 0
        breaker.failed(now)
    assert breaker.wait(now) == 30


def test_sessions_that_fail_together_are_one_failure() -> None:
    breaker = Breaker(patience=3)
    began = [breaker.failed(0) for _ in range(50)]
    assert began == [False, False, True] + [False] * 47
    assert breaker.wait(0) == 2
