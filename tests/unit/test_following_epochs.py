"""What a coordinator's operations do when the cluster has moved on meanwhile."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from redrepl.edges.clock import StampClock, SystemClock
from redrepl.edges.configuration import Configuration
from redrepl.edges.endpoint import Endpoint
from redrepl.edges.reporter import NOT_OBSERVED
from redrepl.plans.client.cluster_state import ClusterState
from redrepl.plans.client.codecs import Codecs
from redrepl.plans.client.options import CallOptions
from redrepl.plans.client.store import ClientStore
from redrepl.plans.operations.watch import LOOK
from redrepl.values.effects import ScriptCall
from redrepl.values.errors import WriteNotConfirmed, WriteRejected
from redrepl.values.receipt import Outcome, WriteReceipt
from redrepl.values.record import value_record
from redrepl.values.session import Session
from redrepl.values.stamp import NO_STAMP, Stamp
from redrepl.values.topology import Mode, Topology
from tests.support.access import ByName
from tests.unit.support.by_hand import START, ByHand, copies_of, topology


class StillClock(SystemClock):
    """A physical clock that stands still."""

    def micros(self) -> int:
        return 5_000


class Surroundings:
    """A driver and a queue that only take notes.

    The clock is that of ``plan``, once there is one.
    """

    def __init__(self) -> None:
        self.at = START
        self.down: set[str] = set()
        self.plan: ByHand[Any] | None = None
        self.woken: list[set[str]] = []

    def now(self) -> float:
        return self.at if self.plan is None else max(self.at, self.plan.at)

    def latency_seconds(self, node: str) -> float:
        return 0.0 if node else 1.0

    def trouble(self, node: str) -> str | None:
        return "down" if node in self.down else None

    def request(self, targets: Iterable[str]) -> None:
        self.woken.append(set(targets))


def _coordinator(cluster: Topology, level: str) -> tuple[ClientStore[bytes, bytes], Surroundings]:
    endpoints = tuple(Endpoint(member.id, member.url) for member in cluster.members)
    roles = tuple(member.role for member in cluster.members)
    around = Surroundings()
    configuration = Configuration("shop", endpoints, roles, mode=cluster.mode, level=level)
    clock = StampClock(StillClock(), 9)
    state = ClusterState(configuration, cluster, around, clock, ByName(), NOT_OBSERVED)
    codecs: Codecs[bytes, bytes] = Codecs()
    return ClientStore(state, around, codecs, Session()), around


def _set(base: ClientStore[bytes, bytes]) -> ByHand[WriteReceipt]:
    return ByHand(base.set_plan(b"key", b"value", None, CallOptions(None, None)))


def _moves(write: ByHand[Any], old: Topology, new: Topology) -> None:
    """The primary says that the epoch has moved, and a majority of the old members tell the new
    topology.
    """
    write.replies("a", [b"refused", b"%d" % new.epoch, b"active"])
    assert set(write.targets()) == set(old.ids)
    for node in old.ids[: len(old.ids) // 2 + 1]:
        write.replies(node, new.encode().encode())


def _is_nowhere(write: ByHand[Any]) -> None:
    """The primary of the new epoch has nothing under the key: nobody can get the write but from
    here.
    """
    assert write.scripts() == ["read_many"]
    write.replies(write.targets()[0], [b"ok", None])


def _stands(write: ByHand[Any], record: bytes, other: str = "b") -> ByHand[Any]:
    """The primary of the new epoch has this record, and then another copy confirms it."""
    home = write.targets()[0]
    if home != "a":
        assert write.scripts() == ["read_many"], "it may not have the write at all"
        write.replies(home, [b"ok", record])
    assert write.scripts() == ["read_many", "headers", "headers"]
    return write.replies(home, [b"ok", record]).replies(other, [b"ok", record[:35]], tag=1)


def test_a_write_follows_the_epoch_with_the_same_record() -> None:
    old, new = topology(3, epoch=7), topology(3, epoch=8)
    base, _ = _coordinator(old, "quorum")
    write = _set(base)
    first = write.sent[0].command.arguments
    _moves(write, old, new)
    assert write.targets() == ["a", "b", "c"]
    assert (write.scripts()[0], write.sent[0].command.arguments) == (
        "write_many",
        (b"8", *first[1:]),
    )
    receipt = write.replies("a", 1).replies("c", 1).result
    assert (receipt.outcome, set(receipt.acked)) == (Outcome.COMMITTED, {"a", "c"})
    assert base.cluster.view.topology.epoch == 8


@pytest.mark.parametrize(
    ("level", "copies", "required"), [("quorum", 5, 2), ("all", 4, 3), ("quorum", 4, 2)]
)
def test_a_level_means_the_cluster_that_the_write_goes_to(
    level: str, copies: int, required: int
) -> None:
    old, new = topology(3, epoch=7), topology(copies, epoch=8)
    write = _set(_coordinator(old, level)[0])
    _moves(write, old, new)
    write.replies("a", 1)
    others = iter("bcde")
    while not write.is_done:
        write.replies(next(others), 1)
    assert (write.result.required, len(write.result.acked) - 1) == (required, required)


def test_all_means_all_that_are_left() -> None:
    old, new = topology(3, epoch=7), topology(2, epoch=8)
    write = _set(_coordinator(old, "all")[0])
    _moves(write, old, new)
    assert write.replies("a", 1).replies("b", 1).result.outcome is Outcome.COMMITTED


def test_where_records_were_merged_the_primary_is_asked_before_a_write_is_sent_again() -> None:
    """A replica that had it may have given it to the primary, and somebody may have overwritten it
    there since.
    """
    old, new = topology(3, epoch=7), replace(topology(3, epoch=8), merged_epoch=8)
    write = _set(_coordinator(old, "quorum")[0])
    _moves(write, old, new)
    _is_nowhere(write)
    assert write.targets() == ["a", "b", "c"]
    assert write.replies("a", 1).replies("b", 1).result.outcome is Outcome.COMMITTED
    write = _set(_coordinator(old, "quorum")[0])
    _moves(write, old, new)
    later = value_record(Stamp(6_000, 4), b"later").encode()
    write.replies("a", [b"ok", later]).replies("a", [b"ok", later])
    with pytest.raises(WriteNotConfirmed, match="unknown"):
        write.replies("b", [b"ok", later[:35]], tag=1)


def test_an_unconfirmed_write_raises_with_its_receipt_and_wakes_the_workers() -> None:
    base, around = _coordinator(topology(3), "all")
    write = _set(base).replies("a", 1).replies("b", 1)
    with pytest.raises(WriteNotConfirmed, match="unknown") as caught:
        write.fails("c", "down")
    assert caught.value.receipt.outcome is Outcome.UNKNOWN
    assert caught.value.evidence == {"c": "down"}
    assert around.woken == [{"c"}]


def test_a_write_that_nobody_got_waits_for_another_primary_until_its_deadline() -> None:
    base, around = _coordinator(topology(3), "quorum")
    write = around.plan = _set(base)
    around.down.add("a")
    write.fails("a", "down", sent=False)
    for node in ("b", "c"):
        write.replies(node, topology(3).encode().encode())
    around.at = START + 1.0
    with pytest.raises(WriteRejected, match="nothing was sent") as caught:
        write.times_out()
    assert caught.value.receipt.failed["a"] == "down"
    assert around.woken == []


def test_a_write_that_nobody_got_goes_to_the_next_primary() -> None:
    base, _ = _coordinator(topology(3), "quorum")
    write = _set(base).fails("a", "down", sent=False)
    for node in ("b", "c"):
        write.replies(node, topology(3).with_primary("b", 8).encode().encode())
    assert (write.targets(), set(write.scripts())) == (["b", "a", "c"], {"write_many"})
    assert write.replies("b", 1).replies("c", 1).result.outcome is Outcome.COMMITTED


def test_a_write_to_a_silent_primary_looks_for_another_one() -> None:
    base, around = _coordinator(topology(3), "quorum")
    write = around.plan = _set(base)
    write.replies("b", 1).replies("c", 1)
    assert write.looks == []
    write.looks_around()
    assert write.looks == ["b", "c"]
    write.replies("b", topology(3).encode().encode(), tag=LOOK).looks_around()
    encoded = write.everything[0].command.arguments[1]
    assert isinstance(encoded, bytes)
    write.replies("c", topology(3).with_primary("c", 8).encode().encode(), tag=LOOK)
    for node in ("b", "c"):
        write.replies(node, topology(3).with_primary("c", 8).encode().encode())
    assert write.sent[0].node == "c", "the new primary is asked what became of it"
    record = value_record(Stamp.parse(encoded[:22]), b"value").encode()
    receipt = _stands(write, record).result
    assert (receipt.outcome, set(receipt.acked)) == (Outcome.COMMITTED, {"b", "c"})


def test_a_write_that_went_nowhere_leaves_no_trace_in_the_session() -> None:
    base, _ = _coordinator(topology(1, Mode.MULTI_PRIMARY), "quorum")
    with pytest.raises(WriteRejected):
        _set(base).fails("a", "down", sent=False)
    assert base.session.at_least(b"key") == NO_STAMP


def test_a_session_asks_for_what_it_wrote() -> None:
    base, _ = _coordinator(topology(3), "quorum")
    stamp = _set(base).replies("a", 1).replies("b", 1).result.stamp
    older = value_record(Stamp(1, 1), b"older")
    read = ByHand(base.get_plan(b"key", "one", "replica", None))
    first = read.targets()
    read.replies(first[0], [b"7 active", older.encode()])
    assert read.targets() != first, "the next copy is asked"
    assert (
        read.replies(
            read.targets()[0], [b"7 active", value_record(stamp, b"value").encode()]
        ).result
        == b"value"
    )


def test_between_epochs_the_topology_is_read_again_until_the_deadline() -> None:
    old = topology(3, epoch=7)
    base, around = _coordinator(old, "quorum")
    write = _set(base)
    write.replies("a", [b"refused", b"8", b"active"])
    write.replies("a", old.encode().encode())
    around.at = write.at + 0.01
    write.replies("b", old.encode().encode())
    assert write.sent == ()
    assert write.exchange.until == pytest.approx(around.at + 0.02)
    around.at = START + 1.0
    with pytest.raises(WriteNotConfirmed, match="unknown"):
        write.times_out()


def _taken_before_the_move(old: Topology, new: Topology) -> ByHand[WriteReceipt]:
    """The primary took the write in the old epoch; the others refused it in the new one, and tell
    of that.
    """
    write = _set(_coordinator(old, "quorum")[0])
    write.replies("a", 1)
    for node in ("b", "c"):
        write.replies(node, [b"refused", b"8", b"active"])
    assert write.scripts() == []
    for node in ("a", "b"):
        write.replies(node, new.encode().encode())
    return write


def test_a_write_taken_just_before_the_epoch_moved_is_confirmed_by_a_read_in_the_new_one() -> None:
    write = _taken_before_the_move(topology(3, epoch=7), topology(3, epoch=8))
    record = value_record(Stamp(5_000, 9), b"value").encode()
    assert write.scripts() == ["read_many", "headers", "headers"]
    write.replies("c", [b"ok", b""], tag=1)
    write.replies("a", [b"ok", record])
    assert write.scripts() == ["write_many"], "c lacks it and gets it"
    receipt = write.replies("b", [b"ok", record[:35]], tag=1).result
    assert (receipt.outcome, receipt.stamp) == (Outcome.COMMITTED, Stamp(5_000, 9))
    assert copies_of(receipt) == ({"a", "b"}, {"c"}, {})
    commands = [request.command for request in write.everything if request.node == "a"]
    scripts = [command.script for command in commands if isinstance(command, ScriptCall)]
    assert scripts == ["write", "read_many"], "what it took is never sent to it again"


def test_a_write_that_was_overwritten_meanwhile_is_confirmed_too() -> None:
    write = _taken_before_the_move(topology(3, epoch=7), topology(3, epoch=8))
    later = value_record(Stamp(6_000, 4), b"later").encode()
    receipt = _stands(write, later, "c").result
    assert (receipt.outcome, receipt.stamp) == (Outcome.COMMITTED, Stamp(5_000, 9))


@pytest.mark.parametrize(
    "standing", [None, value_record(Stamp(4_000, 1), b"older").encode()], ids=["nothing", "older"]
)
def test_a_write_lost_between_epochs_stays_unknown(standing: bytes | None) -> None:
    write = _taken_before_the_move(topology(3, epoch=7), topology(3, epoch=8))
    write.replies("a", [b"ok", standing])
    with pytest.raises(WriteNotConfirmed, match="unknown") as caught:
        write.replies("b", [b"ok", (standing or b"")[:35]], tag=1)
    assert caught.value.receipt.failed == dict.fromkeys("bc", "refused: epoch 8, active")


@pytest.mark.parametrize("survived", [True, False])
def test_of_a_write_that_a_former_primary_took_the_new_one_tells(survived: bool) -> None:
    new = topology(3).with_primary("b", 8)
    write = _taken_before_the_move(topology(3, epoch=7), new)
    if survived:
        _stands(write, value_record(Stamp(5_000, 9), b"value").encode(), "c")
    else:
        _is_nowhere(write)
        assert (write.targets(), set(write.scripts())) == (["b", "a", "c"], {"write_many"})
        write.replies("b", 1).replies("c", 1)
    assert (write.result.outcome, set(write.result.acked)) == (Outcome.COMMITTED, {"b", "c"})


def test_where_a_later_write_stands_with_a_new_primary_the_outcome_is_unknown() -> None:
    write = _taken_before_the_move(topology(3, epoch=7), topology(3).with_primary("b", 8))
    later = value_record(Stamp(6_000, 4), b"later").encode()
    with pytest.raises(WriteNotConfirmed, match="unknown"):
        _stands(write, later, "c")


def _silent(plan: ByHand[Any], around: Surroundings, copies: int = 3) -> ByHand[Any]:
    """The primary does not answer; when the others are asked, b is the primary of these copies."""
    around.plan = plan
    new = topology(copies).with_primary("b", 8).encode().encode()
    plan.looks_around()
    assert set(plan.looks) == {"b", "c"}
    plan.replies("c", new, tag=LOOK)
    return plan.replies("b", new).replies("c", new)


def test_many_writes_to_a_silent_primary_are_looked_up_with_the_next_one() -> None:
    base, around = _coordinator(topology(3), "quorum")
    plan = ByHand(base.set_many_plan({b"x": b"1", b"y": b"2"}, None, CallOptions(None, None)))
    plan.replies("b", 1).replies("c", 1)
    _silent(plan, around)
    records = [value_record(Stamp(5_000, 9), payload).encode() for payload in (b"1", b"2")]
    assert plan.scripts() == ["read_many"]
    plan.replies("b", [b"ok", *records])
    receipts = (
        plan.replies("b", [b"ok", *records])
        .replies("c", [b"ok", *(r[:35] for r in records)], tag=1)
        .result
    )
    assert {receipt.outcome for receipt in receipts.values()} == {Outcome.COMMITTED}


def test_a_condition_on_a_silent_primary_is_decided_by_the_next_one() -> None:
    base, around = _coordinator(topology(3), "quorum")
    plan = ByHand(base.increment_plan(b"n", 2, CallOptions(None, None)))
    assert plan.scripts() == ["update"]
    _silent(plan, around)
    assert (plan.scripts(), plan.targets()) == (["read_many"], ["b"])
    plan.replies("b", [b"ok", None])
    assert (plan.scripts(), plan.targets()) == (["update"], ["b"]), (
        "it certainly had no effect: it is carried out there"
    )
    made = value_record(Stamp(5_000, 9), b"2").encode()
    assert plan.replies("b", [b"ok", made]).replies("c", 1).result == 2


def test_a_condition_that_a_former_primary_carried_out_is_not_carried_out_again() -> None:
    base, around = _coordinator(topology(3), "quorum")
    plan = ByHand(base.increment_plan(b"n", 2, CallOptions(None, None)))
    _silent(plan, around)
    made = value_record(Stamp(5_000, 9), b"2").encode()
    plan.replies("b", [b"ok", made])
    assert plan.replies("b", [b"ok", made]).replies("c", [b"ok", made[:35]], tag=1).result == 2


def test_of_several_attempts_at_an_operation_the_first_counts_where_it_stands() -> None:
    """The second primary was alone; the third has what the first had, and not what the second made
    of it.
    """
    base, _ = _coordinator(topology(3), "quorum")
    plan = ByHand(base.increment_plan(b"n", 2, CallOptions(None, None)))
    first = value_record(Stamp(5_000, 9), b"2").encode()
    plan.replies("a", [b"ok", first])
    for node in ("b", "c"):
        plan.replies(node, [b"refused", b"8", b"fenced"])
    second = topology(3).with_primary("b", 8)
    for node in ("b", "c"):
        plan.replies(node, second.encode().encode())
    plan.replies("b", [b"ok", None])
    assert (plan.scripts(), plan.targets()) == (["update"], ["b"])
    again = value_record(Stamp(5_001, 9), b"2").encode()
    plan.replies("b", [b"ok", again])
    for node in ("a", "c"):
        plan.replies(node, [b"refused", b"9", b"fenced"])
    third = topology(3).with_primary("a", 9)
    for node in ("a", "c"):
        plan.replies(node, third.encode().encode())
    assert (plan.scripts(), plan.targets()) == (["read_many"], ["a"])
    plan.replies("a", [b"ok", first])
    assert plan.scripts() == ["read_many", "headers", "headers"], "it is only to be confirmed"
    plan.replies("a", [b"ok", first]).replies("c", [b"ok", first[:35]], tag=1)
    assert plan.result == 2
    made = [
        r.node
        for r in plan.everything
        if isinstance(r.command, ScriptCall) and r.command.script == "update"
    ]
    assert made == ["a", "b"], "it is not carried out a third time"


def test_where_something_later_than_the_first_attempt_stands_nobody_repeats_the_operation() -> None:
    base, around = _coordinator(topology(3), "quorum")
    plan = ByHand(base.increment_plan(b"n", 2, CallOptions(None, None)))
    _silent(plan, around)
    plan.replies("b", [b"ok", None])
    plan.replies("b", [b"ok", value_record(Stamp(5_001, 9), b"2").encode()])
    for node in ("a", "c"):
        plan.replies(node, [b"refused", b"9", b"fenced"])
    for node in ("a", "c"):
        plan.replies(node, topology(3).with_primary("a", 9).encode().encode())
    between = value_record(Stamp(5_000, 77), b"5").encode()
    plan.replies("a", [b"ok", between])
    with pytest.raises(WriteNotConfirmed, match="unknown"):
        plan.replies("a", [b"ok", between]).replies("c", [b"ok", between[:35]], tag=1)


def _lost_on_the_first_primary() -> tuple[ByHand[Any], Surroundings]:
    """An operation with a condition whose answer never came, and of which the second primary has
    nothing.
    """
    base, around = _coordinator(topology(3), "quorum")
    plan = ByHand(base.increment_plan(b"n", 2, CallOptions(None, None)))
    _silent(plan, around)
    plan.replies("b", [b"ok", None])
    assert (plan.scripts(), plan.targets()) == (["update"], ["b"])
    return plan, around


def _is_told(plan: ByHand[Any], node: str, answer: list[bytes]) -> None:
    """A node answers, and after that nobody does."""
    plan.replies(node, answer)
    while not plan.is_done:
        plan.times_out()


@pytest.mark.parametrize(
    "answer", [[b"refused", b"8", b"fenced"], [b"expired", b"9999999"], [b"foreign", b"shop:k:n"]]
)
def test_what_a_later_attempt_is_told_does_not_reject_an_operation_that_may_have_been_carried_out(
    answer: Any,
) -> None:
    """The second primary may be one that nobody followed, or a node that lies: the third may have
    the first attempt.
    """
    plan, around = _lost_on_the_first_primary()
    around.down = {"a", "b", "c"}
    with pytest.raises(WriteNotConfirmed, match="the outcome is unknown"):
        _is_told(plan, "b", answer)


def test_a_level_that_cannot_be_met_any_more_does_not_hide_what_may_have_been_carried_out() -> None:
    """The first attempt may be out, and the present members are too few for the level."""
    base, around = _coordinator(topology(3), "2")
    plan = ByHand(base.increment_plan(b"n", 2, CallOptions(None, None)))
    with pytest.raises(WriteNotConfirmed, match="the outcome is unknown"):
        _silent(plan, around, copies=2)


def test_what_may_have_been_carried_out_is_looked_for_with_each_primary_before_it_is_repeated() -> (
    None
):
    plan, _ = _lost_on_the_first_primary()
    plan.replies("b", [b"refused", b"9", b"fenced"])
    for node in ("a", "c"):
        plan.replies(node, topology(3).with_primary("c", 9).encode().encode())
    while plan.scripts() != ["read_many"] and "update" not in plan.scripts():
        plan.times_out()
    assert (plan.scripts(), plan.targets()) == (["read_many"], ["c"]), (
        "it may have the first attempt"
    )
    first = value_record(Stamp(5_000, 9), b"2").encode()
    plan.replies("c", [b"ok", first])
    assert plan.replies("c", [b"ok", first]).replies("a", [b"ok", first[:35]], tag=1).result == 2


def test_a_write_that_a_replica_was_to_decide_is_looked_for_where_it_is_decided() -> None:
    """The program followed a topology that somebody made up, and whose epoch the others are in by
    now.
    """
    made_up, right = topology(3, epoch=7), topology(3).with_primary("b", 7)
    base, _ = _coordinator(made_up, "quorum")
    write = _set(base)
    assert {
        request.command.arguments[-1]
        for request in write.sent
        if isinstance(request.command, ScriptCall)
    } == {b"by a"}
    write.replies("a", [b"refused", b"7", b"active"])
    for node in ("b", "c"):
        write.replies(node, right.encode().encode())
    assert base.cluster.view.topology == right
    record = value_record(Stamp(5_000, 9), b"value").encode()
    assert _stands(write, record, "c").result.outcome is Outcome.COMMITTED
