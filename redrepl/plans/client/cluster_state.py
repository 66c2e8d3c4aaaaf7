"""What a client knows of its cluster: members and epoch, where its writes go, how far nodes are,
what time it is.
"""

from __future__ import annotations

from redrepl.plans.client.environment import Clock, Driver, NodeAccess, Reporter
from redrepl.plans.client.options import CallOptions, ClientSettings
from redrepl.plans.operations.write import WriteOrder
from redrepl.plans.topology import read_clocks
from redrepl.plans.view import ClusterView, suspect_seconds
from redrepl.values import limits
from redrepl.values.clocks import majority_ahead
from redrepl.values.effects import Plan
from redrepl.values.level import ConsistencyLevel, required_copies
from redrepl.values.reasons import is_refusal
from redrepl.values.receipt import WriteReceipt
from redrepl.values.record import NO_DEADLINE
from redrepl.values.topology import Topology
from redrepl.values.validation import check_timeout, check_ttl

CLOCK_WAIT_SECONDS = 0.1
"""For a majority of the nodes to tell the time, where the topology was read anew or a clock is
wrong; longer where they are far.
"""

CARE_SECONDS = 5.0
"""For so long after a node last turned down what was written it is asked alone first, although it
takes writes again; and another one of several primaries takes this client's writes.
"""

USUAL_ROUND_TRIPS = 1.5
"""Of the average, and no deviations: on a busy machine single answers take long, and a primary that
is gone must not be waited for because of that.
"""

DISTANCE_SECONDS = 1.0
"""How often a client looks anew how far the primary is."""


class ClusterState:
    """The topology that a client works in, and what it has learned of the nodes.

    One for all threads of a client.

    Another thread or task may take up another topology between any two steps: a plan keeps the view
    that it began with.
    """

    def __init__(
        self,
        settings: ClientSettings,
        topology: Topology,
        driver: Driver,
        clock: Clock,
        access: NodeAccess,
        reporter: Reporter,
    ) -> None:
        self.driver = driver
        self.reporter = reporter
        self.clock = clock
        self.access = access
        self.view = ClusterView(topology)
        self.view.resolve_level(settings.level)
        self.default_level = settings.level
        self.default_timeout_seconds = settings.timeout_seconds
        self._preferred_home = settings.home
        self._max_skew_seconds = settings.max_skew_seconds
        self._refused_at: dict[str, float] = {}
        self._distance_known_at = self._clocks_compared_at = float("-inf")
        reporter.epoch_is(topology)

    # Members and epoch ----------------------------------------------------------------------------

    def adopt(self, topology: Topology) -> None:
        """Work in this topology from now on."""
        self.view = ClusterView(topology)
        self.note_distance(self.driver.now())
        self.access.follow(topology)
        self.reporter.epoch_is(topology)

    def take_up(self, topology: Topology | None, was_heard: bool = False) -> None:
        """Work in this topology, if it is newer than the present one.

        was_heard: it was measured by the present one, so that another one of the same epoch puts
        that right.
        """
        present = self.view.topology
        if topology is None or topology.epoch < present.epoch:
            return
        if topology.epoch > present.epoch or (was_heard and topology != present):
            self.adopt(topology)

    def has_moved_on(self, view: ClusterView, epoch: int) -> bool:
        """Whether a later epoch than this is known, or another topology of it than in this view,
        which was made up.
        """
        present = self.view.topology.epoch
        return present > epoch or (present == epoch and self.view is not view)

    # How a call is carried out --------------------------------------------------------------------

    def home(self) -> str:
        """The node that takes this client's writes."""
        view = self.view
        if view.decider is not None:
            return view.decider
        preferred = [self._preferred_home] if self._preferred_home in view.ids else []
        order = [*preferred, *(node for node in view.ids if node not in preferred)]
        if self._refused_at:
            now = self.driver.now()
            order.sort(
                key=lambda node: now < self._refused_at.get(node, -CARE_SECONDS) + CARE_SECONDS
            )
        return next((node for node in order if self.driver.trouble(node) is None), order[0])

    def order(self, options: CallOptions) -> WriteOrder:
        """A call's options in the topology as it is now. Raises RequestError for what cannot be."""
        if self.access.is_withheld:
            self.access.confirm_addresses(self.view.topology)
        level, required = self.view.resolve_level(
            self.default_level if options.level is None else options.level
        )
        timeout = self.timeout(options.timeout_seconds)
        started = self.driver.now()
        if started > self._distance_known_at + DISTANCE_SECONDS:
            self.note_distance(started)
        reach_others = level is not ConsistencyLevel.ASYNC
        home, refused_at = self.home(), self._refused_at
        return WriteOrder(
            home, required, reach_others, started, started + timeout, level, home in refused_at
        )

    def timeout(self, timeout_seconds: float | None) -> float:
        """A call's time-out, in seconds. Raises RequestError for what is none."""
        return (
            self.default_timeout_seconds
            if timeout_seconds is None
            else check_timeout(timeout_seconds)
        )

    def renewed(self, order: WriteOrder) -> WriteOrder:
        """The order in the topology as it is now: its home, and what its level requires there."""
        required = order.required
        if order.level is not None:
            required = required_copies(order.level, len(self.view.ids) - 1)
        home = self.home()
        return order._replace(home=home, required=required, home_first=home in self._refused_at)

    def note_decision(self, order: WriteOrder, receipt: WriteReceipt) -> None:
        """Take care with a deciding node that takes no writes, until some time after it took one
        again.

        What it turns down other copies may have taken, and then no node can say that it has no
        effect. So from the second on it is asked first, alone.
        """
        home, now = order.home, self.driver.now()
        if is_refusal(receipt.failed.get(home, "")):
            self._refused_at[home] = now
        elif (
            order.home_first
            and home in receipt.acked
            and now > self._refused_at.get(home, 0.0) + CARE_SECONDS
        ):
            self._refused_at.pop(home, None)

    def deadline(self, ttl: float | None) -> int:
        """When a value with this ``ttl`` (seconds) expires, in milliseconds since 1970."""
        millis = check_ttl(ttl)
        return NO_DEADLINE if millis is None else self.clock.physical.millis() + millis

    # How far nodes are ----------------------------------------------------------------------------

    def note_distance(self, now: float) -> None:
        """Let the time after which a silent primary is suspected follow how far it is."""
        self._distance_known_at, view = now, self.view
        if view.decider is not None:
            view.expect_answers_within(self._usual_seconds(view.decider))

    def look_seconds(self) -> float:
        """How long to wait for the members to tell the topology, by how far they are."""
        return suspect_seconds(self.farthest_seconds())

    def farthest_seconds(self) -> float:
        """Within what time the answers of the farthest member usually come."""
        return max(map(self._usual_seconds, self.view.ids))

    def _usual_seconds(self, node: str) -> float:
        """Within what time a node's answers usually come; 0 where that is not known."""
        return USUAL_ROUND_TRIPS * self.driver.latency_seconds(node)

    # Whose clock is right -------------------------------------------------------------------------

    def compare_clocks(self) -> Plan[None]:
        """After a node turned down what was sent for its age, or as too far ahead: what comes next
        has the right time, where it is this program's clock that jumped.

        Of many calls that meet this at once the first one compares.
        """
        now = self.driver.now()
        if now >= self._clocks_compared_at + CLOCK_WAIT_SECONDS:
            self._clocks_compared_at = now
            yield from self.set_clock(now + self.default_timeout_seconds)

    def set_clock(self, until: float) -> Plan[None]:
        """Take the clock's offset from the nodes anew: the majority's, whoever the primary is
        now.
        """
        now = self.driver.now()
        far = min(self.farthest_seconds(), limits.LONGEST_SUSPECT_SECONDS)
        readings = yield from read_clocks(
            self.view, now, min(until, now + max(CLOCK_WAIT_SECONDS, far))
        )
        ahead = majority_ahead(readings.values(), len(self.view.ids), self._max_skew_seconds)
        if ahead is not None:
            self.clock.physical.set_ahead(ahead, self.driver.now())
