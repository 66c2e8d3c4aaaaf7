"""`read_one` and `read_many_from`: which copy's answer counts."""

from __future__ import annotations

import pytest

from redrepl.plans.read import Found, read_many_from, read_one
from redrepl.values.errors import NotAReplicatedRecord, Unavailable
from redrepl.values.record import tombstone, value_record
from redrepl.values.stamp import NO_STAMP, Stamp
from redrepl.values.topology import Mode
from tests.unit.support.by_hand import START, UNTIL, ByHand, view

RECORD = value_record(Stamp(1000, 1), b"payload")
LATER = Stamp(2000, 1)


def _start(*candidates: str, at_least: Stamp = NO_STAMP, mode: Mode = Mode.PRIMARY_REPLICA) -> ByHand[Found]:
    return ByHand(read_one(view(3, mode), b"key", candidates, at_least, START, UNTIL))


def test_the_first_candidate_answers() -> None:
    read = _start("b", "a")
    assert read.targets() == ["b"]
    assert read.sent[0].command.arguments == (b"GET", b"shop:k:key")
    assert read.replies("b", RECORD.encode()).result == Found(RECORD, "b")


@pytest.mark.parametrize("record", [tombstone(LATER), value_record(LATER, b"", 1)])
def test_tombstones_and_deadlines_are_for_the_caller_to_judge(record: object) -> None:
    assert isinstance(record, type(RECORD))
    assert _start("b").replies("b", record.encode()).result == Found(record, "b")


def test_nothing_is_an_answer() -> None:
    assert _start("a", "b").replies("a", None).result == Found(None, "a")


def test_after_a_failure_the_next_is_asked() -> None:
    read = _start("b", "c", "a").fails("b")
    assert read.targets() == ["c"]
    assert read.replies("c", RECORD.encode()).result == Found(RECORD, "c")


def test_a_silent_copy_gets_its_share_of_the_time() -> None:
    read = _start("b", "a")
    assert read.exchange.until == pytest.approx(START + 0.5)
    read.times_out()
    assert (read.targets(), read.exchange.until) == (["a"], UNTIL)


def test_answers_of_copies_asked_before_are_no_longer_wanted() -> None:
    read = _start("b", "c", "a")
    assert read.exchange.fresh
    assert read.times_out().exchange.fresh
    assert read.fails("c").exchange.fresh


def test_a_copy_behind_this_session_is_passed_over() -> None:
    read = _start("b", "c", "a", at_least=LATER).replies("b", RECORD.encode()).replies("c", None)
    assert read.targets() == ["a"]
    assert read.replies("a", RECORD.encode()).result == Found(RECORD, "a")


def test_a_copy_as_new_as_this_session_answers() -> None:
    record = RECORD._replace(stamp=LATER)
    assert _start("b", "a", at_least=LATER).replies("b", record.encode()).result == Found(record, "b")


def test_with_several_primaries_none_may_lag_behind_this_session() -> None:
    read = _start("a", at_least=LATER, mode=Mode.MULTI_PRIMARY)
    with pytest.raises(Unavailable) as caught:
        read.replies("a", RECORD.encode())
    assert "session" in caught.value.evidence["a"]


def test_every_failure_is_told() -> None:
    read = _start("b", "c", "a").fails("b", "down").times_out()
    with pytest.raises(Unavailable) as caught:
        read.fails("a", "also down")
    assert caught.value.evidence == {"b": "down", "c": "no answer in time", "a": "also down"}


def test_foreign_values_are_told_from_failures() -> None:
    for answer in (b"hello", b""):
        with pytest.raises(NotAReplicatedRecord, match="'b'"):
            _start("b", "a").replies("b", answer)
    with pytest.raises(NotAReplicatedRecord, match="'b'"):
        _start("b", "a").fails("b", "WRONGTYPE Operation against a key")


def _many(node: str = "a") -> ByHand[list[Found]]:
    return ByHand(read_many_from(view(3), [b"x", b"y"], node, UNTIL))


def test_many_keys_are_one_command() -> None:
    read = _many()
    assert read.sent[0].command.arguments == (b"MGET", b"shop:k:x", b"shop:k:y")
    assert read.replies("a", [None, RECORD.encode()]).result == [Found(None, "a"), Found(RECORD, "a")]


def test_many_keys_from_a_node_that_fails() -> None:
    for read, reason in ((_many(), "down"), (_many(), "no answer in time")):
        with pytest.raises(Unavailable) as caught:
            read.fails("a", "down") if reason == "down" else read.times_out()
        assert caught.value.evidence == {"a": reason}


def test_many_keys_are_not_taken_from_a_copy_asked_earlier() -> None:
    assert _many().exchange.fresh
