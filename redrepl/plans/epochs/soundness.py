"""Which members can be trusted to have lost nothing, and what an operator can do where they are too few.

Shared by the plans that begin a new epoch (docs/protocol.md, sections 5.1, 5.3 and 5.6) and by those that only tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from redrepl.values.report import NodeReport
from redrepl.values.topology import Topology


def sound_members(
    topology: Topology, reports: Mapping[str, NodeReport | str], away: Iterable[str] = ()
) -> list[NodeReport]:
    """Members that still hold everything they ever acknowledged: the servers have not restarted since they served.

    In whatever state: what a member that is being brought up has lost to the new primary was never committed.
    """
    found = [reports.get(node) for node in topology.ids if node not in set(away)]
    return [r for r in found if isinstance(r, NodeReport) and r.is_itself and not r.has_restarted and r.lineage > 0]


def majority_of(topology: Topology) -> int:
    """How many members must be fenced: every committed QUORUM write is on one of them."""
    return len(topology.ids) // 2 + 1


def donors_among(members: Sequence[NodeReport]) -> list[NodeReport]:
    """Of sound members that were fenced, those whose records count.

    All that were active in the era of the highest lineage: members of an older era may hold what the cluster went on
    without. Inside an era nothing was given up, and a member that a change of members left behind may hold a committed
    write that those which moved along have not got yet.
    """
    lineage = max((report.lineage for report in members), default=0)
    era = min((report.era for report in members if report.lineage == lineage), default=0)
    return [report for report in members if report.lineage >= era]


def why_left(report: NodeReport | str | None) -> str:
    """Why a member takes no part, in words."""
    if report is None:
        return "known to be away"
    if isinstance(report, str):
        return report
    if not report.member:
        return "came back empty"
    if not report.is_itself:
        return f"the server at its address is node {report.member.get('node')!r}"
    if report.has_restarted:
        return "restarted, and may have lost data"
    if report.lineage == 0:
        return "is being filled: it is new, or came back empty"
    return "was not fenced, or is of an older lineage"


def way_out(topology: Topology, reports: Mapping[str, NodeReport | str]) -> str:
    """What an operator can do while the one primary does not serve, in words."""
    if len(sound_members(topology, reports)) >= majority_of(topology):
        return "`redrepl failover` gives its role to another node and loses no acknowledged QUORUM write"
    ways = []
    silent = [node for node in topology.ids if not isinstance(reports.get(node), NodeReport)]
    if silent:
        ways.append(f"bring back {', '.join(silent)} (a server that was out of reach and has not restarted counts)")
    if (best := _best_known(topology, reports)) is not None:
        command = f"`redrepl failover --accept-loss --to {best.node}`"
        ways.append(f"go on from what one member has and give up what it lacks, acknowledged writes too: {command}")
    return ", or ".join(ways)


def _best_known(topology: Topology, reports: Mapping[str, NodeReport | str]) -> NodeReport | None:
    """The member to think of first when a loss is accepted: one that lost nothing of its own, else the newest."""
    found = [r for r in map(reports.get, topology.ids) if isinstance(r, NodeReport) and r.is_itself]
    return max(found, key=lambda r: (r.lineage > 0 and not r.has_restarted, r.lineage, r.log.added), default=None)
