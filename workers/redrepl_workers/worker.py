"""The worker process: the tick, the monitor and what takes jobs off the queue, each in a thread of
its own.

None of them waits for another one: whatever is wrong with the queue, the tick and the monitor go
on.
"""

from __future__ import annotations

import logging
import threading

from redrepl import Configuration, Observer
from redrepl_workers.monitor import Monitor
from redrepl_workers.queue_worker import QueueWorker
from redrepl_workers.signals import StopSignals, call_on_stop
from redrepl_workers.tick import Ticker
from redrepl_workers.troubles import Troubles

UNAVAILABLE = 4
"""Exit code of a burst that found no member of the cluster."""

BURST_ROUNDS = 100
"""A burst ends after this many rounds even if somebody keeps writing."""

_log = logging.getLogger("redrepl.worker")


def run_worker(
    configuration: Configuration,
    *,
    burst: bool = False,
    name: str | None = None,
    log_level: str = "INFO",
    observer: Observer | None = None,
) -> int:
    """Run until SIGTERM or SIGINT, with ``burst`` until nothing is left to do.

    Returns the exit code.
    observer: told what happens, by several threads at once (default: the log).
    """
    logging.basicConfig(level=log_level, format="%(asctime)s %(levelname)s %(message)s")
    if configuration.queue_url is None:
        return _run_without_queue(configuration, burst, observer)
    return _run_burst(configuration, observer) if burst else _run(configuration, name, observer)


def _run(configuration: Configuration, name: str | None, observer: Observer | None) -> int:
    signals, troubles = StopSignals(), Troubles(_log)
    ticker = Ticker(configuration, troubles, observer)
    monitor = Monitor(configuration, observer=observer)
    queue = QueueWorker(configuration, name, troubles, observer)
    for part in (monitor, ticker, queue):
        part.start()
    _log.info(
        "worker for cluster %s: queue %s, tick %g s",
        configuration.cluster,
        configuration.queue,
        configuration.tick_seconds,
    )
    signals.wait()
    _stop_all(queue, ticker, monitor)
    _log.info("worker stopped")
    return 0


def _run_burst(configuration: Configuration, observer: Observer | None) -> int:
    """Look, queue, work, until nothing is left."""
    stop, troubles = threading.Event(), Troubles(_log)
    ticker = Ticker(configuration, troubles, observer)
    queue = QueueWorker(configuration, None, troubles, observer)

    def end() -> None:
        stop.set()
        queue.request_stop()

    call_on_stop(end)
    try:
        for _ in range(BURST_ROUNDS):
            targets = ticker.tick()
            queue.drain()
            if stop.is_set() or not targets:
                break
    finally:
        queue.close()
        ticker.stop()
    return UNAVAILABLE if ticker.sees_nobody else 0


def _run_without_queue(configuration: Configuration, burst: bool, observer: Observer | None) -> int:
    if burst:
        return _run_burst_without_queue(configuration, observer)
    signals = StopSignals()
    ticker = Ticker(configuration, observer=observer)
    monitor = Monitor(configuration, observer=observer)
    ticker.start()
    monitor.start()
    _log.info(
        "worker for cluster %s without a queue: tick %g s",
        configuration.cluster,
        configuration.tick_seconds,
    )
    signals.wait()
    _stop_all(ticker, monitor)
    return 0


def _run_burst_without_queue(configuration: Configuration, observer: Observer | None) -> int:
    stop, ticker = threading.Event(), Ticker(configuration, observer=observer)
    call_on_stop(stop.set)
    for _ in range(BURST_ROUNDS):
        if stop.is_set() or not ticker.tick():
            break
    ticker.stop()
    return UNAVAILABLE if ticker.sees_nobody else 0


def run_monitor(
    configuration: Configuration,
    log_level: str = "INFO",
    observer: Observer | None = None,
) -> int:
    """Watch the nodes and fail over, nothing else, until SIGTERM or SIGINT; returns the exit code.

    observer: told what happens (default: the log).
    """
    logging.basicConfig(level=log_level, format="%(asctime)s %(levelname)s %(message)s")
    signals = StopSignals()
    monitor = Monitor(configuration, tells=True, observer=observer)
    monitor.start()
    _log.info(
        "monitor for cluster %s: looks every %g s",
        configuration.cluster,
        configuration.probe_seconds,
    )
    signals.wait()
    _stop_all(monitor)
    return 0


def _stop_all(*parts: QueueWorker | Ticker | Monitor) -> None:
    """Ask all of them to end, and wait for each: none waits for another one's last batch."""
    for part in parts:
        part.request_stop()
    for part in parts:
        part.stop()
