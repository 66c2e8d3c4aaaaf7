"""What becomes of batches, transactions, and all writes between epochs, when the cluster has moved
on meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from redrepl.doors.batch import Batch
from redrepl.doors.transaction import Transaction
from redrepl.plans.client.options import CallOptions
from redrepl.plans.client.store import ClientStore
from redrepl.values.effects import ScriptCall
from redrepl.values.errors import Unavailable, WriteNotConfirmed, WriteRejected
from redrepl.values.receipt import Outcome
from redrepl.values.record import tombstone, value_record
from redrepl.values.stamp import NO_STAMP, Stamp
from redrepl.values.topology import Topology
from tests.unit.support.by_hand import START, ByHand, copies_of, topology
from tests.unit.test_following_epochs import Surroundings, _coordinator, _moves, _set


def _between_epochs(plan: ByHand[Any], old: Topology, around: Surroundings) -> ByHand[Any]:
    """The primary is in an epoch that nobody can tell about yet."""
    while plan.scripts():  # a chunk of a batch is asked for again before the topology is
        plan.replies("a", [b"refused", b"8", b"active"])
    plan.replies("a", old.encode().encode())
    around.at = plan.at + 0.01
    plan.replies("b", old.encode().encode())
    assert plan.sent == ()
    assert plan.exchange.until == pytest.approx(around.at + 0.02)
    return plan


def _deadline_passes(plan: ByHand[Any], around: Surroundings) -> None:
    around.at = START + 1.0
    plan.times_out()


Start = Callable[[ClientStore[bytes, bytes]], Any]
NOW = CallOptions(None, None)
ALONE = CallOptions("async", None)


def _refuse_to_run(plan: Any) -> Any:
    raise AssertionError(plan)


def _batch(base: ClientStore[bytes, bytes]) -> Batch[bytes, bytes]:
    return Batch(base, _refuse_to_run, None, None)


def _transaction(base: ClientStore[bytes, bytes]) -> Transaction[bytes, bytes]:
    return Transaction(base, _refuse_to_run, None, None)


SPREAD: dict[str, Start] = {
    "set": lambda base: base.set_plan(b"x", b"1", None, NOW),
    "set_many": lambda base: base.set_many_plan({b"x": b"1", b"y": b"2"}, None, NOW),
    "batch": lambda base: _batch(base).set(b"x", b"1").delete(b"y").plan(),
}
DECIDED_FIRST: dict[str, Start] = {
    "set at async": lambda base: base.set_plan(b"x", b"1", None, ALONE),
    "set_many at async": lambda base: base.set_many_plan({b"x": b"1", b"y": b"2"}, None, ALONE),
    "add": lambda base: base.add_plan(b"x", b"1", None, NOW),
    "batch": lambda base: _batch(base).add(b"x", b"1").increment(b"y").plan(),
    "transaction": lambda base: _transaction(base).set(b"x", b"1").increment(b"y").commit_plan(),
}


@pytest.mark.parametrize("name", SPREAD)
def test_a_write_between_epochs_until_its_deadline_is_unknown_where_others_may_have_it(
    name: str,
) -> None:
    old = topology(3, epoch=7)
    base, around = _coordinator(old, "quorum")
    plan = _between_epochs(ByHand(SPREAD[name](base)), old, around)
    with pytest.raises(WriteNotConfirmed, match="unknown") as caught:
        _deadline_passes(plan, around)
    assert [receipt.key for receipt in caught.value.receipts] == (
        [b"x"] if name == "set" else [b"x", b"y"]
    )
    for receipt in caught.value.receipts:
        assert receipt.outcome is Outcome.UNKNOWN
        assert (set(receipt.acked), set(receipt.failed)) == (set(), {"a"})
        assert receipt.stamp == Stamp(5_000, 9)


@pytest.mark.parametrize("name", DECIDED_FIRST)
def test_a_write_between_epochs_until_its_deadline_is_rejected_where_nobody_else_was_asked(
    name: str,
) -> None:
    old = topology(3, epoch=7)
    base, around = _coordinator(old, "quorum")
    plan = _between_epochs(ByHand(DECIDED_FIRST[name](base)), old, around)
    with pytest.raises(WriteRejected) as caught:
        _deadline_passes(plan, around)
    for receipt in caught.value.receipts:
        assert receipt.outcome is Outcome.REJECTED
        assert copies_of(receipt)[:2] == (set(), set())
        assert set(receipt.failed) == {"a"}


def test_a_write_whose_deadline_passed_when_it_heard_of_the_epoch_is_unknown() -> None:
    base, around = _coordinator(topology(3, epoch=7), "quorum")
    write = _set(base)
    around.at = START + 1.0
    with pytest.raises(WriteNotConfirmed) as caught:
        write.replies("a", [b"refused", b"8", b"active"])
    assert caught.value.receipt.outcome is Outcome.UNKNOWN


def test_a_write_is_unknown_where_its_level_cannot_be_met_in_the_new_epoch() -> None:
    old, new = topology(3, epoch=7), topology(2, epoch=8)
    write = ByHand(
        _coordinator(old, "quorum")[0].set_plan(b"key", b"value", None, CallOptions(2, None))
    )
    with pytest.raises(WriteNotConfirmed) as caught:
        _moves(write, old, new)
    assert "level" in caught.value.receipt.failed["a"]


def test_a_read_between_epochs_until_its_deadline_is_not_available() -> None:
    old = topology(3, epoch=7)
    base, around = _coordinator(old, "quorum")
    plan = _between_epochs(ByHand(base.get_plan(b"key", "quorum", "primary", None)), old, around)
    with pytest.raises(Unavailable, match="between epochs"):
        _deadline_passes(plan, around)
    looking = ByHand(_transaction(base).check(b"x", None).commit_plan())
    around.at += 1.0
    with pytest.raises(Unavailable, match="between epochs"):
        looking.replies("a", [b"refused", b"8", b"active"])


# What the primary took just before, of several operations together --------------------------------

X = value_record(Stamp(5_000, 9), b"1")


def _taken(plan: ByHand[Any], answer: Any, new: Topology) -> ByHand[Any]:
    """The primary carried it out in the old epoch; the others refused it in the new one, and tell
    of that.
    """
    plan.replies("a", answer)
    for node in ("b", "c"):
        plan.replies(node, [b"refused", b"8", b"active"])
    for node in ("a", "b"):
        plan.replies(node, new.encode().encode())
    assert plan.scripts() == ["read_many", "headers", "headers"]
    return plan


def test_writes_of_a_batch_taken_just_before_the_epoch_moved_are_confirmed() -> None:
    base, _ = _coordinator(topology(3, epoch=7), "quorum")
    plan = ByHand(SPREAD["batch"](base))
    _taken(plan, 1, topology(3, epoch=8)).replies(
        "a", [b"ok", X.encode(), tombstone(X.stamp).encode()]
    )
    header = X.encode()[:35]
    receipts = plan.replies("c", [b"ok", header, tombstone(X.stamp).encode()[:35]], tag=1).result
    assert [(receipt.key, receipt.outcome) for receipt in receipts] == [
        (b"x", Outcome.COMMITTED),
        (b"y", Outcome.COMMITTED),
    ]
    assert base.session.at_least(b"y") == X.stamp


def test_what_a_batch_lost_between_epochs_stays_unknown() -> None:
    plan = ByHand(SPREAD["batch"](_coordinator(topology(3, epoch=7), "quorum")[0]))
    _taken(plan, 1, topology(3, epoch=8)).replies("a", [b"ok", X.encode(), None])
    with pytest.raises(WriteNotConfirmed) as caught:
        plan.replies("c", [b"ok", X.encode()[:35], b""], tag=1)
    assert [receipt.outcome for receipt in caught.value.receipts] == [
        Outcome.COMMITTED,
        Outcome.UNKNOWN,
    ]


def test_changes_of_a_batch_taken_just_before_the_epoch_moved_are_confirmed_with_their_sums() -> (
    None
):
    base, _ = _coordinator(topology(3, epoch=7), "quorum")
    plan = ByHand(_batch(base).increment(b"n").add(b"x", b"2").increment(b"n").plan())
    made = [value_record(Stamp(5_000 + number, 9), b"%d" % number) for number in (0, 1, 2)]
    answer = [b"done", b"ok", made[0].encode(), b"unmet", X.stamp.encode(), b"ok", made[2].encode()]
    _taken(plan, answer, topology(3, epoch=8))
    command = plan.sent[0].command
    assert isinstance(command, ScriptCall)
    assert command.keys[1:] == (b"shop:k:n",), (
        "each key once, and only those that are not confirmed"
    )
    plan.replies("a", [b"ok", made[2].encode()]).replies("b", [b"ok", made[2].encode()[:35]], tag=1)
    plan.replies("a", [b"ok", X.encode()])
    results = plan.replies("b", [b"ok", X.encode()[:35]], tag=1).result
    assert (results[0], results[1].applied, results[2]) == (0, False, 2)


def _transacted() -> tuple[ClientStore[bytes, bytes], Transaction[bytes, bytes], ByHand[Any]]:
    base, _ = _coordinator(topology(3, epoch=7), "quorum")
    transaction = _transaction(base).set(b"x", b"1").increment(b"n")
    answer = [b"done", b"ok", X.stamp.encode(), b"ok", value_record(Stamp(5_001, 9), b"1").encode()]
    return (
        base,
        transaction,
        _taken(ByHand(transaction.commit_plan()), answer, topology(3, epoch=8)),
    )


def test_a_transaction_taken_just_before_the_epoch_moved_is_confirmed_as_a_whole() -> None:
    base, transaction, plan = _transacted()
    later = value_record(Stamp(6_000, 4), b"overwritten")
    plan.replies("a", [b"ok", later.encode(), value_record(Stamp(5_001, 9), b"1").encode()])
    held = [later.encode()[:35], value_record(Stamp(5_001, 9), b"1").encode()[:35]]
    plan.replies("b", [b"ok", held[0], b""], tag=1)
    assert plan.scripts() == ["write_many"], (
        "who holds a part gets the rest, and confirms nothing before"
    )
    receipts = plan.replies("c", [b"ok", *held], tag=1).result
    assert {key: receipt.outcome for key, receipt in receipts.items()} == dict.fromkeys(
        [b"x", b"n"], Outcome.COMMITTED
    )
    assert {receipt.acked for receipt in receipts.values()} == {frozenset("ac")}
    assert transaction.sums == {b"n": 1}
    assert base.session.at_least(b"x") == X.stamp
    commands = [request.command for request in plan.everything if request.node == "a"]
    scripts = [command.script for command in commands if isinstance(command, ScriptCall)]
    assert scripts == ["transact", "read_many"], "it is carried out once"


def test_a_transaction_of_which_a_record_is_lost_stays_unknown_as_a_whole() -> None:
    base, transaction, plan = _transacted()
    plan.replies("a", [b"ok", X.encode(), None])
    with pytest.raises(WriteNotConfirmed):
        plan.replies("b", [b"ok", X.encode()[:35], b""], tag=1)
    assert {receipt.outcome for receipt in transaction.receipts.values()} == {Outcome.UNKNOWN}
    assert base.session.at_least(b"x") == NO_STAMP
