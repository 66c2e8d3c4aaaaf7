"""Writing one key in one round trip (protocol, section 3).

The same bytes go to the deciding node and to all others at once. The deciding node may give the record a later stamp;
then that record is sent to the others, the rare second round trip.
"""

from __future__ import annotations

from typing import NamedTuple

from redrepl.plans.tally import Standing, Tally
from redrepl.plans.view import ClusterView, describe_refusal, foreign_value, refusal_error
from redrepl.values.effects import Answer, DeadlinePassed, Exchange, Failure, Plan, Reply, Request, ScriptCall
from redrepl.values.errors import ClockSkew, RedreplError
from redrepl.values.receipt import Outcome, WriteReceipt
from redrepl.values.record import Record
from redrepl.values.stamp import STAMP_BYTES, Stamp

FIRST_ROUND = 0
SECOND_ROUND = 1


class WriteOrder(NamedTuple):
    """How a write is to be carried out.

    home: the node that decides (the primary, or the one of several primaries that this client uses).
    required: other copies that must confirm. reach_others: False at ASYNC, where the workers bring it to the others.
    started, until: the driver's clock, seconds.
    """

    home: str
    required: int
    reach_others: bool
    started: float
    until: float


def write_one(
    view: ClusterView, order: WriteOrder, user_key: str | bytes, key: bytes, record: Record
) -> Plan[WriteReceipt]:
    """Write one record; answers the receipt whatever the outcome.

    Raises EpochMoved (nothing happened on the deciding node: repeat with the same record), ClockSkew,
    NotAReplicatedRecord, Unavailable.
    """
    home, until = order.home, order.until
    others, proposed = view.others[home], record.stamp
    call = view.write_call(key, record.encode())
    targets = (home, *others) if order.reach_others else (home,)
    tally = Tally(others, order.required)
    effect = Exchange(tuple([Request(node, call) for node in targets]), until, home, fresh=True)
    while True:
        event = yield effect
        effect = Exchange((), until)
        if type(event) is Reply:
            node, content = event.node, event.content
            if node != home:
                note_answer(tally, node, content, proposed if event.tag == FIRST_ROUND else record.stamp)
            elif content == 1:
                tally.decided = record.stamp
            elif is_closed(content, view.epoch):
                tally.fails(node, describe_refusal(content))
                return _turned_down(tally, order, user_key, record.stamp, event)
            else:
                decided = decided_stamp(view, order, node, content, call)
                if view.decider is None:
                    tally.applied = False  # a later write of another primary stands: this one has lost already
                else:
                    record = record._replace(stamp=decided)
                    effect = replicate(view, order, key, record)
                tally.decided = record.stamp
        elif type(event) is Failure:
            tally.fails(event.node, event.reason)
            if event.node == home:
                return _undecided(tally, order, user_key, record.stamp, event)
        else:
            assert type(event) is DeadlinePassed
            return receipt(tally, order, user_key, record.stamp, event.at)
        if effect.requests:
            continue
        if tally.standing() is not Standing.PENDING:
            return receipt(tally, order, user_key, record.stamp, event.at)


def spread(
    view: ClusterView, order: WriteOrder, user_key: str | bytes, key: bytes, record: Record
) -> Plan[WriteReceipt]:
    """Bring a record that the deciding node has stored to the other copies."""
    tally = Tally(view.others[order.home], order.required)
    tally.decided = record.stamp
    effect = replicate(view, order, key, record)
    at = order.started
    while effect.requests or tally.standing() is Standing.PENDING:
        event = yield effect
        effect = Exchange((), order.until)
        assert event is not None
        at = event.at
        if type(event) is Reply:
            note_answer(tally, event.node, event.content, record.stamp)
        elif type(event) is Failure:
            tally.fails(event.node, event.reason)
        else:
            break
    return receipt(tally, order, user_key, record.stamp, at)


def replicate(view: ClusterView, order: WriteOrder, key: bytes, record: Record) -> Exchange:
    """Send a decided record to the other copies; nobody at ASYNC."""
    if not order.reach_others:
        return Exchange((), order.until)
    call = view.write_call(key, record.encode())
    return Exchange(tuple([Request(node, call, SECOND_ROUND) for node in view.others[order.home]]), order.until)


def note_answer(tally: Tally, node: str, content: Answer, sent: Stamp) -> None:
    """Take in what another copy answered to `write`."""
    if content == 1:
        tally.holds(node, sent)
    elif content[0] in (b"ok", b"has"):
        tally.holds(node, Stamp.parse(content[1]))
    else:
        tally.fails(node, describe_refusal(content))


def decided_stamp(view: ClusterView, order: WriteOrder, node: str, content: list[bytes], call: ScriptCall) -> Stamp:
    """The stamp that stands on the deciding node after `write`; raises for verdicts that stored nothing."""
    if content[0] in (b"ok", b"has"):
        return Stamp.parse(content[1][:STAMP_BYTES])
    raise verdict_error(view, order, node, content, call.keys[-1])


def verdict_error(view: ClusterView, order: WriteOrder, node: str, content: list[bytes], name: bytes) -> RedreplError:
    """The error for a verdict of the deciding node that stored nothing."""
    if content[0] == b"refused":
        return refusal_error(content, node, view.epoch)
    if content[0] == b"foreign":
        return foreign_value(view.layout, node, name)
    reached = "it may still take effect" if order.reach_others else "it had no effect"
    return ClockSkew(
        f"node {node!r} {describe_refusal(content)}: the outcome of this write is unknown, {reached}; compare the "
        f"clocks of this machine and the node, and do not repeat it with an earlier stamp",
        {node: describe_refusal(content)},
    )


def is_closed(content: list[bytes], epoch: bytes) -> bool:
    """Whether the deciding node refused in the caller's own epoch: it is no member, or does not serve."""
    return content[0] == b"refused" and content[1] in (b"", epoch)


def _turned_down(tally: Tally, order: WriteOrder, key: str | bytes, stamp: Stamp, event: Reply) -> WriteReceipt:
    """The deciding node stored nothing. What was sent to others may be there, undecided."""
    answer = receipt(tally, order, key, stamp, event.at)
    return answer if order.reach_others else answer._replace(outcome=Outcome.REJECTED, pending=frozenset())


def receipt(tally: Tally, order: WriteOrder, key: str | bytes, proposed: Stamp, at: float) -> WriteReceipt:
    """The receipt of a write as far as its copies have answered."""
    decided = tally.decided
    acked = tally.acked()
    committed = decided is not None and len(acked) >= order.required
    holders = frozenset(acked) if decided is None else frozenset((order.home, *acked))
    failed = {node: reason for node, reason in tally.failed.items() if node not in holders}
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


def _undecided(tally: Tally, order: WriteOrder, key: str | bytes, stamp: Stamp, event: Failure) -> WriteReceipt:
    answer = receipt(tally, order, key, stamp, event.at)
    if event.sent:
        return answer
    # The deciding node was the gate: it could not be reached, so nothing left for the other copies either.
    nobody: frozenset[str] = frozenset()
    failed = {node: answer.failed.get(node, f"not sent: {order.home} cannot be used") for node in tally.others}
    failed[order.home] = event.reason
    return answer._replace(outcome=Outcome.REJECTED, acked=nobody, pending=nobody, failed=failed)
