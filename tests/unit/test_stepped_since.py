"""A clock that steps ahead after its node was looked at: what the node lacks since may be what it
dropped by that.
"""

from __future__ import annotations

import pytest

from redrepl.plans.copies.catch_up import ship_log
from redrepl.plans.copies.undecided import settle
from redrepl.plans.epochs.accept_loss import Fresh, accept_loss
from redrepl.plans.epochs.failover import FailoverOrder, fail_over
from redrepl.plans.steps import Steps
from redrepl.values.errors import Unavailable
from redrepl.values.report import LOG_START, Mark, NodeReport, Position
from tests.unit.support.in_memory import FRESH, MAX_AGE_SECONDS, Nodes

TWO_DAYS = 172_800.0
KEY = b"key"


@pytest.fixture
def nodes() -> Nodes:
    """Three copies; a is the primary. Its log names a record that b has and a no longer."""
    made = Nodes(3)
    record = made.value(b"decided", seconds_ago=3 * MAX_AGE_SECONDS)
    for node in "ab":
        made.put(node, KEY, record)
    made.client("a").execute_command("DEL", made.layout.data(KEY))
    return made


def _looked_at_before_the_step(nodes: Nodes) -> NodeReport:
    nodes.clocks_ahead["a"] = -TWO_DAYS
    report = nodes.report("a")
    nodes.clocks_ahead.clear()
    return report


def test_what_the_primary_may_have_dropped_is_not_decided_as_deleted(nodes: Nodes) -> None:
    primary = _looked_at_before_the_step(nodes)
    held = nodes.record("b", KEY)
    assert held is not None
    undecided = {nodes.layout.data(KEY): held.stamp}
    with pytest.raises(Unavailable, match="stepped"):
        nodes.run(settle(nodes.view(), primary, nodes.report("b"), undecided, Steps(nodes.at)))
    assert (nodes.record("a", KEY), nodes.record("b", KEY)) == (None, held)
    nodes.run(
        settle(nodes.view(), nodes.report("a"), nodes.report("b"), undecided, Steps(nodes.at))
    )
    assert nodes.record("b", KEY) != held, "with a steady clock the primary decides"


def test_what_a_replica_may_only_be_hiding_is_not_passed_over(nodes: Nodes) -> None:
    """A value that is past its deadline by a clock that is ahead is there again when that clock is
    right.
    """
    primary = nodes.report("a")
    nodes.clocks_ahead["b"] = -TWO_DAYS
    replica = nodes.report("b")
    nodes.clocks_ahead.clear()
    undecided = {nodes.layout.data(b"hidden"): nodes.value(b"of the replica alone").stamp}
    with pytest.raises(Unavailable, match="the clock of node 'b' stepped"):
        nodes.run(settle(nodes.view(), primary, replica, undecided, Steps(nodes.at)))
    settled = nodes.run(
        settle(nodes.view(), primary, nodes.report("b"), undecided, Steps(nodes.at))
    )
    assert settled == ({}, 0), "with a steady clock it has expired"


def test_what_the_source_may_have_dropped_is_not_copied_as_deleted(nodes: Nodes) -> None:
    start = Mark(nodes.report("a").incarnation, Position(LOG_START, 0))
    source = _looked_at_before_the_step(nodes)
    with pytest.raises(Unavailable, match="stepped"):
        nodes.run(ship_log(nodes.view(), source, "c", start, Steps(nodes.at), float("inf")))
    assert nodes.record("c", KEY) is None
    nodes.run(ship_log(nodes.view(), nodes.report("a"), "c", start, Steps(nodes.at), float("inf")))
    assert nodes.record("c", KEY) is not None, "with a steady clock it has expired"


@pytest.mark.parametrize("script", ["change_member", "log_page"])
def test_a_member_whose_clock_stepped_in_the_midst_of_a_failover_is_no_yardstick(
    nodes: Nodes, script: str
) -> None:
    # The first look at it was compared with the others' clocks; the second one, after the step, is
    # not.
    held = nodes.record("b", KEY)
    nodes.meanwhile[script] = lambda: nodes.clocks_ahead.update(a=TWO_DAYS)
    with pytest.raises(Unavailable, match="stepped"):
        nodes.run(fail_over(nodes.layout, nodes.first.ids, FailoverOrder(nodes.at, "a")))
    assert nodes.record("b", KEY) == held


def test_a_restarted_primary_whose_clock_stepped_while_it_was_taken_back_is_not_admitted(
    nodes: Nodes,
) -> None:
    nodes.restart("a")
    nodes.meanwhile["change_member"] = lambda: nodes.clocks_ahead.update(b=TWO_DAYS)
    with pytest.raises(Unavailable, match="stepped"):
        nodes.bring_up("a")
    nodes.clocks_ahead.clear()
    nodes.bring_up("a")
    assert nodes.report("a").is_serving


def test_a_replica_whose_clock_stepped_while_it_was_set_to_syncing_is_looked_at_anew(
    nodes: Nodes,
) -> None:
    nodes.restart("b")
    nodes.meanwhile["change_member"] = lambda: nodes.clocks_ahead.update(b=TWO_DAYS)
    with pytest.raises(Unavailable, match="stepped"):
        nodes.bring_up("b")


def test_a_truth_whose_clock_stepped_after_the_operator_was_told_what_it_has_is_looked_at_again(
    nodes: Nodes,
) -> None:
    for node in "bc":
        nodes.restart(node)
    order, fresh = FailoverOrder(nodes.at, "a"), Fresh("inc-new", FRESH)
    nodes.meanwhile["change_member"] = lambda: nodes.clocks_ahead.update(a=TWO_DAYS)
    with pytest.raises(Unavailable, match="stepped"):
        nodes.run(accept_loss(nodes.layout, nodes.first.ids, order, fresh))
    assert not nodes.report("a").is_serving
    nodes.clocks_ahead.clear()
    assert nodes.run(accept_loss(nodes.layout, nodes.first.ids, order, fresh)).primary == "a"
