"""What a configuration says of the nodes, against what the cluster knows: in words, for
operators.
"""

from __future__ import annotations

from collections.abc import Sequence

from redrepl.values.report import Configured, NodeReport
from redrepl.values.reports import Reports
from redrepl.values.topology import Topology


def contradictions(
    topology: Topology, reports: Reports, nodes: Sequence[Configured], origin: str
) -> dict[str, str]:
    """What is wrong in a configuration, by node.

    The cluster's own addresses count, whatever it says.
    """
    wrong: dict[str, str] = {}
    for node, url, found in nodes:
        if node not in topology.ids:
            wrong[node] = (
                f"{origin} names it, but it is no member of the cluster; members are "
                f"{', '.join(topology.ids)}"
            )
        elif found is not None:
            text = _about_member(topology, reports.of(node), node, url, found)
            wrong |= (
                {
                    node: f"{origin} has it at {url}, the cluster at {topology.member(node).url}: "
                    f"{text}"
                }
                if text
                else {}
            )
    named = {each.node for each in nodes}
    for node in topology.ids:
        if node not in named:
            url = topology.member(node).url
            wrong[node] = (
                f"is a member, at {url}, that {origin} does not name; add it, so that it is found"
            )
    return wrong


def proves_to_be(found: NodeReport | str | None, node: str, identity: str) -> bool:
    """Whether a server is this member, running since it was admitted, and not a copy of it."""
    if not isinstance(found, NodeReport):
        return False
    return (found.member.get("node"), found.identity) == (
        node,
        identity,
    ) and not found.has_restarted


def _about_member(
    topology: Topology, report: NodeReport | None, node: str, url: str, found: NodeReport | str
) -> str:
    """What is wrong with a member's url, '' where it leads to the member by another way."""
    if isinstance(found, str):
        return f"the cluster's address counts; {found}"
    if report is not None and report.is_itself and found.run_id == report.run_id:
        return ""
    if proves_to_be(found, node, topology.identities[node]):
        return (
            f"it is not reached there, but the server at {url} is this member: set connect_url = "
            f"{url!r} where it is "
            f"reached so from here, or, where it has moved, `redrepl nodes replace {node} {url}`"
        )
    return f"{_what(topology, node, found)}; the cluster's address counts"


def _what(topology: Topology, node: str, found: NodeReport) -> str:
    if not found.member:
        clusters = ", ".join(found.clusters)
        return (
            f"a node of cluster {clusters} is there"
            if clusters
            else "an empty server is there, no member"
        )
    name = found.member.get("node")
    if (name, found.identity) == (node, topology.identities[node]):
        return "another server with a copy of its data is there, or it restarted and moved"
    if name == node:
        return f"another server that was node {node!r} once is there, and is nobody now"
    return f"node {name!r} is there"
