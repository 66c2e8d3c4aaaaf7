"""A replicated store on real servers, with everything a fault test does to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

from redrepl import (
    Administration,
    Configuration,
    Coordinator,
    Mode,
    NodeRole,
    NodeState,
    Session,
    load_configuration,
)
from redrepl.embedded import EmbeddedCluster, EmbeddedServer, ServerBinary
from redrepl.embedded.configuration import Persistence
from redrepl.embedded.proxy import TcpProxy
from redrepl.plans.recovery.bring_up import BroughtUp
from redrepl_workers.monitor import Monitor
from redrepl_workers.tick import Ticker
from tests.servers.support.processes import Child, start_worker, start_writer
from tests.servers.support.raw import RawNode
from tests.servers.support.tls import ServerTls, TlsCluster, TlsServer
from tests.support.waiting import wait_until

Store: TypeAlias = Coordinator[Any, bytes]

TIMEOUT_SECONDS = 1.5
MAX_AGE_SECONDS = 3.0
"""Undecided records go after this; well above the time-out, also on a busy machine."""

TICK_SECONDS = 0.2
SETTLE_SECONDS = 40.0
"""Generous: a loaded machine is slow, a bug never settles."""


class NodeProxy(TcpProxy):
    """A proxy before a node; its url is written as the node's."""

    def __init__(self, server: EmbeddedServer) -> None:
        super().__init__("127.0.0.1", server.port)
        self._server = server

    def url(self, template: str = "") -> str:
        """Where clients come to."""
        return super().url(template or self._server.url)


class Cluster:
    """Servers a, b, c …, an initialised cluster "shop" on them, and what belongs to a test;
    `close()` ends it all.
    """

    def __init__(
        self,
        binary: ServerBinary,
        folder: Path,
        *,
        count: int = 3,
        mode: Mode = Mode.PRIMARY_REPLICA,
        persistence: Persistence = "aof",
        queue: bool = False,
        queue_called: str = "",
        movable_clocks: bool = False,
        extra_arguments: tuple[str, ...] = (),
        tls: ServerTls | None = None,
        tls_table: Mapping[str, object] | None = None,
        **options: Any,
    ) -> None:
        self.stack = ExitStack()
        self.folder = folder
        self.mode = mode
        self.tls = tls
        self.tls_table = {} if tls_table is None else dict(tls_table)
        like: dict[str, Any] = {"persistence": persistence, "extra_arguments": extra_arguments}
        like["movable_clocks"] = movable_clocks
        self.servers = (
            EmbeddedCluster(count, binary=binary, **like)
            if tls is None
            else TlsCluster(count, binary, tls, **like)
        )
        self.stack.enter_context(self.servers)
        self.queue: EmbeddedServer | None = None
        if queue:
            self.queue = self.stack.enter_context(self._server("queue", binary))
        self.options: dict[str, Any] = {
            "timeout_seconds": TIMEOUT_SECONDS,
            "max_age_seconds": MAX_AGE_SECONDS,
            "tick_seconds": TICK_SECONDS,
            **({"queue": queue_called} if queue_called else {}),
            **options,
        }
        self.nodes = tuple(self.servers.servers)
        self.spares: dict[str, EmbeddedServer] = {}
        self.administration = self.stack.enter_context(Administration(self.configuration()))
        self.administration.initialise()

    def close(self) -> None:
        """End everything that was started."""
        self.stack.close()

    def __getitem__(self, node: str) -> EmbeddedServer:
        return self.spares[node] if node in self.spares else self.servers[node]

    def spare(self, name: str) -> EmbeddedServer:
        """One more server, no member yet."""
        server = self._server(name, self.servers["a"].binary, persistence="aof")
        self.spares[name] = self.stack.enter_context(server)
        return server

    def _server(self, name: str, binary: ServerBinary, **options: Any) -> EmbeddedServer:
        if self.tls is None:
            return EmbeddedServer(name, binary, **options)
        return TlsServer(name, binary, self.tls, **options)

    # Opening --------------------------------------------------------------------------------------

    def configuration_file(self, urls: Mapping[str, str] | None = None, **options: Any) -> Path:
        """A configuration file; ``urls``: where nodes are reached in place of the servers' own
        addresses.
        """
        settings: dict[str, Any] = {
            "cluster": "shop",
            "mode": self.mode.value,
            **self.options,
            **options,
        }
        if self.queue is not None:
            settings.setdefault("queue_url", self.queue.url)
        reached_at = urls or {}
        lines = [
            f'{name} = "{value}"' if isinstance(value, str) else f"{name} = {value}"
            for name, value in settings.items()
        ]
        lines += [
            "[tls]",
            *(f"{name} = {json.dumps(value)}" for name, value in self.tls_table.items()),
        ]
        for number, node in enumerate(self.servers.servers):
            is_primary = number == 0 or self.mode is Mode.MULTI_PRIMARY
            role = NodeRole.PRIMARY if is_primary else NodeRole.REPLICA
            lines += [
                "[[nodes]]",
                f'id = "{node}"',
                f'url = "{self.servers.urls[node]}"',
                f'role = "{role.value}"',
            ]
            lines += [f'connect_url = "{reached_at[node]}"'] if node in reached_at else []
        file = self.folder / f"redrepl-{len(list(self.folder.iterdir()))}.toml"
        file.write_text("\n".join(lines))
        return file

    def configuration(self, urls: Mapping[str, str] | None = None, **options: Any) -> Configuration:
        """The configuration as programs load it."""
        return load_configuration(self.configuration_file(urls, **options), {})

    def open(
        self, urls: Mapping[str, str] | None = None, session: Session | None = None, **options: Any
    ) -> Store:
        """A coordinator."""
        return self.stack.enter_context(
            Coordinator(self.configuration(urls, **options), session=session)
        )

    def proxy(self, node: str) -> TcpProxy:
        """A proxy before a node; use its address with `open(urls=...)`."""
        return self.stack.enter_context(NodeProxy(self[node]))

    def proxied(self, node: str) -> tuple[TcpProxy, Store]:
        """A proxy before one node and a coordinator that reaches that node through it."""
        proxy = self.proxy(node)
        return proxy, self.open({node: proxy.url(self[node].url)})

    # Workers and clients --------------------------------------------------------------------------

    def worker(self, urls: Mapping[str, str] | None = None, beginning: str = "") -> Child:
        """A worker process; ``beginning``: statements to run in it first."""
        return self._child(
            start_worker(self.configuration_file(urls), self.folder / "worker.log", beginning)
        )

    def writer(self, level: str, name: str = "w") -> Child:
        """A client process that writes until it is killed."""
        return self._child(
            start_writer(self.configuration_file(), self.folder / "writer.log", level, name)
        )

    def _child(self, child: Child) -> Child:
        self.stack.callback(child.close)
        return child

    def ticker(self, asks_queue: bool = False) -> Ticker:
        """The worker's tick in this process, without a queue: cheaper than a process, and the same
        work.
        """
        configuration = load_configuration(self.configuration_file(), {})
        ticker = Ticker(configuration if asks_queue else _without_queue(configuration))
        self.stack.callback(ticker.stop)
        ticker.start()
        return ticker

    def monitor(self, **options: Any) -> Monitor:
        """A monitor in this process, as every worker has one."""
        monitor = Monitor(_without_queue(self.configuration(**options)))
        self.stack.callback(monitor.stop)
        monitor.start()
        return monitor

    def bring_up(self, node: str) -> BroughtUp:
        """What a job does for a node, in this process."""
        return self.administration.bring_up(node)

    # Looking --------------------------------------------------------------------------------------

    def raw(self, node: str) -> RawNode:
        """What stands on a node."""
        return RawNode(self[node])

    def lacking(self) -> list[str]:
        """Nodes that do not answer or need to be brought up: empty when all is done."""
        topology, reports = self.administration.inspect()
        assert topology is not None
        silent = [node for node in topology.ids if node not in reports.present]
        return silent + self.administration.targets(topology, reports)

    def wait_settled(self, timeout_seconds: float = SETTLE_SECONDS) -> None:
        """Wait until the workers have nothing left to do."""
        wait_until(lambda: not self.lacking(), timeout_seconds, "nothing left to bring up")

    def settle(self) -> None:
        """Do the workers' work in this process until nothing is left."""

        def done() -> bool:
            for node in self.lacking():
                self.bring_up(node)
            return not self.lacking()

        wait_until(done, SETTLE_SECONDS, "nothing left to bring up")

    def wait_lag_free(self, node: str, timeout_seconds: float = SETTLE_SECONDS) -> None:
        """Wait until the status shows the node active and without lag."""

        def is_free() -> bool:
            status = next(
                s for s in self.administration.status(look_at_keys=False).nodes if s.id == node
            )
            return status.healthy and status.lag_entries == 0

        wait_until(is_free, timeout_seconds, f"{node} active without lag")

    def wait_active(self, node: str, timeout_seconds: float = SETTLE_SECONDS) -> None:
        """Wait until the node admits clients; while writes go on it is never without lag for
        long.
        """

        def is_active() -> bool:
            status = self.administration.status(look_at_keys=False)
            return next(s.state for s in status.nodes if s.id == node) is NodeState.ACTIVE

        wait_until(is_active, timeout_seconds, f"{node} active")

    def assert_identical(self) -> dict[bytes, bytes]:
        """All nodes hold the same bytes under the same keys; answers them."""
        first, *others = self.nodes
        expected = self.raw(first).records()
        for node in others:
            found = self.raw(node).records()
            differing = sorted(
                k for k in expected.keys() | found.keys() if expected.get(k) != found.get(k)
            )
            shown = [(key, expected.get(key), found.get(key)) for key in differing[:5]]
            assert not differing, f"{first} and {node} differ in {len(differing)} keys: {shown}"
        return expected

    def values_everywhere(self) -> dict[bytes, bytes]:
        """The values, after making sure that all nodes are identical."""
        self.assert_identical()
        return self.raw(self.nodes[0]).values()


def _without_queue(configuration: Configuration) -> Configuration:
    return replace(configuration, queue_url=None)
