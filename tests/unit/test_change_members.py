"""Changes of members on nodes in memory: whatever else begins an epoch meanwhile, each epoch has
one primary.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from redrepl.plans.epochs.accept_loss import Fresh, accept_loss
from redrepl.plans.epochs.change_members import change_topology
from redrepl.plans.epochs.failover import FailoverOrder, fail_over
from redrepl.plans.epochs.membership import Tolerances, change_call
from redrepl.plans.epochs.suspicion import Suspicion
from redrepl.plans.inspect import inspect_nodes, newest_topology
from redrepl.plans.recovery.bring_up import BringUpOrder, bring_up
from redrepl.plans.recovery.reinstate import reinstate
from redrepl.plans.recovery.upkeep import needs_bringing_up
from redrepl.plans.steps import Steps
from redrepl.values.effects import Plan
from redrepl.values.errors import RedreplError, Unavailable
from redrepl.values.record import Record
from redrepl.values.report import NodeReport
from redrepl.values.reports import Reports
from redrepl.values.topology import Member, Mode, NodeRole, Topology
from tests.unit.support.in_memory import FRESH, Nodes
from tests.unit.support.interruptions import Died, die, interrupted, interrupted_once

LAST = b"last"
QUESTIONS = range(1, 11)
"""A change of three members asks nine questions: look, time, primary, others, others, primary,
others, the new member, the primary.
"""

TELLS = 6
"""The question of a change by which the others learn the new topology, when the primary serves with
it.
"""

PUBLISHES = 9
"""The question of a failover by which the others learn the topology, when the new primary serves
with it.
"""

ADMITS = 10
"""The question of `bring_up`, of a member that restarted, before which all has been brought to
it.
"""


def cluster(copies: int) -> Nodes:
    """Members a, b, c …, all with one key, and servers x and y that belong to nobody; a is the
    primary.
    """
    nodes = Nodes(copies)
    nodes.write("".join(nodes.first.ids), b"key", nodes.value(b"first"))
    for node in "xy":
        nodes.start(node)
    return settle(nodes)


def settle(nodes: Nodes) -> Nodes:
    """What workers do until nobody lacks anything."""
    for _ in range(4):
        for node in members(nodes):
            if node not in nodes.down:
                with contextlib.suppress(RedreplError):
                    nodes.run(bringing_up(nodes, node))
    return nodes


def members(nodes: Nodes) -> tuple[str, ...]:
    return nodes.view().topology.ids


def everybody(nodes: Nodes) -> tuple[str, ...]:
    return (*nodes.first.ids, "x", "y")


def bringing_up(nodes: Nodes, node: str) -> Plan[Any]:
    order = BringUpOrder(f"inc-{node}-{nodes.at}", "id-new", Tolerances(), nodes.at, nodes.at + 60)
    return bring_up(nodes.layout, everybody(nodes), node, order)


def adding(nodes: Nodes, node: str = "x") -> Plan[Any]:
    old = nodes.view().topology
    return changing(nodes, old, old.with_member(Member(node, f"redis://{node}", NodeRole.REPLICA)))


def removing(nodes: Nodes, node: str) -> Plan[Any]:
    old = nodes.view().topology
    return changing(nodes, old, old.without_member(node))


def changing(nodes: Nodes, old: Topology, new: Topology) -> Plan[Any]:
    return change_topology(old, new, Tolerances(), "inc-new", nodes.at)


def failing_over(nodes: Nodes, to: str | None = "b", away: str = "") -> Plan[Any]:
    return fail_over(nodes.layout, everybody(nodes), FailoverOrder(nodes.at, to, frozenset(away)))


def attempt(nodes: Nodes, plan: Plan[Any]) -> bool:
    """Whether it came out."""
    try:
        nodes.run(plan)
    except (RedreplError, Died):
        return False
    return True


def reports(nodes: Nodes) -> Reports:
    return nodes.run(inspect_nodes(nodes.layout, everybody(nodes), nodes.at + 5))


def present(nodes: Nodes) -> list[NodeReport]:
    return [report for report in reports(nodes).present.values() if report.member]


def assert_one_of_each_epoch(nodes: Nodes) -> None:
    """In no epoch there are two topologies, or two nodes that decide."""
    topologies: dict[int, Topology] = {}
    deciding: dict[int, str] = {}
    for report in present(nodes):
        if report.topology is not None:
            assert topologies.setdefault(report.topology.epoch, report.topology) == report.topology
        if report.is_serving and report.member["rule"] == "decide":
            assert deciding.setdefault(report.epoch, report.node) == report.node


def end_unfinished(nodes: Nodes) -> None:
    """What the workers do, and their monitor where it must not replace the primary."""
    suspicion = Suspicion(0.1, 0.7, replaces=False)
    for _ in range(4):
        found = reports(nodes)
        if suspicion.judge(newest_topology(found), found, nodes.at).is_due:
            attempt(nodes, fail_over(nodes.layout, everybody(nodes), FailoverOrder(nodes.at, None)))
        nodes.at += 1.1
    settle(nodes)


def assert_all_serve(nodes: Nodes, *committed: Record) -> None:
    """All members serve in one epoch, hold the same, and the committed record."""
    topology = nodes.view().topology
    found = [nodes.report(node) for node in topology.ids]
    assert [(report.is_serving, report.epoch) for report in found] == [
        (True, topology.epoch)
    ] * len(found)
    assert [nodes.contents(node) for node in topology.ids] == [
        nodes.contents(topology.ids[0])
    ] * len(found)
    for record in committed:
        assert nodes.record(topology.ids[0], LAST) == record


def commit(nodes: Nodes, holders: str) -> Record:
    """A write that these confirm, enough for QUORUM."""
    record = nodes.value(b"committed")
    nodes.write(holders, LAST, record)
    return record


# Meeting others -----------------------------------------------------------------------------------


def _failover(nodes: Nodes) -> Plan[Any]:
    return failing_over(nodes)


def _failover_without_the_primary(nodes: Nodes) -> Plan[Any]:
    return failing_over(nodes, "b", "a")


def _reinstatement(nodes: Nodes) -> Plan[Any]:
    """Whoever looks finds that the primary restarted."""
    nodes.restart("a")
    return bringing_up(nodes, "a")


def _another_change(nodes: Nodes) -> Plan[Any]:
    return adding(nodes, "y")


def _removal(nodes: Nodes) -> Plan[Any]:
    return removing(nodes, "b")


RIVALS = [_failover, _failover_without_the_primary, _another_change, _removal]


@pytest.mark.parametrize("copies", [2, 3])
@pytest.mark.parametrize("rival", RIVALS)
@pytest.mark.parametrize("steps", [4, 7])
def test_a_change_that_comes_in_between_and_dies(
    copies: int, rival: Callable[[Nodes], Plan[Any]], steps: int
) -> None:
    """The rival has looked, then somebody begins to add a member, and goes so far; then the rival
    goes on.
    """
    for question in (2, 3) if copies == 3 else (2,):
        nodes = cluster(copies)
        committed = commit(nodes, "ab" if copies < 4 else "abc")
        change = interrupted(adding(nodes), steps, die)
        attempt(nodes, interrupted(rival(nodes), question, partial(attempt, nodes, change)))
        assert_one_of_each_epoch(nodes)
        end_unfinished(nodes)
        assert_one_of_each_epoch(nodes)
        assert_all_serve(nodes, committed)


@pytest.mark.parametrize("rival", RIVALS)
@pytest.mark.parametrize("question", QUESTIONS)
def test_somebody_who_comes_into_a_change_and_dies(
    rival: Callable[[Nodes], Plan[Any]], question: int
) -> None:
    for steps in (4, 99):
        nodes = cluster(3)
        committed = commit(nodes, "ab")
        other = interrupted(rival(nodes), steps, die)
        attempt(nodes, interrupted(adding(nodes), question, partial(attempt, nodes, other)))
        assert_one_of_each_epoch(nodes)
        end_unfinished(nodes)
        assert_one_of_each_epoch(nodes)
        assert_all_serve(nodes, committed)


@pytest.mark.parametrize("copies", [2, 3])
@pytest.mark.parametrize("question", [2, 3, 4, 6, 7])
def test_a_primary_that_restarts_in_the_middle_of_a_change_is_put_back_to_work(
    copies: int, question: int
) -> None:
    nodes = cluster(copies)
    committed = commit(nodes, "ab")
    change = interrupted(adding(nodes), question, lambda: restart_and_bring_up(nodes))
    attempt(nodes, change)
    assert_one_of_each_epoch(nodes)
    end_unfinished(nodes)
    assert_all_serve(nodes, committed)


def restart_and_bring_up(nodes: Nodes) -> None:
    nodes.restart("a")
    attempt(nodes, bringing_up(nodes, "a"))


@pytest.mark.parametrize("steps", [2, 3, 4, 5, 6])
def test_a_change_that_comes_into_a_reinstatement(steps: int) -> None:
    """Whoever changes members looked while the primary served."""
    nodes = cluster(3)
    committed = commit(nodes, "ab")
    reinstatement = interrupted(restarted(nodes), steps, die)
    attempt(nodes, interrupted(adding(nodes), 2, partial(attempt, nodes, reinstatement)))
    assert_one_of_each_epoch(nodes)
    end_unfinished(nodes)
    assert_all_serve(nodes, committed)


def restarted(nodes: Nodes) -> Plan[Any]:
    """What a worker does after the primary restarted; it does so when the plan begins."""
    nodes.restart("a")
    return (yield from bringing_up(nodes, "a"))


@pytest.mark.parametrize("question", [2, 3])
@pytest.mark.parametrize("steps", [4, 7])
def test_an_operator_who_accepts_a_loss_and_one_who_adds_a_member(
    question: int, steps: int
) -> None:
    nodes = cluster(3)
    change = interrupted(adding(nodes), steps, die)

    def without_the_others() -> None:
        attempt(nodes, change)
        nodes.down = {"b", "c"}

    nodes.down = {"b", "c"}
    loss = accept_loss(
        nodes.layout, everybody(nodes), FailoverOrder(nodes.at, "a"), Fresh("inc-loss", FRESH)
    )
    nodes.down = set()
    attempt(nodes, interrupted(loss, question, without_the_others))
    nodes.down = set()
    assert_one_of_each_epoch(nodes)
    end_unfinished(nodes)
    assert_all_serve(nodes)


def test_of_two_changes_one_comes_out() -> None:
    nodes = cluster(3)
    other = adding(nodes, "y")
    assert attempt(nodes, interrupted(adding(nodes), 3, lambda: refused(nodes, other, "under way")))
    assert members(nodes) == ("a", "b", "c", "x")


def test_several_primaries_of_two_changes_the_second_is_refused() -> None:
    nodes = Nodes(2, Mode.MULTI_PRIMARY)
    for node in "xy":
        nodes.start(node)
    old = nodes.view().topology
    first, second = (
        old.with_member(Member(node, f"redis://{node}", NodeRole.PRIMARY)) for node in "xy"
    )
    with contextlib.suppress(Died):
        nodes.run(interrupted(changing(nodes, old, first), 3, die))
    assert nodes.report("a").topology == first
    refused(nodes, changing(nodes, old, second), "another change of epoch is under way")
    assert nodes.report("a").topology == first


def refused(nodes: Nodes, plan: Plan[Any], why: str) -> None:
    with pytest.raises(Unavailable, match=why):
        nodes.run(plan)


# Those who die ------------------------------------------------------------------------------------


@pytest.mark.parametrize("copies", [1, 2, 3, 4])
@pytest.mark.parametrize("question", [3, 4, 5, 6, 7, 8, 9])
def test_what_a_change_that_died_left_is_ended(copies: int, question: int) -> None:
    """By the workers and their monitor, also where that must not replace a primary; then it can be
    done again.
    """
    for change in (adding, partial(removing, node="b")) if copies > 1 else (adding,):
        nodes = cluster(copies)
        committed = commit(nodes, "".join(nodes.first.ids[: copies // 2 + 1]))
        attempt(nodes, interrupted(change(nodes), question, die))
        end_unfinished(nodes)
        assert_all_serve(nodes, committed)
        assert nodes.view().decider == "a"
        if members(nodes) == nodes.first.ids:
            assert attempt(nodes, change(nodes))
            settle(nodes)
            assert_all_serve(nodes, committed)


def test_a_change_that_finds_too_few_is_ended_without_it() -> None:
    """They answered the look, and then no more."""
    nodes = cluster(3)
    refused(
        nodes,
        interrupted(adding(nodes), 3, lambda: nodes.down.update("bc")),
        "only 1 of 2 members could be moved",
    )
    assert (nodes.report("a").epoch, nodes.report("a").state) == (2, "fenced")
    nodes.down.clear()
    end_unfinished(nodes)
    assert_all_serve(nodes)
    assert members(nodes) == ("a", "b", "c")


# Who must come along ------------------------------------------------------------------------------


@pytest.mark.parametrize("change", [adding, partial(removing, node="b")])
def test_without_enough_members_nothing_is_touched(change: Callable[[Nodes], Plan[Any]]) -> None:
    nodes = cluster(3)
    nodes.down = {"b", "c"}
    refused(nodes, change(nodes), "2 of the present 3 must be there; usable: a;")
    assert (nodes.report("a").epoch, nodes.report("a").state, members(nodes)) == (
        1,
        "active",
        ("a", "b", "c"),
    )


@pytest.mark.parametrize("change", [adding, partial(removing, node="b")])
def test_of_two_copies_one_that_is_gone_for_good_is_not_waited_for(
    change: Callable[[Nodes], Plan[Any]],
) -> None:
    nodes = cluster(2)
    nodes.down = {"b"}
    nodes.run(change(nodes))
    settle(nodes)
    assert nodes.report("a").is_serving
    assert all(nodes.report(node).is_serving for node in members(nodes) if node != "b")


def test_of_two_copies_neither_after_a_switchover_nor_after_a_loss_was_accepted() -> None:
    nodes = cluster(2)
    nodes.run(failing_over(nodes, "b"))
    nodes.down = {"a"}
    nodes.run(
        accept_loss(
            nodes.layout, everybody(nodes), FailoverOrder(nodes.at, "b"), Fresh("inc-loss", FRESH)
        )
    )
    nodes.run(removing(nodes, "a"))
    assert members(nodes) == ("b",)
    nodes = cluster(2)
    nodes.run(failing_over(nodes, "b"))
    nodes.down = {"a"}
    nodes.run(removing(nodes, "a"))
    assert members(nodes) == ("b",)


def test_of_two_copies_that_do_not_know_yet_that_they_are_two_both_are_needed() -> None:
    """b and c, who know three members, may go on without a at any moment: nothing may commit on a
    alone.
    """
    nodes = cluster(3)
    attempt(nodes, interrupted(removing(nodes, "c"), TELLS, die))
    assert members(nodes) == ("a", "b")
    nodes.down = {"b"}
    refused(nodes, removing(nodes, "b"), "2 of the present 2 must be there; usable: a;")
    nodes.down = {"a"}
    assert attempt(nodes, failing_over(nodes, "b", "a"))


def test_a_second_change_waits_until_the_first_is_known() -> None:
    """a and the new member are half of four, and b and c a majority of three who do not know of the
    fourth.
    """
    nodes = cluster(3)
    attempt(nodes, interrupted(adding(nodes), TELLS, die))
    old = nodes.view().topology
    nodes.down = {"b", "c"}
    nodes.run(bringing_up(nodes, "x"))
    refused(nodes, adding(nodes, "y"), "3 of the present 4 must be there; usable: a, x;")
    nodes.down = set()
    assert attempt(
        nodes, changing(nodes, old, old.with_member(Member("y", "redis://y", NodeRole.REPLICA)))
    )
    nodes.down = {"a", "x", "y"}
    with pytest.raises(Unavailable, match="3 of 5 members must take part"):
        nodes.run(failing_over(nodes, "b", "axy"))


def test_half_of_four_suffice_where_they_know_each_other() -> None:
    nodes = cluster(4)
    nodes.down = {"c", "d"}
    nodes.run(removing(nodes, "c"))
    assert members(nodes) == ("a", "b", "d")
    assert [nodes.report(node).is_serving for node in "ab"] == [True] * 2


def test_a_failover_does_not_go_by_members_that_were_changed_while_it_looked() -> None:
    nodes = cluster(3)
    attempt(nodes, interrupted(adding(nodes), TELLS, die))
    new = nodes.view().topology

    def tell() -> None:
        for node in "bc":
            assert nodes.send(node, change_call(nodes.report(node), nodes.layout, {}, new)) == 1

    refused(
        nodes,
        interrupted(failing_over(nodes, "b", "a"), 2, tell),
        "somebody else changed the members",
    )
    nodes.down = {"a"}
    refused(nodes, failing_over(nodes, "b", "a"), "3 of 4 members must take part")


def test_what_cannot_have_been_begun_ends_no_failover() -> None:
    """One step moves the role or changes the members, and not both.

    Else one replica could end every failover.
    """
    nodes = cluster(3)
    member = replace(nodes.view().topology.member("c"), role=NodeRole.PRIMARY)
    made_up = replace(nodes.view().topology, epoch=2, merged_epoch=2, members=(member,))

    def lie() -> None:
        assert nodes.send("c", change_call(nodes.report("c"), nodes.layout, {}, made_up)) == 1

    nodes.down = {"a"}
    assert nodes.run(interrupted(failing_over(nodes, "b", "a"), 2, lie)).primary == "b"


def test_one_replica_alone_ends_no_failover_that_has_fenced_the_primary() -> None:
    """A change of members moves the primary first, so that no other member can know of one."""
    nodes = cluster(3)
    left_over = change_call(
        nodes.report("b"), nodes.layout, {"epoch": "5", "state": "fenced"}, None
    )
    assert nodes.send("b", left_over) == 1
    member = replace(nodes.view().topology.member("c"), role=NodeRole.PRIMARY)
    made_up = replace(nodes.view().topology, epoch=4, merged_epoch=4, members=(member,))

    def lie() -> None:
        assert nodes.send("c", change_call(nodes.report("c"), nodes.layout, {}, made_up)) == 1

    plan = fail_over(nodes.layout, nodes.first.ids, FailoverOrder(nodes.at, to="b", planned=True))
    assert nodes.run(interrupted(plan, 2, lie)).primary == "b"
    assert members(nodes) == ("a", "b", "c")


def test_a_failover_goes_on_where_only_the_role_moved_while_it_looked() -> None:
    """Else it would leave members fenced that served, with nothing gained."""
    nodes = cluster(3)
    attempt(nodes, interrupted(failing_over(nodes, "b"), PUBLISHES, die))
    new = nodes.report("b").topology

    def tell() -> None:
        for node in "ac":
            assert nodes.send(node, change_call(nodes.report(node), nodes.layout, {}, new)) == 1

    assert new is not None
    assert nodes.report("a").topology == nodes.first
    assert attempt(nodes, interrupted(failing_over(nodes, "c", "b"), 2, tell))
    settle(nodes)
    assert_all_serve(nodes)


def test_whoever_is_fenced_learns_among_whom_it_is_counted() -> None:
    nodes = cluster(3)
    attempt(nodes, interrupted(adding(nodes), TELLS, die))
    attempt(nodes, interrupted(failing_over(nodes, "a"), 3, die))
    assert [nodes.report(node).topology.ids for node in "abc"] == [("a", "b", "c", "x")] * 3  # type: ignore[union-attr]


# In which states ----------------------------------------------------------------------------------


def test_a_former_primary_that_was_left_behind_is_not_taken_for_one_that_serves() -> None:
    """What it alone took must not come back: the workers have to look at it first."""
    nodes = cluster(3)
    nodes.write("a", LAST, nodes.value(b"never acknowledged"))
    nodes.run(failing_over(nodes, "b", "a"))
    assert (nodes.report("a").epoch, nodes.report("a").state) == (1, "active")
    nodes.run(adding(nodes))
    assert (nodes.report("a").state, nodes.report("a").lineage) == ("fenced", 1)
    settle(nodes)
    assert_all_serve(nodes)
    assert LAST not in nodes.present("a")


def test_one_that_comes_back_with_old_records_keeps_none_that_the_primary_does_not_have() -> None:
    """Its log went when it was taken out, so that nothing names what it alone had been sent."""
    nodes = cluster(3)
    nodes.write("c", LAST, nodes.value(b"never acknowledged"))
    nodes.run(removing(nodes, "c"))
    settle(nodes)
    nodes.run(adding(nodes, "c"))
    settle(nodes)
    assert_all_serve(nodes)
    assert LAST not in nodes.present("c")


@pytest.mark.parametrize("copies", [2, 3])
def test_a_member_that_is_being_brought_up_goes_on_with_that(copies: int) -> None:
    nodes = cluster(copies)
    nodes.lose_everything("b")
    attempt(
        nodes,
        interrupted_once(
            bringing_up(nodes, "b"), lambda: nodes.report("b").state == "syncing", die
        ),
    )
    assert nodes.report("b").state == "syncing"
    nodes.run(adding(nodes))
    assert (nodes.report("b").state, nodes.report("b").lineage, nodes.report("b").epoch) == (
        "syncing",
        0,
        3,
    )
    settle(nodes)
    assert_all_serve(nodes)


def test_one_that_is_moved_while_it_is_brought_up_does_not_begin_to_serve() -> None:
    """Whoever moved it may not have the epoch, and may never get it."""
    nodes = cluster(3)
    nodes.restart("b")
    attempt(nodes, interrupted(bringing_up(nodes, "b"), 4, die))
    change = interrupted(adding(nodes), 4, die)
    bring = interrupted(bringing_up(nodes, "b"), ADMITS, lambda: attempt(nodes, change))
    refused(nodes, bring, "moved while it was brought up")
    assert (nodes.report("b").epoch, nodes.report("b").state) == (2, "syncing")


# A primary that was fenced in vain ----------------------------------------------------------------


def fence_primary(nodes: Nodes) -> None:
    """Somebody who then finds nobody else."""
    fields = {"epoch": "9", "state": "fenced"}
    assert nodes.send("a", change_call(nodes.report("a"), nodes.layout, fields, None)) == 1


@pytest.mark.parametrize("members_there", ["two", "two and a new one"])
def test_a_primary_that_was_fenced_when_the_other_crashed_is_put_back_to_work(
    members_there: str,
) -> None:
    """The other waits for a primary that serves, and a failover for a second member that has lost
    nothing.
    """
    nodes = cluster(2)
    committed = commit(nodes, "ab")
    if members_there != "two":
        nodes.run(adding(nodes))
    nodes.restart("b")
    fence_primary(nodes)
    end_unfinished(nodes)
    assert nodes.report("a").is_serving
    assert nodes.record("a", LAST) == committed


def test_a_fenced_replica_that_crashed_does_not_wait_for_ever_beside_a_primary_that_serves() -> (
    None
):
    """Somebody fenced it and then did not find the primary.

    A failover needs two that have lost nothing.
    """
    nodes = cluster(2)
    committed = commit(nodes, "ab")
    fields = {"epoch": "9", "state": "fenced"}
    assert nodes.send("b", change_call(nodes.report("b"), nodes.layout, fields, None)) == 1
    nodes.restart("b")
    assert needs_bringing_up(nodes.view().topology, reports(nodes)) == ["a", "b"]
    end_unfinished(nodes)
    assert nodes.view().topology.epoch > 9, "epoch 9 is somebody else's"
    assert_all_serve(nodes, committed)


def test_of_three_one_more_has_to_say_that_nobody_went_on() -> None:
    """b and c may have gone on without a, and one of them may have forgotten it."""
    nodes = cluster(3)
    nodes.restart("b")
    nodes.down = {"c"}
    fence_primary(nodes)
    refused(
        nodes,
        bringing_up(nodes, "a"),
        "'a' was fenced in epoch 9; 1 replica is needed to see that nobody went on",
    )


def test_a_witness_of_an_older_era_gives_it_nothing() -> None:
    nodes = cluster(3)
    nodes.write("c", LAST, nodes.value(b"never acknowledged"))
    nodes.run(failing_over(nodes, "a", "c"))
    attempt(nodes, interrupted(bringing_up(nodes, "c"), 3, die))
    assert (nodes.report("c").state, nodes.report("c").lineage) == ("syncing", 1)
    nodes.restart("b")
    nodes.down = {"b"}
    fence_primary(nodes)
    nodes.run(reinstate(nodes.view(), nodes.report("a"), reports(nodes), "inc", Steps(nodes.at)))
    assert nodes.report("a").is_serving
    assert nodes.record("a", LAST) is None


def test_one_that_is_taken_out_while_it_is_filled_is_left() -> None:
    nodes = cluster(3)
    nodes.lose_everything("c")

    def drop_marks() -> None:
        nodes.client("c").execute_command("DEL", nodes.layout.marks)

    bring = interrupted_once(
        bringing_up(nodes, "c"), lambda: bool(nodes.report("c").marks), drop_marks
    )
    refused(nodes, bring, "was taken out while it was brought up")


# Somebody who comes in between --------------------------------------------------------------------


def move_away(nodes: Nodes, node: str, state: str) -> None:
    """Somebody else moves a member on to an epoch of their own."""
    report = nodes.report(node)
    fields = {"epoch": str(report.epoch + 5), "state": state}
    assert nodes.send(node, change_call(report, nodes.layout, fields, None)) == 1


@pytest.mark.parametrize("question", range(2, 20))
def test_a_primary_that_somebody_moved_on_is_not_put_back_in_their_epoch(question: int) -> None:
    """A failover takes it along, as it may still know something, in an epoch in which another node
    is the primary.
    """
    nodes = cluster(3)
    nodes.restart("a")
    attempt(
        nodes,
        interrupted(bringing_up(nodes, "a"), question, lambda: move_away(nodes, "a", "syncing")),
    )
    found = nodes.report("a")
    assert found.topology is not None
    assert not found.is_serving or found.epoch == found.topology.epoch


@pytest.mark.parametrize("question", range(2, 20))
def test_a_new_primary_that_somebody_moved_on_is_not_taken_back_from_their_epoch(
    question: int,
) -> None:
    """They count on it: with what it takes there in its old epoch it would be passed over."""
    nodes = cluster(3)
    moved: list[int] = []

    def move() -> None:
        move_away(nodes, "b", "fenced")
        moved.append(nodes.report("b").epoch)

    attempt(nodes, interrupted(failing_over(nodes, "b"), question, move, every_request=True))
    assert nodes.report("b").epoch == moved[0]
    assert not nodes.report("b").is_serving
