"""Waiting until servers and processes of a run are ready."""

from __future__ import annotations

import time
from collections.abc import Callable

from redrepl_cli.bench.stage import CannotMeasure

_POLL_SECONDS = 0.01


def await_until(is_ready: Callable[[], bool], seconds: float, complaint: Callable[[], str]) -> None:
    """Return as soon as ``is_ready`` says so; after so many seconds raise CannotMeasure with the
    ``complaint``.
    """
    give_up_at = time.monotonic() + seconds
    while not is_ready():
        if time.monotonic() > give_up_at:
            raise CannotMeasure(complaint())
        time.sleep(_POLL_SECONDS)
