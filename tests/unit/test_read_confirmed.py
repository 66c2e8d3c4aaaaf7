"""`read_confirmed`: a record is the answer when enough copies hold it, and not before."""

from __future__ import annotations

from itertools import permutations

import pytest

from redrepl.plans.operations.read import Confirmed, read_confirmed
from redrepl.plans.operations.replication import GRACE_SECONDS
from redrepl.plans.view import EpochMoved, Refused
from redrepl.values.effects import ScriptCall
from redrepl.values.errors import NotAReplicatedRecord, Unavailable
from redrepl.values.record import Record, value_record
from redrepl.values.stamp import Stamp
from redrepl.values.topology import Mode
from tests.unit.support.by_hand import UNTIL, ByHand, view

OLD = value_record(Stamp(1000, 1), b"old")
NEW = value_record(Stamp(2000, 1), b"new")
NEWEST = value_record(Stamp(3000, 1), b"newest")
HEADERS, REPAIR = 1, 2


def _start(
    copies: int,
    required: int,
    keys: tuple[bytes, ...] = (b"key",),
    mode: Mode = Mode.PRIMARY_REPLICA,
) -> ByHand[Confirmed]:
    return ByHand(read_confirmed(view(copies, mode), "a", keys, required, UNTIL))


def _records(*records: Record | None) -> list[bytes | None]:
    return [b"ok", *(record.encode() if record else None for record in records)]


def _headers(*records: Record | None) -> list[bytes]:
    return [b"ok", *(record.encode()[:35] if record else b"" for record in records)]


def test_records_from_home_and_headers_from_all_others() -> None:
    read = _start(3, 1)
    assert list(zip(read.targets(), read.scripts(), strict=True)) == [
        ("a", "read_many"),
        ("b", "headers"),
        ("c", "headers"),
    ]


@pytest.mark.parametrize("required", [0, 1])
def test_home_answers_only_where_it_decides(required: int) -> None:
    """Its record is the answer, whatever others show: a replica that a made-up topology names must
    not give it.
    """
    read = _start(3, required)
    assert [
        each.command.arguments[1] for each in read.sent if isinstance(each.command, ScriptCall)
    ] == [
        b"decided",
        *[b"active", b"active"][: 2 * required],
    ]
    with pytest.raises(Refused, match="node 'a' is a replica in epoch 7"):
        read.replies("a", [b"refused", b"7", b"active"])


def test_nothing_required_asks_nobody_else() -> None:
    read = _start(3, 0)
    assert read.targets() == ["a"]
    assert read.replies("a", _records(NEW)).result.records == [NEW]


@pytest.mark.parametrize(("copies", "required"), [(2, 1), (3, 1), (3, 2), (5, 2), (5, 4)])
def test_confirmed_when_enough_copies_hold_it(copies: int, required: int) -> None:
    for nodes in permutations(["a", *"bcde"[:required]]):
        read = _start(copies, required)
        for position, node in enumerate(nodes):
            if node == "a":
                read.replies("a", _records(NEW))
            else:
                read.replies(node, _headers(NEW), tag=HEADERS)
            assert read.is_done is (position == required)
        assert read.result.records == [NEW]
        assert (read.result.node, read.result.repaired) == ("a", 0)


def test_an_absent_key_is_confirmed_by_anybody() -> None:
    assert _start(3, 1).replies("a", _records(None)).replies(
        "b", _headers(NEW), HEADERS
    ).result.records == [None]


def test_what_a_replica_has_more_is_not_the_answer() -> None:
    read = _start(3, 1).replies("b", _headers(NEWEST), HEADERS).replies("a", _records(NEW))
    assert read.result.records == [NEW]


def test_a_copy_that_lags_gets_the_record_first() -> None:
    read = _start(2, 1).replies("a", _records(NEW)).replies("b", _headers(OLD), HEADERS)
    assert not read.is_done
    assert (read.targets(), read.scripts()) == (["b"], ["write_many"])
    command = read.sent[0].command
    assert isinstance(command, ScriptCall)
    assert (command.keys[2:], command.arguments[1:]) == (
        (b"shop:k:key",),
        (NEW.encode(), b"decided"),
    )
    result = read.replies("b", 1, REPAIR).result
    assert (result.records, result.repaired) == ([NEW], 1)


def test_only_what_a_copy_lacks_is_pushed() -> None:
    read = _start(2, 1, (b"x", b"y", b"z")).replies("b", _headers(NEW, OLD, None), HEADERS)
    read.replies("a", _records(NEW, NEW, None))
    command = read.sent[0].command
    assert isinstance(command, ScriptCall)
    assert (command.keys[2:], command.arguments[1:]) == ((b"shop:k:y",), (NEW.encode(), b"decided"))
    assert (
        read.replies("b", [b"some", 0, b"has", NEWEST.stamp.encode()], REPAIR).result.repaired == 1
    )


def test_a_copy_that_refuses_the_repair_confirms_nothing() -> None:
    read = _start(2, 1).replies("a", _records(NEW)).replies("b", _headers(OLD), HEADERS)
    with pytest.raises(Unavailable) as caught:
        read.replies("b", [b"some", 0, b"skewed", b"1"], REPAIR)
    assert caught.value.evidence == {"b": "refused the repair"}


def test_repairs_are_counted_only_when_they_are_sent() -> None:
    read = _start(3, 1).replies("b", _headers(OLD), HEADERS).replies("c", _headers(NEW), HEADERS)
    read.replies("a", _records(NEW))
    pushed = [request for request in read.everything if request.tag == REPAIR]
    assert read.result.repaired == len(pushed)


@pytest.mark.parametrize(
    "answer", [[b"refused", b"6", b"active"], [b"refused", b"7", b"syncing"], [b"ok", b"foreign"]]
)
def test_a_copy_that_does_not_serve_confirms_nothing(answer: list[bytes]) -> None:
    read = _start(3, 1).replies("b", answer, HEADERS).replies("a", _records(NEW))
    assert not read.is_done
    assert read.replies("c", _headers(NEW), HEADERS).result.records == [NEW]


def test_lost_when_too_few_copies_are_left() -> None:
    read = _start(3, 1).replies("a", _records(NEW)).fails("b", "down", tag=HEADERS)
    with pytest.raises(Unavailable) as caught:
        read.fails("c", "also down", tag=HEADERS)
    assert caught.value.evidence == {"b": "down", "c": "also down"}


def test_the_deadline_ends_the_waiting() -> None:
    read = _start(3, 1).replies("a", _records(NEW)).fails("b", "down", tag=HEADERS)
    with pytest.raises(Unavailable) as caught:
        read.times_out()
    assert caught.value.evidence == {"b": "down", "c": "no answer yet"}


def test_without_the_primary_there_is_no_answer() -> None:
    read = _start(3, 1).replies("b", _headers(NEW), HEADERS)
    with pytest.raises(Unavailable, match="'a'"):
        read.fails("a", "down")


def test_another_epoch_is_for_the_caller_to_follow() -> None:
    with pytest.raises(EpochMoved):
        _start(3, 1).replies("a", [b"refused", b"8", b"active"])
    with pytest.raises(Unavailable):
        _start(3, 1).replies("a", [b"refused", b"7", b"syncing"])


@pytest.mark.parametrize("stored", [b"foreign", b"hello"])
def test_a_foreign_value_on_the_primary_is_an_error(stored: bytes) -> None:
    with pytest.raises(NotAReplicatedRecord, match="b'key' on node 'a'"):
        _start(3, 1).replies("a", [b"ok", stored])


def test_of_several_primaries_the_latest_record_is_the_answer() -> None:
    read = (
        _start(3, 1, mode=Mode.MULTI_PRIMARY)
        .replies("a", _records(OLD))
        .replies("b", _headers(NEW), HEADERS)
    )
    assert (read.targets(), read.scripts()) == (["b"], ["read_many"])
    read.replies("b", _records(NEW))
    assert (read.targets(), read.scripts()) == (["a"], ["write_many"])
    assert read.replies("a", 1, REPAIR).result.records == [NEW]


def test_a_repair_confirms_what_was_pushed_and_nothing_later() -> None:
    read = (
        _start(3, 1, mode=Mode.MULTI_PRIMARY)
        .replies("a", _records(NEW))
        .replies("b", _headers(OLD), HEADERS)
    )
    assert (read.targets(), read.scripts()) == (["b"], ["write_many"])
    read.replies("c", _headers(NEWEST), HEADERS).replies("c", _records(NEWEST))
    read.replies("b", 1, REPAIR)
    assert not read.is_done, (
        "NEWEST stands on c alone: b was sent NEW, and a has not answered its repair"
    )


def test_a_copy_that_fails_while_it_is_fetched_from_is_left_out() -> None:
    read = (
        _start(3, 1, mode=Mode.MULTI_PRIMARY)
        .replies("a", _records(NEW))
        .replies("c", _headers(NEWEST), HEADERS)
    )
    assert read.targets() == ["c"]
    read.fails("c", "down")
    assert read.replies("b", _headers(NEW), HEADERS).result.records == [NEW]


def _refusal(epoch: int, state: bytes = b"active") -> list[bytes]:
    return [b"refused", b"%d" % epoch, state]


@pytest.mark.parametrize("last", ["answers nothing", "refuses"])
def test_that_other_copies_are_in_a_later_epoch_is_told_before_the_deciding_node_answers(
    last: str,
) -> None:
    """Who only reads learns of another primary from whichever copy answers first."""
    read = (
        _start(5, 2)
        .replies("b", _refusal(8), tag=HEADERS)
        .replies("c", _refusal(8, b"fenced"), tag=HEADERS)
    )
    with pytest.raises(EpochMoved, match="epoch 8"):
        read.times_out() if last == "answers nothing" else read.replies(
            "d", _refusal(8), tag=HEADERS
        )


def test_a_copy_in_a_later_epoch_is_passed_over_where_enough_others_confirm() -> None:
    read = _start(5, 2).replies("b", _refusal(8), tag=HEADERS).replies("a", _records(NEW))
    assert read.replies("c", _headers(NEW), tag=HEADERS).replies(
        "d", _headers(NEW), tag=HEADERS
    ).result.holders == {*"acd"}


@pytest.mark.parametrize("is_lost", [True, False])
def test_a_copy_that_is_behind_or_whose_connection_is_lost_is_asked_again(is_lost: bool) -> None:
    read = _start(3, 2).replies("a", _records(NEW)).replies("b", _headers(NEW), tag=HEADERS)
    if is_lost:
        read.fails("c", "connection lost: reset by peer", tag=HEADERS)
    else:
        read.replies("c", _refusal(6), tag=HEADERS)
    assert (read.targets(), read.is_done) == ([], False)
    read.looks_around()
    assert (read.targets(), read.scripts()) == (["c"], ["headers"])
    assert read.replies("c", _headers(NEW), tag=HEADERS).result.holders == {*"abc"}


def test_a_copy_whose_connection_is_lost_for_long_counts_as_failed() -> None:
    read = _start(3, 2).replies("a", _records(NEW)).replies("b", _headers(NEW), tag=HEADERS)
    read.fails("c", "connection lost", tag=HEADERS).looks_around()
    read.at += GRACE_SECONDS
    with pytest.raises(Unavailable, match="connection lost"):
        read.fails("c", "connection lost", tag=HEADERS)


def test_copies_that_are_no_members_may_have_left() -> None:
    """Their answers come before the primary's, which would tell of the later epoch: who reads has
    to look around.
    """
    read = _start(3, 1).replies("b", [b"refused", b"", b""], tag=HEADERS)
    with pytest.raises(Refused, match="1 copies besides 'a' are required"):
        read.replies("c", [b"refused", b"", b""], tag=HEADERS)
