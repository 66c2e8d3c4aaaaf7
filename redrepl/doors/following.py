"""Following the cluster through a change of epoch: what becomes of writes that were under way.

See docs/protocol.md, section 5.5.

A write is sent again only where it certainly has no effect yet, and with its stamp: nothing left this program, or the
new primary does not have it. In a new epoch nobody can get it any more from messages of the old one, so what the new
primary says is final. What it holds under the write's own stamp is committed like any other record; where something
later stands nobody can tell whether the write took effect before that, and its outcome stays unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

from redrepl.doors.foundation import BETWEEN_EPOCHS_SECONDS, K, R, V
from redrepl.doors.looking import Looking
from redrepl.plans.operations.batch import write_chunk
from redrepl.plans.operations.chunk import Chunk
from redrepl.plans.operations.cut_off import cut_off
from redrepl.plans.operations.read import Confirmed, read_confirmed
from redrepl.plans.operations.watch import watching
from redrepl.plans.operations.write import WriteOrder
from redrepl.plans.view import (
    ClusterView,
    EpochMoved,
    Refused,
    epoch_in_refusal,
    is_clock_refusal,
    pause,
)
from redrepl.values.effects import Plan
from redrepl.values.errors import RedreplError, RequestError, Unavailable
from redrepl.values.reasons import LOST, is_refusal
from redrepl.values.receipt import Outcome, WriteReceipt
from redrepl.values.record import Record
from redrepl.values.stamp import Stamp

LONGEST_LOOK_PAUSE_SECONDS = 0.2
"""Between looks for a write whose answer was lost; the first pause is BETWEEN_EPOCHS_SECONDS."""

_NOBODY: frozenset[str] = frozenset()


class Following(Looking[K, V]):
    """What a coordinator does when the primary is away or another one takes over, within the operation's deadline."""

    def _pursue(
        self, chunk: Chunk, epoch: int, receipts: Sequence[WriteReceipt] | None
    ) -> Plan[Sequence[WriteReceipt]]:
        """See writes that left in this epoch through to their receipts.

        ``receipts`` are those of the first attempt; None: the deciding node is in a later epoch and stored nothing.
        """
        pursuit = Pursuit(chunk, epoch, receipts)
        while pursuit.open() and (yield from self._await_turn(pursuit)):
            view = self._view
            try:
                order = self._renewed(chunk.order)
                yield from self._look_up(pursuit, view, order)
                if absent := pursuit.to_send():
                    pursuit.take_sent(absent, (yield from write_chunk(view, chunk.part(absent, order))))
                elif pursuit.open() and view.topology.epoch == pursuit.epoch:
                    yield from self._pause_between_looks(pursuit)
                pursuit.order, pursuit.epoch = order, view.topology.epoch
            except RequestError as error:  # fewer members now than the level asks for
                pursuit.stay_open(error, view)
                break
            except (EpochMoved, Unavailable) as error:
                pursuit.stay_open(error, view)
                yield from self._look_around(chunk.order.until)
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
                if not (yield from self._await_reader(view, error, order.home, order.until)):
                    raise as_unavailable(error) from error
                order = self._renewed(order)

    def _await_reader(self, view: ClusterView, error: EpochMoved | Unavailable, home: str, until: float) -> Plan[bool]:
        """After a read that failed in this view: wait for another primary, or for this one where it was out of reach.

        False where neither comes in time, or where the primary is not what was missing.
        """
        if isinstance(error, EpochMoved):
            return (yield from self._await_epoch_after(view.topology.epoch, until))
        if LOST in error.evidence.get(home, ""):
            # The connection may be there again by now: to read twice does no harm.
            yield from self._pause_between_epochs(until)
            if self._base_driver.trouble(home) is None and self._view is view:
                return self._base_driver.now() < until
        if not isinstance(error, Refused) and self._base_driver.trouble(home) is None and self._view is view:
            return False
        return (yield from self._await_epoch_after(view.topology.epoch, until, home))

    def _look_into(self, pursuit: Pursuit) -> Plan[Record | None]:
        """Look, in a later epoch, what became of one write that is not to be sent again; the record that stands."""
        while pursuit.open() and (yield from self._await_turn(pursuit)):
            view = self._view
            if not pursuit.may_be_out[0]:
                pursuit.forget(0)
                return None
            try:
                records = yield from self._look_up(pursuit, view, self._renewed(pursuit.order))
                if not pursuit.may_still_arrive or not pursuit.open():
                    return records[0] if records else None
                yield from self._pause_between_looks(pursuit)
            except (EpochMoved, Unavailable) as error:
                pursuit.stay_open(error, view)
                yield from self._look_around(pursuit.order.until)
        return None

    def _await_turn(self, pursuit: Pursuit) -> Plan[bool]:
        """Wait until it is time to look what became of writes, or to send them again where none ever left.

        What was sent on a connection that was lost is looked for on a new one, in the same epoch too.
        """
        home, until = pursuit.order.home, pursuit.order.until
        if not pursuit.lost_its_answer():
            return (yield from self._await_epoch_after(pursuit.epoch, until, home if pursuit.never_left() else None))
        if self._base_driver.trouble(home) is not None:  # which has the connection opened
            yield from self._pause_between_epochs(until)
        if self._base_driver.trouble(home) is None:
            return self._base_driver.now() < until
        return (yield from self._await_epoch_after(pursuit.epoch, until, home))

    def _pause_between_looks(self, pursuit: Pursuit) -> Plan[None]:
        """What was sent may be under way still, on the connection that was lost: the node may take it later."""
        pursuit.looks += 1
        seconds = min(LONGEST_LOOK_PAUSE_SECONDS, BETWEEN_EPOCHS_SECONDS * 2.0**pursuit.looks)
        return pause(min(pursuit.order.until, self._base_driver.now() + seconds))

    def _find_lost(
        self, order: WriteOrder, keys: Sequence[bytes], receipts: Sequence[WriteReceipt], is_unit: bool = False
    ) -> Plan[tuple[list[WriteReceipt], dict[bytes, Record]]]:
        """Receipts as given, but for operations whose answer was lost with the connection; none is sent again.

        They are looked for by their stamps; the last operation on a key stands for those before it. Also answers the
        records that were found; of a unit none, unless every key has that of the unit or a later one.
        """
        home = self._home()
        last = {key: n for n, key in enumerate(keys) if answer_was_lost(receipts[n], home)}
        if self._view.decider is None or not last:
            return list(receipts), {}
        lost = [receipts[index] for index in last.values()]
        stamps = [each.stamp for each in lost]
        chunk = Chunk([each.key for each in lost], list(last), stamps, [b""] * len(lost), order._replace(home=home))
        pursuit = Pursuit(chunk, self._view.topology.epoch, lost)
        yield from self._look_into_all(pursuit, is_unit)
        told = dict(zip(last.values(), pursuit.receipts(), strict=True))
        if pursuit.never_arrived:
            are_lost = [answer_was_lost(receipt, home) for receipt in receipts]
            told = {n: receipts[n]._replace(outcome=Outcome.REJECTED) for n, is_lost in enumerate(are_lost) if is_lost}
        is_proof = not (is_unit and pursuit.not_there)
        found = {chunk.keys[place]: record for place, record in pursuit.found.items() if is_proof}
        return [told.get(index, receipt) for index, receipt in enumerate(receipts)], found

    def _confirm_taken(
        self, order: WriteOrder, keys: Sequence[bytes], receipts: Sequence[WriteReceipt]
    ) -> Plan[list[WriteReceipt]]:
        """Receipts as given, but for what the deciding node took just before the epoch moved on; none is sent again.

        Other copies, in the new epoch already, refused that. It is committed where a read in the new epoch finds it,
        or what came after it on the same node, on as many copies as the level asks for. The last write of a key
        stands for those before it.
        """
        home = self._home()
        last = {
            key: index
            for index, (key, receipt) in enumerate(zip(keys, receipts, strict=True))
            if receipt.outcome is Outcome.UNKNOWN and home in receipt.acked
        }
        taken = [receipts[index] for index in last.values()]
        newest = max((epoch_in_refusal(reason) for each in taken for reason in each.failed.values()), default=0)
        if newest < self._view.topology.epoch:
            return list(receipts)
        stamps = [each.stamp for each in taken]
        chunk = Chunk([each.key for each in taken], list(last), stamps, [b""] * len(taken), order._replace(home=home))
        pursuit = Pursuit(chunk, newest - 1, taken)
        yield from self._look_into_all(pursuit)
        found = dict(zip(last, pursuit.receipts(), strict=True))
        pairs = zip(keys, receipts, strict=True)
        return [_as_found(each, found[key]) if key in found else each for key, each in pairs]

    def _look_into_all(self, pursuit: Pursuit, is_unit: bool = False) -> Plan[None]:
        """`_look_into` for several writes, all of which may be out."""
        until = pursuit.order.until
        while pursuit.open() and (yield from self._await_turn(pursuit)):
            view = self._view
            try:
                yield from self._look_up(pursuit, view, self._renewed(pursuit.order))
            except (EpochMoved, Unavailable) as error:
                pursuit.stay_open(error, view)
                yield from self._look_around(until)
                continue
            except RedreplError:
                return  # it cannot be told in this epoch: unknown is the truth
            # One record that is found tells that the call was carried out.
            is_told = bool(pursuit.found) and not (is_unit and pursuit.not_there)
            if is_told or not pursuit.may_still_arrive:
                pursuit.never_arrived = view.topology.epoch == pursuit.epoch and pursuit.is_nothing_there()
                return
            yield from self._pause_between_looks(pursuit)

    def _look_up(self, pursuit: Pursuit, view: ClusterView, order: WriteOrder) -> Plan[list[Record | None]]:
        """Read what stands for those writes that copies may have got.

        What the primary does not have nobody needs to confirm. What it has must be confirmed as the writes ask for.
        In the epoch in which they were sent, what it does not have it may take yet, unless it ends the connection on
        which it was sent: then nothing is concluded.
        """
        pursuit.not_there.clear()
        indexes = pursuit.in_doubt(view)
        pursuit.may_still_arrive = view.topology.epoch == pursuit.epoch
        if pursuit.may_still_arrive and indexes and order.home == pursuit.order.home:
            pursuit.may_still_arrive = not (yield from cut_off(view, order, pursuit.failures(indexes)))
        records: list[Record | None] = []
        if indexes and not pursuit.were_taken_by(order.home, indexes):
            keys = [pursuit.chunk.keys[index] for index in indexes]
            records = (yield from read_confirmed(view, order.home, keys, 0, order.until)).records
            indexes = pursuit.leave_absent(indexes, records, order.home)
        if indexes:
            keys = [pursuit.chunk.keys[index] for index in indexes]
            confirmed = yield from read_confirmed(view, order.home, keys, order.required, order.until)
            pursuit.take_found(indexes, confirmed, view.everybody, order.home)
            records = confirmed.records
        pursuit.settled_epoch, pursuit.asked = view.topology.epoch, view
        return records

    def _await_epoch_after(self, epoch: int, until: float, or_home: str | None = None) -> Plan[bool]:
        """Wait until the cluster `_has_moved_on`, or until this node can be reached; False where neither comes."""
        patient_until = self._patient_until(epoch)
        look_seconds, view = self._look_seconds(), self._view
        while True:
            now = self._base_driver.now()
            if self._has_moved_on(view, epoch):
                return now < until
            if now >= until or len(self._view.ids) < 2:
                return False
            yield from self._read_topology(min(until, now + look_seconds))
            look_seconds *= 2  # they may be farther away than is known
            if not self._has_moved_on(view, epoch):
                if now >= patient_until:
                    return False
                yield from self._pause_between_epochs(until)
                if or_home is not None and self._base_driver.trouble(or_home) is None:
                    return self._base_driver.now() < until

    def _look_around(self, until: float) -> Plan[None]:
        """After something that did not come out in an epoch: let the members move, and see where they are by then."""
        yield from self._pause_between_epochs(until)
        if (now := self._base_driver.now()) < until:
            yield from self._read_topology(min(until, now + self._look_seconds()))


class Pursuit:
    """What is known of each of some writes that were sent in an epoch that may be over.

    may_be_out: some copy may have got it. order, epoch: those of the last attempt. settled_epoch: it is known what
    became of the writes in all epochs before this one. also_as: other stamps under which these writes were tried.
    looks: how often they were looked for in vain, in the epoch in which they were sent. found: records that stand under
    the stamps of writes, by their place. not_there: those that the last look did not find. may_still_arrive: these may
    be on their way. never_arrived: nothing is there, nor ever will be. asked: the view of the last look for them.
    """

    def __init__(
        self,
        chunk: Chunk,
        epoch: int,
        receipts: Sequence[WriteReceipt] | None,
        also_as: Collection[Stamp] = (),
    ) -> None:
        self.chunk = chunk
        self._also_as = frozenset(also_as)
        self.order = chunk.order
        self.epoch = self.settled_epoch = epoch
        self._known: list[WriteReceipt | None] = [*receipts] if receipts else [None for _ in chunk.keys]
        self._final: set[int] = set()
        self._why, self.looks = "it is in a later epoch", 0
        self.may_still_arrive = self.never_arrived = False
        self.asked: ClusterView | None = None
        self.found: dict[int, Record] = {}
        self.not_there: set[int] = set()
        reached_others = chunk.order.reach_others
        self.may_be_out = [
            reached_others if each is None else each.outcome is not Outcome.REJECTED for each in self._known
        ]

    def open(self) -> list[int]:
        """Writes of which more may become known once the epoch has moved on, or that are to be sent again."""
        return [index for index in range(len(self._known)) if index not in self._final and self._is_open(index)]

    def in_doubt(self, view: ClusterView) -> list[int]:
        """Writes of which the primary must be asked: that nobody could refuse, or that may have been merged into it."""
        was_merged = view.topology.merged_epoch > self.settled_epoch
        opened = [index for index in self.open() if self.may_be_out[index]]
        return [index for index in opened if was_merged or self._known[index] is not None]

    def forget(self, index: int) -> None:
        """Nobody has this write: nothing left, and the epoch in which it might have is over."""
        self._known[index] = None

    def never_left(self) -> bool:
        """Whether the deciding node could not be reached, so that nothing of what is open was sent to anybody.

        One that refused would do so again: there another primary is waited for.
        """
        opened = self.open()
        if any(is_refusal(self._known_failure(index)) for index in opened):
            return False
        return not any(self.may_be_out[index] or self.is_absent(index) for index in opened)

    def failures(self, indexes: Iterable[int]) -> list[str]:
        """Why the deciding node gave no answer to these."""
        return list(map(self._known_failure, indexes))

    def is_nothing_there(self) -> bool:
        """Whether the last look found none of these writes."""
        return len(self.not_there) == len(self.chunk.keys)

    def _known_failure(self, index: int) -> str:
        receipt = self._known[index]
        return "" if receipt is None else receipt.failed.get(self.order.home, "")

    def lost_its_answer(self) -> bool:
        """Whether the connection to the deciding node was lost before it answered: it may have taken what is open."""
        known = [self._known[index] for index in self.open()]
        return any(each is not None and answer_was_lost(each, self.order.home) for each in known)

    def to_send(self) -> list[int]:
        """Writes that certainly nobody has, nor can get but by sending them again."""
        return [i for i in self.open() if (known := self._known[i]) is None or known.outcome is Outcome.REJECTED]

    def is_absent(self, index: int) -> bool:
        """Whether nobody has this write, nor can get it but by sending it again."""
        return self._known[index] is None

    def _is_open(self, index: int) -> bool:
        receipt = self._known[index]
        if receipt is None:
            return True
        if receipt.outcome is Outcome.REJECTED:
            # Where every copy takes no writes, no other primary would.
            return len(receipt.failed) < 2 or not all(map(is_refusal, receipt.failed.values()))
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
            if self._is_absent_from(record, index, new_home):
                self._note_absent(index)
                continue
            proposed, was_taken = self.chunk.stamps[index], self._was_taken_by(new_home, index)
            receipt = self._known[index] or self._unknown(index)
            if record is not None and (record.stamp in (receipt.stamp, proposed) or record.stamp in self._also_as):
                self._known[index] = _confirmed_later(receipt._replace(stamp=record.stamp), confirmed, everybody)
                self.found[index] = record
            elif was_taken and record is not None and record.stamp > receipt.stamp:
                self._known[index] = _confirmed_later(receipt, confirmed, everybody)
            else:
                self._known[index] = receipt
                self._final.add(index)

    def leave_absent(self, indexes: Sequence[int], records: Sequence[Record | None], new_home: str) -> list[int]:
        """Take note of what the primary of a later epoch does not have; answers the rest."""
        rest = []
        for index, record in zip(indexes, records, strict=True):
            if self._is_absent_from(record, index, new_home):
                self._note_absent(index)
            else:
                rest.append(index)
        return rest

    def _note_absent(self, index: int) -> None:
        """The primary does not have this write; in a later epoch than its own it cannot get it any more."""
        self.not_there.add(index)
        if not self.may_still_arrive:
            self._known[index] = None

    def _is_absent_from(self, record: Record | None, index: int, new_home: str) -> bool:
        """Whether what stands is older than the write. A node that took it and has lost it again tells nothing."""
        is_older = record is None or record.stamp < self.chunk.stamps[index]
        return is_older and not self._was_taken_by(new_home, index)

    def were_taken_by(self, node: str, indexes: Sequence[int]) -> bool:
        """Whether this node took all of these writes before the epoch moved on."""
        return all(self._was_taken_by(node, index) for index in indexes)

    def _was_taken_by(self, node: str, index: int) -> bool:
        receipt = self._known[index]
        return receipt is not None and self.order.home == node and node in receipt.acked

    def take_sent(self, indexes: Sequence[int], receipts: Sequence[WriteReceipt]) -> None:
        """What came of sending writes again."""
        for index, receipt in zip(indexes, receipts, strict=True):
            self._known[index] = receipt
            self.may_be_out[index] |= receipt.outcome is not Outcome.REJECTED

    def stay_open(self, error: EpochMoved | Unavailable | RequestError, view: ClusterView) -> None:
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


def answer_was_lost(receipt: WriteReceipt, home: str) -> bool:
    """Whether a write left for this node, which decides, on a connection that was lost before the answer came."""
    is_open = receipt.outcome is Outcome.UNKNOWN and home not in receipt.acked
    return is_open and LOST in receipt.failed.get(home, "")


def as_unavailable(error: EpochMoved | Unavailable) -> Unavailable:
    """The error as callers of a read meet it."""
    if type(error) is Unavailable:
        return error
    if isinstance(error, Unavailable):
        return Unavailable(error.message, error.evidence)
    return Unavailable(f"the cluster is between epochs: {error.message}", error.evidence)


def _as_found(receipt: WriteReceipt, found: WriteReceipt) -> WriteReceipt:
    """A receipt after its write was looked up, alone or under a later one of its key."""
    if receipt.outcome is not Outcome.UNKNOWN or found.outcome is not Outcome.COMMITTED:
        return receipt
    return receipt._replace(outcome=Outcome.COMMITTED, acked=found.acked, pending=found.pending, failed={})


def _confirmed_later(receipt: WriteReceipt, confirmed: Confirmed, everybody: frozenset[str]) -> WriteReceipt:
    """The receipt after a read that found the write, or what came after it, on enough copies."""
    holders = confirmed.holders
    return receipt._replace(
        outcome=Outcome.COMMITTED, applied=True, acked=holders, pending=everybody - holders, failed={}
    )
