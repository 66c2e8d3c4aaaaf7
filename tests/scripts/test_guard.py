"""The guard: who is refused by which script, and that a refusal changes nothing."""

from __future__ import annotations

import pytest

from redrepl.values.stamp import Stamp
from tests.scripts.harness import EPOCH, LAYOUT, Node, value

STAMP = Stamp(1, 1)
RECORD = value(STAMP).encode()
CLIENT_CALLS: dict[str, tuple[list[bytes], tuple[bytes | int, ...]]] = {
    "write": ([b"key"], (RECORD,)),
    "write_many": ([b"key", b"other"], (RECORD, RECORD)),
    "update": ([b"key"], (b"add", STAMP.encode(), b"0" * 12, b"payload")),
    "transact": ([b"key"], (b"unit", 1000, 0, 0, b"set", STAMP.encode(), b"0" * 12, b"payload")),
    "read_many": ([b"key"], (b"active", 1000)),
    "headers": ([b"key"], (b"active",)),
}
CATCH_UP_CALLS: dict[str, tuple[list[bytes], tuple[bytes | int, ...]]] = {
    "absorb": ([b"key"], (b"b", b"inc", b"1-0", 1, 0, b"", RECORD)),
    "checkpoint": ([], (b"inc 1-0 1 b inc 1-0 1 7", 4)),
    "replace": ([b"key"], (b"", RECORD, b"undecided", 10, 10_000)),
    "confirm": ([], (b"b", b"0-0", 0, b"1", b"")),
    "trim": ([], (b"1-0", 1, b"", 0, b"")),
    "hold": ([], (b"hold b", b"1-0 1", 1000)),
    "note_walk": ([], (b"walk b", b"{}")),
    "note_sweep": ([], (b"last", b"{}", b"under_way")),
}
UPKEEP_READS: dict[str, tuple[list[bytes], tuple[bytes | int, ...]]] = {
    "read_many": ([b"key"], (b"upkeep", 1000)),
    "headers": ([b"key"], (b"upkeep",)),
}
EVERY_CALL = [*CLIENT_CALLS.items(), *CATCH_UP_CALLS.items(), *UPKEEP_READS.items()]
IDS = [*CLIENT_CALLS, *CATCH_UP_CALLS, *(f"{name} for upkeep" for name in UPKEEP_READS)]


def _contents(node: Node) -> dict[bytes, object]:
    return {name: node.client.dump(name) for name in sorted(node.client.keys("*"))}


@pytest.mark.parametrize("call", EVERY_CALL, ids=IDS)
def test_a_stranger_refuses_with_empty_epoch_and_state(
    node: Node, call: tuple[str, tuple[list[bytes], tuple[bytes | int, ...]]]
) -> None:
    node.client.flushall()
    script, (keys, arguments) = call
    assert node.call(script, keys, EPOCH, *arguments) == [b"refused", b"", b""]
    assert node.client.keys("*") == []


@pytest.mark.parametrize("epoch", [b"6", b"8", b"70", b"07", b"", b"7.0"])
@pytest.mark.parametrize("call", EVERY_CALL, ids=IDS)
def test_another_epoch_is_refused(
    node: Node, call: tuple[str, tuple[list[bytes], tuple[bytes | int, ...]]], epoch: bytes
) -> None:
    script, (keys, arguments) = call
    before = _contents(node)
    assert node.call(script, keys, epoch, *arguments) == [b"refused", b"7", b"active"]
    assert _contents(node) == before


@pytest.mark.parametrize("state", ["syncing", "fenced"])
@pytest.mark.parametrize("script", list(CLIENT_CALLS))
def test_clients_are_admitted_by_active_members_alone(node: Node, script: str, state: str) -> None:
    node.enrol(state=state)
    before = _contents(node)
    keys, arguments = CLIENT_CALLS[script]
    assert node.call(script, keys, EPOCH, *arguments) == [b"refused", b"7", state.encode()]
    assert _contents(node) == before


@pytest.mark.parametrize("is_short", [True, False], ids=["the short way", "the long way"])
@pytest.mark.parametrize("script", ["write", "write_many"])
def test_a_replica_that_is_taken_for_the_primary_takes_nothing(
    node: Node, script: str, is_short: bool
) -> None:
    """The caller goes by a topology of this epoch that somebody made up; by the right one the
    replica takes it.
    """
    node.enrol(rule="follow")
    before = _contents(node)
    record = value(node.stamp(), b"payload", 0 if is_short else node.millis(60)).encode()
    assert node.call(script, [b"key"], EPOCH, record, b"by a") == [b"refused", b"7", b"active"]
    assert _contents(node) == before
    assert node.call(script, [b"key"], EPOCH, record, b"by b") == 1
    for rule in ("decide", "merge"):
        node.enrol(rule=rule)
        assert node.call(script, [b"key"], EPOCH, record, b"by a") == 1


def test_a_replica_that_is_taken_for_the_primary_answers_no_read(node: Node) -> None:
    assert node.call("read_many", [b"key"], EPOCH, b"decided", 1000) == [b"ok", None]
    node.enrol(rule="follow")
    assert node.call("read_many", [b"key"], EPOCH, b"active", 1000) == [b"ok", None]
    assert node.call("read_many", [b"key"], EPOCH, b"decided", 1000) == [
        b"refused",
        b"7",
        b"active",
    ]


@pytest.mark.parametrize("state", ["active", "syncing", "fenced"])
@pytest.mark.parametrize("script", list(CATCH_UP_CALLS))
def test_catch_up_is_admitted_in_every_state_of_a_member(
    node: Node, script: str, state: str
) -> None:
    """Also on fenced members: whoever fenced them knows their epoch alone."""
    keys, arguments = CATCH_UP_CALLS[script]
    node.enrol(state=state)
    answer = node.call(script, keys, EPOCH, *arguments)
    assert answer == 1 or answer[0] == b"ok"


@pytest.mark.parametrize("script", list(CATCH_UP_CALLS))
def test_catch_up_is_refused_in_a_state_that_is_none(node: Node, script: str) -> None:
    keys, arguments = CATCH_UP_CALLS[script]
    node.enrol(state="gone")
    before = _contents(node)
    assert node.call(script, keys, EPOCH, *arguments) == [b"refused", b"7", b"gone"]
    assert _contents(node) == before


@pytest.mark.parametrize("state", ["active", "syncing", "fenced"])
@pytest.mark.parametrize("script", list(UPKEEP_READS))
def test_upkeep_reads_on_members_in_any_state(node: Node, script: str, state: str) -> None:
    node.enrol(state=state)
    keys, arguments = UPKEEP_READS[script]
    assert node.call(script, keys, EPOCH, *arguments)[0] == b"ok"


@pytest.mark.parametrize("script", list(UPKEEP_READS))
def test_a_state_that_is_none_is_read_by_nobody(node: Node, script: str) -> None:
    node.enrol(state="gone")
    keys, arguments = UPKEEP_READS[script]
    assert node.call(script, keys, EPOCH, *arguments) == [b"refused", b"7", b"gone"]


@pytest.mark.parametrize("rule", ["decide", "merge"])
def test_updates_are_taken_where_clients_write(node: Node, rule: str) -> None:
    node.enrol(rule=rule)
    assert node.update(b"key", b"add", node.stamp())[0] == b"ok"


def test_a_replica_takes_no_updates(node: Node) -> None:
    node.enrol(rule="follow")
    assert node.update(b"key", b"add", node.stamp()) == [b"refused", b"7", b"active"]
    assert (node.stored(b"key"), node.log()) == (None, [])


def test_a_member_of_another_cluster_is_a_stranger(node: Node) -> None:
    """The guard reads the member hash of its own cluster's prefix alone."""
    node.client.rename(LAYOUT.member, b"another:m:member")
    assert node.write(b"key", value(node.stamp())) == [b"refused", b"", b""]
