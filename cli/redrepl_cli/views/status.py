"""The status of a cluster, for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from redrepl import ClusterStatus, Condition, Configuration, NodeState, NodeStatus, ReplicationStats
from redrepl.values.errors import Unavailable
from redrepl.values.status import SweepStatus, Verdict
from redrepl_cli.exit_codes import ExitCode
from redrepl_cli.output import ABSENT, cell_text, listing, plain_table
from redrepl_cli.queue import QueueStatistics
from redrepl_cli.text import printable, shown_url

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

NARROW_COLUMNS = 90
"""Below this width a row per node is unreadable: each node gets lines of its own."""

EXIT_CODES = {
    Condition.HEALTHY: ExitCode.DONE,
    Condition.DEGRADED: ExitCode.DEGRADED,
    Condition.UNAVAILABLE: ExitCode.UNAVAILABLE,
}
_CONDITION_STYLES = {
    Condition.HEALTHY: "green",
    Condition.DEGRADED: "yellow",
    Condition.UNAVAILABLE: "bold red",
}
_STATE_STYLES = {NodeState.ACTIVE: "green", NodeState.SYNCING: "yellow", NodeState.INACTIVE: "red"}
_NODE_COLUMNS = ("id", "role", "state", "healthy", "keys", "lag", "last sync", "address")


def unanswered_status(configuration: Configuration, error: Unavailable) -> ClusterStatus:
    """The status where no member answers: the configured nodes, each with what is known against it,
    in epoch 0.
    """
    nodes = tuple(
        NodeStatus(
            id=member.id,
            url=member.url,
            role=member.role,
            state=NodeState.INACTIVE,
            healthy=False,
            keys=None,
            keys_exact=False,
            lag_entries=None,
            lag_seconds=None,
            sync_age_seconds=None,
            log_entries=None,
            error=error.evidence.get(member.id, error.message),
        )
        for member in configuration.members
    )
    return ClusterStatus(
        cluster=configuration.cluster,
        mode=configuration.mode,
        epoch=0,
        primary=configuration.topology().decider,
        condition=Condition.UNAVAILABLE,
        nodes=nodes,
        stats=ReplicationStats(len(nodes) - 1, 0, 0, None, 0, 0.0),
        verdicts=(),
        problems=tuple(f"{node.id}: {node.error}" for node in nodes),
    )


def status_json(status: ClusterStatus, queue: QueueStatistics) -> dict[str, Any]:
    """As `status --format json` gives it."""
    content = status.as_json()
    for node in content["nodes"]:
        node["url"] = shown_url(node["url"])
    return {**content, "queue": queue.as_json()}


def status_view(status: ClusterStatus, queue: QueueStatistics, columns: int) -> RenderableType:
    """Everything, for a terminal of this many columns or for a file."""
    from rich.console import Group

    nodes = _node_blocks(status) if columns < NARROW_COLUMNS else _node_table(status)
    verdicts = [_verdict_line(verdict) for verdict in status.verdicts]
    return Group(
        _head(status),
        "",
        *nodes,
        "",
        _counts(status, queue),
        *([""] if verdicts else []),
        *verdicts,
    )


def _head(status: ClusterStatus) -> RenderableType:
    from rich.text import Text

    condition = Text(status.condition.value, style=_CONDITION_STYLES[status.condition])
    pairs: list[tuple[str, object]] = [("cluster", status.cluster), ("mode", status.mode.value)]
    pairs += [
        ("epoch", status.epoch or ABSENT),
        ("primary", status.primary),
        ("condition", condition),
    ]
    return listing(pairs)


def _node_table(status: ClusterStatus) -> list[RenderableType]:
    return [
        plain_table(_NODE_COLUMNS, [_node_cells(node) for node in status.nodes]),
        *_errors(status),
    ]


def _node_blocks(status: ClusterStatus) -> list[RenderableType]:
    blocks: list[RenderableType] = []
    for node in status.nodes:
        pairs: list[tuple[str, object]] = list(zip(_NODE_COLUMNS, _node_cells(node), strict=True))
        blocks += [listing(pairs), ""]
    return [*blocks[:-1], *_errors(status)]


def _errors(status: ClusterStatus) -> list[RenderableType]:
    from rich.text import Text

    of_nodes = [
        Text(f"  {node.id}: {printable(node.error)}", style="red" if not node.healthy else "")
        for node in status.nodes
        if node.error
    ]
    told = {f"{node.id}: {node.error}" for node in status.nodes if node.error}
    others = [
        Text(f"  {printable(problem)}", style="red")
        for problem in status.problems
        if problem not in told
    ]
    return [*of_nodes, *others]


def _node_cells(node: NodeStatus) -> tuple[str | Text, ...]:
    from rich.text import Text

    keys = (
        ABSENT if node.keys is None else f"{node.keys}" if node.keys_exact else f"about {node.keys}"
    )
    return (
        node.id,
        node.role.value,
        Text(node.state.value, style=_STATE_STYLES[node.state]),
        Text(cell_text(node.healthy), style="green" if node.healthy else "red"),
        keys,
        lag_text(node),
        ago_text(node.sync_age_seconds),
        shown_url(node.url),
    )


def lag_text(node: NodeStatus) -> str:
    """Lag in log entries, with the age of the oldest where there is any."""
    if node.lag_entries is None:
        return ABSENT
    if not node.lag_entries:
        return "0"
    return f"{node.lag_entries} / {node.lag_seconds or 0.0:.1f} s"


def ago_text(seconds: float | None) -> str:
    """How long ago something was."""
    if seconds is None:
        return ABSENT
    return "now" if seconds < 1 else f"{seconds:.0f} s ago"


def _counts(status: ClusterStatus, queue: QueueStatistics) -> RenderableType:
    stats = status.stats
    replicas = (
        f"{stats.total_replicas}, {stats.active_replicas} active, {stats.synced_replicas} "
        "without lag"
    )
    seconds = status.monitor_seconds_ago
    jobs = f"{queue.pending} pending, {queue.failed} failed, {queue.workers} workers"
    return listing(
        [
            ("replicas", replicas),
            ("keys on the primary", stats.primary_data_count),
            ("largest lag", f"{stats.max_lag_entries} entries, {stats.max_lag_seconds:.1f} s"),
            ("last sweep", _sweep_text(status.sweep)),
            (
                "watched by a monitor",
                "never" if status.epoch and seconds is None else ago_text(seconds),
            ),
            ("queue", jobs if queue.error is None else printable(queue.error)),
        ]
    )


def _sweep_text(sweep: SweepStatus | None) -> str | None:
    """What the last sweep over all keys found, and how far the one under way is."""
    if sweep is None:
        return None
    going_on = f"under way, {sweep.under_way.keys} keys so far" if sweep.under_way else ""
    if sweep.last is None:
        return going_on or "never"
    found = sweep.last
    text = (
        f"{ago_text(sweep.last_ended_seconds_ago)}: {found.keys} keys, {found.differences} "
        "differences"
    )
    if found.differences:
        text += f", {found.repaired} repaired"
    if found.purged or found.waiting:
        text += f", {found.purged} tombstones purged, {found.waiting} waiting"
    if found.missed:
        text += f"; not compared: {', '.join(found.missed)}"
    return f"{text}; the next is {going_on}" if going_on else text


def _verdict_line(verdict: Verdict) -> RenderableType:
    from rich.text import Text

    mark, style = {True: ("yes", "green"), False: ("NO", "bold red"), None: ("?", "yellow")}[
        verdict.holds
    ]
    detail = "" if verdict.detail in ("yes", "") else f" ({verdict.detail})"
    return Text.assemble((f"{mark:<3}", style), f" {verdict.name}{detail}")
