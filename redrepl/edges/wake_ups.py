"""Waking the workers: a hint on an RQ queue that a node has something to catch up with.

Losing every hint loses nothing: the changes stand in the nodes' logs and the workers look there at
every tick. So hints are sent by a thread of their own, and a queue that is away slows no write.
"""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from redrepl.edges.endpoint import address, split_url
from redrepl.edges.forking import renew_after_fork
from redrepl.edges.job_queue import FAILURE_SECONDS, RUNNING_SECONDS
from redrepl.edges.lifetimes import Living, let_go_of_frames
from redrepl.edges.locks import new_lock
from redrepl.edges.queue_connection import describe_queue_error, queue_connection
from redrepl.edges.reporter import Dispatcher, Reporter
from redrepl.edges.threads import check_threads
from redrepl.observe import Observer, Part
from redrepl.values.jobs import SIGNATURE, Job
from redrepl.values.reasons import shown_reason

if TYPE_CHECKING:
    from rq import Queue

PAUSE_SECONDS = 0.05
"""Hints for a node closer together than this are one hint."""

WAITING_SECONDS = 600
"""A hint that no worker took for so long is forgotten, and its id may be used again."""

_CLOSE_SECONDS = 1.0
_all: Living[QueueWakeUps] = Living()


class NoWakeUps:
    """For clusters without a queue: the workers' tick does it all."""

    def request(self, targets: Iterable[str]) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""


class QueueWakeUps:
    """Sends wake-up jobs to an RQ queue, coalesced, from a daemon thread that lives while there are
    any.

    reporter: whom to tell that the queue is away; without one, the log.
    """

    def __init__(
        self,
        cluster: str,
        queue_url: str,
        queue: str,
        key: str = "",
        reporter: Reporter | None = None,
    ) -> None:
        self._cluster = cluster
        self._reporter = reporter or Reporter(Dispatcher(None), cluster, Part.CLIENT)
        self._queue_url = queue_url
        self._queue_name = queue
        self._key = key
        self._wanted: set[str] = set()
        self._lock = new_lock()
        self._thread: threading.Thread | None = None
        self._queue: Queue | None = None
        self._is_away = False
        self._is_importing = False
        _all.add(self)
        renew_after_fork(self)

    def after_fork(self) -> None:
        """A child sends its own hints over its own connection."""
        self._wanted = set()
        self._lock = new_lock()
        self._thread = None
        self._queue = None
        self._is_importing = False

    def request(self, targets: Iterable[str]) -> None:
        """Wake the workers for these nodes soon.

        Returns at once, and raises nothing: a hint is never worth a write.
        """
        with self._lock:
            self._wanted.update(targets)
            if self._thread is None or not self._thread.is_alive():
                self._begin()

    def close(self) -> None:
        """Give what is still wanted a moment to leave, and let go of the queue."""
        self.finish()
        queue, self._queue = self._queue, None
        if queue is not None:
            close_queue(queue)

    def finish(self) -> None:
        """Give what is still wanted a moment to leave.

        A thread that is importing is waited for: where the interpreter stops it there, what others
        import afterwards waits for ever.
        """
        thread = self._thread
        while thread is not None and self._is_importing and thread.is_alive():
            thread.join(_CLOSE_SECONDS)
        if thread is not None and thread.is_alive():
            thread.join(_CLOSE_SECONDS)

    def _begin(self) -> None:
        self._thread = threading.Thread(target=self._send, name="redrepl-wake-ups", daemon=True)
        try:
            check_threads()
            self._thread.start()
        except RuntimeError as error:  # no thread is to be had: another time
            self._thread = None
            self._note_away(error)

    def _send(self) -> None:
        while True:
            with self._lock:
                wanted, self._wanted = self._wanted, set()
                if not wanted:
                    self._thread = None
                    return
            try:
                queue = self._queue or self._open()
                for node in sorted(wanted):
                    enqueue_bring_up(queue, self._cluster, node, self._key)
                self._is_away = False
            except (
                Exception
            ) as error:  # the queue is a hint: whatever is wrong with it must not reach a write
                self._note_away(error)
                let_go_of_frames(error)
            time.sleep(PAUSE_SECONDS)

    def _open(self) -> Queue:
        self._is_importing = True
        try:
            self._queue = open_queue(self._queue_url, self._queue_name)
        finally:
            self._is_importing = False
        return self._queue

    def _note_away(self, error: Exception) -> None:
        """Say once that the queue is away, not with every hint."""
        if not self._is_away:
            where = address(split_url("queue", self._queue_url))
            why = shown_reason(describe_queue_error(self._queue_url, error))
            self._reporter.note(Observer.wake_up_failed, queue=where, why=why)
        self._is_away = True


@atexit.register
def _finish_all() -> None:
    """At the interpreter's end: the last hints leave, and no thread is stopped while it imports."""
    for wake_ups in _all:
        wake_ups.finish()


def open_queue(queue_url: str, queue: str) -> Queue:
    """The RQ queue of a cluster, with the JSON serializer."""
    from rq import Queue
    from rq.serializers import JSONSerializer

    return Queue(queue, connection=queue_connection(queue_url), serializer=JSONSerializer)


def close_queue(queue: Queue) -> None:
    """Let go of a queue's connections."""
    with suppress(Exception):  # it may be away
        queue.connection.connection_pool.disconnect()


def enqueue_bring_up(queue: Queue, cluster: str, node: str, key: str = "") -> bool:
    """Queue a wake-up unless one waits already; answers whether one was added.

    ``key``: it is signed with it, if any.

    RQ takes an id as used while the job waits or runs, so two ids take turns.
    """
    return _enqueue(queue, Job(cluster, node), key)


def enqueue_sweep(queue: Queue, cluster: str, key: str = "") -> bool:
    """Queue a part of the sweep unless one waits or runs already; answers whether one was added."""
    return _enqueue(queue, Job(cluster, None), key)


def _enqueue(queue: Queue, job: Job, key: str) -> bool:
    meta = {SIGNATURE: job.signature(key)} if key else None
    return any(_enqueue_as(queue, job, unused, meta) for unused in job.ids)


def _enqueue_as(queue: Queue, job: Job, unused: str, meta: dict[str, str] | None) -> bool:
    from rq import scripts
    from rq.exceptions import DuplicateJobError

    try:
        queue.enqueue_call(
            job.function,
            args=job.arguments,
            timeout=RUNNING_SECONDS,
            result_ttl=0,
            failure_ttl=FAILURE_SECONDS,
            ttl=WAITING_SECONDS,
            job_id=unused,
            description=job.description,
            meta=meta,
            unique=True,
        )
    except DuplicateJobError:
        return False
    finally:
        # RQ keeps every connection that ever enqueued, and with it what it opened, also when
        # nothing else does.
        getattr(scripts, "_registered_scripts", {}).pop(queue.connection, None)
    return True
