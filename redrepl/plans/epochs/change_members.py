"""Changing who belongs to a cluster, by one member at a time (docs/protocol.md, section 5.2).

With one primary the new epoch is won before it is used, as in a failover: old members are moved to it one by one, each
only if it still is as it was seen, the primary first. Of all who try in one epoch only one gets enough of them. Nobody
learns the new topology before that, and no record is copied: the primary goes on with what it has.

A run that dies leaves members fenced in an epoch that nobody publishes; the monitors end that by a failover among the
members there were. Once the primary serves with the new topology, the workers bring everybody else over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TypeAlias

from redrepl.plans.epochs.membership import (
    Tolerances,
    active_fields,
    change_call,
    check_free,
    enrol_call,
    epoch_fields,
    leave_call,
    occupied_error,
    settled_fields,
)
from redrepl.plans.epochs.soundness import majority_of, why_left
from redrepl.plans.inspect import newest_topology
from redrepl.plans.steps import Steps
from redrepl.plans.strangers import describe_stranger, found_instead
from redrepl.values.effects import Plan
from redrepl.values.errors import Unavailable
from redrepl.values.keys import KeyLayout
from redrepl.values.report import NodeReport
from redrepl.values.topology import Topology

Reports: TypeAlias = dict[str, NodeReport | str]

STEP_SECONDS = 2.0
"""One request; writes wait that long for a member that answered a moment ago and falls silent now."""

AWAY = "away: empty it before it is used again"
LEFT = "left to the workers"
TAKEN_OUT = "taken out; its records stay until you delete them"


def change_topology(
    old: Topology,
    new: Topology,
    tolerances: Tolerances,
    incarnation: str,
    started: float,
    step_seconds: float = STEP_SECONDS,
) -> Plan[dict[str, str]]:
    """Move the cluster to ``new``, which differs by one member; answers what happened on each node.

    Raises Unavailable where too few members can be moved, or somebody else moves them. Then nothing was changed, or the
    monitors end what was begun; it may be tried again.
    """
    layout, steps = KeyLayout(new.cluster), Steps(started, step_seconds)
    everybody = tuple(dict.fromkeys((*old.primaries, *old.ids, *new.ids)))
    reports = yield from steps.inspect(layout, everybody)
    _check_nodes(old, new, reports)
    _check_nobody_at_work(old, reports)
    change = _Change(layout, old, new, reports, steps, tolerances, incarnation)
    if old.decider is None:
        yield from change.move_all()
    else:
        yield from change.move_with(check_serving(old, reports))
    return change.done


def members_to_move(old: Topology, primary: NodeReport) -> int:
    """How many of the old members must come along, the primary among them.

    So many that whoever fences a majority needs one of these. Where it is not certain that a majority knows the present
    members, a majority, which is told of them: else those who know only the members before could go on without.
    """
    copies = len(old.ids)
    return copies - copies // 2 if primary.settled_epoch == old.epoch else majority_of(old)


def check_serving(old: Topology, reports: Reports) -> NodeReport:
    """The one primary. Raises Unavailable unless it serves, and enough others answer.

    What a primary that restarted has lost is to be found out among the members it had: with fewer, a committed write
    could be missed by all that are left.
    """
    primary = reports[old.primaries[0]]
    assert isinstance(primary, NodeReport)
    if not (primary.is_serving and primary.epoch == old.epoch):
        what = f"is {primary.state} in epoch {primary.epoch}"
        if primary.has_restarted or not primary.is_itself:
            what = why_left(primary, reports)
        raise Unavailable(
            "members are changed while the primary serves; look at `redrepl status`", {primary.node: what}
        )
    present = [node for node in old.ids if _can_move(reports[node])]
    if len(present) < (needed := members_to_move(old, primary)):
        missing = {node: why_left(reports[node], reports) for node in old.ids if node not in present}
        text = (
            f"to change the members, {needed} of the present {len(old.ids)} must be there; usable: "
            f"{', '.join(present)}; a server that is lost for good can be replaced by an empty one of the same name"
        )
        raise Unavailable(text, missing)
    return primary


def _can_move(report: NodeReport | str) -> bool:
    return isinstance(report, NodeReport) and report.is_itself


def _check_nodes(old: Topology, new: Topology, reports: Reports) -> None:
    for node, report in reports.items():
        if isinstance(report, str) and (node in old.primaries or node not in old.ids):
            raise Unavailable("the topology cannot be changed without this node", {node: report})
        if isinstance(report, NodeReport) and node not in old.ids:
            check_free(new, node, report)


def _check_nobody_at_work(old: Topology, reports: Reports) -> None:
    """Raise Unavailable where a member is in a later epoch: it must not be moved a second time to one that somebody has
    begun, nor back from it."""
    members: Reports = {node: reports[node] for node in old.ids}
    newest = newest_topology(members)
    ahead = {
        node: f"epoch {report.epoch}, {report.state}"
        for node, report in members.items()
        if isinstance(report, NodeReport) and report.epoch > old.epoch
    }
    if ahead or (newest is not None and newest.epoch > old.epoch):
        text = (
            "another change of epoch is under way; try again in a moment (where neither worker nor monitor runs, "
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
    ) -> None:
        self.done = {node: _left(new, node, report) for node, report in reports.items()}
        self._layout = layout
        self._old = old
        self._new = new
        self._steps = steps
        self._tolerances = tolerances
        self._incarnation = incarnation
        self._found = {node: report for node, report in reports.items() if isinstance(report, NodeReport)}

    # Several primaries -----------------------------------------------------------------------------------------

    def move_all(self) -> Plan[None]:
        """Move one after the other; all are primaries. Of two who do this the second stops at the first member."""
        for node, report in self._found.items():
            if node not in self._new.ids:
                yield from self._take_out(node)
            elif node not in self._old.ids:
                yield from self._bring_in(report)
            elif report.member:
                serves = active_fields(self._new) if report.state == "active" else {}
                yield from self._move(report, {**epoch_fields(self._new, node), **serves}, self._new)
                self.done[node] = f"moved to epoch {self._new.epoch}"

    # One primary -----------------------------------------------------------------------------------------------

    def move_with(self, primary: NodeReport) -> Plan[None]:
        """Win the new epoch, begin it, and tell everybody."""
        needed = members_to_move(self._old, primary)
        others = [self._found[node] for node in self._old.others(primary.node) if _can_move(self._found.get(node, ""))]
        if needed > 1:
            primary = yield from self._move(primary, _fenced_fields(self._new, primary), self._old)
            others = yield from self._win(others, needed)
            others = yield from self._activate(others)
        # Else nobody gets a majority without this primary: its step into the epoch decides, and writes need not pause.
        primary = yield from self._move(primary, self._final_fields(primary, True), self._new)
        self.done[primary.node] = f"moved to epoch {self._new.epoch}"
        yield from self._tell([report for report in others if report.node in self._new.ids])
        for node in (node for node in self._new.ids if node not in self._old.ids):
            yield from self._bring_in(self._found[node])
        yield from self._settle(primary)
        for node in (node for node in self._old.ids if node not in self._new.ids and node in self._found):
            yield from self._take_out(node)

    def _win(self, others: Sequence[NodeReport], needed: int) -> Plan[list[NodeReport]]:
        """Have enough old members come to the new epoch besides the primary; answers all, as they are then.

        They serve nobody there yet, and learn among whom they are counted.
        """
        wanted = {report.node: _fenced_fields(self._new, report) for report in others}
        moved, why = yield from self._move_many(others, wanted, self._old)
        if 1 + len(moved) < needed:
            text = (
                f"only {1 + len(moved)} of {needed} members could be moved to epoch {self._new.epoch}; the workers, or "
                "`redrepl failover`, end what was begun, with the members as they were; then try again"
            )
            raise Unavailable(text, why)
        return [*moved, *(report for report in others if report.node in why)]

    def _activate(self, others: Sequence[NodeReport]) -> Plan[list[NodeReport]]:
        """Have those serve that did before. No client knows the epoch yet."""
        ready = [r for r in others if r.node in self._new.ids and r.epoch == self._new.epoch and self._served(r.node)]
        wanted = {report.node: self._final_fields(report, True) for report in ready}
        active, _ = yield from self._move_many(ready, wanted, None)
        names = {report.node for report in active}
        return [*active, *(report for report in others if report.node not in names)]

    def _tell(self, others: Sequence[NodeReport]) -> Plan[None]:
        """Give the new topology to the others. Who was not moved yet, as the primary could do without, comes along now.

        Who did not serve before does not serve now: a merge may have left it behind.
        """
        wanted = {report.node: self._final_fields(report, self._served(report.node)) for report in others}
        told, why = yield from self._move_many(others, wanted, self._new)
        self.done |= {report.node: f"moved to epoch {self._new.epoch}" for report in told}
        self.done |= {node: f"{LEFT}: {reason}" for node, reason in why.items()}

    def _settle(self, primary: NodeReport) -> Plan[None]:
        """Note on the primary that a majority knows the new members: who counts by the old ones meets one of these."""
        knows = [node for node in self._new.ids if not self.done[node].startswith(LEFT)]
        if len(knows) < majority_of(self._new):
            left = {node: self.done[node] for node in self._new.ids if node not in knows}
            text = "the primary serves with the new members, but too few others could be told; look at `redrepl status`"
            raise Unavailable(text, left)
        call = change_call(primary, self._layout, settled_fields(self._new), None)
        with suppress(Unavailable):  # without it the next change needs a majority, no more
            yield from self._steps.ask(primary.node, call, "noting that the members are known")

    # Parts -----------------------------------------------------------------------------------------------------

    def _serves(self, report: NodeReport) -> bool:
        return report.is_serving and report.epoch == self._old.epoch

    def _served(self, node: str) -> bool:
        """Whether it did when this began."""
        return self._serves(self._found[node])

    def _final_fields(self, report: NodeReport, serves: bool) -> dict[str, str]:
        fields = epoch_fields(self._new, report.node)
        if serves:
            return {**fields, **active_fields(self._new)}
        return {**fields, "state": "fenced" if report.state == "active" else report.state}

    def _move(self, report: NodeReport, fields: dict[str, str], topology: Topology) -> Plan[NodeReport]:
        """Change one member, on which everything depends; answers its report after that."""
        call = change_call(report, self._layout, fields, topology)
        answer = yield from self._steps.ask(report.node, call, f"moving it to epoch {self._new.epoch}")
        if answer != 1:
            text = f"node {report.node!r} changed meanwhile; look at `redrepl status` and try again"
            raise Unavailable(text, {report.node: found_instead(answer)})
        return _after(report, fields)

    def _move_many(
        self, reports: Sequence[NodeReport], wanted: Mapping[str, dict[str, str]], topology: Topology | None
    ) -> Plan[tuple[list[NodeReport], dict[str, str]]]:
        """Change several at once; answers the reports of those that were, and why the others were not."""
        calls = {r.node: change_call(r, self._layout, wanted[r.node], topology) for r in reports}
        gathered = yield from self._steps.gather(calls)
        done = [report for report in reports if gathered.answers.get(report.node) == 1]
        why = {node: found_instead(answer) for node, answer in gathered.answers.items() if answer != 1}
        return [_after(report, wanted[report.node]) for report in done], {**gathered.failures, **why}

    def _take_out(self, node: str) -> Plan[None]:
        call = leave_call(self._layout, node, self._found[node].identity)
        yield from self._steps.ask(node, call, "taking it out")
        self.done[node] = TAKEN_OUT

    def _bring_in(self, report: NodeReport) -> Plan[None]:
        call = enrol_call(
            self._new, report.node, "syncing", report.run_id, self._incarnation, self._tolerances, joins=True
        )
        answer = yield from self._steps.ask(report.node, call, "bringing it in")
        if answer != 1 and answer[0] == b"occupied":
            raise occupied_error(self._new.cluster, report.node, answer[1].decode())
        self.done[report.node] = "member, syncing: the workers fill it"


def _left(new: Topology, node: str, report: NodeReport | str) -> str:
    """What is to be said of a node with which nothing was done."""
    what = LEFT if node in new.ids else AWAY
    if isinstance(report, str):
        return f"{what}: {report}"
    return what if report.member else f"{what}: it {describe_stranger(report)}"


def _fenced_fields(new: Topology, report: NodeReport) -> dict[str, str]:
    """Who is active stops; who is being brought up goes on with that."""
    return {"epoch": str(new.epoch), "state": "fenced" if report.state == "active" else report.state}


def _after(report: NodeReport, fields: dict[str, str]) -> NodeReport:
    return replace(report, member={**report.member, **fields})
