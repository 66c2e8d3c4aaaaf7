"""`write_one`: what is committed, unknown or rejected, in whatever order the answers come."""

from __future__ import annotations

from itertools import permutations

import pytest

from redrepl.plans.operations.watch import LOOK
from redrepl.plans.operations.write import write_one
from redrepl.plans.view import SUSPECT_SECONDS, EpochMoved
from redrepl.values import limits
from redrepl.values.effects import Ask
from redrepl.values.errors import ClockSkew, NotAReplicatedRecord
from redrepl.values.receipt import Outcome, WriteReceipt
from redrepl.values.record import Record, parse_record, value_record
from redrepl.values.stamp import Stamp
from redrepl.values.topology import Mode
from tests.unit.support.by_hand import START, UNTIL, ByHand, copies_of, order, topology, view

STAMP = Stamp(1000, 1)
RECORD = value_record(STAMP, b"payload")
RESTAMP = Stamp(2001, 0x80007000)


def _start(
    copies: int, required: int, reach_others: bool = True, mode: Mode = Mode.PRIMARY_REPLICA
) -> ByHand[WriteReceipt]:
    return ByHand(
        write_one(view(copies, mode), order(required, reach_others), "key", b"key", RECORD)
    )


def _sent_record(write: ByHand[WriteReceipt]) -> Record:
    command = write.sent[0].command
    encoded = command.arguments[1]
    assert isinstance(encoded, bytes)
    return parse_record(encoded)


@pytest.mark.parametrize("copies", [1, 2, 3, 5])
def test_the_same_bytes_go_to_all_copies_at_once(copies: int) -> None:
    write = _start(copies, 0)
    assert write.targets() == ["a", "b", "c", "d", "e"][:copies]
    assert len({id(request.command) for request in write.sent}) == 1
    assert write.exchange.required_node == "a"
    looks_around_at = START + SUSPECT_SECONDS
    assert (write.exchange.until, write.exchange.is_deadline) == (
        (UNTIL, True) if copies == 1 else (looks_around_at, False)
    )
    assert _sent_record(write) == RECORD


@pytest.mark.parametrize(
    ("usual_seconds", "suspected_after"),
    [(0.001, SUSPECT_SECONDS), (0.5, 0.5), (30.0, limits.LONGEST_SUSPECT_SECONDS)],
)
def test_a_primary_that_is_far_is_suspected_later(
    usual_seconds: float, suspected_after: float
) -> None:
    cluster = view(3)
    cluster.expect_answers_within(usual_seconds)
    write = ByHand(write_one(cluster, order(1), "key", b"key", RECORD))
    assert (write.exchange.until, write.exchange.is_deadline) == (
        min(UNTIL, START + suspected_after),
        suspected_after >= 1.0,
    )
    if suspected_after < 1.0:
        write.looks_around()
        assert write.looks == ["b", "c"]


def test_at_async_the_deciding_node_alone_is_asked() -> None:
    write = _start(3, 0, reach_others=False)
    assert write.targets() == ["a"]
    receipt = write.replies("a", 1).result
    assert receipt.outcome is Outcome.COMMITTED
    assert copies_of(receipt) == ({"a"}, {"b", "c"}, {})


@pytest.mark.parametrize(
    ("copies", "required"), [(1, 0), (2, 0), (2, 1), (3, 1), (3, 2), (5, 2), (5, 4)]
)
def test_committed_as_soon_as_the_required_copies_hold_it(copies: int, required: int) -> None:
    others = ["b", "c", "d", "e"][: copies - 1]
    for first in permutations(["a", *others[:required]]):
        write = _start(copies, required)
        for position, node in enumerate(first):
            write.replies(node, 1)
            assert write.is_done is (position == required)
        receipt = write.result
        assert receipt.outcome is Outcome.COMMITTED
        assert receipt.acked == set(first)
        assert receipt.pending == set(others) - set(first)
        assert (receipt.failed, receipt.stamp, receipt.required, receipt.applied) == (
            {},
            STAMP,
            required,
            True,
        )
        assert receipt.elapsed == pytest.approx(write.at - START)


def test_others_alone_commit_nothing() -> None:
    write = _start(5, 2)
    for node in "bcde":
        assert not write.replies(node, 1).is_done
    receipt = write.times_out().result
    assert receipt.outcome is Outcome.UNKNOWN
    assert (receipt.acked, receipt.stamp, receipt.applied) == (frozenset("bcde"), STAMP, False)


def test_a_copy_with_a_later_stamp_counts() -> None:
    write = _start(2, 1).replies("b", [b"has", Stamp(1000, 2).encode()])
    assert write.replies("a", 1).result.acked == {"a", "b"}


def test_a_restamped_record_goes_to_the_others_again() -> None:
    write = _start(3, 1).replies("b", 1).replies("a", [b"ok", RESTAMP.encode()])
    assert write.targets() == ["b", "c"]
    assert {request.tag for request in write.sent} == {1}
    assert _sent_record(write) == RECORD._replace(stamp=RESTAMP)
    receipt = write.replies("c", 1, tag=1).result
    assert (receipt.outcome, receipt.stamp) == (Outcome.COMMITTED, RESTAMP)
    assert copies_of(receipt)[:2] == ({"a", "c"}, {"b"})


def test_first_round_answers_do_not_confirm_a_restamped_record() -> None:
    write = _start(3, 1).replies("a", [b"ok", RESTAMP.encode()])
    assert not write.replies("b", 1).is_done
    assert not write.replies("c", 1).is_done
    receipt = write.times_out().result
    assert (receipt.outcome, set(receipt.acked)) == (Outcome.UNKNOWN, {"a"})


def test_a_copy_that_has_what_the_primary_had_does_not_confirm_its_restamp() -> None:
    write = (
        _start(2, 1)
        .replies("b", [b"has", Stamp(2000, 3).encode()])
        .replies("a", [b"ok", RESTAMP.encode()])
    )
    assert not write.is_done
    assert write.replies("b", 1, tag=1).result.outcome is Outcome.COMMITTED


def test_a_copy_that_failed_may_still_take_the_second_round() -> None:
    write = _start(2, 1).fails("b").replies("a", [b"ok", RESTAMP.encode()])
    receipt = write.replies("b", 1, tag=1).result
    assert (receipt.outcome, set(receipt.acked), dict(receipt.failed)) == (
        Outcome.COMMITTED,
        {"a", "b"},
        {},
    )


@pytest.mark.parametrize("failures", list(permutations(["b", "c", "d", "e"], 3)))
def test_lost_when_too_few_copies_are_left(failures: tuple[str, ...]) -> None:
    write = _start(5, 2).replies("a", 1)
    for position, node in enumerate(failures):
        write.fails(node, f"{node} is down")
        assert write.is_done is (position == 2)
    receipt = write.result
    assert receipt.outcome is Outcome.UNKNOWN
    assert receipt.failed == {node: f"{node} is down" for node in failures}
    assert len(receipt.pending) == 1


def test_failures_before_the_decision_wait_for_it() -> None:
    write = _start(3, 1).fails("b", "an error").fails("c", "an error")
    assert not write.is_done
    receipt = write.replies("a", 1).result
    assert (receipt.outcome, set(receipt.acked), set(receipt.failed)) == (
        Outcome.UNKNOWN,
        {"a"},
        {"b", "c"},
    )


def test_a_copy_whose_connection_is_lost_is_sent_the_record_again() -> None:
    """It keeps the later of two stamps: that both may arrive does no harm there."""
    write = _start(3, 1).fails("b").fails("c").replies("a", 1)
    assert (write.is_done, write.sent) == (False, ())
    write.looks_around()
    assert set(write.targets()) == {"b", "c"}
    assert copies_of(write.replies("c", 1).result) == ({"a", "c"}, {"b"}, {})


@pytest.mark.parametrize(
    "answer",
    [
        [b"refused", b"7", b"syncing"],
        [b"refused", b"6", b"syncing"],
        [b"refused", b"8", b"active"],
        [b"refused", b"", b""],
        [b"expired", b"1"],
        [b"foreign", b"shop:k:key"],
    ],
)
def test_a_copy_that_turned_the_record_down_has_failed(answer: list[bytes]) -> None:
    receipt = _start(2, 1).replies("b", answer).replies("a", 1).result
    assert (receipt.outcome, set(receipt.acked), set(receipt.failed)) == (
        Outcome.UNKNOWN,
        {"a"},
        {"b"},
    )


@pytest.mark.parametrize("is_first", [True, False])
def test_what_the_primary_took_goes_once_more_to_a_copy_whose_clock_turned_it_down(
    is_first: bool,
) -> None:
    write = _start(2, 1)
    for node, answer in (
        [("b", [b"skewed", b"1"]), ("a", 1)] if is_first else [("a", 1), ("b", [b"skewed", b"1"])]
    ):
        write.replies(node, answer)
    assert (write.targets(), write.sent[0].command.arguments[-1]) == (["b"], b"decided")
    receipt = write.replies("b", 1).result
    assert (receipt.outcome, receipt.failed) == (Outcome.COMMITTED, {})


@pytest.mark.parametrize("late", [[b"skewed", b"1"], [b"refused", b"7", b"syncing"]])
def test_a_late_refusal_of_what_was_sent_first_says_nothing_of_the_decided_record(
    late: list[bytes],
) -> None:
    write = _start(2, 1).replies("a", [b"ok", RESTAMP.encode()]).replies("b", late)
    assert write.replies("b", 1, tag=1).result.outcome is Outcome.COMMITTED


def test_it_goes_there_once() -> None:
    write = _start(2, 1).replies("a", 1).replies("b", [b"skewed", b"1"])
    receipt = write.replies("b", [b"skewed", b"1"]).result
    assert (receipt.outcome, set(receipt.failed)) == (Outcome.UNKNOWN, {"b"})


def test_what_the_primary_turns_down_too_goes_to_no_copy_again() -> None:
    write = _start(2, 1).replies("b", [b"skewed", b"1"])
    with pytest.raises(ClockSkew):
        write.replies("a", [b"skewed", b"1"])
    assert [request.node for request in write.everything] == ["a", "b"]


def test_a_deciding_node_that_may_have_stored_it_makes_the_outcome_unknown() -> None:
    receipt = _start(3, 1).replies("b", 1).fails("a", "connection lost").result
    assert (receipt.outcome, receipt.applied) == (Outcome.UNKNOWN, False)
    assert receipt.failed == {"a": "connection lost"}
    assert receipt.acked | receipt.pending == {"b", "c"}


def test_rejected_where_nothing_was_sent_at_all() -> None:
    write = _start(3, 1).fails("a", "refused the connection", sent=False)
    receipt = write.result
    assert (receipt.outcome, receipt.applied) == (Outcome.REJECTED, False)
    assert (receipt.acked, receipt.pending) == (frozenset(), frozenset())
    assert receipt.failed["a"] == "refused the connection"
    assert set(receipt.failed) == {"a", "b", "c"}


def test_never_rejected_where_a_copy_has_it() -> None:
    receipt = _start(3, 1).replies("b", 1).fails("a", "came back empty", sent=False).result
    assert receipt.outcome is Outcome.UNKNOWN


def test_another_epoch_is_for_the_caller_to_follow() -> None:
    write = _start(3, 1).replies("b", 1)
    with pytest.raises(EpochMoved, match="epoch 8"):
        write.replies("a", [b"refused", b"8", b"active"])


@pytest.mark.parametrize("answer", [[b"refused", b"7", b"syncing"], [b"refused", b"", b""]])
def test_a_deciding_node_that_does_not_serve_stored_nothing(answer: list[bytes]) -> None:
    receipt = _start(3, 1).replies("b", 1).replies("a", answer).result
    assert (receipt.outcome, receipt.applied) == (Outcome.UNKNOWN, False)
    assert "a" in receipt.failed
    receipt = _start(3, 0, reach_others=False).replies("a", answer).result
    assert (receipt.outcome, receipt.pending) == (Outcome.REJECTED, frozenset())


@pytest.mark.parametrize("verdict", [b"expired", b"skewed"])
def test_clocks_that_differ_too_much_are_an_error(verdict: bytes) -> None:
    write = _start(3, 1)
    with pytest.raises(ClockSkew, match="unknown") as caught:
        write.replies("a", [verdict, b"123"])
    assert set(caught.value.evidence) == {"a"}
    receipt = caught.value.receipt
    assert (receipt.outcome, receipt.applied, set(receipt.failed)) == (
        Outcome.UNKNOWN,
        False,
        {"a"},
    )
    assert (receipt.acked, receipt.pending) == (frozenset(), frozenset("bc"))


def test_a_foreign_value_on_the_deciding_node_is_an_error() -> None:
    write = _start(3, 1)
    with pytest.raises(NotAReplicatedRecord, match="b'key' on node 'a'"):
        write.replies("a", [b"foreign", b"shop:k:key"])


@pytest.mark.parametrize("copies", [1, 3])
def test_one_of_several_primaries_keeps_what_is_later(copies: int) -> None:
    later = Stamp(3000, 5)
    write = _start(copies, copies // 2, mode=Mode.MULTI_PRIMARY).replies(
        "a", [b"has", later.encode()]
    )
    if copies == 3:
        assert not write.is_done
        assert write.sent == ()
        write.replies("b", 1)
    receipt = write.result
    assert (receipt.outcome, receipt.applied, receipt.stamp) == (Outcome.COMMITTED, False, STAMP)


def test_a_copy_whose_clock_was_behind_is_asked_again_also_where_the_write_has_lost_already() -> (
    None
):
    write = _start(3, 1, mode=Mode.MULTI_PRIMARY).replies("b", [b"skewed", b"1"])
    write.replies("a", [b"has", Stamp(3000, 5).encode()])
    assert (write.targets(), write.sent[0].command.arguments[-1]) == (["b"], b"decided")
    receipt = write.replies("b", 1).result
    assert (receipt.outcome, receipt.applied) == (Outcome.COMMITTED, False)


def test_at_async_a_primary_that_is_asked_first_is_asked_alone() -> None:
    limits = order(0, reach_others=False)._replace(home_first=True)
    write = ByHand(write_one(view(3), limits, "key", b"key", RECORD)).replies("a", 1)
    assert [request.node for request in write.everything] == ["a"]
    assert copies_of(write.result) == ({"a"}, {"b", "c"}, {})


def test_what_is_known_of_a_refused_write_is_told_where_a_later_epoch_begins() -> None:
    write = _start(3, 1).fails("a", OOM).replies("b", 1)
    write.looks_around()
    told = topology(3, epoch=8).encode().encode()
    receipt = write.replies("c", told, tag=LOOK).result
    assert (receipt.outcome, receipt.failed) == (Outcome.UNKNOWN, {"a": OOM})


def test_nothing_required_is_nothing_waited_for() -> None:
    write = _start(3, 0).replies("a", [b"ok", RESTAMP.encode()])
    assert (write.is_done, write.targets()) == (True, ["b", "c"])
    assert write.result.outcome is Outcome.COMMITTED


def test_the_deadline_ends_the_waiting() -> None:
    receipt = _start(3, 2).replies("a", 1).replies("b", 1).times_out().result
    assert (receipt.outcome, set(receipt.acked), set(receipt.pending)) == (
        Outcome.UNKNOWN,
        {"a", "b"},
        {"c"},
    )
    assert receipt.elapsed == pytest.approx(1.0)


BEHIND = [b"refused", b"6", b"active"]


def test_a_copy_that_comes_to_the_epoch_a_moment_later_is_sent_the_record_again() -> None:
    write = _start(2, 1).replies("b", BEHIND).replies("a", 1)
    assert not write.is_done
    assert write.exchange.until < write.at + 0.1
    first = write.everything[0].command
    write.times_out()
    assert write.targets() == ["b"]
    assert write.sent[0].command == first
    receipt = write.replies("b", 1, tag=write.sent[0].tag).result
    assert (receipt.outcome, copies_of(receipt)) == (Outcome.COMMITTED, ({"a", "b"}, set(), {}))


def test_a_copy_that_stays_behind_is_told_at_the_deadline() -> None:
    write = _start(2, 1).replies("b", BEHIND).replies("a", 1)
    for _ in range(200):
        if write.is_done:
            break
        write.times_out()
        if not write.is_done and write.sent:
            write.replies("b", BEHIND, tag=write.sent[0].tag)
    assert write.result.outcome is Outcome.UNKNOWN
    assert write.at <= UNTIL + 0.01
    assert "b" not in write.result.acked


def test_what_was_sent_again_does_not_confirm_a_restamped_record() -> None:
    write = _start(3, 1).replies("b", BEHIND).times_out()
    assert write.targets() == ["b"]
    again = write.sent[0].tag
    write.replies("a", [b"ok", RESTAMP.encode()])
    assert write.targets() == ["b", "c"]
    write.replies("b", 1, tag=again)
    assert not write.is_done, "b has answered for the record as it was proposed"


OOM = "OOM command not allowed when used memory > 'maxmemory'."
READONLY = "READONLY You can't write against a read only replica."


@pytest.mark.parametrize("nodes", list(permutations("abc")))
def test_rejected_where_every_copy_takes_no_writes(nodes: tuple[str, ...]) -> None:
    write = _start(3, 1)
    for node in nodes:
        assert not write.is_done
        write.fails(node, OOM)
    receipt = write.result
    assert receipt.outcome is Outcome.REJECTED
    assert copies_of(receipt) == (set(), set(), dict.fromkeys("abc", OOM))


def test_rejected_where_the_others_took_nothing_for_other_reasons() -> None:
    write = _start(3, 1).fails("a", READONLY).fails("b", "refuses connections", sent=False)
    receipt = write.replies("c", [b"has", Stamp(3000, 1).encode()]).result
    assert receipt.outcome is Outcome.REJECTED
    assert receipt.failed["a"] == READONLY


@pytest.mark.parametrize("first", ["a", "b"])
def test_unknown_where_another_copy_took_it(first: str) -> None:
    """A failover may find it there, and it takes effect."""
    write = _start(3, 1)
    write = (
        write.fails("a", OOM).replies("b", 1)
        if first == "a"
        else write.replies("b", 1).fails("a", OOM)
    )
    receipt = write.fails("c", OOM).result
    assert receipt.outcome is Outcome.UNKNOWN
    assert copies_of(receipt) == ({"b"}, set(), {"a": OOM, "c": OOM})


def test_unknown_where_another_copy_says_nothing_and_nobody_waits_long_for_it() -> None:
    write = _start(3, 1).fails("a", OOM).fails("b", OOM)
    assert write.exchange.until < UNTIL
    while not write.is_done:
        write.looks_around()
    assert write.result.outcome is Outcome.UNKNOWN
    assert copies_of(write.result) == (set(), {"c"}, {"a": OOM, "b": OOM})


def test_an_error_that_tells_of_a_log_entry_is_no_refusal() -> None:
    write = _start(3, 1).fails("a", "ERR named in the change log, but not stored: NOPERM")
    assert write.result.outcome is Outcome.UNKNOWN


def test_at_async_a_refusal_is_final() -> None:
    receipt = _start(3, 0, reach_others=False).fails("a", OOM).result
    assert (receipt.outcome, receipt.failed) == (Outcome.REJECTED, {"a": OOM})


def test_a_copy_that_refuses_is_named_and_not_asked_again() -> None:
    write = _start(3, 2).replies("a", 1).replies("b", 1).fails("c", OOM)
    assert (write.result.outcome, write.result.failed) == (Outcome.UNKNOWN, {"c": OOM})


def _start_at_home(required: int, mode: Mode = Mode.PRIMARY_REPLICA) -> ByHand[WriteReceipt]:
    """A write to three copies, of which the deciding one turned down what was written lately."""
    plan = write_one(
        view(3, mode), order(required)._replace(home_first=True), "key", b"key", RECORD
    )
    return ByHand(plan)


def test_where_the_primary_turned_writes_down_the_others_get_what_it_has_taken() -> None:
    write = _start_at_home(1)
    assert write.targets() == ["a"]
    write.replies("a", 1)
    assert (write.targets(), write.is_done) == (["b", "c"], False)
    receipt = write.replies("c", 1, tag=1).result
    assert (receipt.outcome, copies_of(receipt)) == (Outcome.COMMITTED, ({"a", "c"}, {"b"}, {}))


def test_where_the_primary_is_asked_first_no_answer_to_a_look_confirms_the_write() -> None:
    """While it is waited for, the others are asked for the topology."""
    write = _start_at_home(1).looks_around()
    assert write.looks == ["b", "c"]
    write.replies("a", 1)
    assert (isinstance(write.exchange, Ask), write.targets()) == (True, ["b", "c"])


@pytest.mark.parametrize(
    ("reason", "sent", "outcome"),
    [
        ("READONLY You can't write against a read only replica.", True, Outcome.REJECTED),
        ("refuses connections", False, Outcome.REJECTED),
        ("connection lost: reset by peer", True, Outcome.UNKNOWN),
    ],
)
def test_what_it_turns_down_again_no_copy_gets(reason: str, sent: bool, outcome: Outcome) -> None:
    receipt = _start_at_home(1).fails("a", reason, sent).result
    assert (receipt.outcome, receipt.failed) == (outcome, {"a": reason})


def test_what_it_gives_a_later_stamp_goes_on_with_that() -> None:
    write = _start_at_home(1).replies("a", [b"ok", RESTAMP.encode()])
    assert write.targets() == ["b", "c"]
    assert _sent_record(write).stamp == RESTAMP
    assert write.replies("b", 1, tag=1).result.stamp == RESTAMP


def test_one_of_several_primaries_that_has_something_later_has_lost_the_write() -> None:
    write = _start_at_home(1, Mode.MULTI_PRIMARY).replies("a", [b"has", RESTAMP.encode()])
    receipt = write.replies("b", 1, tag=1).result
    assert (receipt.outcome, receipt.applied) == (Outcome.COMMITTED, False)
