"""Following the cluster through a change of epoch, within each operation's deadline
(docs/protocol.md, section 5.5).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from redrepl.plans.client.cluster_state import ClusterState
from redrepl.plans.client.topology_watch import BETWEEN_EPOCHS_SECONDS, TopologyWatch
from redrepl.plans.operations.watch import watching
from redrepl.plans.operations.write import WriteOrder
from redrepl.plans.topology import hear_topology
from redrepl.plans.view import ClusterView, EpochMoved, Refused, pause
from redrepl.values.effects import Plan
from redrepl.values.errors import RedreplError, RequestError, Unavailable
from redrepl.values.reasons import LOST

R = TypeVar("R")


class EpochFollower:
    """What an operation does when the primary is away or another one takes over."""

    def __init__(self, cluster: ClusterState, watch: TopologyWatch) -> None:
        self._cluster = cluster
        self._watch = watch

    def following(
        self,
        order: WriteOrder,
        build: Callable[[ClusterView, WriteOrder], Plan[R]],
        give_up: Callable[[WriteOrder, RedreplError], R] | None = None,
    ) -> Plan[R]:
        """Carry out a plan in the current epoch, reading the topology again where the epoch has
        moved.

        Safe for writes: whoever says that the epoch has moved stored nothing, and the record keeps
        its stamp. ``give_up`` makes the result where the new epoch cannot be followed; without it
        that is an error.
        """
        while True:
            try:
                return (yield from build(self._cluster.view, order))
            except EpochMoved as moved:
                try:
                    order = yield from self.follow(order, moved)
                except (Unavailable, RequestError) as error:
                    if give_up is None:
                        raise
                    return give_up(order, error)

    def follow(self, order: WriteOrder, moved: EpochMoved) -> Plan[WriteOrder]:
        """Read the topology again; answers the order as it is in the new epoch.

        Raises Unavailable where that is not told in time, and RequestError where the level cannot
        be met there.
        """
        if self._cluster.driver.now() >= order.until:
            raise _between_epochs(moved) from moved
        known = self._cluster.view.topology.epoch
        told = yield from hear_topology(self._cluster.view, order.until)
        if told.topology is None:
            raise Unavailable("no member could tell the topology", told.failures)
        self._cluster.access.hear(told, self._cluster.view.topology)
        self._cluster.take_up(
            told.topology, was_heard=True
        )  # unless another task or thread was quicker
        if self._cluster.view.topology.epoch != known:
            yield from self._cluster.set_clock(order.until)
        if self._cluster.view.topology.epoch == known:
            # Between epochs: the primary moves first, the others a moment later.
            yield from pause(min(order.until, self._cluster.driver.now() + BETWEEN_EPOCHS_SECONDS))
            if self._cluster.driver.now() >= order.until:
                raise _between_epochs(moved) from moved
        return self._cluster.renewed(order)

    def reading(
        self, order: WriteOrder, build: Callable[[ClusterView, WriteOrder], Plan[R]]
    ) -> Plan[R]:
        """Carry out a read, again with another primary where one takes over in time."""
        if self._cluster.view.decider is None:
            return (yield from self.following(order, build))
        while True:
            view = self._cluster.view
            try:
                plan = build(view, order)
                return (
                    yield from watching(
                        view, plan, self._cluster.driver.now(), view.others[order.home]
                    )
                )
            except (EpochMoved, Unavailable) as error:
                if not (yield from self.await_reader(view, error, order.home, order.until)):
                    raise as_unavailable(error) from error
                order = self._cluster.renewed(order)

    def await_reader(
        self, view: ClusterView, error: EpochMoved | Unavailable, home: str, until: float
    ) -> Plan[bool]:
        """After a read that failed in this view: wait for another primary, or for this one where it
        was out of reach.

        False where neither comes in time, or where the primary is not what was missing.
        """
        if isinstance(error, EpochMoved):
            return (yield from self.await_epoch_after(view.topology.epoch, until))
        if LOST in error.evidence.get(home, ""):
            # The connection may be there again by now: to read twice does no harm.
            yield from self._watch.pause_between_epochs(until)
            if self._cluster.driver.trouble(home) is None and self._cluster.view is view:
                return self._cluster.driver.now() < until
        if (
            not isinstance(error, Refused)
            and self._cluster.driver.trouble(home) is None
            and self._cluster.view is view
        ):
            return False
        return (yield from self.await_epoch_after(view.topology.epoch, until, home))

    def await_epoch_after(self, epoch: int, until: float, or_home: str | None = None) -> Plan[bool]:
        """Wait until the cluster `_has_moved_on`, or until this node can be reached; False where
        neither comes.
        """
        patient_until = self._watch.patient_until(epoch)
        look_seconds, view = self._cluster.look_seconds(), self._cluster.view
        while True:
            now = self._cluster.driver.now()
            if self._cluster.has_moved_on(view, epoch):
                return now < until
            if now >= until or len(self._cluster.view.ids) < 2:
                return False
            yield from self._watch.read(min(until, now + look_seconds))
            look_seconds *= 2  # they may be farther away than is known
            if not self._cluster.has_moved_on(view, epoch):
                if now >= patient_until:
                    return False
                yield from self._watch.pause_between_epochs(until)
                if or_home is not None and self._cluster.driver.trouble(or_home) is None:
                    return self._cluster.driver.now() < until

    def look_around(self, until: float) -> Plan[None]:
        """After something that did not come out in an epoch: let the members move, and see where
        they are by then.
        """
        yield from self._watch.pause_between_epochs(until)
        if (now := self._cluster.driver.now()) < until:
            yield from self._watch.read(min(until, now + self._cluster.look_seconds()))


def _between_epochs(moved: EpochMoved) -> Unavailable:
    return Unavailable(f"the cluster is between epochs: {moved.message}", moved.evidence)


def as_unavailable(error: EpochMoved | Unavailable) -> Unavailable:
    """The error as callers of a read meet it."""
    if type(error) is Unavailable:
        return error
    if isinstance(error, Unavailable):
        return Unavailable(error.message, error.evidence)
    return Unavailable(f"the cluster is between epochs: {error.message}", error.evidence)
