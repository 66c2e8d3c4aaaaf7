"""Carrying out a batch: many operations of any kind in few round trips, each key on its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, Self

from redrepl.plans.client.codecs import K, V
from redrepl.plans.client.operation_queue import OperationQueue
from redrepl.plans.client.options import CallOptions
from redrepl.plans.client.store import ClientStore
from redrepl.plans.client.writes import without_result
from redrepl.plans.operations.batch_builder import parts
from redrepl.plans.operations.chunk import Item, chunk_of
from redrepl.plans.operations.transaction import Changed, change_each
from redrepl.plans.operations.write import WriteOrder
from redrepl.values.effects import Plan
from redrepl.values.errors import (
    RedreplError,
    Unavailable,
    UndecodableValue,
    WriteFailure,
    WriteNotConfirmed,
    WriteRejected,
)
from redrepl.values.level import ConsistencyLevel, Level
from redrepl.values.operation import (
    COMPARE_AND_SET,
    GET,
    GET_AND_SET,
    Before,
    Operation,
    OperationKind,
    Result,
    Way,
    record_of,
)
from redrepl.values.preference import ReadPreference
from redrepl.values.receipt import Outcome, WriteReceipt
from redrepl.values.record import Record
from redrepl.values.stamp import NO_STAMP, Stamp


class BatchQueue(OperationQueue[K, V]):
    """The operations of a batch, and what came of them."""

    def __init__(
        self, store: ClientStore[K, V], level: Level | None, timeout_seconds: float | None
    ) -> None:
        super().__init__(store, level, timeout_seconds)
        self.results: list[Any] = []

    def get(self, key: K | str | bytes) -> Self:
        """Read a value from the primary, as a read at level ONE."""
        return self._queue(key, GET)

    def compare_and_set(
        self,
        key: K | str | bytes,
        value: V | bytes,
        expected: Stamp | None,
        ttl: float | None = None,
    ) -> Self:
        """Store a value where the version ``expected`` still stands (None: where the key reads as
        absent).
        """
        if expected is None:
            return self.add(key, value, ttl)
        return self._queue(key, COMPARE_AND_SET, (expected, value), ttl)

    def get_and_set(self, key: K | str | bytes, value: V | bytes, ttl: float | None = None) -> Self:
        """Store a value; the result is the one before it.

        In a transaction `get` and `set` do the same.
        """
        return self._queue(key, GET_AND_SET, value, ttl)

    def discard(self) -> None:
        """Forget what is queued."""
        self._operations = []

    def plan(self) -> Plan[list[Any]]:
        """Carry out what is queued. Whatever comes of it, the queue is empty then."""
        operations, self._operations = self._operations, []
        execution = BatchRun(self._store, self._options, operations)
        self.results = execution.results
        return execution.plan()


class BatchRun(Generic[K, V]):
    """A batch on its way, and what is known of each of its operations at any moment.

    ``_open``: indexes of operations that have no result yet.
    """

    def __init__(
        self, store: ClientStore[K, V], options: CallOptions, operations: Sequence[Operation]
    ) -> None:
        self._store = store
        self._options = options
        self._operations = operations
        self._receipts: dict[int, WriteReceipt] = {}
        self._open = set(range(len(operations)))
        self._reaches_others = store.cluster.order(options).reach_others
        self.results: list[Any] = [None] * len(operations)
        self._assume(range(len(operations)), Outcome.REJECTED, "not sent")

    def plan(self) -> Plan[list[Any]]:
        """All parts in order, up to the first that fails."""
        carry_out = {Way.WRITE: self._write, Way.READ: self._read, Way.CHANGE: self._change}
        for part in parts(self._operations):
            indexes = range(part.start, part.end)
            self._assume(indexes, Outcome.UNKNOWN, "no answer")
            try:
                yield from carry_out[part.way](indexes)
            except WriteFailure as failure:
                raise self._with_all_receipts(failure) from failure
            except RedreplError as error:
                self._end_by(error, indexes, part.way)
                raise
        return self.results

    def _end_by(self, error: RedreplError, indexes: range, way: Way) -> None:
        """An error ended a part: it is the result of all that have none, and carries the receipts
        of all writes.
        """
        # The deciding node stored nothing. Changes are asked of it alone, other writes of all
        # copies at once.
        is_spread = way is Way.WRITE and self._reaches_others
        outcome = Outcome.UNKNOWN if is_spread else Outcome.REJECTED
        for index in self._open.intersection(indexes):
            self.results[index] = error
            if (receipt := self._receipts.get(index)) is not None:
                failed = dict.fromkeys(receipt.failed, error.message)
                self._receipts[index] = receipt._replace(outcome=outcome, failed=failed)
        error.receipts = self._all_receipts()

    def _write(self, indexes: range) -> Plan[None]:
        store, order = self._store, self._store.cluster.order(self._options)
        stamp, now_millis = store.cluster.clock.next(), store.cluster.clock.physical.millis()
        items = [_item(self._operations[index], stamp, now_millis) for index in indexes]
        receipts = yield from store.writer.write_chunk(chunk_of(items, order), store.cluster.view)
        for index, receipt in zip(indexes, receipts, strict=True):
            store.writer.note(self._operations[index].key, receipt)
            self._keep(index, receipt, receipt)
        store.writer.settle_batch(receipts, order.reach_others)

    def _read(self, indexes: range) -> Plan[None]:
        order = self._store.cluster.order(
            CallOptions(ConsistencyLevel.ONE, self._options.timeout_seconds)
        )
        keys = [self._operations[index].key for index in indexes]
        records = yield from self._store.reader.read_part(keys, ReadPreference.PRIMARY, order)
        errors: list[UndecodableValue] = []
        for index, record in zip(indexes, records, strict=True):
            try:
                self._keep(
                    index,
                    None
                    if record is None
                    else self._store.live_value(self._operations[index].given, record),
                )
            except UndecodableValue as error:
                self._keep(index, error)
                errors.append(error)
        if errors:
            raise errors[0]

    def _change(self, indexes: range) -> Plan[None]:
        store, order = self._store, self._store.cluster.order(self._options)
        now_millis = store.cluster.clock.physical.millis()
        leaving = [
            self._operations[index].leaving(store.cluster.clock.next(), now_millis)
            for index in indexes
        ]
        changed = yield from store.writer.deciding(
            order,
            lambda view, order: change_each(view, order, leaving),
            _rejected,
            (),
            lambda order, error: [
                Changed(
                    store.writer.given_up(
                        order, each.user_key, each.stamp, error, at_home_alone=True
                    )
                )
                for each in leaving
            ],
        )
        changed = yield from self._see_through(order, [each.key for each in leaving], changed)
        changed = [
            _as_told(each, operation.kind, order.home)
            for each, operation in zip(changed, leaving, strict=True)
        ]
        kept = [
            self._keep_changed(index, each) for index, each in zip(indexes, changed, strict=True)
        ]
        errors = [error for error in kept if error]
        errors += yield from self._confirm_unmet(indexes, changed, store.cluster.renewed(order))
        settled = [each.receipt for each in changed if not (each.error or _is_unmet(each))]
        store.writer.settle_batch(settled, order.reach_others)
        if errors:
            raise errors[0]

    def _see_through(
        self, order: WriteOrder, keys: Sequence[bytes], changed: Sequence[Changed]
    ) -> Plan[list[Changed]]:
        """What came of changes in the end: some may have been taken although no answer came, or
        just before the epoch moved on.
        """
        store = self._store
        receipts, found = yield from store.outcomes.find_lost(
            order, keys, [each.receipt for each in changed]
        )
        receipts = yield from store.outcomes.confirm_taken(order, keys, receipts)
        return [
            each._replace(
                receipt=receipt, record=each.record or _record_of(receipt, found.get(key))
            )
            for key, each, receipt in zip(keys, changed, receipts, strict=True)
        ]

    def _confirm_unmet(
        self, indexes: range, changed: Sequence[Changed], order: WriteOrder
    ) -> Plan[list[RedreplError]]:
        """Saying that a condition does not hold is a read: what stands is confirmed like any read
        at this level.
        """
        unmet = [index for index, each in zip(indexes, changed, strict=True) if _is_unmet(each)]
        if not (unmet and order.required):
            return []
        keys = list(dict.fromkeys(self._operations[index].key for index in unmet))
        try:
            yield from self._store.reader.confirmed(keys, order)
        except RedreplError as error:
            for index in unmet:
                self.results[index] = error
            return [error]
        return []

    def _keep_changed(self, index: int, changed: Changed) -> RedreplError | None:
        """Note what came of an operation; returns the error that it ended with."""
        operation, receipt = self._operations[index], changed.receipt
        self._store.writer.note(operation.key, receipt)
        result: Any = changed.error or receipt
        if changed.record is not None and receipt.outcome is Outcome.COMMITTED:
            result = self._result(operation, receipt, changed.record, changed.before)
        self._keep(index, result, receipt)
        return result if isinstance(result, RedreplError) else None

    def _result(
        self, operation: Operation, receipt: WriteReceipt, record: Record, before: Before | None
    ) -> Any:
        """What the caller gets of an operation that is committed."""
        kind = operation.kind
        if kind.number is not None:
            return kind.number(record.payload)
        if before is None:
            return receipt
        try:
            return self._store.codecs.value_before(operation.given, before)
        except UndecodableValue as error:
            return error

    def _keep(self, index: int, result: Any, receipt: WriteReceipt | None = None) -> None:
        self.results[index] = result
        self._open.discard(index)
        if receipt is not None:
            self._receipts[index] = receipt

    def _assume(self, indexes: range, outcome: Outcome, why: str) -> None:
        """What is to be said of these operations if nothing more is heard of them."""
        order = self._store.cluster.order(self._options)
        for index in indexes:
            operation = self._operations[index]
            if operation.kind.way is Way.READ:
                self.results[index] = Unavailable(
                    f"key {operation.user_key!r} was not read", {order.home: why}
                )
                continue
            key, failed = operation.user_key, {order.home: why}
            if outcome is Outcome.REJECTED:
                receipt = WriteReceipt.rejected(
                    key, NO_STAMP, failed=failed, required=order.required
                )
            else:
                receipt = WriteReceipt.unknown(
                    key, NO_STAMP, failed=failed, required=order.required, elapsed=0.0
                )
            self.results[index] = self._receipts[index] = receipt

    def _all_receipts(self) -> tuple[WriteReceipt, ...]:
        return tuple([self._receipts[index] for index in sorted(self._receipts)])

    def _with_all_receipts(self, failure: WriteFailure) -> WriteFailure:
        """The failure of a part as that of the batch: rejected only where no write has an unknown
        outcome.
        """
        receipts = self._all_receipts()
        unknown = next(
            (receipt for receipt in receipts if receipt.outcome is Outcome.UNKNOWN), None
        )
        text = f"a batch of {len(self._operations)} operations ended early: {failure.message}"
        kind = WriteRejected if unknown is None else WriteNotConfirmed
        return kind(text, unknown or failure.receipt, failure.evidence, receipts)


def _item(operation: Operation, stamp: Stamp, now_millis: int) -> Item:
    """What the batch plan writes. The keys of a part differ, so they may share a stamp."""
    deadline = operation.deadline_at(now_millis)
    record = record_of(operation.kind, stamp, operation.operand, deadline)
    return Item(operation.user_key, operation.key, record)


def _record_of(receipt: WriteReceipt, found: Record | None) -> Record | None:
    """The record that a receipt is about, where it is the one that was found."""
    return found if found is not None and found.stamp == receipt.stamp else None


def _as_told(changed: Changed, kind: OperationKind, home: str) -> Changed:
    """Without the answer an operation may be found to be stored, and what it is to return is lost
    all the same.
    """
    is_lost = kind.result is Result.VALUE and changed.record is not None and changed.before is None
    return changed._replace(receipt=without_result(changed.receipt, home)) if is_lost else changed


def _is_unmet(changed: Changed) -> bool:
    """Whether the condition did not hold: told and nothing changed."""
    return (
        changed.record is None
        and changed.error is None
        and changed.receipt.outcome is Outcome.COMMITTED
    )


def _rejected(changed: Sequence[Changed]) -> WriteReceipt | None:
    """A receipt, where the deciding node could not be asked at all or turned everything down."""
    are_rejected = all(
        each.error is None and each.receipt.outcome is Outcome.REJECTED for each in changed
    )
    return changed[0].receipt if are_rejected else None
