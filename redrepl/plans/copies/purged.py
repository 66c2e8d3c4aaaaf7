"""Giving up what a primary that came back with older data has, and what was deleted and purged
without it since.

See docs/protocol.md, section 6.1. It is needed where no witness' log reaches back so far: a log
names every delete.
"""

from __future__ import annotations

from collections.abc import Sequence

from redrepl.plans.copies.headers import holds_record, is_tombstone, stamp_in
from redrepl.plans.copies.key_walk import KeyWalk
from redrepl.plans.copies.undecided import DIVERGED, fresh_tombstone, replace_exactly
from redrepl.plans.scan import read_headers
from redrepl.plans.steps import Steps
from redrepl.plans.view import ClusterView
from redrepl.values.effects import Plan
from redrepl.values.report import NodeReport
from redrepl.values.stamp import Stamp


def give_up_purged(
    view: ClusterView, primary: NodeReport, witnesses: Sequence[NodeReport], steps: Steps
) -> Plan[int]:
    """Replace, on the primary, what is older than the witnesses have purged and none of them has,
    by tombstones.

    The witnesses are so many that they cannot all have missed a committed write. So it was deleted,
    and that was purged, or it was never committed. It is kept in the discarded log. Answers how
    many records went.
    """
    limit = max((witness.purged_before for witness in witnesses), default=0)
    if limit <= primary.purged_before:
        return 0
    given_up = 0
    keys = KeyWalk(view, primary.node, steps)
    while not keys.is_over:
        names = yield from keys.next_page()
        suspects = yield from _older_values(view, primary.node, names, limit, steps)
        for witness in witnesses:
            headers = yield from read_headers(view, witness.node, list(suspects), steps)
            suspects = {
                name: suspects[name]
                for name, header in zip(list(suspects), headers, strict=True)
                if not header
            }
        for name, stamp in suspects.items():
            given_up += yield from _replace(view, primary, name, stamp, steps)
    return given_up


def _older_values(
    view: ClusterView, node: str, names: list[bytes], limit_micros: int, steps: Steps
) -> Plan[dict[bytes, Stamp]]:
    headers = yield from read_headers(view, node, names, steps)
    found = {}
    for name, header in zip(names, headers, strict=True):
        if (
            holds_record(header)
            and not is_tombstone(header)
            and stamp_in(header).micros < limit_micros
        ):
            found[name] = stamp_in(header)
    return found


def _replace(
    view: ClusterView, primary: NodeReport, name: bytes, current: Stamp, steps: Steps
) -> Plan[int]:
    """How many records were replaced: 0 or 1."""
    grave = yield from fresh_tombstone(view, primary, current, steps)
    call = view.replace_call(name, current, grave, DIVERGED)
    return int((yield from replace_exactly(view, primary.node, call, "giving up a record", steps)))
