"""What a run's history says about each fault, as figures. Times in seconds."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from redrepl.testing.history import Operation, Outcome
from redrepl.values.operation import OPERATIONS
from redrepl_cli.chaos.run import JUDGE, Act

NANOS = 1e9

Counts = dict[str, dict[str, int]]
"""Operations by kind, then by outcome."""


@dataclass(frozen=True, slots=True)
class Pause:
    """A time in which no client had a write committed."""

    from_ns: int
    to_ns: int

    @property
    def seconds(self) -> float:
        """How long it was."""
        return (self.to_ns - self.from_ns) / NANOS


@dataclass(frozen=True, slots=True)
class ActFigures:
    """Figures of one act; None where it did not come.

    committed_during_fault: writes that were begun and committed between the harm and its healing.
    without_writes: the longest pause between the harm and the end of the load. first_write_seconds:
    from the harm until the first write that began after it was committed. back_seconds: from
    healing until all copies served again.
    settled_seconds: from the end of the load until the workers had nothing left to do.
    """

    act: Act
    counts: Counts
    committed_during_fault: int
    without_writes: Pause
    first_write_seconds: float | None
    back_seconds: float | None
    settled_seconds: float | None

    def as_json(self) -> dict[str, Any]:
        """As the report gives it."""
        act = self.act
        return {
            "fault": act.name,
            "node": act.node or None,
            "operations": self.counts,
            "committed_writes_during_fault": self.committed_during_fault,
            "longest_without_committed_write_seconds": round(self.without_writes.seconds, 3),
            "first_committed_write_after_fault_seconds": _rounded(self.first_write_seconds),
            "copies_back_after_healing_seconds": _rounded(self.back_seconds),
            "settled_after_load_seconds": _rounded(self.settled_seconds),
            "primary_before": act.primaries[0],
            "primary_after": act.primaries[1],
            "epoch_before": act.epochs[0],
            "epoch_after": act.epochs[1],
            "recovered": act.has_recovered,
            "problems": act.problems,
            "notes": act.notes,
        }


def count(operations: Iterable[Operation]) -> Counts:
    """Operations of clients by kind and outcome."""
    found = Counter((each.kind, each.outcome) for each in operations if each.client != JUDGE)
    return {
        kind.name: {outcome.value: found[kind, outcome] for outcome in Outcome}
        for kind in OPERATIONS
    }


class Load:
    """All operations of a run, in order, for questions about parts of it."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self.operations = sorted(
            (each for each in operations if each.client != JUDGE), key=lambda each: each.invoked
        )
        self._invoked = [each.invoked for each in self.operations]
        committed = [
            each
            for each in self.operations
            if each.is_committed_write and each.returned is not None
        ]
        self.committed = sorted(committed, key=lambda each: each.returned or 0)
        self._commits = [each.returned or 0 for each in self.committed]

    def begun_between(self, from_ns: int, to_ns: int) -> list[Operation]:
        """Operations that were begun in this time."""
        return self.operations[
            bisect_left(self._invoked, from_ns) : bisect_left(self._invoked, to_ns)
        ]

    def committed_between(self, from_ns: int, to_ns: int) -> list[Operation]:
        """Writes that were committed in this time."""
        return self.committed[
            bisect_left(self._commits, from_ns) : bisect_left(self._commits, to_ns)
        ]

    def pauses(self, from_ns: int, to_ns: int) -> list[Pause]:
        """The times between committed writes from the last one before this time to its end, the
        longest first.
        """
        first = max(0, bisect_right(self._commits, from_ns) - 1)
        times = [*self._commits[first : bisect_left(self._commits, to_ns)], to_ns]
        if times[0] > from_ns:
            times.insert(0, from_ns)
        found = [Pause(a, b) for a, b in pairwise(times)]
        return sorted(found, key=lambda pause: -pause.seconds)

    def first_write_after(self, at_ns: int, until_ns: int) -> Operation | None:
        """The first write to be committed of those that were begun after a moment."""
        for operation in self.committed_between(at_ns, until_ns):
            if operation.invoked >= at_ns:
                return operation
        return None


def figures_of(act: Act, load: Load) -> ActFigures:
    """The figures of one act."""
    end_ns = act.paused_ns or act.ended_ns
    first = load.first_write_after(act.began_ns, end_ns)
    return ActFigures(
        act,
        count(load.begun_between(act.started_ns, act.ended_ns)),
        sum(
            each.invoked >= act.began_ns
            for each in load.committed_between(act.began_ns, act.healed_ns)
        ),
        next(iter(load.pauses(act.began_ns, end_ns)), Pause(act.began_ns, end_ns)),
        None
        if first is None or first.returned is None
        else (first.returned - act.began_ns) / NANOS,
        _between(act.healed_ns, act.back_ns),
        _between(act.paused_ns, act.settled_ns),
    )


def percentile(sorted_values: Sequence[float], share: float) -> float:
    """The value below which this share of the values lies."""
    return sorted_values[min(len(sorted_values) - 1, int(share * len(sorted_values)))]


def _between(from_ns: int | None, to_ns: int | None) -> float | None:
    return None if from_ns is None or to_ns is None else (to_ns - from_ns) / NANOS


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
