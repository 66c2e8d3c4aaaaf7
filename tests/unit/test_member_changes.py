"""Changing members, each only if it still is as it was seen; and looking at one again."""

from __future__ import annotations

import pytest

from redrepl.plans.epochs.member_changes import (
    MemberChanges,
    change_member,
    change_members,
    check_not_moved_on,
    look_again,
    try_to_change_member,
)
from redrepl.plans.epochs.membership import change_call
from redrepl.plans.steps import Steps
from redrepl.values.errors import Unavailable
from tests.unit.support.in_memory import Nodes

FENCED = {"state": "fenced"}
AS_BY_NOW = "is fenced in epoch 1 by now"


@pytest.fixture
def nodes() -> Nodes:
    """A primary a and replicas b and c."""
    return Nodes(3)


def test_a_member_is_changed_if_it_is_as_it_was_seen(nodes: Nodes) -> None:
    seen, steps = nodes.report("b"), Steps(nodes.at)
    nodes.run(change_member(seen, nodes.layout, FENCED, None, "fencing it", steps))
    assert nodes.report("b").state == "fenced"


def test_whoever_comes_second_is_told_how_it_is_by_now(nodes: Nodes) -> None:
    seen, steps = nodes.report("b"), Steps(nodes.at)
    nodes.run(change_member(seen, nodes.layout, FENCED, None, "fencing it", steps))
    late = {"state": "syncing"}
    with pytest.raises(Unavailable, match="node 'b' changed meanwhile") as error:
        nodes.run(change_member(seen, nodes.layout, late, None, "stopping it", steps))
    assert error.value.evidence == {"b": AS_BY_NOW}
    with pytest.raises(Unavailable, match="changed while it slept"):
        nodes.run(
            change_member(
                seen, nodes.layout, late, None, "stopping it", steps, "changed while it slept"
            )
        )
    assert nodes.run(
        try_to_change_member(seen, nodes.layout, late, None, "stopping it", steps)
    ) == (False, AS_BY_NOW)
    assert nodes.report("b").state == "fenced"


def test_several_are_changed_at_once_as_far_as_they_can_be(nodes: Nodes) -> None:
    calls = {node: change_call(nodes.report(node), nodes.layout, FENCED, None) for node in "abc"}
    nodes.run(change_members({"b": calls["b"]}, Steps(nodes.at)))
    nodes.down.add("c")
    changes = nodes.run(change_members(calls, Steps(nodes.at)))
    assert changes == MemberChanges(["a"], {"b": AS_BY_NOW}, {"c": "down"})
    assert changes.why_not == {"b": AS_BY_NOW, "c": "down"}


def test_a_member_that_is_as_before_is_looked_at_again(nodes: Nodes) -> None:
    seen = nodes.report("b")
    again = nodes.run(look_again(seen, nodes.layout, nodes.view().topology, 1, Steps(nodes.at)))
    assert (again.node, again.run_id) == ("b", seen.run_id)


def test_another_run_of_its_server_is_another_one(nodes: Nodes) -> None:
    seen, known = nodes.report("b"), nodes.view().topology
    nodes.restart("b")
    with pytest.raises(Unavailable, match="node 'b' went away meanwhile") as error:
        nodes.run(look_again(seen, nodes.layout, known, 1, Steps(nodes.at)))
    assert error.value.evidence == {"b": "restarted meanwhile"}
    nodes.down.add("b")
    with pytest.raises(Unavailable, match="went away while it slept") as error:
        nodes.run(
            look_again(seen, nodes.layout, known, 1, Steps(nodes.at), "went away while it slept")
        )
    assert error.value.evidence == {"b": "down"}


def test_one_whose_clock_stepped_is_not_trusted(nodes: Nodes) -> None:
    seen, known = nodes.report("b"), nodes.view().topology
    nodes.clocks_ahead["b"] = 60.0
    with pytest.raises(Unavailable, match="the clock of node 'b' stepped"):
        nodes.run(look_again(seen, nodes.layout, known, 1, Steps(nodes.at)))


def test_one_that_another_process_moved_on_is_left_to_that(nodes: Nodes) -> None:
    seen, known = nodes.report("b"), nodes.view().topology
    check_not_moved_on(seen, 1)
    nodes.run(
        change_member(
            seen, nodes.layout, {"epoch": "2", **FENCED}, None, "fencing it", Steps(nodes.at)
        )
    )
    with pytest.raises(Unavailable, match="node 'b' was moved on meanwhile") as error:
        nodes.run(look_again(seen, nodes.layout, known, 1, Steps(nodes.at)))
    assert error.value.evidence == {"b": "epoch 2, fenced"}
