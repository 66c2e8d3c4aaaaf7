"""Looking which topology the members know, and whether the primary that a program knows may still
be the primary.

See docs/protocol.md, sections 4 and 5.5.

A look counts where it told something: a majority, or all that is to be had of the members in the
time that they get. One that the operation's own deadline cut short told nothing. Where a member is
in a later epoch and too many others are silent, it is not known whether the primary was replaced,
and nobody reads from it before that is decided.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from redrepl.plans.client.cluster_state import ClusterState
from redrepl.plans.topology import Told, hear_topology
from redrepl.plans.view import pause
from redrepl.values.effects import Plan
from redrepl.values.errors import Unavailable
from redrepl.values.topology import Topology

BETWEEN_EPOCHS_SECONDS = 0.02
"""Pause before the topology is read again while a change of members is under way."""

TOPOLOGY_SECONDS = 2.0
"""How long a program that only reads may miss that another node is the primary, where the former
one is cut off.
"""

TOPOLOGY_WAIT_SECONDS = 0.25
"""How long such a program waits for the members to tell, unless they are known to be farther
away.
"""

FAR_FACTOR = 4.0
"""How many of their round trips to wait for members that are far away."""

PATIENCE_SECONDS = 5.0
"""While a primary has been away for less, operations wait for another one until their deadlines;
after that hardly.
"""


class Outage(NamedTuple):
    """A primary that is away: the epoch, since when operations have met this, and when the last one
    did.
    """

    epoch: int
    since: float
    seen_at: float


class Dispute(NamedTuple):
    """What members said when it could not be told whether this epoch is over."""

    epoch: int
    evidence: Mapping[str, str]


class TopologyWatch:
    """What a client knows of who the primary is, and how old that is.

    read_at: when the topology was last known to be the members' (monotonic clock, seconds).
    """

    def __init__(self, cluster: ClusterState, is_in_doubt: bool = False) -> None:
        self._cluster = cluster
        self.read_at = float("-inf") if is_in_doubt else cluster.driver.now()
        self._look_began_at = float("-inf")
        self._outage: Outage | None = None
        self._dispute: Dispute | None = None

    def renew(self, until: float) -> Plan[None]:
        """Ask the members which topology they know.

        Raises Unavailable where they do not tell whether this one is over.

        Reads at ONE ask one node alone. One that is cut off from the others and was replaced
        believes that it serves. Another operation of this program that asks just now is enough, for
        as long as an answer may take.
        """
        while True:
            view, now = self._cluster.view, self._cluster.driver.now()
            self._cluster.note_distance(now)
            wait_seconds = self._look_wait_seconds()
            is_asked = now < self._look_began_at + wait_seconds
            if is_asked and now < self.read_at + TOPOLOGY_SECONDS + wait_seconds:
                return
            yield from self.read(min(until, now + wait_seconds))
            if self.read_at >= now:
                return
            now = self._cluster.driver.now()
            if self._dispute is None or self._dispute.epoch < self._cluster.view.topology.epoch:
                if self._cluster.view is view or now >= until:
                    return  # the time was over: the read will say so
            elif now >= min(until, self.patient_until(self._dispute.epoch)):
                self.check_undisputed()
            else:
                yield from self.pause_between_epochs(until)

    def check_undisputed(self) -> None:
        """Raise Unavailable where the present epoch may be over for all that members told."""
        dispute, topology = self._dispute, self._cluster.view.topology
        if dispute is not None and dispute.epoch == topology.epoch:
            text = (
                f"node {topology.decider!r} may have been replaced as the primary: a member is in "
                "a later epoch than "
                f"{dispute.epoch}, and too few others say whether that is so"
            )
            raise Unavailable(text, dispute.evidence)

    def read(self, until: float) -> Plan[None]:
        """Take up the newest topology that members know, if it is newer than this one."""
        started, former = self._cluster.driver.now(), self._cluster.view.topology
        self._look_began_at = started
        told = yield from hear_topology(self._cluster.view, until)
        self._cluster.access.hear(told, self._cluster.view.topology)
        self._cluster.take_up(told.topology, was_heard=True)
        self._note_look(told, started, told.topology or former)
        if not told.is_majority:
            # These may be out of reach, or have been replaced one by one.
            heard = self._cluster.view
            self._cluster.take_up(self._cluster.access.find_elsewhere())
            if self._cluster.view is not heard:
                self.read_at = float("-inf")  # its own members tell whether it is the newest

    def _note_look(self, told: Told, started: float, found: Topology) -> None:
        """Note what a look told: who the primary was when it began, that this is in dispute, or
        nothing.
        """
        if told.dispute:
            self._dispute = Dispute(found.epoch, told.dispute)
            if found.epoch == self._cluster.view.topology.epoch:
                self.read_at = float("-inf")
        elif told.is_majority:
            self._dispute = None
            self.read_at = max(self.read_at, started)
        elif self._dispute is not None and self._dispute.epoch == found.epoch:
            pass  # who was heard to be in a later epoch, and is silent now, is not forgotten
        elif (
            not told.was_cut_short
            or self._cluster.driver.now() >= started + self._look_wait_seconds()
        ):
            self.read_at = max(self.read_at, started)

    def _look_wait_seconds(self) -> float:
        """How long a look waits for members that are silent."""
        return max(
            TOPOLOGY_WAIT_SECONDS,
            FAR_FACTOR * max(map(self._cluster.driver.latency_seconds, self._cluster.view.ids)),
        )

    def patient_until(self, epoch: int) -> float:
        """Until when another primary is waited for; after that one look has to do: this one has
        been away for long.
        """
        now, outage = self._cluster.driver.now(), self._outage
        if outage is None or outage.epoch != epoch or now > outage.seen_at + PATIENCE_SECONDS:
            outage = Outage(epoch, now, now)
        self._outage = outage._replace(seen_at=now)
        return outage.since + PATIENCE_SECONDS

    def pause_between_epochs(self, until: float) -> Plan[None]:
        """Wait a moment for a change of members to come about; not beyond ``until``."""
        return pause(min(until, self._cluster.driver.now() + BETWEEN_EPOCHS_SECONDS))
