"""What the workers' tick decides from the nodes' reports: who needs to be brought up, and where
logs may be cut.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from redrepl.plans.doubtful_clocks import wrong_clocks
from redrepl.plans.epochs.soundness import between_epochs, lacks_topology
from redrepl.values import limits
from redrepl.values.report import LOG_START, NodeReport, id_order
from redrepl.values.reports import Reports
from redrepl.values.topology import Topology
from redrepl.values.walk import held_for

REPLICA_LOG_MARGIN_SECONDS = 60.0
"""A replica's log is cut only where every copy confirmed the primary's log this much later: clocks
differ a little.
"""


class Retention(NamedTuple):
    """How long confirmed entries stay, and how many unconfirmed ones a node keeps for a member that
    is away.

    cap_bytes: how much of a log is kept for a walk that fills a node, however many entries that is.
    """

    seconds: float
    entries: int
    cap_entries: int
    cap_bytes: int = limits.LOG_CAP_BYTES


def needs_bringing_up(
    topology: Topology, reports: Reports, own_ahead: float | None = None
) -> list[str]:
    """Reachable members that lack something, the primary first: the others need it.

    Who was set aside because its clock is off waits until that is right. ``own_ahead``: see
    `wrong_clocks`.
    """
    off = wrong_clocks(topology, reports, own_ahead)
    found = []
    for node in sorted(topology.ids, key=lambda node: node != topology.decider):
        report = reports.of(node)
        if reports.unreadable(node) is not None and node != topology.decider:
            found.append(node)  # what it holds is dropped, and it is filled anew
        elif report is not None and _lacks_something(topology, report, reports, off):
            found.append(node)
    return found


def _lacks_something(
    topology: Topology, report: NodeReport, reports: Reports, off: Collection[str]
) -> bool:
    """Whether a member is to be brought up. ``off``: members whose clocks are wrong."""
    node = report.node
    is_out = not report.is_serving or report.epoch != topology.epoch
    if node in off and is_out:
        return False

    sources = reports.among(topology.sources_of(node))
    lags = any(source.lag_of(node) or _has_less_than_noted(source, report) for source in sources)
    is_doubtful = node in off or report.is_in_doubt
    is_bare = report.has_lost_guard or lacks_topology(topology, report)
    # The primary may have to begin an epoch that brings back members that were left between two.
    is_called = node == topology.decider and bool(between_epochs(topology, reports))
    return lags or is_called or is_out or is_doubtful or is_bare


def _has_less_than_noted(source: NodeReport, target: NodeReport) -> bool:
    """Whether the target has less of this log than it had confirmed: it was set back, and nothing
    was written since.

    A look that asked the target first may show this for a moment. Then there is nothing to ship.
    """
    cursor, mark = source.cursors.get(target.node), target.marks.get(source.node)
    if cursor is None or mark is None or mark.incarnation != source.incarnation:
        return False
    return mark.position.order < cursor.position.order


def trim_floor(
    topology: Topology, report: NodeReport, reports: Reports, retention: Retention
) -> str | None:
    """The first entry of a node's log to keep, None where nothing can be cut."""
    readers = [
        target
        for target in topology.ids
        if target != report.node and report.node in topology.sources_of(target)
    ]
    confirmed = [_needed_from(report, reader) for reader in readers]
    floor = min(confirmed, key=id_order, default=report.log.last_id)
    if report.log.length <= retention.entries:
        floor = _earlier(floor, report.now_millis - retention.seconds * 1000)
    if topology.decider is not None and report.node != topology.decider:
        floor = _earlier(
            floor,
            _confirmed_everywhere_millis(topology, reports) - REPLICA_LOG_MARGIN_SECONDS * 1000,
        )
    return (
        floor
        if id_order(floor)
        > max(id_order(report.log_floor), id_order(report.log.first_id or LOG_START))
        else None
    )


def held_from(topology: Topology, report: NodeReport) -> str:
    """From where on a node's log is held for walks that fill others, '' where it is not."""
    holds = [
        held_for(report, target, limits.HOLD_SECONDS)
        for target in topology.ids
        if target != report.node
    ]
    return min((hold.id for hold in holds if hold is not None), key=id_order, default="")


def _needed_from(report: NodeReport, reader: str) -> str:
    """What a reader has confirmed; one that a walk fills needs what was added since that began, and
    nothing else.
    """
    hold = held_for(report, reader, limits.HOLD_SECONDS)
    if hold is not None:
        return hold.id
    return report.cursors[reader].position.id if reader in report.cursors else LOG_START


def _earlier(stream_id: str, millis: float) -> str:
    return min(stream_id, f"{max(0, int(millis))}-0", key=id_order)


def _confirmed_everywhere_millis(topology: Topology, reports: Reports) -> float:
    """Up to when, by the primary's clock, every replica has confirmed the primary's changes."""
    primary = reports.primary(topology)
    if primary is None:
        return 0.0
    times = [float(primary.now_millis)]
    for replica in topology.others(primary.node):
        if primary.lag_of(replica):
            cursor = primary.cursors.get(replica)
            # What was noted came before that; ids may be ahead of the clock for as long as it once
            # was.
            times.append(
                float(min(id_order(cursor.position.id)[0], cursor.at_millis)) if cursor else 0.0
            )
    return min(times)
