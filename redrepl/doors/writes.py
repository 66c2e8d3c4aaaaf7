"""The operations that write, each as one plan."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from redrepl.doors.bulk import BulkWrite
from redrepl.doors.following import Following
from redrepl.doors.foundation import K, Limits, PendingWrite, R, V
from redrepl.plans.operations.batch import write_chunk
from redrepl.plans.operations.chunk import Chunk, Draft
from redrepl.plans.operations.in_doubt import Fate, InDoubtWrites, answer_was_lost
from redrepl.plans.operations.update import Update, Updated, update_one
from redrepl.plans.operations.write import WriteOrder, clock_error, write_one
from redrepl.plans.view import ClusterView, EpochMoved, is_clock_refusal
from redrepl.values.effects import Plan
from redrepl.values.errors import (
    NotAReplicatedRecord,
    RedreplError,
    RequestError,
    Unavailable,
    WriteNotConfirmed,
    WriteRejected,
)
from redrepl.values.reasons import LOST, is_refusal
from redrepl.values.receipt import Outcome, WriteReceipt
from redrepl.values.record import NO_DEADLINE, TOMBSTONE, VALUE, Record
from redrepl.values.stamp import Stamp
from redrepl.values.validation import check_integer, check_items, check_key, check_keys, check_value


class Writes(Following[K, V]):
    """Plans of single writes, of batches, and of changes with a condition."""

    def _write(
        self, key: K | str | bytes, kind: bytes, payload: bytes, deadline_millis: int, how: Limits
    ) -> Plan[WriteReceipt]:
        raw = self._key(key)
        user_key = key if isinstance(key, (str, bytes)) else raw
        return self._write_alone(PendingWrite(user_key, raw, kind, payload, deadline_millis), how)

    def _write_alone(self, write: PendingWrite, how: Limits) -> Plan[WriteReceipt]:
        user_key, raw, kind, payload, deadline_millis = write
        order, view = self._order(how), self._view
        record = Record(self._clock.next(), kind, deadline_millis, payload)
        receipt: WriteReceipt | None = None
        try:
            # Nearly always this is all: no layer more than needed around it, it is the price of every write.
            receipt = yield from write_one(view, order, user_key, raw, record)
        except EpochMoved:
            receipt = None
        if order.home_first and receipt is not None:
            self._note_decision(order, receipt)
        if receipt is None or receipt.outcome is not Outcome.COMMITTED:
            chunk = Chunk((user_key,), (raw,), (record.stamp,), (record.encode(),), order)
            (receipt,) = yield from self._see_through(chunk, view, None if receipt is None else (receipt,))
        self._note(raw, receipt)
        return self._settle(receipt, order.reach_others)

    def _see_through(
        self, chunk: Chunk, view: ClusterView, receipts: Sequence[WriteReceipt] | None
    ) -> Plan[Sequence[WriteReceipt]]:
        """The receipts of writes that left once, in this view: through changes of epoch, and on to other primaries.

        ``receipts``: as the first attempt gave them; None where the deciding node is in another epoch.
        """
        if receipts:
            self._note_decision(chunk.order, receipts[0])
        if receipts is not None and all(each.outcome is Outcome.COMMITTED for each in receipts):
            return receipts
        if view.decider is not None:
            return (yield from self._pursue(chunk, view.topology.epoch, receipts))
        home = chunk.order.home
        # Each of several primaries keeps the later of two stamps: what may have been lost, or what one of them turned
        # down, is sent again as it was.
        was_lost = receipts is not None and answer_was_lost(receipts[0], home)
        if receipts is not None and not was_lost and not self._may_go_on_elsewhere(receipts[0], home):
            return receipts
        again = yield from self._deciding(
            self._renewed(chunk.order),
            lambda view, order: write_chunk(view, chunk._replace(order=order)),
            lambda receipts: receipts[0],
            (home,) if receipts and not was_lost else (),
            lambda order, error: [
                self._given_up(order, key, stamp, error)
                for key, stamp in zip(chunk.user_keys, chunk.stamps, strict=True)
            ],
        )
        may_be_out = not _is_rejected(receipts[0]) if receipts else chunk.order.reach_others
        return list(map(_unsure, again)) if may_be_out else again

    def _may_go_on_elsewhere(self, receipt: WriteReceipt, home: str) -> bool:
        """Whether another of several primaries may take what this one did not."""
        was_turned_down = _is_rejected(receipt) or is_refusal(receipt.failed.get(home, ""))
        return was_turned_down and self._home() != home

    def _given_up(
        self, order: WriteOrder, user_key: str | bytes, stamp: Stamp, error: RedreplError, at_home_alone: bool = False
    ) -> WriteReceipt:
        """The receipt of a write whose deciding node was in another epoch, and stored nothing, until time ran out.

        Other copies may have it, unless it was sent to the deciding node alone.
        """
        failed, elapsed = {order.home: error.message}, self._base_driver.now() - order.started
        if at_home_alone or not order.reach_others:
            return WriteReceipt.rejected(user_key, stamp, failed=failed, required=order.required, elapsed=elapsed)
        others = self._view.everybody - {order.home}
        return WriteReceipt.unknown(
            user_key, stamp, pending=others, failed=failed, required=order.required, elapsed=elapsed
        )

    def _write_group(self, writes: Sequence[PendingWrite], how: Limits) -> Plan[list[WriteReceipt | Exception]]:
        """Writes of different keys that came together; for each, in this order, its receipt or its error."""
        if len(writes) == 1:
            try:
                return [(yield from self._write_alone(writes[0], how))]
            except RedreplError as error:
                return [error]
        order, view, stamp = self._order(how), self._view, self._clock.next()
        records = [Record(stamp, write.kind, write.deadline_millis, write.payload) for write in writes]
        user_keys, keys = [write.user_key for write in writes], [write.key for write in writes]
        chunk = Chunk(user_keys, keys, [stamp] * len(writes), [record.encode() for record in records], order)
        try:
            receipts = yield from self._write_chunk(chunk, view)
        except NotAReplicatedRecord:
            # The deciding node stored nothing, because of one key. With the stamps they have, the others stand alone.
            return (yield from self._write_one_by_one(chunk))
        self._note_chunk(chunk, receipts)
        return self._settle_group(receipts, order)

    def _write_chunk(self, chunk: Chunk, view: ClusterView) -> Plan[Sequence[WriteReceipt]]:
        """The receipts of writes that leave now, each in the end."""
        first: Sequence[WriteReceipt] | None
        try:
            first = yield from write_chunk(view, chunk)
        except EpochMoved:
            first = None
        return (yield from self._see_through(chunk, view, first))

    def _write_one_by_one(self, chunk: Chunk) -> Plan[list[WriteReceipt | Exception]]:
        results: list[WriteReceipt | Exception] = []
        for index, key in enumerate(chunk.keys):
            view, alone = self._view, chunk.part((index,), self._renewed(chunk.order))
            try:
                (receipt,) = yield from self._write_chunk(alone, view)
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
        check_items(items)
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
        receipt_of: Callable[[R], WriteReceipt | None],
        tried: tuple[str, ...],
        give_up: Callable[[WriteOrder, RedreplError], R],
    ) -> Plan[R]:
        """`_following` for writes: where the deciding node could not be asked, or turned it down, go to the next one.

        ``receipt_of``: one that tells what became of it; None where nothing is to be done elsewhere.
        """
        while True:
            epoch = self._view.topology.epoch
            result = yield from self._following(order, build, give_up)
            receipt = receipt_of(result)
            if receipt is not None:
                self._note_decision(order, receipt)
            if receipt is None or not _is_rejected(receipt) or self._base_driver.now() >= order.until:
                return result
            tried = (*tried, order.home)
            if self._view.decider is not None:
                # Another node may become the primary in time.
                if not (yield from self._await_epoch_after(epoch, order.until, order.home)):
                    return result
                order = self._renewed(order)
            elif (home := self._home()) in tried:
                return result
            else:
                order = order._replace(home=home)

    def _settle(self, receipt: WriteReceipt, reached_others: bool) -> WriteReceipt:
        """Wake the workers where a copy is behind; raise where the write is not committed."""
        if not reached_others:
            self._wake_ups.request(self._view.others[self._home()])
        elif receipt.failed and receipt.outcome is not Outcome.REJECTED:
            self._wake(receipt.failed)
        if receipt.outcome is not Outcome.COMMITTED:
            raise _failure(receipt, (receipt,))
        return receipt

    def _wake_for(self, receipts: Sequence[WriteReceipt], reached_others: bool) -> None:
        """Wake the workers for the copies that lack some of these writes."""
        sent = [receipt for receipt in receipts if receipt.outcome is not Outcome.REJECTED]
        if reached_others:
            self._wake({node for receipt in sent for node in receipt.failed})
        elif sent:
            self._wake_ups.request(self._view.others[self._home()])

    def _wake(self, behind: Iterable[str]) -> None:
        """Wake the workers for copies that answered but are behind; who cannot be reached is the tick's business."""
        if reachable := [node for node in behind if self._base_driver.trouble(node) is None]:
            self._wake_ups.request(reachable)

    def _keys(self, keys: Iterable[Any]) -> list[bytes]:
        return list(map(check_key if self._key_codec is None else self._key, keys))

    def _receipt_keys(self, keys: Iterable[Any], encoded: Sequence[bytes]) -> list[str | bytes]:
        """As `_receipt_key` for each."""
        return [key if isinstance(key, (str, bytes)) else raw for key, raw in zip(keys, encoded, strict=True)]

    def _write_batch(self, draft: Draft, how: Limits) -> Plan[Sequence[WriteReceipt]]:
        bulk = BulkWrite(self, draft, how)
        return self._settle_batch((yield from bulk.plan()), bulk.order.reach_others)

    def _is_open(self, chunk: Chunk, view: ClusterView, receipts: Sequence[WriteReceipt] | None) -> bool:
        """Whether a chunk that left once in this view has to be seen through."""
        if receipts is None:
            return True
        if view.decider is None:
            home = chunk.order.home
            return answer_was_lost(receipts[0], home) or self._may_go_on_elsewhere(receipts[0], home)
        return any(each.outcome is not Outcome.COMMITTED for each in receipts) and bool(
            InDoubtWrites(chunk, view.topology.epoch, receipts).open()
        )

    def _note_chunk(self, chunk: Chunk, receipts: Sequence[WriteReceipt]) -> None:
        """`_note` for each key; the clock needs the latest stamp only."""
        self._clock.observe(max(receipt.stamp for receipt in receipts).micros)
        note = self.session.note
        for key, receipt in zip(chunk.keys, receipts, strict=True):
            if receipt.outcome is Outcome.COMMITTED:
                note(key, receipt.stamp)

    def _settle_batch(self, receipts: Sequence[WriteReceipt], reached_others: bool) -> Sequence[WriteReceipt]:
        self._wake_for(receipts, reached_others)
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
        updated = yield from self._updated(order, user_key, raw, update)
        self._note(raw, updated.receipt)
        self._settle(updated.receipt, order.reach_others or not updated.receipt.applied)
        return updated

    def _updated(self, order: WriteOrder, user_key: str | bytes, raw: bytes, update: Update) -> Plan[Updated]:
        """What came of an update in the end. Where it certainly had no effect it is carried out in the new epoch."""

        is_out = False

        def give_up(order: WriteOrder, error: RedreplError) -> Updated:
            receipt = self._given_up(order, user_key, update.stamp, error, at_home_alone=True)
            return Updated(_unsure(receipt) if is_out else receipt, None)

        if self._view.decider is None:
            return (
                yield from self._deciding(
                    order,
                    lambda view, order: update_one(view, order, user_key, raw, update),
                    lambda updated: updated.receipt,
                    (),
                    give_up,
                )
            )
        # Once an attempt may be out nothing is rejected any more, and another one is made only where the primary was
        # asked for it: one that no majority followed may be passed over by the next, which may have that attempt.
        tried: list[Stamp] = []
        asked: ClusterView | None = None
        updated: Updated | None = None
        while True:
            view = self._view
            if updated is not None and asked is not None and view is not asked:
                updated, epoch = updated._replace(receipt=_unsure(updated.receipt)), asked.topology.epoch
            else:
                order, epoch = self._renewed(order), view.topology.epoch
                try:
                    updated = yield from update_one(view, order, user_key, raw, update)
                except EpochMoved as moved:
                    try:
                        order = yield from self._follow(order, moved)
                    except (Unavailable, RequestError) as error:
                        return give_up(order, error)
                    continue
                except RedreplError as error:
                    if not is_out:
                        raise
                    return give_up(order, error)
                self._note_decision(order, updated.receipt)
                if updated.receipt.outcome is Outcome.COMMITTED:
                    return updated
                tried += (update.stamp, updated.receipt.stamp)
                is_out = is_out or not _is_rejected(updated.receipt)
            chunk = Chunk((user_key,), (raw,), (tried[0],), (b"",), order)
            in_doubt = InDoubtWrites(chunk, epoch, (updated.receipt,), tried)
            found = yield from self._look_up_until_told(in_doubt)
            asked = in_doubt.asked or asked
            (write,) = in_doubt.writes
            # Later than that a tombstone may have been purged: nothing there does not tell that it had no effect.
            is_too_late = write.may_be_out and self._base_driver.now() >= order.until
            if is_too_late or write.fate is not Fate.ABSENT:
                receipt = _unsure(in_doubt.receipts()[0]) if is_out else in_doubt.receipts()[0]
                has_found = found is not None and found.stamp == receipt.stamp
                return Updated(receipt, found if has_found else updated.record or found)
            # What it makes depends on what stands: a former primary may hold other bytes under the stamp it had there.
            update = update._replace(stamp=self._clock.next())

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


def _unsure(receipt: WriteReceipt) -> WriteReceipt:
    """The receipt of a second attempt, after one in another epoch: other copies may hold the record since then."""
    return receipt._replace(outcome=Outcome.UNKNOWN) if receipt.outcome is Outcome.REJECTED else receipt


def _is_rejected(receipt: WriteReceipt) -> bool:
    return receipt.outcome is Outcome.REJECTED


def _failure_of_one(receipt: WriteReceipt, order: WriteOrder) -> RedreplError:
    refusal = receipt.failed.get(order.home)
    if refusal is not None and is_clock_refusal(refusal):
        return clock_error(order.home, refusal, receipt)
    return _failure(receipt, (receipt,))


def _failure(receipt: WriteReceipt, receipts: Sequence[WriteReceipt]) -> WriteNotConfirmed | WriteRejected:
    failed = sum(1 for each in receipts if each.outcome is not Outcome.COMMITTED)
    what = f"write of {receipt.key!r}" if len(receipts) == 1 else f"write of {failed} of {len(receipts)} keys"
    if receipt.outcome is Outcome.REJECTED:
        refused = any(map(is_refusal, receipt.failed.values()))
        did_not_arrive = any(LOST in reason for reason in receipt.failed.values())
        why = "it did not arrive" if did_not_arrive else "nothing was sent"
        why = "no copy that was asked takes writes now" if refused else why
        return WriteRejected(f"{what} was rejected: {why}", receipt, receipts=receipts)
    held = ", ".join(sorted(receipt.acked)) or "no copy"
    needed = f"needs {receipt.required} {'copy' if receipt.required == 1 else 'copies'} besides the primary"
    text = f"{what} is not confirmed: it {needed}, confirmed by {held}; the outcome is unknown"
    evidence = {**dict.fromkeys(receipt.pending, "no answer yet"), **receipt.failed}
    return WriteNotConfirmed(text, receipt, evidence, receipts)
