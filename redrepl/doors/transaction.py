"""Transactions: all or nothing on the primary, if what was read still stands."""

from __future__ import annotations

import inspect
import random
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

from redrepl.doors.base import CoordinatorBase, FoundRecord, K, V
from redrepl.doors.batch import AsyncRun, Run
from redrepl.doors.queueing import OperationQueue, described_like
from redrepl.plans.operations.read import Found, read_one
from redrepl.plans.operations.transaction import Expectation, Transacted, transact
from redrepl.plans.operations.write import WriteOrder
from redrepl.plans.view import ClusterView, pause
from redrepl.values import limits
from redrepl.values.effects import Plan
from redrepl.values.errors import RedreplError, RequestError, TransactionConflict
from redrepl.values.level import Level
from redrepl.values.operation import ADD, EXPIRE, INCREMENT, Operation, Preview, is_settled, preview
from redrepl.values.receipt import Outcome, WriteReceipt
from redrepl.values.stamp import NO_STAMP, Stamp
from redrepl.values.validation import check_integer

R = TypeVar("R")

FIRST_CONFLICT_PAUSE_SECONDS = 0.002
LONGEST_CONFLICT_PAUSE_SECONDS = 0.1
"""After a conflict comes a random part of a pause that doubles each time, so that rivals do not meet again."""


class _Seen(NamedTuple):
    """What a key read as on the primary; None where it read as absent."""

    value: Preview | None
    stamp: Stamp
    node: str


class TransactionBase(OperationQueue[K, V]):
    """What both forms of a transaction share; `Transaction` says what a transaction is."""

    def __init__(self, store: CoordinatorBase[K, V], level: Level | None, timeout_seconds: float | None) -> None:
        super().__init__(store, level, timeout_seconds)
        self.receipts: dict[Any, WriteReceipt] = {}
        self.sums: dict[Any, int] = {}
        self._expectations: dict[tuple[bytes, Stamp | None], Expectation] = {}
        self._seen: dict[bytes, _Seen] = {}
        self._keys = set[bytes]()
        self._bytes = 0
        self._is_over = False

    @property
    def is_over(self) -> bool:
        """Whether it was committed, or tried to."""
        return self._is_over

    def check(self, key: K | str | bytes, stamp: Stamp | None) -> Self:
        """Expect this version of the key (of a receipt or a record) at commit; None: that the key reads as absent."""
        if stamp is not None and not isinstance(stamp, Stamp):
            raise RequestError(f"stamp must be a Stamp (of a receipt or a record) or None, not {stamp!r}")
        raw = self._store._key(key)
        self._reserve(raw)
        self._expect(key, raw, stamp)
        return self

    def add(self, key: K | str | bytes, value: V | bytes, ttl: float | None = None) -> Self:
        """Store a value, and expect the key to read as absent when the transaction comes to this."""
        return super().add(key, value, ttl)

    def expire(self, key: K | str | bytes, ttl: float | None) -> Self:
        """Give a value ``ttl`` more seconds, or no deadline with None, and expect that the key has one."""
        return super().expire(key, ttl)

    def _take(self, operation: Operation) -> None:
        mine, name = self._queued(operation.key), operation.name
        if name in (ADD, EXPIRE) and is_settled(mine) and (preview(None, mine, 0) is None) is (name == EXPIRE):
            left = "no value" if name == EXPIRE else "a value"
            text = f"{name.decode()} of key {operation.user_key!r} cannot succeed: this transaction leaves {left} there"
            raise RequestError(text)
        if len(self._operations) >= limits.BATCH_KEYS:
            raise RequestError(f"a transaction has at most {limits.BATCH_KEYS} operations")
        self._reserve(operation.key, len(operation.operand))
        super()._take(operation)

    def _queued(self, raw: bytes) -> list[Operation]:
        return [operation for operation in self._operations if operation.key == raw]

    def _reserve(self, raw: bytes, operand_bytes: int = 0) -> None:
        """Make room for a key and what is to be stored there. Raises RequestError where there is none."""
        if self._is_over:
            raise RequestError("this transaction is over; begin another one")
        is_new = raw not in self._keys
        if is_new and len(self._keys) >= limits.BATCH_KEYS:
            raise RequestError(f"a transaction has at most {limits.BATCH_KEYS} keys")
        size = self._bytes + operand_bytes + (len(raw) if is_new else 0)
        if size > limits.TRANSACTION_BYTES:
            raise RequestError(f"a transaction has at most {limits.TRANSACTION_BYTES} bytes of keys and values")
        self._keys.add(raw)
        self._bytes = size

    def _expect(self, key: K | str | bytes, raw: bytes, stamp: Stamp | None) -> None:
        self._expectations.setdefault((raw, stamp), Expectation(self._store._receipt_key(key), raw, stamp))

    # Reading ---------------------------------------------------------------------------------------------------

    def _get(self, key: K | str | bytes) -> Plan[V | None]:
        found = yield from self._get_record(key)
        return None if found is None else found.value

    def _get_record(self, key: K | str | bytes) -> Plan[FoundRecord[V] | None]:
        store, raw = self._store, self._store._key(key)
        self._reserve(raw)
        mine = self._queued(raw)
        seen = _Seen(None, NO_STAMP, "") if is_settled(mine) else (yield from self._read(key, raw))
        found = preview(seen.value, mine, store._clock.physical.millis())
        if found is None:
            return None
        expires_at = found.deadline_millis / 1000 if found.deadline_millis else None
        stamp, node = (NO_STAMP, "") if mine else (seen.stamp, seen.node)
        return FoundRecord(store._decoded(key, found.payload), stamp, expires_at, node)

    def _read(self, key: K | str | bytes, raw: bytes) -> Plan[_Seen]:
        """What stands on the primary, read and judged once: later reads of the key see the same."""
        if raw not in self._seen:
            store = self._store
            order = store._order(self._how)
            record, node = yield from store._reading_at_one(order, lambda view, o: _read_from_home(view, o, raw))
            seen = _Seen(None, NO_STAMP, node)
            if record is not None:
                store.session.note(raw, record.stamp)
                store._clock.observe(record.stamp.micros)
                if record.is_live(store._clock.physical.millis()):
                    seen = _Seen(Preview(record.payload, record.deadline_millis), record.stamp, node)
            self._expect(key, raw, None if seen.value is None else seen.stamp)
            self._seen[raw] = seen
        return self._seen[raw]

    # Committing ------------------------------------------------------------------------------------------------

    def _end(self) -> None:
        if self._is_over:
            raise RequestError("this transaction is over; begin another one")
        self._is_over = True

    def _commit(self) -> Plan[dict[Any, WriteReceipt]]:
        self._end()
        store, expectations = self._store, list(self._expectations.values())
        if not (expectations or self._operations):
            return self.receipts
        now_millis = store._clock.physical.millis()
        leaving = [operation.leaving(store._clock.next(), now_millis) for operation in self._operations]
        order = store._order(self._how)
        done = yield from store._deciding(
            order,
            lambda view, order: transact(view, order, expectations, leaving),
            _rejected,
            (),
            lambda order, error: self._given_up(leaving, order, error),
        )
        done = yield from self._find_lost(order, done)
        self._keep((yield from self._confirm_taken(order, done)))
        store._settle_batch(list(self.receipts.values()), order.reach_others)
        return self.receipts

    def _given_up(self, leaving: Sequence[Operation], order: WriteOrder, error: RedreplError) -> Transacted:
        """Nothing was written anywhere: the deciding node was in another epoch until time ran out."""
        if not leaving:
            raise error
        given_up = self._store._given_up
        return Transacted(
            {each.key: given_up(order, each.user_key, each.stamp, error, at_home_alone=True) for each in leaving}, {}
        )

    def _find_lost(self, order: WriteOrder, done: Transacted) -> Plan[Transacted]:
        """What came of a transaction whose answer was lost. One of its records proves that all were stored."""
        keys, receipts = list(done.receipts), list(done.receipts.values())
        receipts, found = yield from self._store._find_lost(order, keys, receipts, is_unit=True)
        told = dict(zip(keys, receipts, strict=True))
        proof = next((told[key] for key in found), None)
        if proof is not None and proof.outcome is Outcome.COMMITTED:
            told = {key: proof._replace(key=each.key, stamp=each.stamp) for key, each in told.items()}
        return done._replace(receipts=told, records={**done.records, **found})

    def _confirm_taken(self, order: WriteOrder, done: Transacted) -> Plan[Transacted]:
        """As for other writes, but all or nothing: committed where the same copies are found to hold every record."""
        receipts = yield from self._store._confirm_taken(order, list(done.receipts), list(done.receipts.values()))
        if any(receipt.outcome is not Outcome.COMMITTED for receipt in receipts):
            return done
        return done._replace(receipts=dict(zip(done.receipts, receipts, strict=True)))

    def _pause(self, conflicts: int) -> Plan[None]:
        """Wait before the transaction is repeated after so many conflicts."""
        longest = min(LONGEST_CONFLICT_PAUSE_SECONDS, FIRST_CONFLICT_PAUSE_SECONDS * 2.0**conflicts)
        yield from pause(self._store._base_driver.now() + random.uniform(0.0, longest))

    def _keep(self, done: Transacted) -> None:
        given = {operation.key: operation.given for operation in reversed(self._operations)}
        last = {operation.key: operation.name for operation in self._operations if operation.name != EXPIRE}
        for key, receipt in done.receipts.items():
            self._store._note(key, receipt)
            self.receipts[given[key]] = receipt
        for key, record in done.records.items():
            if last.get(key) == INCREMENT:
                self.sums[given[key]] = int(record.payload)


class Transaction(TransactionBase[K, V]):
    """A transaction of the blocking coordinator; made by `Coordinator.transaction`.

    As a context manager it commits when the block ends, unless that was done; if the block raises, nothing is sent.

    `get` and `get_record` read now, from the primary alone, and make the version they saw (absence too) an
    expectation; what the transaction itself has queued for the key is seen. All other methods queue. `commit()` sends
    one script call to the primary: if every expectation and condition holds there, everything is stored at once, with
    one entry in the change log; else nothing is written anywhere, and TransactionConflict names the keys and the stamps
    that stand. Then the records go to the other copies, in one call each.

    Committed means: the primary stored it, and the required other copies each hold all of its records. Else
    WriteNotConfirmed (the outcome is unknown, for the transaction as a whole) or WriteRejected (no effect) carries the
    receipts. It is never sent again by itself. Without writes `commit()` verifies the expectations, on the primary
    alone.

    A transaction holds at most BATCH_KEYS keys and as many operations, and TRANSACTION_BYTES bytes of keys and values
    (`redrepl.values.limits`): RequestError names the limit that is exceeded. It is over after `commit()`.

    All or nothing holds on the primary. Readers of a replica may see the records of a transaction apart: a replica that
    is being caught up takes them in several steps. With several primaries a transaction is decided on this client's own
    and merges key by key with what the others wrote meanwhile: it excludes nothing that happens there.

    receipts: a WriteReceipt for each key that was written, after `commit()`, also where that raised WriteNotConfirmed.
    sums: after it, the sum of each key that was left with one by `increment`.
    """

    def __init__(
        self, store: CoordinatorBase[K, V], run: Run, level: Level | None, timeout_seconds: float | None
    ) -> None:
        super().__init__(store, level, timeout_seconds)
        self._run = run

    def get(self, key: K | str | bytes) -> V | None:
        """The value as the transaction sees it, None where the key reads as absent; expected to stand at commit."""
        return self._run(self._get(key))

    def get_record(self, key: K | str | bytes) -> FoundRecord[V] | None:
        """The value with its version and deadline. What is queued here has no version yet: NO_STAMP, and no node."""
        return self._run(self._get_record(key))

    def commit(self) -> dict[Any, WriteReceipt]:
        """Carry it out; a receipt for each key that was written. See the class for errors."""
        return self._run(self._commit())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and not self.is_over:
            self.commit()


@described_like(Transaction)
class AsyncTransaction(TransactionBase[K, V]):
    """A transaction of the asyncio coordinator; made by `AsyncCoordinator.transaction`.

    As `Transaction`, with ``async with`` and awaited reads and commit.
    """

    def __init__(
        self, store: CoordinatorBase[K, V], run: AsyncRun, level: Level | None, timeout_seconds: float | None
    ) -> None:
        super().__init__(store, level, timeout_seconds)
        self._run = run

    async def get(self, key: K | str | bytes) -> V | None:
        """The value as the transaction sees it, None where the key reads as absent; expected to stand at commit."""
        return await self._run(self._get(key))

    async def get_record(self, key: K | str | bytes) -> FoundRecord[V] | None:
        """The value with its version and deadline. What is queued here has no version yet: NO_STAMP, and no node."""
        return await self._run(self._get_record(key))

    async def commit(self) -> dict[Any, WriteReceipt]:
        """Carry it out; a receipt for each key that was written. See the class for errors."""
        return await self._run(self._commit())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and not self.is_over:
            await self.commit()


def run_transactions(
    begin: Callable[[], Transaction[K, V]], function: Callable[[Transaction[K, V]], R], attempts: int, run: Run
) -> R:
    """Call ``function`` with a new transaction and commit, again where that meets a conflict; answers its result."""
    left = _check_attempts(attempts)
    if not callable(function):
        raise RequestError(f"function must be a function that takes a transaction, not {type(function).__name__}")
    while True:
        transaction = begin()
        answer = function(transaction)
        if inspect.isawaitable(answer):
            if inspect.iscoroutine(answer):
                answer.close()
            raise RequestError("function is asynchronous: use AsyncCoordinator, or a plain function")
        left -= 1
        try:
            if not transaction.is_over:
                transaction.commit()
        except TransactionConflict:
            if not left:
                raise
            run(transaction._pause(attempts - left))
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
        raise RequestError(f"function must be an asynchronous function, not {type(function).__name__}")
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
            await run(transaction._pause(attempts - left))
        else:
            return answer


def _check_attempts(attempts: int) -> int:
    if check_integer("attempts", attempts) < 1:
        raise RequestError(f"attempts must be 1 or more, not {attempts}")
    return attempts


def _rejected(done: Transacted) -> WriteReceipt | None:
    """A receipt, where the deciding node could not be asked at all or turned everything down."""
    receipts = list(done.receipts.values())
    are_rejected = all(receipt.outcome is Outcome.REJECTED for receipt in receipts)
    return receipts[0] if receipts and are_rejected else None


def _read_from_home(view: ClusterView, order: WriteOrder, raw: bytes) -> Plan[Found]:
    return read_one(view, raw, (order.home,), NO_STAMP, order.started, order.until)
