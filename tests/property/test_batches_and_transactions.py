"""Batches answer and leave what the same operations do one by one; transactions store what they
show.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from redrepl.doors.transaction import Transaction
from redrepl.plans.client.options import CallOptions
from redrepl.testing.calls import call
from redrepl.values.errors import RequestError, TransactionConflict
from redrepl.values.operation import OPERATIONS, OperationKind, Way
from redrepl.values.receipt import WriteReceipt
from tests.unit.support.stores import Store

KEYS = ("x", "y", "z")
ALL = CallOptions("all", None)


SHARED = [kind for kind in OPERATIONS if hasattr(Transaction, kind.name)]
"""What batches and transactions have both."""

WRITES = [kind for kind in SHARED if kind.way is not Way.READ]


class Step(NamedTuple):
    """One operation as a program would call it."""

    kind: OperationKind
    key: str
    number: int


def steps(kinds: list[OperationKind]) -> st.SearchStrategy[list[Step]]:
    """Operations on few keys, so that they meet; values are numbers or, for 0, a word."""
    step = st.builds(Step, st.sampled_from(kinds), st.sampled_from(KEYS), st.integers(0, 4))
    return st.lists(step, max_size=12)


def _call(target: object, step: Step, suffix: str = "", **options: Any) -> Any:
    """Carry a step out on a batch or transaction, or make a plan of it."""
    value = step.number if step.kind.argument.type is int else step.number or "word"
    ttl = {4: 600, 3: 60}.get(step.number)
    return call(target, step.kind, step.key, value, None, ttl, suffix, **options)


def _alone(store: Store, step: Step) -> Any:
    """What the operation answers by itself."""
    if step.kind.way is Way.READ:
        return store.run(store.get_plan(step.key))
    return store.run(_call(store, step, "_plan", options=ALL))


def _shown(result: Any) -> Any:
    return (
        (result.key, result.applied, result.outcome, result.required)
        if isinstance(result, WriteReceipt)
        else result
    )


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
@given(steps(SHARED))
def test_a_batch_answers_and_leaves_what_its_operations_do_one_by_one(queue: list[Step]) -> None:
    together, alone = Store(), Store()
    expected = _outcome_alone(alone, queue)
    batch = together.batch("all")
    for step in queue:
        _call(batch, step)
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
@given(steps(WRITES), steps(SHARED))
def test_a_transaction_stores_what_it_shows_or_nothing(
    before: list[Step], queue: list[Step]
) -> None:
    store = Store()
    _outcome_alone(store, before)
    standing, log = _contents(store), store.log()
    tx = store.transaction("all")
    shown: dict[str, bytes | None] = {}
    try:
        for step in queue:
            _call(tx, step)
        shown = {key: tx.get(key) for key in KEYS}
        tx.commit()
    except (RequestError, TransactionConflict):
        assert (_contents(store), store.log()) == (standing, log)
        return
    assert _contents(store) == {key: [value] * 3 for key, value in shown.items()}
    assert len(store.log()) - len(log) == (1 if len(tx.receipts) else 0)
    assert store.log("b") == store.log("c") == store.log()
