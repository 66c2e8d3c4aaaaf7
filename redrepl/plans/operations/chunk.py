"""Many keys to write, in chunks of a bounded size.

The records of a chunk carry one stamp: it names one record *of a key*, and a batch holds each key
once. Their header is then made, checked and compared once for all of them, by the client and by
every node, which halves what a chunk costs.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from operator import add
from typing import NamedTuple, TypeVar

from redrepl.plans.operations.write import WriteOrder
from redrepl.values import limits
from redrepl.values.record import Record
from redrepl.values.stamp import Stamp

T = TypeVar("T")


class Item(NamedTuple):
    """One key of a batch: as the caller gave it, as bytes, and the record to write."""

    user_key: str | bytes
    key: bytes
    record: Record


class Draft(NamedTuple):
    """A batch before it is stamped, in columns: keys as the caller gave them, as bytes (all
    different), payloads.
    """

    user_keys: Sequence[str | bytes]
    keys: Sequence[bytes]
    payloads: Sequence[bytes]
    kind: bytes
    deadline_millis: int

    def parts(self) -> Iterator[slice]:
        """Cuts into at most BATCH_KEYS keys and BATCH_BYTES bytes (a single record may be
        larger).
        """
        ends = list(accumulate(map(add, map(len, self.keys), map(len, self.payloads))))
        start, before = 0, 0
        while start < len(ends):
            stop = min(
                start + limits.BATCH_KEYS, bisect_right(ends, before + limits.BATCH_BYTES, start)
            )
            stop = max(stop, start + 1)
            yield slice(start, stop)
            start, before = stop, ends[stop - 1]

    def leave(self, part: slice, stamp: Stamp, order: WriteOrder) -> Chunk:
        """The chunk that this part makes."""
        header = Record(stamp, self.kind, self.deadline_millis, b"").encode()
        records = [header + payload for payload in self.payloads[part]]
        return Chunk(self.user_keys[part], self.keys[part], [stamp] * len(records), records, order)


class Chunk(NamedTuple):
    """Keys as the caller gave them and as bytes, stamps, and records as nodes store them; and how
    to write them.
    """

    user_keys: Sequence[str | bytes]
    keys: Sequence[bytes]
    stamps: Sequence[Stamp]
    records: Sequence[bytes]
    order: WriteOrder

    def part(self, indexes: Sequence[int], order: WriteOrder) -> Chunk:
        """Some of these writes, in another order."""

        def pick(column: Sequence[T]) -> list[T]:
            return [column[index] for index in indexes]

        return Chunk(
            pick(self.user_keys), pick(self.keys), pick(self.stamps), pick(self.records), order
        )


def chunk_of(items: Sequence[Item], order: WriteOrder) -> Chunk:
    """These records as one chunk."""
    records = [item.record for item in items]
    encoded, stamps = [record.encode() for record in records], [record.stamp for record in records]
    return Chunk(
        [item.user_key for item in items], [item.key for item in items], stamps, encoded, order
    )
