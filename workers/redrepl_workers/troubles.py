"""What a worker or monitor says about lasting trouble: once for each cause, again every few
minutes, and its end.

The nodes are looked at several times a second, and a log that repeats itself is not read. So each
trouble has a subject (the cluster, a node, the queue) and a cause, which stays the same while the
same thing is wrong, whatever the words.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from redrepl.values import limits

REPEAT_SECONDS = 300.0
"""A cause that lasts is said again after so long, with how long it has lasted."""

QUIET_SECONDS = 30.0
"""A cause that comes back is not said again within this, so that what comes and goes fills no
log.
"""


@dataclass(slots=True)
class _Trouble:
    """since: of the trouble under way, None where there is none. told: a line of it was logged.
    said_at: by cause.
    """

    since: float | None = None
    told: bool = False
    said_at: dict[str, float] = field(default_factory=dict)


class Troubles:
    """Logs troubles and their ends. May be shared by threads. ``now``: a clock in seconds."""

    def __init__(self, log: logging.Logger, now: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._now = now
        self._lock = threading.Lock()
        self._troubles: dict[str, _Trouble] = {}

    def note(self, subject: str, cause: str, text: str, level: int = logging.WARNING) -> None:
        """Something is wrong with the subject, for this cause; say it unless it was said not long
        ago.
        """
        with self._lock:
            now, trouble = self._now(), self._troubles.setdefault(subject, _Trouble())
            if len(self._troubles) > limits.MAX_TROUBLE_SUBJECTS:
                del self._troubles[next(iter(self._troubles))]
            is_new = trouble.since is None
            since = trouble.since = now if trouble.since is None else trouble.since
            said_at = trouble.said_at.get(cause)
            if said_at is not None and now - said_at < (
                QUIET_SECONDS if is_new else REPEAT_SECONDS
            ):
                return
            trouble.said_at[cause] = now
            trouble.told = True
        lasted = (
            f" (for {_duration(now - since)} now)" if said_at is not None and not is_new else ""
        )
        self._log.log(level, "%s%s", text, lasted)

    def over(self, subject: str, text: str) -> None:
        """Nothing is wrong with the subject: say so where a trouble was said, with how long it
        lasted.
        """
        with self._lock:
            trouble = self._troubles.get(subject)
            if trouble is None or trouble.since is None:
                return
            lasted, told = self._now() - trouble.since, trouble.told
            trouble.since, trouble.told = None, False
            trouble.said_at = {
                cause: at
                for cause, at in trouble.said_at.items()
                if self._now() - at < QUIET_SECONDS
            }
        if told:
            self._log.info("%s, after %s", text, _duration(lasted))

    def is_under_way(self, subject: str) -> bool:
        """Whether something is wrong with the subject."""
        with self._lock:
            trouble = self._troubles.get(subject)
            return trouble is not None and trouble.since is not None

    def forget_others(self, subjects: set[str]) -> None:
        """Drop what is known about subjects that are gone."""
        with self._lock:
            self._troubles = {
                name: trouble for name, trouble in self._troubles.items() if name in subjects
            }


def without_numbers(text: str) -> str:
    """A cause made of a text: epochs, times and ports in it may change while the cause is the
    same.
    """
    return re.sub(r"\d+", "#", text)


def _duration(seconds: float) -> str:
    """A time in words."""
    if seconds < 120:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} minutes" if minutes < 120 else f"{minutes / 60:.1f} hours"
