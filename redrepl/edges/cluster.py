"""Opening a cluster: finding its topology behind the configured addresses, and drivers for serving
and upkeep.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from redrepl.edges.admission import Admission, Purpose
from redrepl.edges.clock import SystemClock
from redrepl.edges.configuration import BY_URLS, Configuration
from redrepl.edges.driver import BlockingDriver
from redrepl.edges.endpoint import Endpoint, address, place_of
from redrepl.edges.forking import renew_after_fork
from redrepl.edges.locks import new_lock
from redrepl.edges.reporter import NOT_OBSERVED, Reporter
from redrepl.edges.threads import check_threads
from redrepl.plans.inspect import inspect_nodes
from redrepl.plans.topology import Discovery, discover
from redrepl.values.clocks import believed_ahead
from redrepl.values.errors import RedreplError, Unavailable
from redrepl.values.keys import KeyLayout
from redrepl.values.reasons import SILENT
from redrepl.values.report import Configured, NodeReport
from redrepl.values.reports import NO_REPORTS, Reports
from redrepl.values.topology import Topology

AGAIN_SECONDS = 5.0
"""Between one look for the cluster behind the configured addresses and the next."""


def find_cluster(configuration: Configuration) -> Discovery:
    """Ask the configured addresses. Raises Unavailable."""
    layout = KeyLayout(configuration.cluster)
    admission = Admission(layout, Purpose.DISCOVER)
    driver = BlockingDriver(configuration.endpoints, admission, configuration.timeout_seconds)
    try:
        seeds = tuple(endpoint.node for endpoint in configuration.endpoints)
        soon, patience_seconds = (
            driver.now() + configuration.timeout_seconds,
            driver.patience_seconds(),
        )
        return driver.run(discover(layout, seeds, soon, soon + patience_seconds))
    except Unavailable as error:
        raise _with_addresses(error, configuration) from error
    finally:
        driver.close()


def _with_addresses(error: Unavailable, configuration: Configuration) -> Unavailable:
    """The error, with the address at which each node was asked; where urls alone are known, these
    are its name.
    """
    places = {endpoint.node: address(endpoint) for endpoint in configuration.endpoints}
    evidence = {node: _placed(why, places[node]) for node, why in error.evidence.items()}
    if configuration.origin != BY_URLS:
        return Unavailable(error.message, evidence)
    if len(set(places.values())) < len(places):  # several databases of one server
        places = {endpoint.node: endpoint.reached_at for endpoint in configuration.endpoints}
    names = re.compile("|".join(rf"\b{re.escape(node)}\b" for node in places))
    message = names.sub(lambda found: places[found[0]], error.message)
    return Unavailable(
        message,
        {places[node]: why.removeprefix(f"{places[node]} ") for node, why in evidence.items()},
    )


def _placed(why: str, place: str) -> str:
    return f"{place} {why}" if why.startswith(SILENT) else why


def endpoints_of(
    topology: Topology, configuration: Configuration, seed_of: Mapping[str, str] | None = None
) -> list[Endpoint]:
    """Addresses and identities of all members, as the topology says, with the logins that are
    configured.

    A configured ``url`` serves to find the cluster. Where a member is reached at another address
    from here, its ``connect_url`` says so. Members that are not configured have the login of the
    seed that led to them (``seed_of``), or of the first one.
    """
    configured = {
        endpoint.node: endpoint for endpoint in (*configuration.endpoints, *configuration.routes)
    }
    endpoints = []
    for member in topology.members:
        known = configured.get(member.id)
        if known is None:
            seed = configured.get((seed_of or {}).get(member.id, ""), configuration.endpoints[0])
            known = replace(seed, connect_url=None)
        here = known.url if member.id in configured or member.id in (seed_of or {}) else member.url
        is_elsewhere = known.connect_url is None and place_of(here) != place_of(member.url)
        configured_at = here if is_elsewhere else None
        endpoints.append(
            replace(
                known,
                node=member.id,
                url=member.url,
                identity=member.identity,
                configured_at=configured_at,
            )
        )
    return endpoints


class Elsewhere:
    """Looks for the cluster behind the configured addresses, in a thread of its own, at most every
    AGAIN_SECONDS.

    For a program whose known members are all gone: they may have been replaced one by one while it
    was idle.
    on_found: is given what was found, in that thread.
    """

    def __init__(
        self, configuration: Configuration, on_found: Callable[[Discovery], object] | None = None
    ) -> None:
        self._configuration = configuration
        self._on_found = on_found
        self._lock = new_lock()
        self._thread: threading.Thread | None = None
        self._asked_at = float("-inf")
        self._found: Topology | None = None
        renew_after_fork(self)

    def after_fork(self) -> None:
        """The thread did not come along."""
        self._lock, self._thread = new_lock(), None

    def ask(self) -> Topology | None:
        """What was found so far. Begins another look, unless there was one just now."""
        with self._lock:
            if self._thread is None and time.monotonic() >= self._asked_at + AGAIN_SECONDS:
                self._begin()
            return self._found

    def _begin(self) -> None:
        self._asked_at = time.monotonic()
        self._thread = threading.Thread(target=self._look, name="redrepl-find-cluster", daemon=True)
        try:
            check_threads()
            self._thread.start()
        except RuntimeError:  # no thread can be started now: another time
            self._thread = None

    def _look(self) -> None:
        try:
            found = find_cluster(self._configuration)
            if self._on_found is not None:
                self._on_found(found)
            self._found = found.topology
        except RedreplError:
            return  # whoever asked says what it could not do
        finally:
            self._thread = None


def look_at_urls(configuration: Configuration, topology: Topology) -> list[Configured]:
    """The configured nodes, with what answers where a url is not the one that the cluster has for
    that member.
    """
    seeds = [
        each
        for each in configuration.endpoints
        if each.connect_url is None and _is_elsewhere(each, topology)
    ]
    found = NO_REPORTS
    if seeds:
        layout = KeyLayout(configuration.cluster)
        driver = BlockingDriver(
            seeds, Admission(layout, Purpose.DISCOVER), configuration.timeout_seconds
        )
        try:
            until = driver.now() + configuration.timeout_seconds
            found = driver.run(
                inspect_nodes(layout, [each.node for each in seeds], until, known=topology)
            )
        finally:
            driver.close()
    return [
        Configured(each.node, each.url, _outcome(found, each.node))
        for each in configuration.endpoints
    ]


def _outcome(found: Reports, node: str) -> NodeReport | str | None:
    return found.of(node) or found.silent.get(node)


def _is_elsewhere(endpoint: Endpoint, topology: Topology) -> bool:
    urls = {member.id: member.url for member in topology.members}
    return endpoint.node in urls and place_of(endpoint.url) != place_of(urls[endpoint.node])


def open_driver(
    configuration: Configuration,
    endpoints: list[Endpoint],
    purpose: Purpose,
    reporter: Reporter = NOT_OBSERVED,
) -> BlockingDriver:
    """A driver for this purpose."""
    admission = Admission(KeyLayout(configuration.cluster), purpose)
    return BlockingDriver(endpoints, admission, configuration.timeout_seconds, reporter)


def cluster_clock(found: Discovery, max_skew_seconds: float, now_seconds: float) -> SystemClock:
    """This machine's clock, set to the majority's of the nodes where they differ noticeably.

    Where no majority agrees, this machine's clock decides whom to believe: the primary, unless
    another is right and that is not. ``now_seconds``: the monotonic clock by which the nodes'
    clocks were read.
    """
    clock = SystemClock()
    own = clock.micros() / 1e6 - now_seconds
    members = found.topology.ids
    reports = found.reports.among(found.seed_of[node] for node in members if node in found.seed_of)
    readings = {report.node: report.clock for report in reports if report.clock}
    primary = found.seed_of.get(found.topology.primaries[0], "")
    ahead = believed_ahead(readings, primary, len(members), max_skew_seconds, own)
    if ahead is not None:
        clock.set_ahead(ahead, now_seconds)
    return clock
