"""Topologies: what can be a cluster, its epochs, and who follows whom."""

from __future__ import annotations

import json

import pytest

from redrepl.values import limits
from redrepl.values.errors import ConfigError, RequestError
from redrepl.values.topology import Member, Mode, NodeRole, Topology
from tests.unit.support.by_hand import topology

PRIMARY, REPLICA = NodeRole.PRIMARY, NodeRole.REPLICA
A, B, C = (
    Member("a", "redis://a", PRIMARY),
    Member("b", "redis://b", REPLICA),
    Member("c", "redis://c", REPLICA),
)


def _topology(*members: Member, mode: Mode = Mode.PRIMARY_REPLICA, epoch: int = 1) -> Topology:
    return Topology("shop", epoch, mode, members)


@pytest.mark.parametrize(
    ("members", "mode", "said"),
    [
        ((), Mode.PRIMARY_REPLICA, "1 to 16 nodes, not 0"),
        ((B, C), Mode.PRIMARY_REPLICA, 'no node has role = "primary"'),
        ((A, Member("b", "redis://b", PRIMARY)), Mode.PRIMARY_REPLICA, "one primary, not 2: a, b"),
        ((A, B), Mode.MULTI_PRIMARY, "replicas given: b"),
        ((A, Member("a", "redis://b", REPLICA)), Mode.PRIMARY_REPLICA, "'a' is given twice"),
        (
            (A, Member("b", "redis://a", REPLICA)),
            Mode.PRIMARY_REPLICA,
            "'a' and 'b' have the same url redis://a",
        ),
    ],
)
def test_what_is_no_cluster(members: tuple[Member, ...], mode: Mode, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        _topology(*members, mode=mode)


def test_a_cluster_has_16_nodes_at_most() -> None:
    members = [
        Member(f"n{i}", f"redis://n{i}", PRIMARY if not i else REPLICA)
        for i in range(limits.MAX_NODES + 1)
    ]
    assert len(_topology(*members[:-1]).ids) == limits.MAX_NODES
    with pytest.raises(ConfigError, match="not 17"):
        _topology(*members)
    with pytest.raises(ConfigError, match="not 17"):
        _topology(*members[:-1]).with_member(members[-1])


@pytest.mark.parametrize("epoch", [0, -1, limits.MAX_EPOCH + 1])
def test_an_epoch_out_of_range(epoch: int) -> None:
    with pytest.raises(ConfigError, match=str(epoch)):
        _topology(A, epoch=epoch)


def test_names_are_checked() -> None:
    with pytest.raises(RequestError, match="node id"):
        _topology(Member("a b", "redis://a", PRIMARY))
    with pytest.raises(RequestError, match="cluster"):
        Topology("shop:1", 1, Mode.PRIMARY_REPLICA, (A,))


def test_who_decides_and_who_follows() -> None:
    cluster = _topology(B, A, C)
    assert (cluster.ids, cluster.primaries, cluster.decider) == (("b", "a", "c"), ("a",), "a")
    assert cluster.others("a") == ("b", "c")
    assert cluster.sources_of("b") == cluster.sources_of("c") == ("a",)
    assert cluster.sources_of("a") == ("b", "c")
    assert cluster.member("b") is B
    with pytest.raises(KeyError):
        cluster.member("z")


def test_of_several_primaries_everybody_follows_everybody() -> None:
    cluster = topology(3, Mode.MULTI_PRIMARY)
    assert (cluster.decider, cluster.primaries) == (None, ("a", "b", "c"))
    assert [cluster.sources_of(node) for node in "abc"] == [("b", "c"), ("a", "c"), ("a", "b")]


def test_a_change_of_members_is_a_new_epoch() -> None:
    cluster = _topology(A, B, epoch=4)
    grown = cluster.with_member(C)
    assert (grown.epoch, grown.ids, grown.cluster, grown.mode) == (
        5,
        ("a", "b", "c"),
        "shop",
        cluster.mode,
    )
    shrunk = grown.without_member("b")
    assert (shrunk.epoch, shrunk.ids) == (6, ("a", "c"))
    assert cluster.ids == ("a", "b")
    with pytest.raises(ConfigError, match="primary"):
        cluster.without_member("a")
    with pytest.raises(ConfigError, match="twice"):
        cluster.with_member(B)
    with pytest.raises(ConfigError, match="epoch"):
        _topology(A, B, epoch=limits.MAX_EPOCH).with_member(C)


def test_nobody_restamps_with_the_writer_of_another_node_or_epoch_or_of_a_client() -> None:
    writers = [
        topology(copies, mode, epoch).restamp_writer(node)
        for epoch, copies in ((1, 3), (2, 4), (3, 3), (limits.MAX_EPOCH, 7))
        for mode in (Mode.MULTI_PRIMARY,)
        for node in "abcdefg"[:copies]
    ]
    assert len(set(writers)) == len(writers) == 17
    assert all(limits.MAX_CLIENT_WRITER < writer < 1 << 32 for writer in writers)


def test_a_topology_comes_back_from_its_text() -> None:
    cluster = _topology(A, B, C, epoch=9)
    assert Topology.parse(cluster.encode()) == Topology.parse(cluster.encode().encode()) == cluster


GOOD = json.loads(_topology(A, B).encode())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "3",
        json.dumps({**GOOD, "mode": "anarchy"}),
        json.dumps({**GOOD, "epoch": "1"}),
        json.dumps({**GOOD, "epoch": 0}),
        json.dumps({**GOOD, "members": None}),
        json.dumps({**GOOD, "members": ["a"]}),
        json.dumps({**GOOD, "members": [{"id": "a", "role": "primary"}]}),
        json.dumps({**GOOD, "members": [{"id": "a", "url": "x", "role": "king"}]}),
        json.dumps({**GOOD, "members": [{"id": 1, "url": "x", "role": "primary"}]}),
        json.dumps({**GOOD, "cluster": "a b"}),
        json.dumps({key: value for key, value in GOOD.items() if key != "epoch"}),
        b"\xff",
    ],
)
def test_anything_else_is_no_topology(text: str | bytes) -> None:
    with pytest.raises(ConfigError):
        Topology.parse(text)
