"""Bringing copies up: what a node missed arrives, what only it has goes, and nothing else
changes.
"""

from __future__ import annotations

import pytest

from redrepl.plans.recovery.bring_up import EMPTY_AGAIN
from redrepl.plans.recovery.replacement_limiter import (
    FIRST_REPLACEMENT_PAUSE_SECONDS,
    LONGEST_REPLACEMENT_PAUSE_SECONDS,
    REPLACEMENT_CALM_SECONDS,
    ReplacementLimiter,
)
from redrepl.plans.recovery.upkeep import needs_bringing_up
from redrepl.plans.status import Expectations, cluster_status
from redrepl.values.errors import RedreplError, Unavailable
from redrepl.values.record import tombstone
from redrepl.values.reports import Reports
from redrepl.values.status import Condition
from redrepl.values.topology import Mode, NodeState
from tests.unit.support.in_memory import MAX_AGE_SECONDS, Nodes

OLD = MAX_AGE_SECONDS * 3


@pytest.fixture
def nodes() -> Nodes:
    """A primary a and replicas b and c."""
    return Nodes(3)


def _condition(nodes: Nodes) -> Condition:
    expected = Expectations("quorum", 30.0, 1)
    return nodes.run(cluster_status(nodes.layout, nodes.first.ids, expected, nodes.at)).condition


def _targets(nodes: Nodes) -> list[str]:
    reports = {
        node: nodes.report(node) if node not in nodes.down else "down" for node in nodes.first.ids
    }
    return needs_bringing_up(nodes.view().topology, Reports.collect(reports))


def _settle(nodes: Nodes) -> None:
    for _ in range(4):
        for node in _targets(nodes):
            nodes.bring_up(node)
    assert _targets(nodes) == []


def test_a_replica_gets_what_it_missed_once(nodes: Nodes) -> None:
    for number in range(5):
        nodes.write("ac", b"key", nodes.value(b"%d" % number))
    nodes.write("abc", b"other", nodes.value(b"everywhere"))
    assert _targets(nodes) == ["a", "b", "c"]
    done = nodes.bring_up("b")
    assert (done.entries, done.records, done.full_syncs, done.finished) == (6, 1, 0, True)
    assert nodes.contents("b") == nodes.contents("a")
    assert nodes.bring_up("b").entries == 0
    _settle(nodes)
    assert nodes.report("a").lag_of("b") == nodes.report("a").lag_of("c") == 0
    assert _condition(nodes) is Condition.HEALTHY


def test_a_deletion_arrives_too(nodes: Nodes) -> None:
    nodes.write("abc", b"key", nodes.value(b"there"))
    nodes.write("a", b"key", tombstone(nodes.value(b"").stamp))
    nodes.bring_up("b")
    assert nodes.record("b", b"key") == nodes.record("a", b"key")


def test_a_key_that_the_source_no_longer_has_is_shipped_as_a_tombstone(nodes: Nodes) -> None:
    nodes.write("ab", b"key", nodes.value(b"first"))
    later = nodes.value(b"later")
    nodes.write("a", b"key", later)
    nodes.client("a").execute_command("DEL", nodes.layout.data(b"key"))
    nodes.bring_up("b")
    found = nodes.record("b", b"key")
    assert found is not None
    assert (found.stamp, found.kind) == (later.stamp, b"d")


@pytest.mark.parametrize("is_empty", [True, False])
def test_nobody_is_admitted_while_there_is_no_one_to_bring_it_up_from(
    nodes: Nodes, is_empty: bool
) -> None:
    """The primary falls silent just after the node was set to syncing."""
    nodes.write("ac", b"key", nodes.value(b"committed"))
    if is_empty:
        nodes.lose_everything("b")
    else:
        nodes.restart("b")
    nodes.meanwhile["enrol" if is_empty else "change_member"] = lambda: nodes.down.add("a")
    done = nodes.bring_up("b")
    assert (done.activated, done.finished) == (False, False)
    assert nodes.report("b").state == "syncing"
    assert not nodes.report("b").is_serving
    nodes.down.clear()
    assert nodes.bring_up("b").activated
    assert nodes.contents("b") == nodes.contents("a")


def test_an_empty_replica_is_filled_before_it_serves(nodes: Nodes) -> None:
    records = {b"key-%d" % number: nodes.value(b"%d" % number) for number in range(50)}
    for key, record in records.items():
        nodes.write("abc", key, record)
    _settle(nodes)
    nodes.lose_everything("b")
    done = nodes.bring_up("b")
    assert (done.full_syncs, done.activated, done.finished) == (1, True, True)
    assert nodes.contents("b") == records
    report = nodes.report("b")
    assert (report.is_serving, report.epoch, report.member["rule"]) == (True, 2, "follow")


def test_a_replica_that_restarted_goes_on_with_its_log_as_another(nodes: Nodes) -> None:
    nodes.write("abc", b"key", nodes.value(b"1"))
    _settle(nodes)
    nodes.restart("b")
    nodes.write("ac", b"key", nodes.value(b"2"))
    before = nodes.report("b")
    done = nodes.bring_up("b")
    assert (done.activated, done.full_syncs, done.records) == (True, 0, 1)
    after = nodes.report("b")
    assert after.is_serving
    assert after.incarnation != before.incarnation
    assert after.member["previous_incarnation"] == before.incarnation
    assert nodes.contents("b") == nodes.contents("a")
    _settle(nodes)


def test_a_cut_log_means_a_walk_over_all_keys(nodes: Nodes) -> None:
    for number in range(5):
        nodes.write("a", b"key-%d" % number, nodes.value(b"%d" % number))
    surplus = nodes.value(b"surplus", OLD)
    nodes.put("b", b"surplus", surplus)
    nodes.client("a").execute_command("HSET", nodes.layout.member, "log_floor", "1-0")
    nodes.client("a").execute_command("XTRIM", nodes.layout.log, "MAXLEN", 0)
    done = nodes.bring_up("b")
    assert (done.full_syncs, done.records, done.undecided_replaced) == (1, 5, 1)
    assert nodes.contents("b") == nodes.contents("a")


def test_what_the_primary_never_took_goes_when_it_no_longer_can(nodes: Nodes) -> None:
    right = nodes.value(b"right", OLD + 5)
    nodes.put("a", b"key", right)
    nodes.put("b", b"key", nodes.value(b"undecided", OLD))
    nodes.put("b", b"another", nodes.value(b"undecided", OLD))
    done = nodes.bring_up("a")
    assert done.undecided_replaced == 2
    assert nodes.present("a") == {b"key": right}
    assert nodes.contents("b") == nodes.contents("a")


def test_what_the_primary_may_still_take_is_waited_for(nodes: Nodes) -> None:
    young = nodes.value(b"young")
    nodes.put("b", b"old", nodes.value(b"old", OLD))
    nodes.write("b", b"young", young)
    nodes.put("b", b"later", nodes.value(b"later", OLD))
    done = nodes.bring_up("a")
    assert done.undecided_replaced == 2
    assert nodes.present("b") == {b"young": young}
    assert nodes.present("a") == {}
    assert "a" in _targets(nodes), "the young one has to be looked at again"
    nodes.write("a", b"young", young)
    _settle(nodes)
    assert nodes.contents("a") == nodes.contents("b") == nodes.contents("c")
    assert nodes.present("a") == {b"young": young}


def test_undecided_records_never_reach_the_primary_or_other_replicas(nodes: Nodes) -> None:
    nodes.write("b", b"key", nodes.value(b"undecided"))
    for node in "abcabc":
        nodes.bring_up(node)
    assert [nodes.contents(node) for node in "ac"] == [{}, {}]


def test_foreign_values_are_left_and_told(nodes: Nodes) -> None:
    nodes.write("a", b"key", nodes.value(b"1"))
    nodes.write("a", b"other", nodes.value(b"2"))
    nodes.client("b").execute_command("SET", nodes.layout.data(b"key"), "foreign")
    done = nodes.bring_up("b")
    assert (done.records, done.finished) == (1, True)
    assert any("b'key'" in note for note in done.notes)
    assert nodes.client("b").execute_command("GET", nodes.layout.data(b"key")) == b"foreign"


def test_an_empty_primary_empties_nobody(nodes: Nodes) -> None:
    nodes.write("abc", b"key", nodes.value(b"1"))
    _settle(nodes)
    nodes.lose_everything("a")
    with pytest.raises(RedreplError, match="came back empty"):
        nodes.bring_up("a")
    for node in "bc":
        nodes.bring_up(node)
        assert set(nodes.contents(node)) == {b"key"}
    assert nodes.report("a").member == {}
    assert _condition(nodes) is Condition.UNAVAILABLE


def test_without_the_target_nothing_is_done(nodes: Nodes) -> None:
    nodes.down.add("b")
    with pytest.raises(Unavailable, match="'b'"):
        nodes.bring_up("b")


def test_without_a_source_a_replica_is_left_alone(nodes: Nodes) -> None:
    nodes.down.add("a")
    done = nodes.bring_up("b")
    assert any("no node to bring it up from" in note for note in done.notes)
    assert nodes.report("b").is_serving


def test_several_primaries_end_up_with_the_latest_of_all() -> None:
    nodes = Nodes(3, Mode.MULTI_PRIMARY)
    nodes.write("a", b"x", nodes.value(b"from a", 3))
    nodes.write("b", b"x", nodes.value(b"from b", 2))
    latest = nodes.value(b"from c", 1)
    nodes.write("c", b"x", latest)
    nodes.write("b", b"y", nodes.value(b"only b"))
    for node in "abcabc":
        nodes.bring_up(node)
    assert nodes.contents("a") == nodes.contents("b") == nodes.contents("c")
    assert nodes.record("a", b"x") == latest
    _settle(nodes)


def test_one_of_several_primaries_that_lost_everything_is_filled() -> None:
    nodes = Nodes(3, Mode.MULTI_PRIMARY)
    nodes.write("a", b"x", nodes.value(b"1"))
    nodes.write("b", b"y", nodes.value(b"2"))
    for node in "abc":
        nodes.bring_up(node)
    before = nodes.contents("c")
    nodes.lose_everything("c")
    assert nodes.bring_up("c").activated
    assert nodes.contents("c") == before
    _settle(nodes)
    assert [nodes.report(node).state for node in "abc"] == [NodeState.ACTIVE.value] * 3


def test_the_primary_is_done_with_the_log_of_a_copy_that_two_jobs_filled(nodes: Nodes) -> None:
    """The second job looks through what the first one filled, and a checkpoint tells of what it
    fills itself.

    The primary's mark must not stay behind that: it would seem to have been set back, and be looked
    after for ever.
    """
    nodes.write("abc", b"key", nodes.value(b"v"))
    _settle(nodes)
    nodes.lose_everything("b")
    nodes.meanwhile["confirm"] = _die
    with pytest.raises(InterruptedError):
        nodes.bring_up("b")
    nodes.write("ac", b"later", nodes.value(b"v"))
    _settle(nodes)
    assert nodes.report("a").marks["b"].position == nodes.report("b").cursors["a"].position


def _die() -> None:
    raise InterruptedError


def test_a_server_that_is_emptied_again_while_it_gets_the_place_takes_one_epoch(
    nodes: Nodes,
) -> None:
    """Its identity is given once: beginning one epoch after the other would never enrol it."""
    nodes.write("abc", b"key", nodes.value(b"there"))
    nodes.lose_everything("c")

    def lose_it_again() -> None:
        nodes.client("c").flushall()

    nodes.meanwhile["log_page"] = nodes.meanwhile["absorb"] = lose_it_again
    nodes.meanwhile["change_member"] = lambda: nodes.meanwhile.update(inspect=lose_it_again)
    done = nodes.bring_up("c")
    assert (nodes.view().topology.epoch, done.finished, done.is_replaced) == (2, False, True)
    nodes.meanwhile.clear()
    nodes.bring_up("c")
    _settle(nodes)
    assert nodes.contents("c") == nodes.contents("a")


def test_the_place_of_an_empty_server_is_given_when_it_may_be(nodes: Nodes) -> None:
    nodes.lose_everything("c")
    done = nodes.bring_up("c", may_replace=False)
    assert (nodes.view().topology.epoch, done.notes, done.is_replaced) == (1, [EMPTY_AGAIN], False)
    assert nodes.bring_up("c").is_replaced
    assert nodes.view().topology.epoch == 2


def test_who_is_emptied_again_and_again_gets_its_place_ever_more_seldom() -> None:
    limiter, now, times = ReplacementLimiter(), 0.0, []
    while now < 10_000.0:
        if limiter.may_replace("c", now):
            limiter.note("c", now)
            times.append(now)
        now += 0.5
    assert times[:6] == [0.0, 1.0, 3.0, 7.0, 15.0, 31.0]
    assert times[-1] - times[-2] == LONGEST_REPLACEMENT_PAUSE_SECONDS
    assert limiter.may_replace("b", now), "another member"
    limiter.note("c", now + REPLACEMENT_CALM_SECONDS)
    assert limiter.may_replace(
        "c", now + REPLACEMENT_CALM_SECONDS + FIRST_REPLACEMENT_PAUSE_SECONDS
    )
