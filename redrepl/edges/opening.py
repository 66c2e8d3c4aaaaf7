"""Opening connections away from the callers.

Opening may hang (a frozen server accepts and never answers), and one slow copy must not slow an operation. So a short-
lived thread per node opens, and callers are woken when it is done. No thread exists while nothing is being opened.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from redrepl.edges.admission import Admission
from redrepl.edges.connection import NodeConnection, NodeUnusable, open_connection
from redrepl.edges.endpoint import Endpoint

FIRST_RETRY_SECONDS = 0.02
LAST_RETRY_SECONDS = 0.2
LAST_RETRY_OF_SILENT_SECONDS = 0.5
"""Pause after a failed opening; doubles up to the last. A node that returns is in use again within it.

A node that answers, be it with a refusal, costs a millisecond to ask, and many programs ask; a silent one holds a
thread for the time-out.
"""


def _nobody() -> None:
    """Waits for a connection that is opened to see whether a node is back."""


class NodeGate:
    """All channels' access to one node: fresh connections, and what is wrong with the node while something is."""

    def __init__(self, endpoint: Endpoint, admission: Admission, timeout_seconds: float) -> None:
        self.endpoint = endpoint
        self.admission = admission
        self.timeout_seconds = timeout_seconds
        self.latency_seconds = 0.0
        self.trouble: str | None = None
        self.failed_opening: str | None = None
        self._retry_at = self._asked_at = 0.0
        self._pause_seconds = FIRST_RETRY_SECONDS
        self._fresh: list[NodeConnection] = []
        self._wanted: list[Callable[[], None]] = []
        self._thread: threading.Thread | None = None
        self._closed = False
        self._lock = threading.Lock()

    def take(self) -> NodeConnection | None:
        """A connection that was opened for somebody who did not wait for it, if there is one."""
        with self._lock:
            return self._fresh.pop() if self._fresh else None

    def request(self, wake: Callable[[], None]) -> str | None:
        """Ask for a connection; ``wake`` is called when there is one to take, or when opening failed.

        Asking twice is asking once. Answers the trouble at once while the node is known to be out of use.
        """
        with self._lock:
            if self._closed:
                return "the coordinator is closed"
            if self.trouble is not None and time.monotonic() < self._retry_at:
                return self.trouble
            if wake not in self._wanted:
                self._wanted.append(wake)
            if self._thread is None:
                self.failed_opening = None
                self._thread = threading.Thread(
                    target=self._open_wanted, name=f"redrepl-open-{self.endpoint.node}", daemon=True
                )
                self._thread.start()
        return None

    def forget(self, wake: Callable[[], None]) -> None:
        """The caller behind ``wake`` no longer waits; what is opened for it goes to whoever comes next."""
        with self._lock:
            self._wanted = [other for other in self._wanted if other != wake]

    def current_trouble(self) -> str | None:
        """What is known against the node; looks in the background whether it is over, once the pause is."""
        trouble = self.trouble
        if trouble is not None and time.monotonic() >= self._retry_at:
            self.request(_nobody)
        return trouble

    def report(self, trouble: str, pause: bool) -> None:
        """A connection failed in use: open anew, with ``pause`` after a moment."""
        with self._lock:
            if pause:
                self._note(trouble)
            else:
                self.trouble, self._retry_at = trouble, 0.0

    def close(self) -> None:
        """Close what nobody took and open no more."""
        with self._lock:
            self._closed = True
            fresh, self._fresh = self._fresh, []
        for connection in fresh:
            connection.close()

    def _note(self, trouble: str) -> None:
        self.trouble = trouble
        self._retry_at = time.monotonic() + self._pause_seconds
        is_silent = time.monotonic() - self._asked_at >= self.timeout_seconds
        longest = LAST_RETRY_OF_SILENT_SECONDS if is_silent else LAST_RETRY_SECONDS
        self._pause_seconds = min(2 * self._pause_seconds, longest)

    def _open_wanted(self) -> None:
        while True:
            self._asked_at = time.monotonic()
            try:
                connection, trouble = open_connection(self.endpoint, self.admission, self.timeout_seconds), None
            except NodeUnusable as error:
                connection, trouble = None, str(error)
            except Exception as error:  # anything else must reach the callers too, or they would wait in vain
                connection, trouble = None, f"{type(error).__name__}: {error}"
            if self._opened(connection, trouble):
                return

    def _opened(self, connection: NodeConnection | None, trouble: str | None) -> bool:
        """Hand over; answers whether the thread is done."""
        with self._lock:
            if connection is not None and self._closed:
                connection.close()
            elif connection is not None:
                self._fresh.append(connection)
                self.trouble, self._pause_seconds = None, FIRST_RETRY_SECONDS
                served, self._wanted = self._wanted[:1], self._wanted[1:]
            if connection is None or self._closed:
                self.failed_opening = trouble or "the coordinator is closed"
                self._note(self.failed_opening)
                served, self._wanted = self._wanted, []
            done = not self._wanted
            if done:
                self._thread = None
        for wake in served:
            wake()
        return done
