"""Faults of servers that are not what their members are any more: replaced, or set back while they
go on.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from redrepl import RedreplError
from redrepl.edges.endpoint import split_url
from redrepl.embedded import EmbeddedServer
from redrepl_cli.chaos.scene import Scene, tell
from redrepl_cli.chaos.stage import CLIENTS, HALF, WORKERS

BACK_SECONDS = 4.0
"""What a server is set back by: many ticks of the workers, also on a busy machine."""

_REPLACE_SECONDS = 30.0
_AGAIN_SECONDS = 0.2


@contextmanager
def replaced(scene: Scene) -> Iterator[None]:
    """A machine hangs and another server gets its place.

    Then the former one goes on with what it has, in the same run: half of the clients reach it, as
    with a file of another time, and the others reach the new server.
    """
    former, stage = scene.server, scene.stage
    scene.begins()
    former.freeze()
    newcomer = stage.new_server(scene.node)
    _give_place(scene, newcomer)
    _lead(scene, newcomer, CLIENTS, WORKERS)
    former.resume()
    yield
    _lead(scene, newcomer, HALF)
    former.stop()


def _give_place(scene: Scene, newcomer: EmbeddedServer) -> None:
    give_up_at = time.monotonic() + _REPLACE_SECONDS
    endpoint = split_url(scene.node, newcomer.url)
    while True:
        try:
            scene.stage.administration.replace_node(endpoint)
        except RedreplError:
            # A failover by the workers may be under way, and clients keep the machine busy.
            if time.monotonic() > give_up_at:
                raise
            time.sleep(_AGAIN_SECONDS)
        else:
            return


def _lead(scene: Scene, newcomer: EmbeddedServer, *between: str) -> None:
    for proxy in scene.proxies(*between):
        proxy.lead_to(newcomer.port)


@contextmanager
def set_back(scene: Scene) -> Iterator[None]:
    """The server's memory is what it was a while ago, in the same run, as after a machine was set
    back to a snapshot with its memory.

    Its append-only file begins anew with that.
    """
    server = scene.server
    tell(server, ("SAVE",))
    time.sleep(BACK_SECONDS)  # others are to go on
    scene.begins()
    tell(server, ("CONFIG", "SET", "appendonly", "no"), ("DEBUG", "RELOAD", "NOSAVE"))
    tell(server, ("CONFIG", "SET", "appendonly", "yes"))
    yield
