"""Threads that help: to open connections, to wake the workers, to find the cluster elsewhere.

One may not be had: at a limit of the system (`ulimit -u`, a container's limit of processes), or
because the interpreter is ending. What they help goes on without them.
"""

from __future__ import annotations

from sys import is_finalizing


def check_threads() -> None:
    """Raise RuntimeError where a thread would never begin.

    Once the interpreter is ending, `Thread.start` waits for ever for it (before Python 3.12, where
    it raises itself).
    """
    if is_finalizing():
        raise RuntimeError("the interpreter is ending")
