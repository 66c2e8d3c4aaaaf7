"""Codecs of the user that raise: every operation answers with an error of this library that names
what it was about.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from redrepl.plans.client.options import CallOptions
from redrepl.values.codec import JsonCodec, decoded, encoded
from redrepl.values.errors import RequestError, UndecodableValue
from redrepl.values.level import ConsistencyLevel
from redrepl.values.preference import ReadPreference
from tests.unit.support.stores import Store

HOW = CallOptions(None, None)
ONE, PRIMARY = ConsistencyLevel.ONE, ReadPreference.PRIMARY
Call = Callable[[Store], Any]


class Refusing:
    """A codec that cannot do anything."""

    def encode(self, value: Any) -> bytes:
        """Never."""
        raise KeyError(type(value).__name__)

    def decode(self, data: bytes) -> Any:  # noqa: ARG002  # as the protocol has it
        """Never."""
        raise ZeroDivisionError


@pytest.mark.parametrize("argument", ["key", "value"])
@pytest.mark.parametrize(
    "call",
    [
        lambda store: store.run(store.set_plan("k", "v", None, HOW)),
        lambda store: store.run(store.set_many_plan({"k": "v"}, None, HOW)),
        lambda store: store.run(store.add_plan("k", "v", None, HOW)),
        lambda store: store.batch().set("k", "v"),
        lambda store: store.transaction().add("k", "v"),
    ],
)
def test_what_cannot_be_encoded_is_the_callers_mistake(argument: str, call: Call) -> None:
    json, refusing = JsonCodec[Any](), Refusing()
    codecs = (refusing, json) if argument == "key" else (json, refusing)
    store = Store(key_codec=codecs[0], value_codec=codecs[1])
    with pytest.raises(
        RequestError, match=f"^{argument} of type str cannot be encoded by Refusing: KeyError"
    ) as caught:
        call(store)
    assert isinstance(caught.value.__cause__, KeyError)
    assert store.nodes.calls == []


@pytest.mark.parametrize(
    "read",
    [
        lambda store: store.run(store.get_plan("k", ONE, PRIMARY, None)),
        lambda store: store.run(store.get_plan("k", "quorum", PRIMARY, None)),
        lambda store: store.run(store.get_record_plan("k", ONE, PRIMARY, None)),
        lambda store: store.run(store.get_many_plan(["other", "k"], ONE, PRIMARY, None)),
        lambda store: store.batch().get("k").execute(),
        lambda store: store.transaction().get("k"),
        lambda store: store.transaction().get_record("k"),
    ],
)
def test_what_cannot_be_decoded_is_told_with_its_key(read: Call) -> None:
    store = Store()
    store.batch().set("k", b"{").execute()
    store.codecs.value_codec = JsonCodec()
    with pytest.raises(
        UndecodableValue, match=r"^the value of key 'k' cannot be decoded by JsonCodec"
    ) as caught:
        read(store)
    assert isinstance(caught.value.__cause__, ValueError)


def test_one_value_that_cannot_be_decoded_leaves_the_other_results_of_a_batch() -> None:
    store = Store()
    store.batch().set("good", b"1").set("bad", b"{").execute()
    store.codecs.value_codec = JsonCodec()
    batch = store.batch().get("bad").get("good")
    with pytest.raises(UndecodableValue):
        batch.execute()
    assert isinstance(batch.results[0], UndecodableValue)
    assert batch.results[1] == 1


def test_nothing_to_say_is_said_by_the_kind_of_error() -> None:
    with pytest.raises(UndecodableValue, match="Refusing: ZeroDivisionError; it was left"):
        decoded(Refusing(), "k", b"")
    with pytest.raises(
        RequestError, match="value of type list cannot be encoded by JsonCodec: ValueError"
    ):
        encoded(JsonCodec(), "value", [float("nan")])
