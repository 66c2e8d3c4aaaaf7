"""One node that lies: what it names, and the stamps that it has, reach no other node."""

from __future__ import annotations

from dataclasses import replace

import pytest

from redrepl.edges.introduction import membership_in
from redrepl.plans.epochs.change_members import change_topology
from redrepl.plans.epochs.failover import FailoverOrder, fail_over
from redrepl.plans.epochs.membership import Tolerances, change_call
from redrepl.values.effects import Answer, Command, PlainCommand
from redrepl.values.errors import Unavailable
from redrepl.values.record import value_record
from redrepl.values.stamp import Stamp
from redrepl.values.topology import NodeRole, Topology
from tests.unit.support.in_memory import Nodes

ELSEWHERE = (
    b"other-app:session",
    b"shop:m:sweep",
    b"shop:m:cursors",
    b"redrepl:x",
    b"sho",
    b"shop:k",
)
LAST = (1 << 56) - 1


@pytest.fixture
def nodes() -> Nodes:
    """A primary a and replicas b and c, all of which hold one key."""
    cluster = Nodes(3)
    cluster.write("abc", b"key", cluster.value(b"first"))
    for node in "abcabc":
        cluster.bring_up(node)
    return cluster


def named(nodes: Nodes, node: str, *names: bytes) -> None:
    """Have a node's log name these, as if something had been written there."""
    stamp = nodes.value(b"").stamp.encode()
    for name in names:
        nodes.client(node).execute_command("XADD", nodes.layout.log, "*", name, stamp)


def keys_of(nodes: Nodes, node: str) -> set[bytes]:
    return set(nodes.client(node).execute_command("KEYS", "*"))


def test_a_catch_up_copies_users_keys_alone(nodes: Nodes) -> None:
    before = keys_of(nodes, "b")
    named(nodes, "a", *ELSEWHERE)
    nodes.write("a", b"sound", nodes.value(b"1"))
    nodes.bring_up("b")
    assert keys_of(nodes, "b") - before == {nodes.layout.data(b"sound")}
    assert nodes.report("a").lag_of("b") == 0


def test_a_failover_copies_users_keys_alone(nodes: Nodes) -> None:
    before = keys_of(nodes, "b")
    nodes.client("b").execute_command("SET", b"other-app:session", b"41")
    named(nodes, "c", *ELSEWHERE)
    nodes.down.add("a")
    nodes.run(
        fail_over(nodes.layout, nodes.first.ids, FailoverOrder(nodes.at, "b", frozenset("a")))
    )
    assert nodes.client("b").execute_command("GET", b"other-app:session") == b"41"
    new = keys_of(nodes, "b") - before
    assert new <= {b"other-app:session", nodes.layout.checkpoints, nodes.layout.probe}


def tells_beside_a_failover_that_died(nodes: Nodes, lie: Topology) -> FailoverOrder:
    """Somebody fenced a and b, and died. c is in that epoch too, and tells this of it. a is away
    now.
    """
    for node in "ab":
        fields = {"epoch": str(lie.epoch), "state": "fenced"}
        nodes.send(node, change_call(nodes.report(node), nodes.layout, fields, nodes.first))
    nodes.send(
        "c", PlainCommand((b"HSET", nodes.layout.topology, b"topology", lie.encode().encode()))
    )
    nodes.send(
        "c",
        PlainCommand(
            (b"HSET", nodes.layout.member, b"epoch", b"%d" % lie.epoch, b"state", b"fenced")
        ),
    )
    nodes.down.add("a")
    return FailoverOrder(nodes.at, away=frozenset("a"))


def test_a_failover_has_nobody_tell_an_address_that_one_replica_made_up(nodes: Nodes) -> None:
    elsewhere = [
        replace(member, url=f"redis://evil-{member.id}:1/0") for member in nodes.first.members[:2]
    ]
    lie = replace(nodes.first, epoch=2, members=(*elsewhere, *nodes.first.members[2:]))
    nodes.run(
        fail_over(nodes.layout, nodes.first.ids, tells_beside_a_failover_that_died(nodes, lie))
    )
    told = nodes.view().topology
    assert (told.epoch, [member.url for member in told.members]) == (
        3,
        [each.url for each in nodes.first.members],
    )


@pytest.mark.parametrize("epoch", [2, 101])
def test_one_replica_is_no_cluster_by_itself_while_the_primary_is_away(
    nodes: Nodes, epoch: int
) -> None:
    """It would have gone on alone, without what the others have confirmed."""
    nodes.write("ab", b"committed", nodes.value(b"v"))
    alone = replace(nodes.first.member("c"), role=NodeRole.PRIMARY)
    lie = replace(nodes.first, epoch=epoch, merged_epoch=epoch, members=(alone,))
    order = tells_beside_a_failover_that_died(nodes, lie)
    if epoch == 2:  # one change of epoch cannot have led there, so that c's word ends nothing
        nodes.run(fail_over(nodes.layout, nodes.first.ids, order))
        assert (nodes.view().topology.ids, b"committed" in nodes.contents("c")) == (
            ("a", "b", "c"),
            True,
        )
        return
    fenced = nodes.report("b").epoch
    with pytest.raises(Unavailable) as refused:
        nodes.run(fail_over(nodes.layout, nodes.first.ids, order))
    assert "tells of other members in epoch 101" in refused.value.evidence["c"]
    assert nodes.report("b").epoch == fenced, "it is refused before anybody is fenced"
    nodes.down.clear()
    nodes.run(fail_over(nodes.layout, nodes.first.ids, FailoverOrder(nodes.at)))
    nodes.bring_up("c")
    assert (nodes.view().topology.ids, b"committed" in nodes.contents("c")) == (
        ("a", "b", "c"),
        True,
    )


def test_a_member_is_not_fenced_for_former_members(nodes: Nodes) -> None:
    """The servers of a and c were replaced, and whoever acts has an old file: it finds a, which was
    cut off all that time, b, which works with the new ones, and an empty server in c's former
    place.
    """
    now = nodes.first.with_replaced(
        replace(nodes.first.member("c"), url="redis://c2:1/0", identity="id-c2")
    )
    now = now.with_primary("b", 3)
    now = now.with_replaced(replace(now.member("a"), url="redis://a2:1/0", identity="id-a2"))
    nodes.send(
        "b", PlainCommand((b"HSET", nodes.layout.topology, b"topology", now.encode().encode()))
    )
    epoch = b"%d" % now.epoch
    nodes.send(
        "b", PlainCommand((b"HSET", nodes.layout.member, b"epoch", epoch, b"lineage", epoch))
    )
    nodes.lose_everything("c")
    with pytest.raises(Unavailable) as refused:
        nodes.run(fail_over(nodes.layout, nodes.first.ids, FailoverOrder(nodes.at)))
    assert "name these in the configuration if they are right" in refused.value.evidence["b"]
    assert (nodes.report("b").epoch, nodes.report("b").state) == (now.epoch, "active")


def test_a_walk_copies_users_keys_alone(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server may list names that nobody asked for."""
    before, send = keys_of(nodes, "b"), nodes.send

    def lies(node: str, command: Command) -> Answer:
        answer = send(node, command)
        if node == "a" and isinstance(command, PlainCommand) and command.arguments[0] == b"SCAN":
            answer = [answer[0], [*answer[1], *ELSEWHERE]]
        return answer

    nodes.client("a").execute_command("SET", b"other-app:session", nodes.value(b"planted").encode())
    monkeypatch.setattr(nodes, "send", lies)
    nodes.bring_up("b", exactly=True)
    assert keys_of(nodes, "b") == before


@pytest.mark.parametrize("micros", [LAST, 1 << 53, (1 << 53) - 1, 0x1F << 48])
def test_an_impossible_stamp_reaches_no_other_node(nodes: Nodes, micros: int) -> None:
    nodes.put("c", b"key", value_record(Stamp(micros, 9), b"forged"))
    nodes.put("a", b"other", value_record(Stamp(micros, 9), b"forged"))
    for node in "bcabc":
        nodes.bring_up(node)
    nodes.down.add("a")
    nodes.run(
        fail_over(nodes.layout, nodes.first.ids, FailoverOrder(nodes.at, "b", frozenset("a")))
    )
    assert {key: record.payload for key, record in nodes.contents("b").items()} == {
        b"key": b"first"
    }


def test_a_stamp_that_no_client_can_have_had_is_replaced_at_once(nodes: Nodes) -> None:
    """One a year ahead would be too young to be judged for a year."""
    nodes.put("c", b"key", nodes.value(b"forged", seconds_ago=-365 * 86400))
    nodes.bring_up("a")
    nodes.bring_up("c")
    assert nodes.contents("c")[b"key"].payload == b"first"


@pytest.mark.parametrize("note", ["2 b id-b", "9 b id-b"])
def test_one_that_was_not_moved_cannot_say_that_another_one_is_replaced(
    nodes: Nodes, note: str
) -> None:
    """That is noted in the step that moves a member; a word of one alone takes nobody out of a
    majority.
    """
    identity = nodes.first.identities["b"]
    nodes.client("c").execute_command(
        "HSET", nodes.layout.member, "voided", note.replace("id-b", identity)
    )
    assert nodes.report("c").voided is None
    nodes.down.add("a")
    moved = nodes.run(
        fail_over(nodes.layout, nodes.first.ids, FailoverOrder(nodes.at, None, frozenset("a")))
    )
    assert moved.primary in "bc"


@pytest.mark.parametrize("place", ["cursors", "marks"])
def test_positions_that_cannot_be_read_are_noted_anew(nodes: Nodes, place: str) -> None:
    """Else the workers would never be done with the primary, which looks through each replica's
    log.
    """
    name = getattr(nodes.layout, place)
    for field in nodes.client("c").execute_command("HKEYS", name):
        nodes.client("c").execute_command("HSET", name, field, "inc-c x y")
    nodes.write("abc", b"key", nodes.value(b"second"))
    for node in "abcabc":
        nodes.bring_up(node)
    assert nodes.report("c").lag_of("a") == nodes.report("a").lag_of("c") == 0


def test_a_limit_that_cannot_be_read_ends_the_copying_and_no_more(nodes: Nodes) -> None:
    nodes.write("ab", b"key", nodes.value(b"second"))
    nodes.client("c").execute_command("HSET", nodes.layout.member, "purged_before", "x")
    nodes.bring_up("c")  # its bookkeeping is dropped
    nodes.bring_up("c")
    assert nodes.contents("c")[b"key"].payload == b"second"


def test_words_that_are_no_text_are_shown_and_raise_nothing(nodes: Nodes) -> None:
    """A state or a guard of any bytes: who reads there is refused, in words."""
    view = nodes.view()
    with pytest.raises(Unavailable):
        view.check_serving(b"%b \xff\xfe" % view.epoch, "c")
    found = membership_in([b"shop", b"c", b"\xff\xfe", b"run", None, b"\xff"], "run")
    assert (found.cluster, found.node, found.identity) == ("shop", "c", None)


def test_a_run_of_any_bytes_is_no_restart_that_could_be_ended(nodes: Nodes) -> None:
    """Steps compare what stands there with what was read."""
    nodes.client("c").execute_command("HSET", nodes.layout.member, "run_id", b"\xff\xfe")
    nodes.bring_up("c")
    nodes.bring_up("c")
    assert nodes.report("c").is_serving


class Died(Exception):
    """Whoever was at work dies here."""


def tells_epoch(nodes: Nodes, node: str, epoch: int, lineage: int | None = None) -> None:
    """A replica tells that it is the primary of a later epoch, which is not believed."""
    told = nodes.first.with_primary(node, epoch)
    nodes.client(node).hset(nodes.layout.topology, "topology", told.encode())
    fields = {"epoch": epoch, "lineage": lineage or epoch, "era": 1, "rule": "decide"}
    nodes.client(node).hset(nodes.layout.member, mapping=fields)


def dies() -> None:
    raise Died


@pytest.mark.parametrize("is_interrupted", [False, True])
def test_an_epoch_that_a_dropped_member_told_of_does_not_begin_again(
    nodes: Nodes, is_interrupted: bool
) -> None:
    """It may have been right: a failover made c the primary, and another member denied afterwards
    that it was counted.

    Then there would be two primaries in one epoch. The worker may die before the place is given
    anew.
    """
    tells_epoch(nodes, "c", 2)
    if is_interrupted:
        nodes.meanwhile["change_member"] = dies
        with pytest.raises(Died):
            nodes.bring_up("c")
        dropped = nodes.report("c")
        assert (dropped.member, dropped.dropped_epoch) == ({}, 2)
    nodes.bring_up("c")
    told = nodes.report("a").topology
    assert told is not None
    assert (told.epoch, told.decider) == (3, "a")
    found = nodes.report("c")
    assert (found.epoch, found.member["rule"], found.is_serving) == (3, "follow", True)
    assert (found.guard, found.dropped_epoch) == ("3 active", 0)


def test_a_change_of_members_does_not_begin_an_epoch_that_one_of_them_told_of() -> None:
    nodes = Nodes(5)
    tells_epoch(nodes, "c", 2)
    change = change_topology(
        nodes.first, nodes.first.without_member("e"), Tolerances(), "inc-new", nodes.at
    )
    nodes.run(change)
    told = nodes.report("a").topology
    assert told is not None
    assert (told.epoch, told.ids) == (3, ("a", "b", "c", "d"))
    assert {nodes.report(node).epoch for node in "abd"} == {3}


def test_a_primary_that_is_put_back_does_not_begin_an_epoch_that_another_member_told_of() -> None:
    nodes = Nodes(5)
    tells_epoch(nodes, "c", 2, lineage=1)
    nodes.restart("a")
    assert nodes.bring_up("a").activated
    assert (nodes.report("a").epoch, nodes.report("a").is_serving) == (3, True)
