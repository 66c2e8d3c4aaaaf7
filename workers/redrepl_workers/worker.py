"""The worker process: an RQ worker that runs redrepl's jobs and nothing else, with redrepl's tick beside it."""

from __future__ import annotations

import logging
import signal
import threading
from contextlib import suppress
from types import FrameType
from typing import Any

from redis.exceptions import RedisError
from rq import SimpleWorker
from rq.exceptions import StopRequested
from rq.job import Job
from rq.queue import Queue

from redrepl import Configuration
from redrepl.edges.wake_ups import open_queue, queue_connection
from redrepl.values.jobs import ALLOWED
from redrepl_workers.context import WorkerContext, set_context
from redrepl_workers.monitor import Monitor
from redrepl_workers.tick import Ticker

WORKER_TTL_SECONDS = 30
"""A worker that is silent for longer counts as dead."""

MAINTENANCE_SECONDS = 30
"""How often RQ looks for jobs of dead workers."""

RECONNECT_SECONDS = 1.0
"""Pause before a new try where the queue's Redis is away; the tick goes on meanwhile."""

BURST_ROUNDS = 100
"""A burst ends after this many rounds even if somebody keeps writing."""

_log = logging.getLogger("redrepl.worker")


class RedreplWorker(SimpleWorker):
    """Runs jobs in this process: they are bounded, resumable and trusted, and a fork costs 20 ms each.

    Only functions of the allow-list run, and no callbacks or webhooks: with JSON too, whoever may write to the queue
    could otherwise name any importable function.

    stop: set once a signal asked for the end, whoever was listening for it then.
    """

    stop: threading.Event

    def _install_signal_handlers(self) -> None:
        """RQ listens from here on only: a signal that came while it registered ends it at its first look."""
        super()._install_signal_handlers()  # type: ignore[no-untyped-call]
        self._stop_requested = self.stop.is_set()

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """Note the signal; RQ then ends after the job under way, or by StopRequested where there is none."""
        self.stop.set()
        super().request_stop(signum, frame)  # type: ignore[no-untyped-call]

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Run an allowed job; anything else fails without being imported."""
        if (why := why_forbidden(job)) is None:
            super().execute_job(job, queue)
            return
        _log.error("job %s refused: %s", job.id, why)
        job.webhooks = []
        self.handle_job_failure(job, queue, exc_string=f"refused by redrepl: {why}")

    @property
    def is_stopping(self) -> bool:
        """Whether a stop was asked for while a job runs."""
        return bool(self._stop_requested)


def why_forbidden(job: Job) -> str | None:
    """Why a job must not run here, None if it may."""
    if job.func_name not in ALLOWED:
        return f"{job.func_name!r} is no job of redrepl"
    names = (job._success_callback_name, job._failure_callback_name, job._stopped_callback_name)
    if any(names) or job.webhooks:
        return "it carries callbacks or webhooks"
    if not all(isinstance(argument, str) for argument in job.args) or job.kwargs:
        return "its arguments are not those of a redrepl job"
    return None


def run_worker(
    configuration: Configuration, *, burst: bool = False, name: str | None = None, log_level: str = "INFO"
) -> int:
    """Run until SIGTERM or SIGINT (with ``burst``: until nothing is left to do); answers the exit code."""
    logging.basicConfig(level=log_level, format="%(asctime)s %(levelname)s %(message)s")
    if configuration.queue_url is None:
        return _run_without_queue(configuration, burst)
    return _run_burst(configuration) if burst else _run(configuration, name, log_level)


def _run(configuration: Configuration, name: str | None, log_level: str) -> int:
    stop = threading.Event()
    _stop_on_signals(stop)
    ticker, monitor = Ticker(configuration), Monitor(configuration)
    ticker.start()
    monitor.start()
    _log.info(
        "worker for cluster %s: queue %s, tick %g s",
        configuration.cluster,
        configuration.queue,
        configuration.tick_seconds,
    )
    try:
        while not stop.is_set():
            _work(configuration, name, log_level, stop)
    finally:
        monitor.stop()
        ticker.stop()
        set_context(None)
    _log.info("worker stopped")
    return 0


def _work(configuration: Configuration, name: str | None, log_level: str, stop: threading.Event) -> None:
    """One RQ worker until it is asked to stop, or until the queue's Redis is away for too long."""
    try:
        # RQ comes back from here when it was asked to stop, and when its Redis does not answer.
        _run_jobs(
            _new_worker(configuration, name, stop), configuration, "WARNING" if log_level == "INFO" else log_level
        )
    except (RedisError, OSError) as error:
        _log.warning("queue: %s; going on with the tick alone", error)
    stop.wait(RECONNECT_SECONDS)


def _run_jobs(worker: RedreplWorker, configuration: Configuration, log_level: str, burst: bool = False) -> None:
    context = WorkerContext(configuration, lambda: worker.is_stopping)
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
    queue = open_queue(configuration.queue_url, configuration.queue)
    # RQ sets the time-outs of its connection to its own blocking calls: it gets one to itself.
    connection = queue_connection(configuration.queue_url, socket_timeout=None)
    worker = RedreplWorker(
        [queue],
        name=name,
        connection=connection,
        serializer=queue.serializer,
        worker_ttl=WORKER_TTL_SECONDS,
        maintenance_interval=MAINTENANCE_SECONDS,
    )
    worker.stop = stop
    return worker


def _run_burst(configuration: Configuration) -> int:
    """Look, queue, work, until nothing is left."""
    stop = threading.Event()
    _stop_on_signals(stop)
    ticker = Ticker(configuration)
    try:
        for _ in range(BURST_ROUNDS):
            targets = ticker.tick()
            _run_jobs(_new_worker(configuration, None, stop), configuration, "WARNING", burst=True)
            if stop.is_set() or not targets:
                break
    finally:
        set_context(None)
        ticker.stop()
    return 0


def _run_without_queue(configuration: Configuration, burst: bool) -> int:
    stop = threading.Event()
    _stop_on_signals(stop)
    ticker = Ticker(configuration)
    if burst:
        for _ in range(BURST_ROUNDS):
            if stop.is_set() or not ticker.tick():
                break
        ticker.stop()
        return 0
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
    monitor = Monitor(configuration)
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
