"""ALL, and writes without a primary: an honest outcome within the time-out."""

from __future__ import annotations

import time

import pytest

from redrepl import Outcome, Unavailable, WriteNotConfirmed, WriteRejected
from tests.servers.conftest import MakeCluster
from tests.servers.support.cluster import TIMEOUT_SECONDS, Cluster
from tests.servers.test_replica_outage import SCHEDULING_SECONDS
from tests.support.waiting import wait_until


@pytest.mark.parametrize("fault", ["kill", "freeze"])
def test_all_without_a_replica_is_unknown_and_says_who_lacks_it(
    cluster: Cluster, fault: str
) -> None:
    store = cluster.open()
    store.set("key", b"old", level="all")
    getattr(cluster["c"], fault)()
    with pytest.raises(WriteNotConfirmed) as caught:
        store.set("key", b"new", level="all")
    receipt = caught.value.receipt
    assert receipt.outcome is Outcome.UNKNOWN
    # Failure is known as soon as success is impossible: b's answer may not have been waited for.
    assert {"a"} <= receipt.acked <= {"a", "b"}
    assert "c" in {*receipt.failed, *receipt.pending}
    assert "c" in caught.value.evidence
    assert "c" in str(caught.value)
    assert receipt.elapsed < TIMEOUT_SECONDS + SCHEDULING_SECONDS
    for node in "ab":
        wait_until(
            lambda node=node: cluster.raw(node).values() == {b"key": b"new"},  # type: ignore[misc]
            message=f"{node} has it",
        )
    assert store.get("key") == store.get("key", prefer="replica") == b"new"


def test_all_without_a_dead_replica_answers_before_the_time_out(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(timeout_seconds=20.0, max_age_seconds=30.0)
    store = cluster.open()
    store.set("key", b"old", level="all")
    cluster["c"].kill()
    with pytest.raises(WriteNotConfirmed) as caught:
        store.set("key", b"new", level="all")
    assert caught.value.receipt.elapsed < 20.0, "failure is known as soon as success is impossible"


def test_an_unknown_write_is_brought_to_the_copy_that_lacked_it(cluster: Cluster) -> None:
    store = cluster.open()
    cluster["c"].kill()
    with pytest.raises(WriteNotConfirmed):
        store.set("key", b"new", level="all")
    cluster["c"].start()
    cluster.settle()
    assert cluster.values_everywhere() == {b"key": b"new"}


@pytest.mark.parametrize("level", ["async", "quorum", "all"])
def test_with_a_frozen_primary_the_outcome_is_unknown(cluster: Cluster, level: str) -> None:
    store = cluster.open()
    store.set("key", b"old", level="all")
    cluster["a"].freeze()
    with pytest.raises(WriteNotConfirmed) as caught:
        store.set("key", b"new", level=level)
    assert caught.value.receipt.outcome is Outcome.UNKNOWN
    assert caught.value.receipt.elapsed < TIMEOUT_SECONDS + SCHEDULING_SECONDS
    receipt, holders = (
        caught.value.receipt,
        {node for node in "bc" if cluster.raw(node).values()[b"key"] == b"new"},
    )
    assert holders == (set() if level == "async" else {"b", "c"})
    assert receipt.acked == holders, "it says who has it"


@pytest.mark.parametrize("kind", ["one", "many"])
def test_rejected_means_that_nothing_left_also_where_the_primary_turns_out_to_be_silent(
    cluster: Cluster, kind: str
) -> None:
    store = cluster.open(timeout_seconds=0.5)
    store.set("key", b"old", level="all")
    cluster["a"].freeze()
    with pytest.raises(Unavailable):
        store.get("key", timeout_seconds=0.1)  # the connection owes an answer from now on
    time.sleep(0.6)  # until it counts as silent
    cluster["b"].freeze()
    cluster["c"].freeze()
    with pytest.raises((WriteRejected, WriteNotConfirmed)) as caught:
        store.set_many({"key": b"new"}) if kind == "many" else store.set("key", b"new")
    for node in "bca":
        cluster[node].resume()
    cluster["a"].kill()
    cluster["a"].restart()
    cluster.settle()
    if caught.type is WriteRejected:
        assert cluster.values_everywhere()[b"key"] == b"old"


@pytest.mark.parametrize(
    "operation", ["set", "delete", "set_many", "delete_many", "add", "increment"]
)
def test_with_a_dead_primary_a_write_is_rejected_and_changes_nothing(
    cluster: Cluster, operation: str
) -> None:
    store = cluster.open(timeout_seconds=0.5)
    store.set_many({"key": b"1", "other": b"2"}, level="all")
    before = cluster.assert_identical()
    lengths = [cluster.raw(node).log_length() for node in "bc"]
    cluster["a"].kill()
    killed_at = time.monotonic()
    # A write in the very moment of the death may have been sent: unknown, not rejected.
    wait_until(lambda: time.monotonic() - killed_at > 0.05, message="the death is over")
    arguments = {
        "set": ("key", b"new"),
        "delete": ("key",),
        "set_many": ({"key": b"new", "third": b"3"},),
        "delete_many": (["key", "other"],),
        "add": ("third", b"3"),
        "increment": ("key",),
    }[operation]
    for _ in range(3):
        with pytest.raises(WriteRejected) as caught:
            getattr(store, operation)(*arguments)
        assert caught.value.receipt.outcome is Outcome.REJECTED
        assert caught.value.receipt.acked == frozenset()
        assert "a" in caught.value.evidence
    for node, length in zip("bc", lengths, strict=True):
        assert cluster.raw(node).records() == before
        assert cluster.raw(node).log_length() == length


def test_a_frozen_primary_that_wakes_late_refuses_what_waited_in_its_socket(
    make_cluster: MakeCluster,
) -> None:
    cluster = make_cluster(timeout_seconds=0.3, max_age_seconds=0.6)
    store = cluster.open(timeout_seconds=0.3)
    store.set("key", b"old", level="all")
    cluster["a"].freeze()
    sent_at = time.monotonic()
    with pytest.raises(WriteNotConfirmed):
        store.set("key", b"new", level="async")
    wait_until(lambda: time.monotonic() - sent_at > 1.0, message="the write is older than max_age")
    cluster["a"].resume()
    cluster.settle()
    assert cluster.values_everywhere()[b"key"] == b"old"
