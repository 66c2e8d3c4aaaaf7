"""`get_many`: among which copies the keys are divided."""

from __future__ import annotations

from typing import Any

import pytest

from redrepl.values.errors import RequestError, Unavailable
from redrepl.values.level import ConsistencyLevel
from redrepl.values.topology import Mode
from tests.unit.support.stores import Store

KEYS = [f"key-{number}" for number in range(36)]
VALUES: dict[Any, bytes | None] = {key: key.encode() for key in KEYS}


def _store(mode: Mode = Mode.PRIMARY_REPLICA) -> Store:
    store = Store(3, mode)
    batch = store.batch("all")
    for key in KEYS:
        batch.set(key, key.encode())
    batch.execute()
    store.nodes.calls.clear()
    return store


def _read(store: Store, prefer: str, level: str | ConsistencyLevel = "one") -> dict[str, int]:
    """How many requests each node got for one read, which must be right."""
    before = len(store.nodes.calls)
    assert store.run(store.get_many_plan([*KEYS, "absent"], level, prefer, None)) == {
        **VALUES,
        "absent": None,
    }
    asked = [node for node, _, _ in store.nodes.calls[before:]]
    return {node: asked.count(node) for node in sorted(set(asked))}


@pytest.mark.parametrize(
    ("prefer", "asked"),
    [
        ("primary", {"a": 1}),
        ("primary_preferred", {"a": 1}),
        ("replica", {"b": 1, "c": 1}),
        ("nearest", {"a": 1, "b": 1, "c": 1}),
    ],
)
def test_the_preference_says_who_is_asked(prefer: str, asked: dict[str, int]) -> None:
    assert _read(_store(), prefer) == asked


def test_a_replica_that_is_down_leaves_its_part_to_the_other() -> None:
    store = _store()
    store.nodes.down = {"b"}
    assert _read(store, "replica") == {"b": 1, "c": 2}
    store.around.troubled = {"b"}
    assert _read(store, "replica") == {"c": 1}, "a node known to be out is not asked"
    store.nodes.down, store.around.troubled = {"b", "c"}, {"b", "c"}
    assert _read(store, "replica")["a"] == 1


def test_a_replica_that_lags_behind_this_session_leaves_that_key_to_the_primary() -> None:
    store = _store()
    store.batch("async").set("key-3", b"new").delete("key-9").execute()
    values = store.run(store.get_many_plan(KEYS, "one", "replica", None))
    assert values == {**VALUES, "key-3": b"new", "key-9": None}


def test_copies_that_are_far_away_are_not_near() -> None:
    store = _store()
    store.around.latencies = {"a": 0.001, "b": 0.0019, "c": 0.05}
    assert _read(store, "nearest") == {"a": 1, "b": 1}
    store.around.latencies = {"a": 0.01, "b": 0.001, "c": 0.01}
    assert _read(store, "nearest") == {"b": 1}
    store.around.troubled = {"b"}
    assert _read(store, "nearest") == {"a": 1, "c": 1}


def test_few_keys_are_not_divided() -> None:
    store = _store()
    for count, requests in ((1, 1), (15, 1), (16, 2)):
        store.nodes.calls.clear()
        assert store.run(store.get_many_plan(KEYS[:count], "one", "replica", None)) == {
            k: VALUES[k] for k in KEYS[:count]
        }
        assert len(store.nodes.calls) == requests


def test_nobody_left_is_told_with_every_reason() -> None:
    store = _store()
    store.nodes.down = {"a", "b", "c"}
    with pytest.raises(Unavailable) as caught:
        store.run(store.get_many_plan(KEYS, "one", "replica", None))
    assert set(caught.value.evidence) == {"a", "b", "c"}


def test_confirmed_reads_are_not_divided() -> None:
    assert _read(_store(), "replica", "quorum") == {"a": 1, "b": 1, "c": 1}
    with pytest.raises(RequestError, match="prefer must be"):
        _read(_store(), "far", "quorum")


def test_with_several_primaries_the_others_stand_in() -> None:
    store = _store(Mode.MULTI_PRIMARY)
    store.nodes.down = {"a"}
    assert _read(store, "primary") == {"a": 1, "b": 1}
