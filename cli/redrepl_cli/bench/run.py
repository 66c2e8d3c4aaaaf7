"""A run from its first group to its last."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from redrepl.values.effects import Progress
from redrepl_cli.bench.figures import Result
from redrepl_cli.bench.large import STAGES, Large, measure_large
from redrepl_cli.bench.load import others_percent, processor_times
from redrepl_cli.bench.memory import LOOKS, Memory, measure_memory
from redrepl_cli.bench.outage_rounds import measure_outages
from redrepl_cli.bench.outages import OutageGroup, OutageResult
from redrepl_cli.bench.rounds import NotMeasured, measure_group, reason_of
from redrepl_cli.bench.settings import Settings
from redrepl_cli.bench.subjects import Group
from redrepl_cli.bench.suites import LARGE, MEMORY, OUTAGES, Suite

OnProgress = Callable[[Progress], None]


@dataclass(slots=True)
class Measurements:
    """All that a run has found.

    ``group_seconds``: by group, with starting and stopping its servers.

    others_percent: the part of this machine's processors that other programs used meanwhile; None
    where that is not known, and on servers of yours, which may be such programs.
    """

    groups: tuple[Group, ...]
    results: list[Result] = field(default_factory=list)
    memory: Memory | None = None
    large: Large | None = None
    outage_groups: tuple[OutageGroup, ...] = ()
    outages: list[OutageResult] = field(default_factory=list)
    not_measured: list[NotMeasured] = field(default_factory=list)
    group_seconds: dict[str, float] = field(default_factory=dict)
    others_percent: float | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing at all could be measured."""
        return not self.results and not self.outages and self.memory is None and self.large is None

    @property
    def seconds(self) -> float:
        """How long the run took."""
        return sum(self.group_seconds.values())


def run_suite(suite: Suite, settings: Settings, on_progress: OnProgress) -> Measurements:
    """Measure all groups, one after the other."""
    found = Measurements(suite.groups, outage_groups=suite.outages)
    before = processor_times()
    if suite.memory_operations:
        # First: memory that other groups left to the allocator would hide a growth.
        _memory(found, suite.memory_operations, settings, on_progress)
    if suite.fills:
        _large(found, settings, on_progress)
    for group in suite.groups:
        _group(found, group, settings, on_progress)
    if suite.outages:
        _outages(found, suite.outages, settings, on_progress)
    if settings.own is None:
        found.others_percent = others_percent(before, processor_times())
    return found


def _memory(
    found: Measurements, operations: int, settings: Settings, on_progress: OnProgress
) -> None:
    started = time.monotonic()
    try:
        found.memory = measure_memory(
            settings, operations, lambda look: on_progress(Progress(MEMORY, look, LOOKS))
        )
    except Exception as error:  # the other groups go on without it
        found.not_measured.append(NotMeasured(MEMORY, "coordinator", reason_of(error)))
    found.group_seconds[MEMORY] = time.monotonic() - started


def _large(found: Measurements, settings: Settings, on_progress: OnProgress) -> None:
    started = time.monotonic()
    try:
        found.large = measure_large(
            settings, lambda stage: on_progress(Progress(LARGE, stage, STAGES))
        )
    except Exception as error:  # the other groups go on without it
        found.not_measured.append(NotMeasured(LARGE, "refill", reason_of(error)))
    found.group_seconds[LARGE] = time.monotonic() - started


def _group(found: Measurements, group: Group, settings: Settings, on_progress: OnProgress) -> None:
    started = time.monotonic()
    rounds = settings.rounds
    measured = measure_group(
        group, settings, lambda number: on_progress(Progress(group.name, number, rounds))
    )
    found.results += measured.results
    found.not_measured += measured.not_measured
    found.group_seconds[group.name] = time.monotonic() - started


def _outages(
    found: Measurements,
    groups: tuple[OutageGroup, ...],
    settings: Settings,
    on_progress: OnProgress,
) -> None:
    measured = measure_outages(
        groups, settings, lambda done, of: on_progress(Progress(OUTAGES, done, of))
    )
    found.outages += measured.results
    found.not_measured += measured.not_measured
    found.group_seconds |= measured.group_seconds
