"""Batches answer and leave what the same operations do one by one; transactions store what they show."""

from __future__ import annotations

from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from redrepl.doors.batch import Batch
from redrepl.doors.transaction import Transaction
from redrepl.plans.client.options import CallOptions
from redrepl.values.errors import RequestError, TransactionConflict
from redrepl.values.level import ConsistencyLevel
from redrepl.values.preference import ReadPreference
from redrepl.values.receipt import WriteReceipt
from tests.unit.support.stores import Store

KEYS = ("x", "y", "z")
ALL = CallOptions("all", None)


class Step(NamedTuple):
    """One operation as a program would call it."""

    name: str
    key: str
    number: int


def steps(*names: str) -> st.SearchStrategy[list[Step]]:
    """Operations on few keys, so that they meet; values are numbers or, for 0, a word."""
    step = st.builds(Step, st.sampled_from(names), st.sampled_from(KEYS), st.integers(0, 4))
    return st.lists(step, max_size=12)


def _value(step: Step) -> bytes:
    return b"%d" % step.number if step.number else b"word"


def _queue(queue: Batch[Any, bytes] | Transaction[Any, bytes], step: Step) -> None:
    if step.name in ("set", "add"):
        getattr(queue, step.name)(step.key, _value(step), ttl=600 if step.number == 4 else None)
    elif step.name == "increment":
        queue.increment(step.key, step.number)
    elif step.name == "expire":
        queue.expire(step.key, 60 if step.number % 2 else None)
    else:
        getattr(queue, step.name)(step.key)


def _alone(store: Store, step: Step) -> Any:
    """What the operation answers by itself."""
    ttl = 600 if step.number == 4 else None
    if step.name == "set":
        return store.run(store.set_plan(step.key, _value(step), ttl, ALL))
    if step.name == "add":
        return store.run(store.add_plan(step.key, _value(step), ttl, ALL))
    if step.name == "increment":
        return store.run(store.increment_plan(step.key, step.number, ALL))
    if step.name == "expire":
        return store.run(store.expire_plan(step.key, 60 if step.number % 2 else None, ALL))
    if step.name == "delete":
        return store.run(store.delete_plan(step.key, ALL))
    return store.run(store.get_plan(step.key, ConsistencyLevel.ONE, ReadPreference.PRIMARY, None))


def _shown(result: Any) -> Any:
    return (result.key, result.applied, result.outcome, result.required) if isinstance(result, WriteReceipt) else result


def _contents(store: Store) -> dict[str, list[bytes | None]]:
    return {key: store.values(key) for key in KEYS}


def _outcome_alone(store: Store, queue: list[Step]) -> list[Any]:
    """Results one by one, up to the first operation that is impossible: a batch may end there."""
    results: list[Any] = []
    for step in queue:
        try:
            results.append(_shown(_alone(store, step)))
        except RequestError:
            break
    return results


@settings(max_examples=120, deadline=None)
@given(steps("set", "delete", "get", "add", "increment", "expire"))
def test_a_batch_answers_and_leaves_what_its_operations_do_one_by_one(queue: list[Step]) -> None:
    together, alone = Store(), Store()
    expected = _outcome_alone(alone, queue)
    batch = together.batch("all")
    for step in queue:
        _queue(batch, step)
    try:
        results = batch.execute()
    except RequestError:
        assert len(expected) < len(queue)
        assert [_shown(result) for result in batch.results[: len(expected)]] == expected
        return
    assert [_shown(result) for result in results] == expected
    assert _contents(together) == _contents(alone)
    logs = [together.log(node) for node in "abc"]
    assert logs[0] == logs[1] == logs[2]


@settings(max_examples=120, deadline=None)
@given(steps("set", "delete", "add", "increment"), steps("set", "delete", "get", "add", "increment", "expire"))
def test_a_transaction_stores_what_it_shows_or_nothing(before: list[Step], queue: list[Step]) -> None:
    store = Store()
    _outcome_alone(store, before)
    standing, log = _contents(store), store.log()
    tx = store.transaction("all")
    shown: dict[str, bytes | None] = {}
    try:
        for step in queue:
            _queue(tx, step)
        shown = {key: tx.get(key) for key in KEYS}
        tx.commit()
    except (RequestError, TransactionConflict):
        assert (_contents(store), store.log()) == (standing, log)
        return
    assert _contents(store) == {key: [value] * 3 for key, value in shown.items()}
    assert len(store.log()) - len(log) == (1 if len(tx.receipts) else 0)
    assert store.log("b") == store.log("c") == store.log()
