"""A server that was to become a member, where whoever changed the members died before it came
in.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest

from redrepl.plans.epochs.failover import FailoverOrder, fail_over
from redrepl.values.errors import Unavailable
from tests.unit.support.coming_in import add_and_die, change_and_die, with_former_member
from tests.unit.support.in_memory import FRESH, Nodes
from tests.unit.support.interruptions import Died, die


def is_filled(nodes: Nodes, node: str) -> bool:
    return nodes.report(node).is_serving and nodes.contents(node) == nodes.contents("a")


def test_a_former_member_is_taken_in_by_the_workers() -> None:
    nodes = with_former_member()
    assert nodes.bring_up("d").activated
    assert is_filled(nodes, "d")
    assert nodes.report("d").identity == FRESH["d"]
    assert not nodes.report("a").member.get("pending")


def test_so_it_is_after_the_primary_was_confirmed_in_its_role() -> None:
    nodes = with_former_member()
    assert (
        nodes.run(fail_over(nodes.layout, nodes.first.ids, FailoverOrder(nodes.at))).primary == "a"
    )
    assert nodes.bring_up("d").activated


@pytest.mark.parametrize("loses", ["its role", "its memory"])
def test_a_primary_that_others_stood_in_for_enrols_nobody(loses: str) -> None:
    """They may have brought the server up meanwhile, and it may have come back without what it
    confirmed.
    """
    nodes = with_former_member()
    if loses == "its memory":
        nodes.restart("a")
        assert nodes.bring_up("a").activated
    else:
        for to in "ba":
            nodes.run(
                fail_over(nodes.layout, nodes.first.ids, FailoverOrder(nodes.at, to, planned=True))
            )
    assert nodes.view().decider == "a"
    with pytest.raises(Unavailable, match="nodes replace d"):
        nodes.bring_up("d")


def test_a_server_that_serves_somewhere_as_another_member_is_left_alone() -> None:
    nodes = with_former_member()
    nodes.client("d").execute_command("HSET", nodes.layout.member, "node", "c")
    with pytest.raises(Unavailable, match="cannot be brought up"):
        nodes.bring_up("d")


def test_one_that_joins_is_enrolled_as_that() -> None:
    """It has confirmed nothing, and nobody waits for it where the primary restarts before it is
    filled.
    """
    nodes = Nodes(2)
    nodes.start("c")
    add_and_die(nodes, "c", "enrol")
    nodes.meanwhile["absorb"] = die
    nodes.write("ab", b"key", nodes.value(b"v"))
    with contextlib.suppress(Died):
        nodes.bring_up("c")
    assert nodes.report("c").is_newcomer
    nodes.restart("a")
    assert nodes.bring_up("a").activated


def test_one_that_takes_a_place_is_not_taken_for_one_that_joins() -> None:
    """Who had the place before may have confirmed what this one lacks."""
    nodes = Nodes(3)
    old = nodes.view().topology
    nodes.lose_everything("c")
    change_and_die(nodes, old.with_replaced(replace(old.member("c"), identity=FRESH["c"])), "enrol")
    nodes.meanwhile["absorb"] = die
    nodes.write("ab", b"key", nodes.value(b"v"))
    with contextlib.suppress(Died):
        nodes.bring_up("c")
    assert nodes.report("c").identity == FRESH["c"]
    assert not nodes.report("c").is_newcomer
