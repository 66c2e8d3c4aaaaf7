"""A log that ends before what others have of it tells of lost memory; one that was only read too
early does not.
"""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from redrepl.plans.epochs.failover import FailoverOrder, fail_over
from redrepl.plans.epochs.forgetful import BRIEFLY_SECONDS, forgetful_members, set_forgetful_aside
from redrepl.plans.epochs.membership import Tolerances, change_call
from redrepl.plans.inspect import NO_ENTRIES, inspect_nodes
from redrepl.plans.recovery.bring_up import BringUpOrder, bring_up
from redrepl.plans.recovery.upkeep import needs_bringing_up
from redrepl.plans.steps import Steps
from redrepl.values.effects import Exchange, PlainCommand
from redrepl.values.errors import Unavailable
from redrepl.values.report import FORGOT, LastEntry
from redrepl.values.reports import Reports
from redrepl.values.topology import Mode
from redrepl.values.walk import WALKED, Walk, doubt_about, field_of
from tests.unit.support.in_memory import MAX_AGE_SECONDS, Nodes


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


def look(nodes: Nodes) -> Reports:
    return nodes.run(inspect_nodes(nodes.layout, nodes.first.ids, nodes.at + 5))


def stopped(
    nodes: Nodes, reports: Reports, last_entries: Mapping[str, LastEntry] = NO_ENTRIES
) -> dict[str, str]:
    steps = Steps(nodes.at, last_entries=last_entries)
    return nodes.run(set_forgetful_aside(nodes.layout, nodes.view().topology, reports, steps))


def seen_entries(nodes: Nodes) -> dict[str, LastEntry]:
    """What somebody who looks now will ask for at the next look."""
    found = {node: nodes.report(node).last_entry_after(None) for node in nodes.first.ids}
    return {node: entry for node, entry in found.items() if entry is not None}


def look_again(nodes: Nodes, last_entries: Mapping[str, LastEntry]) -> Reports:
    return nodes.run(
        inspect_nodes(nodes.layout, nodes.first.ids, nodes.at + 5, last_entries=last_entries)
    )


def set_back_and_grown_again(nodes: Nodes, node: str) -> dict[str, LastEntry]:
    """A member forgets what others have read of its log, and its log is as long as it was when
    somebody looks again; answers what they saw before.
    """
    before = nodes.dump(node)
    for number in range(3):
        nodes.write("abc", b"lost-%d" % number, nodes.value(b"v"))
    last_entries = seen_entries(nodes)
    nodes.set_back(node, before)
    for number in range(4):
        nodes.write("abc", b"later-%d" % number, nodes.value(b"v"))
    return last_entries


def test_whoever_has_all_of_its_log_is_left_alone() -> None:
    nodes = cluster()
    assert stopped(nodes, look(nodes)) == {}


def test_a_member_whose_log_is_gone_serves_nothing_and_counts_as_restarted() -> None:
    nodes = cluster()
    nodes.send("b", PlainCommand((b"DEL", nodes.layout.log, nodes.layout.cursors)))
    assert set(stopped(nodes, look(nodes))) == {"b"}
    report = nodes.report("b")
    assert (report.is_serving, report.has_restarted, report.state) == (False, True, "fenced")
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
    mixed = look(nodes).updated(early.only("a"))
    assert set(forgetful_members(nodes.view().topology, mixed)) == {"a"}
    assert stopped(nodes, mixed) == {}
    assert nodes.report("a").is_serving


@pytest.mark.parametrize("node", ["a", "b"])
def test_an_entry_that_somebody_saw_and_is_gone_shows_it_where_the_log_grew_again(
    node: str,
) -> None:
    nodes = cluster()
    last_entries = set_back_and_grown_again(nodes, node)
    assert stopped(nodes, look(nodes)) == {}, "others have read nothing of it meanwhile"
    reports = look_again(nodes, last_entries)
    assert set(stopped(nodes, reports, last_entries)) == {node}
    settle(nodes)
    settle(nodes)
    assert nodes.report(node).is_serving
    assert nodes.contents("a") == nodes.contents("b") == nodes.contents("c")
    assert stopped(nodes, look_again(nodes, last_entries), last_entries) == {}, (
        "it has a log of a new incarnation"
    )


def test_an_entry_that_was_cut_is_no_loss() -> None:
    nodes = cluster()
    last_entries = seen_entries(nodes)
    nodes.write("abc", b"later", nodes.value(b"v"))
    for node in "abc":
        cut(nodes, node)
    assert stopped(nodes, look_again(nodes, last_entries), last_entries) == {}


def cut(nodes: Nodes, node: str) -> None:
    """All but the newest entry goes from the log of a node."""
    newest = nodes.report(node).log.newest_id
    nodes.send(node, PlainCommand((b"XTRIM", nodes.layout.log, b"MAXLEN", b"1")))
    nodes.send(node, PlainCommand((b"HSET", nodes.layout.member, b"log_floor", newest.encode())))


def test_what_was_seen_of_another_server_or_log_says_nothing() -> None:
    nodes = cluster()
    seen = seen_entries(nodes)
    seen["b"] = seen["b"]._replace(incarnation="inc-before", entry_id="1-0")
    seen["c"] = seen["c"]._replace(identity="id-before", entry_id="1-0")
    nodes.send("b", PlainCommand((b"XTRIM", nodes.layout.log, b"MAXLEN", b"0")))
    assert stopped(nodes, look_again(nodes, seen), seen) == {}


def test_who_forgot_a_moment_ago_takes_no_part_in_a_failover() -> None:
    """Nobody has set it aside yet: it serves, and has as much as anybody of what came since."""
    nodes = cluster()
    last_entries = set_back_and_grown_again(nodes, "b")
    nodes.down = {"a"}
    order = FailoverOrder(nodes.at, away=frozenset("a"), last_entries=last_entries)
    with pytest.raises(Unavailable) as caught:
        nodes.run(fail_over(nodes.layout, nodes.first.ids, order))
    assert caught.value.evidence["b"].startswith("forgot while its server went on")
    assert nodes.report("b").epoch == nodes.report("c").epoch == 1, "nobody was fenced"


def test_a_catch_up_under_way_does_not_go_on_beyond_what_was_forgotten() -> None:
    """Where nobody else looks: its mark went back with it, and the page that comes is of a later
    place.
    """
    nodes = cluster()
    before = nodes.dump("b")
    nodes.write("ac", b"lost", nodes.value(b"v"))
    nodes.bring_up("b")
    nodes.write("ac", b"later", nodes.value(b"v"))
    nodes.meanwhile["absorb"] = lambda: nodes.set_back("b", before)
    with pytest.raises(Unavailable) as caught:
        nodes.bring_up("b")
    assert caught.value.evidence["b"].endswith("is gone from its change log")
    nodes.bring_up("b")
    assert nodes.contents("b") == nodes.contents("a")


def test_a_copy_that_has_less_than_it_confirmed_is_brought_up_without_a_write_since() -> None:
    nodes = cluster()
    before = nodes.dump("b")
    nodes.write("abc", b"lost", nodes.value(b"v"))
    settle(nodes)
    nodes.set_back("b", before)
    reports = look(nodes)
    assert reports.present["a"].lag_of("b") == 0
    assert "b" in needs_bringing_up(nodes.view().topology, reports)
    settle(nodes)
    assert nodes.contents("b") == nodes.contents("a")


def test_a_member_that_forgets_while_it_is_brought_up_is_not_admitted_by_who_began_before() -> None:
    nodes = cluster()
    nodes.send("b", change_call(nodes.report("b"), nodes.layout, {"state": "syncing"}, None))
    forgets = change_call(nodes.report("b"), nodes.layout, {"run_id": FORGOT}, None)
    nodes.meanwhile["absorb"] = lambda: nodes.send("b", forgets)
    nodes.write("ac", b"later", nodes.value(b"v"))
    with pytest.raises(Unavailable, match="forgot while it was brought up"):
        nodes.bring_up("b")
    assert nodes.report("b").has_forgotten
    assert nodes.bring_up("b").full_syncs == 1
    assert nodes.report("b").is_serving


@pytest.mark.parametrize("doubt", ["it forgets again", "its clock is off again"])
def test_a_walk_that_filled_a_member_counts_for_nothing_the_next_time(doubt: str) -> None:
    """The worker that noted it was slow: the member served again by then."""
    nodes = cluster()
    for times in range(2):
        if doubt == "it forgets again":
            forget_newest_entry(nodes, "b")
        else:
            off = {"clock_off": "10.0 s ahead", "state": "syncing"}
            nodes.send("b", change_call(nodes.report("b"), nodes.layout, off, None))
        ended = ended_walk(nodes, "b")
        assert nodes.bring_up("b").full_syncs == 1, f"so it was {times} times before"
        nodes.client("b").hset(nodes.layout.member, field_of("a"), ended.encode())


def forget_newest_entry(nodes: Nodes, node: str) -> None:
    """Somebody saw an entry, which is gone, and sets the member aside for that."""
    nodes.write("abc", b"lost", nodes.value(b"v"))
    last_entries = seen_entries(nodes)
    nodes.send(
        node, PlainCommand((b"XDEL", nodes.layout.log, last_entries[node].entry_id.encode()))
    )
    assert set(stopped(nodes, look_again(nodes, last_entries), last_entries)) == {node}


def ended_walk(nodes: Nodes, target: str) -> Walk:
    """What a worker notes that has walked over all keys of a for this member, as it is now."""
    source, found = nodes.report("a"), nodes.report(target)
    merged_epoch, why = nodes.view().topology.merged_epoch, doubt_about(found)
    return Walk(
        source.incarnation, source.run_id, found.run_id, merged_epoch, source.log_end, why, WALKED
    )


def test_a_member_that_goes_back_to_before_it_was_admitted_again_is_noticed() -> None:
    """Its log has the incarnation that it had then: one that it never has again."""
    nodes = cluster()
    before = nodes.dump("b")
    forget_newest_entry(nodes, "b")
    settle(nodes)
    nodes.write("ab", b"committed", nodes.value(b"v"))
    last_entries = seen_entries(nodes)
    nodes.set_back("b", before)
    assert set(stopped(nodes, look_again(nodes, last_entries), last_entries)) == {"b"}


def test_a_crash_that_cost_the_last_second_is_called_a_restart() -> None:
    nodes = cluster()
    before = nodes.dump("a")
    nodes.write("abc", b"lost", nodes.value(b"v"))
    last_entries = seen_entries(nodes)
    nodes.restore("a", before)
    reports = look_again(nodes, last_entries)
    assert (reports.present["a"].has_restarted, reports.present["a"].restart) == (True, "restarted")
    assert stopped(nodes, reports, last_entries) == {}


def test_a_member_that_forgets_while_it_is_fenced_does_not_take_over() -> None:
    nodes = cluster()
    before = nodes.dump("b")
    nodes.write("ab", b"committed", nodes.value(b"v"))
    nodes.meanwhile["change_member"] = lambda: nodes.set_back("b", before)
    nodes.down = {"a"}
    order = FailoverOrder(nodes.at, away=frozenset("a"), last_entries=seen_by_somebody(nodes, "bc"))
    with pytest.raises(Unavailable, match="could be fenced"):
        nodes.run(fail_over(nodes.layout, nodes.first.ids, order))


def seen_by_somebody(nodes: Nodes, members: str) -> dict[str, LastEntry]:
    """The same as `seen_entries`, of some members."""
    found = {node: nodes.report(node).last_entry_after(None) for node in members}
    return {node: entry for node, entry in found.items() if entry is not None}


@pytest.mark.parametrize("mode", list(Mode))
def test_where_all_members_were_set_back_at_once_they_begin_again(mode: Mode) -> None:
    """As after a restart of all: nobody has anything newer."""
    nodes = Nodes(3, mode)
    nodes.write("abc", b"kept", nodes.value(b"v"))
    settle(nodes)
    settle(nodes)
    before = {node: nodes.dump(node) for node in "abc"}
    nodes.write("abc", b"lost", nodes.value(b"v"))
    last_entries = seen_entries(nodes)
    for node in "abc":
        nodes.set_back(node, before[node])
    stopped(nodes, look_again(nodes, last_entries), last_entries)
    for node in "abc" * 3:
        nodes.bring_up(node, fails_over=True)
    assert [nodes.report(node).is_serving for node in "abc"] == [True] * 3
    assert [set(nodes.contents(node)) for node in "abc"] == [{b"kept"}] * 3


def test_several_primaries_of_which_some_were_set_back_are_filled_by_the_others() -> None:
    nodes = Nodes(3, Mode.MULTI_PRIMARY)
    nodes.write("abc", b"kept", nodes.value(b"v"))
    before = {node: nodes.dump(node) for node in "ab"}
    nodes.write("abc", b"lost", nodes.value(b"v"))
    last_entries = seen_entries(nodes)
    for node in "ab":
        nodes.set_back(node, before[node])
    assert set(stopped(nodes, look_again(nodes, last_entries), last_entries)) == {"a", "b"}
    settle(nodes)
    settle(nodes)
    assert [nodes.report(node).is_serving for node in "abc"] == [True] * 3
    assert [set(nodes.contents(node)) for node in "abc"] == [{b"kept", b"lost"}] * 3


@pytest.mark.parametrize("how", ["it forgot before", "it came back empty"])
def test_a_member_that_is_set_back_while_it_is_walked_does_not_serve_without_what_it_lost(
    how: str,
) -> None:
    nodes = cluster()
    for number in range(1200):
        nodes.write("abc", b"many-%d" % number, nodes.value(b"v"))
    settle(nodes)
    if how == "it forgot before":
        forget_newest_entry(nodes, "b")
        nodes.client("b").delete(*nodes.client("b").keys(nodes.layout.data_pattern))
    else:
        nodes.lose_everything("b")
        nodes.bring_up("b", budget_seconds=0.0)  # it gets a place
    before = nodes.dump("b")
    pages = iter(range(10))

    def set_back_after_two_pages() -> None:
        if next(pages) == 2:
            nodes.set_back("b", before)
        else:
            nodes.meanwhile["absorb"] = set_back_after_two_pages

    nodes.meanwhile["absorb"] = set_back_after_two_pages
    with pytest.raises(Unavailable, match="forgot a part"):
        nodes.bring_up("b")
    assert not nodes.report("b").is_serving
    nodes.bring_up("b")
    assert nodes.report("b").is_serving
    assert nodes.contents("b") == nodes.contents("a")


def test_a_member_that_is_set_back_just_before_it_is_admitted_is_not() -> None:
    nodes = cluster()
    forget_newest_entry(nodes, "b")
    walked: list[object] = []

    def after_the_walk_and_after_the_log() -> None:
        """Both are confirmed on the source."""
        if walked:
            nodes.set_back("b", walked[0])
            return
        walked.append(nodes.dump("b"))
        nodes.write("ac", b"later", nodes.value(b"v"))
        nodes.meanwhile["log_page"] = lambda: nodes.meanwhile.update(
            confirm=after_the_walk_and_after_the_log
        )

    nodes.meanwhile["confirm"] = after_the_walk_and_after_the_log
    with pytest.raises(Unavailable, match="forgot while it was brought up"):
        nodes.bring_up("b")
    assert not nodes.report("b").is_serving
    nodes.bring_up("b")
    assert nodes.contents("b") == nodes.contents("a")


@pytest.mark.parametrize("copies", [2, 3])
def test_a_primary_that_forgot_is_not_taken_at_its_word_beside_members_that_merely_restarted(
    copies: int,
) -> None:
    """They have what it lacks: one is being brought up, of three the third restarted too."""
    nodes = Nodes(copies)
    ids = "abc"[:copies]
    nodes.write(ids, b"kept", nodes.value(b"v"))
    for node in ids * 2:
        nodes.bring_up(node)
    before = nodes.dump("a")
    nodes.write("ab", b"committed", nodes.value(b"v"))
    entry = nodes.report("a").last_entry_after(None)
    assert entry is not None
    nodes.restart("b")
    nodes.send("b", change_call(nodes.report("b"), nodes.layout, {"state": "syncing"}, None))
    nodes.set_back("a", before)
    reports = nodes.run(inspect_nodes(nodes.layout, ids, nodes.at + 5, last_entries={"a": entry}))
    assert set(stopped(nodes, reports)) == {"a"}
    if copies == 3:
        nodes.restart("c")
    with pytest.raises(Unavailable, match="needed to see what it lost"):
        nodes.bring_up("a", fails_over=True)
    assert b"committed" in nodes.present("b")


def test_a_member_set_back_between_two_sources_is_not_admitted_without_what_the_first_brought() -> (
    None
):
    nodes = Nodes(3, Mode.MULTI_PRIMARY)
    nodes.write("ab", b"key", nodes.value(b"v"))
    settle(nodes)
    nodes.lose_everything("c")

    def die() -> None:
        raise KeyboardInterrupt

    nodes.meanwhile["absorb"] = die  # whoever gives it a place, before anything is brought there
    with pytest.raises(KeyboardInterrupt):
        nodes.bring_up("c")
    taken: list[object] = []
    nodes.meanwhile["absorb"] = lambda: taken.append(nodes.dump("c"))

    def set_back_while_the_second_is_walked() -> None:
        if taken and any(field_of("b") in name for name in nodes.report("c").member):
            nodes.set_back("c", taken[0])
        else:
            nodes.meanwhile["hold"] = set_back_while_the_second_is_walked

    nodes.meanwhile["hold"] = set_back_while_the_second_is_walked
    with pytest.raises(Unavailable, match="forgot"):
        nodes.bring_up("c")
    assert not nodes.report("c").is_serving
    nodes.bring_up("c")
    assert nodes.contents("c") == nodes.contents("a")


@pytest.mark.parametrize("when", ["between two witnesses", "when it has all"])
def test_a_primary_that_is_set_back_while_it_is_put_back_to_work_is_not_admitted(when: str) -> None:
    nodes = Nodes(3)
    nodes.write("abc", b"kept", nodes.value(b"v"))
    settle(nodes)
    settle(nodes)
    old = nodes.dump("a")
    nodes.write("ab", b"committed-1", nodes.value(b"v"))
    nodes.write("ac", b"committed-2", nodes.value(b"v"))
    nodes.restore("a", old)
    taken: list[object] = []
    stored = iter(range(10))

    def set_back_before_the_second() -> None:
        if next(stored) == 0:
            taken.append(nodes.dump("a"))
            nodes.meanwhile["absorb_oom"] = set_back_before_the_second
        elif when == "between two witnesses":
            nodes.set_back("a", taken[0])
        else:
            nodes.meanwhile["log_page"] = lambda: nodes.set_back("a", taken[0])

    nodes.meanwhile["absorb_oom"] = set_back_before_the_second
    with pytest.raises(Unavailable, match="forgot"):
        nodes.bring_up("a")
    assert not nodes.report("a").is_serving
    nodes.bring_up("a")
    assert nodes.report("a").is_serving
    assert {b"committed-1", b"committed-2"} <= set(nodes.present("a"))


def test_who_says_that_it_forgot_and_then_nothing_keeps_a_monitor_for_a_moment_only() -> None:
    nodes = cluster()
    last_entries = seen_entries(nodes)
    nodes.send("b", PlainCommand((b"XDEL", nodes.layout.log, last_entries["b"].entry_id.encode())))
    reports = look_again(nodes, last_entries)
    topology = nodes.view().topology
    effect = next(
        set_forgetful_aside(nodes.layout, topology, reports, Steps(nodes.at), asks_again=False)
    )
    assert isinstance(effect, Exchange)
    assert [request.node for request in effect.requests] == ["b"]
    assert effect.until - nodes.at <= BRIEFLY_SECONDS


def test_of_two_workers_that_begin_a_lost_log_anew_none_brings_an_incarnation_back() -> None:
    """To whoever saw both, the member would have gone back to the earlier log."""
    nodes = cluster()
    forget_newest_entry(nodes, "b")
    nodes.send("b", PlainCommand((b"DEL", nodes.layout.log)))
    seen: list[str] = []

    def begin_anew_too() -> None:
        seen.append(nodes.report("b").incarnation)
        other = {"incarnation": "inc-of-the-other", "previous_incarnation": seen[0]}
        nodes.send("b", change_call(nodes.report("b"), nodes.layout, other, None))

    nodes.meanwhile["confirm"] = (
        begin_anew_too  # the first one has begun it anew, and lets go of its cursors
    )
    nodes.bring_up("b")
    assert nodes.report("b").is_serving
    assert nodes.report("b").incarnation not in ("inc-b", *seen, "inc-of-the-other")


def test_a_member_that_others_brought_up_meanwhile_is_not_stopped_once_more() -> None:
    """Whoever accuses it is slow: it serves again, in the same epoch and run, when that arrives."""
    nodes = cluster()
    last_entries = set_back_and_grown_again(nodes, "b")
    reports = look_again(nodes, last_entries)

    def others_are_quicker() -> None:
        assert set(stopped(nodes, reports, last_entries)) == {"b"}
        settle(nodes)
        assert nodes.report("b").is_serving

    nodes.meanwhile["change_member"] = others_are_quicker
    assert stopped(nodes, reports, last_entries) == {}
    assert nodes.report("b").is_serving


@pytest.mark.parametrize("log", ["lacks an entry", "was cut too", "is gone"])
def test_what_is_undecided_in_the_log_of_a_copy_that_forgot_is_looked_at_from_its_first_write_on(
    log: str,
) -> None:
    """No mark of the primary's counts in that log; but when it was filled all in it was the
    primary's.
    """
    nodes = cluster()
    forget_newest_entry(nodes, "b")
    if log == "is gone":
        nodes.send("b", PlainCommand((b"DEL", nodes.layout.log)))
    elif log == "was cut too":
        cut(nodes, "b")
    nodes.bring_up("b")
    nodes.write("b", b"undecided", nodes.value(b"v", seconds_ago=2 * MAX_AGE_SECONDS))
    settle(nodes)
    settle(nodes)
    assert b"undecided" not in nodes.present("b")


@pytest.mark.parametrize("log", ["was cut too", "is gone"])
def test_the_primary_goes_on_where_the_log_of_a_copy_that_forgot_ended_when_it_was_filled(
    log: str,
) -> None:
    """Else it looks through all that is left there, and an operator is told to look for what was
    cut.
    """
    nodes = cluster()
    forget_newest_entry(nodes, "b")
    if log == "is gone":
        nodes.send("b", PlainCommand((b"DEL", nodes.layout.log)))
    else:
        cut(nodes, "b")
    nodes.bring_up("b")
    assert nodes.bring_up("a").notes == []


def test_marks_of_a_log_that_went_back_count_for_nothing_whatever_its_ids() -> None:
    """A machine that is set back goes on with the time of then for a moment, and gives ids that
    others have read.
    """
    nodes = cluster()
    before, last_id = nodes.dump("a"), nodes.report("a").log.last_id
    nodes.write("abc", b"lost", nodes.value(b"v"))
    settle(nodes)
    last_entries = seen_entries(nodes)
    nodes.set_back("a", before)
    early, record = f"{last_id.partition('-')[0]}-77", nodes.value(b"regrown")
    nodes.client("a").set(nodes.layout.data(b"regrown"), record.encode())
    nodes.client("a").xadd(
        nodes.layout.log, {nodes.layout.data(b"regrown"): record.stamp.encode()}, id=early
    )
    nodes.write("abc", b"later", nodes.value(b"v"))
    assert set(stopped(nodes, look_again(nodes, last_entries), last_entries)) == {"a"}
    for node in "abc" * 3:
        nodes.bring_up(node)
    assert nodes.contents("a") == nodes.contents("b") == nodes.contents("c")


def test_a_member_whose_log_was_begun_anew_and_is_empty_is_left_alone() -> None:
    """Others note of it that they have all, a place behind its beginning: nothing was ever
    there.
    """
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
    """c took over with b; then b came back with what it was before, and was admitted by a, which
    was left behind.
    """
    nodes = Nodes(3)
    nodes.write("abc", b"key", nodes.value(b"before"))
    before = nodes.dump("b")
    nodes.down = {"a"}
    nodes.run(
        fail_over(nodes.layout, nodes.first.ids, FailoverOrder(nodes.at, "c", frozenset("a")))
    )
    committed = nodes.value(b"committed")
    nodes.write("bc", b"key", committed)
    nodes.restore("b", before)
    nodes.down = {"c"}
    while not nodes.bring_up("b").activated:
        pass
    nodes.down = set()
    reports = nodes.run(inspect_nodes(nodes.layout, nodes.first.ids, nodes.at + 5))
    assert "c" in reports.present, reports.silent
    assert (
        nodes.run(fail_over(nodes.layout, nodes.first.ids, FailoverOrder(nodes.at))).primary == "c"
    )
    for node in "abc" * 2:
        nodes.bring_up(node)
    assert [nodes.record(node, b"key") for node in "abc"] == [committed] * 3


@pytest.mark.parametrize("silent", ["", "c"])
def test_one_that_restarted_counts_again_where_enough_others_show_that_nothing_has_begun(
    silent: str,
) -> None:
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
