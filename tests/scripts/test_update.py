"""`update`: each operation's condition, what it stores, and the stamp it gets."""

from __future__ import annotations

import pytest

from redrepl.values.operation import CHANGING
from redrepl.values.record import Record
from redrepl.values.stamp import Stamp
from tests.scripts.harness import EPOCH, RESTAMP_WRITER, Node, deleted, restamped, value


def _unchanged(node: Node, standing: Record | None) -> None:
    assert node.stored(b"key") == (None if standing is None else standing.encode())
    assert node.log() == []


def _changed(node: Node, answer: list[bytes], record: Record) -> None:
    assert answer == [b"ok", record.encode()]
    assert node.stored(b"key") == record.encode()
    assert node.log() == [{b"key": record.stamp.encode()}]


@pytest.mark.parametrize("rule", ["decide", "merge"])
def test_add_stores_where_nothing_stands(node: Node, rule: str) -> None:
    node.enrol(rule=rule)
    record = value(node.stamp(), b"payload", node.millis(60))
    answer = node.update(b"key", b"add", record.stamp, b"payload", record.deadline_millis)
    _changed(node, answer, record)


def test_add_stores_over_a_tombstone_and_restamps_where_it_must(node: Node) -> None:
    standing = node.put(b"key", deleted(node.stamp()))
    record = value(standing.stamp._replace(micros=standing.stamp.micros - 1), b"payload")
    answer = node.update(b"key", b"add", record.stamp, b"payload")
    _changed(node, answer, restamped(record, standing.stamp))


def test_add_leaves_a_value(node: Node) -> None:
    standing = node.put(b"key", value(node.stamp(-1)))
    assert node.update(b"key", b"add", node.stamp(), b"other") == [
        b"unmet",
        standing.stamp.encode(),
    ]
    _unchanged(node, standing)


def test_add_a_second_time_is_unmet_by_its_own_record(node: Node) -> None:
    stamp = node.stamp()
    node.update(b"key", b"add", stamp, b"payload")
    assert node.update(b"key", b"add", stamp, b"payload") == [b"unmet", stamp.encode()]
    assert len(node.log()) == 1


@pytest.mark.parametrize("payload", [b"", b"new", b"\x00\xff\n", b"x" * 22])
def test_compare_replaces_the_version_that_was_seen(node: Node, payload: bytes) -> None:
    standing = node.put(b"key", value(node.stamp(-5), b"old"))
    record = value(node.stamp(), payload, node.millis(60))
    operand = standing.stamp.encode() + payload
    answer = node.update(b"key", b"compare", record.stamp, operand, record.deadline_millis)
    _changed(node, answer, record)


def test_compare_may_replace_a_tombstone_that_was_seen(node: Node) -> None:
    standing = node.put(b"key", deleted(node.stamp(-5)))
    record = value(node.stamp(), b"new")
    answer = node.update(b"key", b"compare", record.stamp, standing.stamp.encode() + b"new")
    _changed(node, answer, record)


@pytest.mark.parametrize("distance", [-1, 1])
def test_compare_leaves_any_other_version(node: Node, distance: int) -> None:
    standing = node.put(b"key", value(node.stamp(-5)))
    expected = Stamp(standing.stamp.micros + distance, standing.stamp.writer)
    assert node.update(b"key", b"compare", node.stamp(), expected.encode() + b"new") == [
        b"unmet",
        standing.stamp.encode(),
    ]
    _unchanged(node, standing)


def test_compare_does_not_take_nothing_for_a_version(node: Node) -> None:
    assert node.update(b"key", b"compare", node.stamp(), b"0" * 22 + b"new") == [b"unmet", b""]
    _unchanged(node, None)


def test_compare_restamps_a_writer_whose_clock_is_behind(node: Node) -> None:
    standing = node.put(b"key", value(node.stamp(1)))
    record = value(node.stamp(-1), b"new")
    answer = node.update(b"key", b"compare", record.stamp, standing.stamp.encode() + b"new")
    _changed(node, answer, restamped(record, standing.stamp))


def test_of_two_that_saw_the_same_version_one_wins(node: Node) -> None:
    standing = node.put(b"key", value(node.stamp(-5)))
    seen = standing.stamp.encode()
    first = node.update(b"key", b"compare", node.stamp(0, 1), seen + b"first")
    second = node.update(b"key", b"compare", node.stamp(0, 2), seen + b"second")
    assert first[0] == b"ok"
    assert second == [b"unmet", first[1][:22]]
    assert node.record(b"key").payload == b"first"


def test_expire_keeps_the_payload(node: Node) -> None:
    standing = node.put(b"key", value(node.stamp(-5), b"pay|load"))
    record = value(node.stamp(), b"pay|load", node.millis(60))
    answer = node.update(b"key", b"expire", record.stamp, deadline=record.deadline_millis)
    _changed(node, answer, record)
    assert node.expires_at_millis(b"key") == record.deadline_millis + 30_000
    assert standing.stamp < record.stamp


def test_expire_can_take_a_deadline_away(node: Node) -> None:
    node.put(b"key", value(node.stamp(-5), b"payload", node.millis(60)))
    record = value(node.stamp(), b"payload")
    _changed(node, node.update(b"key", b"expire", record.stamp), record)
    assert node.expires_at_millis(b"key") == -1


@pytest.mark.parametrize("kind", ["nothing", "tombstone"])
@pytest.mark.parametrize("operation", [b"expire"])
def test_expire_finds_no_value(node: Node, kind: str, operation: bytes) -> None:
    standing = node.put(b"key", deleted(node.stamp(-5))) if kind == "tombstone" else None
    found = standing.stamp.encode() if standing else b""
    assert node.update(b"key", operation, node.stamp(), deadline=node.millis(60)) == [
        b"unmet",
        found,
    ]
    _unchanged(node, standing)


def test_the_causal_part_is_no_payload(node: Node) -> None:
    node.put(b"key", value(node.stamp(-5), b"41")._replace(causal=b"123"))
    answer = node.update(b"key", b"increment", node.stamp(), b"1")
    assert answer[1].endswith(b"|42")
    node.put(b"key", value(node.stamp(-5), b"payload")._replace(causal=b"123"))
    assert node.update(b"key", b"expire", node.stamp())[1].endswith(b"|payload")


@pytest.mark.parametrize("operation", [kind.wire for kind in CHANGING])
@pytest.mark.parametrize(("offset", "verdict"), [(60, b"skewed"), (-90, b"expired")])
def test_what_waited_or_comes_from_the_future_changes_nothing(
    node: Node, operation: bytes, offset: int, verdict: bytes
) -> None:
    before = node.now_micros()
    answer = node.update(b"key", operation, node.stamp(offset), node.stamp().encode())
    assert answer[0] == verdict
    assert before <= int(answer[1]) <= node.now_micros()
    _unchanged(node, None)


def test_an_unknown_operation_changes_nothing(node: Node) -> None:
    assert node.update(b"key", b"rename", node.stamp(), b"x") == [
        b"unfit",
        b"unknown operation rename",
    ]
    _unchanged(node, None)


def test_an_update_with_the_standing_stamp_makes_a_new_version(node: Node) -> None:
    standing = node.put(b"key", value(node.stamp(), b"1"))
    answer = node.update(b"key", b"increment", standing.stamp, b"1")
    _changed(node, answer, value(Stamp(standing.stamp.micros + 1, RESTAMP_WRITER), b"2"))


def test_the_record_in_the_answer_can_be_stored_elsewhere_as_it_is(node: Node) -> None:
    record = node.update(b"key", b"add", node.stamp(), b"payload", node.millis(60))[1]
    node.enrol(rule="follow")
    assert node.call("write", [b"elsewhere"], EPOCH, record) == 1
    assert node.stored(b"elsewhere") == record
