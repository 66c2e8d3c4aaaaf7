"""A program with an event loop: tasks that share an asyncio coordinator, as the library ships it.

Writes that tasks make in one turn leave as groups (`redrepl.edges.write_groups`), over the board
that all tasks share. Only what opens connections, and the wall clock, is the simulation's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine, Generator, Iterator, Sequence
from random import Random
from typing import Any, Generic, NamedTuple, TypeVar

from redrepl.doors.async_coordinator import AsyncCoordinator
from redrepl.doors.opening import OpenedCluster
from redrepl.edges.addresses import Addresses
from redrepl.edges.admission import Admission, Purpose
from redrepl.edges.async_driver import AsyncDriver
from redrepl.edges.clock import StampClock
from redrepl.edges.configuration import Configuration
from redrepl.edges.endpoint import Endpoint
from redrepl.edges.loop_board import LoopBoard
from redrepl.edges.member_access import MemberAccess
from redrepl.edges.opening import NodeGate
from redrepl.edges.reporter import NOT_OBSERVED
from redrepl.edges.wake_ups import NoWakeUps
from redrepl.plans.client.cluster_state import ClusterState
from redrepl.plans.client.codecs import Codecs
from redrepl.plans.client.store import ClientStore
from redrepl.testing.calls import call
from redrepl.testing.model import Content
from redrepl.values.errors import RedreplError
from redrepl.values.level import Level
from redrepl.values.operation import DELETE, SET, OperationKind
from redrepl.values.preference import ReadPreference
from redrepl.values.stamp import Stamp
from redrepl.values.topology import Topology
from tests.simulation.clients import Client, ClientHistory, Conversation, Habits, ProgramClock
from tests.simulation.loop import SimulatedLoop, WireConnection
from tests.simulation.network import Connection, Link, Machine
from tests.simulation.programs import Gate, Program, Rest, Script

CANCELLED_SHARE = 0.03
"""Of the operations, those whose task is cancelled before they may have ended."""

T = TypeVar("T")


class TaskCancelled(RedreplError):
    """The task was cancelled; what became of its operation is not known."""


class Together(NamedTuple):
    """Operations that a script has carried out at the same time; it gets a result or an exception
    for each.
    """

    operations: Sequence[Coroutine[Any, Any, Any]]


class TaskProgram(Program):
    """A program whose threads are tasks of one event loop."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.loop = SimulatedLoop(self)
        self.driver: AsyncDriver | None = None

    def new_connection(self, link: Link, machine: Machine, node: str) -> Connection:
        """One that takes bytes."""
        return WireConnection(self.name, link, machine, node, self.loop)

    def kill(self) -> None:
        """It is gone, in the middle of whatever its tasks did."""
        super().kill()
        self.loop.end()
        if self.driver is not None:
            self.driver.close()


class TaskDriver(AsyncDriver):
    """The library's driver, opening connections in the simulation."""

    def __init__(
        self, program: TaskProgram, endpoints: list[Endpoint], admission: Admission, timeout: float
    ) -> None:
        self._program = program
        super().__init__(endpoints, admission, timeout)

    def now(self) -> float:
        """The world's time."""
        return self._program.world.now

    def wall_ahead_seconds(self) -> float:
        """What the program's clock is ahead of that."""
        return self._program.wall_ahead_seconds

    def _gate(self, endpoint: Endpoint) -> NodeGate:
        url, identity = endpoint.url, endpoint.identity
        gate = Gate(
            self._program, endpoint.node, self._admission, self._timeout_seconds, url, identity
        )
        gate.endpoint = endpoint
        return gate

    def _open_board(self, before: LoopBoard | None) -> LoopBoard:
        board = super()._open_board(before)
        # Sets of objects are gone through in another order in each process.
        board.under_way = _OrderedSet()  # type: ignore[assignment]
        return board


class TaskAccess(MemberAccess):
    """The members' addresses alone: no thread asks for the cluster elsewhere."""

    def find_elsewhere(self) -> Topology | None:
        """Nowhere."""
        return None


class TaskStore(AsyncCoordinator[str, bytes]):
    """The library's coordinator, which has found its cluster already."""

    def __init__(
        self, configuration: Configuration, topology: Topology, program: TaskProgram, writer: int
    ) -> None:
        super().__init__(configuration)
        addresses = Addresses(configuration)
        access = TaskAccess(configuration, addresses, addresses.of(topology))
        admission = Admission(program.layout, Purpose.SERVE)
        driver = program.driver = TaskDriver(
            program, access.endpoints, admission, configuration.timeout_seconds
        )
        access.drive(driver)
        cluster = ClusterState(
            configuration,
            topology,
            driver,
            StampClock(ProgramClock(program), writer),
            access,
            NOT_OBSERVED,
        )
        store = ClientStore(cluster, program, Codecs[str, bytes](), self.session)
        self._opening.opened = OpenedCluster(driver, NoWakeUps(), store, 0.0)


class TaskCalls:
    """Operations of an asyncio coordinator, to be awaited."""

    def __init__(self, store: TaskStore) -> None:
        self._store = store

    def get_record(self, key: str, level: Level, prefer: ReadPreference) -> Awaitable[Any]:
        """One record."""
        return self._store.get_record(key, level=level, prefer=prefer)

    def get_many(self, keys: Sequence[str], level: Level) -> Awaitable[Any]:
        """Some values."""
        return self._store.get_many(keys, level=level)

    def change(
        self,
        kind: OperationKind,
        key: str,
        argument: Content,
        level: Level,
        expected: Stamp | None = None,
        ttl: float | None = None,
    ) -> Any:
        """One operation that is no read; some of these may leave with others."""
        return call(self._store, kind, key, argument, expected, ttl, level=level)

    def set_many(self, items: dict[str, bytes], level: Level) -> Awaitable[Any]:
        """One batch."""
        return self._store.set_many(items, level=level)


class TaskClient(Client):
    """A client whose threads are tasks."""

    program: TaskProgram
    calls: TaskCalls

    def __init__(
        self,
        program: TaskProgram,
        configuration: Configuration,
        topology: Topology,
        habits: Habits,
        seen: ClientHistory,
        random: Random,
    ) -> None:
        super().__init__(program, configuration, topology, habits, seen, random)
        program.loop.on_failure = seen.crashes.append
        self._conversations["set together"] = self._set_together
        self._conversations["delete together"] = self._delete_together

    def begin(self, threads: int) -> None:
        """Start the tasks."""
        for _ in range(threads):
            self.open_threads += 1
            self.start(self._thread())

    def start(self, script: Script) -> None:
        """Have a script carried out by a task of its own."""
        self.program.loop.create_task(self._drive(script))

    def _open_store(self, configuration: Configuration, topology: Topology, writer: int) -> Any:
        store = TaskStore(configuration, topology, self.program, writer)
        return store, TaskCalls(store)

    async def _drive(self, script: Generator[Any, Any, None]) -> None:
        """What a program's channel does with a script, in a task."""
        result, error = None, None
        try:
            while True:
                wanted = script.send(result) if error is None else script.throw(error)
                result, error = None, None
                try:
                    result = await self._carried_out(wanted)
                except Exception as failure:
                    error = failure
        except StopIteration:
            return
        except Exception as failure:
            self._history.crashes.append(f"{self.program.name}: {failure!r}")

    async def _carried_out(self, wanted: Any) -> Any:
        if isinstance(wanted, Rest):
            return await asyncio.sleep(wanted.seconds)
        if isinstance(wanted, Together):
            return await asyncio.gather(*wanted.operations, return_exceptions=True)
        task = self.program.loop.create_task(wanted)
        if self._random.random() < CANCELLED_SHARE:
            self.program.loop.call_later(
                self._random.random() * self._habits.timeout_seconds / 10, task.cancel
            )
        try:
            return await task
        except asyncio.CancelledError:
            raise TaskCancelled("the task was cancelled") from None

    # Writes of one turn ---------------------------------------------------------------------------

    def _set_together(self) -> Conversation:
        values = {key: self._value() for key in self._some_keys()}
        operations = [self._invoke(key, SET, value) for key, value in values.items()]
        level = self._level()
        results = yield Together(
            [self.calls.change(SET, key, value, level) for key, value in values.items()]
        )
        self._end_together(SET, operations, results)

    def _delete_together(self) -> Conversation:
        keys = self._some_keys()
        operations = [self._invoke(key, DELETE) for key in keys]
        level = self._level()
        results = yield Together([self.calls.change(DELETE, key, None, level) for key in keys])
        self._end_together(DELETE, operations, results)

    def _end_together(self, kind: OperationKind, operations: list[int], results: list[Any]) -> None:
        for operation, result in zip(operations, results, strict=True):
            if isinstance(result, Exception):
                self._failed([operation], kind, result)
            else:
                self._committed(operation, result)
                self._end([operation], "done")

    def _some_keys(self) -> list[str]:
        keys = self._habits.keys
        return self._random.sample(keys, self._random.randint(2, len(keys)))


class _OrderedSet(Generic[T]):
    """What a board does with its set of operations, in the order in which they came."""

    def __init__(self) -> None:
        self._items: dict[T, None] = {}

    def add(self, item: T) -> None:
        """One more."""
        self._items[item] = None

    def discard(self, item: T) -> None:
        """Without this one."""
        self._items.pop(item, None)

    def __iter__(self) -> Iterator[T]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)
