"""A walk over all keys: its beginning holds the source's log, and whoever comes after a worker that
died goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Any

import pytest

from redrepl.plans.copies import brake
from redrepl.plans.copies import full_sync as full_sync_of
from redrepl.plans.copies.brake import Brake
from redrepl.plans.copies.catch_up import trim_log
from redrepl.plans.copies.full_sync import WalkOrder, full_sync, resumable
from redrepl.plans.lanes import Lanes
from redrepl.plans.recovery.bring_up import BroughtUp
from redrepl.plans.recovery.upkeep import Retention, held_from, trim_floor
from redrepl.plans.status import Expectations, cluster_status
from redrepl.plans.steps import Steps
from redrepl.values import limits
from redrepl.values.effects import DeadlinePassed, Exchange, PlainCommand, Plan, Reply
from redrepl.values.errors import Unavailable
from redrepl.values.report import NodeReport
from redrepl.values.reports import Reports
from redrepl.values.walk import COMPARING, WALKED, Walk, held_for, read_walk
from tests.unit.support.by_hand import view
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
    floor = (
        trim_floor(topology, reports["a"], Reports(reports), retention) or reports["a"].log_floor
    )
    held = held_from(topology, reports["a"])
    nodes.run(
        trim_log(
            nodes.view(),
            reports["a"],
            floor,
            retention.cap_entries,
            Steps(nodes.at),
            held,
            cap_bytes,
        )
    )


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
    assert (
        read_walk(nodes.report("c"), "a"),
        held_from(nodes.view().topology, nodes.report("a")),
    ) == (None, "")


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
def test_a_target_that_restarted_goes_on_where_its_data_allows(
    nodes: Nodes, is_comparing: bool
) -> None:
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
    assert (report.log.length >= KEYS, report.log_floor) == (True, began.id), (
        "what came before is needed by nobody"
    )
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
    with pytest.raises(
        Unavailable, match="cut while all its keys were copied to 'c', which begins anew"
    ):
        nodes.run(full_sync(nodes.view(), source, target, Steps(nodes.at), order))
    nodes.client("a").execute_command(
        "HSET", nodes.layout.member, "log_floor", nodes.report("a").log.last_id
    )
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
    field, text = next(
        (name, text) for name, text in report.member.items() if name.startswith("hold ")
    )
    place, entries, until = text.split()
    for moved in (-2 * limits.HOLD_SECONDS, 2 * limits.HOLD_SECONDS):
        later = {**report.member, field: f"{place} {entries} {int(until) + int(moved * 1000)}"}
        assert held_for(_with(report, later), "c", limits.HOLD_SECONDS) is None
    assert (
        held_for(_with(report, {**report.member, field: "rubbish"}), "c", limits.HOLD_SECONDS)
        is None
    )


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
    """Its own log does not tell what only it has.

    The walk is over before the log's rest is shipped, which takes long.
    """
    nodes.bring_up("c")
    nodes.client("c").execute_command("HSET", nodes.layout.member, "log_floor", "99999999999999-0")
    nodes.client("c").execute_command("HDEL", nodes.layout.marks, "a")
    nodes.client("c").execute_command(
        "HSET", nodes.layout.member, "state", "syncing", "lineage", "0"
    )
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
    nodes.client("a").execute_command(
        "HSET", nodes.layout.member, "log_floor", nodes.report("a").log.last_id
    )
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


class Braked:
    """A brake in a walk over node a, where time passes only as a test says. answer_seconds: for
    next to nothing.
    """

    def __init__(self, keys_per_second: float = 0.0) -> None:
        self.answer_seconds = 0.0001
        self._steps = Steps(100.0)
        self._brake = Brake(view(3), "a", Lanes(self._steps), self._steps, keys_per_second)
        self._written = 0

    def sees(self, writes_per_second: int) -> None:
        """A second in which clients write so much, between two looks at the log."""
        self._brake.note_writes(self._written)
        self._written += writes_per_second
        self._steps.at += 1.0
        self._brake.note_writes(self._written)
        self.rests_after(0.0)

    def rests_after(self, work_seconds: float, keys: int = 1000) -> float:
        """How long it rests after a page that took so long."""
        self._steps.at += work_seconds
        plan, rested = self._brake.after(keys), 0.0
        with suppress(StopIteration):
            effect = next(plan)
            while True:
                assert isinstance(effect, Exchange)
                if effect.requests:
                    (request,) = effect.requests
                    assert (request.node, request.command) == ("a", PlainCommand((b"TIME",)))
                    effect = plan.send(
                        Reply("a", request.tag, [b"1", b"0"], self._steps.at + self.answer_seconds)
                    )
                else:
                    rested += effect.until - self._steps.at
                    effect = plan.send(DeadlinePassed(effect.until))
        return rested


@pytest.mark.parametrize("work_seconds", [0.01, 0.1, 0.5])
def test_beside_writes_a_walk_works_for_a_quarter_of_the_time(work_seconds: float) -> None:
    braked = Braked()
    assert braked.rests_after(work_seconds) == pytest.approx(3 * work_seconds), (
        "as long as nothing is known"
    )
    braked.sees(writes_per_second=1000)
    for _ in range(5):
        assert braked.rests_after(work_seconds) == pytest.approx(3 * work_seconds)


def test_without_writes_a_walk_does_not_rest() -> None:
    braked = Braked()
    for few in (0, 19):
        braked.sees(writes_per_second=few)
        assert [braked.rests_after(0.5) for _ in range(5)] == [0.0] * 5
    braked.sees(writes_per_second=21)
    assert braked.rests_after(0.5) == pytest.approx(1.5), "clients are there again"


def test_a_walk_rests_longer_while_its_source_takes_long_for_little_and_goes_on_all_the_same() -> (
    None
):
    braked = Braked()
    braked.sees(writes_per_second=1000)
    braked.rests_after(0.2)
    braked.answer_seconds = 0.0015  # much more than at its best, and nothing yet
    assert [braked.rests_after(0.2) for _ in range(3)] == pytest.approx([0.6] * 3)
    braked.answer_seconds = 0.01
    braked.rests_after(0.2)
    slower = [braked.rests_after(0.2) for _ in range(5)]
    assert slower == pytest.approx([0.8] * 5), "a fifth of the time is left to it"
    braked.answer_seconds = 0.0001
    again = [braked.rests_after(0.2) for _ in range(6)]
    assert again == sorted(again, reverse=True), "little by little"
    assert again[-1] == pytest.approx(0.6)


def test_no_rest_is_so_long_that_a_walk_seems_to_stand_still() -> None:
    assert Braked().rests_after(60.0) == pytest.approx(brake.LONGEST_REST_SECONDS)


def test_with_a_rate_of_its_own_a_walk_rests_for_that_whoever_writes() -> None:
    braked = Braked(keys_per_second=1000.0)
    for writes_per_second in (0, 1000):
        braked.sees(writes_per_second)
        assert braked.rests_after(0.1, keys=500) == pytest.approx(0.4)
        assert braked.rests_after(0.7, keys=500) == 0.0, "it is behind already"


def _rests_of_a_walk(nodes: Nodes, monkeypatch: pytest.MonkeyPatch, writes_per_page: int) -> int:
    """How often a walk that fills c rests, with so many writes while it lists a page."""
    nodes.lose_everything("c")
    _part(nodes)
    numbers, send, rest, rests = count(), nodes.send, Lanes.rest, list[float]()
    seen = nodes.view()

    def writing(node: str, command: Any) -> Any:
        if isinstance(command, PlainCommand) and command.arguments[0] == b"SCAN" and node == "a":
            for _ in range(writes_per_page):
                call = seen.write_call(
                    b"later-%03d" % next(numbers), nodes.value(b"later").encode()
                )
                assert [send(other, call) for other in "ab"] == [1, 1]
        return send(node, command)

    def noted(lanes: Lanes, seconds: float) -> Plan[None]:
        rests.append(seconds)
        return rest(lanes, seconds)

    with monkeypatch.context() as patch:
        patch.setattr(nodes, "answer_seconds", 0.001)
        patch.setattr(nodes, "send", writing)
        patch.setattr(Lanes, "rest", noted)
        patch.setattr(full_sync_of, "NOTE_SECONDS", 0.0)  # it looks at the log after each page
        assert nodes.bring_up("c").activated
    while not nodes.bring_up("c").finished:
        pass
    assert nodes.contents("c") == nodes.contents("a")
    return len(rests)


def test_a_walk_that_fills_a_node_rests_after_each_page_while_clients_write(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = KEYS // 4 - 1
    assert _rests_of_a_walk(nodes, monkeypatch, writes_per_page=0) <= 2, (
        "as long as nothing is known"
    )
    assert _rests_of_a_walk(nodes, monkeypatch, writes_per_page=5) >= pages - 1
