"""Records: the header's layout byte by byte, and what is none."""

from __future__ import annotations

import pytest

from redrepl.values.record import HEADER_BYTES, is_record, parse_record, tombstone, value_record
from redrepl.values.stamp import Stamp

STAMP = Stamp(0x0660F71EB15369, 0x80001002)


def test_every_part_of_the_header_has_its_place() -> None:
    encoded = value_record(STAMP, b"payload", 0x018BCFE56800)._replace(causal=b"cause").encode()
    assert encoded[0:14] == b"0660f71eb15369"
    assert encoded[14:22] == b"80001002"
    assert encoded[22:23] == b"v"
    assert encoded[23:35] == b"018bcfe56800"
    assert encoded[35:39] == b"0005"
    assert encoded[39:40] == b"|"
    assert encoded[HEADER_BYTES:] == b"causepayload"


def test_a_tombstone_is_nothing_but_its_header() -> None:
    assert tombstone(STAMP).encode() == b"0660f71eb1536980001002d0000000000000000|"
    assert parse_record(tombstone(STAMP, 5).encode()) == tombstone(STAMP, 5)


@pytest.mark.parametrize(
    "payload", [b"", b"|", b"\x00\n\xff", b"0660f71eb1536980001002d0000000000000000|"]
)
def test_causal_part_and_payload_are_told_apart(payload: bytes) -> None:
    record = value_record(STAMP, payload)._replace(causal=b"|cause")
    assert parse_record(record.encode()) == record


HEADER = b"0660f71eb1536980001002v0000000000000000|"


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        b"hello",
        HEADER[:-1],
        b" " + HEADER[:-1],
        HEADER.replace(b"v", b"x"),
        HEADER.replace(b"v", b"V"),
        HEADER.replace(b"|", b"-"),
        HEADER.replace(b"f", b"F"),
        HEADER.replace(b"6", b"g"),
        b"\n" + HEADER,
        HEADER.replace(b"0000|", b"-001|"),
    ],
)
def test_what_redrepl_did_not_write_is_refused(stored: bytes) -> None:
    assert not is_record(stored)
    with pytest.raises(ValueError, match="not a record"):
        parse_record(stored)


def test_a_cut_causal_part_is_refused() -> None:
    with pytest.raises(ValueError, match="causal"):
        parse_record(HEADER.replace(b"0000|", b"0004|") + b"abc")


def test_a_value_reads_as_present_until_its_deadline() -> None:
    assert value_record(STAMP, b"", 0).is_live(10**15)
    record = value_record(STAMP, b"", 1000)
    assert [record.is_live(now) for now in (0, 999, 1000, 1001)] == [True, True, False, False]
    assert [record.is_past_deadline(now) for now in (0, 999, 1000, 1001)] == [
        False,
        False,
        True,
        True,
    ]


def test_a_tombstone_is_never_present() -> None:
    assert not tombstone(STAMP).is_live(0)
    assert not tombstone(STAMP).is_past_deadline(10**15)
    assert tombstone(STAMP, 5).is_past_deadline(5)
