"""What the scripts' answers mean: one typed result for each that a script gives."""

from __future__ import annotations

import pytest

from redrepl.values.answers.membership import (
    AlreadyMember,
    Enrolled,
    MemberChange,
    Occupied,
    Probed,
    parse_change,
    parse_changes,
    parse_enrolment,
    parse_probe,
)
from redrepl.values.answers.reads import (
    Headers,
    StoredRecords,
    Vouched,
    parse_headers,
    parse_read_many,
    parse_vouch,
)
from redrepl.values.answers.refusals import (
    Foreign,
    NotAdmitted,
    TooFarAhead,
    TooOld,
    Unexpected,
    parse_not_admitted,
    parse_refusal,
)
from redrepl.values.answers.upkeep import (
    Absorbed,
    Counted,
    Held,
    LogCut,
    LogPage,
    LogReplaced,
    NotAbsorbed,
    Noted,
    Replacement,
    parse_absorb,
    parse_count,
    parse_hold,
    parse_log_page,
    parse_noted,
    parse_replace,
)
from redrepl.values.effects import Answer

REFUSED = [b"refused", b"8", b"fenced"]
NOT_ADMITTED = NotAdmitted("8", "fenced")


@pytest.mark.parametrize(
    "parse",
    [
        parse_absorb,
        parse_count,
        parse_headers,
        parse_hold,
        parse_noted,
        parse_read_many,
        parse_replace,
        parse_vouch,
    ],
)
def test_every_script_that_admits_callers_may_refuse_one(parse: object) -> None:
    assert callable(parse)
    assert parse(REFUSED) == NOT_ADMITTED
    assert parse([b"refused", b"", b""]) == NotAdmitted("", "")


@pytest.mark.parametrize(
    ("content", "means"),
    [
        (REFUSED, NOT_ADMITTED),
        ([b"foreign", b"shop:k:x"], Foreign(b"shop:k:x")),
        ([b"expired", b"17"], TooOld("17")),
        ([b"skewed", b"17"], TooFarAhead("17")),
        (1, Unexpected(1)),
        ([b"ok", b"17"], Unexpected([b"ok", b"17"])),
        ([], Unexpected([])),
    ],
)
def test_a_refusal_says_why_nothing_was_stored(content: Answer, means: object) -> None:
    assert parse_refusal(content) == means
    assert parse_not_admitted(content) == (means if isinstance(means, NotAdmitted) else None)


def test_a_refusal_in_words() -> None:
    assert parse_refusal(REFUSED).reason == "refused: epoch 8, fenced"
    assert parse_refusal([b"refused", b"", b""]).reason == "refused: epoch none, no member"
    assert (
        "older than the node accepts (its clock: 17 microseconds)"
        in parse_refusal([b"expired", b"17"]).reason
    )
    assert (
        "too far ahead of the node's clock (17 microseconds)"
        in parse_refusal([b"skewed", b"17"]).reason
    )
    assert (
        parse_refusal([b"foreign", b"k"]).reason
        == "holds a value that redrepl did not write under b'k'"
    )
    assert parse_refusal([b"else", b"17"]).reason == "unexpected answer [b'else', b'17']"


@pytest.mark.parametrize(
    ("content", "means"),
    [
        (1, MemberChange(True)),
        ([b"changed", b"9", b"active"], MemberChange(False, "is active in epoch 9 by now")),
        ([b"changed", b"", b""], MemberChange(False, "holds no membership any more")),
        (0, MemberChange(False, "unexpected answer 0")),
        (None, MemberChange(False, "unexpected answer None")),
        ([b"x"], MemberChange(False, "unexpected answer [b'x']")),
    ],
)
def test_a_change_of_a_member_is_done_or_tells_how_the_member_is(
    content: Answer, means: MemberChange
) -> None:
    assert parse_change(content) == means


def test_only_members_that_were_changed_count() -> None:
    changes = parse_changes({"a": 1, "b": 0, "c": [b"changed", b"9", b"active"], "d": 1})
    assert [node for node, change in changes.items() if change.is_done] == ["a", "d"]


def test_a_server_is_enrolled_or_a_member_or_occupied() -> None:
    assert parse_enrolment(1) == Enrolled()
    assert parse_enrolment([b"member", b"shop", b"a", b"7", b"{}"]) == AlreadyMember("shop", b"{}")
    assert parse_enrolment([b"occupied", b"bakery"]) == Occupied("bakery")


@pytest.mark.parametrize(
    ("content", "means"),
    [
        ([1_500, b""], Probed(1_500, "")),
        ([-1, b"no"], Probed(None, "no")),
        ([0, b""], Probed(0, "")),
        ([b"0", b""], None),
        ([0], None),
        (1, None),
    ],
)
def test_a_probe_was_stored_or_the_answer_is_none_of_ours(
    content: Answer, means: Probed | None
) -> None:
    assert parse_probe(content) == means


@pytest.mark.parametrize(
    ("content", "means"),
    [
        ([b"ok", 3, b"5-1"], Absorbed(3, b"5-1")),
        ([b"ok", 0, b""], Absorbed(0, b"")),
        ([b"foreign", b"k"], Foreign(b"k")),
        ([b"purged"], NotAbsorbed.PURGED),
        ([b"back"], NotAbsorbed.SET_BACK),
    ],
)
def test_a_slice_is_absorbed_or_it_is_known_why_not(content: Answer, means: object) -> None:
    assert parse_absorb(content) == means


def test_only_exactly_the_record_that_was_expected_is_replaced() -> None:
    assert parse_replace(1) is Replacement.DONE
    assert parse_replace([b"changed", b""]) is Replacement.NOT_FOUND
    assert parse_replace([b"foreign", b"k"]) is Replacement.NOT_FOUND


def test_a_page_of_a_log_or_from_where_on_it_is_complete() -> None:
    entries = [[b"2-1", [b"k", b"s"]]]
    assert parse_log_page([b"ok", entries, b"2-1", 2]) == LogPage(entries, "2-1", 2)  # type: ignore[arg-type]  # as it comes
    assert parse_log_page([b"cut", b"2-1"]) == LogCut("2-1")
    assert parse_log_page([b"replaced"]) == LogReplaced()


def test_what_is_counted_held_and_noted() -> None:
    assert parse_count([b"ok", 5]) == Counted(5)
    assert parse_hold([b"ok", b"2-1", 7]) == Held("2-1", 7)
    assert parse_noted(1) == parse_noted(0) == Noted()


def test_what_is_read() -> None:
    assert parse_read_many([b"ok", None, b"r"]) == StoredRecords([None, b"r"])
    assert parse_headers([b"ok", b"", b"foreign"]) == Headers([b"", b"foreign"])
    vouched = parse_vouch([b"ok", b"inc", b"1-1", b"inc 1-1 1", b"r", b"1", b"", b"0"])
    assert vouched == Vouched((b"inc", b"1-1", b"inc 1-1 1"), [b"r", b"1", b"", b"0"])
    assert isinstance(vouched, Vouched)
    assert vouched.keys == 2
