"""Going on with a loss, on nodes in memory: one member becomes the truth, and all others come to
its state.
"""

from __future__ import annotations

import pytest

from redrepl.plans.epochs.accept_loss import Fresh, accept_loss
from redrepl.plans.epochs.failover import FailedOver, FailoverOrder, fail_over
from redrepl.plans.epochs.soundness import SKIPPED_EPOCHS
from redrepl.values.errors import RequestError, Unavailable
from tests.unit.support.in_memory import FRESH, Nodes

EPOCH = 1 + SKIPPED_EPOCHS


@pytest.fixture
def nodes() -> Nodes:
    """A primary a and replicas b and c, which hold a key; a write after that is on a and b
    alone.
    """
    cluster = Nodes(3)
    cluster.write("abc", b"key", cluster.value(b"first"))
    settle(cluster)
    cluster.write("ab", b"key", cluster.value(b"second"))
    cluster.write("ab", b"other", cluster.value(b"second"))
    return cluster


def settle(nodes: Nodes) -> None:
    for _ in range(3):
        for node in nodes.first.ids:
            if node not in nodes.down:
                nodes.bring_up(node)


def take(nodes: Nodes, to: str | None) -> FailedOver:
    order = FailoverOrder(nodes.at, to, frozenset(nodes.down))
    return nodes.run(accept_loss(nodes.layout, nodes.first.ids, order, Fresh("inc-new", FRESH)))


def assert_alike(nodes: Nodes, **payloads: bytes) -> None:
    """All nodes serve in one epoch and hold exactly these values."""
    assert {node: nodes.report(node).is_serving for node in "abc"} == dict.fromkeys("abc", True)
    assert len({nodes.report(node).epoch for node in "abc"}) == 1
    first = nodes.contents("a")
    assert [nodes.contents(node) for node in "bc"] == [first] * 2
    assert {
        key.decode(): record.payload for key, record in first.items() if record.kind == b"v"
    } == payloads


def discarded(nodes: Nodes, node: str) -> set[bytes]:
    kept = nodes.client(node).execute_command("XRANGE", nodes.layout.discarded, "-", "+")
    return {nodes.layout.user_key(fields[1]) for _, fields in kept}


def test_a_replica_that_lagged_becomes_the_truth_for_two_that_came_back_empty(nodes: Nodes) -> None:
    for node in "ab":
        nodes.lose_everything(node)
    done = take(nodes, "c")
    assert (done.epoch, done.primary, done.previous, done.active) == (EPOCH, "c", "a", ("c",))
    assert done.left == dict.fromkeys("ab", "came back empty")
    assert nodes.report("c").is_serving
    nodes.write("c", b"after", nodes.value(b"third"))
    settle(nodes)
    assert_alike(nodes, key=b"first", after=b"third")


@pytest.mark.parametrize("loss", ["away", "restart"])
def test_what_the_others_had_more_goes_to_their_discarded_logs(nodes: Nodes, loss: str) -> None:
    for node in "ab":
        if loss == "away":
            nodes.down.add(node)
        else:
            nodes.restart(node)
    take(nodes, "c")
    nodes.down.clear()
    settle(nodes)
    assert_alike(nodes, key=b"first")
    assert discarded(nodes, "a") == discarded(nodes, "b") == {b"key", b"other"}


@pytest.mark.parametrize("truth", ["a", "b", "c"])
def test_a_truth_that_restarted_itself_begins_another_life_of_its_log(
    nodes: Nodes, truth: str
) -> None:
    before = nodes.contents(truth)
    for node in "abc":
        nodes.restart(node)
    nodes.down = set("abc") - {truth}
    old = nodes.report(truth)
    take(nodes, truth)
    member = nodes.report(truth).member
    assert nodes.report(truth).is_serving
    assert (member["incarnation"], member["previous_incarnation"]) == ("inc-new", old.incarnation)
    assert member["previous_end"] == old.log.last_id
    nodes.down.clear()
    settle(nodes)
    assert_alike(nodes, **{key.decode(): record.payload for key, record in before.items()})


def test_a_truth_with_older_data_is_not_passed_over_by_what_was_noted_of_its_old_log(
    nodes: Nodes,
) -> None:
    """The others have noted more of its log than there is; they must still get its state, and what
    comes after.
    """
    settle(nodes)
    nodes.client("c").execute_command(
        "SET", nodes.layout.data(b"other"), nodes.value(b"older", 9).encode()
    )
    nodes.client("c").execute_command("DEL", nodes.layout.log)
    nodes.client("c").execute_command("HDEL", nodes.layout.marks, "a")
    nodes.restart("c")
    for node in "ab":
        nodes.restart(node)
    take(nodes, "c")
    nodes.write("c", b"after", nodes.value(b"third"))
    settle(nodes)
    assert_alike(nodes, key=b"second", other=b"older", after=b"third")
    assert discarded(nodes, "a") == {b"other"}


def test_what_the_truth_took_since_counts_at_the_next_failover(nodes: Nodes) -> None:
    """Its records are those of the new epoch, like those of the members that followed it."""
    for node in "ab":
        nodes.lose_everything(node)
    take(nodes, "c")
    settle(nodes)
    nodes.write("bc", b"late", nodes.value(b"committed"))
    nodes.down.add("b")
    nodes.run(
        fail_over(nodes.layout, nodes.first.ids, FailoverOrder(nodes.at, "a", frozenset("b")))
    )
    nodes.down.clear()
    settle(nodes)
    assert_alike(nodes, key=b"first", late=b"committed")


def test_whoever_answers_is_fenced_and_told(nodes: Nodes) -> None:
    late = nodes.view().write_call(b"late", nodes.value(b"late").encode())
    nodes.lose_everything("a")
    nodes.restart("b")
    take(nodes, "c")
    assert (nodes.report("b").state, nodes.report("b").epoch) == ("fenced", EPOCH)
    assert nodes.report("b").topology == nodes.report("c").topology
    assert [nodes.send(node, late)[0] for node in "bc"] == [b"refused"] * 2


def test_members_that_failed_over_out_of_sight_follow_the_operators_choice(nodes: Nodes) -> None:
    nodes.down.add("c")
    nodes.run(
        fail_over(nodes.layout, nodes.first.ids, FailoverOrder(nodes.at, "b", frozenset("c")))
    )
    nodes.write("ab", b"unseen", nodes.value(b"by c"))
    nodes.down = set("ab")
    take(nodes, "c")
    nodes.write("c", b"after", nodes.value(b"third"))
    nodes.down.clear()
    settle(nodes)
    assert_alike(nodes, key=b"first", after=b"third")
    assert discarded(nodes, "b") == {b"key", b"other", b"unseen"}


def test_a_failover_after_it_keeps_what_was_acknowledged_since(nodes: Nodes) -> None:
    for node in "ab":
        nodes.lose_everything(node)
    take(nodes, "c")
    settle(nodes)
    nodes.write("cb", b"key", nodes.value(b"acknowledged"))
    nodes.down.add("c")
    nodes.run(
        fail_over(nodes.layout, nodes.first.ids, FailoverOrder(nodes.at, None, frozenset("c")))
    )
    nodes.down.clear()
    settle(nodes)
    assert_alike(nodes, key=b"acknowledged")


def test_where_a_majority_is_sound_nothing_is_given_up(nodes: Nodes) -> None:
    nodes.lose_everything("a")
    with pytest.raises(RequestError, match="nothing needs to be lost: b, c"):
        take(nodes, "c")
    assert nodes.report("c").epoch == 1


def test_what_cannot_be_the_truth_is_refused(nodes: Nodes) -> None:
    for node in "ab":
        nodes.lose_everything(node)
    with pytest.raises(RequestError, match="name the node"):
        take(nodes, None)
    with pytest.raises(RequestError, match="'x' is no member"):
        take(nodes, "x")
    with pytest.raises(Unavailable, match="'a' cannot be taken as the truth") as caught:
        take(nodes, "a")
    assert caught.value.evidence == {"a": "came back empty"}
    assert nodes.report("c").epoch == 1
