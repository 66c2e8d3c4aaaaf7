"""Several operations decided in one script call: all or nothing (a transaction), or each on its own (in a batch).

They are decided on one node first; then the records that came of them go to the others in one call. This takes two
round trips, as `update_one` does: no copy may get a record that the deciding node might turn down.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from redrepl.plans.operations.chunk import Item
from redrepl.plans.operations.tally import Standing, Tally
from redrepl.plans.operations.watch import ask_decider
from redrepl.plans.operations.write import (
    GRACE_SECONDS,
    RESEND_SECONDS,
    Proposal,
    WriteOrder,
    is_behind,
    is_closed,
    may_be_sent_again,
    receipt,
    verdict_error,
)
from redrepl.plans.view import ClusterView, describe_refusal
from redrepl.values import limits
from redrepl.values.effects import Answer, DeadlinePassed, Exchange, Failure, Plan, Reply, Request, ScriptCall
from redrepl.values.errors import RequestError, TransactionConflict, Unavailable
from redrepl.values.operation import ADD, COMPARE, DELETE, EXPIRE, SET, Operation
from redrepl.values.reading import words
from redrepl.values.reasons import is_refusal
from redrepl.values.receipt import Outcome, WriteReceipt
from redrepl.values.record import Record, parse_record, tombstone, value_record
from redrepl.values.stamp import NO_STAMP, STAMP_BYTES, Stamp

UNIT = b"unit"
EACH = b"each"
"""All operations or none; each on its own."""

_NOBODY: frozenset[str] = frozenset()


class Expectation(NamedTuple):
    """What a transaction relies on: the version of a key, None where the key must read as absent."""

    user_key: str | bytes
    key: bytes
    stamp: Stamp | None


class Transacted(NamedTuple):
    """A receipt and the record that stands after it, for each key that was written."""

    receipts: dict[bytes, WriteReceipt]
    records: dict[bytes, Record]


class Changed(NamedTuple):
    """What came of one operation in a batch.

    record: what it made, None where it was not applied. error: why it cannot be carried out on this key at all.
    """

    receipt: WriteReceipt
    record: Record | None = None
    error: RequestError | None = None


def transact(
    view: ClusterView, order: WriteOrder, expectations: Sequence[Expectation], operations: Sequence[Operation]
) -> Plan[Transacted]:
    """Carry out all operations if all expectations hold on the deciding node, or none.

    Raises TransactionConflict where one does not, RequestError for an operation that cannot be carried out (nothing was
    written in both cases), and else what `write_one` raises; Unavailable where there was nothing but expectations and
    nobody to ask. Never EpochMoved after the deciding node has stored something: the plan may be repeated on it.
    """
    call = _Call(view, order, UNIT, expectations, operations)
    event = yield from call.decide()
    if isinstance(event, Failure):
        return call.unanswered_unit(event)
    verdict = event.content[0]
    if verdict == b"conflict":
        raise call.conflict(event.content)
    if verdict == b"unfit":
        raise call.unfit(operations[event.content[1]], event.content[2])
    records = call.records_of(event.content)
    receipts = yield from call.spread(records, event.at)
    return Transacted(_as_unit(receipts, order), records)


def change_each(view: ClusterView, order: WriteOrder, operations: Sequence[Operation]) -> Plan[list[Changed]]:
    """Carry out operations in order, each on its own; answers what came of each. Raises as `transact` does."""
    call = _Call(view, order, EACH, (), operations)
    event = yield from call.decide()
    if isinstance(event, Failure):
        return [Changed(call.unanswered(operation, event)) for operation in operations]
    receipts = yield from call.spread(call.records_of(event.content), event.at)
    return [
        call.changed(operation, verdict, detail, receipts, event.at)
        for operation, (verdict, detail) in zip(operations, _verdicts(event.content), strict=True)
    ]


def spread_many(
    view: ClusterView, order: WriteOrder, items: Sequence[Item], at: float, are_smaller: bool = False
) -> Plan[list[WriteReceipt]]:
    """Bring records that the deciding node has stored to the other copies, in one call for each; receipts in order.

    are_smaller: than what they replaced.
    """
    spread = _SpreadMany(view, order, items, are_smaller)
    passed = 0.0
    while (effect := spread.next_exchange(at, passed)) is not None:
        event = yield effect
        assert event is not None
        at = event.at
        if isinstance(event, DeadlinePassed):
            passed = at  # until then nothing more is there; an answer that merely comes late still counts
        if isinstance(event, Reply):
            spread.take_answer(event)
        elif isinstance(event, Failure):
            spread.take_failure(event)
    return spread.receipts(at)


class _SpreadMany:
    """Decided records on their way to the other copies; one tally for each. ``due``: copies they must be sent to."""

    def __init__(self, view: ClusterView, order: WriteOrder, items: Sequence[Item], are_smaller: bool) -> None:
        self._view = view
        self._order = order
        self._items = items
        self._tallies = [Tally(view.others[order.home], order.required) for _ in items]
        for tally, item in zip(self._tallies, items, strict=True):
            tally.decided = item.record.stamp
        keys, records = [item.key for item in items], [item.record.encode() for item in items]
        self._call = view.write_many_call(keys, records, are_smaller, True)
        self._due = view.others[order.home] if order.reach_others else ()
        self._is_fresh = True
        self._waiting: list[str] = []
        self._resend_at = 0.0

    def next_exchange(self, at: float, passed: float) -> Exchange | None:
        """What to send or wait for next; None when the receipts can be given. ``passed``: all until then is known."""
        until = self._order.until
        pending = passed < until and any(tally.standing() is Standing.PENDING for tally in self._tallies)
        due, self._due = self._due, ()
        if pending and self._waiting and self._resend_at <= at < until:
            due = (*due, *self._waiting)
            self._end_waiting()
        requests, fresh = tuple([Request(node, self._call) for node in due]), self._is_fresh
        self._is_fresh = False
        if not pending:
            # Enough is known. What is still to be sent is sent, and nobody is waited for.
            return Exchange(requests, at, fresh=fresh) if requests else None
        return Exchange(requests, min(until, self._resend_at) if self._waiting else until, fresh=fresh)

    def take_answer(self, reply: Reply) -> None:
        """Another copy's answer: which records it does not hold as they were sent."""
        content = reply.content
        if content == 1 or content[0] == b"some":
            self._take_stamps(reply.node, {} if content == 1 else _exceptions(content))
        elif is_behind(content, self._view.epoch):
            self._wait(reply.node, describe_refusal(content), reply.at)
        else:
            self._fail(reply.node, describe_refusal(content))

    def take_failure(self, event: Failure) -> None:
        """A copy that could not be reached; one whose connection is lost gets another chance soon."""
        if may_be_sent_again(event) and event.at < self._order.started + GRACE_SECONDS:
            self._wait(event.node, event.reason, event.at)
        else:
            self._fail(event.node, event.reason)

    def receipts(self, at: float) -> list[WriteReceipt]:
        """A receipt for each record."""
        return [
            receipt(tally, self._order, item.user_key, item.record.stamp, at)
            for tally, item in zip(self._tallies, self._items, strict=True)
        ]

    def _take_stamps(self, node: str, exceptions: dict[int, list[bytes]]) -> None:
        for index, (tally, item) in enumerate(zip(self._tallies, self._items, strict=True)):
            verdict, detail = exceptions.get(index, (b"ok", None))
            if verdict in (b"ok", b"has"):
                tally.holds(node, Stamp.parse(detail) if detail else item.record.stamp)
            else:
                tally.fails(node, describe_refusal(exceptions[index]))

    def _wait(self, node: str, reason: str, at: float) -> None:
        self._resend_at = at + RESEND_SECONDS
        self._waiting.append(node)
        for tally in self._tallies:
            tally.waits(node, reason)

    def _end_waiting(self) -> None:
        self._waiting.clear()
        for tally in self._tallies:
            tally.waiting.clear()

    def _fail(self, node: str, reason: str) -> None:
        for tally in self._tallies:
            tally.fails(node, reason)


class _Call:
    """One call of the script `transact`, and what its answer means."""

    def __init__(
        self,
        view: ClusterView,
        order: WriteOrder,
        mode: bytes,
        expectations: Sequence[Expectation],
        operations: Sequence[Operation],
    ) -> None:
        self._view = view
        self._order = order
        self._mode = mode
        self._expectations = expectations
        self._operations = operations
        self._shrinks = all(each.name in (DELETE, EXPIRE) for each in operations)
        named = [(each.key, each.user_key) for each in expectations]
        named += [(each.key, each.user_key) for each in operations]
        self._user_keys = dict(reversed(named))
        self._keys = list(dict.fromkeys(key for key, _ in named))

    def decide(self) -> Plan[Reply | Failure]:
        """Ask the deciding node alone. A Failure, also where it serves nobody: sent or not. Raises as `write_one`."""
        order, view = self._order, self._view
        event = yield from ask_decider(view, order.home, self._script_call(), order.started, order.until)
        if isinstance(event, Failure):
            return event._replace(sent=event.sent and not is_refusal(event.reason))
        if not isinstance(event, Reply):
            assert event is not None
            return Failure(order.home, 0, "no answer in time", True, event.at)
        content = event.content
        if is_closed(content, view.epoch):
            return Failure(order.home, 0, describe_refusal(content), False, event.at)
        if content[0] not in (b"done", b"conflict", b"unfit"):
            # Nobody else was asked: what the deciding node turned down has no effect, now or later.
            first = Proposal(self._user_keys[self._keys[0]], NO_STAMP, event.at)
            raise verdict_error(view, order._replace(reach_others=False), content, content[1], first)
        return event

    def _script_call(self) -> ScriptCall:
        layout = self._view.layout
        index = {key: number for number, key in enumerate(self._keys)}
        arguments: list[bytes | int] = [self._view.epoch, self._mode, limits.TRANSACTION_BYTES, len(self._expectations)]
        for _, key, stamp in self._expectations:
            arguments += [index[key], b"" if stamp is None else stamp.encode()]
        for each in self._operations:
            deadline = b"%012x" % each.deadline_millis
            arguments += [index[each.key], each.name, each.stamp.encode(), deadline, each.operand]
        names = [layout.data(key) for key in self._keys]
        script = "transact_oom" if self._shrinks else "transact"
        return ScriptCall(script, (layout.member, layout.log, *names), tuple(arguments))

    def records_of(self, content: Answer) -> dict[bytes, Record]:
        """The record that each changed key is left with."""
        records = {}
        for operation, (verdict, detail) in zip(self._operations, _verdicts(content), strict=True):
            if verdict == b"ok":
                records[operation.key] = record_of(operation, detail)
        return records

    def spread(self, records: dict[bytes, Record], at: float) -> Plan[dict[bytes, WriteReceipt]]:
        """Bring the records to the other copies; a receipt for each key."""
        if not records:
            return {}
        items = [Item(self._user_keys[key], key, record) for key, record in records.items()]
        receipts = yield from spread_many(self._view, self._order, items, at, self._shrinks)
        return dict(zip(records, receipts, strict=True))

    def changed(
        self, operation: Operation, verdict: bytes, detail: bytes, receipts: dict[bytes, WriteReceipt], at: float
    ) -> Changed:
        """What came of one operation. Who holds the last record of a key holds what was made before it."""
        order = self._order
        if verdict == b"ok":
            record = record_of(operation, detail)
            return Changed(receipts[operation.key]._replace(key=operation.user_key, stamp=record.stamp), record)
        found = Stamp.parse(detail) if verdict == b"unmet" and detail else NO_STAMP
        answer = WriteReceipt(
            operation.user_key,
            found,
            Outcome.COMMITTED,
            False,
            frozenset((order.home,)),
            _NOBODY,
            {},
            order.required,
            at - order.started,
        )
        if verdict == b"unmet":
            return Changed(answer)
        error = self.unfit(operation, detail)
        failed = {order.home: words(detail)}
        return Changed(answer._replace(outcome=Outcome.REJECTED, acked=_NOBODY, failed=failed), None, error)

    def unanswered(self, operation: Operation, failure: Failure) -> WriteReceipt:
        """The deciding node failed: unknown, or rejected where nothing was sent or stored."""
        return WriteReceipt(
            operation.user_key,
            operation.stamp,
            Outcome.UNKNOWN if failure.sent else Outcome.REJECTED,
            False,
            _NOBODY,
            _NOBODY,
            {failure.node: failure.reason},
            self._order.required,
            failure.at - self._order.started,
        )

    def unanswered_unit(self, failure: Failure) -> Transacted:
        """The same for a transaction: one receipt for each key."""
        if not self._operations:
            text = f"{len(self._expectations)} expectation(s) could not be verified on node {failure.node!r}"
            raise Unavailable(text, {failure.node: failure.reason})
        return Transacted({each.key: self.unanswered(each, failure) for each in self._operations}, {})

    def conflict(self, content: Answer) -> TransactionConflict:
        """The error for expectations and conditions that do not hold."""
        standing: dict[str | bytes, Stamp | None] = {}
        for place in range(1, len(content), 2):
            found = content[place + 1]
            standing[self._user_keys[self._keys[content[place]]]] = Stamp.parse(found) if found else None
        first = next(iter(standing))
        more = f" and {len(standing) - 1} more" if len(standing) > 1 else ""
        text = f"key {first!r}{more} changed meanwhile, or is not as the transaction needs it: nothing was written"
        return TransactionConflict(f"{text}; read again and repeat", standing, {self._order.home: "conflict"})

    def unfit(self, operation: Operation, why: bytes) -> RequestError:
        """The error for an operation that cannot be carried out on what stands."""
        return RequestError(f"{operation.name.decode()} of key {operation.user_key!r} is impossible: {words(why)}")


def record_of(operation: Operation, detail: bytes) -> Record:
    """The record that the deciding node made: its answer, or what was sent with the stamp in its answer."""
    if operation.name not in (SET, ADD, COMPARE, DELETE):
        return parse_record(detail)
    stamp = Stamp.parse(detail)
    if operation.name == DELETE:
        return tombstone(stamp)
    payload = operation.operand[STAMP_BYTES:] if operation.name == COMPARE else operation.operand
    return value_record(stamp, payload, operation.deadline_millis)


def _verdicts(content: Answer) -> Iterator[tuple[bytes, bytes]]:
    """The pairs of a 'done' answer."""
    return zip(content[1::2], content[2::2], strict=True)


def _exceptions(content: Answer) -> dict[int, list[bytes]]:
    """The verdict and detail of each record that a 'some' answer names."""
    return {content[place]: content[place + 1 : place + 3] for place in range(1, len(content), 3)}


def _as_unit(receipts: dict[bytes, WriteReceipt], order: WriteOrder) -> dict[bytes, WriteReceipt]:
    """One outcome for all keys: committed where the required copies each hold every record."""
    if not receipts:
        return receipts
    holders = frozenset.intersection(*(receipt.acked for receipt in receipts.values()))
    committed = len(holders - {order.home}) >= order.required
    outcome = Outcome.COMMITTED if committed else Outcome.UNKNOWN
    return {key: receipt._replace(outcome=outcome) for key, receipt in receipts.items()}
