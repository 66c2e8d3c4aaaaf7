"""`digest`: equal contents have equal sums, in whatever order; on real engines, fakeredis has no
sha1hex.
"""

from __future__ import annotations

import hashlib
from typing import Any

from redrepl.values.record import Record
from redrepl.values.stamp import Stamp
from tests.scripts.harness import LAYOUT, Node, deleted, value


def _digest(
    node: Node, ranges: list[tuple[bytes, int]], now_millis: int | None = None
) -> list[tuple[int, int, int]]:
    at = node.millis(0) if now_millis is None else now_millis
    names = [LAYOUT.data(key) for key, _ in ranges]
    answer = _call(node, names, at, [number for _, number in ranges])
    looked_at, sums, old = answer
    assert looked_at == len(ranges), "all keys were looked at"
    assert old == []
    return [(int(sums[i]), sums[i + 1], int(sums[i + 2])) for i in range(0, len(sums), 3)]


def _call(
    node: Node,
    names: list[bytes],
    at: int,
    numbers: list[int],
    most_bytes: int = 1_000_000,
    old_before: int = 0,
) -> list[Any]:
    keys = [LAYOUT.user_key(name) for name in names]
    answer: list[Any] = node.call("digest", keys, at, most_bytes, old_before, *numbers)
    return answer


def _sum(**records: Record | bytes) -> int:
    total = 0
    for key, record in records.items():
        stored = record if isinstance(record, bytes) else record.encode()
        digest = hashlib.sha1(
            LAYOUT.data(key.encode()) + b" " + stored, usedforsecurity=False
        ).hexdigest()
        total += int(digest[:12], 16)
    return total % (1 << 52)


def test_each_run_of_equal_numbers_is_one_range(real_node: Node) -> None:
    a = real_node.put(b"a", value(real_node.stamp(), b"\x00one"))
    b = real_node.put(b"b", deleted(real_node.stamp()))
    c = real_node.put(b"c", value(real_node.stamp(), b"three", real_node.millis(600)))
    found = _digest(real_node, [(b"a", 3), (b"b", 3), (b"absent", 3), (b"c", 9)])
    assert found == [(3, 2, _sum(a=a, b=b)), (9, 1, _sum(c=c))]


def test_the_order_of_keys_does_not_matter(real_node: Node) -> None:
    for key in (b"a", b"b", b"c"):
        real_node.put(key, value(real_node.stamp(), key))
    forward = _digest(real_node, [(b"a", 1), (b"b", 1), (b"c", 1)])
    assert forward == _digest(real_node, [(b"c", 1), (b"a", 1), (b"b", 1)])
    assert forward[0][1] == 3


def test_any_byte_makes_a_difference(real_node: Node) -> None:
    record = real_node.put(b"a", value(real_node.stamp(), b"one", real_node.millis(600)))
    first = _digest(real_node, [(b"a", 1)])
    variants = [
        record._replace(payload=b"onf"),
        record._replace(stamp=record.stamp._replace(writer=2)),
        record._replace(deadline_millis=record.deadline_millis + 1),
        deleted(record.stamp, record.deadline_millis),
    ]
    for variant in variants:
        real_node.put(b"a", variant)
        assert _digest(real_node, [(b"a", 1)]) != first


def test_the_same_record_under_another_key_differs(real_node: Node) -> None:
    record = value(real_node.stamp())
    real_node.put(b"a", record)
    real_node.put(b"b", record)
    assert _digest(real_node, [(b"a", 1)]) != _digest(real_node, [(b"b", 1)])


def test_records_past_their_deadline_do_not_count(real_node: Node) -> None:
    kept = real_node.put(b"a", value(real_node.stamp()))
    gone = real_node.put(b"b", value(real_node.stamp(), b"gone", real_node.millis(60)))
    at = gone.deadline_millis
    assert _digest(real_node, [(b"a", 1), (b"b", 1)], at) == [(1, 1, _sum(a=kept))]
    assert _digest(real_node, [(b"a", 1), (b"b", 1)], at - 1) == [(1, 2, _sum(a=kept, b=gone))]


def test_a_foreign_value_counts_whatever_it_is(real_node: Node) -> None:
    real_node.client.hset(LAYOUT.data(b"a"), "field", "value")
    real_node.client.set(LAYOUT.data(b"b"), b"text")
    found = _digest(real_node, [(b"a", 1), (b"b", 1)])
    assert found == [(1, 2, _sum(a=b"foreign", b=b"text"))]


def test_nothing_to_digest(real_node: Node) -> None:
    assert _digest(real_node, []) == []
    assert _digest(real_node, [(b"absent", 4)]) == [(4, 0, 0)]


def test_the_sum_of_a_large_range_is_exact_in_any_order(real_node: Node) -> None:
    records = {f"key-{number}": value(Stamp(number, 1), b"%d" % number) for number in range(500)}
    for key, record in records.items():
        real_node.put(key.encode(), record)
    assert sum(_sum(**{key: record}) for key, record in records.items()) > 1 << 54
    forward = _digest(real_node, [(key.encode(), 1) for key in records])
    assert forward == _digest(real_node, [(key.encode(), 1) for key in reversed(records)])
    assert forward == [(1, 500, _sum(**records))]


def test_old_tombstones_are_listed_and_do_not_count(real_node: Node) -> None:
    old = real_node.put(b"old", deleted(real_node.stamp(-90)))
    young = real_node.put(b"young", deleted(real_node.stamp(-20)))
    kept = real_node.put(b"kept", value(real_node.stamp(-90)))
    real_node.put(b"gone", deleted(real_node.stamp(-90), real_node.millis(-1)))
    names = [LAYOUT.data(key) for key in (b"kept", b"old", b"young", b"gone", b"absent")]
    before = old.stamp.micros + 1
    found = _call(real_node, names, real_node.millis(0), [1] * 5, old_before=before)
    assert found == [5, [b"1", 2, b"%d" % _sum(kept=kept, young=young)], [1, old.stamp.encode()]]
    assert _call(real_node, names, real_node.millis(0), [1] * 5, old_before=before - 1)[2] == []
