"""Clusters of real servers with a configuration file, for commands to run on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from redrepl import Administration, Configuration, Coordinator, load_configuration
from redrepl.embedded import EmbeddedCluster, EmbeddedServer, ServerBinary
from redrepl.values.keys import KeyLayout

CLUSTER = f"cli-{os.getpid()}"
"""Other runs on this machine may know a port from before: they must not take these servers for
theirs.
"""

TIMEOUT_SECONDS = 10.0
"""Killed servers refuse at once; this is for machines that are busy with other tests."""


@dataclass(frozen=True)
class CliCluster:
    """Three servers a, b and c, a queue, and the file that names them."""

    servers: EmbeddedCluster
    queue: EmbeddedServer
    file: Path

    @property
    def configuration(self) -> Configuration:
        """The file, read without the environment."""
        return load_configuration(self.file, environment={})

    def __getitem__(self, name: str) -> EmbeddedServer:
        return self.servers[name]

    def set_everywhere(self, **values: str) -> None:
        """Store values on all copies."""
        with Coordinator[str, bytes](self.configuration) as coordinator:
            coordinator.set_many(
                {key: value.encode() for key, value in values.items()}, level="all"
            )

    def stored_name(self, key: str) -> bytes:
        """The name under which nodes store a key."""
        return KeyLayout(CLUSTER).data(key.encode())


def write_configuration(
    file: Path, urls: dict[str, str], queue_url: str | None, **options: object
) -> None:
    """A configuration with the first node as primary; options are TOML values."""
    settings: dict[str, object] = {
        "cluster": f'"{CLUSTER}"',
        "timeout_seconds": TIMEOUT_SECONDS,
        **options,
    }
    if queue_url is not None:
        settings["queue_url"] = f'"{queue_url}"'
    lines = [f"{name} = {value}" for name, value in settings.items()]
    for number, (name, url) in enumerate(urls.items()):
        role = "replica" if number else "primary"
        lines += ["[[nodes]]", f'id = "{name}"', f'url = "{url}"', f'role = "{role}"']
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


@contextmanager
def running_cluster(
    binary: ServerBinary, directory: Path, initialise: bool = True
) -> Iterator[CliCluster]:
    """A cluster while the block runs."""
    with EmbeddedCluster(binary=binary) as servers, EmbeddedServer("queue", binary) as queue:
        file = directory / "redrepl.toml"
        write_configuration(file, servers.urls, queue.url)
        cluster = CliCluster(servers, queue, file)
        if initialise:
            with Administration(cluster.configuration) as administration:
                administration.initialise()
        yield cluster
