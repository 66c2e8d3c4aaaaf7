"""The asyncio coordinator: the same plans, names, receipts and errors as the blocking one, with ``await``."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar, cast

from redrepl.doors.administration import Administration
from redrepl.doors.base import CoordinatorBase, FoundRecord, K, Limits, OwnK, OwnV, PendingWrite, V, Walk
from redrepl.doors.batch import AsyncBatch
from redrepl.doors.coordinator import wake_ups_of
from redrepl.doors.foundation import is_about_clocks
from redrepl.doors.reaching import OnProgress
from redrepl.doors.transaction import AsyncTransaction, run_async_transactions
from redrepl.edges.addresses import Addresses, are_withheld
from redrepl.edges.admission import Admission, Purpose
from redrepl.edges.async_driver import AsyncDriver
from redrepl.edges.clock import StampClock
from redrepl.edges.cluster import Elsewhere, cluster_clock, find_cluster
from redrepl.edges.configuration import Configuration, configuration_of, load_configuration
from redrepl.edges.wake_ups import NoWakeUps, QueueWakeUps
from redrepl.edges.write_groups import WriteGroups
from redrepl.plans.copies.verify import VerifyReport
from redrepl.plans.epochs.failover import FailedOver
from redrepl.plans.recovery.bring_up import BroughtUp
from redrepl.plans.topology import Told
from redrepl.values import limits
from redrepl.values.codec import Codec
from redrepl.values.effects import Plan
from redrepl.values.errors import RedreplError, RequestError
from redrepl.values.keys import KeyLayout
from redrepl.values.level import ConsistencyLevel, Level
from redrepl.values.preference import ReadPreference
from redrepl.values.receipt import WriteReceipt
from redrepl.values.record import NO_DEADLINE, TOMBSTONE, VALUE
from redrepl.values.session import Session, check_session
from redrepl.values.stamp import Stamp
from redrepl.values.status import ClusterStatus, ReplicationStats
from redrepl.values.topology import Node, Topology
from redrepl.values.validation import check_prefix

R = TypeVar("R")


class AsyncCoordinator(CoordinatorBase[K, V]):
    """Reads and writes a replicated store from the tasks of an event loop.

    Any number of tasks share it, over one connection per node; what they ask in one turn of the loop leaves together.
    Operations mean what they mean in `Coordinator`, take the same arguments and raise the same errors. It opens with
    the first of ``async with``, ``await`` and an operation, and then raises what opening raises::

        async with AsyncCoordinator.from_config("redrepl.toml") as store:
            await store.set("user:1", b"ada")

    A task that is cancelled in the middle of a write leaves that write's outcome unknown, as a time-out does. One
    coordinator serves one event loop at a time.
    """

    def __init__(
        self,
        configuration: Configuration,
        *,
        key_codec: Codec[K] | None = None,
        value_codec: Codec[V] | None = None,
        session: Session | None = None,
    ) -> None:
        self.configuration = configuration
        self.session = check_session(session)
        self._codecs = (key_codec, value_codec)
        self._driver: AsyncDriver | None = None
        self._queue: QueueWakeUps | NoWakeUps | None = None
        self._write_groups: dict[tuple[ConsistencyLevel | int, bytes], WriteGroups[PendingWrite, Limits]] = {}
        self._opening: tuple[asyncio.AbstractEventLoop, asyncio.Lock] | None = None
        self._is_closed = False

    @classmethod
    def from_config(
        cls,
        path: str | os.PathLike[str] | None = None,
        *,
        key_codec: Codec[OwnK] | None = None,
        value_codec: Codec[OwnV] | None = None,
        session: Session | None = None,
    ) -> AsyncCoordinator[OwnK, OwnV]:
        """As `Coordinator.from_config`; may be awaited or entered with ``async with``."""
        kind = cast(type[AsyncCoordinator[OwnK, OwnV]], cls)
        return kind(load_configuration(path), key_codec=key_codec, value_codec=value_codec, session=session)

    @classmethod
    def connect(
        cls,
        urls: Sequence[str],
        cluster: str,
        *,
        key_codec: Codec[OwnK] | None = None,
        value_codec: Codec[OwnV] | None = None,
        session: Session | None = None,
        **settings: Any,
    ) -> AsyncCoordinator[OwnK, OwnV]:
        """As `Coordinator.connect`; may be awaited or entered with ``async with``."""
        configuration = configuration_of(urls, cluster, settings)
        kind = cast(type[AsyncCoordinator[OwnK, OwnV]], cls)
        return kind(configuration, key_codec=key_codec, value_codec=value_codec, session=session)

    async def open(self) -> Self:
        """Find the cluster, unless that was done already. Raises Unavailable where no node answers."""
        if self._is_closed:
            raise RequestError("this coordinator is closed")
        loop = asyncio.get_running_loop()
        if self._opening is None or self._opening[0] is not loop:
            self._opening = (loop, asyncio.Lock())
        async with self._opening[1]:
            if self._driver is None:
                await self._open()
        return self

    async def close(self) -> None:
        """Close the connections; wake-ups not yet sent get a moment to leave."""
        self._is_closed = True
        if self._driver is not None:
            self._driver.close()
        if self._queue is not None:
            await asyncio.to_thread(self._queue.close)

    async def aclose(self) -> None:
        """As `close`, by the name that redis-py gives it."""
        await self.close()

    def __await__(self) -> Generator[Any, None, Self]:
        return self.open().__await__()

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def topology(self) -> Topology:
        """The members, roles and epoch as last read. Raises RequestError before the coordinator is open."""
        if self._driver is None:
            raise RequestError("this coordinator is not open yet: await it, or enter it with async with")
        return super().topology

    async def _open(self) -> None:
        configuration, (key_codec, value_codec) = self.configuration, self._codecs
        found = await asyncio.to_thread(find_cluster, configuration)
        if self._is_closed:
            raise RequestError("this coordinator was closed while it was opened")
        self._addresses = addresses = Addresses(configuration)
        endpoints = addresses.found(found)
        admission = Admission(KeyLayout(configuration.cluster), Purpose.SERVE)
        driver = AsyncDriver(endpoints, admission, configuration.timeout_seconds)
        self._queue = wake_ups_of(configuration)
        max_skew = configuration.max_skew_seconds
        clock = StampClock(cluster_clock(found, max_skew, driver.now()), max_skew_seconds=max_skew)
        super().__init__(
            configuration,
            found.topology,
            driver,
            self._queue,
            key_codec,
            value_codec,
            self.session,
            clock,
            Elsewhere(configuration, lambda again: addresses.hear_reports(again.reports)),
            found.reached_in_seconds,
            found.is_in_doubt,
        )
        self._has_withheld = are_withheld(endpoints)
        self._driver = driver

    async def _opened(self) -> AsyncDriver:
        if self._driver is None or self._is_closed:
            await self.open()
        assert self._driver is not None, "open has set it"
        return self._driver

    async def _run(self, plan: Plan[R]) -> R:
        driver = await self._opened()
        try:
            return await driver.run(plan)
        except RedreplError as error:
            if is_about_clocks(error):
                await driver.run(self._compare_clocks())
            raise

    def _adopt(self, topology: Topology) -> None:
        super()._adopt(topology)
        self._reach(topology)

    def _reach(self, topology: Topology) -> None:
        if self._driver is not None:
            endpoints = self._addresses.of(topology)
            self._has_withheld = are_withheld(endpoints)
            self._driver.set_endpoints(endpoints)

    def _heard(self, told: Told) -> None:
        if self._addresses.hear_told(told, len(self._view.ids)) and self._has_withheld:
            self._reach(self._view.topology)

    def _look_for_vouchers(self) -> None:
        self._found_elsewhere()
        if not are_withheld(self._addresses.of(self._view.topology)):
            self._reach(self._view.topology)

    async def _write_grouped(
        self, key: K | str | bytes, kind: bytes, payload: bytes, deadline_millis: int, how: Limits
    ) -> WriteReceipt:
        """A write that leaves together with those that other tasks make in this turn of the loop."""
        raw = self._key(key)
        user_key = key if isinstance(key, (str, bytes)) else raw
        level = self._view.resolve_level(self._default_level if how.level is None else how.level)[0]
        how = Limits(level, self._timeout(how.timeout_seconds))
        pending = PendingWrite(user_key, raw, kind, payload, deadline_millis)
        try:
            return await self._groups(level, kind).add(pending, how)
        except RedreplError as error:
            if is_about_clocks(error):
                await self._run(self._compare_clocks())
            raise

    def _groups(self, level: ConsistencyLevel | int, kind: bytes) -> WriteGroups[PendingWrite, Limits]:
        """Deletes go by themselves: at full memory a node takes these alone."""
        assert self._driver is not None, "it is open"
        board, groups = self._driver.board(), self._write_groups.get((level, kind))
        if groups is None or groups.board is not board:
            groups = self._write_groups[level, kind] = WriteGroups(board, self._write_group)
        return groups

    # The cluster ---------------------------------------------------------------------------------------------

    async def health(self) -> ClusterStatus:
        """As `Coordinator.health`. This and the other operations on the whole cluster run in a thread."""
        return await asyncio.to_thread(self._administer, Administration.status)

    async def stats(self) -> ReplicationStats:
        """As `Coordinator.stats`."""
        return (await self.health()).stats

    async def nodes(self) -> list[Node]:
        """As `Coordinator.nodes`."""
        now = time.time()
        return [status.as_node(now) for status in (await self.health()).nodes]

    async def sync(self, node: str | None = None, on_progress: OnProgress | None = None) -> list[BroughtUp]:
        """As `Coordinator.sync`; ``on_progress`` is called in another thread. Cancelled, the work goes on there."""
        return await asyncio.to_thread(self._administer, Administration.sync, node, on_progress)

    async def verify(self, repair: bool = False, on_progress: OnProgress | None = None) -> VerifyReport:
        """As `Coordinator.verify`; ``on_progress`` is called in another thread. Cancelled, the work goes on there."""
        return await asyncio.to_thread(self._administer, Administration.verify, repair, on_progress)

    async def failover(self, to: str | None = None) -> FailedOver:
        """As `Coordinator.failover`. Cancelled, the work goes on in its thread."""
        return await self._moved(Administration.failover, to)

    async def switchover(self, to: str, on_progress: OnProgress | None = None) -> FailedOver:
        """As `Coordinator.switchover`; ``on_progress`` is called in another thread. Cancelled, it goes on there."""
        return await self._moved(Administration.switchover, to, on_progress)

    async def _moved(self, operation: Any, *arguments: Any) -> FailedOver:
        """Carry out a change of the primary, and go on with the new one."""

        def move(administration: Administration) -> tuple[FailedOver, Topology | None]:
            done = operation(administration, *arguments)
            return done, administration.inspect()[0]

        await self._opened()
        done: FailedOver
        done, topology = await asyncio.to_thread(self._administer, move)
        self._take_up(topology)
        return done

    def _administer(self, operation: Any, *arguments: Any) -> Any:
        with Administration(self.configuration) as administration:
            administration.find_members()
            return operation(administration, *arguments)

    # Writes --------------------------------------------------------------------------------------------------

    async def set(
        self,
        key: K | str | bytes,
        value: V | bytes,
        *,
        ttl: float | None = None,
        level: Level | None = None,
        timeout_seconds: float | None = None,
    ) -> WriteReceipt:
        """As `Coordinator.set`."""
        await self._opened()
        payload, deadline = self._value(value), self._deadline(ttl)
        return await self._write_grouped(key, VALUE, payload, deadline, Limits(level, timeout_seconds))

    async def delete(
        self, key: K | str | bytes, *, level: Level | None = None, timeout_seconds: float | None = None
    ) -> WriteReceipt:
        """As `Coordinator.delete`."""
        await self._opened()
        return await self._write_grouped(key, TOMBSTONE, b"", NO_DEADLINE, Limits(level, timeout_seconds))

    async def set_many(
        self,
        items: Mapping[Any, V | bytes],
        *,
        ttl: float | None = None,
        level: Level | None = None,
        timeout_seconds: float | None = None,
    ) -> dict[Any, WriteReceipt]:
        """As `Coordinator.set_many`."""
        return await self._run(self._set_many(items, ttl, Limits(level, timeout_seconds)))

    async def delete_many(
        self, keys: Iterable[K | str | bytes], *, level: Level | None = None, timeout_seconds: float | None = None
    ) -> dict[Any, WriteReceipt]:
        """As `Coordinator.delete_many`."""
        return await self._run(self._delete_many(keys, Limits(level, timeout_seconds)))

    async def add(
        self,
        key: K | str | bytes,
        value: V | bytes,
        *,
        ttl: float | None = None,
        level: Level | None = None,
        timeout_seconds: float | None = None,
    ) -> WriteReceipt:
        """As `Coordinator.add`."""
        return await self._run(self._add(key, value, ttl, Limits(level, timeout_seconds)))

    async def compare_and_set(
        self,
        key: K | str | bytes,
        value: V | bytes,
        *,
        expected: Stamp | None,
        ttl: float | None = None,
        level: Level | None = None,
        timeout_seconds: float | None = None,
    ) -> WriteReceipt:
        """As `Coordinator.compare_and_set`."""
        return await self._run(self._compare_and_set(key, value, expected, ttl, Limits(level, timeout_seconds)))

    async def increment(
        self,
        key: K | str | bytes,
        amount: int = 1,
        *,
        level: Level | None = None,
        timeout_seconds: float | None = None,
    ) -> int:
        """As `Coordinator.increment`."""
        return await self._run(self._increment(key, amount, Limits(level, timeout_seconds)))

    async def expire(
        self,
        key: K | str | bytes,
        ttl: float | None,
        *,
        level: Level | None = None,
        timeout_seconds: float | None = None,
    ) -> WriteReceipt:
        """As `Coordinator.expire`."""
        return await self._run(self._expire(key, ttl, Limits(level, timeout_seconds)))

    def batch(self, level: Level | None = None, timeout_seconds: float | None = None) -> AsyncBatch[K, V]:
        """As `Coordinator.batch`, with ``async with`` and an awaited `execute`. The coordinator must be open."""
        return AsyncBatch(self, self._run, level, timeout_seconds)

    def transaction(self, level: Level | None = None, timeout_seconds: float | None = None) -> AsyncTransaction[K, V]:
        """As `Coordinator.transaction`, with ``async with`` and awaited reads. The coordinator must be open."""
        return AsyncTransaction(self, self._run, level, timeout_seconds)

    async def transact(
        self,
        function: Callable[[AsyncTransaction[K, V]], Awaitable[R]],
        attempts: int = limits.TRANSACTION_ATTEMPTS,
        *,
        level: Level | None = None,
        timeout_seconds: float | None = None,
    ) -> R:
        """As `Coordinator.transact`, with an asynchronous function."""
        await self._opened()
        return await run_async_transactions(
            lambda: self.transaction(level, timeout_seconds), function, attempts, self._run
        )

    # Reads ---------------------------------------------------------------------------------------------------

    async def get(
        self,
        key: K | str | bytes,
        *,
        level: Level = ConsistencyLevel.ONE,
        prefer: ReadPreference | str = ReadPreference.PRIMARY,
        timeout_seconds: float | None = None,
    ) -> V | None:
        """As `Coordinator.get`."""
        return await self._run(self._get(key, level, prefer, timeout_seconds))

    async def get_record(
        self,
        key: K | str | bytes,
        *,
        level: Level = ConsistencyLevel.ONE,
        prefer: ReadPreference | str = ReadPreference.PRIMARY,
        timeout_seconds: float | None = None,
    ) -> FoundRecord[V] | None:
        """As `Coordinator.get_record`."""
        return await self._run(self._get_record(key, level, prefer, timeout_seconds))

    async def get_many(
        self,
        keys: Iterable[K | str | bytes],
        *,
        level: Level = ConsistencyLevel.ONE,
        prefer: ReadPreference | str = ReadPreference.PRIMARY,
        timeout_seconds: float | None = None,
    ) -> dict[Any, V | None]:
        """As `Coordinator.get_many`."""
        return await self._run(self._get_many(keys, level, prefer, timeout_seconds))

    async def ttl(
        self, key: K | str | bytes, *, level: Level = ConsistencyLevel.ONE, timeout_seconds: float | None = None
    ) -> float:
        """As `Coordinator.ttl`."""
        return await self._run(self._ttl(key, level, timeout_seconds))

    def keys(self, prefix: str | bytes = b"", *, timeout_seconds: float | None = None) -> AsyncIterator[bytes]:
        """As `Coordinator.keys`, with ``async for``."""
        return self._walk_keys(check_prefix(prefix), timeout_seconds)

    async def _walk_keys(self, start: bytes, timeout_seconds: float | None) -> AsyncIterator[bytes]:
        walk, seen = Walk(), set[bytes]()
        while not walk.is_over:
            walk, names = await self._run(self._keys_page(start, walk, timeout_seconds))
            for name in names:
                if name not in seen:
                    seen.add(name)
                    yield self._view.layout.user_key(name)
