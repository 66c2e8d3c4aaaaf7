"""`write_many` and `absorb` where records share a header, as those of a chunk do: each has its own
standing.
"""

from __future__ import annotations

import pytest

from redrepl.values.record import Record
from redrepl.values.stamp import Stamp
from tests.scripts.harness import LAYOUT, Node, deleted, restamped, value

MANY = 350
"""More keys than are read at a time."""


def _batch(stamp: Stamp, keys: list[bytes], deadline_millis: int = 0) -> dict[bytes, Record]:
    return {key: value(stamp, b"new " + key, deadline_millis) for key in keys}


def _keys(count: int) -> list[bytes]:
    return [b"key-%d" % number for number in range(count)]


@pytest.mark.parametrize("rule", ["decide", "follow", "merge"])
def test_each_key_is_compared_with_what_stands_under_it(node: Node, rule: str) -> None:
    node.enrol(rule=rule)
    stamp = node.stamp(-1)
    batch = _batch(stamp, [b"absent", b"earlier", b"later", b"same", b"absent too", b"later too"])
    node.put(b"earlier", value(node.stamp(-9), b"old"))
    later = node.put(b"later", deleted(Stamp(stamp.micros, stamp.writer + 1)))
    node.put(b"same", batch[b"same"])
    node.put(b"later too", value(later.stamp, b"old"))
    answer = node.write_many(batch)
    if rule == "decide":
        won = restamped(batch[b"later"], later.stamp).stamp
        assert answer == [b"some", 2, b"ok", won.encode(), 5, b"ok", won.encode()]
        assert node.record(b"later") == batch[b"later"]._replace(stamp=won)
        assert node.record(b"later too") == batch[b"later too"]._replace(stamp=won)
    else:
        assert answer == [b"some", 2, b"has", later.stamp.encode(), 5, b"has", later.stamp.encode()]
        assert node.record(b"later") == later
    for key in (b"absent", b"earlier", b"same", b"absent too"):
        assert node.record(key) == batch[key]
    logged = {key: node.record(key).stamp.encode() for key in batch if key != b"same"}
    if rule != "decide":
        del logged[b"later"], logged[b"later too"]
    assert node.log() == [logged]


@pytest.mark.parametrize("script", ["write_many", "absorb"])
def test_many_keys_are_stored_with_one_entry(node: Node, script: str) -> None:
    for round_number in range(3):
        batch = _batch(node.stamp(round_number * 0.1), _keys(MANY))
        answer = node.write_many(batch) if script == "write_many" else node.absorb(batch)
        assert answer == (1 if script == "write_many" else [b"ok", MANY])
        assert len(node.log()) == round_number + 1
        assert node.log()[-1] == {key: record.stamp.encode() for key, record in batch.items()}
    assert all(node.record(key) == record for key, record in batch.items())


@pytest.mark.parametrize("script", ["write_many", "absorb"])
@pytest.mark.parametrize("place", [0, 99, 100, 349])
@pytest.mark.parametrize("kind", ["hash", "text", "empty"])
def test_a_foreign_value_anywhere_stops_all_of_it(
    node: Node, script: str, place: int, kind: str
) -> None:
    keys = _keys(MANY)
    name = LAYOUT.data(keys[place])
    for key in keys[1::2]:
        if key != keys[place]:
            node.put(key, value(node.stamp(-5)))
    before = {key: node.stored(key) for key in keys}
    if kind == "hash":
        node.client.hset(name, "field", "value")
    else:
        node.client.set(name, b"" if kind == "empty" else b"text")
    batch = _batch(node.stamp(), keys)
    answer = (
        node.write_many(batch)
        if script == "write_many"
        else node.absorb(batch, (b"inc", b"5-0", 1))
    )
    assert answer == [b"foreign", name]
    assert node.log() == []
    assert {key: node.stored(key) for key in keys if key != keys[place]} == {
        key: stored for key, stored in before.items() if key != keys[place]
    }
    assert node.client.exists(LAYOUT.marks) == 0


@pytest.mark.parametrize("script", ["write_many", "absorb"])
def test_a_record_cut_off_behind_a_header_found_sound_before_is_foreign(
    node: Node, script: str
) -> None:
    stamp = node.stamp(-5)
    whole = Record(stamp, b"v", 0, b"payload", b"causal")
    node.put(b"whole", whole)
    node.client.set(LAYOUT.data(b"cut"), whole.encode()[:43])
    batch = _batch(node.stamp(), [b"whole", b"cut"])
    answer = node.write_many(batch) if script == "write_many" else node.absorb(batch)
    assert answer == [b"foreign", LAYOUT.data(b"cut")]
    assert node.record(b"whole") == whole


@pytest.mark.parametrize("script", ["write_many", "absorb"])
def test_deadlines_are_each_record_own(node: Node, script: str) -> None:
    stamp, first, second = node.stamp(), node.millis(60), node.millis(600)
    deadlines = {b"a": first, b"b": 0, b"c": first, b"d": second, b"e": 0}
    batch = {key: value(stamp, key, deadline) for key, deadline in deadlines.items()}
    answer = node.write_many(batch) if script == "write_many" else node.absorb(batch)
    assert answer == (1 if script == "write_many" else [b"ok", 5])
    assert {key: node.record(key) for key in batch} == batch
    assert {key: node.expires_at_millis(key) for key in batch} == {
        key: deadline + 30_000 if deadline else -1 for key, deadline in deadlines.items()
    }


def test_the_age_and_the_skew_of_each_stamp_count(node: Node) -> None:
    fresh, old, ahead = node.stamp(), node.stamp(-40), node.stamp(60)
    batch = {
        b"a": value(fresh),
        b"b": value(old),
        b"c": value(old),
        b"d": value(ahead),
        b"e": value(fresh),
    }
    answer = node.write_many(batch)
    assert [*answer[:3], *answer[4:6], *answer[7:9]] == [
        b"some",
        1,
        b"expired",
        2,
        b"expired",
        3,
        b"skewed",
    ]
    assert [node.stored(key) is not None for key in batch] == [True, False, False, False, True]


TOMBSTONES = [b"0" * 22, b"000ddddddddddd" + b"d" * 8, b"0660f97b06fcfa0000000d"]


@pytest.mark.parametrize("stamp", TOMBSTONES)
@pytest.mark.parametrize("deadline", [b"0" * 12, b"00000000d00d"])
def test_the_letter_of_a_tombstone_is_found_among_digits(
    node: Node, stamp: bytes, deadline: bytes
) -> None:
    name = LAYOUT.data(b"key")
    node.client.set(name, stamp + b"d" + deadline + b"0000|")
    assert node.call("headers", [b"key"], b"7", b"active") == [b"ok", stamp + b"d" + deadline]
    for place, damage in ((3, b"D"), (22, b"e"), (30, b"v"), (38, b"g"), (39, b"0")):
        bad = bytearray(stamp + b"d" + deadline + b"0000|payload|")
        bad[place : place + 1] = damage
        node.client.set(name, bytes(bad))
        assert node.call("headers", [b"key"], b"7", b"active") == [b"ok", b"foreign"], damage
