"""Failover and switchover through the coordinators, and going on with a loss, on real servers."""

from __future__ import annotations

import asyncio

import pytest

from redrepl import Administration, AsyncCoordinator, Mode, RequestError, Unavailable
from redrepl.doors import administration
from redrepl.plans.epochs.soundness import SKIPPED_EPOCHS
from redrepl.values.errors import RedreplError, WriteFailure
from redrepl.values.record import TOMBSTONE, parse_record
from tests.servers.conftest import MakeCluster
from tests.servers.support.cluster import Cluster, Store
from tests.support.waiting import wait_until

EPOCH = 1 + SKIPPED_EPOCHS


def test_a_coordinator_goes_on_with_the_primary_that_it_chose(cluster: Cluster) -> None:
    store = cluster.open()
    store.set("key", b"1", level="all")
    moved = store.switchover("b")
    assert (moved.primary, moved.previous, set(moved.active), moved.left) == (
        "b",
        "a",
        {"a", "b", "c"},
        {},
    )
    assert (store.topology.decider, store.topology.epoch) == ("b", moved.epoch)
    assert store.get_record("key").node == "b"  # type: ignore[union-attr]
    assert store.set("key", b"2", level="all").acked == {"a", "b", "c"}
    cluster["b"].kill()
    replaced = store.failover("c")
    assert (replaced.primary, replaced.previous, set(replaced.active), set(replaced.left)) == (
        "c",
        "b",
        set("ac"),
        {"b"},
    )
    assert store.topology.decider == "c"
    assert store.get("key") == b"2"
    store.set("key", b"3")
    cluster["b"].start()
    cluster.settle()
    assert cluster.values_everywhere() == {b"key": b"3"}


def test_a_switchover_says_why_its_target_does_not_catch_up(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is written to faster than what a job brings."""
    proxy, store = cluster.proxied("b")
    store.set("key", b"0", level="all")
    cluster.settle()
    proxy.cut()
    monkeypatch.setattr(administration, "READY_LAG_ENTRIES", 10)

    def bring_up(*_: object, **__: object) -> None:
        store.set("key", b"one more")

    for _ in range(11):
        store.set("key", b"1")
    with monkeypatch.context() as patch:
        patch.setattr(Administration, "bring_up", bring_up)
        with pytest.raises(
            Unavailable, match="node 'b' does not catch up with the primary"
        ) as refused:
            cluster.administration.switchover("b")
    lacking = 11 + administration.PREPARING_ROUNDS - 1  # it looks, and then has it brought up
    assert refused.value.evidence == {
        "b": f"lacks {lacking} changes; it is slower than what is written, or refuses writes"
    }
    assert cluster.administration.find_members().decider == "a", "nothing was moved"
    assert store.set("key", b"3").acked >= {"a", "c"}
    assert cluster.administration.switchover("b").primary == "b"


def test_other_coordinators_follow_with_their_next_operation(cluster: Cluster) -> None:
    mover, other = cluster.open(), cluster.open()
    other.set("key", b"1")
    mover.switchover("c")
    assert other.topology.decider == "a"
    other.set("key", b"2")
    assert other.topology.decider == "c"
    assert mover.get("key") == b"2"


def test_the_asyncio_coordinator_does_the_same(cluster: Cluster) -> None:
    async def move() -> None:
        async with AsyncCoordinator[str, bytes](cluster.configuration()) as store:
            await store.set("key", b"1", level="all")
            assert (await store.switchover("b")).primary == "b"
            assert store.topology.decider == "b"
            await store.set("key", b"2", level="all")
            cluster["b"].kill()
            assert (await store.failover()).primary in "ac"
            assert (store.topology.decider or "b") in "ac"
            assert await store.get("key") == b"2"
            with pytest.raises(RequestError, match="is no member"):
                await store.failover("x")

    asyncio.run(move())


def write_until_taken(store: Store, key: str, value: bytes) -> bool:
    """Whether a write was acknowledged."""
    try:
        store.set(key, value)
    except (WriteFailure, Unavailable):
        return False
    return True


def go_on(cluster: Cluster, store: Store) -> None:
    """The workers bring the others up, and writes at QUORUM succeed."""
    cluster.ticker()
    wait_until(lambda: write_until_taken(store, "after", b"v"), 30, "writes go on")
    cluster.wait_settled()


def test_two_of_three_came_back_empty_and_the_third_has_the_data(cluster: Cluster) -> None:
    store = cluster.open()
    store.set_many({f"key-{number}": b"v" for number in range(500)}, level="all")
    store.delete("key-0", level="all")
    for node in "ab":
        cluster[node].restart(empty=True)
    with pytest.raises(Unavailable, match="2 of 3 members must take part"):
        cluster.administration.failover("c")
    with pytest.raises(Unavailable, match="cannot be taken as the truth"):
        cluster.administration.failover("b", accept_loss=True)
    done = cluster.administration.failover("c", accept_loss=True)
    assert (done.epoch, done.primary, done.active, set(done.left)) == (
        EPOCH,
        "c",
        ("c",),
        set("ab"),
    )
    go_on(cluster, store)
    values = cluster.values_everywhere()
    assert values.keys() == {b"after", *(b"key-%d" % number for number in range(1, 500))}


def test_the_sole_sound_copy_is_a_replica_that_lagged(cluster: Cluster) -> None:
    proxy, store = cluster.proxied("c")
    store.set("key", b"old", level="all")
    proxy.cut()
    store.set_many({"key": b"new", "late": b"new"})
    cluster["a"].restart(empty=True)
    cluster["b"].restart()
    done = cluster.administration.failover("c", accept_loss=True)
    assert done.left == {"a": "came back empty", "b": "restarted, and may have lost data"}
    go_on(cluster, cluster.open())
    assert cluster.values_everywhere() == {b"key": b"old", b"after": b"v"}
    kept = {record.key: record.value for record in cluster.administration.discarded("b").records}
    assert kept == {b"key": b"new", b"late": b"new"}


def test_a_copy_that_was_cut_off_while_the_others_wrote_is_the_truth(cluster: Cluster) -> None:
    """What was acknowledged without it is given up, and kept where it was."""
    proxy, store = cluster.proxied("c")
    store.set("key", b"old", level="all")
    store.set("gone", b"old", level="all")
    proxy.cut()
    store.set("key", b"new")
    store.delete("gone")
    store.set("late", b"new")
    for node in "ab":
        cluster[node].restart()
    told = cluster.administration.foresee_failover("c", accept_loss=True)
    assert "acknowledged writes too" in told.loss.text
    cluster.administration.failover("c", accept_loss=True)
    other = cluster.open()
    go_on(cluster, other)
    assert cluster.values_everywhere() == {b"key": b"old", b"gone": b"old", b"after": b"v"}
    for node in "ab":
        found = {
            record.key: (record.value, record.why)
            for record in cluster.administration.discarded(node).records
        }
        assert found == {
            b"key": (b"new", "diverged"),
            b"gone": (None, "diverged"),
            b"late": (b"new", "diverged"),
        }


def test_a_member_that_was_out_of_sight_gives_way_when_it_is_back(cluster: Cluster) -> None:
    store = cluster.open()
    store.set("key", b"old", level="all")
    for node in "ab":
        cluster[node].freeze()
    cluster.administration.failover("c", accept_loss=True)
    for node in "ab":
        cluster[node].resume()
    cluster.ticker()
    cluster.wait_settled()
    store.set("after", b"v", level="all")
    assert store.topology.epoch == EPOCH
    assert cluster.values_everywhere() == {b"key": b"old", b"after": b"v"}


def test_where_nothing_needs_to_be_lost_it_is_refused(cluster: Cluster) -> None:
    cluster["a"].kill()
    with pytest.raises(RequestError, match="nothing needs to be lost: b, c"):
        cluster.administration.failover("c", accept_loss=True)
    assert {cluster.raw(node).member()["epoch"] for node in "bc"} == {"1"}


def test_in_multi_primary_mode_there_is_nothing_to_move(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(mode=Mode.MULTI_PRIMARY)
    for accept_loss in (False, True):
        with pytest.raises(RedreplError, match="every node is a primary"):
            cluster.administration.foresee_failover("b", accept_loss)


def test_discarded_records_come_page_by_page_newest_first(cluster: Cluster) -> None:
    proxies = {node: cluster.proxy(node) for node in "bc"}
    alone = cluster.open({node: proxy.url(cluster[node].url) for node, proxy in proxies.items()})
    for proxy in proxies.values():
        proxy.cut()
    payload = b"\xff" * 300_000
    alone.set_many({f"key-{number}": payload for number in range(12)}, level="async")
    alone.set_many({b"\xfe\x00%d" % number: b"" for number in range(50)}, level="async")
    cluster.administration.failover("b", away=("a",))
    cluster.settle()
    found = cluster.administration.discarded()
    assert (len(found.records), {record.node for record in found.records}, found.unreachable) == (
        62,
        {"a"},
        {},
    )
    assert [record.at for record in found.records] == sorted(
        (record.at for record in found.records), reverse=True
    )
    assert len({record.id for record in found.records}) == 62
    assert {record.value for record in found.records} == {payload, b""}
    assert cluster.administration.discarded("a", limit=7).records == found.records[:7]
    first = found.records[0]
    assert cluster.administration.discarded_record("a", first.id) == first
    assert (first.epoch, first.why) == (2, "diverged")
    standing = parse_record(cluster.assert_identical()[first.key])
    assert (standing.kind, standing.stamp) == (TOMBSTONE, first.replaced_by)
    with pytest.raises(RequestError, match="has no record 1-1"):
        cluster.administration.discarded_record("a", "1-1")
    with pytest.raises(RequestError, match="id must be two numbers"):
        cluster.administration.discarded_record("a", "-")
    with pytest.raises(RequestError, match="'x' is no member"):
        cluster.administration.discarded("x")
    with pytest.raises(RequestError, match="limit must be at least 1"):
        cluster.administration.discarded(limit=0)
    cluster["c"].kill()
    assert set(cluster.administration.discarded(limit=1).unreachable) == {"c"}
