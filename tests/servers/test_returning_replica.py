"""A replica that comes back with less than it had: refused, noticed, brought up, admitted again."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from redrepl import Administration, WriteNotConfirmed
from redrepl.plans.recovery import replacement_limiter
from redrepl.plans.recovery.bring_up import EMPTY_AGAIN
from tests.servers.conftest import MakeCluster
from tests.servers.support.cluster import Cluster, Store
from tests.servers.support.raw import LAYOUT
from tests.servers.support.writers import Writers
from tests.support.waiting import wait_until

KEYS = 200


def come_back_empty(cluster: Cluster) -> None:
    cluster["b"].restart(empty=True)


def come_back_with_all_its_data(cluster: Cluster) -> None:
    cluster["b"].kill()
    cluster["b"].start()


def come_back_with_older_data(cluster: Cluster) -> None:
    snapshot = cluster["b"].snapshot_directory()
    fill(cluster.open(), b"newer")
    cluster["b"].restore_directory(snapshot)
    cluster["b"].start()


def come_back_as_a_copy_of_c(cluster: Cluster) -> None:
    snapshot = cluster["c"].snapshot_directory()
    fill(cluster.open(), b"newer")
    cluster["b"].restore_directory(snapshot)
    cluster["b"].start()


def lose_the_membership(cluster: Cluster) -> None:
    with cluster.raw("b").client as client:
        client.delete(LAYOUT.member)


def lose_everything_but_the_process(cluster: Cluster) -> None:
    with cluster.raw("b").client as client:
        client.flushall()


RETURNS = [
    come_back_empty,
    come_back_with_all_its_data,
    come_back_with_older_data,
    lose_the_membership,
    lose_everything_but_the_process,
]


def fill(store: Store, payload: bytes) -> None:
    store.set_many({f"key-{number}": payload for number in range(KEYS)}, level="quorum")
    store.delete_many([f"key-{number}" for number in range(0, KEYS, 4)])


@pytest.mark.parametrize("come_back", [*RETURNS, come_back_as_a_copy_of_c])
def test_it_does_not_acknowledge_before_it_was_brought_up(
    cluster: Cluster, come_back: Callable[[Cluster], None]
) -> None:
    store = cluster.open()
    fill(store, b"v")
    come_back(cluster)
    for client in (store, cluster.open()):
        assert "b" not in client.set("key", b"1").acked
        assert "b" not in client.set_many({"key": b"2", "other": b"2"})["key"].acked
        with pytest.raises(WriteNotConfirmed):
            client.set("key", b"3", level="all")


@pytest.mark.parametrize("come_back", [*RETURNS, come_back_as_a_copy_of_c])
def test_the_workers_bring_it_up_and_it_acknowledges_again(
    make_cluster: MakeCluster, come_back: Callable[[Cluster], None]
) -> None:
    cluster = make_cluster()
    store = cluster.open()
    fill(store, b"v")
    come_back(cluster)
    store.set("meanwhile", b"1")
    cluster.ticker()
    cluster.wait_lag_free("b", 15)
    cluster.wait_settled()
    assert "b" in store.set("key", b"1", level="all").acked
    cluster.assert_identical()
    assert len(cluster.raw("b").values()) == KEYS - KEYS // 4 + 2


def test_with_a_second_replica_away_quorum_writes_wait_for_one_that_is_sound(
    cluster: Cluster,
) -> None:
    store = cluster.open()
    fill(store, b"v")
    cluster["c"].kill()
    cluster["b"].restart()
    with pytest.raises(WriteNotConfirmed):
        store.set("key", b"1")
    cluster.bring_up("b")
    wait_until(lambda: "b" in store.set("key", b"2").acked, message="b confirms again")


def test_a_replica_that_restarts_in_the_middle_of_its_sync_starts_over(
    make_cluster: MakeCluster,
) -> None:
    cluster = make_cluster(persistence="none")
    store = cluster.open()
    store.set_many({f"key-{number}": b"v" * 100 for number in range(5000)})
    cluster["b"].restart(empty=True)
    restarted: list[bool] = []

    def restart_once(_progress: object) -> None:
        if not restarted:
            restarted.append(True)
            cluster["b"].restart(empty=True)

    with pytest.raises(Exception, match="b"):
        cluster.administration.bring_up("b", on_progress=restart_once)
    assert restarted
    assert cluster.raw("b").member().get("state") != "active"
    cluster.settle()
    assert len(cluster.assert_identical()) == 5000


def test_writes_go_on_while_a_replica_is_synced_and_it_has_them_all(
    make_cluster: MakeCluster,
) -> None:
    cluster = make_cluster(persistence="none")
    store = cluster.open()
    store.set_many({f"key-{number}": b"v" * 50 for number in range(5000)})
    cluster["b"].restart(empty=True)

    rounds = iter(range(4))

    def write(_progress: object) -> None:
        if next(rounds, None) is not None:
            store.set("key-17", b"during")
            store.set("new", b"during")
            store.delete("key-18")

    cluster.administration.bring_up("b", on_progress=write)
    cluster.settle()
    values = cluster.values_everywhere()
    assert (values[b"key-17"], values[b"new"], b"key-18" in values) == (b"during", b"during", False)


@pytest.mark.parametrize("threads", [1, 4])
def test_a_replica_is_admitted_again_while_writes_never_pause(
    make_cluster: MakeCluster, threads: int
) -> None:
    cluster = make_cluster(persistence="none")
    store = cluster.open()
    fill(store, b"v")
    with Writers(store, threads) as writers:
        writers.wait_more(50)
        cluster["b"].restart(empty=True)
        cluster.ticker()
        wait_until(
            lambda: cluster.raw("b").member().get("state") == "active",
            15,
            "b is admitted while writes go on",
        )
        writers.wait_more(50)
    assert not writers.errors
    cluster.wait_settled()
    cluster.assert_identical()


def test_a_catch_up_has_an_end_while_something_is_written_at_every_look(
    make_cluster: MakeCluster,
) -> None:
    cluster = make_cluster(persistence="none")
    store = cluster.open()
    fill(store, b"v")
    cluster["b"].restart(empty=True)

    def write(_progress: object) -> None:
        store.set("steady", b"write")

    done = cluster.administration.bring_up("b", on_progress=write, budget_seconds=3.0)
    assert done.activated


def test_one_that_is_emptied_again_and_again_does_not_use_up_the_epochs(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replacement_limiter, "FIRST_REPLACEMENT_PAUSE_SECONDS", 3600.0)
    with Administration(cluster.configuration()) as administration:
        lose_everything_but_the_process(cluster)
        assert administration.bring_up("b").activated
        lose_everything_but_the_process(cluster)
        for _ in range(3):
            assert administration.bring_up("b").notes == [EMPTY_AGAIN]
        assert administration.find_members().epoch == 2
    cluster.settle()
    cluster.assert_identical()
