"""A connection to the healthy primary is reset after the request was delivered: what became of it
is found out.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from redrepl import AsyncCoordinator, Mode
from redrepl.embedded.proxy import TcpProxy
from redrepl.values.errors import RedreplError
from tests.servers.conftest import MakeCluster
from tests.servers.support.cluster import Cluster, Store
from tests.support.waiting import wait_until

DELAY_SECONDS = 0.15
"""Each way: the answer is under way for so long, and the connection is reset meanwhile."""

OPERATIONS: dict[str, Callable[[Any], Any]] = {
    "set": lambda store: store.set("set", b"1"),
    "set at ALL": lambda store: store.set("all", b"1", level="all"),
    "set at ASYNC": lambda store: store.set("async", b"1", level="async"),
    "delete": lambda store: store.delete("deleted"),
    "set_many": lambda store: store.set_many({f"many-{number}": b"1" for number in range(30)}),
    "delete_many": lambda store: store.delete_many(["deleted-1", "deleted-2"]),
    "add": lambda store: store.add("add", b"1"),
    "compare_and_set": lambda store: store.compare_and_set("compare", b"1", expected=None),
    "increment": lambda store: store.increment("increment"),
    "expire": lambda store: store.expire("standing", 1000),
    "batch": lambda store: (
        store.batch().set("batch-1", b"1").increment("batch-2").add("batch-3", b"1").execute()
    ),
    "transact": lambda store: _transaction(store).commit(),
}
WRITTEN = {
    **dict.fromkeys(
        [b"set", b"all", b"async", b"add", b"compare", b"increment", b"batch-1", b"batch-2"], b"1"
    ),
    **dict.fromkeys([b"batch-3", b"together-1", b"together-2", b"standing"], b"1"),
    **{b"many-%d" % number: b"1" for number in range(30)},
}


def _transaction(store: Any) -> Any:
    transaction = store.transaction()
    transaction.set("together-1", b"1").increment("together-2")
    return transaction


def _with_reset(cluster: Cluster, proxy: TcpProxy, call: Callable[[], object]) -> str:
    """Carry something out whose answers are lost on their way; "done", or what it ended with."""
    with cluster.raw("a").client as client, ThreadPoolExecutor() as pool:

        def calls() -> int:
            return int(client.info("commandstats").get("cmdstat_evalsha", {}).get("calls", 0))

        before = calls()
        proxy.delay(DELAY_SECONDS)
        ended = pool.submit(call)
        wait_until(lambda: calls() > before or ended.done(), 10, "the primary has the request")
        proxy.reset()
        proxy.delay(0)
        try:
            ended.result()
        except RedreplError as error:
            return f"{type(error).__name__}: {error}"
        return "done"


def _with_loss(_cluster: Cluster, proxy: TcpProxy, call: Callable[[], object]) -> str:
    """Carry something out whose requests are lost on their way; "done", or what it ended with."""
    with ThreadPoolExecutor() as pool:
        proxy.delay(DELAY_SECONDS)
        before = proxy.read_bytes
        ended = pool.submit(call)
        wait_until(lambda: proxy.read_bytes > before, 10, "the request is on its way")
        proxy.reset()
        proxy.delay(0)
        try:
            ended.result()
        except RedreplError as error:
            return f"{type(error).__name__}: {error}"
        return "done"


REJECTED_WHEN_LOST = ("transact", "changes")
"""They are looked for, and not sent again by themselves."""
LEFT_OUT = (b"together-1", b"together-2")
MORE = {
    "changes": lambda store: store.batch().increment("left-out").add("left-out-too", b"1").execute()
}


def _check_lost(cluster: Cluster, results: dict[str, str]) -> None:
    """Everything is done, once, or certainly not done."""
    for name, result in results.items():
        expected = "WriteRejected" if name in REJECTED_WHEN_LOST else "done"
        assert result.startswith(expected), (name, result)
    cluster.settle()
    assert cluster.values_everywhere() == {
        key: WRITTEN[key] for key in WRITTEN if key not in LEFT_OUT
    }


def _check(cluster: Cluster, results: dict[str, str]) -> None:
    """Everything is done, and once."""
    assert results == dict.fromkeys(OPERATIONS, "done")
    cluster.settle()
    assert cluster.values_everywhere() == WRITTEN


def _prepare(store: Store) -> None:
    store.set_many(
        {"standing": b"1", "deleted": b"1", "deleted-1": b"1", "deleted-2": b"1"}, level="all"
    )


def test_what_was_taken_is_committed_when_it_is_found(cluster: Cluster) -> None:
    proxy, store = cluster.proxied("a")
    _prepare(store)
    results = {
        name: _with_reset(cluster, proxy, lambda run=run: run(store))  # type: ignore[misc]
        for name, run in OPERATIONS.items()
    }
    _check(cluster, results)


def test_what_never_arrived_is_sent_again_or_rejected(cluster: Cluster) -> None:
    proxy, store = cluster.proxied("a")
    _prepare(store)
    calls = {**OPERATIONS, **MORE}
    results = {
        name: _with_loss(cluster, proxy, lambda run=run: run(store))  # type: ignore[misc]
        for name, run in calls.items()
    }
    _check_lost(cluster, results)


def test_what_was_taken_is_committed_when_it_is_found_by_asyncio_too(cluster: Cluster) -> None:
    _check(cluster, _results_of_tasks(cluster, _with_reset, {}))


def test_what_never_arrived_is_sent_again_or_rejected_by_asyncio_too(cluster: Cluster) -> None:
    _check_lost(cluster, _results_of_tasks(cluster, _with_loss, MORE))


def _results_of_tasks(
    cluster: Cluster,
    disturbed: Callable[[Cluster, TcpProxy, Callable[[], object]], str],
    more: dict[str, Callable[[Any], Any]],
) -> dict[str, str]:
    proxy = cluster.proxy("a")
    configuration = cluster.configuration({"a": proxy.url(cluster["a"].url)})

    async def go() -> dict[str, str]:
        results, loop = dict[str, str](), asyncio.get_running_loop()
        async with AsyncCoordinator[str, bytes](configuration) as store:
            for name, run in {**OPERATIONS, **more}.items():

                def call(run: Callable[[Any], Any] = run) -> object:
                    async def awaited() -> object:
                        return await run(store)

                    return asyncio.run_coroutine_threadsafe(awaited(), loop).result()

                results[name] = await asyncio.to_thread(disturbed, cluster, proxy, call)
        return results

    _prepare(cluster.open())
    return asyncio.run(go())


@pytest.mark.parametrize("operation", ["set", "set_many", "delete"])
def test_with_several_primaries_it_is_sent_again_as_it_was(
    make_cluster: MakeCluster, operation: str
) -> None:
    cluster = make_cluster(mode=Mode.MULTI_PRIMARY)
    proxy = cluster.proxy("a")
    store = cluster.open({"a": proxy.url(cluster["a"].url)}, home="a")
    assert _with_reset(cluster, proxy, lambda: OPERATIONS[operation](store)) == "done"
    cluster.settle()
    cluster.assert_identical()


def test_reads_are_repeated(cluster: Cluster) -> None:
    proxy, store = cluster.proxied("a")
    store.set("key", b"1", level="all")
    for read in (
        lambda: store.get("key", level="quorum"),
        lambda: store.get_many(["key"], level="all"),
    ):
        assert _with_reset(cluster, proxy, read) == "done"
    for _ in range(10):
        proxy.reset()
        assert store.get("key") == b"1"
        proxy.reset()
        assert store.get_many(["key"]) == {"key": b"1"}


class _Holding:
    """A way to a server that can hold what clients send, let them believe that it is lost, and
    deliver it later.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"
        self.pairs: list[tuple[socket.socket, socket.socket]] = []
        self.held: dict[socket.socket, bytes] = {}
        self.holds = False
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._port))
                self.pairs.append((client, server))
                for source, target in ((client, server), (server, client)):
                    threading.Thread(
                        target=self._pass_on, args=(source, target), daemon=True
                    ).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if self.holds:
                    self.held[target] = self.held.get(target, b"") + data
                else:
                    target.sendall(data)

    def lose_clients(self) -> None:
        """The clients learn that their connections are lost; the server's ends stay as they are."""
        self.holds = False
        for client, _ in list(self.pairs):
            client.shutdown(socket.SHUT_RDWR)

    def deliver(self) -> set[str]:
        """What was held goes on its way now; the addresses of its connections, as the server knows
        them.
        """
        late = {f"127.0.0.1:{server.getsockname()[1]}" for server in self.held}
        for server, data in self.held.items():
            with contextlib.suppress(OSError):
                server.sendall(data)
        return late

    def close(self) -> None:
        """End it all."""
        for end in (self._listener, *[end for pair in self.pairs for end in pair]):
            end.close()


@pytest.mark.plain
def test_what_comes_late_on_a_lost_connection_is_not_carried_out_beside_what_was_sent_again(
    cluster: Cluster,
) -> None:
    """The original is on its way, and nobody can tell from here; the server ends the connection on
    which it comes.
    """
    way = _Holding(cluster["a"].port)
    with contextlib.closing(way), ThreadPoolExecutor() as pool, cluster.raw("a").client as client:
        store = cluster.open({"a": way.url}, timeout_seconds=2.5)
        store.increment("key")
        way.holds = True
        ended = pool.submit(store.increment, "key")
        wait_until(
            lambda: any(b"increment" in data for data in way.held.values()),
            10,
            "the request is on its way",
        )
        way.lose_clients()
        assert ended.result() == 2
        late = way.deliver()

        def is_over() -> bool:
            return (
                late.isdisjoint(each["addr"] for each in client.client_list())
                or store.get("key") != b"2"
            )

        wait_until(is_over, 10, "the late request is read, or its connection ended")
        assert store.get("key") == b"2"
