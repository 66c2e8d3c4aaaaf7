"""Giving the primary's role to another node (protocol, section 5): failover, switchover, and taking
up what was left.

Any number may try at once; what keeps them apart is the epoch. Each step changes a member only if
it still is as it was seen, so at most one of them fences a majority in one epoch. Whoever is
overtaken stops, and whoever comes after a run that died starts over in a higher epoch: until
members are active in the new epoch, all that was done to them is that they got records which others
of their lineage had.

1. Fence a majority of all members: nothing commits in the old epoch any more.
2. The members of the highest lineage among them, and of its era, hold every committed write between
them. One becomes
   the new primary and takes what the others' logs name beyond what it has seen of them.
3. The others take what its log names. They become active, then it does, and then the topology is
told.
4. Whoever was away, or is of an older lineage, is brought up by the workers
(plans/recovery/bring_up.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeVar

from redrepl.plans.copies.catch_up import ship_log
from redrepl.plans.copies.copying import Copier, copy_all
from redrepl.plans.copies.marks import checkpoint_call, mark_of_remains, starting_mark, why_no_mark
from redrepl.plans.doubtful_clocks import check_trusted, doubtful_members
from redrepl.plans.epochs.fencing import Divided, Fencing
from redrepl.plans.epochs.member_changes import (
    change_member,
    change_members,
    look_again,
    try_to_change_member,
)
from redrepl.plans.epochs.membership import (
    EPOCH_STEP_SECONDS,
    active_fields,
    change_call,
    epoch_fields,
    settled_fields,
)
from redrepl.plans.epochs.soundness import (
    donors_among,
    majority_of,
    newest_epoch,
    sound_members,
    way_out,
    why_left,
)
from redrepl.plans.inspect import NO_ENTRIES, VISITOR, newest_topology
from redrepl.plans.side_by_side import side_by_side, steps_beside
from redrepl.plans.steps import Steps
from redrepl.plans.strangers import no_member_error
from redrepl.plans.view import FOR_UPKEEP, ClusterView, EpochMoved
from redrepl.values.effects import Plan, Progress
from redrepl.values.errors import RequestError, Unavailable
from redrepl.values.keys import KeyLayout
from redrepl.values.member_state import MemberState
from redrepl.values.report import Checkpoint, LastEntry, Mark, NodeReport
from redrepl.values.reports import Reports
from redrepl.values.topology import Topology

R = TypeVar("R")

LEFT_BEHIND = "an earlier failover left it behind; the workers have to bring it up first"
MOVED_MEANWHILE = "somebody else moved the cluster to another epoch meanwhile"


class FailoverOrder(NamedTuple):
    """How to go about it.

    to: the node that is to become primary; None: the one that has seen most, the present primary
    where it can stay.
    away: nodes known not to answer; nobody waits for them. planned: nothing may be lost, not even
    what was never acknowledged, so the present primary must take part. own_ahead: see
    `redrepl.plans.doubtful_clocks.wrong_clocks`.
    seen_epoch: the newest epoch that a member was in when this was decided; None: it is right
    whoever moved them since.
    last_entries: see `inspect_nodes`: who forgot a moment ago, and was not set aside yet, takes no
    part.
    """

    started: float
    to: str | None = None
    away: frozenset[str] = frozenset()
    planned: bool = False
    step_seconds: float = EPOCH_STEP_SECONDS
    own_ahead: float | None = None
    seen_epoch: int | None = None
    last_entries: Mapping[str, LastEntry] = NO_ENTRIES


@dataclass(slots=True)
class FailedOver:
    """What came of it. active: members that serve in the new epoch. records: copied between them
    before that.

    left: the other members, and why the workers have to bring them up. seconds: from the order to
    the end.
    """

    epoch: int
    primary: str
    previous: str
    active: tuple[str, ...] = ()
    records: int = 0
    left: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


def fail_over(layout: KeyLayout, nodes: tuple[str, ...], order: FailoverOrder) -> Plan[FailedOver]:
    """Move the cluster to a new epoch, with another primary or the same.

    Raises RequestError for what cannot be, Unavailable where too few members can take part, or
    where somebody else changed one meanwhile; then it may be tried again.
    """
    steps = Steps(order.started, order.step_seconds, last_entries=order.last_entries)
    try:
        return (yield from _try_once(layout, nodes, order, steps))
    except Divided as divided:
        # The others stop. Who waited like them would meet them again, as each is nearer to other
        # members.
        order = order._replace(seen_epoch=divided.epoch)
    try:
        return (yield from _try_once(layout, nodes, order, steps))
    except Divided as divided:
        raise Unavailable(divided.message, divided.evidence) from None


class _Seen(NamedTuple):
    """How the cluster was before any member was fenced.

    members: the intact ones. doubtful: members whose clocks cannot be trusted, and why.
    """

    topology: Topology
    reports: Reports
    previous: str
    members: list[NodeReport]
    doubtful: dict[str, str]


def _try_once(
    layout: KeyLayout, nodes: tuple[str, ...], order: FailoverOrder, steps: Steps
) -> Plan[FailedOver]:
    seen = yield from _look(layout, nodes, order, steps)
    # Fence a majority, so that nothing commits in the old epoch any more.
    epoch = newest_epoch(seen.reports) + 1
    must = seen.topology.decider if order.planned else None
    fencing = Fencing(layout, seen.topology, seen.members, seen.doubtful, epoch, steps)
    yield _step(seen.topology, f"fencing in epoch {epoch}", seen.members)
    fenced = yield from fencing.carry_out(must)
    yield _step(seen.topology, f"fenced in epoch {epoch}", fenced)
    fenced = [replace(report, refusal=_refusal_of(report.node, seen.members)) for report in fenced]

    done = yield from _install_primary(seen, fenced, epoch, order, steps)
    done.seconds = steps.at - order.started
    return done


def _install_primary(
    seen: _Seen, fenced: Sequence[NodeReport], epoch: int, order: FailoverOrder, steps: Steps
) -> Plan[FailedOver]:
    """Have one of those that hold every committed write between them become the new primary."""
    topology, previous, doubtful = seen.topology, seen.previous, seen.doubtful
    donors = donors_among(fenced)
    chosen = choose(donors, previous, order, doubtful)
    yield _step(topology, f"{chosen.node} is to be the primary, with what these have", donors)
    view = ClusterView(topology.with_primary(chosen.node, epoch))
    left = {node: doubtful.get(node) or why_left(node, seen.reports) for node in topology.ids}
    done = FailedOver(epoch, chosen.node, previous, left=left)

    installation = _Installation(view, chosen, donors, doubtful, steps, done)
    if (returned := _returned(seen.reports.of(previous), fenced)) is not None:
        yield from installation.take_along(returned)
    try:
        yield from installation.carry_out()
    except EpochMoved as moved:
        raise Unavailable(MOVED_MEANWHILE, moved.evidence) from moved
    return done


def _look(
    layout: KeyLayout, nodes: tuple[str, ...], order: FailoverOrder, steps: Steps
) -> Plan[_Seen]:
    """How the cluster is.

    Raises Unavailable or RequestError where it cannot fail over as it is to.
    """
    asked = tuple(node for node in nodes if node not in order.away)
    reports = yield from steps.inspect(layout, asked, probe_as=VISITOR)
    topology = newest_topology(reports)
    if topology is None:
        raise no_member_error(layout.cluster, reports)
    previous = check_failover(topology, order.to)
    _check_nobody_began(reports, order.seen_epoch)

    members = sound_members(topology, reports, order.away)
    check_enough(topology, members, reports, order)
    return _Seen(
        topology, reports, previous, members, doubtful_members(topology, reports, order.own_ahead)
    )


def _step(topology: Topology, stage: str, members: Sequence[NodeReport]) -> Progress:
    """How far a failover has come, for logs and commands."""
    names = ", ".join(report.node for report in members)
    return Progress(f"{stage}: {names}", len(members), len(topology.ids))


def check_failover(topology: Topology, to: str | None) -> str:
    """The present primary.

    Raises RequestError unless the role can be moved at all, and to this node.
    """
    if topology.decider is None:
        raise RequestError(
            "in multi-primary mode every node is a primary: there is nothing to fail over"
        )
    if to is not None and to not in topology.ids:
        raise RequestError(f"node {to!r} is no member; members are {', '.join(topology.ids)}")
    return topology.decider


def _check_nobody_began(reports: Reports, seen_epoch: int | None) -> None:
    """Raise Unavailable where a member is in a later epoch than any was when the failover was
    decided.

    Where members are far, that was a while ago: another monitor that decided the same is at work,
    and would have to start over, or has come to its end.
    """
    gone_on = [
        report
        for report in reports.present.values()
        if seen_epoch is not None and report.epoch > seen_epoch
    ]
    if gone_on:
        evidence = {report.node: f"epoch {report.epoch}, {report.state}" for report in gone_on}
        raise Unavailable(MOVED_MEANWHILE, evidence)


def check_enough(
    topology: Topology, sound: Sequence[NodeReport], reports: Reports, order: FailoverOrder
) -> None:
    """Raise Unavailable where too few members can take part, or not the one that must."""
    needed, names = majority_of(topology), [report.node for report in sound]
    evidence = {node: why_left(node, reports) for node in topology.ids if node not in names}
    if len(sound) < needed:
        text = (
            f"{needed} of {len(topology.ids)} members must take part, which have lost nothing "
            "since they served; "
            f"usable: {', '.join(names) or 'none'}; {way_out(topology, reports)}"
        )
        raise Unavailable(text, evidence)
    if order.to is not None and order.to not in names:
        raise _cannot_become_primary(order.to, evidence)

    # What `choose` would refuse is refused before any is fenced: else members would be left between
    # epochs for it.
    candidates = donors_among(sound)
    check_trusted(doubtful_members(topology, reports, order.own_ahead), candidates, order.to)
    if order.to is not None:
        _check_candidate(order.to, candidates, sound)
    if order.planned and topology.decider not in names:
        text = (
            f"a switchover needs the present primary {topology.decider!r}; without it, use failover"
        )
        raise Unavailable(text, evidence)


def _check_candidate(
    node: str, candidates: Sequence[NodeReport], sound: Sequence[NodeReport]
) -> None:
    """Raise Unavailable where the one that is asked for cannot become the primary."""
    if node not in [report.node for report in candidates]:
        raise _cannot_become_primary(node, {node: LEFT_BEHIND})
    if refusal := _refusal_of(node, sound):
        raise Unavailable(
            f"node {node!r} takes no writes, and cannot become the primary", {node: refusal}
        )


def _cannot_become_primary(node: str, evidence: Mapping[str, str]) -> Unavailable:
    return Unavailable(f"node {node!r} cannot become the primary", evidence)


def _refusal_of(node: str, members: Sequence[NodeReport]) -> str | None:
    return next((report.refusal for report in members if report.node == node), None)


def _returned(report: NodeReport | None, fenced: Sequence[NodeReport]) -> NodeReport | None:
    """The present primary, where it restarted: what its log still names was decided, although
    others may lack it.
    """
    lineage = max(each.lineage for each in fenced)
    if (
        report is not None
        and report.is_itself
        and report.has_restarted
        and report.lineage == lineage
    ):
        return report
    return None


def choose(
    donors: Sequence[NodeReport], previous: str, order: FailoverOrder, doubtful: Mapping[str, str]
) -> NodeReport:
    """The new primary: the one that was asked for, else the present one, else the one that has seen
    most of its log.

    Not one whose clock cannot be trusted, even where the role was to stay with it. One that takes
    writes comes before one that does not, as long as there is one.
    """
    check_trusted(doubtful, donors, order.to)
    by_name = {report.node: report for report in donors}
    if order.planned and previous not in by_name:
        raise Unavailable(
            "the present primary could not be fenced", {previous: "changed meanwhile"}
        )
    if order.to is not None:
        if order.to not in by_name:
            raise _cannot_become_primary(order.to, {order.to: LEFT_BEHIND})
        return by_name[order.to]

    donors = [report for report in donors if report.node not in doubtful]
    return max(donors, key=lambda report: _rank(report, previous))


def _rank(report: NodeReport, previous: str) -> tuple[bool, bool, tuple[int, int], int]:
    """How well a member would do as the primary: a higher one is chosen."""
    applied = report.marks.get(previous)
    reached = applied.position.order if applied else (0, 0)
    return report.takes_writes, report.node == previous, reached, report.log.added


class _Installation:
    """Bringing the donors to one state in the new epoch, and having them serve in it."""

    def __init__(
        self,
        view: ClusterView,
        primary: NodeReport,
        donors: Sequence[NodeReport],
        doubtful: Mapping[str, str],
        steps: Steps,
        done: FailedOver,
    ) -> None:
        self._view = view
        self._doubtful = doubtful
        self._primary = primary
        self._others = [report for report in donors if report.node != primary.node]
        self._steps = steps
        self._done = done

    def carry_out(self) -> Plan[None]:
        """All steps. Raises Unavailable where a node fails on which it depends."""
        # From each donor at once, and then to each: what comes from one stands in no other's way,
        # as the later stamp wins, and where members are far it is the round trips that take the
        # time.
        yield from self._with_each(self._others, self._take_from)
        self._primary = yield from self._report(self._primary)
        yield Progress(
            f"records that {self._primary.node} took from the others", self._done.records, None
        )
        # Who may have dropped records by a wrong clock is left to the workers, who compare all
        # keys.
        trusted = [donor for donor in self._others if donor.node not in self._doubtful]
        ready = [
            donor
            for donor in (yield from self._with_each(trusted, self._give_to))
            if donor is not None
        ]
        active = yield from self._activate(ready)
        yield from self._activate_primary()
        yield _step(
            self._view.topology, f"serving in epoch {self._done.epoch}", [self._primary, *active]
        )
        self._done.active = (self._primary.node, *(report.node for report in active))
        self._done.left = {
            node: why for node, why in self._done.left.items() if node not in self._done.active
        }
        yield from self._publish(active)

    def take_along(self, witness: NodeReport) -> Plan[None]:
        """What a restarted primary's log still names beyond what the new one has seen of it.

        It may fail: nothing that is acknowledged at QUORUM depends on it.
        """
        view, steps = self._view, self._steps
        fields = {"epoch": str(view.topology.epoch), "state": MemberState.SYNCING}
        try:
            change = yield from try_to_change_member(
                witness, view.layout, fields, None, "fencing it", steps
            )
            if not change.is_done:
                return
            mark = mark_of_remains(witness, self._primary)
            if mark is not None:
                yield from self._ship(witness, self._primary, mark, steps, merges=True)
        except (Unavailable, EpochMoved):
            return

    def _with_each(
        self, donors: Sequence[NodeReport], do: Callable[[NodeReport, Steps], Plan[R]]
    ) -> Plan[list[R]]:
        """Do something with all donors side by side."""
        plans = [do(donor, steps_beside(self._steps)) for donor in donors]
        return (yield from side_by_side(plans, self._steps))

    def _take_from(self, donor: NodeReport, steps: Steps) -> Plan[None]:
        """Bring what a donor has to the new primary.

        The later stamp wins, so nothing is undone there.
        """
        mark = starting_mark(donor, self._primary)
        if mark is None:
            yield from self._walk(donor, self._primary, steps)
        else:
            yield from self._ship(donor, self._primary, mark, steps)

    def _give_to(self, donor: NodeReport, steps: Steps) -> Plan[NodeReport | None]:
        """Bring a donor to the new primary's state; answers None where it is left to the
        workers.
        """
        mark = starting_mark(self._primary, donor)
        if mark is None:
            self._done.left[donor.node] = (
                f"is filled by the workers, as {why_no_mark(self._primary, donor)}"
            )
            return None
        try:
            yield from self._ship(self._primary, donor, mark, steps)
            checkpoint = self._checkpoint(donor)
            call = checkpoint_call(self._view.layout, self._view.epoch, checkpoint)
            yield from steps.ask(donor.node, call, "noting what the primary has")
        except (Unavailable, EpochMoved) as error:
            self._done.left[donor.node] = str(error)
            return None
        return donor

    def _checkpoint(self, donor: NodeReport) -> Checkpoint:
        """All that the donor's log named when it was fenced is in the new primary's log up to its
        present end.
        """
        mark = Mark(self._primary.incarnation, self._primary.log_end)
        return Checkpoint(
            donor.incarnation, donor.log_end, self._primary.node, mark, self._view.topology.epoch
        )

    def _ship(
        self, source: NodeReport, target: NodeReport, mark: Mark, steps: Steps, merges: bool = False
    ) -> Plan[None]:
        no_limit = float("inf")
        skips_gone = source.node in self._doubtful
        shipped = yield from ship_log(
            self._view,
            source,
            target.node,
            mark,
            steps,
            no_limit,
            FOR_UPKEEP,
            merges,
            skips_gone,
            target.log.newest_id.encode(),
        )
        self._done.records += shipped.records

    def _walk(self, source: NodeReport, target: NodeReport, steps: Steps) -> Plan[None]:
        skips_gone = source.node in self._doubtful
        copier = Copier(self._view, source, target.node, steps, FOR_UPKEEP, skips_gone=skips_gone)
        copier.newest_entry = target.log.newest_id.encode()
        yield from copy_all(copier, steps)
        yield from copier.absorb((), (), Mark(source.incarnation, source.log_end))
        self._done.records += copier.records

    def _report(self, member: NodeReport) -> Plan[NodeReport]:
        view = self._view
        return (
            yield from look_again(member, view.layout, view.topology, self._done.epoch, self._steps)
        )

    def _active_fields(self, node: str) -> dict[str, str]:
        return {**epoch_fields(self._view.topology, node), **active_fields(self._view.topology)}

    def _activate(self, ready: Sequence[NodeReport]) -> Plan[list[NodeReport]]:
        """Have the others serve. No client knows the epoch yet."""
        layout = self._view.layout
        calls = {r.node: change_call(r, layout, self._active_fields(r.node), None) for r in ready}
        changes = yield from change_members(calls, self._steps)
        for report in ready:
            if report.node not in changes.done:
                self._done.left[report.node] = changes.failures.get(
                    report.node, "changed meanwhile"
                )
        return [report for report in ready if report.node in changes.done]

    def _activate_primary(self) -> Plan[None]:
        primary, view = self._primary, self._view
        fields = {**self._active_fields(primary.node), **settled_fields(view.topology)}
        if primary.node != self._done.previous:
            fields["pending"] = (
                ""  # another primary has seen to that since, or it is for an operator
            )
        yield from change_member(
            primary, view.layout, fields, view.topology, "making it the primary", self._steps
        )

    def _publish(self, active: Sequence[NodeReport]) -> Plan[None]:
        """Tell the others the topology, so that clients learn it from whomever they ask.

        The primary has it anyway.
        """
        view = self._view
        calls = {}
        for report in active:
            fields = self._active_fields(report.node)
            serving = replace(report, member={**report.member, **fields})
            calls[report.node] = change_call(serving, view.layout, {}, view.topology)
        yield from self._steps.gather(calls)
