"""A client that writes all the time while something happens to the primary."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self

from redrepl_cli.bench.outages import Outage, Scene
from redrepl_cli.bench.settings import PREFIX
from redrepl_cli.bench.stage import CannotMeasure

FIRST_SECONDS = 10.0
"""For the first write; it takes milliseconds."""

LONGEST_SECONDS = 60.0
"""An outage that is longer is no figure but a failure."""

RETRY_PAUSE_SECONDS = 0.01
"""After a call that failed: a refused connection takes microseconds, and nobody tries again that
fast.
"""

READ_AT_ONCE = 1000


def event_key(number: int) -> str:
    """The key of a write, which no other write has."""
    return f"{PREFIX}event:{number}"


def event_value(number: int, value_bytes: int) -> bytes:
    """Its value: the number, filled up to the size of the run's values."""
    return b"%d" % number + b"." * max(0, value_bytes - len(str(number)))


class Writer:
    """Writes numbers in a thread while the block runs."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._acknowledged: list[int] = []
        self._failed = 0
        self._error: Exception | None = None
        self._gone_at = float("inf")
        self._back_at: float | None = None
        self._started, self._back, self._stop = (
            threading.Event(),
            threading.Event(),
            threading.Event(),
        )
        self._thread = threading.Thread(target=self._run, name="redrepl-bench-writer", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def await_first(self) -> None:
        """Wait until a write was acknowledged. Raises CannotMeasure."""
        self._await(self._started, FIRST_SECONDS)

    def note_gone(self) -> None:
        """The primary answers nobody any more: writes that begin from now on tell when the service
        is back.
        """
        self._gone_at = time.monotonic()

    def await_back(self) -> float:
        """When the first write that began after `note_gone` was acknowledged.

        Raises CannotMeasure.
        """
        self._await(self._back, LONGEST_SECONDS)
        assert self._back_at is not None
        return self._back_at

    def outage(self, seconds: float, value_bytes: int) -> Outage:
        """The figures, once the block is over: reads back whatever was acknowledged."""
        numbers, lost = self._acknowledged, 0
        for first in range(0, len(numbers), READ_AT_ONCE):
            some = numbers[first : first + READ_AT_ONCE]
            found = self._scene.read(some)
            lost += sum(
                value != event_value(number, value_bytes)
                for number, value in zip(some, found, strict=True)
            )
        return Outage(seconds, self._failed, len(numbers), lost)

    def _await(self, event: threading.Event, seconds: float) -> None:
        came = event.wait(seconds)
        if self._error is not None:
            raise self._error
        if not came:
            raise CannotMeasure(f"no write was acknowledged in {seconds:g} s")

    def _run(self) -> None:
        number = 0
        while not self._stop.is_set():
            try:
                self._write(number)
            except Exception as error:
                self._error = error
                self._started.set()
                self._back.set()
                return
            number += 1

    def _write(self, number: int) -> None:
        began = time.monotonic()
        try:
            self._scene.write(number)
        except self._scene.failures:
            self._failed += 1
            self._stop.wait(RETRY_PAUSE_SECONDS)
            return
        self._acknowledged.append(number)
        self._started.set()
        if self._back_at is None and began > self._gone_at:
            self._back_at = time.monotonic()
            self._back.set()
