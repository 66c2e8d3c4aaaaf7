"""Going on from one named member where too few sound ones are left (docs/protocol.md, section 5.6).

What this member has becomes the truth, although the others may have had more. Only an operator can decide that: nobody
is asked whether it holds all committed writes, and members that do not answer are not fenced, so they go on among
themselves, where they can, until they see the new epoch. Everybody else is left to the workers, who bring them to this
member's state; what they held beyond it goes to their discarded logs.
"""

from __future__ import annotations

from redrepl.plans.copies.catch_up import forget_cursors
from redrepl.plans.epochs.failover import FailedOver, FailoverOrder, check_failover, newest_epoch
from redrepl.plans.epochs.membership import active_fields, change_call, epoch_fields, new_log_fields, settled_fields
from redrepl.plans.epochs.soundness import majority_of, sound_members, why_left
from redrepl.plans.inspect import VISITOR, newest_topology
from redrepl.plans.steps import Steps
from redrepl.plans.strangers import found_instead, no_member_error
from redrepl.plans.view import ClusterView
from redrepl.values.effects import Plan
from redrepl.values.errors import RequestError, Unavailable
from redrepl.values.keys import KeyLayout
from redrepl.values.report import NodeReport
from redrepl.values.topology import Topology

SKIPPED_EPOCHS = 100
"""Members that do not answer may have moved on without anybody here knowing. Two primaries in one epoch would be worse
than any loss, and where both sides meet, the one that the operator chose is to be the newer."""


def accept_loss(layout: KeyLayout, nodes: tuple[str, ...], order: FailoverOrder, incarnation: str) -> Plan[FailedOver]:
    """Make ``order.to`` the primary of a new epoch as it is. ``incarnation``: a fresh id, used if its server restarted.

    Raises RequestError where nothing need be lost or the node is no member, Unavailable where it cannot be used, or
    where somebody else changed it meanwhile; then it may be tried again.
    """
    steps = Steps(order.started, order.step_seconds)
    asked = tuple(node for node in nodes if node not in order.away)
    reports = yield from steps.inspect(layout, asked, probe_as=VISITOR)
    topology = newest_topology(reports)
    if topology is None:
        raise no_member_error(layout.cluster, reports)
    truth = check_acceptable(topology, reports, order)
    changed = topology.with_primary(truth.node, epoch_after_loss(reports))
    fenced = yield from _fence(layout, topology, truth, reports, changed.epoch, steps)
    yield from _install(layout, changed, fenced[truth.node], incarnation, steps)
    others = {node: report for node, report in fenced.items() if node != truth.node}
    calls = {node: change_call(report, layout, {}, changed) for node, report in others.items()}
    yield from steps.gather(calls)
    left = {node: why_behind(reports.get(node)) for node in topology.others(truth.node)}
    previous = check_failover(topology, None)
    return FailedOver(changed.epoch, truth.node, previous, (truth.node,), 0, left, steps.at - order.started)


def epoch_after_loss(reports: dict[str, NodeReport | str]) -> int:
    """The epoch in which the named member is the primary."""
    return newest_epoch(reports) + SKIPPED_EPOCHS


def check_acceptable(topology: Topology, reports: dict[str, NodeReport | str], order: FailoverOrder) -> NodeReport:
    """The report of the member that is taken as the truth. Raises as `accept_loss` does."""
    if order.to is None:
        raise RequestError("to accept a loss, name the node whose data is to be the truth")
    check_failover(topology, order.to)
    names = [report.node for report in sound_members(topology, reports, order.away)]
    if len(names) >= majority_of(topology):
        raise RequestError(
            f"nothing needs to be lost: {', '.join(names)} have lost nothing and can fail over without accepting a "
            "loss; stop the server of a node that keeps them from it"
        )
    truth = reports.get(order.to)
    if not isinstance(truth, NodeReport) or not truth.is_itself or not truth.takes_bookkeeping:
        raise Unavailable(f"node {order.to!r} cannot be taken as the truth", {order.to: why_left(truth)})
    return truth


def _fence(
    layout: KeyLayout,
    topology: Topology,
    truth: NodeReport,
    reports: dict[str, NodeReport | str],
    epoch: int,
    steps: Steps,
) -> Plan[dict[str, NodeReport]]:
    """Move all that answer to the new epoch, whatever they lost; answers the reports of those that moved."""
    found = [reports.get(node) for node in topology.ids]
    members = {report.node: report for report in found if isinstance(report, NodeReport) and report.is_itself}
    fields = {"epoch": str(epoch), "state": "fenced"}
    calls = {node: change_call(report, layout, fields, None) for node, report in members.items()}
    gathered = yield from steps.gather(calls)
    won = [node for node, answer in gathered.answers.items() if answer == 1]
    after = yield from steps.inspect(layout, won)
    fenced = {
        node: report
        for node, report in after.items()
        if isinstance(report, NodeReport) and report.run_id == members[node].run_id and report.epoch == epoch
    }
    if truth.node not in fenced:
        reason = gathered.failures.get(truth.node, "changed meanwhile, or restarted")
        raise Unavailable(f"node {truth.node!r} could not be taken as the truth", {truth.node: reason})
    return fenced


def _install(layout: KeyLayout, topology: Topology, truth: NodeReport, incarnation: str, steps: Steps) -> Plan[None]:
    fields = {**epoch_fields(topology, truth.node), **active_fields(topology)}
    # The members count as known to a majority, so that one that is lost for good can be taken out of two.
    fields |= settled_fields(topology)
    if truth.has_restarted:
        yield from forget_cursors(ClusterView(topology), truth, steps)
        fields |= {"run_id": truth.run_id, **new_log_fields(truth, incarnation)}
    answer = yield from steps.ask(truth.node, change_call(truth, layout, fields, topology), "making it the primary")
    if answer != 1:
        raise Unavailable(f"node {truth.node!r} changed meanwhile", {truth.node: found_instead(answer)})


def why_behind(report: NodeReport | str | None) -> str:
    """Why the workers have to bring a member up, in words."""
    if isinstance(report, NodeReport) and report.is_itself and not report.has_restarted:
        return "is brought to the state of the new primary"
    return why_left(report)
