"""Exceptions from outside, in the middle of a call: what a signal's handler raises can come between
any two steps.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any, Self, TypeAlias

import redrepl

LIBRARY = str(Path(redrepl.__file__).parent)

Tracer: TypeAlias = Callable[[FrameType, str, Any], Any]


class Interrupted(KeyboardInterrupt):
    """What the handler raises: no error of the library, and an event loop lets it through."""


def interrupt(call: Callable[[], object], at_line: int) -> bool:
    """Make a call, and raise `Interrupted` in it where the library comes to its so many-th line.

    Whether it did.
    """
    left, was_raised = at_line, False

    def line(_: FrameType, event: str, __: Any) -> Tracer | None:
        nonlocal left, was_raised
        if event == "line":
            left -= 1
            if left == 0:
                was_raised = True
                sys.settrace(None)
                raise Interrupted
        return line

    def called(frame: FrameType, _: str, __: Any) -> Tracer | None:
        return line if frame.f_code.co_filename.startswith(LIBRARY) else None

    before = sys.gettrace()
    sys.settrace(called)
    try:
        call()
    except Interrupted:
        pass  # what was raised here has come through: `was_raised` tells the caller
    finally:
        sys.settrace(before)
    return was_raised


class Alarm:
    """Raises `Interrupted` at moments that nobody chose, wherever the library is then.

    For the main thread.

    ``count``: how often it did.
    """

    def __init__(self, random: Random, longest_seconds: float) -> None:
        self.count = 0
        self._random = random
        self._longest_seconds = longest_seconds

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGALRM, self._ring)
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()
        signal.signal(signal.SIGALRM, self._before)

    def set(self) -> None:
        """Ring once from now on, after a moment."""
        signal.setitimer(signal.ITIMER_REAL, self._random.uniform(1e-6, self._longest_seconds))

    def cancel(self) -> None:
        """No more."""
        signal.setitimer(signal.ITIMER_REAL, 0.0)

    def _ring(self, _: int, frame: FrameType | None) -> None:
        # What an interrupted event loop itself forgets nobody else can make up for.
        if frame is not None and frame.f_code.co_filename.startswith(LIBRARY):
            self.count += 1
            raise Interrupted
