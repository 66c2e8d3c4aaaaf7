"""An exception from outside ends a call at any line, and the calls after it tell the truth."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from redrepl import Coordinator
from tests.servers.support.cluster import Cluster
from tests.support.interruption import interrupt

Store = Coordinator[str, bytes]

OPERATIONS: dict[str, Callable[[Store, bytes], Any]] = {
    "set": lambda store, value: store.set("key", value),
    "get": lambda store, _: store.get("key"),
    "get at QUORUM": lambda store, _: store.get("key", level="quorum"),
    "set ASYNC": lambda store, value: store.set("key", value, level="async"),
    "get_many": lambda store, _: store.get_many(["key", "other"], prefer="replica"),
    "set_many": lambda store, value: store.set_many({"key": value, "many": value}),
    "increment": lambda store, _: store.increment("counter"),
}
QUICK = ("set", "get")


def _check(store: Store, number: int) -> None:
    """Calls of several shapes: each would take another's answer for its own where a connection is out of step."""
    value = b"sound-%d" % number
    receipt = store.set("other", value, level="all")
    assert sorted(receipt.acked) == ["a", "b", "c"], receipt
    assert store.get_many(["other", "absent"], prefer="replica") == {"other": value, "absent": None}
    assert store.get("other", level="quorum") == value
    assert store.get("other") == value


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.soak) for name in OPERATIONS]
)
def test_a_call_that_is_interrupted_at_any_line_leaves_nothing_behind(cluster: Cluster, name: str) -> None:
    store, call = cluster.open(), OPERATIONS[name]
    _check(store, 0)
    written = [None, b"0"]
    for line in itertools.count(1):
        value = b"%d" % line
        written.append(value)
        if not interrupt(lambda value=value: call(store, value), line):  # type: ignore[misc]
            break
        _check(store, line)
        assert store.get("key", level="quorum") in written
    assert line > 30, "the call came to its end before it could be interrupted in earnest"
