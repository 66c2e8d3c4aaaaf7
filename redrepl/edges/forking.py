"""What must not be shared with a forked child: locks, sockets, threads, and above all a writer id.

Two processes with one writer id could give one stamp to two values.
"""

from __future__ import annotations

import os
from typing import Protocol

from redrepl.edges.lifetimes import Living


class ForkAware(Protocol):
    """Something that a forked child must make anew."""

    def after_fork(self) -> None:
        """Called in the child, before it does anything else."""
        ...


_aware: Living[ForkAware] = Living()


def renew_after_fork(item: ForkAware) -> None:
    """Have ``item.after_fork()`` called in every forked child."""
    _aware.add(item)


def _renew_all() -> None:
    for item in _aware:
        item.after_fork()


os.register_at_fork(after_in_child=_renew_all)
