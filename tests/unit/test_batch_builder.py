"""Batches of mixed operations: order, round trips, results, and what is known after a failure."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redrepl.doors.batch import Batch
from redrepl.plans.operations.batch_builder import parts
from redrepl.values import limits
from redrepl.values.errors import (
    NotAReplicatedRecord,
    RequestError,
    Unavailable,
    WriteFailure,
    WriteNotConfirmed,
    WriteRejected,
)
from redrepl.values.operation import ADD, GET, OPERATIONS, SET, Operation, OperationKind, Way
from redrepl.values.receipt import Outcome, WriteReceipt
from redrepl.values.stamp import NO_STAMP, Stamp
from redrepl.values.topology import Mode
from tests.unit.support.stores import Store

COMMITTED, UNKNOWN, REJECTED = Outcome.COMMITTED, Outcome.UNKNOWN, Outcome.REJECTED


def _applied(results: Sequence[Any]) -> list[Any]:
    """Results with receipts by whether they were applied."""
    return [each.applied if isinstance(each, WriteReceipt) else each for each in results]


def _outcomes(receipts: Sequence[WriteReceipt]) -> list[Outcome]:
    return [receipt.outcome for receipt in receipts]


# Cutting ------------------------------------------------------------------------------------------


@st.composite
def queues(draw: st.DrawFn) -> list[Operation]:
    """Any operations on few keys, with operands of which few fill a part."""
    kinds = st.sampled_from(OPERATIONS)
    sizes = st.sampled_from([0, 1, limits.BATCH_BYTES // 2, limits.BATCH_BYTES + 1])
    drawn = draw(st.lists(st.tuples(kinds, st.sampled_from(["x", "y", "z"]), sizes), max_size=20))
    return [Operation(key, key, key.encode(), kind, b"v" * size) for kind, key, size in drawn]


@given(queues())
def test_parts_keep_the_order_and_what_belongs_together(queue: list[Operation]) -> None:
    cut = list(parts(queue))
    assert [index for part in cut for index in range(part.start, part.end)] == list(
        range(len(queue))
    )
    for part in cut:
        inside = queue[part.start : part.end]
        assert {operation.kind.way for operation in inside} == {part.way}
        assert (
            len(inside) == 1
            or sum(operation.weight() for operation in inside) <= limits.BATCH_BYTES
        )
        if part.way is Way.WRITE:
            assert len({operation.key for operation in inside}) == len(inside)
    for first, second in pairwise(cut):
        neighbours = [*queue[first.start : first.end], queue[second.start]]
        is_repeated = len({operation.key for operation in neighbours}) < len(neighbours)
        reasons = [
            first.way is not second.way,
            first.way is Way.WRITE and is_repeated,
            sum(operation.weight() for operation in neighbours) > limits.BATCH_BYTES,
        ]
        assert any(reasons), "a part ends for a reason"


@pytest.mark.parametrize("kind", [SET, GET, ADD])
def test_parts_are_as_long_as_one_call_may_be(kind: OperationKind) -> None:
    queue = [Operation(str(number), str(number), b"%d" % number, kind) for number in range(1201)]
    assert [part.end - part.start for part in parts(queue)] == [500, 500, 201]


# Results ------------------------------------------------------------------------------------------


def test_operations_on_one_key_take_effect_in_the_order_given() -> None:
    store = Store()
    batch = (
        store.batch()
        .get("n")
        .set("n", b"1")
        .get("n")
        .increment("n", 4)
        .get("n")
        .delete("n")
        .get("n")
    )
    batch.add("n", b"again").add("n", b"never").get("n").set("n", b"a").set("n", b"b").get("n")
    results = batch.execute()
    assert _applied(results) == [
        None,
        True,
        b"1",
        5,
        b"5",
        True,
        None,
        True,
        False,
        b"again",
        True,
        True,
        b"b",
    ]
    assert results == batch.results
    assert store.values("n")[0] == b"b"
    assert results[10].stamp < results[11].stamp, "one stamp names one value"
    assert results[8].stamp == results[7].stamp, "an unmet condition tells the version that stands"


def test_neighbours_of_one_kind_share_their_round_trips() -> None:
    store = Store()
    batch = store.batch()
    for number in range(100):
        batch.set(f"s{number}", b"v")
    for number in range(100):
        batch.get(f"s{number}")
    for number in range(50):
        batch.increment("counter").add(f"a{number}", b"v")
    results = batch.execute()
    assert store.nodes.scripts("a") == ["write_many", "MGET", "transact"]
    assert store.nodes.scripts("b") == ["write_many", "write_many"]
    assert results[100:200] == [b"v"] * 100
    assert results[200::2] == list(range(1, 51))
    assert [len(entry) for entry in store.log("b")] == [100, 51], "one log entry for each call"
    assert store.values("counter") == [b"50"] * 3


def test_conditions_are_each_on_their_own() -> None:
    store = Store()
    first = store.batch().set("x", b"1").set("word", b"one").execute()[0]
    batch = store.batch()
    batch.compare_and_set("x", b"2", first.stamp).compare_and_set("x", b"3", first.stamp)
    batch.compare_and_set("new", b"v", None).expire("absent", 60).expire("word", 60)
    results = batch.execute()
    assert _applied(results) == [True, False, True, False, True]
    assert _outcomes(results) == [COMMITTED] * 5
    assert results[1].stamp == results[0].stamp
    assert results[3].stamp == NO_STAMP
    assert store.values("x") == [b"2"] * 3
    record = store.nodes.record("c", b"word")
    assert record is not None
    assert (record.payload, record.deadline_millis > 0) == (b"one", True)


def test_an_operation_that_cannot_be_carried_out_leaves_the_others() -> None:
    store = Store()
    store.batch().set("word", b"one").execute()
    batch = store.batch().increment("n").increment("word").increment("n").set("after", b"v")
    with pytest.raises(RequestError, match="increment of key 'word' is impossible"):
        batch.execute()
    assert [batch.results[0], batch.results[2]] == [1, 2]
    assert isinstance(batch.results[1], RequestError)
    assert batch.results[3].outcome is REJECTED
    assert store.values("after") == [None] * 3


def test_times_to_live_begin_when_the_batch_leaves() -> None:
    store = Store()
    batch = store.batch().set("x", b"v", ttl=60).add("y", b"v", ttl=60)
    before = store.cluster.clock.physical.millis()
    batch.execute()
    for key in (b"x", b"y"):
        record = store.nodes.record("b", key)
        assert record is not None
        assert (
            before + 60_000
            <= record.deadline_millis
            <= store.cluster.clock.physical.millis() + 60_000
        )


def test_what_was_written_belongs_to_the_session() -> None:
    store = Store()
    results = store.batch().set("x", b"v").add("y", b"v").execute()
    assert [store.session.at_least(key) for key in (b"x", b"y")] == [
        receipt.stamp for receipt in results
    ]


def test_at_async_the_workers_bring_it_to_the_others() -> None:
    store = Store()
    store.batch("async").set("x", b"v").increment("n").execute()
    assert (store.values("x"), store.values("n")) == ([b"v", None, None], [b"1", None, None])
    assert set(store.around.woken) == {"b", "c"}


def test_with_several_primaries_a_batch_goes_to_this_clients_own() -> None:
    store = Store(3, Mode.MULTI_PRIMARY)
    results = store.batch().set("x", b"1").get("x").increment("x").get("x").execute()
    assert [results[1], results[2], results[3]] == [b"1", 2, b"2"]
    store.around.troubled = store.nodes.down = {"a"}
    assert store.batch("one").increment("x").execute() == [3]


# Life ---------------------------------------------------------------------------------------------


def test_it_can_be_used_again() -> None:
    store = Store()
    batch = store.batch()
    assert len(batch.set("x", b"1").get("x")) == 2
    batch.execute()
    assert (len(batch), bool(batch)) == (0, True)
    assert batch.get("x").execute() == [b"1"]
    assert batch.results == [b"1"]
    assert batch.execute() == []


def test_a_clean_exit_executes_what_was_not_executed() -> None:
    store = Store()
    with store.batch() as batch:
        batch.set("x", b"1").get("x")
    assert batch.results[1] == b"1"
    with store.batch() as batch:
        batch.get("x")
        assert batch.execute() == [b"1"]
    assert batch.results == [b"1"], "nothing was executed again"


def test_a_block_that_raises_sends_nothing() -> None:
    store = Store()
    batch = store.batch()
    with contextlib.suppress(KeyError), batch:
        batch.set("x", b"1")
        raise KeyError
    assert (len(batch), store.nodes.calls) == (0, [])


@pytest.mark.parametrize(
    ("queue", "says"),
    [
        (lambda batch: batch.set("", b"v"), "key must have 1 to"),
        (lambda batch: batch.get(1), "key must be str or bytes"),
        (lambda batch: batch.set("k", "v"), "value must be bytes"),
        (lambda batch: batch.add("k", None), "value must be bytes"),
        (lambda batch: batch.set("k", b"v", ttl=0), "ttl must lie in"),
        (lambda batch: batch.expire("k", -1), "ttl must lie in"),
        (lambda batch: batch.increment("k", 1.5), "amount must be"),
        (lambda batch: batch.compare_and_set("k", b"v", "1"), "expected must be a Stamp"),
    ],
)
def test_bad_input_is_refused_by_the_method_and_not_queued(queue: Any, says: str) -> None:
    store = Store()
    batch = store.batch()
    with pytest.raises(RequestError, match=says):
        queue(batch)
    assert (len(batch), store.nodes.calls) == (0, [])


def test_a_level_that_cannot_be_is_refused_at_once() -> None:
    with pytest.raises(RequestError, match=r"allowed 0\.\.2"):
        Store().batch(3)
    with pytest.raises(RequestError, match="timeout_seconds"):
        Batch(Store(), Store().run, None, 0)


# Failures -----------------------------------------------------------------------------------------


def _failing(batch: Batch[Any, bytes], kind: type[WriteFailure]) -> WriteFailure:
    with pytest.raises(kind) as caught:
        batch.execute()
    assert type(caught.value) is kind
    return caught.value


@pytest.mark.parametrize("conditional", [False, True])
def test_a_part_that_is_not_confirmed_ends_the_batch(conditional: bool) -> None:
    store = Store(level="all")
    store.nodes.down = {"c"}
    batch = store.batch().get("x")
    (batch.increment("x") if conditional else batch.set("x", b"1")).get("x").set(
        "y", b"1"
    ).increment("y")
    failure = _failing(batch, WriteNotConfirmed)
    assert batch.results[0] is None
    assert isinstance(batch.results[2], Unavailable)
    assert _outcomes(failure.receipts) == [UNKNOWN, REJECTED, REJECTED]
    assert list(failure.receipts) == [batch.results[1], *batch.results[3:]]
    assert (failure.receipt.key, set(failure.receipt.failed)) == ("x", {"c"})
    assert (store.values("x"), store.values("y")) == ([b"1", b"1", None], [None] * 3)


def test_increments_that_are_not_confirmed_have_receipts_and_no_sums() -> None:
    store = Store()
    store.nodes.down = {"b", "c"}
    batch = store.batch().increment("n").increment("n").get("n")
    failure = _failing(batch, WriteNotConfirmed)
    assert _outcomes(failure.receipts) == [UNKNOWN, UNKNOWN]
    assert list(failure.receipts) == batch.results[:2]
    assert batch.results[0].stamp < batch.results[1].stamp
    assert store.value("n") == b"2"


@pytest.mark.parametrize("conditional", [False, True])
def test_an_answer_of_the_primary_that_is_lost_leaves_it_unknown(conditional: bool) -> None:
    store = Store()
    store.nodes.lost = {"a"}
    batch = store.batch()
    (batch.increment("n") if conditional else batch.set("n", b"1")).get("n")
    failure = _failing(batch, WriteNotConfirmed)
    assert _outcomes(failure.receipts) == [UNKNOWN]
    assert isinstance(batch.results[1], Unavailable)
    store.nodes.lost = set()
    assert store.value("n") == b"1", "it took effect, once"


@pytest.mark.parametrize("conditional", [False, True])
def test_without_the_primary_it_is_rejected(conditional: bool) -> None:
    store = Store()
    store.nodes.down = {"a"}
    batch = store.batch()
    failure = _failing(batch.add("n", b"1") if conditional else batch.delete("n"), WriteRejected)
    assert _outcomes(failure.receipts) == [REJECTED]
    assert store.value("n", "b") is None


def test_what_was_confirmed_before_stays_confirmed() -> None:
    store = Store()
    batch = store.batch().set("x", b"1").get("x").set("y", b"1")
    execute = batch.plan()
    calls = store.nodes.calls
    original = store.nodes._event

    def die_after_the_read(request: Any) -> Any:
        event = original(request)
        if calls[-1][1] == "MGET":
            store.nodes.down = {"a", "b", "c"}
        return event

    store.nodes._event = die_after_the_read  # type: ignore[method-assign]
    with pytest.raises(WriteRejected) as caught:
        store.run(execute)
    assert _outcomes(caught.value.receipts) == [COMMITTED, REJECTED]
    assert batch.results[1] == b"1"


def test_a_foreign_value_ends_the_batch_with_its_own_error() -> None:
    for conditional in (False, True):
        store = Store()
        store.nodes.client("a").execute_command("SET", store.nodes.layout.data(b"y"), b"foreign")
        batch = store.batch().set("x", b"1").get("x")
        (batch.increment("y") if conditional else batch.set("y", b"1")).get("x")
        with pytest.raises(NotAReplicatedRecord):
            batch.execute()
        assert (batch.results[0].outcome, batch.results[1]) == (COMMITTED, b"1")
        assert isinstance(batch.results[2], NotAReplicatedRecord)
        assert isinstance(batch.results[3], Unavailable)


def test_a_condition_that_does_not_hold_is_confirmed_like_a_read() -> None:
    store = Store()
    store.batch("async").set("x", b"1").execute()
    result = store.batch("all").add("x", b"2").execute()[0]
    assert (result.applied, result.outcome) == (False, COMMITTED)
    assert store.values("x") == [b"1"] * 3, (
        "what was found was brought to the copies that vouch for it"
    )
    store.nodes.calls.clear()
    store.batch("all").add("x", b"2").add("x", b"2").execute()
    assert ("a", "read_many", 2) in store.nodes.calls, (
        "beside the member hash the key is named once"
    )
    store.batch("async").set("x", b"3").execute()
    store.nodes.down = {"b", "c"}
    batch = store.batch("one").add("x", b"2").increment("n")
    with pytest.raises((Unavailable, WriteNotConfirmed)):
        batch.execute()
    assert isinstance(batch.results[0], Unavailable)
    assert batch.results[1].outcome is UNKNOWN


def test_stamps_of_one_batch_are_all_different() -> None:
    store = Store()
    results = store.batch().add("x", b"1").add("y", b"1").set("x", b"2").set("y", b"2").execute()
    stamps = [receipt.stamp for receipt in results]
    assert stamps[0] != stamps[1]
    assert all(isinstance(stamp, Stamp) for stamp in stamps)
    assert (stamps[2] > stamps[0], stamps[3] > stamps[1]) == (True, True)
