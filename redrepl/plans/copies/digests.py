"""Digests of records per range, by which copies are compared without sending what they hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

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


class PageDigests(NamedTuple):
    """Digests of what a node holds under the names of one page.

    sums: by the number of the range. old: the tombstones among the records that are old.
    """

    sums: dict[int, RangeDigest]
    old: dict[bytes, Stamp]


def digest_page(
    node: str, names: Sequence[bytes], yardstick: Yardstick, steps: Steps
) -> Plan[PageDigests]:
    """Have a node digest its records under these names, NAMES_PER_RANGE of them in one range."""
    numbers = _range_numbers(names)
    digests = PageDigests({}, {})
    start, count = 0, limits.BATCH_KEYS
    while start < len(names):
        part = names[start : start + count]
        head = (yardstick.now_millis, limits.BATCH_BYTES, yardstick.old_before)
        call = ScriptCall("digest", tuple(part), (*head, *numbers[start : start + count]))
        done, found, tombstones = yield from steps.ask(node, call, "digesting records")
        _add(digests, part, found, tombstones)
        start, count = start + done, keys_to_ask(done)
    return digests


def _add(
    digests: PageDigests, names: Sequence[bytes], found: Sequence[Any], tombstones: Sequence[Any]
) -> None:
    """Add what a node answered about the first of these names."""
    sums = digests.sums
    for number, keys, amount in zip(found[::3], found[1::3], found[2::3], strict=True):
        sums[int(number)] = sums.get(int(number), RangeDigest()).plus(keys, int(amount))
    for index, stamp in zip(tombstones[::2], tombstones[1::2], strict=True):
        digests.old[names[index]] = Stamp.parse(stamp[:STAMP_BYTES])


def names_that_may_differ(
    names: Sequence[bytes], first: PageDigests, second: PageDigests
) -> list[bytes]:
    """Those of a page's names that are in ranges in which two nodes hold different records."""
    nothing = RangeDigest()
    return [
        name
        for name, number in zip(names, _range_numbers(names), strict=True)
        if first.sums.get(number, nothing) != second.sums.get(number, nothing)
    ]


def _range_numbers(names: Sequence[bytes]) -> list[int]:
    return [index // NAMES_PER_RANGE for index in range(len(names))]
