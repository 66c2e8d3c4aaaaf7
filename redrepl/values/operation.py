"""One operation of a batch or transaction, and what it makes of a value while it waits to be sent."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from redrepl.values.errors import RequestError
from redrepl.values.record import NO_DEADLINE
from redrepl.values.stamp import NO_STAMP, Stamp

_NUMBER = re.compile(rb"-?[0-9]+").fullmatch
_MOST_DIGITS = 17

GET = b"get"
SET = b"set"
DELETE = b"delete"
ADD = b"add"
COMPARE = b"compare"
INCREMENT = b"increment"
EXPIRE = b"expire"
"""Names; all but GET as the script `transact` knows them."""


class Operation(NamedTuple):
    """What is to be done with one key.

    given: the key as the caller gave it; user_key: as receipts name it; key: as bytes. operand: as for the script
    `transact`. ttl_millis: None for no deadline. stamp, deadline_millis: set when the operation leaves.
    """

    given: Any
    user_key: str | bytes
    key: bytes
    name: bytes
    operand: bytes = b""
    ttl_millis: int | None = None
    stamp: Stamp = NO_STAMP
    deadline_millis: int = NO_DEADLINE

    def leaving(self, stamp: Stamp, now_millis: int) -> Operation:
        """The operation with the stamp it proposes; its time to live begins now."""
        return self._replace(stamp=stamp, deadline_millis=self.deadline_at(now_millis))

    def deadline_at(self, now_millis: int) -> int:
        """The deadline if the operation left now."""
        return NO_DEADLINE if self.ttl_millis is None else now_millis + self.ttl_millis

    def weight(self) -> int:
        """Bytes of key and operand."""
        return len(self.key) + len(self.operand)


class Preview(NamedTuple):
    """A value as it will read; the deadline counts from now."""

    payload: bytes
    deadline_millis: int


def is_settled(operations: Sequence[Operation]) -> bool:
    """Whether these operations on one key make a value (or none) whatever stands there."""
    return any(operation.name in (SET, DELETE, ADD) for operation in operations)


def preview(standing: Preview | None, operations: Sequence[Operation], now_millis: int) -> Preview | None:
    """What a key will read as after these operations, None for absent. Raises RequestError as `increment` does."""
    state = standing
    for operation in operations:
        if operation.name in (SET, ADD):
            state = Preview(operation.operand, operation.deadline_at(now_millis))
        elif operation.name == DELETE:
            state = None
        elif operation.name == INCREMENT:
            state = _incremented(state, operation)
        elif operation.name == EXPIRE and state is not None:
            state = state._replace(deadline_millis=operation.deadline_at(now_millis))
    return state


def is_number(payload: bytes) -> bool:
    """Whether this is a whole number as INCRBY writes it, which fits Lua's: Python takes more forms than that."""
    return len(payload) <= _MOST_DIGITS and _NUMBER(payload) is not None


def _incremented(state: Preview | None, operation: Operation) -> Preview:
    held, deadline = state or Preview(b"0", NO_DEADLINE)
    try:
        return Preview(b"%d" % (int(held if is_number(held) else b"") + int(operation.operand)), deadline)
    except ValueError as error:
        text = f"increment of key {operation.user_key!r} is impossible: {held[:20]!r} is no whole number"
        raise RequestError(text) from error
