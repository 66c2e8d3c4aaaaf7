"""What a worker's log says about lasting trouble, and how much of it."""

from __future__ import annotations

import logging

import pytest

from redrepl_workers.troubles import QUIET_SECONDS, REPEAT_SECONDS, Troubles, without_numbers

LOG = "tests.troubles"


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def troubles(clock: Clock, caplog: pytest.LogCaptureFixture) -> Troubles:
    caplog.set_level(logging.INFO, LOG)
    return Troubles(logging.getLogger(LOG), clock)


def test_a_cause_is_said_once_and_again_with_how_long_it_lasts(
    troubles: Troubles, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2 * int(REPEAT_SECONDS) * 10):  # ten looks a second
        troubles.note("the primary", "down", "it is down")
        clock.at += 0.1
    assert caplog.messages == ["it is down", "it is down (for 5 minutes now)"]


def test_the_end_is_said_with_how_long_it_took(
    troubles: Troubles, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    troubles.over("the primary", "it serves")
    troubles.note("the primary", "down", "it is down")
    clock.at += 12.0
    troubles.over("the primary", "it serves")
    troubles.over("the primary", "it serves")
    assert caplog.messages == ["it is down", "it serves, after 12 s"]


def test_another_cause_is_said_at_once(
    troubles: Troubles, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for cause in ("silent", "down", "silent", "down"):
        troubles.note("node b", cause, cause)
        clock.at += 1.0
    assert caplog.messages == ["silent", "down"]


def test_subjects_do_not_hide_each_other(
    troubles: Troubles, caplog: pytest.LogCaptureFixture
) -> None:
    troubles.note("node a", "down", "a is down")
    troubles.note("node b", "down", "b is down")
    assert caplog.messages == ["a is down", "b is down"]


def test_what_comes_and_goes_fills_no_log(
    troubles: Troubles, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    seconds = 10 * QUIET_SECONDS
    for _ in range(int(seconds)):
        troubles.note("node b", "silent", "b is silent")
        clock.at += 0.5
        troubles.over("node b", "b answers")
        clock.at += 0.5
    assert 2 <= len(caplog.messages) <= 2 * 10 + 2


def test_causes_made_of_texts_leave_numbers_out() -> None:
    assert without_numbers("epoch 5, node b") == without_numbers("epoch 17, node b")
