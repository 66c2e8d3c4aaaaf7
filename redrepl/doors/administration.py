"""The door for operators and workers: making a cluster, looking at it, bringing nodes up, proving
equality.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from redrepl.doors.drawing import new_identity, new_incarnation
from redrepl.doors.reaching import OnProgress, Reaching
from redrepl.doors.upkeep_facts import why_resynced
from redrepl.edges.cluster import look_at_urls
from redrepl.edges.configuration import AUTOMATIC, BY_URLS, OFF, REPAIR
from redrepl.edges.endpoint import Endpoint
from redrepl.plans.contradictions import contradictions
from redrepl.plans.copies.anti_entropy import SweepOrder, Swept, is_sweep_due, sweep
from redrepl.plans.copies.catch_up import trim_log
from redrepl.plans.copies.discarded import (
    DiscardedRecord,
    DiscardedRecords,
    list_discarded,
    read_discarded,
)
from redrepl.plans.copies.verify import VerifyReport, verify
from redrepl.plans.epochs.accept_loss import Fresh
from redrepl.plans.epochs.accept_loss import accept_loss as go_on_with_loss
from redrepl.plans.epochs.change_members import change_topology, is_one_server
from redrepl.plans.epochs.changed import outcome_of_change, why_not_ready
from redrepl.plans.epochs.clocks import set_aside
from redrepl.plans.epochs.failover import FailedOver, FailoverOrder, check_failover, fail_over
from redrepl.plans.epochs.fitness import check_fit, look_at_servers, unfit_servers
from redrepl.plans.epochs.foresight import Foreseen, foresee, foresee_loss
from redrepl.plans.epochs.forgetful import are_all_left, members_that_miss, set_forgetful_aside
from redrepl.plans.epochs.membership import initialise
from redrepl.plans.epochs.soundness import why_left
from redrepl.plans.inspect import VISITOR, inspect_nodes
from redrepl.plans.recovery.bring_up import BringUpOrder, BroughtUp, bring_up
from redrepl.plans.recovery.upkeep import Retention, held_from, needs_bringing_up, trim_floor
from redrepl.plans.status import Expectations, cluster_status
from redrepl.plans.steps import Steps
from redrepl.plans.view import ClusterView
from redrepl.values.errors import RequestError, Unavailable
from redrepl.values.report import NodeReport
from redrepl.values.reports import Reports
from redrepl.values.status import ClusterStatus
from redrepl.values.topology import Member, Mode, NodeRole, Topology

READY_LAG_ENTRIES = 1000
"""A node that lacks no more becomes primary within milliseconds."""

SHOWN_DISCARDED = 100
"""Records of each node's discarded log that are read where nobody says how many."""

PREPARING_ROUNDS = 20
"""How often a coming primary is brought up before a switchover gives up."""

BRING_UP_SECONDS = 60.0
"""One call of `bring_up` stops between batches after this long, so that others get their turn."""


class Administration(Reaching):
    """Upkeep of one cluster over connections of its own, which take nodes in any state.

    Not for reading or writing.

    Calls raise Unavailable where the nodes they need do not answer.

    topology, reports: what `inspect` returned. endpoint: a server's address and login, under the id
    of the member.
    observer: told what happens (default: the log). part, reporter: for the library's own programs,
    which share one observer.
    """

    # Looking --------------------------------------------------------------------------------------

    def status(self, look_at_keys: bool = True) -> ClusterStatus:
        """Health, lag, statistics and the conditions of correctness.

        look_at_keys: also count the keys of each node, or look at a sample where they are many.
        """
        topology, reports = self.inspect()
        options = self.configuration
        fails_over = options.failover == AUTOMATIC
        own_ahead = self._driver.wall_ahead_seconds()
        expected = Expectations(
            options.level,
            options.healthy_within_seconds,
            options.required_readers,
            fails_over,
            own_ahead,
        )
        status = self._run(
            cluster_status(self._layout, self._nodes, expected, self._driver.now(), look_at_keys)
        )
        wrong = self.contradictions(topology, reports)
        problems = (f"{node}: {text}" for node, text in wrong.items())
        return dataclasses.replace(status, problems=(*status.problems, *problems))

    def contradictions(self, topology: Topology | None, reports: Reports) -> dict[str, str]:
        """What the configuration says of nodes that contradicts the cluster, in words, by node."""
        if topology is None or self.configuration.origin == BY_URLS:
            return {}
        nodes = look_at_urls(self.configuration, topology)
        return contradictions(topology, reports, nodes, self.configuration.origin)

    def unfit_servers(self) -> dict[str, str]:
        """Servers that answer and cannot be nodes as they are, and why."""
        return unfit_servers(self._run(look_at_servers(self._nodes, self._until())))

    def verify(self, repair: bool = False, on_progress: OnProgress | None = None) -> VerifyReport:
        """Compare every copy with the primary, by record where digests differ; with ``repair``,
        make them equal.
        """
        self.inspect()
        retention = self.configuration.tombstone_retention_seconds
        return self._run(
            verify(self._layout, self._nodes, self._driver.now(), repair, retention), on_progress
        )

    def discarded(self, node: str | None = None, limit: int = SHOWN_DISCARDED) -> DiscardedRecords:
        """Records that members gave up for earlier ones (the discarded logs), up to ``limit`` of
        each, newest first.

        Raises RequestError for a node that is no member.
        """
        nodes = self.find_members().ids if node is None else (self._known(node),)
        return self._run(list_discarded(self._layout, nodes, limit, self._driver.now()))

    def discarded_record(self, node: str, record_id: str) -> DiscardedRecord:
        """One record of a member's discarded log, by the record_id that `discarded` lists it under.

        Raises RequestError where there is none with this id.
        """
        return self._run(
            read_discarded(self._layout, self._known(node), record_id, self._driver.now())
        )

    # Changing -------------------------------------------------------------------------------------

    def initialise(self) -> dict[str, str]:
        """Write epoch 1 to the configured nodes; answers what happened on each.

        Doing it again changes nothing.
        """
        topology = self.configuration.topology()
        topology = topology.with_identities({node: new_identity() for node in topology.ids})
        self._check_fit()
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
        self._check_fit(endpoint.node)
        return self._change(topology, changed)

    def replace_node(self, endpoint: Endpoint, accept_loss: bool = False) -> dict[str, str]:
        """Give a member's place to the server at this address, syncing: the workers fill it.

        For a machine that is dead, or is to be given up. The server must be no member of another
        cluster or of this one; records of this cluster that it holds all the same are compared with
        the primary's while it is filled. Where it is the very server that the member is, only its
        address changes. A primary that answers first hands its role over. accept_loss: the
        operator's word that the members which do not answer are gone for good. Answers what
        happened on each node. Raises RequestError for what cannot be, Unavailable where too few of
        the other members are there; then nothing was changed.
        """
        topology = self.find_members()
        node = endpoint.node
        member = self._member(topology, node)
        if node == topology.decider:
            topology = self._hand_over(topology, accept_loss)
            member = topology.member(node)
        self._given[node] = endpoint
        if endpoint.url == member.url:
            changed = topology.with_replaced(dataclasses.replace(member, identity=new_identity()))
            return self._change(topology, changed, None, accept_loss)
        newcomer = f"{node} (new)"
        self._reach([*self._endpoints, dataclasses.replace(endpoint, node=newcomer)])
        reports = self._run(inspect_nodes(self._layout, self._nodes, self._until(), known=topology))
        if is_one_server(reports.of(node), reports.of(newcomer)):
            return self._change(
                topology, topology.with_replaced(dataclasses.replace(member, url=endpoint.url))
            )
        self._check_fit(newcomer, node)
        changed = topology.with_replaced(
            dataclasses.replace(member, url=endpoint.url, identity=new_identity())
        )
        return self._change(topology, changed, newcomer, accept_loss)

    def remove_node(self, node: str, accept_loss: bool = False) -> dict[str, str]:
        """Take a node out of the cluster; its records stay on its server.

        A primary first hands its role over.

        What is committed may stand on this node and few others: enough of those that stay are
        brought up before it goes. accept_loss: the operator's word that the members which do not
        answer are gone for good; nobody is brought up then. Raises Unavailable where too few others
        are there, or cannot be brought up.
        """
        topology = self.find_members()
        self._member(topology, node)
        if len(topology.ids) == 1:
            raise RequestError(f"node {node!r} is the last member")
        if node == topology.decider:
            topology = self._hand_over(topology, accept_loss)
        if topology.decider is not None and not accept_loss:
            self._bring_up_all_but(node, topology)
        return self._change(topology, topology.without_member(node), None, accept_loss)

    def failover(
        self,
        to: str | None = None,
        away: Iterable[str] = (),
        accept_loss: bool = False,
        seen_epoch: int | None = None,
        why: str = "asked for",
    ) -> FailedOver:
        """Give the primary's role to ``to``, or to whoever has seen most.

        No acknowledged QUORUM write is lost.

        away: nodes that are known not to answer; nobody waits for them. What only members that are
        away hold (writes at lower levels, writes whose outcome is unknown) is lost, or found in the
        discarded log when they are back.
        accept_loss: the way out where too few sound members are left. What ``to`` has becomes the
        truth; acknowledged writes that it does not have are given up.
        seen_epoch: the newest epoch that the caller saw a member in; nothing is done where one has
        gone on since.
        why: what the observer is told.
        Raises RequestError for what cannot be, Unavailable where too few members can take part or
        somebody else moved the cluster meanwhile.
        """
        present = None if self._believed is None else self._believed.decider

        def move(on_progress: OnProgress) -> FailedOver:
            return self._fail_over(to, away, accept_loss, seen_epoch, on_progress)

        return self._facts.failover(present, to, why, None, move)

    def _fail_over(
        self,
        to: str | None,
        away: Iterable[str],
        accept_loss: bool,
        seen_epoch: int | None,
        on_progress: OnProgress,
    ) -> FailedOver:
        if accept_loss:
            url = self._reach_truth(to)
            order = FailoverOrder(
                self._driver.now(), to, frozenset(away), own_ahead=self._driver.wall_ahead_seconds()
            )
            identities = {node: new_identity() for node in self._nodes}
            reached = {
                node: place
                for node, place in self._reached_urls.items()
                if node != to or url is None
            }
            fresh = Fresh(new_incarnation(), identities, url, self._tolerances, reached)
            return self._run(go_on_with_loss(self._layout, self._nodes, order, fresh), on_progress)
        if not away:
            self.inspect()
        own_ahead = self._driver.wall_ahead_seconds()
        order = FailoverOrder(
            self._driver.now(),
            to,
            frozenset(away),
            own_ahead=own_ahead,
            seen_epoch=seen_epoch,
            last_entries=self._seen_entries,
        )
        try:
            return self._run(fail_over(self._layout, self._nodes, order), on_progress)
        finally:
            self._look_anew()

    def foresee_failover(self, to: str | None = None, accept_loss: bool = False) -> Foreseen:
        """What `failover` with these arguments would do and could lose, as the nodes look now.

        Changes nothing.

        Raises what `failover` would raise.
        """
        topology, reports = self._inspect(self._until(), VISITOR)
        if topology is None:
            raise self._nobody(reports)
        if accept_loss:
            self._reach_truth(to)
            reports = self._run(
                inspect_nodes(self._layout, self._nodes, self._until(), known=topology)
            )
        order = FailoverOrder(self._driver.now(), to, own_ahead=self._driver.wall_ahead_seconds())
        return (
            foresee_loss(topology, reports, order)
            if accept_loss
            else foresee(topology, reports, order)
        )

    def switchover(self, to: str, on_progress: OnProgress | None = None) -> FailedOver:
        """Give the primary's role to ``to`` without losing anything: writes pause for a moment, and
        none fails.

        First the node is brought up while writes go on, so that little is left to do in the pause.
        Raises as `failover` does, and Unavailable where the node lags and does not catch up.
        """
        self.find_members()
        self._prepare(to, on_progress)
        present = None if self._believed is None else self._believed.decider

        def move(on_progress: OnProgress) -> FailedOver:
            return self._switch_over(to, on_progress)

        return self._facts.failover(present, to, "switchover asked for", on_progress, move)

    def _switch_over(self, to: str, on_progress: OnProgress) -> FailedOver:
        own_ahead, seen = self._driver.wall_ahead_seconds(), self._seen_entries
        order = FailoverOrder(
            self._driver.now(), to, planned=True, own_ahead=own_ahead, last_entries=seen
        )
        return self._run(fail_over(self._layout, self._nodes, order), on_progress)

    def bring_up(
        self,
        node: str,
        exactly: bool = False,
        on_progress: OnProgress | None = None,
        budget_seconds: float = BRING_UP_SECONDS,
    ) -> BroughtUp:
        """Bring one node up to what the others have; ``exactly``: by walking all keys, surplus ones
        included.

        budget_seconds: after these it stops between two batches; the next call resumes.
        """
        topology, reports = self.inspect()
        if topology is not None:
            self.set_forgetful_aside(topology, reports, asks_again=False)
        now = self._driver.now()
        fails_over = self.configuration.failover == AUTOMATIC
        order = BringUpOrder(
            new_incarnation(),
            new_identity(),
            self._tolerances,
            now,
            now + budget_seconds,
            exactly,
            fails_over,
            self._driver.wall_ahead_seconds(),
            self.configuration.sync_keys_per_second,
            self._reached_urls,
            may_replace=self.replacements.may_replace(node, now),
        )
        plan = bring_up(self._layout, self._nodes, node, order)
        why = why_resynced(reports.of(node), exactly)

        def run(progress: OnProgress) -> BroughtUp:
            return self._run(plan, progress)

        done = self._facts.resync(node, why, on_progress, run)
        if done.is_replaced:
            self.replacements.note(node, self._driver.now())
        return done

    def sync(
        self, node: str | None = None, on_progress: OnProgress | None = None
    ) -> list[BroughtUp]:
        """Bring one copy, or all but the primary, to the primary's state exactly."""
        topology = self.find_members()
        if node is not None and node not in topology.ids:
            raise RequestError(f"node {node!r} is no member; members are {', '.join(topology.ids)}")
        if node is not None and node == topology.decider:
            raise RequestError(f"node {node!r} is the primary: the others are synced to it")
        targets = [node] if node else [other for other in topology.ids if other != topology.decider]
        return [
            self.bring_up(target, True, on_progress, budget_seconds=float("inf"))
            for target in targets
        ]

    def is_sweep_due(self, topology: Topology, reports: Reports) -> bool:
        """Whether the next part of a sweep over all keys is to be done."""
        options = self.configuration
        reference = reports.of(topology.primaries[0])
        if options.anti_entropy == OFF or reference is None or not reference.is_serving:
            return False
        return is_sweep_due(reference, options.sweep_every_seconds)

    def sweep(self, on_progress: OnProgress | None = None) -> Swept:
        """Do a part of the sweep over all keys of all copies, or begin one: see docs/operating.md,
        "Anti-entropy".
        """
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

    def trim_logs(self, topology: Topology, reports: Reports) -> int:
        """Cut what every member has confirmed from the change logs; answers how many entries
        went.
        """
        options = self.configuration
        retention = Retention(
            options.log_retention_seconds,
            options.log_retention_entries,
            options.log_cap_entries,
            options.log_cap_bytes,
        )
        return sum(
            self._trim(topology, report, reports, retention) for report in reports.present.values()
        )

    def targets(self, topology: Topology, reports: Reports) -> list[str]:
        """Nodes that need `bring_up`."""
        return needs_bringing_up(topology, reports, self._driver.wall_ahead_seconds())

    def wall_ahead_seconds(self) -> float:
        """What this machine's wall clock is ahead of its monotonic one: a vote where no majority of
        clocks agrees.
        """
        return self._driver.wall_ahead_seconds()

    def set_aside_wrong_clocks(self, topology: Topology, reports: Reports) -> dict[str, float]:
        """Have members serve nothing whose clocks are off the majority's by more than is tolerated.

        Answers those that were stopped now, and by how many seconds they are ahead. The workers
        compare them with the others key by key once their clocks are right, and then they serve
        again.
        """
        steps = Steps(self._driver.now())
        return self._run(
            set_aside(self._layout, topology, reports, steps, self._driver.wall_ahead_seconds())
        )

    def set_forgetful_aside(
        self, topology: Topology, reports: Reports, asks_again: bool = True
    ) -> dict[str, str]:
        """Have members serve nothing that lost part of their memory while their servers went on;
        answers who, and why.

        From then on they are treated like servers that restarted. Who calls this at each look, from
        the same object, also notices what no other member has read of. ``asks_again``: whether a
        member that others have read more of is asked once more; without it that is not waited for,
        and such a member is passed over.
        """
        missing = members_that_miss(topology, reports)
        if missing and are_all_left(topology, reports, missing):
            # What is gone is gone: else they would count as forgetful from now on.
            self._forget_entries()
            return {}
        return self._run(
            set_forgetful_aside(
                self._layout, topology, reports, Steps(self._driver.now()), asks_again
            )
        )

    def _successor(self, topology: Topology) -> str:
        """The replica that lacks least."""
        _, reports = self._inspect(self._until(), VISITOR)
        source = reports.primary(topology)
        others = topology.others(topology.decider or "")
        present = [r.node for r in reports.present.values() if r.node in others and r.takes_writes]
        if not present or source is None:
            evidence = {
                node: why_left(node, reports, by_itself=True)
                for node in reports.nodes
                if node not in present
            }
            if present:
                text = (
                    f"the primary, {topology.decider!r}, does not answer: it cannot hand its "
                    "role over"
                )
                raise Unavailable(
                    f"{text}. What to do: `redrepl failover` first, then this again", evidence
                )
            raise Unavailable("no replica can take over from the primary", evidence)
        return min(present, key=source.lag_of)

    def _bring_up_all_but(self, leaving: str, topology: Topology) -> None:
        """Bring up those that stay, so that a majority of them has all that is committed.

        A write that is committed meanwhile stands on a majority still when one node has gone.
        """
        staying = [node for node in topology.ids if node not in (leaving, topology.decider)]
        failed: dict[str, str] = {}
        for node in staying:
            try:
                self.bring_up(node)
            except Unavailable as error:
                failed[node] = str(error)
        needed = len(topology.ids[1:]) // 2
        if len(staying) - len(failed) < needed:
            text = (
                f"node {leaving!r} cannot go: {needed} of the other replicas must be brought "
                "up first"
            )
            raise Unavailable(text, failed)

    def _prepare(self, to: str, on_progress: OnProgress | None) -> None:
        """Bring the coming primary up until what is left is small."""
        for _ in range(PREPARING_ROUNDS):
            topology, reports = self.inspect()
            if topology is None:
                raise self._nobody(reports)
            primary, node = check_failover(topology, to), reports.of(to)
            if to == primary:
                raise RequestError(f"node {to!r} is the primary already")
            source = reports.of(primary)
            if source is None or node is None:
                advice = "without the primary, use failover" if source is None else "choose another"
                raise Unavailable(
                    f"a switchover needs the primary and its successor; {advice}", reports.silent
                )
            if node.is_serving and source.lag_of(to) <= READY_LAG_ENTRIES:
                return
            self.bring_up(to, on_progress=on_progress)
        raise Unavailable(
            f"node {to!r} does not catch up with the primary", {to: why_not_ready(source, node)}
        )

    # Parts ----------------------------------------------------------------------------------------

    def _trim(
        self, topology: Topology, report: NodeReport, reports: Reports, retention: Retention
    ) -> int:
        if not report.is_serving or report.epoch != topology.epoch:
            return 0
        floor = trim_floor(topology, report, reports, retention)
        if floor is None and report.log.length <= retention.cap_entries:
            return 0
        steps = Steps(self._driver.now())
        keep_from, held = floor or report.log_floor, held_from(topology, report)
        caps = (retention.cap_entries, steps, held, retention.cap_bytes)
        return self._run(trim_log(ClusterView(topology), report, keep_from, *caps))

    def _change(
        self, old: Topology, new: Topology, newcomer: str | None = None, accept_loss: bool = False
    ) -> dict[str, str]:
        incarnation, now = new_incarnation(), self._driver.now()
        plan = change_topology(
            old, new, self._tolerances, incarnation, now, newcomer=newcomer, accept_loss=accept_loss
        )
        try:
            done = self._run(plan)
        except (RequestError, Unavailable) as error:
            outcome = outcome_of_change(old, new, *self.inspect())
            text = f"{error.message}; {outcome.state}. What to do: {outcome.advice}"
            raise type(error)(text, error.evidence) from error
        self._reach(self._endpoints_of(new))
        return done

    def _check_fit(self, newcomer: str | None = None, leaves: str | None = None) -> None:
        """Raise RequestError where servers that answer, or the one that comes in, cannot be
        nodes.
        """
        found = self._run(
            look_at_servers([node for node in self._nodes if node != leaves], self._until())
        )
        check_fit(found, newcomer)

    def _hand_over(self, topology: Topology, accept_loss: bool) -> Topology:
        """Have the present primary, which is to go, give its role to another node."""
        if accept_loss:
            what = "first go on from another one (`redrepl failover --accept-loss --to NODE`)"
            raise RequestError(f"node {topology.decider!r} is the primary: {what}")
        self.switchover(self._successor(topology))
        return self.find_members()

    def _reach_truth(self, to: str | None) -> str | None:
        """Reach the member whose data is to be the truth where the configuration says, if it is not
        where the topology says: it may have been restored on another machine.

        Answers its new url, None where that stays.
        """
        topology, reports = self.inspect()
        mine = next((each for each in self.configuration.endpoints if each.node == to), None)
        theirs = next((each for each in self._endpoints if each.node == to), None)
        if (
            topology is None
            or mine is None
            or theirs is None
            or mine.reached_at == theirs.reached_at
        ):
            return None
        others = [endpoint for endpoint in self._endpoints if endpoint.node != to]
        self._reach([*others, mine])
        found = self._run(inspect_nodes(self._layout, (mine.node,), self._until(), known=topology))
        here, there = found.of(mine.node), reports.of(mine.node)
        if here is None or not here.is_itself:
            self._reach([*others, theirs])
            return None
        if there is not None and there.is_itself and there.run_id != here.run_id:
            raise RequestError(
                f"two servers are node {to!r}: one at {theirs.reached_at}, where the cluster has "
                "it, and one at "
                f"{mine.reached_at}, as {self.configuration.origin} says; stop the one that is "
                "not to count"
            )
        return mine.url
