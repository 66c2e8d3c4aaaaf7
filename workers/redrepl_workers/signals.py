"""SIGTERM and SIGINT, noted whichever thread the system gives them to, and whatever the main thread
does.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

_STOPPING = (signal.SIGTERM, signal.SIGINT)


def call_on_stop(end: Callable[[], None]) -> None:
    """Have the main thread call this when it is asked to stop, at its next step."""
    if threading.current_thread() is not threading.main_thread():
        return

    def note(_number: int, _frame: FrameType | None) -> None:
        end()

    for number in _STOPPING:
        signal.signal(number, note)


class StopSignals:
    """Waits for the first signal to stop, from its making on.

    A lock that a handler sets may be held by what it interrupts, and a wait for one is not ended by
    a signal that another thread got: so the interpreter itself notes signals in a pipe, and no
    handler does anything.
    """

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        if threading.current_thread() is threading.main_thread():
            signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
            call_on_stop(lambda: None)

    def wait(self) -> None:
        """Wait for it."""
        while not set(os.read(self._reader, 64)) & set(_STOPPING):
            pass
