"""The asyncio coordinator: the same plans, names, receipts and errors as the blocking one, with
``await``.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Generator,
    Iterable,
    Mapping,
    Sequence,
)
from functools import partial
from types import TracebackType
from typing import Any, Generic, Never, Self, TypeVar, cast

from redrepl.doors.administration import Administration
from redrepl.doors.batch import AsyncBatch
from redrepl.doors.coordinator import OwnK, OwnV
from redrepl.doors.opening import AsyncOpening
from redrepl.doors.reaching import OnProgress
from redrepl.doors.transaction import AsyncTransaction, run_async_transactions
from redrepl.edges.configuration import Configuration, configuration_of, load_configuration
from redrepl.edges.reporter import Dispatcher, Reporter
from redrepl.observe import Observer, Part
from redrepl.plans.client.codecs import Codecs, K, V
from redrepl.plans.client.options import CallOptions
from redrepl.plans.client.reads import FoundRecord, Walk
from redrepl.plans.client.store import ClientStore
from redrepl.plans.copies.verify import VerifyReport
from redrepl.plans.epochs.failover import FailedOver
from redrepl.plans.recovery.bring_up import BroughtUp
from redrepl.values import limits
from redrepl.values.codec import Codec
from redrepl.values.effects import Plan
from redrepl.values.errors import RequestError
from redrepl.values.level import ConsistencyLevel, Level
from redrepl.values.preference import ReadPreference
from redrepl.values.receipt import WriteReceipt
from redrepl.values.session import Session, check_session
from redrepl.values.stamp import Stamp
from redrepl.values.status import ClusterStatus, ReplicationStats
from redrepl.values.topology import Node, Topology
from redrepl.values.validation import check_prefix

R = TypeVar("R")


class AsyncCoordinator(Generic[K, V]):
    """Reads and writes a replicated store from the tasks of an event loop.

    Any number of tasks share it, over one connection per node; what they ask in one turn of the
    loop leaves together. Operations mean what they mean in `Coordinator`, take the same arguments
    and raise the same errors. It opens with the first of ``async with``, ``await`` and an
    operation, and then raises what opening raises::

        async with AsyncCoordinator.from_config("redrepl.toml") as store:
            await store.set("user:1", b"ada")

    A task that is cancelled in the middle of a write leaves that write's outcome unknown, as a
    time-out does. One coordinator serves one event loop at a time.
    """

    def __init__(
        self,
        configuration: Configuration,
        *,
        key_codec: Codec[K] | None = None,
        value_codec: Codec[V] | None = None,
        session: Session | None = None,
        observer: Observer | None = None,
    ) -> None:
        self.configuration = configuration
        self._session = check_session(session)
        self._reporter = Reporter(Dispatcher(observer), configuration.cluster, Part.CLIENT)
        codecs = Codecs(key_codec, value_codec)
        self._opening = AsyncOpening(configuration, codecs, self._session, self._reporter)

    def __repr__(self) -> str:
        known, state = self.configuration.cluster, "not open yet"
        if self._opening.opened is not None:
            known, state = str(self._store.cluster.view), "open"
        state = "closed" if self._opening.is_closed else state
        return f"<{type(self).__name__} {known} {state}>"

    def __reduce__(self) -> Never:
        """Connections and threads go to no other process."""
        raise RequestError(
            f"a {type(self).__name__} cannot be pickled or copied: open one in each process"
        )

    @property
    def session(self) -> Session:
        """What this coordinator has written and read, so that it never reads its past."""
        return self._session

    @classmethod
    def from_config(
        cls,
        path: str | os.PathLike[str] | None = None,
        *,
        key_codec: Codec[OwnK] | None = None,
        value_codec: Codec[OwnV] | None = None,
        session: Session | None = None,
        observer: Observer | None = None,
    ) -> AsyncCoordinator[OwnK, OwnV]:
        """Open the cluster of a configuration file.

        path: by default that of REDREPL_CONFIG, or else ./redrepl.toml.

        May be awaited or entered with ``async with``.
        """
        kind = cast(type[AsyncCoordinator[OwnK, OwnV]], cls)
        configuration = load_configuration(path)
        return kind(
            configuration,
            key_codec=key_codec,
            value_codec=value_codec,
            session=session,
            observer=observer,
        )

    @classmethod
    def connect(
        cls,
        urls: Sequence[str],
        cluster: str,
        *,
        key_codec: Codec[OwnK] | None = None,
        value_codec: Codec[OwnV] | None = None,
        session: Session | None = None,
        observer: Observer | None = None,
        **settings: Any,
    ) -> AsyncCoordinator[OwnK, OwnV]:
        """Open a cluster from the urls of some of its nodes.

        settings: the fields of `Configuration`; ``connect_urls`` says for members, by id, at which
        url this program reaches them in place of the cluster's; ``tls`` is a mapping with the keys
        of the configuration's `[tls]` table. Raises RequestError or ConfigError, naming the
        setting.

        May be awaited or entered with ``async with``.
        """
        configuration = configuration_of(urls, cluster, settings)
        kind = cast(type[AsyncCoordinator[OwnK, OwnV]], cls)
        return kind(
            configuration,
            key_codec=key_codec,
            value_codec=value_codec,
            session=session,
            observer=observer,
        )

    async def open(self) -> Self:
        """Find the cluster, unless that was done already.

        Raises Unavailable where no node answers.
        """
        await self._opening.open()
        return self

    async def close(self) -> None:
        """Close the connections; wake-ups not yet sent get a moment to leave.

        Operations are refused from then on.
        """
        self._opening.is_closed = True
        if (opened := self._opening.opened) is not None:
            opened.driver.close()
            await asyncio.to_thread(opened.queue.close)
            await asyncio.to_thread(self._reporter.finish)

    async def aclose(self) -> None:
        """As `close`, by the name that redis-py gives it."""
        await self.close()

    def __await__(self) -> Generator[Any, None, Self]:
        return self.open().__await__()

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def topology(self) -> Topology:
        """The members, roles and epoch as last read.

        Raises RequestError before the coordinator is open.
        """
        return self._store.cluster.view.topology

    @property
    def reached_in_seconds(self) -> float:
        """How long the slowest node that answered took when the cluster was found, connecting
        included.
        """
        opened = self._opening.opened
        return 0.0 if opened is None else opened.reached_in_seconds

    @property
    def _store(self) -> ClientStore[K, V]:
        if self._opening.opened is None:
            raise RequestError(
                "this coordinator is not open yet: await it, or enter it with async with"
            )
        return self._opening.opened.store

    async def _run(self, make_plan: Callable[[ClientStore[K, V]], Plan[R]]) -> R:
        """Carry out a plan of this coordinator's store, once that is open."""
        opened = await self._opening.open()
        return await opened.run(make_plan(opened.store))

    async def _run_plan(self, plan: Plan[R]) -> R:
        return await (await self._opening.open()).run(plan)

    # The cluster ----------------------------------------------------------------------------------

    async def health(self) -> ClusterStatus:
        """How every node and the cluster are, with lags and the conditions of correctness.

        This and the other operations on the whole cluster run in a thread.
        """
        return await asyncio.to_thread(self._administer, Administration.status)

    async def stats(self) -> ReplicationStats:
        """Counts of replicas and data, and the largest lag."""
        return (await self.health()).stats

    async def nodes(self) -> list[Node]:
        """The members with role, state and lag."""
        now = time.time()
        return [status.as_node(now) for status in (await self.health()).nodes]

    async def sync(
        self, node: str | None = None, on_progress: OnProgress | None = None
    ) -> list[BroughtUp]:
        """Bring one replica, or all, to the primary's state exactly; waits until it is done.

        ``on_progress`` is called in another thread. Cancelled, the work goes on there.
        """
        return await asyncio.to_thread(self._administer, Administration.sync, node, on_progress)

    async def verify(
        self, repair: bool = False, on_progress: OnProgress | None = None
    ) -> VerifyReport:
        """Compare every copy with the primary; with ``repair``, make them equal.

        ``on_progress`` is called in another thread. Cancelled, the work goes on there.
        """
        return await asyncio.to_thread(self._administer, Administration.verify, repair, on_progress)

    async def failover(self, to: str | None = None) -> FailedOver:
        """Give the primary's role to ``to``, or to the node that has seen most, where the present
        primary is away.

        No acknowledged QUORUM write is lost; for a planned move, which loses nothing at all, see
        `switchover`. This coordinator goes on with the new primary. Raises RequestError for what
        cannot be, Unavailable where too few members can take part or somebody else moved the
        cluster meanwhile.

        Cancelled, the work goes on in its thread.
        """
        return await self._moved(Administration.failover, to)

    async def switchover(self, to: str, on_progress: OnProgress | None = None) -> FailedOver:
        """Give the primary's role to ``to`` without losing anything: writes pause for a moment, and
        none fails.

        This coordinator goes on with the new primary. Raises as `failover` does, and Unavailable
        where the node lags and does not catch up.

        ``on_progress`` is called in another thread. Cancelled, it goes on there.
        """
        return await self._moved(Administration.switchover, to, on_progress)

    async def _moved(self, operation: Any, *arguments: Any) -> FailedOver:
        """Carry out a change of the primary, and go on with the new one."""

        def move(administration: Administration) -> tuple[FailedOver, Topology | None]:
            done = operation(administration, *arguments)
            return done, administration.inspect()[0]

        await self._opening.open()
        done: FailedOver
        done, topology = await asyncio.to_thread(self._administer, move)
        self._store.cluster.take_up(topology)
        return done

    def _administer(self, operation: Any, *arguments: Any) -> Any:
        reporter = self._reporter.beside(Part.ADMINISTRATION)
        with Administration(self.configuration, reporter=reporter) as administration:
            administration.find_members()
            return operation(administration, *arguments)

    # Writes ---------------------------------------------------------------------------------------

    async def set(
        self,
        key: K | str | bytes,
        value: V | bytes,
        *,
        ttl: float | None = None,
        level: Level | None = None,
        timeout_seconds: float | None = None,
    ) -> WriteReceipt:
        """Store a value. ``ttl`` in seconds: every copy forgets it at the same moment."""
        opened = await self._opening.open()
        write = opened.store.writer.pending_set(key, value, ttl)
        return await opened.write(write, CallOptions(level, timeout_seconds))

    async def delete(
        self,
        key: K | str | bytes,
        *,
        level: Level | None = None,
        timeout_seconds: float | None = None,
    ) -> WriteReceipt:
        """Delete a key: a write like any other, also where the key does not exist."""
        opened = await self._opening.open()
        write = opened.store.writer.pending_delete(key)
        return await opened.write(write, CallOptions(level, timeout_seconds))

    async def set_many(
        self,
        items: Mapping[Any, V | bytes],
        *,
        ttl: float | None = None,
        level: Level | None = None,
        timeout_seconds: float | None = None,
    ) -> dict[Any, WriteReceipt]:
        """Store many values, in chunks of one round trip each; a receipt per key.

        The time-out is each chunk's. Where keys are not confirmed, WriteNotConfirmed (or
        WriteRejected, where none may take effect) is raised after the last chunk, or once the
        primary cannot be reached. What else the primary refuses a chunk with (NotAReplicatedRecord,
        ClockSkew) is raised as it is, after the chunks under way have ended; no more leave. Each of
        these errors has in ``receipts`` one for every key, in the order of ``items``, whose outcome
        says whether it was committed, may take effect or was not sent.
        """
        return await self._run(
            lambda store: store.set_many_plan(items, ttl, CallOptions(level, timeout_seconds))
        )

    async def delete_many(
        self,
        keys: Iterable[K | str | bytes],
        *,
        level: Level | None = None,
        timeout_seconds: float | None = None,
    ) -> dict[Any, WriteReceipt]:
        """Delete many keys as `set_many` stores them."""
        return await self._run(
            lambda store: store.delete_many_plan(keys, CallOptions(level, timeout_seconds))
        )

    async def add(
        self,
        key: K | str | bytes,
        value: V | bytes,
        *,
        ttl: float | None = None,
        level: Level | None = None,
        timeout_seconds: float | None = None,
    ) -> WriteReceipt:
        """Store a value where the key reads as absent: ``receipt.applied`` says whether it did."""
        return await self._run(
            lambda store: store.add_plan(key, value, ttl, CallOptions(level, timeout_seconds))
        )

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
        """Store a value where the version ``expected`` still stands (None: where the key reads as
        absent).

        ``receipt.applied`` says whether it did; if not, ``receipt.stamp`` is the version that
        stands.
        """
        return await self._run(
            lambda store: store.compare_and_set_plan(
                key, value, expected, ttl, CallOptions(level, timeout_seconds)
            )
        )

    async def increment(
        self,
        key: K | str | bytes,
        amount: int = 1,
        *,
        level: Level | None = None,
        timeout_seconds: float | None = None,
    ) -> int:
        """Add to a whole number, an absent key counting as 0, and answer the sum.

        A deadline that stands stays.

        With several primaries, increments on different primaries at the same time are lost but for
        one.
        """
        return await self._run(
            lambda store: store.increment_plan(key, amount, CallOptions(level, timeout_seconds))
        )

    async def append(
        self,
        key: K | str | bytes,
        value: V | bytes,
        *,
        level: Level | None = None,
        timeout_seconds: float | None = None,
    ) -> int:
        """Put bytes behind a value, an absent key counting as empty; returns the new length in
        bytes.

        A deadline that is stored stays. With a value codec the encoding of ``value`` is put behind
        the one that is stored, which JSON for example cannot decode: RequestError unless the codec
        has a true attribute ``can_append``. So it is where the value would exceed MAX_VALUE_BYTES.
        The other copies get the whole value. With several primaries, of appends on different ones
        at the same time all but one are lost.
        """
        return await self._run(
            lambda store: store.append_plan(key, value, CallOptions(level, timeout_seconds))
        )

    async def expire(
        self,
        key: K | str | bytes,
        ttl: float | None,
        *,
        level: Level | None = None,
        timeout_seconds: float | None = None,
    ) -> WriteReceipt:
        """Give a value ``ttl`` more seconds from now, or no deadline with None; not applied where
        the key is absent.
        """
        return await self._run(
            lambda store: store.expire_plan(key, ttl, CallOptions(level, timeout_seconds))
        )

    async def get_and_set(
        self,
        key: K | str | bytes,
        value: V | bytes,
        *,
        ttl: float | None = None,
        level: Level | None = None,
        timeout_seconds: float | None = None,
    ) -> V | None:
        """Store a value; returns the one before it, None where the key was absent.

        ``ttl`` as in `set`.

        The primary decides it, so of several programs at once each value is returned to one alone.
        Where the answer is lost, so is the value before: WriteNotConfirmed, also if the new one is
        found to be stored. What cannot be decoded (UndecodableValue) is replaced all the same. With
        several primaries, one may return what another replaces too.
        """
        options = CallOptions(level, timeout_seconds)
        return await self._run(lambda store: store.get_and_set_plan(key, value, ttl, options))

    def batch(
        self, level: Level | None = None, timeout_seconds: float | None = None
    ) -> AsyncBatch[K, V]:
        """Queue operations of any kind and send them in few round trips, each key on its own; see
        `Batch`.

        With ``async with`` and an awaited `execute`. The coordinator must be open.
        """
        return AsyncBatch(self._store, self._run_plan, level, timeout_seconds)

    def transaction(
        self, level: Level | None = None, timeout_seconds: float | None = None
    ) -> AsyncTransaction[K, V]:
        """Several writes, all or none, if what was read still stands; see `Transaction`.

        With ``async with`` and awaited reads. The coordinator must be open.
        """
        return AsyncTransaction(self._store, self._run_plan, level, timeout_seconds)

    async def transact(
        self,
        function: Callable[[AsyncTransaction[K, V]], Awaitable[R]],
        attempts: int = limits.TRANSACTION_ATTEMPTS,
        *,
        level: Level | None = None,
        timeout_seconds: float | None = None,
    ) -> R:
        """Call ``function`` with a transaction and commit it; answers what the function answered.

        On a conflict both are repeated with a new transaction, ``attempts`` times in all; then
        TransactionConflict is raised. The function may be called several times, so it should do
        nothing else. Other errors end it at once: an unknown outcome is not repeated.

        With an asynchronous function.
        """
        await self._opening.open()
        return await run_async_transactions(
            lambda: self.transaction(level, timeout_seconds), function, attempts, self._run_plan
        )

    # Reads ----------------------------------------------------------------------------------------

    async def get(
        self,
        key: K | str | bytes,
        *,
        level: Level = ConsistencyLevel.ONE,
        prefer: ReadPreference | str = ReadPreference.PRIMARY,
        timeout_seconds: float | None = None,
    ) -> V | None:
        """The value, None where the key is absent, deleted or past its deadline.

        At ONE one copy answers, chosen by ``prefer``. Above, the primary's record is confirmed by
        that many other copies, and pushed to those that lack it; ``prefer`` then has no effect.
        """
        return await self._run(lambda store: store.get_plan(key, level, prefer, timeout_seconds))

    async def get_record(
        self,
        key: K | str | bytes,
        *,
        level: Level = ConsistencyLevel.ONE,
        prefer: ReadPreference | str = ReadPreference.PRIMARY,
        timeout_seconds: float | None = None,
    ) -> FoundRecord[V] | None:
        """The value with its version, deadline and the node that answered."""
        return await self._run(
            lambda store: store.get_record_plan(key, level, prefer, timeout_seconds)
        )

    async def get_many(
        self,
        keys: Iterable[K | str | bytes],
        *,
        level: Level = ConsistencyLevel.ONE,
        prefer: ReadPreference | str = ReadPreference.PRIMARY,
        timeout_seconds: float | None = None,
    ) -> dict[Any, V | None]:
        """The values of many keys, None for those that are absent.

        At ONE with ``prefer`` REPLICA or NEAREST the keys are divided among the replicas, or the
        copies near by, and asked for at once; what one does not answer in time, or has older than
        this session has seen, others are asked.
        """
        return await self._run(
            lambda store: store.get_many_plan(keys, level, prefer, timeout_seconds)
        )

    async def ttl(
        self,
        key: K | str | bytes,
        *,
        level: Level = ConsistencyLevel.ONE,
        timeout_seconds: float | None = None,
    ) -> float:
        """Seconds the value has left; -1 if it has no deadline, -2 if the key is absent (as Redis
        answers).
        """
        return await self._run(lambda store: store.ttl_plan(key, level, timeout_seconds))

    def keys(
        self, prefix: str | bytes = b"", *, timeout_seconds: float | None = None
    ) -> AsyncIterator[bytes]:
        """Keys that start with ``prefix`` and read as present on the primary, in no order; each
        once.

        With ``async for``.
        """
        return self._walk_keys(check_prefix(prefix), timeout_seconds)

    async def _walk_keys(self, start: bytes, timeout_seconds: float | None) -> AsyncIterator[bytes]:
        walk, seen = Walk(), set[bytes]()
        while not walk.is_over:
            plan = partial(
                ClientStore[K, V].keys_page_plan,
                start=start,
                walk=walk,
                timeout_seconds=timeout_seconds,
            )
            walk, names = await self._run(plan)
            for name in names:
                if name not in seen:
                    seen.add(name)
                    yield self._store.cluster.view.layout.user_key(name)
