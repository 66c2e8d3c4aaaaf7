"""Real data and steady traffic, with a ledger of what was acknowledged.

The data are the source files of Python's standard library as they lie on this machine, sessions
with a time to live in a `ReplicatedCache`, page counters, and deletes.
"""

from __future__ import annotations

import itertools
import random
import sysconfig
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redrepl import Coordinator, ReplicatedCache, WriteNotConfirmed, WriteRejected

MOST_FILES = 1500
MOST_FILE_BYTES = 32 * 1024
SESSIONS = 1500
SHORT_SESSIONS = 150
SHORT_TTL_SECONDS = 2.0
SESSION_TTL_SECONDS = 3600.0
_LEFT_OUT = {"site-packages", "test", "tests", "idlelib", "lib2to3", "__pycache__"}


def library_files() -> dict[str, bytes]:
    """Source files of the standard library, each cut at MOST_FILE_BYTES, under keys like
    `stdlib:json/decoder.py`.
    """
    root = Path(sysconfig.get_paths()["stdlib"])
    paths = (
        p
        for p in sorted(root.rglob("*.py"))
        if not _LEFT_OUT.intersection(p.relative_to(root).parts)
    )
    return {
        f"stdlib:{path.relative_to(root).as_posix()}": path.read_bytes()[:MOST_FILE_BYTES]
        for path in itertools.islice(paths, MOST_FILES)
    }


@dataclass(slots=True)
class Ledger:
    """What was acknowledged, and what may have happened besides.

    Values by key; None: deleted.

    slowest_seconds: the slowest write since `mark`. maybe: values of unknown writes after the last
    acknowledged one.
    """

    acked: dict[str, bytes | None] = field(default_factory=dict)
    maybe: dict[str, list[bytes | None]] = field(default_factory=dict)
    writes: int = 0
    unknown: int = 0
    rejected: int = 0
    slowest_seconds: float = 0.0

    def note(self, key: str, value: bytes | None, seconds: float) -> None:
        """An acknowledged write."""
        self.acked[key] = value
        self.maybe.pop(key, None)
        self.writes += 1
        self.slowest_seconds = max(self.slowest_seconds, seconds)

    def note_unknown(self, key: str, value: bytes | None) -> None:
        """A write whose outcome is unknown: it may be what is found later."""
        self.maybe.setdefault(key, []).append(value)
        self.unknown += 1

    def lost(self, found: dict[str, bytes | None]) -> list[str]:
        """Keys that hold neither what was last acknowledged nor an unknown write after it."""
        return [
            key
            for key, value in self.acked.items()
            if found.get(key) != value and found.get(key) not in self.maybe.get(key, [])
        ]


class Traffic:
    """A thread that keeps writing: new revisions, counters, deletes.

    Every key is written by this thread alone.
    """

    def __init__(
        self, coordinator: Coordinator[Any, Any], ledger: Ledger, documents: dict[str, bytes]
    ) -> None:
        self._coordinator = coordinator
        self._ledger = ledger
        self._documents = documents
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="demo-traffic", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self) -> None:
        """Stop, and raise what went wrong, if anything did."""
        self._stop.set()
        self._thread.join(30)
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            for key, value in self._changes():
                if self._stop.is_set():
                    return
                write(self._coordinator, self._ledger, key, value)
        except Exception as error:  # handed to the caller of `stop`
            self._error = error

    def _changes(self) -> Iterator[tuple[str, bytes | None]]:
        choose = random.Random(7)
        names = list(self._documents)
        for number in itertools.count():
            name = choose.choice(names)
            kind = choose.random()
            if kind < 0.6:
                yield f"views:{name}", b"%d" % number
            elif kind < 0.9:
                yield name, b"# revision %d\n" % number + self._documents[name][:2048]
            else:
                yield name, None


def write(
    coordinator: Coordinator[Any, Any], ledger: Ledger, key: str, value: bytes | None
) -> None:
    """One write into the store and the ledger."""
    started = time.monotonic()
    try:
        if value is None:
            coordinator.delete(key)
        else:
            coordinator.set(key, value)
    except WriteNotConfirmed:
        ledger.note_unknown(key, value)
    except WriteRejected:
        ledger.rejected += 1
    else:
        ledger.note(key, value, time.monotonic() - started)


def load(coordinator: Coordinator[Any, Any], ledger: Ledger, documents: dict[str, bytes]) -> None:
    """Store all documents in batches."""
    coordinator.set_many(documents)
    for key, value in documents.items():
        ledger.note(key, value, 0.0)


def open_sessions(cache: ReplicatedCache) -> int:
    """Sessions as JSON, most for an hour and some for two seconds; answers how many."""
    long = {f"session-{n}": {"user": n, "basket": list(range(n % 7))} for n in range(SESSIONS)}
    short = {f"short-{n}": {"user": n, "basket": []} for n in range(SHORT_SESSIONS)}
    cache.set_many(long, ttl=SESSION_TTL_SECONDS)
    cache.set_many(short, ttl=SHORT_TTL_SECONDS)
    return len(long) + len(short)
