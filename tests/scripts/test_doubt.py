"""A primary whose clock is, or was, ahead: what it does not have it does not call absent."""

from __future__ import annotations

import re

from redrepl.values.stamp import Stamp
from tests.scripts.harness import EPOCH, LAYOUT, MAX_AGE_SECONDS, SECOND, Node, value

DAY_MILLIS = 86_400_000
NO_DEADLINE = b"%012x" % 0


def read(node: Node, key: bytes, caller_micros: int | None = None) -> list[bytes]:
    caller = () if caller_micros is None else (caller_micros,)
    answer: list[bytes] = node.call("read_many", [key], EPOCH, b"active", 1_000, *caller)
    return answer


def noted(node: Node) -> int:
    return int(node.client.hget(LAYOUT.member, "clock_latest") or 0)


def transact(node: Node, operation: bytes, stamp: Stamp) -> bytes:
    answer = node.call(
        "transact",
        [b"key"],
        EPOCH,
        b"unit",
        1000,
        0,
        0,
        operation,
        stamp.encode(),
        NO_DEADLINE,
        b"1",
    )
    verdict: bytes = answer[0]
    return verdict


def test_who_is_refused_for_its_age_leaves_the_time_noted(node: Node) -> None:
    old = node.stamp(-2 * MAX_AGE_SECONDS)
    for refuse in (
        lambda: node.write(b"key", value(old))[0],
        lambda: node.write_many({b"key": value(old)})[2],
        lambda: node.update(b"key", b"add", old, b"v")[0],
        lambda: transact(node, b"set", old),
    ):
        node.client.hdel(LAYOUT.member, "clock_latest")
        before = node.now_micros() // 1000
        assert refuse() == b"expired"
        assert before <= noted(node) <= node.now_micros() // 1000


def test_the_latest_time_stays_noted(node: Node) -> None:
    later = node.millis(86_400)
    node.enrol(clock_latest=later, clock_checked=later)
    assert node.write(b"key", value(node.stamp(-2 * MAX_AGE_SECONDS)))[0] == b"expired"
    assert noted(node) == later


def test_a_reader_far_behind_the_node_s_clock_is_answered_nothing(node: Node) -> None:
    node.put(b"key", value(node.stamp(-1)))
    late = node.now_micros() - (MAX_AGE_SECONDS + 1) * SECOND
    verdict, epoch, told = read(node, b"key", late)
    assert (verdict, epoch) == (b"refused", EPOCH)
    shown = re.fullmatch(rb"in doubt: its clock shows ([0-9]+), the caller's %d" % late, told)
    assert shown is not None
    assert 0 <= node.now_micros() - int(shown[1]) < 60 * SECOND
    assert noted(node) > 0
    assert read(node, b"key", node.now_micros())[0] == b"ok"
    assert read(node, b"key")[0] == b"ok"


def test_a_node_that_was_ahead_answers_what_it_has_and_does_not_call_the_rest_absent(
    node: Node,
) -> None:
    node.put(b"there", value(node.stamp(-1)))
    node.enrol(clock_latest=node.millis(0) + DAY_MILLIS)
    now = node.now_micros()
    assert read(node, b"there", now)[0] == b"ok"
    assert read(node, b"key", now)[0] == b"refused"
    assert node.update(b"key", b"add", node.stamp(), b"v")[0] == b"refused"
    assert node.update(b"key", b"increment", node.stamp(), b"1")[0] == b"refused"
    assert transact(node, b"add", node.stamp()) == b"refused"
    node.enrol(clock_checked=node.millis(0) + 2 * DAY_MILLIS)
    assert read(node, b"key", now) == [b"ok", None]
    assert transact(node, b"add", node.stamp()) == b"done"
