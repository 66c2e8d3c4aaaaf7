"""What a run reports, and its JSON form. Table and chart show the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from redrepl.values import limits
from redrepl_cli.bench import native, sentinel
from redrepl_cli.bench.figures import Result
from redrepl_cli.bench.machine import Engine
from redrepl_cli.bench.outages import OutageGroup, OutageResult
from redrepl_cli.bench.placement import EMBEDDED, Placement
from redrepl_cli.bench.run import Measurements
from redrepl_cli.bench.settings import Settings
from redrepl_cli.bench.subjects import Group

SCHEMA_VERSION = 1

NOTABLE_PERCENT = 5.0
"""Load of others that is worth a note; an idle machine has less than one."""


@dataclass(frozen=True, slots=True)
class Report:
    """A run.

    ``machine``: the facts as `machine_facts` gives them. placement: where servers of yours are.
    """

    suite: str
    settings: Settings
    engine: Engine
    machine: dict[str, Any]
    found: Measurements
    placement: Placement = EMBEDDED

    @property
    def copies(self) -> int:
        """Copies of the cluster that the run is about."""
        own = self.settings.own
        return self.settings.copies if own is None else len(own.endpoints)

    @property
    def servers_here(self) -> int:
        """How many of their servers are on this machine."""
        return self.copies if self.settings.own is None else len(self.placement.here)

    @property
    def headline(self) -> str:
        """What was measured, in a line."""
        size = self.settings.value_bytes
        return (
            f"redrepl bench --suite {self.suite}: {self.copies} copies on {self.engine}, "
            f"{size}-byte values"
        )

    @property
    def circumstances(self) -> str:
        """What it was measured with, in a line."""
        facts = self.machine
        loop = "uvloop" if facts["uvloop"] else "no uvloop"
        return (
            f"{facts['cores']} cores, Python {facts['python']}, redis-py {facts['redis_py']}, "
            f"{loop}; {self._extent}"
        )

    @property
    def _extent(self) -> str:
        if self.found.outage_groups:
            return f"faults of each kind: {self.settings.events}, each on new servers"
        if self.found.large:
            return f"{self.found.large.keys:,} keys"
        return f"{self.settings.rounds} rounds of {self.settings.operations} calls"

    @property
    def notes(self) -> list[str]:
        """What a reader must know about the circumstances."""
        others = self.found.others_percent
        found = [*self._distance(), *self._shared_cores(), *self._settings_of_outages()]
        if others is not None and others > NOTABLE_PERCENT:
            found.append(
                f"Other programs used {others:.0f} % of the processors during this run, which "
                "moves the scheduler "
                "towards that: measure again on an idle machine."
            )
        return found

    def _distance(self) -> Iterator[str]:
        """How far servers of yours are from where this ran."""
        times = self.placement.round_trip_micros
        if times:
            told = ", ".join(f"{node} {_micros_text(micros)}" for node, micros in times.items())
            yield (
                f"The client ran on this machine ({self.machine['cores']} cores); a PING to each "
                "server took (median): "
                f"{told}. A call takes about as long at least."
            )

    def _shared_cores(self) -> Iterator[str]:
        """That more programs than there are cores take part on this machine, the client and servers
        together.
        """
        here, cores = self.servers_here, self.machine["cores"]
        if here and cores <= here and not self.found.outage_groups:
            servers = (
                "servers" if here == self.copies else f"servers {', '.join(self.placement.here)}"
            )
            yield (
                f"Client and {servers} share {cores} cores: where the scheduler puts a server on "
                "the client's own "
                "core, a call to that one server is much faster than any network allows, and "
                "ratios of single calls "
                "to it are higher. Compare medians as well."
            )

    def _settings_of_outages(self) -> Iterator[str]:
        """After how long each system takes a primary for gone: most of an outage is that."""
        if self.found.outage_groups:
            yield (
                "redrepl with its default settings: a primary is replaced that refuses "
                "connections for "
                f"{limits.FAILOVER_AFTER_CRASH_SECONDS:g} s, or is silent for "
                f"{limits.FAILOVER_AFTER_SILENCE_SECONDS:g} s; one worker watches. Sentinel: "
                f"{sentinel.SENTINELS} of "
                f"them, {_options_text(sentinel.OPTIONS)}, quorum {sentinel.QUORUM}; "
                f"{native.SERVERS - 1} replicas; "
                f"redis-py's client with time-outs of {sentinel.CLIENT_TIMEOUT_SECONDS:g} s."
            )

    def outages_by_group(self) -> Iterator[tuple[OutageGroup, list[OutageResult]]]:
        """The faults that have results."""
        for group in self.found.outage_groups:
            results = [result for result in self.found.outages if result.group == group.name]
            if results:
                yield group, results

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
            "events": self.settings.events,
            "value_bytes": self.settings.value_bytes,
            "machine": self.machine,
            "round_trip_micros": {
                node: None if micros is None else round(micros, 1)
                for node, micros in self.placement.round_trip_micros.items()
            },
            "servers_on_this_machine": self.servers_here,
            "other_programs_cpu_percent": found.others_percent,
            "notes": self.notes,
            "seconds": round(found.seconds, 2),
            "groups": [
                {"name": name, "seconds": round(seconds, 2)}
                for name, seconds in self.found.group_seconds.items()
            ],
            "results": [result.as_json() for result in found.results],
            "outages": [result.as_json() for result in found.outages],
            "large": found.large.as_json() if found.large else None,
            "memory": found.memory.as_json() if found.memory else None,
            "not_measured": [
                {"group": entry.group, "name": entry.name, "reason": entry.reason}
                for entry in found.not_measured
            ],
        }


def _micros_text(micros: float | None) -> str:
    return "no answer" if micros is None else f"{micros:.0f} µs"


def _options_text(options: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {value}" for name, value in options.items())
