"""Members that forgot while their servers went on (docs/protocol.md, section 6): a running machine was set back to a
snapshot with its memory, or an older copy was loaded.

The run id tells nothing then, and what the member noted went back with the rest. But its log ends before a place up to
which another member has it; and whoever looks at it again and again misses the entry that was the newest at the last
look. (A log that is gone while the cursors stay shows by itself: `NodeReport.has_lost_log`.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from redrepl.plans.epochs.membership import change_call
from redrepl.plans.steps import Steps
from redrepl.values.effects import Plan
from redrepl.values.keys import KeyLayout
from redrepl.values.report import FORGOT, NodeReport, Position
from redrepl.values.topology import Topology

Reports = Mapping[str, NodeReport | str]


def forgetful_members(topology: Topology, reports: Reports) -> dict[str, str]:
    """Members that lost a part of their log, and what shows it, in words.

    What others had of it makes sure only where a member was asked after these: see `set_forgetful_aside`.
    """
    found = {}
    for report in (reports.get(node) for node in topology.ids):
        if not isinstance(report, NodeReport) or not report.is_itself:
            continue
        if report.lost is not None and not replace(report, lost=None).has_restarted:
            found[report.node] = f"its change log lacks entry {report.lost.entry_id}, which was there a moment ago"
        if report.has_restarted:
            continue
        witness = next((node for node, place in _places(report, reports) if _is_beyond(place, report)), None)
        if witness is not None:
            found[report.node] = f"its change log ends before what {witness} had of it"
    return found


def _places(report: NodeReport, reports: Reports) -> list[tuple[str, Position]]:
    """Up to where others have this log. What it noted itself went back with its memory."""
    places = []
    for other in reports.values():
        mark = other.marks.get(report.node) if isinstance(other, NodeReport) else None
        if isinstance(other, NodeReport) and mark is not None and mark.incarnation == report.incarnation:
            places.append((other.node, mark.position))
    return places


def _is_beyond(place: Position, report: NodeReport) -> bool:
    """Who has read no entry of a log, as of one that was begun anew and is empty, has nothing that it could lack."""
    return place.entries > 0 and (place.order > report.log.end.order or place.entries > report.log.added)


def set_forgetful_aside(layout: KeyLayout, topology: Topology, reports: Reports, steps: Steps) -> Plan[dict[str, str]]:
    """Have such members serve nothing until they were brought up, the primary too; answers who was stopped, and why.

    ``steps`` know what was seen of their logs before.
    """
    suspects = forgetful_members(topology, reports)
    if not suspects:
        return {}
    # What the others have was read when this log may already have been longer than in its own report.
    now = yield from steps.inspect(layout, tuple(suspects), known=topology)
    sure = forgetful_members(topology, {**reports, **now})
    calls = {}
    for node, report in now.items():
        if isinstance(report, NodeReport) and node in sure:
            calls[node] = change_call(report, layout, {"run_id": FORGOT, "state": "syncing"}, None)
    if not calls:
        return {}
    gathered = yield from steps.gather(calls)
    return {node: sure[node] for node, answer in gathered.answers.items() if answer == 1}
