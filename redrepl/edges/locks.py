"""The library's locks: their own thread may enter them again, and no interruption leaves them
locked for ever.

No signal's handler runs between taking one and the block of its `with`, nor between the block and
giving it back. A tracer or a debugger may raise an exception there all the same.
"""

from __future__ import annotations

import threading
from typing import Any, TypeAlias

from redrepl.edges.lifetimes import Living

Lock: TypeAlias = Any
"""A `threading.RLock`, whose type has a name in some versions of Python alone."""

_all: Living[Lock] = Living()


def new_lock() -> Lock:
    """A lock for a few steps of bookkeeping."""
    lock = threading.RLock()
    _all.add(lock)
    return lock


def give_back_all() -> None:
    """Give back what this thread still holds.

    For who ended a call by an exception from outside, and holds nothing.
    """
    for lock in _all:
        while lock._is_owned():
            lock.release()
