"""Waiting for conditions instead of sleeping for a while."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_INTERVAL_SECONDS = 0.005
"""Short against everything that is waited for, long enough not to starve it on a two-core
machine.
"""


def wait_until(predicate: Callable[[], T], timeout_seconds: float = 10.0, message: str = "") -> T:
    """Call `predicate` until it returns something true and return that; exceptions count as "not
    yet".

    Raises `AssertionError` after `timeout_seconds` with `message` and the last value or exception.
    """
    deadline = time.monotonic() + timeout_seconds
    while True:
        error: Exception | None = None
        try:
            if value := predicate():
                return value
            last = f"last value {value!r}"
        except Exception as caught:
            error = caught
            last = f"last exception {caught!r}"
        if time.monotonic() >= deadline:
            raise AssertionError(
                f"{message or 'condition'}: not met within {timeout_seconds} s, {last}"
            ) from error
        time.sleep(POLL_INTERVAL_SECONDS)
