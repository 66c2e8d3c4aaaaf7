"""The pattern's four conditions of correct replication, judged on what the nodes hold."""

from __future__ import annotations

from typing import TypeAlias

from redrepl.plans.copies.headers import stamp_in
from redrepl.plans.view import ClusterView
from redrepl.values.stamp import NO_STAMP
from redrepl.values.status import NodeStatus, Verdict
from redrepl.values.topology import NodeState

Contents: TypeAlias = dict[str, dict[bytes, bytes]]
"""Per node: the header of every value that reads as present, by name."""

_NOT_LOOKED_AT = (
    "not looked at: too many keys, or a node did not answer; `redrepl verify` compares them all"
)


def verdicts_on(
    view: ClusterView, statuses: tuple[NodeStatus, ...], contents: Contents, required_readers: int
) -> tuple[Verdict, ...]:
    """The verdicts on subset, agreement, activity and read capacity."""
    active = [status.id for status in statuses if status.state is NodeState.ACTIVE]
    reference = view.topology.primaries[0]
    replicas = [node for node in active if node != reference]
    return (
        _subset(reference, replicas, contents),
        _agreement(replicas, contents),
        Verdict(
            "at least one replica is active",
            bool(replicas) or len(view.ids) == 1,
            f"active: {', '.join(replicas) or 'none'}",
        ),
        Verdict(
            "enough copies can serve reads",
            len(active) >= required_readers,
            f"{len(active)} active, {required_readers} required",
        ),
    )


def _subset(reference: str, replicas: list[str], contents: Contents) -> Verdict:
    """No replica holds a version that the primary does not have, or has already replaced by a later
    one.
    """
    name = "replicas hold a subset of the primary's data"
    if reference not in contents or any(replica not in contents for replica in replicas):
        return Verdict(name, None, _NOT_LOOKED_AT)
    primary = contents[reference]
    beyond = sum(
        1
        for replica in replicas
        for key, header in contents[replica].items()
        if stamp_in(header) > (stamp_in(primary[key]) if key in primary else NO_STAMP)
    )
    return Verdict(
        name,
        beyond == 0,
        f"{beyond} records on replicas go beyond the primary's" if beyond else "yes",
    )


def _agreement(replicas: list[str], contents: Contents) -> Verdict:
    name = "replicas agree"
    if any(replica not in contents for replica in replicas):
        return Verdict(name, None, _NOT_LOOKED_AT)
    if len(replicas) < 2:
        return Verdict(name, True, f"{len(replicas)} active")
    first, differing = contents[replicas[0]], set[bytes]()
    for replica in replicas[1:]:
        differing |= {key for key, _ in first.items() ^ contents[replica].items()}
    return Verdict(name, not differing, f"{len(differing)} keys differ" if differing else "yes")
