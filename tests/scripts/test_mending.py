"""`vouch` and `mend`: a primary gets back what it is proved to have lost, and nothing else.

One server plays both: the copy for `vouch`, the primary for `mend`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from redrepl.values.record import Record
from redrepl.values.stamp import Stamp
from tests.scripts.harness import EPOCH, LAYOUT, MAX_AGE_SECONDS, SECOND, Node, deleted, value

KEY, MOST = b"key", 1_000
HERE, THERE = b"here", b"there"
"""Incarnations of the primary's log and of the copy's."""


def log(node: Node, key: bytes, stamp: Stamp, *more: bytes) -> bytes:
    """One more entry of the log; answers its id."""
    name: bytes = node.client.xadd(
        LAYOUT.log, {LAYOUT.data(key): stamp.encode(), **dict.fromkeys(more, b"x")}
    )
    return name


def vouch(
    node: Node, keys: Sequence[bytes] = (KEY,), most: int = MOST, room: int = 1_000_000
) -> list[bytes]:
    answer: list[bytes] = node.call("vouch", keys, EPOCH, b"a", most, room)
    return answer


def mend(
    node: Node,
    record: Record,
    cursor: bytes = b"",
    mark: bytes = b"",
    settled: bytes = b"0",
    caller_micros: int | None = None,
    most: int = MOST,
) -> object:
    now = node.now_micros() if caller_micros is None else caller_micros
    return node.call(
        "mend", [KEY], EPOCH, now, b"b", THERE, cursor, mark, most, record.encode(), settled
    )


@pytest.fixture
def lost(node: Node) -> Record:
    """A record that this primary had, before what is left of its log."""
    node.enrol(incarnation=HERE)
    return value(node.stamp(-600), deadline_millis=node.millis(600))


def marks(node: Node) -> tuple[bytes, bytes]:
    """The copy's log was checked up to 5-0; the copy has this log up to its end.

    Answers cursor and mark.
    """
    end = log(node, b"other", node.stamp(-60))
    node.client.hset(LAYOUT.marks, "b", THERE + b" 5-0 5")
    return b"5-0", HERE + b" " + end + b" 1"


def test_what_its_own_log_named_last_is_put_back(node: Node, lost: Record) -> None:
    log(node, KEY, lost.stamp)
    assert mend(node, lost) == [b"ok", 1]
    assert node.record(KEY) == lost
    assert node.log()[-1] == {KEY: lost.stamp.encode()}
    assert node.expires_at_millis(KEY) == lost.deadline_millis + MAX_AGE_SECONDS * 1000


@pytest.mark.parametrize("seconds", [-601, -599])
def test_what_was_overwritten_or_deleted_stays_away(
    node: Node, lost: Record, seconds: float
) -> None:
    cursor, mark = marks(node)
    log(node, KEY, lost.stamp)
    log(node, KEY, node.stamp(seconds))
    assert mend(node, lost, cursor, mark, b"1") == [b"ok", 0]
    assert node.stored(KEY) is None


def test_what_was_checked_and_not_changed_since_is_put_back(node: Node, lost: Record) -> None:
    assert mend(node, lost, *marks(node), settled=b"1") == [b"ok", 1]
    assert node.record(KEY) == lost


def _is_changed(node: Node) -> None:
    log(node, KEY, node.stamp(-1))


def _cuts_its_log(node: Node) -> None:
    log(node, b"other", node.stamp(-1))
    node.enrol(log_floor=log(node, b"other", node.stamp(-1)))


def _loses_its_log(node: Node) -> None:
    node.client.delete(LAYOUT.log)


def _begins_another_log(node: Node) -> None:
    node.enrol(incarnation=b"another")


def _has_checked_a_former_log(node: Node) -> None:
    node.client.hset(LAYOUT.marks, "b", b"former 5-0 5")


def _has_checked_nothing(node: Node) -> None:
    node.client.delete(LAYOUT.marks)


@pytest.mark.parametrize(
    "happens",
    [
        _is_changed,
        _cuts_its_log,
        _loses_its_log,
        _begins_another_log,
        _has_checked_a_former_log,
        _has_checked_nothing,
    ],
)
def test_what_is_not_certain_on_the_primary_stays_away(
    node: Node, lost: Record, happens: Callable[[Node], None]
) -> None:
    cursor, mark = marks(node)
    happens(node)
    assert mend(node, lost, cursor, mark, b"1") == [b"ok", 0]
    assert node.stored(KEY) is None


def test_what_the_copy_does_not_prove_stays_away(node: Node, lost: Record) -> None:
    cursor, mark = marks(node)
    end = mark.rpartition(b" ")[0]
    for answer in (
        (cursor, mark, b"0"),
        (b"", mark, b"1"),
        (b"5-1", mark, b"1"),
        (cursor, b"", b"1"),
        (cursor, b"former" + mark, b"1"),
        (cursor, end + b" 0", b"1"),
        (cursor, end + b" 2", b"1"),
    ):
        assert mend(node, lost, *answer) == [b"ok", 0]
    assert node.stored(KEY) is None
    assert mend(node, lost, cursor, mark, b"1") == [b"ok", 1]


def test_a_long_log_is_not_looked_through(node: Node, lost: Record) -> None:
    cursor, mark = marks(node)
    log(node, b"other", node.stamp(), *(b"%d" % number for number in range(MOST)))
    assert mend(node, lost, cursor, mark, b"1") == [b"ok", 0]
    assert mend(node, lost, cursor, mark, b"1", most=2 * MOST) == [b"ok", 1]


def test_nothing_gives_way(node: Node, lost: Record) -> None:
    log(node, KEY, lost.stamp)
    for record in (deleted(node.stamp(-700)), value(node.stamp(-1))):
        node.put(KEY, record)
        assert mend(node, lost) == [b"ok", 0]
        assert node.record(KEY) == record
    node.client.delete(LAYOUT.data(KEY))
    node.client.hset(LAYOUT.data(KEY), "no", "record")
    assert mend(node, lost) == [b"ok", 0]


def test_what_is_no_live_record_is_not_stored(node: Node, lost: Record) -> None:
    log(node, KEY, lost.stamp)
    for record in (deleted(lost.stamp), lost._replace(deadline_millis=node.millis(-1))):
        assert mend(node, record) == [b"ok", 0]
    assert node.call(
        "mend", [KEY], EPOCH, node.now_micros(), b"b", THERE, b"", b"", MOST, b"", b"1"
    ) == [b"ok", 0]


def test_only_a_primary_of_the_epoch_whose_clock_is_right_takes_it(
    node: Node, lost: Record
) -> None:
    log(node, KEY, lost.stamp)
    late = node.now_micros() - (MAX_AGE_SECONDS + 1) * SECOND
    assert mend(node, lost, caller_micros=late)[0] == b"refused"  # type: ignore[index]
    for fields in ({"rule": "follow"}, {"state": "fenced"}, {"epoch": b"8"}):
        node.enrol(**{"incarnation": HERE, **fields})  # type: ignore[arg-type]
        assert mend(node, lost)[0] == b"refused"  # type: ignore[index]
    assert node.stored(KEY) is None


def test_a_copy_vouches_for_what_is_live_and_says_what_was_checked(node: Node) -> None:
    node.enrol("follow", incarnation=THERE)
    checked, young = value(node.stamp(-60)), value(node.stamp(-60))
    node.put(b"checked", checked)
    end = log(node, b"checked", checked.stamp)
    node.put(b"young", young)
    log(node, b"young", young.stamp)
    node.put(b"gone", deleted(node.stamp(-60)))
    node.put(b"over", value(node.stamp(-60), deadline_millis=node.millis(-1)))
    node.client.hset(LAYOUT.data(b"foreign"), "no", "record")
    node.client.hset(LAYOUT.cursors, "a", end + b" 1 0")
    node.client.hset(LAYOUT.marks, "a", HERE + b" 7-0 7")
    keys = (b"checked", b"young", b"gone", b"over", b"foreign", b"nothing")
    answer = vouch(node, keys)
    assert answer[:4] == [b"ok", THERE, end, HERE + b" 7-0 7"]
    assert answer[4:8] == [checked.encode(), b"1", young.encode(), b"0"]
    assert answer[8::2] == [b"", b"", b"", b""]


def test_what_a_copy_s_log_does_not_tell_is_not_checked(node: Node) -> None:
    node.enrol("follow", incarnation=THERE)
    record = node.put(KEY, value(node.stamp(-60)))
    assert vouch(node) == [b"ok", THERE, b"", b"", record.encode(), b"0"]
    end = log(node, b"other", record.stamp)
    node.client.hset(LAYOUT.cursors, "a", end + b" 1 0")
    assert vouch(node)[-1] == b"1"
    log(node, b"other", record.stamp, *(b"%d" % number for number in range(9)))
    log(node, b"other", record.stamp)
    assert vouch(node, most=10)[-1] == b"0"
    assert vouch(node)[-1] == b"1"
    node.enrol("follow", incarnation=THERE, log_floor=log(node, b"other", record.stamp))
    assert vouch(node)[-1] == b"0"


def test_a_copy_answers_no_more_than_it_is_asked_for_and_one_at_least(node: Node) -> None:
    node.enrol("follow")
    for key in (b"x", b"y", b"z"):
        node.put(key, value(node.stamp(-60), b"p" * 60))
    assert len(vouch(node, (b"x", b"y", b"z"), room=200)) == 4 + 2 * 2
    assert len(vouch(node, (b"x", b"y", b"z"), room=1)) == 4 + 2
    node.enrol("follow", state="syncing")
    assert vouch(node)[0] == b"refused"
