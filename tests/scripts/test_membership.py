"""`enrol`, `change_member`, `leave` and `disown`: who is a member, changed only by who saw the
present state.
"""

from __future__ import annotations

import pytest

from redrepl.values.keys import CLUSTERS_KEY
from tests.scripts.harness import LAYOUT, Node, value

TOPOLOGY = b'{"epoch":1}'


def _enrol(node: Node, cluster: bytes = b"shop", *fields: bytes) -> object:
    return node.call("enrol", [], cluster, b"a", b"1", TOPOLOGY, *fields)


@pytest.fixture
def stranger(node: Node) -> Node:
    """A node that belongs to nobody."""
    node.client.flushall()
    return node


def test_a_stranger_becomes_a_member(stranger: Node) -> None:
    assert _enrol(stranger, b"shop", b"state", b"active", b"rule", b"decide") == 1
    assert stranger.client.hgetall(LAYOUT.member) == {
        b"cluster": b"shop",
        b"node": b"a",
        b"epoch": b"1",
        b"state": b"active",
        b"rule": b"decide",
    }
    assert stranger.client.hget(LAYOUT.topology, "topology") == TOPOLOGY
    assert stranger.client.hgetall(CLUSTERS_KEY) == {b"shop": b"a"}


def test_a_member_is_left_as_it_is_and_described(stranger: Node) -> None:
    _enrol(stranger, b"shop", b"state", b"active")
    stranger.client.hset(LAYOUT.member, "epoch", "9")
    answer = stranger.call("enrol", [], b"shop", b"z", b"1", b"{}", b"state", b"syncing")
    assert answer == [b"member", b"shop", b"a", b"9", TOPOLOGY]
    assert stranger.client.hget(LAYOUT.member, "state") == b"active"
    assert stranger.client.get(LAYOUT.guard) == b"1 active"
    assert stranger.client.hget(LAYOUT.topology, "topology") == TOPOLOGY
    assert stranger.client.hgetall(CLUSTERS_KEY) == {b"shop": b"a"}


def test_a_member_without_particulars_is_described_by_empty_ones(stranger: Node) -> None:
    stranger.client.hset(LAYOUT.member, "state", "active")
    assert _enrol(stranger) == [b"member", b"", b"", b"", b""]


def test_a_member_that_is_not_listed_is_listed_again(stranger: Node) -> None:
    """A worker's login may not; the next that may does."""
    _enrol(stranger, b"shop", b"state", b"active")
    stranger.client.delete(CLUSTERS_KEY)
    assert stranger.call("enrol", [], b"shop", b"z", b"1", b"{}")[:3] == [b"member", b"shop", b"a"]
    assert stranger.client.hgetall(CLUSTERS_KEY) == {b"shop": b"a"}


def test_an_entry_of_the_list_stays_as_it_is(stranger: Node) -> None:
    stranger.client.hset(CLUSTERS_KEY, "shop", "first")
    assert _enrol(stranger) == 1
    assert stranger.client.hgetall(CLUSTERS_KEY) == {b"shop": b"first"}


def test_a_node_of_another_cluster_is_occupied(stranger: Node) -> None:
    stranger.client.hset(CLUSTERS_KEY, "bakery", "x")
    assert _enrol(stranger) == [b"occupied", b"bakery"]
    assert stranger.client.keys("*") == [CLUSTERS_KEY]
    assert stranger.client.hgetall(CLUSTERS_KEY) == {b"bakery": b"x"}


def test_a_node_may_be_enrolled_again_after_it_lost_its_membership(stranger: Node) -> None:
    stranger.client.hset(CLUSTERS_KEY, "shop", "a")
    assert _enrol(stranger) == 1


def _change(
    node: Node, expected: tuple[bytes, bytes, bytes], topology: bytes, *fields: bytes
) -> object:
    return node.call("change_member", [], *expected, topology, *fields)


def test_a_member_is_changed_by_who_saw_its_present_state(node: Node) -> None:
    fields = (b"epoch", b"8", b"state", b"syncing")
    assert _change(node, (b"7", b"active", b"run-1"), b'{"epoch":8}', *fields) == 1
    assert node.client.hmget(LAYOUT.member, "epoch", "state", "run_id") == [
        b"8",
        b"syncing",
        b"run-1",
    ]
    assert node.client.get(LAYOUT.guard) == b"8 syncing", "reads at ONE go by this"
    assert node.client.hget(LAYOUT.topology, "topology") == b'{"epoch":8}'


@pytest.mark.parametrize(
    "expected",
    [
        (b"6", b"active", b"run-1"),
        (b"7", b"syncing", b"run-1"),
        (b"7", b"active", b"run-2"),
        (b"", b"active", b"run-1"),
        (b"7", b"", b"run-1"),
        (b"7", b"active", b""),
    ],
)
def test_a_member_that_changed_meanwhile_is_left(
    node: Node, expected: tuple[bytes, bytes, bytes]
) -> None:
    before = node.client.hgetall(LAYOUT.member)
    assert _change(node, expected, TOPOLOGY, b"epoch", b"8") == [b"changed", b"7", b"active"]
    assert node.client.hgetall(LAYOUT.member) == before
    assert node.client.exists(LAYOUT.topology) == 0


def test_of_two_changes_from_the_same_state_one_takes_effect(node: Node) -> None:
    seen = (b"7", b"active", b"run-1")
    assert _change(node, seen, b"", b"state", b"syncing") == 1
    assert _change(node, seen, b"", b"state", b"fenced") == [b"changed", b"7", b"syncing"]


def test_without_a_topology_the_one_there_stays(node: Node) -> None:
    node.client.hset(LAYOUT.topology, "topology", TOPOLOGY)
    assert _change(node, (b"7", b"active", b"run-1"), b"", b"lineage", b"7") == 1
    assert node.client.hget(LAYOUT.topology, "topology") == TOPOLOGY


@pytest.mark.parametrize(("told", "stands"), [(8, 9), (9, 9), (10, 10)])
def test_a_topology_gives_way_to_no_earlier_one(node: Node, told: int, stands: int) -> None:
    """Also where the later one came without a change of state, so that nobody was stopped by it."""
    known = b'{"cluster":"shop","epoch":9,"merged_epoch":10}'
    node.client.hset(LAYOUT.topology, "topology", known)
    topology = b'{"cluster":"shop","epoch":%d,"merged_epoch":1}' % told
    assert _change(node, (b"7", b"active", b"run-1"), topology, b"epoch", b"12") == 1
    assert node.client.hget(LAYOUT.member, "epoch") == b"12"
    assert node.client.hget(LAYOUT.topology, "topology") == (known if told < stands else topology)


@pytest.mark.parametrize("expected", [(b"", b"", b""), (b"7", b"active", b"run-1")])
def test_a_stranger_is_never_changed(stranger: Node, expected: tuple[bytes, bytes, bytes]) -> None:
    assert _change(stranger, expected, TOPOLOGY, b"epoch", b"8") == [b"changed", b"", b""]
    assert stranger.client.keys("*") == []


def test_leaving_takes_the_bookkeeping_and_leaves_the_records(node: Node) -> None:
    record = value(node.stamp())
    node.write(b"key", record)
    node.absorb({}, (b"inc", b"1-0", 1))
    node.call("confirm", [], b"7", b"b", b"1-0", 1, b"0")
    node.client.hset(LAYOUT.topology, "topology", TOPOLOGY)
    node.client.hset(CLUSTERS_KEY, "shop", "a")
    node.client.set(LAYOUT.guard, b"7 active")
    assert node.call("leave", [], b"shop", b"a", b"") == 1
    assert node.client.exists(LAYOUT.guard) == 0
    assert node.client.keys("*") == [LAYOUT.data(b"key")]
    assert node.stored(b"key") == record.encode()
    assert node.call("leave", [], b"shop", b"a", b"") == 0


@pytest.mark.parametrize(("cluster", "name"), [(b"bakery", b"a"), (b"shop", b"b"), (b"", b"")])
def test_whoever_is_no_such_member_does_not_leave(node: Node, cluster: bytes, name: bytes) -> None:
    node.client.hset(CLUSTERS_KEY, "shop", "a")
    before = node.client.hgetall(LAYOUT.member)
    assert node.call("leave", [], cluster, name, b"") == 0
    assert node.client.hgetall(LAYOUT.member) == before
    assert node.client.hgetall(CLUSTERS_KEY) == {b"shop": b"a"}


def test_another_server_of_the_name_does_not_leave(node: Node) -> None:
    node.enrol(cluster="shop", node="a", identity="old")
    assert node.call("leave", [], b"shop", b"a", b"new") == 0
    assert node.call("leave", [], b"shop", b"a", b"old") == 1


def test_with_a_topology_go_the_cursors_and_marks_of_servers_that_it_does_not_name(
    node: Node,
) -> None:
    node.enrol(run_id="run")
    for positions in (LAYOUT.cursors, LAYOUT.marks):
        node.client.hset(positions, mapping={"b@old": "x", "b@new": "y", "c": "z"})
    told = b'{"epoch":8,"members":[{"id":"b","identity":"new"},{"id":"c","identity":""}]}'
    assert node.call("change_member", [], b"7", b"active", b"run", told, b"epoch", b"8") == 1
    assert [
        sorted(node.client.hkeys(positions)) for positions in (LAYOUT.cursors, LAYOUT.marks)
    ] == [[b"b@new", b"c"]] * 2


@pytest.mark.parametrize("epoch", [b"7", b"1234567890", b"x", b"-1", b""])
def test_what_is_dropped_leaves_its_records_and_the_number_of_its_epoch(
    node: Node, epoch: bytes
) -> None:
    """That no epoch begins twice is for whoever gives the server a place; until then reads at ONE
    find no state.
    """
    record = value(node.stamp())
    node.write(b"key", record)
    node.client.hset(LAYOUT.topology, "topology", TOPOLOGY)
    node.client.lpush(LAYOUT.guard, "what?")
    node.client.hset(LAYOUT.member, "epoch", epoch)
    assert node.call("disown", [], b"shop", b"7" + epoch, b"active", b"run-1", b"") == 0
    assert node.call("disown", [], b"shop", epoch, b"active", b"run-1", b"") == 1
    assert node.stored(b"key") == record.encode()
    kept = [LAYOUT.guard] if epoch == b"7" else []
    assert sorted(node.client.keys("*")) == sorted([LAYOUT.data(b"key"), *kept])
    assert not kept or node.client.get(LAYOUT.guard) == b"7 "
    assert _enrol(node, b"shop", b"state", b"syncing") == 1
    assert node.client.get(LAYOUT.guard) == b"1 syncing"
