"""Proving that every replica equals the primary: digests of a few records first, then key by key
where they differ.

It goes page by page and keeps nothing of what is equal, so its memory does not grow with the keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from redrepl.plans.copies.comparison import Comparison, Mismatch, Yardstick
from redrepl.plans.copies.copying import REMEMBERED_NAMES, Copier
from redrepl.plans.copies.digests import digest_page, names_that_may_differ
from redrepl.plans.copies.key_walk import KeyWalk, read_stamps
from redrepl.plans.doubtful_clocks import doubtful_members
from redrepl.plans.inspect import newest_topology
from redrepl.plans.scan import read_headers
from redrepl.plans.steps import Steps
from redrepl.plans.strangers import no_member_error
from redrepl.plans.view import ON_ACTIVE, ClusterView
from redrepl.values.effects import PlainCommand, Plan, Progress
from redrepl.values.errors import Unavailable
from redrepl.values.keys import KeyLayout
from redrepl.values.report import NodeReport
from redrepl.values.reports import Reports
from redrepl.values.status import SCHEMA_VERSION
from redrepl.values.topology import Mode

SUSPECTS = 2000
"""Keys that may differ are looked at together, so many at a time: each look takes a while, so that
what is under way arrives.
"""


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """Whether all copies are equal.

    ``unreachable``: members that could not be compared: no equality either.
    """

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
    layout: KeyLayout,
    nodes: tuple[str, ...],
    started: float,
    repair: bool = False,
    retention_seconds: float = 0.0,
) -> Plan[VerifyReport]:
    """Compare all members with the primary (or the first of several).

    Raises Unavailable if that one is away.

    ``retention_seconds``: older tombstones may have been purged and are like nothing; 0 where none
    are.
    """
    steps = Steps(started)
    view, reference, present, unreachable = yield from find_comparable(layout, nodes, steps)
    yardstick = yardstick_for(view, reference, retention_seconds)
    walk = _Verification(view, reference, present, yardstick, steps, repair)
    yield from walk.compare_reference()
    for node in present:
        if node != reference.node:
            yield from walk.find_surplus(node)
    if walk.decided:
        yield from _spread(
            view, reference, [n for n in present if n != reference.node], walk.decided, steps
        )
    found = walk.mismatches()
    return VerifyReport(not found and not unreachable, walk.keys, found, walk.repaired, unreachable)


def find_comparable(
    layout: KeyLayout, nodes: tuple[str, ...], steps: Steps, own_ahead: float | None = None
) -> Plan[tuple[ClusterView, NodeReport, dict[str, NodeReport], dict[str, str]]]:
    """The view, the node to compare with, all members that can be compared, and why others cannot.

    Nothing is compared with members whose clocks cannot be trusted (``own_ahead``: see
    `wrong_clocks`). Raises Unavailable where nobody answers, or not the one to compare with.
    """
    reports = yield from steps.inspect(layout, nodes)
    topology = newest_topology(reports)
    if topology is None:
        raise no_member_error(layout.cluster, reports)
    view, reference = ClusterView(topology), topology.primaries[0]
    if view.decider is None:
        reference = next((report.node for report in reports.members(topology)), reference)
    present, unreachable = _comparable(
        view, reports, doubtful_members(topology, reports, own_ahead)
    )
    if reference not in present:
        raise Unavailable(f"node {reference!r} is needed to compare with", unreachable)
    return view, present[reference], present, unreachable


def yardstick_for(view: ClusterView, reference: NodeReport, retention_seconds: float) -> Yardstick:
    """What counts as a difference, by the reference's clock.

    With several primaries no tombstone is ever purged.
    """
    is_purged = retention_seconds > 0 and view.topology.mode is Mode.PRIMARY_REPLICA
    old_before = (
        reference.now_millis * 1000 - int(retention_seconds * 1_000_000) if is_purged else 0
    )
    return Yardstick(reference.now_millis, old_before)


def _spread(
    view: ClusterView, reference: NodeReport, nodes: list[str], names: list[bytes], steps: Steps
) -> Plan[None]:
    """Bring what the primary decided during the repair to all copies: equal now, not after the next
    catch-up.
    """
    wanted = yield from read_stamps(view, reference.node, names, steps, ON_ACTIVE)
    for node in nodes:
        copier = Copier(view, reference, node, steps)
        yield from copier.copy(wanted)


def _comparable(
    view: ClusterView, reports: Reports, doubtful: Mapping[str, str]
) -> tuple[dict[str, NodeReport], dict[str, str]]:
    present: dict[str, NodeReport] = {}
    missing: dict[str, str] = {}
    for node in view.ids:
        report = reports.of(node)
        if report is None:
            missing[node] = reports.reason(node, "its address is not known")
        elif not report.is_serving or report.epoch != view.topology.epoch:
            missing[node] = "is not active: restarted, syncing or in another epoch"
        elif node in doubtful:
            missing[node] = doubtful[node]
        else:
            present[node] = report
    return present, missing


class _Verification:
    """The reference's keys are compared with all copies, page by page; then each copy's keys are
    looked at, for what it has too much.

    Nothing is kept of what is equal.

    keys: of the reference. repaired, decided: see `Comparison`.
    """

    def __init__(
        self,
        view: ClusterView,
        reference: NodeReport,
        present: Mapping[str, NodeReport],
        yardstick: Yardstick,
        steps: Steps,
        repair: bool,
    ) -> None:
        self.keys = 0
        self.repaired = 0
        self.decided: list[bytes] = []
        self._view = view
        self._reference = reference.node
        self._yardstick = yardstick
        self._steps = steps
        self._repair = repair
        others = [node for node in present if node != reference.node]
        self._comparisons = {
            node: Comparison(view, reference, present[node], yardstick, steps) for node in others
        }
        self._suspects: dict[str, list[bytes]] = {node: [] for node in others}
        self._found: dict[str, dict[bytes, Mismatch]] = {node: {} for node in others}

    def compare_reference(self) -> Plan[None]:
        """Compare each of the reference's keys with all copies."""
        total: int = yield from self._steps.ask(
            self._reference, PlainCommand((b"DBSIZE",)), "counting keys"
        )
        looked, lately = 0, _Lately()
        keys = KeyWalk(self._view, self._reference, self._steps)
        while not keys.is_over:
            fresh = lately.without((yield from keys.next_page()))
            yield from self._compare(fresh)
            looked += len(fresh)
            yield Progress(
                f"digest {self._reference}", looked, looked if keys.is_over else max(total, looked)
            )
        for node in self._comparisons:
            yield from self._look(node)

    def _compare(self, names: list[bytes]) -> Plan[None]:
        own = yield from digest_page(self._reference, names, self._yardstick, self._steps)
        self.keys += sum(digest.keys for digest in own.sums.values())
        for node, suspects in self._suspects.items():
            other = yield from digest_page(node, names, self._yardstick, self._steps)
            suspects += names_that_may_differ(names, own, other)
            if len(suspects) >= SUSPECTS:
                yield from self._look(node)

    def find_surplus(self, node: str) -> Plan[None]:
        """Look at a copy's keys for those under which the reference has nothing; all others have
        been compared.
        """
        looked = 0
        keys = KeyWalk(self._view, node, self._steps)
        while not keys.is_over:
            names = yield from keys.next_page()
            looked += len(names)
            self._suspects[node] += yield from self._unknown(names)
            if len(self._suspects[node]) >= SUSPECTS:
                yield from self._look(node)
            yield Progress(f"digest {node}", looked, looked if keys.is_over else None)
        yield from self._look(node)

    def _unknown(self, names: list[bytes]) -> Plan[list[bytes]]:
        """Those of the names under which the reference has nothing; mostly none."""
        if not names:
            return []
        there: int = yield from self._steps.ask(
            self._reference,
            PlainCommand((b"EXISTS", *names)),
            "looking for what a copy has too much",
        )
        if there == len(names):
            return []
        headers = yield from read_headers(
            self._view, self._reference, names, self._steps, ON_ACTIVE
        )
        return [name for name, header in zip(names, headers, strict=True) if not header]

    def _look(self, node: str) -> Plan[None]:
        """Take what may differ on a copy key by key, and mend it where that is wanted."""
        names, self._suspects[node] = list(dict.fromkeys(self._suspects[node])), []
        comparison = self._comparisons[node]
        names = yield from comparison.still_differing(names)
        if self._repair and names:
            self.repaired += yield from comparison.repair(names)
            names = yield from comparison.still_differing(names)
            self.decided += comparison.decided
        self._found[node] |= {name: comparison.mismatches[name] for name in names}
        comparison.forget()

    def mismatches(self) -> tuple[Mismatch, ...]:
        """All that differ, node by node.

        A foreign value on the reference comes up with every copy, and counts once.
        """
        found = [
            mismatches[name] for mismatches in self._found.values() for name in sorted(mismatches)
        ]
        return tuple(dict.fromkeys(found))


class _Lately:
    """Names that came a short while ago: a server that resizes its table in a SCAN names some of
    them again.
    """

    def __init__(self) -> None:
        self._last: set[bytes] = set()
        self._before: set[bytes] = set()

    def without(self, names: list[bytes]) -> list[bytes]:
        """Those that did not come lately."""
        fresh = [name for name in names if name not in self._last and name not in self._before]
        if len(self._last) >= REMEMBERED_NAMES:
            self._last, self._before = set(), self._last
        self._last.update(fresh)
        return fresh
