"""When every member restarted at once: whether they can be taken at their word (docs/protocol.md,
section 6).

Usually a node that restarted is brought up from members that did not. After a power cut or a
planned stop of everything there are none, and nothing better than the copies at hand will come.
They are taken together if all of them are there, each with its membership, and none shows that it
lost data: no log may end before a mark that another member has of it.
"""

from __future__ import annotations

from redrepl.plans.epochs.soundness import way_out
from redrepl.plans.strangers import describe_other, describe_stranger
from redrepl.plans.view import ClusterView
from redrepl.values.errors import Unavailable
from redrepl.values.report import NodeReport, id_order
from redrepl.values.reports import Reports


def restarted_together(view: ClusterView, reports: Reports) -> list[NodeReport]:
    """All members, where all restarted and can be taken at their word; nobody where a member
    serves.

    Raises Unavailable saying what is missing.
    """
    if any(report.is_serving for report in reports.members(view.topology)):
        return []
    missing: dict[str, str] = {}
    found: list[NodeReport] = []
    for node in view.ids:
        if (report := reports.of(node)) is None:
            missing[node] = reports.reason(node, "its address is not known")
        elif not report.is_itself:
            missing[node] = (
                describe_other(report) if report.member else describe_stranger(report, reports)
            )
        else:
            found.append(report)
    # With several primaries there is no role to give to anybody.
    advice = "" if view.decider is None else f"; {way_out(view.topology, reports)}"
    if missing:
        text = "no member serves, and to start again from their data all of them are needed"
        raise Unavailable(text + advice, missing)
    if lost := {report.node: what for report in found if (what := _loss(report, found))}:
        text = "no member serves, and some lost data; restore their newest data directories"
        raise Unavailable(text + advice, lost)
    return found


def _loss(report: NodeReport, others: list[NodeReport]) -> str | None:
    """Whether another member has seen more of this node's log than there is."""
    for other in others:
        mark = other.marks.get(report.node)
        if mark is None or mark.incarnation != report.incarnation:
            continue
        if mark.position.order > id_order(report.log.last_id):
            return f"its log ends before what {other.node} has seen of it"
    return None
