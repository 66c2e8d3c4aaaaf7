"""Changing a key depending on what it holds: decided by the primary, then brought to the others.

The condition is checked where writes are decided, so this takes two round trips: no copy may get a
record that the primary might turn down.
"""

from __future__ import annotations

from typing import NamedTuple

from redrepl.plans.operations.outgoing import OneRecord
from redrepl.plans.operations.read import read_confirmed
from redrepl.plans.operations.watch import ask_decider
from redrepl.plans.operations.write import (
    Proposal,
    WriteOrder,
    replicate_decided,
    unanswered,
    verdict_error,
)
from redrepl.plans.view import ClusterView
from redrepl.values.answers.refusals import NotAdmitted
from redrepl.values.answers.writes import Applied, Unfit, Unmet, parse_update
from redrepl.values.effects import DeadlinePassed, Failure, Plan, Reply, ScriptCall
from redrepl.values.errors import RequestError
from redrepl.values.operation import Before, OperationKind, made_of
from redrepl.values.reading import words
from redrepl.values.receipt import WriteReceipt
from redrepl.values.record import NO_DEADLINE, Record
from redrepl.values.stamp import NO_STAMP, Stamp


class Update(NamedTuple):
    """An operation that the primary decides; the operand is as for the script `update`."""

    kind: OperationKind
    stamp: Stamp
    operand: bytes
    deadline_millis: int = NO_DEADLINE


class Updated(NamedTuple):
    """The receipt, and the record that is stored after it where it was applied.

    before: what the key held, where the primary answered that.
    """

    receipt: WriteReceipt
    record: Record | None
    before: Before | None = None


def update_one(
    view: ClusterView, order: WriteOrder, user_key: str | bytes, key: bytes, update: Update
) -> Plan[Updated]:
    """Carry out an update.

    Raises as `write_one` does, and RequestError where it is impossible on what is stored.
    """
    layout = view.layout
    deadline = b"%012x" % update.deadline_millis
    kind = update.kind
    arguments = (view.epoch, kind.wire, update.stamp.encode(), deadline, update.operand)
    script = "update_oom" if kind.takes_no_memory else "update"
    call = ScriptCall(script, (layout.member, layout.log, layout.data(key)), arguments)
    event = yield from ask_decider(view, order.home, call, order.started, order.until)
    if not isinstance(event, Reply):
        assert isinstance(event, (Failure, DeadlinePassed))
        return Updated(unanswered(order, user_key, update.stamp, event), None)

    verdict = parse_update(event.content)
    match verdict:
        case Applied(detail):
            record, before = made_of(kind, detail, update.operand, update.deadline_millis)
            records = OneRecord(view, key, record, kind.takes_no_memory)
            (receipt,) = yield from replicate_decided(view, order, (user_key,), records, event.at)
            return Updated(receipt, record, before)
        case Unmet(found):
            return Updated((yield from _unmet(view, order, user_key, key, found, event.at)), None)
        case Unfit(why):
            raise RequestError(f"{kind} of key {user_key!r} is impossible: {words(why)}")
        case NotAdmitted() if verdict.is_closed(view.epoch):
            refusal = Failure(event.node, event.tag, verdict.reason, False, event.at)
            return Updated(unanswered(order, user_key, update.stamp, refusal), None)
        case _:
            # No other copy was asked: what the primary turned down has no effect, now or later.
            alone = order._replace(reach_others=False)
            proposal = Proposal(user_key, update.stamp, event.at)
            raise verdict_error(view, alone, verdict, proposal)


def _unmet(
    view: ClusterView,
    order: WriteOrder,
    user_key: str | bytes,
    key: bytes,
    found: Stamp | None,
    at: float,
) -> Plan[WriteReceipt]:
    """Nothing was changed.

    Saying so is a read: what is stored must be confirmed like any read at this level.
    """
    if order.required:
        confirmed = yield from read_confirmed(view, order.home, (key,), order.required, order.until)
        at = confirmed.at
    return WriteReceipt.committed(
        user_key,
        found or NO_STAMP,
        applied=False,
        acked=(order.home,),
        required=order.required,
        elapsed=at - order.started,
    )
