"""Writes under arbitrary orders of events: never called committed without the copies that the level
requires.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from redrepl.plans.operations.batch import Written
from redrepl.plans.operations.chunk import Chunk, Item
from redrepl.plans.operations.outgoing import ManyRecords
from redrepl.plans.operations.replication import Replication, replicate
from redrepl.plans.operations.write import WriteOrder, receipt_of, replicate_decided, write_one
from redrepl.plans.view import ClusterView
from redrepl.values.effects import Plan, Request, ScriptCall
from redrepl.values.errors import ClockSkew
from redrepl.values.receipt import Outcome, WriteReceipt
from redrepl.values.record import parse_record, value_record
from redrepl.values.stamp import Stamp
from tests.unit.support.by_hand import START, UNTIL, ByHand, all_written, order, view, write_many

RESTAMP_WRITER = 0x80007000
STAMPS = [Stamp(1000, 1), Stamp(1001, 1), Stamp(1002, 1)]
ITEMS = [
    Item(str(i), b"key-%d" % i, value_record(stamp, b"%d" % i)) for i, stamp in enumerate(STAMPS)
]


@dataclass
class Copy:
    """What stands on a node, by key; it answers as `write.lua` and `write_many.lua` do."""

    decides: bool
    held: dict[bytes, Stamp]
    has_early_clock: bool = False
    """By its clock all stamps are too far ahead; what a primary has taken it takes."""

    def write(self, key: bytes, stamp: Stamp, is_decided: bool = False) -> object:
        if self.has_early_clock and not is_decided:
            return [b"skewed", b"1"]
        standing = self.held.get(key)
        if standing is None or stamp > standing:
            self.held[key] = stamp
            return 1
        if stamp == standing:
            return 1
        if not self.decides:
            return [b"has", standing.encode()]
        self.held[key] = Stamp(standing.micros + 1, RESTAMP_WRITER)
        return [b"ok", self.held[key].encode()]

    def write_many(self, pairs: list[tuple[bytes, Stamp]], is_decided: bool) -> object:
        exceptions: list[object] = [b"some"]
        for index, (key, stamp) in enumerate(pairs):
            answer = self.write(key, stamp, is_decided)
            if isinstance(answer, list):
                exceptions += [index, *answer]
        return 1 if len(exceptions) == 1 else exceptions


@dataclass
class Case:
    """A cluster, what stands there, and what happens to each request: it arrives or is lost, and so
    is its answer.
    """

    copies: int
    required: int
    standing: dict[str, dict[bytes, Stamp]]
    choices: list[int]
    losses: bool
    behind: dict[str, int] = field(default_factory=dict)
    """How often a copy refuses because it has not come to the epoch yet."""
    early_clocks: frozenset[str] = frozenset()


@st.composite
def cases(draw: st.DrawFn, losses: bool = True, behind: bool = False, clocks: bool = True) -> Case:
    """Any case of 1 to 5 copies."""
    copies = draw(st.integers(1, 5))
    near = st.builds(Stamp, st.integers(998, 1005), st.integers(1, 2))
    standing = {
        node: draw(st.dictionaries(st.sampled_from([item.key for item in ITEMS]), near, max_size=3))
        for node in "abcde"[:copies]
    }
    choices = draw(st.lists(st.integers(0, 999), max_size=40))
    case = Case(copies, draw(st.integers(0, copies - 1)), standing, choices, losses)
    if clocks:
        case.early_clocks = draw(st.frozensets(st.sampled_from("bcde")))
    if behind:
        case.behind = draw(st.dictionaries(st.sampled_from("bcde"), st.integers(1, 3), max_size=4))
    return case


class Play:
    """Runs a plan against copies, in the order that the case chooses."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.copies = {
            node: Copy(node == "a", dict(held), node in case.early_clocks)
            for node, held in case.standing.items()
        }
        self._choices = iter(case.choices)
        self._behind = dict(case.behind)

    def _choose(self, count: int) -> int:
        return next(self._choices, 0) % count

    def run(
        self, plan: ByHand[list[WriteReceipt]] | ByHand[WriteReceipt] | ByHand[list[Written]]
    ) -> None:
        """Until the plan has its result; requests arrive, answers come back or not, in any
        order.
        """
        flying = list(plan.sent)
        seen = len(plan.everything)
        while not plan.is_done:
            flying += plan.everything[seen:]
            seen = len(plan.everything)
            waits_a_moment = plan.exchange.until < UNTIL and plan.exchange.is_deadline
            if not flying or (waits_a_moment and self._choose(2)):
                plan.times_out()
                continue
            request = flying.pop(self._choose(len(flying)))
            fate = self._choose(10) if self.case.losses else 0
            if fate == 9:
                continue  # lost on the way, or on the way back
            if fate == 8:
                plan.fails(request.node, "connection lost", tag=request.tag)
            else:
                answer = self._arrives(request)
                if fate != 7:
                    plan.replies(request.node, answer, tag=request.tag)

    def _arrives(self, request: Request) -> object:
        command, copy = request.command, self.copies[request.node]
        assert isinstance(command, ScriptCall)
        if self._behind.get(request.node, 0):
            self._behind[request.node] -= 1
            return [b"refused", b"6", b"active"]
        names = [name.removeprefix(b"shop:k:") for name in command.keys[2:]]
        records, rest = command.arguments[1 : len(names) + 1], command.arguments[len(names) + 1 :]
        stamps = [parse_record(encoded).stamp for encoded in records if isinstance(encoded, bytes)]
        pairs, is_decided = list(zip(names, stamps, strict=True)), rest == (b"decided",)
        if command.script == "write_many":
            return copy.write_many(pairs, is_decided)
        return copy.write(*pairs[0], is_decided)

    def check(self, key: bytes, receipt: WriteReceipt) -> None:
        """A receipt says no more than what stands on the copies."""
        for node in receipt.acked:
            assert self.copies[node].held[key] >= receipt.stamp, (
                f"{node} does not hold what it is said to confirm"
            )
        groups = [set(receipt.acked), set(receipt.pending), set(receipt.failed)]
        assert set().union(*groups) == set(self.copies)
        assert sum(map(len, groups)) == len(self.copies)
        if receipt.outcome is Outcome.COMMITTED:
            assert "a" in receipt.acked
            assert len(receipt.acked) - 1 >= self.case.required
            assert receipt.applied


@settings(max_examples=250)
@given(cases())
def test_a_committed_write_stands_on_the_copies_that_its_level_requires(case: Case) -> None:
    play, item = Play(case), ITEMS[0]
    plan = ByHand(
        write_one(view(case.copies), order(case.required), item.user_key, item.key, item.record)
    )
    play.run(plan)
    play.check(item.key, plan.result)


@settings(max_examples=250)
@given(cases())
def test_a_committed_batch_stands_on_the_copies_that_its_level_requires(case: Case) -> None:
    play = Play(case)
    plan = ByHand(write_many(view(case.copies), order(case.required), ITEMS))
    play.run(plan)
    for item, receipt in zip(ITEMS, plan.result, strict=True):
        play.check(item.key, receipt)


def _one_by_one(case: Case) -> Iterator[Chunk]:
    for item in ITEMS:
        record = item.record
        yield Chunk(
            [item.user_key], [item.key], [record.stamp], [record.encode()], order(case.required)
        )


@settings(max_examples=250)
@given(cases(behind=True))
def test_committed_chunks_stand_on_the_copies_that_their_level_requires(case: Case) -> None:
    play = Play(case)
    plan = ByHand(all_written(view(case.copies), _one_by_one(case)))
    play.run(plan)
    assert [written.chunk.keys for written in plan.result] == [[item.key] for item in ITEMS]
    for item, written in zip(ITEMS, plan.result, strict=True):
        assert written.receipts is not None, "the deciding node is never behind here"
        play.check(item.key, written.receipts[0])


@settings(max_examples=200)
@given(cases(losses=False))
def test_chunks_on_their_way_together_are_decided_as_one_after_the_other(case: Case) -> None:
    together = ByHand(all_written(view(case.copies), _one_by_one(case)))
    Play(case).run(together)
    for item, written in zip(ITEMS, together.result, strict=True):
        alone = ByHand(write_many(view(case.copies), order(case.required), [item]))
        Play(case).run(alone)
        assert written.receipts is not None
        found, expected = written.receipts[0], alone.result[0]
        assert (found.key, found.stamp, found.outcome) == (
            expected.key,
            expected.stamp,
            expected.outcome,
        )


RESENT_BEFORE_THE_RESTAMP = Case(
    copies=3,
    required=1,
    standing={"a": {b"key-0": Stamp(2000, 1)}, "b": {}, "c": {}},
    choices=[1, 1, 0, 1],
    losses=False,
    behind={"b": 1},
)


@example(RESENT_BEFORE_THE_RESTAMP)
@settings(max_examples=250)
@given(cases(behind=True))
def test_copies_that_come_to_the_epoch_later_confirm_only_what_they_hold(case: Case) -> None:
    play, item = Play(case), ITEMS[0]
    plan = ByHand(
        write_one(view(case.copies), order(case.required), item.user_key, item.key, item.record)
    )
    play.run(plan)
    play.check(item.key, plan.result)


@example(RESENT_BEFORE_THE_RESTAMP)
@settings(max_examples=250)
@given(cases(behind=True))
def test_copies_that_come_to_the_epoch_later_confirm_only_what_they_hold_of_a_batch(
    case: Case,
) -> None:
    play = Play(case)
    plan = ByHand(write_many(view(case.copies), order(case.required), ITEMS))
    play.run(plan)
    for item, receipt in zip(ITEMS, plan.result, strict=True):
        play.check(item.key, receipt)


@settings(max_examples=200)
@given(cases(losses=False))
def test_without_losses_everything_is_committed(case: Case) -> None:
    play = Play(case)
    plan = ByHand(write_many(view(case.copies), order(case.required), ITEMS))
    play.run(plan)
    assert {receipt.outcome for receipt in plan.result} == {Outcome.COMMITTED}


@settings(max_examples=200)
@given(cases(losses=False))
def test_a_batch_decides_as_single_writes_do(case: Case) -> None:
    batch = ByHand(write_many(view(case.copies), order(case.required), ITEMS))
    play = Play(case)
    play.run(batch)
    for item, receipt in zip(ITEMS, batch.result, strict=True):
        single = ByHand(
            write_one(view(case.copies), order(case.required), item.user_key, item.key, item.record)
        )
        Play(case).run(single)
        alone = single.result
        assert (receipt.key, receipt.stamp, receipt.outcome) == (
            alone.key,
            alone.stamp,
            alone.outcome,
        )
        assert (receipt.applied, receipt.required) == (alone.applied, alone.required)


@pytest.mark.parametrize("verdict", [b"expired", b"skewed"])
@given(st.integers(0, 2), st.permutations(["a", "b", "c"]))
def test_what_the_deciding_node_turned_down_is_never_committed(
    verdict: bytes, required: int, turns: list[str]
) -> None:
    batch = ByHand(write_many(view(3), order(required), ITEMS[:1]))
    single = ByHand(write_one(view(3), order(required), "0", b"key-0", ITEMS[0].record))
    for node in turns:
        if not batch.is_done:
            batch.replies(node, [b"some", 0, verdict, b"1"] if node == "a" else 1)
    if not batch.is_done:
        batch.times_out()
    assert batch.result[0].outcome is Outcome.UNKNOWN
    assert not batch.result[0].applied
    for node in turns[: turns.index("a")]:
        single.replies(node, 1)
    with pytest.raises(ClockSkew):
        single.replies("a", [verdict, b"1"])


def _decided(
    case: Case, plan: Callable[..., Plan[list[WriteReceipt]]]
) -> ByHand[list[WriteReceipt]]:
    """Bring to the others what the primary has, in a case; the plan when it has ended."""
    cluster, keys = view(case.copies), [item.key for item in ITEMS]
    records = [item.record for item in ITEMS]
    stamps = [record.stamp for record in records]
    outgoing = ManyRecords(cluster, keys, [record.encode() for record in records], stamps)
    user_keys = [item.user_key for item in ITEMS]
    running = ByHand(plan(cluster, order(case.required), user_keys, outgoing, START))
    Play(case).run(running)
    return running


def _by_the_machine_alone(
    cluster: ClusterView, order: WriteOrder, user_keys: list[str], records: ManyRecords, at: float
) -> Plan[list[WriteReceipt]]:
    """What `replicate_decided` does, without its short way."""
    others = cluster.others[order.home]
    replication = Replication(others, order.required, cluster.epoch, order.started, order.until)
    asked = replication.begin_round(records, 0, is_decided=True)
    replication.decide()
    asked.replicate()
    at = yield from replicate(replication, at)
    return [
        receipt_of(
            order, others, key, stamp, at, asked.tracker.holders(place), asked.refusals(place)
        )
        for place, (key, stamp) in enumerate(zip(user_keys, records.stamps, strict=True))
    ]


@settings(max_examples=300)
@given(cases(behind=True))
def test_decided_records_end_as_they_do_without_the_short_way(case: Case) -> None:
    short, long = _decided(case, replicate_decided), _decided(case, _by_the_machine_alone)
    assert short.everything == long.everything
    assert (short.at, short.result) == (long.at, long.result)
