"""`write` and `write_many`: what each rule takes, and that both scripts decide alike."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from redrepl.values.limits import MAX_CLIENT_WRITER, MAX_MICROS
from redrepl.values.stamp import Stamp
from tests.scripts.harness import RESTAMP_WRITER, SECOND, Node, deleted, restamped, value

Place = tuple[float, int]
"""Seconds from the node's present, and the writer."""


@dataclass(frozen=True)
class Row:
    """One case. ``verdict``: stored, same, restamped, has, expired or skewed."""

    name: str
    rule: str
    standing: Place | None
    proposed: Place
    verdict: str


ROWS = [
    Row("primary takes what is first", "decide", None, (0, 5), "stored"),
    Row("primary takes what is later", "decide", (-10, 5), (-5, 5), "stored"),
    Row("primary takes a higher writer", "decide", (-10, 5), (-10, 6), "stored"),
    Row("primary knows its record again", "decide", (-10, 5), (-10, 5), "same"),
    Row("primary knows an old record again", "decide", (-90, 5), (-90, 5), "same"),
    Row("primary restamps what is earlier", "decide", (-5, 5), (-10, 5), "restamped"),
    Row("primary restamps a lower writer", "decide", (-5, 5), (-5, 4), "restamped"),
    Row("primary refuses what waited", "decide", None, (-90, 5), "expired"),
    Row("primary refuses what waited though later", "decide", (-99, 5), (-90, 5), "expired"),
    Row("primary refuses what waited and is earlier", "decide", (-1, 5), (-90, 5), "expired"),
    Row("primary refuses the future", "decide", None, (60, 5), "skewed"),
    Row("primary refuses the future again", "decide", (60, 5), (60, 5), "skewed"),
    Row("primary takes a little skew", "decide", None, (2, 5), "stored"),
    Row(
        "primary refuses the future, whoever stamped it",
        "decide",
        None,
        (60, RESTAMP_WRITER),
        "skewed",
    ),
    Row(
        "replica takes what the primary stamped in the future",
        "follow",
        None,
        (3600, RESTAMP_WRITER),
        "stored",
    ),
    Row("replica takes it over the past", "follow", (-5, 5), (3600, RESTAMP_WRITER), "stored"),
    Row("replica takes it over the future", "follow", (3599, 5), (3600, RESTAMP_WRITER), "stored"),
    Row(
        "replica refuses what a client stamped so",
        "follow",
        None,
        (3600, MAX_CLIENT_WRITER),
        "skewed",
    ),
    Row(
        "several primaries believe no stamp of the future",
        "merge",
        None,
        (60, RESTAMP_WRITER),
        "skewed",
    ),
    *(
        row
        for rule in ("follow", "merge")
        for row in (
            Row("copy takes what is first", rule, None, (0, 5), "stored"),
            Row("copy takes what is later", rule, (-10, 5), (-5, 5), "stored"),
            Row("copy takes a higher writer", rule, (-10, 5), (-10, 6), "stored"),
            Row("copy knows its record again", rule, (-10, 5), (-10, 5), "same"),
            Row("copy keeps what is later", rule, (-5, 5), (-10, 9), "has"),
            Row("copy keeps a higher writer", rule, (-5, 5), (-5, 4), "has"),
            Row("copy takes old records", rule, None, (-90, 5), "stored"),
            Row("copy takes old records that are later", rule, (-99, 5), (-90, 5), "stored"),
            Row("copy refuses the future", rule, None, (60, 5), "skewed"),
        )
    ),
]


@dataclass(frozen=True)
class Found:
    """What a script answered for one key and what it left."""

    verdict: str
    stamp: bytes
    stored: bytes | None
    entries: int


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.rule}: {row.name}")
@pytest.mark.parametrize("script", ["write", "write_many"])
def test_a_rule_takes_or_keeps(node: Node, row: Row, script: str) -> None:
    node.enrol(rule=row.rule)
    before = node.now_micros()
    standing = None
    if row.standing is not None:
        standing = node.put(b"key", value(_at(before, row.standing), b"standing"))
    record = value(_at(before, row.proposed), b"proposed")
    found = _run(node, script, record.encode())
    held = None if standing is None else standing.encode()
    if row.verdict == "restamped":
        assert standing is not None
        after = restamped(record, standing.stamp)
        assert found == Found("ok", after.stamp.encode(), after.encode(), 1)
        assert node.log() == [{b"key": after.stamp.encode()}]
    elif row.verdict == "stored":
        assert found == Found("done", b"", record.encode(), 1)
        assert node.log() == [{b"key": record.stamp.encode()}]
    elif row.verdict == "same":
        assert found == Found("done", b"", held, 0)
    elif row.verdict == "has":
        assert standing is not None
        assert found == Found("has", standing.stamp.encode(), held, 0)
    else:
        assert (found.verdict, found.stored, found.entries) == (row.verdict, held, 0)
        assert before <= int(found.stamp) <= node.now_micros()


def _at(now_micros: int, place: Place) -> Stamp:
    return Stamp(now_micros + int(place[0] * SECOND), place[1])


def _run(node: Node, script: str, record: bytes, *more: bytes) -> Found:
    answer = node.call(script, [b"key"], b"7", record, *more)
    verdict, stamp = "done", b""
    if answer != 1:
        if script == "write_many":
            assert answer[:2] == [b"some", 0]
            assert len(answer) == 4
            answer = answer[2:]
        verdict, stamp = answer[0].decode(), answer[1]
    return Found(verdict, stamp, node.stored(b"key"), len(node.log()))


@pytest.mark.parametrize("script", ["write", "write_many"])
@pytest.mark.parametrize(
    ("rule", "verdict"), [("follow", "done"), ("merge", "done"), ("decide", "skewed")]
)
def test_a_copy_takes_what_a_primary_has_whatever_its_clock_says(
    node: Node, rule: str, verdict: str, script: str
) -> None:
    """One that decides by itself takes nobody's word for that."""
    node.enrol(rule=rule)
    record = value(Stamp(node.now_micros() + 3600 * SECOND, 5), b"ahead").encode()
    assert _run(node, script, record).verdict == "skewed"
    found = _run(node, script, record, b"decided")
    assert (found.verdict, found.stored) == (verdict, record if verdict == "done" else None)


def test_a_batch_judges_every_key_by_itself_in_one_log_entry(node: Node) -> None:
    now = node.now_micros()
    records = {
        b"new": value(Stamp(now, 5), b"new"),
        b"earlier": value(Stamp(now - 10, 5), b"earlier"),
        b"same": value(Stamp(now, 5), b"same"),
        b"old": value(Stamp(now - 90 * SECOND, 5), b"old"),
        b"future": value(Stamp(now + 90 * SECOND, 5), b"future"),
    }
    standing = node.put(b"earlier", value(Stamp(now - 5, 1), b"standing"))
    node.put(b"same", records[b"same"])
    answer = node.write_many(records)
    after = restamped(records[b"earlier"], standing.stamp)
    assert answer[0] == b"some"
    assert [answer[1], answer[2], answer[3]] == [1, b"ok", after.stamp.encode()]
    assert [answer[4], answer[5], answer[7], answer[8]] == [3, b"expired", 4, b"skewed"]
    assert len(answer) == 10
    assert node.log() == [
        {b"new": records[b"new"].stamp.encode(), b"earlier": after.stamp.encode()}
    ]
    assert node.stored(b"earlier") == after.encode()
    assert (node.stored(b"old"), node.stored(b"future")) == (None, None)


def test_a_batch_in_which_nothing_is_new_leaves_no_log_entry(node: Node) -> None:
    records = {b"x": value(node.stamp()), b"y": value(node.stamp())}
    assert node.write_many(records) == 1
    assert node.write_many(records) == 1
    assert len(node.log()) == 1


def test_a_tombstone_is_a_record_like_any_other(node: Node) -> None:
    first, second = value(node.stamp(-2)), deleted(node.stamp(-1))
    assert [node.write(b"key", first), node.write(b"key", second)] == [1, 1]
    assert node.stored(b"key") == second.encode()
    assert node.log() == [{b"key": first.stamp.encode()}, {b"key": second.stamp.encode()}]
    node.enrol(rule="follow")
    assert node.write(b"key", first) == [b"has", second.stamp.encode()]


@pytest.mark.parametrize("script", ["write", "write_many"])
def test_a_restamped_tombstone_stays_a_tombstone(node: Node, script: str) -> None:
    standing = node.put(b"key", value(node.stamp(-1)))
    late = deleted(node.stamp(-2))
    node.call(script, [b"key"], b"7", late.encode())
    assert node.stored(b"key") == restamped(late, standing.stamp).encode()


@pytest.mark.parametrize("script", ["write", "write_many"])
@pytest.mark.parametrize(
    ("lower", "higher"),
    [
        (Stamp(1, 0x7FFFFFFF), Stamp(1, 0x80000001)),
        (Stamp(1, 0x00000009), Stamp(1, 0x0000000A)),
        (Stamp(MAX_MICROS - 1, 0xFFFFFFFF), Stamp(MAX_MICROS, 0)),
        (Stamp(MAX_MICROS, 0xFFFFFFFE), Stamp(MAX_MICROS, 0xFFFFFFFF)),
        (Stamp(0x0FFFFFFFFF, 1), Stamp(0x1000000000, 1)),
    ],
)
def test_stamps_compare_as_numbers(node: Node, lower: Stamp, higher: Stamp, script: str) -> None:
    node.enrol(rule="follow", max_skew_micros=1 << 53)
    for first, second, verdict in ((lower, higher, None), (higher, lower, b"has")):
        node.put(b"key", value(first))
        answer = node.call(script, [b"key"], b"7", value(second).encode())
        if verdict is None:
            assert answer == 1
        else:
            assert answer[-2:] == [b"has", higher.encode()]
        assert node.record(b"key").stamp == higher


def test_restamping_carries_over_from_all_low_digits(node: Node) -> None:
    node.enrol(max_skew_micros=1 << 53)
    standing = node.put(b"key", value(Stamp(0x0FFFFFFFFFFFFF, 0xFFFFFFFF)))
    assert node.write(b"key", value(node.stamp())) == [b"ok", b"1000000000000080007001"]
    assert node.record(b"key").stamp > standing.stamp


def test_the_causal_part_and_the_deadline_survive_a_restamp(node: Node) -> None:
    standing = node.put(b"key", value(node.stamp(-1)))
    record = value(node.stamp(-2), b"payload", node.millis(60))._replace(causal=b"causal")
    node.write(b"key", record)
    assert node.record(b"key") == restamped(record, standing.stamp)


@pytest.mark.parametrize("micros", [(1 << 56) - 1, 1 << 53, (1 << 53) - 1, 0x1F << 48])
@pytest.mark.parametrize("script", ["write", "write_many", "update", "absorb"])
def test_an_impossible_stamp_stands_against_nothing(node: Node, micros: int, script: str) -> None:
    """Beyond 2^53 no number is exact, and no record could ever be later than it."""
    node.put(b"key", value(Stamp(micros, 9), b"7"))
    record = value(node.stamp(), b"1")
    assert node.call("headers", [b"key"], b"7", b"active") == [b"ok", b""]
    if script == "update":
        assert node.update(b"key", b"increment", record.stamp, b"1")[0] == b"ok"
    elif script == "absorb":
        assert node.absorb({b"key": record}) == [b"ok", 1]
    else:
        assert _run(node, script, record.encode()).verdict == "done"
    assert node.stored(b"key") == record.encode()
    assert node.log() == [{b"key": record.stamp.encode()}]


def test_the_last_possible_stamp_can_be_overwritten_for_ever(node: Node) -> None:
    node.put(b"key", value(Stamp(MAX_MICROS, 9), b"forged"))
    found = [
        _run(node, "write", value(node.stamp(), b"%d" % number).encode()) for number in range(3)
    ]
    assert len({each.stored[:22] for each in found if each.stored}) == 3
    assert all(each.stored[39:40] == b"|" for each in found if each.stored)
