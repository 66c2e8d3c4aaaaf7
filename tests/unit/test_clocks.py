"""Which clocks are off, and what becomes of the members that have them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

import pytest

from redrepl.edges.clock import SystemClock
from redrepl.plans.copies.anti_entropy import SweepOrder, sweep
from redrepl.plans.copies.verify import verify
from redrepl.plans.doubtful_clocks import doubtful_members, wrong_clocks
from redrepl.plans.epochs.accept_loss import Fresh, accept_loss
from redrepl.plans.epochs.clocks import set_aside
from redrepl.plans.epochs.failover import FailedOver, FailoverOrder, fail_over
from redrepl.plans.epochs.foresight import foresee, foresee_loss
from redrepl.plans.epochs.membership import Tolerances
from redrepl.plans.epochs.suspicion import Suspicion
from redrepl.plans.epochs.takeover import takeover_of
from redrepl.plans.inspect import inspect_nodes
from redrepl.plans.recovery.bring_up import BringUpOrder, BroughtUp, bring_up
from redrepl.plans.recovery.upkeep import needs_bringing_up
from redrepl.plans.steps import Steps
from redrepl.plans.topology import read_clocks
from redrepl.values.clocks import (
    ClockReading,
    believed_ahead,
    clocks_off,
    is_steady,
    majority_ahead,
)
from redrepl.values.errors import Unavailable
from redrepl.values.reports import Reports
from tests.unit.support.by_hand import START, UNTIL, ByHand, view
from tests.unit.support.in_memory import FRESH, Nodes
from tests.unit.support.reports import NOW_MILLIS, report

DAYS = 2 * 86_400.0
HOUR = 3_600.0
SKEW = 5.0


def readings(*ahead: float, wide: float = 0.1) -> dict[str, ClockReading]:
    return {
        node: ClockReading(at - wide / 2, at + wide / 2)
        for node, at in zip("abcdefg", ahead, strict=False)
    }


CASES: list[tuple[tuple[float, ...], int, float | None, str]] = [
    ((0, 0, 0), 3, None, ""),
    ((0, 4.9, 0), 3, None, ""),
    ((0, 5.2, 0), 3, None, "b"),
    ((0, -5.2, 0), 3, None, "b"),
    ((DAYS, 0, 1), 3, None, "a"),
    ((0, 4, 8), 3, None, ""),  # a agrees with b, and b with c
    ((0, 0, 0, DAYS, -DAYS), 5, None, "de"),
    ((DAYS, DAYS, 0), 3, None, "c"),
    ((DAYS, DAYS, 0), 3, 0.0, "c"),  # the judge's own clock has no say where a majority agrees
    ((0, DAYS), 3, None, ""),  # c does not answer
    ((0, DAYS), 3, 0.0, "b"),
    ((0, DAYS), 3, HOUR, ""),
    ((0, DAYS), 2, None, ""),
    ((0, DAYS), 2, DAYS, "a"),
    ((0, HOUR, DAYS), 3, 0.0, ""),
    ((DAYS,), 1, 0.0, ""),
    ((), 3, 0.0, ""),
]


@pytest.mark.parametrize(("ahead", "members", "own", "off"), CASES)
def test_who_is_off_the_majority(
    ahead: tuple[float, ...], members: int, own: float | None, off: str
) -> None:
    found = clocks_off(readings(*ahead), members, SKEW, own)
    assert "".join(found) == off
    right = [at for node, at in zip("abcde", ahead, strict=False) if node not in off]
    for node, seconds in found.items():
        assert seconds == pytest.approx(
            ahead["abcde".index(node)] - sorted(right)[len(right) // 2], abs=SKEW
        )


def test_a_slow_answer_accuses_nobody() -> None:
    """It may have read its clock at the beginning or at the end of ten seconds."""
    slow = {**readings(0, 0, 0), "b": ClockReading(-10, 0.1)}
    assert clocks_off(slow, 3, SKEW) == {}
    assert set(clocks_off({**slow, "b": ClockReading(-30, -20)}, 3, SKEW)) == {"b"}


def test_what_the_majority_s_clocks_show() -> None:
    assert majority_ahead(readings(DAYS, 1, 2).values(), 3, SKEW) == pytest.approx(1.5, abs=0.2)
    assert majority_ahead(readings(0, DAYS).values(), 3, SKEW) is None


def test_a_clock_that_goes_on_evenly_is_steady() -> None:
    assert is_steady(ClockReading(0, 1), ClockReading(-2, -1), SKEW)
    assert not is_steady(ClockReading(0, 1), ClockReading(-8, -6), SKEW)
    assert not is_steady(ClockReading(0, 1), ClockReading(7, 8), SKEW)
    assert is_steady(None, ClockReading(7, 8), SKEW)


@pytest.mark.parametrize("evidence", [{"clock_latest": str(NOW_MILLIS + 60_000)}, "log"])
def test_a_clock_that_was_ahead_is_known_by_what_it_left(evidence: Mapping[str, str] | str) -> None:
    found = report("a", member=evidence if isinstance(evidence, dict) else {})
    if evidence == "log":
        found = replace(found, log=found.log._replace(last_id=f"{NOW_MILLIS + 60_000}-7"))
    assert found.was_ahead_seconds == 60.0
    compared = replace(found, member={**found.member, "clock_checked": str(found.latest_millis)})
    assert compared.was_ahead_seconds == 0.0
    assert replace(found, now_millis=NOW_MILLIS + 59_000).was_ahead_seconds == 0.0


BELIEVED: list[tuple[tuple[float, ...], int, float, float | None]] = [
    ((DAYS, 1, 2), 3, 0.0, 1.5),  # whoever the primary is
    ((1, DAYS), 2, 0.0, 1),
    ((DAYS, 1), 2, 0.0, 1),
    ((DAYS, 1), 2, HOUR, DAYS),  # nobody knows: the primary's, which takes the writes
    ((DAYS,), 3, 0.0, DAYS),
    ((), 3, 0.0, None),
]


@pytest.mark.parametrize(("ahead", "members", "own", "believed"), BELIEVED)
def test_whose_clock_a_client_believes(
    ahead: tuple[float, ...], members: int, own: float, believed: float | None
) -> None:
    found = believed_ahead(readings(*ahead), "a", members, SKEW, own)
    assert found == (None if believed is None else pytest.approx(believed, abs=0.2))


def test_the_clocks_of_a_majority_are_enough() -> None:
    plan = ByHand(read_clocks(view(3), START, UNTIL))
    plan.replies("b", [b"1000", b"500000"]).fails("a").replies("c", [b"1001", b"0"])
    assert {node: round(each.most + START, 3) for node, each in plan.result.items()} == {
        "b": 1000.5,
        "c": 1001.0,
    }
    assert all(each.least < each.most for each in plan.result.values())
    assert ByHand(read_clocks(view(3), START, UNTIL)).fails("a").fails("b").fails("c").result == {}
    assert ByHand(read_clocks(view(3), START, UNTIL)).times_out().result == {}


def test_a_clock_is_set_by_what_it_differs() -> None:
    clock = SystemClock()
    own = clock.micros() / 1e6 - 7.0
    clock.set_ahead(own + 0.01, 7.0)
    assert clock.offset_micros == 0
    clock.set_ahead(own + HOUR, 7.0)
    assert clock.offset_micros == pytest.approx(HOUR * 1e6, abs=60e6)


# In a cluster -------------------------------------------------------------------------------------


@pytest.fixture
def nodes() -> Nodes:
    """Primary a, replicas b and c, with a value on all of them."""
    made = Nodes(3)
    for node in "abc":
        made.put(node, b"key", made.value(b"value", 100.0))
    settle(made)
    return made


def settle(nodes: Nodes) -> None:
    for _ in range(2):
        for node in nodes.first.ids:
            nodes.bring_up(node)


def look(nodes: Nodes) -> Reports:
    return nodes.run(inspect_nodes(nodes.layout, nodes.first.ids, nodes.at + 5))


def drop(nodes: Nodes, node: str, key: bytes = b"key") -> None:
    """As native expiry by a wrong clock does."""
    nodes.client(node).execute_command("DEL", nodes.layout.data(key))


def put_aside(nodes: Nodes, own: float | None = None) -> dict[str, float]:
    return nodes.run(
        set_aside(nodes.layout, nodes.view().topology, look(nodes), Steps(nodes.at), own)
    )


def lacking(nodes: Nodes) -> list[str]:
    return needs_bringing_up(nodes.view().topology, look(nodes))


def move(nodes: Nodes, to: str | None = None, away: str = "") -> FailedOver:
    return nodes.run(
        fail_over(nodes.layout, nodes.first.ids, FailoverOrder(nodes.at, to, frozenset(away)))
    )


def test_a_replica_whose_clock_is_off_serves_nothing_until_it_was_walked(nodes: Nodes) -> None:
    nodes.clocks_ahead["b"] = DAYS
    drop(nodes, "b")
    assert lacking(nodes) == ["b"]
    assert put_aside(nodes) == {"b": pytest.approx(DAYS, abs=1)}
    assert (nodes.report("b").state, nodes.report("b").clock_off) == ("syncing", "172800.0 s ahead")
    assert lacking(nodes) == []
    done = nodes.bring_up("b")
    assert (done.activated, nodes.report("b").state) == (False, "syncing")
    nodes.clocks_ahead.clear()
    assert lacking(nodes) == ["b"]
    done = nodes.bring_up("b")
    assert (done.full_syncs, done.activated, nodes.report("b").clock_off) == (1, True, "")
    assert nodes.contents("b") == nodes.contents("a") != {}
    settle(nodes)
    assert lacking(nodes) == []


def test_a_step_back_is_a_wrong_clock_too(nodes: Nodes) -> None:
    nodes.clocks_ahead["c"] = -HOUR
    assert set(put_aside(nodes)) == {"c"}
    assert nodes.report("c").clock_off == "3600.0 s behind"


def test_the_job_for_a_node_sets_it_aside_too(nodes: Nodes) -> None:
    nodes.clocks_ahead["b"] = DAYS
    assert "serves nothing" in " ".join(nodes.bring_up("b").notes)
    assert nodes.report("b").state == "syncing"


def test_a_clock_that_moves_during_the_walk_keeps_the_node_out(nodes: Nodes) -> None:
    nodes.clocks_ahead["b"] = DAYS
    put_aside(nodes)
    nodes.clocks_ahead.clear()
    nodes.meanwhile["headers"] = lambda: nodes.clocks_ahead.update(b=DAYS)
    with pytest.raises(Unavailable, match="clock"):
        nodes.bring_up("b")
    assert nodes.report("b").state == "syncing"


def test_a_step_there_and_back_between_two_looks_is_seen_in_the_log(nodes: Nodes) -> None:
    ahead = nodes.report("b").now_millis + int(DAYS * 1000)
    nodes.client("b").execute_command(
        "XADD", nodes.layout.log, f"{ahead}-0", nodes.layout.data(b"key"), b"0" * 22
    )
    drop(nodes, "b")
    assert wrong_clocks(nodes.view().topology, look(nodes)) == {}
    assert set(doubtful_members(nodes.view().topology, look(nodes))) == {"b"}
    assert "b" in lacking(nodes)
    done = nodes.bring_up("b")
    assert (done.full_syncs, done.activated) == (1, True)
    assert nodes.contents("b") == nodes.contents("a") != {}
    settle(nodes)
    assert lacking(nodes) == []


def test_a_primary_whose_clock_is_off_is_replaced_and_its_gaps_end_nothing(nodes: Nodes) -> None:
    nodes.clocks_ahead["a"] = DAYS
    drop(nodes, "a")
    suspicion = Suspicion(0.1, 0.7)
    topology = nodes.view().topology
    assert not suspicion.judge(topology, look(nodes), 10.0).is_due
    verdict = suspicion.judge(topology, look(nodes), 11.0)
    assert verdict.is_due
    assert "172800.0 s ahead" in verdict.why
    put_aside(nodes)
    done = move(nodes)
    assert (done.primary, sorted(done.active)) == ("b", ["b", "c"])
    assert "172800.0 s ahead" in done.left["a"]
    assert [nodes.present(node).keys() for node in "bc"] == [{b"key"}] * 2
    nodes.clocks_ahead.clear()
    settle(nodes)
    assert nodes.contents("a") == nodes.contents("b") == nodes.contents("c") != {}


def test_a_node_that_dropped_records_brings_nobody_tombstones(nodes: Nodes) -> None:
    """c lacks the value, which a's log names and a has dropped: b has it for all."""
    late = nodes.value(b"late")
    for node in "ab":
        nodes.put(node, b"late", late)
    drop(nodes, "a", b"late")
    nodes.clocks_ahead["a"] = DAYS
    move(nodes, to="c")
    assert nodes.record("c", b"late") == late


def test_whoever_is_off_becomes_no_primary(nodes: Nodes) -> None:
    nodes.clocks_ahead["b"] = DAYS
    topology, reports = nodes.view().topology, look(nodes)
    for plan in (
        lambda: move(nodes, to="b"),
        lambda: foresee(topology, reports, FailoverOrder(nodes.at, "b")),
    ):
        with pytest.raises(Unavailable, match="its clock is 172800"):
            plan()
    nodes.down = {"a"}
    # Of two that answer and disagree the judge's clock decides.
    own = time.time() - nodes.at
    order = FailoverOrder(nodes.at, away=frozenset("a"), own_ahead=own)
    assert nodes.run(fail_over(nodes.layout, nodes.first.ids, order)).primary == "c"


def test_where_no_clock_can_be_trusted_nobody_takes_over(nodes: Nodes) -> None:
    for node in "abc":
        nodes.client(node).execute_command("HSET", nodes.layout.member, "clock_off", "60.0 s ahead")
    with pytest.raises(Unavailable, match="no node whose clock can be trusted"):
        move(nodes)
    assert nodes.report("a").epoch == 1


def test_with_a_manual_failover_a_primary_waits_for_its_clock_and_takes_up_what_it_dropped(
    nodes: Nodes,
) -> None:
    nodes.clocks_ahead["a"] = DAYS
    drop(nodes, "a")
    put_aside(nodes)
    assert nodes.report("a").state == "syncing"
    nodes.clocks_ahead.clear()
    settle(nodes)
    topology = nodes.view().topology
    assert (topology.decider, topology.epoch) == ("a", 2)
    assert nodes.contents("a") == nodes.contents("b") == nodes.contents("c") != {}


def test_where_all_were_ahead_what_is_left_anywhere_is_brought_together(nodes: Nodes) -> None:
    for number, node in enumerate("abc"):
        nodes.put(node, b"on-%d" % number, nodes.value(b"left", 90.0))
        ahead = nodes.report(node).now_millis + int(DAYS * 1000)
        nodes.client(node).execute_command("HSET", nodes.layout.member, "clock_latest", ahead)
    for _ in range(2):
        for node in "abc":
            bring(nodes, node, fails_over=True)
    assert lacking(nodes) == []
    assert set(nodes.present("a")) == {b"key", b"on-0", b"on-1", b"on-2"}
    assert nodes.contents("a") == nodes.contents("b") == nodes.contents("c")


def _leave_others_behind(nodes: Nodes) -> None:
    """In epoch 3 the primary a serves alone: c was away when the second epoch began, and b when the
    third did.
    """
    for away in "cb":
        move(nodes, away=away)
    assert [nodes.report(node).lineage for node in "abc"] == [3, 2, 1]


def _note_that_it_was_ahead(nodes: Nodes, node: str) -> None:
    ahead = nodes.report(node).now_millis + int(DAYS * 1000)
    nodes.client(node).execute_command("HSET", nodes.layout.member, "clock_latest", ahead)


@pytest.mark.parametrize("is_fenced", [False, True])
@pytest.mark.parametrize("fails_over", [False, True])
def test_what_a_primary_dropped_is_taken_from_members_that_were_left_behind(
    nodes: Nodes, fails_over: bool, is_fenced: bool
) -> None:
    """Nobody else can take over: b and c are of older lineages.

    Nothing is lost by that, and it is not for ever.

    What no clock can have dropped is not taken from there: the cluster went on without it.
    """
    expiring = nodes.value(b"value")._replace(
        deadline_millis=nodes.report("a").now_millis + 3_600_000
    )
    for node in "abc":
        nodes.put(node, b"key", expiring)
    nodes.put("c", b"never taken", nodes.value(b"value", 50.0))
    _leave_others_behind(nodes)
    if is_fenced:
        fenced = ("HSET", nodes.layout.member, "epoch", "4", "state", "fenced")
        for node in "abc":
            nodes.client(node).execute_command(*fenced)
    _note_that_it_was_ahead(nodes, "a")
    drop(nodes, "a")
    epochs = [nodes.report(node).epoch for node in "abc"]
    with pytest.raises(Unavailable, match="no node whose clock can be trusted"):
        move(nodes)
    assert [nodes.report(node).epoch for node in "abc"] == epochs, "nobody was fenced in vain"
    suspicion, topology = Suspicion(0.1, 0.7), nodes.view().topology
    for at in (10.0, 20.0):
        assert not suspicion.judge(topology, look(nodes), at).is_due
    for _ in range(3):
        for node in "abc":
            bring(nodes, node, fails_over)
    assert lacking(nodes) == []
    assert nodes.view().decider == "a"
    assert nodes.present("a").keys() == {b"key"}
    assert nodes.contents("a") == nodes.contents("b") == nodes.contents("c")


def test_where_the_only_successor_was_ahead_the_operator_can_go_on(nodes: Nodes) -> None:
    """The primary is gone, and who could take over may have dropped records."""
    move(nodes, away="c")
    _note_that_it_was_ahead(nodes, "b")
    nodes.down.add("a")
    topology, reports = nodes.view().topology, look(nodes)
    found = takeover_of(topology, reports)
    assert found is not None
    assert "make the primary's server reachable" in found.advice
    assert "`redrepl failover --accept-loss --to b`" in found.advice
    order = FailoverOrder(nodes.at, "b", frozenset("a"))
    assert foresee_loss(topology, reports, order).primary == "b"
    done = nodes.run(accept_loss(nodes.layout, nodes.first.ids, order, Fresh("inc-new", FRESH)))
    assert done.primary == "b"
    assert nodes.report("b").is_serving
    assert doubtful_members(nodes.view().topology, look(nodes)) == {}, (
        "nothing that was given up is looked for"
    )


def test_where_the_primary_alone_could_take_over_and_was_ahead_the_workers_are_named(
    nodes: Nodes,
) -> None:
    _leave_others_behind(nodes)
    _note_that_it_was_ahead(nodes, "a")
    found = takeover_of(nodes.view().topology, look(nodes))
    assert found is not None
    assert "start `redrepl worker`" in found.advice
    assert "redrepl failover" not in found.advice


def test_a_member_that_is_moved_on_keeps_the_word_that_it_was_ahead(nodes: Nodes) -> None:
    _note_that_it_was_ahead(nodes, "b")
    done = move(nodes)
    assert nodes.report("b").clock_off == "172800.0 s ahead"
    assert done.left["b"].startswith("its clock was 172800.0 s ahead")
    doubt = doubtful_members(nodes.view().topology, look(nodes))
    assert doubt == {
        "b": "its clock was 172800.0 s ahead, and it was not compared with the others since"
    }


def bring(nodes: Nodes, node: str, fails_over: bool) -> BroughtUp:
    order = BringUpOrder(
        f"inc-{nodes.at}", "id-new", Tolerances(), nodes.at, nodes.at + 60, fails_over=fails_over
    )
    return nodes.run(bring_up(nodes.layout, nodes.first.ids, node, order))


@pytest.mark.parametrize("node", ["a", "b"])
def test_nothing_is_compared_with_a_clock_that_is_off(nodes: Nodes, node: str) -> None:
    nodes.clocks_ahead[node] = DAYS
    order = SweepOrder(nodes.at, 1e9, True, 1.0)
    if node == "a":
        with pytest.raises(Unavailable, match="needed to compare with"):
            nodes.run(sweep(nodes.layout, nodes.first.ids, order))
        assert nodes.report("a").sweep == {}
        with pytest.raises(Unavailable, match="needed to compare with"):
            nodes.run(verify(nodes.layout, nodes.first.ids, nodes.at, repair=True))
    else:
        assert nodes.run(sweep(nodes.layout, nodes.first.ids, order)).findings.missed == ("b",)
        assert (
            "clock" in nodes.run(verify(nodes.layout, nodes.first.ids, nodes.at)).unreachable["b"]
        )
