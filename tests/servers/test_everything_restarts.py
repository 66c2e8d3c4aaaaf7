"""Every server restarts at once, as after a power cut: with all their data they begin again by
themselves.
"""

from __future__ import annotations

import pytest

from redrepl import Mode, RedreplError, Unavailable, WriteRejected
from tests.servers.conftest import MakeCluster
from tests.servers.support.cluster import Cluster
from tests.support.waiting import wait_until


def fill(cluster: Cluster, payload: bytes) -> None:
    store = cluster.open()
    store.set_many({f"key-{number}": payload for number in range(200)}, level="all")
    store.delete("key-0", level="all")
    store.set("late", payload, level="async")


def restart_all(cluster: Cluster) -> None:
    for node in cluster.nodes:
        cluster[node].kill()
    for node in cluster.nodes:
        cluster[node].start()


@pytest.mark.parametrize("mode", list(Mode))
def test_a_whole_cluster_starts_again_by_itself(make_cluster: MakeCluster, mode: Mode) -> None:
    cluster = make_cluster(mode=mode)
    fill(cluster, b"v")
    restart_all(cluster)
    with pytest.raises(WriteRejected, match="restarted"):
        cluster.open().set("key-1", b"new")
    cluster.ticker()
    cluster.wait_settled()
    store = cluster.open()
    assert store.set("key-1", b"new", level="all").acked == {"a", "b", "c"}
    assert (store.get("key-0"), store.get("key-2"), store.get("late")) == (None, b"v", b"v")
    cluster.wait_settled()
    assert len(cluster.assert_identical()) == 201


def test_it_waits_until_every_copy_is_there(make_cluster: MakeCluster) -> None:
    cluster = make_cluster()
    fill(cluster, b"v")
    for node in "abc":
        cluster[node].kill()
    for node in "ab":
        cluster[node].start()
    with pytest.raises(Unavailable, match="all of them are needed") as caught:
        cluster.bring_up("a")
    assert set(caught.value.evidence) == {"c"}
    cluster.ticker()
    cluster["c"].start()
    store = cluster.open()

    def goes_on() -> bool:
        try:
            return bool(store.set("key-1", b"new"))
        except RedreplError:
            return False

    wait_until(goes_on, 20, "writes go on")


def test_a_copy_that_lost_what_another_has_seen_stops_it(make_cluster: MakeCluster) -> None:
    cluster = make_cluster()
    fill(cluster, b"old")
    cluster.settle()
    snapshot = cluster["a"].snapshot_directory()
    fill(cluster, b"new")
    cluster.settle()
    before = cluster.assert_identical()
    for node in "abc":
        cluster[node].kill()
    cluster["a"].restore_directory(snapshot)
    for node in "abc":
        cluster[node].start()
    with pytest.raises(Unavailable, match="some lost data") as caught:
        cluster.bring_up("a")
    assert set(caught.value.evidence) == {"a"}
    for node in "bc":
        assert cluster.raw(node).records() == before
