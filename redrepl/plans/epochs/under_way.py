"""Whether somebody is at work on a change of epoch, or left it unfinished (docs/protocol.md,
section 5.3).

Members that were moved to an epoch that is not published serve nobody: what moves on them
meanwhile, whoever changes the epoch moves. Whoever comes in between makes that start over.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from redrepl.plans.lookout import USUAL_FACTOR
from redrepl.plans.steps import Steps
from redrepl.values.effects import Plan
from redrepl.values.keys import KeyLayout
from redrepl.values.report import NodeReport
from redrepl.values.topology import Topology

UNFINISHED_SECONDS = 1.0
"""A change of epoch takes milliseconds; members on which nothing has moved for so long were left
between epochs.
"""

CHANGE_ROUND_TRIPS = 10.0
"""Where the members are far, whoever changes the epoch is seen to go on every few of their usual
round trips.
"""

Trace: TypeAlias = tuple[object, ...]


def trace_of(members: Sequence[NodeReport]) -> Trace:
    """What tells one moment of a change of epoch from the next, on the members that it has
    moved.
    """
    return tuple(
        (
            report.node,
            report.epoch,
            report.state,
            report.log.added,
            report.checkpoints,
            tuple(sorted(report.marks.items())),
            tuple(sorted((node, cursor.position) for node, cursor in report.cursors.items())),
        )
        for report in members
    )


def left_alone_seconds(usual_seconds: float, round_trips: float = CHANGE_ROUND_TRIPS) -> float:
    """For how long nothing is to move on members whose answers take so long before a change counts
    as left.
    """
    return max(UNFINISHED_SECONDS, round_trips * min(usual_seconds, UNFINISHED_SECONDS))


def goes_on(
    layout: KeyLayout, topology: Topology, members: Sequence[NodeReport], steps: Steps
) -> Plan[bool]:
    """Whether anything moves on these members, which are between epochs, within the time that they
    are left alone.
    """
    names, before = [report.node for report in members], trace_of(members)
    began = steps.at
    yield from steps.inspect(layout, names, known=topology)
    yield from steps.rest(left_alone_seconds(USUAL_FACTOR * (steps.at - began)))
    reports = yield from steps.inspect(layout, names, known=topology)
    return trace_of(reports.among(names)) != before
