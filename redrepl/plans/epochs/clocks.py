"""Keeping members whose clocks cannot be trusted from serving: see
`redrepl.plans.doubtful_clocks`.
"""

from __future__ import annotations

from collections.abc import Mapping

from redrepl.plans.doubtful_clocks import wrong_clocks
from redrepl.plans.epochs.member_changes import change_members
from redrepl.plans.epochs.membership import change_call, clock_field
from redrepl.plans.steps import Steps
from redrepl.values.clocks import describe_offset
from redrepl.values.effects import Plan
from redrepl.values.keys import KeyLayout
from redrepl.values.member_state import MemberState
from redrepl.values.report import NodeReport
from redrepl.values.reports import Reports
from redrepl.values.topology import Topology


def kept_doubt(report: NodeReport, doubtful: Mapping[str, str]) -> dict[str, str]:
    """The member fields by which one that is moved to another epoch stays in doubt; none where it
    can be trusted.
    """
    if report.node not in doubtful:
        return {}
    was_ahead = f"{report.was_ahead_seconds:.1f} s ahead" if report.was_ahead_seconds else ""
    return clock_field(report.clock_off or was_ahead or "off those of the others")


def set_aside(
    layout: KeyLayout,
    topology: Topology,
    reports: Reports,
    steps: Steps,
    own_ahead: float | None = None,
) -> Plan[dict[str, float]]:
    """Have members serve nothing whose clocks are off, the primary too; answers those that were
    stopped, and how far they are off.
    """
    off = wrong_clocks(topology, reports, own_ahead)
    calls = {}
    for node, seconds in off.items():
        report = reports.present[node]
        if report.is_serving and report.epoch == topology.epoch:
            fields = {"state": MemberState.SYNCING, **clock_field(describe_offset(seconds))}
            calls[node] = change_call(report, layout, fields, None)
    if not calls:
        return {}
    changes = yield from change_members(calls, steps)
    return {node: off[node] for node in changes.done}
