"""Taking jobs off the queue and running them: the two kinds of redrepl's jobs, and nothing else,
whatever is there.

The queue has RQ's format, and none of RQ's machinery runs here. That carries out more than jobs:
failure callbacks of jobs that look abandoned, webhooks, commands of PUBLISH, retries and repeats,
each of a writer's choice. A job is a hint, so nothing of that is needed: one that is lost with its
worker is made up for by the next tick.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
import traceback
from contextlib import suppress
from typing import Any

from redis.exceptions import RedisError
from rq.utils import now

from redrepl import Configuration, Observer
from redrepl.edges.job_queue import JobQueue
from redrepl.edges.queue_connection import interrupt, queue_connection
from redrepl.values import limits
from redrepl.values.jobs import Job, JobRefused, default_queue
from redrepl_workers.context import WorkerContext
from redrepl_workers.jobs import bring_up_with_lease, sweep_with_lease
from redrepl_workers.looks import note_queue
from redrepl_workers.registration import Registration, worker_key
from redrepl_workers.troubles import Troubles, without_numbers

WAIT_SECONDS = 2
"""How long one wait for jobs lasts."""

SILENCE_SECONDS = 4.0
"""A queue that gives no answer for so long counts as away."""

FAREWELL_SECONDS = 1.0
"""Time-out of what a worker tells the queue when it ends; the queue may be what is silent."""

STOP_SECONDS = 10.0
"""A job ends after the batch at hand; it is waited for so long."""

RECONNECT_SECONDS = 1.0
LONGEST_RECONNECT_SECONDS = 10.0
"""Pause before a new try where the queue's Redis is away; doubles up to the longest.

The tick goes on meanwhile.
"""

LONGEST_BRAKE_SECONDS = 0.1

_log = logging.getLogger("redrepl.worker")


class QueueWorker:
    """Takes jobs and runs them one by one, in a thread of its own or, with `drain`, in the
    caller's.
    """

    def __init__(
        self,
        configuration: Configuration,
        name: str | None,
        troubles: Troubles,
        observer: Observer | None = None,
    ) -> None:
        assert configuration.queue_url is not None
        self._url = configuration.queue_url
        self._cluster = configuration.cluster
        self._troubles = troubles
        self._stop = threading.Event()
        self._lock, self._is_working = threading.Lock(), False
        self._connection = queue_connection(self._url, SILENCE_SECONDS)
        # What other clusters' workers hand on comes to the queue by the cluster's name, whatever
        # this one's is.
        names = dict.fromkeys((configuration.queue, default_queue(configuration.cluster)))
        queues = [JobQueue(self._connection, each, configuration.queue_key) for each in names]
        self._queues = {queue.list_key.encode(): queue for queue in queues}
        self._name = name
        self._registration: Registration | None = None
        self._context = WorkerContext(configuration, self._stop.is_set, troubles, observer)
        self._others: set[str] = set()
        self._refused = 0
        self._pause_seconds = RECONNECT_SECONDS
        self._thread = threading.Thread(target=self._run, name="redrepl-queue", daemon=True)

    def start(self) -> None:
        """Begin in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """End after the batch at hand; a queue that is silent is told for FAREWELL_SECONDS and
        given up.
        """
        self._stop.set()
        until = time.monotonic() + STOP_SECONDS
        while self._thread.is_alive() and time.monotonic() < until:
            with self._lock:
                if not self._is_working:
                    interrupt(self._connection)  # what waits for the queue ends with an error
            self._thread.join(0.1)
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        self._context.close()
        self._connection.connection_pool.disconnect()

    def drain(self) -> None:
        """Run what is queued, until nothing is left, or the queue fails."""
        try:
            for queue in self._queues.values():
                while (
                    not self._stop.is_set()
                    and (job_id := self._connection.lpop(queue.list_key)) is not None
                ):
                    self._handle(queue, job_id)
        except (RedisError, OSError) as error:
            note_queue(self._troubles, self._url, error)

    def request_stop(self) -> None:
        """Have it end after the batch at hand, without waiting for it."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._enter()
                while not self._stop.is_set():
                    self._step()
            # A queue that is in trouble, or that somebody made trouble on, ends no worker.
            except Exception as error:
                if self._stop.is_set():
                    break
                self._note(error)
                self._stop.wait(self._pause_seconds)
                self._pause_seconds = min(LONGEST_RECONNECT_SECONDS, 2 * self._pause_seconds)
        self._leave()

    def _note(self, error: Exception) -> None:
        if isinstance(error, (RedisError, OSError)):
            note_queue(self._troubles, self._url, error)
            return
        text = "".join(traceback.format_exception(error))
        self._troubles.note(
            "taking jobs", without_numbers(repr(error)[:200]), f"taking jobs failed: {text}"
        )

    def _enter(self) -> None:
        if self._registration is None:
            name = free_name(self._connection, self._name) or secrets.token_hex(16)
            self._registration = Registration(
                self._connection, name, [queue.name for queue in self._queues.values()]
            )
        self._registration.announce()
        self._pause_seconds = RECONNECT_SECONDS

    def _set_working(self, is_working: bool) -> None:
        """Note whether the connection is needed to the end of what is being done, or may be closed
        to end a wait.
        """
        with self._lock:
            self._is_working = is_working

    def _leave(self) -> None:
        if self._registration is None:
            return
        # An entry whose answer was lost may stand all the same, so that it is taken out whatever
        # came of announcing it. Connections keep the time-out that they were made with.
        farewell = queue_connection(self._url, FAREWELL_SECONDS)
        with suppress(RedisError, OSError):  # its entry ends by itself
            self._registration.leave(farewell)
        farewell.connection_pool.disconnect()

    def _step(self) -> None:
        assert self._registration is not None
        self._registration.keep()
        found = self._connection.blpop(list(self._queues), WAIT_SECONDS)
        note_queue(self._troubles, self._url, None)
        if found is not None:
            key, job_id = found
            # The other queue comes first next time: one that is flooded holds none up.
            self._queues[key] = queue = self._queues.pop(key)
            self._handle(queue, job_id)

    def _handle(self, queue: JobQueue, job_id: bytes) -> None:
        began = time.monotonic()
        try:
            job = queue.take(job_id, self._cluster)
        except JobRefused as refused:
            self._refuse(queue, refused)
            job = None
        if job is not None and job.cluster == self._cluster:
            self._set_working(True)
            try:
                self._work(queue, job_id, job)
            finally:
                self._set_working(False)
            return
        if job is not None:
            self._hand_on(queue, job_id, job)
        # A flood of what does not run here takes half of one processor's time at most.
        self._stop.wait(min(LONGEST_BRAKE_SECONDS, time.monotonic() - began))

    def _refuse(self, queue: JobQueue, refused: JobRefused) -> None:
        self._refused += 1
        text = (
            f"queue {queue.name!r}: a job was refused ({refused}); {self._refused} of all "
            "kinds since the start"
        )
        self._troubles.note(f"jobs on {queue.name}", refused.kind, text, logging.ERROR)

    def _work(self, queue: JobQueue, job_id: bytes, job: Job) -> None:
        queue.begin(job_id, now().timestamp())
        try:
            if job.node is None:
                sweep_with_lease(self._context, self._connection)
            else:
                bring_up_with_lease(self._context, self._connection, job.node)
        except Exception as error:  # the next tick tries again
            text = "".join(traceback.format_exception(error))
            self._troubles.note(
                "jobs", without_numbers(repr(error)[:200]), f"{job.description} failed: {text}"
            )
            queue.fail(job_id, text, now().timestamp())
            return
        queue.finish(job_id)

    def _hand_on(self, queue: JobQueue, job_id: bytes, job: Job) -> None:
        """Two clusters share a queue, and this worker got a job that is not its own's: pass it on,
        and say so once.
        """
        name, done = default_queue(job.cluster), "left to the ticks of its own workers"
        if name == queue.name:  # it came from there: it must not go round
            queue.finish(job_id)
        elif job.cluster in self._others or len(self._others) < limits.MAX_OTHER_CLUSTERS:
            self._others.add(job.cluster)
            queue.move(job_id, name)
            done = f"handed on to queue {name!r}"
        else:
            self._refuse(
                queue, JobRefused("it is of one more cluster than is plausible", repr(job.cluster))
            )
            return
        text = (
            f"queue {queue.name!r} holds jobs of cluster {job.cluster!r}, which this worker "
            f"does not serve; {done}."
        )
        advice = "Give each cluster a queue of its own: leave `queue` out of both configurations"
        self._troubles.note(f"jobs of cluster {job.cluster}", done, f"{text} {advice}")


def free_name(connection: Any, name: str | None) -> str | None:
    """The name that was asked for, or one made of it while another worker is registered under it.

    A worker that was killed stays registered for a while, and the one that is started in its place
    must not wait.
    """
    if name is None or not connection.exists(worker_key(name)):
        return name
    with suppress(RedisError):  # it may be of another kind
        if connection.hexists(worker_key(name), "death"):
            return name
    other = f"{name}-{secrets.token_hex(3)}"
    _log.warning(
        "the queue knows a worker %r that has not said goodbye: it runs, or it was killed not "
        "long ago; this one works "
        "as %r",
        name,
        other,
    )
    return other
