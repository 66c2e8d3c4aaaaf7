"""Writes in doubt: those that left in an epoch which may be over, and what is learned of each of
them.

See docs/protocol.md, section 5.5. Pure bookkeeping: the nodes are asked by
`redrepl.plans.client.outcomes`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import Enum

from redrepl.plans.operations.chunk import Chunk
from redrepl.plans.operations.read import Confirmed
from redrepl.plans.operations.write import WriteOrder
from redrepl.plans.view import ClusterView, EpochMoved, epoch_in_refusal, is_clock_refusal
from redrepl.values.errors import RequestError, Unavailable
from redrepl.values.reasons import LOST, is_refusal
from redrepl.values.receipt import Outcome, WriteReceipt
from redrepl.values.record import Record
from redrepl.values.stamp import Stamp


class Fate(Enum):
    """What is known of one write.

    ABSENT: no copy has it, and none gets it unless it is sent again.
    REJECTED: the primary could not be asked, or turned it down; another primary may take it.
    IN_DOUBT: it left, and the primary did not say what became of it.
    TAKEN: the primary stored it, and too few other copies confirmed that.
    SETTLED: nothing more can be learned; the receipt says what is known.
    """

    ABSENT = "absent"
    REJECTED = "rejected"
    IN_DOUBT = "in doubt"
    TAKEN = "taken"
    SETTLED = "settled"


class Finding(Enum):
    """What the current record of the key says about a write, on the primary of a later look.

    SAME: it carries the write's stamp.
    LATER: a later record has replaced whatever was there.
    MISSING: it is older than the write, or there is none.
    LATER_AT_TAKER, MISSING_AT_TAKER: the same on the node that had stored the write. There a later
    record came after the write; one that is missing was lost by the node, which tells nothing about
    the other copies.
    """

    SAME = "same"
    LATER = "later"
    MISSING = "missing"
    LATER_AT_TAKER = "later at taker"
    MISSING_AT_TAKER = "missing at taker"


class Change(Enum):
    """What follows from a finding."""

    COMMIT = "settled, committed"
    END_UNKNOWN = "settled, outcome unknown"
    MISS = "absent, unless it may still arrive"


TRANSITIONS = {
    Finding.SAME: Change.COMMIT,
    Finding.LATER_AT_TAKER: Change.COMMIT,
    Finding.LATER: Change.END_UNKNOWN,
    Finding.MISSING_AT_TAKER: Change.END_UNKNOWN,
    Finding.MISSING: Change.MISS,
}
"""Of every write that is looked up, whatever its fate was."""


class InDoubtWrite:
    """One write, and what is known of it.

    attempt: the receipt of its last attempt that counts, None where none does.
    may_be_out: some copy may have got it. A write that may be out is never called rejected again.
    found: the record that stands under its stamp, once a look has found it.
    is_missing: the last look did not find it.
    """

    __slots__ = (
        "attempt",
        "fate",
        "found",
        "is_missing",
        "key",
        "may_be_out",
        "place",
        "stamp",
        "user_key",
    )

    def __init__(self, chunk: Chunk, place: int, attempt: WriteReceipt | None) -> None:
        self.place = place
        self.user_key = chunk.user_keys[place]
        self.key = chunk.keys[place]
        self.stamp = chunk.stamps[place]
        self.attempt = attempt
        self.fate = fate_of(attempt, chunk.order.home)
        # Without a receipt the deciding node refused it for its epoch; the other copies were sent
        # it all the same.
        self.may_be_out = (
            chunk.order.reach_others if attempt is None else attempt.outcome is not Outcome.REJECTED
        )
        self.found: Record | None = None
        self.is_missing = False

    def is_open(self, epoch: int) -> bool:
        """Whether more may be learned, or it is to be sent again, once the epoch has moved on
        beyond this one.
        """
        if self.fate is Fate.TAKEN:
            assert self.attempt is not None, "whoever took it said so"
            return any(epoch_in_refusal(reason) > epoch for reason in self.attempt.failed.values())
        return self.fate is not Fate.SETTLED

    def reason_at(self, node: str) -> str:
        """Why this node did not confirm the last attempt; "" where it did, or did not say."""
        return "" if self.attempt is None else self.attempt.failed.get(node, "")

    def was_taken_by(self, node: str, order: WriteOrder) -> bool:
        """Whether this node decided the last attempt, carried out as in ``order``, and stored
        it.
        """
        return self.attempt is not None and order.home == node and node in self.attempt.acked

    def note_attempt(self, receipt: WriteReceipt, home: str) -> None:
        """It was sent again, to be decided by ``home``."""
        self.attempt = receipt
        self.fate = fate_of(receipt, home)
        self.may_be_out |= receipt.outcome is not Outcome.REJECTED

    def note_absent(self) -> None:
        """No copy has it, and nothing of it is under way."""
        self.attempt = None
        self.fate = Fate.ABSENT

    def settle(self, receipt: WriteReceipt) -> None:
        """Nothing more can be learned."""
        self.attempt = receipt
        self.fate = Fate.SETTLED


class InDoubtWrites:
    """Some writes that were sent together, and what is known of them.

    order, epoch: those of the last attempt. also_as: other stamps under which the write was tried.
    settled_epoch: what became of the writes in all epochs before this one is known.
    may_still_arrive: what the last look did not find may be under way.
    never_arrived: nothing is there, nor ever will be.
    looks: how often they were looked for in vain in their own epoch. asked: the view of the last
    look.
    """

    def __init__(
        self,
        chunk: Chunk,
        epoch: int,
        receipts: Sequence[WriteReceipt] | None,
        also_as: Collection[Stamp] = (),
    ) -> None:
        self.chunk = chunk
        self.order = chunk.order
        self.epoch = self.settled_epoch = epoch
        self.looks = 0
        self.may_still_arrive = self.never_arrived = False
        self.asked: ClusterView | None = None
        attempts: Sequence[WriteReceipt | None] = receipts or [None for _ in chunk.keys]
        self.writes = [
            InDoubtWrite(chunk, place, attempt) for place, attempt in enumerate(attempts)
        ]
        self._also_as = frozenset(also_as)
        self._why = "it is in a later epoch"

    # What is to be done ---------------------------------------------------------------------------

    def open(self) -> list[InDoubtWrite]:
        """Writes of which more may be learned once the epoch has moved on, or that are to be sent
        again.
        """
        return [write for write in self.writes if write.is_open(self.epoch)]

    def to_look_up(self, view: ClusterView) -> list[InDoubtWrite]:
        """Writes of which the primary must be asked: some copy may have them, and the primary may
        have got them.
        """
        was_merged = view.topology.merged_epoch > self.settled_epoch
        return [
            write
            for write in self.open()
            if write.may_be_out and (was_merged or write.fate is not Fate.ABSENT)
        ]

    def to_send(self) -> list[int]:
        """The places of writes that certainly no copy has, nor can get but by being sent them
        again.
        """
        return [write.place for write in self.open() if write.fate in (Fate.ABSENT, Fate.REJECTED)]

    def never_left(self) -> bool:
        """Whether the deciding node could not be reached, so that nothing of what is open was sent
        to any node.

        One that refused would do so again: there another primary is waited for.
        """
        opened = self.open()
        if any(is_refusal(write.reason_at(self.order.home)) for write in opened):
            return False
        return not any(write.may_be_out or write.fate is Fate.ABSENT for write in opened)

    def lost_its_answer(self) -> bool:
        """Whether the connection to the deciding node was lost before it answered: it may have
        taken what is open.
        """
        attempts = [write.attempt for write in self.open()]
        return any(each is not None and answer_was_lost(each, self.order.home) for each in attempts)

    # What is learned ------------------------------------------------------------------------------

    def begin_look(self, view: ClusterView) -> None:
        """The primary of this view is asked now."""
        for write in self.writes:
            write.is_missing = False
        self.may_still_arrive = view.topology.epoch == self.epoch

    def end_look(self, view: ClusterView) -> None:
        """It is known what became of the writes in all epochs before this view's."""
        self.settled_epoch, self.asked = view.topology.epoch, view

    def leave_missing(
        self, writes: Sequence[InDoubtWrite], records: Sequence[Record | None], primary: str
    ) -> list[InDoubtWrite]:
        """Note which writes the primary does not have; returns the rest.

        What it does not have needs no confirmation by other copies.
        """
        rest = []
        for write, record in zip(writes, records, strict=True):
            if TRANSITIONS[self._finding(write, record, primary)] is Change.MISS:
                self._miss(write)
            else:
                rest.append(write)
        return rest

    def take_confirmed(
        self,
        writes: Sequence[InDoubtWrite],
        confirmed: Confirmed,
        members: frozenset[str],
        primary: str,
    ) -> None:
        """Note what the primary holds, as enough other copies confirm it."""
        for write, record in zip(writes, confirmed.records, strict=True):
            finding = self._finding(write, record, primary)
            change = TRANSITIONS[finding]
            if change is Change.MISS:
                self._miss(write)
                continue

            receipt = write.attempt or self._unknown(write)
            if finding is Finding.SAME and record is not None:
                receipt = receipt._replace(stamp=record.stamp)
                write.found = record
            if change is Change.COMMIT:
                receipt = _confirmed_later(receipt, confirmed, members)
            write.settle(receipt)

    def take_sent(
        self, places: Sequence[int], receipts: Sequence[WriteReceipt], order: WriteOrder
    ) -> None:
        """Note what came of sending these writes again, as in ``order``."""
        for place, receipt in zip(places, receipts, strict=True):
            self.writes[place].note_attempt(receipt, order.home)

    def stay_open(self, error: EpochMoved | Unavailable | RequestError, view: ClusterView) -> None:
        """A look, or sending again, ended with this error: nothing new is known."""
        self._why = error.message
        if isinstance(error, EpochMoved):
            self.epoch = view.topology.epoch
            # What was sent again may have reached other copies before the deciding node refused it.
            for write in self.writes:
                write.may_be_out |= self.order.reach_others

    def _finding(self, write: InDoubtWrite, record: Record | None, primary: str) -> Finding:
        """What the primary's record of the key says about this write."""
        is_taker = write.was_taken_by(primary, self.order)
        if not is_taker and (record is None or record.stamp < write.stamp):
            return Finding.MISSING

        decided = write.stamp if write.attempt is None else write.attempt.stamp
        if record is not None and (
            record.stamp in (decided, write.stamp) or record.stamp in self._also_as
        ):
            return Finding.SAME
        if not is_taker:
            return Finding.LATER
        is_later = record is not None and record.stamp > decided
        return Finding.LATER_AT_TAKER if is_later else Finding.MISSING_AT_TAKER

    def _miss(self, write: InDoubtWrite) -> None:
        """The primary does not have this write; in an epoch after its own it cannot get it any
        more.
        """
        write.is_missing = True
        if not self.may_still_arrive:
            write.note_absent()

    # What is told ---------------------------------------------------------------------------------

    @property
    def found(self) -> dict[bytes, Record]:
        """By key, the records that were found under the writes' stamps."""
        return {write.key: write.found for write in self.writes if write.found is not None}

    def missing(self) -> int:
        """How many of these writes the last look did not find."""
        return sum(write.is_missing for write in self.writes)

    def is_told(self, is_unit: bool = False) -> bool:
        """Whether a record was found that tells that the call was carried out.

        is_unit: all of them were stored or none, so that one that is missing makes the others no
        proof.
        """
        return bool(self.found) and not (is_unit and self.missing())

    def receipts(self) -> list[WriteReceipt]:
        """A receipt for each, as far as is known."""
        return [self._receipt(write) for write in self.writes]

    def _receipt(self, write: InDoubtWrite) -> WriteReceipt:
        """Rejected only where certainly no copy has got it."""
        receipt = write.attempt
        if receipt is not None and receipt.outcome is not Outcome.REJECTED:
            return receipt
        outcome = Outcome.UNKNOWN if write.may_be_out else Outcome.REJECTED
        return (receipt or self._unknown(write))._replace(outcome=outcome)

    def _unknown(self, write: InDoubtWrite) -> WriteReceipt:
        """The receipt of a write of which nothing is known but that it left."""
        order = self.order
        return WriteReceipt.unknown(
            write.user_key,
            write.stamp,
            failed={order.home: self._why},
            required=order.required,
            elapsed=order.until - order.started,
        )


def fate_of(attempt: WriteReceipt | None, home: str) -> Fate:
    """What this receipt of an attempt, decided by ``home``, means; None: ``home`` refused it for
    its epoch.
    """
    if attempt is None:
        return Fate.ABSENT
    if attempt.outcome is Outcome.REJECTED:
        # Where every copy takes no writes, no other primary would.
        refusals = list(map(is_refusal, attempt.failed.values()))
        return Fate.SETTLED if len(refusals) > 1 and all(refusals) else Fate.REJECTED
    if attempt.outcome is Outcome.COMMITTED:
        return Fate.SETTLED
    if home in attempt.acked:
        return Fate.TAKEN
    return Fate.SETTLED if is_clock_refusal(attempt.failed.get(home, "")) else Fate.IN_DOUBT


def answer_was_lost(receipt: WriteReceipt, home: str) -> bool:
    """Whether a write left for this node, which decides, on a connection that was lost before the
    answer came.
    """
    is_open = receipt.outcome is Outcome.UNKNOWN and home not in receipt.acked
    return is_open and LOST in receipt.failed.get(home, "")


def _confirmed_later(
    receipt: WriteReceipt, confirmed: Confirmed, members: frozenset[str]
) -> WriteReceipt:
    """The receipt after a read that found the write, or what came after it, on enough copies."""
    holders = confirmed.holders
    return receipt._replace(
        outcome=Outcome.COMMITTED, applied=True, acked=holders, pending=members - holders, failed={}
    )
