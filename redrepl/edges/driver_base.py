"""What every driver has: a gate to each node, the clock of deadlines, and what is known against a
node.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from redrepl.edges.admission import Admission
from redrepl.edges.endpoint import Endpoint
from redrepl.edges.forking import renew_after_fork
from redrepl.edges.opening import NodeGate
from redrepl.edges.reporter import NOT_OBSERVED, Reporter
from redrepl.values import limits


class DriverBase:
    """The gates of one cluster's nodes.

    ``timeout_seconds``: for opening a connection, and for a silent one.
    """

    def __init__(
        self,
        endpoints: Iterable[Endpoint],
        admission: Admission,
        timeout_seconds: float = limits.DEFAULT_TIMEOUT_SECONDS,
        reporter: Reporter = NOT_OBSERVED,
    ) -> None:
        self._admission = admission
        self._reporter = reporter
        self._timeout_seconds = timeout_seconds
        self._gates: dict[str, NodeGate] = {}
        self._closed = False
        self.set_endpoints(endpoints)
        renew_after_fork(self)

    def after_fork(self) -> None:
        """A child opens connections of its own; the parent's stay untouched."""
        self._gates = {node: self._gate(gate.endpoint) for node, gate in self._gates.items()}

    def set_endpoints(self, endpoints: Iterable[Endpoint]) -> None:
        """Take on new and changed addresses; what is under way finishes the question it is at on
        the old ones.
        """
        wanted = {endpoint.node: endpoint for endpoint in endpoints}
        kept = {
            node: gate for node, gate in self._gates.items() if wanted.get(node) == gate.endpoint
        }
        if len(kept) == len(wanted) == len(self._gates):
            return
        gone = [gate for node, gate in self._gates.items() if node not in kept]
        self._gates = {
            node: kept.get(node) or self._gate(endpoint) for node, endpoint in wanted.items()
        }
        for gate in gone:
            gate.close()

    def now(self) -> float:
        """The clock of deadlines, in seconds."""
        return time.monotonic()

    def wall_ahead_seconds(self) -> float:
        """What this machine's wall clock is ahead of the clock of deadlines: a vote about nodes'
        clocks, no more.
        """
        return time.time() - time.monotonic()

    def latency_seconds(self, node: str) -> float:
        """A moving average of how long this node takes to answer; 0 before its first answer."""
        gate = self._gates.get(node)
        return gate.round_trip.smoothed_seconds if gate else 0.0

    def patience_seconds(self) -> float:
        """How long to wait for an answer of all nodes: the time-out, and more where one is far or
        was never reached.
        """
        return max(
            [gate.patience_seconds() for gate in self._gates.values()],
            default=self._timeout_seconds,
        )

    def trouble(self, node: str) -> str | None:
        """Why this node is out of use at the moment, None while nothing is known against it."""
        gate = self._gates.get(node)
        return gate.current_trouble() if gate else f"no address is known for node {node!r}"

    def _close_gates(self) -> None:
        self._closed = True
        for gate in self._gates.values():
            gate.close()

    def _gate(self, endpoint: Endpoint) -> NodeGate:
        return NodeGate(endpoint, self._admission, self._timeout_seconds, self._reporter)
