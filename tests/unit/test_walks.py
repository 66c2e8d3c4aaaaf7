"""A walk over all keys: its beginning holds the source's log, and whoever comes after a worker that died goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from redrepl.plans.copies.bring_up import BroughtUp
from redrepl.plans.copies.catch_up import trim_log
from redrepl.plans.copies.full_sync import WalkOrder, full_sync, resumable
from redrepl.plans.copies.upkeep import Retention, held_from, trim_floor
from redrepl.plans.status import Expectations, cluster_status
from redrepl.plans.steps import Steps
from redrepl.values import limits
from redrepl.values.effects import PlainCommand
from redrepl.values.errors import Unavailable
from redrepl.values.report import NodeReport
from redrepl.values.walk import COMPARING, WALKED, Walk, held_for, read_walk
from tests.unit.support.in_memory import MAX_AGE_SECONDS, Nodes

KEYS = 40
OLD = 3 * MAX_AGE_SECONDS
FEW = Retention(seconds=0.0, entries=0, cap_entries=10)


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> Nodes:
    """A primary a and replicas b and c; c came back empty. Pages of a few keys."""
    monkeypatch.setattr(limits, "SCAN_KEYS", 4)
    nodes = Nodes(3)
    for number in range(KEYS):
        nodes.write("abc", b"key-%02d" % number, nodes.value(b"%d" % number))
    for node in "abcabc":
        nodes.bring_up(node)
    nodes.lose_everything("c")
    return nodes


def _part(nodes: Nodes, node: str = "c", **options: Any) -> BroughtUp:
    """One page."""
    return nodes.bring_up(node, budget_seconds=0.0, **options)


def _walk(nodes: Nodes, node: str = "c") -> Walk:
    walk = read_walk(nodes.report(node), "a")
    assert walk is not None
    return walk


def _listed(nodes: Nodes, work: Callable[[], object]) -> int:
    """Keys that are listed on the primary meanwhile."""
    listed, send = set[bytes](), nodes.send

    def noting(node: str, command: Any) -> Any:
        answer = send(node, command)
        if isinstance(command, PlainCommand) and command.arguments[0] == b"SCAN" and node == "a":
            listed.update(answer[1])
        return answer

    nodes.send = noting  # type: ignore[method-assign]
    work()
    nodes.send = send  # type: ignore[method-assign]
    return len(listed)


def _trim(nodes: Nodes, retention: Retention, cap_bytes: int = 1 << 30) -> None:
    reports = {node: nodes.report(node) for node in nodes.first.ids}
    topology = nodes.view().topology
    floor = trim_floor(topology, reports["a"], dict(reports), retention) or reports["a"].log_floor
    held = held_from(topology, reports["a"])
    nodes.run(trim_log(nodes.view(), "a", floor, retention.cap_entries, Steps(nodes.at), held, cap_bytes))


def test_a_job_whose_time_is_over_stops_between_pages_and_the_next_goes_on(nodes: Nodes) -> None:
    done = _part(nodes)
    assert (done.finished, done.activated) == (False, False)
    first = _walk(nodes)
    assert 0 < first.keys < KEYS
    assert nodes.report("c").state == "syncing"
    assert _part(nodes).finished is False
    assert (_walk(nodes).began, _walk(nodes).keys > first.keys) == (first.began, True)
    for _ in range(3 * KEYS):
        if (done := _part(nodes)).activated:
            break
    assert done.activated
    assert nodes.contents("c") == nodes.contents("a")
    assert (read_walk(nodes.report("c"), "a"), held_from(nodes.view().topology, nodes.report("a"))) == (None, "")


def test_after_a_worker_that_died_little_is_read_again(nodes: Nodes) -> None:
    """It dies without a word, after the page that it noted last."""
    for _ in range(6):
        _part(nodes)
    walked = _walk(nodes).keys
    assert walked >= 20
    assert _listed(nodes, lambda: nodes.bring_up("c")) <= KEYS - walked + 4
    assert nodes.contents("c") == nodes.contents("a")


def test_what_is_changed_and_deleted_behind_a_walk_arrives(nodes: Nodes) -> None:
    for _ in range(6):
        _part(nodes)
    for number in range(KEYS):
        nodes.write("ab", b"key-%02d" % number, nodes.value(b"later %d" % number))
    nodes.write("ab", b"new", nodes.value(b"new"))
    _trim(nodes, FEW)
    assert nodes.bring_up("c").activated
    assert nodes.contents("c") == nodes.contents("a")


@pytest.mark.parametrize("is_comparing", [False, True])
def test_a_target_that_restarted_goes_on_where_its_data_allows(nodes: Nodes, is_comparing: bool) -> None:
    _part(nodes)
    nodes.put("c", b"surplus", nodes.value(b"surplus", OLD))
    while not is_comparing or _walk(nodes).phase != COMPARING:
        _part(nodes)
        if not is_comparing and _walk(nodes).keys > KEYS // 2:
            break
    noted = _walk(nodes)
    nodes.restart("c")
    found = resumable(nodes.view(), nodes.report("a"), nodes.report("c"))
    assert found is not None
    assert (found.phase, found.cursor) == (noted.phase, "0" if is_comparing else noted.cursor)
    while not nodes.bring_up("c").finished:
        pass
    assert nodes.contents("c") == nodes.contents("a")


def test_another_run_of_the_source_is_walked_from_the_beginning(nodes: Nodes) -> None:
    _part(nodes)
    nodes.restart("a")
    assert resumable(nodes.view(), nodes.report("a"), nodes.report("c")) is None


def test_who_asks_for_all_keys_gets_all_keys(nodes: Nodes) -> None:
    for _ in range(6):
        _part(nodes)
    assert _listed(nodes, lambda: nodes.bring_up("c", exactly=True)) == KEYS


def test_the_beginning_of_a_walk_holds_the_log_past_the_cap_in_entries(nodes: Nodes) -> None:
    _part(nodes)
    began = _walk(nodes).began
    for number in range(KEYS):
        nodes.write("ab", b"later-%02d" % number, nodes.value(b"later"))
    assert held_from(nodes.view().topology, nodes.report("a")) == began.id
    _trim(nodes, FEW)
    report = nodes.report("a")
    assert (report.log.length >= KEYS, report.log_floor) == (True, began.id), "what came before is needed by nobody"
    assert nodes.bring_up("c").full_syncs == 1
    assert nodes.contents("c") == nodes.contents("a")
    assert held_from(nodes.view().topology, nodes.report("a")) == "", "nothing holds it any more"


def test_a_log_that_takes_too_many_bytes_is_cut_and_the_walk_says_so(nodes: Nodes) -> None:
    _part(nodes)
    for number in range(4 * KEYS):
        nodes.write("ab", b"later-%03d" % number, nodes.value(b"later"))
    _trim(nodes, FEW, cap_bytes=2000)
    assert 10 < nodes.report("a").log.length < 60
    cut = ("HSET", nodes.layout.member, "log_floor", "99999999999999-0")
    nodes.meanwhile["headers"] = lambda: nodes.client("a").execute_command(*cut)
    source, target = nodes.report("a"), nodes.report("c")
    order = WalkOrder(stop_at=nodes.at)
    with pytest.raises(Unavailable, match="cut while all its keys were copied to 'c', which begins anew"):
        nodes.run(full_sync(nodes.view(), source, target, Steps(nodes.at), order))
    nodes.client("a").execute_command("HSET", nodes.layout.member, "log_floor", nodes.report("a").log.last_id)
    noted = _walk(nodes)
    assert noted.begun_anew == 1
    done = nodes.bring_up("c")
    assert (done.activated, _told(done)) == (True, True)
    assert nodes.contents("c") == nodes.contents("a")


def _told(done: BroughtUp) -> bool:
    return any("begun anew" in note for note in done.notes)


def test_a_hold_runs_out(nodes: Nodes) -> None:
    _part(nodes)
    report = nodes.report("a")
    assert held_for(report, "c", limits.HOLD_SECONDS) == _walk(nodes).began
    field, text = next((name, text) for name, text in report.member.items() if name.startswith("hold "))
    place, entries, until = text.split()
    for moved in (-2 * limits.HOLD_SECONDS, 2 * limits.HOLD_SECONDS):
        later = {**report.member, field: f"{place} {entries} {int(until) + int(moved * 1000)}"}
        assert held_for(_with(report, later), "c", limits.HOLD_SECONDS) is None
    assert held_for(_with(report, {**report.member, field: "rubbish"}), "c", limits.HOLD_SECONDS) is None


def _with(report: NodeReport, member: dict[str, str]) -> NodeReport:
    return NodeReport(
        report.node,
        member,
        report.run_id,
        report.log,
        report.cursors,
        report.marks,
        report.topology,
        report.now_millis,
        report.clusters,
    )


def test_a_member_left_behind_is_walked_once(nodes: Nodes) -> None:
    """Its own log does not tell what only it has. The walk is over before the log's rest is shipped, which takes
    long.
    """
    nodes.bring_up("c")
    nodes.client("c").execute_command("HSET", nodes.layout.member, "log_floor", "99999999999999-0")
    nodes.client("c").execute_command("HDEL", nodes.layout.marks, "a")
    nodes.client("c").execute_command("HSET", nodes.layout.member, "state", "syncing", "lineage", "0")
    for number in range(3 * KEYS):
        nodes.write("ab", b"later-%03d" % number, nodes.value(b"later"))
    assert not _part(nodes).finished
    for number in range(3 * KEYS):
        nodes.write("ab", b"latest-%03d" % number, nodes.value(b"latest"))
    while _walk(nodes).phase != WALKED:
        assert not _part(nodes).finished
    assert nodes.report("c").state == "syncing"
    assert _listed(nodes, lambda: nodes.bring_up("c")) == 0
    assert nodes.report("c").is_serving


def test_the_status_shows_how_far_it_is(nodes: Nodes) -> None:
    for _ in range(3):
        _part(nodes)
    expected = Expectations("quorum", 30.0, 1)
    status = nodes.run(cluster_status(nodes.layout, nodes.first.ids, expected, nodes.at))
    error = next(node.error for node in status.nodes if node.id == "c")
    assert error is not None
    assert "is being filled from a" in error


def test_undecided_records_are_not_passed_over_when_time_is_over(nodes: Nodes) -> None:
    """They are too young to be judged when the walk comes by; who goes on finds them again."""
    nodes.bring_up("c")
    young = {b"young-%02d" % number: nodes.value(b"young") for number in range(12)}
    nodes.client("a").execute_command("HSET", nodes.layout.member, "log_floor", nodes.report("a").log.last_id)
    nodes.client("c").execute_command("DEL", nodes.layout.marks)
    nodes.restart("c")
    for key, record in young.items():
        nodes.put("c", key, record)
    for _ in range(40):
        assert not _part(nodes).activated
    assert _walk(nodes).phase == COMPARING
    assert nodes.report("c").state == "syncing"
    assert set(young) <= set(nodes.contents("c"))
    for key, record in young.items():
        nodes.write("ab", key, record)
    assert nodes.bring_up("c").activated
    assert nodes.contents("c") == nodes.contents("a")
