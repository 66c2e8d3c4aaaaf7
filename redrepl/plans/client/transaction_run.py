"""Carrying out a transaction: all or nothing on the primary, if what was read still stands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

from redrepl.plans.client.codecs import K, V
from redrepl.plans.client.operation_queue import OperationQueue
from redrepl.plans.client.reads import FoundRecord
from redrepl.plans.client.store import ClientStore
from redrepl.plans.operations.read import Found, read_one
from redrepl.plans.operations.transaction import Expectation, Transacted, transact
from redrepl.plans.operations.write import WriteOrder
from redrepl.plans.view import ClusterView, pause
from redrepl.values import limits
from redrepl.values.effects import Plan
from redrepl.values.errors import RedreplError, RequestError
from redrepl.values.level import Level
from redrepl.values.operation import Condition, Operation, Preview, is_settled, preview
from redrepl.values.receipt import Outcome, WriteReceipt
from redrepl.values.stamp import NO_STAMP, Stamp

FIRST_CONFLICT_PAUSE_SECONDS = 0.002
LONGEST_CONFLICT_PAUSE_SECONDS = 0.1
"""After a conflict comes a random part of a pause that doubles each time, so that rivals do not
meet again.
"""


class _Seen(NamedTuple):
    """What a key read as on the primary; None where it read as absent."""

    value: Preview | None
    stamp: Stamp
    node: str


class TransactionQueue(OperationQueue[K, V]):
    """The operations of a transaction, what it has read, and what came of it."""

    def __init__(
        self, store: ClientStore[K, V], level: Level | None, timeout_seconds: float | None
    ) -> None:
        super().__init__(store, level, timeout_seconds)
        self.receipts: dict[Any, WriteReceipt] = {}
        self.sums: dict[Any, int] = {}
        self._expectations: dict[tuple[bytes, Stamp | None], Expectation] = {}
        self._seen: dict[bytes, _Seen] = {}
        self._keys = set[bytes]()
        self._bytes = 0
        self._is_over = False

    def __repr__(self) -> str:
        cluster, state = (
            self._store.cluster.view.topology.cluster,
            "over" if self._is_over else "open",
        )
        counts = f"queued={len(self._operations)} expected={len(self._expectations)}"
        return f"<{type(self).__name__} {cluster} {counts} {state}>"

    @property
    def is_over(self) -> bool:
        """Whether it was committed, or tried to."""
        return self._is_over

    def check(self, key: K | str | bytes, stamp: Stamp | None) -> Self:
        """Expect this version of the key (of a receipt or a record) at commit; None: that the key
        reads as absent.
        """
        if stamp is not None and not isinstance(stamp, Stamp):
            raise RequestError(
                f"stamp must be a Stamp (of a receipt or a record) or None, not {stamp!r}"
            )
        raw = self._store.codecs.key(key)
        self._reserve(raw)
        self._expect(key, raw, stamp)
        return self

    def add(self, key: K | str | bytes, value: V | bytes, ttl: float | None = None) -> Self:
        """Store a value, and expect the key to read as absent when the transaction comes to
        this.
        """
        return super().add(key, value, ttl)

    def expire(self, key: K | str | bytes, ttl: float | None) -> Self:
        """Give a value ``ttl`` more seconds, or no deadline with None, and expect that the key has
        one.
        """
        return super().expire(key, ttl)

    def _take(self, operation: Operation) -> None:
        self._check_possible(operation)
        if len(self._operations) >= limits.BATCH_KEYS:
            raise RequestError(f"a transaction has at most {limits.BATCH_KEYS} operations")
        self._reserve(operation.key, len(operation.operand))
        super()._take(operation)

    def _check_possible(self, operation: Operation) -> None:
        """Refuse an operation whose condition cannot hold after what is queued for the key."""
        mine, kind = self._queued(operation.key), operation.kind
        if kind.condition is Condition.NONE or not is_settled(mine):
            return
        is_present = preview(None, mine, 0) is not None
        if not kind.condition.holds(is_present, is_expected=False):
            left = "a value" if is_present else "no value"
            text = f"{kind} of key {operation.user_key!r} cannot succeed"
            raise RequestError(f"{text}: this transaction leaves {left} there")

    def _queued(self, raw: bytes) -> list[Operation]:
        return [operation for operation in self._operations if operation.key == raw]

    def _reserve(self, raw: bytes, operand_bytes: int = 0) -> None:
        """Make room for a key and what is to be stored there.

        Raises RequestError where there is none.
        """
        if self._is_over:
            raise RequestError("this transaction is over; begin another one")
        is_new = raw not in self._keys
        if is_new and len(self._keys) >= limits.BATCH_KEYS:
            raise RequestError(f"a transaction has at most {limits.BATCH_KEYS} keys")
        size = self._bytes + operand_bytes + (len(raw) if is_new else 0)
        if size > limits.TRANSACTION_BYTES:
            raise RequestError(
                f"a transaction has at most {limits.TRANSACTION_BYTES} bytes of keys and values"
            )
        self._keys.add(raw)
        self._bytes = size

    def _expect(self, key: K | str | bytes, raw: bytes, stamp: Stamp | None) -> None:
        self._expectations.setdefault(
            (raw, stamp), Expectation(self._store.codecs.receipt_key(key), raw, stamp)
        )

    # Reading --------------------------------------------------------------------------------------

    def get_plan(self, key: K | str | bytes) -> Plan[V | None]:
        """The value as the transaction sees it; None where the key reads as absent."""
        found = yield from self.get_record_plan(key)
        return None if found is None else found.value

    def get_record_plan(self, key: K | str | bytes) -> Plan[FoundRecord[V] | None]:
        """The same with version and deadline."""
        store, raw = self._store, self._store.codecs.key(key)
        self._reserve(raw)
        mine = self._queued(raw)
        seen = _Seen(None, NO_STAMP, "") if is_settled(mine) else (yield from self._read(key, raw))
        found = preview(seen.value, mine, store.cluster.clock.physical.millis())
        if found is None:
            return None
        expires_at = found.deadline_millis / 1000 if found.deadline_millis else None
        stamp, node = (NO_STAMP, "") if mine else (seen.stamp, seen.node)
        return FoundRecord(store.codecs.decoded(key, found.payload), stamp, expires_at, node)

    def _read(self, key: K | str | bytes, raw: bytes) -> Plan[_Seen]:
        """What stands on the primary, read and judged once: later reads of the key see the same."""
        if raw not in self._seen:
            store = self._store
            order = store.cluster.order(self._options)
            record, node = yield from store.reader.reading_at_one(
                order, lambda view, o: _read_from_home(view, o, raw)
            )
            seen = _Seen(None, NO_STAMP, node)
            if record is not None:
                store.session.note(raw, record.stamp)
                store.cluster.clock.observe(record.stamp.micros)
                if record.is_live(store.cluster.clock.physical.millis()):
                    seen = _Seen(
                        Preview(record.payload, record.deadline_millis), record.stamp, node
                    )
            self._expect(key, raw, None if seen.value is None else seen.stamp)
            self._seen[raw] = seen
        return self._seen[raw]

    # Committing -----------------------------------------------------------------------------------

    def _end(self) -> None:
        if self._is_over:
            raise RequestError("this transaction is over; begin another one")
        self._is_over = True

    def commit_plan(self) -> Plan[dict[Any, WriteReceipt]]:
        """Carry the transaction out; returns a receipt for each key that was written."""
        self._end()
        store, expectations = self._store, list(self._expectations.values())
        if not (expectations or self._operations):
            return self.receipts
        now_millis = store.cluster.clock.physical.millis()
        leaving = [
            operation.leaving(store.cluster.clock.next(), now_millis)
            for operation in self._operations
        ]
        order = store.cluster.order(self._options)
        done = yield from store.writer.deciding(
            order,
            lambda view, order: transact(view, order, expectations, leaving),
            _rejected,
            (),
            lambda order, error: self._given_up(leaving, order, error),
        )
        done = yield from self._find_lost(order, done)
        self._keep((yield from self._confirm_taken(order, done)))
        store.writer.settle_batch(list(self.receipts.values()), order.reach_others)
        return self.receipts

    def _given_up(
        self, leaving: Sequence[Operation], order: WriteOrder, error: RedreplError
    ) -> Transacted:
        """Nothing was written anywhere: the deciding node was in another epoch until time ran
        out.
        """
        if not leaving:
            raise error
        given_up = self._store.writer.given_up
        return Transacted(
            {
                each.key: given_up(order, each.user_key, each.stamp, error, at_home_alone=True)
                for each in leaving
            },
            {},
        )

    def _find_lost(self, order: WriteOrder, done: Transacted) -> Plan[Transacted]:
        """What came of a transaction whose answer was lost.

        One of its records proves that all were stored.
        """
        keys, receipts = list(done.receipts), list(done.receipts.values())
        receipts, found = yield from self._store.outcomes.find_lost(
            order, keys, receipts, is_unit=True
        )
        told = dict(zip(keys, receipts, strict=True))
        proof = next((told[key] for key in found), None)
        if proof is not None and proof.outcome is Outcome.COMMITTED:
            told = {
                key: proof._replace(key=each.key, stamp=each.stamp) for key, each in told.items()
            }
        return done._replace(receipts=told, records={**done.records, **found})

    def _confirm_taken(self, order: WriteOrder, done: Transacted) -> Plan[Transacted]:
        """As for other writes, but all or nothing: committed where the same copies are found to
        hold every record.
        """
        receipts = yield from self._store.outcomes.confirm_taken(
            order, list(done.receipts), list(done.receipts.values())
        )
        if any(receipt.outcome is not Outcome.COMMITTED for receipt in receipts):
            return done
        return done._replace(receipts=dict(zip(done.receipts, receipts, strict=True)))

    def pause_plan(self, conflicts: int, share: float) -> Plan[None]:
        """Wait before the transaction is repeated after so many conflicts: this share, 0 to 1, of
        the longest pause.
        """
        longest = min(LONGEST_CONFLICT_PAUSE_SECONDS, FIRST_CONFLICT_PAUSE_SECONDS * 2.0**conflicts)
        yield from pause(self._store.cluster.driver.now() + share * longest)

    def _keep(self, done: Transacted) -> None:
        given = {operation.key: operation.given for operation in reversed(self._operations)}
        last = {
            operation.key: operation.kind
            for operation in self._operations
            if not operation.kind.keeps_value
        }
        for key, receipt in done.receipts.items():
            self._store.writer.note(key, receipt)
            self.receipts[given[key]] = receipt
        for key, record in done.records.items():
            if key in last and last[key].stores_number:
                self.sums[given[key]] = int(record.payload)


def _rejected(done: Transacted) -> WriteReceipt | None:
    """A receipt, where the deciding node could not be asked at all or turned everything down."""
    receipts = list(done.receipts.values())
    are_rejected = all(receipt.outcome is Outcome.REJECTED for receipt in receipts)
    return receipts[0] if receipts and are_rejected else None


def _read_from_home(view: ClusterView, order: WriteOrder, raw: bytes) -> Plan[Found]:
    return read_one(view, raw, (order.home,), NO_STAMP, order.started, order.until)
