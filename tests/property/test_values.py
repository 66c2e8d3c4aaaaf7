"""Properties of stamps, records, levels and tokens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redrepl.values import limits
from redrepl.values.errors import RequestError
from redrepl.values.hybrid_clock import HybridClock
from redrepl.values.keys import KeyLayout
from redrepl.values.level import ConsistencyLevel, required_copies
from redrepl.values.record import HEADER_BYTES, Record, is_record, parse_record
from redrepl.values.session import Session
from redrepl.values.stamp import Stamp, restamp_writer
from redrepl.values.validation import check_ttl
from tests.property.strategies import records, stamps


@given(records())
def test_a_record_comes_back_from_its_bytes(record: Record) -> None:
    encoded = record.encode()
    assert parse_record(encoded) == record
    assert encoded[:HEADER_BYTES].isascii()
    assert len(encoded) == HEADER_BYTES + len(record.causal) + len(record.payload)


@given(st.binary(max_size=80))
def test_what_is_read_as_a_record_would_be_written_the_same(stored: bytes) -> None:
    try:
        record = parse_record(stored)
    except ValueError:
        return
    assert record.encode() == stored


@given(records(), st.integers(0, HEADER_BYTES - 1), st.binary(min_size=1, max_size=1))
def test_no_other_byte_in_the_header_goes_unnoticed(
    record: Record, position: int, byte: bytes
) -> None:
    encoded = record.encode()
    changed = encoded[:position] + byte + encoded[position + 1 :]
    if is_record(changed):
        assert changed == encoded or position < HEADER_BYTES - 1
        assert changed[:HEADER_BYTES].lower() == changed[:HEADER_BYTES]


@given(stamps, stamps, stamps)
def test_stamps_are_totally_ordered_as_their_texts_are(a: Stamp, b: Stamp, c: Stamp) -> None:
    assert (a < b) + (a == b) + (a > b) == 1
    assert (a < b) == (a.encode() < b.encode())
    assert not (a <= b <= c) or a <= c
    assert Stamp.parse(a.encode()) == a == Stamp.parse(str(a))


@given(
    st.lists(st.integers(0, limits.MAX_MICROS), max_size=30),
    st.integers(1, limits.MAX_CLIENT_WRITER),
)
def test_a_clock_only_goes_forward(readings: list[int], writer: int) -> None:
    clock, last = HybridClock(writer), Stamp(-1, 0)
    for number, reading in enumerate(readings):
        if number % 3 == 2:
            clock.observe(reading)
            continue
        try:
            stamp = clock.next(reading)
        except RequestError:
            assert clock.last_micros == limits.MAX_MICROS
            return
        assert stamp > last
        assert stamp.micros >= reading
        last = stamp


@given(
    st.tuples(st.integers(1, limits.MAX_EPOCH), st.integers(0, limits.MAX_NODES - 1)),
    st.tuples(st.integers(1, limits.MAX_EPOCH), st.integers(0, limits.MAX_NODES - 1)),
)
def test_restamping_writers_are_nobody_elses(
    first: tuple[int, int], second: tuple[int, int]
) -> None:
    one, other = restamp_writer(*first), restamp_writer(*second)
    assert (one == other) == (first == second)
    assert limits.MAX_CLIENT_WRITER < one < 1 << 32


@given(st.integers(0, 40))
def test_majorities_meet(replicas: int) -> None:
    copies = replicas + 1
    required = ConsistencyLevel.QUORUM.required(replicas)
    assert 2 * (required + 1) > copies
    assert required <= replicas
    assert 2 * required <= copies, "a smaller majority would do"


@given(st.integers(-3, 20), st.integers(0, 16))
def test_counts_lie_between_none_and_all(count: int, replicas: int) -> None:
    if 0 <= count <= replicas:
        assert required_copies(count, replicas) == required_copies(str(count), replicas) == count
        return
    for level in (count, str(count)):
        with pytest.raises(RequestError, match=rf"0\.\.{replicas}"):
            required_copies(level, replicas)


@given(st.dictionaries(st.binary(min_size=1, max_size=20), stamps, max_size=10), stamps)
def test_a_session_comes_back_from_its_token(seen: dict[bytes, Stamp], floor: Stamp) -> None:
    session = Session.from_token(Session(seen, floor).token())
    assert all(session.at_least(key) == stamp for key, stamp in seen.items())
    assert session.at_least(b"a key of more than twenty bytes") == floor


@given(st.binary(max_size=30), st.binary(max_size=10))
def test_names_and_keys_belong_together(key: bytes, other: bytes) -> None:
    layout = KeyLayout("shop")
    assert layout.user_key(layout.data(key)) == key
    assert (layout.data(key) == layout.data(other)) == (key == other)


@given(st.floats(limits.MIN_TTL_SECONDS, limits.MAX_TTL_SECONDS))
def test_a_time_to_live_is_never_cut_short(ttl: float) -> None:
    millis = check_ttl(ttl)
    assert millis is not None
    assert 0 <= millis - ttl * 1000 <= 1
