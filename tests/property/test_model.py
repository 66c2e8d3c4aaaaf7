"""The model says what the library does: the same operations on both, one by one and as batches and transactions."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redrepl.doors.batch import Batch
from redrepl.doors.transaction import Transaction
from redrepl.plans.client.options import CallOptions
from redrepl.testing import model
from redrepl.testing.model import (
    ADD,
    COMPARE_AND_SET,
    DELETE,
    EXPIRE,
    GET,
    INCREMENT,
    KINDS,
    SET,
    Content,
    NotANumber,
    Step,
    carry_out,
    carry_out_batch,
    carry_out_transaction,
    content_of,
    payload_of,
)
from redrepl.values.errors import RequestError, TransactionConflict
from redrepl.values.level import ConsistencyLevel
from redrepl.values.preference import ReadPreference
from redrepl.values.receipt import WriteReceipt
from redrepl.values.stamp import Stamp
from tests.unit.support.stores import Store

KEYS = ("x", "y")
CONTENTS: tuple[str | int, ...] = ("word", "other", 7, -3)
EXPECTED: tuple[Content, ...] = (None, *CONTENTS)
ALL = CallOptions("all", None)


@st.composite
def any_steps(draw: st.DrawFn, *kinds: str) -> list[Step]:
    """Operations on few keys with few values, so that they meet."""
    found = []
    for kind in draw(st.lists(st.sampled_from(kinds), max_size=12)):
        content: Content = draw(st.sampled_from(CONTENTS))
        expected: Content = draw(st.sampled_from(EXPECTED)) if kind == COMPARE_AND_SET else None
        amount = draw(st.integers(-3, 3))
        arguments: dict[str, Content] = {GET: None, DELETE: None, EXPIRE: None, INCREMENT: amount}
        argument = arguments.get(kind, content)
        found.append(Step(kind, draw(st.sampled_from(KEYS)), argument, expected))
    return found


class Cluster:
    """Carries steps out on a real coordinator; a comparison names the stamp of the content that it expects."""

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
        store, key, argument = self.store, step.key, step.argument
        if step.kind == GET:
            plan: Any = store.get_plan(key, ConsistencyLevel.ONE, ReadPreference.PRIMARY, None)
            return content_of(store.run(plan))
        if step.kind == DELETE:
            store.run(store.delete_plan(key, ALL))
            return None
        if step.kind == EXPIRE:
            return store.run(store.expire_plan(key, 600, ALL)).applied
        if step.kind == INCREMENT:
            assert isinstance(argument, int)
            return store.run(store.increment_plan(key, argument, ALL))
        assert argument is not None
        if step.kind == SET:
            store.run(store.set_plan(key, payload_of(argument), None, ALL))
            return None
        if step.kind == ADD:
            return store.run(store.add_plan(key, payload_of(argument), None, ALL)).applied
        plan = store.compare_and_set_plan(key, payload_of(argument), self._stamp_of(step), None, ALL)
        return bool(store.run(plan).applied)

    def _stamp_of(self, step: Step) -> Stamp | None:
        """The stamp of what stands, if it is what the step expects; else one that nothing has."""
        plan = self.store.get_record_plan(step.key, ConsistencyLevel.ONE, ReadPreference.PRIMARY, None)
        found = self.store.run(plan)
        content = content_of(None if found is None else found.value)
        if step.expected is None:
            return None
        return found.stamp if found is not None and content == step.expected else Stamp(1, 1)


@settings(max_examples=150, deadline=None)
@given(any_steps(*KINDS))
def test_the_model_answers_and_leaves_what_the_library_does(steps: list[Step]) -> None:
    cluster, contents = Cluster(), dict[str, Content].fromkeys(KEYS)
    for step in steps:
        try:
            effect = carry_out(step.kind, contents[step.key], step.argument, step.expected)
        except NotANumber:
            with pytest.raises(RequestError):
                cluster.carry_out(step)
        else:
            assert cluster.carry_out(step) == effect.answer
            contents[step.key] = effect.content
        assert cluster.contents() == contents


def _queue(queue: Batch[Any, bytes] | Transaction[Any, bytes], step: Step) -> None:
    if step.kind in (SET, ADD):
        assert step.argument is not None
        getattr(queue, step.kind)(step.key, payload_of(step.argument))
    elif step.kind == INCREMENT:
        assert isinstance(step.argument, int)
        queue.increment(step.key, step.argument)
    elif step.kind == EXPIRE:
        queue.expire(step.key, 600)
    else:
        getattr(queue, step.kind)(step.key)


def _answer(kind: str, result: Any) -> Content:
    """What a batch returned for one operation, as the model tells it."""
    if isinstance(result, WriteReceipt):
        return None if kind in (SET, DELETE) else result.applied
    return content_of(result) if kind == GET else result


@settings(max_examples=150, deadline=None)
@given(any_steps(SET, DELETE, ADD, INCREMENT, EXPIRE), any_steps(GET, SET, DELETE, ADD, INCREMENT, EXPIRE))
def test_a_batch_answers_and_leaves_what_the_model_does(before: list[Step], steps: list[Step]) -> None:
    cluster = Cluster()
    _carry_out_all(cluster, before)
    held = cluster.contents()
    batch = cluster.store.batch("all")
    for step in steps:
        _queue(batch, step)
    try:
        contents, answers = carry_out_batch(held, steps)
    except NotANumber:
        with pytest.raises(RequestError):
            batch.execute()
        return
    results = batch.execute()
    assert [_answer(step.kind, result) for step, result in zip(steps, results, strict=True)] == answers
    assert cluster.contents() == contents


@settings(max_examples=150, deadline=None)
@given(any_steps(SET, DELETE, ADD, INCREMENT, EXPIRE), any_steps(SET, DELETE, ADD, INCREMENT, EXPIRE))
def test_a_transaction_leaves_what_the_model_does(before: list[Step], steps: list[Step]) -> None:
    cluster = Cluster()
    _carry_out_all(cluster, before)
    held = cluster.contents()
    expected = carry_out_transaction(held, steps)
    transaction = cluster.store.transaction("all")
    try:
        for step in steps:
            _queue(transaction, step)
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


def test_an_operation_that_does_not_exist_is_none() -> None:
    with pytest.raises(ValueError, match="there is no operation 'append'"):
        model.carry_out("append", None)
