"""A password is changed while programs run: they read its file again when they connect anew."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from redrepl import (
    Administration,
    AsyncCoordinator,
    Configuration,
    Coordinator,
    RedreplError,
    load_configuration,
)
from redrepl.edges.queue_connection import queue_connection
from redrepl.embedded import EmbeddedCluster, ServerBinary
from tests.support.clients import connect
from tests.support.waiting import wait_until

FIRST, SECOND = "first-password", "second-password"


@pytest.fixture
def servers(some_binary: ServerBinary) -> Iterator[EmbeddedCluster]:
    """Three servers that want the first password."""
    with EmbeddedCluster(binary=some_binary, password=FIRST) as running:
        yield running


@pytest.fixture
def configuration(servers: EmbeddedCluster, tmp_path: Path) -> Configuration:
    """A cluster on them, whose file names the file of the password."""
    secret, lines = tmp_path / "secret", ['cluster = "shop"', "timeout_seconds = 5.0"]
    secret.write_text(FIRST)
    for node, server in servers.servers.items():
        role = "replica" if node != "a" else "primary"
        lines += [
            "[[nodes]]",
            f'id = "{node}"',
            f'url = "redis://127.0.0.1:{server.port}/0"',
            f'role = "{role}"',
        ]
        lines += [f'password_file = "{secret}"']
    (tmp_path / "redrepl.toml").write_text("\n".join(lines))
    found = load_configuration(tmp_path / "redrepl.toml", {})
    with Administration(found) as administration:
        administration.initialise()
    return found


def _change(servers: EmbeddedCluster, secret: Path) -> None:
    """Have the servers want the second password, in the file too, and end all connections."""
    for server in servers.servers.values():
        with connect(server) as client:
            client.config_set("requirepass", SECOND)
            client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    secret.write_text(f"{SECOND}\n")


def test_blocking_calls_and_commands_go_on(
    servers: EmbeddedCluster, configuration: Configuration, tmp_path: Path
) -> None:
    with (
        Coordinator[str, bytes](configuration) as store,
        Administration(configuration) as administration,
    ):
        store.set("k", b"before", level="all")
        _change(servers, tmp_path / "secret")

        def is_stored() -> bool:
            try:
                return len(store.set("k", b"after", level="all").acked) == 3
            except RedreplError:
                return False

        wait_until(is_stored, 20.0, "a write with the new password")
        wait_until(lambda: administration.verify().consistent, 20.0, "all copies are looked at")


def test_asynchronous_calls_go_on(
    servers: EmbeddedCluster, configuration: Configuration, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with AsyncCoordinator[str, bytes](configuration) as store:
            await store.set("k", b"before", level="all")
            _change(servers, tmp_path / "secret")
            async with asyncio.timeout(20.0):
                while True:
                    try:
                        return await store.set("k", b"after", level="all") and None
                    except RedreplError:
                        await asyncio.sleep(0.01)

    asyncio.run(scenario())


def test_a_file_that_is_gone_is_named_and_looked_for_again(
    servers: EmbeddedCluster, configuration: Configuration, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.unlink()
    with Administration(configuration) as administration:
        _, reports = administration.inspect()
        assert all("secret: No such file" in reports.reason(node, "") for node in "abc")
        _change(servers, secret)
        wait_until(lambda: "a" in administration.inspect()[1].present, 20.0, "the file is read")


def test_the_queue_reads_its_file_again(servers: EmbeddedCluster, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(FIRST)
    client = queue_connection(f"redis://127.0.0.1:{servers['a'].port}/0?password_file={secret}")
    assert client.ping()
    _change(servers, secret)
    wait_until(lambda: _answers(client), 20.0, "an answer with the new password")
    client.close()


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:  # a login that is refused is one, too
        return False
