"""Every command works on servers that are reached through socket files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from redrepl.embedded import EmbeddedCluster, ServerBinary
from redrepl_cli.exit_codes import ExitCode
from tests.cli.conftest import Invoke
from tests.cli.support.clusters import write_configuration

pytestmark = pytest.mark.servers
SOCKET = "node.sock"


@pytest.fixture
def servers(any_binary: ServerBinary) -> Iterator[EmbeddedCluster]:
    """Servers a to d, each with a socket in its folder."""
    with EmbeddedCluster(4, binary=any_binary, extra_arguments=("--unixsocket", SOCKET)) as running:
        yield running


def test_a_cluster_of_socket_files(
    servers: EmbeddedCluster, invoke: Invoke, tmp_path: Path
) -> None:
    urls = {name: f"unix://{server.directory / SOCKET}" for name, server in servers.servers.items()}
    spare, moved, file = urls.pop("d"), f"{urls['c']}?db=1", tmp_path / "redrepl.toml"
    write_configuration(file, urls, None)
    for arguments, said in (
        (["config", "check"], "nodes a (primary), b (replica), c (replica)"),
        (["init"], "created"),
        (["config", "check", "--connect"], "yes"),
        (["status"], urls["a"]),
        (["set", "k", "v", "--level", "all"], "committed"),
        (["get", "k"], "v"),
        (["nodes", "list"], urls["c"]),
        (["nodes", "add", "d", spare], ""),
        (["sync", "--yes"], ""),
        (["verify"], ""),
        (["nodes", "remove", "d", "--yes"], ""),
        (["switchover", "--to", "b", "--yes"], ""),
        (["nodes", "replace", "c", moved, "--yes"], ""),
        (["sync", "--yes"], ""),
        (["nodes", "list"], moved),
    ):
        done = invoke(*arguments, "--config", str(file))
        assert done.exit_code == ExitCode.DONE, (arguments, done.stdout, done.stderr)
        assert said in done.stdout + done.stderr, arguments


def test_a_socket_that_is_not_there(invoke: Invoke, tmp_path: Path) -> None:
    file = tmp_path / "redrepl.toml"
    write_configuration(file, {"a": f"unix://{tmp_path}/none.sock"}, None)
    done = invoke("status", "--config", str(file))
    assert done.exit_code == ExitCode.UNAVAILABLE
    assert (
        f"{tmp_path}/none.sock refuses connections: there is no such socket"
        in done.stderr + done.stdout
    )
