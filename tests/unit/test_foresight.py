"""What a failover would do and could lose, told before it happens, and held against what it
does.
"""

from __future__ import annotations

import pytest

from redrepl.plans.epochs.accept_loss import Fresh, accept_loss
from redrepl.plans.epochs.failover import FailoverOrder, fail_over
from redrepl.plans.epochs.foresight import Foreseen, foresee, foresee_loss
from redrepl.plans.epochs.soundness import SKIPPED_EPOCHS
from redrepl.plans.inspect import inspect_nodes
from redrepl.values.errors import RequestError, Unavailable
from redrepl.values.reports import Reports
from tests.unit.support.in_memory import FRESH, Nodes


@pytest.fixture
def nodes() -> Nodes:
    """A primary a and replicas b and c, all of which have noted a's log to its end; then two more
    writes on a alone.
    """
    cluster = Nodes(3)
    cluster.write("abc", b"key", cluster.value(b"first"))
    for node in "abc":
        cluster.bring_up(node)
    for key in (b"x", b"y"):
        cluster.write("a", key, cluster.value(b"on a alone"))
    return cluster


def look(nodes: Nodes) -> Reports:
    return nodes.run(inspect_nodes(nodes.layout, nodes.first.ids, nodes.at + 5))


def foreseen(nodes: Nodes, to: str | None = None, with_loss: bool = False) -> Foreseen:
    order = FailoverOrder(nodes.at, to)
    return (foresee_loss if with_loss else foresee)(nodes.view().topology, look(nodes), order)


@pytest.mark.parametrize("fault", ["none", "away", "restarted", "empty"])
@pytest.mark.parametrize("to", [None, "b", "c"])
def test_it_comes_as_foreseen(nodes: Nodes, fault: str, to: str | None) -> None:
    if fault == "away":
        nodes.down.add("a")
    elif fault == "restarted":
        nodes.restart("a")
    elif fault == "empty":
        nodes.lose_everything("a")
    told = foreseen(nodes, to)
    done = nodes.run(fail_over(nodes.layout, nodes.first.ids, FailoverOrder(nodes.at, to)))
    assert (told.epoch, told.primary, told.previous) == (done.epoch, done.primary, done.previous)
    assert told.left == done.left


def test_a_primary_that_takes_part_loses_nothing(nodes: Nodes) -> None:
    loss = foreseen(nodes, "b").loss
    assert loss.changes == 0
    assert "redrepl switchover" in loss.text


def test_what_a_primary_that_is_away_had_alone_cannot_be_counted(nodes: Nodes) -> None:
    nodes.down.add("a")
    loss = foreseen(nodes).loss
    assert loss.changes is None
    assert "primary 'a' takes no part (down)" in loss.text
    assert "not known" in loss.text


def test_what_a_primary_that_restarted_still_has_is_counted(nodes: Nodes) -> None:
    nodes.restart("a")
    assert foreseen(nodes, "b").loss.changes == 2
    assert "restarted" in foreseen(nodes, "b").loss.text


def test_an_empty_primary_has_nothing_to_count(nodes: Nodes) -> None:
    nodes.lose_everything("a")
    assert foreseen(nodes).loss.changes is None
    assert "its log cannot be compared" in foreseen(nodes).loss.text


def test_a_log_that_was_cut_or_lost_its_end_does_not_compare(nodes: Nodes) -> None:
    nodes.restart("a")
    last = nodes.report("a").log.last_id
    nodes.client("a").execute_command("HSET", nodes.layout.member, "log_floor", last)
    assert foreseen(nodes).loss.changes is None


def test_a_failover_that_cannot_be_is_not_foreseen(nodes: Nodes) -> None:
    with pytest.raises(RequestError, match="is no member"):
        foreseen(nodes, "x")
    for node in "ab":
        nodes.lose_everything(node)
    with pytest.raises(Unavailable, match="2 of 3 members must take part"):
        foreseen(nodes)


@pytest.mark.parametrize("fault", ["away", "restarted", "empty"])
def test_a_loss_comes_as_foreseen(nodes: Nodes, fault: str) -> None:
    for node in "ab":
        if fault == "away":
            nodes.down.add(node)
        elif fault == "restarted":
            nodes.restart(node)
        else:
            nodes.lose_everything(node)
    told = foreseen(nodes, "c", with_loss=True)
    done = nodes.run(
        accept_loss(
            nodes.layout, nodes.first.ids, FailoverOrder(nodes.at, "c"), Fresh("inc-new", FRESH)
        )
    )
    assert (told.epoch, told.primary, told.previous) == (done.epoch, done.primary, done.previous)
    assert told.left == done.left
    assert told.epoch == 1 + SKIPPED_EPOCHS


def test_an_accepted_loss_is_told_node_by_node(nodes: Nodes) -> None:
    nodes.restart("a")
    nodes.lose_everything("b")
    loss = foreseen(nodes, "c", with_loss=True).loss
    assert loss.changes is None
    assert loss.text.splitlines() == [
        "everything that 'c' does not have is given up, acknowledged writes too",
        "a: restarted: up to 2 changes of its log go to its discarded log",
        "b: came back empty: nothing is left to compare",
    ]


def test_an_accepted_loss_is_counted_where_all_logs_compare(nodes: Nodes) -> None:
    for node in "ab":
        nodes.restart(node)
    nodes.client("b").execute_command("DEL", nodes.layout.log)
    assert foreseen(nodes, "c", with_loss=True).loss.changes == 2


def test_a_flaw_of_the_truth_itself_is_told(nodes: Nodes) -> None:
    for node in "abc":
        nodes.restart(node)
    loss = foreseen(nodes, "c", with_loss=True).loss
    assert loss.changes is None
    assert "c itself restarted: what it lost is not known" in loss.text
    nodes.client("c").execute_command(
        "HSET", nodes.layout.member, "lineage", "0", "state", "syncing"
    )
    assert "c itself never served" in foreseen(nodes, "c", with_loss=True).loss.text
