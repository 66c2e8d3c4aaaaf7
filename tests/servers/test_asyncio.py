"""The asyncio coordinator: the blocking one's answers, for many tasks over one connection per
node.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeAlias

import pytest
import uvloop

from redrepl import (
    AsyncCoordinator,
    NotAReplicatedRecord,
    Outcome,
    RequestError,
    Unavailable,
    WriteNotConfirmed,
    WriteRejected,
)
from redrepl.edges.connection import NodeConnection
from redrepl.edges.endpoint import split_url
from redrepl.embedded.proxy import TcpProxy
from redrepl.values import limits
from tests.servers.support.cluster import SETTLE_SECONDS, TIMEOUT_SECONDS, Cluster
from tests.support.clients import connect
from tests.support.waiting import wait_until

Store: TypeAlias = AsyncCoordinator[Any, bytes]
TASKS = 64


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Runs a coroutine in a new loop, of the standard library and of uvloop."""
    runner: Callable[[Coroutine[Any, Any, Any]], Any] = request.param
    return lambda work: runner(asyncio.wait_for(work, SETTLE_SECONDS))


def store_of(cluster: Cluster, **options: Any) -> Store:
    return AsyncCoordinator(cluster.configuration(**options))


def opened_through(cluster: Cluster, proxy: TcpProxy) -> Store:
    return AsyncCoordinator(cluster.configuration({"a": proxy.url()}))


def opened_by_urls(urls: list[str], **options: Any) -> Store:
    return AsyncCoordinator.connect(urls, "shop", **options)


async def all_keys(store: Store) -> list[bytes]:
    return [key async for key in store.keys()]  # noqa: SIM118  # no mapping


async def in_thread(function: Callable[..., Any], *arguments: Any) -> Any:
    return await asyncio.to_thread(function, *arguments)


class Caller:
    """Mixed operations on keys of its own, each answer compared with what only this caller can
    know.
    """

    def __init__(self, store: Store, name: str) -> None:
        self.store = store
        self.name = name
        self.wrong: list[str] = []
        self.count = 0

    def expect(self, found: object, expected: object, what: str) -> None:
        if found != expected:
            self.wrong.append(f"{self.name}: {what}: {found!r} instead of {expected!r}")

    async def round(self, number: int) -> None:
        store, name = self.store, self.name
        value = f"{name}.{number}".encode()
        receipt = await store.set(f"{name}-set", value)
        self.expect(receipt.key, f"{name}-set", "key of the receipt")
        self.expect(await store.get(f"{name}-set"), value, "read at the primary")
        self.expect(
            await store.get(f"{name}-set", prefer="replica"), value, "own write, read at a replica"
        )
        items = {f"{name}-{index}": f"{name}.{number}.{index}".encode() for index in range(5)}
        self.expect(set(await store.set_many(items)), set(items), "receipts of the batch")
        self.expect(await store.get_many(items), items, "batch")
        self.expect(await store.get_many(items, level="quorum"), items, "confirmed batch")
        self.count += 1
        self.expect(await store.increment(f"{name}-count"), self.count, "sum")
        self.expect(
            (await store.delete(f"{name}-{number % 5}")).key,
            f"{name}-{number % 5}",
            "key of the delete",
        )
        self.expect(await store.get(f"{name}-{number % 5}", level="quorum"), None, "deleted key")
        self.expect(
            (await store.add(f"{name}-{number % 5}", value)).applied,
            True,
            "add where nothing stands",
        )
        self.expect(
            (await store.add(f"{name}-set", value)).applied, False, "add where something stands"
        )


def test_tasks_get_their_own_answers_while_a_replica_is_killed_and_restarted(
    cluster: Cluster, run: Callable[..., Any]
) -> None:
    cluster.ticker()

    async def work() -> list[Caller]:
        async with store_of(cluster, timeout_seconds=2.9) as store:
            callers = [Caller(store, f"t{number}") for number in range(TASKS)]
            is_over = asyncio.Event()

            async def go(caller: Caller) -> None:
                number = 0
                while not is_over.is_set():
                    await caller.round(number)
                    number += 1

            async with asyncio.TaskGroup() as group:
                for caller in callers:
                    group.create_task(go(caller))
                for empty in (False, True):
                    await asyncio.sleep(0)
                    await in_thread(cluster["b"].kill)
                    before = [caller.count for caller in callers]
                    await in_thread(lambda empty=empty: cluster["b"].restart(empty=empty))
                    while any(now.count <= then for now, then in zip(callers, before, strict=True)):
                        await asyncio.sleep(0.01)
                is_over.set()
            return callers

    callers = run(work())
    assert [wrong for caller in callers for wrong in caller.wrong] == []
    cluster.wait_settled()
    values = cluster.values_everywhere()
    assert all(
        values[f"{caller.name}-count".encode()] == b"%d" % caller.count for caller in callers
    )


def test_cancelled_and_late_tasks_leave_no_answer_to_others(
    cluster: Cluster, run: Callable[..., Any]
) -> None:
    proxy = cluster.proxy("a")
    proxy.delay(0.003)  # so that there is a middle of an answer to be cancelled in
    rng = random.Random(7)

    async def work() -> tuple[int, int]:
        store = opened_through(cluster, proxy)
        written: dict[str, set[bytes]] = {f"key-{number}": set() for number in range(40)}
        completed = broken = 0

        async def once(number: int) -> None:
            key = f"key-{number % 40}"
            value = f"{key}:{number}".encode()
            if number % 3 == 0:
                written[key].add(value)
                receipt = await store.set(key, value)
                assert receipt.key == key
            elif number % 3 == 1:
                found = await store.get(key)
                assert found is None or found in written[key], (key, found)
            else:
                other = f"key-{(number + 1) % 40}"
                both = await store.get_many([key, other], level="quorum")
                assert all(
                    value is None or value in written[name] for name, value in both.items()
                ), both

        async def impatient(number: int) -> None:
            nonlocal completed, broken
            try:
                async with asyncio.timeout(rng.choice([0.0, 0.001, 0.004, 0.007, 0.012, 1.0])):
                    await once(number)
                completed += 1
            except TimeoutError:
                broken += 1

        async with store:
            for start in range(0, 1500, 100):
                tasks = [
                    asyncio.create_task(impatient(number)) for number in range(start, start + 100)
                ]
                await asyncio.sleep(rng.random() * 0.006)
                for task in rng.sample(tasks, 20):
                    broken += task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                assert all(task.cancelled() or task.exception() is None for task in tasks)
            for number in range(40):
                key = f"key-{number}"
                assert await store.get(key) in {None, *written[key]}
        return completed, broken

    completed, broken = run(work())
    assert completed > 100
    assert broken > 100


def test_a_time_out_in_the_middle_of_an_answer_spoils_nothing(
    cluster: Cluster, run: Callable[..., Any]
) -> None:
    proxy = cluster.proxy("a")

    async def work() -> None:
        async with opened_through(cluster, proxy) as store:
            large = bytes(2_000_000)
            await store.set("large", large)
            await store.set("small", b"v")
            for _ in range(5):
                reading = asyncio.create_task(store.get("large", timeout_seconds=5))
                before = proxy.read_bytes
                while proxy.read_bytes < before + 200_000 and not reading.done():
                    await asyncio.sleep(0)
                proxy.blackhole()
                reading.cancel()
                with pytest.raises(Unavailable):
                    await store.get("small", timeout_seconds=0.05)
                proxy.heal()
                assert await store.get("small", timeout_seconds=5) == b"v"
                assert await store.get("large", timeout_seconds=5) == large

    run(work())


def test_what_is_asked_in_one_turn_leaves_in_one_write(
    cluster: Cluster, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    flush, send = NodeConnection.flush, NodeConnection.send

    def counted_flush(connection: NodeConnection) -> None:
        sent.append(connection.node)
        flush(connection)

    def counted_send(connection: NodeConnection, data: bytes) -> None:
        sent.append(connection.node)
        send(connection, data)

    monkeypatch.setattr(
        "redrepl.edges.switchboard.IDLE_SECONDS", 60.0
    )  # where the machine is slow, they are not idle for that
    monkeypatch.setattr(NodeConnection, "flush", counted_flush)
    monkeypatch.setattr(NodeConnection, "send", counted_send)

    async def work() -> None:
        async with store_of(cluster) as store:
            await store.set("k", b"v", level="all")
            sent.clear()
            await asyncio.gather(*[store.get("k") for _ in range(100)])
            assert sent == ["a", "a"]  # the first at once, the rest together
            sent.clear()
            await asyncio.gather(
                *[store.set(f"k{number}", b"v", level="all") for number in range(100)]
            )
            assert sorted(sent) == ["a", "a", "b", "b", "c", "c"]

    run(work())


def test_writes_of_one_turn_have_outcomes_of_their_own(
    cluster: Cluster, run: Callable[..., Any]
) -> None:
    connect(cluster["a"]).set("shop:k:foreign", b"not ours")

    async def work() -> None:
        async with store_of(cluster, timeout_seconds=2.5) as store:
            writes: list[Awaitable[Any]] = [
                store.set(f"k{number}", b"v%d" % number) for number in range(50)
            ]
            writes += [
                store.set("foreign", b"v"),
                store.delete("k3"),
                store.set("k4", b"again", ttl=60),
            ]
            results: list[Any] = await asyncio.gather(*writes, return_exceptions=True)
            *good, foreign, deleted, again = results
            assert {receipt.outcome for receipt in [*good, deleted, again]} == {Outcome.COMMITTED}
            assert [receipt.key for receipt in good] == [f"k{number}" for number in range(50)]
            assert isinstance(foreign, NotAReplicatedRecord)
            assert "foreign" in str(foreign)
            assert await store.get_many([f"k{number}" for number in range(5, 50)]) == {
                f"k{number}": b"v%d" % number for number in range(5, 50)
            }
            await in_thread(cluster["c"].kill)
            levels: list[Any] = ["all", "quorum", "one", 2, 1, 0, "async"] * 5
            results = await asyncio.gather(
                *[
                    store.set(f"m{number}", b"w", level=level)
                    for number, level in enumerate(levels)
                ],
                return_exceptions=True,
            )
            for level, result in zip(levels, results, strict=True):
                if level in ("all", 2):
                    assert isinstance(result, WriteNotConfirmed)
                    assert result.receipt.outcome is Outcome.UNKNOWN
                    assert "c" in result.receipt.failed
                else:
                    assert result.outcome is Outcome.COMMITTED

    run(work())


def test_more_tasks_than_may_be_under_way_take_turns(
    cluster: Cluster, run: Callable[..., Any]
) -> None:
    count = 8 * limits.MAX_CONCURRENT_OPERATIONS

    async def work() -> None:
        async with store_of(cluster) as store:
            receipts = await asyncio.gather(*[store.set(f"k{n}", b"%d" % n) for n in range(count)])
            assert all(receipt.outcome is Outcome.COMMITTED for receipt in receipts)
            found = await asyncio.gather(*[store.get(f"k{n}") for n in range(count)])
            assert found == [b"%d" % n for n in range(count)]

    run(work())
    assert len(cluster.raw("a").values()) == count


def test_many_writes_of_one_key_in_one_turn_with_a_dead_primary(
    cluster: Cluster, run: Callable[..., Any]
) -> None:
    async def work() -> None:
        async with store_of(cluster, timeout_seconds=1.0) as store:
            await asyncio.gather(*[store.set("hot", b"%d" % n) for n in range(2000)])
            assert await store.get("hot", level="quorum") is not None
            await in_thread(cluster["a"].kill)
            results = await asyncio.gather(
                *[store.set("hot", b"v") for _ in range(5000)], return_exceptions=True
            )
            assert {type(result) for result in results} <= {WriteNotConfirmed, WriteRejected}
            assert len({id(result) for result in results}) == len(results), (
                "an error of its own for each"
            )

    run(work())


def test_a_write_whose_task_is_cancelled_before_it_leaves_is_not_sent(
    cluster: Cluster, run: Callable[..., Any]
) -> None:
    async def work() -> None:
        async with store_of(cluster) as store:
            first = asyncio.create_task(store.set("first", b"v"))  # leaves at once
            others = [asyncio.create_task(store.set(f"k{number}", b"v")) for number in range(10)]
            await asyncio.sleep(0)
            for task in others[:5]:
                task.cancel()
            results: list[Any] = await asyncio.gather(first, *others, return_exceptions=True)
            assert [isinstance(result, asyncio.CancelledError) for result in results] == [False] + [
                True
            ] * 5 + [False] * 5
            assert sorted(await all_keys(store)) == sorted(
                [b"first", *[b"k%d" % number for number in range(5, 10)]]
            )

    run(work())


def test_lost_connections_and_scripts_are_replaced_under_load(
    cluster: Cluster, run: Callable[..., Any]
) -> None:
    async def work() -> None:
        async with store_of(cluster) as store:
            is_over = False
            sums = [0] * TASKS

            async def count(number: int) -> None:
                while not is_over:
                    assert await store.increment(f"count-{number}") == sums[number] + 1
                    sums[number] += 1
                    await store.set(f"set-{number}", b"%d" % sums[number])
                    assert await store.get(f"set-{number}") == b"%d" % sums[number]

            async with asyncio.TaskGroup() as group:
                for number in range(TASKS):
                    group.create_task(count(number))
                for _ in range(5):
                    before = list(sums)
                    for node in "abc":
                        await in_thread(connect(cluster[node]).script_flush)
                    while any(now <= then for now, then in zip(sums, before, strict=True)):
                        await asyncio.sleep(0.005)
                is_over = True

    run(work())


@pytest.mark.parametrize("node", ["b", "c"])
def test_a_replica_that_drops_its_clients_fails_no_write(
    cluster: Cluster, run: Callable[..., Any], node: str
) -> None:
    async def work() -> None:
        async with store_of(cluster) as store:
            for number in range(20):
                await in_thread(
                    lambda: connect(cluster[node]).client_kill_filter(_type="normal", skipme=True)
                )
                receipts = await asyncio.gather(
                    *[store.set(f"k{n}", b"%d" % number) for n in range(50)]
                )
                assert all(receipt.outcome is Outcome.COMMITTED for receipt in receipts)

    run(work())


def test_a_frozen_primary_makes_writes_unknown_in_time_and_serves_again(
    cluster: Cluster, run: Callable[..., Any]
) -> None:
    async def work() -> None:
        async with store_of(cluster) as store:
            await store.set("k", b"before")
            cluster["a"].freeze()
            started = asyncio.get_running_loop().time()
            results = await asyncio.gather(
                *[store.set(f"k{number}", b"v") for number in range(20)], return_exceptions=True
            )
            assert {type(result) for result in results} <= {WriteNotConfirmed, WriteRejected}
            assert asyncio.get_running_loop().time() - started < 4 * TIMEOUT_SECONDS
            with pytest.raises(Unavailable):
                await store.get("k", timeout_seconds=0.1)
            cluster["a"].resume()
            while True:
                try:
                    assert (await store.set("k", b"after")).outcome is Outcome.COMMITTED
                    break
                except (WriteNotConfirmed, WriteRejected):
                    await asyncio.sleep(0.02)
            assert await store.get("k", level="quorum") == b"after"

    run(work())


def test_one_coordinator_serves_one_loop_after_the_other(
    cluster: Cluster, run: Callable[..., Any]
) -> None:
    store: Store = store_of(cluster)
    run(store.set("k", b"1"))
    assert run(store.get("k")) == b"1"
    run(store.set("k", b"2"))

    async def beside() -> None:
        await store.get("k")
        with pytest.raises(RequestError, match="another event loop"):
            await in_thread(lambda: asyncio.run(store.get("k")))
        assert await store.get("k") == b"2"
        await store.close()

    run(beside())
    with pytest.raises(RequestError, match="closed"):
        run(store.get("k"))


def test_closing_ends_what_is_under_way(cluster: Cluster, run: Callable[..., Any]) -> None:
    async def work() -> None:
        store = await store_of(cluster)
        await store.set("k", b"v")
        cluster["a"].freeze()
        try:
            tasks: list[asyncio.Task[Any]]
            tasks = [
                asyncio.create_task(store.set(f"k{n}", b"v", timeout_seconds=20)) for n in range(10)
            ]
            tasks += [
                asyncio.create_task(store.get(f"k{n}", timeout_seconds=20)) for n in range(10)
            ]
            await asyncio.sleep(0.05)
            await store.close()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert {type(result) for result in results} == {WriteNotConfirmed, Unavailable}
        finally:
            cluster["a"].resume()

    run(work())


def test_opening_by_await_by_async_with_and_by_the_first_operation(
    cluster: Cluster, run: Callable[..., Any]
) -> None:
    file = cluster.configuration_file()

    async def work() -> None:
        store: Store = AsyncCoordinator.from_config(file)
        with pytest.raises(RequestError, match="not open yet"):
            _ = store.topology
        assert await asyncio.gather(*[store.get("k") for _ in range(3)]) == [None, None, None]
        assert store.topology.epoch == 1
        await store.aclose()
        async with opened_by_urls(list(cluster.servers.urls.values())) as other:
            await other.set("k", b"v")
            assert await all_keys(other) == [b"k"]
            assert (await other.get_record("k")).value == b"v"  # type: ignore[union-attr]
            assert (await other.ttl("k"), await other.ttl("nothing")) == (-1.0, -2.0)
            assert (await other.expire("k", 60)).applied
            assert (await other.health()).primary == "a"
            assert (await other.stats()).total_replicas == 2
            assert [node.id for node in await other.nodes()] == ["a", "b", "c"]
            assert await other.sync() is not None
            assert (await other.verify()).consistent
        third: Store = await opened_by_urls([cluster["b"].url])
        assert await third.get("k") == b"v"
        await third.close()

    run(work())


def test_no_cluster_there_is_said(run: Callable[..., Any]) -> None:
    async def work() -> None:
        with pytest.raises(Unavailable):
            await opened_by_urls(["redis://127.0.0.1:1"], timeout_seconds=0.3)

    run(work())


def test_bad_arguments_are_refused_before_anything_is_sent(
    cluster: Cluster, run: Callable[..., Any]
) -> None:
    async def work() -> None:
        async with store_of(cluster) as store:
            for call in (
                lambda: store.set("", b"v"),
                lambda: store.set("k", "text"),  # type: ignore[arg-type]
                lambda: store.set("k", b"v", ttl=-1),
                lambda: store.set("k", b"v", level="most"),
                lambda: store.set("k", b"v", level=7),
                lambda: store.set("k", b"v", level=[]),  # type: ignore[arg-type]
                lambda: store.set("k", b"v", timeout_seconds=0),
                lambda: store.delete(5),
                lambda: store.get("k", prefer="west"),
            ):
                with pytest.raises(RequestError):
                    await call()
            assert await all_keys(store) == []

    run(work())


def test_members_that_change_are_followed(cluster: Cluster, run: Callable[..., Any]) -> None:
    async def work() -> None:
        async with store_of(cluster) as store:
            await store.set("k", b"v")
            is_over = False

            async def write() -> None:
                number = 0
                while not is_over:
                    assert (
                        await store.set(f"k{number % 50}", b"%d" % number)
                    ).outcome is Outcome.COMMITTED
                    number += 1

            async with asyncio.TaskGroup() as group:
                for _ in range(8):
                    group.create_task(write())
                spare = await in_thread(cluster.spare, "d")
                await in_thread(cluster.administration.add_node, split_url("d", spare.url))
                await in_thread(cluster.administration.remove_node, "c")
                while set(store.topology.ids) != {"a", "b", "d"}:
                    await asyncio.sleep(0.01)
                is_over = True

    cluster.ticker()
    run(work())
    wait_until(lambda: b"k" in cluster.raw("d").values(), message="the new member has the data")


def test_what_the_primary_took_just_before_a_change_of_members_is_looked_up(
    cluster: Cluster, run: Callable[..., Any]
) -> None:
    proxies = {node: cluster.proxy(node) for node in "bc"}
    urls = {node: proxy.url() for node, proxy in proxies.items()}
    server = cluster.spare("d")

    async def work() -> None:
        async with AsyncCoordinator[Any, bytes](cluster.configuration(urls)) as store:
            await store.set("warm", b"up", level="all")
            for proxy in proxies.values():
                proxy.blackhole()
            batch = store.batch(timeout_seconds=2.9).set("x", b"1").delete("y")
            transaction = store.transaction(timeout_seconds=2.9).set("z", b"1").increment("n")
            writing = asyncio.gather(batch.execute(), transaction.commit())
            while not {b"x", b"z"} <= (await in_thread(cluster.raw("a").values)).keys():
                await asyncio.sleep(0.01)
            await in_thread(cluster.administration.add_node, split_url("d", server.url))
            for proxy in proxies.values():
                proxy.heal()
            results, receipts = await writing
            assert {receipt.outcome for receipt in (*results, *receipts.values())} == {
                Outcome.COMMITTED
            }
            assert store.topology.epoch == 2

    run(work())


@pytest.mark.parametrize("connections_count_as_idle", [False, True])
def test_a_loop_that_is_blocked_longer_than_the_time_out_loses_no_answer(
    cluster: Cluster,
    run: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    connections_count_as_idle: bool,
) -> None:
    if (
        connections_count_as_idle
    ):  # each is asked first, and what was to leave on it waits for the blocked loop
        monkeypatch.setattr("redrepl.edges.switchboard.IDLE_SECONDS", 0.0)
        monkeypatch.setattr("redrepl.edges.switchboard.IDLE_ROUND_TRIPS", 0.0)

    async def work() -> None:
        async with store_of(cluster, timeout_seconds=0.3) as store:
            await store.set("k", b"v", level="all")
            for count in (1, 64):
                calls: list[Awaitable[Any]] = [
                    store.set(f"k{number}", b"w") for number in range(count)
                ]
                calls += [store.get("k") for _ in range(count)]
                calls.append(store.get_many(["k", "k0"], level="quorum"))
                tasks = [asyncio.ensure_future(call) for call in calls]
                for _ in range(3):
                    await asyncio.sleep(0)  # asked and sent
                time.sleep(0.5)  # what user code must not do, and does
                *results, many = await asyncio.gather(*tasks)
                assert {result.outcome for result in results[:count]} == {Outcome.COMMITTED}
                assert set(results[count:]) == {b"v"}
                assert many["k"] == b"v"

    run(work())


def test_writes_that_wait_for_a_silent_copy_keep_no_others_from_leaving(
    cluster: Cluster, run: Callable[..., Any]
) -> None:
    async def work() -> None:
        async with store_of(cluster) as store:
            await store.set("k", b"v", level="all")
            cluster["c"].freeze()
            try:
                slow = [
                    asyncio.create_task(store.set("hot", b"%d" % n, level="all"))
                    for n in range(100)
                ]
                await asyncio.sleep(0)
                for number in range(50):
                    assert (await store.set(f"k{number}", b"v")).outcome is Outcome.COMMITTED
                assert not any(task.done() for task in slow[-20:]), "they still wait"
                for task in slow:
                    task.cancel()
                await asyncio.gather(*slow, return_exceptions=True)
            finally:
                cluster["c"].resume()

    run(work())


def test_what_was_under_way_when_a_loop_ended_troubles_the_next_one_not(
    cluster: Cluster, run: Callable[..., Any]
) -> None:
    store: Store = store_of(cluster)
    run(store.set("k", b"v", level="all"))

    async def leave_in_the_middle() -> None:
        cluster["a"].freeze()
        tasks = [asyncio.create_task(store.set(f"k{number}", b"w")) for number in range(10)]
        await asyncio.sleep(0.05)
        assert not any(task.done() for task in tasks)

    run(leave_in_the_middle())
    cluster["a"].resume()
    assert run(store.get("k")) == b"v"
    run(store.close())
