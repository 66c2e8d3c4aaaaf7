"""What redrepl did not write is never overwritten, and nothing is logged about it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from redrepl.values.record import parse_record
from tests.scripts.harness import EPOCH, LAYOUT, Node, value

NAME = LAYOUT.data(b"key")

FOREIGN: dict[str, Callable[[Node], object]] = {
    "empty text": lambda node: node.client.set(NAME, b""),
    "short text": lambda node: node.client.set(NAME, b"hello"),
    "long text": lambda node: node.client.set(NAME, b"hello " * 100),
    "no kind": lambda node: node.client.set(
        NAME, value(node.stamp()).encode().replace(b"v", b"x", 1)
    ),
    "cut header": lambda node: node.client.set(NAME, value(node.stamp()).encode()[:39]),
    "no bar": lambda node: node.client.set(
        NAME, value(node.stamp()).encode().replace(b"|", b"-", 1)
    ),
    "number": lambda node: node.client.set(NAME, 12),
    "hash": lambda node: node.client.hset(NAME, "field", "value"),
    "list": lambda node: node.client.rpush(NAME, "element"),
    "set": lambda node: node.client.sadd(NAME, "element"),
    "stream": lambda node: node.client.xadd(NAME, {"field": "value"}),
}

CALLS: dict[str, Callable[[Node], object]] = {
    "write": lambda node: node.write(b"key", value(node.stamp())),
    "write_many": lambda node: node.write_many(
        {b"a": value(node.stamp()), b"key": value(node.stamp())}
    ),
    "absorb": lambda node: node.absorb(
        {b"a": value(node.stamp()), b"key": value(node.stamp())}, (b"i", b"1-0", 1)
    ),
    "replace": lambda node: node.call(
        "replace", [b"key"], EPOCH, b"", value(node.stamp()).encode()
    ),
    "replace by nothing": lambda node: node.call("replace", [b"key"], EPOCH, b"", b""),
    "add": lambda node: node.update(b"key", b"add", node.stamp(), b"payload"),
    "compare": lambda node: node.update(
        b"key", b"compare", node.stamp(), node.stamp().encode() + b"payload"
    ),
    "increment": lambda node: node.update(b"key", b"increment", node.stamp(), b"1"),
    "expire": lambda node: node.update(b"key", b"expire", node.stamp(), deadline=node.millis(60)),
}


def dump(node: Node) -> bytes:
    """The foreign value with its type, as bytes to compare."""
    found: bytes = node.client.dump(NAME)
    return found


@pytest.mark.parametrize("kind", list(FOREIGN))
@pytest.mark.parametrize("call", list(CALLS))
def test_a_foreign_value_stays(node: Node, call: str, kind: str) -> None:
    FOREIGN[kind](node)
    before = dump(node)
    assert CALLS[call](node) == [b"foreign", NAME]
    assert dump(node) == before
    assert node.log() == []
    assert node.stored(b"a") is None
    assert node.client.exists(LAYOUT.marks) == 0


@pytest.mark.parametrize("kind", list(FOREIGN))
@pytest.mark.parametrize("admit", [b"active", b"upkeep"])
def test_headers_tell_of_a_foreign_value_in_its_place(node: Node, kind: str, admit: bytes) -> None:
    FOREIGN[kind](node)
    record = node.put(b"record", value(node.stamp()))
    answer = node.call("headers", [b"absent", b"key", b"record"], EPOCH, admit)
    assert answer == [b"ok", b"", b"foreign", record.encode()[:35]]


@pytest.mark.parametrize("kind", ["hash", "list", "set", "stream"])
def test_read_many_tells_of_what_is_no_string_in_its_place(node: Node, kind: str) -> None:
    FOREIGN[kind](node)
    record = node.put(b"record", value(node.stamp()))
    answer = node.read_many([b"absent", b"key", b"record"])
    assert answer == [b"ok", None, b"foreign", record.encode()]


@pytest.mark.parametrize("kind", list(FOREIGN))
def test_reading_leaves_a_foreign_value_as_it_is(node: Node, kind: str) -> None:
    FOREIGN[kind](node)
    before = dump(node)
    node.read_many([b"key"])
    node.call("headers", [b"key"], EPOCH, b"active")
    assert dump(node) == before


def test_a_record_is_recognised_by_its_header_alone(node: Node) -> None:
    standing = value(node.stamp(-1), b"")
    node.put(b"key", standing)
    assert node.write(b"key", value(node.stamp())) == 1


@pytest.mark.parametrize(
    "stored",
    [
        b"0660f71eb15369" + b"00000005" + b"v" + b"0" * 16 + b"|",
        b"0660f71eb15369" + b"00000005" + b"d" + b"0" * 16 + b"|",
        b"0660f71eb15369" + b"00000005" + b"v" + b"0" * 12 + b"0003|abc",
        b"0660f71eb15369" + b"00000005" + b"v" + b"0" * 16 + b"|\x00\n|",
        b"0660f71eb15369" + b"0000000g" + b"v" + b"0" * 16 + b"|",
        b"0660f71eb15369" + b"00000005" + b"V" + b"0" * 16 + b"|",
        b"0660f71eb15369" + b"00000005" + b"v" + b"0" * 15 + b"|",
        b"\n0660f71eb1536" + b"00000005" + b"v" + b"0" * 16 + b"|",
        b"0660F71EB15369" + b"00000005" + b"v" + b"0" * 16 + b"|",
        b"0660f71eb15369" + b"00000005" + b"v" + b"0" * 12 + b"0004|abc",
    ],
)
def test_lua_and_python_agree_on_what_is_a_record(node: Node, stored: bytes) -> None:
    node.client.set(NAME, stored)
    node.enrol(rule="follow")
    answer = node.write_many({b"key": value(node.stamp())})
    try:
        parse_record(stored)
        is_record = True
    except ValueError:
        is_record = False
    assert (answer == 1) is is_record
