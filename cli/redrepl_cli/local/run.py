"""A local cluster from start to stop."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import FrameType

from redrepl import (
    Administration,
    ClusterStatus,
    Condition,
    Configuration,
    Unavailable,
    load_configuration,
)
from redrepl.embedded import ServerBinary
from redrepl_cli.local.servers import LocalServers, WorkerProcess
from redrepl_cli.local.settings import LocalSettings, locked
from redrepl_cli.output import say
from redrepl_cli.queue import queue_statistics

HEALTHY_SECONDS = 30.0
"""Nodes with much data take a while to be readmitted; after this the person is told, and the
cluster goes on.
"""

LOOK_SECONDS = 0.1
"""Between two looks while waiting to be healthy."""

WATCH_SECONDS = 1.0
"""Between two looks whether all processes are there."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class LocalCluster:
    """What runs once all is started. ``status`` None: no member answered."""

    settings: LocalSettings
    configuration: Configuration
    servers: LocalServers
    worker: WorkerProcess | None
    status: ClusterStatus | None

    @property
    def is_healthy(self) -> bool:
        """Whether all copies are up."""
        return self.status is not None and self.status.condition is Condition.HEALTHY


def run(
    settings: LocalSettings,
    binary: ServerBinary,
    with_worker: bool,
    on_ready: Callable[[LocalCluster], None],
) -> None:
    """Start everything, call ``on_ready``, stay until a signal, and stop everything."""
    with _signals_interrupt(), locked(settings.directory), ExitStack() as stack:
        servers = stack.enter_context(LocalServers(settings, binary))
        settings.write(servers.urls, servers.queue.url)
        configuration = load_configuration(settings.file, environment={})
        _admit(configuration)
        worker = None
        if with_worker:
            worker = stack.enter_context(
                WorkerProcess(settings.file, settings.directory / "worker.log")
            )
        status = _wait_until_ready(configuration, with_worker)
        on_ready(LocalCluster(settings, configuration, servers, worker, status))
        _stay(servers, worker)


def _admit(configuration: Configuration) -> None:
    """Make the cluster at the first start; at later ones the worker brings the nodes up."""
    with Administration(configuration) as administration:
        topology, _ = administration.inspect()
        if topology is None:
            administration.initialise()


def _wait_until_ready(configuration: Configuration, with_worker: bool) -> ClusterStatus | None:
    """Until the cluster is healthy and the worker listens; without a worker there is nothing to
    wait for.
    """
    give_up_at = time.monotonic() + (HEALTHY_SECONDS if with_worker else 0.0)
    with Administration(configuration) as administration:
        while True:
            try:
                status = administration.status(look_at_keys=False)
            except Unavailable:
                status = None
            is_healthy = status is not None and status.condition is Condition.HEALTHY
            is_ready = is_healthy and (
                not with_worker or bool(queue_statistics(configuration).workers)
            )
            if is_ready or time.monotonic() > give_up_at:
                return status
            time.sleep(LOOK_SECONDS)


def _stay(servers: LocalServers, worker: WorkerProcess | None) -> None:
    """Until a signal.

    What ends meanwhile is said once: taking servers away is what local clusters are for.
    """
    gone: set[str] = set()
    try:
        while True:
            ended = {f"node {name}" for name, server in servers.nodes.items() if not server.running}
            if worker is not None and not worker.running:
                ended.add(f"the worker (see {worker.log_file})")
            for name in sorted(ended - gone):
                say(f"{name} has ended")
            gone = ended
            time.sleep(WATCH_SECONDS)
    except Stopped:
        say("\nstopping ...")
        raise


class Stopped(KeyboardInterrupt):
    """A signal asked `up` to stop."""


@contextmanager
def _signals_interrupt() -> Iterator[None]:
    """The first signal stops; further ones are ignored, so that stopping is not cut short."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        raise Stopped

    # What is ignored from the start (nohup, a shell's background job) stays so.
    heard = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
