"""Which members can be trusted to have lost nothing, and what an operator can do where they are too
few.

Shared by the plans that begin a new epoch (docs/protocol.md, sections 5.1, 5.3 and 5.6) and by
those that only tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from redrepl.plans.doubtful_clocks import doubtful_members
from redrepl.plans.hearsay import LEFT_OVER_EPOCHS, cannot_follow
from redrepl.plans.inspect import newest_topology, voices_of
from redrepl.plans.strangers import describe_other, describe_stranger
from redrepl.values import limits
from redrepl.values.level import ConsistencyLevel
from redrepl.values.reasons import is_crash
from redrepl.values.report import NodeReport
from redrepl.values.report_answer import Unreadable
from redrepl.values.reports import NO_REPORTS, Reports
from redrepl.values.topology import Topology

SKIPPED_EPOCHS = limits.SKIPPED_EPOCHS


def newest_epoch(reports: Reports) -> int:
    """The newest epoch that a node works in, published or not.

    The number that one tells who is not believed is not given again either, where changes of epoch
    that died may have led to it: if it was right after all, two primaries would serve in one epoch.
    So it is with the number that one told whose bookkeeping was dropped for that.
    """
    newest = max((report.epoch for report in reports.present.values()), default=0)
    doubted = [reason.epoch for reason in reports.silent.values() if isinstance(reason, Unreadable)]
    doubted += [report.dropped_epoch for report in reports.present.values()]
    return max([newest, *(epoch for epoch in doubted if epoch <= newest + LEFT_OVER_EPOCHS)])


def sound_members(
    topology: Topology, reports: Reports, away: Iterable[str] = ()
) -> list[NodeReport]:
    """Members that still hold everything they ever acknowledged: the servers have not restarted
    since they served.

    In whatever state: what a member that is being brought up has lost to the new primary was never
    committed. One that is known to refuse bookkeeping cannot be fenced, and counts as away. Nor do
    those count whose place goes to another server: that may have begun to serve. One that tells of
    other members in a later epoch, and is not believed, lies, or works with those, and must not be
    fenced for the members that were before.
    """
    voided = voided_members(topology, reports)
    found = reports.among(node for node in topology.ids if node not in voided.union(away))
    sound = [
        r
        for r in found
        if r.is_itself and not r.has_restarted and r.lineage > 0 and r.takes_bookkeeping
    ]
    return [report for report in sound if not _has_other_members(topology, report, reports)]


def _has_other_members(topology: Topology, report: NodeReport, reports: Reports) -> bool:
    """Whether it tells of other members, which may have followed these: what cannot have been begun
    is no matter.
    """
    told = report.own_topology
    if told is None or told.epoch <= topology.epoch or told.identities == topology.identities:
        return False
    return not cannot_follow(told, topology, voices_of(reports).values())


def voided_members(topology: Topology, reports: Reports) -> frozenset[str]:
    """Members of this topology of whom one that answers knows that they are replaced in a later
    epoch.

    None as long as the primary serves in this one: it is the first that a change of members moves.
    """
    primary = reports.primary(topology)
    if primary is not None and primary.is_serving and primary.epoch == topology.epoch:
        return frozenset()
    return noted_as_voided(topology, reports)


def noted_as_voided(topology: Topology, reports: Reports) -> frozenset[str]:
    """Members of whom one that answers says that they are replaced in a later epoch, whatever the
    primary does.
    """
    notes = [report.voided for report in reports.present.values()]
    identities = topology.identities
    return frozenset(
        note.node
        for note in notes
        if note is not None
        and note.epoch > topology.epoch
        and identities.get(note.node) == note.identity
    )


def majority_of(topology: Topology) -> int:
    """How many members must be fenced: every committed QUORUM write is on one of them."""
    return len(topology.ids) // 2 + 1


def between_epochs(topology: Topology, reports: Reports) -> list[NodeReport]:
    """Members that somebody moved to an epoch that is not published: they serve nobody until it is,
    or a later one.
    """
    return [
        report
        for report in reports.members(topology)
        if report.is_itself and report.epoch > topology.epoch
    ]


def lacks_topology(topology: Topology, report: NodeReport) -> bool:
    """Whether a member that serves in this epoch tells none, or another: it is to be told the
    topology again.
    """
    return report.is_serving and report.epoch == topology.epoch and report.topology != topology


def donors_among(members: Sequence[NodeReport]) -> list[NodeReport]:
    """Of sound members that were fenced, those whose records count.

    All that were active in the era of the highest lineage: members of an older era may hold what
    the cluster went on without. Inside an era nothing was given up, and a member that a change of
    members left behind may hold a committed write that those which moved along have not got yet.
    """
    lineage = max((report.lineage for report in members), default=0)
    era = min((report.era for report in members if report.lineage == lineage), default=0)
    return [report for report in members if report.lineage >= era]


def successors(
    topology: Topology,
    reports: Reports,
    own_ahead: float | None = None,
    away: Iterable[str] = (),
) -> list[NodeReport]:
    """Members of which a failover would choose the primary, as they look now; none where it would
    be refused.

    The present primary counts among them. own_ahead: see
    `redrepl.plans.doubtful_clocks.wrong_clocks`.
    """
    sound = sound_members(topology, reports, away)
    if len(sound) < majority_of(topology):
        return []
    doubtful = doubtful_members(topology, reports, own_ahead)
    return [report for report in donors_among(sound) if report.node not in doubtful]


def why_left(node: str, reports: Reports, by_itself: bool = False) -> str:
    """Why a member takes no part, in words.

    ``by_itself``: from its own report, whatever others know of it.
    """
    report = reports.of(node)
    if report is None:
        return reports.reason(node, "known to be away")
    if not report.member:
        return describe_stranger(report, NO_REPORTS if by_itself else reports)
    if not report.is_itself:
        return describe_other(report)
    if report.has_restarted:
        return f"{report.restart}, and may have lost data"
    if report.lineage == 0:
        return "is being filled: it is new, or came back empty"
    if not report.takes_bookkeeping:
        return (
            f"takes no writes: {report.refusal}"
            if report.refusal
            else f"cannot be fenced: {report.denied}"
        )
    topology, told = None if by_itself else newest_topology(reports), report.own_topology
    if topology is not None and told is not None and _has_other_members(topology, report, reports):
        return _elsewhere(told)
    return "was not fenced, or is of an older lineage"


def _elsewhere(told: Topology) -> str:
    """What a member tells of which no other one does, and what to do about it."""
    places = ", ".join(f"{each.id} at {each.url}" for each in told.members)
    return (
        f"tells of other members in epoch {told.epoch}, as no other one does ({places}): name "
        "these in the "
        "configuration if they are right"
    )


def witnesses_needed(copies: int) -> int:
    """How many replicas must be counted to put a primary that restarted back to work: those that a
    committed QUORUM write cannot have missed all.

    It stands on ``copies // 2`` of the ``copies - 1`` replicas.
    """
    return copies - ConsistencyLevel.QUORUM.required(copies - 1) if copies > 1 else 0


def returned_fields(topology: Topology, restarted: NodeReport, reports: Reports) -> dict[str, str]:
    """The member field of one that restarted, and is admitted again in this epoch.

    Others that serve in it show that no later one has begun with this member, which it may have
    forgotten: so many that a majority could not do without one of them.
    """
    others = reports.among(topology.others(restarted.node))
    shown = [
        each
        for each in others
        if each.is_serving and each.epoch == topology.epoch and not each.has_returned
    ]
    return {
        "returned": "" if len(shown) >= witnesses_needed(len(topology.ids)) else str(topology.epoch)
    }


def may_have_forgotten_epoch(topology: Topology, restarted: NodeReport, reports: Reports) -> bool:
    """Whether a member that restarted may have been moved, before that, to a later epoch which
    others still work in.

    Was it one of the majority that began it, it must not serve in this one again: it would confirm
    here what the failover that ends the change does not look for, since it takes the highest
    lineage. So it waits for that failover, if so many have lost nothing that there will be one.
    """
    if topology.decider is None or not restarted.has_restarted:
        return False
    sound = sound_members(topology, reports)
    return len(sound) >= majority_of(topology) and any(
        each in sound for each in between_epochs(topology, reports)
    )


def way_out(topology: Topology, reports: Reports) -> str:
    """What an operator can do while the one primary does not serve, in words."""
    return "; or ".join(ways_out(topology, reports))


def ways_out(topology: Topology, reports: Reports) -> list[str]:
    """The same one by one, with the exact commands; what loses nothing comes first."""
    sound = [report.node for report in sound_members(topology, reports)]
    missing = majority_of(topology) - len(sound)
    if missing <= 0:
        return _with_enough_sound(topology, reports)
    to_put_back = _missing_witnesses(topology, reports, sound)
    if _has_restarted(topology, reports):
        missing = min(missing, max(1, to_put_back))
    ways = [
        *_bring_back(topology, reports, missing),
        *_restart_primary(topology, reports, to_put_back, sound),
    ]
    if not sound and not any(report.is_serving for report in reports.members(topology)):
        ways.append(
            f"have all {len(topology.ids)} servers run with their data directories: where none "
            "has lost what another "
            "has seen, they begin again by themselves"
        )
    ways += _accept_loss(topology, reports)
    return ways or ["start the servers"]


def _with_enough_sound(topology: Topology, reports: Reports) -> list[str]:
    """Where a majority has lost nothing: a failover, unless the clocks of all that could take over
    were ahead.
    """
    if successors(topology, reports):
        return [
            "`redrepl failover` gives its role to another node "
            "and loses no acknowledged QUORUM write"
        ]
    primary = reports.primary(topology)
    if primary is not None and primary.is_itself:
        # One whose clock is off now is put back as soon as that is right.
        return [
            "set the clocks of the servers right: then the workers compare the primary with the "
            "others and put it "
            "back to work; if this lasts, none runs: start `redrepl worker`"
        ]
    ways = [
        "make the primary's server reachable: the workers compare it with the others and put it "
        "back to work"
    ]
    return [*ways, *_accept_loss(topology, reports)]


def _accept_loss(topology: Topology, reports: Reports) -> list[str]:
    """The command by which an operator goes on from what one member has, where one answers."""
    if (best := _best_known(topology, reports)) is None:
        return []
    return [
        "go on from what one member has and give up what it lacks, acknowledged writes too: "
        "`redrepl failover "
        f"--accept-loss --to {best.node}` (it says first what that is, and asks; a server with "
        "newer data can be "
        "started before and named instead)"
    ]


def _bring_back(topology: Topology, reports: Reports, missing: int) -> list[str]:
    """Members that may count again by being reached, where they are enough."""
    gone = [node for node in topology.ids if node not in reports.present]
    silent = [node for node in gone if not is_crash(reports.reason(node, ""))]
    note = (
        "a server that has not restarted counts as soon as it answers, one that is started "
        "again does not"
    )
    if len(silent) >= missing:
        return [
            f"make {_some(silent, missing)} reachable again without restarting the server ({note})"
        ]
    if len(gone) >= missing:
        names = _some(gone, missing)
        return [
            f"make {names} reachable, if only the network or a wrong address keeps the server "
            f"away ({note})"
        ]
    return []


def _some(names: Sequence[str], count: int) -> str:
    """So many of these."""
    listed = ", ".join(names)
    return listed if len(names) == count else f"{'one' if count == 1 else count} of {listed}"


def _has_restarted(topology: Topology, reports: Reports) -> bool:
    """Whether the primary answers, has its membership, and restarted: so it can be put back to
    work.
    """
    report = reports.primary(topology)
    return report is not None and report.is_itself and report.has_restarted


def _missing_witnesses(topology: Topology, reports: Reports, sound: Sequence[str]) -> int:
    """How many replicas are missing for the primary to be put back to work with its own data, if it
    has any.
    """
    newcomers = [report for report in reports.members(topology) if report.is_newcomer]
    others = [node for node in sound if node != topology.decider]
    return witnesses_needed(len(topology.ids) - len(newcomers)) - len(others)


def _restart_primary(
    topology: Topology, reports: Reports, missing: int, sound: Sequence[str]
) -> list[str]:
    """Whether the primary's own data would do, which takes fewer replicas than a majority where
    copies are even.
    """
    primary = topology.decider or ""
    report = reports.of(primary)
    is_empty = report is not None and not report.member
    if missing > 0 or (report is not None and not is_empty):
        return []
    others = ", ".join(node for node in sound if node != primary)
    doing = (
        "restore its data directory and restart it"
        if is_empty
        else "start its server with its data directory"
    )
    rest = (
        f" (an older one will do): the workers bring it what {others} had beyond it"
        if others
        else ""
    )
    return [f"for primary {primary!r}, {doing}{rest}, and it serves again"]


def _best_known(topology: Topology, reports: Reports) -> NodeReport | None:
    """The member to think of first when a loss is accepted: one that lost nothing of its own, else
    the newest.
    """
    found = [report for report in reports.members(topology) if report.is_itself]
    return max(
        found,
        key=lambda r: (r.lineage > 0 and not r.has_restarted, r.lineage, r.log.added),
        default=None,
    )
