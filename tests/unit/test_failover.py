"""Failover on nodes in memory: nothing acknowledged is lost, whoever becomes primary and whoever
was away.
"""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from redrepl.plans.epochs.failover import FailedOver, FailoverOrder, choose, fail_over
from redrepl.plans.epochs.membership import change_call
from redrepl.plans.operations.write import WriteOrder, write_one
from redrepl.values.effects import (
    Ask,
    DeadlinePassed,
    Event,
    Exchange,
    Failure,
    Plan,
    Reply,
    Request,
    ScriptCall,
)
from redrepl.values.errors import RequestError, Unavailable
from redrepl.values.receipt import Outcome
from redrepl.values.topology import Mode
from tests.unit.support.in_memory import Nodes
from tests.unit.support.interruptions import Died, die, interrupted

CHANGE = "change_member"


@pytest.fixture
def nodes() -> Nodes:
    """A primary a and replicas b and c, all of which hold one key."""
    cluster = Nodes(3)
    cluster.write("abc", b"key", cluster.value(b"first"))
    settle(cluster)
    return cluster


def settle(nodes: Nodes) -> None:
    for _ in range(3):
        for node in nodes.first.ids:
            if node not in nodes.down:
                nodes.bring_up(node)


def move(nodes: Nodes, to: str | None = None, planned: bool = False) -> FailedOver:
    order = FailoverOrder(nodes.at, to, frozenset(nodes.down), planned)
    return nodes.run(fail_over(nodes.layout, nodes.first.ids, order))


def serving(nodes: Nodes) -> set[str]:
    epoch = nodes.view().topology.epoch
    present = [nodes.report(node) for node in nodes.first.ids if node not in nodes.down]
    return {report.node for report in present if report.is_serving and report.epoch == epoch}


def serving_in(nodes: Nodes, epoch: int) -> set[str]:
    """Who was made to serve in this epoch, whether it is known to anybody or not."""
    present = [nodes.report(node) for node in nodes.first.ids if node not in nodes.down]
    return {report.node for report in present if report.is_serving and report.epoch == epoch}


@pytest.mark.parametrize("holder", ["b", "c", "bc"])
@pytest.mark.parametrize("to", ["b", "c"])
def test_an_acknowledged_write_survives_whoever_takes_over(
    nodes: Nodes, holder: str, to: str
) -> None:
    committed = nodes.value(b"committed")
    nodes.write(f"a{holder}", b"last", committed)
    nodes.down.add("a")
    done = move(nodes, to)
    assert (done.epoch, done.primary, done.previous) == (2, to, "a")
    assert set(done.active) == {"b", "c"}
    assert [nodes.record(node, b"last") for node in "bc"] == [committed] * 2
    assert nodes.view().decider == to
    assert serving(nodes) == {"b", "c"}


def test_who_decided_before_another_began_stops_and_touches_nobody(nodes: Nodes) -> None:
    nodes.down.add("a")
    decided = FailoverOrder(nodes.at, None, frozenset("a"), seen_epoch=1)
    with pytest.raises(Died):
        nodes.run(interrupted(fail_over(nodes.layout, nodes.first.ids, decided), 4, die))
    for epoch, state in ((2, "fenced"), (3, "active")):
        assert {(nodes.report(node).epoch, nodes.report(node).state) for node in "bc"} == {
            (epoch, state)
        }
        with pytest.raises(Unavailable, match="somebody else moved the cluster") as caught:
            nodes.run(fail_over(nodes.layout, nodes.first.ids, decided))
        assert caught.value.evidence == dict.fromkeys("bc", f"epoch {epoch}, {state}")
        again = decided._replace(seen_epoch=epoch)
        assert nodes.run(fail_over(nodes.layout, nodes.first.ids, again)).epoch == epoch + 1


def test_the_old_primary_comes_back_as_a_replica(nodes: Nodes) -> None:
    nodes.down.add("a")
    move(nodes)
    nodes.down.clear()
    nodes.write(nodes.view().decider or "", b"after", nodes.value(b"new"))
    settle(nodes)
    assert serving(nodes) == {"a", "b", "c"}
    assert [nodes.contents(node) for node in "ab"] == [nodes.contents("c")] * 2


def test_what_only_the_old_primary_has_is_kept_for_the_operator(nodes: Nodes) -> None:
    lost = nodes.value(b"never acknowledged")
    nodes.write("a", b"key", lost)
    nodes.write("a", b"other", lost)
    nodes.down.add("a")
    move(nodes)
    nodes.down.clear()
    settle(nodes)
    assert [nodes.contents(node) for node in "ab"] == [nodes.contents("c")] * 2
    assert b"other" not in nodes.present("a")
    kept = nodes.client("a").execute_command("XRANGE", nodes.layout.discarded, "-", "+")
    found = {fields[1]: (fields[3], fields[9]) for _, fields in kept}
    assert found == {
        nodes.layout.data(key): (lost.encode(), b"diverged") for key in (b"key", b"other")
    }


def test_what_was_given_up_deletes_nothing_later(nodes: Nodes) -> None:
    """A client whose clock was ahead wrote on the old primary alone, under a key where nothing
    stood.
    """
    nodes.write("a", b"fresh", nodes.value(b"never acknowledged", seconds_ago=-2))
    nodes.down.add("a")
    first = move(nodes).primary
    nodes.down.clear()
    nodes.bring_up(
        "a"
    )  # it gives the record up; that its log was read since is not noted anywhere yet
    nodes.down.add("a")  # and misses the next write
    order = WriteOrder(first, 1, True, nodes.at, nodes.at + 1)
    receipt = nodes.run(
        write_one(nodes.view(), order, "fresh", b"fresh", nodes.value(b"committed"))
    )
    assert receipt.outcome is Outcome.COMMITTED
    nodes.down.clear()
    for to in ("c" if first == "b" else "b", "a", first):
        assert move(nodes, to).primary == to
        assert [nodes.present(node)[b"fresh"].payload for node in "abc"] == [b"committed"] * 3
        settle(nodes)


def test_a_planned_move_loses_nothing_at_all(nodes: Nodes) -> None:
    alone = nodes.value(b"on the primary alone")
    nodes.write("a", b"alone", alone)
    done = move(nodes, "c", planned=True)
    assert (done.primary, set(done.active)) == ("c", {"a", "b", "c"})
    assert [nodes.record(node, b"alone") for node in "abc"] == [alone] * 3
    assert nodes.report("a").member["rule"] == "follow"
    assert nodes.report("c").member["rule"] == "decide"


def test_where_nobody_is_asked_for_the_primary_stays(nodes: Nodes) -> None:
    assert move(nodes).primary == "a"


def test_writes_of_the_old_epoch_come_no_more(nodes: Nodes) -> None:
    late = nodes.view().write_call(b"late", nodes.value(b"late").encode())
    nodes.down.add("a")
    move(nodes)
    assert [nodes.send(node, late)[0] for node in "bc"] == [b"refused"] * 2
    assert nodes.send("a", late) == 1
    nodes.down.clear()
    settle(nodes)
    assert [b"late" in nodes.present(node) for node in "abc"] == [False] * 3


def test_a_failover_after_a_failover_goes_on_from_the_logs(nodes: Nodes) -> None:
    nodes = Nodes(5)
    first = nodes.value(b"1")
    nodes.write("abcde", b"key", first)
    settle(nodes)
    for node in "abcde":
        # No log reaches back to its beginning any more: only marks and checkpoints tell where to go
        # on.
        nodes.client(node).execute_command(
            "HSET", nodes.layout.member, "log_floor", nodes.report(node).log.last_id
        )
    nodes.down.add("a")
    second = nodes.value(b"2")
    done = move(nodes)
    assert (len(done.active), done.records) == (4, 0)
    nodes.write("bcd", b"key", second)
    nodes.down.add(done.primary)
    again = move(nodes)
    assert (again.epoch, len(again.active)) == (3, 3)
    assert {nodes.record(node, b"key") for node in again.active} == {second}
    nodes.down.clear()
    settle(nodes)
    assert serving(nodes) == set("abcde")


def test_a_member_of_an_older_lineage_gives_nothing_to_a_new_primary(nodes: Nodes) -> None:
    """Its own late records were never decided in the epoch that went on without it."""
    nodes.write("a", b"key", nodes.value(b"diverged", seconds_ago=-3))
    nodes.down.add("a")
    move(nodes, "b")
    committed = nodes.value(b"committed")
    nodes.write("bc", b"key", committed)
    nodes.down = {"b"}
    assert move(nodes).primary == "c"
    assert nodes.record("c", b"key") == committed
    nodes.down.clear()
    settle(nodes)
    assert [nodes.record(node, b"key") for node in "abc"] == [committed] * 3


def test_what_two_former_members_hold_goes_from_both() -> None:
    """The second cannot count on what was found between the two in an epoch that is over."""
    nodes = Nodes(5)
    first = nodes.value(b"first")
    nodes.write("abcde", b"key", first)
    settle(nodes)
    nodes.write("ac", b"key", nodes.value(b"never acknowledged"))
    nodes.write("ac", b"lost", nodes.value(b"never acknowledged"))
    nodes.bring_up("a")
    assert nodes.report("c").checkpoints[0].position == nodes.report("c").log.end
    nodes.down = {"a", "c"}
    move(nodes)
    nodes.down = {"c"}
    settle(nodes)
    assert nodes.present("a") == {b"key": first}
    nodes.down = set()
    settle(nodes)
    assert [nodes.present(node) for node in "abcde"] == [{b"key": first}] * 5
    assert serving(nodes) == set("abcde")


def test_a_run_that_died_after_fencing_is_taken_up(nodes: Nodes) -> None:
    for node in "bc":
        nodes.client(node).execute_command(
            "HSET", nodes.layout.member, "epoch", "2", "state", "fenced"
        )
    nodes.down.add("a")
    assert move(nodes).epoch == 3
    assert serving(nodes) == {"b", "c"}


def test_a_run_that_died_before_the_primary_served_is_taken_up(nodes: Nodes) -> None:
    committed = nodes.value(b"committed")
    nodes.write("ab", b"last", committed)
    nodes.down.add("a")
    move(nodes, "b")
    nodes.client("b").execute_command(
        "HSET", nodes.layout.member, "state", "fenced", "lineage", "1"
    )
    for node in "bc":
        nodes.client(node).execute_command(
            "HSET", nodes.layout.topology, "topology", nodes.first.encode()
        )
    done = move(nodes)
    assert (done.epoch, done.primary) == (3, "c"), "c is of the highest lineage"
    assert nodes.record("c", b"last") == committed
    settle(nodes)
    assert serving(nodes) == {"b", "c"}


@pytest.mark.parametrize("what", ["away", "restarted", "empty"])
def test_without_a_majority_nothing_is_touched(nodes: Nodes, what: str) -> None:
    nodes.down.add("a")
    if what == "away":
        nodes.down.add("b")
    elif what == "restarted":
        nodes.restart("b")
    else:
        nodes.lose_everything("b")
    with pytest.raises(Unavailable, match="2 of 3 members must take part") as caught:
        move(nodes)
    assert set(caught.value.evidence) == {"a", "b"}
    assert (nodes.report("c").epoch, nodes.report("c").state) == (1, "active")


@pytest.mark.parametrize("loss", ["restart", "empty"])
def test_a_primary_that_lost_data_is_replaced_by_the_workers(nodes: Nodes, loss: str) -> None:
    committed = nodes.value(b"committed")
    nodes.write("ab", b"last", committed)
    if loss == "restart":
        nodes.restart("a")
    else:
        nodes.lose_everything("a")
    done = nodes.bring_up("a", fails_over=True)
    assert done.notes == ["handed its role over to b in epoch 2"]
    settle(nodes)
    assert serving(nodes) == {"a", "b", "c"}
    assert [nodes.record(node, b"last") for node in "abc"] == [committed] * 3


def test_a_switchover_needs_the_primary(nodes: Nodes) -> None:
    nodes.down.add("a")
    with pytest.raises(Unavailable, match="use failover"):
        move(nodes, "b", planned=True)


def test_a_switchover_that_cannot_fence_the_primary_moves_nobody(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on serving meanwhile, and what it takes would be left behind."""
    oom, answer = "OOM command not allowed when used memory > 'maxmemory'.", nodes._event

    def refuses(request: Request) -> Event:
        if (
            request.node == "a"
            and isinstance(request.command, ScriptCall)
            and request.command.script == CHANGE
        ):
            nodes.write("a", b"late", nodes.value(b"acknowledged"))
            return Failure("a", request.tag, oom, True, nodes.at)
        return answer(request)

    monkeypatch.setattr(nodes, "_event", refuses)
    with pytest.raises(Unavailable, match="'a' could not be fenced") as refused:
        move(nodes, "b", planned=True)
    assert refused.value.evidence == {"a": oom}
    assert serving_in(nodes, 1) == {"a", "b", "c"}
    assert nodes.present("a")[b"late"].payload == b"acknowledged"


def test_a_primary_that_changes_after_it_was_fenced_is_not_passed_over(nodes: Nodes) -> None:
    donors = [nodes.report(node) for node in "bc"]
    with pytest.raises(Unavailable, match="the present primary could not be fenced"):
        choose(donors, "a", FailoverOrder(nodes.at, "b", planned=True), {})


def test_what_cannot_be_is_refused(nodes: Nodes) -> None:
    with pytest.raises(RequestError, match="'x' is no member"):
        move(nodes, "x")
    nodes.down.add("b")
    with pytest.raises(Unavailable, match="'b' cannot become the primary"):
        move(nodes, "b")
    several = Nodes(3, Mode.MULTI_PRIMARY)
    with pytest.raises(RequestError, match="nothing to fail over"):
        move(several)


def test_a_member_that_was_left_behind_is_refused_before_anybody_is_fenced(nodes: Nodes) -> None:
    nodes.down.add("c")
    move(nodes)
    nodes.down.clear()
    with pytest.raises(Unavailable, match="cannot become the primary") as caught:
        move(nodes, "c")
    assert "left it behind" in caught.value.evidence["c"]
    assert serving(nodes) == {"a", "b"}, "nobody was fenced in vain"


def test_a_rival_who_was_quicker_is_left_alone(nodes: Nodes) -> None:
    """Both looked at the same moment; the second to fence finds members changed and stops."""
    nodes.down.add("a")
    order = FailoverOrder(nodes.at, None, frozenset("a"))
    slow = fail_over(nodes.layout, nodes.first.ids, order)
    with pytest.raises(Unavailable, match="only 0 of 3 members could be fenced in epoch 2"):
        nodes.run(interrupted(slow, 2, lambda: move(nodes)))
    assert nodes.view().topology.epoch == 2
    assert serving(nodes) == {"b", "c"}


def rival_fences(nodes: Nodes, members: str) -> None:
    for node in members:
        fields = {"epoch": str(nodes.report(node).epoch + 1), "state": "fenced"}
        assert nodes.send(node, change_call(nodes.report(node), nodes.layout, fields, None)) == 1


def test_of_rivals_that_fenced_some_each_the_one_that_has_the_first_goes_on(nodes: Nodes) -> None:
    """Each is nearer to another member, so that both would only meet again."""
    nodes.down.add("a")
    order = FailoverOrder(nodes.at, None, frozenset("a"), seen_epoch=1)
    plan = fail_over(nodes.layout, nodes.first.ids, order)
    done = nodes.run(interrupted(plan, 2, lambda: rival_fences(nodes, "c")))
    assert (done.epoch, serving(nodes)) == (3, {"b", "c"})


def test_of_rivals_that_fenced_some_each_the_others_stop(nodes: Nodes) -> None:
    nodes.down.add("a")
    order = FailoverOrder(nodes.at, None, frozenset("a"), seen_epoch=1)
    plan = fail_over(nodes.layout, nodes.first.ids, order)
    with pytest.raises(Unavailable, match="only 1 of 3 members could be fenced in epoch 2"):
        nodes.run(interrupted(plan, 2, lambda: rival_fences(nodes, "b")))
    assert [nodes.report(node).epoch for node in "bc"] == [2, 2]


def test_a_rival_that_fenced_a_majority_is_left_alone_by_who_has_the_first(nodes: Nodes) -> None:
    plan = fail_over(nodes.layout, nodes.first.ids, FailoverOrder(nodes.at, seen_epoch=1))
    with pytest.raises(Unavailable, match="only 1 of 3 members could be fenced in epoch 2"):
        nodes.run(interrupted(plan, 2, lambda: rival_fences(nodes, "bc")))
    assert [nodes.report(node).epoch for node in "abc"] == [2, 2, 2]


@pytest.mark.parametrize("question", range(1, 20))
def test_whoever_comes_after_a_run_that_died_finishes(nodes: Nodes, question: int) -> None:
    """It dies before its first request, its second, and so on; acknowledged writes stand, and
    everybody serves.
    """
    committed = nodes.value(b"committed")
    nodes.write("ac", b"last", committed)
    nodes.down.add("a")
    order = FailoverOrder(nodes.at, "b", frozenset("a"))
    with contextlib.suppress(Died):
        run = fail_over(nodes.layout, nodes.first.ids, order)
        nodes.run(interrupted(run, question, die, every_request=True))
    served_already = serving_in(nodes, 2)
    move(nodes)
    # Who did not serve yet where another did is left to the workers: it may lack what that one has
    # taken since.
    assert serving(nodes) == (served_already or {"b", "c"})
    assert [nodes.record(node, b"last") for node in "bc"] == [committed] * 2
    nodes.down.clear()
    settle(nodes)
    assert serving(nodes) == {"a", "b", "c"}


def round_trips(plan: Plan[Any], nodes: Nodes) -> int:
    """How many round trips a plan takes one after the other, where each answer takes as long as any
    other.
    """
    due: list[tuple[int, Event]] = []
    effect, now = next(plan), 0
    try:
        while True:
            if isinstance(effect, Exchange):
                due = [] if isinstance(effect, Ask) else due
                for asked in effect.requests:
                    answer = nodes.send(asked.node, asked.command)
                    due.append((now + 1, Reply(asked.node, asked.tag, answer, nodes.at)))
                if due:
                    now, event = due.pop(0)
                else:
                    event = DeadlinePassed(effect.until)
                effect = plan.send(event)
            else:
                effect = plan.send(DeadlinePassed(nodes.at))
    except StopIteration:
        return now


@pytest.mark.parametrize("copies", [3, 5])
@pytest.mark.parametrize(("is_busy", "expected"), [(False, 14), (True, 20)])
def test_a_failover_takes_no_more_round_trips_with_more_members(
    copies: int, is_busy: bool, expected: int
) -> None:
    nodes = Nodes(copies)
    for node in nodes.first.ids:
        nodes.put(node, b"key", nodes.value(b"1", 60.0))
    for node in nodes.first.ids:
        nodes.bring_up(node)
    if is_busy:
        for number, node in enumerate(nodes.first.ids[1:]):
            nodes.write(node, b"key-%d" % number, nodes.value(b"1"))
    order = FailoverOrder(nodes.at, away=frozenset("a"))
    assert round_trips(fail_over(nodes.layout, nodes.first.ids, order), nodes) <= expected


@pytest.mark.parametrize("how", ["it came back empty", "it lost its log"])
def test_a_replica_that_was_filled_a_moment_ago_has_the_others_follow_it(
    nodes: Nodes, how: str
) -> None:
    """Else whoever it takes over from leaves it alone, and writes wait while the other replica is
    walked.
    """
    if how == "it came back empty":
        nodes.lose_everything("c")
    else:
        nodes.client("c").execute_command("DEL", nodes.layout.log)
    nodes.bring_up("c")
    nodes.bring_up("b")
    committed = nodes.value(b"committed")
    nodes.write("ac", b"last", committed)
    nodes.down.add("a")
    assert move(nodes, "c").active == ("c", "b")
    assert nodes.present("b") == nodes.present("c")
    assert nodes.record("b", b"last") == committed
