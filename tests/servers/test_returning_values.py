"""Deleted, expired and overwritten keys on a replica that was away, however it comes back; none is
resurrected.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from redrepl import ReadPreference
from tests.servers.conftest import MakeCluster
from tests.servers.support.cluster import MAX_AGE_SECONDS, Cluster, Store
from tests.support.waiting import wait_until

Return = Callable[[Cluster, Path], None]


def with_its_data(cluster: Cluster, snapshot: Path) -> None:
    assert snapshot
    cluster["b"].start()


def empty(cluster: Cluster, snapshot: Path) -> None:
    assert snapshot
    cluster["b"].restart(empty=True)


def with_older_data(cluster: Cluster, snapshot: Path) -> None:
    cluster["b"].restore_directory(snapshot)
    cluster["b"].start()


RETURNS = pytest.mark.parametrize("come_back", [with_its_data, empty, with_older_data])


def read_everywhere(cluster: Cluster, store: Store, key: str) -> set[bytes | None]:
    """What clients read at level one, on the primary and twice around all replicas, and what stands
    on each node.
    """
    found = {store.get(key, prefer=ReadPreference.REPLICA) for _ in range(4)} | {store.get(key)}
    return found | {cluster.raw(node).values().get(key.encode()) for node in cluster.nodes}


@RETURNS
def test_changes_of_an_outage_are_right_on_the_returning_replica(
    cluster: Cluster, come_back: Return
) -> None:
    store = cluster.open()
    names = [
        "kept",
        "overwritten",
        "deleted",
        "expired",
        "deleted and set again",
        "set and deleted",
    ]
    store.set("kept", b"old", level="all")
    snapshot = cluster["b"].snapshot_directory()
    store.set_many(dict.fromkeys(names[:-1], b"old"), level="all")
    store.set("expired", b"old", ttl=1.0, level="all")
    cluster["b"].kill()
    store.set("overwritten", b"new")
    store.delete("deleted")
    store.delete("deleted and set again")
    store.set("deleted and set again", b"again")
    store.set("set and deleted", b"short")
    store.delete("set and deleted")
    come_back(cluster, snapshot)
    cluster.ticker()
    cluster.wait_settled()
    wait_until(lambda: store.get("expired") is None, message="the deadline passes")
    cluster.wait_settled()
    expected = [b"old", b"new", None, None, b"again", None]
    for name, value in zip(names, expected, strict=True):
        assert read_everywhere(cluster, store, name) == {value}, name
    cluster.assert_identical()


@RETURNS
def test_a_key_that_expired_for_good_while_the_replica_was_away_stays_away(
    make_cluster: MakeCluster, come_back: Return
) -> None:
    cluster = make_cluster(timeout_seconds=0.5, max_age_seconds=0.6)
    store = cluster.open()
    snapshot = cluster["b"].snapshot_directory()
    store.set_many({"key": b"for ever", "other": b"for ever"}, level="all")
    cluster["b"].kill()
    store.set("key", b"short", ttl=0.2)
    store.set("gone", b"short", ttl=0.2)
    wait_until(
        lambda: cluster.raw("a").stored("key") is None,
        message="the primary's server drops the record itself",
    )
    wait_until(
        lambda: cluster.raw("a").stored("gone") is None,
        message="the primary's server drops the record itself",
    )
    come_back(cluster, snapshot)
    cluster.bring_up("b")
    assert b"key" not in cluster.raw("b").values()
    cluster.settle()
    assert read_everywhere(cluster, store, "key") == {None}
    assert read_everywhere(cluster, store, "gone") == {None}
    assert cluster.values_everywhere() == {b"other": b"for ever"}


@RETURNS
def test_a_deleted_key_stays_deleted_when_everything_restarts_again(
    cluster: Cluster, come_back: Return
) -> None:
    store = cluster.open()
    snapshot = cluster["b"].snapshot_directory()
    store.set_many({f"key-{number}": b"v" for number in range(50)}, level="all")
    cluster["b"].kill()
    store.delete_many([f"key-{number}" for number in range(50)])
    come_back(cluster, snapshot)
    cluster.settle()
    for node in "cab":
        cluster[node].restart()
        cluster.settle()
    assert cluster.values_everywhere() == {}
    assert store.get_many(
        [f"key-{number}" for number in range(50)], prefer="replica"
    ) == dict.fromkeys([f"key-{number}" for number in range(50)])


def test_every_copy_forgets_at_the_same_deadline(
    server_binary: object, make_cluster: MakeCluster
) -> None:
    assert server_binary
    cluster = make_cluster()
    store = cluster.open()
    store.set("quorum", b"v", ttl=50, level="all")
    store.set("async", b"v", ttl=60, level="async")
    store.set_many({"many": b"v"}, ttl=70, level="async")
    store.set("extended", b"v", ttl=5, level="async")
    store.expire("extended", 80, level="async")
    cluster["c"].restart(empty=True)
    cluster.settle()
    cluster.assert_identical()
    for key, seconds in {"quorum": 50, "async": 60, "many": 70, "extended": 80}.items():
        records = [cluster.raw(node).record(key) for node in "abc"]
        deadlines = {record.deadline_millis for record in records if record is not None}
        assert len(deadlines) == 1, f"{key}: one deadline on all copies"
        assert seconds - 30 < store.ttl(key) <= seconds
        native = {cluster.raw(node).expires_at_millis(key) for node in "abc"}
        assert native == {deadlines.pop() + int(MAX_AGE_SECONDS * 1000)}, (
            "native expiry only collects garbage"
        )


def test_a_record_past_its_deadline_reads_as_absent_on_every_copy_at_once(cluster: Cluster) -> None:
    store = cluster.open()
    store.set("key", b"v", ttl=0.5, level="all")
    assert read_everywhere(cluster, store, "key") == {b"v"}
    wait_until(lambda: store.get("key") is None, message="the deadline passes")
    assert {store.get("key", prefer="replica") for _ in range(4)} == {None}
    assert store.get("key", level="all") is None
    assert {cluster.raw(node).stored("key") is None for node in "abc"} == {False}, (
        "only its native expiry removes it"
    )
    assert store.add("key", b"new").applied
