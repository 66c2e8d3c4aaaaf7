"""ReplicatedCache: values, deadlines on every copy, namespaces, statistics."""

from __future__ import annotations

from typing import Any

import pytest

from redrepl import ReplicatedCache, RequestError
from redrepl.values.record import parse_record
from tests.servers.support.cluster import Cluster
from tests.support.waiting import wait_until


@pytest.mark.parametrize(
    "value", [{"a": [1, 2.5, None, True]}, "", 0, [], "ümläut 🎈", {"nested": {"x": "y"}}, None]
)
def test_json_values_come_back(cluster: Cluster, value: Any) -> None:
    cache = ReplicatedCache(cluster.open())
    cache.set("key", value)
    assert cache.get("key", default="nothing") == value


def test_bytes_values_come_back_as_they_are(cluster: Cluster) -> None:
    cache = ReplicatedCache(cluster.open(), values="bytes")
    cache.set("key", b"\x00\xff")
    cache.set("empty", b"")
    assert (cache.get("key"), cache.get("empty", default=b"?"), cache.get("absent")) == (
        b"\x00\xff",
        b"",
        None,
    )
    with pytest.raises(RequestError, match="value must be bytes"):
        cache.set("key", "text")


def test_what_json_cannot_hold_is_refused_before_anything_is_sent(cluster: Cluster) -> None:
    cache = ReplicatedCache(cluster.open())
    for value in (object(), float("nan"), {1, 2}):
        with pytest.raises(RequestError, match="cannot be encoded by JsonCodec"):
            cache.set("key", value)
    assert cluster.raw("a").stored("cache:key") is None


def test_many_at_once(cluster: Cluster) -> None:
    cache = ReplicatedCache(cluster.open())
    receipts = cache.set_many({f"key-{number}": number for number in range(1200)})
    assert len(receipts) == 1200
    found = cache.get_many([*receipts, "absent"])
    assert found == {f"key-{number}": number for number in range(1200)}


def test_every_copy_has_the_same_deadline_and_forgets_at_it(cluster: Cluster) -> None:
    cache = ReplicatedCache(cluster.open(), default_ttl=0.5, level="all")
    cache.set("short", 1)
    cache.set("long", 2, ttl=100)
    deadlines = set()
    for node in "abc":
        stored = cluster.raw(node).stored("cache:short")
        assert stored is not None
        deadlines.add(parse_record(stored).deadline_millis)
    assert len(deadlines) == 1
    wait_until(lambda: cache.get("short") is None, message="the short one is forgotten")
    for node in "abc":
        reader = ReplicatedCache(cluster.open(), prefer="replica")
        assert reader.get("short") is None, node
        assert reader.get("long") == 2


def test_clear_forgets_its_namespace_on_every_copy_and_nothing_else(cluster: Cluster) -> None:
    store = cluster.open()
    pages, users = (
        ReplicatedCache(store, namespace="pages"),
        ReplicatedCache(store, namespace="users"),
    )
    pages.set_many({f"page-{number}": number for number in range(700)})
    users.set("ada", 1)
    store.set("pages", b"no key of the namespace")
    assert pages.clear() == 700
    assert pages.clear() == 0
    assert (pages.get("page-1"), users.get("ada"), store.get("pages")) == (
        None,
        1,
        b"no key of the namespace",
    )
    cluster.settle()
    assert sum(1 for found in cluster.values_everywhere().values() if found) == 2


def test_statistics_count_what_this_cache_did(cluster: Cluster) -> None:
    cache = ReplicatedCache(cluster.open())
    assert cache.statistics().hit_rate == 0.0
    cache.set("a", 1)
    cache.set_many({"b": 2, "c": 3})
    cache.get("a")
    cache.get("absent")
    cache.get_many(["b", "c", "none", "neither"])
    cache.delete("a")
    found = cache.statistics()
    assert (found.sets, found.hits, found.misses, found.deletes, found.hit_rate) == (
        3,
        3,
        3,
        1,
        0.5,
    )


def test_a_cache_goes_on_without_a_replica(cluster: Cluster) -> None:
    cache = ReplicatedCache(cluster.open(), prefer="replica")
    cache.set("key", "v")
    cluster["b"].kill()
    cache.set("other", "w")
    assert [cache.get("key") for _ in range(4)] == ["v"] * 4
    assert cache.delete("key").acked >= {"a"}


def test_namespaces_and_kinds_are_checked(cluster: Cluster) -> None:
    store = cluster.open()
    for namespace in ("", "a:b"):
        with pytest.raises(RequestError, match="namespace must be"):
            ReplicatedCache(store, namespace=namespace)
    with pytest.raises(RequestError, match='values must be "json" or "bytes"'):
        ReplicatedCache(store, values="pickle")  # type: ignore[arg-type]
    with pytest.raises(RequestError, match="ttl must lie in"):
        ReplicatedCache(store, default_ttl=-1)


def test_what_is_no_json_is_a_miss_and_costs_no_other_entry(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    cache = ReplicatedCache(cluster.open(), namespace="pages")
    cache.set("good", 1)
    ReplicatedCache(cluster.open(), namespace="pages", values="bytes").set("key", b"{")
    assert cache.get_many(["key", "good"]) == {"good": 1}
    assert cache.get("key", default="?") == "?"
    assert [
        record.message.count("'key' cannot be decoded by JsonCodec") for record in caplog.records
    ] == [1]
    counts = cache.statistics()
    assert (counts.hits, counts.misses, counts.undecodable) == (1, 2, 2)
    cache.set("key", None)
    assert cache.get("key", default="?") is None


def test_what_json_holds_comes_back_as_it_was(cluster: Cluster) -> None:
    cache = ReplicatedCache(cluster.open())
    menu = {"home": 1, "about": 2, "contact": {"b": 1, "a": 2}}
    cache.set_many({"menu": menu, "mixed": {1: "a", "b": 2}, "text": {"file": "caf\udce9"}})
    assert list(cache.get("menu")) == ["home", "about", "contact"]
    assert list(cache.get("menu")["contact"]) == ["b", "a"]
    assert cache.get("mixed") == {"1": "a", "b": 2}
    assert cache.get("text") == {"file": "caf\udce9"}


def test_a_key_as_text_and_as_bytes_is_one_key_that_is_written_twice(cluster: Cluster) -> None:
    cache = ReplicatedCache(cluster.open())
    receipts = cache.set_many({"k": 1, b"k": 2, "other": 3})
    assert list(receipts) == ["k", b"k", "other"]
    assert receipts[b"k"].stamp > receipts["k"].stamp
    assert cache.get_many(["k", b"k", "other"]) == {"k": 2, b"k": 2, "other": 3}
