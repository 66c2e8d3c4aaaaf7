"""Objects that are known for as long as somebody else holds them, and what is closed with them.

When one goes, nothing of that runs in Python: it may go in the main thread, and the exception of a
signal's handler (Ctrl-C, a job's time limit) that comes in a finalizer or in a weak reference's
callback is dropped by the interpreter. That is why there is no `__del__`, and no `weakref.WeakSet`,
whose callback is a Python function. A socket that is open yet when it goes is such a place too: the
interpreter makes a ResourceWarning of it, even where nobody is to see that. What other libraries
finalize in Python has to go in the thread that used it: no circle of references may keep it.
"""

from __future__ import annotations

import traceback
import weakref
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from itertools import chain
from typing import Any, Generic, TypeVar

T = TypeVar("T")

_endings: set[weakref.ref[Any]] = set()
_over: list[weakref.ref[Any]] = []
"""References to what is there, which call what ends with it; and those among them that have done
so.
"""


class Living(Generic[T]):
    """The objects that were added and are still there."""

    def __init__(self) -> None:
        self._references: set[weakref.ref[T]] = set()

    def add(self, item: T) -> None:
        """Know this one too."""
        self._references.add(weakref.ref(item, self._references.discard))

    def discard(self, item: T) -> None:
        """Know this one no longer."""
        self._references.discard(weakref.ref(item))

    def __iter__(self) -> Iterator[T]:
        found = [reference() for reference in self._references.copy()]
        return iter([item for item in found if item is not None])

    def __len__(self) -> int:
        return len(self._references)


def end_with(owner: object, ending: Iterator[None]) -> None:
    """Have ``ending`` run through when ``owner`` goes: steps of the interpreter's own code, each
    answering None.

    The reference holds itself until that is over. A step may let other threads run, which forget
    those that are over; and the interpreter does not hold one whose callback it calls.
    """
    _forget_those_over()
    itself: list[weakref.ref[Any]] = []
    steps = chain(ending, map(_over.append, itself))
    itself.append(weakref.ref(owner, partial(next, filter(None, steps))))
    _endings.update(itself)


def _forget_those_over() -> None:
    with suppress(IndexError):  # another thread was quicker
        while _over:
            _endings.discard(_over.pop())


def let_go_of_frames(error: BaseException) -> None:
    """Empty the frames that an error, and those behind it, came through: one that a frame keeps
    keeps all that was used there, until some thread finalizes it.
    """
    behind: BaseException | None = error
    while behind is not None:
        traceback.clear_frames(behind.__traceback__)
        behind = behind.__cause__ or behind.__context__
