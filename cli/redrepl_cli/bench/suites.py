"""Which groups a run measures."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from redrepl_cli.bench.groups import (
    batch,
    catching_up,
    concurrent,
    copies,
    distance,
    failover,
    faults,
    single,
)
from redrepl_cli.bench.outages import OutageGroup
from redrepl_cli.bench.subjects import Group

MEMORY = "memory"
"""The name of the group that looks at memory instead of time."""

LARGE = "large"
"""The name of the group that fills a replica of many keys."""

OUTAGES = "outages"
"""What the progress of all outages is called: they take turns across their groups."""


@dataclass(frozen=True, slots=True)
class Suite:
    """``memory_operations`` 0: memory is not looked at.

    ``outages``: measured by faults instead of rounds of calls.

    fills: a replica of many keys is emptied and filled.
    """

    groups: tuple[Group, ...] = ()
    memory_operations: int = 0
    outages: tuple[OutageGroup, ...] = ()
    fills: bool = False

    @property
    def names(self) -> list[str]:
        """Everything in it, as group/subject."""
        found = [f"{group.name}/{spec.name}" for group in self.groups for spec in group.specs]
        found += [f"{group.name}/{spec.name}" for group in self.outages for spec in group.specs]
        first = [f"{MEMORY}/coordinator"] if self.memory_operations else []
        return first + ([f"{LARGE}/refill"] if self.fills else []) + found

    def only(self, patterns: Sequence[str]) -> Suite:
        """What one of the patterns names, with what it is compared with."""
        kept = {name for name in self.names if any(_fits(name, pattern) for pattern in patterns)}
        groups = (_reduced(group, kept) for group in self.groups)
        memory = self.memory_operations if f"{MEMORY}/coordinator" in kept else 0
        outages = (_kept(group, kept) for group in self.outages)
        return Suite(
            tuple(group for group in groups if group.specs),
            memory,
            tuple(group for group in outages if group.specs),
            f"{LARGE}/refill" in kept,
        )


def _fits(name: str, pattern: str) -> bool:
    """Patterns with *, ? or [ match the whole name, others a part of it; case does not matter."""
    name, pattern = name.lower(), pattern.lower()
    return fnmatchcase(name, pattern) if set(pattern) & set("*?[") else pattern in name


def _kept(group: OutageGroup, kept: Container[str]) -> OutageGroup:
    return replace(
        group, specs=tuple(spec for spec in group.specs if f"{group.name}/{spec.name}" in kept)
    )


def _reduced(group: Group, kept: Container[str]) -> Group:
    wanted = {spec.name for spec in group.specs if f"{group.name}/{spec.name}" in kept}
    pending = set(wanted)
    while pending:
        pending = {
            base for spec in group.specs if spec.name in pending for base in spec.baselines
        } - wanted
        wanted |= pending
    return replace(group, specs=tuple(spec for spec in group.specs if spec.name in wanted))


SUITES = {
    "basic": Suite((single.LEVELS, batch.BATCHES)),
    "peers": Suite(
        (
            single.WITH_WAITS,
            batch.WITH_WAIT,
            catching_up.CATCHING_UP,
            concurrent.ASYNCIO,
            copies.COPIES,
            faults.FAULTS,
            distance.DISTANCE,
        ),
        memory_operations=100_000,
    ),
    "memory": Suite(memory_operations=1_000_000),
    "failover": Suite(outages=failover.FAILOVER),
    "large": Suite(fills=True),
}
