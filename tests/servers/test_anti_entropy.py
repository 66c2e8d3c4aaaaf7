"""Sweeps on real servers: what nothing names is mended, and deleted keys leave no trace and do not
come back.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from redrepl.values.record import parse_record
from redrepl.values.status import SweepStatus
from redrepl.values.sweep import Findings
from tests.servers.conftest import MakeCluster
from tests.servers.support.cluster import Cluster, Store
from tests.servers.support.sending import send_write
from tests.support.waiting import wait_until

KEYS = [f"key-{number}" for number in range(300)]
DELETED, KEPT = KEYS[:200], KEYS[200:]
PATIENCE_SECONDS = 40.0
OPTIONS = {
    "max_age_seconds": 2.0,
    "max_skew_seconds": 0.5,
    "tombstone_retention_seconds": 5.0,
    "sweep_every_seconds": 0.3,
    "log_retention_seconds": 0.5,
}


@pytest.fixture
def cluster(make_cluster: MakeCluster) -> Cluster:
    """Sweeps follow each other closely, and tombstones stay for five seconds."""
    return make_cluster(**OPTIONS)


def write_and_delete(cluster: Cluster) -> Store:
    store = cluster.open()
    store.set_many(dict.fromkeys(KEYS, b"value"), level="all")
    store.delete_many(DELETED, level="all")
    return store


def tombstones(cluster: Cluster, node: str) -> set[bytes]:
    records = {key: parse_record(stored) for key, stored in cluster.raw(node).records().items()}
    return {key for key, record in records.items() if record.kind == b"d"}


def wait_purged(cluster: Cluster) -> None:
    wait_until(
        lambda: not any(tombstones(cluster, node) for node in "abc"),
        PATIENCE_SECONDS,
        "no tombstones left",
    )


def sweep_status(cluster: Cluster) -> SweepStatus:
    status = cluster.administration.status(look_at_keys=False).sweep
    assert status is not None
    return status


def wait_swept(cluster: Cluster, condition: Callable[[Findings], bool]) -> None:
    """Wait for the end of a sweep that found this."""

    def is_so() -> bool:
        last = sweep_status(cluster).last
        return last is not None and condition(last)

    wait_until(is_so, PATIENCE_SECONDS, "the end of such a sweep")


@pytest.mark.parametrize("has_queue", [False, True])
@pytest.mark.usefixtures("server_binary")
def test_deleted_keys_leave_no_trace(make_cluster: MakeCluster, has_queue: bool) -> None:
    cluster = make_cluster(queue=has_queue, **OPTIONS)
    store = write_and_delete(cluster)
    assert [len(tombstones(cluster, node)) for node in "abc"] == [len(DELETED)] * 3
    cluster.worker()
    wait_purged(cluster)
    assert cluster.values_everywhere() == {key.encode(): b"value" for key in KEPT}
    assert store.get_many(DELETED, level="quorum") == dict.fromkeys(DELETED)
    report = cluster.administration.verify()
    assert (report.consistent, report.keys_checked) == (True, len(KEPT))
    store.set(DELETED[0], b"again", level="all")
    assert [store.get(DELETED[0], prefer="replica") for _ in range(4)] == [b"again"] * 4


def test_a_member_that_is_frozen_keeps_tombstones_alive(cluster: Cluster) -> None:
    write_and_delete(cluster)
    cluster["c"].freeze()
    cluster.ticker()
    wait_swept(cluster, lambda found: found.waiting == len(DELETED) and found.missed == ("c",))
    assert [len(tombstones(cluster, node)) for node in "ab"] == [len(DELETED)] * 2
    cluster["c"].resume()
    wait_purged(cluster)
    assert cluster.values_everywhere() == {key.encode(): b"value" for key in KEPT}


@pytest.mark.parametrize("node", ["a", "b"])
def test_a_server_with_data_from_before_a_purge_brings_nothing_back(
    cluster: Cluster, node: str
) -> None:
    """The former primary is replaced, a replica is caught up: both have every deleted key as a
    value.
    """
    store = cluster.open()
    store.set_many(dict.fromkeys(KEYS, b"value"), level="all")
    cluster.settle()
    snapshot = cluster[node].snapshot_directory()
    store.delete_many(DELETED, level="all")
    cluster.ticker()
    wait_purged(cluster)
    store.set_many(dict.fromkeys(KEPT, b"later"), level="all")
    cluster[node].kill()
    cluster[node].restore_directory(snapshot)
    cluster[node].start()
    assert len(cluster.raw(node).values()) == len(KEYS)
    cluster.monitor()
    wait_until(
        lambda: cluster.open().get(DELETED[0], level="quorum") is None,
        PATIENCE_SECONDS,
        "a primary",
    )
    cluster.wait_settled()
    wait_purged(cluster)
    assert cluster.values_everywhere() == {key.encode(): b"later" for key in KEPT}


def test_with_two_copies_a_primary_with_data_from_before_a_purge_gives_it_up(
    make_cluster: MakeCluster,
) -> None:
    cluster = make_cluster(count=2, log_cap_entries=200, **OPTIONS)
    store = cluster.open()
    store.set_many(dict.fromkeys(KEYS, b"value"), level="all")
    cluster.settle()
    snapshot = cluster["a"].snapshot_directory()
    store.delete_many(DELETED, level="all")
    cluster.ticker()
    wait_until(
        lambda: not any(tombstones(cluster, node) for node in "ab"),
        PATIENCE_SECONDS,
        "no tombstones left",
    )
    for number in range(800):  # so many that the replica's log does not reach back to the deletes
        store.set(KEPT[number % 100], b"%d" % (number // 100))
    wait_until(
        lambda: cluster.raw("b").log_length() < 600, PATIENCE_SECONDS, "the replica's log was cut"
    )
    cluster["a"].kill()
    cluster["a"].restore_directory(snapshot)
    cluster["a"].start()
    cluster.wait_settled()
    assert cluster.values_everywhere() == {key.encode(): b"7" for key in KEPT}
    found = cluster.administration.discarded("a", limit=1000).records
    assert {record.key for record in found} == {key.encode() for key in DELETED}


def test_what_somebody_deletes_by_hand_comes_back(cluster: Cluster) -> None:
    store = cluster.open()
    store.set_many(dict.fromkeys(KEYS, b"value"), level="all")
    cluster.settle()
    wanted = cluster.raw("a").records()
    with cluster.raw("b").client as client:
        for key in KEYS[:7]:
            client.delete(b"shop:k:" + key.encode())
    cluster.ticker()
    wait_until(
        lambda: cluster.raw("b").records() == wanted, PATIENCE_SECONDS, "what was deleted is back"
    )
    wait_swept(cluster, lambda found: found.differences == 0)
    cluster.assert_identical()


def test_a_sweep_that_only_reports_leaves_it(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(**OPTIONS, anti_entropy="report")
    cluster.open().set_many(dict.fromkeys(KEYS, b"value"), level="all")
    cluster.settle()
    with cluster.raw("b").client as client:
        client.delete(b"shop:k:" + KEYS[0].encode())
    cluster.ticker()
    wait_swept(cluster, lambda found: found.differences == 1)
    assert cluster.raw("b").stored(KEYS[0]) is None


def test_without_anti_entropy_nothing_is_swept(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(**OPTIONS, anti_entropy="off")
    topology, reports = cluster.administration.inspect()
    assert topology is not None
    assert not cluster.administration.is_sweep_due(topology, reports)
    assert sweep_status(cluster) == SweepStatus(None, None, None)


def test_a_late_message_to_a_replica_does_not_bring_back_what_was_purged(cluster: Cluster) -> None:
    store = cluster.open()
    store.set("key", b"value", level="all")
    late = parse_record(cluster.raw("b").stored("key") or b"")
    store.delete("key", level="all")
    cluster.ticker()
    wait_purged(cluster)
    for node in "abc":
        assert send_write(cluster[node], "key", late)[0] == b"expired"
    assert cluster.values_everywhere() == {}
