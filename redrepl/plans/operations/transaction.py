"""Several operations decided in one script call.

Either all of them or none (a transaction), or each on its own (in a batch).

The primary decides first; then the records that came of them go to the others in one call. This
takes two round trips, as `update_one` does: no copy may get a record that the primary might turn
down.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from redrepl.plans.operations.outgoing import ManyRecords
from redrepl.plans.operations.watch import ask_decider
from redrepl.plans.operations.write import Proposal, WriteOrder, replicate_decided, verdict_error
from redrepl.plans.view import ClusterView
from redrepl.values import limits
from redrepl.values.answers.refusals import NotAdmitted
from redrepl.values.answers.writes import (
    Applied,
    Conflict,
    Done,
    OperationVerdict,
    Unfit,
    UnfitOperation,
    Unmet,
    parse_transact,
)
from redrepl.values.effects import Failure, Plan, Reply, ScriptCall
from redrepl.values.errors import RequestError, TransactionConflict, Unavailable
from redrepl.values.operation import Before, Operation, made_of
from redrepl.values.reading import words
from redrepl.values.reasons import is_refusal
from redrepl.values.receipt import Outcome, WriteReceipt
from redrepl.values.record import Record
from redrepl.values.stamp import NO_STAMP, Stamp

UNIT = b"unit"
EACH = b"each"
"""All operations or none; each on its own."""


class Expectation(NamedTuple):
    """What a transaction relies on: the version of a key, None where it must read as absent."""

    user_key: str | bytes
    key: bytes
    stamp: Stamp | None


class Transacted(NamedTuple):
    """A receipt and the record that is stored after it, for each key that was written."""

    receipts: dict[bytes, WriteReceipt]
    records: dict[bytes, Record]


class _Decision(NamedTuple):
    """What the primary answered to a call that it admitted, and when (the driver's clock)."""

    verdict: Done | Conflict | UnfitOperation
    at: float


class Changed(NamedTuple):
    """What came of one operation in a batch.

    record: what it made, None where it was not applied. before: what the key held, where the
    primary answers that. error: why it cannot be carried out on this key at all.
    """

    receipt: WriteReceipt
    record: Record | None = None
    before: Before | None = None
    error: RequestError | None = None


def transact(
    view: ClusterView,
    order: WriteOrder,
    expectations: Sequence[Expectation],
    operations: Sequence[Operation],
) -> Plan[Transacted]:
    """Carry out all operations if all expectations hold on the primary, or none.

    Raises TransactionConflict where one does not, RequestError for an operation that cannot be
    carried out (nothing was written in both cases), and else what `write_one` raises; Unavailable
    where there was nothing but expectations and the primary could not be asked. Never EpochMoved
    after the primary has stored something: the plan may be repeated on it.
    """
    call = _Call(view, order, UNIT, expectations, operations)
    decision = yield from call.decide()
    if isinstance(decision, Failure):
        return call.unanswered_unit(decision)
    match decision.verdict:
        case Conflict() as conflict:
            raise call.conflict(conflict)
        case UnfitOperation(place, why):
            raise call.unfit(operations[place], why)
        case Done() as done:
            records = call.records_of(done)
            receipts = yield from call.replicate(records, decision.at)
            return Transacted(_as_unit(receipts, order), records)


def change_each(
    view: ClusterView, order: WriteOrder, operations: Sequence[Operation]
) -> Plan[list[Changed]]:
    """Carry out operations in order, each on its own; returns what came of each.

    Raises as `transact` does.
    """
    call = _Call(view, order, EACH, (), operations)
    decision = yield from call.decide()
    if isinstance(decision, Failure):
        return [Changed(call.unanswered(operation, decision)) for operation in operations]
    done = decision.verdict
    assert isinstance(done, Done), "only a unit ends as a whole"
    receipts = yield from call.replicate(call.records_of(done), decision.at)
    return [
        call.changed(operation, verdict, receipts, decision.at)
        for operation, verdict in zip(operations, done.verdicts, strict=True)
    ]


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
        self._shrinks = all(each.kind.takes_no_memory for each in operations)
        named = [(each.key, each.user_key) for each in expectations]
        named += [(each.key, each.user_key) for each in operations]
        self._user_keys = dict(reversed(named))
        self._keys = list(dict.fromkeys(key for key, _ in named))

    def decide(self) -> Plan[_Decision | Failure]:
        """Ask the primary alone. Raises as `write_one` does.

        Returns a Failure also where it does not serve, with whether it was sent.
        """
        order, view = self._order, self._view
        event = yield from ask_decider(
            view, order.home, self._script_call(), order.started, order.until
        )
        if isinstance(event, Failure):
            return event._replace(sent=event.sent and not is_refusal(event.reason))
        if not isinstance(event, Reply):
            return Failure(order.home, 0, "no answer in time", True, event.at)
        verdict = parse_transact(event.content)
        match verdict:
            case Done() | Conflict() | UnfitOperation():
                return _Decision(verdict, event.at)
            case NotAdmitted() if verdict.is_closed(view.epoch):
                return Failure(order.home, 0, verdict.reason, False, event.at)
            case _:
                # No other copy was asked: what the primary turned down has no effect, now or later.
                alone = order._replace(reach_others=False)
                first = Proposal(self._user_keys[self._keys[0]], NO_STAMP, event.at)
                raise verdict_error(view, alone, verdict, first)

    def _script_call(self) -> ScriptCall:
        layout = self._view.layout
        index = {key: number for number, key in enumerate(self._keys)}
        arguments: list[bytes | int] = [
            self._view.epoch,
            self._mode,
            limits.TRANSACTION_BYTES,
            len(self._expectations),
        ]
        for _, key, stamp in self._expectations:
            arguments += [index[key], b"" if stamp is None else stamp.encode()]
        for each in self._operations:
            deadline = b"%012x" % each.deadline_millis
            arguments += [
                index[each.key],
                each.kind.wire,
                each.stamp.encode(),
                deadline,
                each.operand,
            ]
        names = [layout.data(key) for key in self._keys]
        script = "transact_oom" if self._shrinks else "transact"
        return ScriptCall(script, (layout.member, layout.log, *names), tuple(arguments))

    def records_of(self, done: Done) -> dict[bytes, Record]:
        """The record that each changed key is left with."""
        pairs = zip(self._operations, done.verdicts, strict=True)
        return {
            operation.key: _made_by(operation, verdict.made)[0]
            for operation, verdict in pairs
            if isinstance(verdict, Applied)
        }

    def replicate(self, records: dict[bytes, Record], at: float) -> Plan[dict[bytes, WriteReceipt]]:
        """Bring the records to the other copies; a receipt for each key."""
        if not records:
            return {}
        encoded = [record.encode() for record in records.values()]
        stamps = [record.stamp for record in records.values()]
        outgoing = ManyRecords(self._view, list(records), encoded, stamps, self._shrinks)
        user_keys = [self._user_keys[key] for key in records]
        receipts = yield from replicate_decided(self._view, self._order, user_keys, outgoing, at)
        return dict(zip(records, receipts, strict=True))

    def changed(
        self,
        operation: Operation,
        verdict: OperationVerdict,
        receipts: dict[bytes, WriteReceipt],
        at: float,
    ) -> Changed:
        """What came of one operation.

        A copy that holds the last record of a key had those that were made before it.
        """
        home, required, elapsed = self._order.home, self._order.required, at - self._order.started
        match verdict:
            case Applied(made):
                record, before = _made_by(operation, made)
                receipt = receipts[operation.key]._replace(
                    key=operation.user_key, stamp=record.stamp
                )
                return Changed(receipt, record, before)
            case Unmet(found):
                receipt = WriteReceipt.committed(
                    operation.user_key,
                    found or NO_STAMP,
                    applied=False,
                    acked=(home,),
                    required=required,
                    elapsed=elapsed,
                )
                return Changed(receipt)
            case Unfit(why):
                receipt = WriteReceipt.rejected(
                    operation.user_key,
                    NO_STAMP,
                    failed={home: words(why)},
                    required=required,
                    elapsed=elapsed,
                )
                return Changed(receipt, error=self.unfit(operation, why))

    def unanswered(self, operation: Operation, failure: Failure) -> WriteReceipt:
        """The primary failed: unknown, or rejected where nothing was sent or stored."""
        end = WriteReceipt.unknown if failure.sent else WriteReceipt.rejected
        return end(
            operation.user_key,
            operation.stamp,
            failed={failure.node: failure.reason},
            required=self._order.required,
            elapsed=failure.at - self._order.started,
        )

    def unanswered_unit(self, failure: Failure) -> Transacted:
        """The same for a transaction: one receipt for each key."""
        if not self._operations:
            text = (
                f"{len(self._expectations)} expectation(s) could not be verified on node "
                f"{failure.node!r}"
            )
            raise Unavailable(text, {failure.node: failure.reason})
        return Transacted(
            {each.key: self.unanswered(each, failure) for each in self._operations}, {}
        )

    def conflict(self, conflict: Conflict) -> TransactionConflict:
        """The error for expectations and conditions that do not hold."""
        current = {
            self._user_keys[self._keys[place]]: stamp for place, stamp in conflict.found.items()
        }
        first = next(iter(current))
        more = f" and {len(current) - 1} more" if len(current) > 1 else ""
        text = (
            f"key {first!r}{more} changed meanwhile, or is not as the transaction needs it: "
            "nothing was written"
        )
        return TransactionConflict(
            f"{text}; read again and repeat", current, {self._order.home: "conflict"}
        )

    def unfit(self, operation: Operation, why: bytes) -> RequestError:
        """The error for an operation that cannot be carried out on what is stored."""
        return RequestError(
            f"{operation.kind} of key {operation.user_key!r} is impossible: {words(why)}"
        )


def _made_by(operation: Operation, detail: bytes) -> tuple[Record, Before | None]:
    return made_of(operation.kind, detail, operation.operand, operation.deadline_millis)


def _as_unit(receipts: dict[bytes, WriteReceipt], order: WriteOrder) -> dict[bytes, WriteReceipt]:
    """One outcome for all keys: committed where the required copies each hold every record."""
    if not receipts:
        return receipts
    holders = frozenset.intersection(*(receipt.acked for receipt in receipts.values()))
    committed = len(holders - {order.home}) >= order.required
    outcome = Outcome.COMMITTED if committed else Outcome.UNKNOWN
    return {key: receipt._replace(outcome=outcome) for key, receipt in receipts.items()}
