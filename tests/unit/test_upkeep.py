"""What the workers' tick decides: who is brought up, and where a log is cut."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from redrepl.plans.recovery.upkeep import (
    REPLICA_LOG_MARGIN_SECONDS,
    Retention,
    needs_bringing_up,
    trim_floor,
)
from redrepl.values.report import Log, NodeReport
from redrepl.values.reports import Reports
from redrepl.values.topology import Mode, Topology
from tests.unit.support.by_hand import topology
from tests.unit.support.reports import NOW_MILLIS, report, stranger

Found = dict[str, NodeReport | str]
KEEP_NOTHING = Retention(0.0, 0, 1000)
ENDED = Log(10, f"{NOW_MILLIS}-0", 10, "1-0")


def _healthy() -> Found:
    place = (ENDED.last_id, 10)
    return {
        "a": report("a", log=ENDED, cursors={"b": place, "c": place}),
        "b": report("b", log=ENDED, cursors={"a": place}),
        "c": report("c", log=ENDED, cursors={"a": place}),
    }


def _needs(cluster: Topology, found: Mapping[str, NodeReport | str]) -> list[str]:
    return needs_bringing_up(cluster, Reports.collect(found))


def test_a_cluster_in_order_needs_nothing() -> None:
    assert _needs(topology(3), _healthy()) == []


@pytest.mark.parametrize(
    "changed",
    [
        report("b", log=ENDED, cursors={"a": (ENDED.last_id, 10)}, run_id="run-2"),
        report("b", log=ENDED, cursors={"a": (ENDED.last_id, 10)}, state="syncing"),
        report("b", log=ENDED, cursors={"a": (ENDED.last_id, 10)}, state="fenced"),
        report("b", log=ENDED, cursors={"a": (ENDED.last_id, 10)}, epoch="6"),
        stranger("b"),
    ],
)
def test_a_member_that_does_not_serve_is_brought_up(changed: NodeReport) -> None:
    assert _needs(topology(3), {**_healthy(), "b": changed}) == ["b"]


def test_a_member_that_lags_is_brought_up() -> None:
    behind = report("a", log=ENDED, cursors={"b": ("5-0", 9), "c": (ENDED.last_id, 10)})
    assert _needs(topology(3), {**_healthy(), "a": behind}) == ["b"]
    unknown = report("a", log=ENDED, cursors={"c": (ENDED.last_id, 10)})
    assert _needs(topology(3), {**_healthy(), "a": unknown}) == ["b"]


def test_the_primary_is_brought_up_first_where_a_replicas_log_is_unchecked() -> None:
    found = {**_healthy(), "b": report("b", log=ENDED, run_id="run-2")}
    assert _needs(topology(3), found) == ["a", "b"]


def test_nodes_that_do_not_answer_are_left_alone() -> None:
    assert _needs(topology(3), {**_healthy(), "b": "down"}) == []
    assert _needs(topology(3), {"a": "down", "b": "down", "c": "down"}) == []


def test_several_primaries_need_each_others_logs() -> None:
    place = (ENDED.last_id, 10)
    cluster = topology(3, Mode.MULTI_PRIMARY)
    confirmed = {
        node: report(node, log=ENDED, cursors=dict.fromkeys("abc", place)) for node in "abc"
    }
    reports: Found = {node: replace(each, topology=cluster) for node, each in confirmed.items()}
    assert _needs(cluster, reports) == []
    reports["c"] = replace(report("c", log=ENDED, cursors={"a": place}), topology=cluster)
    assert _needs(cluster, reports) == ["b"]


def _log(*millis: int) -> Log:
    return Log(len(millis), f"{millis[-1]}-0", len(millis), f"{millis[0]}-0")


LOG = _log(100, 900)


def _floor(
    retention: Retention = KEEP_NOTHING,
    *,
    log: Log = LOG,
    b: str = "500-0",
    c: str = "700-0",
    **member: str,
) -> str | None:
    primary = report("a", log=log, cursors={"b": (b, 1), "c": (c, 1)}, member=member)
    return trim_floor(
        topology(3), primary, Reports.collect({**_healthy(), "a": primary}), retention
    )


def test_what_somebody_has_not_confirmed_is_kept() -> None:
    assert _floor() == "500-0"
    assert _floor(b="1000-0", c="90-0") is None
    assert _floor(b="9-0", c="10-0", log=_log(1, 900)) == "9-0"


def test_a_reader_that_never_confirmed_keeps_everything() -> None:
    primary = report("a", log=_log(100, 900), cursors={"b": ("500-0", 1)})
    assert trim_floor(topology(3), primary, Reports.collect({"a": primary}), KEEP_NOTHING) is None


def test_nothing_is_cut_twice() -> None:
    assert _floor(log_floor="500-0") is None
    assert _floor(log_floor="499-0") == "500-0"
    assert _floor(log=_log(500, 900)) is None


def test_confirmed_entries_are_kept_for_a_while() -> None:
    log = _log(NOW_MILLIS - 100_000, NOW_MILLIS)
    place = f"{NOW_MILLIS - 10}-0"
    assert (
        _floor(Retention(60.0, 1000, 1000), log=log, b=place, c=place) == f"{NOW_MILLIS - 60_000}-0"
    )
    assert _floor(Retention(0.005, 1000, 1000), log=log, b=place, c=place) == place


def test_of_many_confirmed_entries_none_is_kept_for_its_age() -> None:
    log = _log(NOW_MILLIS - 100_000, NOW_MILLIS)
    place = f"{NOW_MILLIS - 10}-0"
    assert _floor(Retention(60.0, 1, 1000), log=log, b=place, c=place) == place


def test_a_log_that_nobody_reads_is_cut_by_its_age() -> None:
    alone = report("a", log=_log(100, NOW_MILLIS - 5))
    reports = Reports({"a": alone})
    assert (
        trim_floor(topology(1), alone, reports, Retention(0.0, 1000, 10)) == f"{NOW_MILLIS - 5}-0"
    )
    assert (
        trim_floor(topology(1), alone, reports, Retention(9.0, 1000, 10))
        == f"{NOW_MILLIS - 9000}-0"
    )


def _replica_floor(primary: NodeReport | str, confirmed: str) -> str | None:
    replica = report("b", log=_log(100, NOW_MILLIS), cursors={"a": (confirmed, 2)})
    return trim_floor(
        topology(3),
        replica,
        Reports.collect({**_healthy(), "a": primary, "b": replica}),
        KEEP_NOTHING,
    )


def test_a_replicas_log_is_kept_until_every_copy_has_the_primarys_changes() -> None:
    margin = int(REPLICA_LOG_MARGIN_SECONDS * 1000)
    here = f"{NOW_MILLIS}-0"
    in_order = report("a", log=ENDED, cursors={"b": (here, 10), "c": (here, 10)})
    assert _replica_floor(in_order, here) == f"{NOW_MILLIS - margin}-0"
    lagging = report(
        "a", log=ENDED, cursors={"b": (here, 10), "c": (f"{NOW_MILLIS - 500_000}-0", 3)}
    )
    assert _replica_floor(lagging, here) == f"{NOW_MILLIS - 500_000 - margin}-0"
    never = report("a", log=ENDED, cursors={"b": (here, 10)})
    assert _replica_floor(never, here) is None
    assert _replica_floor("down", here) is None


def test_a_replicas_log_is_kept_until_the_primary_checked_it() -> None:
    here = f"{NOW_MILLIS}-0"
    in_order = report("a", log=ENDED, cursors={"b": (here, 10), "c": (here, 10)})
    assert _replica_floor(in_order, "500-0") == "500-0"
    assert _replica_floor(in_order, "0-0") is None
