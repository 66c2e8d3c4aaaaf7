"""The operations that write a value or a deletion, each as one plan."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from redrepl.plans.client.bulk import BulkWrite
from redrepl.plans.client.cluster_state import ClusterState
from redrepl.plans.client.codecs import Codecs, K, V
from redrepl.plans.client.environment import WakeUps
from redrepl.plans.client.following import EpochFollower
from redrepl.plans.client.options import CallOptions
from redrepl.plans.client.outcomes import OutcomeResolver
from redrepl.plans.operations.batch import write_chunk
from redrepl.plans.operations.chunk import Chunk, Draft
from redrepl.plans.operations.in_doubt import InDoubtWrites, answer_was_lost
from redrepl.plans.operations.write import WriteOrder, clock_error, write_one
from redrepl.plans.view import ClusterView, EpochMoved, is_clock_refusal
from redrepl.values.effects import Plan
from redrepl.values.errors import (
    NotAReplicatedRecord,
    RedreplError,
    WriteNotConfirmed,
    WriteRejected,
)
from redrepl.values.reasons import LOST, is_refusal
from redrepl.values.receipt import Outcome, WriteReceipt
from redrepl.values.record import NO_DEADLINE, TOMBSTONE, VALUE, Record
from redrepl.values.session import Session
from redrepl.values.stamp import Stamp
from redrepl.values.validation import check_items, check_keys

R = TypeVar("R")


class PendingWrite(NamedTuple):
    """One write before it is stamped: the key as the caller gave it and as bytes, and what to
    store.
    """

    user_key: str | bytes
    key: bytes
    kind: bytes
    payload: bytes
    deadline_millis: int


class Writer(Generic[K, V]):
    """Plans of single writes and of batches, and what every operation that writes does with its
    receipts.
    """

    def __init__(
        self,
        cluster: ClusterState,
        follower: EpochFollower,
        outcomes: OutcomeResolver,
        codecs: Codecs[K, V],
        session: Session,
        wake_ups: WakeUps,
    ) -> None:
        self._cluster = cluster
        self._follower = follower
        self._outcomes = outcomes
        self._codecs = codecs
        self._session = session
        self._wake_ups = wake_ups

    def set(
        self, key: K | str | bytes, value: V | bytes, ttl: float | None, options: CallOptions
    ) -> Plan[WriteReceipt]:
        """Store a value."""
        return (yield from self.write_alone(self.pending_set(key, value, ttl), options))

    def delete(self, key: K | str | bytes, options: CallOptions) -> Plan[WriteReceipt]:
        """Delete a key."""
        return (yield from self.write_alone(self.pending_delete(key), options))

    def pending_set(
        self, key: K | str | bytes, value: V | bytes, ttl: float | None
    ) -> PendingWrite:
        """A value to be stored; its ``ttl`` begins now.

        Raises RequestError for what cannot be stored.
        """
        raw = self._codecs.key(key)
        user_key = key if isinstance(key, (str, bytes)) else raw
        return PendingWrite(
            user_key, raw, VALUE, self._codecs.value(value), self._cluster.deadline(ttl)
        )

    def pending_delete(self, key: K | str | bytes) -> PendingWrite:
        """A deletion to be stored."""
        raw = self._codecs.key(key)
        user_key = key if isinstance(key, (str, bytes)) else raw
        return PendingWrite(user_key, raw, TOMBSTONE, b"", NO_DEADLINE)

    def set_many(
        self, items: Mapping[Any, V | bytes], ttl: float | None, options: CallOptions
    ) -> Plan[dict[Any, WriteReceipt]]:
        """Store many values; returns a receipt for each key."""
        check_items(items)
        keys = self._codecs.keys(items)
        values = self._codecs.values(items.values())
        draft = Draft(
            self._codecs.receipt_keys(items, keys), keys, values, VALUE, self._cluster.deadline(ttl)
        )
        receipts = yield from self._write_batch(draft, options)
        return dict(zip(items, receipts, strict=True))

    def delete_many(
        self, keys: Iterable[K | str | bytes], options: CallOptions
    ) -> Plan[dict[Any, WriteReceipt]]:
        """Delete many keys; returns a receipt for each key."""
        unique = list(dict.fromkeys(check_keys(keys)))
        encoded = self._codecs.keys(unique)
        draft = Draft(
            self._codecs.receipt_keys(unique, encoded),
            encoded,
            [b""] * len(unique),
            TOMBSTONE,
            NO_DEADLINE,
        )
        receipts = yield from self._write_batch(draft, options)
        return dict(zip(unique, receipts, strict=True))

    def write_alone(self, write: PendingWrite, options: CallOptions) -> Plan[WriteReceipt]:
        """Write one record; returns its receipt. Raises WriteFailure where it is not committed."""
        user_key, raw, kind, payload, deadline_millis = write
        order, view = self._cluster.order(options), self._cluster.view
        record = Record(self._cluster.clock.next(), kind, deadline_millis, payload)
        receipt: WriteReceipt | None = None
        try:
            # Nearly always this is all: no layer more than needed around it, it is the price of
            # every write.
            receipt = yield from write_one(view, order, user_key, raw, record)
        except EpochMoved:
            receipt = None
        if order.home_first and receipt is not None:
            self._cluster.note_decision(order, receipt)
        if receipt is None or receipt.outcome is not Outcome.COMMITTED:
            chunk = Chunk((user_key,), (raw,), (record.stamp,), (record.encode(),), order)
            (receipt,) = yield from self.see_through(
                chunk, view, None if receipt is None else (receipt,)
            )
        self.note(raw, receipt)
        return self.settle(receipt, order.reach_others)

    def see_through(
        self, chunk: Chunk, view: ClusterView, receipts: Sequence[WriteReceipt] | None
    ) -> Plan[Sequence[WriteReceipt]]:
        """The receipts of writes that left once, in this view: through changes of epoch, and on to
        other primaries.

        ``receipts``: as the first attempt gave them; None where the deciding node is in another
        epoch.
        """
        if receipts:
            self._cluster.note_decision(chunk.order, receipts[0])
        if receipts is not None and all(each.outcome is Outcome.COMMITTED for each in receipts):
            return receipts
        if view.decider is not None:
            return (yield from self._outcomes.resolve(chunk, view.topology.epoch, receipts))
        home = chunk.order.home
        # Each of several primaries keeps the later of two stamps: what may have been lost, or what
        # one of them turned down, is sent again as it was.
        was_lost = receipts is not None and answer_was_lost(receipts[0], home)
        if (
            receipts is not None
            and not was_lost
            and not self._may_go_on_elsewhere(receipts[0], home)
        ):
            return receipts
        places = range(len(chunk.keys))
        self._outcomes.facts.sent_again(chunk, places, self._cluster.home())
        again = yield from self.deciding(
            self._cluster.renewed(chunk.order),
            lambda view, order: write_chunk(view, chunk._replace(order=order)),
            lambda receipts: receipts[0],
            (home,) if receipts and not was_lost else (),
            lambda order, error: [
                self.given_up(order, key, stamp, error)
                for key, stamp in zip(chunk.user_keys, chunk.stamps, strict=True)
            ],
        )
        may_be_out = not is_rejected(receipts[0]) if receipts else chunk.order.reach_others
        final = list(map(unsure, again)) if may_be_out else again
        self._outcomes.facts.resolved(chunk, places, final)
        return final

    def _may_go_on_elsewhere(self, receipt: WriteReceipt, home: str) -> bool:
        """Whether another of several primaries may take what this one did not."""
        was_turned_down = is_rejected(receipt) or is_refusal(receipt.failed.get(home, ""))
        return was_turned_down and self._cluster.home() != home

    def given_up(
        self,
        order: WriteOrder,
        user_key: str | bytes,
        stamp: Stamp,
        error: RedreplError,
        at_home_alone: bool = False,
    ) -> WriteReceipt:
        """The receipt of a write whose deciding node was in another epoch, and stored nothing,
        until time ran out.

        Other copies may have it, unless it was sent to the deciding node alone.
        """
        failed, elapsed = {order.home: error.message}, self._cluster.driver.now() - order.started
        if at_home_alone or not order.reach_others:
            return WriteReceipt.rejected(
                user_key, stamp, failed=failed, required=order.required, elapsed=elapsed
            )
        others = self._cluster.view.everybody - {order.home}
        return WriteReceipt.unknown(
            user_key, stamp, pending=others, failed=failed, required=order.required, elapsed=elapsed
        )

    def write_group(
        self, writes: Sequence[PendingWrite], options: CallOptions
    ) -> Plan[list[WriteReceipt | Exception]]:
        """Writes of different keys that came together; for each, in this order, its receipt or its
        error.
        """
        if len(writes) == 1:
            try:
                return [(yield from self.write_alone(writes[0], options))]
            except RedreplError as error:
                return [error]
        order, view, stamp = (
            self._cluster.order(options),
            self._cluster.view,
            self._cluster.clock.next(),
        )
        records = [
            Record(stamp, write.kind, write.deadline_millis, write.payload) for write in writes
        ]
        user_keys, keys = [write.user_key for write in writes], [write.key for write in writes]
        chunk = Chunk(
            user_keys, keys, [stamp] * len(writes), [record.encode() for record in records], order
        )
        try:
            receipts = yield from self.write_chunk(chunk, view)
        except NotAReplicatedRecord:
            # The deciding node stored nothing, because of one key. With the stamps they have, the
            # others stand alone.
            return (yield from self._write_one_by_one(chunk))
        self.note_chunk(chunk, receipts)
        return self._settle_group(receipts, order)

    def write_chunk(self, chunk: Chunk, view: ClusterView) -> Plan[Sequence[WriteReceipt]]:
        """The receipts of writes that leave now, each in the end."""
        first: Sequence[WriteReceipt] | None
        try:
            first = yield from write_chunk(view, chunk)
        except EpochMoved:
            first = None
        return (yield from self.see_through(chunk, view, first))

    def _write_one_by_one(self, chunk: Chunk) -> Plan[list[WriteReceipt | Exception]]:
        results: list[WriteReceipt | Exception] = []
        for index, key in enumerate(chunk.keys):
            view, alone = (
                self._cluster.view,
                chunk.part((index,), self._cluster.renewed(chunk.order)),
            )
            try:
                (receipt,) = yield from self.write_chunk(alone, view)
                self.note(key, receipt)
                results.append(self.settle(receipt, chunk.order.reach_others))
            except RedreplError as error:
                results.append(error)
        return results

    def _settle_group(
        self, receipts: Sequence[WriteReceipt], order: WriteOrder
    ) -> list[WriteReceipt | Exception]:
        """`_settle` for writes that came together, each with an outcome of its own."""
        if not order.reach_others:
            self._wake_ups.request(self._cluster.view.others[self._cluster.home()])
        elif behind := {
            node
            for each in receipts
            if each.failed and each.outcome is not Outcome.REJECTED
            for node in each.failed
        }:
            self._wake(behind)
        return [
            receipt if receipt.outcome is Outcome.COMMITTED else _failure_of_one(receipt, order)
            for receipt in receipts
        ]

    def _write_batch(self, draft: Draft, options: CallOptions) -> Plan[Sequence[WriteReceipt]]:
        bulk = BulkWrite(self, self._cluster, draft, options)
        return self.settle_batch((yield from bulk.plan()), bulk.order.reach_others)

    def is_open(
        self, chunk: Chunk, view: ClusterView, receipts: Sequence[WriteReceipt] | None
    ) -> bool:
        """Whether a chunk that left once in this view has to be seen through."""
        if receipts is None:
            return True
        if view.decider is None:
            home = chunk.order.home
            return answer_was_lost(receipts[0], home) or self._may_go_on_elsewhere(
                receipts[0], home
            )
        return any(each.outcome is not Outcome.COMMITTED for each in receipts) and bool(
            InDoubtWrites(chunk, view.topology.epoch, receipts).open()
        )

    def deciding(
        self,
        order: WriteOrder,
        build: Callable[[ClusterView, WriteOrder], Plan[R]],
        receipt_of: Callable[[R], WriteReceipt | None],
        tried: tuple[str, ...],
        give_up: Callable[[WriteOrder, RedreplError], R],
    ) -> Plan[R]:
        """`_following` for writes: where the deciding node could not be asked, or turned it down,
        go to the next one.

        ``receipt_of``: one that tells what became of it; None where nothing is to be done
        elsewhere.
        """
        while True:
            epoch = self._cluster.view.topology.epoch
            result = yield from self._follower.following(order, build, give_up)
            receipt = receipt_of(result)
            if receipt is not None:
                self._cluster.note_decision(order, receipt)
            if (
                receipt is None
                or not is_rejected(receipt)
                or self._cluster.driver.now() >= order.until
            ):
                return result
            tried = (*tried, order.home)
            if self._cluster.view.decider is not None:
                # Another node may become the primary in time.
                if not (
                    yield from self._follower.await_epoch_after(epoch, order.until, order.home)
                ):
                    return result
                order = self._cluster.renewed(order)
            elif (home := self._cluster.home()) in tried:
                return result
            else:
                order = order._replace(home=home)

    def note(self, key: bytes, receipt: WriteReceipt) -> None:
        """What is committed belongs to this session's past, and to its clock's."""
        stamp = receipt.stamp
        self._cluster.clock.observe(stamp.micros)
        if receipt.outcome is Outcome.COMMITTED:
            self._session.note(key, stamp)

    def note_chunk(self, chunk: Chunk, receipts: Sequence[WriteReceipt]) -> None:
        """`_note` for each key; the clock needs the latest stamp only."""
        self._cluster.clock.observe(max(receipt.stamp for receipt in receipts).micros)
        note = self._session.note
        for key, receipt in zip(chunk.keys, receipts, strict=True):
            if receipt.outcome is Outcome.COMMITTED:
                note(key, receipt.stamp)

    def settle(self, receipt: WriteReceipt, reached_others: bool) -> WriteReceipt:
        """Wake the workers where a copy is behind; raise where the write is not committed."""
        if not reached_others:
            self._wake_ups.request(self._cluster.view.others[self._cluster.home()])
        elif receipt.failed and receipt.outcome is not Outcome.REJECTED:
            self._wake(receipt.failed)
        if receipt.outcome is not Outcome.COMMITTED:
            raise _failure(receipt, (receipt,))
        return receipt

    def settle_batch(
        self, receipts: Sequence[WriteReceipt], reached_others: bool
    ) -> Sequence[WriteReceipt]:
        """Wake the workers where copies are behind; raise where a write is not committed."""
        self.wake_for(receipts, reached_others)
        lost = [receipt for receipt in receipts if receipt.outcome is not Outcome.COMMITTED]
        if lost:
            # One that may have taken effect stands for all: "rejected" would say that none has.
            raise _failure(
                next((each for each in lost if each.outcome is Outcome.UNKNOWN), lost[0]), receipts
            )
        return receipts

    def wake_for(self, receipts: Sequence[WriteReceipt], reached_others: bool) -> None:
        """Wake the workers for the copies that lack some of these writes."""
        sent = [receipt for receipt in receipts if receipt.outcome is not Outcome.REJECTED]
        if reached_others:
            self._wake({node for receipt in sent for node in receipt.failed})
        elif sent:
            self._wake_ups.request(self._cluster.view.others[self._cluster.home()])

    def _wake(self, behind: Iterable[str]) -> None:
        """Wake the workers for copies that answered but are behind; who cannot be reached is the
        tick's business.
        """
        if reachable := [node for node in behind if self._cluster.driver.trouble(node) is None]:
            self._wake_ups.request(reachable)


def unsure(receipt: WriteReceipt) -> WriteReceipt:
    """The receipt of a second attempt, after one in another epoch: other copies may hold the record
    since then.
    """
    return (
        receipt._replace(outcome=Outcome.UNKNOWN)
        if receipt.outcome is Outcome.REJECTED
        else receipt
    )


def without_result(receipt: WriteReceipt, home: str) -> WriteReceipt:
    """The receipt of an operation without the answer: where it is stored, what it was to return is
    lost.
    """
    if receipt.outcome is not Outcome.COMMITTED:
        return receipt
    failed = {**receipt.failed, home: "the answer was lost, and with it what the key held before"}
    return receipt._replace(outcome=Outcome.UNKNOWN, acked=receipt.acked - {home}, failed=failed)


def is_rejected(receipt: WriteReceipt) -> bool:
    """Whether a write certainly had no effect."""
    return receipt.outcome is Outcome.REJECTED


def _failure_of_one(receipt: WriteReceipt, order: WriteOrder) -> RedreplError:
    refusal = receipt.failed.get(order.home)
    if refusal is not None and is_clock_refusal(refusal):
        return clock_error(order.home, refusal, receipt)
    return _failure(receipt, (receipt,))


def _failure(
    receipt: WriteReceipt, receipts: Sequence[WriteReceipt]
) -> WriteNotConfirmed | WriteRejected:
    failed = sum(1 for each in receipts if each.outcome is not Outcome.COMMITTED)
    what = (
        f"write of {receipt.key!r}"
        if len(receipts) == 1
        else f"write of {failed} of {len(receipts)} keys"
    )
    if receipt.outcome is Outcome.REJECTED:
        refused = any(map(is_refusal, receipt.failed.values()))
        did_not_arrive = any(LOST in reason for reason in receipt.failed.values())
        why = "it did not arrive" if did_not_arrive else "nothing was sent"
        why = "no copy that was asked takes writes now" if refused else why
        return WriteRejected(f"{what} was rejected: {why}", receipt, receipts=receipts)
    held = ", ".join(sorted(receipt.acked)) or "no copy"
    needed = (
        f"needs {receipt.required} {'copy' if receipt.required == 1 else 'copies'} besides "
        "the primary"
    )
    text = f"{what} is not confirmed: it {needed}, confirmed by {held}; the outcome is unknown"
    evidence = {**dict.fromkeys(receipt.pending, "no answer yet"), **receipt.failed}
    return WriteNotConfirmed(text, receipt, evidence, receipts)
