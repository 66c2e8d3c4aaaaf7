"""Health, lag and statistics: asking all nodes, and what the answers mean."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

from redrepl.plans.conditions import Contents, verdicts_on
from redrepl.plans.doubtful_clocks import doubtful_members
from redrepl.plans.epochs.change_members import why_not_replaced
from redrepl.plans.epochs.in_its_place import ways_with_another, what_becomes_of
from redrepl.plans.epochs.soundness import majority_of, sound_members, why_left
from redrepl.plans.epochs.takeover import Takeover, takeover_of, turned_away, what_comes_next
from redrepl.plans.inspect import PROBE_STORES_SECONDS, VISITOR, newest_topology
from redrepl.plans.recovery.reinstate import why_primary_waits
from redrepl.plans.scan import SCAN_START, header_is_live, parse_page, read_headers, scan_page
from redrepl.plans.steps import Steps
from redrepl.plans.strangers import describe_other, describe_stranger, no_member_error
from redrepl.plans.view import ClusterView
from redrepl.values import limits
from redrepl.values.effects import Ask, Exchange, PlainCommand, Plan, Reply, Request, Wait
from redrepl.values.errors import RedreplError, RequestError
from redrepl.values.keys import KeyLayout
from redrepl.values.level import Level, required_copies
from redrepl.values.member_state import MemberState
from redrepl.values.permissions import READ_ONLY_COMMANDS
from redrepl.values.reasons import OTHER_CLUSTER, is_denial, lacking_rights, refuses_us
from redrepl.values.report import NodeReport, id_order
from redrepl.values.reports import Reports
from redrepl.values.status import (
    ClusterStatus,
    Condition,
    NodeStatus,
    ReplicationStats,
    SweepStatus,
)
from redrepl.values.sweep import read_last, read_under_way
from redrepl.values.topology import Member, NodeState
from redrepl.values.walk import WALKED, walks_under_way

COPIES_WITH_FAILOVER = 3
"""Of two copies neither is a majority: there the role moves while both are there, and not when the
primary fails.
"""


UNWATCHED_SECONDS = 3.0 * PROBE_STORES_SECONDS
"""A monitor notes its looks every PROBE_STORES_SECONDS: where none did for so long, none is at work
any more.
"""


class Expectations(NamedTuple):
    """What counts as healthy.

    ``level``: the default level of writes; ``required_readers``: copies able to serve.

    fails_over: workers and monitors replace a primary that is away.
    own_ahead: see `redrepl.plans.doubtful_clocks.wrong_clocks`.
    """

    level: Level
    healthy_within_seconds: float
    required_readers: int
    fails_over: bool = True
    own_ahead: float | None = None


class Lag(NamedTuple):
    """Changes not confirmed, the age of the oldest of them, and of the last confirmation, in
    seconds.
    """

    entries: int
    seconds: float
    sync_age_seconds: float | None


@dataclass(slots=True)
class Survey:
    """What was found out about the nodes. contents: headers by name, where walked; totals:
    estimates, where not.
    """

    view: ClusterView
    reports: Reports
    ages: dict[tuple[str, str], float] = field(default_factory=dict)
    totals: dict[str, int] = field(default_factory=dict)
    contents: Contents = field(default_factory=dict)

    def report(self, node: str) -> NodeReport | None:
        """The node's report, None if it did not answer."""
        return self.reports.of(node)


def cluster_status(
    layout: KeyLayout,
    nodes: tuple[str, ...],
    expected: Expectations,
    started: float,
    look_at_keys: bool = True,
) -> Plan[ClusterStatus]:
    """The status. Raises Unavailable when no member answers."""
    steps = Steps(started)
    reports = yield from steps.inspect(layout, nodes, probe_as=VISITOR)
    topology = newest_topology(reports)
    if topology is None:
        raise no_member_error(layout.cluster, reports)
    reports, may_not_write = _without_own_refusals(reports)
    survey = Survey(ClusterView(topology), reports)
    survey.ages = yield from steps.step(lambda until: _ages(survey, until))
    if look_at_keys:
        # The primary last: whatever a replica holds rightly, the primary then holds too.
        order = sorted(topology.ids, key=lambda node: node == topology.decider)
        for node in order:
            yield from _look_at_keys(survey, node, steps)
    statuses = tuple(_node_status(survey, member, expected) for member in topology.members)
    status = _assemble(survey, statuses, expected)
    return replace(status, problems=(*status.problems, may_not_write)) if may_not_write else status


def _without_own_refusals(reports: Reports) -> tuple[Reports, str]:
    """Where every member turns this login's writes down for a right to store, it is a login that is
    to read alone: whether they take the writes of others is not known.

    Returns the reports without that, and what to say of it.
    """
    members = {node: report for node, report in reports.present.items() if report.member}
    refusals = [report.refusal or "" for report in members.values()]
    if not refusals or not all(map(_is_of_reader, refusals)):
        return reports, ""
    changed = {node: replace(report, refusal=None) for node, report in members.items()}
    told = f"this login may not write, so whether the nodes take writes is not known: {refusals[0]}"
    return reports.updated(Reports(changed)), told


def _is_of_reader(refusal: str) -> bool:
    """Whether a login lacks a right that one which reads alone does not have."""
    return is_denial(refusal) and not lacking_rights(refusal) <= READ_ONLY_COMMANDS


def _ages(survey: Survey, until: float) -> Plan[dict[tuple[str, str], float]]:
    """For each lagging (source, target): seconds since its oldest unconfirmed change, by the
    source's clock.
    """
    pairs = []
    for target in survey.view.ids:
        for source in _followed(survey.view, target):
            report = survey.report(source)
            if report is not None and report.lag_of(target):
                pairs.append((report, target))
    requests = []
    for number, (report, target) in enumerate(pairs):
        cursor = report.cursors.get(target)
        after = b"(" + cursor.position.id.encode() if cursor else b"-"
        command = PlainCommand((b"XRANGE", survey.view.layout.log, after, b"+", b"COUNT", 1))
        requests.append(Request(report.node, command, number))
    ages: dict[tuple[str, str], float] = {}
    open_count = len(requests)
    effect: Exchange = Ask(tuple(requests), until)
    while open_count:
        event = yield effect
        effect = Wait(until)
        open_count -= 1
        if isinstance(event, Reply) and event.content:
            report, target = pairs[event.tag]
            millis = id_order(event.content[0][0].decode())[0]
            if millis > report.now_millis and (cursor := report.cursors.get(target)) is not None:
                millis = (
                    cursor.at_millis
                )  # its clock was ahead, and the log's ids still are: since the last confirmation
            ages[report.node, target] = max(0.0, (report.now_millis - millis) / 1000)
    return ages


def _followed(view: ClusterView, target: str) -> tuple[str, ...]:
    """Whose changes a node must have: nobody's where it is the one that decides."""
    return () if target == view.decider else view.topology.sources_of(target)


def _look_at_keys(survey: Survey, node: str, steps: Steps) -> Plan[None]:
    """Count a node's keys, and note their headers; where they are many, a sample tells about how
    many there are.
    """
    report, view = survey.report(node), survey.view
    if report is None or not report.member or report.epoch != view.topology.epoch:
        return
    try:
        total: int = yield from steps.ask(node, PlainCommand((b"DBSIZE",)), "counting keys")
        if total > limits.STATUS_SCAN_KEYS:
            survey.totals[node] = yield from _estimate(view, report, total, steps)
        else:
            survey.contents[node] = yield from _walk(view, report, steps)
    except RedreplError:
        # The node went away, or moved on, while it was being looked at: it is shown without a
        # count.
        survey.totals.pop(node, None)


def _walk(view: ClusterView, report: NodeReport, steps: Steps) -> Plan[dict[bytes, bytes]]:
    """The header of every value that reads as present, by name."""
    cursor, found = SCAN_START, dict[bytes, bytes]()
    while True:
        cursor, names = yield from scan_page(view, report.node, cursor, steps)
        found.update(
            zip(names, (yield from read_headers(view, report.node, names, steps)), strict=True)
        )
        if cursor == SCAN_START:
            return {
                name: header
                for name, header in found.items()
                if header_is_live(header, report.now_millis)
            }


def _estimate(view: ClusterView, report: NodeReport, total: int, steps: Steps) -> Plan[int]:
    """About how many of a node's keys are values that read as present.

    The share is that of the first keys that the server lists, which are in no order of the names.
    """
    prefix, node, cursor, seen, live = view.layout.data_prefix, report.node, SCAN_START, 0, 0
    while True:
        command = PlainCommand((b"SCAN", cursor, b"COUNT", limits.SCAN_KEYS))
        cursor, names = parse_page((yield from steps.ask(node, command, "listing keys")), b"")
        records = [name for name in names if name.startswith(prefix)]
        headers = yield from read_headers(view, node, records, steps)
        seen, live = (
            seen + len(names),
            live + sum(header_is_live(header, report.now_millis) for header in headers),
        )
        if seen >= limits.STATUS_SAMPLE_KEYS or cursor == SCAN_START:
            return round(total * live / max(1, seen))


def _node_status(survey: Survey, member: Member, expected: Expectations) -> NodeStatus:
    report = survey.report(member.id)
    state, error = node_state(survey.view, member, survey.reports)
    if member.id == survey.view.decider:
        error = why_primary_waits(survey.view, survey.reports) or error
    doubt = doubtful_members(survey.view.topology, survey.reports, expected.own_ahead).get(
        member.id
    )
    if doubt is not None:
        error = (
            f"{doubt}: it serves nothing until that is right and all its keys were compared "
            "with the others'"
        )
    if report is not None and not report.takes_writes:
        refusal = f"takes no writes: {report.refusal}"
        error = refusal if error is None else f"{refusal}; {error}"
    if error is None and report is not None and report.denied:
        error = (
            "cannot be moved to another epoch by this login, so that it takes part in no "
            f"failover: {report.denied}"
        )
    has_guard = report is not None and not report.has_lost_guard
    if error is None and not has_guard:
        name = survey.view.layout.guard.decode()
        error = (
            f"its guard (the key {name}) was deleted or overwritten: no reads at ONE until a "
            "worker restores it"
        )
    lag = lag_of(survey, member.id)
    in_time = lag is not None and lag.seconds <= expected.healthy_within_seconds
    if error is None and lag is None:
        followed = ", ".join(_followed(survey.view, member.id))
        error = (
            f"its lag is not known: {followed} {'does' if survey.view.decider else 'do'} not "
            "answer, or lost the log"
        )
    if error is None and lag is not None and not in_time:
        error = (
            f"its oldest missing change is {lag.seconds:.0f} s old; do workers run (`redrepl "
            "worker`)?"
        )
    content = survey.contents.get(member.id)
    return NodeStatus(
        id=member.id,
        url=member.url,
        role=member.role,
        state=state,
        healthy=state is NodeState.ACTIVE
        and in_time
        and doubt is None
        and report is not None
        and report.takes_writes
        and not report.denied
        and has_guard,
        keys=survey.totals.get(member.id) if content is None else len(content),
        keys_exact=content is not None,
        lag_entries=lag.entries if lag else None,
        lag_seconds=round(lag.seconds, 3) if lag else None,
        sync_age_seconds=None
        if lag is None or lag.sync_age_seconds is None
        else round(lag.sync_age_seconds, 3),
        log_entries=report.log.length if report else None,
        error=error,
        takes_writes=None if report is None or report.refusal is None else report.takes_writes,
    )


def node_state(view: ClusterView, member: Member, reports: Reports) -> tuple[NodeState, str | None]:
    """A node's state, and in words what is wrong.

    ``reports``: of all nodes, for what others know about this one.
    """
    report = reports.of(member.id)
    if (unreadable := reports.unreadable(member.id)) is not None:
        return NodeState.INACTIVE, f"{unreadable}; {what_becomes_of(view, reports, member.id)}"
    if report is None:
        return NodeState.INACTIVE, reports.reason(member.id, "was not asked")
    if not report.member:
        return NodeState.INACTIVE, _what_happens(view, member, report, reports)
    if not report.is_itself:
        what = f"{describe_other(report)}, or has its data"
        return NodeState.INACTIVE, f"{what}; {ways_with_another(view, report, reports)}"
    if report.has_restarted:
        return (
            NodeState.SYNCING,
            f"{report.restart}; the workers look what it lost before it serves again",
        )
    if report.state is MemberState.SYNCING:
        return NodeState.SYNCING, _filling(report) or "is being brought up by the workers"
    if report.epoch != view.topology.epoch:
        return (
            NodeState.SYNCING,
            f"is in epoch {report.epoch}, the cluster in {view.topology.epoch}; the workers move "
            "it",
        )
    if not report.state.serves:
        return NodeState.INACTIVE, f"is {report.state}"
    return NodeState.ACTIVE, None


def _what_happens(view: ClusterView, member: Member, stranger: NodeReport, reports: Reports) -> str:
    """What a member without membership is, and what becomes of it."""
    what = describe_stranger(stranger, reports)
    if OTHER_CLUSTER in what:
        return (
            f"{what}: it is left alone; correct the address, or take that cluster out of the server"
        )
    if member.id == view.decider:
        return f"the primary {what}: writes wait until another node takes over"
    if not any(source.is_serving for source in reports.among(view.topology.sources_of(member.id))):
        return f"{what}; it is filled once a primary serves"
    if why := why_not_replaced(view.topology, reports, member.id):
        return f"{what}; {why}"
    return f"{what}; the workers fill it"


def _filling(report: NodeReport) -> str | None:
    """How far a walk that fills the node is, in words."""
    for source, walk in walks_under_way(report).items():
        share = min(100, 100 * walk.keys // max(1, walk.total))
        what = (
            "what was written meanwhile"
            if walk.phase == WALKED
            else f"{walk.phase} keys, {share} % of {walk.total}"
        )
        anew = (
            f"; begun anew {walk.begun_anew} times, the log was cut behind it: raise log_cap_bytes"
        )
        return (
            f"is being filled from {source} by the workers: {what}{anew if walk.begun_anew else ''}"
        )
    return None


def lag_of(survey: Survey, target: str) -> Lag | None:
    """How far a node is behind those it follows; None where none of them answers."""
    followed = _followed(survey.view, target)
    if not followed:
        return Lag(0, 0.0, 0.0)
    entries, ages, sync_ages = 0, [0.0], []
    sources = [
        report
        for source in followed
        if (report := survey.report(source)) is not None and report.member
    ]
    if not sources:
        return None
    for source in sources:
        behind = source.lag_of(target)
        entries += behind
        ages.append(survey.ages.get((source.node, target), 0.0))
        if (cursor := source.cursors.get(target)) is not None:
            sync_ages.append(
                max(0.0, (source.now_millis - cursor.at_millis) / 1000) if behind else 0.0
            )
    return Lag(entries, max(ages), max(sync_ages, default=None))


def _assemble(
    survey: Survey, statuses: tuple[NodeStatus, ...], expected: Expectations
) -> ClusterStatus:
    topology = survey.view.topology
    reference = topology.primaries[0]
    replicas = [status for status in statuses if status.id != reference]
    active = [status for status in replicas if status.state is NodeState.ACTIVE]
    stats = ReplicationStats(
        total_replicas=len(replicas),
        active_replicas=len(active),
        synced_replicas=sum(1 for status in active if status.lag_entries == 0),
        primary_data_count=next(status.keys for status in statuses if status.id == reference),
        max_lag_entries=max((status.lag_entries or 0 for status in statuses), default=0),
        max_lag_seconds=max((status.lag_seconds or 0.0 for status in statuses), default=0.0),
    )
    problems = [f"{status.id}: {status.error}" for status in statuses if status.error]
    takeover = takeover_of(topology, survey.reports)
    condition, more = condition_of(survey.view, statuses, expected), _problems_of(survey, expected)
    if more and condition is Condition.HEALTHY:
        condition = Condition.DEGRADED
    return ClusterStatus(
        cluster=topology.cluster,
        mode=topology.mode,
        epoch=topology.epoch,
        primary=topology.decider,
        condition=condition,
        nodes=statuses,
        stats=stats,
        verdicts=verdicts_on(survey.view, statuses, survey.contents, expected.required_readers),
        problems=(*problems, *more, *_on_takeover(survey, takeover, expected)),
        sweep=_sweep_status(survey.report(reference)),
        takeover=None if takeover is None else takeover.as_json(),
        monitor_seconds_ago=_monitor_seconds_ago(survey),
    )


def _on_takeover(survey: Survey, takeover: Takeover | None, expected: Expectations) -> list[str]:
    """What becomes of a primary that does not serve."""
    if takeover is None:
        return []
    primary = survey.report(takeover.primary)
    if primary is None:
        reason = survey.reports.reason(takeover.primary, "its address is not known")
        if refuses_us(reason):
            return [turned_away(takeover, reason)]
        return [
            what_comes_next(
                takeover, f"primary {takeover.primary!r} is away", expected.fails_over, False
            )
        ]
    if primary.is_serving and primary.epoch == survey.view.topology.epoch:
        if primary.takes_writes:
            return []
        able = takeover_of(survey.view.topology, survey.reports, takes_writes=True) or takeover
        return [
            what_comes_next(
                able, f"primary {takeover.primary!r} takes no writes", expected.fails_over, False
            )
        ]
    is_put_back = primary.is_itself and why_primary_waits(survey.view, survey.reports) is None
    return [
        what_comes_next(
            takeover,
            f"primary {takeover.primary!r} does not serve",
            expected.fails_over,
            is_put_back,
        )
    ]


def _problems_of(survey: Survey, expected: Expectations) -> list[str]:
    """What is wrong with the cluster as a whole, although each node by itself may be well."""
    view, found = survey.view, []
    try:
        required_copies(expected.level, len(view.ids) - 1)
    except RequestError as error:
        found.append(f"level {expected.level} cannot be met: {error}")
    primary = survey.report(view.decider or "")
    if primary is None or len(view.ids) < COPIES_WITH_FAILOVER or not primary.is_serving:
        return found
    others = [
        r for r in sound_members(view.topology, survey.reports, (primary.node,)) if r.takes_writes
    ]
    if len(others) < (needed := majority_of(view.topology)):
        names = ", ".join(report.node for report in others) or "none"
        left = sorted({*view.others[primary.node]} - {report.node for report in others})
        reasons = "; ".join(f"{node}: {_why_left(survey, node)}" for node in left)
        found.append(
            f"if primary {primary.node!r} failed, no other could take over: {needed} others that "
            "have lost nothing and "
            f"take writes are needed, there are {len(others)}: {names} (not {reasons})"
        )
    looked_ago = _monitor_seconds_ago(survey)
    if expected.fails_over and looked_ago is not None and looked_ago > UNWATCHED_SECONDS:
        found.append(
            f"no worker or monitor has looked for {looked_ago:.0f} s: nobody would replace "
            f"primary {primary.node!r} if "
            "it failed now; run `redrepl worker` or `redrepl monitor`"
        )
    return found


def _why_left(survey: Survey, node: str) -> str:
    report = survey.report(node)
    if report is not None and report.refusal:
        return f"takes no writes: {report.refusal}"
    return why_left(node, survey.reports)


def _monitor_seconds_ago(survey: Survey) -> float | None:
    """Since a monitor looked at one of the nodes, as is noted there now and then."""
    known = [report.monitor_seconds for report in survey.reports.present.values()]
    return min((seconds for seconds in known if seconds is not None), default=None)


def _sweep_status(reference: NodeReport | None) -> SweepStatus | None:
    if reference is None:
        return None
    under_way, last = read_under_way(reference.sweep), read_last(reference.sweep)
    ago = max(0.0, (reference.now_millis - last.ended_millis) / 1000) if last else None
    return SweepStatus(
        under_way.findings if under_way else None, last.findings if last else None, ago
    )


def condition_of(
    view: ClusterView, statuses: tuple[NodeStatus, ...], expected: Expectations
) -> Condition:
    """Unavailable where a write at the default level could not be confirmed, degraded where
    anything is missing.
    """
    active = {s.id for s in statuses if s.state is NodeState.ACTIVE and s.takes_writes is not False}
    homes = [view.decider] if view.decider else list(view.ids)
    try:
        required = required_copies(expected.level, len(view.ids) - 1)
    except RequestError:
        return (
            Condition.UNAVAILABLE
        )  # the level is a count of copies that this cluster does not have
    if not any(home in active for home in homes) or len(active) - 1 < required:
        return Condition.UNAVAILABLE
    return Condition.HEALTHY if all(status.healthy for status in statuses) else Condition.DEGRADED
