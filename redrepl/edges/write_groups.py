"""Writes that tasks make in the same turn of the event loop, sent together: as one batch to every
node.

A batch costs a node a fraction of what as many single writes cost, and each write still has an
outcome of its own. What comes while several groups are on their way waits for one of them to
return, for a moment at most, and so groups grow with the load. A write that comes alone leaves at
once, as a single one.
"""

from __future__ import annotations

import asyncio
import copy
from collections import deque
from collections.abc import Callable, Hashable
from functools import partial
from typing import Generic, Protocol, TypeAlias, TypeVar

from redrepl.edges.loop_board import LoopBoard
from redrepl.edges.loop_operation import Operation, interruption
from redrepl.values import limits
from redrepl.values.effects import Plan
from redrepl.values.errors import RedreplError
from redrepl.values.receipt import WriteReceipt

GROUPS_IN_FLIGHT = 3
"""While fewer groups are on their way, the next leaves at the end of the turn."""

GROUP_HOLD_SECONDS = 0.001
"""How long a group is held for others to return: less than a slow network takes, so that it costs
nothing there.
"""

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
        return (
            not self.entries
            or self.size + len(write.key) + len(write.payload) <= limits.BATCH_BYTES
        )

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

    def fail(self, error: BaseException) -> None:
        """Tell everybody who still waits that it failed.

        What is no error of a program is for one of them alone.
        """
        waiting = [future for _, future in self.entries.values() if not future.done()]
        for number, future in enumerate(waiting):
            if isinstance(error, Exception):
                future.set_exception(_own(error))
            else:
                future.set_exception(error if number == 0 else interruption())
            # The task may be gone by the same interruption: then nobody is to be told either.
            future.exception()


class WriteGroups(Generic[W, H]):
    """Collects writes by the manner ``how`` in which they are to be carried out, and sends them.

    Those that need a copy which is silent must not keep others from leaving, so every level has a
    collection of its own.

    make_plan: the plan that writes a list of different keys in one manner; it answers a receipt or
    an error for each.
    """

    def __init__(
        self, board: LoopBoard, make_plan: Callable[[list[W], H], Plan[list[Result]]]
    ) -> None:
        self.board = board
        self._make_plan = make_plan
        self._open: dict[H, _Group[W, H]] = {}
        self._leaving: deque[_Group[W, H]] = deque()
        self._under_way: set[_Group[W, H]] = set()
        self._is_called = self._is_starting = False
        self._timer: asyncio.TimerHandle | None = None
        board.sharing.append(self)

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits to be sent."""
        return not self._open and not self._leaving and not self._under_way

    def add(self, write: W, how: H) -> asyncio.Future[WriteReceipt]:
        """Have a write sent; the future gets its receipt or its error."""
        self.board.keep_watch()
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

    def look_again(self) -> None:
        """Send what waits, now: the callback that was to do it may have been lost."""
        self._timer = None
        self._is_starting = False
        self._take_open()
        self._start(limits.MAX_GROUPS_IN_FLIGHT)

    def give_up(self) -> None:
        """The board was given up: tell everybody who still waits."""
        for group in [*self._under_way, *self._leaving, *self._open.values()]:
            group.fail(interruption())
        self._under_way.clear()
        self._leaving.clear()
        self._open.clear()

    def _call_at_end_of_turn(self) -> None:
        self._is_called = True
        if not self._under_way and self.board.is_idle:
            self._leave()  # nobody else is here: why wait
        else:
            self.board.loop.call_soon(self._leave)

    def _leave(self) -> None:
        if self.board.enter():
            self._take_open()
            self._start(GROUPS_IN_FLIGHT)
            self.board.leave()

    def _take_open(self) -> None:
        self._is_called = False
        self._leaving.extend(self._open.values())
        self._open.clear()

    def _held_long_enough(self) -> None:
        self._timer = None
        if self.board.enter():
            self._start(limits.MAX_GROUPS_IN_FLIGHT)
            self.board.leave()

    def _start(self, most: int) -> None:
        if self._is_starting or self.board.is_given_up:
            return  # a group that ended at once: the loop below goes on
        self._is_starting = True
        while self._leaving and len(self._under_way) < most:
            # At every moment it is in one of both, so that it is told whatever comes in between.
            group = self._leaving[0]
            self._under_way.add(group)
            self._leaving.popleft()
            self._begin(group)
        self._is_starting = False
        self.board.flush()
        if (
            self._leaving
            and self._timer is None
            and len(self._under_way) < limits.MAX_GROUPS_IN_FLIGHT
        ):
            self._timer = self.board.loop.call_later(GROUP_HOLD_SECONDS, self._held_long_enough)

    def _begin(self, group: _Group[W, H]) -> None:
        if writes := group.leave():
            Operation(
                self.board, self._make_plan(writes, group.how), partial(self._ended, group)
            ).begin()
        else:
            self._under_way.discard(group)

    def _ended(self, group: _Group[W, H], operation: Operation[list[Result]]) -> None:
        if operation.error is None:
            group.settle(operation.result)
        else:
            group.fail(operation.error)
        self._under_way.discard(group)
        self._start(GROUPS_IN_FLIGHT)


def _own(error: Exception) -> Exception:
    """The error of one task; tasks that share one would write into each other's traceback."""
    return copy.copy(error) if isinstance(error, RedreplError) else error
