"""`confirm`, `hold`, `trim` and `log_page`: how far a log is confirmed elsewhere, what of it is
held, cut and read.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.scripts.harness import EPOCH, LAYOUT, Node, value


def _confirm(
    node: Node,
    place: bytes,
    count: int,
    force: bytes = b"0",
    target: bytes = b"b",
    incarnation: bytes = b"",
) -> object:
    return node.call("confirm", [], EPOCH, target, place, count, force, incarnation)


def _trim(
    node: Node,
    keep_from: bytes,
    cap: int,
    held: bytes = b"",
    cap_bytes: int = 0,
    incarnation: bytes = b"",
) -> Any:
    return node.call("trim", [], EPOCH, keep_from, cap, held, cap_bytes, incarnation)


def _cursor(node: Node, target: bytes = b"b") -> list[bytes]:
    text: bytes = node.client.hget(LAYOUT.cursors, target)
    return text.split()


@pytest.mark.parametrize("state", ["active", "syncing"])
def test_a_cursor_carries_place_count_and_time(node: Node, state: str) -> None:
    _fill(node, 12)
    node.enrol(state=state)
    before = node.now_micros() // 1000
    assert _confirm(node, b"5-0", 12) == 1
    place, count, at_millis = _cursor(node)
    assert (place, count) == (b"5-0", b"12")
    assert before <= int(at_millis) <= node.now_micros() // 1000 + 1


@pytest.mark.parametrize(
    ("first", "second", "moves"),
    [
        (b"5-0", b"6-0", True),
        (b"5-9", b"5-10", True),
        (b"9-0", b"10-0", True),
        (b"5-0", b"5-0", True),
        (b"6-0", b"5-9", False),
        (b"5-10", b"5-9", False),
        (b"10-0", b"9-9", False),
    ],
)
def test_a_cursor_moves_forward_only(node: Node, first: bytes, second: bytes, moves: bool) -> None:
    _confirm(node, first, 1)
    assert _confirm(node, second, 2) == (1 if moves else 0)
    assert _cursor(node)[:2] == ([second, b"2"] if moves else [first, b"1"])


def test_a_cursor_moves_back_when_forced(node: Node) -> None:
    _confirm(node, b"6-0", 9)
    assert _confirm(node, b"5-0", 8, b"1") == 1
    assert _cursor(node)[:2] == [b"5-0", b"8"]


@pytest.mark.parametrize(
    "text", [b"x", b"x y z", b"5 12 1", b"5-x 12 1", b"-1-0 2 3", b"\xff\xfe 1 1", b""]
)
def test_what_cannot_be_read_is_no_cursor(node: Node, text: bytes) -> None:
    """Whatever somebody wrote there, the next one is noted."""
    node.client.hset(LAYOUT.cursors, b"b", text)
    assert _confirm(node, b"5-0", 12) == 1
    assert _cursor(node)[:2] == [b"5-0", b"12"]


def test_every_target_has_its_own_cursor(node: Node) -> None:
    _confirm(node, b"6-0", 9, target=b"b")
    assert _confirm(node, b"5-0", 8, target=b"c") == 1
    assert (_cursor(node, b"b")[0], _cursor(node, b"c")[0]) == (b"6-0", b"5-0")


def _fill(node: Node, entries: int) -> list[bytes]:
    for number in range(entries):
        node.write(b"key-%d" % number, value(node.stamp()))
    return [stream_id for stream_id, _ in node.client.xrange(LAYOUT.log)]


def _floor(node: Node) -> bytes | None:
    found: bytes | None = node.client.hget(LAYOUT.member, "log_floor")
    return found


@pytest.mark.parametrize("state", ["active", "syncing"])
def test_trimming_sets_the_floor_and_keeps_everything_from_it(node: Node, state: str) -> None:
    ids = _fill(node, 5)
    node.enrol(state=state)
    answer = _trim(node, ids[3], 1000)
    left = [stream_id for stream_id, _ in node.client.xrange(LAYOUT.log)]
    assert answer == [b"ok", 5 - len(left)]
    assert left[-2:] == ids[3:]
    assert _floor(node) == ids[3]


@pytest.mark.parametrize("entries", [1000])
def test_trimming_cuts_a_long_log(node: Node, entries: int) -> None:
    ids = _fill(node, entries)
    verdict, removed = _trim(node, ids[-1], 10_000)
    left = [stream_id for stream_id, _ in node.client.xrange(LAYOUT.log)]
    assert verdict == b"ok"
    assert entries - len(left) == removed
    assert removed >= entries - 200
    assert left == ids[removed:]


def test_the_floor_never_comes_down(node: Node) -> None:
    ids = _fill(node, 5)
    _trim(node, ids[3], 1000)
    assert _trim(node, ids[1], 1000) == [b"ok", 0]
    assert _floor(node) == ids[3]


def test_the_cap_cuts_what_nobody_confirmed_and_raises_the_floor(node: Node) -> None:
    ids = _fill(node, 1000)
    verdict, removed = _trim(node, b"0-0", 100)
    left = [stream_id for stream_id, _ in node.client.xrange(LAYOUT.log)]
    assert verdict == b"ok"
    assert (removed, left) == (1000 - len(left), ids[removed:])
    assert 100 <= len(left) <= 300
    assert _floor(node) == left[0]


def test_below_the_cap_nothing_is_cut(node: Node) -> None:
    ids = _fill(node, 5)
    assert _trim(node, b"0-0", 5) == [b"ok", 0]
    assert [stream_id for stream_id, _ in node.client.xrange(LAYOUT.log)] == ids
    assert _floor(node) == b"0-0"


def test_trimming_an_empty_log_is_no_error(node: Node) -> None:
    assert _trim(node, b"5-0", 10) == [b"ok", 0]
    assert _floor(node) is None, "a floor beyond the end would say that a part of the log is gone"


@pytest.mark.parametrize("held", [b"", b"9999999999999-0"])
def test_a_place_that_the_log_does_not_reach_is_no_floor(node: Node, held: bytes) -> None:
    """Whoever found it looked at the log before a part of that was lost."""
    ids = _fill(node, 5)
    place = b"0-0" if held else b"9999999999999-0"
    _trim(node, place, 1 if held else 1000, held, ROOM)
    assert (_floor(node) or b"0-0") in (b"0-0", *ids)


@pytest.mark.parametrize("incarnation", [b"", b"inc-1", b"inc-0"])
def test_a_log_that_was_begun_anew_is_cut_by_nobody_who_saw_the_one_before(
    node: Node, incarnation: bytes
) -> None:
    node.enrol(incarnation="inc-1")
    ids = _fill(node, 5)
    _trim(node, ids[3], 1000, incarnation=incarnation)
    assert _floor(node) == (None if incarnation == b"inc-0" else ids[3])


@pytest.mark.parametrize("force", [b"0", b"1"])
@pytest.mark.parametrize(
    ("incarnation", "counts"), [(b"inc-1", True), (b"", True), (b"inc-0", False)]
)
def test_a_place_in_a_log_that_is_gone_is_no_cursor(
    node: Node, incarnation: bytes, counts: bool, force: bytes
) -> None:
    node.enrol(incarnation="inc-1")
    assert _confirm(node, b"5-0", 12, force, incarnation=incarnation) == (1 if counts else 0)
    assert bool(node.client.hget(LAYOUT.cursors, b"b")) is counts


@pytest.mark.parametrize(("state", "is_noted"), [("active", True), ("syncing", False)])
def test_a_member_that_is_brought_up_is_noted_no_place_that_it_lost(
    node: Node, state: str, is_noted: bool
) -> None:
    """On one that serves, such a place is how it is seen that a part of its log is gone."""
    _fill(node, 11)
    node.enrol(state=state, incarnation="inc-1")
    assert _confirm(node, b"5-0", 12, incarnation=b"inc-1") == (1 if is_noted else 0)
    assert bool(node.client.hget(LAYOUT.cursors, b"b")) is is_noted


@pytest.mark.parametrize(("incarnation", "is_read"), [(b"inc-1", True), (b"inc-0", False)])
def test_a_page_after_a_place_in_a_log_that_is_gone_is_not_read(
    node: Node, incarnation: bytes, is_read: bool
) -> None:
    node.enrol(incarnation="inc-1")
    ids = _fill(node, 2)
    answer = node.call("log_page", [], ids[0], 10, incarnation)
    if is_read:
        assert ([entry for entry, _ in answer[1]], answer[2:]) == ([ids[1]], [ids[1], 2])
    else:
        assert answer == [b"replaced"]


ROOM = 1 << 30


def test_a_log_that_is_held_is_kept_past_the_cap_from_there(node: Node) -> None:
    ids = _fill(node, 1000)
    verdict, removed = _trim(node, b"0-0", 100, ids[300], ROOM)
    left = [stream_id for stream_id, _ in node.client.xrange(LAYOUT.log)]
    assert verdict == b"ok"
    assert left == ids[removed:]
    assert ids[300] in left, "what came before may go, and nothing else"
    assert _floor(node) == ids[300]


def test_below_the_cap_nothing_is_cut_before_what_is_held(node: Node) -> None:
    ids = _fill(node, 50)
    assert _trim(node, b"0-0", 100, ids[30], ROOM) == [b"ok", 0]
    assert _floor(node) is None or _floor(node) == b"0-0"


@pytest.mark.parametrize(
    ("cap_bytes", "least", "most"), [(30_000, 250, 700), (1, 100, 300), (ROOM, 1000, 1000)]
)
def test_a_log_that_is_held_takes_no_more_than_so_many_bytes(
    node: Node, cap_bytes: int, least: int, most: int
) -> None:
    """An entry of these tests takes some 60 bytes. Never less is kept than for anybody else."""
    ids = _fill(node, 1000)
    verdict, removed = _trim(node, b"0-0", 100, ids[0], cap_bytes)
    left = [stream_id for stream_id, _ in node.client.xrange(LAYOUT.log)]
    assert (verdict, left) == (b"ok", ids[removed:])
    assert least <= len(left) <= most
    assert _floor(node) == (left[0] if removed else ids[0])


def test_a_hold_lasts_for_a_while_by_the_nodes_clock(node: Node) -> None:
    ids = _fill(node, 5)
    before = node.now_micros() // 1000
    assert node.call("hold", [], EPOCH, b"hold b", ids[2] + b" 3", 60_000) == [b"ok", b"0-0", 5]
    place, count, until = (node.client.hget(LAYOUT.member, "hold b") or b"").split()
    assert (place, count) == (ids[2], b"3")
    assert before + 60_000 <= int(until) <= node.now_micros() // 1000 + 60_001
    _trim(node, ids[3], 1000, b"", 0)
    assert node.call("hold", [], EPOCH, b"hold b", b"", 60_000) == [b"ok", ids[3], 5]
    assert node.client.hget(LAYOUT.member, "hold b") is None


def test_a_hold_on_a_node_without_a_log(node: Node) -> None:
    assert node.call("hold", [], EPOCH, b"hold b", b"0-0 0", 1000) == [b"ok", b"0-0", 0]


def test_a_walk_is_noted_and_forgotten(node: Node) -> None:
    node.enrol(state="syncing")
    assert node.call("note_walk", [], EPOCH, b"walk a", b"text") == 1
    assert node.client.hget(LAYOUT.member, "walk a") == b"text"
    assert node.call("note_walk", [], EPOCH, b"walk a", b"") == 1
    assert node.client.hget(LAYOUT.member, "walk a") is None
