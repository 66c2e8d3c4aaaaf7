"""Stamps, the hybrid clock and the writers of restamps."""

from __future__ import annotations

from itertools import pairwise

import pytest

from redrepl.values import limits
from redrepl.values.errors import RequestError
from redrepl.values.hybrid_clock import HybridClock
from redrepl.values.stamp import NO_STAMP, Stamp, restamp_writer


def test_a_stamp_is_14_and_8_hexadecimal_digits() -> None:
    stamp = Stamp(0x0660F71EB15369, 5)
    assert stamp.encode() == b"0660f71eb1536900000005"
    assert str(stamp) == "0660f71eb1536900000005"
    assert Stamp.parse(b"0660f71eb1536900000005") == Stamp.parse("0660f71eb1536900000005") == stamp


@pytest.mark.parametrize(
    "text",
    [b"", b"0" * 21, b"0" * 23, b"g" * 22, "ü" * 22, b"\xff" * 22, b"0660f71eb15369 0000005."],
)
def test_anything_else_is_no_stamp(text: bytes | str) -> None:
    with pytest.raises(ValueError, match=r"digits|invalid"):
        Stamp.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "+660f71eb1536900000005",
        "0x60f71eb1536900000005",
        "0_60f71eb1536900000005",
        "0660f71eb15369      05",
    ],
)
def test_signs_and_blanks_are_no_digits(text: str) -> None:
    with pytest.raises(ValueError, match=r"digits|invalid"):
        Stamp.parse(text)


def test_micros_come_before_the_writer() -> None:
    ordered = [
        NO_STAMP,
        Stamp(0, 1),
        Stamp(1, 0),
        Stamp(1, 0x7FFFFFFF),
        Stamp(1, 0x80000001),
        Stamp(2, 0),
    ]
    assert all(earlier < later for earlier, later in pairwise(ordered))


def test_the_clock_gives_the_physical_time() -> None:
    assert HybridClock(7).next(1000) == Stamp(1000, 7)


def test_a_clock_that_stands_still_or_jumps_back_goes_on() -> None:
    clock = HybridClock(7)
    stamps = [clock.next(reading) for reading in (1000, 1000, 1000, 400, 0, 1003, 1004, 2000)]
    assert [stamp.micros for stamp in stamps] == [1000, 1001, 1002, 1003, 1004, 1005, 1006, 2000]


def test_what_was_observed_is_passed() -> None:
    clock = HybridClock(7)
    clock.observe(5000)
    assert clock.next(1000) == Stamp(5001, 7)
    clock.observe(10)
    assert clock.next(1000) == Stamp(5002, 7)


def test_a_reading_beyond_2246_is_an_error_that_leaves_the_clock_usable() -> None:
    clock = HybridClock(7)
    with pytest.raises(RequestError, match="2246"):
        clock.next(limits.MAX_MICROS + 1)
    clock.observe(limits.MAX_MICROS + 1)
    assert clock.next(1000) == Stamp(1000, 7)


def test_a_clock_at_its_end_gives_no_more_stamps() -> None:
    clock = HybridClock(7)
    assert clock.next(limits.MAX_MICROS).micros == limits.MAX_MICROS
    for _ in range(2):
        with pytest.raises(RequestError):
            clock.next(1000)


def test_after_a_restart_another_writer_makes_other_stamps_of_the_same_time() -> None:
    before, after = HybridClock(7), HybridClock(8)
    given = [before.next(1000), before.next(900)]
    assert not set(given) & {after.next(1000), after.next(900)}


@pytest.mark.parametrize("writer", [0, -1, limits.MAX_CLIENT_WRITER + 1, 0x80000001])
def test_a_clients_writer_never_looks_like_a_restamp(writer: int) -> None:
    with pytest.raises(ValueError, match="writer"):
        HybridClock(writer)


def test_clients_may_have_the_first_and_the_last_writer() -> None:
    assert HybridClock(1).writer == 1
    assert HybridClock(limits.MAX_CLIENT_WRITER).writer == 0x7FFFFFFF


def test_restamping_writers_are_made_of_epoch_and_number() -> None:
    assert restamp_writer(1, 0) == 0x80001000
    assert restamp_writer(7, 1) == 0x80007001
    assert restamp_writer(limits.MAX_EPOCH, 4095) == 0xFFFFFFFF


@pytest.mark.parametrize(
    ("epoch", "number"), [(0, 0), (-1, 0), (limits.MAX_EPOCH + 1, 0), (1, -1), (1, 4096)]
)
def test_what_does_not_fit_a_writer_is_refused(epoch: int, number: int) -> None:
    with pytest.raises(ValueError, match="writer id"):
        restamp_writer(epoch, number)
