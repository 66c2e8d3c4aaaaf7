"""`append`: bytes put behind a value, by the primary, on every copy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import redrepl
from redrepl import JsonCodec, WriteNotConfirmed
from redrepl.plans.client.options import CallOptions
from redrepl.values import limits
from redrepl.values.codec import Codec
from redrepl.values.errors import RequestError
from redrepl.values.operation import APPEND
from tests.unit.support.stores import Store

ALL, QUORUM = CallOptions("all", None), CallOptions("quorum", None)


class TextCodec:
    """UTF-8: the encodings of two texts, one after the other, are that of their sum."""

    can_append = True

    def encode(self, value: str) -> bytes:
        """As UTF-8."""
        return value.encode()

    def decode(self, data: bytes) -> str:
        """From UTF-8."""
        return data.decode()


def _append(store: Store, key: str, value: Any, options: CallOptions = ALL) -> int:
    return store.run(store.append_plan(key, value, options))


def test_it_returns_the_length_and_every_copy_has_the_whole_value() -> None:
    store = Store()
    assert [_append(store, "log", piece) for piece in (b"one,", b"", b"two\xff")] == [4, 4, 8]
    assert store.values("log") == [b"one,two\xff"] * 3
    assert [len(store.log(node)) for node in "abc"] == [3, 3, 3]


def test_what_is_deleted_counts_as_empty() -> None:
    store = Store()
    _append(store, "log", b"before")
    store.run(store.delete_plan("log", ALL))
    assert _append(store, "log", b"after") == 5


def test_a_deadline_stays() -> None:
    store = Store()
    store.run(store.set_plan("log", b"one", 600, ALL))
    found = store.nodes.record("a", b"log")
    _append(store, "log", b",two")
    after = store.nodes.record("c", b"log")
    assert found is not None
    assert after is not None
    assert after.deadline_millis == found.deadline_millis != 0


def test_in_a_batch_it_returns_the_length_and_in_a_transaction_it_is_seen() -> None:
    store = Store()
    results = store.batch("all").append("log", b"one").append("log", b",two").get("log").execute()
    assert results == [3, 7, b"one,two"]
    with store.transaction("all") as tx:
        tx.append("log", b",three").append("new", b"x")
        assert (tx.get("log"), tx.get("new")) == (b"one,two,three", b"x")
    assert store.values("log") == [b"one,two,three"] * 3
    assert not tx.sums, "a length is no sum"


def test_an_append_whose_answer_was_lost_is_looked_up_and_not_repeated() -> None:
    store = Store()
    store.nodes.lost.add("a")
    with pytest.raises(WriteNotConfirmed):
        _append(store, "log", b"x", QUORUM)
    store.nodes.lost.clear()
    assert _append(store, "log", b"y") == 2


@pytest.mark.parametrize("value", ["text", 5, None])
def test_only_bytes_are_taken_without_a_codec(value: object) -> None:
    store = Store()
    with pytest.raises(RequestError, match="value must be bytes"):
        _append(store, "log", value)
    assert store.value("log") is None


@pytest.mark.parametrize("queue", [Store.batch, Store.transaction])
def test_a_codec_whose_encodings_cannot_be_joined_is_refused_before_anything_is_sent(
    queue: Any,
) -> None:
    store = Store(value_codec=JsonCodec())
    with pytest.raises(RequestError, match=r"JsonCodec does not say .* can_append"):
        _append(store, "log", {"a": 1})
    with pytest.raises(RequestError, match="can_append"):
        queue(store).append("log", {"a": 1})
    assert store.nodes.calls == []


def test_a_codec_that_says_so_is_used() -> None:
    codec: Codec[str] = TextCodec()
    store = Store(value_codec=codec)
    assert [_append(store, "log", text) for text in ("grün", ", blau")] == [5, 11]
    assert store.run(store.get_plan("log")) == "grün, blau"  # type: ignore[comparison-overlap]


def test_a_value_does_not_get_longer_than_values_may_be() -> None:
    store = Store(1)
    longest = bytes(limits.MAX_VALUE_BYTES)
    store.run(store.set_plan("log", longest, None, ALL))
    with pytest.raises(RequestError, match="append of key 'log' is impossible: the value would be"):
        _append(store, "log", b"x")
    with pytest.raises(ValueError, match="longer than 64 MiB"):
        APPEND.after(longest, b"x")
    assert _append(store, "log", b"") == limits.MAX_VALUE_BYTES

    script = (Path(redrepl.__file__).parent / "lua/parts/operation.lua").read_text("utf-8")
    assert f"local MOST_BYTES = {limits.MAX_VALUE_BYTES}\n" in script
