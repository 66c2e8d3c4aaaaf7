"""Workers beside a primary that restarted, while somebody else is replacing it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from redrepl.plans.epochs.membership import Tolerances, change_call
from redrepl.plans.epochs.under_way import UNFINISHED_SECONDS
from redrepl.plans.recovery.bring_up import UNDER_WAY, BringUpOrder, BroughtUp, bring_up
from redrepl.values.errors import Unavailable
from tests.unit.support.in_memory import Nodes
from tests.unit.support.interruptions import interrupted_once

SECOND_LOOK = 3
"""Of the questions that a worker asks; each look begins with one at the clock."""


@pytest.fixture
def nodes() -> Nodes:
    """A primary a that restarted, and replicas b and c."""
    cluster = Nodes(3)
    cluster.write("abc", b"key", cluster.value(b"first"))
    for node in "abc":
        cluster.bring_up(node)
    cluster.restart("a")
    return cluster


def fence(nodes: Nodes, members: str) -> None:
    """As somebody does who replaces the primary."""
    for node in members:
        fields = {"epoch": str(nodes.report(node).epoch + 1), "state": "fenced"}
        assert nodes.send(node, change_call(nodes.report(node), nodes.layout, fields, None)) == 1


def look_after_primary(
    nodes: Nodes, fails_over: bool, is_so: Callable[[], bool], action: Callable[[], None]
) -> BroughtUp:
    """A worker's job, with something happening when this is so."""
    order = BringUpOrder(
        "inc-new", "id-new", Tolerances(), nodes.at, nodes.at + 60.0, False, fails_over
    )
    return nodes.run(
        interrupted_once(bring_up(nodes.layout, nodes.first.ids, "a", order), is_so, action)
    )


@pytest.mark.parametrize("fails_over", [True, False])
def test_a_change_of_epoch_that_goes_on_is_left_to_whoever_is_at_work(
    nodes: Nodes, fails_over: bool
) -> None:
    fence(nodes, "bc")
    began = nodes.at

    def is_waited_for() -> bool:
        return nodes.at >= began + UNFINISHED_SECONDS and nodes.report("c").epoch == 2

    done = look_after_primary(nodes, fails_over, is_waited_for, lambda: fence(nodes, "c"))
    assert (done.notes, done.activated) == ([UNDER_WAY], False)
    assert [(nodes.report(node).epoch, nodes.report(node).state) for node in "bc"] == [
        (2, "fenced"),
        (3, "fenced"),
    ]


@pytest.mark.parametrize("fails_over", [True, False])
def test_a_change_of_epoch_that_was_left_is_ended(nodes: Nodes, fails_over: bool) -> None:
    fence(nodes, "bc")
    look_after_primary(nodes, fails_over, lambda: False, lambda: None)
    assert nodes.view().topology.epoch == 3
    assert nodes.view().decider == ("b" if fails_over else "a")


def test_who_began_after_the_worker_had_looked_is_left_alone(nodes: Nodes) -> None:
    """The worker's own failover looks again, and would fence in one epoch more."""
    looks: list[float] = []

    def is_second_look() -> bool:
        looks.append(nodes.at)
        return len(looks) == SECOND_LOOK

    with pytest.raises(Unavailable, match="somebody else moved the cluster"):
        look_after_primary(nodes, True, is_second_look, lambda: fence(nodes, "bc"))
    assert [nodes.report(node).epoch for node in "bc"] == [2, 2]
