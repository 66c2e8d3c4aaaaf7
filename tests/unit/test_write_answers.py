"""The answers of the scripts that write, as types."""

from __future__ import annotations

from typing import Any

import pytest

from redrepl.values.answers.refusals import (
    Foreign,
    NotAdmitted,
    Refusal,
    TooFarAhead,
    TooOld,
    Unexpected,
    parse_refusal,
)
from redrepl.values.answers.writes import (
    Applied,
    Conflict,
    Done,
    HasLater,
    Partly,
    Restamped,
    Unfit,
    UnfitOperation,
    Unmet,
    parse_transact,
    parse_update,
    parse_write,
    parse_write_many,
)
from redrepl.values.stamp import Stamp

STAMP = Stamp(1000, 1)
PARSERS = (parse_refusal, parse_write, parse_write_many, parse_update, parse_transact)
TEXT = STAMP.encode()

REFUSALS: list[tuple[list[Any], Refusal, str]] = [
    ([b"refused", b"7", b"syncing"], NotAdmitted("7", "syncing"), "refused: epoch 7, syncing"),
    ([b"refused", b"", b""], NotAdmitted("", ""), "refused: epoch none, no member"),
    (
        [b"expired", b"5"],
        TooOld("5"),
        "refused: the write is older than the node accepts (its clock: 5 microseconds)",
    ),
    (
        [b"skewed", b"5"],
        TooFarAhead("5"),
        "refused: the stamp is too far ahead of the node's clock (5 microseconds)",
    ),
    ([b"foreign", b"k"], Foreign(b"k"), "holds a value that redrepl did not write under b'k'"),
    ([b"other"], Unexpected([b"other"]), "unexpected answer [b'other']"),
]


@pytest.mark.parametrize(("content", "refusal", "reason"), REFUSALS)
@pytest.mark.parametrize("parse", PARSERS)
def test_every_script_refuses_in_the_same_words(
    parse: Any,
    content: list[Any],
    refusal: Refusal,
    reason: str,
) -> None:
    assert parse(content) == refusal
    assert refusal.reason == reason


@pytest.mark.parametrize(
    ("epoch", "state", "is_closed", "is_behind"),
    [
        ("7", "syncing", True, False),
        ("7", "active", True, False),
        ("", "", True, False),
        ("6", "active", False, True),
        ("6", "fenced", False, False),
        ("8", "active", False, False),
        ("10", "active", False, False),
    ],
)
def test_what_a_refusal_says_of_the_epoch(
    epoch: str,
    state: str,
    is_closed: bool,
    is_behind: bool,
) -> None:
    refusal = NotAdmitted(epoch, state)
    assert (refusal.is_closed(b"7"), refusal.is_behind(b"7")) == (is_closed, is_behind)


def test_write() -> None:
    assert parse_write([b"ok", TEXT]) == Restamped(STAMP)
    assert parse_write([b"has", TEXT]) == HasLater(STAMP)
    assert parse_write([b"ok", TEXT]) != parse_write([b"has", TEXT])


def test_write_many() -> None:
    content = [b"some", 0, b"ok", TEXT, 3, b"has", TEXT, 7, b"expired", b"5"]
    answer = parse_write_many(content)
    assert answer == Partly({0: Restamped(STAMP), 3: HasLater(STAMP), 7: TooOld("5")})


def test_update() -> None:
    assert parse_update([b"ok", b"a record"]) == Applied(b"a record")
    assert parse_update([b"unmet", TEXT]) == Unmet(STAMP)
    assert parse_update([b"unmet", b""]) == Unmet(None)
    assert parse_update([b"unfit", b"why"]) == Unfit(b"why")


def test_transact() -> None:
    content = [b"done", b"ok", TEXT, b"unmet", b"", b"unfit", b"why"]
    assert parse_transact(content) == Done((Applied(TEXT), Unmet(None), Unfit(b"why")))
    assert parse_transact([b"conflict", 0, TEXT, 2, b""]) == Conflict({0: STAMP, 2: None})
    assert parse_transact([b"unfit", 1, b"why"]) == UnfitOperation(1, b"why")
