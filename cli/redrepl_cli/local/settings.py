"""What `up` keeps in its directory: the generated `redrepl.toml`, one folder of data per node, the
worker's log.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from string import ascii_lowercase

from redrepl import ConfigError, Configuration, Mode, NodeRole, load_configuration
from redrepl.edges.configuration import DEFAULT_FILE
from redrepl.values.node_url import parse_node_url
from redrepl_cli.errors import CommandFailed
from redrepl_cli.exit_codes import ExitCode

DEFAULT_CLUSTER = "local"
DEFAULT_NODES = 3
LOCK_FILE = "lock"


@dataclass(frozen=True, slots=True)
class Wishes:
    """What was asked for; None where the existing directory, or else the default, decides."""

    nodes: int | None
    mode: Mode | None
    cluster: str | None


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """A local cluster.

    ``ports`` by node name and "queue": those of the last time, empty at the first.
    """

    directory: Path
    cluster: str
    mode: Mode
    names: tuple[str, ...]
    ports: dict[str, int]

    @property
    def file(self) -> Path:
        """The configuration that everybody uses."""
        return self.directory / DEFAULT_FILE

    def role(self, name: str) -> NodeRole:
        """The first node is the primary; in multi-primary mode all are."""
        is_primary = self.mode is Mode.MULTI_PRIMARY or name == self.names[0]
        return NodeRole.PRIMARY if is_primary else NodeRole.REPLICA

    def write(self, urls: dict[str, str], queue_url: str) -> None:
        """Write the configuration, whole or not at all."""
        lines = [
            "# written by `redrepl up`, which keeps what is here",
            f'cluster = "{self.cluster}"',
        ]
        lines += [f'mode = "{self.mode.value}"', f'queue_url = "{queue_url}"']
        for name in self.names:
            lines += [
                "",
                "[[nodes]]",
                f'id = "{name}"',
                f'url = "{urls[name]}"',
                f'role = "{self.role(name).value}"',
            ]
            # Where a port was taken, the server has another one than the cluster knows.
            lines.append(f'connect_url = "{urls[name]}"')
        draft = self.file.with_suffix(".new")
        draft.write_text("\n".join(lines) + "\n", encoding="utf-8")
        os.replace(draft, self.file)


def settle(directory: Path, wishes: Wishes) -> LocalSettings:
    """The settings of a directory: those it has, or new ones.

    Raises CommandFailed where they contradict the wishes.
    """
    directory = directory.absolute()
    file = directory / DEFAULT_FILE
    if not file.exists():
        names = tuple(ascii_lowercase[: wishes.nodes or DEFAULT_NODES])
        mode = wishes.mode or Mode.PRIMARY_REPLICA
        return LocalSettings(directory, wishes.cluster or DEFAULT_CLUSTER, mode, names, {})
    # The environment is left out: it may speak of another cluster.
    found = load_configuration(file, environment={})
    _check_wishes(file, found, wishes)
    return LocalSettings(
        directory,
        found.cluster,
        found.mode,
        tuple(m.id for m in found.members),
        _ports(file, found),
    )


def _check_wishes(file: Path, found: Configuration, wishes: Wishes) -> None:
    pairs = [
        ("--nodes", wishes.nodes, len(found.members)),
        ("--cluster", wishes.cluster, found.cluster),
    ]
    pairs.append(("--mode", wishes.mode and wishes.mode.value, found.mode.value))
    for option, wanted, existing in pairs:
        if wanted is not None and wanted != existing:
            raise CommandFailed(
                f"{file} describes a cluster with {option} {existing}, not {wanted}",
                ExitCode.USAGE,
                "leave the option out, or give another --directory",
            )


def _ports(file: Path, found: Configuration) -> dict[str, int]:
    urls = {member.id: member.url for member in found.members}
    if found.queue_url is not None:
        urls["queue"] = found.queue_url
    ports = {}
    for name, url in urls.items():
        parsed = parse_node_url(url)
        if parsed.host != "127.0.0.1":
            raise ConfigError(
                f"{file}: {name} is at {parsed.public}: `redrepl up` runs servers on 127.0.0.1 only"
            )
        ports[name] = parsed.port
    return ports


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold the directory: two servers on one set of data would destroy it.

    Raises CommandFailed where it is held.
    """
    if not directory.exists():
        directory.mkdir(parents=True, exist_ok=True)
        # Data, and the addresses of this machine: nothing for a repository.
        (directory / ".gitignore").write_text("# Made by redrepl up.\n*\n", encoding="utf-8")
    with (directory / LOCK_FILE).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommandFailed(
                f"another `redrepl up` runs in {directory}",
                ExitCode.ERROR,
                "stop it, or give another --directory",
            ) from None
        yield
