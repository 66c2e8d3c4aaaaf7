"""Opening a cluster: finding its topology behind the configured addresses, and drivers for serving and upkeep."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

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
    topology: Topology, configuration: Configuration, seed_of: Mapping[str, str] | None = None
) -> list[Endpoint]:
    """Addresses and identities of all members, as the topology says, with the logins that are configured.

    A configured ``url`` serves to find the cluster. Where a member is reached at another address from here, its
    ``connect_url`` says so. Members that are not configured have the login of the seed that led to them (``seed_of``),
    or of the first one.
    """
    configured = {endpoint.node: endpoint for endpoint in (*configuration.endpoints, *configuration.routes)}
    endpoints = []
    for member in topology.members:
        known = configured.get(member.id)
        if known is None:
            seed = configured.get((seed_of or {}).get(member.id, ""), configuration.endpoints[0])
            known = replace(seed, connect_url=None)
        endpoints.append(replace(known, node=member.id, url=member.url, identity=member.identity))
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
