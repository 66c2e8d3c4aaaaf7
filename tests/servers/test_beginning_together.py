"""Many threads that begin at the same moment: each gets its connections, and none fails."""

from __future__ import annotations

import threading

from tests.servers.support.cluster import Cluster

THREADS = 60
DISTANCE_SECONDS = 0.005


def test_many_threads_begin_together_with_nodes_that_are_not_near(cluster: Cluster) -> None:
    # Opened one after the other by three round trips each, this takes two seconds on an idle machine.
    proxies = {node: cluster.proxy(node) for node in cluster.nodes}
    store = cluster.open({node: proxy.url(cluster[node].url) for node, proxy in proxies.items()}, timeout_seconds=2.9)
    for proxy in proxies.values():
        proxy.delay(DISTANCE_SECONDS)
    together = threading.Barrier(THREADS)
    failed: list[str] = []

    def write(number: int) -> None:
        together.wait()
        try:
            store.set(f"key-{number}", b"v")
        except Exception as error:
            failed.append(repr(error))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert all(store.get_many([f"key-{number}" for number in range(THREADS)], level="quorum").values())
