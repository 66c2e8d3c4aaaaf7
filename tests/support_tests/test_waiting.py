"""The helper that waits for conditions."""

import pytest

from tests.support.waiting import wait_until


def test_it_returns_the_first_true_value() -> None:
    values = iter([0, "", None, "ready", "later"])
    assert wait_until(lambda: next(values)) == "ready"


def test_exceptions_count_as_not_yet() -> None:
    answers = iter([0, 4])
    assert wait_until(lambda: 8 // next(answers)) == 2


def test_it_tells_the_last_value() -> None:
    with pytest.raises(
        AssertionError, match=r"the sun rises: not met within 0.02 s, last value \[\]"
    ):
        wait_until(list, timeout_seconds=0.02, message="the sun rises")


def test_it_tells_the_last_exception() -> None:
    with pytest.raises(AssertionError, match=r"last exception ZeroDivisionError"):
        wait_until(lambda: 1 // 0, timeout_seconds=0.02)


def test_it_looks_at_least_once() -> None:
    assert wait_until(lambda: True, timeout_seconds=0)
