"""Proving that every replica equals the primary: digests per range first, then key by key where they differ."""

from __future__ import annotations

from binascii import crc32
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from redrepl.plans.copies.comparison import Comparison, Mismatch, Yardstick
from redrepl.plans.copies.copying import Copier, stamp_in
from redrepl.plans.copies.digests import Digests, add_digests, differing_ranges
from redrepl.plans.epochs.clocks import doubtful_members
from redrepl.plans.inspect import newest_topology
from redrepl.plans.scan import FOREIGN, SCAN_START, read_headers, scan_page
from redrepl.plans.steps import Steps
from redrepl.plans.strangers import no_member_error
from redrepl.plans.view import ON_ACTIVE, ClusterView
from redrepl.values.effects import PlainCommand, Plan, Progress
from redrepl.values.errors import Unavailable
from redrepl.values.keys import KeyLayout
from redrepl.values.report import NodeReport
from redrepl.values.status import SCHEMA_VERSION
from redrepl.values.topology import Mode

RANGES = 1024
"""Ranges by checksum of the name. A difference costs a look at 1/1024 of the keys."""


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """Whether all copies are equal. ``unreachable``: members that could not be compared: no equality either."""

    consistent: bool
    keys_checked: int
    mismatches: tuple[Mismatch, ...]
    repaired: int = 0
    unreachable: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """As `verify --format json` gives it."""
        return {
            "schema_version": SCHEMA_VERSION,
            "consistent": self.consistent,
            "keys_checked": self.keys_checked,
            "mismatches": [mismatch.as_json() for mismatch in self.mismatches],
            "repaired": self.repaired,
            "unreachable": self.unreachable,
        }


def verify(
    layout: KeyLayout, nodes: tuple[str, ...], started: float, repair: bool = False, retention_seconds: float = 0.0
) -> Plan[VerifyReport]:
    """Compare all members with the primary (or the first of several). Raises Unavailable if that one is away.

    ``retention_seconds``: older tombstones may have been purged and are like nothing; 0 where none are.
    """
    steps = Steps(started)
    view, reference, present, unreachable = yield from find_comparable(layout, nodes, steps)
    yardstick = yardstick_for(view, reference, retention_seconds)
    digests = {}
    for node in present:
        digests[node] = yield from _digest(view, node, yardstick, steps)
    suspects = {n: differing_ranges(digests[reference.node], digests[n]) for n in present if n != reference.node}
    found: list[Mismatch] = []
    decided: list[bytes] = []
    repaired = 0
    for node, ranges in suspects.items():
        comparison = Comparison(view, reference, node, yardstick, steps)
        names = yield from _names_in(view, (reference.node, node), ranges, steps)
        names = yield from comparison.still_differing(names)
        if repair and names:
            repaired += yield from comparison.repair(names)
            names = yield from comparison.still_differing(names)
            decided += comparison.decided
        found += [comparison.mismatches[name] for name in names]
    if decided:
        yield from _spread(view, reference, list(suspects), decided, steps)
    keys = sum(digest.keys for digest in digests[reference.node].values())
    # A foreign value on the primary comes up in the comparison with every copy.
    found = list(dict.fromkeys(found))
    return VerifyReport(not found and not unreachable, keys, tuple(found), repaired, unreachable)


def find_comparable(
    layout: KeyLayout, nodes: tuple[str, ...], steps: Steps, own_ahead: float | None = None
) -> Plan[tuple[ClusterView, NodeReport, dict[str, NodeReport], dict[str, str]]]:
    """The view, the node to compare with, all members that can be compared, and why others cannot.

    Nothing is compared with members whose clocks cannot be trusted (``own_ahead``: see `wrong_clocks`).
    Raises Unavailable where nobody answers, or not the one to compare with.
    """
    reports = yield from steps.inspect(layout, nodes)
    topology = newest_topology(reports)
    if topology is None:
        raise no_member_error(layout.cluster, reports)
    view, reference = ClusterView(topology), topology.primaries[0]
    if view.decider is None:
        reference = next((n for n in topology.ids if isinstance(reports.get(n), NodeReport)), reference)
    present, unreachable = _comparable(view, reports, doubtful_members(topology, reports, own_ahead))
    if reference not in present:
        raise Unavailable(f"node {reference!r} is needed to compare with", unreachable)
    return view, present[reference], present, unreachable


def yardstick_for(view: ClusterView, reference: NodeReport, retention_seconds: float) -> Yardstick:
    """What counts as a difference, by the reference's clock. With several primaries no tombstone is ever purged."""
    is_purged = retention_seconds > 0 and view.topology.mode is Mode.PRIMARY_REPLICA
    old_before = reference.now_millis * 1000 - int(retention_seconds * 1_000_000) if is_purged else 0
    return Yardstick(reference.now_millis, old_before)


def _spread(view: ClusterView, reference: NodeReport, nodes: list[str], names: list[bytes], steps: Steps) -> Plan[None]:
    """Bring what the primary decided during the repair to all copies: equal now, not after the next catch-up."""
    headers = yield from read_headers(view, reference.node, names, steps, ON_ACTIVE)
    pairs = zip(names, headers, strict=True)
    wanted = {name: stamp_in(header) for name, header in pairs if header not in (b"", FOREIGN)}
    for node in nodes:
        yield from Copier(view, reference.node, node, steps, reference.now_millis).copy(wanted)


def _comparable(
    view: ClusterView, reports: dict[str, NodeReport | str], doubtful: Mapping[str, str]
) -> tuple[dict[str, NodeReport], dict[str, str]]:
    present: dict[str, NodeReport] = {}
    missing: dict[str, str] = {}
    for node in view.ids:
        report = reports.get(node, "its address is not known")
        if isinstance(report, str):
            missing[node] = report
        elif not report.is_serving or report.epoch != view.topology.epoch:
            missing[node] = "is not active: restarted, syncing or in another epoch"
        elif node in doubtful:
            missing[node] = doubtful[node]
        else:
            present[node] = report
    return present, missing


def range_of(name: bytes) -> int:
    """The range a key belongs to."""
    return crc32(name) % RANGES


def _digest(view: ClusterView, node: str, yardstick: Yardstick, steps: Steps) -> Plan[Digests]:
    """The digests of all ranges of a node."""
    total: int = yield from steps.ask(node, PlainCommand((b"DBSIZE",)), "counting keys")
    sums: Digests = {}
    seen: set[bytes] = set()
    cursor = SCAN_START
    while True:
        cursor, names = yield from scan_page(view, node, cursor, steps)
        fresh = sorted((name for name in names if name not in seen), key=range_of)
        seen.update(fresh)
        yield from add_digests(node, fresh, [range_of(name) for name in fresh], sums, yardstick, steps)
        yield Progress(f"digest {node}", len(seen), len(seen) if cursor == SCAN_START else max(total, len(seen)))
        if cursor == SCAN_START:
            return sums


def _names_in(view: ClusterView, nodes: Sequence[str], ranges: set[int], steps: Steps) -> Plan[list[bytes]]:
    """The names in these ranges on any of the nodes."""
    names: set[bytes] = set()
    for node in nodes if ranges else ():
        cursor = SCAN_START
        while True:
            cursor, page = yield from scan_page(view, node, cursor, steps)
            names.update(name for name in page if range_of(name) in ranges)
            if cursor == SCAN_START:
                break
    return sorted(names)
