"""Following the cluster through a change of epoch: what becomes of writes that were under way.

See docs/protocol.md, section 5.5.

A write is sent again only where it certainly has no effect yet, and with its stamp: nothing left this program, or the
new primary does not have it. In a new epoch nobody can get it any more from messages of the old one, so what the new
primary says is final. What it holds under the write's own stamp is committed like any other record; where something
later stands nobody can tell whether the write took effect before that, and its outcome stays unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from redrepl.doors.foundation import BETWEEN_EPOCHS_SECONDS, Foundation, K, R, V
from redrepl.plans.batch import Chunk, write_chunk
from redrepl.plans.read import Confirmed, read_confirmed
from redrepl.plans.topology import read_topology
from redrepl.plans.view import SUSPECT_SECONDS, ClusterView, EpochMoved, epoch_in_refusal, is_clock_refusal
from redrepl.plans.watch import watching
from redrepl.plans.write import WriteOrder
from redrepl.values.effects import Exchange, Plan
from redrepl.values.errors import Unavailable
from redrepl.values.receipt import Outcome, WriteReceipt
from redrepl.values.record import Record

_NOBODY: frozenset[str] = frozenset()


class Following(Foundation[K, V]):
    """What a coordinator does when the primary is away or another one takes over, within the operation's deadline."""

    def _pursue(
        self, chunk: Chunk, epoch: int, receipts: Sequence[WriteReceipt] | None
    ) -> Plan[Sequence[WriteReceipt]]:
        """See writes that left in this epoch through to their receipts.

        ``receipts`` are those of the first attempt; None: the deciding node is in a later epoch and stored nothing.
        """
        pursuit = Pursuit(chunk, epoch, receipts)
        while pursuit.open() and (yield from self._await_epoch_after(pursuit.epoch, chunk.order.until)):
            view, order = self._view, self._renewed(chunk.order)
            try:
                yield from self._look_up(pursuit, view, order)
                if absent := pursuit.open():
                    pursuit.take_sent(absent, (yield from write_chunk(view, chunk.part(absent, order))))
                pursuit.order, pursuit.epoch = order, view.topology.epoch
            except (EpochMoved, Unavailable) as error:
                pursuit.stay_open(error, view)
                yield from self._pause_between_epochs(order.until)
        return pursuit.receipts()

    def _reading(self, order: WriteOrder, build: Callable[[ClusterView, WriteOrder], Plan[R]]) -> Plan[R]:
        """Carry out a read, again with another primary where one takes over in time."""
        if self._view.decider is None:
            return (yield from self._following(order, build))
        while True:
            view = self._view
            try:
                plan = build(view, order)
                return (yield from watching(view, plan, self._base_driver.now(), view.others[order.home]))
            except (EpochMoved, Unavailable) as error:
                if not (yield from self._await_epoch_after(view.topology.epoch, order.until)):
                    raise as_unavailable(error) from error
                order = self._renewed(order)

    def _look_into(self, pursuit: Pursuit) -> Plan[Record | None]:
        """Look, in a later epoch, what became of one write that is not to be sent again; the record that stands."""
        until = pursuit.order.until
        while pursuit.open() and (yield from self._await_epoch_after(pursuit.epoch, until)):
            view = self._view
            if not pursuit.may_be_out[0]:
                pursuit.forget(0)
                return None
            try:
                return (yield from self._look_up(pursuit, view, self._renewed(pursuit.order)))[0]
            except (EpochMoved, Unavailable) as error:
                pursuit.stay_open(error, view)
                yield from self._pause_between_epochs(until)
        return None

    def _look_up(self, pursuit: Pursuit, view: ClusterView, order: WriteOrder) -> Plan[list[Record | None]]:
        """Read what stands for those writes that copies may have got, confirmed by as many copies as they need."""
        indexes = [index for index in pursuit.open() if pursuit.may_be_out[index]]
        if not indexes:
            return []
        keys = [pursuit.chunk.keys[index] for index in indexes]
        confirmed = yield from read_confirmed(view, order.home, keys, order.required, order.until)
        pursuit.take_found(indexes, confirmed, view.everybody, order.home)
        return confirmed.records

    def _await_epoch_after(self, epoch: int, until: float) -> Plan[bool]:
        """Wait until the members know a later epoch; False where that does not come in time."""
        while True:
            now = self._base_driver.now()
            if now >= until or len(self._view.ids) < 2:
                return False
            if self._view.topology.epoch > epoch:
                return True
            try:
                topology = yield from read_topology(self._view, min(until, now + SUSPECT_SECONDS))
            except Unavailable:
                topology = self._view.topology
            if topology.epoch > self._view.topology.epoch:
                self._adopt(topology)
            elif self._view.topology.epoch <= epoch:
                yield from self._pause_between_epochs(until)

    def _pause_between_epochs(self, until: float) -> Plan[None]:
        yield Exchange((), min(until, self._base_driver.now() + BETWEEN_EPOCHS_SECONDS))


class Pursuit:
    """What is known of each of some writes that were sent in an epoch that may be over.

    may_be_out: some copy may have got it. order, epoch: those of the last attempt.
    """

    def __init__(self, chunk: Chunk, epoch: int, receipts: Sequence[WriteReceipt] | None) -> None:
        self.chunk = chunk
        self.order = chunk.order
        self.epoch = epoch
        self._known: list[WriteReceipt | None] = [*receipts] if receipts else [None for _ in chunk.keys]
        self._final: set[int] = set()
        self._why = "it is in a later epoch"
        reached_others = chunk.order.reach_others
        self.may_be_out = [
            reached_others if each is None else each.outcome is not Outcome.REJECTED for each in self._known
        ]

    def open(self) -> list[int]:
        """Writes of which more may become known once the epoch has moved on, or that are to be sent again."""
        return [index for index in range(len(self._known)) if index not in self._final and self._is_open(index)]

    def forget(self, index: int) -> None:
        """Nobody has this write: nothing left, and the epoch in which it might have is over."""
        self._known[index] = None

    def is_absent(self, index: int) -> bool:
        """Whether nobody has this write, nor can get it but by sending it again."""
        return self._known[index] is None

    def _is_open(self, index: int) -> bool:
        receipt = self._known[index]
        if receipt is None or receipt.outcome is Outcome.REJECTED:
            return True
        if receipt.outcome is Outcome.COMMITTED:
            return False
        home = self.order.home
        if home not in receipt.acked:
            return not is_clock_refusal(receipt.failed.get(home, ""))
        return any(epoch_in_refusal(reason) > self.epoch for reason in receipt.failed.values())

    def take_found(
        self, indexes: Sequence[int], confirmed: Confirmed, everybody: frozenset[str], new_home: str
    ) -> None:
        """What the primary of a later epoch holds, as enough copies confirm it."""
        for index, record in zip(indexes, confirmed.records, strict=True):
            receipt, proposed = self._known[index], self.chunk.stamps[index]
            decided = receipt.stamp if receipt else proposed
            was_taken = receipt is not None and self.order.home == new_home and new_home in receipt.acked
            receipt = receipt or self._unknown(index)
            if record is not None and record.stamp in (decided, proposed):
                self._known[index] = _confirmed_later(receipt._replace(stamp=record.stamp), confirmed, everybody)
            elif was_taken and record is not None and record.stamp > decided:
                self._known[index] = _confirmed_later(receipt, confirmed, everybody)
            elif was_taken or (record is not None and record.stamp > proposed):
                self._known[index] = receipt
                self._final.add(index)
            else:
                self._known[index] = None

    def take_sent(self, indexes: Sequence[int], receipts: Sequence[WriteReceipt]) -> None:
        """What came of sending writes again."""
        for index, receipt in zip(indexes, receipts, strict=True):
            self._known[index] = receipt
            self.may_be_out[index] |= receipt.outcome is not Outcome.REJECTED

    def stay_open(self, error: EpochMoved | Unavailable, view: ClusterView) -> None:
        """Nothing new is known. What was sent again may have reached others before the deciding node refused it."""
        self._why = error.message
        if isinstance(error, EpochMoved):
            self.epoch = view.topology.epoch
            self.may_be_out = [is_out or self.order.reach_others for is_out in self.may_be_out]

    def receipts(self) -> list[WriteReceipt]:
        """A receipt for each, as far as is known."""
        return [self._receipt(index) for index in range(len(self._known))]

    def _receipt(self, index: int) -> WriteReceipt:
        """Rejected only where certainly no copy has got it."""
        receipt = self._known[index]
        if receipt is not None and receipt.outcome is not Outcome.REJECTED:
            return receipt
        outcome = Outcome.UNKNOWN if self.may_be_out[index] else Outcome.REJECTED
        return (receipt or self._unknown(index))._replace(outcome=outcome)

    def _unknown(self, index: int) -> WriteReceipt:
        """The receipt of a write of which nothing is known but that it left."""
        chunk, order = self.chunk, self.order
        failed, elapsed = {order.home: self._why}, order.until - order.started
        return WriteReceipt(
            chunk.user_keys[index],
            chunk.stamps[index],
            Outcome.UNKNOWN,
            False,
            _NOBODY,
            _NOBODY,
            failed,
            order.required,
            elapsed,
        )


def as_unavailable(error: EpochMoved | Unavailable) -> Unavailable:
    """The error as callers of a read meet it."""
    if isinstance(error, Unavailable):
        return error
    return Unavailable(f"the cluster is between epochs: {error.message}", error.evidence)


def _confirmed_later(receipt: WriteReceipt, confirmed: Confirmed, everybody: frozenset[str]) -> WriteReceipt:
    """The receipt after a read that found the write, or what came after it, on enough copies."""
    holders = confirmed.holders
    return receipt._replace(
        outcome=Outcome.COMMITTED, applied=True, acked=holders, pending=everybody - holders, failed={}
    )
