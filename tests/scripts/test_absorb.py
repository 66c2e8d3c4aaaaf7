"""`absorb`: the later stamp wins, and the mark moves with the data and never without it."""

from __future__ import annotations

import pytest

from tests.scripts.harness import EPOCH, LAYOUT, Node, deleted, value


def _marks(node: Node) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = node.client.hgetall(LAYOUT.marks)
    return found


@pytest.mark.parametrize("state", ["active", "syncing"])
@pytest.mark.parametrize("rule", ["decide", "follow", "merge"])
def test_later_records_are_taken_in_one_log_entry(node: Node, rule: str, state: str) -> None:
    node.enrol(rule=rule, state=state)
    kept = node.put(b"kept", value(node.stamp(-1), b"kept"))
    same = node.put(b"same", value(node.stamp(-1), b"same"))
    node.put(b"replaced", value(node.stamp(-9), b"before"))
    records = {
        b"new": value(node.stamp(-90), b"new", node.millis(600)),
        b"kept": value(node.stamp(-2), b"other"),
        b"same": same,
        b"replaced": deleted(node.stamp(-8)),
    }
    assert node.absorb(records) == [b"ok", 2]
    assert [node.record(key) for key in records] == [
        records[b"new"],
        kept,
        same,
        records[b"replaced"],
    ]
    assert node.log() == [{key: records[key].stamp.encode() for key in (b"new", b"replaced")}]
    assert node.expires_at_millis(b"new") == records[b"new"].deadline_millis + 30_000
    assert _marks(node) == {}


def test_absorbing_again_changes_nothing(node: Node) -> None:
    records = {b"x": value(node.stamp(-1)), b"y": deleted(node.stamp(-2))}
    assert node.absorb(records) == [b"ok", 2]
    assert node.absorb(records) == [b"ok", 0]
    assert len(node.log()) == 1


def test_the_primary_restamps_nothing_that_it_absorbs(node: Node) -> None:
    standing = node.put(b"key", value(node.stamp(-1)))
    assert node.absorb({b"key": value(node.stamp(-2))}) == [b"ok", 0]
    assert node.stored(b"key") == standing.encode()


def test_the_mark_moves_with_the_data(node: Node) -> None:
    assert node.absorb({b"key": value(node.stamp())}, (b"inc-1", b"5-0", 12)) == [b"ok", 1]
    assert _marks(node) == {b"b": b"inc-1 5-0 12"}
    assert node.stored(b"key") is not None


def test_it_tells_which_entry_of_its_log_holds_what_was_new(node: Node) -> None:
    records = {b"key": value(node.stamp()).encode()}
    first = node.call("absorb", [*records], EPOCH, b"b", b"", b"", 0, 0, b"", *records.values())
    assert first == [b"ok", 1, node.client.xrange(LAYOUT.log)[0][0]]
    assert node.call(
        "absorb", [*records], EPOCH, b"b", b"", b"", 0, 0, first[2], *records.values()
    ) == [b"ok", 0, b""]


@pytest.mark.parametrize(
    "mark", [(b"inc-1", b"8-0", 15), (b"", b"", 0)], ids=["with a mark", "without"]
)
@pytest.mark.parametrize("log", ["grown again", "empty", "of before that"])
def test_nothing_is_stored_on_a_server_that_forgot_what_was_brought_before(
    node: Node, log: str, mark: tuple[bytes, bytes, int]
) -> None:
    node.write(b"before", value(node.stamp()))
    assert node.absorb({b"brought": value(node.stamp())}, (b"inc-1", b"5-0", 12)) == [b"ok", 1]
    brought = node.client.xrange(LAYOUT.log)[-1][0]
    node.client.xdel(LAYOUT.log, brought)
    if log == "grown again":
        node.write(b"later", value(node.stamp()))
    elif log == "empty":
        node.client.delete(LAYOUT.log)
    assert node.absorb({b"key": value(node.stamp())}, mark, newest_entry=brought) == [b"back"]
    assert (node.stored(b"key"), _marks(node)[b"b"]) == (None, b"inc-1 5-0 12")


def test_an_entry_that_was_cut_does_not_keep_the_next_away(node: Node) -> None:
    node.write(b"before", value(node.stamp()))
    before = node.client.xrange(LAYOUT.log)[0][0]
    node.client.xtrim(LAYOUT.log, maxlen=0, approximate=False)
    node.client.hset(LAYOUT.member, "log_floor", before.split(b"-")[0] + b"-999")
    assert node.absorb({b"key": value(node.stamp())}, newest_entry=before) == [b"ok", 1]


def test_the_mark_moves_alone_where_nothing_is_new(node: Node) -> None:
    assert node.absorb({}, (b"inc-1", b"5-0", 12)) == [b"ok", 0]
    assert _marks(node) == {b"b": b"inc-1 5-0 12"}
    assert node.log() == []


@pytest.mark.parametrize(
    ("first", "second", "moves"),
    [
        (b"5-0", b"6-0", True),
        (b"5-0", b"5-1", True),
        (b"5-9", b"5-10", True),
        (b"9-0", b"10-0", True),
        (b"1795464348391-2", b"1795464348391-10", True),
        (b"5-0", b"5-0", True),
        (b"6-0", b"5-9", False),
        (b"5-10", b"5-9", False),
        (b"10-0", b"9-9", False),
    ],
)
def test_the_mark_never_moves_back_within_an_incarnation(
    node: Node, first: bytes, second: bytes, moves: bool
) -> None:
    node.absorb({}, (b"inc-1", first, 1))
    assert node.absorb({}, (b"inc-1", second, 2)) == [b"ok", 0]
    assert _marks(node) == {b"b": b"inc-1 " + (second + b" 2" if moves else first + b" 1")}


@pytest.mark.parametrize("place", [b"1-0", b"5-0", b"9-0"])
def test_a_new_incarnation_resets_the_mark(node: Node, place: bytes) -> None:
    node.absorb({}, (b"inc-1", b"5-0", 12))
    node.absorb({}, (b"inc-2", place, 1))
    assert _marks(node) == {b"b": b"inc-2 " + place + b" 1"}


@pytest.mark.parametrize(
    "text", [b"x", b"inc-1 x 1", b"inc-1 5 1", b"inc-1 5-x 1", b"inc-1 \xff-\xfe 1", b"inc-1"]
)
def test_what_cannot_be_read_is_no_mark(node: Node, text: bytes) -> None:
    node.client.hset(LAYOUT.marks, b"b", text)
    assert node.absorb({b"key": value(node.stamp())}, (b"inc-1", b"5-0", 12)) == [b"ok", 1]
    assert _marks(node) == {b"b": b"inc-1 5-0 12"}


def test_every_source_has_its_own_mark(node: Node) -> None:
    node.absorb({}, (b"inc-1", b"5-0", 12), source=b"b")
    node.absorb({}, (b"inc-1", b"3-0", 4), source=b"c")
    assert _marks(node) == {b"b": b"inc-1 5-0 12", b"c": b"inc-1 3-0 4"}


def test_a_foreign_value_stops_all_of_it(node: Node) -> None:
    node.client.hset(LAYOUT.data(b"foreign"), "field", "value")
    records = {
        b"x": value(node.stamp()),
        b"foreign": value(node.stamp()),
        b"y": value(node.stamp()),
    }
    assert node.absorb(records, (b"inc-1", b"5-0", 1)) == [b"foreign", LAYOUT.data(b"foreign")]
    assert (node.stored(b"x"), node.stored(b"y"), node.log(), _marks(node)) == (None, None, [], {})


def test_another_epoch_moves_no_mark(node: Node) -> None:
    answer = node.absorb({b"key": value(node.stamp())}, (b"inc-1", b"5-0", 1), epoch=b"6")
    assert answer == [b"refused", EPOCH, b"active"]
    assert (node.stored(b"key"), _marks(node)) == (None, {})
