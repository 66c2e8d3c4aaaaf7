"""What a chaos run plays on: servers behind proxies, a queue, workers and clients; all gone when
the run is over.
"""

from __future__ import annotations

import json
import os
import signal
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from redrepl import Administration, Configuration, Coordinator, NodeRole, load_configuration
from redrepl.embedded import EmbeddedCluster, EmbeddedServer, ServerBinary
from redrepl.embedded.configuration import LOOPBACK_ADDRESS
from redrepl.embedded.proxy import TcpProxy
from redrepl.embedded.watchdog import watchdog
from redrepl.testing.history import Operation
from redrepl_cli.chaos.processes import ClientProcess
from redrepl_cli.local.servers import WorkerProcess

CLUSTER = "chaos"
MAY_DEBUG = ("--enable-debug-command", "local")
WORKER_PROCESSES = 2
CLIENTS, HALF, WORKERS = "clients", "half", "workers"
"""Names of configuration files.

Every second client is of the HALF, which can be cut off while the others go on.
"""

TIMEOUT_SECONDS = 1.0
TICK_SECONDS = 0.25
"""Quicker than the default of a second: faults follow each other quickly too."""

MAX_AGE_SECONDS = 5.0
"""Shorter than the default of 30: after some faults it must pass before all is settled."""

MAX_SKEW_SECONDS = 2.0

TOMBSTONE_RETENTION_SECONDS = 2 * (MAX_AGE_SECONDS + MAX_SKEW_SECONDS)
"""The shortest that is allowed: keys are deleted and written again while their tombstones are
purged.
"""


@dataclass(frozen=True, slots=True)
class Settings:
    """The size of a run.

    ``seconds``: how long each fault lasts. ``moves_clocks``: some of them move nodes' clocks.
    """

    binary: ServerBinary
    seconds: float = 6.0
    copies: int = 3
    clients: int = 4
    keys: int = 50
    seed: int = 0
    moves_clocks: bool = False


class Stage:
    """A cluster under load.

    The owner reaches the servers directly, clients and workers through proxies.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._stack = ExitStack()
        self.clients: list[ClientProcess] = []
        self._ended_clients: list[ClientProcess] = []
        self._workers: list[WorkerProcess] = []
        self.for_clients: dict[str, TcpProxy] = {}
        self.for_half: dict[str, TcpProxy] = {}
        self.for_workers: dict[str, TcpProxy] = {}

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._open(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def _open(self, stack: ExitStack) -> None:
        settings = self.settings
        cluster = EmbeddedCluster(
            settings.copies,
            binary=settings.binary,
            persistence="aof",
            extra_arguments=MAY_DEBUG,
            movable_clocks=settings.moves_clocks,
        )
        self.servers = dict(stack.enter_context(cluster).servers)
        self.queue = stack.enter_context(EmbeddedServer("queue", settings.binary))
        self.folder = self._new_folder(stack)
        for proxies in (self.for_clients, self.for_half, self.for_workers):
            proxies.update({node: stack.enter_context(self._proxy(node)) for node in self.servers})
        self._configuration(CLIENTS, self.for_clients)
        self._configuration(HALF, self.for_half)
        self._configuration(WORKERS, self.for_workers)
        self.configuration = self._configuration("direct", {})
        self.administration = stack.enter_context(Administration(self.configuration))
        self.administration.initialise()
        self.store: Coordinator[str, bytes] = stack.enter_context(Coordinator(self.configuration))
        stack.callback(self.stop_workers)
        self.start_workers()
        stack.callback(self._close_clients)
        for _ in range(settings.clients):
            self.start_client()

    def new_server(self, node: str) -> EmbeddedServer:
        """An empty server, from now on the node's own: its owner gives it the place."""
        settings = self.settings
        server = EmbeddedServer(
            node,
            settings.binary,
            persistence="aof",
            extra_arguments=MAY_DEBUG,
            movable_clock=settings.moves_clocks,
        )
        self.servers[node] = self._stack.enter_context(server)
        return server

    def _new_folder(self, stack: ExitStack) -> Path:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="redrepl-chaos-")))
        watchdog.register_directory(folder)
        stack.callback(watchdog.unregister_directory, folder)
        return folder

    def _proxy(self, node: str) -> TcpProxy:
        return TcpProxy(LOOPBACK_ADDRESS, self.servers[node].port)

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.toml"

    def _configuration(self, name: str, proxies: dict[str, TcpProxy]) -> Configuration:
        settings = {
            "cluster": CLUSTER,
            "queue_url": self.queue.url,
            "timeout_seconds": TIMEOUT_SECONDS,
            "tick_seconds": TICK_SECONDS,
            "max_age_seconds": MAX_AGE_SECONDS,
            "max_skew_seconds": MAX_SKEW_SECONDS,
            "tombstone_retention_seconds": TOMBSTONE_RETENTION_SECONDS,
            "sweep_every_seconds": TICK_SECONDS,
        }
        lines = [f"{option} = {json.dumps(value)}" for option, value in settings.items()]
        for number, (node, server) in enumerate(self.servers.items()):
            role = NodeRole.REPLICA if number else NodeRole.PRIMARY
            lines += [
                "",
                "[[nodes]]",
                f'id = "{node}"',
                f'url = "{server.url}"',
                f'role = "{role.value}"',
            ]
            if proxies:
                lines.append(f'connect_url = "{proxies[node].url(server.url)}"')
        self._file(name).write_text("\n".join(lines) + "\n", encoding="utf-8")
        return load_configuration(self._file(name), environment={})

    # Looking --------------------------------------------------------------------------------------

    @property
    def engine(self) -> str:
        """Which server program runs."""
        return f"{self.settings.binary.engine} {self.settings.binary.version_text}"

    def primary(self) -> str:
        """The node that decides now, as the newest topology says."""
        topology, _ = self.administration.inspect()
        decider = topology.decider if topology is not None else None
        assert decider is not None, "initialised with one primary"
        return decider

    def replicas(self) -> list[str]:
        """The other nodes."""
        primary = self.primary()
        return [node for node in self.servers if node != primary]

    def operations(self) -> list[Operation]:
        """All that clients have logged so far."""
        return [
            each for client in (*self._ended_clients, *self.clients) for each in client.operations()
        ]

    def has_committed_since(self, moment_ns: int) -> bool:
        """Whether a client's write that began after this moment was committed."""
        latest = (each for client in self.clients for each in client.latest_operations())
        return any(each.is_committed_write and each.invoked > moment_ns for each in latest)

    def worker_log(self) -> str:
        """The end of what the workers wrote."""
        texts = [
            path.read_text(encoding="utf-8", errors="replace")
            for path in sorted(self.folder.glob("worker-*.log"))
        ]
        return "\n".join(text[-3000:] for text in texts)

    # Workers and clients --------------------------------------------------------------------------

    def start_workers(self) -> None:
        """Start those that are missing."""
        while len(self._workers) < WORKER_PROCESSES:
            log = self.folder / f"worker-{len(self._workers)}.log"
            self._workers.append(WorkerProcess(self._file(WORKERS), log))

    def kill_workers(self) -> None:
        """SIGKILL all of them, whatever they are doing."""
        for worker in self._workers:
            os.kill(worker.pid, signal.SIGKILL)
        self.stop_workers()

    def stop_workers(self) -> None:
        """Stop all of them in good order."""
        for worker in self._workers:
            worker.__exit__(None, None, None)
        self._workers.clear()

    def dead_workers(self) -> int:
        """Workers that ended by themselves."""
        return sum(not worker.running for worker in self._workers)

    def start_client(self) -> None:
        """Start one more, which waits for "go"."""
        settings, number = self.settings, len(self.clients) + len(self._ended_clients)
        file = self._file(CLIENTS if number % 2 else HALF)
        self.clients.append(
            ClientProcess(file, self.folder, f"c{number}", settings.seed, settings.keys)
        )

    def replace_client(self) -> None:
        """SIGKILL the client that has been there longest and start another in its place."""
        victim = self.clients.pop(0)
        victim.kill()
        self._ended_clients.append(victim)
        self.start_client()
        self._tell(self.clients[-1:], lambda _: "go")

    def go(self) -> None:
        """Let all clients work."""
        self._tell(self.clients, lambda _: "go")

    def pause(self) -> None:
        """Let all clients finish what is under way, and wait."""
        self._tell(self.clients, lambda _: "pause")

    def skew(self, seconds: Sequence[float]) -> None:
        """Move the clients' clocks, the first by the first number and so on, in turns."""
        self._tell(self.clients, lambda number: f"skew {seconds[number % len(seconds)]}")

    def _tell(self, clients: Sequence[ClientProcess], order: Callable[[int], str]) -> None:
        for number, client in enumerate(clients):
            client.order(order(number))
        for client in clients:
            client.followed()

    def _close_clients(self) -> None:
        # All of them first: one that hangs in a broken cluster must not keep the others working.
        for client in self.clients:
            client.close()
