"""The monitor: watches the nodes and gives the role of a primary that is away to another one.

Any number may run at once: what keeps them apart is the epoch, and who is second finds members changed and stops. A
monitor that sees no majority can do nothing, and touches nobody.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from redrepl import Administration, Configuration, FailedOver
from redrepl.edges.configuration import AUTOMATIC
from redrepl.plans.epochs.suspicion import Suspicion, Verdict
from redrepl.values.errors import RedreplError, RequestError
from redrepl.values.topology import Mode

FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 5.0
"""After an attempt comes a random part of a pause that doubles each time, so that rivals do not meet again."""

CALM_SECONDS = 30.0
"""A monitor that has replaced a primary waits ever longer before it does so again, until nothing happened for so long:
one that sees the nodes differently from everybody else must not move the role round and round."""

_log = logging.getLogger("redrepl.monitor")


class Looked(NamedTuple):
    """What one look led to. failed_over: where the role was moved."""

    verdict: Verdict
    failed_over: FailedOver | None = None


class Monitor:
    """Looks at the nodes every ``probe_seconds``, over connections of its own; in a thread of its own, or in `run`."""

    def __init__(self, configuration: Configuration, on_failover: Callable[[FailedOver], None] | None = None) -> None:
        self._configuration = configuration
        self._administration = Administration(configuration)
        self._on_failover = on_failover
        self._stop = threading.Event()
        self._suspicion = Suspicion(
            configuration.failover_after_crash_seconds,
            configuration.failover_after_silence_seconds,
            configuration.failover == AUTOMATIC,
        )
        self._pause_seconds = FIRST_PAUSE_SECONDS
        self._next_at = self._moved_at = 0.0
        self._said: str | None = None
        self._thread = threading.Thread(target=self.run, name="redrepl-monitor", daemon=True)

    @property
    def is_needed(self) -> bool:
        """Whether there is one primary. With failover = "manual" only unfinished changes of epoch are ended."""
        return self._configuration.mode is Mode.PRIMARY_REPLICA

    def start(self) -> None:
        """Begin watching in a thread, where there is anything to watch for."""
        if self.is_needed:
            self._thread.start()

    def stop(self) -> None:
        """Stop watching; a failover that is under way comes to its end first."""
        self._stop.set()
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(self._configuration.timeout_seconds + 5.0)
        self._administration.close()

    def run(self) -> None:
        """Watch until `stop`."""
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                self.look()
            except RedreplError as error:
                self._say(str(error))
            except Exception:
                _log.exception("looking at the nodes failed")
            self._stop.wait(max(0.0, began + self._configuration.probe_seconds - time.monotonic()))

    def look(self) -> Looked:
        """Look once, and fail over where that is due."""
        topology, reports = self._administration.probe(self._configuration.failover_after_silence_seconds / 3)
        now = time.monotonic()
        verdict = self._suspicion.judge(topology, reports, now)
        if not verdict.is_due:
            if not verdict.why:
                self._say(None)
            return Looked(verdict)
        if now < self._next_at:
            return Looked(verdict)
        return Looked(verdict, self._fail_over(verdict))

    def _fail_over(self, verdict: Verdict) -> FailedOver | None:
        self._say(f"failing over: {verdict.why}")
        try:
            done = self._administration.failover(away=verdict.away)
        except RequestError:
            raise  # several primaries: there is nothing to do here
        except RedreplError as error:
            self._say(f"could not fail over: {error}")
            self._pause()
            return None
        moved_lately = time.monotonic() - self._moved_at < CALM_SECONDS
        self._moved_at = time.monotonic()
        self._pause_seconds = self._pause_seconds * 2 if moved_lately else FIRST_PAUSE_SECONDS
        self._pause()
        _log.warning(
            "%s is the primary in epoch %d, after %s; serving: %s; %.0f ms",
            done.primary,
            done.epoch,
            done.previous,
            ", ".join(done.active),
            done.seconds * 1000,
        )
        self._said = None
        if self._on_failover is not None:
            self._on_failover(done)
        return done

    def _pause(self) -> None:
        self._next_at = time.monotonic() + random.uniform(0.5, 1.0) * self._pause_seconds
        self._pause_seconds = min(LONGEST_PAUSE_SECONDS, 2 * self._pause_seconds)

    def _say(self, trouble: str | None) -> None:
        """Log a trouble once."""
        if trouble is not None and trouble != self._said:
            _log.warning("%s", trouble)
        self._said = trouble
