"""Any bytes as keys and values, large ones and many, and the log entry that goes with each
change.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis

from redrepl.values.limits import BATCH_KEYS
from redrepl.values.record import Record
from tests.scripts.harness import EPOCH, LAYOUT, Node, value

KEYS = [
    b"plain",
    b"\x00\x01\xff\xfe",
    b"with space",
    b"line\r\nbreak",
    b"glob*?[a-z]\\^",
    b"{tag}:x",
    "schlüssel".encode(),
    b"m:log",
    b"k" * 32_768,
]
VALUES = [b"", b"\x00", bytes(range(256)), b"a\r\nb", b"|" * 50, b"nil", b"x" * 1_000_000]


@pytest.mark.parametrize(
    "payload", VALUES, ids=lambda payload: f"{len(payload)} bytes {payload[:6]!r}"
)
@pytest.mark.parametrize("script", ["write", "write_many", "absorb", "add", "compare"])
def test_any_bytes_are_stored_as_they_are(node: Node, script: str, payload: bytes) -> None:
    record = value(node.stamp(), payload)
    if script == "write":
        node.write(b"key", record)
    elif script == "write_many":
        node.write_many({b"key": record})
    elif script == "absorb":
        node.absorb({b"key": record})
    elif script == "add":
        node.update(b"key", b"add", record.stamp, payload)
    else:
        standing = node.put(b"key", value(node.stamp(-9)))
        node.update(b"key", b"compare", record.stamp, standing.stamp.encode() + payload)
    assert node.record(b"key") == record
    assert node.log() == [{b"key": record.stamp.encode()}]
    assert node.read_many([b"key"]) == [b"ok", record.encode()]


@pytest.mark.parametrize("script", ["write", "write_many", "absorb", "add"])
def test_any_bytes_are_keys(node: Node, script: str) -> None:
    for key in KEYS:
        record = value(node.stamp(), key[:20])
        if script == "write":
            node.write(key, record)
        elif script == "write_many":
            node.write_many({key: record})
        elif script == "absorb":
            node.absorb({key: record})
        else:
            node.update(key, b"add", record.stamp, record.payload)
        assert node.record(key) == record
    assert [list(entry) for entry in node.log()] == [[key] for key in KEYS]
    heads = node.call("headers", KEYS, EPOCH, b"active")
    assert [head[:22] for head in heads[1:]] == [
        stamp for entry in node.log() for stamp in entry.values()
    ]


def test_users_keys_never_meet_the_bookkeeping(node: Node) -> None:
    for key in (b"m:member", b"m:log", b"m:marks"):
        node.write(key, value(node.stamp()))
    assert node.client.type(LAYOUT.member) == b"hash"
    assert node.client.type(LAYOUT.log) == b"stream"


@pytest.mark.parametrize("script", ["write_many", "absorb"])
def test_a_full_batch_is_one_log_entry(node: Node, script: str) -> None:
    deadline = node.millis(600)
    records = {
        b"key-%d" % number: value(
            node.stamp(-1), b"%d" % number, deadline if number % 3 == 0 else 0
        )
        for number in range(BATCH_KEYS)
    }
    answer = node.write_many(records) if script == "write_many" else node.absorb(records)
    assert answer == (1 if script == "write_many" else [b"ok", BATCH_KEYS])
    assert node.log() == [{key: record.stamp.encode() for key, record in records.items()}]
    answer = node.read_many(list(records))
    assert answer[1:] == [record.encode() for record in records.values()]
    assert node.expires_at_millis(b"key-3") == deadline + 30_000
    assert node.expires_at_millis(b"key-4") == -1


def test_a_full_batch_of_exceptions_names_each(node: Node) -> None:
    node.enrol(rule="follow")
    standing = {b"key-%d" % number: value(node.stamp(-1)) for number in range(BATCH_KEYS)}
    node.write_many(standing)
    answer = node.write_many({key: value(node.stamp(-20)) for key in standing})
    wanted: list[object] = [b"some"]
    for index, record in enumerate(standing.values()):
        wanted += [index, b"has", record.stamp.encode()]
    assert answer == wanted
    assert len(node.log()) == 1


CHANGES: dict[str, Callable[[Node, Record], object]] = {
    "write": lambda node, record: node.write(b"key", record),
    "write_many": lambda node, record: node.write_many({b"key": record}),
    "absorb": lambda node, record: node.absorb({b"key": record}),
    "replace": lambda node, record: node.call("replace", [b"key"], EPOCH, b"", record.encode()),
    "add": lambda node, record: node.update(b"key", b"add", record.stamp, record.payload),
}


@pytest.mark.parametrize("script", list(CHANGES))
def test_a_record_that_cannot_be_logged_is_not_stored(node: Node, script: str) -> None:
    node.client.set(LAYOUT.log, b"not a stream")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        CHANGES[script](node, value(node.stamp()))
    assert node.stored(b"key") is None


@pytest.mark.parametrize("rule", ["decide", "follow", "merge"])
def test_as_many_log_entries_as_changes(node: Node, rule: str) -> None:
    node.enrol(rule=rule)
    changes = 0
    for number in range(30):
        before = node.stored(b"key")
        node.write(b"key", value(node.stamp(-(number * 7 % 11)), b"%d" % number))
        changes += node.stored(b"key") != before
        assert len(node.log()) == changes
        assert node.log()[-1] == {b"key": node.record(b"key").stamp.encode()}
    assert 1 < changes <= 30
