"""What a client needs from the world around it. Drivers, clocks and the simulator provide it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Concatenate, ParamSpec, Protocol

from redrepl.observe import Observer, Source
from redrepl.plans.topology import Told
from redrepl.values.stamp import Stamp
from redrepl.values.topology import Topology

P = ParamSpec("P")


class Driver(Protocol):
    """What a client asks its driver."""

    def now(self) -> float:
        """The clock of deadlines: monotonic, in seconds."""
        ...

    def latency_seconds(self, node: str) -> float:
        """The usual round trip to a node; 0 where it is not known."""
        ...

    def trouble(self, node: str) -> str | None:
        """Why a node cannot be used now; None where nothing is known against it."""
        ...


class PhysicalClock(Protocol):
    """The time of day by the cluster's clocks."""

    def micros(self) -> int:
        """Microseconds since 1970."""
        ...

    def millis(self) -> int:
        """Milliseconds since 1970."""
        ...

    def set_ahead(self, seconds: float, now_seconds: float) -> None:
        """Set it to so many seconds ahead of a monotonic clock that shows ``now_seconds``."""
        ...


class Clock(Protocol):
    """Hands out stamps."""

    @property
    def physical(self) -> PhysicalClock:
        """The time that they follow."""
        ...

    def next(self) -> Stamp:
        """A stamp later than all given or observed before."""
        ...

    def observe(self, micros: int) -> None:
        """Take notice of a stamp that a node accepted."""
        ...


class WakeUps(Protocol):
    """Tells workers that a copy has something to catch up with. Never blocks."""

    def request(self, targets: Iterable[str]) -> None:
        """Wake the workers for these nodes."""
        ...


class Reporter(Protocol):
    """Takes facts for an observer. Never blocks, and calls no foreign code."""

    def note(
        self,
        fact: Callable[Concatenate[Observer, Source, P], object],
        *arguments: P.args,
        **named: P.kwargs,
    ) -> None:
        """Have a fact told: a method of `Observer` itself, and its arguments."""
        ...

    def epoch_is(self, topology: Topology) -> None:
        """This topology is used from now on; a newer epoch than before is a fact."""
        ...


class NodeAccess(Protocol):
    """Decides where the members are reached, and finds them again where all that are known are
    gone.
    """

    @property
    def is_withheld(self) -> bool:
        """Whether a member's address is not confirmed yet, so that the member is not connected
        to.
        """
        ...

    def follow(self, topology: Topology) -> None:
        """Reach these members from now on."""
        ...

    def hear(self, told: Told, topology: Topology) -> None:
        """Members told topologies: addresses that they agree on may be reached from now on."""
        ...

    def confirm_addresses(self, topology: Topology) -> None:
        """Have the configured addresses asked again for what members' addresses are, in the
        background.
        """
        ...

    def find_elsewhere(self) -> Topology | None:
        """Have the configured addresses asked for the cluster, in the background; what they told
        the last time.
        """
        ...
