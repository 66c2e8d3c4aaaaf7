"""Opening connections away from the callers.

Opening may hang (a frozen server accepts and never answers), and one slow copy must not slow an
operation. So short- lived threads open, several at once for each node, and callers are woken when
it is done, in the order in which they asked. No thread exists while nothing is being opened.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from redrepl.edges.admission import Admission
from redrepl.edges.connection import NodeConnection, open_connection
from redrepl.edges.endpoint import Endpoint, address
from redrepl.edges.introduction import NodeUnusable
from redrepl.edges.locks import new_lock
from redrepl.edges.reporter import NOT_OBSERVED, Reporter
from redrepl.edges.threads import check_threads
from redrepl.observe import Observer
from redrepl.values import limits
from redrepl.values.reasons import LOST, kind_of, shown_reason
from redrepl.values.round_trip import RoundTrip

FIRST_RETRY_SECONDS = 0.02
LAST_RETRY_SECONDS = 0.2
LAST_RETRY_OF_SILENT_SECONDS = 0.5
"""Pause after a failed opening; doubles up to the last.

A node that returns is in use again within it.

A node that answers, be it with a refusal, costs a millisecond to ask, and many programs ask; a
silent one holds a thread for the time-out.
"""

_REOPENING_ROUND_TRIPS = 4.0
"""For an answer on a connection that may have to be opened anew."""

Wake = Callable[[], None]


def _nobody() -> None:
    """Waits for a connection that is opened to see whether a node is back."""


class NodeGate:
    """All channels' access to one node: fresh connections, and what is wrong with the node while
    something is.

    round_trip: how long the node takes to answer, learned from all connections. suspected_at: when
    one of them proved dead without a word (monotonic clock, seconds): others that are idle since
    before may be, too.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        admission: Admission,
        timeout_seconds: float,
        reporter: Reporter = NOT_OBSERVED,
    ) -> None:
        self.endpoint = endpoint
        self.admission = admission
        self.timeout_seconds = timeout_seconds
        self.round_trip = RoundTrip()
        self.suspected_at = 0.0
        self.trouble: str | None = None
        self.failed_opening: str | None = None
        self._retry_at = self._asked_at = 0.0
        self._pause_seconds = FIRST_RETRY_SECONDS
        self._fresh: list[NodeConnection] = []
        self._wanted: list[Wake] = []
        self._kept: dict[Wake, NodeConnection] = {}
        self._openings = 0
        self._closed = False
        self._lock = new_lock()
        self._reporter = reporter
        self._told_kind: str | None = None
        self._away_since = 0.0

    def take(self, wake: Wake = _nobody) -> NodeConnection | None:
        """The connection that was opened for this caller, else one that is left over, if there is
        any.
        """
        with self._lock:
            kept = self._kept.pop(wake, None)
            if kept is None and self._fresh:
                kept = self._fresh.pop()
            if kept is not None and wake in self._wanted:
                self._wanted.remove(wake)
            return kept

    def request(self, wake: Wake) -> str | None:
        """Ask for a connection; ``wake`` is called when there is one to take, or when opening
        failed.

        Asking twice is asking once. Answers the trouble at once while the node is known to be out
        of use.
        """
        with self._lock:
            if self._closed:
                return "the coordinator is closed"
            if self.trouble is not None and time.monotonic() < self._retry_at:
                return self.trouble
            if wake not in self._wanted and wake not in self._kept:
                self._wanted.append(wake)
            return self._open_more()

    def forget(self, wake: Wake) -> None:
        """The caller behind ``wake`` no longer waits; what is opened for it goes to the next that
        waits or comes.
        """
        with self._lock:
            if wake in self._wanted:
                self._wanted.remove(wake)
            connection = self._kept.pop(wake, None)
            served = None if connection is None else self._keep(connection)
        if served is not None:
            served()

    def current_trouble(self) -> str | None:
        """What is known against the node; looks in the background whether it is over, once the
        pause is.
        """
        trouble = self.trouble
        if trouble is not None and time.monotonic() >= self._retry_at:
            self.request(_nobody)
        return trouble

    def patience_seconds(self) -> float:
        """How long to wait for an answer. How far a node is that was never reached is not known."""
        if self.round_trip.smoothed_seconds or self.trouble is not None:
            return self.round_trip.patience_seconds(self.timeout_seconds, _REOPENING_ROUND_TRIPS)
        return max(self.timeout_seconds, limits.FIRST_CONTACT_SECONDS)

    def report(self, trouble: str, pause: bool) -> None:
        """A connection failed in use: open anew, with ``pause`` after a moment."""
        with self._lock:
            self._tell_lost(trouble)
            if pause:
                self._note(trouble)
            else:
                self.trouble, self._retry_at = trouble, 0.0

    def suspect(self, at: float) -> None:
        """A connection proved dead without a word, at this time (monotonic clock, seconds)."""
        self.suspected_at = at
        self._tell_lost("it was idle, and the node did not answer on it")

    def close(self) -> None:
        """Close what nobody took and open no more."""
        with self._lock:
            self._closed = True
            left, self._fresh, self._kept = [*self._fresh, *self._kept.values()], [], {}
        for connection in left:
            connection.close()

    def _note(self, trouble: str) -> None:
        self.trouble, now = trouble, time.monotonic()
        self._tell_unavailable(trouble, now)
        if now < self._retry_at:
            return  # one of several that were opened at once
        self._retry_at = now + self._pause_seconds
        is_silent = now - self._asked_at >= self.timeout_seconds
        longest = LAST_RETRY_OF_SILENT_SECONDS if is_silent else LAST_RETRY_SECONDS
        self._pause_seconds = min(2 * self._pause_seconds, longest)

    # Opening, all of it with the lock held but for the opening itself -----------------------------

    def _open_more(self) -> str | None:
        """Begin as many openings as are wanted and allowed; answers why none could be begun and
        none is under way.
        """
        while self._openings < min(len(self._wanted), self._most_openings()):
            if self._openings == 0:
                self.failed_opening = None
                self._asked_at = time.monotonic()
            try:
                self._begin_opening()
            except RuntimeError as error:  # no thread is to be had
                if self._openings:
                    break
                self._note(f"{error}: no connection can be opened")
                self._wanted.clear()
                return self.trouble
        return None

    def _most_openings(self) -> int:
        """One while the node is out of use, to see whether it is back: it is not to meet all who
        wait for it.
        """
        if self.trouble is not None:
            return 1
        is_far = self.round_trip.smoothed_seconds >= limits.FAR_SECONDS
        return limits.FAR_OPENINGS_AT_ONCE if is_far else limits.OPENINGS_AT_ONCE

    def _begin_opening(self) -> None:
        """Open one connection in a thread.

        It counts once it runs. Raises RuntimeError where no thread can be had.
        """
        check_threads()
        name = f"redrepl-open-{self.endpoint.node}"
        threading.Thread(target=self._open_wanted, name=name, daemon=True).start()
        self._openings += 1

    def _open_wanted(self) -> None:
        while True:
            try:
                connection, trouble = self._open(), None
            except NodeUnusable as error:
                connection, trouble = None, str(error)
            except (
                Exception
            ) as error:  # anything else must reach the callers too, or they would wait in vain
                connection, trouble = None, f"{type(error).__name__}: {error}"
            if self._opened(connection, trouble):
                return

    def _open(self) -> NodeConnection:
        return open_connection(self.endpoint, self.admission, self.timeout_seconds, self.round_trip)

    def _opened(self, connection: NodeConnection | None, trouble: str | None) -> bool:
        """Hand over; answers whether the thread is done."""
        with self._lock:
            if connection is None or self._closed:
                served, done = self._failed(connection, trouble), True
            else:
                self.trouble, self._pause_seconds = None, FIRST_RETRY_SECONDS
                self._asked_at = time.monotonic()
                self._tell_opened(self._asked_at)
                wake = self._keep(connection)
                served = [] if wake is None else [wake]
                done = len(self._wanted) < self._openings
            self._openings = max(0, self._openings - done)
            if connection is not None and not self._closed:
                self._open_more()
        for wake in served:
            wake()
        return done

    def _failed(self, connection: NodeConnection | None, trouble: str | None) -> list[Wake]:
        """An opening failed.

        Whoever waits is told when the last of them has: another may still succeed.
        """
        if connection is not None:
            connection.close()
        self._note(trouble or "the coordinator is closed")
        if self._openings > 1 and not self._closed:
            return []
        self.failed_opening = self.trouble
        served, self._wanted = self._wanted, []
        return served

    def _keep(self, connection: NodeConnection) -> Wake | None:
        """Keep a connection for the first that waits, else for any that comes; answers who is to be
        woken.
        """
        wake = self._wanted.pop(0) if self._wanted else _nobody
        if wake is _nobody:
            self._fresh.append(connection)
            return None
        self._kept[wake] = connection
        return wake

    # Facts ----------------------------------------------------------------------------------------

    def _tell_lost(self, why: str) -> None:
        why = shown_reason(why).removeprefix(f"{LOST}: ")
        self._reporter.note(Observer.connection_lost, node=self.endpoint.node, why=why)

    def _tell_unavailable(self, why: str, now: float) -> None:
        """Once, and again where something else is wrong. A closed gate's node is as it was."""
        kind = kind_of(why)
        if self._closed or kind == self._told_kind:
            return
        if self._told_kind is None:
            self._away_since = now
        self._told_kind = kind
        node, why = self.endpoint.node, shown_reason(why)
        self._reporter.note(Observer.node_unavailable, node=node, why=why)

    def _tell_opened(self, now: float) -> None:
        node = self.endpoint.node
        self._reporter.note(Observer.connection_opened, node=node, address=address(self.endpoint))
        if self._told_kind is not None:
            self._told_kind = None
            away_seconds = now - self._away_since
            self._reporter.note(Observer.node_available, node=node, away_seconds=away_seconds)
