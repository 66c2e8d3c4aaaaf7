"""Changing who belongs to a cluster, by one member at a time (docs/protocol.md, section 5.2): one
more, one less, or another server in the place of one, which may be the same server at another
address.

With one primary the new epoch is won before it is used, as in a failover: old members are moved to
it one by one, each only if it still is as it was seen, the primary first. Of all who try in one
epoch only one gets enough of them. Nobody learns the new topology before that, and no record is
copied: the primary goes on with what it has.

A run that dies leaves members fenced in an epoch that nobody publishes; the monitors end that by a
failover among the members there were. Once the primary serves with the new topology, the workers
bring everybody else over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

from redrepl.plans.epochs.member_changes import change_member, change_members
from redrepl.plans.epochs.membership import (
    EPOCH_STEP_SECONDS,
    Tolerances,
    active_fields,
    change_call,
    check_newcomer,
    disown_call,
    enrol_call,
    epoch_fields,
    leave_call,
    occupied_error,
    settled_fields,
)
from redrepl.plans.epochs.soundness import SKIPPED_EPOCHS, majority_of, newest_epoch, why_left
from redrepl.plans.inspect import newest_topology
from redrepl.plans.steps import Steps
from redrepl.plans.strangers import describe_stranger
from redrepl.values.answers.membership import Enrolled, parse_enrolment
from redrepl.values.effects import Plan
from redrepl.values.errors import Unavailable
from redrepl.values.keys import KeyLayout
from redrepl.values.member_state import MemberState
from redrepl.values.report import NodeReport, Voided
from redrepl.values.reports import NO_REPORTS, Reports
from redrepl.values.topology import Topology

AWAY = "away: empty it before it is used again"
LEFT = "left to the workers"
TAKEN_OUT = "taken out; its records stay until you delete them"


def change_topology(
    old: Topology,
    new: Topology,
    tolerances: Tolerances,
    incarnation: str,
    started: float,
    step_seconds: float = EPOCH_STEP_SECONDS,
    newcomer: str | None = None,
    accept_loss: bool = False,
) -> Plan[dict[str, str]]:
    """Move the cluster to ``new``, which differs by one member; answers what happened on each node.

    The epoch is that of ``new``, or a later one where a member told of that and is not believed.
    newcomer: under which name the driver reaches the server that takes a member's place; None: at
    the member's own address, where it came back empty. accept_loss: the operator's word that the
    members that are missing are gone for good; the primary then moves without them, far ahead of
    all that they may have begun.
    Raises Unavailable where too few members can be moved, or somebody else moves them. Then nothing
    was changed, or the monitors end what was begun; it may be tried again. Raises RequestError for
    a server that cannot come in.
    """
    layout, steps = KeyLayout(new.cluster), Steps(started, step_seconds)
    reports = yield from steps.inspect(layout, _names_to_ask(old, new, newcomer), known=old)
    if accept_loss:
        new = replace(new, epoch=newest_epoch(reports) + SKIPPED_EPOCHS)
    what = _what_changes(old, new, newcomer, accept_loss)
    reports = yield from _check(old, reports, what, steps)

    new = replace(new, epoch=max(new.epoch, newest_epoch(reports.only(old.ids)) + 1))
    change = _Change(layout, old, new, reports, steps, tolerances, incarnation, what)
    yield from change.carry_out()
    return change.done


def _names_to_ask(old: Topology, new: Topology, newcomer: str | None) -> tuple[str, ...]:
    names = (*old.primaries, *old.ids, *new.ids, *([newcomer] if newcomer else []))
    return tuple(dict.fromkeys(names))


class What(NamedTuple):
    """What a change is about. replaced: the member whose place goes to another server. newcomer:
    the name under which the driver reaches the one that comes in, whatever its name as a member.
    accepts_loss: see `change_topology`.
    """

    replaced: str | None = None
    newcomer: str | None = None
    accepts_loss: bool = False


def _check(old: Topology, reports: Reports, what: What, steps: Steps) -> Plan[Reports]:
    """The reports to go by; bookkeeping that cannot be read is dropped before.

    Raises where nothing can be changed.
    """
    if not what.accepts_loss:
        _check_no_change_under_way(old, reports)
    reports = reports.updated((yield from _drop_unreadable(old, reports, what, steps)))
    _check_nodes(old, reports, what)
    return reports


def _what_changes(old: Topology, new: Topology, newcomer: str | None, accepts_loss: bool) -> What:
    for node, identity in new.identities.items():
        if node not in old.ids:
            return What(None, node, accepts_loss)
        if identity != old.identities[node]:
            return What(node, newcomer or node, accepts_loss)
    return What(None, None, accepts_loss)


def members_to_move(old: Topology, primary: NodeReport) -> int:
    """How many of the old members must come along, the primary among them.

    So many that whoever fences a majority needs one of these. Where it is not certain that a
    majority knows the present members, a majority, which is told of them: else those who know only
    the members before could go on without.
    """
    copies = len(old.ids)
    return copies - copies // 2 if primary.settled_epoch == old.epoch else majority_of(old)


def check_serving(old: Topology, reports: Reports, what: What) -> NodeReport:
    """The one primary.

    Raises Unavailable unless it serves, and enough others answer.

    What a primary that restarted has lost is to be found out among the members it had: with fewer,
    a committed write could be missed by all that are left.
    """
    primary = reports.present[old.primaries[0]]
    if not (primary.is_serving and primary.epoch == old.epoch):
        found = f"is {primary.state} in epoch {primary.epoch}"
        if primary.has_restarted or not primary.is_itself:
            found = why_left(primary.node, reports)
        raise Unavailable(
            "members are changed while the primary serves; look at `redrepl status`",
            {primary.node: found},
        )
    if not what.accepts_loss:
        _check_enough(old, reports, what, members_to_move(old, primary))
    return primary


def pending_enrolment(topology: Topology, node: str, joins: bool) -> str:
    """What stands in the primary's member hash until it is noted that this member's server was
    enrolled.

    As long as it does no server has served with this identity: whoever brings one up takes the note
    off first. It is gone once the primary restarted, or the role moved: others may have brought one
    up then, and not taken it off.
    joins: whether it is one member more, and takes nobody's place, so that it cannot have confirmed
    anything.
    """
    return f"{node} {topology.identities[node]}{' joins' if joins else ''}"


def joins_as(topology: Topology, node: str, primary: NodeReport | None) -> bool | None:
    """Whether a server that is still to be enrolled as this member is one more, as the primary
    notes; None where there is no such note, or the primary that has it works in another epoch.
    """
    if primary is None or primary.epoch != topology.epoch:
        return None
    noted = primary.member.get("pending")
    return next(
        (joins for joins in (True, False) if noted == pending_enrolment(topology, node, joins)),
        None,
    )


def note_enrolled(layout: KeyLayout, primary: NodeReport, steps: Steps) -> Plan[None]:
    """Take the note off the primary that a member is to be enrolled: from now on its server may
    serve.
    """
    yield from change_member(
        primary, layout, {"pending": ""}, None, "noting that it is enrolled", steps
    )


def check_majority(old: Topology, reports: Reports, what: What) -> None:
    """Several primaries: raise Unavailable unless so many are there that nobody else moves others
    to the same epoch.
    """
    if what.replaced is not None and not what.accepts_loss:
        _check_enough(old, reports, what, majority_of(old) if len(old.ids) > 2 else 1)


def why_not_replaced(old: Topology, reports: Reports, node: str) -> str | None:
    """Why a member that came back empty cannot be given its place again, in words; None where it
    can.
    """
    what = What(node, node)
    try:
        if old.decider is None:
            check_majority(old, reports, what)
        elif reports.primary(old) is not None:
            check_serving(old, reports, what)
    except Unavailable as error:
        return str(error)
    return None


def is_one_server(member: NodeReport | None, other: NodeReport | None) -> bool:
    """Whether a server reached under another name is the very server that a member is, and not a
    copy of it.
    """
    if member is None or other is None or not member.is_itself:
        return False
    held = (other.member.get("node"), other.identity)
    return other.run_id == member.run_id and held == (member.node, member.identity)


def _check_enough(old: Topology, reports: Reports, what: What, needed: int) -> None:
    """Raise Unavailable where fewer of the members can be moved.

    Who is replaced cannot be counted: whoever knows only the members before may still reach it.
    """
    present = [node for node in old.ids if node != what.replaced and _can_move(reports.of(node))]
    if len(present) >= needed:
        return
    missing = {node: _why_missing(node, reports) for node in old.ids if node not in present}
    text = (
        f"to change the members, {needed} of the present {len(old.ids)} must be there; usable: "
        f"{', '.join(present) or 'none'}; bring the others back. For machines that are gone for "
        "good, `redrepl nodes "
        "replace ID URL --accept-loss` gives a place to an empty server, and `redrepl nodes "
        "remove ID --accept-loss` "
        "gives it up"
    )
    raise Unavailable(text, missing)


def _can_move(report: NodeReport | None) -> bool:
    return report is not None and report.is_itself


def _why_missing(node: str, reports: Reports) -> str:
    report = reports.of(node)
    if report is None:
        return reports.reason(node, "was not asked")
    return why_left(node, reports) if not report.is_itself else "is the one to be replaced"


def _check_nodes(old: Topology, reports: Reports, what: What) -> None:
    is_strict = old.decider is None and what.replaced is None and not what.accepts_loss
    for node in old.ids if is_strict else (old.decider, what.newcomer):
        if node is not None and node not in reports.present:
            why = reports.reason(node, "")
            raise Unavailable("the topology cannot be changed without this node", {node: why})
    if what.newcomer is not None:
        found = reports.present[what.newcomer]
        others = [
            report
            for node, report in reports.present.items()
            if node not in (what.replaced, what.newcomer)
        ]
        check_newcomer(old, what.replaced or what.newcomer, found, others)


def _drop_unreadable(old: Topology, reports: Reports, what: What, steps: Steps) -> Plan[Reports]:
    """The report of a member that is to get its own place anew, after its bookkeeping was dropped,
    where that cannot be read: nobody can tell any more what it was.

    Its records stay.

    Only at the member's own address, which nobody can have mistyped; only where a second look finds
    the same; and only where the change can go on after that.
    """
    node, layout = what.replaced or "", KeyLayout(old.cluster)
    found = reports.unreadable(node)
    if node != what.newcomer or found is None:
        return NO_REPORTS
    reports = yield from steps.inspect(layout, reports.nodes, known=old)
    if not found.stands_in(reports.unreadable(node)):
        text = f"node {node!r} changed while it was being looked at; try again in a moment"
        raise Unavailable(text, {node: "tells something else by now"})
    if old.decider is None:
        check_majority(old, reports, what)
    elif reports.primary(old) is not None:
        check_serving(old, reports, what)
    else:
        return NO_REPORTS
    yield from steps.ask(
        node, disown_call(layout, found.as_found), "dropping bookkeeping that cannot be read"
    )
    return (yield from steps.inspect(layout, (node,), known=old))


def _check_no_change_under_way(old: Topology, reports: Reports) -> None:
    """Raise Unavailable where a member is in a later epoch: it must not be moved a second time to
    one that somebody has begun, nor back from it.
    """
    newest = newest_topology(reports.only(old.ids))
    ahead = {
        report.node: f"epoch {report.epoch}, {report.state}"
        for report in reports.members(old)
        if report.epoch > old.epoch
    }
    if ahead or (newest is not None and newest.epoch > old.epoch):
        text = (
            "another change of epoch is under way; try again in a moment (where neither worker "
            "nor monitor runs, "
            "`redrepl failover` ends one that was left half done)"
        )
        raise Unavailable(text, ahead)


class _Change:
    """One change of members. ``done``: what happened on each node."""

    def __init__(
        self,
        layout: KeyLayout,
        old: Topology,
        new: Topology,
        reports: Reports,
        steps: Steps,
        tolerances: Tolerances,
        incarnation: str,
        what: What,
    ) -> None:
        self.done = {
            node: _left(new, node, reports) for node in dict.fromkeys((*old.ids, *new.ids))
        }
        self._what = what
        self._layout = layout
        self._old = old
        self._new = new
        self._steps = steps
        self._tolerances = tolerances
        self._incarnation = incarnation
        self._reports = reports
        self._found = reports.present

    def carry_out(self) -> Plan[None]:
        """Move the members. Raises Unavailable, before any is moved, where too few can be."""
        old, reports, what = self._old, self._reports, self._what
        if old.decider is None:
            check_majority(old, reports, what)
            yield from self._move_all()
        else:
            yield from self._move_with(check_serving(old, reports, what))

    # Several primaries ----------------------------------------------------------------------------

    def _move_all(self) -> Plan[None]:
        """Move one after the other; all are primaries.

        Of two who do this the second stops at the first member.
        """
        for node, report in self._found.items():
            if node in self._old.ids and self._stays(node) and report.is_itself:
                serves = active_fields(self._new) if report.state.serves else {}
                yield from self._move(
                    report, {**epoch_fields(self._new, node), **serves}, self._new
                )
                self.done[node] = f"moved to epoch {self._new.epoch}"
        yield from self._bring_in()
        yield from self._take_out_others()

    # One primary ----------------------------------------------------------------------------------

    def _move_with(self, primary: NodeReport) -> Plan[None]:
        """Win the new epoch, begin it, and tell the others."""
        primary, others = yield from self._win_epoch(primary)

        final = {**self._final_fields(primary, True), **self._pending_fields()}
        primary = yield from self._move(primary, final, self._new)
        self.done[primary.node] = f"moved to epoch {self._new.epoch}"
        yield from self._tell([report for report in others if self._stays(report.node)])
        yield from self._bring_in()
        yield from self._settle(primary)
        yield from self._take_out_others()

    def _win_epoch(self, primary: NodeReport) -> Plan[tuple[NodeReport, list[NodeReport]]]:
        """Have enough old members come along, where the primary alone does not suffice; returns
        all, as they are then.

        Where none gets a majority without this primary its step into the epoch decides, and writes
        need not pause.
        """
        needed = 1 if self._what.accepts_loss else members_to_move(self._old, primary)
        others = [
            self._found[node]
            for node in self._old.others(primary.node)
            if _can_move(self._found.get(node))
        ]
        if needed > 1:
            primary = yield from self._move(primary, self._fenced_fields(primary), self._old)
            others = yield from self._win(others, needed)
            others = yield from self._activate(others)
        return primary, others

    def _win(self, others: Sequence[NodeReport], needed: int) -> Plan[list[NodeReport]]:
        """Have enough old members come to the new epoch besides the primary; answers all, as they
        are then.

        They serve nobody there yet, and learn among whom they are counted.
        """
        wanted = {report.node: self._fenced_fields(report) for report in others}
        moved, why = yield from self._move_many(others, wanted, self._old)
        count = 1 + sum(report.node != self._what.replaced for report in moved)
        if count < needed:
            text = (
                f"only {count} of {needed} members could be moved to epoch {self._new.epoch}; the "
                "workers, or "
                "`redrepl failover`, end what was begun, with the members as they were; then try "
                "again"
            )
            raise Unavailable(text, why)
        return [*moved, *(report for report in others if report.node in why)]

    def _activate(self, others: Sequence[NodeReport]) -> Plan[list[NodeReport]]:
        """Have those serve that did before. No client knows the epoch yet."""
        ready = [
            r
            for r in others
            if self._stays(r.node) and r.epoch == self._new.epoch and self._served(r.node)
        ]
        wanted = {report.node: self._final_fields(report, True) for report in ready}
        active, _ = yield from self._move_many(ready, wanted, None)
        names = {report.node for report in active}
        return [*active, *(report for report in others if report.node not in names)]

    def _tell(self, others: Sequence[NodeReport]) -> Plan[None]:
        """Give the new topology to the others.

        Who was not moved yet, as the primary could do without, comes along now.

        Who did not serve before does not serve now: a merge may have left it behind.
        """
        wanted = {
            report.node: self._final_fields(report, self._served(report.node)) for report in others
        }
        told, why = yield from self._move_many(others, wanted, self._new)
        self.done |= {report.node: f"moved to epoch {self._new.epoch}" for report in told}
        self.done |= {node: f"{LEFT}: {reason}" for node, reason in why.items()}

    def _settle(self, primary: NodeReport) -> Plan[None]:
        """Note on the primary that a majority knows the new members: who counts by the old ones
        meets one of these.
        """
        knows = [node for node in self._new.ids if not self.done[node].startswith(LEFT)]
        if len(knows) < majority_of(self._new) and not self._what.accepts_loss:
            left = {node: self.done[node] for node in self._new.ids if node not in knows}
            text = (
                "the primary serves with the new members, but too few others could be told; "
                "look at `redrepl status`"
            )
            raise Unavailable(text, left)
        call = change_call(
            primary, self._layout, {**settled_fields(self._new), "pending": ""}, None
        )
        with suppress(Unavailable):  # without it the next change needs a majority, no more
            yield from self._steps.ask(primary.node, call, "noting that the members are known")

    # Parts ----------------------------------------------------------------------------------------

    def _stays(self, node: str) -> bool:
        """Whether the server that was this member is one still."""
        return node in self._new.ids and node != self._what.replaced

    def _fenced_fields(self, report: NodeReport) -> dict[str, str]:
        """Who is active stops; who is being brought up goes on with that.

        All learn whom nobody may count any more.
        """
        fields = {"epoch": str(self._new.epoch), "state": report.state.when_stopped}
        if (node := self._what.replaced) is None:
            return fields
        return {
            **fields,
            "voided": Voided(self._new.epoch, node, self._old.identities[node]).encode(),
        }

    def _pending_fields(self) -> dict[str, str]:
        """The primary notes who is to be enrolled, so that the workers do it where this run dies
        before.
        """
        if self._what.newcomer is None:
            return {}
        node = self._what.replaced or self._what.newcomer
        return {"pending": pending_enrolment(self._new, node, self._what.replaced is None)}

    def _serves(self, report: NodeReport) -> bool:
        return report.is_serving and report.epoch == self._old.epoch

    def _served(self, node: str) -> bool:
        """Whether it did when this began."""
        return self._serves(self._found[node])

    def _final_fields(self, report: NodeReport, serves: bool) -> dict[str, str]:
        fields = epoch_fields(self._new, report.node)
        if serves:
            return {**fields, **active_fields(self._new)}
        return {**fields, "state": report.state.when_stopped}

    def _move(
        self, report: NodeReport, fields: dict[str, str], topology: Topology
    ) -> Plan[NodeReport]:
        """Change one member, on which everything depends; returns its report after that."""
        doing = f"moving it to epoch {self._new.epoch}"
        error = f"node {report.node!r} changed meanwhile; look at `redrepl status` and try again"
        yield from change_member(report, self._layout, fields, topology, doing, self._steps, error)
        return _after(report, fields)

    def _move_many(
        self,
        reports: Sequence[NodeReport],
        wanted: Mapping[str, dict[str, str]],
        topology: Topology | None,
    ) -> Plan[tuple[list[NodeReport], dict[str, str]]]:
        """Change several at once; returns those that were, and why the others were not."""
        calls = {r.node: change_call(r, self._layout, wanted[r.node], topology) for r in reports}
        changes = yield from change_members(calls, self._steps)
        done = [report for report in reports if report.node in changes.done]
        return [_after(report, wanted[report.node]) for report in done], changes.why_not

    def _take_out_others(self) -> Plan[None]:
        """Drop the bookkeeping of who is no member any more, where it answers as the one it was."""
        for node in (node for node in self._old.ids if not self._stays(node)):
            if (report := self._found.get(node)) is not None and report.is_itself:
                yield from self._take_out(node)

    def _take_out(self, node: str) -> Plan[None]:
        call = leave_call(self._layout, node, self._found[node].identity)
        if node != self._what.replaced:
            yield from self._steps.ask(node, call, "taking it out")
            self.done[node] = TAKEN_OUT
            return
        with suppress(Unavailable):  # it stays in an epoch that is over, and nobody counts it
            yield from self._steps.ask(node, call, "taking the former server out")
            self.done[node] += (
                "; the former server was taken out, its records stay until you delete them"
            )

    def _bring_in(self) -> Plan[None]:
        """Enrol the server that comes in.

        One that takes another's place may have to have confirmed what that had.
        """
        if (name := self._what.newcomer) is None:
            return
        node, report = self._what.replaced or name, self._found[name]
        if report.member:
            call = leave_call(self._layout, node, report.identity)
            yield from self._steps.ask(name, call, "dropping what it was before")
        joins = self._what.replaced is None
        call = enrol_call(
            self._new,
            node,
            MemberState.SYNCING,
            report.run_id,
            self._incarnation,
            self._tolerances,
            joins=joins,
        )
        answer = parse_enrolment((yield from self._steps.ask(name, call, "bringing it in")))
        if not isinstance(answer, Enrolled):
            raise occupied_error(self._new.cluster, node, answer.cluster)
        self.done[node] = "member, syncing: the workers fill it"


def _left(new: Topology, node: str, reports: Reports) -> str:
    """What is to be said of a node with which nothing was done."""
    what = LEFT if node in new.ids else AWAY
    if (report := reports.of(node)) is None:
        return f"{what}: {reports.silent[node]}"
    return what if report.member else f"{what}: it {describe_stranger(report)}"


def _after(report: NodeReport, fields: dict[str, str]) -> NodeReport:
    return replace(report, member={**report.member, **fields})
