"""Failover on real servers: the service comes back by itself, and nothing acknowledged at QUORUM is
lost.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from redrepl import (
    AsyncCoordinator,
    Outcome,
    RedreplError,
    RequestError,
    Unavailable,
    WriteNotConfirmed,
    WriteRejected,
)
from redrepl.values.errors import WriteFailure
from tests.servers.conftest import MakeCluster
from tests.servers.support.cluster import Cluster, Store
from tests.support.waiting import wait_until

FAULTS = ("kill", "freeze")


class Writing:
    """Threads that write numbered values to keys of their own, at QUORUM, and note what came of
    each.
    """

    def __init__(self, cluster: Cluster, threads: int = 3) -> None:
        self.acked: dict[str, int] = {}
        self.unknown: dict[str, set[int]] = {}
        self.rejected = 0
        self.errors: list[BaseException] = []
        self._stop = threading.Event()
        self._stores = [cluster.open() for _ in range(threads)]
        self._threads = [
            threading.Thread(target=self._write, args=(n, s)) for n, s in enumerate(self._stores)
        ]

    @property
    def count(self) -> int:
        """Writes acknowledged so far, of all threads."""
        return sum(self.acked.values())

    def _write(self, thread: int, store: Store) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            key = f"{thread}-{number % 20}"
            try:
                store.set(key, b"%d" % number)
                self.acked[key] = number
                self.unknown.pop(key, None)
            except WriteRejected:
                self.rejected += 1
            except WriteNotConfirmed:
                self.unknown.setdefault(key, set()).add(number)
            except RedreplError as error:
                self.errors.append(error)
                return

    def check(self, store: Store) -> None:
        """Every key holds the last acknowledged value, or one after it whose outcome is unknown."""
        for key, number in self.acked.items():
            found = int(store.get(key, level="quorum") or 0)
            assert found == number or found in self.unknown.get(key, ()), (
                f"{key}: {number} acknowledged, {found} found"
            )

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End."""
        self._stop.set()
        for thread in self._threads:
            thread.join()


@contextmanager
def writing(cluster: Cluster) -> Iterator[Writing]:
    """Writers at work while the block runs."""
    writers = Writing(cluster)
    writers.start()
    try:
        wait_until(lambda: writers.count > 300, 30, "writes are under way")
        yield writers
        before = writers.count
        wait_until(lambda: writers.count > before + 300, 30, "writes go on")
    finally:
        writers.stop()
    assert writers.errors == []


def primary_of(cluster: Cluster) -> str:
    """Who decides now, as the nodes tell."""
    topology, _ = cluster.administration.inspect()
    assert topology is not None
    assert topology.decider is not None
    return topology.decider


@pytest.mark.parametrize("fault", FAULTS)
def test_another_node_takes_over_and_nothing_acknowledged_is_lost(
    cluster: Cluster, fault: str
) -> None:
    cluster.ticker()
    cluster.monitor()
    with writing(cluster) as writers:
        getattr(cluster["a"], fault)()
        wait_until(lambda: primary_of(cluster) != "a", 20, "another primary")
        writers_saw = writers.count
        wait_until(lambda: writers.count > writers_saw + 300, 20, "writes go on without a")
        if fault == "kill":
            cluster["a"].start()
        else:
            cluster["a"].resume()
        cluster.wait_active("a")
    cluster.wait_settled()
    writers.check(cluster.open())
    cluster.assert_identical()
    assert cluster.administration.verify().consistent


@pytest.mark.parametrize("returns", ["older", "empty"])
def test_a_former_primary_that_lost_data_is_brought_up_as_a_replica(
    cluster: Cluster, returns: str
) -> None:
    cluster.ticker()
    cluster.monitor()
    store = cluster.open()
    store.set_many({f"key-{number}": b"old" for number in range(200)}, level="all")
    snapshot = cluster["a"].snapshot_directory()
    store.set_many({f"key-{number}": b"new" for number in range(200)})
    store.delete("key-0")
    cluster["a"].kill()
    wait_until(lambda: store.set("after", b"v"), 20, "another primary")
    if returns == "older":
        cluster["a"].restore_directory(snapshot)
        cluster["a"].start()
    else:
        cluster["a"].restart(empty=True)
    cluster.wait_active("a")
    cluster.wait_settled()
    values = cluster.values_everywhere()
    assert values.keys() == {b"after", *(b"key-%d" % number for number in range(1, 200))}
    assert set(values.values()) == {b"v", b"new"}


def test_an_old_primary_on_the_minority_side_acknowledges_nothing(cluster: Cluster) -> None:
    """A client that still reaches it alone writes there; what it wrote is kept for the operator
    when the cut heals.
    """
    proxies = {node: cluster.proxy(node) for node in "bc"}
    cut_off = cluster.open(
        {node: proxy.url(cluster[node].url) for node, proxy in proxies.items()}, timeout_seconds=0.3
    )
    cut_off.set("key", b"before")
    for proxy in proxies.values():
        proxy.cut()
    with pytest.raises(WriteNotConfirmed):
        cut_off.set("key", b"minority")
    done = cluster.administration.failover(away=("a",))
    assert done.primary in "bc"
    for number in range(3):
        with pytest.raises(WriteNotConfirmed):
            cut_off.set(f"lost-{number}", b"minority")
    store = cluster.open()
    assert store.topology.decider == done.primary
    store.set("key", b"majority")
    assert cluster.raw("a").values()[b"key"] == b"minority"
    cluster.settle()  # the workers reach all of them again
    assert cluster.values_everywhere() == {b"key": b"majority"}
    discarded = cluster.raw("a").discarded()
    assert discarded.keys() == {b"key", b"lost-0", b"lost-1", b"lost-2"}
    assert {record.payload for record in discarded.values()} == {b"minority"}


def test_a_switchover_loses_nothing_and_fails_no_write(cluster: Cluster) -> None:
    cluster.ticker()
    with writing(cluster) as writers:
        for to in ("b", "c", "a"):
            done = cluster.administration.switchover(to)
            assert (done.primary, set(done.active)) == (to, {"a", "b", "c"})
            before = writers.count
            wait_until(lambda before=before: writers.count > before + 200, 20, "writes go on")  # type: ignore[misc]
    assert (writers.rejected, writers.unknown) == (0, {})
    writers.check(cluster.open())
    cluster.wait_settled()
    cluster.assert_identical()


def test_a_switchover_takes_along_what_the_primary_alone_has(cluster: Cluster) -> None:
    store = cluster.open()
    store.set_many({f"key-{number}": b"v" for number in range(3000)}, level="async")
    done = cluster.administration.switchover("c")
    assert done.primary == "c"
    assert store.get("key-2999", level="quorum") == b"v"
    assert store.topology.decider == "c"
    cluster.settle()
    assert len(cluster.assert_identical()) == 3000


def test_several_monitors_move_the_role_once(cluster: Cluster) -> None:
    cluster.ticker()
    for _ in range(4):
        cluster.monitor()
    store = cluster.open()
    store.set("key", b"before")
    cluster["a"].kill()
    wait_until(lambda: store.set("key", b"after"), 20, "another primary")
    cluster["a"].start()
    cluster.wait_active("a")
    cluster.wait_settled()
    assert cluster.values_everywhere() == {b"key": b"after"}


def test_a_monitor_without_a_majority_touches_nobody(cluster: Cluster) -> None:
    cluster.open().set("key", b"v", level="all")
    urls = {node: cluster.proxy(node) for node in "ab"}
    cluster.monitor(urls={node: proxy.url(cluster[node].url) for node, proxy in urls.items()})
    for proxy in urls.values():
        proxy.cut()
    with pytest.raises(Unavailable, match="2 of 3 members must take part"):
        cluster.administration.failover(away=("a", "b"))
    assert {cluster.raw(node).member()["epoch"] for node in "abc"} == {"1"}


def test_too_many_copies_without_memory_stop_everything(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(timeout_seconds=0.4)
    store = cluster.open()
    store.set("key", b"v", level="all")
    cluster.ticker()
    cluster.monitor()
    for node in "ab":
        cluster[node].restart(empty=True)
    with pytest.raises(WriteFailure):
        store.set("key", b"new")
    with pytest.raises(Unavailable, match="which have lost nothing") as caught:
        cluster.administration.failover()
    assert {"a", "b"} <= caught.value.evidence.keys()
    assert cluster.raw("c").values() == {b"key": b"v"}


def test_every_operation_follows_to_the_new_primary(cluster: Cluster) -> None:
    cluster.ticker()
    cluster.monitor()
    store = cluster.open()
    stamp = store.set("cas", b"1").stamp
    store.increment("sum")
    cluster["a"].kill()
    assert store.get("cas") == b"1"
    assert store.get("cas", level="quorum") == b"1"
    assert store.get_many(["cas", "sum"]) == {"cas": b"1", "sum": b"1"}
    assert store.increment("sum") == 2
    assert store.compare_and_set("cas", b"2", expected=stamp).applied
    assert not store.add("cas", b"3").applied
    assert store.set_many({"x": b"1", "y": b"2"})["x"].outcome is Outcome.COMMITTED
    assert store.delete("x").outcome is Outcome.COMMITTED
    with store.batch() as batch:
        batch.set("z", b"1").increment("sum").get("sum")
    assert batch.results[1:] == [3, b"3"]
    assert store.transact(lambda tx: tx.set("t", tx.get("z") or b"")) is not None
    assert store.get("t") == b"1"


def test_a_walk_over_the_keys_misses_none_when_the_primary_changes(cluster: Cluster) -> None:
    """A cursor of one server means nothing on another."""
    store = cluster.open()
    everything = {b"key-%d" % number for number in range(5000)}
    store.set_many(dict.fromkeys(everything, b"v"), level="all")
    walk = store.keys()
    found = [next(walk) for _ in range(10)]
    cluster.administration.switchover("b")
    store.set("after", b"v")
    found += walk
    assert len(found) == len(set(found))
    assert everything <= set(found)


def test_what_cannot_be_is_refused(cluster: Cluster) -> None:
    with pytest.raises(RequestError, match="is no member"):
        cluster.administration.failover("x")
    with pytest.raises(RequestError, match="is the primary already"):
        cluster.administration.switchover("a")
    cluster["a"].kill()
    with pytest.raises(Unavailable, match="use failover"):
        cluster.administration.switchover("b")
    assert cluster.administration.failover("c").primary == "c"


@pytest.mark.parametrize("fault", FAULTS)
def test_tasks_go_on_with_another_primary(cluster: Cluster, fault: str) -> None:
    cluster.ticker()
    cluster.monitor()

    async def work() -> dict[str, int]:
        acked: dict[str, int] = {}
        async with AsyncCoordinator[Any, bytes](cluster.configuration()) as store:
            is_over = False

            async def write(task: int) -> None:
                number = 0
                while not is_over:
                    number += 1
                    key = f"{task}-{number % 10}"
                    assert (await store.set(key, b"%d" % number)).outcome is Outcome.COMMITTED
                    acked[key] = number
                    assert int(await store.get(key, level="quorum") or 0) == number

            async with asyncio.TaskGroup() as group:
                for task in range(8):
                    group.create_task(write(task))
                await store.set("first", b"v")
                await asyncio.to_thread(getattr(cluster["a"], fault))
                await asyncio.to_thread(
                    wait_until, lambda: primary_of(cluster) != "a", 20, "another primary"
                )
                seen = sum(acked.values())
                await asyncio.to_thread(
                    wait_until, lambda: sum(acked.values()) > seen + 200, 20, "writes go on"
                )
                is_over = True
        return acked

    acked = asyncio.run(work())
    store: Store = cluster.open()
    assert {
        key: int(value or 0) for key, value in store.get_many(acked, level="quorum").items()
    } == acked
