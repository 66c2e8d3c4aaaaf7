"""Putting a member's own bookkeeping in order, before anything is brought to it."""

from __future__ import annotations

from dataclasses import replace

from redrepl.plans.epochs.change_members import change_topology, joins_as, note_enrolled
from redrepl.plans.epochs.in_its_place import why_not_dropped
from redrepl.plans.epochs.member_changes import try_to_change_member
from redrepl.plans.epochs.membership import disown_call, enrol_call
from redrepl.plans.epochs.soundness import lacks_topology
from redrepl.plans.recovery.former_member import drop_bookkeeping
from redrepl.plans.recovery.run import RecoveryRun
from redrepl.values.effects import Plan
from redrepl.values.member_state import MemberState
from redrepl.values.report import NodeReport
from redrepl.values.reports import Reports


def mend_bookkeeping(run: RecoveryRun, found: NodeReport) -> Plan[NodeReport]:
    """Make a server at a member's address that member, as far as it can be; returns its report
    after that.

    Raises Unavailable where the server is another one and is left alone.
    """
    if found.member and not found.is_itself:
        yield from drop_bookkeeping(run.view, found, run.reports, run.steps)
        found = yield from run.look_at(found.node)
    found = yield from _end_enrolment(run, found)
    yield from _restore_guard(run, found)
    return found


def disown(run: RecoveryRun, node: str) -> Plan[Reports]:
    """Drop the bookkeeping of a member that holds what no node of ours would write; returns what it
    tells after that.

    Only while it can be filled again, and only where it is so at a second look too: members answer
    one after the other, and a change of epoch may have come in between.
    """
    view, reports, steps = run.view, run.reports, run.steps
    now = yield from steps.inspect(view.layout, view.ids, known=view.topology)
    before, found = reports.unreadable(node), now.unreadable(node)
    if found is None or before is None or not before.stands_in(found):
        return now
    if (
        why := why_not_dropped(view, reports, node) or why_not_dropped(view, now, node)
    ) is not None:
        return Reports(silent={node: f"{found}; {why}"})

    yield from steps.ask(
        node, disown_call(view.layout, found.as_found), "dropping bookkeeping that cannot be true"
    )
    run.note(f"held bookkeeping that none of ours would write ({found}): it is filled anew")
    return (yield from steps.inspect(view.layout, (node,), known=view.topology))


def give_place(run: RecoveryRun, node: str) -> Plan[None]:
    """Give the place of a member that came back empty to the empty server, in a new epoch.

    In the present one the two could not be told apart: the server with the data may still run
    somewhere, and serve.
    """
    topology, order, steps = run.view.topology, run.order, run.steps
    changed = topology.with_replaced(replace(topology.member(node), identity=order.identity))
    yield from steps.step(
        lambda _: change_topology(topology, changed, order.tolerances, order.incarnation, steps.at)
    )
    run.note("came back empty: it is a new server in this place, in a new epoch")


def _end_enrolment(run: RecoveryRun, found: NodeReport) -> Plan[NodeReport]:
    """Enrol a server where the change of members died before that; returns its report then."""
    view, order, steps = run.view, run.order, run.steps
    primary, topology, node = run.reports.primary(view.topology), view.topology, found.node
    joins = joins_as(topology, node, primary)
    if joins is None or primary is None:
        return found

    if not found.member and not found.clusters:
        how = (
            topology,
            node,
            MemberState.SYNCING,
            found.run_id,
            order.incarnation,
            order.tolerances,
        )
        yield from steps.ask(node, enrol_call(*how, joins=joins), "enrolling it")
    found = yield from run.look_at(node)
    if found.is_itself:
        yield from note_enrolled(view.layout, primary, steps)
    return found


def _restore_guard(run: RecoveryRun, found: NodeReport) -> Plan[None]:
    """Write the guard anew, from the membership, where it was deleted or overwritten; and the
    topology, where one that serves tells none, or another.

    One that restarted, or is another server than the member, has to be admitted again first, which
    writes them too.
    """
    topology = run.view.topology
    lacks = lacks_topology(topology, found)
    if not (found.has_lost_guard or lacks) or not found.is_itself or found.has_restarted:
        return
    known = topology if lacks else None
    change = yield from try_to_change_member(
        found, run.view.layout, {}, known, "restoring its guard", run.steps
    )
    if change.is_done and found.has_lost_guard:
        run.note("its guard was deleted or overwritten: it was restored")
