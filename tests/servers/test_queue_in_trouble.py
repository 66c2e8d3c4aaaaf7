"""A queue that does not work: frozen, full, read-only or a black hole.

Catch-up goes on, and workers end.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import pytest

from tests.servers.conftest import MakeCluster
from tests.servers.support.cluster import Cluster, NodeProxy
from tests.support.clients import connect
from tests.support.waiting import wait_until

MOST_LINES = 12
"""Of a worker that has something to say once, not again and again."""


@contextmanager
def frozen(cluster: Cluster) -> Iterator[None]:
    assert cluster.queue is not None
    cluster.queue.freeze()
    yield
    cluster.queue.resume()


def told(option: str, value: str, usual: str) -> Callable[[Cluster], AbstractContextManager[None]]:
    """A queue whose server is set up so that it takes no writes."""

    @contextmanager
    def trouble(cluster: Cluster) -> Iterator[None]:
        assert cluster.queue is not None
        with connect(cluster.queue) as client:
            client.config_set(option, value)
            yield
            client.config_set(option, usual)

    return trouble


@contextmanager
def read_only(cluster: Cluster) -> Iterator[None]:
    assert cluster.queue is not None
    with connect(cluster.queue) as client:
        client.execute_command("REPLICAOF", "127.0.0.1", "1")
        yield


_WAITS_FOR_AN_HOUR = """
from redrepl_workers import queue_worker
queue_worker.WAIT_SECONDS = queue_worker.SILENCE_SECONDS = queue_worker.STOP_SECONDS = 3600
"""


@pytest.mark.parametrize("kind", ["idle", "frozen"])
def test_a_worker_that_waits_for_the_queue_ends_when_it_is_told_to(
    make_cluster: MakeCluster, kind: str
) -> None:
    cluster = make_cluster(queue=True)
    assert cluster.queue is not None
    worker = cluster.worker(beginning=_WAITS_FOR_AN_HOUR)
    with connect(cluster.queue) as client:
        wait_until(
            lambda: b"blpop" in client.execute_command("CLIENT", "LIST"), 30, "it waits for jobs"
        )
    with frozen(cluster) if kind == "frozen" else nullcontext():
        assert worker.stop() == 0


def test_a_worker_that_never_saw_the_queue_replaces_a_primary_and_fills_it(
    make_cluster: MakeCluster,
) -> None:
    cluster = make_cluster(queue=True)
    store = cluster.open()
    store.set("before", b"1", level="all")
    with frozen(cluster):
        worker = cluster.worker()
        cluster["a"].kill()
        wait_until(lambda: store.set("key", b"v").acked, 30, "another node is the primary")
        cluster["a"].start()
        cluster.wait_active("a")
        cluster.wait_settled()
        assert worker.stop() == 0
    assert len(cluster.values_everywhere()) == 2


TROUBLES: dict[str, Callable[[Cluster], AbstractContextManager[None]]] = {
    "frozen": frozen,
    "full": told("maxmemory", "1", "0"),
    "without replicas": told("min-replicas-to-write", "1", "0"),
    "read-only": read_only,
}


@pytest.mark.parametrize("kind", list(TROUBLES))
def test_copies_are_brought_up_and_the_worker_ends(make_cluster: MakeCluster, kind: str) -> None:
    cluster = make_cluster(queue=True)
    store = cluster.open()
    store.set("before", b"1", level="all")
    worker = cluster.worker()
    wait_until(lambda: "worker" in worker.log.read_text(), 30, "the worker is at work")
    with TROUBLES[kind](cluster):
        before = len(worker.log.read_text().splitlines())
        cluster["c"].kill()
        for number in range(100):
            store.set(f"key-{number}", b"v")
        cluster["c"].start()
        cluster.wait_active("c")
        cluster.wait_settled()
        said = worker.log.read_text().splitlines()[before:]
        assert len(said) <= MOST_LINES, said
        assert worker.stop() == 0
    assert len(cluster.values_everywhere()) == 101


def silent(cluster: Cluster) -> str:
    """A queue's address that takes connections and never answers."""
    assert cluster.queue is not None
    gate = cluster.stack.enter_context(NodeProxy(cluster.queue))
    gate.blackhole()
    return gate.url()


def unreachable(cluster: Cluster) -> str:
    """A queue's address where what asks for a connection is dropped: nobody takes those that fill
    the listener.
    """
    assert cluster.queue is not None
    listener = cluster.stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
    port = listener.getsockname()[1]

    def fill() -> None:
        for _ in range(10):
            cluster.stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=0.2))

    with pytest.raises(TimeoutError):
        fill()
    return cluster.queue.url.replace(f":{cluster.queue.port}", f":{port}")


@pytest.mark.parametrize("address", [silent, pytest.param(unreachable, marks=pytest.mark.soak)])
def test_a_worker_whose_queue_is_a_black_hole_replaces_a_primary_and_fills_it(
    make_cluster: MakeCluster, address: Callable[[Cluster], str]
) -> None:
    cluster = make_cluster(queue=True)
    cluster.options["queue_url"] = address(cluster)
    replaces_a_primary_and_fills_it(cluster, lambda: None)


def test_a_queue_that_becomes_a_black_hole_stops_no_worker(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(queue=True)
    assert cluster.queue is not None
    gate = cluster.stack.enter_context(NodeProxy(cluster.queue))
    cluster.options["queue_url"] = gate.url()

    def becomes_one() -> None:
        assert cluster.queue is not None
        with connect(cluster.queue) as client:
            wait_until(
                lambda: b"blpop" in client.execute_command("CLIENT", "LIST"),
                30,
                "the worker waits for jobs",
            )
        gate.blackhole()

    replaces_a_primary_and_fills_it(cluster, becomes_one)


def replaces_a_primary_and_fills_it(cluster: Cluster, begin: Callable[[], None]) -> None:
    """A worker does so in the trouble that begins when it is at work; it says little, and ends when
    it is told to.
    """
    store = cluster.open()
    store.set("before", b"1", level="all")
    worker = cluster.worker()
    wait_until(lambda: "worker" in worker.log.read_text(), 30, "the worker is at work")
    begin()
    cluster["a"].kill()
    wait_until(lambda: store.set("key", b"v").acked, 30, "another node is the primary")
    cluster["a"].start()
    cluster.wait_active("a")
    cluster.wait_settled()
    said = worker.log.read_text().splitlines()
    assert len(said) <= MOST_LINES, said
    assert worker.stop() == 0
    assert len(cluster.values_everywhere()) == 2
