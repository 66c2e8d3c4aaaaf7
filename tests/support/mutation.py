"""Inputs near well-formed ones: what was sound, and was then flipped, cut, doubled, spliced or made
huge.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from hypothesis import strategies as st

TOKENS: tuple[bytes, ...] = (
    b"\x00",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\xed\xb2\x80",
    "\u0663".encode(),
    "\u00e9".encode(),
    b"\\ud800",
    b"\\u0000",
    b"%00",
    b"\x1b[2J",
    b"\n",
    b" ",
    b'"',
    b"[",
    b"]",
    b"{}",
    b"null",
    b"true",
    b"NaN",
    b"Infinity",
    b"1e999",
    b"-1e999",
    b"1.5",
    b"-0",
    b"+5",
    b"1_000",
    b" 7 ",
    b"-1",
    b"4294967296",
    b"9223372036854775808",
    b"99999999999999999999",
    b"9" * 400,
    b"9" * 5_000,
    b"[" * 5_000,
    b"[" * 100_000,
    b'{"a":' * 2_000,
    b"x" * 300,
    b"x" * 70_000,
)
"""What parsers meet seldom and stumble over."""

_NUMBERS = re.compile(rb"[0-9]+")


@st.composite
def mutated(draw: st.DrawFn, sound: Sequence[bytes]) -> bytes:
    """One of these with up to three changes; now and then any bytes, or two of them in one."""
    data = draw(st.sampled_from(sound))
    kind = draw(st.integers(0, 19))
    if kind == 0:
        return draw(st.binary(max_size=60))
    if kind == 1:
        other = draw(st.sampled_from(sound))
        return data[: draw(st.integers(0, len(data)))] + other[draw(st.integers(0, len(other))) :]
    for _ in range(draw(st.integers(0, 3))):
        data = _changed(draw, data)
    return data


def _changed(draw: st.DrawFn, data: bytes) -> bytes:
    start = draw(st.integers(0, len(data)))
    end = draw(st.integers(start, min(len(data), start + 20)))
    how = draw(st.integers(0, 5))
    if how == 0:  # flipped
        return (
            data[:start]
            + bytes(each ^ 1 << draw(st.integers(0, 7)) for each in data[start : start + 1])
            + data[start + 1 :]
        )
    if how == 1:  # cut
        return data[:start] if draw(st.booleans()) else data[:start] + data[end:]
    if how == 2:  # a part of it twice
        return data[:end] + data[start:]
    if how == 3 and (numbers := list(_NUMBERS.finditer(data))):  # another number
        number = draw(st.sampled_from(numbers))
        return data[: number.start()] + draw(st.sampled_from(TOKENS)) + data[number.end() :]
    return data[:start] + draw(st.sampled_from(TOKENS)) + data[end if how == 4 else start :]
