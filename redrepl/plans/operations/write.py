"""Writing one key in one round trip (docs/protocol.md, section 3).

The same bytes go to the primary and to all others at once. The primary may give the record a later
stamp; then that record is sent to the others, the rare second round trip.

With several primaries, "the primary" is the one of them that this client uses.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from redrepl.plans.operations.outgoing import OneRecord, Outgoing
from redrepl.plans.operations.replication import (
    Replication,
    Round,
    replicate,
    resume_replication,
)
from redrepl.plans.operations.watch import ask_decider, watching
from redrepl.plans.view import ClusterView, Overtaken, foreign_value, not_admitted_error
from redrepl.values.answers.refusals import Foreign, NotAdmitted, Refusal
from redrepl.values.answers.writes import HasLater, Restamped, parse_write
from redrepl.values.effects import Ask, DeadlinePassed, Event, Failure, Plan, Reply, Request, Wait
from redrepl.values.errors import ClockSkew, RedreplError
from redrepl.values.level import ConsistencyLevel
from redrepl.values.reasons import is_refusal
from redrepl.values.receipt import Outcome, WriteReceipt
from redrepl.values.record import Record
from redrepl.values.stamp import Stamp

FIRST_ROUND = 0
SECOND_ROUND = 1
"""Tags of the requests that bring a write to the other copies."""


class WriteOrder(NamedTuple):
    """How a write is to be carried out.

    home: the primary, or the one of several primaries that this client uses.
    required: other copies that must confirm.
    reach_others: False at ASYNC, where the workers bring the write to the others.
    started, until: the driver's clock, seconds.
    level: what ``required`` follows from when the topology changes.
    home_first: the others get it when ``home`` has taken it, because that turned down what was
        written lately.
    """

    home: str
    required: int
    reach_others: bool
    started: float
    until: float
    level: ConsistencyLevel | int | None = None
    home_first: bool = False


def write_one(
    view: ClusterView, order: WriteOrder, user_key: str | bytes, key: bytes, record: Record
) -> Plan[WriteReceipt]:
    """Write one record; returns the receipt whatever the outcome.

    Raises EpochMoved (nothing happened on the primary: repeat with the same record), ClockSkew,
    NotAReplicatedRecord.
    """
    if order.home_first:
        return (yield from _write_home_first(view, order, user_key, key, record))
    home, call, stamp = order.home, view.write_call(key, record.encode()), record.stamp
    targets = view.from_home[home] if order.reach_others else (home,)
    patient_until = order.started + view.patience_seconds
    is_patient = patient_until >= order.until
    until = order.until if is_patient else patient_until
    event = yield Ask(tuple([Request(node, call) for node in targets]), until, home, is_patient)
    holders: list[str] = []
    wait: Wait | None = None
    # The short way. Nearly every write ends here: all copies have stored the record as it was sent.
    while type(event) is Reply and event.content == 1:
        holders.append(event.node)
        if len(holders) > order.required and home in holders:
            acked = frozenset(holders)
            pending, elapsed = view.everybody - acked, event.at - order.started
            return WriteReceipt(
                user_key,
                stamp,
                Outcome.COMMITTED,
                True,
                acked,
                pending,
                {},
                order.required,
                elapsed,
            )
        wait = wait or Wait(until, is_deadline=is_patient)
        event = yield wait
    write = _SingleWrite(view, order, user_key, key, record)
    rest = write.resume(holders, event)
    if view.decider is None:
        return (yield from rest)
    try:
        return (yield from watching(view, rest, order.started, view.others[home]))
    except Overtaken as overtaken:
        return write.receipt(overtaken.at)


def _write_home_first(
    view: ClusterView, order: WriteOrder, user_key: str | bytes, key: bytes, record: Record
) -> Plan[WriteReceipt]:
    """Write one record in two round trips.

    No copy gets what the primary turns down, so that has no effect.
    """
    alone = order._replace(reach_others=False)
    call = view.write_call(key, record.encode())
    event = yield from ask_decider(view, order.home, call, order.started, order.until)
    if not isinstance(event, Reply):
        assert isinstance(event, (Failure, DeadlinePassed))
        return unanswered(order, user_key, record.stamp, event)

    write = _SingleWrite(view, alone, user_key, key, record, SECOND_ROUND)
    if (turned_down := write.receive_decision(event)) is not None:
        return turned_down
    write.order = order
    if order.reach_others:
        write.round.replicate()
    return write.receipt((yield from replicate(write.replication, event.at)))


def replicate_decided(
    view: ClusterView,
    order: WriteOrder,
    user_keys: Sequence[str | bytes],
    records: Outgoing,
    at: float,
) -> Plan[list[WriteReceipt]]:
    """Bring records that the primary has stored to the other copies; a receipt for each."""
    others, required = view.others[order.home], order.required
    if not order.reach_others or not 0 < required <= len(others):
        replication, asked = _begin_decided(view, order, records)
        if order.reach_others:
            asked.replicate()
        at = yield from replicate(replication, at)
        return _decided_receipts(order, others, user_keys, asked, at)

    call = records.call(is_decided=True)
    requests = tuple([Request(copy, call, FIRST_ROUND) for copy in others])
    event = yield Ask(requests, order.until)
    holders: list[str] = []
    wait: Wait | None = None
    # The short way, as in `write_one`: all copies that must have the records have stored them.
    while type(event) is Reply and event.content == 1:
        holders.append(event.node)
        if len(holders) == required:
            acked = frozenset((order.home, *holders))
            pending, elapsed = view.everybody - acked, event.at - order.started
            return [
                WriteReceipt(
                    user_key, stamp, Outcome.COMMITTED, True, acked, pending, {}, required, elapsed
                )
                for user_key, stamp in zip(user_keys, records.stamps, strict=True)
            ]
        wait = wait or Wait(order.until)
        event = yield wait

    replication, asked = _begin_decided(view, order, records)
    asked.mark_sent()
    for copy in holders:
        asked.acknowledge(copy)
    at = yield from resume_replication(replication, event)
    return _decided_receipts(order, others, user_keys, asked, at)


def _begin_decided(
    view: ClusterView, order: WriteOrder, records: Outgoing
) -> tuple[Replication, Round]:
    """The replication of records that the primary has, and its one round."""
    others = view.others[order.home]
    replication = Replication(others, order.required, view.epoch, order.started, order.until)
    asked = replication.begin_round(records, FIRST_ROUND, is_decided=True)
    replication.decide()
    return replication, asked


def _decided_receipts(
    order: WriteOrder,
    others: Sequence[str],
    user_keys: Sequence[str | bytes],
    asked: Round,
    at: float,
) -> list[WriteReceipt]:
    """The receipts of records that the primary has, as far as the other copies have answered."""
    stamps, tracker = asked.records.stamps, asked.tracker
    return [
        receipt_of(
            order, others, user_key, stamp, at, tracker.holders(place), asked.refusals(place)
        )
        for place, (user_key, stamp) in enumerate(zip(user_keys, stamps, strict=True))
    ]


class _SingleWrite:
    """A write that does not end in the short way: what the primary says of it, and what follows.

    round: the one that counts; the first, or the second where the primary restamped the record.
    """

    def __init__(
        self,
        view: ClusterView,
        order: WriteOrder,
        user_key: str | bytes,
        key: bytes,
        record: Record,
        tag: int = FIRST_ROUND,
    ) -> None:
        self.order = order
        copies = view.others[order.home]
        started, until = order.started, order.until
        self.replication = Replication(copies, order.required, view.epoch, started, until)
        self._records = OneRecord(view, key, record)
        self.round = self.replication.begin_round(self._records, tag)
        self._view = view
        self._user_key = user_key
        self._is_applied = True

    def resume(self, holders: list[str], event: Event) -> Plan[WriteReceipt]:
        """Go on where the short way ended: ``holders`` hold the record, something else happened."""
        replication, home = self.replication, self.order.home
        if self.order.reach_others:
            self.round.mark_sent()
        for copy in holders:
            if copy != home:
                self.round.acknowledge(copy)
        if home in holders:
            replication.decide()

        passed = 0.0
        while True:
            if isinstance(event, DeadlinePassed):
                passed = event.at
            elif event.node != home:
                replication.receive(event)
            elif (ended := self._receive_from_primary(event)) is not None:
                return ended

            if replication.refusal is not None and self._is_refusal_settled(event):
                return self._refused(event.at)
            wait = replication.next_wait(event.at, passed)
            if wait is None:
                return self.receipt(event.at)
            event = yield wait

    def receipt(self, at: float) -> WriteReceipt:
        """The receipt as far as is known."""
        refusal = self.replication.refusal
        return self._receipt(at, {} if refusal is None else {refusal.node: refusal.reason})

    def receive_decision(self, reply: Reply) -> WriteReceipt | None:
        """What the primary did; a receipt where it stored nothing. Raises as `write_one` does."""
        if reply.content == 1:
            self.replication.decide()
            return None

        view, verdict = self._view, parse_write(reply.content)
        match verdict:
            case NotAdmitted() if verdict.is_closed(view.epoch):
                return self._turned_down(verdict.reason, reply.at)
            case Restamped() | HasLater() if view.decider is None:
                # A later write of another primary is stored: this one has lost already.
                self._is_applied = False
            case Restamped(stamp) | HasLater(stamp):
                self._begin_second_round(stamp)
            case _:
                proposal = Proposal(self._user_key, self._records.stamps[0], reply.at)
                raise verdict_error(view, self.order, verdict, proposal)
        self.replication.decide()
        return None

    def _begin_second_round(self, stamp: Stamp) -> None:
        """Every copy is sent the restamped record, and has another chance with it."""
        records = self._records.restamped(stamp)
        self.round = self.replication.begin_second_round(records, SECOND_ROUND, (0,))
        if self.order.reach_others:
            self.round.replicate()

    def _receive_from_primary(self, event: Reply | Failure) -> WriteReceipt | None:
        """A receipt where the write ends with this."""
        if isinstance(event, Reply):
            return self.receive_decision(event)
        if not is_refusal(event.reason):
            return self._lost(event)
        self.replication.refuse(event)
        return None

    def _is_refusal_settled(self, event: Reply | Failure | DeadlinePassed) -> bool:
        is_over = isinstance(event, DeadlinePassed) or event.at >= self.replication.until
        return is_over or self.replication.is_refusal_settled()

    def _receipt(self, at: float, home_failed: Mapping[str, str]) -> WriteReceipt:
        asked = self.round
        return receipt_of(
            self.order,
            self.replication.copies,
            self._user_key,
            asked.records.stamps[0],
            at,
            asked.tracker.holders(0),
            {**asked.refusals(0), **home_failed},
            self.replication.is_decided,
            self._is_applied,
        )

    def _turned_down(self, reason: str, at: float) -> WriteReceipt:
        """The primary stored nothing. What was sent to others may be there, uncommitted."""
        answer = self._receipt(at, {self.order.home: reason})
        return answer if self.order.reach_others else self._rejected(answer, answer.failed)

    def _refused(self, at: float) -> WriteReceipt:
        """The primary did nothing: rejected where no other copy did anything either."""
        answer = self.receipt(at)
        if not self.replication.is_nowhere():
            return answer
        others = self.replication.copies if self.order.reach_others else ()
        later = dict.fromkeys(others, "has a later record")
        return self._rejected(answer, {**later, **answer.failed})

    def _lost(self, event: Failure) -> WriteReceipt:
        """The primary failed: unknown, or rejected where nothing was sent at all."""
        answer = self._receipt(event.at, {event.node: event.reason})
        if event.sent or self.round.tracker.holders(0):
            return answer
        # Nothing is sent where the primary cannot be reached, so no other copy got anything either.
        unsent = dict.fromkeys(self.replication.copies, f"not sent: {event.node} cannot be used")
        return self._rejected(answer, {**unsent, **answer.failed})

    def _rejected(self, answer: WriteReceipt, failed: Mapping[str, str]) -> WriteReceipt:
        key, stamp, required, elapsed = answer.key, answer.stamp, answer.required, answer.elapsed
        return WriteReceipt.rejected(key, stamp, failed=failed, required=required, elapsed=elapsed)


class Proposal(NamedTuple):
    """A write that the primary turned down.

    user_key: as the caller gave it. stamp: the proposed one. at: when that was known.
    """

    user_key: str | bytes
    stamp: Stamp
    at: float


def verdict_error(
    view: ClusterView,
    order: WriteOrder,
    verdict: Refusal,
    proposal: Proposal,
) -> RedreplError:
    """The error for a verdict of the primary that stored nothing."""
    home = order.home
    if isinstance(verdict, NotAdmitted):
        return not_admitted_error(verdict, home, view.epoch)
    if isinstance(verdict, Foreign):
        return foreign_value(view.layout, home, verdict.name)

    user_key, stamp, at = proposal
    reason, elapsed = verdict.reason, at - order.started
    failed = {home: reason}
    if order.reach_others:
        refused = WriteReceipt.unknown(
            user_key,
            stamp,
            pending=view.others[home],
            failed=failed,
            required=order.required,
            elapsed=elapsed,
        )
    else:
        refused = WriteReceipt.rejected(
            user_key,
            stamp,
            failed=failed,
            required=order.required,
            elapsed=elapsed,
        )
    return clock_error(home, reason, refused)


def clock_error(node: str, refusal: str, refused: WriteReceipt) -> ClockSkew:
    """The error for a write that the primary refused by its clock. refusal: the reason in words."""
    is_unknown = refused.outcome is Outcome.UNKNOWN
    outcome = "it had no effect"
    if is_unknown:
        outcome = "the outcome of this write is unknown, it may still take effect"
    return ClockSkew(
        f"node {node!r} {refusal}: {outcome}; this program takes its time from the nodes anew, "
        "where a majority of them agrees; else compare the clocks of this machine and the node. "
        "Do not repeat it with an earlier stamp",
        refused,
        {node: refusal},
    )


def unanswered(
    order: WriteOrder,
    user_key: str | bytes,
    stamp: Stamp,
    event: Failure | DeadlinePassed,
) -> WriteReceipt:
    """The receipt of what the primary alone was asked, where it gave no answer of the script's."""
    is_sent, reason = True, "no answer in time"
    if isinstance(event, Failure):
        is_sent, reason = event.sent and not is_refusal(event.reason), event.reason
    failed, elapsed = {order.home: reason}, event.at - order.started
    end = WriteReceipt.unknown if is_sent else WriteReceipt.rejected
    return end(user_key, stamp, failed=failed, required=order.required, elapsed=elapsed)


def receipt_of(
    order: WriteOrder,
    others: Sequence[str],
    user_key: str | bytes,
    stamp: Stamp,
    at: float,
    acked: Collection[str],
    failed: Mapping[str, str],
    is_decided: bool = True,
    is_applied: bool = True,
) -> WriteReceipt:
    """The receipt of a write as far as its copies have answered.

    acked: the other copies that hold it.
    failed: the copies that said why they do not, the primary perhaps among them.
    is_decided: the primary has it. is_applied: no later record had superseded it there.
    """
    committed = is_decided and len(acked) >= order.required
    holders = frozenset((order.home, *acked)) if is_decided else frozenset(acked)
    failed = {node: reason for node, reason in failed.items() if node not in holders}
    end = WriteReceipt.committed if committed else WriteReceipt.unknown
    return end(
        user_key,
        stamp,
        applied=is_decided and is_applied,
        acked=holders,
        pending=frozenset((order.home, *others)) - holders - frozenset(failed),
        failed=failed,
        required=order.required,
        elapsed=at - order.started,
    )
