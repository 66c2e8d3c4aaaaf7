"""Digests of records per range, by which copies are compared without sending what they hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from redrepl.plans.copies.comparison import Yardstick
from redrepl.plans.steps import Steps
from redrepl.plans.view import keys_to_ask
from redrepl.values import limits
from redrepl.values.effects import Plan, ScriptCall
from redrepl.values.stamp import STAMP_BYTES, Stamp

NAMES_PER_RANGE = 16
"""Names whose records have one digest. A difference costs a look at so many keys."""

_SUM_RANGE = 1 << 52


class RangeDigest(NamedTuple):
    """How many records stand in a range, and the sum of their digests."""

    keys: int = 0
    amount: int = 0

    def plus(self, keys: int, amount: int) -> RangeDigest:
        """With more records of the same range."""
        return RangeDigest(self.keys + keys, (self.amount + amount) % _SUM_RANGE)


Digests = dict[int, RangeDigest]


def add_digests(
    node: str, names: Sequence[bytes], numbers: Sequence[int], sums: Digests, yardstick: Yardstick, steps: Steps
) -> Plan[dict[bytes, Stamp]]:
    """Add the digests of these names to their ranges; answers the tombstones among them that are old.

    ``numbers``: the range of each name; equal ones stand together.
    """
    old: dict[bytes, Stamp] = {}
    start, count = 0, limits.BATCH_KEYS
    while start < len(names):
        part = names[start : start + count]
        head = (yardstick.now_millis, limits.BATCH_BYTES, yardstick.old_before)
        call = ScriptCall("digest", tuple(part), (*head, *numbers[start : start + count]))
        done, found, tombstones = yield from steps.ask(node, call, "digesting records")
        for number, keys, amount in zip(found[::3], found[1::3], found[2::3], strict=True):
            sums[int(number)] = sums.get(int(number), RangeDigest()).plus(keys, int(amount))
        for index, stamp in zip(tombstones[::2], tombstones[1::2], strict=True):
            old[part[index]] = Stamp.parse(stamp[:STAMP_BYTES])
        start, count = start + done, keys_to_ask(done)
    return old


def differing_ranges(first: Digests, second: Digests) -> set[int]:
    """The ranges in which two nodes hold different records."""
    nothing = RangeDigest()
    numbers = first.keys() | second.keys()
    return {number for number in numbers if first.get(number, nothing) != second.get(number, nothing)}
