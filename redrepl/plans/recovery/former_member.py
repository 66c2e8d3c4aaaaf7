"""A server at a member's address that is not that member: a copy of another one's data, or a former
member.
"""

from __future__ import annotations

from redrepl.plans.epochs.change_members import joins_as
from redrepl.plans.epochs.in_its_place import ways_with_another
from redrepl.plans.epochs.membership import leave_call, was_member
from redrepl.plans.steps import Steps
from redrepl.plans.strangers import describe_other
from redrepl.plans.view import ClusterView
from redrepl.values.effects import Plan
from redrepl.values.errors import Unavailable
from redrepl.values.report import NodeReport
from redrepl.values.reports import Reports


def drop_bookkeeping(
    view: ClusterView, found: NodeReport, reports: Reports, steps: Steps
) -> Plan[None]:
    """Have a server at a member's address that is another one be nobody.

    Raises Unavailable where it is left alone.

    Where it holds the membership of a member that serves somewhere else it is a copy of that one's
    data, and where it restarted with what it was before it was replaced, at the address that is the
    member's now, a former member: its bookkeeping is dropped, and it is brought up like one that
    came back empty. So it is where whoever gave the place to this server died, or did not reach it,
    before they could do that. Else the address may be wrong, or the server have a past of its own,
    and nothing is touched.
    """
    claimed = found.member.get("node", "")
    is_awaited = _is_awaited(view, found, reports)
    if (
        not is_awaited
        and not _is_copy(found, reports.of(claimed))
        and not _is_former_member(view, found)
    ):
        what = f"{describe_other(found)}; {ways_with_another(view, found, reports)}"
        raise Unavailable(f"node {found.node!r} cannot be brought up", {found.node: what})
    call = leave_call(view.layout, claimed, found.identity)
    yield from steps.ask(found.node, call, "dropping another node's bookkeeping")


def _is_awaited(view: ClusterView, found: NodeReport, reports: Reports) -> bool:
    """Whether the server is to be enrolled in this place, as the primary notes, and still holds
    what it was before.

    That was looked at by whoever changed the members, who would have dropped it.
    """
    is_awaited = joins_as(view.topology, found.node, reports.primary(view.topology)) is not None
    is_former = was_member(view.topology, found) and found.member.get("node") == found.node
    return is_awaited and is_former and found.epoch < view.topology.epoch


def _is_copy(found: NodeReport, original: NodeReport | None) -> bool:
    """Whether the server has the data of a member that serves somewhere else."""
    if original is None or not original.is_serving:
        return False
    return original.identity == found.identity and original.run_id != found.run_id


def _is_former_member(view: ClusterView, found: NodeReport) -> bool:
    """Whether the server restarted with data of the time before it was replaced in its own place.

    One that did not restart may be a machine that was replaced and goes on: it is named, and left
    alone. So is a primary, whose role another member is to take first. Bookkeeping without a
    topology that can be read is no node's.
    """
    if (
        found.node == view.decider
        or found.member.get("node") != found.node
        or not found.has_restarted
    ):
        return False
    known = found.topology
    return found.epoch < view.topology.epoch and (
        known is None or known.is_related_to(view.topology)
    )
