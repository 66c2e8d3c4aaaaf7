"""What a program sees first: opening a cluster, codecs, listing keys, statistics, bad input."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from redrepl import (
    Condition,
    Coordinator,
    JsonCodec,
    NodeRole,
    NodeState,
    RequestError,
    Unavailable,
)
from tests.servers.support.cluster import Cluster


def test_any_member_leads_to_the_whole_cluster(cluster: Cluster) -> None:
    for node in "abc":
        with Coordinator[str, bytes].connect(
            [cluster[node].url], cluster="shop", timeout_seconds=1.5
        ) as store:
            assert store.topology.ids == ("a", "b", "c")
            assert store.set(f"from-{node}", b"v", level="all").acked == {"a", "b", "c"}


def test_a_dead_seed_does_not_matter_and_no_seed_says_what_each_answered(cluster: Cluster) -> None:
    cluster["b"].kill()
    urls = [cluster["b"].url, cluster["c"].url]
    with Coordinator[str, bytes].connect(urls, cluster="shop") as store:
        assert store.set("key", b"v").acked == {"a", "c"}
    with pytest.raises(Unavailable, match="no member of cluster 'other' answered") as caught:
        Coordinator.connect(urls, cluster="other")
    assert set(caught.value.evidence) == {url.partition("://")[2].partition("/")[0] for url in urls}


@pytest.mark.plain
def test_no_seed_that_answers_says_of_each_address_why(cluster: Cluster) -> None:
    """One is frozen, one is dead, and one takes connections and is no server at all."""
    cluster["a"].kill()
    cluster["b"].freeze()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        urls = [cluster["a"].url, cluster["b"].url, f"redis://127.0.0.1:{silent.getsockname()[1]}"]
        dead, frozen, other = (url.partition("://")[2].partition("/")[0] for url in urls)
        with pytest.raises(Unavailable) as caught:
            Coordinator.connect(urls, cluster="shop", timeout_seconds=0.2)
    evidence = caught.value.evidence
    assert set(evidence) == {dead, frozen, other}
    assert "refuses connections" in evidence[dead]
    assert "did not answer within" in evidence[frozen]
    assert "did not answer within" in evidence[other]
    assert f"start the server of {dead}" in caught.value.message
    assert f"the machine of {frozen}, {other}" in caught.value.message


def test_a_configuration_file_opens_it(cluster: Cluster) -> None:
    with Coordinator[str, bytes].from_config(cluster.configuration_file()) as store:
        store.set("key", b"v")
        assert store.get("key") == b"v"


def test_codecs_turn_objects_into_bytes_and_back(cluster: Cluster) -> None:
    with Coordinator[Any, Any](
        cluster.configuration(), key_codec=JsonCodec(), value_codec=JsonCodec()
    ) as store:
        receipt = store.set(("user", 1), {"name": "Ada"})
        assert receipt.key == b'["user",1]'
        assert store.get(("user", 1)) == {"name": "Ada"}
        assert store.get_many([("user", 1), ("user", 2)]) == {
            ("user", 1): {"name": "Ada"},
            ("user", 2): None,
        }
        record = store.get_record(("user", 1), level="quorum")
        assert record is not None
        assert (record.value, record.stamp, record.expires_at) == (
            {"name": "Ada"},
            receipt.stamp,
            None,
        )


def test_keys_lists_what_reads_as_present(cluster: Cluster) -> None:
    store = cluster.open()
    store.set_many({f"a*[{number}]": b"v" for number in range(1500)})
    store.set_many({"b:1": b"v", "b:2": b"v", "b:3": b"v"})
    store.delete("b:2")
    assert len(list(store.keys("a*["))) == 1500
    assert sorted(store.keys(b"b:")) == [b"b:1", b"b:3"]
    assert len(set(store.keys())) == 1502
    assert list(store.keys("none")) == []


def test_health_and_statistics(cluster: Cluster) -> None:
    store = cluster.open()
    store.set_many({f"key-{number}": b"v" for number in range(20)}, level="all")
    store.delete("key-0", level="all")
    cluster.settle()
    stats = store.stats()
    counts = (
        stats.total_replicas,
        stats.active_replicas,
        stats.synced_replicas,
        stats.primary_data_count,
    )
    assert counts == (2, 2, 2, 19)
    assert [(node.id, node.role, node.state, node.lag) for node in store.nodes()] == [
        ("a", NodeRole.PRIMARY, NodeState.ACTIVE, 0),
        ("b", NodeRole.REPLICA, NodeState.ACTIVE, 0),
        ("c", NodeRole.REPLICA, NodeState.ACTIVE, 0),
    ]
    assert store.health().condition is Condition.HEALTHY
    assert all(verdict.holds for verdict in store.health().verdicts)
    cluster["c"].kill()
    assert store.health().condition is Condition.DEGRADED
    assert store.stats().active_replicas == 1


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda store: store.set("", b"v"), "key must have 1 to"),
        (lambda store: store.set("k" * 40_000, b"v"), "key must have 1 to"),
        (lambda store: store.set(1, b"v"), "key must be str or bytes"),
        (lambda store: store.set("k", "v"), "value must be bytes"),
        (lambda store: store.set("k", b"v", ttl=0), "ttl must lie in"),
        (lambda store: store.set("k", b"v", ttl=-1), "ttl must lie in"),
        (lambda store: store.set("k", b"v", ttl=1e12), "ttl must lie in"),
        (lambda store: store.set("k", b"v", level=3), "allowed 0..2"),
        (lambda store: store.set("k", b"v", level="most"), "level must be"),
        (lambda store: store.set("k", b"v", timeout_seconds=0), "timeout_seconds must be"),
        (lambda store: store.get("k", prefer="far"), "prefer must be one of"),
        (lambda store: store.set_many({"k": b"1", b"k": b"2"}), "given twice"),
        (lambda store: store.increment("k", 1.5), "amount must be"),
        (lambda store: store.compare_and_set("k", b"v", expected="1"), "expected must be a Stamp"),
        (lambda store: store.sync("d"), "is no member"),
        (lambda store: store.sync("a"), "is the primary"),
    ],
)
def test_bad_input_is_refused_before_anything_is_sent(
    cluster: Cluster, call: Any, says: str
) -> None:
    with pytest.raises(RequestError, match=says):
        call(cluster.open())
    assert cluster.raw("a").records() == {}


def test_empty_and_large_values(cluster: Cluster) -> None:
    store = cluster.open(timeout_seconds=2.5)
    large = bytes(range(256)) * 40_000
    store.set_many({"empty": b"", "large": large, "small": b"s"}, level="all")
    assert store.get_many(["empty", "large", "small"], level="quorum") == {
        "empty": b"",
        "large": large,
        "small": b"s",
    }
    assert (store.set_many({}), store.get_many([]), store.delete_many([])) == ({}, {}, {})
