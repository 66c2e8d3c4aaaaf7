"""A deadline is data: what is past it reads as absent, and native expiry only collects the
garbage.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from redrepl.values.record import Record
from tests.scripts.harness import EPOCH, MAX_AGE_SECONDS, Node, deleted, restamped, value

STORING: dict[str, Callable[[Node, Record], object]] = {
    "write": lambda node, record: node.write(b"key", record),
    "write_many": lambda node, record: node.write_many(
        {b"key": record, b"plain": value(record.stamp)}
    ),
    "absorb": lambda node, record: node.absorb({b"key": record, b"plain": value(record.stamp)}),
    "replace": lambda node, record: node.call(
        "replace", [b"key"], EPOCH, b"", record.encode(), b"why", 10, 10_000
    ),
    "add": lambda node, record: node.update(
        b"key", b"add", record.stamp, record.payload, record.deadline_millis
    ),
}


@pytest.mark.parametrize("script", list(STORING))
@pytest.mark.parametrize("max_age_seconds", [MAX_AGE_SECONDS, 45])
def test_native_expiry_comes_max_age_after_the_deadline(
    node: Node, script: str, max_age_seconds: int
) -> None:
    node.enrol(max_age_micros=max_age_seconds * 1_000_000)
    record = value(node.stamp(), b"payload", node.millis(3600))
    STORING[script](node, record)
    assert node.record(b"key") == record
    assert node.expires_at_millis(b"key") == record.deadline_millis + max_age_seconds * 1000
    assert node.expires_at_millis(b"plain") in (-1, -2)


@pytest.mark.parametrize("script", list(STORING))
def test_a_record_without_deadline_ends_the_expiry_of_the_one_before(
    node: Node, script: str
) -> None:
    if script in ("replace", "add"):
        node.put(b"other", value(node.stamp()))
    before = value(node.stamp(-5), b"before", node.millis(-1))
    node.write(b"key", before)
    after = value(node.stamp(-1), b"after")
    if script == "replace":
        node.call(
            "replace", [b"key"], EPOCH, before.stamp.encode(), after.encode(), b"why", 10, 10_000
        )
    else:
        STORING[script](node, after)
    assert node.record(b"key") == after
    assert node.expires_at_millis(b"key") == -1


def test_a_tombstone_may_have_a_deadline(node: Node) -> None:
    record = deleted(node.stamp(), node.millis(60))
    assert node.write(b"key", record) == 1
    assert node.expires_at_millis(b"key") == record.deadline_millis + MAX_AGE_SECONDS * 1000


@pytest.mark.parametrize("script", ["write", "write_many"])
def test_a_record_long_past_its_deadline_leaves_nothing_but_its_log_entry(
    node: Node, script: str
) -> None:
    record = value(node.stamp(), b"payload", node.millis(-3600))
    assert STORING[script](node, record) == 1
    assert node.stored(b"key") is None
    assert node.log()[0][b"key"] == record.stamp.encode()


def test_a_record_past_its_deadline_still_stands_against_earlier_writes(node: Node) -> None:
    standing = value(node.stamp(-1), b"payload", node.millis(-1))
    node.write(b"key", standing)
    late = value(node.stamp(-2), b"late")
    assert node.write(b"key", late) == [b"ok", restamped(late, standing.stamp).stamp.encode()]
    node.enrol(rule="follow")
    assert node.write(b"key", late)[0] == b"has"


def _past(node: Node, payload: bytes = b"41") -> Record:
    return node.put(b"key", value(node.stamp(-5), payload, node.millis(-1)))


def test_add_takes_the_place_of_what_is_past_its_deadline(node: Node) -> None:
    _past(node)
    stamp = node.stamp()
    added = value(stamp, b"added")
    assert node.update(b"key", b"add", stamp, b"added") == [b"ok", added.encode()]
    assert node.expires_at_millis(b"key") == -1


def test_add_over_what_is_past_its_deadline_restamps_where_it_must(node: Node) -> None:
    standing = _past(node)
    added = restamped(value(standing.stamp, b"added"), standing.stamp)
    assert node.update(b"key", b"add", standing.stamp, b"added") == [b"ok", added.encode()]


def test_compare_does_not_find_what_is_past_its_deadline(node: Node) -> None:
    standing = _past(node)
    answer = node.update(b"key", b"compare", node.stamp(), standing.stamp.encode() + b"new")
    assert answer == [b"unmet", standing.stamp.encode()]
    assert (node.stored(b"key"), node.log()) == (standing.encode(), [])


def test_increment_counts_what_is_past_its_deadline_as_nothing(node: Node) -> None:
    _past(node)
    stamp = node.stamp()
    assert node.update(b"key", b"increment", stamp, b"2") == [b"ok", value(stamp, b"2").encode()]
    assert node.expires_at_millis(b"key") == -1


def test_expire_finds_nothing_past_its_deadline(node: Node) -> None:
    standing = _past(node)
    answer = node.update(b"key", b"expire", node.stamp(), deadline=node.millis(60))
    assert answer == [b"unmet", standing.stamp.encode()]
    assert (node.stored(b"key"), node.log()) == (standing.encode(), [])


@pytest.mark.parametrize("operation", [b"add", b"compare", b"increment", b"expire"])
def test_what_is_not_past_its_deadline_is_there(node: Node, operation: bytes) -> None:
    standing = node.put(b"key", value(node.stamp(-5), b"41", node.millis(600)))
    operand = {b"compare": standing.stamp.encode() + b"new", b"increment": b"1"}.get(operation, b"")
    answer = node.update(b"key", operation, node.stamp(), operand, node.millis(600))
    assert answer[0] == (b"unmet" if operation == b"add" else b"ok")
