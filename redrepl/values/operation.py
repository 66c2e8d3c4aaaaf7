"""The operations on one key: a table with a row for each, and what waits in a queue.

All that the rest of redrepl has to know of an operation is in its row, and nothing asks for its
name. What the primary makes of a stored record is in `lua/parts/operation.lua`, a branch for each
row; `after` says the same once more, for previews and as the model that stores are compared with.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

from redrepl.values import limits
from redrepl.values.errors import RequestError
from redrepl.values.record import NO_DEADLINE, Record, parse_record, tombstone, value_record
from redrepl.values.stamp import NO_STAMP, STAMP_BYTES, Stamp
from redrepl.values.validation import check_integer

_NUMBER = re.compile(rb"-?[0-9]+").fullmatch
_MOST_DIGITS = 17


class Way(Enum):
    """How an operation is carried out.

    READ: a copy is asked for what it has. WRITE: all copies are sent the record at once, whatever
    is stored. CHANGE: the primary decides on what it has; what it made goes to the others then.
    """

    READ = "read"
    WRITE = "write"
    CHANGE = "change"


class Condition(Enum):
    """What must hold of a key, or an operation changes nothing.

    VERSION: a given stamp is current.
    """

    NONE = "none"
    ABSENT = "absent"
    PRESENT = "present"
    VERSION = "version"

    def holds(self, is_present: bool, is_expected: bool) -> bool:
        """Whether it holds of a key that has a value or none, and the expected version or
        another.
        """
        if self is Condition.VERSION:
            return is_expected
        return self is Condition.NONE or (self is Condition.PRESENT) is is_present


class Result(Enum):
    """What the caller gets.

    RECEIPT: the write's. NUMBER: a number that is read off the stored value. VALUE: the value that
    the key had when the operation came to it, None for absent.
    """

    RECEIPT = "receipt"
    NUMBER = "number"
    VALUE = "value"


class AnswerForm(Enum):
    """How the script `transact` answers an operation that was carried out.

    STAMP: with the stamp, all else of the record is known to the caller. RECORD: with the whole
    record. BEFORE: with the stamp, and then the record that was stored, nothing for an absent key.
    `update` answers with the record instead of the stamp alone.
    """

    STAMP = "stamp"
    RECORD = "record"
    BEFORE = "before"


class ValueEncoder(Protocol):
    """Turns callers' values into bytes."""

    @property
    def value_codec(self) -> object | None:
        """What does so; None where values are bytes already."""
        ...

    def value(self, value: Any) -> bytes:
        """A value as bytes. Raises RequestError for what cannot be encoded."""
        ...


class Argument(NamedTuple):
    """What a caller gives beside key and time to live.

    encode: makes the operand of it that is sent; raises RequestError. type: of the content that is
    stored or added: bytes, int, or None where there is none.
    """

    encode: Callable[[ValueEncoder, Any], bytes]
    type: type[bytes] | type[int] | None


def _encode_nothing(_: ValueEncoder, _argument: Any) -> bytes:
    return b""


def _encode_value(encoder: ValueEncoder, value: Any) -> bytes:
    return encoder.value(value)


def _encode_versioned_value(encoder: ValueEncoder, argument: Any) -> bytes:
    """Of the expected stamp and the value."""
    expected, value = argument
    if not isinstance(expected, Stamp):
        given = f"not {expected!r}"
        raise RequestError(f"expected must be a Stamp (of a receipt or a record) or None, {given}")
    return expected.encode() + encoder.value(value)


def _encode_piece(encoder: ValueEncoder, piece: Any) -> bytes:
    codec = encoder.value_codec
    if codec is not None and not getattr(codec, "can_append", False):
        raise RequestError(
            f"append joins encoded values, and {type(codec).__name__} does not say that it can "
            "decode "
            "such a sum: a codec that can has an attribute can_append that is true"
        )
    return encoder.value(piece)


def _encode_amount(_: ValueEncoder, amount: Any) -> bytes:
    return b"%d" % check_integer("amount", amount)


NOTHING: Final = Argument(_encode_nothing, None)
VALUE: Final = Argument(_encode_value, bytes)
VERSIONED_VALUE: Final = Argument(_encode_versioned_value, bytes)
PIECE: Final = Argument(_encode_piece, bytes)
AMOUNT: Final = Argument(_encode_amount, int)

After: TypeAlias = Callable[[bytes | None, bytes], bytes | None]
"""What a key holds after an operation, of what it held and the payload; None for absent.

The condition holds. Raises ValueError, saying why, where the operation is impossible.
"""


def _store(_: bytes | None, payload: bytes) -> bytes:
    return payload


def _remove(_: bytes | None, _payload: bytes) -> None:
    return None


def _keep(held: bytes | None, _: bytes) -> bytes | None:
    return held


def _add(held: bytes | None, amount: bytes) -> bytes:
    held = b"0" if held is None else held
    if not is_number(held):
        raise ValueError(f"{held[:20]!r} is no whole number")
    total = int(held) + int(amount)
    if max(abs(int(held)), abs(total)) >= limits.EXACT_UP_TO:
        raise ValueError("the sum leaves the range of 2^53")
    return b"%d" % total


def _append(held: bytes | None, piece: bytes) -> bytes:
    joined = (held or b"") + piece
    if len(joined) > limits.MAX_VALUE_BYTES:
        raise ValueError("the value would be longer than 64 MiB")
    return joined


def is_number(payload: bytes) -> bool:
    """Whether this is a whole number as INCRBY writes it, which fits Lua's.

    Python takes more forms than that.
    """
    return len(payload) <= _MOST_DIGITS and _NUMBER(payload) is not None


@dataclass(frozen=True, eq=False, repr=False)
class OperationKind:
    """A row of the table.

    name: of the coordinator's method, and in histories. wire: as the scripts know it; empty where
    it is no operation of theirs. takes_ttl: whether a time to live is given with it; else the
    deadline of a value that is stored stays. number: what a NUMBER is of the value that is stored
    then. is_payload: whether an operation of this kind can have made a value, None for any.
    """

    name: str
    wire: bytes
    way: Way
    argument: Argument
    after: After
    condition: Condition = Condition.NONE
    takes_ttl: bool = False
    result: Result = Result.RECEIPT
    number: Callable[[bytes], int] | None = None
    is_payload: Callable[[bytes], bool] | None = None

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    @cached_property
    def is_conditional(self) -> bool:
        """Whether it may change nothing, as the receipt says then."""
        return self.condition is not Condition.NONE

    @cached_property
    def keeps_value(self) -> bool:
        """Whether what the key holds stays."""
        return self.after is _keep

    @cached_property
    def removes_value(self) -> bool:
        """Whether the key is absent after it."""
        return self.after is _remove

    @cached_property
    def overwrites(self) -> bool:
        """Whether what the key holds after it does not depend on what it held."""
        return self.after in (_store, _remove)

    @cached_property
    def always_overwrites(self) -> bool:
        """Whether what the key holds after it depends on nothing that is stored."""
        return self.overwrites and not self.is_conditional

    @cached_property
    def builds_on_value(self) -> bool:
        """Whether it makes a new value of the one that is stored."""
        return not (self.overwrites or self.keeps_value)

    @cached_property
    def stores_number(self) -> bool:
        """Whether the number that the caller gets is the value that is stored."""
        return self.number is int

    @cached_property
    def takes_no_memory(self) -> bool:
        """Whether what it stores takes no more memory than what was there, on any copy."""
        return self.keeps_value or self.removes_value

    @cached_property
    def answer(self) -> AnswerForm:
        """How the primary answers it."""
        if self.result is Result.VALUE:
            return AnswerForm.BEFORE
        return AnswerForm.STAMP if self.overwrites else AnswerForm.RECORD


GET: Final = OperationKind("get", b"", Way.READ, NOTHING, _keep, result=Result.VALUE)
SET: Final = OperationKind("set", b"set", Way.WRITE, VALUE, _store, takes_ttl=True)
DELETE: Final = OperationKind("delete", b"delete", Way.WRITE, NOTHING, _remove)
ADD: Final = OperationKind(
    "add", b"add", Way.CHANGE, VALUE, _store, condition=Condition.ABSENT, takes_ttl=True
)
COMPARE_AND_SET: Final = OperationKind(
    "compare_and_set",
    b"compare",
    Way.CHANGE,
    VERSIONED_VALUE,
    _store,
    condition=Condition.VERSION,
    takes_ttl=True,
)
INCREMENT: Final = OperationKind(
    "increment",
    b"increment",
    Way.CHANGE,
    AMOUNT,
    _add,
    result=Result.NUMBER,
    number=int,
    is_payload=is_number,
)
APPEND: Final = OperationKind(
    "append", b"append", Way.CHANGE, PIECE, _append, result=Result.NUMBER, number=len
)
EXPIRE: Final = OperationKind(
    "expire", b"expire", Way.CHANGE, NOTHING, _keep, condition=Condition.PRESENT, takes_ttl=True
)

GET_AND_SET: Final = OperationKind(
    "get_and_set", b"get_and_set", Way.CHANGE, VALUE, _store, takes_ttl=True, result=Result.VALUE
)

OPERATIONS: Final = (GET, SET, DELETE, ADD, COMPARE_AND_SET, INCREMENT, APPEND, EXPIRE, GET_AND_SET)
"""The table."""

CHANGING: Final = tuple(kind for kind in OPERATIONS if kind.way is not Way.READ)
"""Those that make a new version of a key."""

BY_NAME: Final = {kind.name: kind for kind in OPERATIONS}


class Operation(NamedTuple):
    """What is to be done with one key.

    given: the key as the caller gave it; user_key: as receipts name it; key: as bytes. operand: as
    for the script `transact`. ttl_millis: None for no deadline. stamp, deadline_millis: set when
    the operation leaves.
    """

    given: Any
    user_key: str | bytes
    key: bytes
    kind: OperationKind
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


class Before(NamedTuple):
    """What a key held when an operation came to it; ``payload`` is None where it read as absent."""

    payload: bytes | None


def record_of(kind: OperationKind, stamp: Stamp, operand: bytes, deadline_millis: int) -> Record:
    """What an operation that overwrites stores under this stamp."""
    if kind.removes_value:
        return tombstone(stamp)
    return value_record(stamp, _payload(kind, operand), deadline_millis)


def made_of(
    kind: OperationKind, detail: bytes, operand: bytes, deadline_millis: int
) -> tuple[Record, Before | None]:
    """The record that the primary made, of its answer to an operation that it carried out.

    With it what the key held before, None where the primary does not answer that.
    """
    if kind.answer is AnswerForm.BEFORE:
        stamp, stored = Stamp.parse(detail[:STAMP_BYTES]), detail[STAMP_BYTES:]
        before = Before(parse_record(stored).payload if stored else None)
        return record_of(kind, stamp, operand, deadline_millis), before
    if len(detail) > STAMP_BYTES:
        return parse_record(detail), None
    return record_of(kind, Stamp.parse(detail), operand, deadline_millis), None


class Preview(NamedTuple):
    """A value as it will read; the deadline counts from now."""

    payload: bytes
    deadline_millis: int


def is_settled(operations: Sequence[Operation]) -> bool:
    """Whether these operations of a transaction leave the same whatever is stored.

    If the condition of one of them does not hold, the transaction leaves nothing at all.
    """
    return any(operation.kind.overwrites for operation in operations)


def preview(
    stored: Preview | None, operations: Sequence[Operation], now_millis: int
) -> Preview | None:
    """What a key will read as after these operations of a transaction, None for absent.

    Raises RequestError where one of them is impossible, as it is on the primary.
    """
    state = stored
    for operation in operations:
        state = _after(state, operation, now_millis)
    return state


def _after(state: Preview | None, operation: Operation, now_millis: int) -> Preview | None:
    kind, held = operation.kind, None if state is None else state.payload
    try:
        payload = kind.after(held, _payload(kind, operation.operand))
    except ValueError as error:
        text = f"{kind} of key {operation.user_key!r} is impossible: {error}"
        raise RequestError(text) from error
    if payload is None:
        return None
    if kind.takes_ttl:
        return Preview(payload, operation.deadline_at(now_millis))
    return Preview(payload, NO_DEADLINE if state is None else state.deadline_millis)


def _payload(kind: OperationKind, operand: bytes) -> bytes:
    """What is to be stored or added, without the version that is expected."""
    return operand[STAMP_BYTES:] if kind.condition is Condition.VERSION else operand
