"""Clients whose clocks are off."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from redrepl import (
    AsyncCoordinator,
    ClockSkew,
    Outcome,
    RedreplError,
    Unavailable,
    WriteNotConfirmed,
)
from tests.servers.conftest import MakeCluster
from tests.servers.support.cluster import Cluster, Store
from tests.support.program_clocks import physical_clock

HOUR_MICROS = 3_600_000_000


def skewed(cluster: Cluster, micros: int) -> Store:
    """A coordinator whose clock is off after it was opened: opening sets it by the primary's."""
    store = cluster.open()
    physical_clock(store).offset_micros += micros
    return store


@pytest.mark.parametrize("before", [None, b"old"], ids=["absent key", "over a value"])
@pytest.mark.parametrize("level", ["async", "quorum", "all"])
def test_a_clock_far_ahead_is_refused_without_effect(
    cluster: Cluster, level: str, before: bytes | None
) -> None:
    if before is not None:
        cluster.open().set("key", before, level="all")
    contents = cluster.assert_identical()
    with pytest.raises(ClockSkew, match="too far ahead"):
        skewed(cluster, HOUR_MICROS).set("key", b"new", level=level)
    assert cluster.assert_identical() == contents


@pytest.mark.parametrize("before", [None, b"old"], ids=["absent key", "over a value"])
@pytest.mark.parametrize("level", ["async", "quorum", "all"])
def test_a_clock_far_behind_is_refused_and_leaves_nothing(
    cluster: Cluster, level: str, before: bytes | None
) -> None:
    if before is not None:
        cluster.open().set("key", before, level="all")
    contents = cluster.assert_identical()
    with pytest.raises(ClockSkew, match="older than the node accepts"):
        skewed(cluster, -HOUR_MICROS).set("key", b"new", level=level)
    assert cluster.raw("a").records() == contents
    cluster.settle()
    assert cluster.values_everywhere() == ({} if before is None else {b"key": before})


@pytest.mark.parametrize("micros", [HOUR_MICROS, -HOUR_MICROS])
def test_a_batch_with_a_clock_far_off_is_not_confirmed(cluster: Cluster, micros: int) -> None:
    cluster.open().set("kept", b"old", level="all")
    contents = cluster.assert_identical()
    with pytest.raises((ClockSkew, WriteNotConfirmed)):
        skewed(cluster, micros).set_many({"kept": b"new", "absent": b"new"})
    cluster.settle()
    found = cluster.assert_identical()
    assert found[b"kept"] == contents[b"kept"]
    assert cluster.values_everywhere() == {b"kept": b"old"}


def test_updates_with_a_clock_far_off_are_refused_without_effect(cluster: Cluster) -> None:
    cluster.open().set("count", b"1", level="all")
    contents = cluster.assert_identical()
    for micros in (HOUR_MICROS, -HOUR_MICROS):
        with pytest.raises(ClockSkew):
            skewed(cluster, micros).increment("count")
        with pytest.raises(ClockSkew):
            skewed(cluster, micros).add("absent", b"v")
    assert cluster.assert_identical() == contents


@pytest.mark.parametrize("level", ["async", "quorum", "all"])
def test_with_clocks_a_little_off_the_later_write_wins_everywhere(
    make_cluster: MakeCluster, level: str
) -> None:
    cluster = make_cluster()
    stores = [skewed(cluster, micros) for micros in (0, 1_500_000, -1_500_000)]
    for round_number in range(30):
        store = stores[round_number % 3]
        for key in ("set", "many"):
            value = f"{key}-{round_number}".encode()
            if key == "set":
                receipt = store.set(key, value, level=level)
            else:
                receipt = store.set_many({key: value}, level=level)[key]
            assert receipt.outcome is Outcome.COMMITTED
            assert {each.get(key) for each in stores} == {value}
        if round_number % 4 == 0:
            store.delete("set", level=level)
            assert {each.get("set") for each in stores} == {None}
    cluster.settle()
    assert cluster.values_everywhere() == {b"set": b"set-29", b"many": b"many-29"}


def test_a_later_delete_from_a_clock_behind_stands(cluster: Cluster) -> None:
    skewed(cluster, 2_000_000).set("key", b"v", level="all")
    receipt = skewed(cluster, -2_000_000).delete("key", level="all")
    assert receipt.acked == {"a", "b", "c"}
    assert cluster.values_everywhere() == {}


def test_opening_sets_the_clock_by_the_primary(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:

    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() + HOUR_MICROS * 1000)
    store = cluster.open()
    assert store.set("key", b"v", ttl=100, level="all").outcome is Outcome.COMMITTED
    assert 95 < store.ttl("key") <= 100


def test_a_batch_that_takes_longer_than_max_age_is_written(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(timeout_seconds=1.0, max_age_seconds=1.2)
    proxy, store = cluster.proxied("a")
    proxy.delay(0.1)
    receipts = store.set_many({f"key-{number}": b"v" for number in range(5000)})
    assert len(receipts) == 5000
    assert {receipt.outcome for receipt in receipts.values()} == {Outcome.COMMITTED}


def test_a_client_whose_clock_is_set_right_again_writes_at_once(cluster: Cluster) -> None:
    """The stamps that it gave out while its clock was ahead must not keep all later ones from being
    accepted.
    """
    store = skewed(cluster, HOUR_MICROS)
    with pytest.raises(ClockSkew):
        store.set("key", b"from the future")
    assert abs(physical_clock(store).offset_micros) < HOUR_MICROS // 60, "it has asked the nodes"
    physical_clock(store).offset_micros += HOUR_MICROS
    writer = store._store.cluster.clock.next().writer
    physical_clock(store).offset_micros -= HOUR_MICROS
    assert store.set("key", b"now", level="all").outcome is Outcome.COMMITTED
    assert store._store.cluster.clock.next().writer != writer, (
        "one stamp must never be given to two records"
    )
    assert cluster.values_everywhere() == {b"key": b"now"}


JUMPS = [-40 * 1_000_000, -HOUR_MICROS]


@pytest.mark.parametrize("micros", JUMPS)
def test_a_confirmed_read_takes_no_notice_of_a_clock_that_jumped_back(
    cluster: Cluster, micros: int
) -> None:
    """Only this program's clock is wrong: the other nodes tell, and the read goes on."""
    cluster.open().set("key", b"v", ttl=3600, level="all")
    reads: list[Callable[[Store], Any]] = [
        lambda store: store.get("key", level="quorum"),
        lambda store: store.get_many(["key", "absent"], level="all")["key"],
        lambda store: store.get_record("key", level="quorum").value,  # type: ignore[union-attr]
    ]
    for read in reads:
        store = skewed(cluster, micros)
        assert read(store) == b"v"
        # Writer and reader have each measured the cluster's time, to within their round trips: so
        # one may count a little more than the other set. The smallest jump is 40 s.
        assert 3580 < store.ttl("key") < 3620
        assert store.set("other", b"v", level="all").outcome is Outcome.COMMITTED


def changes(store: Store) -> list[Callable[[], Any]]:
    """Each way to write."""

    def transact() -> None:
        with store.transaction() as transaction:
            transaction.set("key", b"1")

    def batch() -> None:
        with store.batch() as waiting:
            waiting.increment("count").set("key", b"1")

    def set_many() -> None:
        store.set_many({"key": b"1", "other": b"1"})

    return [
        lambda: store.set("key", b"1"),
        lambda: store.increment("count"),
        set_many,
        transact,
        batch,
    ]


@pytest.mark.parametrize("micros", [*JUMPS, HOUR_MICROS])
@pytest.mark.parametrize("number", range(5))
def test_after_one_write_that_is_refused_the_clock_is_right(
    cluster: Cluster, micros: int, number: int
) -> None:
    store = skewed(cluster, micros)
    change = changes(store)[number]
    with pytest.raises(RedreplError):
        change()
    change()
    assert abs(physical_clock(store).offset_micros) < HOUR_MICROS // 60


@pytest.mark.parametrize("micros", [*JUMPS, HOUR_MICROS])
def test_a_clock_that_jumped_is_set_by_the_nodes_with_asyncio_too(
    cluster: Cluster, micros: int
) -> None:
    async def use() -> None:
        async with await AsyncCoordinator.from_config(cluster.configuration_file()) as store:
            clock = physical_clock(store)
            await store.set("key", b"1", level="all")
            writes: list[Callable[[], Awaitable[Any]]] = [
                lambda: store.set("key", b"1"),
                lambda: store.increment("count"),
                lambda: store.set_many({"key": b"1", "other": b"1"}),
            ]
            for write in writes:
                clock.offset_micros += micros
                answers = await asyncio.gather(*(write() for _ in range(5)), return_exceptions=True)
                assert isinstance(answers[0], RedreplError), (
                    "whoever comes later may find the clock right already"
                )
                await write()
                await asyncio.sleep(0.2)
            if micros < 0:
                clock.offset_micros += micros
                assert await store.get("key", level="quorum") == b"1"
                assert await store.get_many(["key"], level="quorum") == {"key": b"1"}
            assert abs(clock.offset_micros) < HOUR_MICROS // 60

    asyncio.run(use())


@pytest.mark.plain  # an opening over TLS may take the time that the read has
def test_where_no_majority_tells_both_times_are_said(make_cluster: MakeCluster) -> None:
    """Of two copies one is away: whose clock is wrong nobody knows."""
    cluster = make_cluster(count=2)
    store = skewed(cluster, -HOUR_MICROS)
    cluster["b"].kill()
    with pytest.raises(Unavailable) as failed:
        store.get("key", level=1)
    day = "[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]{8} UTC"
    told = f"its clock shows {day}, 36[0-9][0-9].[0-9] s ahead of the {day} that this program"
    assert re.search(told, str(failed.value))
    assert "is, or was, ahead" not in str(failed.value)
