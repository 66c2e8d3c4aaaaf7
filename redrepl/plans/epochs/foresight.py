"""What a failover would do, and what it could lose, told from reports before anything is
changed.
"""

from __future__ import annotations

from typing import NamedTuple

from redrepl.plans.copies.marks import starting_mark
from redrepl.plans.doubtful_clocks import doubtful_members
from redrepl.plans.epochs.accept_loss import check_acceptable, epoch_after_loss, why_behind
from redrepl.plans.epochs.failover import FailoverOrder, check_enough, check_failover, choose
from redrepl.plans.epochs.soundness import donors_among, newest_epoch, sound_members, why_left
from redrepl.values.report import LOG_START, NodeReport
from redrepl.values.reports import Reports
from redrepl.values.topology import Topology


class PossibleLoss(NamedTuple):
    """Changes that could be lost, and in words why.

    ``changes``: 0 for certainly none, None where it cannot be told.
    """

    changes: int | None
    text: str


class Foreseen(NamedTuple):
    """A failover before it happens. left: members that take no part at first, and why."""

    epoch: int
    primary: str
    previous: str
    left: dict[str, str]
    loss: PossibleLoss


def foresee(topology: Topology, reports: Reports, order: FailoverOrder) -> Foreseen:
    """What `fail_over` would do with this order. Raises what it would raise."""
    previous = check_failover(topology, order.to)
    sound = sound_members(topology, reports, order.away)
    check_enough(topology, sound, reports, order)
    donors = donors_among(sound)
    doubtful = doubtful_members(topology, reports, order.own_ahead)
    chosen = choose(donors, previous, order, doubtful)
    names = {report.node for report in donors}
    left = {node: why_left(node, reports) for node in topology.ids if node not in names} | doubtful
    loss = _nothing(previous) if previous in names else _beyond(reports, previous, chosen)
    return Foreseen(newest_epoch(reports) + 1, chosen.node, previous, left, loss)


def foresee_loss(topology: Topology, reports: Reports, order: FailoverOrder) -> Foreseen:
    """What `accept_loss` would do with this order. Raises what it would raise."""
    truth = check_acceptable(topology, reports, order)
    previous = check_failover(topology, None)
    left = {node: why_behind(node, reports) for node in topology.others(truth.node)}
    return Foreseen(
        epoch_after_loss(reports), truth.node, previous, left, _accepted(topology, reports, truth)
    )


def _nothing(primary: str) -> PossibleLoss:
    return PossibleLoss(
        0,
        f"nothing can be lost: primary {primary!r} answers and takes part (a planned move is "
        "`redrepl switchover`)",
    )


def _beyond(reports: Reports, primary: str, successor: NodeReport) -> PossibleLoss:
    """What the present primary, which takes no part, may have alone."""
    report = reports.of(primary)
    changes = None if report is None else unseen_changes(report, successor)
    why = why_left(primary, reports, by_itself=True)
    text = (
        f"primary {primary!r} takes no part ({why}). Writes at levels below QUORUM and writes "
        "whose "
        "outcome is unknown, where it alone has them, are lost, or found in its discarded log if "
        "it comes back with "
        "them. "
    )
    if changes is not None:
        text += (
            f"Its log names up to {changes} changes beyond what {successor.node!r} has noted; "
            "they are taken along"
        )
        return PossibleLoss(changes, text + " where it stays")
    reason = "the end of its log is not known" if report is None else "its log cannot be compared"
    return PossibleLoss(None, f"{text}How many: not known, as {reason}")


def _accepted(topology: Topology, reports: Reports, truth: NodeReport) -> PossibleLoss:
    """What the others have, or had, beyond the member that is taken as the truth."""
    lines = [_flaw(truth)] if _flaw(truth) else []
    counts: list[int | None] = [None] if truth.has_restarted else []
    for node in topology.others(truth.node):
        report = reports.of(node)
        changes = None if report is None else unseen_changes(report, truth)
        counts.append(changes)
        lines.append(f"{node}: {_described(node, reports, changes)}")
    known = [count for count in counts if count is not None]
    total = max(known, default=0) if len(known) == len(counts) else None
    head = f"everything that {truth.node!r} does not have is given up, acknowledged writes too"
    return PossibleLoss(total, "\n".join([head, *lines]))


def _flaw(truth: NodeReport) -> str:
    """What is wrong with the truth itself."""
    if truth.lineage == 0:
        return (
            f"{truth.node} itself never served: it was being filled, and may lack most of the data"
        )
    if truth.has_restarted:
        return f"{truth.node} itself restarted: what it lost is not known"
    return ""


def _described(node: str, reports: Reports, changes: int | None) -> str:
    report, why = reports.of(node), why_left(node, reports, by_itself=True)
    if report is None:
        return (
            f"{why}: what it has is not known, and it goes on by itself until it sees the new epoch"
        )
    if not report.is_itself:
        return f"{why}: nothing is left to compare"
    state = "restarted" if report.has_restarted else f"is {report.state}"
    if changes is None:
        return f"{state}: its log cannot be compared; what it has more goes to its discarded log"
    return f"{state}: up to {changes} changes of its log go to its discarded log"


def unseen_changes(source: NodeReport, target: NodeReport) -> int | None:
    """Entries of a log beyond what another node is known to have of it; None where they do not
    compare.

    An upper bound: what was written to both at once counts until it is noted.
    """
    if not source.is_itself:
        return None
    mark = starting_mark(source, target)
    if mark is None or (mark.position.id == LOG_START and source.log.added):
        return None
    return max(0, source.log.added - mark.position.entries)
