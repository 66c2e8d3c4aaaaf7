"""Where a catch-up may go on in a log, and how a page of it is read."""

from __future__ import annotations

import dataclasses

import pytest

from redrepl.plans.copies.catch_up import Page, next_count, positions_before, read_page
from redrepl.plans.copies.marks import starting_mark
from redrepl.plans.steps import Steps
from redrepl.values.errors import Unavailable
from redrepl.values.report import Checkpoint, Log, Mark, Position, id_order
from redrepl.values.stamp import Stamp
from tests.unit.support.by_hand import START, ByHand, view
from tests.unit.support.reports import report

LOG = Log(50, "100-0", 80, "40-0")
STAMP = Stamp(5, 1).encode()
FROM_START = Mark("inc-1", Position("0-0", 0))


def _mark(place: str, incarnation: str = "inc-1", entries: int = 60, **source: str) -> Mark | None:
    target = report("b", marks={"a": (incarnation, place, entries)})
    return starting_mark(report("a", log=LOG, member=source), target)


def test_a_mark_at_the_end_that_counts_too_few_entries_stepped_over_some() -> None:
    assert _mark("100-0", entries=80, log_floor="40-0") == Mark("inc-1", Position("100-0", 80))
    assert _mark("100-0", entries=79, log_floor="40-0") is None


def test_a_page_of_a_log_that_was_cut_in_between_is_not_taken() -> None:
    page = ByHand(read_page(view(3), report("a"), Position("39-0", 59), 10, Steps(START)))
    with pytest.raises(Unavailable, match="full sync"):
        page.replies("a", [b"cut", b"40-0"])


def test_a_page_of_a_log_that_was_begun_anew_is_not_taken() -> None:
    page = ByHand(read_page(view(3), report("a"), Position("39-0", 59), 10, Steps(START)))
    with pytest.raises(Unavailable, match="begun anew"):
        page.replies("a", [b"replaced"])


@pytest.mark.parametrize("place", ["40-0", "41-7", "99-9"])
def test_a_mark_within_the_log_is_where_to_go_on(place: str) -> None:
    assert _mark(place, log_floor="40-0") == Mark("inc-1", Position(place, 60))


@pytest.mark.parametrize("place", ["0-0", "39-9", "9-0"])
def test_a_mark_before_the_floor_needs_a_full_sync(place: str) -> None:
    assert _mark(place, log_floor="40-0") is None


@pytest.mark.parametrize("place", ["100-1", "101-0", "1000-0"])
def test_a_mark_beyond_the_end_means_that_the_source_lost_some(place: str) -> None:
    assert _mark(place, log_floor="40-0") is None


@pytest.mark.parametrize("incarnation", ["inc-0", "other"])
def test_a_complete_log_can_be_read_from_its_start(incarnation: str) -> None:
    assert _mark("101-0", incarnation) == FROM_START
    assert starting_mark(report("a", log=LOG), report("b")) == FROM_START


@pytest.mark.parametrize(("place", "entries"), [("100-1", 60), ("101-0", 60), ("90-0", 81)])
def test_a_log_of_which_the_target_had_more_is_not_complete(place: str, entries: int) -> None:
    """Somebody deleted it while the node served: what stands in its place names only what came
    after that.
    """
    assert _mark(place, entries=entries) is None


@pytest.mark.parametrize(
    ("place", "entries", "counts"), [("90-0", 70, True), ("91-0", 71, True), ("91-0", 69, False)]
)
def test_a_later_place_that_counts_fewer_entries_reaches_no_checkpoint(
    place: str, entries: int, counts: bool
) -> None:
    """It is of a log that stands in the place of a lost one: what the checkpoint is about was named
    in that.
    """
    primary = Mark("inc-a", Position("90-0", 70))
    checkpoint = Checkpoint("inc-1", Position("80-0", 60), "a", primary, 7)
    source = dataclasses.replace(report("c", log=LOG, log_floor="40-0"), checkpoints=(checkpoint,))
    target = report("b", marks={"a": ("inc-a", place, entries)}, lineage="7")
    assert starting_mark(source, target) == (
        Mark("inc-1", Position("80-0", 60)) if counts else None
    )


def test_without_a_mark_a_cut_log_needs_a_full_sync() -> None:
    assert starting_mark(report("a", log=LOG, log_floor="40-0"), report("b")) is None


def test_a_mark_of_another_log_is_worth_nothing() -> None:
    assert _mark("50-0", "other", log_floor="40-0") is None
    assert (
        _mark("50-0", "other", log_floor="40-0", previous_incarnation="inc-0", previous_end="90-0")
        is None
    )


@pytest.mark.parametrize(
    ("place", "counts"),
    [("50-0", True), ("90-0", True), ("90-1", False), ("91-0", False), ("39-0", False)],
)
def test_a_mark_of_the_log_before_counts_up_to_where_that_ended(place: str, counts: bool) -> None:
    found = _mark(
        place, "inc-0", log_floor="40-0", previous_incarnation="inc-0", previous_end="90-0"
    )
    assert found == (Mark("inc-1", Position(place, 60)) if counts else None)


def test_marks_of_other_sources_do_not_matter() -> None:
    target = report("b", marks={"c": ("inc-1", "50-0", 60)})
    assert starting_mark(report("a", log=LOG, log_floor="40-0"), target) is None


@pytest.mark.parametrize(
    ("first", "second"), [("9-0", "10-0"), ("5-9", "5-10"), ("0-0", "0-1"), ("5", "5-1")]
)
def test_stream_ids_are_ordered_as_numbers(first: str, second: str) -> None:
    assert id_order(first) < id_order(second)
    assert Position(first, 9).order < Position(second, 1).order


def _page(*entries: tuple[bytes, list[bytes]], log_end: tuple[bytes, int] = (b"9-0", 20)) -> Page:
    plan: ByHand[Page] = ByHand(
        read_page(view(2), report("a"), Position("5-0", 10), 100, Steps(START))
    )
    assert plan.sent[0].command.arguments == (b"5-0", 100, b"inc-1")
    return plan.replies("a", [b"ok", [list(entry) for entry in entries], *log_end]).result


def test_a_page_holds_the_newest_stamp_of_each_name() -> None:
    stamps = [Stamp(number, 1).encode() for number in (5, 9, 7, 3)]
    page = _page(
        (b"6-0", [b"shop:k:x", stamps[0], b"shop:k:y", stamps[3]]),
        (b"7-0", [b"shop:k:x", stamps[1]]),
        (b"7-1", [b"shop:k:x", stamps[2]]),
    )
    assert page.newest == {b"shop:k:x": Stamp(9, 1), b"shop:k:y": Stamp(3, 1)}
    assert (page.end, page.changes) == (Position("7-1", 13), 4)


def test_an_empty_page_stays_where_it_is() -> None:
    page = _page()
    assert (page.newest, page.end, page.changes) == ({}, Position("5-0", 10), 0)


@pytest.mark.parametrize(
    ("log_end", "counted"),
    [((b"7-0", 12), 12), ((b"7-0", 11), 11), ((b"7-0", 99), 12), ((b"8-0", 12), 11)],
)
def test_a_page_counts_no_more_than_the_log_has_had(
    log_end: tuple[bytes, int], counted: int
) -> None:
    """What the target had counted before may be wrong; one that counts too few is found at the
    log's end.
    """
    page = _page((b"6-0", [b"shop:k:x", STAMP]), (b"7-0", [b"shop:k:x", STAMP]), log_end=log_end)
    assert page.end == Position("7-0", counted)


@pytest.mark.parametrize(
    ("changes_per_entry", "entries", "expected"),
    [(1, 100, 1000), (10, 100, 100), (500, 2, 2), (5000, 1, 1)],
)
def test_the_next_page_has_about_a_thousand_changes(
    changes_per_entry: int, entries: int, expected: int
) -> None:
    page = Page({}, [(b"1-0", [b"x", b"s"] * changes_per_entry)] * entries, Position("1-0", 1))
    assert next_count(page) == expected
    assert next_count(Page({}, [], Position("1-0", 1))) == 1


def test_the_place_before_a_name_is_the_last_entry_without_it() -> None:
    entries = [(b"6-0", [b"x", b"s"]), (b"7-0", [b"y", b"s", b"z", b"s"]), (b"8-0", [b"x", b"s"])]
    page, start = Page({}, entries, Position("8-0", 13)), Position("5-0", 10)
    assert positions_before(page, [b"z"], start) == Position("6-0", 11)
    assert positions_before(page, [b"x"], start) == start
    assert positions_before(page, [b"other"], start) == page.end
    assert positions_before(page, [b"y", b"x"], start) == start
