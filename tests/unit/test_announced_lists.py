"""Lists that announce more than any answer has are found before the parser makes room for them."""

from __future__ import annotations

import hiredis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redrepl.edges.announced_lists import MOST_PLACES, AnnouncedLists

HUGE = (
    b"*1000000000\r\n",
    b"~4000000000\r\n",
    b">12345678\r\n",
    b"*+1000000000\r\n",
    b"*0001000000000\r\n",
)
SOUND = (
    b":1\r\n",
    b"$-1\r\n",
    b"*-1\r\n",
    b"*0\r\n",
    b"+OK\r\n",
    b"-ERR no\r\n",
    b"*2\r\n$2\r\nok\r\n*1\r\n:5\r\n",
    b"*%d\r\n" % 3 + b":1\r\n" * 3,
)


def text(payload: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(payload), payload)


def receive(stream: bytes, sizes: list[int]) -> list[object]:
    """What a connection makes of a stream that arrives in pieces of these sizes, over and over."""
    reader, lists, nothing = hiredis.Reader(notEnoughData=...), AnnouncedLists(), ...
    found: list[object] = []
    place = number = 0
    while place < len(stream):
        size = sizes[number % len(sizes)]
        data, place, number = stream[place : place + size], place + size, number + 1
        lists.check(data)
        reader.feed(data)
        while (answer := reader.gets()) is not nothing:
            found.append(answer)
        lists.note(data, not reader.has_data())
    return found


SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=6)


@given(
    before=st.lists(st.sampled_from(SOUND) | st.binary(max_size=60).map(text), max_size=6),
    huge=st.sampled_from(HUGE),
    nesting=st.integers(0, 4),
    sizes=SIZES,
)
def test_an_announcement_is_found_wherever_it_begins(
    before: list[bytes], huge: bytes, nesting: int, sizes: list[int]
) -> None:
    with pytest.raises(hiredis.ProtocolError, match="places"):
        receive(b"".join(before) + b"*1\r\n" * nesting + huge, sizes)


@given(
    values=st.lists(st.sampled_from(HUGE) | st.binary(max_size=60), min_size=1, max_size=8),
    sizes=SIZES,
)
def test_what_looks_like_one_within_a_value_is_a_value(
    values: list[bytes], sizes: list[int]
) -> None:
    values = [values[0] + b"\r\n" + HUGE[0] + values[-1], *values]
    stream = b"*%d\r\n" % len(values) + b"".join(map(text, values)) + b":7\r\n"
    assert receive(stream, sizes) == [values, 7]


@pytest.mark.parametrize("size", [65536, 100_000, 999])
def test_large_values_are_gone_through_once(size: int) -> None:
    values = [b"x" * 3_000_000 + HUGE[0] * 10, b"*" * 100_000, HUGE[0] * 50_000, b"end"]
    stream = b"*%d\r\n" % len(values) + b"".join(map(text, values)) + b":7\r\n"
    assert receive(stream, [size]) == [values, 7]
    with pytest.raises(hiredis.ProtocolError, match="places"):
        receive(stream + HUGE[0], [size])


@pytest.mark.parametrize("before", [b"", b"*2\r\n" + text(b"x" * 700_000)])
def test_a_line_without_end_is_not_gone_through_again_and_again(before: bytes) -> None:
    with pytest.raises(hiredis.ProtocolError, match="a line without end"):
        receive(before + b"+" + b"a" * 3_000_000, [65536])


def test_the_longest_list_is_taken() -> None:
    assert receive(b"*%d\r\n" % MOST_PLACES, [100]) == []
    with pytest.raises(hiredis.ProtocolError, match="places"):
        receive(b"*%d\r\n" % (MOST_PLACES + 1), [100])
