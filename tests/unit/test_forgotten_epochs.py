"""A member that restarted and forgot that it was moved to a later epoch, which began with it."""

from __future__ import annotations

from redrepl.plans.epochs.failover import FailoverOrder, fail_over
from redrepl.plans.recovery.bring_up import UNDER_WAY
from tests.unit.support.in_memory import Nodes


def forgot_epoch(nodes: Nodes) -> None:
    """b and c made c the primary while a was cut off, and b came back with what it had before that.
    a still serves.
    """
    before = nodes.dump("b")
    nodes.run(
        fail_over(nodes.layout, nodes.first.ids, FailoverOrder(nodes.at, "c", frozenset("a")))
    )
    nodes.write("bc", b"key", nodes.value(b"committed"))
    nodes.restore("b", before)
    assert [nodes.report(node).epoch for node in "abc"] == [1, 1, 2]


def end_the_change(nodes: Nodes) -> None:
    """What a monitor does after a second."""
    assert (
        nodes.run(fail_over(nodes.layout, nodes.first.ids, FailoverOrder(nodes.at))).primary == "c"
    )
    for node in "abab":
        nodes.bring_up(node)
    assert [nodes.report(node).is_serving for node in "abc"] == [True] * 3
    assert [nodes.present(node)[b"key"].payload for node in "abc"] == [b"committed"] * 3


def test_it_does_not_serve_in_the_earlier_epoch_again_as_long_as_others_work_in_the_later_one() -> (
    None
):
    """It would make a majority with the former primary; the failover that comes next gives up what
    they took.
    """
    nodes = Nodes(3)
    forgot_epoch(nodes)
    done = nodes.bring_up("b")
    assert (done.activated, done.notes) == (False, [UNDER_WAY])
    end_the_change(nodes)


def test_nor_where_those_are_heard_while_it_is_filled() -> None:
    nodes = Nodes(3)
    forgot_epoch(nodes)
    nodes.down = {"c"}
    nodes.meanwhile["log_page"] = nodes.down.clear
    done = nodes.bring_up("b")
    assert not done.activated
    assert done.notes[-1] == UNDER_WAY
    assert (nodes.report("b").state, nodes.report("b").epoch) == ("syncing", 1)
    end_the_change(nodes)


def test_it_does_where_nobody_could_end_the_change_without_it() -> None:
    """The one that works in the later epoch has restarted too: no majority of those that lost
    nothing is there.
    """
    nodes = Nodes(3)
    forgot_epoch(nodes)
    nodes.restart("c")
    assert nodes.bring_up("b").activated
    assert nodes.report("b").epoch == 1
