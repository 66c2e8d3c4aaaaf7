"""Anti-entropy: a sweep over all keys of all copies, a part at a time (docs/protocol.md, section
6.1).

It finds what no log names, brings copies what they lack, and purges tombstones that nothing needs
any more. It takes nothing away from anybody: what a copy has more than the reference is reported.
The reference's keys are walked first and compared on all copies, then each copy's, for what it has
too much. Of each page of names the nodes make digests, and only where these differ records are
looked at. Where a sweep stands is kept on the reference after each part, so that whoever comes next
goes on there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from redrepl.plans.copies.comparison import Comparison, Mismatch
from redrepl.plans.copies.digests import PageDigests, digest_page, names_that_may_differ
from redrepl.plans.copies.headers import holds_record, stamp_in
from redrepl.plans.copies.member_calls import note_on_member
from redrepl.plans.copies.undecided import max_age_micros
from redrepl.plans.copies.verify import find_comparable, yardstick_for
from redrepl.plans.scan import read_headers, scan_page
from redrepl.plans.steps import Steps
from redrepl.plans.view import ON_ACTIVE, ClusterView, admitted
from redrepl.values import limits
from redrepl.values.answers.upkeep import parse_count
from redrepl.values.effects import Plan, Progress, ScriptCall
from redrepl.values.keys import KeyLayout
from redrepl.values.report import NodeReport
from redrepl.values.stamp import Stamp
from redrepl.values.sweep import (
    LAST,
    UNDER_WAY,
    Findings,
    Sweep,
    SweepReport,
    read_last,
    read_under_way,
)
from redrepl.values.topology import Mode

LONGEST_PART_SECONDS = 2.0
"""A part makes up for at most so much time: a sweep that rested does not hurry afterwards."""

_START = "0"


class SweepOrder(NamedTuple):
    """How to go about it. started: the driver's clock. repairs: bring copies what they lack; else
    that is only counted.

    retention_seconds: how long tombstones stay at least. own_ahead: see
    `redrepl.plans.doubtful_clocks.wrong_clocks`.
    """

    started: float
    keys_per_second: float
    repairs: bool
    retention_seconds: float
    own_ahead: float | None = None


@dataclass(frozen=True, slots=True)
class Swept:
    """What one part did. ``report``: of the whole sweep, once it has ended."""

    findings: Findings
    mismatches: tuple[Mismatch, ...]
    report: SweepReport | None = None


def is_sweep_due(reference: NodeReport, every_seconds: float) -> bool:
    """Whether a sweep is under way, or so long has passed since the last one, by the reference's
    clock.
    """
    last = read_last(reference.sweep)
    if last is None or read_under_way(reference.sweep) is not None:
        return True
    # One that ended in the future was ended by a clock that was ahead, and says nothing.
    return not last.ended_millis <= reference.now_millis < last.ended_millis + every_seconds * 1000


def sweep(layout: KeyLayout, nodes: tuple[str, ...], order: SweepOrder) -> Plan[Swept]:
    """Do a part of the sweep under way, or begin one.

    Raises Unavailable where a node fails; the next call goes on.
    """
    steps = Steps(order.started)
    view, reference, present, _ = yield from find_comparable(layout, nodes, steps, order.own_ahead)
    state = _go_on(view, reference, present)
    part = _Part(view, reference, present, state, order, steps)
    yield from part.walk()
    yield from _keep(view, reference.node, part, steps)
    return Swept(part.state.findings, tuple(part.mismatches), part.report)


def _go_on(view: ClusterView, reference: NodeReport, present: Mapping[str, NodeReport]) -> Sweep:
    """The sweep under way, as far as what it knows still holds; else a new one."""
    state = read_under_way(reference.sweep)
    if state is None or state.epoch != view.topology.epoch or _is_of_the_future(state, reference):
        return _begin(view, reference, present)
    if state.node not in present or state.run_id != present[state.node].run_id:
        return _start_walk(state, (state.node, *state.left), present)
    return state


def _is_of_the_future(state: Sweep, reference: NodeReport) -> bool:
    """Whether the clock was ahead when it was begun or went on: what it may purge is not to be
    believed then.
    """
    tolerated_millis = reference.max_skew_micros // 1000
    return max(state.began_millis, state.at_millis) > reference.now_millis + tolerated_millis


def _begin(view: ClusterView, reference: NodeReport, present: Mapping[str, NodeReport]) -> Sweep:
    now_micros = reference.now_millis * 1000
    others = tuple(node for node in present if node != reference.node)
    missed = tuple(node for node in view.ids if node not in present)
    return Sweep(
        epoch=view.topology.epoch,
        node=reference.node,
        run_id=reference.run_id,
        left=others,
        purge_before=now_micros - max_age_micros(reference) - reference.max_skew_micros,
        confirmed_entries=reference.log.added,
        checked_entries={node: present[node].log.added for node in others},
        began_millis=reference.now_millis,
        at_millis=reference.now_millis - 1000,
        findings=Findings(missed=missed),
    )


def _start_walk(state: Sweep, nodes: tuple[str, ...], present: Mapping[str, NodeReport]) -> Sweep:
    """Begin the walk over the first of these nodes that is there; the others' turn comes after
    it.
    """
    there = [node for node in nodes if node in present]
    missed = tuple(
        dict.fromkeys((*state.findings.missed, *(node for node in nodes if node not in present)))
    )
    findings = replace(state.findings, missed=missed)
    if not there:
        return replace(state, node="", left=(), cursor=_START, findings=findings)
    node, *left = there
    return replace(
        state,
        node=node,
        run_id=present[node].run_id,
        left=tuple(left),
        cursor=_START,
        findings=findings,
    )


def may_purge(
    view: ClusterView, reference: NodeReport, present: Mapping[str, NodeReport], state: Sweep
) -> bool:
    """Whether all members have what had been decided when the sweep began, and nothing older can
    come from them.

    All members serve; the reference's log is confirmed on each up to where it was, and what their
    own logs named then was checked. With several primaries older writes may still be under way,
    whatever their age: nothing is purged.
    """
    if view.topology.mode is not Mode.PRIMARY_REPLICA or set(present) != set(view.ids):
        return False
    for node in view.others[reference.node]:
        cursor, mark, to_check = (
            reference.cursors.get(node),
            reference.marks.get(node),
            state.checked_entries.get(node),
        )
        if cursor is None or cursor.position.entries < state.confirmed_entries:
            return False
        if mark is None or to_check is None or mark.incarnation != present[node].incarnation:
            return False
        if mark.position.entries < to_check:
            return False
    return True


class _Part:
    """One part of a sweep: as many pages as the time since the last part allows."""

    def __init__(
        self,
        view: ClusterView,
        reference: NodeReport,
        present: Mapping[str, NodeReport],
        state: Sweep,
        order: SweepOrder,
        steps: Steps,
    ) -> None:
        self.view = view
        self.reference = reference
        self.present = present
        self.state = state
        self.order = order
        self.steps = steps
        self.mismatches: list[Mismatch] = []
        self.report: SweepReport | None = None
        self._yardstick = yardstick_for(view, reference, order.retention_seconds)
        self._purges = may_purge(view, reference, present, state)

    def walk(self) -> Plan[None]:
        """Go over pages of names until the part's share of keys is done, or the sweep."""
        elapsed = (self.reference.now_millis - self.state.at_millis) / 1000
        share = self.order.keys_per_second * min(max(elapsed, 0.0), LONGEST_PART_SECONDS)
        done = 0
        while self.state.node and done < share:
            done += yield from self._page()
            yield Progress(f"sweep {self.state.node}", done, int(share))
        now_millis = self.reference.now_millis + int((self.steps.at - self.order.started) * 1000)
        self.state = replace(self.state, at_millis=now_millis)
        if not self.state.node:
            self.report = SweepReport(self.state.began_millis, now_millis, self.state.findings)

    def _page(self) -> Plan[int]:
        node = self.state.node
        cursor, names = yield from scan_page(
            self.view, node, self.state.cursor.encode(), self.steps
        )
        others = [other for other in self.present if other != node]
        if node != self.reference.node:
            others = [self.reference.node]
        yield from self._compare(node, others, names)
        counted = len(names) if node == self.reference.node else 0
        self._note(keys=counted)
        if cursor == _START.encode():
            self.state = _start_walk(self.state, self.state.left, self.present)
        else:
            self.state = replace(self.state, cursor=cursor.decode())
        # An empty page costs its node as much as a full one.
        return max(len(names), limits.SCAN_KEYS)

    def _compare(self, walked: str, others: Sequence[str], names: list[bytes]) -> Plan[None]:
        own = yield from digest_page(walked, names, self._yardstick, self.steps)
        theirs: dict[str, PageDigests] = {}
        for node in others:
            theirs[node] = yield from digest_page(node, names, self._yardstick, self.steps)

        unequal: set[bytes] = set()
        for node, other in theirs.items():
            suspects = names_that_may_differ(names, own, other)
            copy = walked if node == self.reference.node else node
            suspects = yield from self._settled(
                copy, suspects, only_surplus=walked != self.reference.node
            )
            unequal.update((yield from self._mend(copy, suspects)))
        yield from self._purge(
            walked, {name: stamp for name, stamp in own.old.items() if name not in unequal}
        )

    def _mend(self, node: str, suspects: list[bytes]) -> Plan[list[bytes]]:
        """Count what differs on a copy and stays so, and mend it; answers the names."""
        if not suspects:
            return []
        comparison = Comparison(
            self.view, self.reference, self.present[node], self._yardstick, self.steps
        )
        names = yield from comparison.still_differing(suspects)
        self.mismatches += [comparison.mismatches[name] for name in names]
        repaired = 0
        if self.order.repairs and names:
            # What a copy has more is left to an operator: somebody may have deleted it on the
            # primary by hand.
            repaired = yield from comparison.repair(names, takes_away=False)
        self._note(differences=len(names), repaired=repaired)
        return names

    def _settled(self, node: str, names: list[bytes], only_surplus: bool) -> Plan[list[bytes]]:
        """Without those that were written lately: these the logs bring.

        ``only_surplus``: nothing stands on the reference; its own walk goes over everything else.
        """
        if not names:
            return []
        settled_before = self._yardstick.now_millis * 1000 - 2 * max_age_micros(self.reference)
        ours = yield from read_headers(self.view, self.reference.node, names, self.steps, ON_ACTIVE)
        theirs = yield from read_headers(self.view, node, names, self.steps, ON_ACTIVE)
        return [
            name
            for name, own, other in zip(names, ours, theirs, strict=True)
            if max(_micros(own), _micros(other)) < settled_before and not (only_surplus and own)
        ]

    def _purge(self, walked: str, old: dict[bytes, Stamp]) -> Plan[None]:
        """Remove old tombstones on all copies; from a copy's walk those that the reference has
        purged already.
        """
        before = self.state.purge_before
        ripe = {
            name: stamp for name, stamp in old.items() if self._purges and stamp.micros < before
        }
        nodes = [walked]
        if walked == self.reference.node:
            nodes = list(self.present)
            self._note(waiting=len(old) - len(ripe))
        else:
            ripe = yield from self._gone_on_reference(ripe)
        if ripe:
            yield from self._remove(nodes, ripe, walked)

    def _remove(
        self, nodes: Sequence[str], tombstones: dict[bytes, Stamp], walked: str
    ) -> Plan[None]:
        """Remove these tombstones on nodes, and count those that go from the one that is walked."""
        call = self.view.purge_call(
            tombstones, min(self.state.purge_before, self._yardstick.old_before)
        )
        gathered = yield from self.steps.gather(dict.fromkeys(nodes, call))
        purged = {
            node: admitted(parse_count(content), node, self.view.epoch).number
            for node, content in gathered.answers.items()
        }
        if walked in purged:
            self._note(purged=purged[walked])

    def _gone_on_reference(self, tombstones: dict[bytes, Stamp]) -> Plan[dict[bytes, Stamp]]:
        """Those of a copy's tombstones under whose names the reference has nothing."""
        names = list(tombstones)
        current = yield from read_headers(
            self.view, self.reference.node, names, self.steps, ON_ACTIVE
        )
        return {
            name: tombstones[name]
            for name, header in zip(names, current, strict=True)
            if not header
        }

    def _note(self, **more: int) -> None:
        found = self.state.findings
        counts = {name: getattr(found, name) + count for name, count in more.items()}
        self.state = replace(self.state, findings=replace(found, **counts))


def _micros(header: bytes) -> int:
    return stamp_in(header).micros if holds_record(header) else 0


def _keep(view: ClusterView, reference: str, part: _Part, steps: Steps) -> Plan[None]:
    """Note on the reference where to go on, or how the sweep ended."""
    if part.report is None:
        note = (UNDER_WAY.encode(), part.state.encode(), b"")
    else:
        note = (LAST.encode(), part.report.encode(), UNDER_WAY.encode())
    call = ScriptCall("note_sweep", (view.layout.member, view.layout.sweep), (view.epoch, *note))
    yield from note_on_member(view, reference, call, "noting how far the sweep is", steps)
