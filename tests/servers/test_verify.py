"""`verify` finds every kind of difference and `repair` ends it; `sync` makes a copy equal, surplus
keys included.
"""

from __future__ import annotations

import pytest

from redrepl.values.record import TOMBSTONE, Record, parse_record
from tests.servers.conftest import MakeCluster
from tests.servers.support.cluster import Cluster
from tests.servers.support.raw import LAYOUT

AGE_MICROS = 60_000_000
"""Long past max_age: nobody may take such a record any more."""


def damaged(cluster: Cluster, node: str = "b") -> dict[str, str]:
    """One key for each kind of difference on this replica; answers kinds by key."""
    kinds = {name: name for name in ("missing", "extra", "behind", "ahead", "differs")}
    store = cluster.open()
    for name in kinds:
        if name != "extra":
            store.set(name, b"right", level="all")
    store.set_many({f"sound-{number}": b"v" for number in range(100)}, level="all")
    raw = cluster.raw(node)
    record = raw.record("behind")
    assert record is not None
    with raw.client as client:
        client.delete(LAYOUT.data(b"missing"))
    old = record.stamp._replace(micros=record.stamp.micros - AGE_MICROS)
    raw.put("extra", record._replace(stamp=old, payload=b"surplus").encode())
    raw.put("behind", record._replace(stamp=old, payload=b"wrong").encode())
    raw.put("ahead", _moved(cluster, "ahead", 1)._replace(payload=b"wrong").encode())
    raw.put("differs", _moved(cluster, "differs", 0)._replace(payload=b"wrong").encode())
    return kinds


def _moved(cluster: Cluster, key: str, micros: int) -> Record:
    record = cluster.raw("a").record(key)
    assert record is not None
    return record._replace(stamp=record.stamp._replace(micros=record.stamp.micros + micros))


def test_verify_of_equal_copies_is_consistent(
    server_binary: object, make_cluster: MakeCluster
) -> None:
    assert server_binary
    cluster = make_cluster()
    store = cluster.open()
    store.set_many({f"key-{number}": b"v" for number in range(500)}, level="all")
    store.delete_many([f"key-{number}" for number in range(0, 500, 3)], level="all")
    store.set("short", b"v", ttl=60, level="all")
    report = cluster.administration.verify()
    assert report.consistent
    assert report.keys_checked == 501
    assert report.mismatches == ()


def test_verify_names_every_kind_of_difference(cluster: Cluster) -> None:
    kinds = damaged(cluster)
    before = {node: cluster.raw(node).records() for node in "abc"}
    report = cluster.administration.verify()
    assert not report.consistent
    assert {mismatch.key.decode(): mismatch.kind for mismatch in report.mismatches} == kinds
    assert {mismatch.node for mismatch in report.mismatches} == {"b"}
    assert {node: cluster.raw(node).records() for node in "abc"} == before, (
        "looking changes nothing"
    )


def test_repair_makes_the_copies_equal(cluster: Cluster) -> None:
    damaged(cluster)
    expected = cluster.raw("a").records()
    report = cluster.administration.verify(repair=True)
    assert report.consistent
    assert report.repaired == 5
    found = cluster.assert_identical()
    assert parse_record(found.pop(b"extra")).kind == TOMBSTONE
    assert found == expected
    assert cluster.administration.verify().consistent


def test_repair_waits_until_the_primary_can_no_longer_take_what_is_too_much(
    cluster: Cluster,
) -> None:
    cluster.open().set("key", b"v", level="all")
    young = _moved(cluster, "key", 1)
    undecided = young._replace(payload=b"undecided").encode()
    cluster.raw("b").put("young", undecided)
    looks: list[bool] = []
    report = cluster.administration.verify(
        repair=True,
        on_progress=lambda _: looks.append(cluster.raw("b").stored("young") == undecided),
    )
    assert report.consistent
    assert any(looks)
    assert cluster.values_everywhere() == {b"key": b"v"}


def test_one_changed_byte_is_found_among_many_keys(cluster: Cluster) -> None:
    store = cluster.open()
    store.set_many({f"key-{number}": b"value" for number in range(3000)}, level="all")
    raw = cluster.raw("c")
    stored = raw.stored("key-1234")
    assert stored is not None
    raw.put("key-1234", stored[:-1] + b"X")
    report = cluster.administration.verify()
    assert [(mismatch.key, mismatch.node, mismatch.kind) for mismatch in report.mismatches] == [
        (b"key-1234", "c", "differs")
    ]


@pytest.mark.parametrize("kind", ["text", "list"])
def test_repair_leaves_foreign_values_alone_and_mends_the_rest(cluster: Cluster, kind: str) -> None:
    damaged(cluster)
    store = cluster.open()
    store.set("taken", b"v", level="all")
    name = LAYOUT.data(b"taken")
    with cluster.raw("b").client as client:
        client.delete(name)
        if kind == "text":
            client.set(name, b"somebody else's")
        else:
            client.rpush(name, b"somebody else's")
        before = client.dump(name)
        report = cluster.administration.verify(repair=True)
        assert client.dump(name) == before
    assert {mismatch.key for mismatch in report.mismatches} == {b"taken"}
    assert not report.consistent


def test_a_replica_that_cannot_be_compared_is_no_equality(cluster: Cluster) -> None:
    cluster.open().set("key", b"v", level="all")
    cluster["b"].kill()
    report = cluster.administration.verify()
    assert not report.consistent
    assert list(report.unreachable) == ["b"]


def test_verify_while_writes_go_on_reports_nothing_that_is_merely_under_way(
    cluster: Cluster,
) -> None:
    store = cluster.open()
    store.set_many({f"key-{number}": b"v" for number in range(1000)}, level="all")

    def write(_progress: object) -> None:
        store.set_many({f"key-{number}": b"w" for number in range(0, 1000, 100)}, level="all")

    assert cluster.administration.verify(on_progress=write).mismatches == ()


def test_sync_brings_back_exactly_what_the_primary_has(cluster: Cluster) -> None:
    damaged(cluster, "b")
    expected = cluster.raw("a").records()
    surplus = cluster.raw("b").record("extra")
    assert surplus is not None
    for number in range(300):
        cluster.raw("b").put(f"surplus-{number}", surplus.encode())
    with cluster.raw("c").client as client:
        for number in range(0, 100, 2):
            client.delete(LAYOUT.data(b"sound-%d" % number))
    done = cluster.open().sync()
    assert [each.node for each in done] == ["b", "c"]
    assert all(each.finished for each in done)
    found = {node: cluster.raw(node).records() for node in "abc"}
    # What differs under one stamp is damage, which only `verify --repair` looks for.
    for node in "abc":
        found[node].pop(b"differs")
    assert found["a"] == found["b"] == found["c"]
    decided = {
        key: parse_record(found["a"].pop(key)) for key in found["a"].keys() - expected.keys()
    }
    assert len(decided) == 301
    assert all(record.kind == TOMBSTONE for record in decided.values()), (
        "what was too much reads as absent"
    )
    expected.pop(b"differs")
    assert found["a"] == expected


def test_several_primaries_are_made_equal_by_the_later_stamp(make_cluster: MakeCluster) -> None:
    from redrepl import Mode

    cluster = make_cluster(mode=Mode.MULTI_PRIMARY)
    damaged(cluster, "b")
    report = cluster.administration.verify(repair=True)
    assert {mismatch.kind for mismatch in report.mismatches} <= {"differs"}
    values = cluster.raw("a").values()
    assert (values[b"missing"], values[b"behind"]) == (b"right", b"right")
    assert (values[b"extra"], values[b"ahead"]) == (b"surplus", b"wrong"), (
        "nothing is taken away among primaries"
    )
