"""`get_and_set`: stores a value and returns the one before it, decided by the primary."""

from __future__ import annotations

from typing import Any

import pytest

from redrepl import JsonCodec, Outcome, UndecodableValue, WriteNotConfirmed, WriteRejected
from redrepl.plans.client.options import CallOptions
from redrepl.plans.operations.update import Update, Updated, update_one
from redrepl.values.effects import ScriptCall
from redrepl.values.operation import GET_AND_SET, Before
from redrepl.values.record import value_record
from redrepl.values.stamp import Stamp
from tests.unit.support.by_hand import ByHand, order, view
from tests.unit.support.stores import Store

ALL, QUORUM = CallOptions("all", None), CallOptions("quorum", None)
STAMP, LATER = Stamp(1000, 1), Stamp(2000, 0x80007001)
UPDATE = Update(GET_AND_SET, STAMP, b"new", 0x123)


def _swap(store: Store, key: str, value: Any, ttl: float | None = None) -> Any:
    return store.run(store.get_and_set_plan(key, value, ttl, ALL))


def test_it_returns_the_value_before_and_every_copy_has_the_new_one() -> None:
    store = Store()
    assert [_swap(store, "k", value) for value in (b"one", b"", b"two")] == [None, b"one", b""]
    assert store.values("k") == [b"two"] * 3
    store.run(store.delete_plan("k", ALL))
    assert _swap(store, "k", b"three") is None


def test_the_deadline_is_the_new_values() -> None:
    store = Store()
    store.run(store.set_plan("k", b"one", 600, ALL))
    _swap(store, "k", b"two")
    plain = store.nodes.record("c", b"k")
    _swap(store, "k", b"three", 60)
    mortal = store.nodes.record("c", b"k")
    assert plain is not None
    assert mortal is not None
    assert (plain.deadline_millis, mortal.deadline_millis > 0) == (0, True)


def test_a_batch_returns_the_values_before() -> None:
    store = Store()
    batch = store.batch("all").get_and_set("k", b"one").get_and_set("k", b"two", ttl=60).get("k")
    assert batch.execute() == [None, b"one", b"two"]
    assert not hasattr(store.transaction(), "get_and_set"), "there get and set do it"


def test_the_records_for_the_other_copies_are_made_of_the_stamp_in_the_answer() -> None:
    plan: ByHand[Updated] = ByHand(update_one(view(2), order(1), "key", b"key", UPDATE))
    before = value_record(Stamp(900, 3), b"old")
    plan.replies("a", [b"ok", LATER.encode() + before.encode()])
    made = value_record(LATER, b"new", 0x123)
    command = plan.sent[0].command
    assert isinstance(command, ScriptCall)
    assert command.arguments[1] == made.encode()
    receipt, record, told = plan.replies("b", 1).result
    assert (receipt.stamp, record, told) == (LATER, made, Before(b"old"))


def test_where_the_answer_was_lost_the_value_before_is_not_known() -> None:
    """The record is found to be stored; what it replaced is gone."""
    store = Store()
    _swap(store, "k", b"one")
    store.nodes.lost.add("a")
    with pytest.raises(WriteNotConfirmed):
        store.run(store.get_and_set_plan("k", b"two", None, QUORUM))
    with pytest.raises(WriteNotConfirmed):
        store.batch("quorum").get_and_set("k", b"three").execute()
    store.nodes.lost.clear()
    assert _swap(store, "k", b"four") == b"three"


def test_a_found_record_without_the_answer_leaves_it_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = Store()
    _swap(store, "k", b"one")
    _lose_next_answer(store, monkeypatch)
    with pytest.raises(WriteNotConfirmed) as caught:
        store.run(store.get_and_set_plan("k", b"two", None, QUORUM))
    assert caught.value.receipt.outcome is Outcome.UNKNOWN
    assert "what the key held before" in caught.value.receipt.failed["a"]
    assert store.value("k") == b"two"

    _lose_next_answer(store, monkeypatch)
    batch = store.batch("quorum").get_and_set("k", b"three")
    with pytest.raises(WriteNotConfirmed):
        batch.execute()
    assert batch.results[0].outcome is Outcome.UNKNOWN
    assert store.value("k") == b"three"


def _lose_next_answer(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The primary carries out the next update or transaction, and its answer does not arrive."""
    event = store.nodes._event

    def losing(request: Any) -> Any:
        name = getattr(request.command, "script", "")
        if name in ("update", "transact"):
            store.nodes.lost.add("a")
            monkeypatch.setattr(store.nodes, "_event", event)
        found = event(request)
        store.nodes.lost.discard("a")
        return found

    monkeypatch.setattr(store.nodes, "_event", losing)


def test_a_codec_decodes_the_value_before() -> None:
    store = Store(value_codec=JsonCodec())
    assert [_swap(store, "k", value) for value in ({"a": 1}, [2])] == [None, {"a": 1}]


def test_what_cannot_be_decoded_is_replaced_all_the_same() -> None:
    store = Store(value_codec=JsonCodec())
    for key in "ab":
        store.nodes.put("a", key.encode(), value_record(store.cluster.clock.next(), b"no JSON"))
    with pytest.raises(UndecodableValue, match=r"key 'a' cannot be decoded .* it is replaced"):
        _swap(store, "a", 1)
    batch: Any = store.batch("all")
    batch.get_and_set("b", 2).set("c", 3)
    with pytest.raises(UndecodableValue, match="key 'b'"):
        batch.execute()
    decoded: list[Any] = [store.value(key) for key in "ab"]
    assert decoded == [1, 2]


def test_where_nothing_was_sent_it_is_rejected() -> None:
    store = Store()
    store.nodes.down.add("a")
    with pytest.raises(WriteRejected):
        store.run(store.get_and_set_plan("k", b"x", None, QUORUM))
    with pytest.raises(WriteRejected):
        store.batch("quorum").get_and_set("k", b"x").execute()
