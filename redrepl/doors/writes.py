"""The operations that write, each as one plan."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from redrepl.doors.foundation import BETWEEN_EPOCHS_SECONDS, Foundation, K, Limits, PendingWrite, R, V
from redrepl.plans.batch import Chunk, Draft, write_chunk, write_chunks
from redrepl.plans.read import Confirmed, read_confirmed
from redrepl.plans.update import Update, Updated, update_one
from redrepl.plans.view import ClusterView, EpochMoved, epoch_in_refusal, is_clock_refusal
from redrepl.plans.write import WriteOrder, clock_error, write_one
from redrepl.values.effects import Exchange, Plan
from redrepl.values.errors import (
    NotAReplicatedRecord,
    RedreplError,
    RequestError,
    Unavailable,
    WriteNotConfirmed,
    WriteRejected,
)
from redrepl.values.receipt import Outcome, WriteReceipt
from redrepl.values.record import NO_DEADLINE, TOMBSTONE, VALUE, Record
from redrepl.values.stamp import Stamp
from redrepl.values.validation import check_integer, check_key, check_keys, check_value


class Writes(Foundation[K, V]):
    """Plans of single writes, of batches, and of changes with a condition."""

    def _write(
        self, key: K | str | bytes, kind: bytes, payload: bytes, deadline_millis: int, how: Limits
    ) -> Plan[WriteReceipt]:
        raw = self._key(key)
        user_key = key if isinstance(key, (str, bytes)) else raw
        return self._write_alone(PendingWrite(user_key, raw, kind, payload, deadline_millis), how)

    def _write_alone(self, write: PendingWrite, how: Limits) -> Plan[WriteReceipt]:
        user_key, raw, kind, payload, deadline_millis = write
        order = self._order(how)
        record = Record(self._clock.next(), kind, deadline_millis, payload)
        receipt: WriteReceipt | None = None
        try:
            # Nearly always this is all: no layer more than needed around it, it is the price of every write.
            receipt = yield from write_one(self._view, order, user_key, raw, record)
        except EpochMoved as moved:
            order = yield from self._follow(order, moved)
        if receipt is None or (receipt.outcome is Outcome.REJECTED and self._home() != order.home):
            again = yield from self._write_again(order, user_key, raw, record, (order.home,) if receipt else ())
            receipt = again if receipt or not order.reach_others else _unsure(again)
        if receipt.outcome is Outcome.UNKNOWN:
            (receipt,) = yield from self._confirm_after_move(order, (raw,), (receipt,))
        self._note(raw, receipt)
        return self._settle(receipt, order.reach_others)

    def _write_again(
        self, order: WriteOrder, user_key: str | bytes, raw: bytes, record: Record, tried: tuple[str, ...] = ()
    ) -> Plan[WriteReceipt]:
        """A record that nobody stored, with its stamp: in the epoch that is now, or on another primary."""
        return self._deciding(
            self._renewed(order),
            lambda view, order: write_one(view, order, user_key, raw, record),
            _is_rejected,
            tried,
        )

    def _write_group(self, writes: Sequence[PendingWrite], how: Limits) -> Plan[list[WriteReceipt | Exception]]:
        """Writes of different keys that came together; for each, in this order, its receipt or its error."""
        if len(writes) == 1:
            try:
                return [(yield from self._write_alone(writes[0], how))]
            except RedreplError as error:
                return [error]
        order, stamp = self._order(how), self._clock.next()
        records = [Record(stamp, write.kind, write.deadline_millis, write.payload) for write in writes]
        user_keys, keys = [write.user_key for write in writes], [write.key for write in writes]
        chunk = Chunk(user_keys, keys, [stamp] * len(writes), [record.encode() for record in records], order)
        try:
            ((_, first),) = yield from write_chunks(self._view, iter((chunk,)))
            receipts = yield from self._see_through(chunk, first)
        except NotAReplicatedRecord:
            # The deciding node stored nothing, because of one key. With the stamps they have, the others stand alone.
            return (yield from self._write_one_by_one(chunk, records))
        self._note_chunk(chunk, receipts)
        return self._settle_group(receipts, order)

    def _write_one_by_one(self, chunk: Chunk, records: Sequence[Record]) -> Plan[list[WriteReceipt | Exception]]:
        results: list[WriteReceipt | Exception] = []
        for user_key, key, record in zip(chunk.user_keys, chunk.keys, records, strict=True):
            try:
                receipt = yield from self._write_again(chunk.order, user_key, key, record)
                self._note(key, receipt)
                results.append(self._settle(receipt, chunk.order.reach_others))
            except RedreplError as error:
                results.append(error)
        return results

    def _settle_group(self, receipts: Sequence[WriteReceipt], order: WriteOrder) -> list[WriteReceipt | Exception]:
        """`_settle` for writes that came together, each with an outcome of its own."""
        if not order.reach_others:
            self._wake_ups.request(self._view.others[self._home()])
        elif behind := {
            node for each in receipts if each.failed and each.outcome is not Outcome.REJECTED for node in each.failed
        }:
            self._wake(behind)
        return [
            receipt if receipt.outcome is Outcome.COMMITTED else _failure_of_one(receipt, order) for receipt in receipts
        ]

    def _note(self, key: bytes, receipt: WriteReceipt) -> None:
        """What is committed belongs to this session's past, and to its clock's."""
        stamp = receipt.stamp
        self._clock.observe(stamp.micros)
        if receipt.outcome is Outcome.COMMITTED:
            self.session.note(key, stamp)

    def _set(self, key: K | str | bytes, value: V | bytes, ttl: float | None, how: Limits) -> Plan[WriteReceipt]:
        return self._write(key, VALUE, self._value(value), self._deadline(ttl), how)

    def _delete(self, key: K | str | bytes, how: Limits) -> Plan[WriteReceipt]:
        return self._write(key, TOMBSTONE, b"", NO_DEADLINE, how)

    def _set_many(
        self, items: Mapping[Any, V | bytes], ttl: float | None, how: Limits
    ) -> Plan[dict[Any, WriteReceipt]]:
        if not isinstance(items, Mapping):
            raise RequestError(f"items must be a mapping of keys to values, not {type(items).__name__}")
        keys = self._keys(items)
        values = list(map(check_value if self._value_codec is None else self._value, items.values()))
        draft = Draft(self._receipt_keys(items, keys), keys, values, VALUE, self._deadline(ttl))
        receipts = yield from self._write_batch(draft, how)
        return dict(zip(items, receipts, strict=True))

    def _delete_many(self, keys: Iterable[K | str | bytes], how: Limits) -> Plan[dict[Any, WriteReceipt]]:
        unique = list(dict.fromkeys(check_keys(keys)))
        encoded = self._keys(unique)
        draft = Draft(self._receipt_keys(unique, encoded), encoded, [b""] * len(unique), TOMBSTONE, NO_DEADLINE)
        receipts = yield from self._write_batch(draft, how)
        return dict(zip(unique, receipts, strict=True))

    def _deciding(
        self,
        order: WriteOrder,
        build: Callable[[ClusterView, WriteOrder], Plan[R]],
        is_rejected: Callable[[R], bool],
        tried: tuple[str, ...] = (),
    ) -> Plan[R]:
        """`_following` for writes: where nothing could be sent to one of several primaries, go to the next."""
        while True:
            result = yield from self._following(order, build)
            tried = (*tried, order.home)
            home = self._home()
            if self._view.decider is not None or home in tried or not is_rejected(result):
                return result
            order = order._replace(home=home)

    def _confirm_after_move(
        self, order: WriteOrder, keys: Sequence[bytes], receipts: Sequence[WriteReceipt]
    ) -> Plan[list[WriteReceipt]]:
        """Receipts as given, but for writes that the deciding node took just before the epoch moved on.

        Other copies, in the new epoch already, refused these. They are not sent to the deciding node again: one that
        was overwritten meanwhile would take effect twice. Where the same node still decides, and a read in the new
        epoch finds their stamps or later ones on as many copies as the level asks for, they are committed.
        """
        taken = [each for each in receipts if each.outcome is Outcome.UNKNOWN and order.home in each.acked]
        refusals = {reason for receipt in taken for reason in receipt.failed.values()}
        # Another task may have read the new topology meanwhile.
        if not any(epoch_in_refusal(reason) >= self._view.topology.epoch for reason in refusals):
            return list(receipts)
        try:
            confirmed = yield from self._confirm_in_new_epoch(order, keys)
        except (EpochMoved, Unavailable):
            return list(receipts)  # not confirmed in time: unknown is the truth
        return [
            _confirmed_later(receipt, record, confirmed, self._view.everybody, confirmed.at - order.started)
            for receipt, record in zip(receipts, confirmed.records, strict=True)
        ]

    def _confirm_in_new_epoch(self, order: WriteOrder, keys: Sequence[bytes]) -> Plan[Confirmed]:
        """Raises EpochMoved or Unavailable where that does not succeed in time, or where another node decides."""
        home = order.home
        while True:
            order = yield from self._follow(order, EpochMoved("a copy is in a later epoch"))
            if order.home != home:
                raise Unavailable(f"node {home!r} decides no more")
            try:
                return (yield from read_confirmed(self._view, home, keys, order.required, order.until))
            except (EpochMoved, Unavailable):
                # The copies come to the new epoch one after the other.
                yield Exchange((), min(order.until, self._base_driver.now() + BETWEEN_EPOCHS_SECONDS))

    def _settle(self, receipt: WriteReceipt, reached_others: bool) -> WriteReceipt:
        """Wake the workers where a copy is behind; raise where the write is not committed."""
        if not reached_others:
            self._wake_ups.request(self._view.others[self._home()])
        elif receipt.failed and receipt.outcome is not Outcome.REJECTED:
            self._wake(receipt.failed)
        if receipt.outcome is not Outcome.COMMITTED:
            raise _failure(receipt, (receipt,))
        return receipt

    def _wake(self, behind: Iterable[str]) -> None:
        """Wake the workers for copies that answered but are behind; who cannot be reached is the tick's business."""
        if reachable := [node for node in behind if self._base_driver.trouble(node) is None]:
            self._wake_ups.request(reachable)

    def _keys(self, keys: Iterable[Any]) -> list[bytes]:
        return list(map(check_key if self._key_codec is None else self._key, keys))

    def _receipt_keys(self, keys: Iterable[Any], encoded: Sequence[bytes]) -> list[str | bytes]:
        """As `_receipt_key` for each."""
        return [key if isinstance(key, (str, bytes)) else raw for key, raw in zip(keys, encoded, strict=True)]

    def _write_batch(self, draft: Draft, how: Limits) -> Plan[list[WriteReceipt]]:
        _check_distinct(draft)
        receipts: list[WriteReceipt] = []
        parts = deque(draft.parts())
        while parts:
            view = self._view
            for chunk, found in (yield from write_chunks(view, self._leaving(view, draft, parts, how))):
                done = yield from self._see_through(chunk, found)
                self._note_chunk(chunk, done)
                receipts += done
        return self._settle_batch(receipts, how)

    def _leaving(self, view: ClusterView, draft: Draft, parts: deque[slice], how: Limits) -> Iterator[Chunk]:
        """Chunks as they leave, each stamped only then: the primary refuses what is too old.

        Ends early where another thread has taken up another topology: an order belongs to the view it was made in.
        """
        while parts:
            order = self._order(how)
            if self._view is not view:
                return
            yield draft.leave(parts.popleft(), self._clock.next(), order)

    def _see_through(self, chunk: Chunk, receipts: list[WriteReceipt] | None) -> Plan[list[WriteReceipt]]:
        """The receipts of a chunk that left once; it leaves again where the deciding node had nothing to do with it."""
        if receipts is None or (_is_rejected(receipts[0]) and self._home() != chunk.order.home):
            again = yield from self._write_chunk(chunk, (chunk.order.home,) if receipts else ())
            receipts = again if receipts or not chunk.order.reach_others else list(map(_unsure, again))
        return (yield from self._confirm_after_move(chunk.order, chunk.keys, receipts))

    def _write_chunk(self, chunk: Chunk, tried: tuple[str, ...] = ()) -> Plan[list[WriteReceipt]]:
        """A chunk that nobody has stored, with its stamp, in the epoch that is now; not on homes that were tried."""
        return self._deciding(
            self._renewed(chunk.order),
            lambda view, order: write_chunk(view, chunk._replace(order=order)),
            lambda receipts: _is_rejected(receipts[0]),
            tried,
        )

    def _note_chunk(self, chunk: Chunk, receipts: Sequence[WriteReceipt]) -> None:
        """`_note` for each key; the clock needs the latest stamp only."""
        self._clock.observe(max(receipt.stamp for receipt in receipts).micros)
        note = self.session.note
        for key, receipt in zip(chunk.keys, receipts, strict=True):
            if receipt.outcome is Outcome.COMMITTED:
                note(key, receipt.stamp)

    def _settle_batch(self, receipts: list[WriteReceipt], how: Limits) -> list[WriteReceipt]:
        if not receipts:
            return receipts
        if self._order(how).reach_others:
            sent = (receipt for receipt in receipts if receipt.outcome is not Outcome.REJECTED)
            self._wake({node for receipt in sent for node in receipt.failed})
        else:
            self._wake_ups.request(self._view.others[self._home()])
        lost = [receipt for receipt in receipts if receipt.outcome is not Outcome.COMMITTED]
        if lost:
            # One that may have taken effect stands for all: "rejected" would say that none has.
            raise _failure(next((each for each in lost if each.outcome is Outcome.UNKNOWN), lost[0]), receipts)
        return receipts

    def _update(
        self, key: K | str | bytes, operation: bytes, operand: bytes, deadline: int, how: Limits
    ) -> Plan[Updated]:
        raw, order = self._key(key), self._order(how)
        user_key = self._receipt_key(key)
        update = Update(operation, self._clock.next(), operand, deadline)
        updated = yield from self._deciding(
            order,
            lambda view, order: update_one(view, order, user_key, raw, update),
            lambda updated: _is_rejected(updated.receipt),
        )
        if updated.receipt.outcome is Outcome.UNKNOWN:
            (receipt,) = yield from self._confirm_after_move(order, (raw,), (updated.receipt,))
            updated = updated._replace(receipt=receipt)
        self._note(raw, updated.receipt)
        self._settle(updated.receipt, order.reach_others or not updated.receipt.applied)
        return updated

    def _add(self, key: K | str | bytes, value: V | bytes, ttl: float | None, how: Limits) -> Plan[WriteReceipt]:
        updated = yield from self._update(key, b"add", self._value(value), self._deadline(ttl), how)
        return updated.receipt

    def _compare_and_set(
        self, key: K | str | bytes, value: V | bytes, expected: Stamp | None, ttl: float | None, how: Limits
    ) -> Plan[WriteReceipt]:
        if expected is None:
            return (yield from self._add(key, value, ttl, how))
        if not isinstance(expected, Stamp):
            raise RequestError(f"expected must be a Stamp (of a receipt or a record) or None, not {expected!r}")
        operand = expected.encode() + self._value(value)
        return (yield from self._update(key, b"compare", operand, self._deadline(ttl), how)).receipt

    def _increment(self, key: K | str | bytes, amount: int, how: Limits) -> Plan[int]:
        operand = b"%d" % check_integer("amount", amount)
        updated = yield from self._update(key, b"increment", operand, NO_DEADLINE, how)
        assert updated.record is not None
        return int(updated.record.payload)

    def _expire(self, key: K | str | bytes, ttl: float | None, how: Limits) -> Plan[WriteReceipt]:
        return (yield from self._update(key, b"expire", b"", self._deadline(ttl), how)).receipt


def _confirmed_later(
    receipt: WriteReceipt, record: Record | None, confirmed: Confirmed, everybody: frozenset[str], elapsed: float
) -> WriteReceipt:
    """The receipt after a read that found ``record`` on enough copies."""
    if receipt.outcome is not Outcome.UNKNOWN or record is None or record.stamp < receipt.stamp:
        return receipt
    holders = confirmed.holders
    return receipt._replace(
        outcome=Outcome.COMMITTED, acked=holders, pending=everybody - holders, failed={}, elapsed=elapsed
    )


def _unsure(receipt: WriteReceipt) -> WriteReceipt:
    """The receipt of a second attempt, after one in another epoch: other copies may hold the record since then."""
    return receipt._replace(outcome=Outcome.UNKNOWN) if receipt.outcome is Outcome.REJECTED else receipt


def _is_rejected(receipt: WriteReceipt) -> bool:
    return receipt.outcome is Outcome.REJECTED


def _check_distinct(draft: Draft) -> None:
    """One batch holds a key once: "a" and b"a" are the same key on a node."""
    if len(set(draft.keys)) == len(draft.keys):
        return
    seen: set[bytes] = set()
    for user_key, key in zip(draft.user_keys, draft.keys, strict=True):
        if key in seen:
            raise RequestError(f"key {user_key!r} is given twice in one batch (as str and as bytes?)")
        seen.add(key)


def _failure_of_one(receipt: WriteReceipt, order: WriteOrder) -> RedreplError:
    refusal = receipt.failed.get(order.home)
    if refusal is not None and is_clock_refusal(refusal):
        return clock_error(order.home, refusal, order.reach_others)
    return _failure(receipt, (receipt,))


def _failure(receipt: WriteReceipt, receipts: Sequence[WriteReceipt]) -> WriteNotConfirmed | WriteRejected:
    failed = sum(1 for each in receipts if each.outcome is not Outcome.COMMITTED)
    what = f"write of {receipt.key!r}" if len(receipts) == 1 else f"write of {failed} of {len(receipts)} keys"
    if receipt.outcome is Outcome.REJECTED:
        return WriteRejected(f"{what} was rejected: nothing was sent", receipt, receipts=receipts)
    held = ", ".join(sorted(receipt.acked)) or "no copy"
    needed = f"needs {receipt.required} {'copy' if receipt.required == 1 else 'copies'} besides the primary"
    text = f"{what} is not confirmed: it {needed}, confirmed by {held}; the outcome is unknown"
    evidence = {**dict.fromkeys(receipt.pending, "no answer yet"), **receipt.failed}
    return WriteNotConfirmed(text, receipt, evidence, receipts)
