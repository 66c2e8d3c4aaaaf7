"""Opening a cluster for a program: what the blocking and the asyncio coordinator do alike."""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

from redrepl.edges.admission import Admission, Purpose
from redrepl.edges.async_driver import AsyncDriver
from redrepl.edges.clock import StampClock
from redrepl.edges.cluster import cluster_clock
from redrepl.edges.configuration import Configuration
from redrepl.edges.driver_base import DriverBase
from redrepl.edges.member_access import MemberAccess
from redrepl.edges.reporter import Reporter
from redrepl.edges.wake_ups import NoWakeUps, QueueWakeUps
from redrepl.plans.client.cluster_state import ClusterState
from redrepl.plans.client.codecs import Codecs
from redrepl.plans.client.store import ClientStore
from redrepl.plans.topology import Discovery
from redrepl.plans.view import is_clock_refusal
from redrepl.values.errors import RedreplError
from redrepl.values.keys import KeyLayout
from redrepl.values.session import Session

K = TypeVar("K")
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


def opened_for_asyncio(
    configuration: Configuration, found: Discovery, codecs: Codecs[K, V], session: Session, reporter: Reporter
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
