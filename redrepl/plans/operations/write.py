"""Writing one key in one round trip (docs/protocol.md, section 3).

The same bytes go to the deciding node and to all others at once. The deciding node may give the record a later stamp;
then that record is sent to the others, the rare second round trip.
"""

from __future__ import annotations

from typing import NamedTuple

from redrepl.plans.operations.tally import Standing, Tally
from redrepl.plans.operations.watch import ask_decider, watching
from redrepl.plans.view import ClusterView, Overtaken, describe_refusal, foreign_value, refusal_error
from redrepl.values.effects import DeadlinePassed, Event, Exchange, Failure, Plan, Reply, Request, ScriptCall
from redrepl.values.errors import ClockSkew, RedreplError
from redrepl.values.level import ConsistencyLevel
from redrepl.values.reasons import LOST, is_refusal
from redrepl.values.receipt import Outcome, WriteReceipt
from redrepl.values.record import Record
from redrepl.values.stamp import STAMP_BYTES, Stamp

FIRST_ROUND = 0
SECOND_ROUND = 1

RESEND_SECONDS = 0.02
"""Pause before a copy that has not come to the epoch yet, or is not connected, is sent the record again."""

GRACE_SECONDS = 0.3
"""How long a write that needs a copy waits for a connection to it; longer than the pause between tries to connect, so
that a copy that just came back is reached."""


class WriteOrder(NamedTuple):
    """How a write is to be carried out.

    home: the node that decides (the primary, or the one of several primaries that this client uses).
    required: other copies that must confirm. reach_others: False at ASYNC, where the workers bring it to the others.
    started, until: the driver's clock, seconds. level: what ``required`` follows from when the topology changes.
    home_first: the others get it when ``home`` has taken it, since that turned down what was written lately.
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
    """Write one record; answers the receipt whatever the outcome.

    Raises EpochMoved (nothing happened on the deciding node: repeat with the same record), ClockSkew,
    NotAReplicatedRecord.
    """
    if order.home_first:
        return (yield from _write_home_first(view, order, user_key, key, record))
    home, call, stamp = order.home, view.write_call(key, record.encode()), record.stamp
    targets = view.from_home[home] if order.reach_others else (home,)
    patient_until = order.started + view.patience_seconds
    is_patient = patient_until >= order.until
    until = order.until if is_patient else patient_until
    event = yield Exchange(tuple([Request(node, call) for node in targets]), until, home, True, not is_patient)
    holders: list[str] = []
    wait: Exchange | None = None
    # Nearly every write ends here: all copies answer that the record stands as it was sent.
    while type(event) is Reply and event.content == 1:
        holders.append(event.node)
        if len(holders) > order.required and home in holders:
            acked = frozenset(holders)
            pending, elapsed = view.everybody - acked, event.at - order.started
            return WriteReceipt(user_key, stamp, Outcome.COMMITTED, True, acked, pending, {}, order.required, elapsed)
        wait = wait or Exchange((), until, holds=not is_patient)
        event = yield wait
    assert event is not None
    spread = _Spread(view, order, user_key, key, record, call)
    rest = _go_on(spread, holders, event)
    if view.decider is None:
        return (yield from rest)
    try:
        return (yield from watching(view, rest, order.started, view.others[home]))
    except Overtaken as overtaken:
        return spread.receipt(overtaken.at)


def _go_on(spread: _Spread, holders: list[str], event: Event) -> Plan[WriteReceipt]:
    """The rest of a write of which ``holders`` hold the record as it was sent, when something else happens."""
    spread.hold(holders)
    home = spread.order.home
    while True:
        assert event is not None
        if type(event) is Reply and event.node == home:
            if (turned_down := spread.take_decision(event)) is not None:
                return turned_down
        elif type(event) is Failure and event.node == home:
            if not spread.take_refusal(event):
                return spread.undecided(event)
        elif type(event) is Reply:
            spread.take_answer(event)
        elif type(event) is Failure:
            spread.take_failure(event)
        if spread.refusal is not None and (spread.is_known(event.at) or type(event) is DeadlinePassed):
            return spread.refused(event.at)
        effect = spread.next_exchange(event)
        if effect is None:
            return spread.receipt(event.at)
        event = yield effect


def _write_home_first(
    view: ClusterView, order: WriteOrder, user_key: str | bytes, key: bytes, record: Record
) -> Plan[WriteReceipt]:
    """Write one record in two round trips: no copy gets what the deciding node turns down, so that has no effect."""
    call = view.write_call(key, record.encode())
    spread = _Spread(view, order._replace(reach_others=False), user_key, key, record, call)
    event = yield from ask_decider(view, order.home, call, order.started, order.until)
    if not isinstance(event, Reply):
        assert isinstance(event, (Failure, DeadlinePassed))
        return unanswered(view, order, user_key, record.stamp, event)
    if (turned_down := spread.take_decision(event)) is not None:
        return turned_down
    spread.order = order
    return (yield from _spread_out(spread, event.at))


def spread_decided(
    view: ClusterView,
    order: WriteOrder,
    user_key: str | bytes,
    key: bytes,
    record: Record,
    at: float,
    is_smaller: bool = False,
) -> Plan[WriteReceipt]:
    """Bring a record that the deciding node has stored to the other copies. ``is_smaller``: than what it replaced."""
    spread = _Spread(view, order, user_key, key, record, view.write_call(key, record.encode(), is_smaller, True))
    spread.tally.decided = record.stamp
    return (yield from _spread_out(spread, at))


def _spread_out(spread: _Spread, at: float) -> Plan[WriteReceipt]:
    """Bring what the deciding node has taken to the copies that were not asked yet."""
    spread.begin_second_round()
    event: Reply | Failure | DeadlinePassed | None = None
    is_fresh = True
    while (effect := spread.next_exchange(event, at)) is not None:
        event = yield effect._replace(fresh=is_fresh)
        is_fresh = False
        assert event is not None
        at = event.at
        if type(event) is Reply:
            spread.take_answer(event)
        elif type(event) is Failure:
            spread.take_failure(event)
    return spread.receipt(at)


class _Spread:
    """One record on its way to all copies. ``due``: copies that it must be sent to (again).

    refusal: what the deciding node said that takes no writes. Then the write has no effect if no other copy has it.
    """

    __slots__ = (
        "_call",
        "_key",
        "_may_have_it",
        "_proposed",
        "_resend_at",
        "_round",
        "_sent_as_decided",
        "_too_early",
        "_untouched",
        "_user_key",
        "_view",
        "due",
        "order",
        "record",
        "refusal",
        "tally",
    )

    def __init__(
        self,
        view: ClusterView,
        order: WriteOrder,
        user_key: str | bytes,
        key: bytes,
        record: Record,
        call: ScriptCall,
    ) -> None:
        self.tally = Tally(view.others[order.home], order.required)
        self.record = record
        self.due: tuple[str, ...] = ()
        self._view = view
        self.order = order
        self._user_key = user_key
        self._key = key
        self._proposed = record.stamp
        self._call = call
        self._resend_at = 0.0
        self._round = FIRST_ROUND
        self._too_early: set[str] = set()
        self._sent_as_decided: set[str] = set()
        self._untouched: set[str] = set()
        self._may_have_it: set[str] = set()
        self.refusal: Failure | None = None

    def hold(self, holders: list[str]) -> None:
        """These nodes, the deciding one perhaps among them, hold the record as it was sent."""
        for node in holders:
            if node == self.order.home:
                self.tally.decided = self._proposed
            else:
                self.tally.holds(node, self._proposed)

    def receipt(self, at: float) -> WriteReceipt:
        """The receipt as far as is known."""
        return receipt(self.tally, self.order, self._user_key, self.record.stamp, at)

    def take_decision(self, reply: Reply) -> WriteReceipt | None:
        """The deciding node's answer; a receipt where it stored nothing. Raises what `write_one` raises."""
        content, view = reply.content, self._view
        if content == 1:
            self.tally.decided = self._proposed
            self._send_as_decided()
        elif is_closed(content, view.epoch):
            self.tally.fails(reply.node, describe_refusal(content))
            return _turned_down(self.tally, self.order, self._user_key, self._proposed, reply.at)
        elif content[0] not in (b"ok", b"has"):
            proposal = Proposal(self._user_key, self._proposed, reply.at)
            raise verdict_error(view, self.order, content, self._call.keys[-1], proposal)
        elif view.decider is None:
            self.tally.applied = False  # a later write of another primary stands: this one has lost already
            self.tally.decided = self._proposed
        else:
            self.record = self.record._replace(stamp=Stamp.parse(content[1][:STAMP_BYTES]))
            self.tally.decided = self.record.stamp
            self._call = view.write_call(self._key, self.record.encode(), is_decided=True)
            self.begin_second_round()
        return None

    def begin_second_round(self) -> None:
        """Everybody gets the decided record, and another chance with it."""
        self._round = SECOND_ROUND
        self.due = self.tally.others if self.order.reach_others else ()
        self.tally.failed.clear()
        self.tally.waiting.clear()
        self._too_early.clear()

    def _send_as_decided(self) -> None:
        """What the deciding node has taken goes once more to copies whose clocks turned it down: they take it then."""
        if self.tally.decided is None or not self._too_early:
            return
        self._call = self._view.write_call(self._key, self.record.encode(), is_decided=True)
        self.due = (*self.due, *sorted(self._too_early))
        for node in self._too_early:
            self.tally.failed.pop(node, None)
        self._sent_as_decided |= self._too_early
        self._too_early.clear()

    def take_answer(self, reply: Reply) -> None:
        """What another copy answered to `write`."""
        content, tally = reply.content, self.tally
        if content != 1:
            self._untouched.add(reply.node)
        if content == 1:
            tally.holds(reply.node, self._proposed if reply.tag == FIRST_ROUND else self.record.stamp)
        elif content[0] in (b"ok", b"has"):
            tally.holds(reply.node, Stamp.parse(content[1]))
        elif reply.tag != self._round:
            return  # it has been sent the decided record since then, and has another answer to give
        elif is_behind(content, self._view.epoch):
            tally.waits(reply.node, describe_refusal(content))
            self._resend_at = reply.at + RESEND_SECONDS
        else:
            tally.fails(reply.node, describe_refusal(content))
            if content[0] == b"skewed" and reply.node not in self._sent_as_decided:
                self._too_early.add(reply.node)
                self._send_as_decided()

    def take_failure(self, event: Failure) -> None:
        """A copy that could not be reached; what was sent in an earlier round no longer matters."""
        if event.tag != self._round:
            return
        if event.sent and LOST in event.reason:
            self._may_have_it.add(event.node)  # also where it is told later that it was not reached
        elif not event.sent or is_refusal(event.reason):
            self._untouched.add(event.node)
        if may_be_sent_again(event) and event.at < self.order.started + GRACE_SECONDS:
            self.tally.waits(event.node, event.reason)
            self._resend_at = event.at + RESEND_SECONDS
        else:
            self.tally.fails(event.node, event.reason)

    def next_exchange(self, event: Reply | Failure | DeadlinePassed | None, at: float = 0.0) -> Exchange | None:
        """What to send or wait for next; None when the receipt can be given. ``at``: now, where nothing happened yet.

        An answer that comes late still counts: only when the driver says that the deadline has passed, nothing more is
        there.
        """
        order, tally = self.order, self.tally
        at = at if event is None else event.at
        is_late = at >= order.until
        pending = tally.standing() is Standing.PENDING and not (is_late and type(event) is DeadlinePassed)
        due, self.due = self.due, ()
        if pending and tally.waiting and at >= self._resend_at and not is_late and self.refusal is None:
            due = (*due, *tally.waiting)
            tally.waiting.clear()
        requests = tuple([Request(node, self._call, self._round) for node in due])
        if not pending:
            # Enough is known. What is still to be sent is sent, and nobody is waited for.
            return Exchange(requests, at) if requests else None
        is_resent = tally.waiting and self.refusal is None
        return Exchange(requests, min(order.until, self._resend_at) if is_resent else order.until)

    def take_refusal(self, event: Failure) -> bool:
        """Whether the deciding node certainly did nothing; then it is waited a moment for what the others say."""
        if not is_refusal(event.reason) or self._round != FIRST_ROUND:
            return False
        self.refusal = event
        self.tally.fails(event.node, event.reason)
        self.order = self.order._replace(until=min(self.order.until, event.at + GRACE_SECONDS))
        return True

    def is_known(self, at: float) -> bool:
        """Whether it is known of every other copy if it has the record, or no more time is left to wait for that."""
        answered = self._untouched | self._may_have_it | self.tally.held.keys() | self.tally.failed.keys()
        return not self.order.reach_others or at >= self.order.until or answered.issuperset(self.tally.others)

    def refused(self, at: float) -> WriteReceipt:
        """The deciding node did nothing: rejected where nobody else did anything either, else unknown."""
        order, tally = self.order, self.tally
        answer = receipt(tally, order, self._user_key, self._proposed, at)
        if order.reach_others and not (self._untouched - self._may_have_it).issuperset(tally.others):
            return answer
        nobody: frozenset[str] = frozenset()
        others = tally.others if order.reach_others else ()
        failed = {node: answer.failed.get(node, "has a later record") for node in (order.home, *others)}
        return answer._replace(outcome=Outcome.REJECTED, acked=nobody, pending=nobody, failed=failed)

    def undecided(self, event: Failure) -> WriteReceipt:
        """The deciding node failed: unknown, or rejected where nothing was sent at all."""
        order, tally = self.order, self.tally
        tally.fails(event.node, event.reason)
        answer = receipt(tally, order, self._user_key, self._proposed, event.at)
        if event.sent or tally.held:
            return answer
        # The deciding node was the gate: it could not be reached, so nothing left for the other copies either.
        nobody: frozenset[str] = frozenset()
        failed = {node: answer.failed.get(node, f"not sent: {order.home} cannot be used") for node in tally.others}
        failed[order.home] = event.reason
        return answer._replace(outcome=Outcome.REJECTED, acked=nobody, pending=nobody, failed=failed)


class Proposal(NamedTuple):
    """A write that the deciding node turned down: the key as the caller gave it, the stamp, and when that was known."""

    user_key: str | bytes
    stamp: Stamp
    at: float


def verdict_error(
    view: ClusterView, order: WriteOrder, content: list[bytes], name: bytes, proposal: Proposal
) -> RedreplError:
    """The error for a verdict of the deciding node that stored nothing."""
    if content[0] == b"refused":
        return refusal_error(content, order.home, view.epoch)
    if content[0] == b"foreign":
        return foreign_value(view.layout, order.home, name)
    refusal, others = describe_refusal(content), frozenset(view.others[order.home])
    refused = WriteReceipt(
        proposal.user_key,
        proposal.stamp,
        Outcome.UNKNOWN if order.reach_others else Outcome.REJECTED,
        False,
        frozenset(),
        others if order.reach_others else frozenset(),
        {order.home: refusal},
        order.required,
        proposal.at - order.started,
    )
    return clock_error(order.home, refusal, refused)


def clock_error(node: str, refusal: str, refused: WriteReceipt) -> ClockSkew:
    """The error for a write that the deciding node refused by its clock; ``refusal`` as `describe_refusal` says it."""
    is_unknown = refused.outcome is Outcome.UNKNOWN
    outcome = "the outcome of this write is unknown, it may still take effect" if is_unknown else "it had no effect"
    return ClockSkew(
        f"node {node!r} {refusal}: {outcome}; this program takes its time from the nodes anew, where a majority of "
        "them agrees; else compare the clocks of this machine and the node. Do not repeat it with an earlier stamp",
        refused,
        {node: refusal},
    )


def unanswered(
    view: ClusterView, order: WriteOrder, user_key: str | bytes, stamp: Stamp, event: Failure | DeadlinePassed
) -> WriteReceipt:
    """The receipt of what the deciding node alone was asked, and gave no answer to that is one of the script's."""
    tally = Tally(view.others[order.home], order.required)
    sent = not isinstance(event, Failure) or (event.sent and not is_refusal(event.reason))
    tally.fails(order.home, event.reason if isinstance(event, Failure) else "no answer in time")
    answer = receipt(tally, order, user_key, stamp, event.at)
    outcome = Outcome.UNKNOWN if sent else Outcome.REJECTED
    return answer._replace(outcome=outcome, pending=frozenset())


def may_be_sent_again(event: Failure) -> bool:
    """Whether a copy that does not decide may get the same record again: it did not leave, or the connection was lost.

    Such a copy keeps the later of two stamps, so it does no harm there that both may arrive.
    """
    return not event.sent or LOST in event.reason


def is_closed(content: list[bytes], epoch: bytes) -> bool:
    """Whether the deciding node refused in the caller's own epoch: it is no member, or does not serve."""
    return content[0] == b"refused" and content[1] in (b"", epoch)


def is_behind(content: list[bytes], epoch: bytes) -> bool:
    """Whether a copy refused because it has not come to the caller's epoch yet; it will in a moment."""
    return content[0] == b"refused" and content[2] == b"active" and int(content[1]) < int(epoch)


def _turned_down(tally: Tally, order: WriteOrder, key: str | bytes, stamp: Stamp, at: float) -> WriteReceipt:
    """The deciding node stored nothing. What was sent to others may be there, undecided."""
    answer = receipt(tally, order, key, stamp, at)
    return answer if order.reach_others else answer._replace(outcome=Outcome.REJECTED, pending=frozenset())


def receipt(tally: Tally, order: WriteOrder, key: str | bytes, proposed: Stamp, at: float) -> WriteReceipt:
    """The receipt of a write as far as its copies have answered."""
    decided = tally.decided
    acked = tally.acked() if decided else [node for node, stamp in tally.held.items() if stamp >= proposed]
    committed = decided is not None and len(acked) >= order.required
    holders = frozenset(acked) if decided is None else frozenset((order.home, *acked))
    failed = {node: reason for node, reason in tally.reasons().items() if node not in holders}
    everybody = frozenset((order.home, *tally.others))
    return WriteReceipt(
        key,
        proposed if decided is None else decided,
        Outcome.COMMITTED if committed else Outcome.UNKNOWN,
        decided is not None and tally.applied,
        holders,
        everybody - holders - frozenset(failed),
        failed,
        order.required,
        at - order.started,
    )
