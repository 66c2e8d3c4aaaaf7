"""Batches: many operations of any kind in few round trips, each key on its own."""

from __future__ import annotations

from collections.abc import Awaitable
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from redrepl.doors.descriptions import described_like
from redrepl.plans.client.batch_run import BatchQueue
from redrepl.plans.client.codecs import K, V
from redrepl.plans.client.store import ClientStore
from redrepl.values.effects import Plan
from redrepl.values.level import Level

R = TypeVar("R")


class Run(Protocol):
    """How the blocking coordinator runs a plan."""

    def __call__(self, plan: Plan[R]) -> R:
        """The plan's result."""
        ...


class AsyncRun(Protocol):
    """How the asyncio coordinator runs a plan."""

    def __call__(self, plan: Plan[R]) -> Awaitable[R]:
        """The plan's result."""
        ...


class Batch(BatchQueue[K, V]):
    """A batch of the blocking coordinator; made by `Coordinator.batch`.

    As a context manager it executes what is queued when the block ends, and discards it if the
    block raises.

    `execute()` returns the results in the order of the operations: what the coordinator's method of
    that name returns, such as a WriteReceipt for `set` and the sum for `increment`. Operations take
    effect in the order given; a `get` sees what the batch wrote to its key before. Neighbouring
    operations of one kind share their round trips, so a batch is quickest with few changes of kind:
    `set` and `delete`; `get`, from the primary alone (level ONE); and those that the primary
    decides.

    Nothing is atomic: each key is on its own. The batch ends with the first part that is not
    confirmed or fails; what follows is not sent. The error that is raised (WriteNotConfirmed,
    WriteRejected or what else a coordinator raises) has in ``receipts`` those of all writes, and
    leaves in ``results`` what is known of each operation: its result; for a write without one, a
    receipt whose outcome says whether it may take effect; or the error that it met. Nothing is ever
    sent again by itself.

    ``timeout_seconds`` is each round trip's. With several primaries, conditions are decided on this
    client's own.
    """

    def __init__(
        self, store: ClientStore[K, V], run: Run, level: Level | None, timeout_seconds: float | None
    ) -> None:
        super().__init__(store, level, timeout_seconds)
        self._run = run

    def execute(self) -> list[Any]:
        """Send what is queued; see the class for results and errors.

        The batch can be used again.
        """
        return self._run(self.plan())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self.discard()
        elif len(self):
            self.execute()


@described_like(Batch)
class AsyncBatch(BatchQueue[K, V]):
    """A batch of the asyncio coordinator; made by `AsyncCoordinator.batch`.

    As `Batch`, with ``async with``.
    """

    def __init__(
        self,
        store: ClientStore[K, V],
        run: AsyncRun,
        level: Level | None,
        timeout_seconds: float | None,
    ) -> None:
        super().__init__(store, level, timeout_seconds)
        self._run = run

    async def execute(self) -> list[Any]:
        """Send what is queued; see the class for results and errors.

        The batch can be used again.
        """
        return await self._run(self.plan())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self.discard()
        elif len(self):
            await self.execute()
