"""Threads that write through one coordinator until they are stopped."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any, Self

from redrepl import Coordinator
from redrepl.values.errors import RedreplError
from tests.support.waiting import wait_until

KEYS = 50


class Writers:
    """Each thread sets its own keys over and over; `last` holds what was acknowledged, `errors`
    what was not.
    """

    def __init__(
        self, store: Coordinator[Any, bytes], threads: int, level: str | int = "quorum"
    ) -> None:
        self.store = store
        self.level = level
        self.written = 0
        self.last: dict[str, bytes] = {}
        self.errors: list[RedreplError] = []
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._write, args=(number,)) for number in range(threads)
        ]

    def _write(self, thread: int) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            key, value = f"writer-{thread}-{number % KEYS}", b"%d" % number
            try:
                self.store.set(key, value, level=self.level)
                self.last[key] = value
            except RedreplError as error:
                self.errors.append(error)
                self.last.pop(key, None)
            self.written += 1

    def wait_more(self, count: int, timeout_seconds: float = 30.0) -> None:
        """Wait until so many more writes are done."""
        goal = self.written + count
        wait_until(lambda: self.written >= goal, timeout_seconds, f"{count} more writes")

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
