"""A member's server that holds something else than the member's bookkeeping: what becomes of it,
and what can be done.

- What no node of ours would write is dropped (docs/protocol.md, section 5.8): the server gets its
  place anew, like one
  that came back empty. Its records stay. With several primaries they may be all that is left of
what it took and
  shipped to nobody: the others walk over its keys as soon as it serves again, because its new log
is not theirs, and
  the later stamp stands everywhere.
- Another membership is left as it is, where it may be the only one of that member: an operator has
  to look.
"""

from __future__ import annotations

from redrepl.plans.epochs.change_members import why_not_replaced
from redrepl.plans.epochs.membership import BOOKKEEPING_GONE, was_member
from redrepl.plans.view import ClusterView
from redrepl.values.node_url import public_url
from redrepl.values.report import NodeReport
from redrepl.values.reports import Reports


def why_not_dropped(view: ClusterView, reports: Reports, node: str) -> str | None:
    """Why the bookkeeping of a member that cannot be read is left as it is, in words; None where it
    can be dropped.

    Nothing is dropped before it is known that the server can be filled: one primary has to serve;
    of several one that fills it, and so many must be there that its place can be given to it in a
    new epoch.
    """
    serving = [
        report for report in reports.among(view.topology.sources_of(node)) if report.is_serving
    ]
    if view.decider is not None:
        return None if serving else f"it is filled anew once the primary, {view.decider}, serves"
    if not any(report.epoch == view.topology.epoch for report in serving):
        return "it is filled anew once another primary serves"
    return why_not_replaced(view.topology, reports, node)


def what_becomes_of(view: ClusterView, reports: Reports, node: str) -> str:
    """The same for whoever looks at the cluster.

    Of a primary that is to be replaced more is said elsewhere.
    """
    if node == view.decider:
        return "another node is to take over"
    if (why := why_not_dropped(view, reports, node)) is not None:
        return why
    begins = f"where none runs, {_given_again(view, node)} begins it"
    return f"the workers drop that and fill it anew ({begins})"


def ways_with_another(view: ClusterView, report: NodeReport, reports: Reports) -> str:
    """What can be done where a member's address leads to a server with another membership, in
    words.

    That its bookkeeping can go is said only of a server that started with it, and where another one
    answers at the address of the member that it says it is: else it may be the only one that has
    it, at a wrong address.
    """
    node = report.node
    if was_member(view.topology, report):
        ways = f"{_given_again(view, node)} gives it the place, and the workers fill it"
    else:
        empty = f"give the place to an empty server: `redrepl nodes replace {node} URL`"
        ways = f"correct its address, or {empty}"
        named = reports.of(report.member.get("node", ""))
        if report.has_restarted and named is not None and named.run_id != report.run_id:
            gone = BOOKKEEPING_GONE.format(view.topology.cluster)
            ways = (
                f"if its address is right, {empty}; this one is empty once {gone}: then the "
                "workers fill it"
            )
    why = why_not_replaced(view.topology, reports, node)
    return f"{ways}; {why}" if why else ways


def _given_again(view: ClusterView, node: str) -> str:
    """The command that gives its own place to the server at the member's address."""
    return f"`redrepl nodes replace {node} {public_url(view.topology.member(node).url)}`"
