"""What a fault may touch, and the pieces that faults are made of."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import redis

from redrepl.embedded import EmbeddedServer
from redrepl.embedded.proxy import TcpProxy
from redrepl_cli.chaos.stage import CLIENTS, HALF, WORKERS, Stage

EVERYBODY = (CLIENTS, HALF, WORKERS)


@dataclass(slots=True)
class Scene:
    """What a fault may touch: the stage, the node that it is for, and where to note the moment of
    the harm.
    """

    stage: Stage
    node: str
    began_ns: int = 0

    def begins(self) -> None:
        """The harm is done now."""
        self.began_ns = time.monotonic_ns()

    def proxies(self, *between: str) -> list[TcpProxy]:
        """Those between the node and CLIENTS, HALF or WORKERS."""
        stage = self.stage
        sets = {CLIENTS: stage.for_clients, HALF: stage.for_half, WORKERS: stage.for_workers}
        return [sets[who][self.node] for who in between]

    def everywhere(self) -> list[TcpProxy]:
        """All that lead to the node."""
        return self.proxies(*EVERYBODY)

    @property
    def server(self) -> EmbeddedServer:
        """The node's own."""
        return self.stage.servers[self.node]


Harm = Callable[[Scene], AbstractContextManager[None]]


def tell(server: EmbeddedServer, *commands: tuple[str, ...]) -> None:
    """Give a server commands past all proxies, as its operator would."""
    with redis.Redis.from_url(server.url, protocol=2) as client:
        for command in commands:
            client.execute_command(*command)


@contextmanager
def meanwhile(work: Callable[[threading.Event], None]) -> Iterator[None]:
    """Let a thread work until the block ends, which sets the event; what it raises is raised
    then.
    """
    over = threading.Event()
    errors: list[Exception] = []

    def run() -> None:
        try:
            work(over)
        except Exception as caught:  # handed to the block's owner
            errors.append(caught)

    worker = threading.Thread(target=run, name="nemesis")
    worker.start()
    try:
        yield
    finally:
        over.set()
        worker.join()
    for error in errors:
        raise error
