"""Nodes that are far: their answers are slow, and they are as good as any."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner

from redrepl import (
    Administration,
    AsyncCoordinator,
    Configuration,
    Coordinator,
    Outcome,
    Unavailable,
)
from redrepl.edges.switchboard import IDLE_SECONDS
from redrepl.embedded.proxy import TcpProxy
from redrepl.plans.view import SUSPECT_SECONDS
from redrepl_cli.main import cli
from redrepl_workers.monitor import Monitor
from tests.servers.support.cluster import Cluster
from tests.support.waiting import wait_until


def primary_of(cluster: Cluster) -> str:
    """Who is the primary, as the nodes say."""
    topology, _ = cluster.administration.inspect()
    assert topology is not None
    return str(topology.decider)


def test_a_primary_that_is_far_and_answers_is_not_replaced_and_a_frozen_one_is(
    cluster: Cluster,
) -> None:
    proxies = {node: cluster.proxy(node) for node in cluster.nodes}
    for node, proxy in proxies.items():
        proxy.delay(
            0.15 if node == "a" else 0.0
        )  # a round trip longer than what a look used to wait
    urls = {node: proxy.url(cluster[node].url) for node, proxy in proxies.items()}
    monitor = Monitor(replace(cluster.configuration(urls), queue_url=None))
    cluster.stack.callback(monitor.stop)
    answered = 0
    while answered < 20:
        verdict = monitor.look().verdict
        assert not verdict.is_due
        answered += not verdict.away
    assert primary_of(cluster) == "a"
    cluster["a"].freeze()
    wait_until(lambda: monitor.look().failed_over is not None, message="another primary")
    assert primary_of(cluster) != "a"


@pytest.mark.parametrize("idle", ["threads", "tasks"])
def test_idle_connections_that_were_forgotten_on_the_way_cost_no_write(
    cluster: Cluster, idle: str
) -> None:
    # What leaves on them vanishes, and nothing says so.
    proxies = {node: cluster.proxy(node) for node in cluster.nodes}
    urls = {node: proxy.url(cluster[node].url) for node, proxy in proxies.items()}

    def forget() -> None:
        began = time.monotonic()
        wait_until(lambda: time.monotonic() - began > IDLE_SECONDS, message="idle for long enough")
        for proxy in proxies.values():
            proxy.forget()

    async def work() -> None:
        async with AsyncCoordinator[str, bytes](cluster.configuration(urls)) as store:
            for number in range(3):
                receipts = await asyncio.gather(
                    *(store.set(f"key-{task}", b"%d" % number) for task in range(20))
                )
                assert {receipt.outcome for receipt in receipts} == {Outcome.COMMITTED}
                assert await store.increment("count") == number + 1
                forget()

    if idle == "tasks":
        asyncio.run(work())
        return
    store = cluster.open(urls)
    for number in range(3):
        assert store.set("key", b"%d" % number).outcome is Outcome.COMMITTED
        assert store.increment("count") == number + 1
        assert store.get("key", level="quorum") == b"%d" % number
        forget()


def test_operators_reach_a_cluster_that_is_far_with_the_time_outs_as_they_are(
    cluster: Cluster,
) -> None:
    proxies = {node: cluster.proxy(node) for node in cluster.nodes}
    urls = {node: proxy.url(cluster[node].url) for node, proxy in proxies.items()}
    for proxy in proxies.values():
        proxy.delay(0.4)
    with Administration(cluster.configuration(urls, timeout_seconds=1.0)) as administration:
        assert administration.find_members().ids == cluster.nodes
        _, reports = administration.inspect()
        assert reports.silent == {}


def test_commands_on_values_reach_nodes_that_are_far_with_the_time_outs_as_they_are(
    cluster: Cluster,
) -> None:
    """Connecting and one answer take longer than `timeout_seconds`."""
    proxies = {node: cluster.proxy(node) for node in cluster.nodes}
    for proxy in proxies.values():
        proxy.delay(0.3)
    urls = {node: proxy.url(cluster[node].url) for node, proxy in proxies.items()}
    config = ["--config", str(cluster.configuration_file(urls, timeout_seconds=1.0))]
    run = CliRunner().invoke
    assert run(cli, ["set", "key", "value", "--level", "all", *config]).exit_code == 0
    assert run(cli, ["get", "key", "--level", "quorum", *config]).stdout_bytes == b"value"
    assert run(cli, ["delete", "key", *config]).exit_code == 0
    assert run(cli, ["set", "key", "value", "--timeout", "0.2", *config]).exit_code != 0


def test_a_program_suspects_a_primary_that_is_far_later_than_one_that_is_near(
    cluster: Cluster,
) -> None:
    """Nobody is asked whether it was replaced while its answers take what they usually take."""
    proxy, store = cluster.proxied("a")
    store.set("key", b"near")
    assert store._store.cluster.view.suspect_seconds == SUSPECT_SECONDS
    proxy.delay(0.2)

    def is_known() -> bool:
        store.set("key", b"far")
        return store._store.cluster.view.suspect_seconds > 2 * 0.2

    wait_until(is_known, 30, "the distance is known")


FAR_SECONDS = 0.15
"""Each way: later than the moment at which the others are asked whether the epoch moved."""

CONDITIONAL: dict[str, Callable[[Any], Any]] = {
    "add": lambda store: store.add("added", b"1"),
    "compare_and_set": lambda store: store.compare_and_set("compared", b"2", expected=None),
    "increment": lambda store: store.increment("number", 5),
    "expire": lambda store: store.expire("standing", 1000),
}


def _far_primary(cluster: Cluster) -> tuple[TcpProxy, Configuration]:
    cluster.open().set("standing", b"1", level="all")
    proxy = cluster.proxy("a")
    return proxy, cluster.configuration({"a": proxy.url(cluster["a"].url)}, timeout_seconds=2.5)


def _check_conditions(cluster: Cluster, results: dict[str, Any]) -> None:
    assert results.pop("increment") == 5
    assert {name: (each.outcome, each.applied) for name, each in results.items()} == dict.fromkeys(
        ["add", "compare_and_set", "expire"], (Outcome.COMMITTED, True)
    )
    cluster.settle()
    expected = {b"added": b"1", b"compared": b"2", b"number": b"5", b"standing": b"1"}
    assert cluster.values_everywhere() == expected


def test_conditional_operations_are_carried_out_once_where_the_primary_is_far(
    cluster: Cluster,
) -> None:
    """All at once: each takes two round trips to the primary."""
    proxy, configuration = _far_primary(cluster)
    with (
        Coordinator[str, bytes](configuration) as store,
        ThreadPoolExecutor(len(CONDITIONAL)) as pool,
    ):
        proxy.delay(FAR_SECONDS)
        under_way = {name: pool.submit(run, store) for name, run in CONDITIONAL.items()}
        _check_conditions(cluster, {name: each.result() for name, each in under_way.items()})


def test_conditional_operations_of_tasks_are_carried_out_once_where_the_primary_is_far(
    cluster: Cluster,
) -> None:
    proxy, configuration = _far_primary(cluster)

    async def go() -> dict[str, Any]:
        async with AsyncCoordinator[str, bytes](configuration) as store:
            proxy.delay(FAR_SECONDS)
            results = await asyncio.gather(*(run(store) for run in CONDITIONAL.values()))
            return dict(zip(CONDITIONAL, results, strict=True))

    _check_conditions(cluster, asyncio.run(go()))


@pytest.mark.parametrize("monitors", [pytest.param(1, marks=pytest.mark.soak), 2])
def test_a_far_primary_that_crashed_is_replaced_once(
    cluster: Cluster, monitors: int, caplog: pytest.LogCaptureFixture
) -> None:
    """What a monitor sees is a round trip old: of before a failover of its own, or of another
    one's.

    Rivals that meet may need a second attempt, and thereby another epoch; there is one new primary
    all the same.
    """
    proxies = {node: cluster.proxy(node) for node in cluster.nodes}
    urls = {node: proxy.url(cluster[node].url) for node, proxy in proxies.items()}
    store = cluster.open(urls, timeout_seconds=2.5)
    store.set("key", b"before")
    for proxy in proxies.values():
        proxy.delay(0.1)
    for _ in range(monitors):
        cluster.monitor(urls=urls)
    for number in range(5):
        assert store.set("key", b"%d" % number).outcome is Outcome.COMMITTED
    cluster["a"].kill()
    proxies["a"].cut()
    wait_until(lambda: store.set("key", b"after"), 30, "another primary")
    # For longer than a failover takes: whoever was to move the role again would have.
    for number in range(20):
        assert store.set("key", b"%d" % number).outcome is Outcome.COMMITTED
    assert (
        len(
            [
                record
                for record in caplog.records
                if "is the primary in epoch" in record.getMessage()
            ]
        )
        == 1
    )


def test_what_was_seen_before_a_failover_is_looked_at_again_whatever_came_of_it(
    cluster: Cluster,
) -> None:
    proxies = {node: cluster.proxy(node) for node in cluster.nodes}
    urls = {node: proxy.url(cluster[node].url) for node, proxy in proxies.items()}
    with Administration(cluster.configuration(urls)) as administration:

        def is_current(wait_seconds: float) -> bool:
            topology, seen = administration.probe(wait_seconds, 1.0)
            return seen.is_current and topology is not None

        wait_until(lambda: is_current(0.1), message="the members are known")
        for proxy in proxies.values():
            proxy.delay(0.1)
        assert is_current(0.0)
        assert administration.failover("b").primary == "b"
        assert not is_current(0.0)
        wait_until(lambda: is_current(0.1), message="the members are known again")
        with pytest.raises(Unavailable):
            administration.failover(away=("a", "b"))
        assert not is_current(0.0)
