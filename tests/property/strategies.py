"""Stamps, records and answers as hypothesis draws them."""

from __future__ import annotations

from hypothesis import strategies as st

from redrepl.values.limits import MAX_MICROS
from redrepl.values.record import Record, tombstone, value_record
from redrepl.values.stamp import Stamp

micros = st.one_of(
    st.integers(0, 5), st.integers(0, MAX_MICROS), st.integers(MAX_MICROS - 5, MAX_MICROS)
)
writers = st.one_of(
    st.integers(0, 5), st.integers(0, (1 << 32) - 1), st.sampled_from([0x7FFFFFFF, 0x80000001])
)
stamps = st.builds(Stamp, micros, writers)
deadlines = st.one_of(st.just(0), st.integers(1, (1 << 48) - 1))
payloads = st.one_of(st.binary(max_size=40), st.sampled_from([b"|", b"", b"0" * 40]))
causal = st.one_of(st.just(b""), st.binary(max_size=60))


@st.composite
def records(draw: st.DrawFn) -> Record:
    """Any record."""
    if draw(st.booleans()):
        return tombstone(draw(stamps), draw(deadlines))._replace(causal=draw(causal))
    return value_record(draw(stamps), draw(payloads), draw(deadlines))._replace(causal=draw(causal))


@st.composite
def versions(draw: st.DrawFn) -> list[Record]:
    """Versions of one key, no stamp twice: one stamp names exactly one record."""
    drawn = draw(st.lists(stamps, min_size=1, max_size=6, unique=True))
    return [
        tombstone(stamp) if draw(st.integers(0, 3)) == 0 else value_record(stamp, draw(payloads))
        for stamp in drawn
    ]
