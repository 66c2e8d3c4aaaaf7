"""Opening a cluster for a program: what the blocking and the asyncio coordinator do alike."""

from __future__ import annotations

import asyncio
from typing import Generic, NamedTuple, TypeVar

from redrepl.edges.admission import Admission, Purpose
from redrepl.edges.async_driver import AsyncDriver
from redrepl.edges.clock import StampClock
from redrepl.edges.cluster import cluster_clock, find_cluster
from redrepl.edges.configuration import Configuration
from redrepl.edges.driver_base import DriverBase
from redrepl.edges.member_access import MemberAccess
from redrepl.edges.reporter import Reporter
from redrepl.edges.wake_ups import NoWakeUps, QueueWakeUps
from redrepl.plans.client.cluster_state import ClusterState
from redrepl.plans.client.codecs import Codecs
from redrepl.plans.client.options import CallOptions
from redrepl.plans.client.store import ClientStore
from redrepl.plans.client.writes import PendingWrite
from redrepl.plans.topology import Discovery
from redrepl.plans.view import is_clock_refusal
from redrepl.values.effects import Plan
from redrepl.values.errors import RedreplError, RequestError
from redrepl.values.keys import KeyLayout
from redrepl.values.receipt import WriteReceipt
from redrepl.values.session import Session

K = TypeVar("K")
R = TypeVar("R")
V = TypeVar("V")


def client_store(
    configuration: Configuration,
    found: Discovery,
    driver: DriverBase,
    access: MemberAccess,
    wake_ups: QueueWakeUps | NoWakeUps,
    codecs: Codecs[K, V],
    session: Session,
    reporter: Reporter,
) -> ClientStore[K, V]:
    """The client of a cluster that was found; ``driver`` carries out its plans."""
    access.drive(driver)
    max_skew = configuration.max_skew_seconds
    clock = StampClock(cluster_clock(found, max_skew, driver.now()), max_skew_seconds=max_skew)
    cluster = ClusterState(configuration, found.topology, driver, clock, access, reporter)
    return ClientStore(cluster, wake_ups, codecs, session, found.is_in_doubt)


class OpenedCluster(NamedTuple, Generic[K, V]):
    """What an asyncio coordinator has from when it is open on."""

    driver: AsyncDriver
    queue: QueueWakeUps | NoWakeUps
    store: ClientStore[K, V]
    reached_in_seconds: float

    async def run(self, plan: Plan[R]) -> R:
        """Carry out a plan of this store. Raises what it raises."""
        try:
            return await self.driver.run(plan)
        except RedreplError as error:
            await self._compare_clocks_after(error)
            raise

    async def write(self, write: PendingWrite, options: CallOptions) -> WriteReceipt:
        """A write that leaves together with those that other tasks make in this turn of the
        loop.
        """
        options = self.store.resolved(options)
        try:
            # Deletes go by themselves: at full memory a node takes these alone.
            groups = self.driver.write_groups(
                (options.level, write.kind), self.store.write_group_plan
            )
            return await groups.add(write, options)
        except RedreplError as error:
            await self._compare_clocks_after(error)
            raise

    async def _compare_clocks_after(self, error: RedreplError) -> None:
        if is_about_clocks(error):
            await self.driver.run(self.store.compare_clocks_plan())


class AsyncOpening(Generic[K, V]):
    """The cluster of an asyncio coordinator, which is found once, with the first operation.

    opened: None until then. is_closed: it is not opened any more.
    """

    def __init__(
        self,
        configuration: Configuration,
        codecs: Codecs[K, V],
        session: Session,
        reporter: Reporter,
    ) -> None:
        self.opened: OpenedCluster[K, V] | None = None
        self.is_closed = False
        self._configuration = configuration
        self._codecs = codecs
        self._session = session
        self._reporter = reporter
        self._lock: tuple[asyncio.AbstractEventLoop, asyncio.Lock] | None = None

    async def open(self) -> OpenedCluster[K, V]:
        """The cluster.

        Raises RequestError where it is closed, and Unavailable where no node answers.
        """
        if self.opened is not None and not self.is_closed:
            return self.opened
        if self.is_closed:
            raise RequestError("this coordinator is closed")
        loop = asyncio.get_running_loop()
        if self._lock is None or self._lock[0] is not loop:
            self._lock = (loop, asyncio.Lock())
        async with self._lock[1]:
            if self.opened is None:
                self.opened = await self._find_cluster()
        return self.opened

    async def _find_cluster(self) -> OpenedCluster[K, V]:
        found = await asyncio.to_thread(find_cluster, self._configuration)
        if self.is_closed:
            raise RequestError("this coordinator was closed while it was opened")
        return opened_for_asyncio(
            self._configuration, found, self._codecs, self._session, self._reporter
        )


def opened_for_asyncio(
    configuration: Configuration,
    found: Discovery,
    codecs: Codecs[K, V],
    session: Session,
    reporter: Reporter,
) -> OpenedCluster[K, V]:
    """A driver for the running loop, and the client of a cluster that was found."""
    access = MemberAccess.found(configuration, found)
    admission = Admission(KeyLayout(configuration.cluster), Purpose.SERVE)
    driver = AsyncDriver(access.endpoints, admission, configuration.timeout_seconds, reporter)
    queue = wake_ups_of(configuration, reporter)
    store = client_store(configuration, found, driver, access, queue, codecs, session, reporter)
    return OpenedCluster(driver, queue, store, found.reached_in_seconds)


def wake_ups_of(configuration: Configuration, reporter: Reporter) -> QueueWakeUps | NoWakeUps:
    """Where this configuration's workers are woken."""
    if configuration.queue_url is None:
        return NoWakeUps()
    return QueueWakeUps(
        configuration.cluster,
        configuration.queue_url,
        configuration.queue,
        configuration.queue_key,
        reporter,
    )


def is_about_clocks(error: RedreplError) -> bool:
    """Whether a node refused something because its clock and this program's differ."""
    return any(map(is_clock_refusal, error.evidence.values()))
