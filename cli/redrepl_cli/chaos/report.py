"""What a run found, judged; in JSON and as a table for people. The picture shows the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from redrepl.testing.linearizability import KeyVerdict, check
from redrepl_cli.chaos.figures import ActFigures, Counts, Load, count, figures_of
from redrepl_cli.chaos.run import Run
from redrepl_cli.chaos.survival import lost_writes
from redrepl_cli.output import plain_table, write

if TYPE_CHECKING:
    from rich.console import RenderableType

SCHEMA_VERSION = 1

LEGEND = (
    "no write for: the longest time from the fault to the end of the load in which no client had "
    "a write committed. "
    "first write: from the fault to the first write begun after it that was committed. back: from "
    "healing until all "
    "copies served again. settled: from the end of the load until the workers had nothing left to "
    "do."
)


@dataclass(frozen=True, slots=True)
class Report:
    """A run and its judgement.

    ``lost``: acknowledged writes that were not found again, in words.
    """

    run: Run
    load: Load
    figures: tuple[ActFigures, ...]
    verdicts: tuple[KeyVerdict, ...]
    lost: tuple[str, ...]

    @property
    def violations(self) -> list[KeyVerdict]:
        """Keys with an operation that no order explains."""
        return [
            verdict
            for verdict in self.verdicts
            if verdict.violation is not None and not verdict.gave_up
        ]

    @property
    def gave_up(self) -> list[KeyVerdict]:
        """Keys whose history was too hard to judge."""
        return [verdict for verdict in self.verdicts if verdict.gave_up]

    @property
    def passed(self) -> bool:
        """Whether everything was judged, and nothing was found that must not be."""
        return next(self.complaints(), None) is None

    @property
    def counts(self) -> Counts:
        """Operations of all clients over the whole run."""
        return count(self.load.operations)

    @property
    def headline(self) -> str:
        """What ran, in a line."""
        settings = self.run.settings
        faults = (
            f"{len(self.figures)} fault{'s' if len(self.figures) != 1 else ''} of "
            f"{settings.seconds:g} s"
        )
        size = (
            f"{settings.copies} copies on {self.run.engine}, {settings.clients} clients, "
            f"{settings.keys} keys"
        )
        return f"redrepl chaos: {faults}, {size}, seed {settings.seed}"

    @property
    def summary(self) -> str:
        """What came out, in a line."""
        operations = len(self.load.operations)
        if not self.passed:
            return f"FAILED: {len(list(self.complaints()))} findings in {operations:,} operations"
        return (
            f"{operations:,} operations are linearizable, no acknowledged write is lost, and "
            "after each fault all "
            "copies were equal"
        )

    def complaints(self) -> Iterator[str]:
        """All that must not be, in words."""
        for verdict in self.violations:
            yield f"not linearizable, key {verdict.key}: {verdict.violation}"
        for text in self.lost:
            yield f"lost: {text}"
        for figures in self.figures:
            yield from (f"{figures.act.name}: {problem}" for problem in figures.act.problems)
        for verdict in self.gave_up:
            yield (
                f"not judged, key {verdict.key}: the search was too long, and stuck at: "
                f"{verdict.violation}"
            )
        if self.run.not_run:
            yield f"not run, because the cluster did not recover: {', '.join(self.run.not_run)}"

    def notes(self) -> Iterator[str]:
        """What is worth knowing, in words."""
        for figures in self.figures:
            yield from (f"{figures.act.name}: {note}" for note in figures.act.notes)

    def as_json(self) -> dict[str, Any]:
        """The form that stays stable."""
        settings = self.run.settings
        return {
            "schema_version": SCHEMA_VERSION,
            "passed": self.passed,
            "engine": self.run.engine,
            "copies": settings.copies,
            "clients": settings.clients,
            "keys": settings.keys,
            "seconds_per_fault": settings.seconds,
            "seed": settings.seed,
            "operations": self.counts,
            "linearizability_violations": len(self.violations),
            "keys_not_judged": [verdict.key for verdict in self.gave_up],
            "acked_writes_lost": len(self.lost),
            "faults": [figures.as_json() for figures in self.figures],
            "faults_not_run": self.run.not_run,
            "findings": list(self.complaints()),
        }


def judge(run: Run) -> Report:
    """Check the history of a run."""
    load = Load(run.operations)
    lost = [
        f"after {act.name}: {text}"
        for act in run.acts
        for text in lost_writes(run.operations, act.reads)
    ]
    figures = tuple(figures_of(act, load) for act in run.acts)
    return Report(run, load, figures, tuple(check(run.operations)), tuple(lost))


def write_report(report: Report) -> None:
    """Everything, on standard output."""
    parts: list[RenderableType] = [
        report.headline,
        "",
        _faults_table(report),
        "",
        _kinds_table(report),
        "",
        LEGEND,
    ]
    if notes := list(report.notes()):
        parts += ["", "notes:", *(f"  {note}" for note in notes)]
    if not report.passed:
        parts += ["", *report.complaints()]
    if report.run.worker_log:
        parts += ["", "the workers wrote:", report.run.worker_log]
    write(*parts, "", report.summary)


FAULT_COLUMNS = (
    "fault",
    "node",
    "ok",
    "unknown",
    "rejected",
    "no write for",
    "first write",
    "back",
    "settled",
    "found",
)


def fault_rows(report: Report) -> list[tuple[object, ...]]:
    """A row of text for each fault, for FAULT_COLUMNS."""
    return [_fault_row(figures) for figures in report.figures]


def _fault_row(figures: ActFigures) -> tuple[object, ...]:
    outcomes = [
        sum(by[outcome] for by in figures.counts.values())
        for outcome in ("ok", "unknown", "rejected")
    ]
    act = figures.act
    moved = (
        f"{act.primaries[0]} to {act.primaries[1]}"
        if act.primaries[0] != act.primaries[1]
        else act.node
    )
    return (
        act.name,
        moved,
        *outcomes,
        _seconds(figures.without_writes.seconds),
        _seconds(figures.first_write_seconds),
        _seconds(figures.back_seconds),
        _seconds(figures.settled_seconds),
        "; ".join(act.problems) or "equal",
    )


def _seconds(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds:.2f} s"


def _faults_table(report: Report) -> RenderableType:
    return plain_table(FAULT_COLUMNS, fault_rows(report))


def _kinds_table(report: Report) -> RenderableType:
    rows = [(kind, *by.values()) for kind, by in report.counts.items()]
    return plain_table(("operations", "ok", "unknown", "rejected"), rows)
