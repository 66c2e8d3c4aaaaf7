"""`purge`: exactly the tombstones that were named go, and what they stood against is turned down
from then on.
"""

from __future__ import annotations

import pytest

from tests.scripts.harness import EPOCH, LAYOUT, MAX_AGE_SECONDS, Node, deleted, value

AGE = 4 * MAX_AGE_SECONDS


def _floor(node: Node) -> int:
    return int(node.client.hget(LAYOUT.member, "purged_before") or 0)


@pytest.mark.parametrize("state", ["active", "syncing", "fenced"])
def test_exactly_these_tombstones_go_and_nothing_is_logged(node: Node, state: str) -> None:
    node.enrol(rule="follow", state=state)
    gone = node.put(b"gone", deleted(node.stamp(-AGE)))
    other = node.put(b"other", deleted(node.stamp(-AGE)))
    later = node.put(b"later", deleted(node.stamp(-1)))
    standing = node.put(b"value", value(node.stamp(-AGE)))
    before = node.stamp(-AGE + 1).micros
    named = {
        b"gone": gone.stamp,
        b"other": node.stamp(-AGE),
        b"later": later.stamp,
        b"value": standing.stamp,
    }
    assert node.purge({**named, b"absent": gone.stamp}, before) == [b"ok", 1]
    assert node.stored(b"gone") is None
    assert [node.record(key) for key in (b"other", b"later", b"value")] == [other, later, standing]
    assert node.log() == []
    assert _floor(node) == before


def test_what_redrepl_did_not_write_stays(node: Node) -> None:
    node.client.hset(LAYOUT.data(b"hash"), "field", "value")
    node.client.set(LAYOUT.data(b"text"), b"")
    stamp = node.stamp(-AGE)
    assert node.purge({b"hash": stamp, b"text": stamp}, node.stamp(-AGE + 1).micros) == [b"ok", 0]
    assert node.client.exists(LAYOUT.data(b"hash"), LAYOUT.data(b"text")) == 2


def test_the_limit_only_rises(node: Node) -> None:
    before = node.stamp(-AGE).micros
    node.purge({}, before)
    node.purge({}, before - 5)
    assert _floor(node) == before


def test_another_epoch_is_refused(node: Node) -> None:
    gone = node.put(b"gone", deleted(node.stamp(-AGE)))
    assert node.purge({b"gone": gone.stamp}, node.stamp(0).micros, epoch=b"6")[0] == b"refused"
    assert node.record(b"gone") == gone
    assert _floor(node) == 0


@pytest.mark.parametrize("script", ["write", "write_many"])
def test_a_replica_turns_down_what_a_purged_tombstone_stood_against(
    node: Node, script: str
) -> None:
    node.enrol(rule="follow")
    gone = node.put(b"key", deleted(node.stamp(-AGE)))
    late = value(node.stamp(-AGE - 1), b"late")
    assert node.write(b"key", late) == [b"has", gone.stamp.encode()]
    assert node.purge({b"key": gone.stamp}, gone.stamp.micros + 1) == [b"ok", 1]
    answer = node.write(b"key", late) if script == "write" else node.write_many({b"key": late})
    assert (answer[0] if script == "write" else answer[2]) == b"expired"
    assert node.stored(b"key") is None
    assert node.log() == []


@pytest.mark.parametrize("script", ["write", "write_many"])
def test_what_is_not_older_than_the_limit_is_taken_as_ever(node: Node, script: str) -> None:
    node.enrol(rule="follow")
    node.put(b"standing", value(node.stamp(-3 * AGE)))
    limit = node.stamp(-AGE).micros
    node.purge({}, limit)
    records = {
        b"new": value(node.stamp(0)),
        b"exactly": value(node.stamp(0)._replace(micros=limit)),
        b"standing": value(node.stamp(-2 * AGE)),
    }
    for key, record in records.items():
        if script == "write":
            assert node.write(key, record) == 1
        else:
            assert node.write_many({key: record}) == 1
        assert node.record(key) == record


DAYS = 2 * 24 * 3600


def test_a_caller_whose_clock_is_ahead_purges_nothing_young(node: Node) -> None:
    """Young by the node's own clock: an earlier write may be under way still."""
    young = node.put(b"young", deleted(node.stamp(1 - MAX_AGE_SECONDS)))
    old = node.put(b"old", deleted(node.stamp(-AGE)))
    assert node.purge({b"young": young.stamp, b"old": old.stamp}, node.stamp(DAYS).micros) == [
        b"ok",
        1,
    ]
    assert node.record(b"young") == young
    assert node.stored(b"old") is None
    assert _floor(node) <= node.stamp(-MAX_AGE_SECONDS).micros


@pytest.mark.parametrize("rule", ["follow", "decide", "merge"])
def test_a_limit_that_a_wrong_clock_left_turns_down_nothing_new(node: Node, rule: str) -> None:
    node.enrol(rule=rule, purged_before=node.stamp(DAYS).micros)
    # In the future of the node: the short way of `write` asks for an earlier stamp than that.
    for number, seconds in enumerate((0, -1, 1)):
        assert node.write(b"one-%d" % number, value(node.stamp(seconds))) == 1
        assert (
            node.write(
                b"with-deadline-%d" % number, value(node.stamp(seconds), b"", node.millis(60))
            )
            == 1
        )
        assert node.write_many({b"many-%d" % number: value(node.stamp(seconds))}) == 1
    if rule != "follow":
        assert node.update(b"added", b"add", node.stamp(), b"v")[0] == b"ok"
        call = (EPOCH, b"unit", 1000, 0, 0, b"set", node.stamp().encode(), b"%012x" % 0, b"v")
        assert node.call("transact", [b"set"], *call)[0] == b"done"


def test_what_is_old_is_still_turned_down_by_a_limit_of_a_wrong_clock(node: Node) -> None:
    node.enrol(rule="follow", purged_before=node.stamp(DAYS).micros)
    late = value(node.stamp(-MAX_AGE_SECONDS - 1))
    assert node.write(b"key", late)[0] == b"expired"
    assert node.write_many({b"key": late})[2] == b"expired"


def test_a_purge_puts_a_wrong_limit_right(node: Node) -> None:
    node.enrol(purged_before=node.stamp(DAYS).micros)
    node.purge({}, node.stamp(-AGE).micros)
    assert node.stamp(-AGE).micros < _floor(node) <= node.stamp(-MAX_AGE_SECONDS).micros


def test_copied_records_are_turned_down_that_were_read_before_a_wrong_limit_was_put_right(
    node: Node,
) -> None:
    wrong = node.stamp(DAYS).micros
    node.enrol(purged_before=wrong)
    gone = node.put(b"key", deleted(node.stamp(-AGE)))
    node.purge({b"key": gone.stamp}, gone.stamp.micros + 1)
    old = value(node.stamp(-2 * AGE), b"old")
    assert node.absorb({b"key": old}, seen_purged_before=wrong) == [b"purged"]
    assert node.absorb({b"key": old}, seen_purged_before=_floor(node)) == [b"ok", 1]


def test_copied_records_are_turned_down_that_were_read_before_the_purge(node: Node) -> None:
    gone = node.put(b"key", deleted(node.stamp(-AGE)))
    stale = value(node.stamp(-AGE - 1), b"stale")
    young = value(node.stamp(-1), b"young")
    node.purge({b"key": gone.stamp}, gone.stamp.micros + 1)
    mark = (b"inc-1", b"5-0", 12)
    assert node.absorb({b"young": young, b"key": stale}, mark) == [b"purged"]
    assert node.stored(b"young") is None
    assert node.client.hgetall(LAYOUT.marks) == {}
    assert node.absorb({b"young": young}, mark) == [b"ok", 1]


def test_copied_records_are_taken_that_were_read_after_the_purge(node: Node) -> None:
    old = value(node.stamp(-AGE - 1), b"old")
    limit = node.stamp(-AGE).micros
    node.purge({}, limit)
    assert node.absorb({b"key": old}, seen_purged_before=limit) == [b"ok", 1]
    assert node.record(b"key") == old


def test_copied_records_are_turned_down_that_are_older_than_the_limit_seen_too(node: Node) -> None:
    """They stood when they were read, and what was purged since may have deleted them."""
    seen = node.stamp(-2 * AGE).micros
    node.purge({}, node.stamp(-AGE).micros)
    old = value(node.stamp(-3 * AGE), b"old")
    assert node.absorb({b"key": old}, seen_purged_before=seen) == [b"purged"]


def test_a_copied_record_is_compared_with_what_stands(node: Node) -> None:
    standing = node.put(b"key", value(node.stamp(-3 * AGE), b"standing"))
    node.purge({}, node.stamp(-AGE).micros)
    later = value(node.stamp(-2 * AGE), b"later")
    assert node.absorb({b"key": later}) == [b"ok", 1]
    assert node.record(b"key") == later != standing
