"""Facts on their way to an observer: noted where they happen, told by a thread of the library's
own.

Facts happen amid the books of a channel or of an event loop's board, and with locks held. An
observer is foreign code: there it could raise, block, fork, or use the store again, and a signal's
handler could raise in it. Logging is no better: before Python 3.13 a Ctrl-C that comes while it
takes a lock may leave that locked for ever. So where a fact happens it is put on a queue, in one
step and with no foreign code, and a thread that lives while there are any tells the observer.
Signals' handlers run in the main thread, so none interrupts the telling.
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Concatenate, NamedTuple, ParamSpec

from redrepl.edges.forking import renew_after_fork
from redrepl.edges.lifetimes import Living, let_go_of_frames
from redrepl.edges.locks import new_lock
from redrepl.edges.threads import check_threads
from redrepl.logging_observer import LoggingObserver, is_logged
from redrepl.observe import Observer, Part, Source
from redrepl.values import limits
from redrepl.values.errors import RequestError
from redrepl.values.reasons import shown_reason
from redrepl.values.topology import Topology

P = ParamSpec("P")

FINISH_SECONDS = 1.0
"""For an observer to take what is left when its coordinator is closed, or the interpreter ends."""

_log = logging.getLogger("redrepl.observer")
_all: Living[Dispatcher] = Living()


class _Fact(NamedTuple):
    """A fact that was noted: the observer's method, and what it is called with."""

    name: str
    source: Source
    arguments: tuple[Any, ...]
    named: dict[str, Any]


class Dispatcher:
    """A queue of facts, and the thread that tells them to an observer while there are any.

    observer: None for `LoggingObserver`. Raises RequestError for what is no Observer.
    """

    def __init__(self, observer: Observer | None) -> None:
        if observer is None:
            observer = LoggingObserver()
        if not isinstance(observer, Observer):
            kind = type(observer).__name__
            raise RequestError(f"observer must be a redrepl.Observer, not {kind}")
        self._observer = observer
        self._is_silent = type(observer) is Observer
        self._logs = type(observer) is LoggingObserver

        self._facts: deque[_Fact] = deque()
        self._dropped = 0
        self._failures: set[tuple[str, type[Exception]]] = set()
        self._lock = new_lock()
        self._thread: threading.Thread | None = None
        self._is_over = False
        _all.add(self)
        renew_after_fork(self)

    def after_fork(self) -> None:
        """The parent tells what happened before the fork."""
        self._lock, self._thread = new_lock(), None
        self._facts.clear()

    def wants(self, name: str) -> bool:
        """Whether a fact of this name has to be told. Calls no observer and no logging."""
        return not (self._is_silent or self._is_over or (self._logs and not is_logged(name)))

    def put(self, fact: _Fact) -> None:
        """Have a fact told. Returns at once and calls no observer."""
        if len(self._facts) >= limits.MAX_WAITING_FACTS:
            self._dropped += 1
            return
        self._facts.append(fact)
        self._begin()

    def finish(self, seconds: float = FINISH_SECONDS) -> None:
        """Give the observer a moment for what is left."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread() and thread.is_alive():
            thread.join(seconds)

    def end(self, seconds: float) -> None:
        """As `finish`, and tell nothing from then on: the interpreter is ending."""
        self.finish(seconds)
        self._is_over = True

    def _begin(self) -> None:
        with self._lock:
            if self._thread is not None and self._thread.is_alive():
                return
            thread = threading.Thread(target=self._tell_all, name="redrepl-observer", daemon=True)
            self._thread = thread
            try:
                check_threads()
                thread.start()
            except RuntimeError:  # no thread is to be had: the next fact tries again
                self._thread = None

    def _tell_all(self) -> None:
        """Tell what is on the queue, until it is empty."""
        while True:
            with self._lock:
                if self._thread is not threading.current_thread():
                    return  # a signal's handler noted a fact amid `_begin`, and began another
                if not self._facts:
                    self._thread = None
                    return
                fact = self._facts.popleft()

            dropped, self._dropped = self._dropped, 0
            if dropped:
                self._tell(_Fact("facts_dropped", fact.source, (), {"count": dropped}))
            self._tell(fact)

    def _tell(self, fact: _Fact) -> None:
        """Call the observer. What it raises is logged once for each kind, and harms nothing."""
        try:
            getattr(self._observer, fact.name)(fact.source, *fact.arguments, **fact.named)
        except Exception as error:
            kind = (fact.name, type(error))
            if kind not in self._failures:
                self._failures.add(kind)
                with suppress(Exception):  # a handler of the program's may be what raises
                    text = "%s of the observer failed; the fact is dropped (said once)"
                    _log.warning(text, fact.name, exc_info=True)
            let_go_of_frames(error)


class Reporter:
    """Takes the facts that one part of a program meets, and has a dispatcher tell the observer."""

    def __init__(self, dispatcher: Dispatcher, cluster: str, part: Part) -> None:
        self._dispatcher = dispatcher
        self._cluster = cluster
        self._part = part
        self._epoch = 0
        self._states: dict[str, str] = {}
        self._lock = new_lock()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """A lock of the parent's may be held by a thread that did not come along."""
        self._lock = new_lock()

    def beside(self, part: Part) -> Reporter:
        """A reporter for another part of the program, with the same queue, thread and observer."""
        return Reporter(self._dispatcher, self._cluster, part)

    def note(
        self,
        fact: Callable[Concatenate[Observer, Source, P], object],
        *arguments: P.args,
        **named: P.kwargs,
    ) -> None:
        """Have a fact told: a method of `Observer` itself, and its arguments. Returns at once and
        calls no observer.
        """
        if self._dispatcher.wants(fact.__name__):
            source = Source(self._cluster, self._epoch, self._part)
            self._dispatcher.put(_Fact(fact.__name__, source, arguments, named))

    def epoch_is(self, topology: Topology) -> None:
        """This topology is used from now on; a newer epoch than before is a fact."""
        with self._lock:
            old, new = self._epoch, topology.epoch
            if new <= old:
                return
            self._epoch = new
        members = tuple(topology.ids)
        self.note(
            Observer.epoch_changed,
            old=old,
            new=new,
            primary=topology.decider,
            members=members,
        )

    def state_is(self, node: str, state: str, why: str = "") -> None:
        """A member was found in this state; another one than before is a fact."""
        with self._lock:
            old = self._states.get(node, "unknown")
            self._states[node] = state
        if state != old:
            why = shown_reason(why)
            self.note(Observer.member_state_changed, node=node, old=old, new=state, why=why)

    def finish(self, seconds: float = FINISH_SECONDS) -> None:
        """Give the observer a moment for what is left."""
        self._dispatcher.finish(seconds)


NOT_OBSERVED = Reporter(Dispatcher(Observer()), "", Part.CLIENT)
"""For connections that no observer is told of: a look for the cluster, and parts in tests."""


@atexit.register
def _end_all() -> None:
    """At the interpreter's end: the last facts are told, and no thread is stopped while it tells
    one.
    """
    until = time.monotonic() + FINISH_SECONDS
    for dispatcher in _all:
        dispatcher.end(max(0.0, until - time.monotonic()))
