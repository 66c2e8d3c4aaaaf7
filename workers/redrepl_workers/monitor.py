"""The monitor: watches the nodes and gives the role of a primary that is away to another one.

Any number may run at once: what keeps them apart is the epoch, and who is second finds members
changed and stops. A monitor that sees no majority can do nothing, touches nobody, and says so.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from redrepl import Administration, Configuration, FailedOver, Observer
from redrepl.doors.operating import NOT_SEEN_YET, Suspicion, Verdict, newest_epoch
from redrepl.edges.configuration import AUTOMATIC
from redrepl.observe import Part
from redrepl.values import limits
from redrepl.values.clocks import describe_offset
from redrepl.values.errors import RedreplError, RequestError
from redrepl.values.reports import Reports
from redrepl.values.topology import Mode, Topology
from redrepl_workers.configuration_check import ConfigurationCheck
from redrepl_workers.looks import FORGOT, tell
from redrepl_workers.troubles import Troubles, without_numbers

FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 5.0
"""After an attempt comes a random part of a pause that doubles each time, so that rivals do not
meet again.
"""

LONGEST_PAUSE_AFTER_CRASH_SECONDS = 0.4
"""The same where the primary crashed for certain.

Rivals are kept apart by what they see, too: members that are between epochs are left alone for a
second (`UNFINISHED_SECONDS`).
"""

CALM_SECONDS = 30.0
"""A monitor that has replaced a silent primary waits ever longer before it replaces a silent one
again, until nothing happened for so long: one that sees the nodes differently from all others must
not move the role round and round.
"""

UNWATCHED_PROBE_SECONDS = 5.0
"""Between looks where there is no one primary: whether there is one now."""

TELLING_SECONDS = 1.0
"""Between looks of which a monitor without a worker says what it saw."""

TOLD_PAUSE_SECONDS = 0.5
"""A pause that lasts longer is told."""

PRIMARY = "the primary"
"""The subject of troubles with it."""

_log = logging.getLogger("redrepl.monitor")


class Looked(NamedTuple):
    """What one look led to. failed_over: where the role was moved."""

    verdict: Verdict
    failed_over: FailedOver | None = None


class Monitor:
    """Looks at the nodes every ``probe_seconds``, over connections of its own; in a thread of its
    own, or in `run`.

    tells: says what is wrong with the nodes, too; beside a worker's tick, which does, it need not.
    """

    def __init__(
        self,
        configuration: Configuration,
        on_failover: Callable[[FailedOver], None] | None = None,
        tells: bool = False,
        observer: Observer | None = None,
    ) -> None:
        self._configuration = configuration
        self._administration = Administration(configuration, observer=observer, part=Part.MONITOR)
        self._on_failover = on_failover
        self._stop = threading.Event()
        self._suspicion = Suspicion(
            configuration.failover_after_crash_seconds,
            configuration.failover_after_silence_seconds,
            configuration.failover == AUTOMATIC,
            chance=random.random,
        )
        self._pause_seconds = FIRST_PAUSE_SECONDS
        self._next_at = self._moved_at = self._write_at = 0.0
        self._next_after_crash_at = self._told_at = self._told_pause = 0.0
        self._tells = tells
        self._troubles = Troubles(_log)
        self._interval_seconds = configuration.probe_seconds
        self._check = ConfigurationCheck(self._troubles)
        self._thread = threading.Thread(target=self.run, name="redrepl-monitor", daemon=True)

    def start(self) -> None:
        """Begin watching in a thread.

        With failover = "manual" only unfinished changes of epoch are ended.
        """
        self._thread.start()

    def request_stop(self) -> None:
        """Have it end without waiting for it."""
        self._stop.set()

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
                self._troubles.note("looking", without_numbers(str(error)), str(error))
            except Exception:
                _log.exception("looking at the nodes failed")
            else:
                self._troubles.over("looking", "looking at the nodes works again")
            self._stop.wait(max(0.0, began + self._interval_seconds - time.monotonic()))

    def look(self) -> Looked:
        """Look once, and fail over where that is due."""
        began = time.monotonic()
        writes = began >= self._write_at
        if writes:
            self._write_at = began + limits.WRITE_PROBE_SECONDS
        options = self._configuration
        patience_seconds = options.failover_after_silence_seconds / 3
        topology, seen = self._administration.probe(options.probe_seconds, patience_seconds, writes)
        reports = seen.reports
        if not seen.is_current:
            return Looked(NOT_SEEN_YET)
        if topology is not None:
            self._set_aside(topology, reports)
        now = time.monotonic()
        self._tell(topology, reports, now)
        is_watched = topology is None or topology.mode is Mode.PRIMARY_REPLICA
        self._interval_seconds = (
            self._configuration.probe_seconds if is_watched else UNWATCHED_PROBE_SECONDS
        )
        own_ahead = self._administration.wall_ahead_seconds()
        verdict = self._suspicion.judge(topology, reports, now, own_ahead, seen.silences)
        if verdict.blocked:
            self._troubles.note(PRIMARY, verdict.blocked, verdict.why)
        elif topology is not None and not verdict.why:
            self._troubles.over(PRIMARY, f"primary {topology.decider!r} serves")
            self._check.look(self._administration, topology, reports)
        if not verdict.is_due or self._waits(verdict, now):
            return Looked(verdict)
        return Looked(verdict, self._fail_over(verdict, newest_epoch(reports)))

    def _tell(self, topology: Topology | None, reports: Reports, now: float) -> None:
        if self._tells and now - self._told_at >= TELLING_SECONDS:
            self._told_at = now
            tell(self._troubles, self._configuration, topology, reports)

    def _waits(self, verdict: Verdict, now: float) -> bool:
        """Whether it is too early for another attempt."""
        if verdict.is_proved:
            return now < self._next_after_crash_at
        if now >= self._next_at:
            return False
        if (left := self._next_at - now) > TOLD_PAUSE_SECONDS and self._told_pause != self._next_at:
            self._told_pause = self._next_at
            _log.warning(
                "%s; this monitor moved the role, or tried to, not long ago: it waits another "
                "%.1f s, unless "
                "a crash shows; `redrepl failover` does it at once",
                verdict.why,
                left,
            )
        return True

    def _set_aside(self, topology: Topology, reports: Reports) -> None:
        for node, seconds in self._administration.set_aside_wrong_clocks(topology, reports).items():
            text = (
                "%s: its clock is %s; it serves nothing until that is right and all its keys "
                "were compared"
            )
            _log.warning(text, node, describe_offset(seconds))
        # Here too: the more often somebody looks, the less a log has grown again since it was set
        # back.
        for node, why in self._administration.set_forgetful_aside(
            topology, reports, asks_again=False
        ).items():
            _log.warning(FORGOT, node, why)

    def _fail_over(self, verdict: Verdict, seen_epoch: int) -> FailedOver | None:
        self._troubles.note(
            PRIMARY, without_numbers(f"failing over {verdict.why}"), f"failing over: {verdict.why}"
        )
        try:
            done = self._administration.failover(
                away=verdict.away,
                seen_epoch=seen_epoch,
                why=verdict.why,
            )
        except RequestError:
            raise  # several primaries: there is nothing to do here
        except RedreplError as error:
            self._troubles.note(
                PRIMARY, without_numbers(f"could not {error}"), f"could not fail over: {error}"
            )
            self._pause(LONGEST_PAUSE_AFTER_CRASH_SECONDS)
            return None
        moved_lately = time.monotonic() - self._moved_at < CALM_SECONDS
        self._moved_at = time.monotonic()
        self._pause_seconds = self._pause_seconds if moved_lately else FIRST_PAUSE_SECONDS
        self._pause(0.0)
        _log.warning(
            "%s is the primary in epoch %d, after %s; serving: %s; %.0f ms",
            done.primary,
            done.epoch,
            done.previous,
            ", ".join(done.active),
            done.seconds * 1000,
        )
        if self._on_failover is not None:
            self._on_failover(done)
        return done

    def _pause(self, longest_after_crash_seconds: float) -> None:
        now, part = time.monotonic(), random.uniform(0.5, 1.0)
        self._next_at = now + part * self._pause_seconds
        self._next_after_crash_at = now + part * min(
            self._pause_seconds, longest_after_crash_seconds
        )
        self._pause_seconds = min(LONGEST_PAUSE_SECONDS, 2 * self._pause_seconds)
