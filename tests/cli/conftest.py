"""Commands run in this process, and clusters for them to run on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

import pytest
from click.testing import CliRunner, Result

from redrepl.embedded import ServerBinary, ServerBinaryNotFound, find_server_binary
from redrepl_cli.main import cli
from tests.cli.support.clusters import CliCluster, running_cluster


class Invoke(Protocol):
    """Run a command in this process."""

    def __call__(
        self,
        *arguments: str,
        standard_input: bytes | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> Result:
        """Run it with these arguments; ``variables`` are added to the environment."""
        ...


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the caller's environment plays a part."""
    for name in [
        name
        for name in os.environ
        if name.startswith("REDREPL_") and name != "REDREPL_SERVER_BINARY"
    ]:
        monkeypatch.delenv(name)
    for name in ("COLUMNS", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def invoke() -> Invoke:
    """Run a command in this process, without a terminal."""

    def run(
        *arguments: str,
        standard_input: bytes | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> Result:
        return CliRunner().invoke(
            cli, list(arguments), input=standard_input, env=variables, prog_name="redrepl"
        )

    return run


@pytest.fixture(scope="session")
def any_binary() -> ServerBinary:
    """One server program: what commands do does not depend on which."""
    try:
        return find_server_binary()
    except ServerBinaryNotFound as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


@pytest.fixture
def cluster(any_binary: ServerBinary, tmp_path: Path) -> Iterator[CliCluster]:
    """A cluster of the test's own."""
    with running_cluster(any_binary, tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def shared_cluster(
    any_binary: ServerBinary, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[CliCluster]:
    """A cluster for tests that leave it as it is, but for keys of their own."""
    with running_cluster(any_binary, tmp_path_factory.mktemp("cluster")) as running:
        yield running
