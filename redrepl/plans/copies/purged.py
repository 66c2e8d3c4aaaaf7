"""Giving up what a primary that came back with older data has, and what was deleted and purged without it since.

See docs/protocol.md, section 6.1. It is needed where no witness' log reaches back so far: a log names every delete.
"""

from __future__ import annotations

from collections.abc import Sequence

from redrepl.plans.copies.copying import stamp_in
from redrepl.plans.copies.undecided import DIVERGED, fresh_tombstone
from redrepl.plans.scan import FOREIGN, SCAN_START, read_headers, scan_page
from redrepl.plans.steps import Steps
from redrepl.plans.view import ClusterView, admitted
from redrepl.values.answers.upkeep import Replacement, parse_replace
from redrepl.values.effects import Plan
from redrepl.values.record import TOMBSTONE
from redrepl.values.report import NodeReport
from redrepl.values.stamp import Stamp


def give_up_purged(view: ClusterView, primary: NodeReport, witnesses: Sequence[NodeReport], steps: Steps) -> Plan[int]:
    """Replace, on the primary, what is older than the witnesses have purged and none of them has, by tombstones.

    The witnesses are so many that they cannot all have missed a committed write. So it was deleted, and that was
    purged, or it was never committed. It is kept in the discarded log. Answers how many records went.
    """
    limit = max((witness.purged_before for witness in witnesses), default=0)
    if limit <= primary.purged_before:
        return 0
    cursor, given_up = SCAN_START, 0
    while True:
        cursor, names = yield from scan_page(view, primary.node, cursor, steps)
        suspects = yield from _older_values(view, primary.node, names, limit, steps)
        for witness in witnesses:
            headers = yield from read_headers(view, witness.node, list(suspects), steps)
            suspects = {
                name: suspects[name] for name, header in zip(list(suspects), headers, strict=True) if not header
            }
        for name, stamp in suspects.items():
            given_up += yield from _replace(view, primary, name, stamp, steps)
        if cursor == SCAN_START:
            return given_up


def _older_values(
    view: ClusterView, node: str, names: list[bytes], limit_micros: int, steps: Steps
) -> Plan[dict[bytes, Stamp]]:
    headers = yield from read_headers(view, node, names, steps)
    found = {}
    for name, header in zip(names, headers, strict=True):
        if header not in (b"", FOREIGN) and header[22:23] != TOMBSTONE and stamp_in(header).micros < limit_micros:
            found[name] = stamp_in(header)
    return found


def _replace(view: ClusterView, primary: NodeReport, name: bytes, standing: Stamp, steps: Steps) -> Plan[int]:
    grave = yield from fresh_tombstone(view, primary, standing, steps)
    call = view.replace_call(name, standing, grave, DIVERGED)
    answer = parse_replace((yield from steps.ask(primary.node, call, "giving up a record")))
    replacement = admitted(answer, primary.node, view.epoch)
    return 1 if replacement is Replacement.DONE else 0
