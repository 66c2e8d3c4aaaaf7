"""`update increment`: whole numbers up to 2**53, exactly or not at all."""

from __future__ import annotations

import pytest

from tests.scripts.harness import Node, deleted, value

LARGEST = (1 << 53) - 1


def _increment(node: Node, amount: int) -> list[bytes]:
    answer: list[bytes] = node.update(b"key", b"increment", node.stamp(), b"%d" % amount)
    return answer


@pytest.mark.parametrize(
    ("held", "amount"),
    [
        (0, 1),
        (41, 1),
        (1, -1),
        (0, -1),
        (-5, 3),
        (-5, -3),
        (-5, 5),
        (7, 0),
        (10**15, 1),
        (LARGEST - 1, 1),
        (LARGEST, 0),
        (LARGEST, -LARGEST),
        (-LARGEST, LARGEST),
        (-LARGEST + 1, -1),
        (-LARGEST, LARGEST - 1),
        (123456789012345, 987654321),
    ],
)
def test_the_sum_is_exact(node: Node, held: int, amount: int) -> None:
    node.put(b"key", value(node.stamp(-5), b"%d" % held))
    answer = _increment(node, amount)
    assert answer[0] == b"ok"
    assert node.record(b"key").payload == b"%d" % (held + amount)
    assert answer[1] == node.stored(b"key")
    assert len(node.log()) == 1


@pytest.mark.parametrize("amount", [1, -1, 0, LARGEST, -LARGEST])
@pytest.mark.parametrize("standing", ["nothing", "tombstone"])
def test_an_absent_key_counts_as_zero(node: Node, amount: int, standing: str) -> None:
    if standing == "tombstone":
        node.put(b"key", deleted(node.stamp(-5)))
    stamp = node.stamp()
    record = value(stamp, b"%d" % amount)
    assert node.update(b"key", b"increment", stamp, b"%d" % amount) == [b"ok", record.encode()]


@pytest.mark.parametrize(
    ("held", "amount"),
    [(LARGEST, 1), (-LARGEST, -1), (LARGEST, LARGEST), (-LARGEST, -LARGEST), (1, LARGEST)],
)
def test_a_sum_beyond_2_to_the_53_changes_nothing(node: Node, held: int, amount: int) -> None:
    standing = node.put(b"key", value(node.stamp(-5), b"%d" % held))
    verdict, why = _increment(node, amount)
    assert (verdict, why.endswith(b"range of 2^53")) == (b"unfit", True)
    assert (node.stored(b"key"), node.log()) == (standing.encode(), [])


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"-",
        b"+1",
        b" 1",
        b"1 ",
        b"1\n",
        b"1.0",
        b"1e3",
        b"0x10",
        b"--1",
        b"one",
        b"1\x00",
        b"\xd9\xa1",
    ],
)
def test_what_is_no_number_changes_nothing(node: Node, payload: bytes) -> None:
    standing = node.put(b"key", value(node.stamp(-5), payload))
    assert _increment(node, 1) == [b"unfit", b"the value is not a whole number"]
    assert (node.stored(b"key"), node.log()) == (standing.encode(), [])


@pytest.mark.parametrize(
    ("held", "amount"),
    [(LARGEST + 1, 0), (LARGEST + 2, -5), (10**16 + 1, -LARGEST), (-LARGEST - 2, 5), (10**40, -1)],
)
def test_a_number_that_does_not_fit_is_not_rounded(node: Node, held: int, amount: int) -> None:
    node.put(b"key", value(node.stamp(-5), b"%d" % held))
    assert _increment(node, amount)[0] == b"unfit"
    assert node.log() == []


def test_the_deadline_that_stands_stays(node: Node) -> None:
    standing = node.put(b"key", value(node.stamp(-5), b"41", node.millis(600)))
    stamp = node.stamp()
    record = value(stamp, b"42", standing.deadline_millis)
    answer = node.update(b"key", b"increment", stamp, b"1", node.millis(60))
    assert answer == [b"ok", record.encode()]
    assert node.expires_at_millis(b"key") == standing.deadline_millis + 30_000


def test_a_counter_that_begins_gets_the_deadline_of_the_call(node: Node) -> None:
    stamp = node.stamp()
    record = value(stamp, b"1", node.millis(60))
    assert node.update(b"key", b"increment", stamp, b"1", record.deadline_millis) == [
        b"ok",
        record.encode(),
    ]


def test_each_increment_is_a_version_of_its_own(node: Node) -> None:
    stamp = node.stamp()
    answers = [node.update(b"key", b"increment", stamp, b"1")[1] for _ in range(5)]
    stamps = [answer[:22] for answer in answers]
    assert [answer.rpartition(b"|")[2] for answer in answers] == [b"1", b"2", b"3", b"4", b"5"]
    assert stamps == sorted(set(stamps))
    assert [entry[b"key"] for entry in node.log()] == stamps
