"""The engines on which every script test runs: fakeredis, a real Valkey and a real Redis."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from redrepl.embedded import EmbeddedServer, find_all_binaries
from tests.scripts.harness import Node
from tests.support.clients import connect

_BINARIES = {binary.engine: binary for binary in find_all_binaries()}
_REAL = [pytest.param(engine, marks=pytest.mark.servers) for engine in ("valkey", "redis")]


def _real_node(engine: str) -> Iterator[Node]:
    binary = next((found for name, found in _BINARIES.items() if name == engine), None)
    if binary is None and os.environ.get("CI"):
        pytest.fail(f"no {engine} server program was found")
    if binary is None:
        pytest.skip(f"no {engine} server program was found")
    with EmbeddedServer(name=f"scripts-{engine}", binary=binary) as server:
        client = connect(server, protocol=2)
        yield Node(engine, client)
        client.close()


@pytest.fixture(scope="session", params=["fakeredis", *_REAL])
def any_engine(request: pytest.FixtureRequest) -> Iterator[Node]:
    """A node of each engine in turn."""
    if request.param == "fakeredis":
        yield Node.in_memory()
    else:
        yield from _real_node(request.param)


@pytest.fixture(scope="session", params=_REAL)
def real_engine(request: pytest.FixtureRequest) -> Iterator[Node]:
    """A node of each real engine in turn, for what fakeredis lacks."""
    yield from _real_node(request.param)


@pytest.fixture
def node(any_engine: Node) -> Node:
    """An empty active primary, of each engine in turn."""
    any_engine.reset()
    return any_engine


@pytest.fixture
def real_node(real_engine: Node) -> Node:
    """An empty active primary, of each real engine in turn."""
    real_engine.reset()
    return real_engine
