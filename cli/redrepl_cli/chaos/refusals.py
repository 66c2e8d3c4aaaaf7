"""Faults of nodes that answer everything and take no write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from redrepl.embedded import EmbeddedServer
from redrepl_cli.chaos.scene import Harm, Scene, tell

Commands = tuple[tuple[str, ...], ...]

NOWHERE = "1"
"""A port where nothing listens."""

NO_REPLICAS: tuple[Commands, Commands] = (
    (("CONFIG", "SET", "min-replicas-to-write", "1"),),
    (("CONFIG", "SET", "min-replicas-to-write", "0"),),
)
"""As where the replicas of native replication are gone."""

READ_ONLY: tuple[Commands, Commands] = (
    (("REPLICAOF", "127.0.0.1", NOWHERE),),
    (("REPLICAOF", "NO", "ONE"),),
)
"""As where an orchestrator took it for its own."""

NO_PERMISSION: tuple[Commands, Commands] = (
    (("ACL", "SETUSER", "default", "-xadd"),),
    (("ACL", "SETUSER", "default", "+@all"),),
)
"""As where somebody tightened the login's rules."""

FULL: tuple[Commands, Commands] = (
    (("CONFIG", "SET", "maxmemory", "1"),),
    (("CONFIG", "SET", "maxmemory", "0"),),
)


def refuses(commands: tuple[Commands, Commands]) -> Harm:
    """One node refuses; ``commands`` make it so, and end it."""
    return _told(commands, lambda scene: [scene.server])


def all_refuse(commands: tuple[Commands, Commands]) -> Harm:
    """All nodes do."""
    return _told(commands, lambda scene: list(scene.stage.servers.values()))


def _told(
    commands: tuple[Commands, Commands], who: Callable[[Scene], list[EmbeddedServer]]
) -> Harm:
    harming, healing = commands

    @contextmanager
    def harm(scene: Scene) -> Iterator[None]:
        servers = who(scene)
        scene.begins()
        for server in servers:
            tell(server, *harming)
        yield
        for server in servers:
            tell(server, *healing)

    return harm
