"""Clusters over TLS: large values, certificates of both sides, and what of it all the servers get
to know.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from redrepl import (
    Administration,
    AsyncCoordinator,
    ConfigError,
    Configuration,
    Coordinator,
    Unavailable,
)
from redrepl.edges.queue_connection import queue_connection
from redrepl.embedded import find_all_binaries
from redrepl.values.keys import KeyLayout
from redrepl_cli.main import cli
from tests.servers.conftest import TLS_ENGINE
from tests.servers.support.cluster import Cluster
from tests.servers.support.tls import HOSTS, ServerTls
from tests.support.certificates import Authority, Certificate
from tests.support.clients import connect
from tests.support.waiting import wait_until

Make = Callable[..., Cluster]
MEGABYTE = 1_000_000


@pytest.fixture
def make(authority: Authority, tmp_path: Path) -> Iterator[Make]:
    """Makes a cluster over TLS; arguments as for `Cluster`, and the settings of `ServerTls`."""
    binaries = [found for found in find_all_binaries() if found.engine == TLS_ENGINE]
    if not binaries:
        reason = f"no {TLS_ENGINE}-server on the PATH, which can do TLS"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    with ExitStack() as stack:

        def made(
            certificate: Certificate | None = None,
            clients: bool = False,
            table: Any = None,
            **options: Any,
        ) -> Cluster:
            tls = ServerTls(certificate or authority.certify("server", *HOSTS), authority, clients)
            table = {"ca": str(authority.file), **(table or {})}
            cluster = Cluster(binaries[0], tmp_path, tls=tls, tls_table=table, **options)
            stack.callback(cluster.close)
            return cluster

        yield made


CLOSED = "closes the connection over TLS at once"
"""Said in place of the reason where the server's word on it is lost with the connection."""


def _reasons(cluster: Cluster, **table: object) -> str:
    """Why a program with these settings cannot use the nodes."""
    cluster.tls_table = table
    with pytest.raises(Unavailable) as caught:
        Coordinator(cluster.configuration(timeout_seconds=2.0))
    assert set(caught.value.evidence) == set("abc")
    return str(caught.value)


def _value(megabytes: int) -> bytes:
    return os.urandom(1000) * (megabytes * MEGABYTE // 1000)


def test_large_values_from_both_drivers(make: Make) -> None:
    cluster, value = make(timeout_seconds=20.0, max_age_seconds=60.0), _value(8)
    store = cluster.open()
    store.set("large", value, level="all")
    store.set_many({f"key-{number}": value[:10_000] for number in range(600)}, level="all")

    async def scenario() -> tuple[bytes | None, set[str]]:
        async with AsyncCoordinator[str, bytes](cluster.configuration()) as beside:
            writes = [
                beside.set(f"large-{n}", value[: 3 * MEGABYTE], level="all") for n in range(3)
            ]
            receipts = await asyncio.gather(*writes)
            return await beside.get("large"), set.intersection(
                *(set(receipt.acked) for receipt in receipts)
            )

    assert asyncio.run(scenario()) == (value, set("abc"))
    assert len(cluster.values_everywhere()) == 604


def test_a_node_that_was_away_is_caught_up(make: Make) -> None:
    cluster = make(timeout_seconds=20.0, max_age_seconds=60.0)
    store = cluster.open()
    store.set("warm", b"up", level="all")
    cluster["c"].kill()
    for number in range(8):
        store.set(f"large-{number}", _value(2))
    cluster["c"].start()
    done = cluster.bring_up("c")
    assert (done.full_syncs, done.finished, done.activated) == (0, True, True)
    assert len(cluster.values_everywhere()) == 9


def test_a_worker_and_its_queue(make: Make) -> None:
    cluster = make(queue=True)
    store = cluster.open()
    store.set("warm", b"up", level="all")
    cluster["c"].kill()
    store.set("k", b"v")
    cluster.worker()
    cluster["c"].start()
    cluster.wait_lag_free("c")
    cluster.assert_identical()
    with contextlib.closing(queue_connection(cluster.configuration().queue_url or "")) as queue:
        wait_until(lambda: queue.smembers("rq:workers"), 20.0, "the worker is known at the queue")
        assert [queue.echo(b"x" * size) for size in (1, 100_000, 1)] == [b"x", b"x" * 100_000, b"x"]


def test_clients_that_need_a_certificate(make: Make, authority: Authority, tmp_path: Path) -> None:
    mine = authority.certify("client", password="hunter-2")
    (tmp_path / "password").write_text("hunter-2")
    theirs = Authority(tmp_path / "others", "others").certify("client")
    table = {
        "certificate": str(mine.file),
        "key": str(mine.key),
        "key_password_file": str(tmp_path / "password"),
    }
    cluster = make(clients=True, table=table)
    assert cluster.open().set("k", b"v", level="all").acked == set("abc")
    assert asyncio.run(_read(cluster.configuration(), "k")) == b"v"
    ca = {"ca": str(authority.file)}
    said = _reasons(cluster, **ca)
    assert "wants a certificate of its clients" in said or CLOSED in said
    said = _reasons(cluster, **ca, certificate=str(theirs.file), key=str(theirs.key))
    assert "does not accept the certificate of this program" in said or CLOSED in said, (
        "also where the alert is lost"
    )


async def _read(configuration: Configuration, key: str) -> bytes | None:
    async with AsyncCoordinator[str, bytes](configuration) as store:
        return await store.get(key)


def test_certificates_of_another_name(make: Make, authority: Authority) -> None:
    ca = {"ca": str(authority.file)}
    certificate = authority.certify("elsewhere", "DNS:redis.example")
    cluster = make(certificate, table={"server_name": "redis.example"})
    assert cluster.open().set("k", b"v", level="all").acked == set("abc")
    assert "has a TLS certificate of another name" in _reasons(cluster, **ca)
    cluster.tls_table = {**ca, "check_names": False}
    assert cluster.open().get("k") == b"v"


def test_certificates_of_an_authority_that_is_not_trusted(make: Make, tmp_path: Path) -> None:
    cluster = make()
    other = Authority(tmp_path / "others", "others")
    assert "has a TLS certificate that is not accepted" in _reasons(cluster, ca=str(other.file))
    with pytest.raises(ConfigError, match=r"tls\.ca .*No such file"):
        _reasons(cluster, ca=str(tmp_path / "none.crt"))


def test_certificates_are_renewed_while_programs_run(
    make: Make, authority: Authority, tmp_path: Path
) -> None:
    trusted = tmp_path / "trusted.crt"
    shutil.copy(authority.file, trusted)
    cluster = make(table={"ca": str(trusted)})
    store = cluster.open()
    store.set("k", b"before", level="all")
    other = Authority(tmp_path / "new", "new")
    new = other.certify("server", *HOSTS)
    for node in cluster.nodes:
        with connect(cluster[node]) as client:
            client.config_set("tls-cert-file", str(new.file), "tls-key-file", str(new.key))
            client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    wait_until(lambda: not _is_stored(store), 20.0, "the old authority is not enough")
    os.replace(other.file, trusted)
    wait_until(lambda: _is_stored(store), 20.0, "a write that trusts the new authority")


def _is_stored(store: Any) -> bool:
    try:
        return len(store.set("k", b"after", level="all").acked) == 3
    except Exception:
        return False


def test_the_servers_and_the_commands_know_addresses_alone(
    make: Make, authority: Authority
) -> None:
    cluster = make()
    secret = f"ssl_ca_certs={authority.file}&ssl_password=hunter"
    file = cluster.configuration_file()
    file.write_text(file.read_text().replace('/0"', f'/0?{secret}"'))
    for node in cluster.nodes:
        with connect(cluster[node]) as client:
            client.flushall()
    for arguments in (
        ["init"],
        ["status"],
        ["nodes", "list"],
        ["config", "show"],
        ["status", "--format", "json"],
    ):
        done = CliRunner().invoke(cli, [*arguments, "--config", str(file)])
        assert done.exit_code == 0, done.output
        assert "hunter" not in done.output
        assert "ssl_" not in done.output
    for node in cluster.nodes:
        with connect(cluster[node]) as client:
            stored = b"".join(client.hvals(KeyLayout("shop").topology))
            assert b"rediss://127.0.0.1:" in stored
            assert b"ssl_" not in stored


def test_commands_add_nodes_with_the_table_of_the_file(make: Make) -> None:
    cluster = make()
    spare, file = cluster.spare("d"), cluster.configuration_file()
    done = CliRunner().invoke(cli, ["nodes", "add", "d", spare.url, "--config", str(file)])
    assert done.exit_code == 0, done.output
    with Administration(cluster.configuration()) as administration:
        assert administration.find_members().member("d").url == spare.url
