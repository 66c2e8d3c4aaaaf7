"""A value under the prefix that redrepl did not write is never overwritten, by no operation and no
upkeep.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from redrepl import NotAReplicatedRecord
from redrepl.values.errors import WriteFailure
from tests.servers.support.cluster import Cluster, Store
from tests.servers.support.raw import LAYOUT

NAME = LAYOUT.data(b"key")

KINDS = pytest.mark.parametrize("kind", ["text", "text with tail", "list", "hash"])

WRITES: dict[str, Callable[[Store], object]] = {
    "set": lambda store: store.set("key", b"v"),
    "set with ttl": lambda store: store.set("key", b"v", ttl=30),
    "set async": lambda store: store.set("key", b"v", level="async"),
    "delete": lambda store: store.delete("key"),
    "set_many": lambda store: store.set_many({"other": b"v", "key": b"v"}),
    "delete_many": lambda store: store.delete_many(["other", "key"]),
    "add": lambda store: store.add("key", b"v"),
    "increment": lambda store: store.increment("key"),
    "expire": lambda store: store.expire("key", 30),
}


def put_foreign(cluster: Cluster, node: str, kind: str) -> bytes:
    """A foreign value of this kind; answers it as bytes to compare."""
    with cluster.raw(node).client as client:
        if kind == "text":
            client.set(NAME, b"42")
        elif kind == "text with tail":
            client.set(NAME, b"0660f71eb1536900000005v0000000000000000 almost a record")
        elif kind == "list":
            client.rpush(NAME, b"1", b"2")
        else:
            client.hset(NAME, "field", "value")
    return dump(cluster, node)


def dump(cluster: Cluster, node: str) -> bytes:
    with cluster.raw(node).client as client:
        found: bytes = client.dump(NAME)
        return found


@KINDS
@pytest.mark.parametrize("operation", list(WRITES))
def test_no_operation_overwrites_one_on_the_primary(
    cluster: Cluster, kind: str, operation: str
) -> None:
    before = put_foreign(cluster, "a", kind)
    with pytest.raises(NotAReplicatedRecord, match="key"):
        WRITES[operation](cluster.open())
    assert dump(cluster, "a") == before


@KINDS
def test_no_operation_overwrites_one_on_a_replica(cluster: Cluster, kind: str) -> None:
    before = put_foreign(cluster, "b", kind)
    store = cluster.open()
    for operation in ("set", "set_many", "set with ttl", "expire", "delete"):
        WRITES[operation](store)
        assert dump(cluster, "b") == before
    with pytest.raises(WriteFailure):
        store.set("key", b"v", level="all")
    assert dump(cluster, "b") == before


@KINDS
@pytest.mark.parametrize("node", ["a", "b"])
def test_no_upkeep_overwrites_one(cluster: Cluster, kind: str, node: str) -> None:
    store = cluster.open()
    store.set("before", b"v", level="all")
    if node == "b":
        store.set("key", b"v", level="async")
    before = put_foreign(cluster, node, kind)
    store.set_many({f"more-{number}": b"v" for number in range(20)}, level="async")
    for other in "bca":
        cluster.bring_up(other)
    assert dump(cluster, node) == before
    cluster.administration.sync()
    assert dump(cluster, node) == before
    cluster.administration.verify(repair=True)
    assert dump(cluster, node) == before
    for each in "abc":
        assert cluster.raw(each).stored("more-19") is not None, "the other keys are brought over"


@pytest.mark.parametrize("kind", ["text", "list", "hash"])
@pytest.mark.parametrize("node", ["a", "b"])
def test_verify_names_one(cluster: Cluster, kind: str, node: str) -> None:
    put_foreign(cluster, node, kind)
    report = cluster.administration.verify()
    assert not report.consistent
    assert [(mismatch.key, mismatch.kind) for mismatch in report.mismatches][:1] == [
        (b"key", "foreign")
    ]


def test_reading_one_is_an_error_that_names_it(cluster: Cluster) -> None:
    put_foreign(cluster, "a", "text")
    store = cluster.open()
    for level in ("one", "quorum"):
        with pytest.raises(NotAReplicatedRecord, match=r"key b'key' on node 'a'"):
            store.get("key", level=level)
