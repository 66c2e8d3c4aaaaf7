"""Bringing one node up to what the others have: the one job of the workers, for every node and every state.

What is done stands in docs/protocol.md, section 6.

- A node that lost its membership, restarted, or stayed behind in an older epoch is set to `syncing` first: the guard
  then refuses clients, until it has everything again.
- Its logs' sources are shipped from where its own marks stand, which roll back together with its data; where the log
  does not reach back that far, all keys are walked.
- The one primary takes nothing from replicas: their logs are checked for undecided records instead. If it restarted, it
  takes what they have beyond it in a new epoch, or hands its role over (section 5).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from redrepl.plans.copies import full_sync
from redrepl.plans.copies.catch_up import confirm, forget_cursors, ship_log
from redrepl.plans.copies.copying import clock_stepped
from redrepl.plans.copies.diverged import discard_diverged
from redrepl.plans.copies.marks import oldest_mark, starting_mark
from redrepl.plans.copies.undecided import DIVERGED, UNDECIDED, check_log
from redrepl.plans.doubtful_clocks import doubtful_members, wrong_clocks
from redrepl.plans.epochs.change_members import change_topology, joins_as, note_enrolled
from redrepl.plans.epochs.clocks import set_aside
from redrepl.plans.epochs.failover import FailoverOrder, fail_over
from redrepl.plans.epochs.in_its_place import why_not_dropped
from redrepl.plans.epochs.membership import (
    Tolerances,
    active_fields,
    change_call,
    clock_field,
    disown_call,
    enrol_call,
    epoch_fields,
    forgotten_fields,
    new_log_fields,
    purge_field,
    trusted_fields,
)
from redrepl.plans.epochs.soundness import (
    between_epochs,
    lacks_topology,
    may_have_forgotten_epoch,
    newest_epoch,
    returned_fields,
    successors,
    way_out,
)
from redrepl.plans.epochs.under_way import goes_on
from redrepl.plans.inspect import newest_topology
from redrepl.plans.recovery.checkpoints import note_checked, note_filled, note_gap
from redrepl.plans.recovery.former_member import drop_bookkeeping
from redrepl.plans.recovery.reinstate import reinstate
from redrepl.plans.recovery.restarts import restarted_together
from redrepl.plans.steps import Steps
from redrepl.plans.strangers import check_reached
from redrepl.plans.view import ClusterView
from redrepl.values.answers.membership import parse_change
from redrepl.values.clocks import describe_offset, is_steady
from redrepl.values.effects import Plan
from redrepl.values.errors import RedreplError, Unavailable
from redrepl.values.keys import KeyLayout
from redrepl.values.member_state import MemberState
from redrepl.values.report import LOG_START, LastEntry, NodeReport, Position
from redrepl.values.reports import Reports
from redrepl.values.walk import walks_on

UNDER_WAY = "a change of epoch is under way"


@dataclass(slots=True)
class BroughtUp:
    """What was done for a node. ``finished`` False: there is more to do, call again."""

    node: str
    entries: int = 0
    records: int = 0
    payload_bytes: int = 0
    full_syncs: int = 0
    undecided_replaced: int = 0
    activated: bool = False
    finished: bool = True
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class BringUpOrder:
    """How to go about it. ``incarnation``: a fresh random id for the node's log, used if it needs a new one.
    ``identity``: a fresh one for a server that came back empty, which is another member than the one that it was.

    stop_at: the driver's clock when to stop between batches. exactly: walk all keys even where the logs suffice.
    fails_over: a primary that restarted or came back empty hands its role over, where enough others can take it.
    own_ahead: see `redrepl.plans.doubtful_clocks.wrong_clocks`.
    keys_per_second: of a walk over all keys; 0: as fast as clients allow.
    reached: see `redrepl.plans.strangers.check_reached`.
    """

    incarnation: str
    identity: str
    tolerances: Tolerances
    started: float
    stop_at: float
    exactly: bool = False
    fails_over: bool = False
    own_ahead: float | None = None
    keys_per_second: float = 0.0
    reached: Mapping[str, str] = field(default_factory=dict)


def bring_up(layout: KeyLayout, nodes: tuple[str, ...], target: str, order: BringUpOrder) -> Plan[BroughtUp]:
    """Bring ``target`` up. Raises Unavailable where a node fails in the middle; running it again resumes."""
    done = BroughtUp(target)
    yield from _bring_up(layout, nodes, target, order, Steps(order.started), done)
    return done


def _bring_up(
    layout: KeyLayout, nodes: tuple[str, ...], target: str, order: BringUpOrder, steps: Steps, done: BroughtUp
) -> Plan[None]:
    reports = yield from steps.inspect(layout, nodes)
    topology = newest_topology(reports)
    if topology is None or target not in topology.ids:
        done.notes.append("is no member" if topology else "no member of the cluster answered")
        return
    check_reached(topology, order.reached)
    view = ClusterView(topology)
    looked = reports
    if reports.unreadable(target) is not None and target != view.decider:
        looked = yield from _disown(view, target, reports, steps, done)
    if (found := looked.of(target)) is None:
        why = looked.reason(target, "its address is not known")
        raise Unavailable(f"node {target!r} cannot be brought up", {target: why})
    doubtful = doubtful_members(topology, reports, order.own_ahead)
    if (seconds := wrong_clocks(topology, reports, order.own_ahead).get(target)) is not None:
        yield from set_aside(layout, topology, reports, steps, order.own_ahead)
        done.notes.append(f"its clock is {describe_offset(seconds)}: it serves nothing until that is right")
        return
    sources = [source for source in _sources(view, reports, target) if source.node not in doubtful]
    if found.member and not found.is_itself:
        yield from drop_bookkeeping(view, found, reports, steps)
        found = yield from _report(view, found.node, steps)
    found = yield from _end_enrolment(view, found, reports, order, steps)
    yield from _restore_guard(view, found, steps, done)
    if target == view.decider:
        yield from _look_after_primary(view, found, reports, sources, order, steps, done)
    elif not sources:
        done.notes.append("no node to bring it up from: none is active in this epoch")
    elif not found.member:
        yield from _give_place(view, target, order, steps, done)
        yield from _bring_up(layout, nodes, target, order, Steps(steps.at), done)
        done.finished = done.finished and done.activated
    else:
        yield from _look_after_copy(view, found, reports, sources, order, steps, done)


def _end_enrolment(
    view: ClusterView, found: NodeReport, reports: Reports, order: BringUpOrder, steps: Steps
) -> Plan[NodeReport]:
    """Enrol a server where whoever changed the members died before; answers its report after that."""
    primary, topology, node = reports.primary(view.topology), view.topology, found.node
    joins = joins_as(topology, node, primary)
    if joins is None or primary is None:
        return found
    if not found.member and not found.clusters:
        how = (topology, node, MemberState.SYNCING, found.run_id, order.incarnation, order.tolerances)
        yield from steps.ask(node, enrol_call(*how, joins=joins), "enrolling it")
    found = yield from _report(view, found.node, steps)
    if found.is_itself:
        yield from note_enrolled(view.layout, primary, steps)
    return found


def _restore_guard(view: ClusterView, found: NodeReport, steps: Steps, done: BroughtUp) -> Plan[None]:
    """Write the guard anew, from the membership, where somebody deleted it or put something else in its place; and the
    topology, where one that serves tells none, or another.

    One that restarted, or is another server than the member, has to be admitted again first, which writes them too.
    """
    lacks = lacks_topology(view.topology, found)
    if not (found.has_lost_guard or lacks) or not found.is_itself or found.has_restarted:
        return
    call = change_call(found, view.layout, {}, view.topology if lacks else None)
    change = parse_change((yield from steps.ask(found.node, call, "restoring its guard")))
    if change.is_done and found.has_lost_guard:
        done.notes.append("its guard was deleted or overwritten: it was restored")


def _disown(view: ClusterView, node: str, reports: Reports, steps: Steps, done: BroughtUp) -> Plan[Reports]:
    """Drop the bookkeeping of a member that holds what no node of ours would write; returns what it tells after that.

    Only while it can be filled again, and only where it is so at a second look too: members answer one after the other,
    and a change of epoch may have come in between.
    """
    now = yield from steps.inspect(view.layout, view.ids, known=view.topology)
    before, found = reports.unreadable(node), now.unreadable(node)
    if found is None or before is None or not before.stands_in(found):
        return now
    if (why := why_not_dropped(view, reports, node) or why_not_dropped(view, now, node)) is not None:
        return Reports(silent={node: f"{found}; {why}"})
    yield from steps.ask(node, disown_call(view.layout, found.as_found), "dropping bookkeeping that cannot be true")
    done.notes.append(f"held bookkeeping that none of ours would write ({found}): it is filled anew")
    return (yield from steps.inspect(view.layout, (node,), known=view.topology))


def _give_place(view: ClusterView, node: str, order: BringUpOrder, steps: Steps, done: BroughtUp) -> Plan[None]:
    """Give the place of a member that came back empty to the empty server, in a new epoch.

    In the present one nobody could tell the two apart: the server with the data may still run somewhere, and serve.
    """
    topology = view.topology
    changed = topology.with_replaced(replace(topology.member(node), identity=order.identity))
    yield from steps.step(lambda _: change_topology(topology, changed, order.tolerances, order.incarnation, steps.at))
    done.notes.append("came back empty: it is a new server in this place, in a new epoch")


def _sources(view: ClusterView, reports: Reports, target: str) -> list[NodeReport]:
    """Whose logs count for the target: active members of the epoch, as far as they answer."""
    names = view.topology.sources_of(target)
    found = [r for r in reports.among(names) if r.is_serving and r.epoch == view.topology.epoch]
    if found or view.decider is not None:
        return found
    # Several primaries that all restarted: each has what it had, and they give it to each other.
    together = restarted_together(view, reports)
    return [r for r in together if r.node in names and r.state.serves and r.epoch == view.topology.epoch]


def _look_after_copy(
    view: ClusterView,
    target: NodeReport,
    reports: Reports,
    sources: list[NodeReport],
    order: BringUpOrder,
    steps: Steps,
    done: BroughtUp,
) -> Plan[None]:
    if target.epoch > view.topology.epoch or may_have_forgotten_epoch(view.topology, target, reports):
        done.notes.append(UNDER_WAY)
        return
    if target.is_in_doubt or target.has_forgotten or not target.is_serving or target.epoch != view.topology.epoch:
        purged_before = max((source.purged_before for source in sources), default=0)
        target = yield from _suspend(view, target, order, steps, purged_before)
        done.notes.append("was set to syncing")
        # What it must have before it serves again is what the sources have now that it takes no writes any more.
        reports = yield from steps.inspect(view.layout, view.ids, known=view.topology)
        doubtful = doubtful_members(view.topology, reports, order.own_ahead)
        sources = [source for source in _sources(view, reports, target.node) if source.node not in doubtful]
        if not sources:
            # Without this it would be admitted with whatever it has, which may be nothing.
            done.notes.append("whoever it is to be brought up from fell silent")
            done.finished = False
            return
    is_doubtful = target.is_in_doubt or target.has_forgotten
    # Marks of others in its log do not count then, and somebody has to say that nothing in it is undecided.
    has_new_log = target.lineage == 0 or target.has_forgotten
    why = DIVERGED if view.decider is not None and target.lineage < view.topology.epoch else UNDECIDED
    newest_entry = target.log.newest_id.encode()
    for source in sources:
        # Who never served may hold records from an earlier membership, which its log does not name.
        # Who may have dropped records by a wrong clock does not find in the log what it dropped. Nor does one whose
        # memory went back: a catch-up that was under way has moved its mark beyond what it lost.
        is_walked = not order.exactly and full_sync.is_walked(view, source, target)
        is_unknown = is_doubtful or (target.lineage == 0 and source.node not in target.marks)
        walk = order.exactly or (is_unknown and not is_walked)
        if why == DIVERGED and not walk and not is_walked:
            discarded = yield from discard_diverged(view, source, target, steps)
            walk = discarded is None
            done.undecided_replaced += discarded or 0
        newest_entry = yield from _catch_up(view, source, target, order, steps, done, walk, why, newest_entry)
        if not done.finished:
            return
    if not target.state.serves:
        if has_new_log and view.decider is not None:
            incarnation = order.incarnation if target.has_restarted else target.incarnation
            yield from note_filled(view, (yield from _report(view, target.node, steps)), incarnation, steps)
        done.activated = yield from _activate(view, target, order, steps, newest_entry)
        if not done.activated:
            done.notes.append(UNDER_WAY)


def _suspend(
    view: ClusterView, target: NodeReport, order: BringUpOrder, steps: Steps, purged_before: int
) -> Plan[NodeReport]:
    """Set the node to `syncing` in this epoch, before anything is brought to it; answers its report after that.

    Where tombstones were purged without it, it has to turn down what these stood against, from the beginning.
    """
    layout, topology, node = view.layout, view.topology, target.node
    # The run id stays the old one until the node is active again: whoever comes meanwhile sees a restart.
    fields = {**epoch_fields(topology, node), "state": MemberState.SYNCING, **purge_field(target, purged_before)}
    if target.was_ahead_seconds and not target.clock_off:
        fields |= clock_field(f"{target.was_ahead_seconds:.1f} s ahead")
    if target.has_lost_log:
        # Now: what is brought to it makes a log that looks whole again. Not by the name that it gets when it is
        # admitted: another worker may begin it anew in between, and no log goes back to an earlier incarnation.
        fields |= new_log_fields(target, f"{order.incarnation}-begun")
        if view.decider is not None:
            # What is gone, and what came since, may name what the primary never took: all keys are compared.
            fields |= forgotten_fields(target)
    call = change_call(target, layout, fields, topology)
    change = parse_change((yield from steps.ask(node, call, "setting it to syncing")))
    if not change.is_done:
        raise Unavailable(f"node {node!r} changed while it was being looked at", {node: change.found_instead})
    yield from forget_cursors(view, target, steps)
    now = yield from _report(view, node, steps)
    if now.has_stepped_since(target):
        raise clock_stepped(node)
    return now


def _report(view: ClusterView, node: str, steps: Steps) -> Plan[NodeReport]:
    return _answered(node, (yield from steps.inspect(view.layout, (node,), known=view.topology)))


def _answered(node: str, reports: Reports) -> NodeReport:
    report = reports.of(node)
    if report is None:
        raise Unavailable(f"node {node!r} stopped answering", {node: reports.silent[node]})
    return report


def _catch_up(
    view: ClusterView,
    source: NodeReport,
    target: NodeReport,
    order: BringUpOrder,
    steps: Steps,
    done: BroughtUp,
    walk: bool,
    why: bytes,
    newest_entry: bytes,
) -> Plan[bytes]:
    """Bring the target what this source has; answers the newest entry that is known of the target's own log."""
    mark = None if walk else starting_mark(source, target)
    if mark is None:
        if target.may_be_outdated and view.decider is not None:
            yield from note_gap(view, target, steps)
        newest_entry = yield from _walk(view, source, target, order, steps, done, why, newest_entry)
        if not done.finished:
            return newest_entry
        mark = (yield from _report(view, target.node, steps)).marks.get(source.node)
        if mark is None:
            raise Unavailable(f"node {target.node!r} was taken out while it was brought up", {target.node: "no mark"})
    elif not target.state.serves:
        # It may have lost what was confirmed earlier: show the honest lag while it catches up.
        yield from confirm(view, source, target.node, mark.position, steps, force=True)
    caught_up = yield from ship_log(view, source, target.node, mark, steps, order.stop_at, newest_entry=newest_entry)
    done.entries += caught_up.entries
    done.records += caught_up.records
    done.payload_bytes += caught_up.payload_bytes
    done.finished = caught_up.finished
    if caught_up.foreign:
        names = ", ".join(repr(view.layout.user_key(name)) for name in caught_up.foreign[:3])
        done.notes.append(f"{len(caught_up.foreign)} keys left as they are, redrepl did not write them: {names}")
    return caught_up.newest_entry


def _walk(
    view: ClusterView,
    source: NodeReport,
    target: NodeReport,
    order: BringUpOrder,
    steps: Steps,
    done: BroughtUp,
    why: bytes,
    newest_entry: bytes,
) -> Plan[bytes]:
    """Fill the target from all keys of the source, or go on with that; answers like `_catch_up`."""
    how = full_sync.WalkOrder(why, order.stop_at, order.exactly, order.keys_per_second, newest_entry)
    synced = yield from full_sync.full_sync(view, source, target, steps, how)
    done.full_syncs += 1
    done.records += synced.copied
    done.undecided_replaced += synced.replaced
    done.finished = synced.finished
    if not synced.finished:
        done.notes.append(f"looked at {synced.keys} keys of {source.node}, to be continued")
    if synced.begun_anew:
        done.notes.append(f"walk begun anew, {synced.begun_anew} times by now: {source.node}'s log was cut behind it")
    return synced.newest_entry


def _activate(
    view: ClusterView, target: NodeReport, order: BringUpOrder, steps: Steps, newest_entry: bytes
) -> Plan[bool]:
    """Admit clients again, if the server is still the one that was brought up, and has what was brought to it.

    newest_entry: what is known of its log. Answers False where it may have forgotten a later epoch, of which somebody
    was not heard before: to fill it may have taken long.
    """
    returned: dict[str, str] = {}
    if target.has_restarted:
        reports = yield from steps.inspect(view.layout, view.others[target.node], known=view.topology)
        if may_have_forgotten_epoch(view.topology, target, reports):
            return False
        returned = returned_fields(view.topology, target, reports)
    known = {target.node: LastEntry(target.identity, target.incarnation, newest_entry.decode())}
    reports = yield from steps.inspect(view.layout, known, known=view.topology, last_entries=known)
    now = _answered(target.node, reports)
    if now.run_id != target.run_id:
        raise Unavailable(f"node {target.node!r} restarted while it was brought up", {target.node: "restarted"})
    if now.state is not MemberState.SYNCING:
        what = f"is {now.state} in epoch {now.epoch} by now" if now.member else "holds no membership any more"
        raise Unavailable(f"node {target.node!r} changed while it was brought up", {target.node: what})
    if now.lost is not None or (now.has_forgotten and now.member["run_id"] != target.member["run_id"]):
        raise Unavailable(f"node {target.node!r} forgot while it was brought up", {target.node: now.restart})
    if now.epoch != view.topology.epoch:
        # A change of members moved it: it would serve in an epoch that nobody may have won.
        raise Unavailable(
            f"node {target.node!r} was moved while it was brought up", {target.node: f"epoch {now.epoch}"}
        )
    if not is_steady(target.clock, now.clock, now.max_skew_seconds):
        raise Unavailable(f"the clock of node {target.node!r} moved while it was brought up", {target.node: "clock"})
    fields = {**active_fields(view.topology), "run_id": now.run_id, **trusted_fields(now), **returned}
    if target.has_restarted:
        fields |= new_log_fields(target, order.incarnation)
    fields |= walks_on(now.member)
    call = change_call(now, view.layout, fields, None)
    change = parse_change((yield from steps.ask(target.node, call, "admitting it again")))
    if not change.is_done:
        raise Unavailable(f"node {target.node!r} changed while it was brought up", {target.node: change.found_instead})
    return True


def _look_after_primary(
    view: ClusterView,
    primary: NodeReport,
    reports: Reports,
    replicas: list[NodeReport],
    order: BringUpOrder,
    steps: Steps,
    done: BroughtUp,
) -> Plan[None]:
    if between_epochs(view.topology, reports) and not primary.has_restarted:
        if not successors(view.topology, reports, order.own_ahead):
            yield from _reinstate(view, primary, reports, order, steps, done)
            return
        # Whoever comes in between makes them start over. What is left unfinished the monitors take up, where they can.
        if primary.epoch > view.topology.epoch:
            done.notes.append(UNDER_WAY)
            return
    if primary.is_in_doubt or not primary.is_serving or primary.epoch != view.topology.epoch:
        yield from _replace_or_reinstate(view, primary, reports, order, steps, done)
        return
    reached: dict[str, Position] = {}
    for replica in replicas:
        mark = starting_mark(replica, primary)
        if mark is None:
            mark = oldest_mark(replica)
            if mark.position.id != LOG_START:
                done.notes.append(
                    f"the log of {replica.node} may have been cut before it was looked through: "
                    "`redrepl verify --repair` finds what is undecided there"
                )
            yield from confirm(view, replica, primary.node, mark.position, steps, force=True)
        checked = yield from check_log(view, replica, primary, mark, steps, order.stop_at)
        done.entries += checked.entries
        done.undecided_replaced += checked.records
        done.finished = done.finished and checked.finished
        if checked.reached is not None:
            reached[replica.node] = checked.reached
    now = yield from _report(view, primary.node, steps)
    yield from note_checked(view, now, replicas, reached, steps)


def _replace_or_reinstate(
    view: ClusterView, primary: NodeReport, reports: Reports, order: BringUpOrder, steps: Steps, done: BroughtUp
) -> Plan[None]:
    """The primary does not serve. Another one takes over where that can be, else it is put back to work."""
    moved = between_epochs(view.topology, reports)
    if moved and (yield from goes_on(view.layout, view.topology, moved, steps)):
        done.notes.append(UNDER_WAY)
        return
    if order.fails_over and successors(view.topology, reports, order.own_ahead):
        failover = FailoverOrder(steps.at, own_ahead=order.own_ahead, seen_epoch=newest_epoch(reports))
        changed = yield from fail_over(view.layout, view.ids, failover)
        done.notes.append(f"handed its role over to {changed.primary} in epoch {changed.epoch}")
        done.finished = False
        return
    if not primary.member:
        others = [report for report in reports.present.values() if report.member]
        text = _EMPTY_PRIMARY.format(node=primary.node, way_out=way_out(view.topology, reports))
        raise RedreplError(text, {r.node: f"{r.log.added} changes in its log" for r in others})
    yield from _reinstate(view, primary, reports, order, steps, done)


def _reinstate(
    view: ClusterView, primary: NodeReport, reports: Reports, order: BringUpOrder, steps: Steps, done: BroughtUp
) -> Plan[None]:
    reinstated = yield from reinstate(view, primary, reports, order.incarnation, steps)
    done.records += reinstated.records
    done.activated = True
    done.notes += reinstated.notes


_EMPTY_PRIMARY = (
    "primary {node!r} came back empty, or is another server at its address: writes stay stopped, and it is not used to "
    "bring up replicas, which would empty them. The replicas keep the data; restore the primary's data directory and "
    "restart it, or: {way_out}"
)
