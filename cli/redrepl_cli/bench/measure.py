"""Interleaved timing: every subject takes its turn in every round, so that all meet the same noise."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Subject:
    """Something to time: one call is one operation, given its number. ``baseline``: the subject it is compared with."""

    name: str
    call: Callable[[int], Any]
    baseline: str | None


@dataclass(frozen=True, slots=True)
class Measured:
    """Microseconds per operation over all rounds; ``spread``: lowest and highest median of a round.

    ratio: median over the rounds of this subject's median by its baseline's in the same round; None for a baseline.
    """

    name: str
    operations: int
    median_micros: float
    p99_micros: float
    spread_micros: tuple[float, float]
    baseline: str | None
    ratio: float | None
    ratio_spread: tuple[float, float] | None


def run_rounds(
    subjects: Sequence[Subject], rounds: int, operations: int, on_round: Callable[[int], None]
) -> list[Measured]:
    """Time all subjects, ``operations`` calls each in each round, after a round that does not count."""
    samples: dict[str, list[list[float]]] = {subject.name: [] for subject in subjects}
    for number in range(rounds + 1):
        for subject in subjects:
            times = _time(subject.call, operations if number else max(1, operations // 4))
            if number:
                samples[subject.name].append(times)
        on_round(number)
    return [_summary(subject, samples) for subject in subjects]


def _time(call: Callable[[int], Any], operations: int) -> list[float]:
    clock = time.perf_counter_ns
    times = []
    for number in range(operations):
        started = clock()
        call(number)
        times.append((clock() - started) / 1000)
    return times


def _summary(subject: Subject, samples: dict[str, list[list[float]]]) -> Measured:
    rounds = samples[subject.name]
    everything = sorted(value for times in rounds for value in times)
    medians = [statistics.median(times) for times in rounds]
    ratios = None
    if subject.baseline is not None:
        bases = (statistics.median(times) for times in samples[subject.baseline])
        ratios = [own / base for own, base in zip(medians, bases, strict=True)]
    return Measured(
        subject.name,
        len(everything),
        statistics.median(everything),
        everything[min(len(everything) - 1, len(everything) * 99 // 100)],
        _range(medians),
        subject.baseline,
        None if ratios is None else statistics.median(ratios),
        None if ratios is None else _range(ratios),
    )


def _range(values: Iterable[float]) -> tuple[float, float]:
    values = list(values)
    return min(values), max(values)
