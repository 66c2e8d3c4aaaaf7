"""The operations that the primary decides on what it has, one key at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic

from redrepl.plans.client.cluster_state import ClusterState
from redrepl.plans.client.codecs import Codecs, K, V
from redrepl.plans.client.following import EpochFollower
from redrepl.plans.client.options import CallOptions
from redrepl.plans.client.outcomes import OutcomeResolver
from redrepl.plans.client.writes import Writer, is_rejected, unsure, without_result
from redrepl.plans.operations.chunk import Chunk
from redrepl.plans.operations.in_doubt import Fate, InDoubtWrites
from redrepl.plans.operations.update import Update, Updated, update_one
from redrepl.plans.operations.write import WriteOrder
from redrepl.plans.view import ClusterView, EpochMoved
from redrepl.values.effects import Plan
from redrepl.values.errors import RedreplError, RequestError, Unavailable
from redrepl.values.operation import OperationKind, Result
from redrepl.values.receipt import Outcome, WriteReceipt
from redrepl.values.stamp import Stamp


class Updater(Generic[K, V]):
    """Plans of single operations, by their row of the table.

    The primary decides, and is asked alone first.
    """

    def __init__(
        self,
        cluster: ClusterState,
        follower: EpochFollower,
        outcomes: OutcomeResolver,
        writer: Writer[K, V],
        codecs: Codecs[K, V],
    ) -> None:
        self._cluster = cluster
        self._follower = follower
        self._outcomes = outcomes
        self._writer = writer
        self._codecs = codecs

    def change(
        self,
        kind: OperationKind,
        key: K | str | bytes,
        argument: Any,
        ttl: float | None,
        options: CallOptions,
    ) -> Plan[WriteReceipt]:
        """Carry out an operation that returns a receipt."""
        updated = yield from self._update(kind, key, argument, ttl, options)
        return updated.receipt

    def number(
        self, kind: OperationKind, key: K | str | bytes, argument: Any, options: CallOptions
    ) -> Plan[int]:
        """Carry out an operation that returns a number of the value that is stored then."""
        updated = yield from self._update(kind, key, argument, None, options)
        assert kind.number is not None
        assert updated.record is not None, "it has no condition"
        return kind.number(updated.record.payload)

    def value_before(
        self,
        kind: OperationKind,
        key: K | str | bytes,
        argument: Any,
        ttl: float | None,
        options: CallOptions,
    ) -> Plan[V | None]:
        """Carry out an operation that returns what the key held before."""
        updated = yield from self._update(kind, key, argument, ttl, options)
        assert updated.before is not None, "without it the write is not settled"
        return self._codecs.value_before(key, updated.before)

    def _update(
        self,
        kind: OperationKind,
        key: K | str | bytes,
        argument: Any,
        ttl: float | None,
        options: CallOptions,
    ) -> Plan[Updated]:
        operand = kind.argument.encode(self._codecs, argument)
        deadline = self._cluster.deadline(ttl)
        raw, order = self._codecs.key(key), self._cluster.order(options)
        user_key = self._codecs.receipt_key(key)

        update = Update(kind, self._cluster.clock.next(), operand, deadline)
        updated = yield from self._updated(order, user_key, raw, update)
        if kind.result is Result.VALUE and updated.before is None:
            # Found to be stored, perhaps, without the answer that has what the caller is to get.
            updated = updated._replace(receipt=without_result(updated.receipt, order.home))
        self._writer.note(raw, updated.receipt)
        self._writer.settle(updated.receipt, order.reach_others or not updated.receipt.applied)
        return updated

    def _updated(
        self, order: WriteOrder, user_key: str | bytes, raw: bytes, update: Update
    ) -> Plan[Updated]:
        """What came of an update in the end.

        Where it certainly had no effect it is carried out in the new epoch.
        """

        is_out, chunk = False, Chunk((user_key,), (raw,), (update.stamp,), (b"",), order)
        facts = self._outcomes.facts

        def give_up(order: WriteOrder, error: RedreplError) -> Updated:
            receipt = self._writer.given_up(
                order, user_key, update.stamp, error, at_home_alone=True
            )
            if is_out:
                receipt = unsure(receipt)
                facts.resolved(chunk, (0,), (receipt,))
            return Updated(receipt, None)

        if self._cluster.view.decider is None:
            return (yield from self._updated_anywhere(order, user_key, raw, update, give_up))
        # Once an attempt may be out nothing is rejected any more, and another one is made only
        # where the primary was asked for it: one that no majority followed may be passed over by
        # the next, which may have that attempt.
        tried: list[Stamp] = []
        asked: ClusterView | None = None
        updated: Updated | None = None
        while True:
            view = self._cluster.view
            if updated is not None and asked is not None and view is not asked:
                updated, epoch = (
                    updated._replace(receipt=unsure(updated.receipt)),
                    asked.topology.epoch,
                )
            else:
                epoch = view.topology.epoch
                try:
                    order = self._cluster.renewed(order)
                    updated = yield from update_one(view, order, user_key, raw, update)
                except EpochMoved as moved:
                    try:
                        order = yield from self._follower.follow(order, moved)
                    except (Unavailable, RequestError) as error:
                        return give_up(order, error)
                    continue
                except RedreplError as error:
                    if not is_out:
                        raise
                    return give_up(order, error)
                self._cluster.note_decision(order, updated.receipt)
                if updated.receipt.outcome is Outcome.COMMITTED:
                    facts.resolved(chunk, (0,) if tried else (), (updated.receipt,))
                    return updated
                tried += (update.stamp, updated.receipt.stamp)
                is_out = is_out or not is_rejected(updated.receipt)
            chunk = Chunk((user_key,), (raw,), (tried[0],), (b"",), order)
            in_doubt = InDoubtWrites(chunk, epoch, (updated.receipt,), tried)
            followed = self._outcomes.tell_in_doubt(in_doubt)
            found = yield from self._outcomes.look_up(in_doubt)
            asked = in_doubt.asked or asked
            (write,) = in_doubt.writes
            # Later than that a tombstone may have been purged: nothing there does not tell that it
            # had no effect.
            is_too_late = write.may_be_out and self._cluster.driver.now() >= order.until
            if is_too_late or write.fate is not Fate.ABSENT:
                receipt = unsure(in_doubt.receipts()[0]) if is_out else in_doubt.receipts()[0]
                has_found = found is not None and found.stamp == receipt.stamp
                facts.resolved(chunk, followed, (receipt,))
                return Updated(receipt, found if has_found else updated.record or found)
            facts.sent_again(chunk, (0,), self._cluster.home())
            # What it makes depends on what stands: a former primary may hold other bytes under the
            # stamp it had there.
            update = update._replace(stamp=self._cluster.clock.next())

    def _updated_anywhere(
        self,
        order: WriteOrder,
        user_key: str | bytes,
        raw: bytes,
        update: Update,
        give_up: Callable[[WriteOrder, RedreplError], Updated],
    ) -> Plan[Updated]:
        """`_updated` with several primaries: by the first of them that takes it."""
        return (
            yield from self._writer.deciding(
                order,
                lambda view, order: update_one(view, order, user_key, raw, update),
                lambda updated: updated.receipt,
                (),
                give_up,
            )
        )
