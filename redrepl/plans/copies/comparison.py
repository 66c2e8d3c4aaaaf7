"""Comparing one copy with the reference key by key, and making it equal.

Records past their deadline do not count, because a node may have dropped them or not. Neither do
tombstones that are old enough to be purged. All others do: an old write that arrives late must meet
the same answer everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from redrepl.plans.copies.copying import Copier
from redrepl.plans.copies.headers import stamp_in
from redrepl.plans.copies.member_calls import ask_member
from redrepl.plans.copies.undecided import settle
from redrepl.plans.steps import Steps
from redrepl.plans.view import ClusterView, keys_to_ask
from redrepl.values import limits
from redrepl.values.answers.reads import parse_read_many
from redrepl.values.effects import Plan, Progress
from redrepl.values.record import TOMBSTONE, Record, is_record, parse_record
from redrepl.values.report import NodeReport
from redrepl.values.stamp import Stamp

SETTLE_SECONDS = 0.3
"""Between looks at a key that differs: writes that were under way have arrived by then."""

LOOKS = 4

DAMAGED = b"damaged"
"""Why a record goes: it has the stamp of the primary's record and other bytes."""


class Yardstick(NamedTuple):
    """What counts. now_millis: the reference's clock. old_before: microseconds before which a
    tombstone may have been purged, so that it is like nothing; 0 where none is.
    """

    now_millis: int
    old_before: int = 0


class Mismatch(NamedTuple):
    """A key that differs between the primary and another copy; stamps as text, '' where nothing
    stands.
    """

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


class Comparison:
    """Key by key, one copy against the reference."""

    def __init__(
        self,
        view: ClusterView,
        reference: NodeReport,
        copy: NodeReport,
        yardstick: Yardstick,
        steps: Steps,
    ) -> None:
        self.view = view
        self.reference = reference
        self.copy = copy
        self.node = copy.node
        self.yardstick = yardstick
        self.steps = steps
        self.mismatches: dict[bytes, Mismatch] = {}
        self.decided: list[bytes] = []
        """Names under which the primary had nothing, and decided that to end a difference."""

    def still_differing(self, names: Sequence[bytes]) -> Plan[list[bytes]]:
        """Those of the names that differ at every look: what is under way is no mismatch."""
        left = list(names)
        for look in range(LOOKS):
            if look and left:
                yield from self.steps.rest(SETTLE_SECONDS)
            left = yield from self._look(left)
        return left

    def forget(self) -> None:
        """Let go of what has been found and taken."""
        self.mismatches, self.decided = {}, []

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
        call = self.view.read_call(names)
        answer = yield from ask_member(
            self.view, node, call, parse_read_many, "comparing records", self.steps
        )
        return answer.records

    def _mismatch(self, name: bytes, own: bytes | None, other: bytes | None) -> Mismatch | None:
        if own == other:
            return None
        first, second = self._standing(own), self._standing(other)
        is_foreign = _is_foreign(own) or _is_foreign(other)
        if not (is_foreign or self._counts(first) or self._counts(second)):
            return None
        kind = "differs"
        if is_foreign:
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
        return None if record.is_past_deadline(self.yardstick.now_millis) else record

    def _counts(self, record: Record | None) -> bool:
        """Whether a copy without this record would differ."""
        return record is not None and (
            record.kind != TOMBSTONE or record.stamp.micros >= self.yardstick.old_before
        )

    def repair(self, names: Sequence[bytes], takes_away: bool = True) -> Plan[int]:
        """Bring the copy to the reference's records; with several primaries, both to the later one.

        takes_away: replace what the copy has and the one primary never took, or has lost.
        """
        found = {name: self.mismatches[name] for name in names}
        wanted = {
            name: Stamp.parse(each.primary_stamp)
            for name, each in found.items()
            if each.primary_stamp
        }
        repaired = yield from self._copy(self.reference, self.node, wanted)

        ahead = {
            name: Stamp.parse(each.node_stamp)
            for name, each in found.items()
            if each.kind in ("ahead", "extra")
        }
        if self.view.decider is None:
            return repaired + (yield from self._copy(self.copy, self.reference.node, ahead))
        if takes_away:
            repaired += yield from self._take_away(ahead)
        damaged = [name for name, each in found.items() if each.kind == "differs"]
        return repaired + (yield from self._rewrite(damaged))

    def _take_away(self, ahead: dict[bytes, Stamp]) -> Plan[int]:
        """Replace what the one primary never took, or has lost."""
        replaced = yield from self._settle(ahead)
        self.decided += [name for name in ahead if self.mismatches[name].kind == "extra"]
        return replaced

    def _copy(self, source: NodeReport, target: str, wanted: dict[bytes, Stamp]) -> Plan[int]:
        """Bring the target to at least these stamps; returns how many records were new there."""
        copier = Copier(self.view, source, target, self.steps)
        yield from copier.copy(wanted)
        return copier.records

    def _settle(self, ahead: dict[bytes, Stamp]) -> Plan[int]:
        """Replace what the primary never took; what is younger than it accepts is waited for."""
        replaced = 0
        while ahead:
            settled = yield from settle(self.view, self.reference, self.copy, ahead, self.steps)
            replaced, ahead = replaced + settled.replaced, settled.young
            if ahead:
                yield Progress(f"wait for {len(ahead)} undecided records on {self.node}", 0, None)
                yield from self.steps.rest(SETTLE_SECONDS)
        return replaced

    def _rewrite(self, names: Sequence[bytes]) -> Plan[int]:
        """The same stamp with other bytes: damage on the copy. Exactly that record is replaced."""
        rewritten = 0
        for name in names:
            (content,) = yield from self._read(self.reference.node, [name])
            if content is None or not is_record(content):
                continue  # it went meanwhile: the next look decides
            call = self.view.replace_call(name, stamp_in(content), content, DAMAGED)
            yield from self.steps.ask(self.node, call, "replacing a damaged record")
            rewritten += 1
        return rewritten


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
