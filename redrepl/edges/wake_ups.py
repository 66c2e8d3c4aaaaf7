"""Waking the workers: a hint on an RQ queue that a node has something to catch up with.

Losing every hint loses nothing: the changes stand in the nodes' logs and the workers look there at every tick.
So hints are sent by a thread of their own, and a queue that is away slows no write.
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
import weakref
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from redrepl.edges.endpoint import address, connection_options, split_url
from redrepl.edges.forking import renew_after_fork
from redrepl.edges.threads import check_threads
from redrepl.values.jobs import BRING_UP, SLOTS, SWEEP, default_queue, job_id, sweep_job_id

if TYPE_CHECKING:
    from rq import Queue

PAUSE_SECONDS = 0.05
"""Hints for a node closer together than this are one hint."""

JOB_TIMEOUT_SECONDS = 120
"""A job stops by itself well before: see redrepl_workers.jobs."""

FAILURE_TTL_SECONDS = 60
"""A failed job's hash blocks its id; the next tick tries again anyway."""

_QUEUE_TIMEOUT_SECONDS = 2.0
_CLOSE_SECONDS = 1.0
_log = logging.getLogger("redrepl")
_all: weakref.WeakSet[QueueWakeUps] = weakref.WeakSet()


class NoWakeUps:
    """For clusters without a queue: the workers' tick does it all."""

    def request(self, targets: Iterable[str]) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""


class QueueWakeUps:
    """Sends wake-up jobs to an RQ queue, coalesced, from a daemon thread that lives while there are any."""

    def __init__(self, cluster: str, queue_url: str, queue: str) -> None:
        self._cluster = cluster
        self._queue_url = queue_url
        self._queue_name = queue
        self._wanted: set[str] = set()
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None
        self._queue: Queue | None = None
        self._is_away = False
        self._is_importing = False
        _all.add(self)
        renew_after_fork(self)

    def after_fork(self) -> None:
        """A child sends its own hints over its own connection."""
        self._wanted = set()
        self._lock = threading.RLock()
        self._thread = None
        self._queue = None
        self._is_importing = False

    def request(self, targets: Iterable[str]) -> None:
        """Wake the workers for these nodes soon. Returns at once, and raises nothing: a hint is never worth a write."""
        with self._lock:
            self._wanted.update(targets)
            if self._thread is None or not self._thread.is_alive():
                self._begin()

    def close(self) -> None:
        """Give what is still wanted a moment to leave, and let go of the queue."""
        self.finish()
        queue, self._queue = self._queue, None
        if queue is not None:
            with suppress(Exception):  # it may be away
                queue.connection.connection_pool.disconnect()

    def finish(self) -> None:
        """Give what is still wanted a moment to leave.

        A thread that is importing is waited for: where the interpreter stops it there, what others import afterwards
        waits for ever.
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
                    enqueue_bring_up(queue, self._cluster, node)
                self._is_away = False
            except Exception as error:  # the queue is a hint: whatever is wrong with it must not reach a write
                self._note_away(error)
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
            _log.warning("no wake-ups while the queue on %s is away (%s); the workers' tick does it all", where, error)
        self._is_away = True


@atexit.register
def _finish_all() -> None:
    """At the interpreter's end: the last hints leave, and no thread is stopped while it imports."""
    for wake_ups in list(_all):
        wake_ups.finish()


def queue_connection(queue_url: str, socket_timeout: float | None = _QUEUE_TIMEOUT_SECONDS) -> Any:
    """A redis-py client of its own for RQ, which changes the time-outs of what it is given."""
    from redis import ConnectionPool, Redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    connection_class, options = connection_options(split_url("queue", queue_url))
    options.update(
        socket_timeout=socket_timeout, socket_connect_timeout=_QUEUE_TIMEOUT_SECONDS, retry=Retry(NoBackoff(), 0)
    )
    return Redis(connection_pool=ConnectionPool(connection_class=connection_class, **options))


def open_queue(queue_url: str, queue: str) -> Queue:
    """The RQ queue of a cluster, with the JSON serializer."""
    from rq import Queue
    from rq.serializers import JSONSerializer

    return Queue(queue, connection=queue_connection(queue_url), serializer=JSONSerializer)


def enqueue_bring_up(queue: Queue, cluster: str, node: str) -> bool:
    """Queue a wake-up unless one waits already; answers whether one was added.

    RQ takes an id as used while the job waits or runs, so two ids take turns.
    """
    ids = [job_id(cluster, node, slot) for slot in range(SLOTS)]
    return any(_enqueue(queue, BRING_UP, (cluster, node), unused, f"bring up {node} of {cluster}") for unused in ids)


def enqueue_sweep(queue: Queue, cluster: str, slot: int = 0) -> bool:
    """Queue a part of the sweep unless one waits or runs already; answers whether one was added."""
    return _enqueue(queue, SWEEP, (cluster,), sweep_job_id(cluster, slot), f"sweep {cluster}")


def hand_on(connection: Any, origin: str, cluster: str, node: str | None) -> str | None:
    """Pass a job of another cluster, which runs here by mistake, to the queue that its workers listen to.

    node: whom it is to bring up, None for a sweep. Answers the queue's name, or None where the job came from there: it
    is dropped then, so that it does not go round. That loses a hint, and the ticks of its workers need none.
    """
    from rq import Queue
    from rq.serializers import JSONSerializer

    name = default_queue(cluster)
    if name == origin:
        return None
    queue = Queue(name, connection=connection, serializer=JSONSerializer)
    if node is None:
        enqueue_sweep(queue, cluster, slot=1)
    else:
        enqueue_bring_up(queue, cluster, node)
    return name


def _enqueue(queue: Queue, function: str, arguments: tuple[str, ...], unused: str, description: str) -> bool:
    from rq.exceptions import DuplicateJobError

    try:
        queue.enqueue_call(
            function,
            args=arguments,
            timeout=JOB_TIMEOUT_SECONDS,
            result_ttl=0,
            failure_ttl=FAILURE_TTL_SECONDS,
            job_id=unused,
            description=description,
            unique=True,
        )
    except DuplicateJobError:
        return False
    return True
