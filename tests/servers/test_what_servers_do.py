"""Servers that do what servers may do: run a long script, take no more clients, hide what they are,
be of two kinds.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from redrepl import Administration, AsyncCoordinator, Coordinator, Unavailable, load_configuration
from redrepl.embedded import EmbeddedServer, find_all_binaries
from tests.servers.conftest import MakeCluster
from tests.servers.support.cluster import Cluster, Store
from tests.servers.support.raw import RawNode
from tests.support.clients import connect
from tests.support.waiting import wait_until

PATIENCE_SECONDS = 40.0


@contextmanager
def busy(server: EmbeddedServer) -> Iterator[None]:
    """A script of somebody else's keeps the server from everything until the block ends."""
    with connect(server) as client:
        client.config_set("busy-reply-threshold", 50)

    def run() -> None:
        with connect(server, 60) as client, pytest.raises(redis.RedisError):
            client.eval("while true do end", 0)

    script = threading.Thread(target=run)
    script.start()
    try:
        wait_until(lambda: is_busy(server))
        yield
    finally:
        with connect(server) as client:
            client.execute_command("SCRIPT", "KILL")
        script.join(10)


def is_busy(server: EmbeddedServer) -> bool:
    """Whether it refuses even a ping."""
    with connect(server) as client:
        try:
            client.ping()
        except redis.ResponseError as error:
            return "BUSY" in str(error)
        return False


@pytest.mark.usefixtures("server_binary")
def test_a_primary_that_is_busy_for_long_is_replaced_and_comes_back(cluster: Cluster) -> None:
    store = cluster.open()
    store.set("before", b"1", level="all")
    with busy(cluster["a"]):
        cluster.monitor()
        wait_until(
            lambda: store.set("meanwhile", b"2"), PATIENCE_SECONDS, "another node takes over"
        )
        assert cluster.administration.status(look_at_keys=False).primary != "a"
    cluster.ticker()
    cluster.wait_settled()
    assert cluster.values_everywhere() == {b"before": b"1", b"meanwhile": b"2"}


@pytest.mark.usefixtures("server_binary")
def test_a_busy_replica_fails_no_write(cluster: Cluster) -> None:
    store = cluster.open()
    with busy(cluster["b"]):
        for number in range(20):
            store.set(f"key-{number}", b"v")
    cluster.ticker()
    cluster.wait_settled()
    assert len(cluster.values_everywhere()) == 20


@pytest.mark.plain  # over TLS a server cannot say it before the handshake
def test_a_primary_that_takes_no_more_clients_serves_those_it_has_and_keeps_its_role(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    """A monitor that comes now is turned away, which does not tell whether others are served."""
    store = cluster.open()
    store.set("before", b"1", level="all")
    with connect(cluster["a"]) as owner:
        owner.config_set("maxclients", 1)
        cluster.monitor()
        wait_until(
            lambda: "turns this monitor away" in caplog.text,
            PATIENCE_SECONDS,
            "the monitor says so",
        )
        assert store.set("meanwhile", b"2", level="all").stamp
        assert cluster.open().topology.decider == "a"
        owner.config_set("maxclients", 10_000)
    assert cluster.values_everywhere() == {b"before": b"1", b"meanwhile": b"2"}


def opened_with_asyncio(file: Path) -> None:
    """Open and close."""

    async def opening() -> None:
        async with await AsyncCoordinator.from_config(file):
            pass

    asyncio.run(opening())


@pytest.mark.plain  # over TLS a server cannot say it before the handshake
@pytest.mark.parametrize("opens", [Coordinator.from_config, opened_with_asyncio])
def test_a_server_that_takes_no_more_clients_says_so_to_whoever_comes(
    make_cluster: MakeCluster, opens: Callable[[Path], Any]
) -> None:
    cluster = make_cluster(count=1)
    file = cluster.configuration_file()
    with connect(cluster["a"]) as owner:
        owner.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        owner.config_set("maxclients", 1)
        for _ in range(5):
            with pytest.raises(Unavailable) as failed:
                opens(file)
            assert "takes no more clients: ERR max number of clients reached" in str(failed.value)
            assert "raise maxclients of a" in str(failed.value)
        owner.config_set("maxclients", 10_000)


def test_a_server_that_does_not_tell_its_run_id_is_used_for_nothing(cluster: Cluster) -> None:
    """Its restarts could not be noticed."""
    with connect(cluster["b"]) as owner:
        owner.execute_command("ACL", "SETUSER", "default", "-info")
        newcomer = cluster.open()
        receipt = newcomer.set("key", b"v")
        assert "b" not in receipt.acked
        status = cluster.administration.status(look_at_keys=False)
        told = next(node.error for node in status.nodes if node.id == "b")
        assert told is not None
        assert "info" in told.lower()
        owner.execute_command("ACL", "SETUSER", "default", "+info")
    cluster.settle()
    assert cluster.values_everywhere() == {b"key": b"v"}


def test_copies_may_be_of_different_engines(tmp_path: Path) -> None:
    found = {binary.engine: binary for binary in find_all_binaries()}
    if len(found) < 2:
        pytest.skip("needs both engines")
    with ExitStack() as stack:
        servers = {
            node: stack.enter_context(EmbeddedServer(node, found[engine]))
            for node, engine in zip("abc", (*found, next(iter(found))), strict=True)
        }
        lines = ['cluster = "shop"']
        for node, server in servers.items():
            role = "primary" if node == "a" else "replica"
            lines += ["[[nodes]]", f'id = "{node}"', f'url = "{server.url}"', f'role = "{role}"']
        file = tmp_path / "redrepl.toml"
        file.write_text("\n".join(lines))
        configuration = load_configuration(file, {})
        administration = stack.enter_context(Administration(configuration))
        administration.initialise()
        store: Store = stack.enter_context(Coordinator(configuration))
        for number in range(50):
            store.set(f"key-{number}", b"v", ttl=3600 if number % 2 else None, level="all")
        store.increment("counter")
        servers["b"].restart(empty=True)
        administration.bring_up("b")
        administration.failover("b")
        store.delete("key-0", level="all")
        assert administration.verify().consistent
        copies = [RawNode(server).records() for server in servers.values()]
        assert copies[0] == copies[1] == copies[2]
        assert len(copies[0]) == 51
