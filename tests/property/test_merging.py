"""Merging by stamps, with the real scripts: whatever order records come in, the same bytes stand in
the end.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redrepl.values.record import Record
from tests.property.strategies import versions
from tests.scripts.harness import Node

KEYS = (b"x", b"y", b"z")
Stream = list[tuple[bytes, Record]]


@pytest.fixture(scope="module")
def node() -> Node:
    """A node in memory."""
    return Node.in_memory()


@st.composite
def streams(draw: st.DrawFn) -> tuple[Stream, Stream]:
    """The same records twice: in some order, and in another with some of them repeated."""
    every = [(key, record) for key in KEYS for record in draw(versions())]
    first = draw(st.permutations(every))
    repeated = draw(st.lists(st.sampled_from(every), max_size=6))
    return first, draw(st.permutations(every + repeated))


def _winners(stream: Stream) -> dict[bytes, bytes]:
    return {
        key: max((r for k, r in stream if k == key), key=lambda r: r.stamp).encode() for key in KEYS
    }


def _apply(node: Node, script: str, stream: Stream, sizes: list[int]) -> dict[bytes, bytes | None]:
    node.client.flushall()
    node.enrol(rule="merge" if script == "merge" else "follow", max_skew_micros=1 << 53)
    start = 0
    for size in [*sizes, len(stream)]:
        part, start = stream[start : start + size], start + size
        batch: dict[bytes, Record] = {}
        for key, record in part:
            if key in batch or script not in ("write_many", "absorb"):
                _send(node, script, batch)
                batch = {}
            batch[key] = record
        _send(node, script, batch)
    return {key: node.stored(key) for key in KEYS}


def _send(node: Node, script: str, batch: dict[bytes, Record]) -> Any:
    if script == "absorb":
        return node.absorb(batch)
    if script == "write_many":
        return node.write_many(batch) if batch else None
    return [node.write(key, record) for key, record in batch.items()]


@settings(max_examples=40)
@pytest.mark.parametrize("script", ["write", "merge", "write_many", "absorb"])
@given(both=streams(), sizes=st.lists(st.integers(1, 5), max_size=4))
def test_order_repetition_and_grouping_do_not_matter(
    node: Node, script: str, both: tuple[Stream, Stream], sizes: list[int]
) -> None:
    first, second = both
    winners = _winners(first)
    assert _apply(node, script, first, []) == winners
    assert _apply(node, script, second, sizes) == winners


@settings(max_examples=30)
@given(both=streams())
def test_two_nodes_that_exchange_what_they_have_become_equal(
    node: Node, both: tuple[Stream, Stream]
) -> None:
    """Each takes half of the records; then each absorbs what the other has.

    Both ways give the same.
    """
    half = len(both[0]) // 2
    parts = (both[0][:half], both[0][half:])
    ends = []
    for own, others in (parts, parts[::-1]):
        have = [
            (key, max((r for k, r in others if k == key), key=lambda r: r.stamp, default=None))
            for key in KEYS
        ]
        shipped = [(key, record) for key, record in have if record is not None]
        ends.append(_apply(node, "absorb", own + shipped, [len(own)] if own else []))
    assert ends[0] == ends[1] == _winners(both[0])


@settings(max_examples=30)
@given(both=streams())
def test_the_log_names_each_change_and_ends_with_what_stands(
    node: Node, both: tuple[Stream, Stream]
) -> None:
    _apply(node, "write", both[1], [])
    log = [change for entry in node.log() for change in entry.items()]
    for key in KEYS:
        stamps = [stamp for name, stamp in log if name == key]
        assert stamps == sorted(set(stamps)), "later and later, none twice"
        assert stamps[-1] == node.record(key).stamp.encode()


@settings(max_examples=40)
@given(
    writes=st.lists(
        st.tuples(st.integers(-8, 4), st.integers(1, 3), st.binary(max_size=4)),
        min_size=1,
        max_size=12,
    )
)
def test_every_write_that_a_primary_takes_is_the_newest_and_has_a_stamp_of_its_own(
    node: Node, writes: list[tuple[int, int, bytes]]
) -> None:
    node.client.flushall()
    node.enrol(rule="decide")
    base = node.stamp(-10)
    given_stamps: dict[bytes, bytes] = {}
    for distance, writer, payload in writes:
        record = Record(
            base._replace(micros=base.micros + distance, writer=writer), b"v", 0, payload
        )
        before = node.stored(b"key")
        answer = node.write(b"key", record)
        decided = record.stamp.encode() if answer == 1 else answer[1]
        if before is not None and before[:22] == record.stamp.encode():
            assert (answer, node.stored(b"key")) == (1, before), "the same stamp is the same write"
            continue
        assert node.record(b"key").payload == payload
        assert node.record(b"key").stamp.encode() == decided
        assert before is None or decided > before[:22]
        assert decided not in given_stamps
        given_stamps[decided] = payload
