"""What only a member of an older lineage holds (docs/protocol.md, section 5): it gives it up before
it serves.

Nobody can take such records any more: whoever sent them addressed an epoch that is over. Those that
are later than the primary's are replaced by its records. Those that the primary has written over
since, without ever having had them, would go without a trace. Both are kept in the node's discarded
log.
"""

from __future__ import annotations

from redrepl.plans.copies.headers import holds_record, stamp_in
from redrepl.plans.copies.log_reader import LogReader
from redrepl.plans.copies.marks import has_seen_all, starting_mark
from redrepl.plans.copies.undecided import DIVERGED, check_log, max_age_micros, replace_record
from redrepl.plans.scan import FOREIGN, read_headers
from redrepl.plans.steps import Steps
from redrepl.plans.view import ON_ACTIVE, ClusterView
from redrepl.values import limits
from redrepl.values.effects import Plan
from redrepl.values.report import NodeReport, Position, id_order
from redrepl.values.stamp import Stamp


def discard_diverged(
    view: ClusterView, primary: NodeReport, target: NodeReport, steps: Steps
) -> Plan[int | None]:
    """Replace what only the target has; returns how many records were replaced.

    None: the target's log does not tell them all.
    """
    start = starting_mark(target, primary)
    if start is None:
        return 0 if target.has_restarted and has_seen_all(target, primary) else None
    overwritten = yield from _overwritten(view, primary, target, start.position, steps)
    if overwritten:
        yield from _leave_known(view, primary, target, overwritten, start.position, steps)
    replaced = 0
    for name, stamp in overwritten.items():
        replaced += yield from replace_record(
            view, primary, target.node, name, stamp, steps, DIVERGED, True
        )
    checked = yield from check_log(view, target, primary, start, steps, float("inf"), DIVERGED)
    return replaced + checked.records


def _overwritten(
    view: ClusterView, primary: NodeReport, target: NodeReport, start: Position, steps: Steps
) -> Plan[dict[bytes, Stamp]]:
    """Records that the target's log names and still holds, where the primary holds later ones; the
    newest of them.
    """
    found: dict[bytes, Stamp] = {}
    log = LogReader(view, target, start, steps)
    while (page := (yield from log.next_page())) is not None:
        names = list(page.stamps)
        theirs = yield from read_headers(view, primary.node, names, steps, ON_ACTIVE)
        ours = yield from read_headers(view, target.node, names, steps)
        for name, own, other in zip(names, ours, theirs, strict=True):
            found.pop(name, None)
            if holds_record(own) and other != FOREIGN and stamp_in(own) < stamp_in(other):
                found[name] = stamp_in(own)
        while len(found) > limits.DISCARDED_ENTRIES:
            del found[next(iter(found))]
    return found


def _leave_known(
    view: ClusterView,
    primary: NodeReport,
    target: NodeReport,
    overwritten: dict[bytes, Stamp],
    start: Position,
    steps: Steps,
) -> Plan[None]:
    """Leave out what the primary's own log names: it had these records, and somebody wrote over
    them as usual.

    It is read from well before the first of them; what was cut there is no longer known, and is
    kept.
    """
    earliest = min(id_order(start.id)[0], *(stamp.micros // 1000 for stamp in overwritten.values()))
    margin_millis = 2 * max_age_micros(target) // 1000
    first = _later(Position(f"{max(0, earliest - margin_millis)}-0", 0), primary.log_floor)
    log = LogReader(view, primary, first, steps)
    while overwritten and (page := (yield from log.next_page())) is not None:
        for _, fields in page.entries:
            for name, stamp in zip(fields[::2], fields[1::2], strict=True):
                if name in overwritten and overwritten[name].encode() == stamp:
                    del overwritten[name]


def _later(position: Position, floor: str) -> Position:
    return position if position.order >= id_order(floor) else Position(floor, 0)
