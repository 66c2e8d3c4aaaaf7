"""Servers that are not the member whose name they answer under: what each is, as far as its answer
tells, and its remedy.
"""

from __future__ import annotations

from collections.abc import Mapping

from redrepl.values.errors import Unavailable
from redrepl.values.node_url import public_url
from redrepl.values.reasons import NO_MEMBERSHIP, OTHER_CLUSTER, advice_on
from redrepl.values.report import NodeReport
from redrepl.values.reports import NO_REPORTS, Reports
from redrepl.values.topology import Topology

UPTIME_GRAIN_SECONDS = 2.0
"""Servers tell how long they have run in whole seconds."""


def describe_stranger(report: NodeReport, reports: Reports = NO_REPORTS) -> str:
    """What the server of a member is that holds no membership.

    ``reports``: of the others, which saw it last.
    """
    others = [name for name in report.clusters if name not in _own_clusters(reports)]
    if others:
        return f"the server at its address {OTHER_CLUSTER} {', '.join(map(repr, others))}"
    elsewhere = (
        f", and its server holds keys in {', '.join(report.databases)}" if report.databases else ""
    )
    if _was_there_in_this_run(report, reports):
        how = "FLUSHDB" if elsewhere else "FLUSHALL"
        return (
            f"was emptied while its server ran ({how}), or another server answers at its "
            f"address{elsewhere}"
        )
    if elsewhere:
        return (
            f"came back without its data{elsewhere}: look at the database number and at the address"
        )
    return "came back empty"


def _what_it_is(report: NodeReport, cluster: str) -> str:
    """What a configured address leads to, where no member of the cluster is found."""
    if report.member:
        return (
            f"is a member, but its topology is gone: something else deleted keys under {cluster}:"
        )
    if report.clusters:
        return f"{OTHER_CLUSTER} {', '.join(map(repr, report.clusters))}"
    if report.databases:
        held = ", ".join(report.databases)
        return f"{NO_MEMBERSHIP} of any cluster (its server holds keys in {held})"
    return f"{NO_MEMBERSHIP} of any cluster, and no keys at all"


def describe_other(report: NodeReport) -> str:
    """What answers at a member's address that holds a membership, but not this one's."""
    if (claimed := report.member.get("node")) != report.node:
        return f"the server at its address is node {claimed!r}"
    return (
        f"another server answers at its address, which was enrolled as {report.node!r} before "
        "or elsewhere"
    )


def check_reached(topology: Topology, reached: Mapping[str, str]) -> None:
    """Raise Unavailable where a member is asked at another address than the topology has for it.

    A plan looks for itself, and may learn of other members than the look did by which its driver
    reaches them. What answers under a member's name is then a server of another time. Data are kept
    from it by its identity; but whoever makes an empty server, or a former member, a member of that
    name would put it into a place that has another address.
    reached: the url of each node that the driver goes by. A ``connect_url`` is no matter: it is the
    operator's word.
    """
    urls = {member.id: public_url(member.url) for member in topology.members}
    asked = {node: public_url(url) for node, url in reached.items()}
    moved = {
        node: f"is at {url}, and was asked at {asked[node]}"
        for node, url in urls.items()
        if url != asked.get(node, url)
    }
    if moved:
        raise Unavailable(
            "members have other addresses than those at which they were asked; try again", moved
        )


def why_gone(node: str, now: Reports) -> str:
    """Why a server that was looked at before is not to be trusted now: it is silent, or another run
    of it answers.
    """
    return now.reason(node, "restarted meanwhile")


def no_member_error(cluster: str, reports: Reports) -> Unavailable:
    """The error where no member of the cluster answered: what each address answered, and what to do
    about that.
    """
    answers = answers_of(reports, cluster)
    advice = advice_on(answers)
    return Unavailable(
        f"no member of cluster {cluster!r} answered"
        + (f". What to do: {advice}" if advice else ""),
        answers,
    )


def answers_of(reports: Reports, cluster: str) -> dict[str, str]:
    """What each configured address answered, where no member of the cluster is found."""
    found = {node: _what_it_is(report, cluster) for node, report in reports.present.items()}
    return {node: found[node] if node in found else reports.silent[node] for node in reports.nodes}


def _own_clusters(reports: Reports) -> set[str]:
    return {report.member.get("cluster", "") for report in reports.present.values()}


def _was_there_in_this_run(report: NodeReport, reports: Reports) -> bool:
    """Whether another member has a confirmation of it that is younger than its server."""
    if report.uptime_seconds is None:
        return False
    sources = [source for source in reports.present.values() if report.node in source.cursors]
    ages = [
        (source.now_millis - source.cursors[report.node].at_millis) / 1000 for source in sources
    ]
    return any(report.uptime_seconds - UPTIME_GRAIN_SECONDS > age for age in ages)
