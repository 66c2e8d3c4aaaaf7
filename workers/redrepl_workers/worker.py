"""The worker process: an RQ worker (`rq_worker`), with redrepl's tick and monitor beside it."""

from __future__ import annotations

import logging
import secrets
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from redis.exceptions import RedisError
from rq.exceptions import StopRequested

from redrepl import Configuration
from redrepl.edges.wake_ups import open_queue, queue_connection
from redrepl.values.jobs import default_queue
from redrepl_workers.context import WorkerContext, set_context
from redrepl_workers.looks import note_queue
from redrepl_workers.monitor import Monitor
from redrepl_workers.rq_worker import QueueTroubles, RedreplWorker
from redrepl_workers.tick import Ticker
from redrepl_workers.troubles import Troubles

WORKER_TTL_SECONDS = 30
"""A worker that is silent for longer counts as dead."""

MAINTENANCE_SECONDS = 30
"""How often RQ looks for jobs of dead workers."""

RECONNECT_SECONDS = 1.0
LONGEST_RECONNECT_SECONDS = 10.0
"""Pause before a new try where the queue's Redis is away; doubles up to the longest. The tick goes on meanwhile."""

UNAVAILABLE = 4
"""Exit code of a burst that found no member of the cluster."""

BURST_ROUNDS = 100
"""A burst ends after this many rounds even if somebody keeps writing."""

_log = logging.getLogger("redrepl.worker")


def run_worker(
    configuration: Configuration, *, burst: bool = False, name: str | None = None, log_level: str = "INFO"
) -> int:
    """Run until SIGTERM or SIGINT (with ``burst``: until nothing is left to do); answers the exit code."""
    logging.basicConfig(level=log_level, format="%(asctime)s %(levelname)s %(message)s")
    if configuration.queue_url is None:
        return _run_without_queue(configuration, burst)
    return _run_burst(configuration) if burst else _run(configuration, name, log_level)


def _run(configuration: Configuration, name: str | None, log_level: str) -> int:
    stop, troubles = threading.Event(), Troubles(_log)
    _stop_on_signals(stop)
    ticker, monitor = Ticker(configuration, troubles), Monitor(configuration)
    ticker.start()
    monitor.start()
    _log.info(
        "worker for cluster %s: queue %s, tick %g s",
        configuration.cluster,
        configuration.queue,
        configuration.tick_seconds,
    )
    pause_seconds = RECONNECT_SECONDS
    try:
        while not stop.is_set():
            is_usable = _work(configuration, name, log_level, stop, troubles)
            stop.wait(pause_seconds)
            pause_seconds = RECONNECT_SECONDS if is_usable else min(LONGEST_RECONNECT_SECONDS, 2 * pause_seconds)
    finally:
        monitor.stop()
        ticker.stop()
        set_context(None)
    _log.info("worker stopped")
    return 0


def _work(
    configuration: Configuration, name: str | None, log_level: str, stop: threading.Event, troubles: Troubles
) -> bool:
    """One RQ worker until it is asked to stop, or until the queue's Redis is away for too long.

    Answers whether the queue could be used at all.
    """
    assert configuration.queue_url is not None
    heard = threading.Event()
    try:
        # RQ comes back from here when it was asked to stop, and when its Redis does not answer.
        worker = _new_worker(configuration, _free_name(configuration, name), stop)
        worker.on_heartbeat = lambda: _note_heartbeat(troubles, configuration, heard)
        level = "WARNING" if log_level == "INFO" else log_level
        with _queue_troubles(configuration, troubles):
            _run_jobs(worker, configuration, troubles, level)
    except (RedisError, OSError) as error:
        note_queue(troubles, configuration.queue_url, error)
    return heard.is_set()


def _note_heartbeat(troubles: Troubles, configuration: Configuration, heard: threading.Event) -> None:
    heard.set()
    assert configuration.queue_url is not None
    note_queue(troubles, configuration.queue_url, None)


def _free_name(configuration: Configuration, name: str | None) -> str | None:
    """The name that was asked for, or one made of it while another worker is registered under it.

    A worker that was killed stays registered for minutes, and the one that is started in its place must not wait.
    """
    if name is None:
        return None
    assert configuration.queue_url is not None
    connection = queue_connection(configuration.queue_url)
    key = f"{RedreplWorker.redis_worker_namespace_prefix}{name}"
    is_taken = bool(connection.exists(key)) and not connection.hexists(key, "death")
    connection.close()
    if not is_taken:
        return name
    other = f"{name}-{secrets.token_hex(3)}"
    _log.warning(
        "the queue knows a worker %r that has not said goodbye: it runs, or it was killed not long ago; this one works "
        "as %r",
        name,
        other,
    )
    return other


@contextmanager
def _queue_troubles(configuration: Configuration, troubles: Troubles) -> Iterator[None]:
    """Say what is wrong with the queue in our own words, once, while the block runs."""
    assert configuration.queue_url is not None
    queue_url, log = configuration.queue_url, logging.getLogger("rq.worker")
    kept_out = QueueTroubles(lambda error: note_queue(troubles, queue_url, error))
    log.addFilter(kept_out)
    try:
        yield
    finally:
        log.removeFilter(kept_out)


def _run_jobs(
    worker: RedreplWorker, configuration: Configuration, troubles: Troubles, log_level: str, burst: bool = False
) -> None:
    context = WorkerContext(configuration, lambda: worker.is_stopping, troubles)
    set_context(context)
    try:
        # RQ raises it wherever it is when the signal comes, also where it does not catch it itself.
        with suppress(StopRequested):
            worker.work(burst=burst, logging_level=log_level)
    finally:
        _stop_on_signals(worker.stop)
        context.close()


def _new_worker(configuration: Configuration, name: str | None, stop: threading.Event) -> RedreplWorker:
    assert configuration.queue_url is not None
    # What other clusters' workers hand on comes to the queue by the cluster's name, whatever this one's is.
    names = dict.fromkeys((configuration.queue, default_queue(configuration.cluster)))
    queues = [open_queue(configuration.queue_url, each) for each in names]
    # RQ sets the time-outs of its connection to its own blocking calls: it gets one to itself.
    connection = queue_connection(configuration.queue_url, socket_timeout=None)
    worker = RedreplWorker(
        queues,
        name=name,
        connection=connection,
        serializer=queues[0].serializer,
        worker_ttl=WORKER_TTL_SECONDS,
        maintenance_interval=MAINTENANCE_SECONDS,
    )
    worker.stop = stop
    worker.on_heartbeat = _nothing
    return worker


def _nothing() -> None:
    """For a worker of which nobody wants to know whether the queue hears it."""


def _run_burst(configuration: Configuration) -> int:
    """Look, queue, work, until nothing is left."""
    stop, troubles = threading.Event(), Troubles(_log)
    _stop_on_signals(stop)
    ticker = Ticker(configuration, troubles)
    try:
        for _ in range(BURST_ROUNDS):
            targets = ticker.tick()
            _run_jobs(_new_worker(configuration, None, stop), configuration, troubles, "WARNING", burst=True)
            if stop.is_set() or not targets:
                break
    finally:
        set_context(None)
        ticker.stop()
    return UNAVAILABLE if ticker.sees_nobody else 0


def _run_without_queue(configuration: Configuration, burst: bool) -> int:
    stop = threading.Event()
    _stop_on_signals(stop)
    ticker = Ticker(configuration)
    if burst:
        for _ in range(BURST_ROUNDS):
            if stop.is_set() or not ticker.tick():
                break
        ticker.stop()
        return UNAVAILABLE if ticker.sees_nobody else 0
    monitor = Monitor(configuration)
    ticker.start()
    monitor.start()
    _log.info("worker for cluster %s without a queue: tick %g s", configuration.cluster, configuration.tick_seconds)
    stop.wait()
    monitor.stop()
    ticker.stop()
    return 0


def run_monitor(configuration: Configuration, log_level: str = "INFO") -> int:
    """Watch the nodes and fail over, nothing else, until SIGTERM or SIGINT; answers the exit code."""
    logging.basicConfig(level=log_level, format="%(asctime)s %(levelname)s %(message)s")
    stop = threading.Event()
    _stop_on_signals(stop)
    monitor = Monitor(configuration, tells=True)
    monitor.start()
    _log.info("monitor for cluster %s: looks every %g s", configuration.cluster, configuration.probe_seconds)
    stop.wait()
    monitor.stop()
    return 0


def _stop_on_signals(stop: threading.Event) -> None:
    if threading.current_thread() is not threading.main_thread():
        return

    def note(_number: int, _frame: FrameType | None) -> Any:
        stop.set()

    signal.signal(signal.SIGTERM, note)
    signal.signal(signal.SIGINT, note)
