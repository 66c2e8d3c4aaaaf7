"""Cutting mixed operations into parts that can each be carried out in one go, in the order
given.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from redrepl.values import limits
from redrepl.values.operation import Operation, Way


class Part(NamedTuple):
    """Operations from ``start`` up to ``end`` that are carried out together, in this way."""

    way: Way
    start: int
    end: int


def parts(operations: Sequence[Operation]) -> Iterator[Part]:
    """Neighbours of one way belong together as far as one call may go; writes only while their keys
    differ.
    """
    start, weight = 0, 0
    keys: set[bytes] = set()
    for index, operation in enumerate(operations):
        way = operations[start].kind.way
        is_full = (
            index - start >= limits.BATCH_KEYS or weight + operation.weight() > limits.BATCH_BYTES
        )
        is_repeated = way is Way.WRITE and operation.key in keys
        if index > start and (is_full or is_repeated or operation.kind.way is not way):
            yield Part(way, start, index)
            start, weight = index, 0
            keys.clear()
        keys.add(operation.key)
        weight += operation.weight()
    if start < len(operations):
        yield Part(operations[start].kind.way, start, len(operations))
