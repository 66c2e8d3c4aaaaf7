"""Members with old records, where what was deleted since has been purged and no log at hand names
it any more.
"""

from __future__ import annotations

import pytest

from redrepl.plans.client.options import CallOptions
from redrepl.plans.epochs.failover import FailoverOrder, fail_over
from redrepl.plans.epochs.membership import Tolerances
from redrepl.plans.operations.read import read_confirmed
from redrepl.plans.recovery.bring_up import BringUpOrder, bring_up
from redrepl.values import limits
from redrepl.values.errors import Unavailable, WriteNotConfirmed
from redrepl.values.record import Record
from tests.unit.support.in_memory import MAX_AGE_SECONDS, Nodes
from tests.unit.support.interruptions import Died, die, interrupted
from tests.unit.support.stores import Store
from tests.unit.test_anti_entropy import OLD, cut_log, drop, grave, put, put_back, settle, whole

KEY = b"key"


def with_value(copies: int) -> Nodes:
    """A cluster with a value that is deleted later. Logs are cut, as they are a minute later."""
    nodes = Nodes(copies)
    put(nodes, KEY, nodes.value(b"deleted later", 2 * OLD))
    put(nodes, b"kept", nodes.value(b"kept", 2 * OLD))
    settle(nodes)
    for node in nodes.first.ids:
        cut_log(nodes, node)
    return nodes


def delete_and_purge(nodes: Nodes) -> None:
    put(nodes, KEY, grave(nodes))
    settle(nodes)
    assert whole(nodes).purged == 1


def refill(nodes: Nodes, node: str) -> None:
    """A member comes back empty and gets what the primary has by now: no tombstone, and a log that
    begins with that.
    """
    nodes.lose_everything(node)
    settle(nodes)
    assert nodes.report(node).is_serving


def switch_over(nodes: Nodes, to: str) -> None:
    nodes.run(fail_over(nodes.layout, nodes.first.ids, FailoverOrder(nodes.at, to, planned=True)))
    settle(nodes)
    assert nodes.view().decider == to


def holders(nodes: Nodes) -> list[str]:
    """All members serve again; who of them holds the value that was deleted."""
    assert [nodes.report(node).is_serving for node in nodes.first.ids] == [True] * len(
        nodes.first.ids
    )
    return [node for node in nodes.first.ids if KEY in nodes.present(node)]


def test_an_old_primary_follows_members_that_were_filled_after_the_purge() -> None:
    nodes = with_value(3)
    kept = nodes.dump("a")
    delete_and_purge(nodes)
    refill(nodes, "b")
    refill(nodes, "c")
    nodes.restore("a", kept)
    nodes.bring_up("a", fails_over=True)
    settle(nodes)
    assert nodes.view().decider != "a"
    assert holders(nodes) == []


def test_an_old_primary_is_put_back_to_work_beside_a_copy_that_was_filled_after_the_purge() -> None:
    nodes = with_value(2)
    kept = nodes.dump("a")
    delete_and_purge(nodes)
    refill(nodes, "b")
    nodes.restore("a", kept)
    nodes.bring_up("a")
    settle(nodes)
    assert nodes.view().decider == "a"
    assert holders(nodes) == []


def test_an_old_replica_follows_a_primary_that_was_filled_after_the_purge() -> None:
    nodes = with_value(3)
    kept = nodes.dump("c")
    delete_and_purge(nodes)
    refill(nodes, "b")
    switch_over(nodes, "b")
    nodes.restore("c", kept)
    settle(nodes)
    assert holders(nodes) == []


def test_a_former_member_is_taken_in_again_with_its_old_records() -> None:
    nodes = with_value(3)
    nodes.remove("c")
    delete_and_purge(nodes)
    refill(nodes, "b")
    switch_over(nodes, "b")
    nodes.take_in("c")
    settle(nodes)
    assert holders(nodes) == []


@pytest.mark.parametrize("is_cut", [False, True])
def test_an_old_replica_goes_by_the_log_of_a_primary_that_was_old_itself(is_cut: bool) -> None:
    """Both files are of one night, the replica's a moment later: it has a value that never was in
    the primary's.
    """
    nodes = with_value(3)
    kept, value = nodes.dump("a"), nodes.value(b"of that night", 2 * OLD)
    nodes.put("c", b"tonight", value)
    kept_later = nodes.dump("c")
    put(nodes, b"tonight", value, "ab")
    put(nodes, b"tonight", grave(nodes))
    settle(nodes)
    assert whole(nodes).purged == 1
    for node in "bc" if is_cut else "":
        cut_log(nodes, node)
    nodes.restore("a", kept)
    nodes.bring_up("a")
    settle(nodes)
    assert nodes.view().decider == "a"
    nodes.restore("c", kept_later)
    done = nodes.bring_up("c")
    settle(nodes)
    assert (done.full_syncs > 0) is is_cut
    assert [b"tonight" in nodes.present(node) for node in "abc"] == [False] * 3


def test_a_log_with_a_gap_will_do_for_who_has_lost_nothing() -> None:
    nodes = with_value(3)
    delete_and_purge(nodes)
    refill(nodes, "b")
    switch_over(nodes, "b")
    nodes.down = {"c"}
    nodes.write("ab", b"new", new(nodes))
    nodes.down = set()
    assert nodes.bring_up("c").full_syncs == 0
    assert nodes.contents("c") == nodes.contents("b")


def new(nodes: Nodes) -> Record:
    return nodes.value(b"new")


@pytest.mark.parametrize("copies", [2, 3])
def test_a_worker_that_dies_while_it_puts_an_old_primary_back_leaves_enough_to_do(
    copies: int,
) -> None:
    """Whoever comes next must not take the walk of the first for a log that reached back."""
    question, has_died = 0, True
    while has_died:
        question += 1
        nodes = with_value(copies)
        kept = nodes.dump("a")
        delete_and_purge(nodes)
        for node in nodes.first.ids[1:]:
            cut_log(nodes, node)
        nodes.restore("a", kept)
        has_died = _dies(nodes, question)
        settle(nodes)
        assert holders(nodes) == [], f"died before question {question}"
    assert question > 10


def _dies(nodes: Nodes, question: int) -> bool:
    """Put the primary back to work, with a worker that dies before its n-th question; False where
    that never comes.
    """
    order = BringUpOrder("inc-first", "id-new", Tolerances(), nodes.at, nodes.at + 60)
    try:
        nodes.run(interrupted(bring_up(nodes.layout, nodes.first.ids, "a", order), question, die))
    except Died:
        return True
    return False


def test_a_worker_that_slept_through_a_purge_stores_nothing_that_it_read_before_the_delete() -> (
    None
):
    """Although it is older than what had been purged when the worker began."""
    nodes = with_value(3)
    put(nodes, b"other", grave(nodes))
    settle(nodes)
    assert whole(nodes).purged == 1
    nodes.lose_everything("c")

    def meanwhile() -> None:
        settle(nodes)
        put(nodes, KEY, grave(nodes, OLD / 2))
        settle(nodes)
        assert whole(nodes, retention=OLD / 4).purged == 1
        nodes.meanwhile["headers"] = die

    nodes.meanwhile["absorb"] = meanwhile
    with pytest.raises(
        Unavailable, match="node 'c' purged tombstones while records were copied to it"
    ):
        nodes.bring_up("c")
    assert holders(nodes) == []


def test_a_walk_goes_on_beside_a_purge_that_comes_between_its_pages() -> None:
    nodes = with_value(2)
    for number in range(2 * limits.SCAN_KEYS):
        put_back(nodes, b"key-%d" % number, nodes.value(b"v", OLD), "a")

    def purge() -> None:
        nodes.send("b", nodes.view().purge_call({}, nodes.value(b"", OLD / 2).stamp.micros))

    def meanwhile() -> None:
        nodes.meanwhile["headers"] = purge

    nodes.meanwhile["absorb"] = meanwhile
    nodes.bring_up("b", exactly=True)
    assert nodes.contents("b") == nodes.contents("a")


@pytest.mark.parametrize("to", ["b", "c"])
def test_after_a_failover_all_have_what_one_took_that_had_purged_less(to: str) -> None:
    """A client that slept for long: only the member with the lower limit still took its write,
    right before.
    """
    nodes = with_value(3)
    nodes.send("c", nodes.view().purge_call({}, nodes.value(b"", OLD / 2).stamp.micros))
    late = nodes.value(b"late", OLD)
    nodes.write("b", b"new", late)
    nodes.down = {"a"}
    nodes.run(fail_over(nodes.layout, nodes.first.ids, FailoverOrder(nodes.at, to)))
    nodes.down = set()
    settle(nodes)
    assert holders(nodes) == ["a", "b", "c"]
    assert [nodes.record(node, b"new") for node in "abc"] == [late] * 3


def test_a_delete_is_read_where_only_the_primary_has_not_purged_it_yet() -> None:
    nodes = with_value(3)
    put(nodes, KEY, grave(nodes))
    settle(nodes)
    gone = nodes.record("a", KEY)
    assert gone is not None
    for node in "bc":
        nodes.send(
            node,
            nodes.view().purge_call({nodes.layout.data(KEY): gone.stamp}, gone.stamp.micros + 1),
        )
    confirmed = nodes.run(read_confirmed(nodes.view(), "a", (b"kept", KEY), 2, nodes.at + 1))
    assert confirmed.records[1] == gone
    assert confirmed.holders == {"a", "b", "c"}
    assert [nodes.record(node, KEY) for node in "bc"] == [None, None]


@pytest.mark.parametrize("is_past", [False, True])
def test_an_old_value_that_copies_lack_is_confirmed_only_past_its_deadline(is_past: bool) -> None:
    nodes = with_value(3)
    deadline = nodes.report("a").now_millis + (-1000 if is_past else 60_000)
    value = nodes.value(b"of days ago", 2 * OLD)._replace(deadline_millis=deadline)
    put_back(nodes, KEY, value, "a")
    for node in "bc":
        drop(nodes, KEY, node)
        nodes.send(node, nodes.view().purge_call({}, nodes.value(b"", OLD).stamp.micros))
    reading = read_confirmed(nodes.view(), "a", (KEY,), 1, nodes.at + 1)
    if is_past:
        assert nodes.run(reading).records == [value]
    else:
        with pytest.raises(Unavailable, match="refused the repair"):
            nodes.run(reading)


@pytest.mark.parametrize("question", [3, 4, 5, 6])
def test_an_operation_is_not_repeated_by_a_client_that_slept_before_it_looked_for_it(
    question: int,
) -> None:
    """What it made was read, deleted and purged meanwhile: that nothing stands tells nothing."""
    store = Store()
    nodes = store.nodes

    def fail_over_with_it() -> None:
        nodes.lost = set()
        settle(nodes)
        switch_over(nodes, "b")
        assert store.values("counter") == [b"1"] * 3

    def sleep() -> None:
        drop(nodes, b"counter", "abc")
        nodes.at += 2 * MAX_AGE_SECONDS

    nodes.lost = {"a"}
    plan = interrupted(
        store.increment_plan("counter", 1, CallOptions(None, None)), 2, fail_over_with_it
    )
    with pytest.raises(WriteNotConfirmed):
        nodes.run(interrupted(plan, question, sleep))
    assert store.values("counter") == [None] * 3
