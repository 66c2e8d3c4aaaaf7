"""The plans of an event loop's tasks, each on its way over the board of that loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from redrepl.edges.loop_board import LoopBoard
from redrepl.edges.pending import Run
from redrepl.edges.switchboard import DEADLINE_EXTENSION_SECONDS, LATE_SECONDS
from redrepl.values.effects import NOT_BEGUN, Ask, DeadlinePassed, Event, Exchange, Plan, Progress
from redrepl.values.errors import Unavailable

R = TypeVar("R")


def interruption() -> Unavailable:
    """For who waits on a board that was given up; each gets one of its own."""
    return Unavailable(
        "an exception from outside came in the middle of an exchange with the nodes, whose "
        "connections were closed for "
        "that; whether a write that was under way took effect is not known"
    )


class _Question(Run):
    """A run whose operation wants to know when something happens."""

    __slots__ = ("_operation",)

    def __init__(self, operation: Operation[Any]) -> None:
        super().__init__()
        self._operation = operation

    def put(self, event: Event) -> None:
        """Something happened."""
        self.events.append(event)
        self._operation.has_news()


class Operation(Generic[R]):
    """One plan.

    It goes on inside the loop's callbacks; who waits for it is told once, when it has come to its
    end.

    error: what the plan raised, None while it has raised nothing. result: what it answered.
    """

    __slots__ = (
        "_board",
        "_grace_seconds",
        "_has_news",
        "_is_deadline",
        "_is_over",
        "_on_end",
        "_plan",
        "_run",
        "_timer",
        "_timer_at",
        "_until",
        "error",
        "result",
        "was_given_up",
    )

    def __init__(
        self, board: LoopBoard, plan: Plan[R], on_end: Callable[[Operation[R]], None]
    ) -> None:
        self.result: R
        self.error: BaseException | None = None
        self.was_given_up = False
        self._board = board
        self._plan = plan
        self._on_end = on_end
        self._run: Run = _Question(self)
        self._timer: asyncio.TimerHandle | None = None
        self._until = self._timer_at = self._grace_seconds = 0.0
        self._has_news = self._is_over = False
        self._is_deadline = True

    def begin(self) -> None:
        """Let the plan start.

        Where it comes to its end at once, that is told before this returns.
        """
        self._board.under_way.add(self)
        self._advance(NOT_BEGUN)

    def abandon(self) -> None:
        """Nobody waits any more: no answers are wanted, and no end is told."""
        if not self._is_over:
            self._end()
            self._board.under_way.discard(self)
            self._plan.close()

    def give_up(self) -> None:
        """The board is of no use any more: tell who waits, unless that was done."""
        self.was_given_up = True
        if self.error is None and not hasattr(self, "result"):
            self.error = interruption()
        self._tell()
        self._plan.close()

    def has_news(self) -> None:
        """An event was put on the run."""
        if not self._has_news:
            self._has_news = True
            self._board.wake(self)

    def step(self) -> None:
        """Give the plan what has come, unless it has taken it already."""
        self._has_news = False
        if not self._is_over and self._run.events:
            self._advance(self._run.events.popleft())

    def _advance(self, event: Event) -> None:
        """Let the plan go on until it waits, or ends."""
        plan = self._plan
        while True:
            try:
                effect = plan.send(event)
            except StopIteration as end:
                self.result = end.value
                break
            except (
                BaseException
            ) as error:  # whatever it is, it belongs to who waits and not to the loop
                self.error = error
                break
            if isinstance(effect, Progress):
                event = DeadlinePassed(time.monotonic())
            elif self._has_to_wait(effect):
                return
            else:
                event = self._next_event()
        self._tell()

    def _tell(self) -> None:
        """The plan has come to its end. Telling that twice does no harm."""
        self._end()
        self._on_end(self)
        self._board.under_way.discard(self)

    def _has_to_wait(self, effect: Exchange) -> bool:
        """Send what is to be sent; answers whether nothing has happened yet and there is time
        left.
        """
        if type(effect) is Ask:
            self._begin_question()
        if effect.requests:
            self._board.start(self._run, effect)
        if self._run.events:
            return False
        self._is_deadline = effect.is_deadline
        until = effect.until + self._grace_seconds
        left = until - time.monotonic()
        if left <= 0 and self._was_held_up():
            until = effect.until + self._grace_seconds
            left = until - time.monotonic()
        if left > 0:
            self._wake_at(until, left)
        return left > 0

    def _was_held_up(self) -> bool:
        """Whether the deadline passed while the loop was held up; then it is moved, once for each
        operation.

        Else requests that waited for the loop, to be sent or to have an idle connection asked
        first, would count as unanswered although the nodes were never slow.
        """
        if self._grace_seconds or not self._timer_at:
            return False
        late_seconds = time.monotonic() - self._timer_at
        if late_seconds < LATE_SECONDS:
            return False
        self._grace_seconds = late_seconds + DEADLINE_EXTENSION_SECONDS
        return True

    def _begin_question(self) -> None:
        self._board.follow_gates()
        self._run.is_live = False
        self._run = _Question(self)

    def _next_event(self) -> Event:
        events = self._run.events
        if not events:
            # The loop may have been busy elsewhere: what has come by now still counts.
            self._board.look()
            if self._is_deadline:
                self._board.give_up(self._run)
        return events.popleft() if events else DeadlinePassed(time.monotonic())

    def _wake_at(self, until: float, left: float) -> None:
        """Have `_late` called then.

        Most plans end long before and keep one deadline: a timer that is set is kept.
        """
        self._until = until
        if self._timer is not None:
            if self._timer_at <= until:
                return
            self._timer.cancel()
        self._timer_at = until
        self._timer = self._board.loop.call_later(left, self._late)

    def end_if_later_than(self, at: float) -> None:
        """Let the plan go on whose deadline passed before this unnoticed; or tell its end, where
        nobody was told.
        """
        if self._is_over:
            self._tell()
        elif self._timer_at and self._until < at:
            self._go_on_late()

    def _late(self) -> None:
        if self._board.enter():
            self._go_on_late()
            self._board.leave()

    def _go_on_late(self) -> None:
        self._timer = None
        if self._is_over:
            return
        left = self._until - time.monotonic()
        if left <= 0 and self._was_held_up():
            self._until += self._grace_seconds
            left = self._until - time.monotonic()
        if left > 0:
            self._wake_at(self._until, left)
        else:
            self._timer_at = 0.0
            self._advance(self._next_event())

    def _end(self) -> None:
        self._is_over = True
        self._run.is_live = False
        if self._timer is not None:
            self._timer.cancel()


async def carry_out(board: LoopBoard, plan: Plan[R]) -> R:
    """Run a plan to its end in this task and answer its result."""
    future: asyncio.Future[R] = board.loop.create_future()
    operation = Operation(board, plan, lambda ended: _pass_on(ended, future))
    board.keep_watch()
    if not board.enter():
        raise interruption()
    operation.begin()
    board.leave()
    try:
        return await future
    finally:
        operation.abandon()


def _pass_on(ended: Operation[R], future: asyncio.Future[R]) -> None:
    if future.done():
        return
    if ended.error is None:
        future.set_result(ended.result)
    else:
        future.set_exception(ended.error)
        if ended.was_given_up:
            # The task may be gone by the same interruption: then nobody is to be told either.
            future.exception()
