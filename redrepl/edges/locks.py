"""The library's locks, which its own thread may enter again, and which an interruption cannot leave locked for ever.

`with` and a lock of the interpreter's own are safe from signals' handlers: no handler runs between taking the lock and the
block, nor between the block and giving it back. A tracer or a debugger may raise there all the same.
"""

from __future__ import annotations

import threading
import weakref
from typing import Any, TypeAlias

Lock: TypeAlias = Any
"""A `threading.RLock`, whose type has a name in some versions of Python alone."""

_all: weakref.WeakSet[Lock] = weakref.WeakSet()


def new_lock() -> Lock:
    """A lock for a few steps of bookkeeping."""
    lock = threading.RLock()
    _all.add(lock)
    return lock


def give_back_all() -> None:
    """Give back what this thread still holds. For who ended a call by an exception from outside, and holds nothing."""
    for lock in list(_all):
        while lock._is_owned():
            lock.release()
