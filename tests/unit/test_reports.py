"""What one look at several nodes found, node by node."""

from __future__ import annotations

from redrepl.values.report import NodeReport
from redrepl.values.report_answer import Unreadable
from redrepl.values.reports import NO_REPORTS, Reports
from redrepl.values.topology import Mode
from tests.unit.support.by_hand import topology
from tests.unit.support.reports import report, stranger

LIE = Unreadable("it lies", (b"7", b"active", b"run", b"id-d"))
FOUND: dict[str, NodeReport | str] = {
    "c": report("c"),
    "b": "h:1 refuses connections",
    "a": report("a"),
    "d": LIE,
}
REPORTS = Reports.collect(FOUND)


def test_nodes_that_answered_are_told_from_those_that_did_not() -> None:
    assert REPORTS.present == {"c": FOUND["c"], "a": FOUND["a"]}
    assert REPORTS.silent == {"b": "h:1 refuses connections", "d": LIE}
    assert (REPORTS.of("a"), REPORTS.of("b"), REPORTS.of("x"), REPORTS.of(None)) == (
        FOUND["a"],
        None,
        None,
        None,
    )
    assert REPORTS.reason("b", "was not asked") == "h:1 refuses connections"
    assert REPORTS.reason("x", "was not asked") == "was not asked"
    assert (REPORTS.unreadable("d"), REPORTS.unreadable("b"), REPORTS.unreadable("a")) == (
        LIE,
        None,
        None,
    )


def test_all_is_in_the_order_in_which_the_nodes_were_asked() -> None:
    assert REPORTS.nodes == ("c", "b", "a", "d")
    assert (list(REPORTS.present), list(REPORTS.silent)) == (["c", "a"], ["b", "d"])
    assert Reports({"b": report("b")}, {"a": "down"}).nodes == ("b", "a")


def test_members_come_in_the_order_of_the_topology() -> None:
    assert [found.node for found in REPORTS.members(topology(3))] == ["a", "c"]
    assert [found.node for found in REPORTS.among(["c", "x", "a"])] == ["c", "a"]


def test_the_primary_is_found_where_there_is_one_and_it_answered() -> None:
    assert REPORTS.primary(topology(3)) == FOUND["a"]
    assert REPORTS.primary(topology(3).with_primary("b", 8)) is None
    assert REPORTS.primary(topology(3, Mode.MULTI_PRIMARY)) is None


def test_a_later_look_counts_for_the_nodes_that_it_asked() -> None:
    later = REPORTS.updated(Reports.collect({"a": "down", "b": stranger("b"), "e": "down"}))
    assert later.nodes == ("c", "b", "a", "d", "e")
    assert (list(later.present), list(later.silent)) == (["c", "b"], ["a", "d", "e"])
    assert REPORTS.updated(NO_REPORTS) == REPORTS
    assert REPORTS.of("a") is not None, "the earlier look stays as it was"


def test_what_was_found_of_some_nodes_alone() -> None:
    assert REPORTS.only(["a", "b", "x"]) == Reports.collect({"b": FOUND["b"], "a": FOUND["a"]})
