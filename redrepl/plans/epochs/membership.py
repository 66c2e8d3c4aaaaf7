"""Making a cluster, and what is written to a member when its epoch or state changes
(docs/protocol.md, section 5).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from redrepl.plans.copies.key_walk import KeyWalk
from redrepl.plans.inspect import newest_topology
from redrepl.plans.steps import Steps
from redrepl.plans.view import ClusterView
from redrepl.values import limits
from redrepl.values.answers.membership import AlreadyMember, Enrolled, Occupied, parse_enrolment
from redrepl.values.effects import Plan, ScriptCall
from redrepl.values.errors import RequestError, Unavailable
from redrepl.values.keys import CLUSTERS_KEY, KeyLayout
from redrepl.values.member_state import MemberState
from redrepl.values.report import (
    ABOVE_LOG_START,
    FORGOT,
    LOG_BEGINS,
    LOG_START,
    RULE_MERGE,
    AsFound,
    NodeReport,
)
from redrepl.values.reports import Reports
from redrepl.values.topology import Topology

EPOCH_STEP_SECONDS = 2.0
"""For one request of a failover or a change of members: writes wait that long for a member that
answered a moment ago and falls silent now.

A node that takes longer is left out by the next attempt.
"""

RULE_DECIDE = "decide"
RULE_FOLLOW = "follow"


class Tolerances(NamedTuple):
    """How far clocks may differ. Stored on every member, so that all clients meet the same."""

    max_age_seconds: float = limits.DEFAULT_MAX_AGE_SECONDS
    max_skew_seconds: float = limits.DEFAULT_MAX_SKEW_SECONDS


def rule_of(topology: Topology, node: str) -> str:
    """How a node treats records: see `write.lua`."""
    if topology.decider is None:
        return RULE_MERGE
    return RULE_DECIDE if node == topology.decider else RULE_FOLLOW


def epoch_fields(topology: Topology, node: str) -> dict[str, str]:
    """The member fields that follow from the topology."""
    return {
        "epoch": str(topology.epoch),
        "rule": rule_of(topology, node),
        "restamp_writer": f"{topology.restamp_writer(node):08x}",
    }


def purge_field(report: NodeReport, purged_before: int) -> dict[str, str]:
    """The member field that says up to which stamp tombstones are gone, where others have purged
    more than this one.
    """
    return {"purged_before": str(purged_before)} if purged_before > report.purged_before else {}


def gap_field(report: NodeReport) -> dict[str, str]:
    """The member field that says that the log leaves something out, to be set before a walk fills a
    node.

    What comes by a walk goes into the log like everything else; what was deleted, and purged, while
    the node was away does not come at all.
    """
    return {"log_gap": report.incarnation if report.has_restarted else LOG_BEGINS}


def clock_field(off: str) -> dict[str, str]:
    """The member field that says how far its clock was off: it must be compared with the others
    before it serves.
    """
    return {"clock_off": off}


def trusted_fields(report: NodeReport) -> dict[str, str]:
    """The member fields of one that has been compared with the others: times that its clock showed
    say nothing more.
    """
    if not report.is_in_doubt:
        return {}
    return {**clock_field(""), "clock_checked": str(report.latest_millis)}


def new_log_fields(report: NodeReport, incarnation: str) -> dict[str, str]:
    """The member fields that begin another incarnation of the log of a node that restarted.

    Ids may be given again to other content: marks made in the old log count up to where that ended.
    Of a log that was lost none counts, and what is there now is not complete since its beginning.

    Only a log that is still the one of the report is begun anew: where it was lost the run id
    stays, and another worker may have brought the member up since.
    """
    fields = {"=incarnation": report.incarnation, "incarnation": incarnation}
    fields |= {"previous_incarnation": report.incarnation}
    if not report.has_lost_log:
        # Of one that forgot, what others had read may be what is gone, whatever its ids say.
        return {**fields, "previous_end": LOG_START if report.has_forgotten else report.log.last_id}
    floor = report.log.last_id if report.log.added else ABOVE_LOG_START
    return {**fields, "previous_end": LOG_START, "log_floor": floor}


def forgotten_fields(report: NodeReport) -> dict[str, str]:
    """The member fields of one whose marks and log say nothing any more, until it was compared key
    by key.
    """
    return {"run_id": f"{FORGOT} {report.now_millis}"}


def active_fields(topology: Topology) -> dict[str, str]:
    """The member fields of one that begins to serve in this epoch, or goes on serving in it."""
    return {
        "state": MemberState.ACTIVE,
        "lineage": str(topology.epoch),
        "era": str(topology.merged_epoch),
    }


def settled_fields(topology: Topology) -> dict[str, str]:
    """What a primary notes when a majority of the members knows who they are: see
    `members_to_move`.
    """
    return {"settled": str(topology.epoch)}


def enrol_call(
    topology: Topology,
    node: str,
    state: MemberState,
    run_id: str,
    incarnation: str,
    tolerances: Tolerances,
    purged_before: int = 0,
    joins: bool = False,
) -> ScriptCall:
    """Make a node that is no member one, in this state.

    ``joins``: it is new, and not one that lost its membership.

    A node that comes in syncing may hold records that its new log does not name. With several
    primaries nobody may take that log for complete, so its floor is set above the beginning.
    """
    layout = KeyLayout(topology.cluster)
    fields = _fields_at_first(topology, node, state, run_id, incarnation, tolerances)
    if purged_before:
        fields["purged_before"] = str(purged_before)
    if state.serves:
        fields |= active_fields(topology)
    if joins:
        fields["joined"] = str(topology.epoch)
    if state is MemberState.SYNCING and topology.decider is None:
        fields["log_floor"] = ABOVE_LOG_START
    head = (topology.cluster, node, str(topology.epoch), topology.encode())
    flat = [text.encode() for text in head] + _flat(fields)
    return ScriptCall(
        "enrol", (layout.member, layout.topology, CLUSTERS_KEY, layout.guard), tuple(flat)
    )


def _fields_at_first(
    topology: Topology,
    node: str,
    state: MemberState,
    run_id: str,
    incarnation: str,
    tolerances: Tolerances,
) -> dict[str, str]:
    """The member fields of any server that is enrolled; the epoch is no field of that call."""
    fields = {
        **epoch_fields(topology, node),
        "state": state,
        "lineage": "0",
        "incarnation": incarnation,
        "run_id": run_id,
        "max_age_micros": f"{tolerances.max_age_seconds * 1e6:.0f}",
        "max_skew_micros": f"{tolerances.max_skew_seconds * 1e6:.0f}",
    }
    if identity := topology.member(node).identity:
        fields["identity"] = identity
    del fields["epoch"]
    return fields


def change_call(
    report: NodeReport, layout: KeyLayout, fields: Mapping[str, str], topology: Topology | None
) -> ScriptCall:
    """Change a member's fields if it still is as reported; a field with "=" before its name is to
    have that value.
    """
    expected = tuple(report.member.get(name, "") for name in ("epoch", "state", "run_id"))
    head = [*expected, topology.encode() if topology else ""]
    arguments = [text.encode() for text in head] + _flat(fields)
    keys = (layout.member, layout.topology, layout.cursors, layout.marks, layout.guard)
    return ScriptCall("change_member", keys, tuple(arguments))


def _flat(fields: Mapping[str, str]) -> list[bytes]:
    return [text.encode() for pair in fields.items() for text in pair]


def initialise(
    topology: Topology, incarnations: Mapping[str, str], tolerances: Tolerances, started: float
) -> Plan[dict[str, str]]:
    """Write epoch 1 to every node; answers 'created' or 'already a member' for each.

    All nodes must be reachable and free: no other cluster, no records of this one. Running it again
    completes a run that was cut off, with the identities that were drawn in the first one. Raises
    Unavailable or RequestError before anything is written.
    """
    steps = Steps(started)
    reports = yield from _look_at_free_nodes(topology, steps)
    topology = newest_topology(reports) or topology
    done = {}
    for node in topology.ids:
        run_id = reports.present[node].run_id
        call = enrol_call(
            topology, node, MemberState.ACTIVE, run_id, incarnations[node], tolerances
        )
        match parse_enrolment((yield from steps.ask(node, call, "making it a member"))):
            case Occupied(cluster):
                raise occupied_error(topology.cluster, node, cluster)
            case AlreadyMember(_, stored):
                done[node] = "already a member"
                # The first node decides whose identities count, where several run this at the same
                # time.
                topology = Topology.parse(stored) if stored else topology
            case Enrolled():
                done[node] = "created"
    return done


def _look_at_free_nodes(topology: Topology, steps: Steps) -> Plan[Reports]:
    """The reports of all nodes.

    Raises Unavailable or RequestError unless a cluster can be made of them.
    """
    layout = KeyLayout(topology.cluster)
    reports = yield from steps.inspect(layout, topology.ids)
    if reports.silent:
        raise Unavailable("a cluster is made when all its nodes can be reached", reports.silent)
    for node, report in reports.present.items():
        check_free(topology, node, report)
    strangers = [node for node, report in reports.present.items() if not report.member]
    _check_not_at_work(topology, strangers, reports.present)
    for node in strangers:
        yield from _check_no_records(ClusterView(topology), node, steps)
    return reports


def _check_not_at_work(
    topology: Topology, strangers: list[str], reports: Mapping[str, NodeReport]
) -> None:
    """A cluster that has taken writes is never completed by `init`: a member that came back empty
    is no new one.

    Made an active member again, an empty primary would count as the truth.
    """
    at_work = [
        node
        for node, report in reports.items()
        if report.member and (report.log.added or report.epoch > 1)
    ]
    if strangers and at_work:
        names, workers = (
            ", ".join(strangers),
            "replicas are filled by the workers (`redrepl worker`)",
        )
        raise RequestError(
            f"cluster {topology.cluster!r} is at work on {', '.join(at_work)}; {names} came back "
            "without membership "
            f"and is not made anew: {workers}, and for a primary restore its data directory"
        )


def _check_no_records(view: ClusterView, node: str, steps: Steps) -> Plan[None]:
    """A node with records but without membership lost its bookkeeping, and may hold more or less
    than the others.
    """
    layout = view.layout
    keys = KeyWalk(view, node, steps, doing="looking for records")
    while not keys.is_over:
        names = yield from keys.next_page()
        if names:
            raise RequestError(
                f"node {node!r} holds records of cluster {layout.cluster!r} (as "
                f"{layout.user_key(names[0])!r}) but "
                f"no membership; delete the keys {layout.data_prefix.decode()}* there, or choose "
                "another cluster name"
            )


def check_free(topology: Topology, node: str, report: NodeReport) -> None:
    """Raise RequestError unless the node is free, or already what this topology says."""
    if report.member and report.member.get("node") != node:
        there = f"is node {report.member.get('node')!r} of cluster {topology.cluster!r}"
        raise RequestError(f"the server at the address of node {node!r} {there}, not {node!r}")
    others = [name for name in report.clusters if name != topology.cluster]
    if others:
        raise occupied_error(topology.cluster, node, others[0])
    if report.member and (report.topology is None or not _is_same(report.topology, topology)):
        there = report.topology.encode() if report.topology else "no readable topology"
        raise RequestError(
            f"node {node!r} is already a member of cluster {topology.cluster!r} with another "
            "topology (epoch "
            f"{report.epoch}): {there}; change the members with `redrepl nodes`, or take the node "
            "out first"
        )


def check_newcomer(
    topology: Topology, node: str, report: NodeReport, others: Iterable[NodeReport]
) -> None:
    """Raise RequestError unless a server can come in as this node.

    One that was a member before can.

    others: reports of the members that stay.
    """
    name = report.member.get("node", "")
    others_here = [cluster for cluster in report.clusters if cluster != topology.cluster]
    if others_here:
        raise occupied_error(topology.cluster, node, others_here[0])
    for other in others:
        if other.run_id == report.run_id:
            raise one_server_error(other.node, node)
    if report.member and not was_member(topology, report):
        raise RequestError(
            f"the server that is to be node {node!r} is node {name!r} of a cluster "
            f"{topology.cluster!r}, not {node!r}, "
            "or holds a copy of its data. Where it is that member, reached at another address, "
            "set its connect_url; "
            "else name an empty server. This one is empty once "
            f"{BOOKKEEPING_GONE.format(topology.cluster)}"
        )


BOOKKEEPING_GONE = (
    f"the keys {{0}}:m:* and the entry {{0}} in {CLUSTERS_KEY.decode()!r} were deleted there"
)


def was_member(topology: Topology, report: NodeReport) -> bool:
    """Whether the server was a member before, and is none any more: it can have a place again."""
    known, identity = report.topology, report.identity
    if not identity or known is None or not known.is_related_to(topology):
        return False
    return topology.identities.get(report.member.get("node", "")) != identity


def one_server_error(first: str, second: str) -> RequestError:
    """The error where two nodes are one server."""
    return RequestError(
        f"nodes {first!r} and {second!r} are one server (they have the same run id): one server "
        "under two names, or "
        "two of its databases, are one copy and fail together; give each node a server of its own"
    )


def _is_same(stored: Topology, wanted: Topology) -> bool:
    """The same members in the same roles; urls may be written differently from where the command
    runs.
    """
    roles = [(member.id, member.role) for member in stored.members]
    return stored.mode is wanted.mode and roles == [
        (member.id, member.role) for member in wanted.members
    ]


def occupied_error(cluster: str, node: str, found: str) -> RequestError:
    """The error where another cluster lives on the server."""
    return RequestError(
        f"node {node!r} belongs to cluster {found!r} and cannot join {cluster!r}; use another "
        "server or database"
    )


def disown_call(layout: KeyLayout, as_found: AsFound) -> ScriptCall:
    """Drop a server's bookkeeping that no node of ours would write, if it is as it was found; its
    records stay.
    """
    bookkeeping = (
        layout.log,
        layout.cursors,
        layout.marks,
        layout.checkpoints,
        layout.sweep,
        layout.guard,
    )
    keys = (layout.member, layout.topology, CLUSTERS_KEY, *bookkeeping)
    return ScriptCall("disown", keys, (layout.cluster.encode(), *as_found))


def leave_call(layout: KeyLayout, node: str, identity: str) -> ScriptCall:
    """Drop a server's bookkeeping as this member; its records stay."""
    bookkeeping = (
        layout.log,
        layout.cursors,
        layout.marks,
        layout.checkpoints,
        layout.sweep,
        layout.guard,
    )
    keys = (layout.member, layout.topology, CLUSTERS_KEY, *bookkeeping)
    return ScriptCall("leave", keys, (layout.cluster.encode(), node.encode(), identity.encode()))
