"""Putting a primary that restarted back to work, without losing what was acknowledged
(docs/protocol.md, section 5.1).

It may have missed something: writes under way when it died, or writes it lost with its last second
of persistence. Nobody can tell these apart, so they are rolled forward in a new epoch. First the
replicas are fenced, so that no write of the old epoch can come any more, not even one that waits in
a socket: a replica would acknowledge it although the primary lost it. Then the primary takes what
their logs name beyond its own marks, and then the new epoch begins.

One that has lost nothing, and was fenced by somebody who then found too few members, is put back in
the same way. It needs no more witnesses than make a majority with it: it only has to be certain
that nobody has gone on without it. A member that served in a later epoch shows that somebody has,
and then it is never put back: what was under way here was told to programs as of no effect, and
they have sent it again.

Every step changes a member only if it still is as it was seen; whoever is second stops, and whoever
comes after a run that died starts over with a higher epoch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from redrepl.plans.copies.catch_up import forget_cursors
from redrepl.plans.copies.copying import Copier, check_clock_steady, copy_all
from redrepl.plans.copies.headers import deadline_in, holds_record, is_tombstone, stamp_in
from redrepl.plans.copies.key_walk import KeyWalk
from redrepl.plans.copies.log_reader import LogReader
from redrepl.plans.copies.marks import starting_mark
from redrepl.plans.copies.purged import give_up_purged
from redrepl.plans.epochs.member_changes import change_member, check_not_moved_on, look_again
from redrepl.plans.epochs.membership import (
    active_fields,
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
from redrepl.plans.scan import read_headers
from redrepl.plans.steps import Steps
from redrepl.plans.topology import check_members_stayed
from redrepl.plans.view import FOR_UPKEEP, ClusterView
from redrepl.values.effects import Plan
from redrepl.values.errors import Unavailable
from redrepl.values.member_state import MemberState
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
    surviving = find_witnesses(view, primary, reports)
    # Also beyond epochs that were begun with members that do not count: each epoch has one owner.
    epoch = newest_epoch(reports) + 1
    topology = replace(view.topology, epoch=epoch, merged_epoch=epoch)

    # The primary first: it serves no client, and whoever is second stops here, before a replica is
    # fenced in vain.
    primary = yield from _fence(view, primary, topology, MemberState.SYNCING, steps)
    fenced: list[NodeReport] = []
    for replica in surviving:
        fenced += [(yield from _fence(view, replica, topology, MemberState.FENCED, steps))]

    reinstatement = _Reinstatement(ClusterView(topology), primary, fenced, steps)
    done = Reinstated()
    yield from reinstatement.roll_forward(done)
    yield from reinstatement.admit(incarnation)
    done.notes.append(f"took up {done.records} records from its replicas, in the new epoch {epoch}")
    return done


def find_witnesses(view: ClusterView, primary: NodeReport, reports: Reports) -> list[NodeReport]:
    """The replicas that are to be fenced: what the primary lost is on one of them, if it was
    committed.

    Sound replicas in whatever state, and newcomers, who must not begin to confirm while nobody
    counts them. Raises Unavailable where they are too few.
    """
    others = reports.among(view.others[primary.node])
    newcomers = [report for report in others if report.is_newcomer]
    copies = len(view.ids) - len(newcomers)
    counted = [
        report for report in sound_members(view.topology, reports) if report.node != primary.node
    ]
    needed = _replicas_needed(view, primary, reports, copies)
    if not counted and needed and primary.has_restarted:
        counted = _at_their_word(view, primary, reports)
    if len(counted) < needed:
        raise _too_few(view, primary, reports, [report.node for report in counted], needed)
    return [report for report in (*counted, *newcomers) if report.node != primary.node]


def _replicas_needed(view: ClusterView, primary: NodeReport, reports: Reports, copies: int) -> int:
    """How many replicas must count.

    Raises Unavailable where others served in a later epoch than the primary.
    """
    if _may_have_lost(primary):
        return witnesses_needed(copies)
    others = reports.among(view.others[primary.node])
    later = [report for report in others if report.is_itself and report.lineage > primary.lineage]
    if later:
        raise _gone_on(primary, later)
    # With this primary they are a majority; where all have been heard, none is left that could have
    # gone on.
    return 0 if _are_all_heard(view, primary, reports) else copies // 2


def why_primary_waits(view: ClusterView, reports: Reports) -> str | None:
    """Why the one primary, which restarted, cannot be put back to work, in words; None where it can
    be.
    """
    primary = reports.primary(view.topology)
    if primary is None or not primary.is_itself or not primary.has_restarted:
        return None
    try:
        find_witnesses(view, primary, reports)
    except Unavailable as error:
        return str(error)
    return None


def _may_have_lost(primary: NodeReport) -> bool:
    """Whether it may lack what it once confirmed: it restarted, or dropped records by a clock that
    was ahead.
    """
    return bool(primary.has_restarted or primary.is_in_doubt)


def _are_all_heard(view: ClusterView, primary: NodeReport, reports: Reports) -> bool:
    """Whether all other members answer, be it that they restarted or came back empty: then they
    serve nobody.
    """
    others = view.others[primary.node]
    found = reports.among(others)
    return len(found) == len(others) and all(
        report.is_itself or not report.member for report in found
    )


def _start(witness: NodeReport, primary: NodeReport) -> Mark | None:
    """From where the primary can take up what it lacks from a witness' log; None where all keys
    must be walked.
    """
    return None if primary.is_in_doubt or primary.has_forgotten else starting_mark(witness, primary)


def _at_their_word(view: ClusterView, primary: NodeReport, reports: Reports) -> list[NodeReport]:
    """Where no member serves: those that served before they restarted, the primary too where all
    restarted.

    One that was being brought up then may have lost something before. A primary with the data of an
    older epoch has lost something, although others' marks may not show it.
    """
    together = restarted_together(view, reports)
    # One that forgot shows less than one that restarted: beside that it may lack what was
    # confirmed.
    all_forgot = all(report.has_forgotten for report in together)
    served = [r for r in together if r.state.is_filled and (all_forgot or not r.has_forgotten)]
    is_primary_believed = (
        all(r.has_restarted for r in together) and primary.lineage == view.topology.epoch
    )
    return [report for report in served if report.node != primary.node or is_primary_believed]


def _too_few(
    view: ClusterView, primary: NodeReport, reports: Reports, counted: list[str], needed: int
) -> Unavailable:
    replicas = "1 replica is" if needed == 1 else f"{needed} replicas are"
    what = primary.restart if primary.has_restarted else f"was fenced in epoch {primary.epoch}"
    why = (
        "to see what it lost" if primary.has_restarted else "to see that nobody went on without it"
    )
    text = (
        f"primary {primary.node!r} {what}; {replicas} needed {why}, usable: "
        f"{', '.join(counted) or 'none'}; "
        f"{way_out(view.topology, reports)}"
    )
    left = {
        node: why_left(node, reports) for node in view.others[primary.node] if node not in counted
    }
    return Unavailable(text, {primary.node: what, **left})


def _gone_on(primary: NodeReport, later: list[NodeReport]) -> Unavailable:
    """Others served in a later epoch than the primary, whose own has therefore ended."""
    names = ", ".join(report.node for report in later)
    text = (
        f"primary {primary.node!r} served last in epoch {primary.lineage}, and {names} in a later "
        "one: it is not put "
        "back, since the cluster went on without it; the other members that served in that epoch "
        "are waited for"
    )
    return Unavailable(text, {report.node: f"served in epoch {report.lineage}" for report in later})


def _fence(
    view: ClusterView, report: NodeReport, topology: Topology, state: MemberState, steps: Steps
) -> Plan[NodeReport]:
    """Move a member to the new epoch, in which it does not serve yet; returns its report after
    that.

    It learns among which members it is counted, and must not know of a change of these.
    """
    fields = {**epoch_fields(topology, report.node), "state": state}
    yield from change_member(report, view.layout, fields, view.topology, "fencing it", steps)
    error = f"node {report.node!r} went away while it was fenced"
    now = yield from look_again(report, view.layout, view.topology, topology.epoch, steps, error)
    check_members_stayed(view.topology, Reports({now.node: now}), [now.node])
    return now


class _Reinstatement:
    """Bringing the primary what it may have missed, in the new epoch, and having it serve there.

    primary, fenced: as they are since they were fenced.
    """

    def __init__(
        self, view: ClusterView, primary: NodeReport, fenced: Sequence[NodeReport], steps: Steps
    ) -> None:
        self._view = view
        self._primary = primary
        self._fenced = fenced
        self._steps = steps
        own = [] if primary.has_restarted else [primary]
        donors = [each for each in donors_among([*own, *fenced]) if each.node != primary.node]
        self._donors = donors
        self._left_behind = [
            each
            for each in fenced
            if primary.is_in_doubt and each.lineage > 0 and each not in donors
        ]
        self._newest_entry = primary.log.newest_id.encode()

    def roll_forward(self, done: Reinstated) -> Plan[None]:
        """Take up what the replicas have beyond the primary, and give up what was purged without
        it.
        """
        view, primary, steps = self._view, self._primary, self._steps
        donors, left_behind = self._donors, self._left_behind
        walked = [replica for replica in donors if _start(replica, primary) is None]
        if (walked or left_behind) and primary.may_be_outdated:
            doing = "noting a gap in its log"
            yield from change_member(primary, view.layout, gap_field(primary), None, doing, steps)

        for replica in (*donors, *left_behind):
            done.records += yield from self._take_from(replica)

        if walked or left_behind:
            counted = [replica for replica in self._fenced if not replica.is_newcomer]
            given_up = yield from give_up_purged(view, primary, counted, steps)
            if given_up:
                done.notes.append(
                    f"gave up {given_up} records that were deleted, and purged, since its data "
                    "was saved"
                )
        for replica in walked:
            # Not sooner: whoever takes up a run that died sees by the mark's absence that there was
            # more to give up.
            yield from self._copier(replica).absorb(
                (), (), Mark(replica.incarnation, replica.log_end)
            )

    def _take_from(self, replica: NodeReport) -> Plan[int]:
        """Take up what one replica has; returns how many records were new."""
        take_up = self._roll_forward if replica in self._donors else self._take_up_dropped
        copier = self._copier(replica)
        yield from take_up(replica, copier)
        self._newest_entry = copier.newest_entry
        return copier.records

    def _copier(self, replica: NodeReport) -> Copier:
        """What copies a replica's records to the primary.

        Of a replica that may have dropped records by a wrong clock nothing that is gone counts.
        """
        skips_gone = replica.is_in_doubt or replica in self._left_behind
        copier = Copier(
            self._view, replica, self._primary.node, self._steps, FOR_UPKEEP, skips_gone=skips_gone
        )
        copier.newest_entry = self._newest_entry
        return copier

    def _roll_forward(self, replica: NodeReport, copier: Copier) -> Plan[None]:
        """Take up what a replica's log names beyond the primary's applied position, or all it has
        where that was cut.

        After a walk the position is left to the caller.
        """
        mark = _start(replica, self._primary)
        if mark is None:
            yield from copy_all(copier, self._steps)
            return
        log = LogReader(self._view, replica, mark.position, self._steps)
        while (page := (yield from log.next_page())) is not None:
            yield from copier.copy(page.newest, Mark(mark.incarnation, page.end))

    def _take_up_dropped(self, replica: NodeReport, copier: Copier) -> Plan[None]:
        """Take up what a primary may have dropped by its clock from a member that an earlier
        failover left behind.

        What was dropped was decided, and may be there alone: records with a deadline, and
        tombstones, where the primary has nothing. Whatever else is there the cluster went on
        without, and it may have been told to be of no effect.
        """
        view, steps = self._view, self._steps
        keys = KeyWalk(view, replica.node, steps)
        while not keys.is_over:
            names = yield from keys.next_page()
            theirs = yield from read_headers(view, replica.node, names, steps)
            ours = yield from read_headers(view, self._primary.node, names, steps)
            rows = zip(names, theirs, ours, strict=True)
            dropped = {
                name: stamp_in(header)
                for name, header, own in rows
                if not own and _goes_by_time(header)
            }
            yield from copier.copy(dropped)

    def admit(self, incarnation: str) -> Plan[None]:
        """Have the primary serve, if it is the same server still and has what it took up."""
        view, primary, steps = self._view, self._primary, self._steps
        now = yield from self._look_again()

        purged_before = max((replica.purged_before for replica in self._fenced), default=0)
        fields = {
            **active_fields(view.topology),
            **settled_fields(view.topology),
            "run_id": now.run_id,
        }
        fields |= purge_field(now, purged_before) | trusted_fields(now)
        if primary.has_restarted:
            yield from forget_cursors(view, primary, steps)
            # Who it was to enrol may have served since its data was saved.
            fields |= new_log_fields(primary, incarnation) | {"pending": ""}
        error = f"primary {primary.node!r} changed while it was checked"
        yield from change_member(
            now, view.layout, fields, view.topology, "admitting it again", steps, error
        )

    def _look_again(self) -> Plan[NodeReport]:
        """The primary's report.

        Raises Unavailable unless it is the server that took up the records, and has them.
        """
        view, primary = self._view, self._primary
        seen = {
            primary.node: LastEntry(
                primary.identity, primary.incarnation, self._newest_entry.decode()
            )
        }
        found = yield from self._steps.inspect(
            view.layout, seen, known=view.topology, last_entries=seen
        )
        now = found.of(primary.node)
        if now is None or now.run_id != primary.run_id:
            raise Unavailable(
                f"primary {primary.node!r} restarted meanwhile", {primary.node: "restarted"}
            )
        if now.lost is not None or now.member.get("run_id") != primary.member.get("run_id"):
            raise Unavailable(
                f"primary {primary.node!r} forgot meanwhile", {primary.node: now.restart}
            )
        check_clock_steady(now, primary)
        check_not_moved_on(now, view.topology.epoch)
        return now


def _goes_by_time(header: bytes) -> bool:
    """Whether a node drops this record by its clock alone."""
    return holds_record(header) and (is_tombstone(header) or deadline_in(header) is not None)
