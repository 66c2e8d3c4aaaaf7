"""Proving that every replica equals the primary: digests per range first, then key by key where they differ.

Records past their deadline do not count, because a node may have dropped them or not. All others do, tombstones
included: an old write that arrives late must meet the same answer everywhere.
"""

from __future__ import annotations

from binascii import crc32
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from redrepl.plans.copying import Copier, stamp_in
from redrepl.plans.inspect import inspect_nodes
from redrepl.plans.scan import FOREIGN, SCAN_START, read_headers, scan_page
from redrepl.plans.steps import Steps
from redrepl.plans.topology import newest_topology
from redrepl.plans.undecided import settle
from redrepl.plans.view import ON_ACTIVE, ClusterView, check_admitted, keys_to_ask
from redrepl.values import limits
from redrepl.values.effects import PlainCommand, Plan, Progress, ScriptCall
from redrepl.values.errors import Unavailable
from redrepl.values.keys import KeyLayout
from redrepl.values.record import Record, parse_record
from redrepl.values.report import NodeReport
from redrepl.values.stamp import Stamp
from redrepl.values.status import SCHEMA_VERSION

RANGES = 1024
"""Ranges by checksum of the name. A difference costs a look at 1/1024 of the keys."""

SETTLE_SECONDS = 0.3
"""Between looks at a key that differs: writes that were under way have arrived by then."""

LOOKS = 4

DAMAGED = b"damaged"
"""Why a record goes: it has the stamp of the primary's record and other bytes."""


class Mismatch(NamedTuple):
    """A key that differs between the primary and another copy; stamps as text, '' where nothing stands."""

    key: bytes
    node: str
    kind: str
    primary_stamp: str
    node_stamp: str

    def as_json(self) -> dict[str, Any]:
        """As `verify --format json` gives it."""
        key = self.key.decode("utf-8", "backslashreplace")
        return {
            "key": key,
            "node": self.node,
            "kind": self.kind,
            "primary_stamp": self.primary_stamp,
            "node_stamp": self.node_stamp,
        }


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


def verify(layout: KeyLayout, nodes: tuple[str, ...], started: float, repair: bool = False) -> Plan[VerifyReport]:
    """Compare all members with the primary (or the first of several). Raises Unavailable if that one is away."""
    steps = Steps(started)
    reports = yield from inspect_nodes(layout, nodes, steps.until)
    topology = newest_topology(reports)
    if topology is None:
        raise Unavailable(f"no member of cluster {layout.cluster!r} answered", _evidence(reports))
    view, reference = ClusterView(topology), topology.primaries[0]
    if view.decider is None:
        reference = next((n for n in topology.ids if isinstance(reports.get(n), NodeReport)), reference)
    present, unreachable = _comparable(view, reports)
    if reference not in present:
        raise Unavailable(f"node {reference!r} is needed to compare with", unreachable)
    now_millis = present[reference].now_millis
    digests = {}
    for node in present:
        digests[node] = yield from _digest(view, node, now_millis, steps)
    suspects = {node: _differing(digests[reference], digests[node]) for node in present if node != reference}
    found: list[Mismatch] = []
    decided: list[bytes] = []
    repaired = 0
    for node, ranges in suspects.items():
        comparison = _Comparison(view, present[reference], node, now_millis, steps)
        names = yield from comparison.differing(ranges)
        if repair and names:
            repaired += yield from comparison.repair(names)
            names = yield from comparison.still_differing(names)
            decided += comparison.decided
        found += [comparison.mismatches[name] for name in names]
    if decided:
        yield from _spread(view, present[reference], list(suspects), decided, steps)
    keys = sum(count for count, _ in digests[reference].values())
    # A foreign value on the primary comes up in the comparison with every copy.
    found = list(dict.fromkeys(found))
    return VerifyReport(not found and not unreachable, keys, tuple(found), repaired, unreachable)


def _spread(view: ClusterView, reference: NodeReport, nodes: list[str], names: list[bytes], steps: Steps) -> Plan[None]:
    """Bring what the primary decided during the repair to all copies: equal now, not after the next catch-up."""
    headers = yield from read_headers(view, reference.node, names, steps.until, ON_ACTIVE)
    pairs = zip(names, headers, strict=True)
    wanted = {name: stamp_in(header) for name, header in pairs if header not in (b"", FOREIGN)}
    for node in nodes:
        yield from Copier(view, reference.node, node, steps, reference.now_millis).copy(wanted)


def _evidence(reports: dict[str, NodeReport | str]) -> dict[str, str]:
    return {node: report if isinstance(report, str) else "is no member" for node, report in reports.items()}


def _comparable(
    view: ClusterView, reports: dict[str, NodeReport | str]
) -> tuple[dict[str, NodeReport], dict[str, str]]:
    present: dict[str, NodeReport] = {}
    missing: dict[str, str] = {}
    for node in view.ids:
        report = reports.get(node, "its address is not known")
        if isinstance(report, str):
            missing[node] = report
        elif not report.is_serving or report.epoch != view.topology.epoch:
            missing[node] = "is not active: restarted, syncing or in another epoch"
        else:
            present[node] = report
    return present, missing


def range_of(name: bytes) -> int:
    """The range a key belongs to."""
    return crc32(name) % RANGES


def _digest(view: ClusterView, node: str, now_millis: int, steps: Steps) -> Plan[dict[int, tuple[int, int]]]:
    """Per range: how many records stand there, and the sum of their digests."""
    total: int = yield from steps.ask(node, PlainCommand((b"DBSIZE",)), "counting keys")
    sums: dict[int, tuple[int, int]] = {}
    seen: set[bytes] = set()
    cursor = SCAN_START
    while True:
        cursor, names = yield from scan_page(view, node, cursor, steps.until)
        fresh = sorted((name for name in names if name not in seen), key=range_of)
        seen.update(fresh)
        start, count = 0, limits.BATCH_KEYS
        while start < len(fresh):
            done = yield from _add_digests(node, fresh[start : start + count], now_millis, sums, steps)
            start, count = start + done, keys_to_ask(done)
        yield Progress(f"digest {node}", len(seen), len(seen) if cursor == SCAN_START else max(total, len(seen)))
        if cursor == SCAN_START:
            return sums


def _add_digests(
    node: str, names: Sequence[bytes], now_millis: int, sums: dict[int, tuple[int, int]], steps: Steps
) -> Plan[int]:
    """Add the digests of the first of these names, as many as one call looks at; answers how many."""
    numbers = [range_of(name) for name in names]
    arguments = (now_millis, limits.BATCH_BYTES, *numbers)
    content = yield from steps.ask(node, ScriptCall("digest", tuple(names), arguments), "digesting records")
    for index in range(1, len(content), 3):
        number, count, amount = int(content[index]), content[index + 1], int(content[index + 2])
        known_count, known_amount = sums.get(number, (0, 0))
        sums[number] = (known_count + count, (known_amount + amount) % (1 << 52))
    looked_at: int = content[0]
    return looked_at


def _differing(first: dict[int, tuple[int, int]], second: dict[int, tuple[int, int]]) -> set[int]:
    nothing = (0, 0)
    return {
        number for number in first.keys() | second.keys() if first.get(number, nothing) != second.get(number, nothing)
    }


class _Comparison:
    """Key by key, one copy against the reference."""

    def __init__(self, view: ClusterView, reference: NodeReport, node: str, now_millis: int, steps: Steps) -> None:
        self.view = view
        self.reference = reference
        self.node = node
        self.now_millis = now_millis
        self.steps = steps
        self.mismatches: dict[bytes, Mismatch] = {}
        self.decided: list[bytes] = []
        """Names under which the primary had nothing, and decided that to end a difference."""

    def differing(self, ranges: set[int]) -> Plan[list[bytes]]:
        """Names in these ranges whose records stay different over several looks."""
        if not ranges:
            return []
        names: set[bytes] = set()
        for node in (self.reference.node, self.node):
            cursor = SCAN_START
            while True:
                cursor, page = yield from scan_page(self.view, node, cursor, self.steps.until)
                names.update(name for name in page if range_of(name) in ranges)
                if cursor == SCAN_START:
                    break
        return (yield from self.still_differing(sorted(names)))

    def still_differing(self, names: Sequence[bytes]) -> Plan[list[bytes]]:
        """Those of the names that differ at every look: what is under way is no mismatch."""
        left = list(names)
        for look in range(LOOKS):
            if look and left:
                yield from self.steps.rest(SETTLE_SECONDS)
            left = yield from self._look(left)
        return left

    def _look(self, names: Sequence[bytes]) -> Plan[list[bytes]]:
        different = []
        start, count = 0, limits.BATCH_KEYS
        while start < len(names):
            page = names[start : start + count]
            theirs = yield from self._read(self.node, page)
            ours = yield from self._read(self.reference.node, page[: len(theirs)])
            start, count = start + len(ours), keys_to_ask(len(ours))
            for name, own, other in zip(page, ours, theirs, strict=False):
                mismatch = self._mismatch(name, own, other)
                if mismatch is not None:
                    self.mismatches[name] = mismatch
                    different.append(name)
        return different

    def _read(self, node: str, names: Sequence[bytes]) -> Plan[list[bytes | None]]:
        """What stands under the first of these names, as many as one answer holds."""
        content = yield from self.steps.ask(node, self.view.read_call(names), "comparing records")
        check_admitted(content, node, self.view.epoch)
        found: list[bytes | None] = content[1:]
        return found

    def _mismatch(self, name: bytes, own: bytes | None, other: bytes | None) -> Mismatch | None:
        first, second = self._standing(own), self._standing(other)
        if (own == other and own is not None) or (first is None and second is None and own is None and other is None):
            return None
        if first is None and second is None and not (_is_foreign(own) or _is_foreign(other)):
            return None  # both past their deadline
        kind = "differs"
        if _is_foreign(own) or _is_foreign(other):
            kind = "foreign"
        elif first is None:
            kind = "extra"
        elif second is None:
            kind = "missing"
        elif first.stamp != second.stamp:
            kind = "behind" if second.stamp < first.stamp else "ahead"
        key = self.view.layout.user_key(name)
        node = self.reference.node if _is_foreign(own) else self.node
        return Mismatch(key, node, kind, _stamp_text(first), _stamp_text(second))

    def _standing(self, stored: bytes | None) -> Record | None:
        if stored is None or _is_foreign(stored):
            return None
        record = parse_record(stored)
        return None if record.is_past_deadline(self.now_millis) else record

    def repair(self, names: Sequence[bytes]) -> Plan[int]:
        """Bring the copy to the reference's records; with several primaries, both to the later one."""
        wanted = {n: Stamp.parse(m.primary_stamp) for n in names if (m := self.mismatches[n]).primary_stamp}
        copier = Copier(self.view, self.reference.node, self.node, self.steps, self.now_millis)
        yield from copier.copy(wanted)
        ahead = {n: Stamp.parse(m.node_stamp) for n in names if (m := self.mismatches[n]).kind in ("ahead", "extra")}
        if self.view.decider is None:
            back = Copier(self.view, self.node, self.reference.node, self.steps, self.now_millis)
            yield from back.copy(ahead)
            return copier.records + back.records
        replaced = yield from self._settle(ahead)
        self.decided += [name for name in ahead if self.mismatches[name].kind == "extra"]
        rewritten = yield from self._rewrite([n for n in names if self.mismatches[n].kind == "differs"])
        return copier.records + replaced + rewritten

    def _settle(self, ahead: dict[bytes, Stamp]) -> Plan[int]:
        """Replace what the primary never took; what is younger than it accepts is waited for."""
        replaced = 0
        while ahead:
            settled = yield from settle(self.view, self.reference, self.node, ahead, self.steps)
            replaced, ahead = replaced + settled.replaced, settled.young
            if ahead:
                yield Progress(f"wait for {len(ahead)} undecided records on {self.node}", 0, None)
                yield from self.steps.rest(SETTLE_SECONDS)
        return replaced

    def _rewrite(self, names: Sequence[bytes]) -> Plan[int]:
        """The same stamp with other bytes: damage on the copy. Exactly that record is replaced."""
        for name in names:
            content = yield from self.steps.ask(self.reference.node, PlainCommand((b"GET", name)), "reading a record")
            call = self.view.replace_call(name, stamp_in(content), content, DAMAGED)
            yield from self.steps.ask(self.node, call, "replacing a damaged record")
        return len(names)


def _is_foreign(stored: bytes | None) -> bool:
    if stored is None:
        return False
    try:
        parse_record(stored)
    except ValueError:
        return True
    return False


def _stamp_text(record: Record | None) -> str:
    return str(record.stamp) if record else ""
