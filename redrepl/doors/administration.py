"""The door for operators and workers: making a cluster, looking at it, bringing nodes up, proving equality."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Self, TypeVar

from redrepl.edges.admission import Purpose
from redrepl.edges.channel import Channel
from redrepl.edges.cluster import endpoints_of, find_cluster, open_driver
from redrepl.edges.configuration import AUTOMATIC, OFF, REPAIR, Configuration
from redrepl.edges.endpoint import Endpoint
from redrepl.plans.copies.anti_entropy import SweepOrder, Swept, is_sweep_due, sweep
from redrepl.plans.copies.bring_up import BringUpOrder, BroughtUp, bring_up
from redrepl.plans.copies.catch_up import trim_log
from redrepl.plans.copies.discarded import DiscardedRecord, DiscardedRecords, list_discarded, read_discarded
from redrepl.plans.copies.upkeep import Retention, held_from, needs_bringing_up, trim_floor
from redrepl.plans.copies.verify import VerifyReport, verify
from redrepl.plans.epochs.accept_loss import accept_loss as go_on_with_loss
from redrepl.plans.epochs.change_members import change_topology
from redrepl.plans.epochs.changed import outcome_of_change
from redrepl.plans.epochs.clocks import set_aside
from redrepl.plans.epochs.failover import FailedOver, FailoverOrder, check_failover, fail_over
from redrepl.plans.epochs.foresight import Foreseen, foresee, foresee_loss
from redrepl.plans.epochs.forgetful import set_forgetful_aside
from redrepl.plans.epochs.membership import Tolerances, initialise
from redrepl.plans.epochs.soundness import why_left
from redrepl.plans.inspect import MONITOR, VISITOR, inspect_nodes, newest_topology
from redrepl.plans.lookout import Lookout, Seen
from redrepl.plans.status import Expectations, cluster_status
from redrepl.plans.steps import Steps
from redrepl.plans.strangers import no_member_error
from redrepl.plans.view import ClusterView
from redrepl.values.effects import Plan, Progress
from redrepl.values.errors import RequestError, Unavailable
from redrepl.values.keys import KeyLayout
from redrepl.values.report import NodeReport
from redrepl.values.status import ClusterStatus
from redrepl.values.topology import Member, Mode, NodeRole, Topology

R = TypeVar("R")
OnProgress = Callable[[Progress], None]

READY_LAG_ENTRIES = 1000
"""A node that lacks no more becomes primary within milliseconds."""

SHOWN_DISCARDED = 100
"""Records of each node's discarded log that are read where nobody says how many."""

PREPARING_ROUNDS = 20
"""How often a coming primary is brought up before a switchover gives up."""

BRING_UP_SECONDS = 60.0
"""One call of `bring_up` stops between batches after this long, so that others get their turn."""


class Administration:
    """Upkeep of one cluster over connections of its own, which take nodes in any state. Not for reading or writing.

    Calls raise Unavailable where the nodes they need do not answer.
    """

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        self._layout = KeyLayout(configuration.cluster)
        self._endpoints = list(configuration.endpoints)
        self._given: dict[str, Endpoint] = {}
        self._driver = open_driver(configuration, self._endpoints, Purpose.MAINTAIN)
        self._tolerances = Tolerances(configuration.max_age_seconds, configuration.max_skew_seconds)
        self._lookout: Lookout | None = None
        self._lookout_channel: Channel | None = None

    def close(self) -> None:
        """Close the connections."""
        if self._lookout_channel is not None:
            self._lookout_channel.close()
        self._driver.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Looking ------------------------------------------------------------------------------------------------

    def find_members(self) -> Topology:
        """The topology as the nodes know it; from then on all members are reached, configured or not."""
        found = find_cluster(self.configuration)
        self._reach(self._endpoints_of(found.topology, found.seed_of))
        return found.topology

    def inspect(self) -> tuple[Topology | None, dict[str, NodeReport | str]]:
        """The newest topology and every known node's report."""
        return self._inspect(self._until())

    def probe(self, wait_seconds: float, patience_seconds: float, writes: bool = False) -> tuple[Topology | None, Seen]:
        """For monitors: ask all nodes once more, and answer what is known after no longer than this, from earlier
        questions too.

        patience_seconds: a node that has left a question unanswered for so long, besides its usual round trip, is away.
        writes: try if they take any.
        """
        if self._lookout is None:
            self._lookout = Lookout(self._layout, self._nodes, patience_seconds)
            self._lookout_channel = self._lookout_channel or self._driver.own_channel()
        assert self._lookout_channel is not None
        now = self._driver.now()
        seen = self._lookout_channel.run(self._lookout.look(now, now + wait_seconds, MONITOR if writes else None))
        topology = newest_topology(seen.reports)
        self._reach_members(topology)
        return topology, seen

    def _inspect(
        self, until: float, probe_as: bytes | None = None
    ) -> tuple[Topology | None, dict[str, NodeReport | str]]:
        reports = self._run(inspect_nodes(self._layout, self._nodes, until, probe_as=probe_as))
        topology = newest_topology(reports)
        asked = {endpoint.node: endpoint.reached_at for endpoint in self._endpoints}
        self._reach_members(topology)
        if topology is None:
            return None, reports
        if asked != {endpoint.node: endpoint.reached_at for endpoint in self._endpoints}:
            reports = self._run(
                inspect_nodes(self._layout, self._nodes, self._until(), known=topology, probe_as=probe_as)
            )
        return newest_topology(reports) or topology, reports

    def _reach_members(self, topology: Topology | None) -> None:
        """Have the members reached; where none told who they are, those that are configured: they may have moved."""
        wanted = list(self.configuration.endpoints) if topology is None else self._endpoints_of(topology)
        if wanted != self._endpoints:
            self._reach(wanted)

    def status(self, look_at_keys: bool = True) -> ClusterStatus:
        """Health, lag, statistics and the conditions of correctness."""
        self.inspect()
        options = self.configuration
        fails_over = options.failover == AUTOMATIC
        own_ahead = self._driver.wall_ahead_seconds()
        expected = Expectations(
            options.level, options.healthy_within_seconds, options.required_readers, fails_over, own_ahead
        )
        return self._run(cluster_status(self._layout, self._nodes, expected, self._driver.now(), look_at_keys))

    def verify(self, repair: bool = False, on_progress: OnProgress | None = None) -> VerifyReport:
        """Compare every copy with the primary, by record where digests differ; with ``repair``, make them equal."""
        self.inspect()
        retention = self.configuration.tombstone_retention_seconds
        return self._run(verify(self._layout, self._nodes, self._driver.now(), repair, retention), on_progress)

    def discarded(self, node: str | None = None, limit: int = SHOWN_DISCARDED) -> DiscardedRecords:
        """Records that members gave up for earlier ones (the discarded logs), up to ``limit`` of each, newest first.

        Raises RequestError for a node that is no member.
        """
        nodes = self.find_members().ids if node is None else (self._known(node),)
        return self._run(list_discarded(self._layout, nodes, limit, self._driver.now()))

    def discarded_record(self, node: str, record_id: str) -> DiscardedRecord:
        """One record of a member's discarded log. Raises RequestError where there is none with this id."""
        return self._run(read_discarded(self._layout, self._known(node), record_id, self._driver.now()))

    # Changing ------------------------------------------------------------------------------------------------

    def initialise(self) -> dict[str, str]:
        """Write epoch 1 to the configured nodes; answers what happened on each. Doing it again changes nothing."""
        topology = self.configuration.topology()
        topology = topology.with_identities({node: new_identity() for node in topology.ids})
        incarnations = {node: new_incarnation() for node in topology.ids}
        return self._run(initialise(topology, incarnations, self._tolerances, self._driver.now()))

    def add_node(self, endpoint: Endpoint) -> dict[str, str]:
        """Take a node in, syncing: the workers fill it. Answers what happened on each node."""
        topology = self.find_members()
        if endpoint.node in topology.ids:
            raise RequestError(f"node {endpoint.node!r} is a member already")
        role = NodeRole.PRIMARY if topology.mode is Mode.MULTI_PRIMARY else NodeRole.REPLICA
        changed = topology.with_member(Member(endpoint.node, endpoint.url, role, new_identity()))
        self._given[endpoint.node] = endpoint
        self._reach([*self._endpoints, endpoint])
        return self._change(topology, changed)

    def remove_node(self, node: str) -> dict[str, str]:
        """Take a node out of the cluster; its records stay on its server. A primary first hands its role over.

        What is committed may stand on this node and few others: enough of those that stay are brought up before it
        goes. Raises Unavailable where they cannot be.
        """
        topology = self.find_members()
        if node not in topology.ids:
            raise RequestError(f"node {node!r} is no member; members are {', '.join(topology.ids)}")
        if len(topology.ids) == 1:
            raise RequestError(f"node {node!r} is the last member")
        if topology.decider is not None:
            if node == topology.decider:
                self.switchover(self._successor(topology))
                topology = self.find_members()
            self._bring_up_all_but(node, topology)
        return self._change(topology, topology.without_member(node))

    def failover(self, to: str | None = None, away: Iterable[str] = (), accept_loss: bool = False) -> FailedOver:
        """Give the primary's role to ``to``, or to whoever has seen most. No acknowledged QUORUM write is lost.

        away: nodes that are known not to answer; nobody waits for them. What only members that are away hold (writes at
        lower levels, writes whose outcome is unknown) is lost, or found in the discarded log when they are back.
        accept_loss: the way out where too few sound members are left. What ``to`` has becomes the truth; acknowledged
        writes that it does not have are given up.
        Raises RequestError for what cannot be, Unavailable where too few members can take part or somebody else moved
        the cluster meanwhile.
        """
        if not away:
            self.inspect()
        order = FailoverOrder(self._driver.now(), to, frozenset(away), own_ahead=self._driver.wall_ahead_seconds())
        if accept_loss:
            return self._run(go_on_with_loss(self._layout, self._nodes, order, new_incarnation()))
        return self._run(fail_over(self._layout, self._nodes, order))

    def foresee_failover(self, to: str | None = None, accept_loss: bool = False) -> Foreseen:
        """What `failover` with these arguments would do and could lose, as the nodes look now. Changes nothing.

        Raises what `failover` would raise.
        """
        topology, reports = self._inspect(self._until(), VISITOR)
        if topology is None:
            raise self._nobody(reports)
        order = FailoverOrder(self._driver.now(), to, own_ahead=self._driver.wall_ahead_seconds())
        return foresee_loss(topology, reports, order) if accept_loss else foresee(topology, reports, order)

    def switchover(self, to: str, on_progress: OnProgress | None = None) -> FailedOver:
        """Give the primary's role to ``to`` without losing anything: writes pause for a moment, and none fails.

        First the node is brought up while writes go on, so that little is left to do in the pause. Raises as `failover`
        does, and Unavailable where the node lags and does not catch up.
        """
        self.find_members()
        self._prepare(to, on_progress)
        order = FailoverOrder(self._driver.now(), to, planned=True, own_ahead=self._driver.wall_ahead_seconds())
        return self._run(fail_over(self._layout, self._nodes, order), on_progress)

    def bring_up(
        self,
        node: str,
        exactly: bool = False,
        on_progress: OnProgress | None = None,
        budget_seconds: float = BRING_UP_SECONDS,
    ) -> BroughtUp:
        """Bring one node up to what the others have; ``exactly``: by walking all keys, surplus ones included."""
        self.inspect()
        now = self._driver.now()
        fails_over = self.configuration.failover == AUTOMATIC
        order = BringUpOrder(
            new_incarnation(),
            self._tolerances,
            now,
            now + budget_seconds,
            exactly,
            fails_over,
            self._driver.wall_ahead_seconds(),
            self.configuration.sync_keys_per_second,
        )
        return self._run(bring_up(self._layout, self._nodes, node, order), on_progress)

    def sync(self, node: str | None = None, on_progress: OnProgress | None = None) -> list[BroughtUp]:
        """Bring one copy, or all but the primary, to the primary's state exactly."""
        topology = self.find_members()
        if node is not None and node not in topology.ids:
            raise RequestError(f"node {node!r} is no member; members are {', '.join(topology.ids)}")
        if node is not None and node == topology.decider:
            raise RequestError(f"node {node!r} is the primary: the others are synced to it")
        targets = [node] if node else [other for other in topology.ids if other != topology.decider]
        return [self.bring_up(target, True, on_progress, budget_seconds=float("inf")) for target in targets]

    def is_sweep_due(self, topology: Topology, reports: dict[str, NodeReport | str]) -> bool:
        """Whether the next part of a sweep over all keys is to be done."""
        options = self.configuration
        reference = reports.get(topology.primaries[0])
        if options.anti_entropy == OFF or not isinstance(reference, NodeReport) or not reference.is_serving:
            return False
        return is_sweep_due(reference, options.sweep_every_seconds)

    def sweep(self, on_progress: OnProgress | None = None) -> Swept:
        """Do a part of the sweep over all keys of all copies, or begin one: see docs/operating.md, "Anti-entropy"."""
        self.inspect()
        options = self.configuration
        order = SweepOrder(
            self._driver.now(),
            options.sweep_keys_per_second,
            options.anti_entropy == REPAIR,
            options.tombstone_retention_seconds,
            self._driver.wall_ahead_seconds(),
        )
        return self._run(sweep(self._layout, self._nodes, order), on_progress)

    def trim_logs(self, topology: Topology, reports: dict[str, NodeReport | str]) -> int:
        """Cut what every member has confirmed from the change logs; answers how many entries went."""
        options = self.configuration
        retention = Retention(
            options.log_retention_seconds,
            options.log_retention_entries,
            options.log_cap_entries,
            options.log_cap_bytes,
        )
        return sum(
            self._trim(topology, report, reports, retention)
            for report in reports.values()
            if not isinstance(report, str)
        )

    def targets(self, topology: Topology, reports: dict[str, NodeReport | str]) -> list[str]:
        """Nodes that need `bring_up`."""
        return needs_bringing_up(topology, reports, self._driver.wall_ahead_seconds())

    def wall_ahead_seconds(self) -> float:
        """What this machine's wall clock is ahead of its monotonic one: a vote where no majority of clocks agrees."""
        return self._driver.wall_ahead_seconds()

    def set_aside_wrong_clocks(self, topology: Topology, reports: dict[str, NodeReport | str]) -> dict[str, float]:
        """Have members serve nothing whose clocks are off the majority's by more than is tolerated.

        Answers those that were stopped now, and by how many seconds they are ahead. The workers compare them with the
        others key by key once their clocks are right, and then they serve again.
        """
        steps = Steps(self._driver.now())
        return self._run(set_aside(self._layout, topology, reports, steps, self._driver.wall_ahead_seconds()))

    def set_forgetful_aside(self, topology: Topology, reports: dict[str, NodeReport | str]) -> dict[str, str]:
        """Have members serve nothing that lost part of their memory while their servers went on; answers who, and why.

        From then on they are treated like servers that restarted.
        """
        return self._run(set_forgetful_aside(self._layout, topology, reports, Steps(self._driver.now())))

    def _successor(self, topology: Topology) -> str:
        """The replica that lacks least."""
        _, reports = self._inspect(self._until(), VISITOR)
        source = reports.get(topology.decider or "")
        others = [report for node, report in reports.items() if node in topology.others(topology.decider or "")]
        present = [report.node for report in others if isinstance(report, NodeReport) and report.takes_writes]
        if not present or not isinstance(source, NodeReport):
            evidence = {node: why_left(report) for node, report in reports.items() if node not in present}
            raise Unavailable("no replica can take over from the primary", evidence)
        return min(present, key=source.lag_of)

    def _bring_up_all_but(self, leaving: str, topology: Topology) -> None:
        """Bring up those that stay, so that a majority of them has all that is committed. A write that is committed
        meanwhile stands on a majority still when one node has gone."""
        staying = [node for node in topology.ids if node not in (leaving, topology.decider)]
        failed: dict[str, str] = {}
        for node in staying:
            try:
                self.bring_up(node)
            except Unavailable as error:
                failed[node] = str(error)
        needed = len(topology.ids[1:]) // 2
        if len(staying) - len(failed) < needed:
            text = f"node {leaving!r} cannot go: {needed} of the other replicas must be brought up first"
            raise Unavailable(text, failed)

    def _prepare(self, to: str, on_progress: OnProgress | None) -> None:
        """Bring the coming primary up until what is left is small."""
        for _ in range(PREPARING_ROUNDS):
            topology, reports = self.inspect()
            if topology is None:
                raise self._nobody(reports)
            primary, node = check_failover(topology, to), reports.get(to)
            if to == primary:
                raise RequestError(f"node {to!r} is the primary already")
            source = reports.get(primary)
            if isinstance(source, str) or isinstance(node, str) or source is None or node is None:
                evidence = {name: report for name, report in reports.items() if isinstance(report, str)}
                advice = "without the primary, use failover" if not isinstance(source, NodeReport) else "choose another"
                raise Unavailable(f"a switchover needs the primary and its successor; {advice}", evidence)
            if node.is_serving and source.lag_of(to) <= READY_LAG_ENTRIES:
                return
            self.bring_up(to, on_progress=on_progress)
        raise Unavailable(f"node {to!r} does not catch up with the primary", {to: _why_not_ready(source, node)})

    # Parts -----------------------------------------------------------------------------------------------------

    def _trim(
        self, topology: Topology, report: NodeReport, reports: dict[str, NodeReport | str], retention: Retention
    ) -> int:
        if not report.is_serving or report.epoch != topology.epoch:
            return 0
        floor = trim_floor(topology, report, reports, retention)
        if floor is None and report.log.length <= retention.cap_entries:
            return 0
        steps = Steps(self._driver.now())
        keep_from, held = floor or report.log_floor, held_from(topology, report)
        caps = (retention.cap_entries, steps, held, retention.cap_bytes)
        return self._run(trim_log(ClusterView(topology), report.node, keep_from, *caps))

    def _change(self, old: Topology, new: Topology) -> dict[str, str]:
        try:
            done = self._run(change_topology(old, new, self._tolerances, new_incarnation(), self._driver.now()))
        except (RequestError, Unavailable) as error:
            outcome = outcome_of_change(old, new, *self.inspect())
            text = f"{error.message}; {outcome.state}. What to do: {outcome.advice}"
            raise type(error)(text, error.evidence) from error
        self._reach(self._endpoints_of(new))
        return done

    def _known(self, node: str) -> str:
        """The node, if it is a member. Raises RequestError."""
        members = self.find_members().ids
        if node not in members:
            raise RequestError(f"node {node!r} is no member; members are {', '.join(members)}")
        return node

    def _nobody(self, reports: dict[str, NodeReport | str]) -> Unavailable:
        return no_member_error(self.configuration.cluster, reports)

    @property
    def _nodes(self) -> tuple[str, ...]:
        return tuple(endpoint.node for endpoint in self._endpoints)

    def _endpoints_of(self, topology: Topology, seed_of: Mapping[str, str] | None = None) -> list[Endpoint]:
        """The members' endpoints; those that were given to a call keep its login."""
        given = self._given
        return [
            replace(given[each.node], url=each.url, identity=each.identity) if each.node in given else each
            for each in endpoints_of(topology, self.configuration, seed_of)
        ]

    def _reach(self, endpoints: list[Endpoint]) -> None:
        self._endpoints = endpoints
        self._driver.set_endpoints(endpoints)
        if self._lookout is not None:
            self._lookout.begin_anew(self._nodes)

    def _until(self, seconds: float | None = None) -> float:
        return self._driver.now() + max(seconds or 0.0, self._driver.patience_seconds())

    def _run(self, plan: Plan[R], on_progress: OnProgress | None = None) -> R:
        return self._driver.run(plan, on_progress)


def new_identity() -> str:
    """A fresh identity for a server that becomes a member."""
    return secrets.token_hex(8)


def _why_not_ready(source: NodeReport | str | None, node: NodeReport | str | None) -> str:
    """Why a node that was brought up again and again cannot become the primary without a long pause."""
    if not isinstance(source, NodeReport) or not isinstance(node, NodeReport):
        return "no answer"
    if not node.is_serving:
        return f"is {node.state or 'without membership'} still; `redrepl status` and the workers' log say why"
    return f"lacks {source.lag_of(node.node)} changes; it is slower than what is written, or refuses writes"


def new_incarnation() -> str:
    """A fresh id for a node's log."""
    return secrets.token_hex(8)
