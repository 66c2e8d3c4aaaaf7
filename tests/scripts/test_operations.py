"""Every operation of the table on a node: it makes what the row says, and answers as that says."""

from __future__ import annotations

from typing import Any

import pytest

from redrepl.values.answers.shapes import is_ours
from redrepl.values.effects import ScriptCall
from redrepl.values.operation import CHANGING, AnswerForm, Condition, OperationKind, made_of
from redrepl.values.record import TOMBSTONE, Record
from redrepl.values.stamp import STAMP_BYTES, Stamp
from tests.scripts.harness import EPOCH, Node, value

ROOM = 1000


class AsGiven:
    """Values that are bytes already."""

    value_codec = None

    def value(self, value: Any) -> bytes:
        """The same."""
        assert isinstance(value, bytes)
        return value


def _operand(kind: OperationKind, stored: Record | None) -> bytes:
    """A number, which is a value too; of an operation on a version the one that is stored."""
    if kind.argument.type is None:
        return kind.argument.encode(AsGiven(), None)
    given: Any = 7 if kind.argument.type is int else b"7"
    if kind.condition is Condition.VERSION:
        given = (stored.stamp if stored else Stamp(1, 1), given)
    return kind.argument.encode(AsGiven(), given)


def _put(node: Node, held: bytes | None) -> Record | None:
    """Let a value with a deadline be stored, or nothing."""
    if held is None:
        return None
    return node.put(b"key", value(node.stamp(-1), held, node.millis(60)))


def _transact(node: Node, kind: OperationKind, stamp: Stamp, deadline: int, operand: bytes) -> Any:
    """The verdict and detail of one operation, which the shapes of answers know as ours."""
    arguments = (0, kind.wire, stamp.encode(), b"%012x" % deadline, operand)
    call = (EPOCH, b"each", ROOM, 0, *arguments)
    answer = node.call("transact", [b"key"], *call)
    assert is_ours(ScriptCall("transact", (b"m", b"l", b"key"), call), answer)
    return answer[1:]


@pytest.mark.parametrize("held", [None, b"5"])
@pytest.mark.parametrize("kind", CHANGING, ids=str)
def test_a_node_makes_of_a_key_what_the_table_says(
    node: Node, kind: OperationKind, held: bytes | None
) -> None:
    stored = _put(node, held)
    operand, stamp = _operand(kind, stored), node.stamp()
    deadline = node.millis(600) if kind.takes_ttl else 0
    verdict, detail = _transact(node, kind, stamp, deadline, operand)
    if not kind.condition.holds(held is not None, held is not None):
        assert (verdict, detail) == (b"unmet", stored.stamp.encode() if stored else b"")
        return

    record, before = made_of(kind, detail, operand, deadline)
    after = kind.after(held, b"" if kind.argument.type is None else b"7")
    assert record == node.record(b"key")
    assert record.stamp == stamp
    assert (record.kind == TOMBSTONE) == (after is None)
    assert record.payload == (after or b"")
    if after is not None:
        kept = stored.deadline_millis if stored else 0
        assert record.deadline_millis == (deadline if kind.takes_ttl else kept)
    assert before == (None if kind.answer is not AnswerForm.BEFORE else (held,))


@pytest.mark.parametrize("held", [None, b"5"])
@pytest.mark.parametrize("kind", CHANGING, ids=str)
def test_an_update_answers_with_what_its_row_needs(
    node: Node, kind: OperationKind, held: bytes | None
) -> None:
    stored = _put(node, held)
    operand, stamp = _operand(kind, stored), node.stamp()
    answer = node.update(b"key", kind.wire, stamp, operand)
    call = ScriptCall("update", (b"m", b"l", b"key"), (EPOCH, kind.wire, stamp.encode()))
    assert is_ours(call, answer)
    if answer[0] == b"ok":
        is_record = kind.answer is not AnswerForm.BEFORE
        assert (answer[1] == node.stored(b"key")) == is_record
        assert made_of(kind, answer[1], operand, 0)[0] == node.record(b"key")


@pytest.mark.parametrize("kind", CHANGING, ids=str)
def test_an_answer_that_is_more_than_a_stamp_has_to_find_room(
    node: Node, kind: OperationKind
) -> None:
    operand, stamp = _operand(kind, _put(node, b"1")), node.stamp().encode()
    call = (EPOCH, b"each", STAMP_BYTES, 0, 0, kind.wire, stamp, b"0" * 12, operand)
    verdict = node.call("transact", [b"key"], *call)[1]
    assert (verdict == b"unfit") == (kind.answer is not AnswerForm.STAMP)
