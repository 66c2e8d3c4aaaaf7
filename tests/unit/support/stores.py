"""A coordinator on a cluster in memory, with faults: nodes that are down, and answers lost on their
way back.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from redrepl.doors.batch import Batch
from redrepl.doors.transaction import Transaction
from redrepl.edges.clock import StampClock
from redrepl.edges.configuration import Configuration
from redrepl.edges.endpoint import split_url
from redrepl.edges.reporter import NOT_OBSERVED, Dispatcher, Reporter
from redrepl.observe import Observer, Part
from redrepl.plans.client.cluster_state import ClusterState
from redrepl.plans.client.codecs import Codecs
from redrepl.plans.client.store import ClientStore
from redrepl.values.codec import Codec
from redrepl.values.effects import Event, Failure, Plan, Reply, Request, ScriptCall
from redrepl.values.level import Level
from redrepl.values.session import Session
from redrepl.values.topology import Mode, NodeRole
from tests.support.access import ByName
from tests.unit.support.in_memory import Nodes

R = TypeVar("R")


class FaultyNodes(Nodes):
    """``lost``: nodes that carry out everything and whose answers do not arrive.

    ``calls``: what was sent, in order.
    """

    def __init__(self, copies: int, mode: Mode = Mode.PRIMARY_REPLICA) -> None:
        self.lost: set[str] = set()
        self.calls: list[tuple[str, str, int]] = []
        super().__init__(copies, mode)
        self.calls.clear()

    def scripts(self, node: str) -> list[str]:
        """The scripts and commands that were sent to a node."""
        return [name for target, name, _ in self.calls if target == node]

    def _event(self, request: Request) -> Event:
        command = request.command
        if isinstance(command, ScriptCall):
            self.calls.append((request.node, command.script, len(command.keys)))
        else:
            name = command.arguments[0]
            self.calls.append(
                (request.node, str(name, "ascii") if isinstance(name, bytes) else "", 0)
            )
        event = super()._event(request)
        if request.node in self.lost and isinstance(event, Reply):
            return Failure(request.node, request.tag, "connection lost", True, self.at)
        return event


class Surroundings:
    """Driver and wake-ups of a coordinator in memory; ``latencies`` in seconds, ``troubled``: nodes
    known to be out.
    """

    def __init__(self, nodes: FaultyNodes) -> None:
        self.nodes = nodes
        self.latencies: dict[str, float] = {}
        self.troubled: set[str] = set()
        self.woken: list[str] = []

    def now(self) -> float:
        """The nodes' clock."""
        return self.nodes.at

    def latency_seconds(self, node: str) -> float:
        """As set."""
        return self.latencies.get(node, 0.0)

    def trouble(self, node: str) -> str | None:
        """As set."""
        return "known to be out" if node in self.troubled else None

    def request(self, targets: Iterable[str]) -> None:
        """Take note of who was woken."""
        self.woken += targets


class Store(ClientStore[Any, bytes]):
    """A coordinator on nodes in memory; everything it does happens at once."""

    def __init__(
        self,
        copies: int = 3,
        mode: Mode = Mode.PRIMARY_REPLICA,
        level: Level = "quorum",
        key_codec: Codec[Any] | None = None,
        value_codec: Codec[Any] | None = None,
        observer: Observer | None = None,
    ) -> None:
        self.nodes = FaultyNodes(copies, mode)
        self.around = Surroundings(self.nodes)
        ids = self.nodes.first.ids
        endpoints = tuple(split_url(node, f"redis://{node}:6379/0") for node in ids)
        roles = tuple(
            NodeRole.PRIMARY if mode is Mode.MULTI_PRIMARY or node == "a" else NodeRole.REPLICA
            for node in ids
        )
        self.configuration = Configuration("shop", endpoints, roles, mode, level)
        self.reporter = (
            NOT_OBSERVED
            if observer is None
            else Reporter(Dispatcher(observer), "shop", Part.CLIENT)
        )
        cluster = ClusterState(
            self.configuration, self.nodes.first, self.around, StampClock(), ByName(), self.reporter
        )
        super().__init__(cluster, self.around, Codecs(key_codec, value_codec), Session())

    def run(self, plan: Plan[R]) -> R:
        """Drive a plan to its end."""
        return self.nodes.run(plan)

    def batch(self, level: Level | None = None) -> Batch[Any, bytes]:
        """A batch on this store."""
        return Batch(self, self.run, level, None)

    def transaction(self, level: Level | None = None) -> Transaction[Any, bytes]:
        """A transaction on this store."""
        return Transaction(self, self.run, level, None)

    def value(self, key: str, node: str = "a") -> bytes | None:
        """What a key reads as on one node."""
        record = self.nodes.record(node, key.encode())
        return None if record is None else self.live_value(key, record)

    def values(self, key: str) -> list[bytes | None]:
        """What a key reads as on each node."""
        return [self.value(key, node) for node in self.nodes.first.ids]

    def log(self, node: str = "a") -> list[dict[bytes, bytes]]:
        """Entries of a node's change log: users' keys and stamps."""
        layout = self.nodes.layout
        entries = self.nodes.client(node).execute_command("XRANGE", layout.log, "-", "+")
        pairs = (dict(zip(fields[::2], fields[1::2], strict=True)) for _, fields in entries)
        return [{layout.user_key(name): stamp for name, stamp in entry.items()} for entry in pairs]
