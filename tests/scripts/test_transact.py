"""`transact`: all or nothing with expectations, or each on its own; one log entry, operations on a
key in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest

from redrepl.values.record import Record
from redrepl.values.stamp import Stamp
from tests.scripts.harness import EPOCH, LAYOUT, Node, deleted, restamped, value

ROOM = 1_000_000
KEYS = [b"x", b"y", b"z"]
Expectations = Sequence[tuple[int, bytes]]


class Op(NamedTuple):
    """One operation on a key of KEYS."""

    key: int
    name: bytes
    stamp: Stamp
    operand: bytes = b""
    deadline: int = 0


def _transact(
    node: Node,
    operations: Sequence[Op],
    expectations: Expectations = (),
    mode: bytes = b"unit",
    room: int = ROOM,
    keys: Sequence[bytes] = KEYS,
) -> list[Any]:
    arguments: list[bytes | int] = [EPOCH, mode, room, len(expectations)]
    for index, stamp in expectations:
        arguments += [index, stamp]
    for op in operations:
        arguments += [op.key, op.name, op.stamp.encode(), b"%012x" % op.deadline, op.operand]
    answer: list[Any] = node.call("transact", keys, *arguments)
    return answer


def _contents(node: Node) -> dict[bytes, bytes | None]:
    return {key: node.stored(key) for key in KEYS}


@pytest.mark.parametrize("rule", ["decide", "merge"])
@pytest.mark.parametrize("mode", [b"unit", b"each"])
def test_what_is_stored_makes_one_log_entry(node: Node, rule: str, mode: bytes) -> None:
    node.enrol(rule=rule)
    stamps = [node.stamp(0, writer) for writer in (1, 2, 3)]
    node.put(b"y", value(node.stamp(-5), b"old"))
    answer = _transact(
        node,
        [
            Op(0, b"set", stamps[0], b"payload", node.millis(60)),
            Op(1, b"delete", stamps[1]),
            Op(2, b"add", stamps[2], b"added"),
        ],
        mode=mode,
    )
    assert answer == [
        b"done",
        b"ok",
        stamps[0].encode(),
        b"ok",
        stamps[1].encode(),
        b"ok",
        stamps[2].encode(),
    ]
    assert node.record(b"x").payload == b"payload"
    assert node.expires_at_millis(b"x") == node.record(b"x").deadline_millis + 30_000
    assert _contents(node) | {b"x": b""} == {
        b"x": b"",
        b"y": deleted(stamps[1]).encode(),
        b"z": value(stamps[2], b"added").encode(),
    }
    assert node.log() == [dict(zip(KEYS, [stamp.encode() for stamp in stamps], strict=True))]


def test_increment_and_expire_answer_the_whole_record(node: Node) -> None:
    node.put(b"x", value(node.stamp(-5), b"41", node.millis(600)))
    node.put(b"y", value(node.stamp(-5), b"pay|load")._replace(causal=b"123"))
    answer = _transact(
        node,
        [
            Op(0, b"increment", node.stamp(), b"1"),
            Op(1, b"expire", node.stamp(), deadline=node.millis(60)),
        ],
    )
    assert answer == [b"done", b"ok", node.stored(b"x"), b"ok", node.stored(b"y")]
    assert (node.record(b"x").payload, node.record(b"y").payload) == (b"42", b"pay|load")
    assert node.record(b"x").deadline_millis > node.record(b"y").deadline_millis > 0


def test_operations_on_one_key_follow_each_other(node: Node) -> None:
    first = node.stamp()
    stamps = [Stamp(first.micros + number, 1) for number in range(5)]
    answer = _transact(
        node,
        [
            Op(0, b"set", stamps[0], b"40"),
            Op(0, b"increment", stamps[1], b"1"),
            Op(0, b"increment", stamps[2], b"1"),
            Op(1, b"delete", stamps[3]),
            Op(1, b"add", stamps[4], b"again"),
        ],
    )
    assert [detail[:22] for detail in answer[2::2]] == [stamp.encode() for stamp in stamps]
    assert (node.record(b"x"), node.record(b"y")) == (
        value(stamps[2], b"42"),
        value(stamps[4], b"again"),
    )
    assert node.log() == [{b"x": stamps[2].encode(), b"y": stamps[4].encode()}]


def test_what_is_not_later_is_restamped_and_stays_in_order(node: Node) -> None:
    standing = node.put(b"x", value(node.stamp(1), b"1"))
    early = node.stamp(-1)
    answer = _transact(
        node,
        [Op(0, b"set", early, b"5"), Op(0, b"increment", early, b"1"), Op(1, b"set", early, b"y")],
    )
    first = restamped(value(early, b"5"), standing.stamp)
    second = restamped(value(early, b"6"), first.stamp)
    assert answer == [
        b"done",
        b"ok",
        first.stamp.encode(),
        b"ok",
        second.encode(),
        b"ok",
        early.encode(),
    ]
    assert node.record(b"x") == second
    assert node.log() == [{b"x": second.stamp.encode(), b"y": early.encode()}]


def _standing(node: Node) -> dict[bytes, Record]:
    return {
        b"x": node.put(b"x", value(node.stamp(-5))),
        b"y": node.put(b"y", deleted(node.stamp(-4))),
    }


def test_expectations_that_hold_let_it_through(node: Node) -> None:
    standing = _standing(node)
    held = [
        (0, standing[b"x"].stamp.encode()),
        (1, standing[b"y"].stamp.encode()),
        (1, b""),
        (2, b""),
    ]
    assert _transact(node, [Op(2, b"set", node.stamp(), b"v")], held)[0] == b"done"
    assert node.record(b"z").payload == b"v"


@pytest.mark.parametrize(
    ("index", "expected"), [(0, b""), (0, b"0" * 22), (1, b"0" * 22), (2, b"0" * 22)]
)
def test_one_expectation_that_does_not_hold_stops_it_all(
    node: Node, index: int, expected: bytes
) -> None:
    standing = _standing(node)
    before = _contents(node)
    operations = [Op(number, b"set", node.stamp(), b"new") for number in range(3)]
    answer = _transact(node, operations, [(2, b""), (index, expected)])
    stands = standing[KEYS[index]].stamp.encode() if KEYS[index] in standing else b""
    assert answer == [b"conflict", index, stands]
    assert (_contents(node), node.log()) == (before, [])


def test_every_key_in_conflict_is_named_once_with_what_stood_before(node: Node) -> None:
    standing = _standing(node)
    later = node.stamp()
    operations = [
        Op(0, b"set", later, b"new"),
        Op(2, b"increment", later, b"1"),
        Op(2, b"add", later, b"never"),
        Op(1, b"expire", later),
    ]
    answer = _transact(node, operations, [(0, b""), (0, b"0" * 22)])
    x, y = (standing[key].stamp.encode() for key in (b"x", b"y"))
    assert answer == [b"conflict", 0, x, 2, b"", 1, y]
    assert (node.stored(b"z"), node.log()) == (None, [])


def test_a_record_past_its_deadline_is_no_longer_the_one_that_was_seen(node: Node) -> None:
    gone = node.put(b"x", value(node.stamp(-5), b"v", node.millis(-1)))
    assert _transact(node, [], [(0, gone.stamp.encode())]) == [b"conflict", 0, gone.stamp.encode()]
    assert _transact(node, [], [(0, b"")]) == [b"done"]


@pytest.mark.parametrize("name", [b"add", b"expire", b"compare"])
def test_a_condition_that_does_not_hold_stops_a_unit_and_nothing_else(
    node: Node, name: bytes
) -> None:
    live, absent = node.put(b"x", value(node.stamp(-5))), node.put(b"y", deleted(node.stamp(-4)))
    index, stands = (1, absent) if name == b"expire" else (0, live)
    operations = [Op(2, b"set", node.stamp(), b"v"), Op(index, name, node.stamp(), b"0" * 22)]
    assert _transact(node, operations) == [b"conflict", index, stands.stamp.encode()]
    assert (node.stored(b"z"), node.log()) == (None, [])
    answer = _transact(node, operations, mode=b"each")
    assert answer == [b"done", b"ok", operations[0].stamp.encode(), b"unmet", stands.stamp.encode()]
    assert node.log() == [{b"z": operations[0].stamp.encode()}]


def test_what_cannot_be_carried_out_stops_a_unit_and_nothing_else(node: Node) -> None:
    standing = node.put(b"x", value(node.stamp(-5), b"word"))
    operations = [
        Op(2, b"set", node.stamp(), b"v"),
        Op(0, b"increment", node.stamp(), b"1"),
        Op(1, b"rename", node.stamp(), b"1"),
    ]
    assert _transact(node, operations) == [b"unfit", 1, b"the value is not a whole number"]
    assert (node.stored(b"z"), node.log()) == (None, [])
    answer = _transact(node, operations, mode=b"each")
    assert answer[3:] == [
        b"unfit",
        b"the value is not a whole number",
        b"unfit",
        b"unknown operation rename",
    ]
    assert node.stored(b"x") == standing.encode()
    assert node.log() == [{b"z": operations[0].stamp.encode()}]


def test_a_conflict_is_told_before_what_is_unfit(node: Node) -> None:
    standing = node.put(b"x", value(node.stamp(-5), b"word"))
    operations = [Op(0, b"increment", node.stamp(), b"1"), Op(0, b"add", node.stamp(), b"v")]
    assert _transact(node, operations) == [b"conflict", 0, standing.stamp.encode()]


def test_each_goes_on_from_what_the_one_before_left(node: Node) -> None:
    first = node.stamp()
    stamps = [Stamp(first.micros + number, 1) for number in range(4)]
    answer = _transact(
        node,
        [
            Op(0, b"add", stamps[0], b"1"),
            Op(0, b"add", stamps[1], b"2"),
            Op(0, b"compare", stamps[2], stamps[0].encode() + b"3"),
            Op(0, b"increment", stamps[3], b"4"),
        ],
        mode=b"each",
    )
    assert answer[1::2] == [b"ok", b"unmet", b"ok", b"ok"]
    assert answer[4] == stamps[0].encode()
    assert node.record(b"x") == value(stamps[3], b"7")
    assert len(node.log()) == 1


@pytest.mark.parametrize("mode", [b"unit", b"each"])
@pytest.mark.parametrize(("offset", "verdict"), [(60, b"skewed"), (-90, b"expired")])
def test_what_waited_or_comes_from_the_future_changes_nothing(
    node: Node, mode: bytes, offset: int, verdict: bytes
) -> None:
    before = node.now_micros()
    answer = _transact(
        node,
        [Op(0, b"set", node.stamp(), b"v"), Op(1, b"set", node.stamp(offset), b"v")],
        mode=mode,
    )
    assert answer[0] == verdict
    assert before <= int(answer[1]) <= node.now_micros()
    assert (_contents(node), node.log()) == (dict.fromkeys(KEYS), [])


@pytest.mark.parametrize("mode", [b"unit", b"each"])
def test_a_foreign_value_under_any_key_stops_it(node: Node, mode: bytes) -> None:
    name = LAYOUT.data(b"y")
    for command in (("SET", name, "text"), ("SET", name, ""), ("HSET", name, "field", "1")):
        node.reset()
        node.client.execute_command(*command)
        assert _transact(node, [Op(0, b"set", node.stamp(), b"v")], mode=mode) == [b"foreign", name]
        assert (node.stored(b"x"), node.log()) == (None, [])


@pytest.mark.parametrize("mode", [b"unit", b"each"])
def test_a_replica_takes_none(node: Node, mode: bytes) -> None:
    node.enrol(rule="follow")
    assert _transact(node, [Op(0, b"set", node.stamp(), b"v")], mode=mode) == [
        b"refused",
        b"7",
        b"active",
    ]
    assert (_contents(node), node.log()) == (dict.fromkeys(KEYS), [])


@pytest.mark.parametrize("mode", [b"unit", b"each"])
def test_a_log_that_cannot_be_appended_to_leaves_everything(node: Node, mode: bytes) -> None:
    node.client.set(LAYOUT.log, "no stream")
    with pytest.raises(Exception, match="WRONGTYPE"):
        _transact(
            node, [Op(0, b"set", node.stamp(), b"v"), Op(1, b"set", node.stamp(), b"v")], mode=mode
        )
    assert _contents(node) == dict.fromkeys(KEYS)


def test_without_operations_it_only_looks(node: Node) -> None:
    standing = node.put(b"x", value(node.stamp(-5)))
    assert _transact(node, [], [(0, standing.stamp.encode()), (1, b"")]) == [b"done"]
    assert _transact(node, [], [(1, standing.stamp.encode())]) == [b"conflict", 1, b""]
    assert node.log() == []


def test_what_is_answered_whole_has_a_limit(node: Node) -> None:
    for key in (b"x", b"y"):
        node.put(key, value(node.stamp(-5), b"v" * 100))
    operations = [Op(index, b"expire", node.stamp(), deadline=node.millis(60)) for index in (0, 1)]
    why = b"the value is too large to be changed together with others"
    assert _transact(node, operations, room=279) == [b"unfit", 1, why]
    assert node.log() == []
    assert _transact(node, operations, mode=b"each", room=279)[3:] == [b"unfit", why]
    assert list(node.log()[0]) == [b"x"]
    assert _transact(node, operations, room=280)[0] == b"done"


def test_as_many_keys_as_a_batch_has(node: Node) -> None:
    keys = [b"key-%d" % number for number in range(500)]
    operations = [Op(index, b"set", node.stamp(), b"%d" % index) for index in range(500)]
    answer = _transact(node, operations, [(index, b"") for index in range(500)], keys=keys)
    assert len(answer) == 1001
    assert (len(node.log()), len(node.log()[0])) == (1, 500)
    assert node.record(b"key-499").payload == b"499"


def test_the_record_in_the_answer_can_be_stored_elsewhere_as_it_is(node: Node) -> None:
    record = _transact(node, [Op(0, b"increment", node.stamp(), b"5")])[2]
    node.enrol(rule="follow")
    assert node.call("write_many", [b"elsewhere"], EPOCH, record) == 1
    assert node.stored(b"elsewhere") == record
