"""Going on from one named member where too few sound ones are left (docs/protocol.md, section 5.6).

What this member has becomes the truth, although the others may have had more. Only an operator can
decide that: nobody is asked whether it holds all committed writes, and members that do not answer
are not fenced, so they go on among themselves, where they can, until they see the new epoch.
Everybody else is left to the workers, who bring them to this member's state; what they held beyond
it goes to their discarded logs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from redrepl.plans.copies.catch_up import forget_cursors
from redrepl.plans.copies.copying import check_clock_steady
from redrepl.plans.epochs.failover import FailedOver, FailoverOrder, check_failover
from redrepl.plans.epochs.member_changes import MemberChanges, change_member, change_members
from redrepl.plans.epochs.membership import (
    Tolerances,
    active_fields,
    change_call,
    enrol_call,
    epoch_fields,
    new_log_fields,
    settled_fields,
    trusted_fields,
)
from redrepl.plans.epochs.soundness import (
    SKIPPED_EPOCHS,
    newest_epoch,
    sound_members,
    successors,
    why_left,
)
from redrepl.plans.inspect import VISITOR, newest_topology
from redrepl.plans.steps import Steps
from redrepl.plans.strangers import check_reached, no_member_error
from redrepl.plans.view import ClusterView
from redrepl.values.effects import Plan
from redrepl.values.errors import RequestError, Unavailable
from redrepl.values.keys import KeyLayout
from redrepl.values.member_state import MemberState
from redrepl.values.report import NodeReport
from redrepl.values.reports import Reports
from redrepl.values.topology import Topology


class Fresh(NamedTuple):
    """What is drawn for a loss that is accepted.

    incarnation: of the truth's log, used if its server restarted. identities: for every member,
    used for the truth and for those that came back empty. Where the truth is a copy restored
    elsewhere, the server that it was copied from may come back, and is another server then. url:
    where the truth is reached, if not where the topology says. tolerances: for those that are
    enrolled anew. reached: see `redrepl.plans.strangers.check_reached`; but for the truth's, if it
    has a url here.
    """

    incarnation: str
    identities: Mapping[str, str]
    url: str | None = None
    tolerances: Tolerances = Tolerances()
    reached: Mapping[str, str] = {}


def accept_loss(
    layout: KeyLayout, nodes: tuple[str, ...], order: FailoverOrder, fresh: Fresh
) -> Plan[FailedOver]:
    """Make ``order.to`` the primary of a new epoch as it is.

    Raises RequestError where nothing need be lost or the node is no member, Unavailable where it
    cannot be used, or where somebody else changed it meanwhile; then it may be tried again.
    """
    steps = Steps(order.started, order.step_seconds)
    topology, reports = yield from _look(layout, nodes, order, fresh, steps)
    truth = check_acceptable(topology, reports, order)
    changed = _topology_of(topology, truth.node, reports, fresh)
    fenced = yield from _fence(layout, topology, truth, reports, changed.epoch, steps)
    truth = fenced.pop(truth.node)
    yield from _begin_epoch(layout, changed, truth, fenced, reports, fresh, steps)

    left = {node: why_behind(node, reports) for node in topology.others(truth.node)}
    previous = check_failover(topology, None)
    return FailedOver(
        changed.epoch, truth.node, previous, (truth.node,), 0, left, steps.at - order.started
    )


def _look(
    layout: KeyLayout, nodes: tuple[str, ...], order: FailoverOrder, fresh: Fresh, steps: Steps
) -> Plan[tuple[Topology, Reports]]:
    """The cluster as it is.

    Raises Unavailable where no member answers, or not at the address that it has.
    """
    asked = tuple(node for node in nodes if node not in order.away)
    reports = yield from steps.inspect(layout, asked, probe_as=VISITOR)
    topology = newest_topology(reports)
    if topology is None:
        raise no_member_error(layout.cluster, reports)
    check_reached(topology, fresh.reached)
    return topology, reports


def _begin_epoch(
    layout: KeyLayout,
    changed: Topology,
    truth: NodeReport,
    others: Mapping[str, NodeReport],
    reports: Reports,
    fresh: Fresh,
    steps: Steps,
) -> Plan[None]:
    """Have the truth serve, enrol those that came back empty, and publish the new topology."""
    yield from _install(layout, changed, truth, fresh, steps)
    yield from _enrol_empty(changed, reports, fresh, steps)
    # Clients learn it from any of them.
    calls = {node: change_call(report, layout, {}, changed) for node, report in others.items()}
    yield from steps.gather(calls)


def _topology_of(topology: Topology, truth: str, reports: Reports, fresh: Fresh) -> Topology:
    moved = topology.with_primary(truth, epoch_after_loss(reports))
    renewed = {truth, *_empty_members(topology, reports)}
    members = (
        replace(each, identity=fresh.identities[each.id]) if each.id in renewed else each
        for each in moved.members
    )
    placed = (
        replace(each, url=fresh.url) if fresh.url and each.id == truth else each for each in members
    )
    return replace(moved, members=tuple(placed))


def _empty_members(topology: Topology, reports: Reports) -> list[str]:
    """Members that came back empty.

    The operator's word that all is lost but the truth holds for their data too.
    """
    return [report.node for report in reports.members(topology) if not report.member]


def _enrol_empty(changed: Topology, reports: Reports, fresh: Fresh, steps: Steps) -> Plan[None]:
    """Give those that came back empty their places, as new servers; the workers fill them."""
    calls = {}
    for node in _empty_members(changed, reports):
        report = reports.present[node]
        incarnation = f"{fresh.incarnation}-{node}"
        calls[node] = enrol_call(
            changed, node, MemberState.SYNCING, report.run_id, incarnation, fresh.tolerances
        )
    yield from steps.gather(calls)


def epoch_after_loss(reports: Reports) -> int:
    """The epoch in which the named member is the primary."""
    return newest_epoch(reports) + SKIPPED_EPOCHS


def check_acceptable(topology: Topology, reports: Reports, order: FailoverOrder) -> NodeReport:
    """The report of the member that is taken as the truth. Raises as `accept_loss` does."""
    if order.to is None:
        raise RequestError("to accept a loss, name the node whose data is to be the truth")
    check_failover(topology, order.to)
    if successors(topology, reports, order.own_ahead, order.away):
        names = [report.node for report in sound_members(topology, reports, order.away)]
        raise RequestError(
            f"nothing needs to be lost: {', '.join(names)} have lost nothing and can fail over "
            "without accepting a "
            "loss; stop the server of a node that keeps them from it"
        )
    truth = reports.of(order.to)
    if truth is None or not truth.is_itself or not truth.takes_bookkeeping:
        why = why_left(order.to, reports, by_itself=True)
        raise Unavailable(f"node {order.to!r} cannot be taken as the truth", {order.to: why})
    return truth


def _fence(
    layout: KeyLayout,
    topology: Topology,
    truth: NodeReport,
    reports: Reports,
    epoch: int,
    steps: Steps,
) -> Plan[dict[str, NodeReport]]:
    """Move all that answer to the new epoch, whatever they lost; returns their reports then."""
    members = {report.node: report for report in reports.members(topology) if report.is_itself}
    fields = {"epoch": str(epoch), "state": MemberState.FENCED}
    calls = {node: change_call(report, layout, fields, None) for node, report in members.items()}
    changes = yield from change_members(calls, steps)

    after = yield from steps.inspect(layout, changes.done, known=topology)
    fenced = _moved(members, after, epoch)
    if truth.node not in fenced:
        raise _not_taken(truth.node, changes)
    # It may have dropped by a step what the operator was told it has.
    check_clock_steady(fenced[truth.node], truth)
    return fenced


def _moved(members: Mapping[str, NodeReport], after: Reports, epoch: int) -> dict[str, NodeReport]:
    """Those of the members that are in the new epoch, in the same run of their servers."""
    stayed = {
        node: report
        for node, report in after.present.items()
        if report.run_id == members[node].run_id
    }
    return {node: report for node, report in stayed.items() if report.epoch == epoch}


def _not_taken(node: str, changes: MemberChanges) -> Unavailable:
    reason = changes.failures.get(node, "changed meanwhile, or restarted")
    return Unavailable(f"node {node!r} could not be taken as the truth", {node: reason})


def _install(
    layout: KeyLayout, topology: Topology, truth: NodeReport, fresh: Fresh, steps: Steps
) -> Plan[None]:
    fields = {
        **epoch_fields(topology, truth.node),
        **active_fields(topology),
        "identity": fresh.identities[truth.node],
    }
    # The members count as known to a majority, so that one that is lost for good can be taken out
    # of two. And the operator's word is that this is the truth, whatever it may have dropped while
    # its clock was ahead.
    fields |= settled_fields(topology) | trusted_fields(truth) | {"pending": ""}
    if truth.has_restarted:
        yield from forget_cursors(ClusterView(topology), truth, steps)
        fields |= {"run_id": truth.run_id, **new_log_fields(truth, fresh.incarnation)}
    yield from change_member(truth, layout, fields, topology, "making it the primary", steps)


def why_behind(node: str, reports: Reports) -> str:
    """Why the workers have to bring a member up, in words."""
    report = reports.of(node)
    if report is not None and report.is_itself and not report.has_restarted:
        return "is brought to the state of the new primary"
    return why_left(node, reports, by_itself=True)
