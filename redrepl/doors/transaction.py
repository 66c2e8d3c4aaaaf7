"""Transactions: all or nothing on the primary, if what was read still stands."""

from __future__ import annotations

import inspect
import random
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self, TypeVar

from redrepl.doors.batch import AsyncRun, Run
from redrepl.doors.descriptions import described_like
from redrepl.plans.client.codecs import K, V
from redrepl.plans.client.reads import FoundRecord
from redrepl.plans.client.store import ClientStore
from redrepl.plans.client.transaction_run import TransactionQueue
from redrepl.values.errors import RequestError, TransactionConflict
from redrepl.values.level import Level
from redrepl.values.receipt import WriteReceipt
from redrepl.values.validation import check_integer

R = TypeVar("R")


class Transaction(TransactionQueue[K, V]):
    """A transaction of the blocking coordinator; made by `Coordinator.transaction`.

    As a context manager it commits when the block ends, unless that was done; if the block raises,
    nothing is sent.

    `get` and `get_record` read now, from the primary alone, and make the version they saw (absence
    too) an expectation; what the transaction itself has queued for the key is seen. All other
    methods queue. `commit()` sends one script call to the primary: if every expectation and
    condition holds there, everything is stored at once, with one entry in the change log; else
    nothing is written anywhere, and TransactionConflict names the keys and the stamps that stand.
    Then the records go to the other copies, in one call each.

    Committed means: the primary stored it, and the required other copies each hold all of its
    records. Else WriteNotConfirmed (the outcome is unknown, for the transaction as a whole) or
    WriteRejected (no effect) carries the receipts. It is never sent again by itself. Without writes
    `commit()` verifies the expectations, on the primary alone.

    A transaction holds at most BATCH_KEYS keys and as many operations, and TRANSACTION_BYTES bytes
    of keys and values (`redrepl.values.limits`): RequestError names the limit that is exceeded. It
    is over after `commit()`.

    All or nothing holds on the primary. Readers of a replica may see the records of a transaction
    apart: a replica that is being caught up takes them in several steps. With several primaries a
    transaction is decided on this client's own and merges key by key with what the others wrote
    meanwhile: it excludes nothing that happens there.

    receipts: a WriteReceipt for each key that was written, after `commit()`, also where that raised
    WriteNotConfirmed.
    sums: after it, the sum of each key that was left with one by `increment`.
    """

    def __init__(
        self, store: ClientStore[K, V], run: Run, level: Level | None, timeout_seconds: float | None
    ) -> None:
        super().__init__(store, level, timeout_seconds)
        self._run = run

    def get(self, key: K | str | bytes) -> V | None:
        """The value as the transaction sees it, None where the key reads as absent; expected to
        stand at commit.
        """
        return self._run(self.get_plan(key))

    def get_record(self, key: K | str | bytes) -> FoundRecord[V] | None:
        """The value with its version and deadline.

        What is queued here has no version yet: NO_STAMP, and no node.
        """
        return self._run(self.get_record_plan(key))

    def commit(self) -> dict[Any, WriteReceipt]:
        """Carry it out; a receipt for each key that was written. See the class for errors."""
        return self._run(self.commit_plan())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None and not self.is_over:
            self.commit()


@described_like(Transaction)
class AsyncTransaction(TransactionQueue[K, V]):
    """A transaction of the asyncio coordinator; made by `AsyncCoordinator.transaction`.

    As `Transaction`, with ``async with`` and awaited reads and commit.
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

    async def get(self, key: K | str | bytes) -> V | None:
        """The value as the transaction sees it, None where the key reads as absent; expected to
        stand at commit.
        """
        return await self._run(self.get_plan(key))

    async def get_record(self, key: K | str | bytes) -> FoundRecord[V] | None:
        """The value with its version and deadline.

        What is queued here has no version yet: NO_STAMP, and no node.
        """
        return await self._run(self.get_record_plan(key))

    async def commit(self) -> dict[Any, WriteReceipt]:
        """Carry it out; a receipt for each key that was written. See the class for errors."""
        return await self._run(self.commit_plan())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None and not self.is_over:
            await self.commit()


def run_transactions(
    begin: Callable[[], Transaction[K, V]],
    function: Callable[[Transaction[K, V]], R],
    attempts: int,
    run: Run,
) -> R:
    """Call ``function`` with a new transaction and commit, again where that meets a conflict;
    answers its result.
    """
    left = _check_attempts(attempts)
    if not callable(function):
        raise RequestError(
            f"function must be a function that takes a transaction, not {type(function).__name__}"
        )
    while True:
        transaction = begin()
        answer = function(transaction)
        if inspect.isawaitable(answer):
            if inspect.iscoroutine(answer):
                answer.close()
            raise RequestError(
                "function is asynchronous: use AsyncCoordinator, or a plain function"
            )
        left -= 1
        try:
            if not transaction.is_over:
                transaction.commit()
        except TransactionConflict:
            if not left:
                raise
            run(transaction.pause_plan(attempts - left, random.random()))
        else:
            return answer


async def run_async_transactions(
    begin: Callable[[], AsyncTransaction[K, V]],
    function: Callable[[AsyncTransaction[K, V]], Awaitable[R]],
    attempts: int,
    run: AsyncRun,
) -> R:
    """As `run_transactions`."""
    left = _check_attempts(attempts)
    if not callable(function):
        raise RequestError(
            f"function must be an asynchronous function, not {type(function).__name__}"
        )
    while True:
        transaction = begin()
        coming = function(transaction)
        if not inspect.isawaitable(coming):
            raise RequestError("function must be asynchronous (async def), not a plain function")
        answer = await coming
        left -= 1
        try:
            if not transaction.is_over:
                await transaction.commit()
        except TransactionConflict:
            if not left:
                raise
            await run(transaction.pause_plan(attempts - left, random.random()))
        else:
            return answer


def _check_attempts(attempts: int) -> int:
    if check_integer("attempts", attempts) < 1:
        raise RequestError(f"attempts must be 1 or more, not {attempts}")
    return attempts
