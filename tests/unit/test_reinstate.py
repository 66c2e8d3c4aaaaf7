"""A primary that restarted: nothing acknowledged is lost, whatever it lost itself."""

from __future__ import annotations

import pytest

from redrepl.plans.epochs.failover import FailoverOrder, fail_over
from redrepl.plans.operations.write import write_one
from redrepl.values.errors import Unavailable
from redrepl.values.receipt import Outcome
from redrepl.values.record import parse_record
from tests.unit.support.by_hand import ByHand, order
from tests.unit.support.in_memory import Nodes


@pytest.fixture
def nodes() -> Nodes:
    """A primary a and replicas b and c, all of which hold one key."""
    cluster = Nodes(3)
    cluster.write("abc", b"key", cluster.value(b"first"))
    for node in "abc":
        cluster.bring_up(node)
    return cluster


def _lose(nodes: Nodes, key: bytes) -> None:
    """The primary crashes and comes back without its last change."""
    nodes.restart("a")
    client = nodes.client("a")
    client.execute_command("DEL", nodes.layout.data(key))
    last = client.execute_command("XREVRANGE", nodes.layout.log, "+", "-", "COUNT", 1)[0][0]
    client.execute_command("XDEL", nodes.layout.log, last)


def test_a_primary_that_lost_nothing_serves_again(nodes: Nodes) -> None:
    before = nodes.contents("a")
    nodes.restart("a")
    assert not nodes.report("a").is_serving
    assert nodes.bring_up("a").activated
    for node in "bca":
        nodes.bring_up(node)
    assert nodes.report("a").is_serving
    assert [nodes.contents(node) for node in "abc"] == [before] * 3


@pytest.mark.parametrize("holder", ["b", "c", "bc"])
def test_a_change_that_the_primary_lost_is_rolled_forward_in_a_new_epoch(
    nodes: Nodes, holder: str
) -> None:
    committed = nodes.value(b"committed")
    nodes.write(f"a{holder}", b"last", committed)
    _lose(nodes, b"last")
    done = nodes.bring_up("a")
    assert (done.activated, done.records) == (True, 1)
    assert nodes.record("a", b"last") == committed
    report = nodes.report("a")
    assert (report.epoch, report.is_serving, report.member["lineage"]) == (2, True, "2")
    for node in "bca":
        nodes.bring_up(node)
    assert [nodes.record(node, b"last") for node in "abc"] == [committed] * 3
    assert [nodes.report(node).epoch for node in "abc"] == [2, 2, 2]
    assert all(nodes.report(node).is_serving for node in "abc")


def test_writes_of_the_old_epoch_come_no_more(nodes: Nodes) -> None:
    nodes.write("ab", b"last", nodes.value(b"committed"))
    late = nodes.view().write_call(b"late", nodes.value(b"late").encode())
    _lose(nodes, b"last")
    nodes.bring_up("a")
    assert [nodes.send(node, late)[0] for node in "abc"] == [b"refused"] * 3
    assert [nodes.record(node, b"late") for node in "abc"] == [None] * 3


@pytest.mark.parametrize("away", ["b", "c"])
def test_with_too_few_witnesses_the_primary_stays_out(nodes: Nodes, away: str) -> None:
    nodes.write(f"a{away}", b"last", nodes.value(b"committed"))
    _lose(nodes, b"last")
    nodes.down.add(away)
    with pytest.raises(Unavailable, match="2 replicas are needed"):
        nodes.bring_up("a")
    assert not nodes.report("a").is_serving
    nodes.down.clear()
    nodes.bring_up("a")
    assert nodes.record("a", b"last") is not None


def test_a_witness_that_restarted_does_not_count(nodes: Nodes) -> None:
    nodes.restart("a")
    nodes.restart("b")
    with pytest.raises(Unavailable, match="usable: c"):
        nodes.bring_up("a")


def test_a_run_that_died_is_taken_up_by_the_next(nodes: Nodes) -> None:
    nodes.write("abc", b"last", nodes.value(b"committed"))
    _lose(nodes, b"last")
    nodes.client("b").execute_command("HSET", nodes.layout.member, "epoch", "2", "state", "fenced")
    nodes.client("b").execute_command("SET", nodes.layout.guard, "2 fenced")
    assert nodes.bring_up("b").notes == [
        "no node to bring it up from: none is active in this epoch"
    ]
    nodes.bring_up("a")
    assert (nodes.report("a").epoch, nodes.report("a").is_serving) == (3, True)
    for node in "bca":
        nodes.bring_up(node)
    assert [nodes.report(node).epoch for node in "abc"] == [3, 3, 3]
    assert [nodes.contents(node) for node in "bc"] == [nodes.contents("a")] * 2


def test_what_a_client_counts_as_committed_is_on_the_primary_after_its_restart(
    nodes: Nodes,
) -> None:
    """The primary's answer came, it lost the write in the crash, and the replica's share of it
    arrives afterwards.
    """
    record = nodes.value(b"committed")
    write = ByHand(write_one(nodes.view(), order(1), "last", b"last", record))
    requests = {request.node: request for request in write.sent}
    write.replies("a", nodes.send("a", requests["a"].command))
    _lose(nodes, b"last")
    nodes.bring_up("a")
    assert nodes.report("a").is_serving
    write.replies("b", nodes.send("b", requests["b"].command))
    if not write.is_done:
        write.times_out()
    stored = nodes.client("a").execute_command("GET", nodes.layout.data(b"last"))
    assert write.result.outcome is not Outcome.COMMITTED or (
        stored is not None and parse_record(stored) == record
    )


def test_a_primary_that_others_went_on_without_is_not_put_back(nodes: Nodes) -> None:
    """What was under way there was told to be of no effect, and was sent again: it must not take
    effect after all.
    """
    former = nodes.view()
    nodes.down.add("a")
    nodes.run(fail_over(nodes.layout, nodes.first.ids, FailoverOrder(nodes.at)))
    nodes.down.clear()
    late = nodes.value(b"stored by the former primary after its epoch")
    assert nodes.send("a", former.write_call(b"key", late.encode())) == 1
    nodes.clocks_ahead["b"] = 2 * 86_400.0
    nodes.bring_up("b")
    assert nodes.report("b").state == "syncing"
    nodes.down.add("c")
    with pytest.raises(Unavailable, match="b in a later one: it is not put back") as caught:
        nodes.bring_up("a")
    assert caught.value.evidence == {"b": "served in epoch 2"}
    nodes.down.clear()
    nodes.clocks_ahead.clear()
    for _ in range(3):
        for node in "bca":
            nodes.bring_up(node)
    assert all(nodes.report(node).is_serving for node in "abc")
    assert [nodes.record(node, b"key") != late for node in "abc"] == [True] * 3


def test_of_two_copies_the_primary_is_not_put_back_while_the_other_is_silent() -> None:
    """It may serve: the failover that fenced this one needed no more than that."""
    nodes = Nodes(2)
    nodes.write("ab", b"key", nodes.value(b"first"))
    for node in "ab":
        nodes.bring_up(node)
    former = nodes.view().topology
    nodes.run(fail_over(nodes.layout, nodes.first.ids, FailoverOrder(nodes.at, "b")))
    # As a failover leaves a member that it fenced and then no longer reached.
    client, member = nodes.client("a"), nodes.layout.member
    client.execute_command("HSET", member, "state", "fenced", "lineage", "1", "era", "1")
    client.execute_command("HSET", nodes.layout.topology, "topology", former.encode())
    assert [(nodes.report(node).epoch, nodes.report(node).state) for node in "ab"] == [
        (2, "fenced"),
        (2, "active"),
    ]
    assert nodes.report("a").topology == former
    nodes.down.add("b")
    with pytest.raises(
        Unavailable, match="1 replica is needed to see that nobody went on without it"
    ):
        nodes.bring_up("a")
    nodes.down.clear()
    for _ in range(2):
        for node in "ba":
            nodes.bring_up(node)
    assert [(nodes.report(node).epoch, nodes.report(node).state) for node in "ab"] == [
        (2, "active"),
        (2, "active"),
    ]


def test_of_two_copies_the_primary_is_put_back_where_the_other_crashed() -> None:
    nodes = Nodes(2)
    nodes.write("ab", b"key", nodes.value(b"first"))
    for node in "ab":
        nodes.bring_up(node)
    nodes.client("a").execute_command("HSET", nodes.layout.member, "epoch", "2", "state", "fenced")
    nodes.restart("b")
    assert nodes.bring_up("a").activated
    assert nodes.report("a").is_serving
