"""Transactions: expectations, all or nothing, one outcome, what the transaction itself sees,
limits, repeating.
"""

from __future__ import annotations

import asyncio
import contextlib
import pickle
from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from redrepl.doors.async_coordinator import AsyncCoordinator
from redrepl.doors.batch import AsyncBatch
from redrepl.doors.transaction import (
    AsyncTransaction,
    Transaction,
    run_async_transactions,
    run_transactions,
)
from redrepl.plans.operations.outgoing import ManyRecords
from redrepl.plans.operations.transaction import Expectation, Transacted, transact
from redrepl.plans.operations.write import replicate_decided
from redrepl.plans.view import EpochMoved
from redrepl.values import limits
from redrepl.values.effects import Plan, ScriptCall
from redrepl.values.errors import (
    ClockSkew,
    NotAReplicatedRecord,
    RequestError,
    TransactionConflict,
    Unavailable,
    WriteNotConfirmed,
    WriteRejected,
)
from redrepl.values.operation import INCREMENT, SET, Operation
from redrepl.values.receipt import Outcome, WriteReceipt
from redrepl.values.record import value_record
from redrepl.values.stamp import NO_STAMP, Stamp
from redrepl.values.topology import Mode
from tests.unit.support.by_hand import UNTIL, ByHand, copies_of, order, view
from tests.unit.support.stores import Store

R = TypeVar("R")
COMMITTED, UNKNOWN, REJECTED = Outcome.COMMITTED, Outcome.UNKNOWN, Outcome.REJECTED
STAMP, SEEN, LATER = Stamp(1000, 1), Stamp(900, 3), Stamp(2000, 0x80007001)
OPERATIONS = [
    Operation("x", "x", b"x", SET, b"payload", None, STAMP, 0x123),
    Operation("n", "n", b"n", INCREMENT, b"2", None, Stamp(1001, 1)),
]
COUNTER = value_record(Stamp(1001, 1), b"42")
DONE = [b"done", b"ok", STAMP.encode(), b"ok", COUNTER.encode()]


# The plan, by hand --------------------------------------------------------------------------------


def _start(copies: int, required: int, reach_others: bool = True) -> ByHand[Transacted]:
    expectations = [Expectation("seen", b"seen", SEEN), Expectation("x", b"x", None)]
    return ByHand(transact(view(copies), order(required, reach_others), expectations, OPERATIONS))


def test_the_deciding_node_is_asked_alone_first() -> None:
    plan = _start(3, 1)
    assert (plan.targets(), plan.exchange.required_node) == (["a"], "a")
    command = plan.sent[0].command
    assert isinstance(command, ScriptCall)
    assert command.keys == (
        b"shop:m:member",
        b"shop:m:log",
        b"shop:k:seen",
        b"shop:k:x",
        b"shop:k:n",
    )
    assert command.arguments == (
        *(b"7", b"unit", limits.TRANSACTION_BYTES, 2, 0, SEEN.encode(), 1, b""),
        *(1, b"set", STAMP.encode(), b"000000000123", b"payload"),
        *(2, b"increment", Stamp(1001, 1).encode(), b"000000000000", b"2"),
    )


def test_then_all_records_go_to_each_other_copy_in_one_call() -> None:
    plan = _start(3, 1).replies("a", DONE)
    assert (plan.targets(), plan.scripts()) == (["b", "c"], ["write_many", "write_many"])
    record = value_record(STAMP, b"payload", 0x123)
    assert plan.sent[0].command.arguments == (b"7", record.encode(), COUNTER.encode(), b"decided")
    done = plan.replies("c", 1).result
    assert done.records == {b"x": record, b"n": COUNTER}
    assert [receipt.stamp for receipt in done.receipts.values()] == [STAMP, COUNTER.stamp]
    for receipt in done.receipts.values():
        assert (receipt.outcome, receipt.applied) == (COMMITTED, True)
        assert copies_of(receipt) == ({"a", "c"}, {"b"}, {})


def test_the_stamps_that_the_deciding_node_gave_are_the_ones_that_count() -> None:
    plan = _start(2, 1).replies("a", [b"done", b"ok", LATER.encode(), b"ok", COUNTER.encode()])
    assert plan.sent[0].command.arguments[1] == value_record(LATER, b"payload", 0x123).encode()
    done = plan.replies("b", [b"some", 0, b"has", STAMP.encode()]).result
    assert done.receipts[b"x"].stamp == LATER
    assert {receipt.outcome for receipt in done.receipts.values()} == {UNKNOWN}, (
        "one outcome for all keys"
    )


def test_a_copy_with_something_later_holds_it_too() -> None:
    plan = _start(2, 1).replies("a", DONE).replies("b", [b"some", 1, b"has", LATER.encode()])
    assert {receipt.outcome for receipt in plan.result.receipts.values()} == {COMMITTED}


def test_copies_that_hold_a_part_each_do_not_make_it_committed() -> None:
    plan = _start(3, 1).replies("a", DONE).replies("b", [b"some", 0, b"skewed", b"9"])
    done = plan.replies("c", [b"some", 1, b"skewed", b"9"]).result
    assert [receipt.acked for receipt in done.receipts.values()] == [{"a", "c"}, {"a", "b"}]
    assert {receipt.outcome for receipt in done.receipts.values()} == {UNKNOWN}


def test_at_async_and_at_level_0_nobody_is_waited_for() -> None:
    quiet = _start(3, 0, reach_others=False).replies("a", DONE)
    assert [request.node for request in quiet.everything] == ["a"]
    assert copies_of(quiet.result.receipts[b"x"]) == ({"a"}, {"b", "c"}, {})
    sent = _start(3, 0).replies("a", DONE)
    assert [request.node for request in sent.everything] == ["a", "b", "c"]
    assert sent.result.receipts[b"x"].outcome is COMMITTED


def test_unknown_when_the_others_do_not_confirm() -> None:
    plan = _start(3, 1).replies("a", DONE).fails("b", "down")
    done = plan.fails("c", "down").result
    assert {receipt.outcome for receipt in done.receipts.values()} == {UNKNOWN}
    assert copies_of(done.receipts[b"x"]) == ({"a"}, set(), {"b": "down", "c": "down"})
    late = _start(3, 2).replies("a", DONE).replies("b", 1).times_out().result
    assert copies_of(late.receipts[b"n"]) == ({"a", "b"}, {"c"}, {})
    assert {receipt.outcome for receipt in late.receipts.values()} == {UNKNOWN}


def test_a_copy_that_is_not_ready_is_sent_it_again() -> None:
    plan = _start(2, 1).replies("a", DONE).replies("b", [b"refused", b"6", b"active"])
    assert plan.exchange.until < UNTIL
    plan.times_out().fails("b", "not connected", sent=False).times_out()
    assert plan.targets() == ["b"]
    assert plan.replies("b", 1).result.receipts[b"x"].outcome is COMMITTED
    refused = _start(2, 1).replies("a", DONE).replies("b", [b"refused", b"7", b"syncing"]).result
    assert set(refused.receipts[b"x"].failed) == {"b"}


def test_a_conflict_names_the_keys_and_what_stands() -> None:
    with pytest.raises(TransactionConflict, match="'seen' and 1 more") as caught:
        _start(3, 1).replies("a", [b"conflict", 0, LATER.encode(), 2, b""])
    assert caught.value.standing == {"seen": LATER, "n": None}
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (copy.standing, str(copy)) == (caught.value.standing, str(caught.value))


def test_what_cannot_be_carried_out_is_the_callers_mistake() -> None:
    with pytest.raises(RequestError, match="increment of key 'n' is impossible: no number"):
        _start(3, 1).replies("a", [b"unfit", 1, b"no number"])


def test_verdicts_that_changed_nothing_are_errors() -> None:
    for answer, error in (
        ([b"refused", b"8", b"active"], EpochMoved),
        ([b"foreign", b"shop:k:x"], NotAReplicatedRecord),
        ([b"expired", b"1"], ClockSkew),
        ([b"skewed", b"1"], ClockSkew),
    ):
        with pytest.raises(error) as caught:
            _start(3, 1).replies("a", answer)
        assert "may still take effect" not in str(caught.value)


@pytest.mark.parametrize(("sent", "outcome"), [(True, UNKNOWN), (False, REJECTED)])
def test_a_deciding_node_that_fails(sent: bool, outcome: Outcome) -> None:
    done = _start(3, 1).fails("a", "down", sent=sent).result
    assert {receipt.outcome for receipt in done.receipts.values()} == {outcome}
    assert [receipt.key for receipt in done.receipts.values()] == ["x", "n"]
    assert copies_of(done.receipts[b"x"]) == (set(), set(), {"a": "down"})


def test_a_deciding_node_that_stays_silent_or_does_not_serve() -> None:
    silent = _start(3, 1).times_out().result.receipts[b"x"]
    assert (silent.outcome, silent.failed) == (UNKNOWN, {"a": "no answer in time"})
    closed = _start(3, 1).replies("a", [b"refused", b"7", b"syncing"]).result.receipts[b"x"]
    assert (closed.outcome, set(closed.failed)) == (REJECTED, {"a"})


def test_expectations_alone_are_one_call_on_the_primary() -> None:
    def looking() -> ByHand[Transacted]:
        return ByHand(transact(view(3), order(1), [Expectation("x", b"x", SEEN)], []))

    assert looking().replies("a", [b"done"]).result == Transacted({}, {})
    with pytest.raises(Unavailable, match="could not be verified"):
        looking().fails("a", "down", sent=False)


def test_one_copy_alone_spreads_nothing() -> None:
    assert _start(1, 0).replies("a", DONE).result.receipts[b"x"].outcome is COMMITTED


def test_spreading_counts_each_record_for_itself() -> None:
    record, cluster = value_record(STAMP, b"v"), view(3)
    records = ManyRecords(cluster, (b"x", b"y"), [record.encode()] * 2, [STAMP] * 2)
    plan = ByHand(replicate_decided(cluster, order(1), ("x", "y"), records, 100.0))
    plan.replies("b", [b"some", 1, b"expired", b"9"])
    assert not plan.is_done
    receipts: list[WriteReceipt] = plan.replies("c", 1).result
    assert [receipt.acked for receipt in receipts] == [{"a", "b", "c"}, {"a", "c"}]
    assert "older" in receipts[1].failed["b"]


# On a cluster in memory ---------------------------------------------------------------------------


def _seed(store: Store, **values: bytes) -> dict[str, Stamp]:
    batch = store.batch("all")
    for key, value in values.items():
        batch.set(key, value)
    return {receipt.key: receipt.stamp for receipt in batch.execute()}


def test_what_was_read_and_still_stands_lets_it_through_as_one_entry() -> None:
    store = Store()
    _seed(store, x=b"1", y=b"2")
    with store.transaction("all") as tx:
        total = int(tx.get("x") or 0) + int(tx.get("y") or 0)
        assert tx.get("absent") is None
        tx.set("total", b"%d" % total).delete("x").increment("y", 5).expire("y", 60).add(
            "new", b"v", ttl=60
        )
    assert {key: receipt.outcome for key, receipt in tx.receipts.items()} == dict.fromkeys(
        ["total", "x", "y", "new"], COMMITTED
    )
    assert tx.sums == {"y": 7}
    for key, value in (("total", b"3"), ("x", None), ("y", b"7"), ("new", b"v")):
        assert store.values(key) == [value] * 3
    stamps = {str(key).encode(): receipt.stamp.encode() for key, receipt in tx.receipts.items()}
    for node in "abc":
        assert store.log(node)[1:] == [stamps], node
    assert store.session.at_least(b"total") == tx.receipts["total"].stamp


@pytest.mark.parametrize("rival", ["set", "delete", "add"])
def test_what_changed_meanwhile_stops_it_everywhere(rival: str) -> None:
    store = Store()
    _seed(store, x=b"1")
    tx = store.transaction()
    key = "absent" if rival == "add" else "x"
    tx.get(key)
    tx.set("y", b"2").set("x", b"3")
    other = store.batch()
    (other.delete(key) if rival == "delete" else other.set(key, b"rival")).execute()
    logs = [store.log(node) for node in "abc"]
    with pytest.raises(TransactionConflict) as caught:
        tx.commit()
    record = store.nodes.record("a", key.encode())
    assert record is not None
    assert caught.value.standing == {key: record.stamp}
    assert store.values("y") == [None] * 3
    assert [store.log(node) for node in "abc"] == logs
    assert tx.receipts == {}


def test_absence_may_be_of_any_kind() -> None:
    store = Store()
    _seed(store, x=b"1")
    tx = store.transaction()
    tx.get("y")
    store.batch().set("y", b"1").delete("y").execute()
    tx.set("y", b"2").commit()
    assert store.value("y") == b"2"


def test_expectations_can_be_given() -> None:
    store = Store()
    stamps = _seed(store, x=b"1")
    with store.transaction() as tx:
        tx.check("x", stamps["x"]).check("y", None).set("y", b"1")
    for key, stamp in (("x", None), ("x", NO_STAMP), ("y", None), ("z", stamps["x"])):
        with pytest.raises(TransactionConflict):
            store.transaction().check(key, stamp).set("never", b"v").commit()
    assert store.value("never") is None


def test_a_check_and_a_read_that_disagree_are_a_conflict() -> None:
    store = Store()
    old = _seed(store, x=b"1")["x"]
    _seed(store, x=b"2")
    tx = store.transaction().check("x", old)
    assert tx.get("x") == b"2"
    with pytest.raises(TransactionConflict):
        tx.commit()


def test_it_sees_its_own_writes() -> None:
    store = Store()
    stamps = _seed(store, x=b"1", n=b"40", word=b"one")
    tx = store.transaction()
    found = tx.get_record("x")
    assert found is not None
    assert (found.value, found.stamp, found.expires_at, found.node) == (
        b"1",
        stamps["x"],
        None,
        "a",
    )
    tx.set("x", b"2", ttl=60)
    own = tx.get_record("x")
    assert own is not None
    assert (own.value, own.stamp, own.node) == (b"2", NO_STAMP, "")
    assert own.expires_at is not None
    assert (tx.delete("x").get("x"), tx.get_record("x")) == (None, None)
    assert tx.add("x", b"3").get("x") == b"3"
    assert (tx.increment("x", 4).get("x"), tx.expire("x", None).get("x")) == (b"7", b"7")
    assert (tx.increment("n", 2).get("n"), tx.increment("n", 1).get("n"), tx.get("absent")) == (
        b"42",
        b"43",
        None,
    )
    assert tx.increment("fresh").get("fresh") == b"1"
    assert tx.expire("word", 60).get("word") == b"one"
    with pytest.raises(RequestError, match="increment of key 'word'"):
        tx.increment("word").get("word")


def test_what_it_shows_is_what_it_stores() -> None:
    store = Store()
    _seed(store, n=b"40")
    with store.transaction() as tx:
        tx.increment("n", 2).set("x", b"1").increment("x").delete("y").increment("y").expire(
            "x", 60
        )
        shown = {key: tx.get(key) for key in "nxy"}
    assert {key: store.value(key) for key in "nxy"} == shown == {"n": b"42", "x": b"2", "y": b"1"}
    assert tx.sums == {"n": 42, "x": 2, "y": 1}


def test_reads_of_one_key_agree_with_each_other() -> None:
    store = Store()
    _seed(store, x=b"1")
    tx = store.transaction()
    assert tx.get("x") == b"1"
    _seed(store, x=b"2")
    assert tx.get("x") == b"1"
    assert len(store.nodes.scripts("a")) == 3, "the second read was answered from memory"


def test_a_blind_write_conflicts_with_nobody() -> None:
    store = Store()
    tx = store.transaction().set("x", b"mine").increment("n")
    store.batch().set("x", b"rival").increment("n").execute()
    tx.commit()
    assert (store.value("x"), store.value("n")) == (b"mine", b"2")


def test_conditions_that_do_not_hold_at_commit_are_conflicts() -> None:
    store = Store()
    stamp = _seed(store, x=b"1")["x"]
    for tx, standing in (
        (store.transaction().add("x", b"2"), {"x": stamp}),
        (store.transaction().expire("y", 60), {"y": None}),
    ):
        with pytest.raises(TransactionConflict) as caught:
            tx.set("z", b"v").commit()
        assert caught.value.standing == standing
    _seed(store, word=b"one")
    with pytest.raises(RequestError, match="not a whole number"):
        store.transaction().set("z", b"v").increment("word").commit()
    assert store.values("z") == [None] * 3


def test_conditions_that_cannot_hold_are_refused_at_once() -> None:
    tx = Store().transaction().set("x", b"1").delete("y")
    with pytest.raises(RequestError, match="leaves a value there"):
        tx.add("x", b"2")
    with pytest.raises(RequestError, match="leaves no value there"):
        tx.expire("y", 60)
    assert len(tx) == 2


# Outcomes -----------------------------------------------------------------------------------------


def test_unknown_as_a_whole_when_copies_are_missing() -> None:
    store = Store()
    store.nodes.down = {"b", "c"}
    tx = store.transaction().set("x", b"1").set("y", b"2")
    with pytest.raises(WriteNotConfirmed) as caught:
        tx.commit()
    assert list(tx.receipts.values()) == list(caught.value.receipts)
    assert {receipt.outcome for receipt in caught.value.receipts} == {UNKNOWN}
    assert (store.value("x"), store.value("y")) == (b"1", b"2")


def test_an_answer_of_the_primary_that_is_lost_leaves_it_unknown_and_it_is_not_repeated() -> None:
    store = Store()
    _seed(store, n=b"1")

    def add_one(tx: Transaction[Any, bytes]) -> None:
        tx.increment("n")
        store.nodes.lost = {"a"}

    with pytest.raises(WriteNotConfirmed):
        run_transactions(store.transaction, add_one, 5, store.run)
    assert store.nodes.scripts("a").count("transact") == 1
    assert store.values("n") == [b"2", b"1", b"1"]


def test_without_the_primary_it_is_rejected() -> None:
    store = Store()
    store.nodes.down = {"a"}
    tx = store.transaction().set("x", b"1")
    with pytest.raises(WriteRejected):
        tx.commit()
    assert tx.receipts["x"].outcome is REJECTED
    with pytest.raises(Unavailable):
        store.transaction().get("x")


def test_with_several_primaries_the_next_one_decides() -> None:
    store = Store(3, Mode.MULTI_PRIMARY)
    stamp = _seed(store, x=b"1")["x"]
    store.around.troubled = store.nodes.down = {"a"}
    receipts = store.transaction("one").check("x", stamp).set("x", b"2").commit()
    assert receipts["x"].acked == {"b", "c"}
    assert (store.value("x", "b"), store.value("x", "c")) == (b"2", b"2")


def test_at_async_the_workers_bring_it_to_the_others() -> None:
    store = Store()
    with store.transaction("async") as tx:
        tx.set("x", b"1")
    assert (store.values("x"), set(store.around.woken)) == ([b"1", None, None], {"b", "c"})


# Life and limits ----------------------------------------------------------------------------------


def test_a_block_that_raises_sends_nothing() -> None:
    store = Store()
    with contextlib.suppress(KeyError), store.transaction() as tx:
        tx.set("x", b"1")
        raise KeyError
    assert store.nodes.calls == []


def test_it_is_over_after_its_commit() -> None:
    store = Store()
    with store.transaction() as tx:
        tx.set("x", b"1")
        assert tx.commit() == tx.receipts
    assert store.nodes.scripts("a") == ["transact"], "leaving the block does not commit again"
    for use in (
        lambda: tx.set("y", b"1"),
        lambda: tx.get("y"),
        lambda: tx.check("y", None),
        tx.commit,
    ):
        with pytest.raises(RequestError, match="is over"):
            use()


def test_an_empty_transaction_asks_nobody_and_expectations_alone_the_primary() -> None:
    store = Store()
    stamp = _seed(store, x=b"1")["x"]
    store.nodes.calls.clear()
    assert store.transaction().commit() == {}
    assert store.nodes.calls == []
    assert store.transaction().check("x", stamp).commit() == {}
    assert [(node, name) for node, name, _ in store.nodes.calls] == [("a", "transact_oom")], (
        "it stores nothing"
    )
    with pytest.raises(TransactionConflict):
        store.transaction().check("x", None).commit()


def _filled(store: Store, count: int) -> Transaction[Any, bytes]:
    tx = store.transaction()
    for number in range(count):
        tx.set(f"key-{number}", b"v")
    return tx


def test_the_number_of_keys_and_operations_has_a_limit() -> None:
    store = Store()
    tx = _filled(store, limits.BATCH_KEYS)
    with pytest.raises(RequestError, match=f"at most {limits.BATCH_KEYS} operations"):
        tx.delete("key-0")
    for use in (lambda: tx.check("other", None), lambda: tx.get("other")):
        with pytest.raises(RequestError, match=f"at most {limits.BATCH_KEYS} keys"):
            use()
    assert store.nodes.calls == []
    assert len(tx.commit()) == limits.BATCH_KEYS


def test_the_number_of_bytes_has_a_limit() -> None:
    store = Store()
    tx = store.transaction().set("x", b"v" * (limits.TRANSACTION_BYTES - 3))
    tx.check("x", None).get("x")
    tx.set("y", b"v")
    with pytest.raises(RequestError, match=f"at most {limits.TRANSACTION_BYTES} bytes"):
        tx.set("x", b"v")
    assert (len(tx), store.nodes.calls) == (2, [])


@pytest.mark.parametrize(
    ("queue", "says"),
    [
        (lambda tx: tx.set("", b"v"), "key must have 1 to"),
        (lambda tx: tx.get(1), "key must be str or bytes"),
        (lambda tx: tx.set("k", "v"), "value must be bytes"),
        (lambda tx: tx.set("k", b"v", ttl=0), "ttl must lie in"),
        (lambda tx: tx.increment("k", 1.5), "amount must be"),
        (lambda tx: tx.check("k", "1"), "stamp must be a Stamp"),
    ],
)
def test_bad_input_is_refused_by_the_method(queue: Any, says: str) -> None:
    store = Store()
    tx = store.transaction()
    with pytest.raises(RequestError, match=says):
        queue(tx)
    assert (len(tx), store.nodes.calls) == (0, [])
    with pytest.raises(RequestError, match=r"allowed 0\.\.2"):
        store.transaction(3)


# Repeating ----------------------------------------------------------------------------------------


def _disturbed(store: Store, times: int) -> Callable[[Transaction[Any, bytes]], bytes]:
    """Adds one to n by reading and writing; a rival is quicker so many times."""
    rivals = iter(range(times))

    def function(tx: Transaction[Any, bytes]) -> bytes:
        value = b"%d" % (int(tx.get("n") or 0) + 1)
        if next(rivals, None) is not None:
            store.batch().increment("n", 10).execute()
        tx.set("n", value)
        return value

    return function


def test_a_conflict_is_repeated_with_a_new_reading() -> None:
    store = Store()
    at = store.nodes.at
    assert run_transactions(store.transaction, _disturbed(store, 3), 4, store.run) == b"31"
    assert store.value("n") == b"31"
    assert store.nodes.at > at


def test_after_so_many_attempts_the_conflict_is_raised() -> None:
    store = Store()
    with pytest.raises(TransactionConflict):
        run_transactions(store.transaction, _disturbed(store, 9), 3, store.run)
    assert store.value("n") == b"30"


def test_what_the_function_raises_ends_it_and_nothing_is_sent() -> None:
    store = Store()
    called = []

    def function(tx: Transaction[Any, bytes]) -> None:
        called.append(tx.set("x", b"1"))
        raise KeyError

    with pytest.raises(KeyError):
        run_transactions(store.transaction, function, 3, store.run)
    assert (len(called), store.nodes.calls) == (1, [])


def test_a_function_may_commit_by_itself() -> None:
    store = Store()
    receipts = run_transactions(
        store.transaction, lambda tx: tx.set("x", b"1").commit(), 3, store.run
    )
    assert receipts["x"].outcome is COMMITTED
    assert store.nodes.scripts("a") == ["transact"]


@pytest.mark.parametrize("attempts", [0, -1, 1.5, None])
def test_attempts_must_be_a_number_of_times(attempts: Any) -> None:
    store = Store()
    with pytest.raises(RequestError, match="attempts must be"):
        run_transactions(store.transaction, lambda tx: tx.set("x", b"1"), attempts, store.run)


# With asyncio -------------------------------------------------------------------------------------


def test_the_asyncio_forms_are_the_same_plans() -> None:
    store = Store()

    async def run(plan: Plan[R]) -> R:
        await asyncio.sleep(0)
        return store.run(plan)

    def begin() -> AsyncTransaction[Any, bytes]:
        return AsyncTransaction(store, run, None, None)

    async def add_one(tx: AsyncTransaction[Any, bytes]) -> int:
        value = int(await tx.get("n") or 0) + 1
        if value < 20:
            store.batch().increment("n", 10).execute()
        tx.set("n", b"%d" % value)
        return value

    async def use() -> None:
        async with AsyncBatch[Any, bytes](store, run, None, None) as batch:
            batch.set("x", b"1").get("x")
        assert batch.results[1] == b"1"
        assert await batch.get("x").execute() == [b"1"]
        with contextlib.suppress(KeyError):
            async with batch:
                batch.delete("x")
                raise KeyError
        assert len(batch) == 0
        async with begin() as tx:
            found = await tx.get_record("x")
            assert found is not None
            tx.check("x", found.stamp).set("y", b"2")
        assert tx.receipts["y"].outcome is COMMITTED
        with contextlib.suppress(KeyError):
            async with begin() as tx:
                tx.delete("x")
                raise KeyError
        assert store.value("x") == b"1"
        assert await run_async_transactions(begin, add_one, 5, run) == 21
        with pytest.raises(TransactionConflict):
            await run_async_transactions(lambda: begin().check("x", None), add_one, 2, run)

    asyncio.run(use())


def test_an_asyncio_coordinator_that_is_not_open_yet_says_so() -> None:
    closed = AsyncCoordinator[Any, bytes](Store().configuration)
    for begin in (closed.transaction, closed.batch):
        with pytest.raises(RequestError, match="not open"):
            begin()
