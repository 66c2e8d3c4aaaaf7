"""Large records: `read_many` and `digest` stop at a number of bytes, and batches do not read what
stands as a whole.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from redrepl.values.record import HEADER_BYTES, Record
from tests.scripts.harness import LAYOUT, Node, value

LARGE = 5_000
SMALL = 60
ROOM = 12_000
KEYS = [b"key-%02d" % number for number in range(50)]

LAYOUTS: dict[str, Callable[[int], bool]] = {
    "all small": lambda _place: False,
    "all large": lambda _place: True,
    "large after small": lambda place: place >= 20,
    "small after large": lambda place: place < 20,
    "large among small": lambda place: place in (3, 4, 5, 30, 31, 48),
    "small at both ends": lambda place: 0 < place < 49,
    "every second": lambda place: place % 2 == 1,
}


def _put(
    node: Node, is_large: Callable[[int], bool], absent: tuple[int, ...] = ()
) -> dict[bytes, Record]:
    stamp = node.stamp(-5)
    return {
        key: node.put(key, value(stamp, b"x" * (LARGE if is_large(place) else SMALL)))
        for place, key in enumerate(KEYS)
        if place not in absent
    }


# Reading ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", list(LAYOUTS))
@pytest.mark.parametrize("room", [0, 100, LARGE + HEADER_BYTES, ROOM])
def test_an_answer_stays_within_its_bytes_and_holds_one_record_at_least(
    node: Node, layout: str, room: int
) -> None:
    records = _put(node, LAYOUTS[layout], absent=(0, 7, 25, 49))
    expected = [record.encode() if (record := records.get(key)) else None for key in KEYS]
    found: list[bytes | None] = []
    while len(found) < len(KEYS):
        ok, *answer = node.read_many(KEYS[len(found) :], room)
        size = sum(len(stored) for stored in answer if stored)
        assert ok == b"ok"
        assert answer
        assert size <= room or len(answer) - answer.count(None) == 1
        following = len(found) + len(answer)
        assert following == len(KEYS) or size + len(expected[following] or b"") > room, (
            "more would have fitted"
        )
        found += answer
    assert found == expected


@pytest.mark.parametrize("count", [1, 2, 16, 17, 50])
def test_what_is_no_string_has_no_length_and_its_place(node: Node, count: int) -> None:
    keys = KEYS[:count]
    for key in keys:
        node.client.hset(LAYOUT.data(key), "field", "value")
    record = node.put(keys[-1], value(node.stamp(), b"x" * LARGE)) if count > 1 else None
    expected = [b"foreign"] * (count - 1) + [record.encode() if record else b"foreign"]
    assert node.read_many(keys, ROOM) == [b"ok", *expected]


def test_reading_no_keys(node: Node) -> None:
    assert node.read_many([]) == [b"ok"]


@pytest.mark.parametrize("count", [1, 16, 50])
def test_large_records_that_are_expected_are_read_one_by_one(real_node: Node, count: int) -> None:
    _put(real_node, LAYOUTS["all large"])
    before = _read_whole(real_node)
    assert len(real_node.read_many(KEYS[:count], ROOM)) == 1 + min(2, count)
    assert _read_whole(real_node) - before == min(2, count)


def test_of_few_keys_no_record_is_read_that_does_not_fit(real_node: Node) -> None:
    _put(real_node, LAYOUTS["every second"])
    before = _read_whole(real_node)
    assert len(real_node.read_many(KEYS[:16], LARGE)) == 1 + 1
    assert _read_whole(real_node) - before == 1


def test_digests_stop_after_so_many_bytes_and_tell_where(real_node: Node) -> None:
    _put(real_node, LAYOUTS["large after small"])
    whole = real_node.call("digest", KEYS, 0, 1_000_000, 0, *[1] * len(KEYS))
    assert whole[0] == 50
    assert whole[1][:2] == [b"1", 50]
    looked_at, counted, total = 0, 0, 0
    sizes = []
    while looked_at < len(KEYS):
        rest = KEYS[looked_at:]
        done, (number, count, amount), _ = real_node.call(
            "digest", rest, 0, ROOM, 0, *[1] * len(rest)
        )
        looked_at, counted, total = (
            looked_at + done,
            counted + count,
            (total + int(amount)) % (1 << 52),
        )
        sizes.append(done)
        assert number == b"1"
    assert sizes == [22, *[3] * 9, 1]
    assert (counted, total) == (50, int(whole[1][2]))


# Comparing ----------------------------------------------------------------------------------------


def _read_whole(node: Node) -> int:
    """Calls of MGET so far."""
    calls = node.client.info("commandstats")
    return int(calls.get("cmdstat_mget", {"calls": 0})["calls"])


@pytest.mark.parametrize("script", ["write_many", "absorb"])
@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_each_key_is_compared_with_what_stands_under_it(
    node: Node, layout: str, script: str
) -> None:
    node.enrol(rule="follow")
    standing = _put(node, LAYOUTS[layout], absent=(5, 21, 33))
    for place in (2, 10, 22, 40):
        standing[KEYS[place]] = node.put(
            KEYS[place], standing[KEYS[place]]._replace(stamp=node.stamp(1))
        )
    stamp = node.stamp()
    batch = {key: value(stamp, b"new") for key in KEYS}
    answer = node.write_many(batch) if script == "write_many" else node.absorb(batch)
    later = [
        part
        for place in (2, 10, 22, 40)
        for part in (place, b"has", standing[KEYS[place]].stamp.encode())
    ]
    assert answer == ([b"some", *later] if script == "write_many" else [b"ok", 46])
    for place, key in enumerate(KEYS):
        assert node.record(key) == (standing[key] if place in (2, 10, 22, 40) else batch[key])


@pytest.mark.parametrize("kind", ["hash", "text", "empty", "cut off"])
@pytest.mark.parametrize("place", [0, 1, 25, 49])
def test_a_foreign_value_among_large_records_stops_all_of_it(
    node: Node, place: int, kind: str
) -> None:
    standing = _put(node, LAYOUTS["all large"])
    name = LAYOUT.data(KEYS[place])
    node.client.delete(name)
    if kind == "hash":
        node.client.hset(name, "field", "value")
    else:
        cut = Record(node.stamp(-5), b"v", 0, b"payload", b"causal").encode()[:43]
        node.client.set(name, {"text": b"t" * LARGE, "empty": b"", "cut off": cut}[kind])
    stamp = node.stamp()
    assert node.write_many({key: value(stamp) for key in KEYS}) == [b"foreign", name]
    assert node.log() == []
    assert all(node.record(key) == record for key, record in standing.items() if key != KEYS[place])


@pytest.mark.parametrize(
    ("layout", "pieces"),
    [
        ("all small", 4),
        ("all large", 0),
        ("large after small", 0),
        ("small after large", 0),
        ("small at both ends", 1),
    ],
)
def test_standing_records_are_read_whole_while_they_are_small(
    real_node: Node, layout: str, pieces: int
) -> None:
    _put(real_node, LAYOUTS[layout])
    before = _read_whole(real_node)
    stamp = real_node.stamp()
    assert real_node.write_many({key: value(stamp) for key in KEYS}) == 1
    assert _read_whole(real_node) - before == pieces, "of 16 names each"
