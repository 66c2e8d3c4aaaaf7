"""The model says what the library does: the same operations on both, one by one and as batches and
transactions.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redrepl.doors.batch import Batch
from redrepl.doors.transaction import Transaction
from redrepl.plans.client.options import CallOptions
from redrepl.testing.calls import answer_of, call
from redrepl.testing.model import (
    Content,
    Impossible,
    Step,
    carry_out,
    carry_out_batch,
    carry_out_transaction,
    content_of,
    payload_of,
)
from redrepl.values.errors import RequestError, TransactionConflict
from redrepl.values.level import ConsistencyLevel
from redrepl.values.operation import CHANGING, OPERATIONS, Condition, OperationKind, Result, Way
from redrepl.values.preference import ReadPreference
from redrepl.values.receipt import WriteReceipt
from redrepl.values.stamp import Stamp
from tests.unit.support.stores import Store

KEYS = ("x", "y")
CONTENTS: tuple[str | int, ...] = ("word", "other", 7, -3)
EXPECTED: tuple[Content, ...] = (None, *CONTENTS)
ALL = CallOptions("all", None)


QUEUED = [kind for kind in CHANGING if hasattr(Transaction, kind.name)]
"""What transactions have."""

BATCHED = [kind for kind in OPERATIONS if hasattr(Batch, kind.name)]
"""What batches have."""

TTL_SECONDS = 600


@st.composite
def any_steps(draw: st.DrawFn, *kinds: OperationKind) -> list[Step]:
    """Operations on few keys with few values, so that they meet."""
    found = []
    for kind in draw(st.lists(st.sampled_from(kinds), max_size=12)):
        arguments = {None: st.none(), int: st.integers(-3, 3), bytes: st.sampled_from(CONTENTS)}
        argument: Content = draw(arguments[kind.argument.type])
        is_of_version = kind.condition is Condition.VERSION
        expected: Content = draw(st.sampled_from(EXPECTED)) if is_of_version else None
        found.append(Step(kind, draw(st.sampled_from(KEYS)), argument, expected))
    return found


class Cluster:
    """Carries steps out on a real coordinator; a comparison names the stamp of the content that it
    expects.
    """

    def __init__(self) -> None:
        self.store = Store()
        self.stamps: dict[tuple[str, Content], Stamp | None] = {}

    def contents(self) -> dict[str, Content]:
        """What every key reads as, the same on all nodes."""
        values = {key: self.store.values(key) for key in KEYS}
        assert all(copies == copies[:1] * 3 for copies in values.values())
        return {key: content_of(copies[0]) for key, copies in values.items()}

    def carry_out(self, step: Step) -> Content:
        """What the program is told, as the model tells it."""
        store, kind = self.store, step.kind
        if kind.way is Way.READ:
            return content_of(store.run(store.get_plan(step.key)))
        stamp = self.stamp_of(step) if kind.condition is Condition.VERSION else None
        plan = call(store, kind, step.key, step.argument, stamp, TTL_SECONDS, "_plan", options=ALL)
        return answer_of(kind, store.run(plan))

    def stamp_of(self, step: Step) -> Stamp | None:
        """The stamp of what stands, if it is what the step expects; else one that nothing has."""
        plan = self.store.get_record_plan(
            step.key, ConsistencyLevel.ONE, ReadPreference.PRIMARY, None
        )
        found = self.store.run(plan)
        content = content_of(None if found is None else found.value)
        if step.expected is None:
            return None
        return found.stamp if found is not None and content == step.expected else Stamp(1, 1)


@settings(max_examples=150, deadline=None)
@given(any_steps(*OPERATIONS))
def test_the_model_answers_and_leaves_what_the_library_does(steps: list[Step]) -> None:
    cluster, contents = Cluster(), dict[str, Content].fromkeys(KEYS)
    for step in steps:
        try:
            effect = carry_out(step.kind, contents[step.key], step.argument, step.expected)
        except Impossible:
            with pytest.raises(RequestError):
                cluster.carry_out(step)
        else:
            assert cluster.carry_out(step) == effect.answer
            contents[step.key] = effect.content
        assert cluster.contents() == contents


def _answer(kind: OperationKind, result: Any) -> Content:
    """What a batch returned for one operation, as the model tells it."""
    is_receipt = isinstance(result, WriteReceipt)
    assert is_receipt == (kind.result is Result.RECEIPT)
    return answer_of(kind, result)


def _comparing_at_first(steps: list[Step]) -> list[Step]:
    """Without those that expect a version which the batch itself makes: no caller knows its
    stamp.
    """
    found, seen = [], set[str]()
    for step in steps:
        if step.kind.condition is not Condition.VERSION or step.key not in seen:
            found.append(step)
        seen.add(step.key)
    return found


@settings(max_examples=150, deadline=None)
@given(any_steps(*QUEUED), any_steps(*BATCHED).map(_comparing_at_first))
def test_a_batch_answers_and_leaves_what_the_model_does(
    before: list[Step], steps: list[Step]
) -> None:
    cluster = Cluster()
    _carry_out_all(cluster, before)
    held = cluster.contents()
    batch = cluster.store.batch("all")
    for step in steps:
        stamp = cluster.stamp_of(step)
        call(batch, step.kind, step.key, step.argument, stamp, TTL_SECONDS)
    try:
        contents, answers = carry_out_batch(held, steps)
    except Impossible:
        with pytest.raises(RequestError):
            batch.execute()
        return
    results = batch.execute()
    assert [
        _answer(step.kind, result) for step, result in zip(steps, results, strict=True)
    ] == answers
    assert cluster.contents() == contents


@settings(max_examples=150, deadline=None)
@given(any_steps(*QUEUED), any_steps(*QUEUED))
def test_a_transaction_leaves_what_the_model_does(before: list[Step], steps: list[Step]) -> None:
    cluster = Cluster()
    _carry_out_all(cluster, before)
    held = cluster.contents()
    expected = carry_out_transaction(held, steps)
    transaction = cluster.store.transaction("all")
    try:
        for step in steps:
            call(transaction, step.kind, step.key, step.argument, ttl=TTL_SECONDS)
        transaction.commit()
    except (RequestError, TransactionConflict):
        assert expected is None
        assert cluster.contents() == held
    else:
        assert expected is not None
        assert cluster.contents() == expected


def _carry_out_all(cluster: Cluster, steps: list[Step]) -> None:
    for step in steps:
        try:
            cluster.carry_out(step)
        except RequestError:
            continue


@pytest.mark.parametrize(
    ("payload", "content"),
    [
        (None, None),
        (b"", ""),
        (b"0", 0),
        (b"-12", -12),
        (b"9007199254740992", 9007199254740992),
        (b"12345678901234567", "12345678901234567"),
        (b"012", "012"),
        (b"-0", "-0"),
        (b"--1", "--1"),
        (b"-", "-"),
        ("²".encode(), "²"),
        (b"\xff", "\\xff"),
    ],
)
def test_a_number_is_what_increments_write(payload: bytes | None, content: Content) -> None:
    assert content_of(payload) == content
    if content is not None and payload != b"\xff":
        assert payload_of(content) == payload
