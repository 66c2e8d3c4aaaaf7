"""Changing a key depending on what it holds: decided on one node first, then brought to the others.

The condition is checked where writes are decided, so this takes two round trips: no copy may get a record that the
deciding node might turn down.
"""

from __future__ import annotations

from typing import NamedTuple

from redrepl.plans.operations.read import read_confirmed
from redrepl.plans.operations.tally import Tally
from redrepl.plans.operations.watch import ask_decider
from redrepl.plans.operations.write import (
    Proposal,
    WriteOrder,
    is_closed,
    receipt,
    spread_decided,
    unanswered,
    verdict_error,
)
from redrepl.plans.view import ClusterView, describe_refusal
from redrepl.values.effects import DeadlinePassed, Failure, Plan, Reply, ScriptCall
from redrepl.values.errors import RequestError
from redrepl.values.operation import EXPIRE
from redrepl.values.reading import words
from redrepl.values.receipt import WriteReceipt
from redrepl.values.record import NO_DEADLINE, Record, parse_record
from redrepl.values.stamp import NO_STAMP, Stamp


class Update(NamedTuple):
    """A conditional change; operations and operands are those of the script `update`."""

    operation: bytes
    stamp: Stamp
    operand: bytes
    deadline_millis: int = NO_DEADLINE


class Updated(NamedTuple):
    """The receipt, and the record that stands after it where it was applied."""

    receipt: WriteReceipt
    record: Record | None


def update_one(
    view: ClusterView, order: WriteOrder, user_key: str | bytes, key: bytes, update: Update
) -> Plan[Updated]:
    """Carry out an update. Raises as `write_one` does, and RequestError where the value cannot be incremented."""
    layout = view.layout
    deadline = b"%012x" % update.deadline_millis
    arguments = (view.epoch, update.operation, update.stamp.encode(), deadline, update.operand)
    # What only gets another deadline takes no more memory than before, on any copy.
    is_smaller = update.operation == EXPIRE
    call = ScriptCall(
        "update_oom" if is_smaller else "update", (layout.member, layout.log, layout.data(key)), arguments
    )
    event = yield from ask_decider(view, order.home, call, order.started, order.until)
    if not isinstance(event, Reply):
        assert isinstance(event, (Failure, DeadlinePassed))
        return Updated(unanswered(view, order, user_key, update.stamp, event), None)
    if is_closed(event.content, view.epoch):
        return Updated(_turned_down(view, order, user_key, update.stamp, event), None)
    verdict, detail = event.content[0], event.content[1]
    if verdict == b"ok":
        record = parse_record(detail)
        spread = spread_decided(view, order, user_key, key, record, event.at, is_smaller)
        return Updated((yield from spread), record)
    if verdict == b"unmet":
        return Updated((yield from _unmet(view, order, user_key, key, event)), None)
    if verdict == b"unfit":
        raise RequestError(f"key {user_key!r} cannot be incremented: {words(detail)}")
    # Nobody else was asked: what the deciding node turned down has no effect, now or later.
    proposal = Proposal(user_key, update.stamp, event.at)
    raise verdict_error(view, order._replace(reach_others=False), event.content, layout.data(key), proposal)


def _unmet(view: ClusterView, order: WriteOrder, user_key: str | bytes, key: bytes, reply: Reply) -> Plan[WriteReceipt]:
    """Nothing was changed. Saying so is a read: what stands must be confirmed like any read at this level."""
    found, at = reply.content[1], reply.at
    if order.required:
        confirmed = yield from read_confirmed(view, order.home, (key,), order.required, order.until)
        at = confirmed.at
    tally = Tally(view.others[order.home], 0)
    tally.decided = Stamp.parse(found) if found else NO_STAMP
    answer = receipt(tally, order._replace(required=0), user_key, tally.decided, at)
    return answer._replace(applied=False, pending=frozenset(), required=order.required)


def _turned_down(
    view: ClusterView, order: WriteOrder, user_key: str | bytes, stamp: Stamp, reply: Reply
) -> WriteReceipt:
    reason = describe_refusal(reply.content)
    return unanswered(view, order, user_key, stamp, Failure(reply.node, reply.tag, reason, False, reply.at))
