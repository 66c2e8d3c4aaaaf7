"""`update_one`: decided on one node first, then brought to the others."""

from __future__ import annotations

import pytest

from redrepl.plans.operations.update import Update, Updated, update_one
from redrepl.plans.operations.watch import ask_decider
from redrepl.plans.view import EpochMoved
from redrepl.values.effects import Ask, PlainCommand, Reply, ScriptCall
from redrepl.values.errors import ClockSkew, NotAReplicatedRecord, RequestError, Unavailable
from redrepl.values.operation import ADD
from redrepl.values.receipt import Outcome
from redrepl.values.record import value_record
from redrepl.values.stamp import NO_STAMP, Stamp
from tests.unit.support.by_hand import START, UNTIL, ByHand, copies_of, order, view

STAMP = Stamp(1000, 1)
UPDATE = Update(ADD, STAMP, b"payload", 0x123)
RECORD = value_record(STAMP, b"payload", 0x123)
STANDING = Stamp(900, 3)


def _start(copies: int, required: int, reach_others: bool = True) -> ByHand[Updated]:
    return ByHand(update_one(view(copies), order(required, reach_others), "key", b"key", UPDATE))


def test_the_deciding_node_is_asked_alone_first() -> None:
    update = _start(3, 1)
    assert (update.targets(), update.exchange.required_node) == (["a"], "a")
    command = update.sent[0].command
    assert isinstance(command, ScriptCall)
    assert command.keys == (b"shop:m:member", b"shop:m:log", b"shop:k:key")
    assert command.arguments == (b"7", b"add", STAMP.encode(), b"000000000123", b"payload")


def test_then_its_record_goes_to_the_others_as_it_is() -> None:
    update = _start(3, 1).replies("a", [b"ok", RECORD.encode()])
    assert (update.targets(), update.scripts()) == (["b", "c"], ["write", "write"])
    assert update.sent[0].command.arguments == (b"7", RECORD.encode(), b"decided")
    receipt, record, _ = update.replies("c", 1).result
    assert record == RECORD
    assert (receipt.outcome, receipt.stamp, receipt.applied) == (Outcome.COMMITTED, STAMP, True)
    assert copies_of(receipt) == ({"a", "c"}, {"b"}, {})


def test_at_async_nothing_more_is_sent() -> None:
    update = _start(3, 0, reach_others=False).replies("a", [b"ok", RECORD.encode()])
    assert [request.node for request in update.everything] == ["a"]
    receipt = update.result.receipt
    assert (receipt.outcome, copies_of(receipt)) == (Outcome.COMMITTED, ({"a"}, {"b", "c"}, {}))


def test_one_copy_alone_is_done_at_once() -> None:
    assert (
        _start(1, 0).replies("a", [b"ok", RECORD.encode()]).result.receipt.outcome
        is Outcome.COMMITTED
    )


def test_unknown_when_the_others_do_not_confirm() -> None:
    update = _start(3, 1).replies("a", [b"ok", RECORD.encode()]).fails("b", "down")
    assert not update.is_done
    receipt = update.fails("c", "down").result.receipt
    assert (receipt.outcome, set(receipt.failed), set(receipt.acked)) == (
        Outcome.UNKNOWN,
        {"b", "c"},
        {"a"},
    )
    receipt = (
        _start(3, 2)
        .replies("a", [b"ok", RECORD.encode()])
        .replies("b", 1)
        .times_out()
        .result.receipt
    )
    assert (receipt.outcome, copies_of(receipt)) == (Outcome.UNKNOWN, ({"a", "b"}, {"c"}, {}))


@pytest.mark.parametrize("found", [b"", STANDING.encode()])
def test_an_unmet_condition_changes_nothing(found: bytes) -> None:
    receipt, record, _ = _start(3, 0, reach_others=False).replies("a", [b"unmet", found]).result
    assert record is None
    assert (receipt.outcome, receipt.applied) == (Outcome.COMMITTED, False)
    assert receipt.stamp == (STANDING if found else NO_STAMP)
    assert copies_of(receipt) == ({"a"}, set(), {})


def test_an_unmet_condition_is_confirmed_like_a_read() -> None:
    standing = value_record(STANDING, b"other")
    update = _start(3, 1).replies("a", [b"unmet", STANDING.encode()])
    assert update.scripts() == ["read_many", "headers", "headers"]
    update.replies("a", [b"ok", standing.encode()])
    assert not update.is_done
    receipt = update.replies("b", [b"ok", standing.encode()[:35]], tag=1).result.receipt
    assert (receipt.applied, receipt.stamp, receipt.required) == (False, STANDING, 1)
    with pytest.raises(Unavailable):
        _start(3, 1).replies("a", [b"unmet", STANDING.encode()]).times_out()


def test_what_cannot_be_incremented_is_the_callers_mistake() -> None:
    with pytest.raises(RequestError, match="no number"):
        _start(3, 1).replies("a", [b"unfit", b"no number"])


def test_verdicts_that_changed_nothing_are_errors() -> None:
    with pytest.raises(EpochMoved):
        _start(3, 1).replies("a", [b"refused", b"8", b"active"])
    with pytest.raises(NotAReplicatedRecord):
        _start(3, 1).replies("a", [b"foreign", b"shop:k:key"])
    for verdict in (b"expired", b"skewed"):
        with pytest.raises(ClockSkew):
            _start(3, 1).replies("a", [verdict, b"1"])


@pytest.mark.parametrize("answer", [[b"refused", b"7", b"syncing"], [b"refused", b"", b""]])
def test_a_deciding_node_that_does_not_serve_rejects(answer: list[bytes]) -> None:
    receipt, record, _ = _start(3, 1).replies("a", answer).result
    assert record is None
    assert (receipt.outcome, receipt.applied, set(receipt.failed)) == (
        Outcome.REJECTED,
        False,
        {"a"},
    )


def test_an_update_that_was_turned_down_cannot_take_effect_later() -> None:
    with pytest.raises(ClockSkew) as caught:
        _start(3, 1).replies("a", [b"expired", b"1"])
    assert "it had no effect" in str(caught.value)
    assert (caught.value.receipt.outcome, caught.value.receipt.pending) == (
        Outcome.REJECTED,
        frozenset(),
    )


@pytest.mark.parametrize(("sent", "outcome"), [(True, Outcome.UNKNOWN), (False, Outcome.REJECTED)])
def test_a_deciding_node_that_fails(sent: bool, outcome: Outcome) -> None:
    receipt, record, _ = _start(3, 1).fails("a", "down", sent=sent).result
    assert record is None
    assert (receipt.outcome, receipt.applied, receipt.stamp) == (outcome, False, STAMP)
    assert copies_of(receipt) == (set(), set(), {"a": "down"})


def test_a_deciding_node_that_stays_silent_leaves_it_unknown() -> None:
    receipt = _start(3, 1).times_out().result.receipt
    assert (receipt.outcome, copies_of(receipt)) == (
        Outcome.UNKNOWN,
        (set(), set(), {"a": "no answer in time"}),
    )


@pytest.mark.parametrize("answer", [[b"ok", RECORD.encode()], [b"unmet", STANDING.encode()]])
def test_elapsed_counts_the_deciding_nodes_answer(answer: list[bytes]) -> None:
    update = _start(3, 0, reach_others=False).replies("a", answer)
    assert update.result.receipt.elapsed == pytest.approx(update.at - START)


@pytest.mark.parametrize("looks", [0, 1, 3])
def test_however_far_the_deciding_node_is_nobody_takes_an_answer_to_another_question(
    looks: int,
) -> None:
    """While it is waited for, the others are asked for the topology; what they say to that confirms
    nothing.
    """
    update = _start(3, 1)
    for _ in range(looks):
        update.looks_around()
    update.replies("a", [b"ok", RECORD.encode()])
    assert (isinstance(update.exchange, Ask), update.targets()) == (True, ["b", "c"])
    receipt = update.replies("c", 1).result.receipt
    assert (receipt.outcome, copies_of(receipt)) == (Outcome.COMMITTED, ({"a", "c"}, {"b"}, {}))


def test_what_was_asked_meanwhile_is_over_when_the_deciding_node_has_answered() -> None:
    asked = ByHand(ask_decider(view(3), "a", PlainCommand((b"PING",)), START, UNTIL)).looks_around()
    assert asked.looks == ["b", "c"]
    asked.replies("a", b"PONG")
    assert asked.exchange == Ask((), START)
    assert isinstance(asked.result, Reply)


def test_rejected_where_the_deciding_node_takes_no_writes() -> None:
    refusal = "READONLY You can't write against a read only replica."
    receipt = _start(3, 1).fails("a", refusal).result.receipt
    assert (receipt.outcome, receipt.failed) == (Outcome.REJECTED, {"a": refusal})
