"""Subjects and groups, and how a turn of each kind is taken."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

from redrepl_cli.bench.stage import Stage


class Unit(Enum):
    """What a subject is compared by: the time of a call (less is better) or a rate (more is
    better).
    """

    MICROS = "micros"
    KEYS_PER_SECOND = "keys_per_second"
    OPERATIONS_PER_SECOND = "operations_per_second"

    @property
    def is_rate(self) -> bool:
        """Whether more is better."""
        return self is not Unit.MICROS


class Turn(NamedTuple):
    """One subject's turn in one round: microseconds of each call, and ``units`` done in ``seconds``
    of the turn.
    """

    micros: list[float]
    seconds: float
    units: int


TakeTurn = Callable[[int], Turn]
"""Carries out so many calls."""


@dataclass(frozen=True, slots=True)
class Spec:
    """A subject: ``prepare`` opens what it needs on a stage and gives its turns; it may raise
    CannotMeasure.

    baselines: names of subjects of the same group with which it is compared, the main one first.
    share: part of the run's operations that one turn takes, less for slow calls.
    """

    name: str
    prepare: Callable[[Stage], TakeTurn]
    baselines: tuple[str, ...] = ()
    unit: Unit = Unit.MICROS
    share: float = 1.0

    def calls(self, operations: int) -> int:
        """Calls in one turn."""
        return max(1, round(operations * self.share))


@dataclass(frozen=True, slots=True)
class Group:
    """Subjects that take turns with each other.

    Those of one group are all rates, or all times of a call.
    """

    name: str
    title: str
    specs: tuple[Spec, ...]

    @property
    def is_rate(self) -> bool:
        """Whether more is better."""
        return self.specs[0].unit.is_rate


def each_call(call: Callable[[int], Any], units: int = 1) -> TakeTurn:
    """Turns that make one call after the other, each with its number; ``units``: keys of one
    call.
    """

    def take_turn(calls: int) -> Turn:
        clock = time.perf_counter_ns
        micros = []
        began = clock()
        for number in range(calls):
            started = clock()
            call(number)
            micros.append((clock() - started) / 1000)
        return Turn(micros, (clock() - began) / 1e9, calls * units)

    return take_turn


def each_await(
    runner: asyncio.Runner, call: Callable[[int], Awaitable[Any]], tasks: int = 1, units: int = 1
) -> TakeTurn:
    """Turns in which ``tasks`` asyncio tasks share the calls between them."""
    return lambda calls: runner.run(_shared(call, calls, tasks, units))


async def _shared(
    call: Callable[[int], Awaitable[Any]], calls: int, tasks: int, units: int
) -> Turn:
    micros: list[float] = []
    numbers = iter(range(calls))
    clock = time.perf_counter_ns
    began = clock()
    async with asyncio.TaskGroup() as group:
        for _ in range(tasks):
            group.create_task(_work(call, numbers, micros))
    return Turn(micros, (clock() - began) / 1e9, calls * units)


async def _work(
    call: Callable[[int], Awaitable[Any]], numbers: Iterator[int], micros: list[float]
) -> None:
    clock = time.perf_counter_ns
    for number in numbers:
        started = clock()
        await call(number)
        micros.append((clock() - started) / 1000)
