"""A log that ends before what others have of it tells of lost memory; one that was only read too early does not."""

from __future__ import annotations

import pytest

from redrepl.plans.copies.bring_up import BringUpOrder, bring_up
from redrepl.plans.epochs.failover import FailoverOrder, fail_over
from redrepl.plans.epochs.forgetful import forgetful_members, set_forgetful_aside
from redrepl.plans.epochs.membership import Tolerances
from redrepl.plans.inspect import inspect_nodes
from redrepl.plans.steps import Steps
from redrepl.values.effects import PlainCommand
from redrepl.values.report import NodeReport
from tests.unit.support.in_memory import Nodes


def cluster() -> Nodes:
    """Three members that have each other's logs as far as they go."""
    nodes = Nodes(3)
    for number in range(5):
        nodes.write("abc", b"key-%d" % number, nodes.value(b"v"))
    settle(nodes)
    return nodes


def settle(nodes: Nodes) -> None:
    for node in "abc":
        order = BringUpOrder(f"inc-{node}-next", "id-new", Tolerances(), nodes.at, nodes.at + 60)
        nodes.run(bring_up(nodes.layout, nodes.first.ids, node, order))


def look(nodes: Nodes) -> dict[str, NodeReport | str]:
    return nodes.run(inspect_nodes(nodes.layout, nodes.first.ids, nodes.at + 5))


def stopped(nodes: Nodes, reports: dict[str, NodeReport | str]) -> dict[str, str]:
    return nodes.run(set_forgetful_aside(nodes.layout, nodes.view().topology, reports, Steps(nodes.at)))


def test_whoever_has_all_of_its_log_is_left_alone() -> None:
    nodes = cluster()
    assert stopped(nodes, look(nodes)) == {}


def test_a_member_whose_log_is_gone_serves_nothing_and_counts_as_restarted() -> None:
    nodes = cluster()
    nodes.send("b", PlainCommand((b"DEL", nodes.layout.log, nodes.layout.cursors)))
    assert set(stopped(nodes, look(nodes))) == {"b"}
    report = nodes.report("b")
    assert (report.is_serving, report.has_restarted, report.state) == (False, True, "syncing")
    settle(nodes)
    assert nodes.report("b").is_serving
    assert stopped(nodes, look(nodes)) == {}, "it has a log of a new incarnation"


@pytest.mark.parametrize("node", ["a", "b"])
def test_a_mark_that_was_moved_beyond_what_was_forgotten_counts_for_nothing(node: str) -> None:
    """A worker was catching it up when its memory went back, and goes on where it was."""
    nodes = cluster()
    lost = (nodes.layout.data(b"key-1"), nodes.layout.data(b"key-3"))
    nodes.send(node, PlainCommand((b"DEL", nodes.layout.log, nodes.layout.cursors, *lost)))
    assert nodes.report(node).marks, "as if all were here"
    assert set(stopped(nodes, look(nodes))) == {node}
    settle(nodes)
    assert nodes.report(node).is_serving
    assert nodes.contents(node) == nodes.contents("c")


def test_a_member_that_was_asked_before_the_others_is_asked_once_more() -> None:
    """What is written, and shipped, between the answers of one look is no loss."""
    nodes = cluster()
    early = look(nodes)
    nodes.write("abc", b"later", nodes.value(b"v"))
    settle(nodes)
    mixed = {**look(nodes), "a": early["a"]}
    assert set(forgetful_members(nodes.view().topology, mixed)) == {"a"}
    assert stopped(nodes, mixed) == {}
    assert nodes.report("a").is_serving


def test_a_member_whose_log_was_begun_anew_and_is_empty_is_left_alone() -> None:
    """Others note of it that they have all, a place behind its beginning: nothing was ever there."""
    nodes = cluster()
    nodes.send("b", PlainCommand((b"DEL", nodes.layout.log)))
    settle(nodes)
    order = BringUpOrder("inc-next", "id-new", Tolerances(), nodes.at, nodes.at + 60)
    nodes.run(fail_over(nodes.layout, nodes.first.ids, FailoverOrder(nodes.at, "c", planned=True)))
    nodes.run(bring_up(nodes.layout, nodes.first.ids, "c", order))
    assert nodes.report("b").log.length == 0
    assert stopped(nodes, look(nodes)) == {}
    assert nodes.report("b").is_serving


def test_one_that_forgot_a_later_epoch_does_not_outvote_its_primary() -> None:
    """c took over with b; then b came back with what it was before, and was admitted by a, which was left behind."""
    nodes = Nodes(3)
    nodes.write("abc", b"key", nodes.value(b"before"))
    before = nodes.dump("b")
    nodes.down = {"a"}
    nodes.run(fail_over(nodes.layout, nodes.first.ids, FailoverOrder(nodes.at, "c", frozenset("a"))))
    committed = nodes.value(b"committed")
    nodes.write("bc", b"key", committed)
    nodes.restore("b", before)
    nodes.down = {"c"}
    while not nodes.bring_up("b").activated:
        pass
    nodes.down = set()
    reports = nodes.run(inspect_nodes(nodes.layout, nodes.first.ids, nodes.at + 5))
    assert isinstance(reports["c"], NodeReport), reports["c"]
    assert nodes.run(fail_over(nodes.layout, nodes.first.ids, FailoverOrder(nodes.at))).primary == "c"
    for node in "abc" * 2:
        nodes.bring_up(node)
    assert [nodes.record(node, b"key") for node in "abc"] == [committed] * 3


@pytest.mark.parametrize("silent", ["", "c"])
def test_one_that_restarted_counts_again_where_enough_others_show_that_nothing_has_begun(silent: str) -> None:
    nodes = Nodes(3)
    nodes.restart("b")
    nodes.down = set(silent)
    while not nodes.bring_up("b").activated:
        pass
    assert nodes.report("b").has_returned == bool(silent)
    nodes.down = set()
    nodes.restart("b")
    while not nodes.bring_up("b").activated:
        pass
    assert not nodes.report("b").has_returned
