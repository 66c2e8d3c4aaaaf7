"""The RQ worker that runs redrepl's jobs and nothing else, and stops within seconds whatever its Redis does."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

from redis.exceptions import RedisError
from rq import SimpleWorker
from rq.exceptions import StopRequested
from rq.job import Job
from rq.queue import Queue
from rq.utils import now
from rq.worker import WorkerStatus

from redrepl.values.jobs import ALLOWED

DEQUEUE_SECONDS = 2
"""How long one wait for jobs lasts. With CONNECTION_SECONDS, after which a silent queue counts as away."""

CONNECTION_SECONDS = 4

FAREWELL_SECONDS = 1.0
"""Time-out of what a worker tells the queue when it ends; the queue may be what is silent."""

LONGEST_RETRY_SECONDS = 5.0
"""Pause of RQ before it looks again whether its Redis is back; doubles up to this."""

_log = logging.getLogger("redrepl.worker")


class RedreplWorker(SimpleWorker):
    """Runs jobs in this process: they are bounded, resumable and trusted, and a fork costs 20 ms each.

    Only functions of the allow-list run, and no callbacks or webhooks: with JSON too, whoever may write to the queue
    could otherwise name any importable function. It takes no commands from there either.

    stop: set once a signal asked for the end, whoever was listening for it then. on_heartbeat: called where the queue
    has taken one.
    """

    stop: threading.Event
    on_heartbeat: Callable[[], None]
    max_connection_wait_time = LONGEST_RETRY_SECONDS

    @property
    def dequeue_timeout(self) -> int:
        """Seconds of one wait for jobs."""
        return DEQUEUE_SECONDS

    @property
    def connection_timeout(self) -> int:
        """Seconds after which a silent queue counts as away."""
        return CONNECTION_SECONDS

    def subscribe(self) -> None:
        """Take no commands from the queue's Redis: that is a thread more, and anybody there could stop this worker."""

    def unsubscribe(self) -> None:
        """Nothing to end."""

    def heartbeat(self, *args: Any, **kwargs: Any) -> None:
        """As RQ does, and note that the queue works."""
        super().heartbeat(*args, **kwargs)
        self.on_heartbeat()

    def _install_signal_handlers(self) -> None:
        """RQ listens from here on only: a signal that came while it registered ends it at its first look."""
        super()._install_signal_handlers()  # type: ignore[no-untyped-call]
        self._stop_requested = self.stop.is_set()

    def request_stop(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002  # the form of a handler
        """Note the signal; end after the job under way, or by StopRequested where there is none.

        RQ would also note it in its Redis, which may be what keeps us waiting.
        """
        self.stop.set()
        self._shutdown_requested_date = now()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.request_force_stop)
        if self.get_state() == WorkerStatus.BUSY:
            self._stop_requested = True
        else:
            raise StopRequested

    def teardown(self) -> None:
        """Take leave of the queue, without waiting for one that is silent."""
        pool = self.connection.connection_pool
        pool.connection_kwargs["socket_timeout"] = FAREWELL_SECONDS
        pool.disconnect()
        with suppress(RedisError, OSError):
            super().teardown()  # type: ignore[no-untyped-call]

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


class QueueTroubles(logging.Filter):
    """Keeps what RQ logs about its Redis, with tracebacks and at every try, out of the log, and passes it on."""

    def __init__(self, on_error: Callable[[Exception], None]) -> None:
        super().__init__()
        self._on_error = on_error

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether RQ's line is logged as it is."""
        error = record.exc_info[1] if record.exc_info else None
        if error is None:
            error = next((each for each in record.args or () if isinstance(each, (RedisError, OSError))), None)
        if isinstance(error, (RedisError, OSError)):
            self._on_error(error)
            return False
        if "Redis connection timeout" in str(record.msg):
            self._on_error(TimeoutError("no answer in time"))
            return False
        return True
