"""Writes that tasks make in the same turn of the event loop, sent together: as one batch to every node.

A batch costs a node a fraction of what as many single writes cost, and each write still has an outcome of its own. What
comes while several groups are on their way waits for one of them to return, for a moment at most, and so groups grow
with the load. A write that comes alone leaves at once, as a single one.
"""

from __future__ import annotations

import asyncio
import copy
from collections import deque
from collections.abc import Callable, Hashable
from functools import partial
from typing import Generic, Protocol, TypeAlias, TypeVar

from redrepl.edges.loop_board import LoopBoard, Operation
from redrepl.values import limits
from redrepl.values.effects import Plan
from redrepl.values.errors import RedreplError
from redrepl.values.receipt import WriteReceipt

GROUPS_IN_FLIGHT = 3
"""While fewer groups are on their way, the next leaves at the end of the turn."""

MAX_GROUPS_IN_FLIGHT = 16
"""Beyond these nothing leaves before one has returned: what leaves later times out later."""

HOLD_SECONDS = 0.001
"""How long a group is held for others to return: less than a slow network takes, so that it costs nothing there."""

Result: TypeAlias = WriteReceipt | Exception


class Pending(Protocol):
    """One write that waits."""

    @property
    def key(self) -> bytes:
        """The key on the nodes."""
        ...

    @property
    def payload(self) -> bytes:
        """What is to be stored."""
        ...


H = TypeVar("H", bound=Hashable)
W = TypeVar("W", bound=Pending)


class _Group(Generic[W, H]):
    """Writes of different keys, all in one manner, and who waits for each."""

    __slots__ = ("entries", "how", "size")

    def __init__(self, how: H) -> None:
        self.how = how
        self.entries: dict[bytes, tuple[W, asyncio.Future[WriteReceipt]]] = {}
        self.size = 0

    def takes(self, write: W) -> bool:
        """Whether one more fits."""
        if write.key in self.entries or len(self.entries) >= limits.BATCH_KEYS:
            return False
        return not self.entries or self.size + len(write.key) + len(write.payload) <= limits.BATCH_BYTES

    def leave(self) -> list[W]:
        """What is to be written; a write whose task was cancelled before it left is none."""
        self.entries = {key: entry for key, entry in self.entries.items() if not entry[1].done()}
        return [write for write, _ in self.entries.values()]

    def settle(self, results: list[Result]) -> None:
        """Tell everybody who still waits."""
        for (_, future), result in zip(self.entries.values(), results, strict=True):
            if future.done():
                continue
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)


class WriteGroups(Generic[W, H]):
    """Collects writes by the manner ``how`` in which they are to be carried out, and sends them. Those that need a copy
    which is silent must not keep others from leaving, so every level has a collection of its own.

    make_plan: the plan that writes a list of different keys in one manner; it answers a receipt or an error for each.
    """

    def __init__(self, board: LoopBoard, make_plan: Callable[[list[W], H], Plan[list[Result]]]) -> None:
        self.board = board
        self._make_plan = make_plan
        self._open: dict[H, _Group[W, H]] = {}
        self._leaving: deque[_Group[W, H]] = deque()
        self._in_flight = 0
        self._is_called = self._is_starting = False
        self._timer: asyncio.TimerHandle | None = None

    def add(self, write: W, how: H) -> asyncio.Future[WriteReceipt]:
        """Have a write sent; the future gets its receipt or its error."""
        group = self._open.get(how)
        if group is None or not group.takes(write):
            if group is not None:
                self._leaving.append(group)
            group = self._open[how] = _Group(how)
        future = self.board.loop.create_future()
        group.entries[write.key] = (write, future)
        group.size += len(write.key) + len(write.payload)
        if not self._is_called:
            self._call_at_end_of_turn()
        return future

    def _call_at_end_of_turn(self) -> None:
        self._is_called = True
        if self._in_flight == 0 and self.board.is_idle:
            self._leave()  # nobody else is here: why wait
        else:
            self.board.loop.call_soon(self._leave)

    def _leave(self) -> None:
        self._is_called = False
        self._leaving.extend(self._open.values())
        self._open.clear()
        self._start(GROUPS_IN_FLIGHT)

    def _held_long_enough(self) -> None:
        self._timer = None
        self._start(MAX_GROUPS_IN_FLIGHT)

    def _start(self, most: int) -> None:
        if self._is_starting:
            return  # a group that ended at once: the loop below goes on
        self._is_starting = True
        try:
            while self._leaving and self._in_flight < most:
                group = self._leaving.popleft()
                if writes := group.leave():
                    self._in_flight += 1
                    Operation(self.board, self._make_plan(writes, group.how), partial(self._ended, group)).begin()
        finally:
            self._is_starting = False
        self.board.flush()
        if self._leaving and self._timer is None and self._in_flight < MAX_GROUPS_IN_FLIGHT:
            self._timer = self.board.loop.call_later(HOLD_SECONDS, self._held_long_enough)

    def _ended(self, group: _Group[W, H], operation: Operation[list[Result]]) -> None:
        self._in_flight -= 1
        if operation.error is None:
            group.settle(operation.result)
        else:
            group.settle([_own(operation.error) for _ in group.entries])
        self._start(GROUPS_IN_FLIGHT)


def _own(error: BaseException) -> Exception:
    """The error of one task; tasks that share one would write into each other's traceback."""
    if isinstance(error, RedreplError):
        return copy.copy(error)
    return error if isinstance(error, Exception) else RuntimeError(repr(error))
