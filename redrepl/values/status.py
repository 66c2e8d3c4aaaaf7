"""The state of a cluster as commands and programs see it: per node, as a whole, and by the
pattern's conditions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

from redrepl.values.sweep import Findings
from redrepl.values.topology import Mode, Node, NodeRole, NodeState

SCHEMA_VERSION = 1


class Condition(Enum):
    """HEALTHY: all copies are up.

    DEGRADED: works, but a copy is missing or behind. UNAVAILABLE: the copies that the default level
    requires are not there.
    """

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """One node.

    Lag: what it has not confirmed of its sources' logs, and the age of the oldest such change.

    keys: values that read as present, None where they were not counted. sync_age_seconds: since the
    last confirmation.
    healthy: reachable, active, takes writes, and its lag younger than the configured bound.
    takes_writes: whether it did not refuse a write that was tried to find out; None where it does
    not answer.
    """

    id: str
    url: str
    role: NodeRole
    state: NodeState
    healthy: bool
    keys: int | None
    keys_exact: bool
    lag_entries: int | None
    lag_seconds: float | None
    sync_age_seconds: float | None
    log_entries: int | None
    error: str | None
    takes_writes: bool | None = None

    def as_node(self, now_seconds: float) -> Node:
        """The short public form. now_seconds: since 1970, by the clock of this machine."""
        last_sync = None if self.sync_age_seconds is None else now_seconds - self.sync_age_seconds
        return Node(self.id, self.url, self.role, self.state, self.lag_entries or 0, last_sync)

    def as_json(self) -> dict[str, Any]:
        """As `status --format json` gives it."""
        return {
            "id": self.id,
            "url": self.url,
            "role": self.role.value,
            "state": self.state.value,
            "healthy": self.healthy,
            "keys": self.keys,
            "keys_exact": self.keys_exact,
            "lag_entries": self.lag_entries,
            "lag_seconds": self.lag_seconds,
            "sync_age_seconds": self.sync_age_seconds,
            "log_entries": self.log_entries,
            "error": self.error,
            "takes_writes": self.takes_writes,
        }


@dataclass(frozen=True, slots=True)
class ReplicationStats:
    """Counts over the cluster.

    With several primaries the first is taken as reference and the others as replicas.

    synced_replicas: active ones without lag. primary_data_count: values on the primary, None if it
    does not answer.
    """

    total_replicas: int
    active_replicas: int
    synced_replicas: int
    primary_data_count: int | None
    max_lag_entries: int
    max_lag_seconds: float

    def as_json(self) -> dict[str, Any]:
        """As `status --format json` gives it."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Verdict:
    """One of the pattern's conditions for correct replication; ``holds`` is None where nothing can
    be said.
    """

    name: str
    holds: bool | None
    detail: str


@dataclass(frozen=True, slots=True)
class SweepStatus:
    """Anti-entropy. under_way: what the sweep that goes on has found so far, None where none does;
    last: of the one before, which ended so many seconds ago, None where none has ended yet.
    """

    under_way: Findings | None
    last: Findings | None
    last_ended_seconds_ago: float | None

    def as_json(self) -> dict[str, Any]:
        """As `status --format json` gives it."""
        return {
            "under_way": asdict(self.under_way) if self.under_way else None,
            "last": asdict(self.last) if self.last else None,
            "last_ended_seconds_ago": self.last_ended_seconds_ago,
        }


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """Everything `status` shows.

    ``sweep``: None where the node that keeps it does not answer.

    takeover: how a failover would fare now, and what can be done (`redrepl.plans.epochs.takeover`);
    None where there is no one primary, or no member answers.
    monitor_seconds_ago: since a monitor (every worker is one) tried whether the nodes take writes,
    which is noted every ten seconds; None where none is known to have.
    """

    cluster: str
    mode: Mode
    epoch: int
    primary: str | None
    condition: Condition
    nodes: tuple[NodeStatus, ...]
    stats: ReplicationStats
    verdicts: tuple[Verdict, ...]
    problems: tuple[str, ...]
    sweep: SweepStatus | None = None
    takeover: Mapping[str, Any] | None = None
    monitor_seconds_ago: float | None = None

    def as_json(self) -> dict[str, Any]:
        """As `status --format json` gives it, without the queue."""
        verdicts = [{"name": v.name, "holds": v.holds, "detail": v.detail} for v in self.verdicts]
        return {
            "schema_version": SCHEMA_VERSION,
            "cluster": self.cluster,
            "mode": self.mode.value,
            "epoch": self.epoch,
            "primary": self.primary,
            "condition": self.condition.value,
            "nodes": [node.as_json() for node in self.nodes],
            "stats": self.stats.as_json(),
            "conditions": verdicts,
            "problems": list(self.problems),
            "takeover": None if self.takeover is None else dict(self.takeover),
            "anti_entropy": self.sweep.as_json() if self.sweep else None,
            "monitor_seconds_ago": self.monitor_seconds_ago,
        }
