"""What the administration stands on: connections of its own to all members, wherever they are, and
looks at them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self, TypeVar

from redrepl.doors.upkeep_facts import UpkeepFacts
from redrepl.edges.addresses import Addresses
from redrepl.edges.admission import Purpose
from redrepl.edges.channel import Channel
from redrepl.edges.cluster import find_cluster, open_driver
from redrepl.edges.configuration import Configuration
from redrepl.edges.endpoint import Endpoint
from redrepl.edges.reporter import Dispatcher, Reporter
from redrepl.observe import Observer, Part
from redrepl.plans.epochs.membership import Tolerances
from redrepl.plans.inspect import MONITOR, inspect_nodes, newest_topology
from redrepl.plans.lookout import Lookout, Seen
from redrepl.plans.recovery.replacement_limiter import ReplacementLimiter
from redrepl.plans.strangers import no_member_error
from redrepl.values.effects import Plan, Progress
from redrepl.values.errors import RequestError, Unavailable
from redrepl.values.keys import KeyLayout
from redrepl.values.report import LastEntry
from redrepl.values.reports import Reports
from redrepl.values.topology import Member, Topology

R = TypeVar("R")
OnProgress = Callable[[Progress], None]


class Reaching:
    """Reaches the nodes of one cluster, in any state, and tells how they look.

    observer: told what happens (default: the log, see `LoggingObserver`). part: of the program, for
    the observer. reporter: in place of these, for what belongs to a coordinator.
    replacements: how often the place of a member that was emptied went to the empty server.
    """

    def __init__(
        self,
        configuration: Configuration,
        *,
        observer: Observer | None = None,
        part: Part = Part.ADMINISTRATION,
        reporter: Reporter | None = None,
    ) -> None:
        self.configuration = configuration
        self._reporter = reporter or Reporter(Dispatcher(observer), configuration.cluster, part)
        self._facts = UpkeepFacts(self._reporter)
        self._layout = KeyLayout(configuration.cluster)
        self._endpoints = list(configuration.endpoints)
        self._addresses = Addresses(configuration)
        self._given: dict[str, Endpoint] = {}
        self._driver = open_driver(configuration, self._endpoints, Purpose.MAINTAIN, self._reporter)
        self._tolerances = Tolerances(configuration.max_age_seconds, configuration.max_skew_seconds)
        self._lookout: Lookout | None = None
        self._lookout_channel: Channel | None = None
        self._believed: Topology | None = None
        self._last_entries: dict[str, LastEntry] = {}
        self.replacements = ReplacementLimiter()

    def close(self) -> None:
        """Close the connections."""
        if self._lookout_channel is not None:
            self._lookout_channel.close()
        self._driver.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.configuration.cluster} nodes={','.join(self._nodes)}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # Looking --------------------------------------------------------------------------------------

    def find_members(self) -> Topology:
        """The topology as the nodes know it; from then on all members are reached, configured or
        not.
        """
        found = find_cluster(self.configuration)
        self._reporter.epoch_is(found.topology)
        self._addresses.hear_reports(found.reports)
        seeds = self._places()
        self._reach(self._endpoints_of(found.topology, found.seed_of))
        if seeds == self._places():
            return found.topology
        # Those who answered may be former members themselves.
        topology, _ = self._inspect(self._until())
        if topology is not None and topology.epoch > found.topology.epoch:
            return topology
        if (
            topology != found.topology
        ):  # that look was told less, and reaches for others now than for these members
            self._reach(self._endpoints_of(found.topology, found.seed_of))
        return found.topology

    def inspect(self) -> tuple[Topology | None, Reports]:
        """The newest topology and every known node's report."""
        return self._inspect(self._until())

    def probe(
        self, wait_seconds: float, patience_seconds: float, writes: bool = False
    ) -> tuple[Topology | None, Seen]:
        """For monitors: ask all nodes once more, and answer what is known after wait_seconds at
        most, from earlier questions too.

        patience_seconds: a node that has left a question unanswered for so long, besides its usual
        round trip, is away.
        writes: try if they take any.
        """
        if self._lookout_channel is not None and not self._lookout_channel.is_usable:
            self._lookout_channel.close()
            self._lookout = self._lookout_channel = None
        # Opening the channel may fail (no descriptors), and is then tried at the next look.
        channel = self._lookout_channel = self._lookout_channel or self._driver.own_channel()
        if self._lookout is None:
            self._lookout = Lookout(self._layout, self._nodes, patience_seconds)
        now = self._driver.now()
        seen = channel.run(self._lookout.look(now, now + wait_seconds, MONITOR if writes else None))
        topology = self._newest(seen.reports)
        if seen.is_current:
            self._facts.looked(topology, seen.reports)
        self._addresses.hear_reports(self._reached(seen.reports))
        self._reach_members(topology)
        return topology, seen

    def _look_anew(self) -> None:
        """Members were changed, or somebody tried to: what looks of monitors show from now on was
        so after that.
        """
        if self._lookout is not None:
            self._lookout.forget()

    def _inspect(
        self, until: float, probe_as: bytes | None = None
    ) -> tuple[Topology | None, Reports]:
        last_entries = self._last_entries
        plan = inspect_nodes(
            self._layout, self._nodes, until, probe_as=probe_as, last_entries=last_entries
        )
        reports = self._run(plan)
        self._remember(reports)
        topology = self._newest(reports)
        self._addresses.hear_reports(self._reached(reports))
        asked = self._places()
        self._reach_members(topology)
        # Who was asked may be former members, who know former members: each that leads on knows a
        # later epoch.
        while topology is not None and asked != self._places():
            known, asked = topology, self._places()
            plan = inspect_nodes(
                self._layout,
                self._nodes,
                self._until(),
                known=known,
                probe_as=probe_as,
                last_entries=last_entries,
            )
            reports = self._run(plan)
            self._addresses.hear_reports(self._reached(reports))
            newest = self._newest(reports)
            topology = known if newest is None or newest.epoch <= known.epoch else newest
            self._reach_members(topology)
        self._facts.looked(topology, reports)
        return topology, reports

    def _remember(self, reports: Reports) -> None:
        """Keep what tells at the next look whether a log lost something meanwhile."""
        for node, report in reports.present.items():
            last = report.last_entry_after(self._last_entries.get(node))
            if last is not None:
                self._last_entries[node] = last

    def _forget_entries(self) -> None:
        """What is in the members' logs now counts as all that was there."""
        self._last_entries.clear()
        if self._lookout is not None:
            self._lookout.forget_entries()

    @property
    def _seen_entries(self) -> dict[str, LastEntry]:
        """What was seen of the members' logs, by whoever looks."""
        return (
            self._last_entries
            if self._lookout is None
            else {**self._last_entries, **self._lookout.last_entries}
        )

    def _newest(self, reports: Reports) -> Topology | None:
        """The newest topology that is to be believed.

        Of two of one epoch it counts which was believed before.
        """
        before, newest = self._believed, newest_topology(reports)
        if (
            before is not None
            and newest != before
            and (newest is None or newest.epoch == before.epoch)
        ):
            told = [report.own_topology for report in reports.present.values()]
            newest = newest_topology(reports, before) if before in told else newest
        self._believed = newest or before
        return newest

    def _reached(self, reports: Reports) -> Reports:
        """Reports of those nodes that may be reached: who is not asked has no vote."""
        withheld = {endpoint.node for endpoint in self._endpoints if endpoint.withheld}
        return reports.only(node for node in reports.nodes if node not in withheld)

    @property
    def _reached_urls(self) -> dict[str, str]:
        """The url of each member that it is reached by, as the topology had it when it was
        heard.
        """
        return {endpoint.node: endpoint.url for endpoint in self._endpoints}

    def _places(self) -> dict[str, tuple[str, bool]]:
        """Where each member is reached now, and whether it is."""
        return {
            endpoint.node: (endpoint.reached_at, endpoint.withheld is None)
            for endpoint in self._endpoints
        }

    def _reach_members(self, topology: Topology | None) -> None:
        """Have the members reached; where none told who they are, those that are configured: they
        may have moved.
        """
        wanted = (
            list(self.configuration.endpoints) if topology is None else self._endpoints_of(topology)
        )
        if wanted != self._endpoints:
            self._reach(wanted)

    # Parts ----------------------------------------------------------------------------------------

    def _member(self, topology: Topology, node: str) -> Member:
        if node not in topology.ids:
            raise RequestError(f"node {node!r} is no member; members are {', '.join(topology.ids)}")
        return topology.member(node)

    def _known(self, node: str) -> str:
        """The node, if it is a member. Raises RequestError."""
        members = self.find_members().ids
        if node not in members:
            raise RequestError(f"node {node!r} is no member; members are {', '.join(members)}")
        return node

    def _nobody(self, reports: Reports) -> Unavailable:
        return no_member_error(self.configuration.cluster, reports)

    @property
    def _nodes(self) -> tuple[str, ...]:
        return tuple(endpoint.node for endpoint in self._endpoints)

    def _endpoints_of(
        self, topology: Topology, seed_of: Mapping[str, str] | None = None
    ) -> list[Endpoint]:
        """The members' endpoints; those that were given to a call keep its login."""
        given = self._given
        for endpoint in given.values():
            self._addresses.vouch(endpoint.reached_at)
        return [
            self._addresses.checked(
                dataclasses.replace(given[each.node], url=each.url, identity=each.identity)
            )
            if each.node in given
            else each
            for each in self._addresses.of(topology, seed_of)
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
