"""What every operation stands on: the state of a coordinator, the arguments as values, and following the cluster.

A plan follows the cluster by itself: where a node says that the epoch has moved, the topology is read again and the
operation goes on within its own deadline.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, NamedTuple, Never, Protocol, cast

from typing_extensions import TypeVar

from redrepl.edges.clock import StampClock
from redrepl.edges.cluster import Elsewhere
from redrepl.edges.configuration import Configuration
from redrepl.plans.operations.write import WriteOrder
from redrepl.plans.topology import Told, hear_topology, read_clocks
from redrepl.plans.view import ClusterView, EpochMoved, is_clock_refusal, pause, suspect_seconds
from redrepl.values import limits
from redrepl.values.clocks import majority_ahead
from redrepl.values.codec import Codec, decoded, encoded
from redrepl.values.effects import Plan
from redrepl.values.errors import RedreplError, RequestError, Unavailable
from redrepl.values.level import ConsistencyLevel, Level, required_copies
from redrepl.values.reasons import is_refusal
from redrepl.values.receipt import WriteReceipt
from redrepl.values.record import NO_DEADLINE
from redrepl.values.session import Session, check_session
from redrepl.values.topology import Topology
from redrepl.values.validation import check_key, check_timeout, check_ttl, check_value

K = TypeVar("K", default=str)
"""The type of keys; without a codec str, and bytes are taken too."""

V = TypeVar("V", default=bytes)
"""The type of values; without a codec bytes."""

OwnK = TypeVar("OwnK", default=str)
OwnV = TypeVar("OwnV", default=bytes)
"""The same, where a class method gets the codecs: some type checkers take the class' own for decided there."""

R = TypeVar("R")

CLOCK_WAIT_SECONDS = 0.1
"""For a majority of the nodes to tell the time, where the topology was read anew or a clock is wrong; longer where they
are far."""

BETWEEN_EPOCHS_SECONDS = 0.02
"""Pause before the topology is read again while a change of members is under way."""

CARE_SECONDS = 5.0
"""For so long after a node last turned down what was written it is asked alone first, although it takes writes again;
and another one of several primaries takes this client's writes."""


USUAL_ROUND_TRIPS = 1.5
"""Of the average, and no deviations: on a busy machine single answers take long, and a primary that is gone must not be
waited for because of that."""

DISTANCE_SECONDS = 1.0
"""How often a program looks anew how far the primary is."""


class Driver(Protocol):
    """What the shared part needs to know of a driver."""

    def now(self) -> float:
        """The clock of deadlines."""
        ...

    def latency_seconds(self, node: str) -> float:
        """How fast a node answers."""
        ...

    def trouble(self, node: str) -> str | None:
        """What is known against a node."""
        ...


class WakeUps(Protocol):
    """Where to say that a copy has something to catch up with. Never blocks."""

    def request(self, targets: Iterable[str]) -> None:
        """Wake the workers for these nodes."""
        ...


class Limits(NamedTuple):
    """How one operation is to be carried out; None means the coordinator's default."""

    level: Level | None
    timeout_seconds: float | None


class PendingWrite(NamedTuple):
    """One write before it is stamped: the key as the caller gave it and as bytes, and what to store."""

    user_key: str | bytes
    key: bytes
    kind: bytes
    payload: bytes
    deadline_millis: int


class Outage(NamedTuple):
    """A primary that is away: the epoch, since when operations have met this, and when the last one did."""

    epoch: int
    since: float
    seen_at: float


class Dispute(NamedTuple):
    """What members said when it could not be told whether this epoch is over."""

    epoch: int
    evidence: Mapping[str, str]


class Foundation(Generic[K, V]):
    """State and plans of a coordinator. See `redrepl.doors.coordinator` for the operations' meaning."""

    def __init__(
        self,
        configuration: Configuration,
        topology: Topology,
        driver: Driver,
        wake_ups: WakeUps,
        key_codec: Codec[K] | None = None,
        value_codec: Codec[V] | None = None,
        session: Session | None = None,
        clock: StampClock | None = None,
        elsewhere: Elsewhere | None = None,
        reached_in_seconds: float = 0.0,
        is_in_doubt: bool = False,
    ) -> None:
        self.configuration = configuration
        self._elsewhere = elsewhere
        self.session = check_session(session)
        self._view = ClusterView(topology)
        self._base_driver = driver
        self._wake_ups = wake_ups
        self._key_codec = key_codec
        self._value_codec = value_codec
        self._clock = clock or StampClock()
        self._turns = itertools.count()
        self._outage: Outage | None = None
        self._has_withheld = False
        self._refused_at: dict[str, float] = {}
        self._topology_read_at = float("-inf") if is_in_doubt else driver.now()
        self._look_began_at = float("-inf")
        self._dispute: Dispute | None = None
        self._distance_known_at = self._clocks_compared_at = float("-inf")
        self._reached_in_seconds = reached_in_seconds
        self._view.resolve_level(configuration.level)
        self._default_level = configuration.level
        self._default_timeout_seconds = configuration.timeout_seconds

    def __reduce__(self) -> Never:
        """Connections and threads go to no other process."""
        raise RequestError(f"a {type(self).__name__} cannot be pickled or copied: open one in each process")

    @property
    def topology(self) -> Topology:
        """The members, roles and epoch as last read."""
        return self._view.topology

    @property
    def reached_in_seconds(self) -> float:
        """How long the slowest node that answered took when the cluster was found, connecting included."""
        return self._reached_in_seconds

    def _found_elsewhere(self) -> Topology | None:
        """Have the configured addresses asked for the cluster, in the background; what they told the last time."""
        return None if self._elsewhere is None else self._elsewhere.ask()

    def _adopt(self, topology: Topology) -> None:
        self._view = ClusterView(topology)
        self._note_distance(self._base_driver.now())

    def _heard(self, told: Told) -> None:
        """Members told topologies: addresses that they agree on may be reached from now on."""

    def _look_for_vouchers(self) -> None:
        """A member's address is not vouched for yet: have the configured addresses asked again."""

    def _note_distance(self, now: float) -> None:
        """Let suspicion follow how far the primary is."""
        self._distance_known_at, view = now, self._view
        if view.decider is not None:
            view.expect_answers_within(self._usual_seconds(view.decider))

    def _usual_seconds(self, node: str) -> float:
        """Within what time a node's answers usually come; 0 where that is not known."""
        return USUAL_ROUND_TRIPS * self._base_driver.latency_seconds(node)

    def _look_seconds(self) -> float:
        """How long to wait for the members to tell the topology, by how far they are."""
        return suspect_seconds(max(map(self._usual_seconds, self._view.ids)))

    def _take_up(self, topology: Topology | None, was_heard: bool = False) -> None:
        """Go on in this topology, if it is newer than the present one.

        was_heard: it was measured by the present one, so that another one of the same epoch puts that right.
        """
        present = self._view.topology
        if topology is None or topology.epoch < present.epoch:
            return
        if topology.epoch > present.epoch or (was_heard and topology != present):
            self._adopt(topology)

    def _has_moved_on(self, view: ClusterView, epoch: int) -> bool:
        """Whether a later epoch than this is known, or another topology of it than in this view, which was made up."""
        present = self._view.topology.epoch
        return present > epoch or (present == epoch and self._view is not view)

    def _key(self, key: K | str | bytes) -> bytes:
        if self._key_codec is not None:
            return check_key(encoded(self._key_codec, "key", cast(K, key)))
        return check_key(key)

    def _value(self, value: V | bytes) -> bytes:
        if self._value_codec is not None:
            return check_value(encoded(self._value_codec, "value", cast(V, value)))
        return check_value(value)

    def _decoded(self, key: Any, payload: bytes) -> V:
        return cast(V, payload) if self._value_codec is None else decoded(self._value_codec, key, payload)

    def _receipt_key(self, key: K | str | bytes) -> str | bytes:
        return key if isinstance(key, (str, bytes)) else self._key(key)

    def _deadline(self, ttl: float | None) -> int:
        millis = check_ttl(ttl)
        return NO_DEADLINE if millis is None else self._clock.physical.millis() + millis

    def _home(self) -> str:
        """The node that takes this client's writes."""
        view = self._view
        if view.decider is not None:
            return view.decider
        preferred = [self.configuration.home] if self.configuration.home in view.ids else []
        order = [*preferred, *(node for node in view.ids if node not in preferred)]
        if self._refused_at:
            now = self._base_driver.now()
            order.sort(key=lambda node: now < self._refused_at.get(node, -CARE_SECONDS) + CARE_SECONDS)
        return next((node for node in order if self._base_driver.trouble(node) is None), order[0])

    def _order(self, how: Limits) -> WriteOrder:
        if self._has_withheld:
            self._look_for_vouchers()
        level, required = self._view.resolve_level(self._default_level if how.level is None else how.level)
        timeout = self._timeout(how.timeout_seconds)
        started = self._base_driver.now()
        if started > self._distance_known_at + DISTANCE_SECONDS:
            self._note_distance(started)
        reach_others = level is not ConsistencyLevel.ASYNC
        home, refused_at = self._home(), self._refused_at
        return WriteOrder(home, required, reach_others, started, started + timeout, level, home in refused_at)

    def _timeout(self, timeout_seconds: float | None) -> float:
        return self._default_timeout_seconds if timeout_seconds is None else check_timeout(timeout_seconds)

    def _renewed(self, order: WriteOrder) -> WriteOrder:
        """The order in the topology as it is now: its home, and what its level requires there."""
        required = order.required
        if order.level is not None:
            required = required_copies(order.level, len(self._view.ids) - 1)
        home = self._home()
        return order._replace(home=home, required=required, home_first=home in self._refused_at)

    def _note_decision(self, order: WriteOrder, receipt: WriteReceipt) -> None:
        """Take care with a deciding node that takes no writes, until some time after it took one again.

        What it turns down other copies may have taken, and then nobody can say that it has no effect. So from the
        second on it is asked first, alone.
        """
        home, now = order.home, self._base_driver.now()
        if is_refusal(receipt.failed.get(home, "")):
            self._refused_at[home] = now
        elif order.home_first and home in receipt.acked and now > self._refused_at.get(home, 0.0) + CARE_SECONDS:
            self._refused_at.pop(home, None)

    def _following(
        self,
        order: WriteOrder,
        build: Callable[[ClusterView, WriteOrder], Plan[R]],
        give_up: Callable[[WriteOrder, RedreplError], R] | None = None,
    ) -> Plan[R]:
        """Carry out a plan in the current epoch, reading the topology again where the epoch has moved.

        Safe for writes: whoever says that the epoch has moved stored nothing, and the record keeps its stamp.
        ``give_up`` makes the result where the new epoch cannot be followed; without it that is an error.
        """
        while True:
            try:
                return (yield from build(self._view, order))
            except EpochMoved as moved:
                try:
                    order = yield from self._follow(order, moved)
                except (Unavailable, RequestError) as error:
                    if give_up is None:
                        raise
                    return give_up(order, error)

    def _follow(self, order: WriteOrder, moved: EpochMoved) -> Plan[WriteOrder]:
        """Read the topology again; answers the order as it is in the new epoch.

        Raises Unavailable where that is not told in time, and RequestError where the level cannot be met there.
        """
        if self._base_driver.now() >= order.until:
            raise _between_epochs(moved) from moved
        known = self._view.topology.epoch
        told = yield from hear_topology(self._view, order.until)
        if told.topology is None:
            raise Unavailable("no member could tell the topology", told.failures)
        self._heard(told)
        self._take_up(told.topology, was_heard=True)  # unless another task or thread was quicker
        if self._view.topology.epoch != known:
            yield from self._set_clock(order.until)
        if self._view.topology.epoch == known:
            # Between epochs: the primary moves first, the others a moment later.
            yield from pause(min(order.until, self._base_driver.now() + BETWEEN_EPOCHS_SECONDS))
            if self._base_driver.now() >= order.until:
                raise _between_epochs(moved) from moved
        return self._renewed(order)

    def _compare_clocks(self) -> Plan[None]:
        """After a node turned down what was sent for its age, or as too far ahead: what comes next has the right time,
        where it is this program's clock that jumped. Of many calls that meet this at once the first one compares.
        """
        now = self._base_driver.now()
        if now >= self._clocks_compared_at + CLOCK_WAIT_SECONDS:
            self._clocks_compared_at = now
            yield from self._set_clock(now + self._default_timeout_seconds)

    def _set_clock(self, until: float) -> Plan[None]:
        """Take the clock's offset from the nodes anew: the majority's, whoever the primary is now."""
        now, physical = self._base_driver.now(), self._clock.physical
        far = min(max(map(self._usual_seconds, self._view.ids)), limits.LONGEST_SUSPECT_SECONDS)
        readings = yield from read_clocks(self._view, now, min(until, now + max(CLOCK_WAIT_SECONDS, far)))
        ahead = majority_ahead(readings.values(), len(self._view.ids), self.configuration.max_skew_seconds)
        if ahead is not None:
            physical.set_ahead(ahead, self._base_driver.now())


def is_about_clocks(error: RedreplError) -> bool:
    """Whether a node refused something because its clock and this program's differ."""
    return any(map(is_clock_refusal, error.evidence.values()))


def _between_epochs(moved: EpochMoved) -> Unavailable:
    return Unavailable(f"the cluster is between epochs: {moved.message}", moved.evidence)
