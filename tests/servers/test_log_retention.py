"""The change log is cut at what everybody confirmed, and past the cap whatever that costs."""

from __future__ import annotations

import pytest

from redrepl import Administration, Unavailable
from tests.servers.conftest import MakeCluster
from tests.servers.support.cluster import Cluster
from tests.support.waiting import wait_until


def length_of_log(cluster: Cluster, node: str) -> int:
    _, reports = cluster.administration.inspect()
    return reports.present[node].log.length


def trim(administration: Administration) -> int:
    topology, reports = administration.inspect()
    assert topology is not None
    return administration.trim_logs(topology, reports)


def write(cluster: Cluster, count: int, payload: bytes = b"v") -> None:
    store = cluster.open()
    for number in range(count):
        store.set(f"key-{number % 500}", payload, level="async")


def test_what_everybody_confirmed_goes(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(log_retention_seconds=0.001)
    write(cluster, 1000)
    assert trim(cluster.administration) == 0, "nobody has confirmed anything"
    cluster.settle()
    assert trim(cluster.administration) > 800
    assert length_of_log(cluster, "a") < 200
    cluster.assert_identical()


def test_what_one_member_lacks_stays(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(log_retention_seconds=0.001)
    cluster["b"].kill()
    write(cluster, 1000)
    cluster.bring_up("c")
    assert trim(cluster.administration) == 0
    assert length_of_log(cluster, "a") == 1000
    cluster["b"].start()
    cluster.settle()
    assert len(cluster.assert_identical()) == 500


def test_what_was_confirmed_a_moment_ago_stays_for_members_that_restart(
    make_cluster: MakeCluster,
) -> None:
    cluster = make_cluster(log_retention_seconds=1000)
    write(cluster, 300)
    cluster.settle()
    assert trim(cluster.administration) == 0
    assert length_of_log(cluster, "a") == 300


def test_past_the_cap_the_log_is_cut_and_the_member_fully_synced(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(log_cap_entries=300)
    write(cluster, 50, b"before")
    cluster.settle()
    cluster["b"].freeze()
    write(cluster, 1500, b"during")
    store = cluster.open()
    store.delete("key-7", level="async")
    assert trim(cluster.administration) > 1000
    cluster["b"].resume()
    done = cluster.bring_up("b")
    assert done.full_syncs == 1
    cluster.settle()
    assert len(cluster.assert_identical()) == 500
    assert cluster.open().get("key-7") is None


def test_a_log_that_is_cut_while_it_is_read_leaves_no_gap(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(log_cap_entries=200)
    write(cluster, 50, b"before")
    cluster.settle()
    write(cluster, 6000, b"during")
    cut: list[int] = []

    def cut_once(_: object) -> None:
        if not cut:
            with Administration(cluster.configuration()) as other:
                cut.append(trim(other))

    with pytest.raises(Unavailable, match="full sync"):
        cluster.administration.bring_up("b", on_progress=cut_once)
    assert cut[0] > 1000
    assert cluster.bring_up("b").full_syncs == 1
    cluster.settle()
    cluster.assert_identical()


def test_a_worker_cuts_by_itself(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(log_retention_seconds=0.1)
    cluster.ticker()
    write(cluster, 1500)
    wait_until(lambda: length_of_log(cluster, "a") < 300, 20, "the log is cut")
