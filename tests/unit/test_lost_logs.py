"""A log that was deleted under a node: what the node's own cursors tell, and what the next log is
worth.
"""

from __future__ import annotations

import contextlib

import pytest

from redrepl.plans.copies.catch_up import trim_log
from redrepl.plans.copies.marks import starting_mark
from redrepl.plans.epochs.failover import FailedOver, FailoverOrder, fail_over
from redrepl.plans.epochs.membership import change_call, forgotten_fields
from redrepl.plans.recovery.upkeep import needs_bringing_up
from redrepl.plans.steps import Steps
from redrepl.values.errors import Unavailable
from redrepl.values.record import tombstone
from redrepl.values.reports import Reports
from tests.unit.support.in_memory import Nodes

OLD_SECONDS = 3600.0
"""No primary takes what is that old any more."""


@pytest.fixture
def nodes() -> Nodes:
    """A primary a and replicas b and c that have confirmed everything, but for a write that c has
    not got.
    """
    nodes = Nodes(3)
    for number in range(10):
        nodes.write("abc", b"k%d" % number, nodes.value(b"v"))
    for node in "abcabc":
        nodes.bring_up(node)
    nodes.write("ab", b"late", nodes.value(b"late"))
    return nodes


def lose_log(nodes: Nodes, node: str) -> None:
    nodes.client(node).execute_command("DEL", nodes.layout.log)


@pytest.mark.parametrize("node", ["a", "b"])
@pytest.mark.parametrize("later", [0, 3])
def test_it_is_noticed_and_is_no_lag_of_zero(nodes: Nodes, node: str, later: int) -> None:
    lose_log(nodes, node)
    for number in range(later):
        nodes.write(node, b"later%d" % number, nodes.value(b"v"))
    found = nodes.report(node)
    assert (found.has_lost_log, found.has_restarted, found.is_serving) == (True, True, False)
    reader = "c" if node == "a" else "a"
    assert found.lag_of(reader) == max(1, later)
    assert node in needs_bringing_up(
        nodes.view().topology, Reports({node: nodes.report(node) for node in "abc"})
    )


@pytest.mark.parametrize("node", ["a", "b"])
def test_it_is_noticed_by_where_it_was_cut(nodes: Nodes, node: str) -> None:
    """With nobody's cursors: places beyond its end would stay in others' marks for as long as its
    incarnation does.
    """
    nodes.client(node).execute_command("DEL", nodes.layout.cursors)
    nodes.client(node).execute_command(
        "HSET", nodes.layout.member, "log_floor", nodes.report(node).log.last_id
    )
    assert not nodes.report(node).has_lost_log, "it was cut up to its end"
    nodes.client(node).execute_command("HSET", nodes.layout.member, "log_floor", "9999999999999-0")
    assert (nodes.report(node).has_lost_log, nodes.report(node).is_serving) == (True, False)
    assert node in needs_bringing_up(
        nodes.view().topology, Reports({node: nodes.report(node) for node in "abc"})
    )


def test_a_floor_beyond_the_end_is_mended(nodes: Nodes) -> None:
    nodes.client("b").execute_command("HSET", nodes.layout.member, "log_floor", "9999999999999-0")
    for node in "bacb":
        nodes.bring_up(node)
    found = nodes.report("b")
    assert (found.has_lost_log, found.is_serving, found.log_floor) == (
        False,
        True,
        found.log.last_id,
    )
    for other in "ac":
        mark = nodes.report(other).marks.get("b")
        assert (
            mark is None
            or mark.incarnation != found.incarnation
            or mark.position.order <= found.log.end.order
        )


def test_a_log_that_replaced_a_lost_one_is_not_complete(nodes: Nodes) -> None:
    """What b alone had named there would be passed over, as if its log had named everything since
    its beginning.
    """
    lose_log(nodes, "b")
    for node in "ba":
        nodes.bring_up(node)
    found = nodes.report("b")
    assert (found.has_lost_log, found.is_serving, found.lag_of("a")) == (False, True, 0)
    assert starting_mark(found, nodes.report("c")) is None, "c has never read it: only a walk tells"


def test_what_a_copy_lacks_comes_all_the_same(nodes: Nodes) -> None:
    lose_log(nodes, "a")
    nodes.write("a", b"k1", tombstone(nodes.value(b"").stamp))
    for _ in range(4):
        for node in "abc":
            nodes.bring_up(node)
    assert nodes.contents("c") == nodes.contents("a") == nodes.contents("b")
    assert nodes.record("c", b"late") is not None
    assert not any(nodes.report(node).has_lost_log for node in "abc")


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("is_left", [False, True])
def test_what_the_primary_never_took_does_not_stay(nodes: Nodes, when: str, is_left: bool) -> None:
    """No log names it any more, or one that others take for the primary's: it would stay on the
    replica alone.

    is_left: whoever begins the log anew finds nobody to compare with, and another worker takes it
    up.
    """
    undecided = nodes.value(b"undecided", OLD_SECONDS)
    if when == "before":
        nodes.write("b", b"alone", undecided)
    lose_log(nodes, "b")
    if when == "after":
        nodes.write("b", b"alone", undecided)
    if is_left:
        nodes.meanwhile["change_member"] = lambda: nodes.down.add("a")
        assert not nodes.bring_up("b").finished
        nodes.down.clear()
    for node in "bacb":
        nodes.bring_up(node)
    assert nodes.report("b").is_serving
    assert nodes.present("b") == nodes.present("a")


def test_what_a_replica_counts_is_not_what_its_source_counts() -> None:
    """A mark that counts too many would make the primary look as if it had lost a part of its
    log.
    """
    nodes = Nodes(3)
    for _ in range(5):
        nodes.write("ab", b"key", nodes.value(b"value"))
    ids = [
        entry
        for entry, _ in nodes.client("a").execute_command("XRANGE", nodes.layout.log, "-", "+")
    ]
    forged = f"{nodes.report('a').incarnation} {ids[3].decode()} 5"
    field = nodes.view().position_fields["a"]
    nodes.client("c").execute_command("HSET", nodes.layout.marks, field, forged)
    nodes.bring_up("c")
    primary = nodes.report("a")
    assert nodes.contents("c") == nodes.contents("a")
    assert primary.cursors["c"].position == primary.log_end
    assert not primary.has_lost_log
    assert nodes.report("c").marks["a"].position == primary.log_end


@pytest.mark.parametrize("is_cut", [False, True])
def test_what_is_left_of_a_log_is_looked_through_where_no_mark_counts(
    nodes: Nodes, is_cut: bool
) -> None:
    """The primary's mark was made while c was brought up, beyond where the log before that had
    ended.

    Entries may stand before the floor yet. What came after that, before the primary's next look,
    would be passed over for good.
    """
    nodes.write("c", b"alone", nodes.value(b"undecided", OLD_SECONDS))
    found = nodes.report("c")
    lives = {
        "incarnation": "inc-next",
        "previous_incarnation": found.incarnation,
        "previous_end": "0-1",
    }
    nodes.client("c").hset(nodes.layout.member, mapping={**lives, "log_floor": found.log.first_id})
    if is_cut:
        nodes.client("c").xtrim(nodes.layout.log, maxlen=2)
    assert starting_mark(nodes.report("c"), nodes.report("a")) is None
    done = nodes.bring_up("a")
    assert any("may have been cut" in note for note in done.notes)
    assert b"alone" not in nodes.present("c")
    nodes.bring_up("c")
    found = nodes.report("c")
    assert nodes.bring_up("a").notes == []
    assert nodes.report("a").marks["c"].position == found.log_end
    assert nodes.report("c").lag_of("a") == 0
    assert nodes.present("c") == nodes.present("a")


@pytest.mark.parametrize("later", [1, 30])
def test_what_is_left_of_a_lost_log_stands_for_nothing_that_it_named_before(
    nodes: Nodes, later: int
) -> None:
    """A failover that dies has read it.

    The next one has to take from c what a had looked through there before that.

    later: entries of the log that replaced it; the lost one had fewer than thirty.
    """
    committed = nodes.value(b"committed")
    nodes.write("ac", b"key", committed)
    nodes.bring_up("a")
    assert nodes.report("c").checkpoints[0].position == nodes.report("c").log.end
    lose_log(nodes, "a")
    for number in range(later):
        nodes.write("ab", b"later%d" % number, nodes.value(b"v"))
    a = nodes.report("a")
    assert (
        nodes.send(
            "a", change_call(a, nodes.layout, {"state": "fenced", **forgotten_fields(a)}, None)
        )
        == 1
    )

    nodes.meanwhile["confirm"] = lambda: nodes.down.add("c")
    with contextlib.suppress(Unavailable):
        move(nodes, "b")
    nodes.down.clear()
    if nodes.view().topology.decider != "b":
        move(nodes, "b")
    assert nodes.record("b", b"key") == committed


def begin_anew(nodes: Nodes, node: str) -> None:
    """The node loses its log, and another worker brings it up: it serves, with a log of another
    incarnation.
    """
    lose_log(nodes, node)
    nodes.bring_up(node)
    assert nodes.report(node).is_serving


def test_a_late_worker_says_nothing_of_the_log_that_replaced_a_lost_one(nodes: Nodes) -> None:
    """It noted how far the lost log was confirmed.

    The next one looked lost by that, for as long as no primary served: here the primary's own log
    is lost next, and nobody could put it back to work or take its place.
    """
    nodes.bring_up("a")
    nodes.meanwhile["confirm"] = lambda: begin_anew(nodes, "b")
    nodes.bring_up("a")
    assert not nodes.meanwhile
    assert (nodes.report("b").has_lost_log, nodes.report("b").is_serving) == (False, True)
    lose_log(nodes, "a")
    assert move(nodes).primary in "bc"


def test_a_late_worker_reads_nothing_of_the_log_that_replaced_a_lost_one(nodes: Nodes) -> None:
    nodes.meanwhile["log_page"] = lambda: begin_anew(nodes, "b")
    with pytest.raises(Unavailable, match="begun anew while it was read"):
        nodes.bring_up("a")
    assert nodes.bring_up("a").finished


def test_a_late_worker_cuts_nothing_of_the_log_that_replaced_a_lost_one(nodes: Nodes) -> None:
    before = nodes.report("b")
    begin_anew(nodes, "b")
    steps = Steps(nodes.at)
    assert nodes.run(trim_log(nodes.view(), before, before.log.last_id, 1000, steps)) == 0
    assert not nodes.report("b").has_lost_log


def test_a_late_worker_begins_no_log_anew_that_is_in_order_again(nodes: Nodes) -> None:
    lose_log(nodes, "b")
    nodes.meanwhile["change_member"] = lambda: begin_anew(nodes, "b")
    with pytest.raises(Unavailable, match="changed while it was being looked at"):
        nodes.bring_up("b")
    assert nodes.report("b").is_serving


def test_what_is_left_of_the_primarys_log_is_no_place_to_note_on_a_replica(nodes: Nodes) -> None:
    """It counts nothing of what the lost log named: whoever reads on there would seem to have had
    it all.
    """
    before = nodes.report("b").checkpoints

    def lose_it_before_the_last_look() -> None:
        nodes.meanwhile["inspect"] = lambda: lose_log(nodes, "a")

    nodes.meanwhile["log_page"] = lose_it_before_the_last_look
    nodes.bring_up("a")
    assert nodes.report("a").has_lost_log
    assert nodes.report("b").checkpoints == before


def move(nodes: Nodes, to: str | None = None) -> FailedOver:
    return nodes.run(
        fail_over(nodes.layout, nodes.first.ids, FailoverOrder(nodes.at, to, frozenset(nodes.down)))
    )
