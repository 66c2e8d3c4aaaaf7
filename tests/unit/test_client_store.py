"""A client's store: its plans do nothing before they are driven, and it tells what it is."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import GeneratorType
from typing import Any

import pytest

from redrepl.plans.client.options import CallOptions
from redrepl.plans.client.reads import Walk
from redrepl.testing.calls import call
from redrepl.values.errors import RequestError
from redrepl.values.operation import CHANGING, OperationKind
from tests.unit.support.stores import Store

DEFAULTS = CallOptions(None, None)
TOO_MANY_COPIES = CallOptions(99, None)


def _change(kind: OperationKind, store: Store, key: Any, options: CallOptions) -> Any:
    """The plan of an operation of the table."""
    argument = 1 if kind.argument.type is int else "value"
    return call(store, kind, key, argument, ttl=60, suffix="_plan", options=options)


PLANS: dict[str, Callable[[Store, Any, CallOptions], Any]] = {
    **{kind.name: partial(_change, kind) for kind in CHANGING},
    "set_many": lambda store, key, options: store.set_many_plan({key: b"value"}, None, options),
    "delete_many": lambda store, key, options: store.delete_many_plan([key], options),
    "get": lambda store, key, options: store.get_plan(key, options.level or "one"),
    "get_record": lambda store, key, options: store.get_record_plan(key, options.level or "one"),
    "get_many": lambda store, key, options: store.get_many_plan([key], options.level or "one"),
    "ttl": lambda store, key, options: store.ttl_plan(key, options.level or "one"),
    "keys_page": lambda store, _key, _options: store.keys_page_plan(b"", Walk(), None),
}


def test_every_plan_is_listed() -> None:
    offered = {name.removesuffix("_plan") for name in dir(Store) if name.endswith("_plan")}
    assert offered - PLANS.keys() == {"write_group", "compare_clocks"}


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_does_nothing_before_it_is_driven(name: str) -> None:
    store = Store()
    store.nodes.calls.clear()
    last = store.cluster.clock.next()
    plan = PLANS[name](store, "key", DEFAULTS)
    assert isinstance(plan, GeneratorType)
    assert store.nodes.calls == []
    following = store.cluster.clock.next()
    assert (following.micros, following.writer) > (last.micros, last.writer)
    store.run(plan)
    assert store.nodes.calls


@pytest.mark.parametrize("name", sorted(PLANS.keys() - {"keys_page"}))
@pytest.mark.parametrize(("key", "options"), [("", DEFAULTS), ("key", TOO_MANY_COPIES)])
def test_a_bad_argument_is_refused_when_the_plan_is_driven_and_nothing_is_sent(
    name: str, key: str, options: CallOptions
) -> None:
    store = Store()
    store.nodes.calls.clear()
    plan = PLANS[name](store, key, options)
    with pytest.raises(RequestError):
        store.run(plan)
    assert store.nodes.calls == []


def test_its_repr_names_cluster_epoch_and_members() -> None:
    assert repr(Store()) == "<Store shop primary=a epoch=1 nodes=a,b,c>"
