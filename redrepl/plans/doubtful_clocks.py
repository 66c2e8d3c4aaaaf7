"""Members whose clocks cannot be trusted (docs/protocol.md, section 6.2): who is off the majority
now, or was ahead.

A clock that is ahead drops what has a deadline. So a member whose clock is off serves nothing,
becomes no primary, and is compared with the others key by key before it serves again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from redrepl.values.clocks import clocks_off, describe_offset
from redrepl.values.errors import Unavailable
from redrepl.values.report import NodeReport
from redrepl.values.reports import Reports
from redrepl.values.topology import Topology


def wrong_clocks(
    topology: Topology, reports: Reports, own_ahead: float | None = None
) -> dict[str, float]:
    """Members whose clocks are off now, by how many seconds: see `clocks_off`."""
    found = [report for report in reports.members(topology) if report.clock and report.member]
    readings = {report.node: report.clock for report in found if report.clock}
    max_skew = max((report.max_skew_seconds for report in found), default=0.0)
    return clocks_off(readings, len(topology.ids), max_skew, own_ahead)


def doubtful_members(
    topology: Topology, reports: Reports, own_ahead: float | None = None
) -> dict[str, str]:
    """Members that may have dropped records by a wrong clock, and why, in words."""
    why = {}
    for report in reports.members(topology):
        if text := _doubt(report):
            why[report.node] = text
    off = wrong_clocks(topology, reports, own_ahead)
    return why | {node: f"its clock is {describe_offset(seconds)}" for node, seconds in off.items()}


def _doubt(report: NodeReport) -> str:
    if report.clock_off:
        return f"its clock was {report.clock_off}, and it was not compared with the others since"
    if report.was_ahead_seconds:
        return f"its clock was {report.was_ahead_seconds:.1f} s ahead of what it is now"
    return ""


def check_trusted(
    doubtful: Mapping[str, str], candidates: Iterable[NodeReport], to: str | None
) -> None:
    """Raise Unavailable where no candidate for the primary's role can be trusted, or not the one
    that was asked for.
    """
    if to is not None and to in doubtful:
        raise Unavailable(
            f"node {to!r} cannot become the primary: {doubtful[to]}", {to: doubtful[to]}
        )
    if all(report.node in doubtful for report in candidates):
        raise Unavailable(
            "no node whose clock can be trusted could become the primary", dict(doubtful)
        )
