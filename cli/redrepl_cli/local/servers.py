"""The servers of a local cluster and its worker, started together and stopped in order."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from redrepl.embedded import EmbeddedServer, Persistence, ServerBinary, ServerStartError
from redrepl.embedded.watchdog import watchdog
from redrepl_cli.children import SAFE_PATH
from redrepl_cli.local.settings import LocalSettings

WORKER_STOP_SECONDS = 10.0
"""A worker ends after the batch at hand; past this it is killed."""

QUEUE = "queue"


class LocalServers:
    """One server per node, with data that stays, and one for the queue, which may lose
    everything.
    """

    def __init__(self, settings: LocalSettings, binary: ServerBinary) -> None:
        self._settings = settings
        self._binary = binary
        self._stack = ExitStack()
        self.nodes: dict[str, EmbeddedServer] = {}
        self.moved: list[str] = []

    def __enter__(self) -> Self:
        with ExitStack() as started:
            for name in self._settings.names:
                self.nodes[name] = started.enter_context(
                    self._start(name, self._settings.directory / name, "aof")
                )
            self.queue = started.enter_context(self._start(QUEUE, None, "none"))
            self._stack = started.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    @property
    def urls(self) -> dict[str, str]:
        """The nodes' addresses by name."""
        return {name: server.url for name, server in self.nodes.items()}

    def _start(self, name: str, directory: Path | None, persistence: Persistence) -> EmbeddedServer:
        """On the port of the last time if that is free, else on another one."""
        port = self._settings.ports.get(name)
        try:
            return EmbeddedServer(name, self._binary, directory, port, persistence).start()
        except ServerStartError:
            if port is None:
                raise
            # Something else may be wrong than the port: then the second start tells.
            self.moved.append(name)
            return EmbeddedServer(name, self._binary, directory, None, persistence).start()


class WorkerProcess:
    """A worker of its own session, so that Ctrl-C reaches `up` alone; it does not outlive `up`
    however that ends.
    """

    def __init__(self, configuration_file: Path, log_file: Path) -> None:
        self.log_file = log_file
        command = [
            sys.executable,
            *SAFE_PATH,
            "-m",
            "redrepl_cli",
            "worker",
            "--config",
            str(configuration_file),
        ]
        # Settings of the environment may speak of another cluster.
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("REDREPL_")
        }
        with log_file.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
        watchdog.register_process(self.pid)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(WORKER_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        watchdog.unregister_process(self.pid)
