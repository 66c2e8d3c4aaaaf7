"""Resolving the outcome of writes whose answer is missing, or that were under way when the epoch
moved on.

See docs/protocol.md, section 5.5.

A write is sent again only where it certainly has no effect yet, and with its stamp: nothing left
this program, or the new primary does not have it. In a new epoch nobody can get it any more from
messages of the old one, so what the new primary says is final. What it holds under the write's own
stamp is committed like any other record; where something later stands nobody can tell whether the
write took effect before that, and its outcome stays unknown.
"""

from __future__ import annotations

from collections.abc import Sequence

from redrepl.plans.client.cluster_state import ClusterState
from redrepl.plans.client.following import EpochFollower
from redrepl.plans.client.topology_watch import BETWEEN_EPOCHS_SECONDS, TopologyWatch
from redrepl.plans.client.write_facts import WriteFacts
from redrepl.plans.operations.batch import write_chunk
from redrepl.plans.operations.chunk import Chunk
from redrepl.plans.operations.cut_off import cut_off
from redrepl.plans.operations.in_doubt import InDoubtWrites, answer_was_lost
from redrepl.plans.operations.read import read_confirmed
from redrepl.plans.operations.write import WriteOrder
from redrepl.plans.view import ClusterView, EpochMoved, epoch_in_refusal, pause
from redrepl.values.effects import Plan
from redrepl.values.errors import RedreplError, RequestError, Unavailable
from redrepl.values.receipt import Outcome, WriteReceipt
from redrepl.values.record import Record

LONGEST_LOOK_PAUSE_SECONDS = 0.2
"""Between looks for a write whose answer was lost; the first pause is BETWEEN_EPOCHS_SECONDS."""


class OutcomeResolver:
    """Finds out what became of writes, and sends again what certainly had no effect."""

    def __init__(
        self, cluster: ClusterState, watch: TopologyWatch, follower: EpochFollower
    ) -> None:
        self._cluster = cluster
        self._watch = watch
        self._follower = follower
        self.facts = WriteFacts(cluster.reporter)

    def resolve(
        self, chunk: Chunk, epoch: int, receipts: Sequence[WriteReceipt] | None
    ) -> Plan[Sequence[WriteReceipt]]:
        """See writes that left in this epoch through to their receipts.

        ``receipts`` are those of the first attempt; None: the deciding node is in a later epoch and
        stored nothing.
        """
        in_doubt = InDoubtWrites(chunk, epoch, receipts)
        followed = self.tell_in_doubt(in_doubt)
        while in_doubt.open() and (yield from self._await_turn(in_doubt)):
            view = self._cluster.view
            try:
                order = self._cluster.renewed(chunk.order)
                yield from self._look_up_once(in_doubt, view, order)
                if absent := in_doubt.to_send():
                    self.facts.sent_again(chunk, absent, order.home)
                    receipts = yield from write_chunk(view, chunk.part(absent, order))
                    in_doubt.take_sent(absent, receipts, order)
                elif in_doubt.open() and view.topology.epoch == in_doubt.epoch:
                    yield from self._pause_between_looks(in_doubt)
                in_doubt.order, in_doubt.epoch = order, view.topology.epoch
            except RequestError as error:  # fewer members now than the level asks for
                in_doubt.stay_open(error, view)
                break
            except (EpochMoved, Unavailable) as error:
                in_doubt.stay_open(error, view)
                yield from self._follower.look_around(chunk.order.until)
        final = in_doubt.receipts()
        self.facts.resolved(chunk, followed, final)
        return final

    def look_up(self, in_doubt: InDoubtWrites) -> Plan[Record | None]:
        """Look, in a later epoch, what became of one write that is not to be sent again; the record
        that stands.
        """
        while in_doubt.open() and (yield from self._await_turn(in_doubt)):
            view = self._cluster.view
            if not in_doubt.writes[0].may_be_out:
                in_doubt.writes[0].note_absent()
                return None
            try:
                records = yield from self._look_up_once(
                    in_doubt, view, self._cluster.renewed(in_doubt.order)
                )
                if not in_doubt.may_still_arrive or not in_doubt.open():
                    return records[0] if records else None
                yield from self._pause_between_looks(in_doubt)
            except RequestError as error:  # fewer members now than the level asks for
                in_doubt.stay_open(error, view)
                break
            except (EpochMoved, Unavailable) as error:
                in_doubt.stay_open(error, view)
                yield from self._follower.look_around(in_doubt.order.until)
        return None

    def find_lost(
        self,
        order: WriteOrder,
        keys: Sequence[bytes],
        receipts: Sequence[WriteReceipt],
        is_unit: bool = False,
    ) -> Plan[tuple[list[WriteReceipt], dict[bytes, Record]]]:
        """Receipts as given, but for operations whose answer was lost with the connection; none is
        sent again.

        They are looked for by their stamps; the last operation on a key stands for those before it.
        Also answers the records that were found; of a unit none, unless every key has that of the
        unit or a later one.
        """
        home = self._cluster.home()
        last = {key: n for n, key in enumerate(keys) if answer_was_lost(receipts[n], home)}
        if self._cluster.view.decider is None or not last:
            return list(receipts), {}
        lost = [receipts[index] for index in last.values()]
        stamps = [each.stamp for each in lost]
        chunk = Chunk(
            [each.key for each in lost],
            list(last),
            stamps,
            [b""] * len(lost),
            order._replace(home=home),
        )
        in_doubt = InDoubtWrites(chunk, self._cluster.view.topology.epoch, lost)
        yield from self._look_up_all(in_doubt, is_unit)
        told = dict(zip(last.values(), in_doubt.receipts(), strict=True))
        if in_doubt.never_arrived:
            are_lost = [answer_was_lost(receipt, home) for receipt in receipts]
            told = {
                n: receipts[n]._replace(outcome=Outcome.REJECTED)
                for n, is_lost in enumerate(are_lost)
                if is_lost
            }
        found = in_doubt.found if in_doubt.is_told(is_unit) else {}
        return [told.get(index, receipt) for index, receipt in enumerate(receipts)], found

    def confirm_taken(
        self, order: WriteOrder, keys: Sequence[bytes], receipts: Sequence[WriteReceipt]
    ) -> Plan[list[WriteReceipt]]:
        """Receipts as given, but for what the deciding node took just before the epoch moved on;
        none is sent again.

        Other copies, in the new epoch already, refused that. It is committed where a read in the
        new epoch finds it, or what came after it on the same node, on as many copies as the level
        asks for. The last write of a key stands for those before it.
        """
        home = self._cluster.home()
        last = {
            key: index
            for index, (key, receipt) in enumerate(zip(keys, receipts, strict=True))
            if receipt.outcome is Outcome.UNKNOWN and home in receipt.acked
        }
        taken = [receipts[index] for index in last.values()]
        newest = max(
            (epoch_in_refusal(reason) for each in taken for reason in each.failed.values()),
            default=0,
        )
        if newest < self._cluster.view.topology.epoch:
            return list(receipts)
        stamps = [each.stamp for each in taken]
        chunk = Chunk(
            [each.key for each in taken],
            list(last),
            stamps,
            [b""] * len(taken),
            order._replace(home=home),
        )
        in_doubt = InDoubtWrites(chunk, newest - 1, taken)
        yield from self._look_up_all(in_doubt)
        found = dict(zip(last, in_doubt.receipts(), strict=True))
        pairs = zip(keys, receipts, strict=True)
        return [_as_found(each, found[key]) if key in found else each for key, each in pairs]

    def _look_up_all(self, in_doubt: InDoubtWrites, is_unit: bool = False) -> Plan[None]:
        """`_look_up_until_told` for several writes, all of which may be out."""
        followed = self.tell_in_doubt(in_doubt)
        yield from self._look_for_all(in_doubt, is_unit)
        final = in_doubt.receipts()
        if in_doubt.never_arrived:
            final = [receipt._replace(outcome=Outcome.REJECTED) for receipt in final]
        self.facts.resolved(in_doubt.chunk, followed, final)

    def _look_for_all(self, in_doubt: InDoubtWrites, is_unit: bool) -> Plan[None]:
        until = in_doubt.order.until
        while in_doubt.open() and (yield from self._await_turn(in_doubt)):
            view = self._cluster.view
            try:
                yield from self._look_up_once(in_doubt, view, self._cluster.renewed(in_doubt.order))
            except (EpochMoved, Unavailable) as error:
                in_doubt.stay_open(error, view)
                yield from self._follower.look_around(until)
                continue
            except RedreplError:
                return  # it cannot be told in this epoch: unknown is the truth
            if in_doubt.is_told(is_unit) or not in_doubt.may_still_arrive:
                is_nothing_there = in_doubt.missing() == len(in_doubt.writes)
                in_doubt.never_arrived = view.topology.epoch == in_doubt.epoch and is_nothing_there
                return
            yield from self._pause_between_looks(in_doubt)

    def _look_up_once(
        self, in_doubt: InDoubtWrites, view: ClusterView, order: WriteOrder
    ) -> Plan[list[Record | None]]:
        """Read what stands for those writes that copies may have got.

        What the primary does not have nobody needs to confirm. What it has must be confirmed as the
        writes ask for. In the epoch in which they were sent, what it does not have it may take yet,
        unless it ends the connection on which it was sent: then nothing is concluded.
        """
        in_doubt.begin_look(view)
        writes = in_doubt.to_look_up(view)
        self.facts.looked_up(in_doubt.chunk, [write.place for write in writes], order.home)
        if in_doubt.may_still_arrive and writes and order.home == in_doubt.order.home:
            reasons = [write.reason_at(order.home) for write in writes]
            in_doubt.may_still_arrive = not (yield from cut_off(view, order, reasons))

        # What the primary itself stored it is not asked for alone: the other copies have to confirm
        # it.
        records: list[Record | None] = []
        if not all(write.was_taken_by(order.home, in_doubt.order) for write in writes):
            keys = [write.key for write in writes]
            records = (yield from read_confirmed(view, order.home, keys, 0, order.until)).records
            writes = in_doubt.leave_missing(writes, records, order.home)

        if writes:
            keys = [write.key for write in writes]
            confirmed = yield from read_confirmed(
                view, order.home, keys, order.required, order.until
            )
            in_doubt.take_confirmed(writes, confirmed, view.everybody, order.home)
            records = confirmed.records
        in_doubt.end_look(view)
        return records

    def tell_in_doubt(self, in_doubt: InDoubtWrites) -> list[int]:
        """Tell the observer that what is open of these writes is followed up; returns their
        places.
        """
        opened = in_doubt.open()
        why = next(filter(None, (write.reason_at(in_doubt.order.home) for write in opened)), "")
        places = [write.place for write in opened]
        self.facts.in_doubt(in_doubt.chunk, places, why)
        return places

    def _await_turn(self, in_doubt: InDoubtWrites) -> Plan[bool]:
        """Wait until it is time to look what became of writes, or to send them again where none
        ever left.

        What was sent on a connection that was lost is looked for on a new one, in the same epoch
        too.
        """
        home, until = in_doubt.order.home, in_doubt.order.until
        if not in_doubt.lost_its_answer():
            return (
                yield from self._follower.await_epoch_after(
                    in_doubt.epoch, until, home if in_doubt.never_left() else None
                )
            )
        if self._cluster.driver.trouble(home) is not None:  # which has the connection opened
            yield from self._watch.pause_between_epochs(until)
        if self._cluster.driver.trouble(home) is None:
            return self._cluster.driver.now() < until
        return (yield from self._follower.await_epoch_after(in_doubt.epoch, until, home))

    def _pause_between_looks(self, in_doubt: InDoubtWrites) -> Plan[None]:
        """What was sent may be under way still, on the connection that was lost: the node may take
        it later.
        """
        in_doubt.looks += 1
        seconds = min(LONGEST_LOOK_PAUSE_SECONDS, BETWEEN_EPOCHS_SECONDS * 2.0**in_doubt.looks)
        return pause(min(in_doubt.order.until, self._cluster.driver.now() + seconds))


def _as_found(receipt: WriteReceipt, found: WriteReceipt) -> WriteReceipt:
    """A receipt after its write was looked up, alone or under a later one of its key."""
    if receipt.outcome is not Outcome.UNKNOWN or found.outcome is not Outcome.COMMITTED:
        return receipt
    return receipt._replace(
        outcome=Outcome.COMMITTED, acked=found.acked, pending=found.pending, failed={}
    )
