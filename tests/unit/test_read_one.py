"""`read_one` and `read_many_from`: which copy's answer counts."""

from __future__ import annotations

import pytest

from redrepl.plans.operations.read import Found, read_decider, read_one
from redrepl.plans.operations.read_many import read_many_from
from redrepl.plans.view import EpochMoved, Refused
from redrepl.values.effects import Ask, Wait
from redrepl.values.errors import NotAReplicatedRecord, Unavailable
from redrepl.values.record import tombstone, value_record
from redrepl.values.stamp import NO_STAMP, Stamp
from redrepl.values.topology import Mode
from tests.unit.support.by_hand import START, UNTIL, ByHand, view

RECORD = value_record(Stamp(1000, 1), b"payload")
SERVING = b"7 active"
LATER = Stamp(2000, 1)


def _start(
    *candidates: str, at_least: Stamp = NO_STAMP, mode: Mode = Mode.PRIMARY_REPLICA
) -> ByHand[Found]:
    return ByHand(read_one(view(3, mode), b"key", candidates, at_least, START, UNTIL))


def test_the_first_candidate_answers() -> None:
    read = _start("b", "a")
    assert read.targets() == ["b"]
    assert read.sent[0].command.arguments == (b"MGET", b"shop:m:guard", b"shop:k:key")
    assert read.replies("b", [SERVING, RECORD.encode()]).result == Found(RECORD, "b")


@pytest.mark.parametrize("record", [tombstone(LATER), value_record(LATER, b"", 1)])
def test_tombstones_and_deadlines_are_for_the_caller_to_judge(record: object) -> None:
    assert isinstance(record, type(RECORD))
    assert _start("b").replies("b", [SERVING, record.encode()]).result == Found(record, "b")


def test_nothing_is_an_answer() -> None:
    assert _start("a", "b").replies("a", [SERVING, None]).result == Found(None, "a")


def test_after_a_failure_the_next_is_asked() -> None:
    read = _start("b", "c", "a").fails("b")
    assert read.targets() == ["c"]
    assert read.replies("c", [SERVING, RECORD.encode()]).result == Found(RECORD, "c")


def test_a_silent_copy_gets_its_share_of_the_time() -> None:
    read = _start("b", "a")
    assert read.exchange.until == pytest.approx(START + 0.5)
    read.times_out()
    assert (read.targets(), read.exchange.until) == (["a"], UNTIL)


def test_answers_of_copies_asked_before_are_no_longer_wanted() -> None:
    read = _start("b", "c", "a")
    assert isinstance(read.exchange, Ask)
    assert isinstance(read.times_out().exchange, Ask)
    assert isinstance(read.fails("c").exchange, Ask)


def test_a_copy_behind_this_session_is_passed_over() -> None:
    read = (
        _start("b", "c", "a", at_least=LATER)
        .replies("b", [SERVING, RECORD.encode()])
        .replies("c", [SERVING, None])
    )
    assert read.targets() == ["a"]
    assert read.replies("a", [SERVING, RECORD.encode()]).result == Found(RECORD, "a")


def test_a_copy_as_new_as_this_session_answers() -> None:
    record = RECORD._replace(stamp=LATER)
    assert _start("b", "a", at_least=LATER).replies(
        "b", [SERVING, record.encode()]
    ).result == Found(record, "b")


def test_with_several_primaries_none_may_lag_behind_this_session() -> None:
    read = _start("a", at_least=LATER, mode=Mode.MULTI_PRIMARY)
    with pytest.raises(Unavailable) as caught:
        read.replies("a", [SERVING, RECORD.encode()])
    assert "session" in caught.value.evidence["a"]


def test_every_failure_is_told() -> None:
    read = _start("b", "c", "a").fails("b", "down").times_out()
    with pytest.raises(Unavailable) as caught:
        read.fails("a", "also down")
    assert caught.value.evidence == {"b": "down", "c": "no answer in time", "a": "also down"}


def test_foreign_values_are_told_from_failures() -> None:
    for answer in (b"hello", b""):
        with pytest.raises(NotAReplicatedRecord, match="'b'"):
            _start("b", "a").replies("b", [SERVING, answer])


# Nodes that do not serve in this epoch ------------------------------------------------------------

BEHIND, AHEAD, FENCED_AHEAD, SYNCING, GONE = (
    b"6 active",
    b"8 active",
    b"8 fenced",
    b"7 syncing",
    None,
)
OVERWRITTEN = b"what?"
NO_LONGER = pytest.mark.parametrize("guard", [BEHIND, FENCED_AHEAD, SYNCING, GONE, OVERWRITTEN])


@NO_LONGER
def test_a_copy_that_does_not_serve_is_passed_over(guard: bytes | None) -> None:
    read = _start("b", "c", "a").replies("b", [guard, RECORD.encode()])
    assert read.targets() == ["c"]
    assert read.replies("c", [SERVING, RECORD.encode()]).result == Found(RECORD, "c")


def test_where_a_copy_serves_in_a_later_epoch_none_of_this_one_is_asked() -> None:
    with pytest.raises(EpochMoved, match="epoch 8"):
        _start("b", "c", "a").replies("b", [AHEAD, RECORD.encode()])


@pytest.mark.parametrize(
    ("guard", "error"),
    [
        (BEHIND, Refused),
        (AHEAD, EpochMoved),
        (FENCED_AHEAD, EpochMoved),
        (SYNCING, Refused),
        (GONE, Refused),
        (OVERWRITTEN, Refused),
    ],
)
def test_what_a_former_primary_holds_is_no_answer(
    guard: bytes | None, error: type[Exception]
) -> None:
    with pytest.raises(error):
        _start("a").replies("a", [guard, RECORD.encode()])
    with pytest.raises(error):
        _start("b", "a").replies("b", [SYNCING, RECORD.encode()]).replies(
            "a", [guard, RECORD.encode()]
        )
    with pytest.raises(EpochMoved if guard == BEHIND else error):
        ByHand(read_decider(view(3), b"key", START, UNTIL)).replies("a", [guard, RECORD.encode()])


# Many keys ----------------------------------------------------------------------------------------

KEYS = [b"k%d" % number for number in range(6)]
RECORDS = [value_record(Stamp(1000 + number, 1), b"%d" % number) for number in range(6)]
ENCODED = [record.encode() for record in RECORDS]


def _many(
    *nodes: str, width: int = 1, at_least: Stamp = NO_STAMP, mode: Mode = Mode.PRIMARY_REPLICA
) -> ByHand[list[Found]]:
    return ByHand(
        read_many_from(view(3, mode), KEYS, nodes, [at_least] * len(KEYS), START, UNTIL, width),
    )


def _asked(read: ByHand[list[Found]]) -> dict[str, list[bytes]]:
    """Who was asked for what in the last exchange."""
    return {
        request.node: [bytes(name)[7:] for name in request.command.arguments[2:]]
        for request in read.sent
    }


def test_many_keys_are_one_command() -> None:
    read = _many("a")
    assert read.sent[0].command.arguments == (
        b"MGET",
        b"shop:m:guard",
        *(b"shop:k:" + key for key in KEYS),
    )
    found = read.replies("a", [SERVING, None, *ENCODED[1:]]).result
    assert found == [Found(None, "a"), *(Found(record, "a") for record in RECORDS[1:])]


@pytest.mark.parametrize("reason", ["down", "no answer in time"])
def test_many_keys_from_a_node_that_fails(reason: str) -> None:
    read = _many("a")
    with pytest.raises(Unavailable, match="6 of 6 keys") as caught:
        read.fails("a", "down") if reason == "down" else read.times_out()
    assert caught.value.evidence == {"a": reason}


def test_many_keys_are_not_taken_from_a_copy_asked_earlier() -> None:
    assert isinstance(_many("a").exchange, Ask)


def test_many_keys_are_divided_and_asked_at_once() -> None:
    read = _many("b", "c", "a", width=2)
    assert _asked(read) == {"b": KEYS[:3], "c": KEYS[3:]}
    read.replies("c", [SERVING, *ENCODED[3:]], tag=1)
    assert not read.is_done
    found = read.replies("b", [SERVING, *ENCODED[:3]]).result
    assert found == [
        Found(record, "b" if number < 3 else "c") for number, record in enumerate(RECORDS)
    ]


@pytest.mark.parametrize(("width", "parts"), [(3, [2, 2, 2]), (9, [2, 2, 2])])
def test_parts_are_equal(width: int, parts: list[int]) -> None:
    read = _many("b", "c", "a", width=width)
    assert [len(names) for names in _asked(read).values()] == parts


def test_few_keys_make_few_requests() -> None:
    read = ByHand(read_many_from(view(3), KEYS[:1], ("b", "c"), [NO_STAMP], START, UNTIL, 2))
    assert [len(names) for names in _asked(read).values()] == [1]


def test_what_a_node_that_fails_was_asked_for_is_asked_for_elsewhere() -> None:
    read = _many("b", "c", "a", width=2).fails("b", "down")
    assert _asked(read) == {"c": KEYS[:3]}
    assert isinstance(read.exchange, Wait), "the other part still is awaited"
    read.replies("c", [SERVING, *ENCODED[3:]], tag=1).fails("c", "also down", tag=2)
    assert _asked(read) == {"a": KEYS[:3]}
    assert [each.node for each in read.replies("a", [SERVING, *ENCODED[:3]], tag=3).result] == [
        "a"
    ] * 3 + ["c"] * 3


def test_a_silent_node_gets_its_share_of_the_time_and_may_still_answer() -> None:
    read = _many("b", "c", "a", width=2)
    assert read.exchange.until == pytest.approx(START + 1 / 3)
    read.replies("c", [SERVING, *ENCODED[3:]], tag=1).times_out()
    assert _asked(read) == {"c": KEYS[:3]}
    found = read.replies("b", [SERVING, *ENCODED[:3]]).result
    assert [each.node for each in found] == ["b"] * 3 + ["c"] * 3


def test_the_last_node_has_all_the_time_that_is_left() -> None:
    read = _many("b", "c", "a", width=2).fails("b").fails("c", tag=1).fails("c", tag=2)
    assert read.exchange.until == pytest.approx(UNTIL)


def test_only_what_lags_behind_this_session_is_asked_for_elsewhere() -> None:
    at_least = Stamp(1001, 1)
    read = _many("b", "c", "a", width=2, at_least=at_least).replies(
        "b", [SERVING, None, *ENCODED[1:3]]
    )
    assert _asked(read) == {"c": KEYS[:1]}
    read.replies("c", [SERVING, *ENCODED[3:]], tag=1).replies("c", [SERVING, *ENCODED[:1]], tag=2)
    assert _asked(read) == {"a": KEYS[:1]}
    found = read.replies("a", [SERVING, None], tag=3).result
    assert found[0] == Found(None, "a"), "the primary cannot lag"
    assert [each.node for each in found] == ["a", "b", "b", "c", "c", "c"]


def test_a_node_that_lags_for_one_key_may_answer_for_another() -> None:
    at_least = Stamp(1001, 1)
    read = _many("b", "c", "a", width=2, at_least=at_least).replies("b", [SERVING, *ENCODED[:3]])
    read.fails("c", "down", tag=1)
    assert _asked(read) == {"b": KEYS[3:]}


def test_with_several_primaries_no_answer_may_lag() -> None:
    read = _many("a", at_least=LATER, mode=Mode.MULTI_PRIMARY)
    with pytest.raises(Unavailable, match="6 of 6 keys") as caught:
        read.replies("a", [SERVING, *ENCODED])
    assert "session" in caught.value.evidence["a"]


def test_without_anybody_left_it_ends_at_once_and_with_silent_ones_at_the_deadline() -> None:
    failed = _many("b", "c", width=2).fails("b", "down").fails("c", "down", tag=1)
    with pytest.raises(Unavailable):
        failed.fails("c", "down", tag=2)
    assert failed.at < UNTIL
    silent = _many("b", "c", width=1).times_out().fails("c", "down", tag=1)
    assert silent.exchange.until == pytest.approx(UNTIL)
    with pytest.raises(Unavailable) as caught:
        silent.times_out()
    assert caught.value.evidence == {"b": "no answer in time", "c": "down"}


def test_a_foreign_value_among_many_is_told() -> None:
    with pytest.raises(NotAReplicatedRecord, match="'b'"):
        _many("b").replies("b", [SERVING, *ENCODED[:5], b"foreign"])


@NO_LONGER
def test_what_a_node_that_does_not_serve_was_asked_for_is_asked_for_elsewhere(
    guard: bytes | None,
) -> None:
    read = _many("b", "c", "a", width=2).replies("b", [guard, *ENCODED[:3]])
    assert _asked(read) == {"c": KEYS[:3]}
    read.replies("c", [SERVING, *ENCODED[3:]], tag=1)
    assert {each.node for each in read.replies("c", [SERVING, *ENCODED[:3]], tag=2).result} == {"c"}


@pytest.mark.parametrize(
    ("guard", "error"),
    [
        (BEHIND, Refused),
        (AHEAD, EpochMoved),
        (FENCED_AHEAD, EpochMoved),
        (SYNCING, Refused),
        (GONE, Refused),
    ],
)
def test_many_keys_of_a_former_primary_are_no_answer(
    guard: bytes | None, error: type[Exception]
) -> None:
    with pytest.raises(error):
        _many("a").replies("a", [guard, *ENCODED])
