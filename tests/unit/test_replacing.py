"""Another server in a member's place: the one that had it counts no more for anybody, wherever the
change dies.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace

import pytest

from redrepl.plans.epochs.accept_loss import Fresh, accept_loss
from redrepl.plans.epochs.change_members import change_topology
from redrepl.plans.epochs.failover import FailoverOrder, fail_over
from redrepl.plans.epochs.membership import Tolerances
from redrepl.plans.recovery.bring_up import BringUpOrder, BroughtUp, bring_up
from redrepl.values.effects import Plan
from redrepl.values.errors import RedreplError, Unavailable
from redrepl.values.topology import Topology
from tests.unit.support.in_memory import FRESH, Nodes
from tests.unit.support.interruptions import Died, die, interrupted

NEW = "c (new)"
ELSEWHERE = "new"
"""The same server, by a name that a url can have."""

REACHED = {node: f"redis://{node}:6379/0" for node in "abc"}
"""By which urls the members are reached in the tests below."""


def replacing(
    nodes: Nodes, old: Topology, node: str = "c", newcomer: str = NEW
) -> Plan[dict[str, str]]:
    nodes.start(newcomer)
    changed = old.with_replaced(
        replace(old.member(node), identity=FRESH[node], url=f"redis://{newcomer}")
    )
    return change_topology(old, changed, Tolerances(), "inc-new", nodes.at, newcomer=newcomer)


def test_a_server_takes_a_members_place_in_a_new_epoch() -> None:
    nodes = Nodes(3)
    old = nodes.view().topology
    done = nodes.run(replacing(nodes, old))
    assert "the former server was taken out" in done["c"]
    assert nodes.report("c").member == {}
    taken = nodes.client(NEW).execute_command(
        "HMGET", nodes.layout.member, "node", "identity", "state", "epoch"
    )
    assert taken == [b"c", FRESH["c"].encode(), b"syncing", b"2"]
    assert not nodes.client(NEW).execute_command("HEXISTS", nodes.layout.member, "joined")


def test_the_server_that_is_replaced_is_not_counted() -> None:
    """b is away, and c, which is to go, makes no majority with a: whoever fences b and c could go
    on without a.
    """
    nodes = Nodes(3)
    old = nodes.view().topology
    plan = replacing(nodes, old)
    nodes.down = {"b"}
    with pytest.raises(Unavailable, match="2 of the present 3 must be there; usable: a;"):
        nodes.run(plan)


def test_who_knows_only_the_members_before_does_not_count_the_one_that_is_replaced() -> None:
    """The change died before the primary served; b was moved, and the old c is there with all it
    ever had.
    """
    nodes = Nodes(3)
    old = nodes.view().topology
    plan = replacing(nodes, old)
    nodes.down = {"c"}
    with contextlib.suppress(Died):
        nodes.run(interrupted(plan, 4, die))
    nodes.down = {"a"}
    assert (nodes.report("b").state, nodes.report("b").epoch) == ("fenced", 2)
    with pytest.raises(Unavailable, match="2 of 3 members must take part"):
        nodes.run(
            fail_over(nodes.layout, nodes.first.ids, FailoverOrder(nodes.at, "b", frozenset("a")))
        )
    nodes.down = set()
    assert (
        nodes.run(fail_over(nodes.layout, nodes.first.ids, FailoverOrder(nodes.at))).primary == "a"
    )
    assert nodes.view().topology.identities == old.identities, (
        "with the members there were, it ends"
    )


def say_that_c_is_replaced(nodes: Nodes) -> None:
    """What stands on b after a change of members has moved it."""
    note = f"2 c {nodes.first.identities['c']}"
    fields = ("epoch", "2", "state", "fenced", "voided", note)
    nodes.client("b").execute_command("HSET", nodes.layout.member, *fields)
    nodes.client("b").execute_command("SET", nodes.layout.guard, "2 fenced")


def test_while_the_primary_serves_nobody_can_say_that_another_one_is_replaced() -> None:
    """A change of members moves the primary first.

    Else b alone kept a and c from ending what they find on it.
    """
    nodes = Nodes(3)
    say_that_c_is_replaced(nodes)
    nodes.client("b").execute_command("HSET", nodes.layout.member, "run_id", "another")
    assert (
        nodes.run(fail_over(nodes.layout, nodes.first.ids, FailoverOrder(nodes.at))).primary == "a"
    )


def test_a_change_that_begins_after_the_look_is_noticed_by_what_it_left() -> None:
    """The primary was seen before it was moved, and b after that: b and the old c would be a
    majority without it.
    """
    nodes = Nodes(3)
    old = nodes.view().topology
    say_that_c_is_replaced(nodes)

    def move_the_primary() -> None:
        fields = ("epoch", "2", "state", "active", "lineage", "2")
        nodes.client("a").execute_command("HSET", nodes.layout.member, *fields)
        nodes.client("a").execute_command("SET", nodes.layout.guard, "2 active")

    plan = fail_over(nodes.layout, nodes.first.ids, FailoverOrder(nodes.at))
    with pytest.raises(Unavailable, match="somebody else changed the members meanwhile"):
        nodes.run(interrupted(plan, 2, move_the_primary))
    assert nodes.view().topology == old


@pytest.mark.parametrize("question", range(2, 12))
def test_wherever_it_dies_nobody_takes_over_with_the_old_server_while_the_primary_serves(
    question: int,
) -> None:
    nodes = Nodes(3)
    old = nodes.view().topology
    plan = replacing(nodes, old)
    nodes.down = {"c"}
    with contextlib.suppress(Died):
        nodes.run(interrupted(plan, question, die))
    serves = nodes.report("a").is_serving and nodes.report("a").epoch > old.epoch
    nodes.down = {"a", NEW}
    with contextlib.suppress(RedreplError):
        nodes.run(
            fail_over(nodes.layout, nodes.first.ids, FailoverOrder(nodes.at, None, frozenset("a")))
        )
        assert not serves, "two primaries"


@pytest.mark.parametrize("topology", ["its own", "damaged"])
def test_a_server_that_comes_back_with_what_it_was_before_it_was_replaced_in_its_place_is_filled(
    topology: str,
) -> None:
    nodes = Nodes(3)
    nodes.write("abc", b"key", nodes.value(b"before"))
    old = nodes.dump("b")
    nodes.lose_everything("b")
    while not nodes.bring_up("b").activated:
        pass
    nodes.write("abc", b"key", nodes.value(b"after"))
    nodes.restore("b", old)
    if topology == "damaged":
        nodes.client("b").execute_command("HSET", nodes.layout.topology, "topology", "{")
    assert nodes.report("b").identity != nodes.view().topology.member("b").identity
    while not nodes.bring_up("b").activated:
        pass
    assert nodes.report("b").is_serving
    assert nodes.contents("b") == nodes.contents("a")


def test_a_server_that_was_replaced_and_goes_on_at_the_members_address_is_left_alone() -> None:
    nodes = Nodes(3)
    old = nodes.dump("b")
    run = nodes.report("b").run_id
    nodes.lose_everything("b")
    while not nodes.bring_up("b").activated:
        pass
    nodes.restore("b", old)
    nodes.client("b").execute_command(
        "HSET", nodes.layout.member, "run_id", nodes.report("b").run_id
    )
    assert nodes.report("b").run_id != run
    with pytest.raises(Unavailable, match="enrolled as 'b' before or elsewhere"):
        nodes.bring_up("b")


def bring_up_c(nodes: Nodes, reached: dict[str, str]) -> BroughtUp:
    order = BringUpOrder(
        "inc-late", "id-late", Tolerances(), nodes.at, nodes.at + 60, reached=reached
    )
    return nodes.run(bring_up(nodes.layout, nodes.first.ids, "c", order))


@pytest.mark.parametrize("comes_back", [Nodes.restart, Nodes.lose_everything])
def test_a_former_server_gets_no_place_by_a_worker_that_still_asks_at_its_address(
    comes_back: Callable[[Nodes, str], None],
) -> None:
    """The worker's look was told of the members before, and the look of its job of those since.

    The place is at the new address: given to the server at the former one, it would lead to another
    server than the member.
    """
    nodes = Nodes(3)
    nodes.run(replacing(nodes, nodes.view().topology, newcomer=ELSEWHERE))
    comes_back(nodes, "c")
    before = nodes.dump("c")
    with pytest.raises(
        Unavailable, match="c: is at redis://new, and was asked at redis://c:6379/0"
    ):
        bring_up_c(nodes, REACHED)
    assert nodes.dump("c").keys() == before.keys()
    assert {node: nodes.report(node).epoch for node in "abc"} == {"a": 2, "b": 2, "c": 0}


def test_a_former_server_that_restarted_keeps_its_bookkeeping_where_the_member_is_elsewhere() -> (
    None
):
    """It may be needed: nobody at the member's address was looked at."""
    nodes = Nodes(3)
    plan = replacing(nodes, nodes.view().topology, newcomer=ELSEWHERE)
    nodes.down = {"c"}
    nodes.run(plan)
    nodes.down = set()
    nodes.restart("c")
    with pytest.raises(
        Unavailable, match="c: is at redis://new, and was asked at redis://c:6379/0"
    ):
        bring_up_c(nodes, REACHED)
    assert (nodes.report("c").epoch, nodes.report("c").state) == (1, "active")
    assert nodes.report("a").epoch == 2


def test_a_member_is_brought_up_where_it_is_asked_at_its_address() -> None:
    """However the url is written: what a program's file has may name a login and options."""
    nodes = Nodes(3)
    nodes.lose_everything("c")
    assert bring_up_c(nodes, REACHED | {"c": "redis://user:secret@c:6379/0"}).activated


def test_an_accepted_loss_gives_no_place_to_an_empty_server_at_a_former_address() -> None:
    """c was replaced, and its former server is empty. a and b restarted, so that only an operator
    can go on.
    """
    nodes = Nodes(3)
    nodes.run(replacing(nodes, nodes.view().topology, newcomer=ELSEWHERE))
    for node in "ab":
        nodes.restart(node)
    fresh = Fresh("inc-new", FRESH, reached=REACHED)
    with pytest.raises(
        Unavailable, match="c: is at redis://new, and was asked at redis://c:6379/0"
    ):
        nodes.run(accept_loss(nodes.layout, nodes.first.ids, FailoverOrder(nodes.at, "a"), fresh))
    assert (nodes.report("c").member, nodes.report("a").epoch) == ({}, 2)
