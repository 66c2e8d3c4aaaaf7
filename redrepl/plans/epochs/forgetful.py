"""Members that forgot while their servers went on (docs/protocol.md, section 6): a running machine
was set back to a snapshot with its memory, or an older copy was loaded.

The run id tells nothing then, and what the member noted went back with the rest. But its log ends
before a place up to which another member has it; and whoever looks at it again and again misses the
entry that was the newest at the last look. (A log that is gone while the cursors stay shows by
itself: `NodeReport.has_lost_log`.)
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from redrepl.plans.epochs.member_changes import change_members
from redrepl.plans.epochs.membership import change_call, forgotten_fields
from redrepl.plans.steps import Steps
from redrepl.values.effects import Plan, ScriptCall
from redrepl.values.keys import KeyLayout
from redrepl.values.report import LastEntry, NodeReport, Position
from redrepl.values.reports import Reports
from redrepl.values.topology import Topology

BRIEFLY_SECONDS = 0.25
"""A monitor is to judge the primary: who says that it forgot, and then nothing, must not keep it
from that.
"""


def forgetful_members(topology: Topology, reports: Reports) -> dict[str, str]:
    """Members that lost a part of their log, and what shows it, in words.

    What others had of it makes sure only where a member was asked after these: see
    `set_forgetful_aside`.
    """
    return {**_shorter_than_read(topology, reports), **members_that_miss(topology, reports)}


def members_that_miss(topology: Topology, reports: Reports) -> dict[str, str]:
    """Members whose logs miss what whoever asked had seen there, in words.

    That alone makes sure.
    """
    found = reports.members(topology)
    return {
        report.node: _missed(report.lost)
        for report in found
        if report.lost is not None and report.misses_entry
    }


def _missed(lost: LastEntry) -> str:
    entry = f"entry {lost.entry_id}" if lost.entry_id else "what was there"
    return f"its change log does not hold {entry} any more"


def _shorter_than_read(topology: Topology, reports: Reports) -> dict[str, str]:
    found = {}
    for report in reports.members(topology):
        if not report.is_itself or report.has_restarted:
            continue
        witness = next(
            (node for node, place in _places(report, reports) if _is_beyond(place, report)), None
        )
        if witness is not None:
            found[report.node] = f"its change log ends before what {witness} had of it"
    return found


def _places(report: NodeReport, reports: Reports) -> list[tuple[str, Position]]:
    """Up to where others have this log. What it noted itself went back with its memory."""
    places = []
    for other in reports.present.values():
        mark = other.marks.get(report.node)
        if mark is not None and mark.incarnation == report.incarnation:
            places.append((other.node, mark.position))
    return places


def _is_beyond(place: Position, report: NodeReport) -> bool:
    """Who has read no entry of a log, as of one that was begun anew and is empty, has nothing that
    it could lack.
    """
    return place.entries > 0 and (
        place.order > report.log.end.order or place.entries > report.log.added
    )


def set_forgetful_aside(
    layout: KeyLayout, topology: Topology, reports: Reports, steps: Steps, asks_again: bool = True
) -> Plan[dict[str, str]]:
    """Have such members serve nothing until they were brought up, the primary too; returns who was
    stopped, and why.

    Where others have more of a log than it holds, its member is asked once more: it may have been
    asked before them. ``asks_again`` False: who cannot wait for that passes it over, and hardly
    waits for the members that are stopped.
    """
    steps = steps if asks_again else Steps(steps.at, BRIEFLY_SECONDS)
    sure = members_that_miss(topology, reports)
    if asks_again:
        suspects = forgetful_members(topology, reports).keys() - sure.keys()
        reports, shown = yield from _ask_again(layout, topology, reports, suspects, steps)
        sure |= shown
    if are_all_left(topology, reports, sure):
        return {}

    calls = {report.node: _stop_call(layout, report) for report in reports.among(sure)}
    if not calls:
        return {}
    changes = yield from change_members(calls, steps)
    return {node: sure[node] for node in changes.done}


def _ask_again(
    layout: KeyLayout,
    topology: Topology,
    reports: Reports,
    suspects: AbstractSet[str],
    steps: Steps,
) -> Plan[tuple[Reports, dict[str, str]]]:
    """The reports with what these members tell now, and those that forgot for certain, in words."""
    if not suspects:
        return reports, {}
    found = reports.updated((yield from steps.inspect(layout, sorted(suspects), known=topology)))
    shown = _shorter_than_read(topology, found)
    return found, {node: shown[node] for node in suspects & shown.keys()}


def _stop_call(layout: KeyLayout, report: NodeReport) -> ScriptCall:
    """As one that was stopped in this epoch: where all members forgot, they begin again as after a
    restart of all.
    """
    # Since this report others may have stopped it, and brought it up: then its log is of another
    # incarnation.
    fields = {
        "=incarnation": report.incarnation,
        "state": report.state.when_stopped,
        **forgotten_fields(report),
    }
    return change_call(report, layout, fields, None)


def are_all_left(topology: Topology, reports: Reports, forgetful: Iterable[str]) -> bool:
    """Whether nobody else serves, of several primaries: they bring together what they have, as they
    are.
    """
    others = set(topology.ids).difference(forgetful)
    return topology.decider is None and not any(
        report.is_serving for report in reports.among(others)
    )
