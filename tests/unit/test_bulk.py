"""Large batches through the doors: what is kept while they are under way, and what is known after
an error.
"""

from __future__ import annotations

import pickle
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from redrepl.plans.client.options import CallOptions
from redrepl.plans.operations.chunk import Chunk, Draft
from redrepl.values import limits
from redrepl.values.effects import Plan, ScriptCall
from redrepl.values.errors import (
    ClockSkew,
    NotAReplicatedRecord,
    RedreplError,
    RequestError,
    WriteNotConfirmed,
)
from redrepl.values.receipt import Outcome
from redrepl.values.stamp import NO_STAMP
from redrepl.values.topology import Mode
from tests.unit.support.stores import Store

COMMITTED, UNKNOWN, REJECTED = Outcome.COMMITTED, Outcome.UNKNOWN, Outcome.REJECTED
NOW = CallOptions(None, None)
ITEMS = {f"key-{number}": b"value" for number in range(12)}


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of two keys."""
    monkeypatch.setattr(limits, "BATCH_KEYS", 2)


def _set_many(store: Store, how: CallOptions = NOW) -> Plan[dict[Any, Any]]:
    return store.set_many_plan(ITEMS, None, how)


def _foreign(store: Store, key: str) -> None:
    store.nodes.client("a").execute_command(
        "SET", store.nodes.layout.data(key.encode()), b"foreign"
    )


class Records(list[bytes]):
    """The records of one chunk, so that it can be seen when they are let go."""

    __hash__ = object.__hash__  # type: ignore[assignment]


@pytest.mark.parametrize("down", [set[str](), {"b", "c"}, {"a"}])
def test_no_more_chunks_are_kept_than_are_on_their_way(
    monkeypatch: pytest.MonkeyPatch, down: set[str]
) -> None:
    leave, kept = Draft.leave, weakref.WeakSet[Records]()
    most = 0

    def watched(*arguments: Any) -> Chunk:
        nonlocal most
        chunk = leave(*arguments)
        records = Records(chunk.records)
        kept.add(records)
        most = max(most, len(kept))
        return chunk._replace(records=records)

    monkeypatch.setattr(Draft, "leave", watched)
    store = Store()
    store.nodes.down = down
    try:
        receipts = list(store.run(_set_many(store)).values())
    except RedreplError as error:
        receipts = list(error.receipts)
    assert [receipt.key for receipt in receipts] == list(ITEMS)
    assert 0 < most <= limits.CHUNKS_IN_FLIGHT


def test_an_error_carries_what_is_known_of_every_key_and_the_session_knows_what_was_written() -> (
    None
):
    store = Store()
    _foreign(store, "key-5")
    with pytest.raises(NotAReplicatedRecord, match="key-5") as caught:
        store.run(_set_many(store))
    receipts = caught.value.receipts
    assert [receipt.key for receipt in receipts] == list(ITEMS)
    assert [receipt.outcome for receipt in receipts[:6]] == [COMMITTED] * 4 + [UNKNOWN] * 2
    left = sum(receipt.outcome is not REJECTED for receipt in receipts)
    assert left < len(ITEMS), "no more leave after the error"
    for receipt in receipts:
        is_committed = receipt.outcome is COMMITTED
        known = receipt.stamp if is_committed else NO_STAMP
        assert store.session.at_least(str(receipt.key).encode()) == known
        assert (store.value(str(receipt.key), "b") is not None) is (receipt.outcome is not REJECTED)
    assert set(receipts[-1].failed.values()) == {"not sent"}
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (copy.receipts, str(copy)) == (receipts, str(caught.value))


def test_at_async_a_chunk_that_the_primary_refuses_is_rejected() -> None:
    store = Store()
    _foreign(store, "key-0")
    with pytest.raises(NotAReplicatedRecord) as caught:
        store.run(_set_many(store, CallOptions("async", None)))
    assert {receipt.outcome for receipt in caught.value.receipts[:2]} == {REJECTED}


def test_a_clock_that_is_off_in_the_middle_of_a_batch_is_told_with_all_receipts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = Store()
    send = store.nodes.send

    def refuse(node: str, command: Any) -> Any:
        if isinstance(command, ScriptCall) and b"key-4" in b"".join(command.keys) and node == "a":
            return [b"expired", b"9"]
        return send(node, command)

    monkeypatch.setattr(store.nodes, "send", refuse)
    with pytest.raises(ClockSkew) as caught:
        store.run(_set_many(store))
    outcomes = [receipt.outcome for receipt in caught.value.receipts]
    assert outcomes[:6] == [COMMITTED] * 4 + [UNKNOWN] * 2
    assert len(outcomes) == len(ITEMS)


def test_with_several_primaries_the_rest_goes_to_another_where_the_first_is_away() -> None:
    store = Store(3, Mode.MULTI_PRIMARY)
    store.nodes.down = {"a"}

    def notice(node: str, command: Any) -> Any:
        store.around.troubled = {"a"}
        return send(node, command)

    send, store.nodes.send = store.nodes.send, notice  # type: ignore[method-assign]
    receipts = store.run(_set_many(store, CallOptions("one", None)))
    assert {receipt.outcome for receipt in receipts.values()} == {COMMITTED}
    assert list(receipts) == list(ITEMS)


def test_what_cannot_be_asked_for_is_refused_before_anything_is_sent() -> None:
    store = Store()
    with pytest.raises(RequestError) as caught:
        store.run(_set_many(store, CallOptions(3, None)))
    assert (caught.value.receipts, store.nodes.calls) == ((), [])


@pytest.mark.parametrize(
    ("queue", "outcomes"),
    [
        (
            lambda batch: batch.set("bad", b"1").set("y", b"1"),
            [COMMITTED, UNKNOWN, UNKNOWN, REJECTED],
        ),
        (
            lambda batch: batch.increment("bad").increment("y"),
            [COMMITTED, REJECTED, REJECTED, REJECTED],
        ),
    ],
)
def test_an_error_that_ends_a_batch_carries_the_receipts_of_its_writes(
    queue: Callable[[Any], Any], outcomes: list[Outcome]
) -> None:
    store = Store()
    _foreign(store, "bad")
    batch = store.batch().set("x", b"1").get("x")
    queue(batch).get("x").set("z", b"1")
    with pytest.raises(NotAReplicatedRecord) as caught:
        batch.execute()
    receipts = caught.value.receipts
    assert [receipt.key for receipt in receipts] == ["x", "bad", "y", "z"]
    assert [receipt.outcome for receipt in receipts] == outcomes
    assert receipts[1].failed == {"a": caught.value.message}


def test_keys_that_are_not_confirmed_are_told_after_the_last_chunk() -> None:
    store = Store()
    store.nodes.down = {"b", "c"}
    with pytest.raises(WriteNotConfirmed) as caught:
        store.run(_set_many(store))
    assert [receipt.key for receipt in caught.value.receipts] == list(ITEMS)
    assert all(store.value(key) == b"value" for key in ITEMS), "all of them left"
