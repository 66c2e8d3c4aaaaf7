"""Which replicas may tell what a restarted primary lost, and what is said where they are too
few.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial

import pytest

from redrepl.plans.epochs.failover import FailoverOrder, fail_over
from redrepl.plans.epochs.membership import Tolerances
from redrepl.plans.inspect import inspect_nodes
from redrepl.plans.recovery.bring_up import BringUpOrder, bring_up
from redrepl.plans.recovery.reinstate import find_witnesses
from redrepl.plans.status import Expectations, cluster_status
from redrepl.values.errors import RedreplError, Unavailable
from redrepl.values.record import Record
from redrepl.values.status import ClusterStatus
from tests.unit.support.in_memory import Nodes
from tests.unit.support.interruptions import Died, die, interrupted, interrupted_once

LAST = b"last"


def cluster(copies: int) -> Nodes:
    """Members a, b, c …, all with one key; a is the primary."""
    nodes = Nodes(copies)
    nodes.write("".join(nodes.first.ids), b"key", nodes.value(b"first"))
    return settle(nodes)


def settle(nodes: Nodes) -> Nodes:
    for _ in range(3):
        for node in nodes.first.ids:
            if node not in nodes.down:
                nodes.bring_up(node)
    return nodes


def is_begun(nodes: Nodes, node: str) -> bool:
    """Whether a member was set to syncing, in an epoch that the primary serves in."""
    asked = ("HMGET", nodes.layout.member, "state", "epoch")
    (state, epoch), (primary_state, primary_epoch) = (
        nodes.client(each).execute_command(*asked) for each in (node, "a")
    )
    return bool(state == b"syncing" and primary_state == b"active" and epoch == primary_epoch)


def begin(nodes: Nodes, members: str) -> None:
    """The workers begin to bring these up, and die."""
    for node in members:
        order = BringUpOrder("inc-died", "id-new", Tolerances(), nodes.at, nodes.at + 60)
        with contextlib.suppress(Died):
            plan = bring_up(nodes.layout, nodes.first.ids, node, order)
            nodes.run(interrupted_once(plan, partial(is_begun, nodes, node), die))
        assert nodes.report(node).state == "syncing"


def crash(nodes: Nodes, *keys: bytes) -> None:
    """The primary comes back with its data, but for the last writes to these keys, and what it
    noted of other logs.
    """
    nodes.restart("a")
    client = nodes.client("a")
    for key in keys:
        client.execute_command("DEL", nodes.layout.marks)
        client.execute_command("DEL", nodes.layout.data(key))
        last = client.execute_command("XREVRANGE", nodes.layout.log, "+", "-", "COUNT", 1)[0][0]
        client.execute_command("XDEL", nodes.layout.log, last)


def commit(nodes: Nodes, members: str) -> Record:
    """A write that the primary and these replicas confirm, enough for QUORUM."""
    record = nodes.value(b"committed")
    nodes.write(f"a{members}", LAST, record)
    assert len(members) >= len(nodes.view().ids) // 2
    return record


def assert_reinstated_with(nodes: Nodes, *committed: Record) -> None:
    """The workers put the primary back, it has the committed write, and all come to one state."""
    assert nodes.bring_up("a").activated
    assert [nodes.record("a", LAST)] == list(committed or [None])
    nodes.down.clear()
    settle(nodes)
    assert [nodes.report(node).is_serving for node in nodes.first.ids] == [True] * len(
        nodes.first.ids
    )
    assert [nodes.contents(node) for node in nodes.first.ids] == [nodes.contents("a")] * len(
        nodes.first.ids
    )


def waits(nodes: Nodes) -> Unavailable:
    """The primary stays out, nothing is touched; answers what is said."""
    before = [nodes.report(node) for node in nodes.first.ids if node not in nodes.down]
    with pytest.raises(Unavailable) as caught:
        nodes.bring_up("a")
    assert not nodes.report("a").is_serving
    after = [nodes.report(node) for node in nodes.first.ids if node not in nodes.down]
    assert [(r.epoch, r.state) for r in before] == [(r.epoch, r.state) for r in after]
    return caught.value


# Members in whatever state ------------------------------------------------------------------------


@pytest.mark.parametrize("copies", [2, 3, 5])
def test_a_primary_that_restarts_again_while_its_replicas_are_brought_up(copies: int) -> None:
    nodes = cluster(copies)
    committed = commit(nodes, "bc"[: copies // 2])
    crash(nodes, LAST)
    nodes.bring_up("a")
    begin(nodes, "bcde"[: copies - 1])
    crash(nodes, LAST)
    assert_reinstated_with(nodes, committed)


@pytest.mark.parametrize("copies", [3, 5])
def test_a_replica_of_an_older_lineage_makes_up_the_number_and_those_of_the_newest_give(
    copies: int,
) -> None:
    nodes = cluster(copies)
    crash(nodes)
    nodes.bring_up("a")
    active, others = ("c", "b") if copies == 3 else ("de", "bc")
    for node in active:
        nodes.bring_up(node)
    begin(nodes, others)
    committed = commit(nodes, active)
    crash(nodes, LAST)
    if copies == 5:
        nodes.down.add("d")
    assert_reinstated_with(nodes, committed)


def test_what_the_cluster_went_on_without_does_not_come_back_with_such_a_replica() -> None:
    """b has a write that nobody acknowledged, misses a failover, and is being brought up when the
    primary restarts.
    """
    nodes = cluster(3)
    nodes.write("b", LAST, nodes.value(b"never acknowledged"))
    nodes.down.add("b")
    nodes.run(
        fail_over(nodes.layout, nodes.first.ids, FailoverOrder(nodes.at, "a", frozenset("b")))
    )
    nodes.down.clear()
    begin(nodes, "b")
    crash(nodes)
    assert nodes.record("b", LAST) is not None
    assert nodes.bring_up("a").activated
    settle(nodes)
    assert [LAST in nodes.present(node) for node in "abc"] == [False] * 3


def test_a_replica_that_a_change_of_members_left_behind_still_gives() -> None:
    """The write stands on b alone when a has lost it: c moved along without it, d is still
    empty.
    """
    nodes = cluster(3)
    committed = commit(nodes, "b")
    nodes.down.add("b")
    nodes.add("d")
    nodes.down.clear()
    begin(nodes, "b")
    assert (nodes.report("b").lineage, nodes.report("c").lineage) == (1, 2)
    crash(nodes, LAST)
    assert_reinstated_with(nodes, committed)


def test_a_failover_counts_such_a_replica_too() -> None:
    nodes = cluster(5)
    committed = commit(nodes, "be")
    nodes.down.add("b")
    nodes.remove("e")
    nodes.down = {"a"}
    done = nodes.run(
        fail_over(nodes.layout, nodes.first.ids, FailoverOrder(nodes.at, None, frozenset("a")))
    )
    assert nodes.record(done.primary, LAST) == committed


# Newcomers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("copies", [2, 3, 4])
@pytest.mark.parametrize("is_begun", [False, True])
def test_a_newcomer_is_not_waited_for(copies: int, is_begun: bool) -> None:
    nodes = cluster(copies)
    committed = commit(nodes, "bc"[: copies // 2])
    nodes.add("e")
    if is_begun:
        begin(nodes, "e")
    if copies == 4:
        nodes.down.add("d")
    crash(nodes, LAST)
    assert_reinstated_with(nodes, committed)


def test_the_second_copy_gives_what_it_was_filled_with() -> None:
    nodes = Nodes(1)
    record = nodes.value(b"committed")
    nodes.write("a", LAST, record)
    nodes.add("b")
    nodes.put("b", LAST, record)
    crash(nodes, LAST)
    assert_reinstated_with(nodes, record)


def test_a_newcomer_does_not_stand_in_for_a_replica_that_is_away() -> None:
    nodes = cluster(3)
    commit(nodes, "b")
    nodes.add("d")
    nodes.down.add("b")
    crash(nodes, LAST)
    assert "2 replicas are needed to see what it lost, usable: c;" in str(waits(nodes))


def test_a_newcomer_that_began_to_serve_meanwhile_is_not_passed_over() -> None:
    """It may confirm something from now on: whoever counted it out finds it changed, and looks
    again.
    """
    nodes = cluster(2)
    nodes.add("c")
    crash(nodes)

    def serve() -> None:
        nodes.client("c").execute_command(
            "HSET", nodes.layout.member, "state", "active", "lineage", "2", "era", "1"
        )

    order = BringUpOrder("inc-x", "id-new", Tolerances(), nodes.at, nodes.at + 60)
    with pytest.raises(Unavailable, match="'c' changed meanwhile"):
        nodes.run(interrupted(bring_up(nodes.layout, nodes.first.ids, "a", order), 6, serve))
    assert not nodes.report("a").is_serving
    assert nodes.bring_up("a").activated


def test_no_write_of_the_old_epoch_reaches_a_newcomer() -> None:
    nodes = cluster(2)
    nodes.add("c")
    old = nodes.view().epoch
    crash(nodes)
    nodes.bring_up("a")
    assert [nodes.report(node).epoch > int(old) for node in "abc"] == [True] * 3


def _emptied(nodes: Nodes) -> None:
    nodes.bring_up("c")
    nodes.lose_everything("c")
    begin(nodes, "c")


def _emptied_while_it_was_filled(nodes: Nodes) -> None:
    nodes.lose_everything("c")
    begin(nodes, "c")


def _restarted_while_it_was_filled(nodes: Nodes) -> None:
    nodes.restart("c")


@pytest.mark.parametrize(
    "what", [_emptied, _emptied_while_it_was_filled, _restarted_while_it_was_filled]
)
def test_whoever_may_have_lost_something_is_no_newcomer(what: Callable[[Nodes], None]) -> None:
    nodes = cluster(2)
    nodes.add("c")
    what(nodes)
    assert not nodes.report("c").is_newcomer
    crash(nodes)
    assert "2 replicas are needed" in str(waits(nodes))


# All at once --------------------------------------------------------------------------------------


@pytest.mark.parametrize("copies", [2, 3])
@pytest.mark.parametrize("fault", ["restart", "empty"])
def test_all_restart_while_a_replica_is_brought_up(copies: int, fault: str) -> None:
    """The primary served until then: it is taken at its word, like the others."""
    nodes = cluster(copies)
    (nodes.restart if fault == "restart" else nodes.lose_everything)("b")
    begin(nodes, "b")
    committed = nodes.value(b"committed")
    nodes.write("ac"[: copies - 1], LAST, committed)
    for node in nodes.first.ids:
        nodes.restart(node)
    assert_reinstated_with(nodes, committed)


def test_all_restart_and_the_primary_is_of_an_older_epoch() -> None:
    """What the marks of others say of its log is about another life of it."""
    nodes = cluster(3)
    nodes.restart("b")
    begin(nodes, "b")
    for node in "abc":
        nodes.restart(node)
    nodes.client("a").execute_command(
        "HSET", nodes.layout.member, "lineage", "0", "state", "syncing"
    )
    assert "usable: c;" in str(waits(nodes))


# Too few ------------------------------------------------------------------------------------------


def _restart(nodes: Nodes, node: str) -> str:
    nodes.restart(node)
    return "restarted, and may have lost data"


def _restart_and_begin(nodes: Nodes, node: str) -> str:
    nodes.restart(node)
    begin(nodes, node)
    return "restarted, and may have lost data"


def _empty(nodes: Nodes, node: str) -> str:
    nodes.lose_everything(node)
    return "came back empty"


def _empty_and_begin(nodes: Nodes, node: str) -> str:
    nodes.lose_everything(node)
    begin(nodes, node)
    return "is being filled: it is new, or came back empty"


def _away(nodes: Nodes, node: str) -> str:
    nodes.down.add(node)
    return "down"


FAULTS = [_restart, _restart_and_begin, _empty, _empty_and_begin, _away]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(("copies", "faulty", "needed"), [(3, "b", 2), (5, "bd", 3)])
def test_with_too_few_sound_replicas_it_waits_and_says_what_can_be_done(
    copies: int, faulty: str, needed: int, fault: Callable[[Nodes, str], str]
) -> None:
    nodes = cluster(copies)
    commit(nodes, faulty)
    said = {node: fault(nodes, node) for node in faulty}
    crash(nodes, LAST)
    error = waits(nodes)
    usable = ", ".join(node for node in nodes.first.ids if node not in f"a{faulty}")
    start = (
        f"primary 'a' restarted; {needed} replicas are needed to see what it lost, usable: "
        f"{usable}; "
    )
    assert error.message.startswith(start)
    assert ("reachable again" in error.message) is (fault is _away)
    assert "acknowledged writes too: `redrepl failover --accept-loss --to c`" in error.message
    assert error.evidence == {"a": "restarted", **said}
    assert shown(nodes) == str(error)
    assert shown(nodes, "b") != str(error)


@pytest.mark.parametrize("fault", [_empty, _empty_and_begin, _away])
def test_two_copies_wait_for_the_replica(fault: Callable[[Nodes, str], str]) -> None:
    nodes = cluster(2)
    commit(nodes, "b")
    said = fault(nodes, "b")
    crash(nodes, LAST)
    error = waits(nodes)
    if fault is _empty:
        assert error.message.startswith(
            "no member serves, and to start again from their data all of them are needed; "
        )
        assert error.evidence == {"b": "came back empty"}
    elif fault is _away:
        assert error.message.startswith(
            "no member serves, and to start again from their data all of them are needed; "
        )
        assert "make b reachable again without restarting the server (" in error.message
        assert error.evidence == {"b": said}
    else:
        assert error.message.startswith(
            "primary 'a' restarted; 1 replica is needed to see what it lost, usable: none;"
        )
        assert error.evidence == {"a": "restarted", "b": said}
    assert "`redrepl failover --accept-loss --to a`" in error.message
    assert shown(nodes) == str(error)


def test_a_failover_that_is_refused_says_the_same() -> None:
    nodes = cluster(3)
    crash(nodes)
    nodes.lose_everything("b")
    with pytest.raises(Unavailable, match=r"usable: c; .*`redrepl failover --accept-loss --to c`"):
        nodes.run(fail_over(nodes.layout, nodes.first.ids, FailoverOrder(nodes.at)))


@pytest.mark.parametrize(
    ("copies", "said"), [(2, "redrepl failover --accept-loss --to b"), (3, "redrepl failover")]
)
def test_an_empty_primary_is_told_what_is_possible(copies: int, said: str) -> None:
    nodes = cluster(copies)
    nodes.lose_everything("a")
    with pytest.raises(RedreplError, match=f"came back empty.*`{said}`"):
        nodes.bring_up("a")
    assert "came back empty: writes wait until another node takes over" in (shown(nodes) or "")
    assert f"`{said}`" in status_of(nodes).problems[-1]


def test_a_primary_that_will_be_put_back_to_work_calls_nobody() -> None:
    nodes = cluster(3)
    crash(nodes)
    assert shown(nodes) == "restarted; the workers look what it lost before it serves again"


def shown(nodes: Nodes, node: str = "a") -> str | None:
    """What the status says of a node."""
    return next(found.error for found in status_of(nodes).nodes if found.id == node)


def status_of(nodes: Nodes) -> ClusterStatus:
    """The whole status."""
    return nodes.run(
        cluster_status(nodes.layout, nodes.first.ids, Expectations("quorum", 30.0, 1), nodes.at)
    )


# Changes of members -------------------------------------------------------------------------------


@pytest.mark.parametrize("change", ["add", "remove"])
def test_members_are_not_changed_while_the_primary_is_to_be_looked_at(change: str) -> None:
    """With c gone, b alone would be asked what a lost, and the write was confirmed by c."""
    nodes = cluster(3)
    commit(nodes, "c")
    crash(nodes, LAST)
    nodes.lose_everything("c")
    with pytest.raises(Unavailable, match="members are changed while the primary serves"):
        nodes.remove("c") if change == "remove" else nodes.add("d")
    reports = nodes.run(inspect_nodes(nodes.layout, "abc", nodes.at + 5))
    with pytest.raises(Unavailable, match="2 replicas are needed"):
        find_witnesses(nodes.view(), nodes.report("a"), reports)
