"""The asyncio driver: runs the plans of any number of tasks over one connection per node."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Iterable
from typing import Any, TypeVar

from redrepl.edges.admission import Admission
from redrepl.edges.driver_base import DriverBase
from redrepl.edges.endpoint import Endpoint
from redrepl.edges.locks import give_back_all
from redrepl.edges.loop_board import LoopBoard
from redrepl.edges.loop_operation import carry_out
from redrepl.edges.reporter import NOT_OBSERVED, Reporter
from redrepl.edges.write_groups import H, Result, W, WriteGroups
from redrepl.values import limits
from redrepl.values.effects import Plan
from redrepl.values.errors import RedreplError, RequestError

R = TypeVar("R")


class AsyncDriver(DriverBase):
    """Connections to the nodes of one cluster, for the tasks of one event loop.

    It goes along to another loop where the first has ended (one `asyncio.run` after the other).
    Tasks beyond MAX_CONCURRENT_OPERATIONS wait for their turn; an operation's time-out begins with
    its turn.
    """

    def __init__(
        self,
        endpoints: Iterable[Endpoint],
        admission: Admission,
        timeout_seconds: float = limits.DEFAULT_TIMEOUT_SECONDS,
        reporter: Reporter = NOT_OBSERVED,
    ) -> None:
        self._board: LoopBoard | None = None
        self._turns = _new_turns()
        self._write_groups: dict[Hashable, WriteGroups[Any, Any]] = {}
        super().__init__(endpoints, admission, timeout_seconds, reporter)

    def after_fork(self) -> None:
        """A child opens connections of its own.

        The parent's loop must not notice: its sockets are only let go.
        """
        self._board = None
        super().after_fork()

    async def run(self, plan: Plan[R]) -> R:
        """Drive a plan to its end in this task.

        Raises RequestError in a loop beside the one that is in use.
        """
        self.board()  # also for turns in this loop
        async with self._turns:
            try:
                return await carry_out(self.board(), plan)
            except (RedreplError, asyncio.CancelledError):
                raise
            except BaseException:
                give_back_all()
                raise

    def board(self) -> LoopBoard:
        """The connections of the running loop.

        Raises RequestError in a loop beside the one that is in use.
        """
        board = self._board
        if board is None or board.loop is not asyncio.get_running_loop() or not board.is_usable:
            board = self._open_board(board)
        return board

    def write_groups(
        self, name: Hashable, make_plan: Callable[[list[W], H], Plan[list[Result]]]
    ) -> WriteGroups[W, H]:
        """Where writes of one name come together in the running loop.

        ``make_plan`` writes those of one group.
        """
        board, groups = self.board(), self._write_groups.get(name)
        if groups is None or groups.board is not board:
            groups = self._write_groups[name] = WriteGroups(board, make_plan)
        return groups

    def close(self) -> None:
        """Close every connection. What is under way learns that its connections are lost."""
        self._close_gates()
        if self._board is not None:
            self._board.close()

    def _open_board(self, before: LoopBoard | None) -> LoopBoard:
        if before is not None:
            if before.loop is asyncio.get_running_loop():
                before.give_up_all()  # an exception from outside left it in the midst of something
            elif before.loop.is_running():
                raise RequestError(
                    "this coordinator is in use in another event loop: open one for each loop"
                )
            else:
                before.close()
        self._turns = (
            _new_turns()
        )  # the old ones belong to another loop, or to the parent of a fork
        board = LoopBoard(asyncio.get_running_loop(), lambda: self._gates, self._timeout_seconds)
        self._board = board
        return board


def _new_turns() -> asyncio.Semaphore:
    return asyncio.Semaphore(limits.MAX_CONCURRENT_OPERATIONS)
