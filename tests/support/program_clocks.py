"""The clock of a program under test, which tests move."""

from __future__ import annotations

from typing import Any

from redrepl import AsyncCoordinator, Coordinator
from redrepl.edges.clock import SystemClock


def physical_clock(program: Coordinator[Any, Any] | AsyncCoordinator[Any, Any]) -> SystemClock:
    """By which this coordinator makes its stamps."""
    clock = program._store.cluster.clock.physical
    assert isinstance(clock, SystemClock)
    return clock
