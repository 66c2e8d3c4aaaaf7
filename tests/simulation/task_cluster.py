"""A program with an event loop in a quiet simulated cluster: the library's asyncio driver, in
simulated time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from redrepl.edges.admission import Purpose
from redrepl.edges.write_groups import WriteGroups
from redrepl.values.effects import Command, ScriptCall
from tests.simulation.quiet import quiet_cluster
from tests.simulation.simulation import LAYOUT, Simulation
from tests.simulation.tasks import TaskProgram, TaskStore

WRITES = ("write", "write_many", "write_oom", "write_many_oom")


class Tasks:
    """A program with an event loop in a quiet cluster, and the writes that each server was sent."""

    def __init__(self) -> None:
        self.cluster: Simulation = quiet_cluster()
        self.world = self.cluster.world
        self.program = TaskProgram("tasks", self.cluster.network, LAYOUT, Purpose.SERVE, 1.0)
        self.store = TaskStore(self.cluster.configuration, self.cluster.topology, self.program, 7)
        self.sent: dict[str, list[ScriptCall]] = {node: [] for node in self.cluster.nodes}
        for node, machine in self.cluster.network.machines.items():
            machine.twist = self._noting(node)

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """What a coroutine returns, or raises."""
        task = self.begin(work)
        self.world.run(self.world.now + 30.0, task.done)
        return task.result()

    def begin(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Have it carried out when the world runs."""
        return self.program.loop.create_task(work)

    def together(self, *operations: Awaitable[Any]) -> list[Any]:
        """What operations return or raise that are begun in one turn, behind a read that is on its
        way.

        Without the read the first of them would be alone, and leave at once.
        """

        async def gathered() -> list[Any]:
            return await asyncio.gather(self.store.get("busy"), *operations, return_exceptions=True)

        return list(self.run(gathered()))[1:]

    def connect(self) -> None:
        """Have connections to all nodes opened."""
        self.together(self.store.set("first", b"v", level="all"))
        self.forget()

    def forget(self) -> None:
        """What was sent until now is not looked at."""
        for sent in self.sent.values():
            sent.clear()

    def groups(self, node: str = "a") -> list[tuple[str, int]]:
        """Scripts that wrote on a node, and how many keys each."""
        return [(call.script, len(call.keys) - 2) for call in self.sent[node]]

    def groups_under_way(self) -> int:
        """Groups that have left and have not returned."""
        return sum(len(groups._under_way) for groups in self.write_groups())

    def write_groups(self) -> list[WriteGroups[Any, Any]]:
        """Where writes of one manner come together."""
        assert self.program.driver is not None, "its store is open"
        return list(self.program.driver._write_groups.values())

    def values(self, key: str) -> list[bytes | None]:
        """What each node holds under a key."""
        found = [machine.server.data for machine in self.cluster.network.machines.values()]
        name = LAYOUT.data(key.encode())
        return [data[name].value.rpartition(b"|")[2] if name in data else None for data in found]

    def _noting(self, node: str) -> Callable[[Command, Callable[[], Any]], Any]:
        def carried_out(command: Command, carry_out: Callable[[], Any]) -> Any:
            if isinstance(command, ScriptCall) and command.script in WRITES:
                self.sent[node].append(command)
            return carry_out()

        return carried_out
