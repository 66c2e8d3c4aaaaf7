"""Operations whose answer was lost with the connection: looked for in their own epoch, and never
repeated there.
"""

from __future__ import annotations

from typing import Any

import pytest

from redrepl.doors.transaction import Transaction
from redrepl.plans.client.options import CallOptions
from redrepl.values.errors import WriteNotConfirmed
from redrepl.values.record import Record, value_record
from redrepl.values.stamp import Stamp
from redrepl.values.topology import Topology
from tests.unit.support.by_hand import UNTIL, ByHand, topology
from tests.unit.test_following_epochs import _coordinator as coordinator

HEADERS = 1
HOW = CallOptions("quorum", None)


def _finds(plan: ByHand[Any], *standing: Record | None) -> None:
    """The primary is asked what stands, and tells."""
    assert (plan.targets(), plan.scripts()) == (["a"], ["read_many"])
    plan.replies("a", [b"ok", *(record.encode() if record else None for record in standing)])


def _is_confirmed(plan: ByHand[Any], *standing: Record) -> None:
    """What stands is confirmed by another copy."""
    assert plan.scripts() == ["read_many", "headers", "headers"]
    plan.replies("b", [b"ok", *(record.encode()[:35] for record in standing)], tag=HEADERS)
    plan.replies("a", [b"ok", *(record.encode() for record in standing)])


def _waits(plan: ByHand[Any]) -> None:
    """Nothing is sent for a moment, and then it goes on."""
    assert plan.sent == ()
    plan.looks_around()


def _finds_nothing(plan: ByHand[Any]) -> None:
    """However often it looks."""
    while not plan.is_done:
        _finds(plan, None)
        _waits(plan)


def _lost(plan: ByHand[Any]) -> ByHand[Any]:
    return plan.fails("a", "connection lost: reset by peer")


def _sent(plan: ByHand[Any], place: int) -> bytes:
    """An argument of what was sent first."""
    argument = plan.everything[0].command.arguments[place]
    assert isinstance(argument, bytes)
    return argument


def _stamp(plan: ByHand[Any]) -> Stamp:
    return Stamp.parse(_sent(plan, 1)[:22])


def test_a_write_that_is_found_is_committed() -> None:
    base, _ = coordinator(topology(3), "quorum")
    write = _lost(ByHand(base.set_plan(b"key", b"value", None, HOW)))
    record = value_record(_stamp(write), b"value")
    _finds(write, record)
    _is_confirmed(write, record)
    assert (write.result.stamp, write.result.acked) == (record.stamp, {"a", "b"})


def test_what_is_not_there_yet_is_looked_for_and_never_sent_again() -> None:
    """The original may be under way: were it overwritten and sent again, it would take effect
    twice.
    """
    base, around = coordinator(topology(3), "quorum")
    write = _lost(ByHand(base.set_plan(b"key", b"value", None, HOW)))
    around.plan = write
    record = value_record(_stamp(write), b"value")
    for standing in (None, value_record(Stamp(1, 1), b"before")):
        _finds(write, standing)
        _waits(write)
    _finds(write, record)
    _is_confirmed(write, record)
    assert write.result.acked == {"a", "b"}
    assert [script for script in _scripts(write) if script == "write"] == ["write"] * 3


def test_until_the_deadline_and_then_it_is_unknown() -> None:
    base, around = coordinator(topology(3), "quorum")
    write = _lost(ByHand(base.set_plan(b"key", b"value", None, HOW)))
    around.plan = write
    with pytest.raises(WriteNotConfirmed, match="unknown"):
        _finds_nothing(write)
    assert write.at <= UNTIL
    assert _scripts(write).count("write") == 3


def test_under_something_later_nobody_can_tell() -> None:
    base, _ = coordinator(topology(3), "quorum")
    write = _lost(ByHand(base.set_plan(b"key", b"value", None, HOW)))
    later = value_record(Stamp(_stamp(write).micros + 1, 1), b"later")
    _finds(write, later)
    with pytest.raises(WriteNotConfirmed, match="unknown"):
        _is_confirmed(write, later)


def test_a_conditional_operation_is_looked_for_and_not_carried_out_again() -> None:
    base, around = coordinator(topology(3), "quorum")
    added = _lost(ByHand(base.increment_plan(b"key", 1, HOW)))
    around.plan = added
    stamp = Stamp.parse(_sent(added, 2))
    _finds(added, None)
    _waits(added)
    record = value_record(stamp, b"7")
    _finds(added, record)
    _is_confirmed(added, record)
    assert added.result == 7
    assert _scripts(added).count("update") == 1


def _transaction(cluster: Topology) -> tuple[ByHand[Any], Any]:
    base, around = coordinator(cluster, "quorum")
    transaction: Transaction[bytes, bytes] = Transaction(base, lambda plan: plan, None, None)
    transaction.set(b"x", b"1").set(b"y", b"1")
    commit = _lost(ByHand(transaction.commit_plan()))
    around.plan = commit
    return commit, around


def _records(commit: ByHand[Any]) -> tuple[Record, Record]:
    x, y = (value_record(Stamp.parse(_sent(commit, place)), b"1") for place in (6, 11))
    return x, y


def test_a_transaction_is_found_as_a_whole() -> None:
    commit, _ = _transaction(topology(3))
    x, y = _records(commit)
    _finds(commit, None, None)
    _waits(commit)
    later = value_record(Stamp(y.stamp.micros + 9, 1), b"2")
    _finds(commit, x, later)
    _is_confirmed(commit, x, later)
    assert {receipt.acked for receipt in commit.result.values()} == {frozenset({"a", "b"})}
    assert _scripts(commit).count("transact") == 1


def test_one_record_of_a_transaction_is_no_proof_while_another_is_missing() -> None:
    """What stands is read in pieces: the transaction may have come in between."""
    commit, around = _transaction(topology(3))
    x, _ = _records(commit)
    _finds(commit, x, None)
    _is_confirmed(commit, x)
    around.at = UNTIL
    with pytest.raises(WriteNotConfirmed):
        commit.looks_around()


def _scripts(plan: ByHand[Any]) -> list[str]:
    return [getattr(request.command, "script", "") for request in plan.everything]
