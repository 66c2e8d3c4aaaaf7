"""Noting on replicas what their logs are worth to others: how far they are in the primary's, by
which they go on in each other's; and what they leave out.

See docs/protocol.md, section 5.1.
Whoever has the primary's log that far has the replica's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from redrepl.plans.copies.marks import checkpoint_call
from redrepl.plans.copies.member_calls import note_on_member
from redrepl.plans.epochs.member_changes import change_member
from redrepl.plans.epochs.membership import gap_field
from redrepl.plans.steps import Steps
from redrepl.plans.view import ClusterView
from redrepl.values.effects import Plan
from redrepl.values.member_state import MemberState
from redrepl.values.report import Checkpoint, Mark, NodeReport, Position


def note_checked(
    view: ClusterView,
    primary: NodeReport,
    replicas: Iterable[NodeReport],
    reached: Mapping[str, Position],
    steps: Steps,
) -> Plan[None]:
    """Note on replicas up to where the primary has looked through their logs.

    ``primary``: as it was after that.

    Nothing is noted where its own log was lost meanwhile: a place in what is left of that counts
    none of what the primary had, so that others would seem to have reached it.
    """
    if primary.has_restarted:
        return
    mark = Mark(primary.incarnation, primary.log_end)
    for replica in replicas:
        position = reached.get(replica.node)
        newest = next(iter(replica.checkpoints), None)
        if position is None or (
            newest is not None and newest[:2] == (replica.incarnation, position)
        ):
            continue
        yield from _note(
            view,
            replica,
            Checkpoint(replica.incarnation, position, primary.node, mark, view.topology.epoch),
            steps,
        )


def note_filled(view: ClusterView, found: NodeReport, incarnation: str, steps: Steps) -> Plan[None]:
    """Note on a copy whose log began when it was being filled that all in it is the primary's: no
    client writes there yet.

    ``found``: as it was after it was filled. ``incarnation``: of its log from when it is admitted
    on.

    Else nobody could go on in its log until the primary has looked through it; and if that failed
    before, another replica would have to be walked while writes wait for it.
    """
    primary = view.decider or ""
    mark = found.marks.get(primary)
    if mark is None or found.state is not MemberState.SYNCING or found.epoch != view.topology.epoch:
        return
    yield from _note(
        view, found, Checkpoint(incarnation, found.log_end, primary, mark, found.epoch), steps
    )


def _note(
    view: ClusterView, replica: NodeReport, checkpoint: Checkpoint, steps: Steps
) -> Plan[None]:
    call = checkpoint_call(view.layout, view.epoch, checkpoint)
    yield from note_on_member(view, replica.node, call, "noting a checkpoint", steps)


def note_gap(view: ClusterView, target: NodeReport, steps: Steps) -> Plan[None]:
    """Have others know that the node's log leaves out what was deleted and purged before this
    walk.
    """
    error = f"node {target.node!r} changed while it was brought up"
    yield from change_member(
        target, view.layout, gap_field(target), None, "noting a gap in its log", steps, error
    )
