"""Jobs that the tick asks for, offered to the queue in a thread of its own: a queue that is silent
holds no tick up.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from redrepl import Configuration
from redrepl.edges.queue_connection import interrupt
from redrepl.edges.wake_ups import close_queue, open_queue
from redrepl_workers.looks import note_queue
from redrepl_workers.troubles import Troubles

if TYPE_CHECKING:
    from rq import Queue

QUEUE_AWAY_SECONDS = 5.0
LONGEST_QUEUE_AWAY_SECONDS = 20.0
"""A queue that did not take a job is left alone for so long, and longer each time up to the
longest.
"""

HINTS_STOP_SECONDS = 1.0

_log = logging.getLogger("redrepl.worker")

Enqueue = Callable[["Queue"], bool]


class Hints:
    """Offers jobs to the queue.

    Without `start`, in the caller's thread: for one who waits for what comes of it.
    """

    def __init__(self, configuration: Configuration, troubles: Troubles) -> None:
        self._configuration = configuration
        self._troubles = troubles
        self._lock = threading.Lock()
        self._offers: dict[str, Enqueue] = {}
        self._taken: dict[str, bool] = {}
        self._is_asking = False
        self._is_away = configuration.queue_url is None
        self._away_seconds = QUEUE_AWAY_SECONDS
        self._queue: Queue | None = None
        self._stop, self._wanted = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Offer in a thread from now on."""
        if self._configuration.queue_url is not None:
            self._thread = threading.Thread(target=self._run, name="redrepl-hints", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End, without waiting for a queue that is silent, and let go of it."""
        self._stop.set()
        self._wanted.set()
        if self._queue is not None:
            interrupt(self._queue.connection)
        if self._thread is not None:
            self._thread.join(HINTS_STOP_SECONDS)
        if self._queue is not None:
            close_queue(self._queue)

    @property
    def is_away(self) -> bool:
        """Whether there is no queue, or it took no job when it was last asked."""
        return self._is_away

    @property
    def connection(self) -> Any | None:
        """A connection for leases, None where the queue is away or has not answered yet."""
        with self._lock:
            is_silent = self._is_away or self._is_asking or self._queue is None
            return None if is_silent or self._queue is None else self._queue.connection

    def offer(self, name: str, enqueue: Enqueue) -> bool:
        """Have a job offered; returns whether the queue took the last one by this name, as far as
        is known.
        """
        with self._lock:
            self._offers[name] = enqueue
        if self._thread is None:
            self._offer_all()
        self._wanted.set()
        with self._lock:
            return self._taken.get(name, False)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wanted.wait()
            self._wanted.clear()
            self._offer_all()
            if self._is_away:
                self._stop.wait(self._away_seconds)
                self._away_seconds = min(LONGEST_QUEUE_AWAY_SECONDS, 2 * self._away_seconds)

    def _offer_all(self) -> None:
        url = self._configuration.queue_url
        with self._lock:
            offers, self._offers = self._offers, {}
            if url is None or not offers:
                return
            self._is_asking = True
        taken: dict[str, bool] = {}
        try:
            self._queue = self._queue or open_queue(url, self._configuration.queue)
            for name, enqueue in offers.items():
                taken[name] = enqueue(self._queue)
        except (
            Exception
        ) as error:  # whatever is wrong with the queue, the tick looks after the nodes
            self._note(url, error)
        else:
            self._note(url, None)
        with self._lock:
            self._taken, self._is_asking = taken, False

    def _note(self, url: str, error: Exception | None) -> None:
        self._is_away = error is not None
        if error is None:
            self._away_seconds = QUEUE_AWAY_SECONDS
        if not self._stop.is_set():
            note_queue(self._troubles, url, error)
