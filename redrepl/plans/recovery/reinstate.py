"""Putting a primary that restarted back to work, without losing what was acknowledged (docs/protocol.md, section 5.1).

It may have missed something: writes under way when it died, or writes it lost with its last second of persistence.
Nobody can tell these apart, so they are rolled forward in a new epoch. First the replicas are fenced, so that no write
of the old epoch can come any more, not even one that waits in a socket: a replica would acknowledge it although the
primary lost it. Then the primary takes what their logs name beyond its own marks, and then the new epoch begins.

One that has lost nothing, and was fenced by somebody who then found too few members, is put back in the same way. It
needs no more witnesses than make a majority with it: it only has to be certain that nobody has gone on without it. A
member that served in a later epoch shows that somebody has, and then it is never put back: what was under way here was
told to programs as of no effect, and they have sent it again.

Every step changes a member only if it still is as it was seen; whoever is second stops, and whoever comes after a run
that died starts over with a higher epoch.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from redrepl.plans.copies.catch_up import FIRST_PAGE_ENTRIES, forget_cursors, next_count, read_page
from redrepl.plans.copies.copying import Copier, clock_stepped, copy_all, stamp_in
from redrepl.plans.copies.marks import starting_mark
from redrepl.plans.copies.purged import give_up_purged
from redrepl.plans.epochs.membership import (
    active_fields,
    change_call,
    epoch_fields,
    gap_field,
    new_log_fields,
    purge_field,
    settled_fields,
    trusted_fields,
)
from redrepl.plans.epochs.soundness import (
    donors_among,
    newest_epoch,
    sound_members,
    way_out,
    why_left,
    witnesses_needed,
)
from redrepl.plans.recovery.restarts import restarted_together
from redrepl.plans.scan import FOREIGN, SCAN_START, read_headers, scan_page
from redrepl.plans.steps import Steps
from redrepl.plans.strangers import why_gone
from redrepl.plans.topology import check_members_stayed
from redrepl.plans.view import FOR_UPKEEP, ClusterView
from redrepl.values.answers.membership import parse_change
from redrepl.values.effects import Plan
from redrepl.values.errors import Unavailable
from redrepl.values.member_state import MemberState
from redrepl.values.record import NO_DEADLINE, TOMBSTONE
from redrepl.values.report import LastEntry, Mark, NodeReport
from redrepl.values.reports import Reports
from redrepl.values.topology import Topology


@dataclass(slots=True)
class Reinstated:
    """What it took. ``records``: rolled forward from replicas."""

    records: int = 0
    notes: list[str] = field(default_factory=list)


def reinstate(
    view: ClusterView, primary: NodeReport, reports: Reports, incarnation: str, steps: Steps
) -> Plan[Reinstated]:
    """Admit the primary again. Raises Unavailable where too few replicas can bear witness."""
    witnesses = find_witnesses(view, primary, reports)
    # Also beyond epochs that somebody began with members that do not count: each epoch has one owner.
    epoch = newest_epoch(reports) + 1
    topology = replace(view.topology, epoch=epoch, merged_epoch=epoch)
    # The primary first: it serves nobody, and whoever is second stops here, before a replica is fenced in vain.
    primary = yield from _fence(view, primary, topology, MemberState.SYNCING, steps)
    fenced: list[NodeReport] = []
    for witness in witnesses:
        fenced += [(yield from _fence(view, witness, topology, MemberState.FENCED, steps))]
    new_view, done = ClusterView(topology), Reinstated()
    own = [] if primary.has_restarted else [primary]
    donors = [each for each in donors_among([*own, *fenced]) if each.node != primary.node]
    left_behind = [each for each in fenced if primary.is_in_doubt and each.lineage > 0 and each not in donors]
    walked = [witness for witness in donors if _start(witness, primary) is None]
    if (walked or left_behind) and primary.may_be_outdated:
        yield from _change(new_view, primary, gap_field(primary), None, "noting a gap in its log", steps)
    newest_entry = primary.log.newest_id.encode()
    for witness in (*donors, *left_behind):
        take_up = _roll_forward if witness in donors else _take_up_dropped
        copier = yield from take_up(new_view, witness, primary, steps, newest_entry)
        newest_entry = copier.newest_entry
        done.records += copier.records
    if walked or left_behind:
        counted = [witness for witness in fenced if not witness.is_newcomer]
        given_up = yield from give_up_purged(new_view, primary, counted, steps)
        if given_up:
            done.notes.append(f"gave up {given_up} records that were deleted, and purged, since its data was saved")
    for witness in walked:
        # Not sooner: whoever takes up a run that died sees by the mark's absence that there was more to give up.
        marker = Copier(new_view, witness, primary.node, steps, FOR_UPKEEP)
        marker.newest_entry = newest_entry
        yield from marker.absorb((), (), Mark(witness.incarnation, witness.log_end))
    limit = max((witness.purged_before for witness in fenced), default=0)
    newest = LastEntry(primary.identity, primary.incarnation, newest_entry.decode())
    yield from _admit(new_view, primary, incarnation, topology, limit, steps, newest)
    done.notes.append(f"took up {done.records} records from its replicas, in the new epoch {epoch}")
    return done


def find_witnesses(view: ClusterView, primary: NodeReport, reports: Reports) -> list[NodeReport]:
    """The replicas that are to be fenced: what the primary lost is on one of them, if it was committed.

    Sound replicas in whatever state, and newcomers, who must not begin to confirm while nobody counts them. Raises
    Unavailable where they are too few.
    """
    others = reports.among(view.others[primary.node])
    newcomers = [report for report in others if report.is_newcomer]
    copies = len(view.ids) - len(newcomers)
    counted = [report for report in sound_members(view.topology, reports) if report.node != primary.node]
    if _may_have_lost(primary):
        needed = witnesses_needed(copies)
    else:
        later = [report for report in others if report.is_itself and report.lineage > primary.lineage]
        if later:
            raise _gone_on(primary, later)
        # With this primary they are a majority; where all have been heard, nobody is left who could have gone on.
        needed = 0 if _are_all_heard(view, primary, reports) else copies // 2
    if not counted and needed and primary.has_restarted:
        counted = _at_their_word(view, primary, reports)
    if len(counted) < needed:
        raise _too_few(view, primary, reports, [report.node for report in counted], needed)
    return [report for report in (*counted, *newcomers) if report.node != primary.node]


def why_primary_waits(view: ClusterView, reports: Reports) -> str | None:
    """Why the one primary, which restarted, cannot be put back to work, in words; None where it can be."""
    primary = reports.primary(view.topology)
    if primary is None or not primary.is_itself or not primary.has_restarted:
        return None
    try:
        find_witnesses(view, primary, reports)
    except Unavailable as error:
        return str(error)
    return None


def _may_have_lost(primary: NodeReport) -> bool:
    """Whether it may lack what it once confirmed: it restarted, or dropped records by a clock that was ahead."""
    return bool(primary.has_restarted or primary.is_in_doubt)


def _are_all_heard(view: ClusterView, primary: NodeReport, reports: Reports) -> bool:
    """Whether all other members answer, be it that they restarted or came back empty: then they serve nobody."""
    others = view.others[primary.node]
    found = reports.among(others)
    return len(found) == len(others) and all(report.is_itself or not report.member for report in found)


def _start(witness: NodeReport, primary: NodeReport) -> Mark | None:
    """From where the primary can take up what it lacks from a witness' log; None where all keys must be walked."""
    return None if primary.is_in_doubt or primary.has_forgotten else starting_mark(witness, primary)


def _at_their_word(view: ClusterView, primary: NodeReport, reports: Reports) -> list[NodeReport]:
    """Where no member serves: those that served before they restarted, the primary too where all restarted.

    One that was being brought up then may have lost something before. A primary with the data of an older epoch has
    lost something, although others' marks may not show it.
    """
    together = restarted_together(view, reports)
    # One that forgot shows less than one that restarted: beside that it may lack what was confirmed.
    all_forgot = all(report.has_forgotten for report in together)
    served = [r for r in together if r.state.is_filled and (all_forgot or not r.has_forgotten)]
    is_primary_believed = all(r.has_restarted for r in together) and primary.lineage == view.topology.epoch
    return [report for report in served if report.node != primary.node or is_primary_believed]


def _too_few(view: ClusterView, primary: NodeReport, reports: Reports, counted: list[str], needed: int) -> Unavailable:
    replicas = "1 replica is" if needed == 1 else f"{needed} replicas are"
    what = primary.restart if primary.has_restarted else f"was fenced in epoch {primary.epoch}"
    why = "to see what it lost" if primary.has_restarted else "to see that nobody went on without it"
    text = (
        f"primary {primary.node!r} {what}; {replicas} needed {why}, usable: {', '.join(counted) or 'none'}; "
        f"{way_out(view.topology, reports)}"
    )
    left = {node: why_left(node, reports) for node in view.others[primary.node] if node not in counted}
    return Unavailable(text, {primary.node: what, **left})


def _gone_on(primary: NodeReport, later: list[NodeReport]) -> Unavailable:
    """Others served in a later epoch than the primary, whose own has therefore ended."""
    names = ", ".join(report.node for report in later)
    text = (
        f"primary {primary.node!r} served last in epoch {primary.lineage}, and {names} in a later one: it is not put "
        "back, since the cluster went on without it; the other members that served in that epoch are waited for"
    )
    return Unavailable(text, {report.node: f"served in epoch {report.lineage}" for report in later})


def _fence(
    view: ClusterView, report: NodeReport, topology: Topology, state: MemberState, steps: Steps
) -> Plan[NodeReport]:
    """Move a member to the new epoch, in which it serves nobody yet; answers its report after that.

    It learns among which members it is counted, and must not know of a change of these.
    """
    fields = {**epoch_fields(topology, report.node), "state": state}
    yield from _change(view, report, fields, view.topology, "fencing it", steps)
    found = yield from steps.inspect(view.layout, (report.node,), known=view.topology)
    now = found.of(report.node)
    if now is None or now.run_id != report.run_id:
        why = why_gone(report.node, found)
        raise Unavailable(f"node {report.node!r} went away while it was fenced", {report.node: why})
    if now.has_stepped_since(report):
        raise clock_stepped(report.node)
    _check_not_moved_on(now, topology)
    check_members_stayed(view.topology, found, [now.node])
    return now


def _check_not_moved_on(now: NodeReport, topology: Topology) -> None:
    """Raise Unavailable where somebody moved the member on: it must not serve in an epoch that is theirs."""
    if now.epoch != topology.epoch:
        raise Unavailable(f"node {now.node!r} was moved on meanwhile", {now.node: f"epoch {now.epoch}, {now.state}"})


def _change(
    view: ClusterView, report: NodeReport, fields: dict[str, str], topology: Topology | None, doing: str, steps: Steps
) -> Plan[None]:
    call = change_call(report, view.layout, fields, topology)
    change = parse_change((yield from steps.ask(report.node, call, doing)))
    if not change.is_done:
        raise Unavailable(f"node {report.node!r} changed meanwhile", {report.node: change.found_instead})


def _roll_forward(
    view: ClusterView, witness: NodeReport, primary: NodeReport, steps: Steps, newest_entry: bytes
) -> Plan[Copier]:
    """Take up what a fenced replica's log names beyond the primary's mark, or all it has where that was cut.

    After a walk the mark is left to the caller. newest_entry: of the primary's own log, as far as it is known.
    """
    copier = Copier(view, witness, primary.node, steps, FOR_UPKEEP, skips_gone=witness.is_in_doubt)
    copier.newest_entry = newest_entry
    mark = _start(witness, primary)
    if mark is None:
        yield from copy_all(copier, steps)
        return copier
    position, count = mark.position, FIRST_PAGE_ENTRIES
    while True:
        page = yield from read_page(view, witness, position, count, steps)
        if not page.entries:
            return copier
        yield from copier.copy(page.newest, Mark(mark.incarnation, page.end))
        position, count = page.end, next_count(page)


def _take_up_dropped(
    view: ClusterView, witness: NodeReport, primary: NodeReport, steps: Steps, newest_entry: bytes
) -> Plan[Copier]:
    """Take up what a primary may have dropped by its clock from a member that an earlier failover left behind.

    What was dropped was decided, and may stand there alone: records with a deadline, and tombstones, where the primary
    has nothing. Whatever else stands there the cluster went on without, and it may have been told to be of no effect.
    """
    copier = Copier(view, witness, primary.node, steps, FOR_UPKEEP, skips_gone=True)
    copier.newest_entry = newest_entry
    cursor = SCAN_START
    while True:
        cursor, names = yield from scan_page(view, witness.node, cursor, steps)
        theirs = yield from read_headers(view, witness.node, names, steps)
        ours = yield from read_headers(view, primary.node, names, steps)
        rows = zip(names, theirs, ours, strict=True)
        yield from copier.copy(
            {name: stamp_in(header) for name, header, own in rows if not own and _goes_by_time(header)}
        )
        if cursor == SCAN_START:
            return copier


def _goes_by_time(header: bytes) -> bool:
    """Whether a node drops this record by its clock alone."""
    if header in (b"", FOREIGN):
        return False
    return header[22:23] == TOMBSTONE or int(header[23:35], 16) != NO_DEADLINE


def _admit(
    view: ClusterView,
    primary: NodeReport,
    incarnation: str,
    topology: Topology,
    purged_before: int,
    steps: Steps,
    newest: LastEntry,
) -> Plan[None]:
    """Have it serve, if it is the same server still and has what it took up: ``newest`` of its own log."""
    seen = {primary.node: newest}
    found = yield from steps.inspect(view.layout, seen, known=view.topology, last_entries=seen)
    now = found.of(primary.node)
    if now is None or now.run_id != primary.run_id:
        raise Unavailable(f"primary {primary.node!r} restarted meanwhile", {primary.node: "restarted"})
    if now.lost is not None or now.member.get("run_id") != primary.member.get("run_id"):
        raise Unavailable(f"primary {primary.node!r} forgot meanwhile", {primary.node: now.restart})
    if now.has_stepped_since(primary):
        raise clock_stepped(primary.node)
    _check_not_moved_on(now, topology)
    fields = {**active_fields(topology), **settled_fields(topology), "run_id": now.run_id}
    fields |= purge_field(now, purged_before) | trusted_fields(now)
    if primary.has_restarted:
        yield from forget_cursors(view, primary, steps)
        # Who it was to enrol may have served since its data was saved.
        fields |= new_log_fields(primary, incarnation) | {"pending": ""}
    call = change_call(now, view.layout, fields, topology)
    change = parse_change((yield from steps.ask(primary.node, call, "admitting it again")))
    if not change.is_done:
        text = f"primary {primary.node!r} changed while it was checked"
        raise Unavailable(text, {primary.node: change.found_instead})
