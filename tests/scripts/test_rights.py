"""A login that lacks a right: the server's own error, and never an answer about what is stored."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from redrepl.edges.scripts import all_scripts
from redrepl.values.permissions import CLIENTS_COMMANDS, FENCE_COMMANDS, SCRIPT_COMMANDS
from redrepl.values.reasons import is_denial
from redrepl.values.stamp import Stamp
from tests.scripts.harness import EPOCH, LAYOUT, Node, value
from tests.support.clients import connect_as

KEY, OTHER = b"key", b"other"
MOVED = (EPOCH, b"active", b"run-1", b"", b"state", b"fenced")


def calls(now: int) -> dict[str, tuple[list[bytes], tuple[bytes | int, ...]]]:
    """A call of each script that reads or stores records, or moves a member, on a node that holds
    records.
    """
    stamp = Stamp(now, 1)
    later, earlier = (
        value(stamp, b"later").encode(),
        value(Stamp(now - 2_000_000, 1), b"x").encode(),
    )
    standing = Stamp(now - 1_000_000, 1).encode()
    return {
        "write": ([KEY], (EPOCH, earlier)),
        "write_many": ([KEY, OTHER], (EPOCH, later, earlier)),
        "update": ([KEY], (EPOCH, b"add", stamp.encode(), b"0" * 12, b"payload")),
        "transact": (
            [KEY],
            (EPOCH, b"unit", 1000, 0, 0, b"add", stamp.encode(), b"0" * 12, b"payload"),
        ),
        "read_many": ([KEY, OTHER], (EPOCH, b"active", 1000)),
        "headers": ([KEY, OTHER], (EPOCH, b"active")),
        "absorb": ([KEY], (EPOCH, b"b", b"inc", b"1-0", 1, 0, b"", later)),
        "replace": ([KEY], (EPOCH, standing, later, b"undecided", 10, 10_000)),
        "confirm": ([], (EPOCH, b"b", b"1-0", 1, b"1", b"")),
        "digest": ([KEY, OTHER], (now // 1000, 10_000, 0, b"0", b"0")),
        "change_member": ([], MOVED),
        "inspect": ([], ()),
        "probe_write": ([], (b"m", 1000, CLIENTS_COMMANDS.encode(), FENCE_COMMANDS.encode())),
    }


SCRIPTS = sorted(calls(0))
CASES = [(script, command) for script in SCRIPTS for command in SCRIPT_COMMANDS[script].split()]


def prepare(node: Node, now: int) -> None:
    """A member with two records, as a program left them."""
    node.reset()
    node.client.hset(LAYOUT.cursors, "b", "kept")
    for key in (KEY, OTHER):
        node.put(key, value(Stamp(now - 1_000_000, 1), b"standing"))


@pytest.fixture
def limited(real_node: Node) -> Iterator[redis.Redis]:
    """A connection whose login may do all but what a test takes from it."""
    real_node.client.execute_command(
        "ACL", "SETUSER", "limited", "on", "nopass", "~*", "&*", "+@all"
    )
    with connect_as(real_node.client, "limited") as client:
        yield client
    real_node.client.execute_command("ACL", "DELUSER", "limited")


def ask(client: Any, node: Node, script: str, now: int) -> Any:
    keys, arguments = calls(now)[script]
    names = node.names(script, keys)
    return client.evalsha(all_scripts()[script].sha.decode(), len(names), *names, *arguments)


@pytest.mark.parametrize(("script", "command"), CASES, ids=lambda each: str(each))
def test_what_a_login_may_not_do_says_nothing_of_a_record(
    real_node: Node, limited: redis.Redis, script: str, command: str
) -> None:
    now = real_node.now_micros()
    prepare(real_node, now)
    expected = ask(real_node.client, real_node, script, now)
    prepare(real_node, now)
    real_node.client.execute_command("ACL", "SETUSER", "limited", f"-{command}")
    found = outcome(limited, real_node, script, now)
    if isinstance(found, str):
        assert is_denial(found)
    elif script == "inspect":
        assert found[:5] == expected[:5]
    elif script == "absorb":
        assert found[:2] == expected[:2]
    elif script != "probe_write":  # it tells what the login may not do, see below
        assert found == expected


def outcome(client: redis.Redis, node: Node, script: str, now: int) -> Any:
    """The answer, or the error as the server sent it: redis-py takes the code of one that it knows
    away.
    """
    try:
        return ask(client, node, script, now)
    except redis.exceptions.NoPermissionError as error:
        return f"NOPERM {error}"
    except redis.ResponseError as error:
        return f"ERR {error}"


@pytest.mark.parametrize("command", CLIENTS_COMMANDS.split())
def test_a_node_without_a_right_that_programs_need_takes_no_writes(
    real_node: Node, limited: redis.Redis, command: str
) -> None:
    now = real_node.now_micros()
    prepare(real_node, now)
    real_node.client.execute_command("ACL", "SETUSER", "limited", f"-{command}")
    found = outcome(limited, real_node, "probe_write", now)
    assert isinstance(found, str)
    assert is_denial(found)


@pytest.mark.parametrize(
    "command", sorted({*FENCE_COMMANDS.split()} - {*CLIENTS_COMMANDS.split()} - {"del"})
)
def test_a_node_that_a_login_cannot_move_takes_writes_and_is_told_apart(
    real_node: Node, limited: redis.Redis, command: str
) -> None:
    now = real_node.now_micros()
    prepare(real_node, now)
    assert ask(limited, real_node, "probe_write", now)[1] == b""
    real_node.client.execute_command("ACL", "SETUSER", "limited", f"-{command}")
    assert command.encode() in ask(limited, real_node, "probe_write", now)[1]
