"""Whom to believe: a majority, and no single member that lies; and every word that an honest one
can be alone with.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from redrepl.plans.epochs.soundness import newest_epoch
from redrepl.plans.hearsay import (
    LEFT_OVER_EPOCHS,
    PLAUSIBLE_EPOCHS,
    Voice,
    believed,
    may_be_over,
    may_follow,
    not_believed,
)
from redrepl.values import limits
from redrepl.values.report_answer import Unreadable
from redrepl.values.reports import Reports
from redrepl.values.topology import Member, Mode, NodeRole, Topology
from tests.unit.support.by_hand import topology
from tests.unit.support.reports import report

OLD = 7


def cluster(copies: int) -> Topology:
    """Members a (primary), b, c ... in epoch 7, with identities."""
    plain = topology(copies, epoch=OLD)
    return plain.with_identities({node: f"id-{node}" for node in plain.ids})


def says(
    told: Topology | None, node: str, epoch: int | None = None, is_serving: bool = True
) -> Voice:
    """What a member says that was told this topology; ``epoch``: where it works in another one."""
    at = told.epoch if epoch is None and told is not None else epoch or 0
    return Voice(node, f"id-{node}", at, is_serving, told)


def only(told: Topology, node: str, epoch: int) -> Topology:
    """A topology with this member alone, as primary."""
    member = replace(told.member(node), role=NodeRole.PRIMARY)
    return replace(told, epoch=epoch, merged_epoch=epoch, members=(member,))


def forged(old: Topology, kind: str) -> Topology:
    """What a member may tell that nobody began."""
    if kind == "it alone":
        return only(old, "c", OLD + 1)
    if kind == "it is primary":
        return old.with_primary("c", OLD + 1)
    if kind == "one more member":
        return old.with_member(Member("x", "redis://evil:1/0", NodeRole.REPLICA, "id-x"))
    if kind == "far ahead":
        return old.with_primary("c", OLD + limits.SKIPPED_EPOCHS)
    members = tuple(replace(each, role=NodeRole.PRIMARY) for each in old.members)
    return replace(old, epoch=OLD + 1, members=members, mode=Mode.MULTI_PRIMARY)


KINDS = ["it alone", "it is primary", "one more member", "far ahead"]


def test_the_primary_that_it_names_is_not_in_its_epoch() -> None:
    """Two are silent, so that a majority could have moved; but it would not have named a primary
    that has not.
    """
    old = cluster(5)
    more, other = forged(old, "one more member"), old.with_primary("b", OLD + 1)
    serving = [says(old, "a"), says(old, "c")]
    assert believed([*serving, says(more, "b")]) == old
    assert believed([says(None, "a", OLD), says(old, "c"), says(more, "b")]) == old, (
        "its own topology is gone"
    )
    assert (
        believed([*serving, says(other, "b"), says(old, "d", OLD + 1, is_serving=False)]) == other
    )
    # Its server may have been set back: of as many who moved and who did not, nothing is known.
    assert believed([*serving, says(more, "b"), says(more, "d")]) == more
    seven = cluster(7)
    more = forged(seven, "one more member")
    assert (
        believed([*(says(seven, node) for node in "ace"), says(more, "b"), says(more, "d")])
        == seven
    )


def test_a_primary_that_was_never_told_its_epoch_has_not_begun_it() -> None:
    """A failover that died has left b and c in the next epoch, and a is about to be; c makes up who
    a is, and where.
    """
    old = cluster(3)
    elsewhere = replace(old.member("a"), url="redis://evil:1/0", identity="id-evil")
    made_up = replace(old, members=(elsewhere, *old.members[1:])).with_primary("b", OLD + 1)
    fenced = says(old, "b", OLD + 1, is_serving=False)
    for more in ([], [says(old, "a")]):
        assert believed([*more, fenced, says(made_up, "c")]) == old
        assert believed([*more, fenced, says(old, "c", OLD + 1)], known=made_up) == old
    # Who restarted may have lost what it was told, and a second one says the same.
    assert believed([fenced._replace(has_restarted=True), says(made_up, "c")]) == made_up
    assert believed([fenced, says(made_up, "a"), says(made_up, "c")]) == made_up


@pytest.mark.parametrize("state", ["fenced", "serves in that epoch"])
def test_what_one_replica_tells_alone_moves_no_server_to_another_address(state: str) -> None:
    """The primary is silent, and somebody has moved b to the very epoch that c made up: so b does
    not serve in the earlier one, and has not been told of the later either.
    """
    old = cluster(3)
    moved = old.with_replaced(replace(old.member("b"), url="redis://evil:1/0"))
    denies = says(old, "b", OLD + 1, is_serving=state != "fenced")
    assert believed([denies, says(moved, "c")]) == old
    restarted = denies._replace(has_restarted=True)
    assert believed([restarted, says(moved, "c")], known=old) == replace(old, epoch=OLD + 1), (
        "b may have forgotten it"
    )


def test_what_the_primary_alone_tells_of_fewer_members_is_believed() -> None:
    """An operator gave two members up; one of them answers again."""
    old = cluster(3)
    alone = only(old, "a", OLD + 1)
    assert believed([says(alone, "a"), says(old, "b", OLD + 1, is_serving=False)]) == alone


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("copies", [3, 5])
def test_what_one_replica_tells_alone_is_not_believed(kind: str, copies: int) -> None:
    old = cluster(copies)
    lie = forged(old, kind)
    voices = {node: says(old, node) for node in old.ids} | {"c": says(lie, "c")}
    assert believed(voices.values()) == old
    assert set(not_believed(voices)) == {"c"}


@pytest.mark.parametrize("kind", KINDS[:3])
def test_of_two_copies_the_primary_is_believed(kind: str) -> None:
    old = cluster(2)
    renamed = cluster(3)
    lie = {"it alone": only(old, "b", 8), "it is primary": old.with_primary("b", 8)}.get(
        kind, old.with_member(renamed.member("c"))
    )
    assert believed([says(old, "a"), says(lie, "b")]) == old
    changed = only(old, "a", 8)
    assert believed([says(changed, "a"), says(old, "b")]) == changed
    four = cluster(4)
    lie = four.with_primary("b", OLD + 1)
    assert believed([says(four, "a"), says(lie, "b"), says(lie, "c"), says(four, "d")]) == four, (
        "nor half of four"
    )


def test_a_topology_that_was_known_before_counts_too() -> None:
    old = cluster(3)
    voices = [says(None, "a", OLD), says(None, "b", OLD), says(forged(old, "it alone"), "c")]
    assert believed(voices, old) == old


def test_epochs_far_ahead_are_not_believed() -> None:
    old = cluster(3)
    at_work = {node: says(old, node) for node in old.ids}
    for epoch, is_lie in (
        (OLD + LEFT_OVER_EPOCHS, False),
        (OLD + LEFT_OVER_EPOCHS + 1, True),
        (limits.MAX_EPOCH, True),
    ):
        assert set(not_believed(at_work | {"c": says(old, "c", epoch)})) == (
            {"c"} if is_lie else set()
        )
    left = {"b": says(old, "b"), "c": says(old, "c", OLD + PLAUSIBLE_EPOCHS)}
    assert not not_believed(left)
    assert set(not_believed(left | {"c": says(old, "c", OLD + PLAUSIBLE_EPOCHS + 1)})) == {"c"}


@pytest.mark.parametrize("copies", [2, 3, 4, 5])
def test_a_failover_that_only_the_new_primary_tells_is_believed(copies: int) -> None:
    """A majority was fenced; the former primary does not know it yet, and others were left out."""
    old = cluster(copies)
    new = old.with_primary("b", OLD + 1)
    moved = copies // 2 + 1
    nodes = ["b", *[node for node in old.ids if node not in "ab"], "a"]
    voices = {
        node: says(old, node, OLD + 1) if place < moved else says(old, node)
        for place, node in enumerate(nodes)
    }
    voices["b"] = says(new, "b")
    assert believed(voices.values()) == new
    assert not not_believed(voices)
    assert believed([voices["b"]], old) == new


@pytest.mark.parametrize("copies", [3, 5])
@pytest.mark.parametrize("other", ["a", "c"])
def test_while_another_one_serves_one_member_alone_is_not_believed(copies: int, other: str) -> None:
    """The others are silent: a majority may have moved, or one replica lies.

    Who follows it gives up what the other one has, for good; who begins another epoch keeps it, and
    what a real one has too.
    """
    old = cluster(copies)
    new = old.with_primary("b", OLD + 1)
    third = "c" if other == "a" else "a"
    heard = [says(old, other), says(new, "b")]
    assert believed(heard) == believed(heard, old) == old
    assert believed([*heard, says(old, third, OLD + 1, is_serving=False)]) == new, (
        "a second one has moved"
    )
    assert believed(heard, new) == new, "it was known before"
    assert believed([says(old, other, is_serving=False), says(new, "b")]) == new, (
        "it does not serve any more"
    )
    others = tuple(
        replace(each, identity="id-new") if each.id == other else each for each in new.members
    )
    another = replace(new, members=others, epoch=OLD + 2)
    assert believed([says(old, other), says(another, "b")]) == another, (
        "another server has its place"
    )


@pytest.mark.parametrize("copies", [2, 3, 4, 5])
def test_a_change_of_members_that_only_the_primary_tells_is_believed(copies: int) -> None:
    """It takes as few as meet every majority (docs/protocol.md, 5.2), the primary among them."""
    old = cluster(copies)
    new = old.without_member(old.ids[-1])
    moved = copies - copies // 2
    voices = {
        node: says(old, node, OLD + 1) if place < moved else says(old, node)
        for place, node in enumerate(old.ids)
    }
    voices["a"] = says(new, "a")
    assert believed(voices.values()) == new
    assert not not_believed(voices)


def accepted(old: Topology) -> Topology:
    """What an operator makes who goes on from b and gives up what it lacks."""
    moved = old.with_primary("b", OLD + limits.SKIPPED_EPOCHS)
    members = tuple(
        replace(each, identity="id-fresh") if each.id == "b" else each for each in moved.members
    )
    return replace(moved, members=members)


@pytest.mark.parametrize("copies", [2, 3, 5])
@pytest.mark.parametrize("meanwhile", [0, 3])
def test_an_accepted_loss_is_believed_whoever_comes_back(copies: int, meanwhile: int) -> None:
    """The operator's word. Those that were away may have gone on without it."""
    old = cluster(copies)
    truth = accepted(old)
    others = replace(old, epoch=OLD + meanwhile)
    voices = {node: says(others, node) for node in old.ids}
    voices["b"] = Voice("b", "id-fresh", truth.epoch, True, truth)
    if copies == 5:
        voices["e"] = says(truth, "e")  # it has come along
    assert believed(voices.values()) == truth
    assert not not_believed(voices)


def test_what_only_looks_like_an_accepted_loss_holds_no_program() -> None:
    """The member that it names as the truth answers, and knows nothing of it: it was filled anew
    meanwhile.
    """
    old = cluster(3)
    lie = accepted(old)
    for b in (
        says(old, "b"),
        Voice("b", "id-fresh", OLD, True, old),
        Voice("b", "id-old", lie.epoch, True, lie),
    ):
        assert believed([says(old, "a"), b, says(old, "c")], known=lie) == old
    assert believed([says(old, "a"), says(old, "c")], known=lie) == lie, (
        "it is silent, and may be the truth"
    )


def test_an_operator_gives_the_truth_an_identity_that_it_never_had() -> None:
    """b was filled anew as another server; what it tells as the one that it was is none of an
    operator's decisions.
    """
    first = cluster(3)
    members = tuple(
        replace(each, identity="id-second") if each.id == "b" else each for each in first.members
    )
    second = replace(first, epoch=OLD + 1, members=members)
    lie = first.with_primary("b", OLD + limits.SKIPPED_EPOCHS)
    voices = [says(second, "a"), says(lie, "b"), says(second, "c")]
    assert believed(voices, known=first) == second
    assert believed(voices) == lie, "of what was before a new program knows nothing"


def test_the_primary_alone_goes_on_where_an_operator_gives_members_up() -> None:
    old = cluster(3)
    left = replace(old.without_member("b"), epoch=OLD + limits.SKIPPED_EPOCHS)
    assert believed([says(left, "a"), says(old, "b"), says(old, "c")]) == left


def test_what_a_silent_majority_may_have_begun_is_believed() -> None:
    old = cluster(5)
    new = old.without_member("e")
    assert believed([says(old, "b"), says(new, "c"), says(new, "d")]) == new


def test_several_primaries_do_not_become_one_cluster_of_another_kind() -> None:
    old = cluster(3)
    lie = forged(old, "several primaries")
    assert believed([says(old, "a"), says(lie, "c")]) == old


def test_one_step_moves_the_role_or_changes_the_members() -> None:
    """A failover has fenced all, and c says that it is the primary of the epoch that comes next,
    without b or alone.
    """
    old = cluster(3)
    fenced = [says(old, node, OLD + 1, is_serving=False) for node in "ab"]
    assert believed([*fenced, says(only(old, "c", OLD + 1), "c")]) == old
    assert believed([*fenced, says(old.with_primary("c", OLD).without_member("b"), "c")]) == old
    assert believed([*fenced, says(old.with_primary("c", OLD + 1), "c")]) == old.with_primary(
        "c", OLD + 1
    )
    two_later = replace(old.with_primary("c", OLD + 1).without_member("b"), merged_epoch=OLD + 1)
    assert believed([says(old, "a", OLD + 2, is_serving=False), says(two_later, "c")]) == two_later


def test_of_two_kinds_neither_is_believed_where_nothing_decides() -> None:
    """A switchover that died has fenced a, c is silent, and b says that all are primaries by
    now.
    """
    old = cluster(3)
    lie = forged(old, "several primaries")
    heard = [says(old, "a", OLD + 1, is_serving=False), says(lie, "b")]
    assert believed(heard) is None
    assert believed(heard, old) == old
    assert (
        believed([*heard, says(old, "c")])
        == believed([*heard, says(old, "c", OLD + 1, is_serving=False)])
        == old
    )


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("kind", [*KINDS[:3], "several primaries"])
def test_of_two_topologies_of_one_epoch_a_majority_tells_the_right_one(
    kind: str, is_first: bool
) -> None:
    """An epoch begins that one replica had guessed: the guard of its number is right everywhere."""
    old = cluster(3)
    new, lie = old.with_primary("b", OLD + 1), replace(forged(old, kind), epoch=OLD + 1)
    voices = [says(new, "a"), says(new, "b"), says(lie, "c")]
    told = voices[::-1] if is_first else voices
    assert believed(told, old) == believed(told) == new
    assert believed(told, lie) == new, "a program that had followed it goes back"


@pytest.mark.parametrize("kind", KINDS[:3])
def test_of_two_topologies_of_one_epoch_that_one_member_each_tells_none_is_new(kind: str) -> None:
    old = cluster(3)
    new, lie = old.with_primary("b", OLD + 1), replace(forged(old, kind), epoch=OLD + 1)
    contradicting = [says(lie, "c"), says(new, "b")]
    assert (believed(contradicting, old), believed(contradicting)) == (old, None)
    assert believed(contradicting, new) == new
    assert believed([says(lie, "c"), says(old, "a", OLD + 1)], new) == new


def test_whoever_names_itself_in_the_present_epoch_is_not_followed_when_the_primary_dies() -> None:
    """Its primary alone tells it, but the primary of the other one cannot speak any more."""
    present = cluster(3)
    lie = present.with_primary("c", OLD)
    voices = [says(present, "b"), says(lie, "c")]
    assert (believed(voices), believed(voices, present)) == (None, present)
    assert believed([*voices, says(present, "a")]) == present
    assert believed([says(present.with_primary("b", OLD), "c"), says(present, "b")]) == present, (
        "b says otherwise"
    )


def test_who_bears_the_name_of_another_member_speaks_for_nobody() -> None:
    """While the primary a is silent, the server with c's identity says that it is a, and that c is
    the primary.
    """
    present = cluster(3)
    lie = present.with_primary("c", OLD)
    voices = [says(present, "b"), says(lie, "a")._replace(identity="id-c")]
    assert (believed(voices), believed(voices, present)) == (None, present)
    assert believed([*voices, says(present, "a")]) == present
    later = says(
        present.with_member(Member("x", "redis://evil:1/0", NodeRole.REPLICA, "id-x")), "a"
    )
    assert later.topology is not None
    assert may_follow(later.topology, present, [later])
    assert not may_follow(later.topology, present, [later._replace(identity="id-c")])


def test_who_bears_the_name_of_another_member_does_not_end_its_epoch() -> None:
    present = cluster(3)
    later = present.with_primary("c", OLD + 3)
    stayed, gone = [says(present, "a"), says(present, "b")], says(later, "b")
    assert may_be_over(present, [stayed[0], gone], {})
    assert not may_be_over(present, [*stayed, gone._replace(identity="id-c")], {})
    assert not may_be_over(present, [gone._replace(identity="id-c"), *stayed], {})


def test_a_program_that_hears_one_member_alone_does_not_go_to_another_cluster_of_the_name() -> None:
    """c was replaced meanwhile, and says that it has been alone all the time: nothing joins the
    two.
    """
    known = cluster(3)
    member = replace(known.member("c"), role=NodeRole.PRIMARY, identity="id-new-c")
    alone = replace(known, merged_epoch=OLD, members=(member,))
    assert not alone.is_related_to(known)
    for later in (0, 1, 100):
        told = replace(alone, epoch=OLD + later)
        assert believed([Voice("c", "id-new-c", told.epoch, True, told)], known) == known


@pytest.mark.parametrize("kind", [*KINDS[:3], "several primaries"])
@pytest.mark.parametrize("earlier", [1, 3])
def test_a_topology_of_an_earlier_epoch_that_one_replica_made_up_refutes_nothing(
    kind: str, earlier: int
) -> None:
    old = cluster(3)
    lie = replace(forged(old, kind), epoch=OLD - earlier, merged_epoch=1)
    voices = [says(lie, "c"), says(old, "a"), says(old, "b")]
    assert believed(voices) == believed(voices, old) == old
    assert not {"a", "b"}.intersection(not_believed({voice.node: voice for voice in voices}))
    assert believed(voices[:2], old) == old, "the other one is silent"
    if kind in ("it alone", "one more member", "far ahead"):
        assert believed(voices[:2]) == old


def test_a_program_never_goes_to_a_cluster_of_another_kind() -> None:
    old = cluster(3)
    lie = forged(old, "several primaries")
    assert not may_follow(lie, old, [says(lie, "c"), says(old, "a", OLD + 1)])


@pytest.mark.parametrize(
    ("told", "next_after"), [(b"7", 7), (b"14", 14), (b"15", 4), (b"x", 4), (b"", 4)]
)
def test_the_number_of_one_who_is_not_believed_is_not_given_again(
    told: bytes, next_after: int
) -> None:
    """If it was right after all, there would be two primaries in one epoch.

    A number far off is nobody's.
    """
    lies = Unreadable("it lies", (told, b"active", b"run", b"id-b"))
    assert (
        newest_epoch(Reports({"a": report("a", member={"epoch": "4"})}, {"b": lies})) == next_after
    )


@pytest.mark.parametrize(
    ("guard", "next_after"),
    [
        ("7 ", 7),
        ("14 ", 14),
        ("15 ", 4),
        ("7 active", 4),
        ("7", 4),
        (" ", 4),
        ("x ", 4),
        ("\u0667 ", 4),
        ("", 4),
    ],
)
def test_nor_is_the_number_of_one_whose_bookkeeping_was_dropped(
    guard: str, next_after: int
) -> None:
    dropped = replace(report("b"), member={}, guard=guard)
    assert (
        newest_epoch(Reports({"a": report("a", member={"epoch": "4"}), "b": dropped})) == next_after
    )
    serving = replace(report("b", member={"epoch": "4"}), guard=guard)
    assert newest_epoch(Reports({"b": serving})) == 4, (
        "a member that lost its guard says which epoch it works in"
    )


@pytest.mark.parametrize(("further", "is_believed"), [(1, True), (11, True), (12, False)])
def test_the_first_of_several_primaries_that_moves_is_believed(
    further: int, is_believed: bool
) -> None:
    """Also where it moved beyond the farthest number that a member told of.

    Else nobody ends what died after that.
    """
    old = replace(forged(cluster(3), "several primaries"), epoch=OLD)
    new = replace(
        old.with_replaced(replace(old.member("c"), identity="id-new")), epoch=OLD + further
    )
    voices = [says(new, "a"), says(old, "b"), says(old, "c", is_serving=False)]
    assert believed(voices) == (new if is_believed else old)


@pytest.mark.parametrize("others", ["a", "ab"])
def test_the_next_epoch_has_no_address_that_one_member_made_up(others: str) -> None:
    """A failover died when all were fenced; that one then told the topology of this epoch, which
    nobody else knows, and the others have restarted and may have forgotten.
    """
    old = cluster(3)
    begun = old.with_primary("c", OLD + 1)
    elsewhere = replace(begun.member("a"), url="redis://nowhere:6379/0")
    made_up = replace(begun, members=(elsewhere, *begun.members[1:]))
    voices = [says(made_up, "c"), *(says(old, node, OLD + 1, is_serving=False) for node in others)]
    voices[1:] = [voice._replace(has_restarted=True) for voice in voices[1:]]
    assert believed(voices, old) == begun


def test_a_server_that_got_a_place_is_at_its_new_address() -> None:
    old = cluster(3)
    moved = replace(old.member("b"), url="redis://new:6379/0", identity="id-new")
    replaced = replace(old, epoch=OLD + 1, members=(old.member("a"), moved, old.member("c")))
    voices = [says(replaced, "a"), says(old, "c", OLD + 1)]
    assert believed(voices, old) == replaced
