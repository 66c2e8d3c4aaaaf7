"""Cutting mixed operations into parts that can each be carried out in one go, in the order given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum
from typing import NamedTuple

from redrepl.values import limits
from redrepl.values.operation import DELETE, GET, SET, Operation


class Kind(Enum):
    """WRITE: set and delete, by the batch plan. READ: get. CHANGE: what the deciding node has to look at first."""

    WRITE = "write"
    READ = "read"
    CHANGE = "change"


class Part(NamedTuple):
    """Operations from ``start`` up to ``end`` that are carried out together."""

    kind: Kind
    start: int
    end: int


def kind_of(operation: Operation) -> Kind:
    """How an operation is carried out."""
    if operation.name == GET:
        return Kind.READ
    return Kind.WRITE if operation.name in (SET, DELETE) else Kind.CHANGE


def parts(operations: Sequence[Operation]) -> Iterator[Part]:
    """Neighbours of one kind belong together as far as one call may go; writes only while their keys differ."""
    start, weight = 0, 0
    keys: set[bytes] = set()
    for index, operation in enumerate(operations):
        kind = kind_of(operations[start])
        is_full = index - start >= limits.BATCH_KEYS or weight + operation.weight() > limits.BATCH_BYTES
        is_repeated = kind is Kind.WRITE and operation.key in keys
        if index > start and (is_full or is_repeated or kind_of(operation) is not kind):
            yield Part(kind, start, index)
            start, weight = index, 0
            keys.clear()
        keys.add(operation.key)
        weight += operation.weight()
    if start < len(operations):
        yield Part(kind_of(operations[start]), start, len(operations))
