"""Making a replica equal to its primary by walking over all keys, for when the log does not suffice.

First everything the source has and the target lacks; then, with one primary, what the target has and the source does
not: undecided or left over from another life. With several primaries nothing is taken away: what a target has more is
what the others do not have yet.
"""

from __future__ import annotations

from typing import NamedTuple

from redrepl.plans.copies.catch_up import confirm
from redrepl.plans.copies.copying import Copier, stamp_in
from redrepl.plans.copies.undecided import UNDECIDED, max_age_micros, settle
from redrepl.plans.scan import FOREIGN, SCAN_START, read_headers, scan_page
from redrepl.plans.steps import Steps
from redrepl.plans.view import ON_ACTIVE, ClusterView
from redrepl.values.effects import PlainCommand, Plan, Progress
from redrepl.values.report import Mark, NodeReport
from redrepl.values.stamp import Stamp

_RETRY_SECONDS = 0.5


class FullySynced(NamedTuple):
    """Keys looked at, records copied, and records replaced because the source does not have them."""

    keys: int
    copied: int
    replaced: int


def full_sync(
    view: ClusterView, source: NodeReport, target: str, steps: Steps, why: bytes = UNDECIDED
) -> Plan[FullySynced]:
    """Copy all, take away what is too much, and set the mark to where the source's log stood before.

    ``why`` there may be too much: UNDECIDED records are waited for, DIVERGED ones go at once.
    """
    total = yield from steps.ask(source.node, PlainCommand((b"DBSIZE",)), "counting keys")
    copier = Copier(view, source.node, target, steps, source.now_millis)
    cursor, keys = SCAN_START, 0
    while True:
        cursor, names = yield from _page(view, source.node, cursor, steps)
        headers = yield from read_headers(view, source.node, names, steps, ON_ACTIVE)
        pairs = zip(names, headers, strict=True)
        yield from copier.copy({name: stamp_in(header) for name, header in pairs if header not in (b"", FOREIGN)})
        keys += len(names)
        yield Progress(f"copy {source.node} to {target}", keys, keys if cursor == SCAN_START else max(keys, total))
        if cursor == SCAN_START:
            break
    replaced = 0 if view.decider is None else (yield from _take_away(view, source, target, steps, why))
    yield from copier.absorb((), (), Mark(source.incarnation, source.log.end))
    yield from confirm(view, source.node, target, source.log.end, steps, force=True)
    return FullySynced(keys, copier.records, replaced)


def _page(view: ClusterView, node: str, cursor: bytes, steps: Steps) -> Plan[tuple[bytes, list[bytes]]]:
    return (yield from scan_page(view, node, cursor, steps))


def _take_away(view: ClusterView, source: NodeReport, target: str, steps: Steps, why: bytes) -> Plan[int]:
    """Settle what the target has and the source does not; what is too young is waited for."""
    cursor, replaced, young = SCAN_START, 0, dict[bytes, Stamp]()
    while True:
        cursor, names = yield from _page(view, target, cursor, steps)
        headers = yield from read_headers(view, target, names, steps)
        pairs = zip(names, headers, strict=True)
        found = {name: stamp_in(header) for name, header in pairs if header not in (b"", FOREIGN)}
        settled = yield from settle(view, source, target, found, steps, why)
        replaced += settled.replaced
        young.update(settled.young)
        if cursor == SCAN_START:
            break
    give_up_at = steps.at + 2 * max_age_micros(source) / 1e6
    while young and steps.at < give_up_at:
        yield Progress(f"wait for {len(young)} undecided records on {target}", 0, None)
        yield from steps.rest(_RETRY_SECONDS)
        settled = yield from settle(view, source, target, young, steps)
        replaced += settled.replaced
        young = settled.young
    return replaced
