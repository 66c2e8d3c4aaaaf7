"""Opening a cluster: finding its topology behind the configured addresses, and drivers for serving and upkeep."""

from __future__ import annotations

import time

from redrepl.edges.admission import Admission, Purpose
from redrepl.edges.clock import SystemClock
from redrepl.edges.configuration import Configuration
from redrepl.edges.driver import BlockingDriver
from redrepl.edges.endpoint import Endpoint
from redrepl.plans.topology import Discovery, discover
from redrepl.values.keys import KeyLayout
from redrepl.values.report import NodeReport
from redrepl.values.topology import Topology

CLOCK_TOLERANCE_MILLIS = 50
"""Smaller differences between this machine's clock and the primary's are noise of the measurement."""


def find_cluster(configuration: Configuration) -> Discovery:
    """Ask the configured addresses. Raises Unavailable."""
    layout = KeyLayout(configuration.cluster)
    admission = Admission(layout, Purpose.DISCOVER)
    driver = BlockingDriver(configuration.endpoints, admission, configuration.timeout_seconds)
    try:
        seeds = tuple(endpoint.node for endpoint in configuration.endpoints)
        return driver.run(discover(layout, seeds, driver.now() + configuration.timeout_seconds))
    finally:
        driver.close()


def endpoints_of(
    topology: Topology, configuration: Configuration, seed_of: dict[str, str] | None = None
) -> list[Endpoint]:
    """Addresses of all members: as configured where that is known, else as the topology says."""
    configured = {endpoint.node: endpoint for endpoint in configuration.endpoints}
    login = configuration.endpoints[0]
    endpoints = []
    for member in topology.members:
        known = configured.get((seed_of or {}).get(member.id, member.id))
        if known is None:
            endpoints.append(Endpoint(member.id, member.url, login.username, login.password))
        else:
            endpoints.append(Endpoint(member.id, known.url, known.username, known.password))
    return endpoints


def open_driver(configuration: Configuration, endpoints: list[Endpoint], purpose: Purpose) -> BlockingDriver:
    """A driver for this purpose."""
    admission = Admission(KeyLayout(configuration.cluster), purpose)
    return BlockingDriver(endpoints, admission, configuration.timeout_seconds)


def cluster_clock(found: Discovery) -> SystemClock:
    """This machine's clock, set to the primary's where they differ noticeably."""
    clock = SystemClock()
    primary = found.topology.primaries[0]
    report = found.reports.get(found.seed_of.get(primary, ""))
    if isinstance(report, NodeReport):
        ahead_millis = report.now_millis - time.time_ns() // 1_000_000
        if abs(ahead_millis) > CLOCK_TOLERANCE_MILLIS:
            clock.offset_micros = ahead_millis * 1000
    return clock
