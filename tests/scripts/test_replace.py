"""`replace`: an exact compare-and-set that may go back in time."""

from __future__ import annotations

import pytest

from tests.scripts.harness import EPOCH, LAYOUT, Node, deleted, value


def _replace(node: Node, expected: bytes, record: bytes) -> object:
    return node.call("replace", [b"key"], EPOCH, expected, record, b"undecided", 10, 10_000)


@pytest.mark.parametrize("state", ["active", "syncing"])
def test_exactly_that_record_is_replaced_by_an_earlier_one(node: Node, state: str) -> None:
    node.enrol(rule="follow", state=state)
    undecided = node.put(b"key", value(node.stamp(-40), b"undecided"))
    right = value(node.stamp(-90), b"right")
    assert _replace(node, undecided.stamp.encode(), right.encode()) == 1
    assert node.stored(b"key") == right.encode()
    assert node.log() == [{b"key": right.stamp.encode()}]


@pytest.mark.parametrize("distance", [-1, 1])
def test_another_record_is_left_and_named(node: Node, distance: int) -> None:
    standing = node.put(b"key", value(node.stamp(-40)))
    expected = standing.stamp._replace(writer=standing.stamp.writer + distance)
    answer = _replace(node, expected.encode(), value(node.stamp(-90)).encode())
    assert answer == [b"changed", standing.stamp.encode()]
    assert (node.stored(b"key"), node.log()) == (standing.encode(), [])


def test_nothing_can_be_expected(node: Node) -> None:
    record = deleted(node.stamp(-40))
    assert _replace(node, record.stamp.encode(), record.encode()) == [b"changed", b""]
    assert node.log() == []
    assert _replace(node, b"", record.encode()) == 1
    assert _replace(node, b"", record.encode()) == [b"changed", record.stamp.encode()]
    assert (node.stored(b"key"), len(node.log())) == (record.encode(), 1)


def test_the_new_record_gets_its_native_expiry(node: Node) -> None:
    standing = node.put(b"key", value(node.stamp(-40)))
    record = value(node.stamp(-90), b"right", node.millis(60))
    assert _replace(node, standing.stamp.encode(), record.encode()) == 1
    assert node.expires_at_millis(b"key") == record.deadline_millis + 30_000


def test_the_same_stamp_with_other_bytes_is_put_right(node: Node) -> None:
    damaged = node.put(b"key", value(node.stamp(-40), b"damaged"))
    right = damaged._replace(payload=b"right")
    assert _replace(node, damaged.stamp.encode(), right.encode()) == 1
    assert node.record(b"key") == right


def test_something_else_under_the_name_of_the_discarded_log_stops_nothing(node: Node) -> None:
    node.client.set(LAYOUT.discarded, b"x")
    lost = node.put(b"key", value(node.stamp(-40)))
    assert _replace(node, lost.stamp.encode(), value(node.stamp(-90)).encode()) == 1
    assert [fields[b"record"] for _, fields in node.client.xrange(LAYOUT.discarded)] == [
        lost.encode()
    ]


def test_of_large_records_fewer_are_kept(real_node: Node) -> None:
    for number in range(30):
        lost = real_node.put(
            b"key", value(real_node.stamp(-40), b"x" * 5_000 if number >= 10 else b"small")
        )
        assert _replace(real_node, lost.stamp.encode(), value(real_node.stamp(-90)).encode()) == 1
    kept = [fields[b"record"] for _, fields in real_node.client.xrange(LAYOUT.discarded)]
    assert 1 <= len(kept) <= 3
    assert kept[-1] == lost.encode()


def test_one_record_is_kept_however_large(real_node: Node) -> None:
    lost = real_node.put(b"key", value(real_node.stamp(-40), b"x" * 50_000))
    assert _replace(real_node, lost.stamp.encode(), value(real_node.stamp(-90)).encode()) == 1
    assert real_node.client.xlen(LAYOUT.discarded) == 1
