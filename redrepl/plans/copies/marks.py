"""Where one node may go on in another node's log, without missing anything (docs/protocol.md,
section 1).
"""

from __future__ import annotations

from redrepl.values import limits
from redrepl.values.effects import ScriptCall
from redrepl.values.keys import KeyLayout
from redrepl.values.report import LOG_START, Checkpoint, Mark, NodeReport, Position, id_order


def starting_mark(source: NodeReport, target: NodeReport) -> Mark | None:
    """Where the target may go on in the source's log; None where only a walk over all keys will do.

    A mark counts only for the log it was made in: same incarnation (or the one before, up to where
    that ended), not cut off since, and not beyond the log's end, which would mean that the source
    lost part of it. Where two replicas have never read each other's logs, what both know of their
    primary's tells. Without either, a log that is complete since its beginning can be read from
    there; it is not where the target has had more of it than there is now. A target with old
    records needs every delete since: what stands before a gap does not count for it.
    """
    gap = source.log_gap if target.may_be_outdated else ""
    known = [point.position for point in source.checkpoints if _has_reached(source, target, point)]
    mark = target.marks.get(source.node)
    if (
        mark is not None
        and _is_of_this_log(source, mark, gap)
        and _is_within(source, mark.position)
    ):
        known.append(mark.position)
    if not known and _is_whole(source, target) and not _shows_loss(source, mark):
        known.append(Position(LOG_START, 0))
    return (
        Mark(source.incarnation, max(known, key=lambda position: position.order)) if known else None
    )


def mark_of_remains(source: NodeReport, target: NodeReport) -> Mark | None:
    """Where the target may read what is left of a log that may have lost a part; it reaches no
    checkpoint by that.
    """
    mark = starting_mark(source, target)
    if mark is None and _is_whole(source, target):
        mark = Mark(source.incarnation, Position(LOG_START, 0))
    return None if mark is None else Mark(f"{mark.incarnation}-remains", mark.position)


def oldest_mark(source: NodeReport) -> Mark:
    """Where what is left of the source's log begins, for one who only looks through it.

    Entries may stand before the floor yet, so that the count is not known. One that is too large is
    put right at the log's end, and one that is too small is not.
    """
    floor, log = source.log_floor, source.log
    is_whole = not log.length or id_order(log.first_id) > id_order(floor)
    return Mark(
        source.incarnation, Position(floor, log.added - log.length if is_whole else log.added)
    )


def why_no_mark(source: NodeReport, target: NodeReport) -> str:
    """Why the target cannot go on in the source's log, in words; for where `starting_mark` finds no
    place.
    """
    mark, log = target.marks.get(source.node), f"the log of {source.node}"
    if mark is None:
        return f"it has read nothing of {log} yet, and the beginning of that is gone"
    if not _is_of_this_log(source, mark, ""):
        return f"{log} was begun anew since it last read there"
    if source.log_gap and target.may_be_outdated:
        return f"{log} leaves out deletes from before {source.node} was filled"
    if mark.position.order < id_order(source.log_floor):
        return f"{log} was cut beyond the place up to which it had read"
    return (
        f"{log} ends before the place up to which it had read: {source.node} has lost a part of it"
    )


def has_seen_all(source: NodeReport, target: NodeReport) -> bool:
    """Whether the target knows the source's log to its end or beyond: the source has nothing of its
    own.
    """
    mark = target.marks.get(source.node)
    if mark is None or mark.incarnation != source.incarnation:
        return False
    return mark.position.order >= id_order(source.log.last_id)


def checkpoint_call(layout: KeyLayout, epoch: bytes, checkpoint: Checkpoint) -> ScriptCall:
    """Note a checkpoint on the replica whose log it is about."""
    keys = (layout.member, layout.checkpoints)
    return ScriptCall("checkpoint", keys, (epoch, checkpoint.encode(), limits.CHECKPOINTS))


def _has_reached(source: NodeReport, target: NodeReport, point: Checkpoint) -> bool:
    """Whether the target has the primary's log up to where a checkpoint says that it held all of
    the source's.

    Only in the epoch of the checkpoint: in a later one a new primary's mark of an old one's log
    also stands behind records that were discarded there.
    """
    known = target.marks.get(point.primary)
    if point.primary == target.node and not target.has_restarted:
        known = Mark(target.incarnation, target.log_end)  # the primary has its own log
    if known is None or point.epoch != target.lineage or point.incarnation != source.incarnation:
        return False
    if known.incarnation != point.mark.incarnation or not _is_at_least(
        known.position, point.mark.position
    ):
        return False
    return _is_within(source, point.position)


def _is_at_least(reached: Position, wanted: Position) -> bool:
    """Whether one place in a log is not before another.

    One that lies later and counts fewer entries is of what stands in the place of a log that was
    lost.
    """
    return reached.order >= wanted.order and reached.entries >= wanted.entries


def _is_whole(source: NodeReport, target: NodeReport) -> bool:
    """Whether nothing was cut off a log, and it leaves out nothing that the target may need."""
    return source.log_floor == LOG_START and not (source.log_gap and target.may_be_outdated)


def _shows_loss(source: NodeReport, mark: Mark | None) -> bool:
    """Whether a place up to which the target had this log shows that a part of it is gone."""
    if mark is None or mark.incarnation != source.incarnation:
        return False
    return mark.position.entries > source.log.added or mark.position.order > source.log_end.order


def _is_within(source: NodeReport, position: Position) -> bool:
    """Whether the log still has everything after the place, and reaches as far.

    A place at the log's end that counts fewer entries than the log has ever had stepped over some.
    """
    last = source.log_end.order
    if position.order == last and position.entries < source.log.added:
        return False
    if position.entries > source.log.added:
        return False  # another log stands in its place
    return id_order(source.log_floor) <= position.order <= last


def _is_of_this_log(source: NodeReport, mark: Mark, gap: str) -> bool:
    """Whether the log is the mark's, or went on from it without loss before the mark when its
    incarnation changed.
    """
    if mark.incarnation == source.incarnation:
        return True
    if source.member.get("previous_incarnation") != mark.incarnation or gap == mark.incarnation:
        return False
    return mark.position.order <= id_order(source.member.get("previous_end", LOG_START))
