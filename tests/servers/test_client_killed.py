"""A client killed at any moment: what was acknowledged is everywhere, what was undecided goes
nowhere.
"""

from __future__ import annotations

import time

import pytest

from redrepl.values.record import Record, tombstone, value_record
from redrepl.values.stamp import Stamp
from tests.servers.conftest import MakeCluster
from tests.servers.support.cluster import MAX_AGE_SECONDS, Cluster
from tests.servers.support.raw import LAYOUT
from tests.servers.support.sending import send_write
from tests.servers.support.writer import KEYS
from tests.support.waiting import wait_until

LINES = 600
"""Two for each write."""


def possible_values(lines: list[str]) -> dict[bytes, set[bytes | None]]:
    """For each key: the last acknowledged value, and what was sent after it and never answered.

    None: deleted.
    """
    sent: dict[str, tuple[bytes, bytes | None]] = {}
    possible: dict[bytes, set[bytes | None]] = {}
    for line in lines:
        number, *rest = line.split()
        if rest:
            key, value = rest[0].encode(), None if rest[1] == "-" else rest[1].encode()
            sent[number] = (key, value)
            possible.setdefault(key, {None}).add(value)
        else:
            key, value = sent[number]
            possible[key] = {value}
    return possible


def assert_holds(found: dict[bytes, bytes], lines: list[str]) -> None:
    """Every key shows its last acknowledged write, or one that was sent after it."""
    possible = possible_values(lines)
    assert len(possible) == KEYS
    assert found.keys() <= possible.keys()
    wrong = {
        key: (found.get(key), values)
        for key, values in possible.items()
        if found.get(key) not in values
    }
    assert not wrong, "found, and what it may be"


@pytest.mark.parametrize("level", ["quorum", "async", "all"])
def test_what_a_killed_client_was_told_is_on_every_copy(
    make_cluster: MakeCluster, level: str
) -> None:
    cluster = make_cluster(queue=level == "async")
    writer = cluster.writer(level)
    lines = writer.read_lines(LINES)
    lines += writer.kill()
    cluster.ticker()
    cluster.wait_settled()
    assert_holds(cluster.values_everywhere(), lines)


def test_what_a_killed_client_was_told_survives_a_replica_that_was_down(cluster: Cluster) -> None:
    cluster["b"].kill()
    writer = cluster.writer("quorum")
    lines = writer.read_lines(LINES)
    cluster["b"].restart(empty=True)
    lines += writer.kill()
    cluster.ticker()
    cluster.wait_settled()
    assert_holds(cluster.values_everywhere(), lines)


def some_record(
    cluster: Cluster, payload: bytes = b"undecided", age_seconds: float = 0.0
) -> Record:
    with cluster.raw("a").client as client:
        seconds, micros = client.time()
    return value_record(
        Stamp(int(seconds) * 1_000_000 + int(micros) - int(age_seconds * 1e6), 77), payload
    )


def test_a_write_that_reached_the_primary_alone_reaches_every_copy(cluster: Cluster) -> None:
    record = some_record(cluster, b"decided")
    assert send_write(cluster["a"], "key", record) == 1
    cluster.ticker()
    cluster.wait_settled()
    assert cluster.assert_identical() == {b"key": record.encode()}


def test_a_delete_that_reached_the_primary_alone_reaches_every_copy(cluster: Cluster) -> None:
    cluster.open().set("key", b"old", level="all")
    record = tombstone(some_record(cluster).stamp)
    assert send_write(cluster["a"], "key", record) == 1
    cluster.ticker()
    cluster.wait_settled()
    assert cluster.assert_identical() == {b"key": record.encode()}


@pytest.mark.parametrize("before", [None, b"old"], ids=["on an absent key", "over a value"])
def test_a_write_that_reached_a_replica_alone_is_taken_back(
    cluster: Cluster, before: bytes | None
) -> None:
    if before is not None:
        cluster.open().set("key", before, level="all")
    standing = cluster.raw("a").stored("key")
    undecided = some_record(cluster)
    assert send_write(cluster["b"], "key", undecided) == 1
    cluster.ticker()
    wait_until(
        lambda: cluster.raw("b").stored("key") != undecided.encode(),
        30,
        "the undecided record is taken back",
    )
    cluster.wait_settled()
    assert cluster.values_everywhere() == ({} if before is None else {b"key": before})
    with cluster.raw("a").client as client:
        stamps = [
            fields[LAYOUT.data(b"key")]
            for _, fields in client.xrange(LAYOUT.log)
            if LAYOUT.data(b"key") in fields
        ]
    assert len(stamps) == 1
    assert undecided.stamp.encode() not in stamps, "the primary never took it"
    if standing is not None:
        assert cluster.raw("a").stored("key") == standing


def test_an_undecided_write_is_not_taken_back_before_the_primary_refuses_it(
    make_cluster: MakeCluster,
) -> None:
    cluster = make_cluster(max_age_seconds=60.0)
    record = some_record(cluster, age_seconds=10.0)
    send_write(cluster["b"], "key", record)
    for _ in range(3):
        done = cluster.bring_up("a")
        assert cluster.raw("a").stored("key") is None
        assert done.undecided_replaced == 0
    assert cluster.raw("b").stored("key") == record.encode()
    # The original arrives late, as a slow network brings it: the primary may still take it.
    assert send_write(cluster["a"], "key", record) == 1
    cluster.settle()
    assert cluster.assert_identical() == {b"key": record.encode()}


def test_a_write_taken_back_is_refused_when_its_original_arrives_late(cluster: Cluster) -> None:
    record = some_record(cluster)
    sent_at = time.monotonic()
    send_write(cluster["b"], "key", record)
    cluster.ticker()
    wait_until(lambda: cluster.raw("b").values() == {}, 30, "the undecided record is taken back")
    assert time.monotonic() - sent_at >= MAX_AGE_SECONDS - 0.2
    assert send_write(cluster["a"], "key", record)[0] == b"expired"
    cluster.wait_settled()
    assert cluster.values_everywhere() == {}


@pytest.mark.parametrize("node", ["a", "b"])
def test_an_older_write_that_arrives_late_does_not_undo_a_delete(
    cluster: Cluster, node: str
) -> None:
    store = cluster.open()
    late = some_record(cluster, b"late")
    store.set("key", b"v", level="all")
    store.delete("key", level="all")
    deleted = cluster.raw("b").stored("key")
    answer = send_write(cluster[node], "key", late)
    # The primary may still take it, as the newest write; a replica knows that it is older than the
    # delete.
    assert answer[0] == (b"ok" if node == "a" else b"has")
    assert cluster.raw("b").stored("key") == deleted


def test_an_older_write_that_arrives_after_its_time_does_not_undo_a_delete(
    cluster: Cluster,
) -> None:
    store = cluster.open()
    late = some_record(cluster, b"late", age_seconds=MAX_AGE_SECONDS)
    store.set("key", b"v", level="all")
    store.delete("key", level="all")
    assert send_write(cluster["a"], "key", late)[0] == b"expired"
    assert store.get("key", level="all") is None
