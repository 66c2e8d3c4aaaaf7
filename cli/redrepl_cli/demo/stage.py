"""The demo's servers, queue, configuration file and worker process; all gone when the demo is
over.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from redrepl import (
    Administration,
    ClusterStatus,
    Configuration,
    Mode,
    RedreplError,
    load_configuration,
)
from redrepl.embedded import EmbeddedCluster, EmbeddedServer
from redrepl_cli.children import SAFE_PATH

CLUSTER = "demo"
NODES = ("a", "b", "c")
TICK_SECONDS = 0.25
"""Quicker than the default of a second, so that a demo takes little of your time."""

_POLL_SECONDS = 0.02


class DemoFailed(Exception):
    """The demo could not show what it is there to show; the text says why."""


class Stage:
    """Three servers and a queue, initialised; the worker is started by `start_worker`."""

    def __init__(self, mode: Mode, binary: str | None) -> None:
        self.mode = mode
        self._binary = binary
        self._stack = ExitStack()
        self._worker: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.servers = self._stack.enter_context(
                EmbeddedCluster(names=NODES, binary=self._binary)
            ).servers
            self._queue = self._stack.enter_context(EmbeddedServer("queue", binary=self._binary))
            folder = Path(
                self._stack.enter_context(tempfile.TemporaryDirectory(prefix="redrepl-demo-"))
            )
            self.file = folder / "redrepl.toml"
            self._log = folder / "worker.log"
            self.file.write_text(self._configuration_text(), encoding="utf-8")
            self.configuration = load_configuration(self.file, environment={})
            self.administration = self._stack.enter_context(Administration(self.configuration))
            self.administration.initialise()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop_worker()
        self._stack.close()

    @property
    def engine(self) -> str:
        """Which server program runs."""
        binary = self.servers["a"].binary
        return f"{binary.engine} {binary.version_text}"

    def _configuration_text(self) -> str:
        lines = [
            f'cluster = "{CLUSTER}"',
            f'mode = "{self.mode.value}"',
            f"tick_seconds = {TICK_SECONDS}",
        ]
        lines.append(f"queue_url = {json.dumps(self._queue.url)}")
        for number, (node, server) in enumerate(self.servers.items()):
            role = "primary" if number == 0 or self.mode is Mode.MULTI_PRIMARY else "replica"
            lines += [
                "",
                "[[nodes]]",
                f'id = "{node}"',
                f"url = {json.dumps(server.url)}",
                f'role = "{role}"',
            ]
        return "\n".join(lines) + "\n"

    def start_worker(self) -> None:
        """Start `redrepl worker` as a process of its own."""
        command = [
            sys.executable,
            *SAFE_PATH,
            "-m",
            "redrepl_cli",
            "worker",
            "--config",
            str(self.file),
        ]
        with self._log.open("ab") as log:
            self._worker = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )

    def stop_worker(self) -> None:
        """Stop it cleanly, or hard where it does not come to an end."""
        worker, self._worker = self._worker, None
        if worker is None:
            return
        worker.terminate()
        try:
            worker.wait(timeout=10)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()

    def wait_for(
        self, what: str, condition: Callable[[ClusterStatus], bool], timeout_seconds: float = 20.0
    ) -> tuple[ClusterStatus, float]:
        """Look at the status until the condition holds; answers it and the seconds it took.

        Raises DemoFailed.
        """
        started = time.monotonic()
        while True:
            try:
                status = self.administration.status(look_at_keys=False)
                if condition(status):
                    return status, time.monotonic() - started
                seen = f"{status.condition.value}, lag {status.stats.max_lag_entries} entries"
            except RedreplError as error:
                seen = str(error)
            if self._worker is not None and self._worker.poll() is not None:
                raise DemoFailed(
                    f"the worker process ended by itself:\n{self._log.read_text()[-2000:]}"
                )
            if time.monotonic() - started > timeout_seconds:
                raise DemoFailed(f"{what}: not within {timeout_seconds:g} s; last seen: {seen}")
            time.sleep(_POLL_SECONDS)


def everything_arrived(status: ClusterStatus) -> bool:
    """All nodes serve and nothing is left to catch up with."""
    return all(node.healthy and node.lag_entries == 0 for node in status.nodes)


def cut_off(configuration: Configuration, own: str, dead_url: str) -> Configuration:
    """The configuration of a client that reaches its own primary alone: everybody else is behind a
    closed port.
    """
    from dataclasses import replace

    endpoints = tuple(
        e if e.node == own else replace(e, connect_url=dead_url) for e in configuration.endpoints
    )
    return replace(configuration, endpoints=endpoints, home=own, queue_url=None)
