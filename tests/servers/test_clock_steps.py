"""Servers whose wall clocks step by days, on real servers: nothing that was acknowledged is lost,
and writes go on.
"""

from __future__ import annotations

import pytest

from redrepl import ClockSkew, Outcome, RedreplError
from tests.servers.conftest import MakeCluster
from tests.servers.support.cluster import Cluster, Store
from tests.support.program_clocks import physical_clock
from tests.support.waiting import wait_until

pytestmark = pytest.mark.usefixtures("movable_clocks", "server_binary")

DAYS = 2 * 86_400.0
HOUR = 3_600.0
TTL_SECONDS = 3_600.0
KEYS = [f"session:{number}" for number in range(50)]


@pytest.fixture
def cluster(make_cluster: MakeCluster) -> Cluster:
    """Primary a, replicas b and c, whose clocks can be moved."""
    return make_cluster(persistence="none", movable_clocks=True)


def sessions(cluster: Cluster) -> Store:
    """A program that has written values with a deadline to all copies."""
    store = cluster.open()
    for key in KEYS:
        store.set(key, b"1", ttl=TTL_SECONDS, level="all")
    return store


def state_of(cluster: Cluster, node: str) -> str:
    _, reports = cluster.administration.inspect()
    report = reports.of(node)
    return reports.reason(node, "") if report is None else report.state


def dropped(cluster: Cluster, node: str) -> bool:
    """Whether a node has dropped everything; looking at its keys lets it."""
    found = cluster.raw(node).records()
    return not any(key.encode() in found for key in KEYS)


def is_refused(store: Store) -> bool:
    try:
        store.set("refused", b"1")
    except ClockSkew:
        return True
    return False


def assert_all_there(cluster: Cluster) -> None:
    fresh = cluster.open()
    assert [key for key in KEYS if fresh.get(key, level="quorum") is None] == []


def primary_of(cluster: Cluster) -> str | None:
    return cluster.administration.status(look_at_keys=False).primary


def test_a_replica_that_dropped_values_has_them_again_before_it_is_made_primary(
    cluster: Cluster,
) -> None:
    sessions(cluster)
    cluster.ticker()
    cluster.monitor()
    cluster["b"].set_clock(DAYS)
    wait_until(lambda: state_of(cluster, "b") == "syncing", 20, "b set aside")
    wait_until(lambda: dropped(cluster, "b"), 20, "b drops what has a deadline")
    (problem,) = cluster.administration.status(look_at_keys=False).problems
    assert problem.startswith("b: its clock is 172800.0 s ahead")
    with pytest.raises(RedreplError):
        cluster.administration.switchover("b")
    cluster["b"].set_clock(0)
    cluster.wait_settled()
    cluster["a"].kill()
    wait_until(lambda: primary_of(cluster) in ("b", "c"), 20, "another primary")
    if primary_of(cluster) != "b":
        cluster.administration.failover("b", away=("a",))
    assert_all_there(cluster)


def test_a_step_that_nobody_looked_at_is_noticed_afterwards(cluster: Cluster) -> None:
    store = sessions(cluster)
    cluster["b"].set_clock(DAYS)
    wait_until(lambda: dropped(cluster, "b"), 20, "b drops what has a deadline")
    store.set("other", b"1", level="all")
    cluster["b"].set_clock(0)
    assert set(cluster.lacking()) >= {"b"}
    cluster.settle()
    cluster["a"].kill()
    assert cluster.administration.failover("b", away=("a",)).primary == "b"
    assert_all_there(cluster)


def test_a_primary_ahead_hands_over_and_new_keys_can_be_written_at_once(cluster: Cluster) -> None:
    store = sessions(cluster)
    store.delete("gone", level="all")
    cluster.ticker()
    cluster.monitor()
    cluster["a"].set_clock(DAYS)
    wait_until(lambda: primary_of(cluster) in ("b", "c"), 20, "another primary")
    assert_all_there(cluster)
    store.set("during", b"1")
    cluster["a"].set_clock(0)
    cluster.wait_settled()
    for number, program in enumerate((store, cluster.open())):
        program.set(f"after:{number}", b"1")
        assert program.add(f"added:{number}", b"1").applied
    cluster.administration.switchover("a")
    assert cluster.open().add("in-the-old-place", b"1").applied
    assert_all_there(cluster)


def test_a_primary_that_refused_somebody_while_it_was_ahead_is_compared(cluster: Cluster) -> None:
    """Nobody looked meanwhile; what it noted of its own time tells."""
    store = sessions(cluster)
    cluster["a"].set_clock(DAYS)
    wait_until(lambda: is_refused(store), 20, "a refuses what is too old by its clock")
    wait_until(lambda: dropped(cluster, "a"), 20, "a drops what has a deadline")
    cluster["a"].set_clock(0)
    assert "a" in cluster.lacking()
    cluster.settle()
    assert_all_there(cluster)


@pytest.mark.parametrize("is_noted", [False, True])
def test_what_a_primary_dropped_unseen_is_mended_by_a_quorum_read(
    cluster: Cluster, is_noted: bool
) -> None:
    """No worker looks: the reads alone bring it back, also where the primary's time was noted."""
    store = sessions(cluster)
    cluster.settle()
    cluster["a"].set_clock(DAYS)
    if is_noted:
        wait_until(lambda: is_refused(store), 20, "a refuses what is too old by its clock")
    wait_until(lambda: dropped(cluster, "a"), 20, "a drops what has a deadline")
    cluster["a"].set_clock(0)
    wait_until(
        lambda: store.get(KEYS[0], level="quorum") == b"1",
        20,
        "a read by a clock that is right again",
    )
    assert store.get_many(KEYS, level="quorum") == dict.fromkeys(KEYS, b"1")
    assert_all_there(cluster)
    assert set(cluster.raw("a").records()) >= {key.encode() for key in KEYS}
    cluster.settle()


def test_keys_written_while_the_primary_was_ahead_can_be_written_afterwards(
    cluster: Cluster,
) -> None:
    """They hold stamps of the future; what the primary makes of a write is for its replicas to
    take.
    """
    cluster["a"].set_clock(HOUR)
    store = cluster.open()
    physical_clock(store).offset_micros = int(HOUR * 1e6)
    store.set("key", b"ahead", level="async")
    cluster["a"].set_clock(0)
    right = cluster.open()
    assert (
        right.set("key", b"right", level="all").stamp.micros
        > physical_clock(store).micros() - 60_000_000
    )
    cluster.assert_identical()


def program_ahead(cluster: Cluster) -> Store:
    """A program whose clock is ahead like that of the primary."""
    store = cluster.open()
    physical_clock(store).offset_micros = int(HOUR * 1e6)
    return store


def test_what_was_written_while_the_primary_was_ahead_is_read_at_quorum_afterwards(
    cluster: Cluster,
) -> None:
    """A read brings it to the copies, whose clocks do not judge what the primary has taken."""
    cluster["a"].set_clock(HOUR)
    ahead = program_ahead(cluster)
    ahead.set("one", b"1", level="async")
    ahead.set_many({"two": b"2", "three": b"3"}, level="async")
    cluster["a"].set_clock(0)
    right = cluster.open()
    assert right.get("one", level="quorum") == b"1"
    assert right.get_many(["two", "three"], level="all") == {"two": b"2", "three": b"3"}
    assert set(cluster.raw("b").values()) >= {b"two", b"three"}


@pytest.mark.parametrize("level", ["quorum", "all"])
def test_writes_while_the_primary_is_ahead_reach_the_copies(cluster: Cluster, level: str) -> None:
    cluster["a"].set_clock(HOUR)
    ahead = program_ahead(cluster)
    ahead.set("one", b"1", level=level)
    ahead.set_many({"two": b"2", "three": b"3"}, level=level)
    assert ahead.increment("four", level=level) == 1
    with ahead.batch(level=level) as batch:
        batch.set("five", b"5")
    held = [key for node in "abc" for key in cluster.raw(node).values()]
    assert min(held.count(key) for key in (b"one", b"two", b"three", b"four", b"five")) >= (
        3 if level == "all" else 2
    )


def test_of_two_copies_the_judge_s_clock_decides(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(count=2, persistence="none", movable_clocks=True)
    sessions(cluster)
    cluster.ticker()
    cluster.monitor()
    cluster["a"].set_clock(DAYS)
    wait_until(lambda: primary_of(cluster) == "b", 20, "the other one is the primary")
    cluster["a"].set_clock(0)
    cluster.wait_settled()
    assert_all_there(cluster)


@pytest.mark.parametrize("seconds", [HOUR, DAYS])
def test_what_was_acknowledged_while_the_primary_was_ahead_outlives_it(
    cluster: Cluster, seconds: float
) -> None:
    """The one copy that has it keeps it, and hands it on, however far ahead its stamp is."""
    cluster["a"].set_clock(seconds)
    ahead = cluster.open()
    physical_clock(ahead).offset_micros = int(seconds * 1e6)
    cluster["b"].freeze()
    assert ahead.set("key", b"1", level="quorum").acked == {"a", "c"}
    cluster["a"].kill()
    cluster["b"].resume()
    cluster.ticker()
    cluster.monitor()
    wait_until(lambda: primary_of(cluster) in ("b", "c"), 20, "another primary")
    assert cluster.open().get("key", level="quorum") == b"1"
    wait_until(
        lambda: cluster.raw("b").values() == cluster.raw("c").values() == {b"key": b"1"},
        20,
        "both have it",
    )
    assert cluster.open().set("key", b"2", level="quorum").outcome is Outcome.COMMITTED
