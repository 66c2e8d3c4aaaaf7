"""Many threads that begin at the same moment: each gets its connections, and none fails."""

from __future__ import annotations

import threading

import pytest

from redrepl.values import limits
from tests.servers.support.cluster import Cluster, Store

THREADS = 60
MANY_THREADS = 256
DISTANCE_SECONDS = 0.005


def write_together(store: Store, threads: int, writes: int = 1) -> list[str]:
    """Threads that begin at one moment, each with so many writes of its own keys; answers what
    failed.
    """
    together = threading.Barrier(threads)
    failed: list[str] = []

    def write(number: int) -> None:
        together.wait()
        for key in keys_of(number, writes):
            try:
                store.set(key, b"v")
            except Exception as error:
                failed.append(repr(error))

    started = [threading.Thread(target=write, args=(number,)) for number in range(threads)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    return failed


def keys_of(thread: int, writes: int = 1) -> list[str]:
    return [f"key-{thread}-{number}" for number in range(writes)]


def are_all_there(store: Store, threads: int, writes: int = 1) -> bool:
    keys = [key for thread in range(threads) for key in keys_of(thread, writes)]
    return set(store.get_many(keys, level="quorum").values()) == {b"v"}


def test_many_threads_begin_together_with_nodes_that_are_not_near(cluster: Cluster) -> None:
    # Opened one after the other by three round trips each, this takes two seconds on an idle
    # machine.
    proxies = {node: cluster.proxy(node) for node in cluster.nodes}
    store = cluster.open(
        {node: proxy.url(cluster[node].url) for node, proxy in proxies.items()}, timeout_seconds=2.9
    )
    for proxy in proxies.values():
        proxy.delay(DISTANCE_SECONDS)
    assert write_together(store, THREADS) == []
    assert are_all_there(store, THREADS)


@pytest.mark.soak  # with the usual time-out, which other tests beside it would use up
def test_very_many_threads_begin_together_within_the_usual_time_out(cluster: Cluster) -> None:
    store = cluster.open(timeout_seconds=limits.DEFAULT_TIMEOUT_SECONDS)
    assert write_together(store, MANY_THREADS, writes=3) == []
    assert are_all_there(store, MANY_THREADS, writes=3)
