"""What a run reports, and its JSON form. Table and chart show the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from redrepl_cli.bench.figures import Result
from redrepl_cli.bench.machine import Engine
from redrepl_cli.bench.run import Measurements
from redrepl_cli.bench.settings import Settings
from redrepl_cli.bench.subjects import Group

SCHEMA_VERSION = 1

NOTABLE_PERCENT = 5.0
"""Load of others that is worth a note; an idle machine has less than one."""


@dataclass(frozen=True, slots=True)
class Report:
    """A run. ``machine``: the facts as `machine_facts` gives them."""

    suite: str
    settings: Settings
    engine: Engine
    machine: dict[str, Any]
    found: Measurements

    @property
    def copies(self) -> int:
        """Copies of the cluster that the run is about."""
        own = self.settings.own
        return self.settings.copies if own is None else len(own.endpoints)

    @property
    def headline(self) -> str:
        """What was measured, in a line."""
        size = self.settings.value_bytes
        return f"redrepl bench --suite {self.suite}: {self.copies} copies on {self.engine}, {size}-byte values"

    @property
    def circumstances(self) -> str:
        """What it was measured with, in a line."""
        facts = self.machine
        loop = "uvloop" if facts["uvloop"] else "no uvloop"
        rounds = f"{self.settings.rounds} rounds of {self.settings.operations} calls"
        return f"{facts['cores']} cores, Python {facts['python']}, redis-py {facts['redis_py']}, {loop}; {rounds}"

    @property
    def notes(self) -> list[str]:
        """What a reader must know about the circumstances."""
        found, others = [], self.found.others_percent
        if self.settings.own is None and self.machine["cores"] <= self.copies:
            found.append(
                f"Client and servers share {self.machine['cores']} cores: where the scheduler puts a server on the "
                "client's own core, a call to that one server is much faster than any network allows, and ratios of "
                "single calls to it are higher. Compare medians as well."
            )
        if others is not None and others > NOTABLE_PERCENT:
            found.append(
                f"Other programs used {others:.0f} % of the processors during this run, which moves the scheduler "
                "towards that: measure again on an idle machine."
            )
        return found

    def results_by_group(self) -> Iterator[tuple[Group, list[Result]]]:
        """The groups that have results."""
        for group in self.found.groups:
            results = [result for result in self.found.results if result.group == group.name]
            if results:
                yield group, results

    def reasons(self) -> dict[str, list[str]]:
        """Why something was not measured, with the names of what was not."""
        found: dict[str, list[str]] = {}
        for entry in self.found.not_measured:
            found.setdefault(entry.reason, []).append(f"{entry.group}/{entry.name}")
        return found

    def as_json(self) -> dict[str, Any]:
        """The form that stays stable."""
        found = self.found
        return {
            "schema_version": SCHEMA_VERSION,
            "suite": self.suite,
            "servers": str(self.engine),
            "copies": self.copies,
            "rounds": self.settings.rounds,
            "operations_per_round": self.settings.operations,
            "value_bytes": self.settings.value_bytes,
            "machine": self.machine,
            "other_programs_cpu_percent": found.others_percent,
            "notes": self.notes,
            "seconds": round(found.seconds, 2),
            "groups": [
                {"name": name, "seconds": round(seconds, 2)} for name, seconds in self.found.group_seconds.items()
            ],
            "results": [result.as_json() for result in found.results],
            "memory": found.memory.as_json() if found.memory else None,
            "not_measured": [
                {"group": entry.group, "name": entry.name, "reason": entry.reason} for entry in found.not_measured
            ],
        }
