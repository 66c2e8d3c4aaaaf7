"""One replica does all at once that it can: it answers rubbish and without end, lies in its
bookkeeping and its log.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from random import Random
from typing import Any

import pytest
import redis

from redrepl import AsyncCoordinator, Coordinator
from redrepl.values.errors import RedreplError
from redrepl.values.keys import CLUSTERS_KEY, KeyLayout
from redrepl.values.limits import MAX_EPOCH
from redrepl.values.record import value_record
from redrepl.values.stamp import Stamp
from tests.servers.conftest import MakeCluster
from tests.servers.support.cluster import Cluster
from tests.servers.support.processes import memory_mib
from tests.servers.support.writers import Writers
from tests.support.liars import RUBBISH, Liar

LAYOUT = KeyLayout("shop")

WITHOUT_END = {
    "a text without end": b"$8000000\r\n" + bytes(8_000_000),
    "a list that has no room": b"*1000000000\r\n",
    "a list without end": b"*1000000\r\n" + b":1\r\n" * 1_000_000,
}
SHARE = 0.3
"""Of the answers, that are replaced."""

SHARE_WITHOUT_END = 0.01
"""Of those: they are slow to make."""

FLOOD_ENTRIES = 500
PAUSE_SECONDS = 0.1
GROWTH_MIB = 64.0
"""Of a program and of the worker: an answer that may hold records is read up to a limit above
this.
"""

_log = logging.getLogger(__name__)


def _twist(seed: int) -> Callable[[list[bytes]], bytes | None]:
    """Some answers are rubbish, and some of these have no end."""
    chances, rubbish, endless = Random(seed), list(RUBBISH.values()), list(WITHOUT_END.values())

    def answer(_: list[bytes]) -> bytes | None:
        if chances.random() > SHARE:
            return None
        return chances.choice(endless if chances.random() < SHARE_WITHOUT_END else rubbish)

    return answer


def _claim_to_be_alone(client: Any) -> None:
    text = client.hget(LAYOUT.topology, "topology")
    told: dict[str, Any] = json.loads(text) if text.isascii() else {"epoch": 1, "members": []}
    epoch = told["epoch"] + 1
    members = [{**each, "role": "primary"} for each in told["members"] if each["id"] == "c"]
    client.hset(
        LAYOUT.topology, "topology", json.dumps({**told, "epoch": epoch, "members": members})
    )
    client.hset(
        LAYOUT.member,
        mapping={"epoch": epoch, "lineage": epoch, "state": "active", "rule": "decide"},
    )
    client.set(LAYOUT.guard, f"{epoch} active")


def _flood_log(client: Any) -> None:
    """Entries that name bookkeeping, keys of other programs, and records with stamps out of
    range.
    """
    impossible = Stamp(10**17, 9)
    client.set(LAYOUT.data(b"forged"), value_record(impossible, b"forged").encode())
    names = (
        LAYOUT.member,
        LAYOUT.guard,
        CLUSTERS_KEY,
        b"of-another-program",
        b"shop:x",
        LAYOUT.data(b"forged"),
    )
    with client.pipeline(transaction=False) as pipeline:
        for number in range(FLOOD_ENTRIES):
            pipeline.xadd(LAYOUT.log, {names[number % len(names)]: impossible.encode()})
        pipeline.execute()


LIES: tuple[Callable[[Any], object], ...] = (
    _claim_to_be_alone,
    _flood_log,
    lambda client: client.hset(LAYOUT.member, "epoch", "x"),
    lambda client: client.hset(LAYOUT.member, "epoch", str(MAX_EPOCH)),
    lambda client: client.hset(LAYOUT.topology, "topology", b"\xff" * 100_000),
    lambda client: client.set(CLUSTERS_KEY, "no list"),
    lambda client: client.set(b"of-another-program", b"on c alone"),
)


@contextmanager
def lying(cluster: Cluster) -> Iterator[None]:
    """Meanwhile the bookkeeping of c is forged over and over."""
    over = threading.Event()

    def lie() -> None:
        client = cluster.raw("c").client
        for tell in itertools.cycle(LIES):
            if over.wait(PAUSE_SECONDS):
                return
            with suppress(redis.ResponseError, AttributeError):  # it is being emptied
                tell(client)

    with ThreadPoolExecutor(1) as pool:
        told = pool.submit(lie)
        try:
            yield
        finally:
            over.set()
            told.result()


async def _write_as_tasks(
    cluster: Cluster, urls: dict[str, str], over: threading.Event
) -> list[RedreplError]:
    """Eight tasks write until it is over; what was not acknowledged."""
    errors = []

    async def write(store: AsyncCoordinator[str, bytes], task: int) -> None:
        for number in itertools.count():
            if over.is_set():
                return
            try:
                await store.set(f"task-{task}", b"%d" % number)
            except RedreplError as error:
                errors.append(error)

    async with AsyncCoordinator[str, bytes](cluster.configuration(urls)) as store:
        await asyncio.gather(*(write(store, task) for task in range(8)))
    return errors


def foreign_names(cluster: Cluster, node: str) -> set[bytes]:
    """What a node holds beside users' records and bookkeeping."""
    with cluster.raw(node).client as client:
        names = set(client.scan_iter(count=1000))
    bookkeeping = {name for name in vars(LAYOUT).values() if isinstance(name, bytes)} | {
        CLUSTERS_KEY
    }
    return {name for name in names - bookkeeping if not name.startswith(LAYOUT.data_prefix)}


@pytest.mark.plain  # the proxy that puts in rubbish speaks no TLS
@pytest.mark.parametrize(
    "writes", [300, pytest.param(60_000, marks=[pytest.mark.soak, pytest.mark.timeout(900)])]
)
def test_programs_write_while_one_replica_does_all_that_it_can(
    make_cluster: MakeCluster, writes: int
) -> None:
    cluster = make_cluster(queue=True)
    liar = Liar(cluster["c"].port)
    cluster.stack.callback(liar.close)
    urls = {"c": liar.url}
    store: Coordinator[Any, bytes] = cluster.open(urls)
    store.set("key", b"1", level="all")
    worker = cluster.worker(urls)
    over, failed = threading.Event(), list[RedreplError]()
    tasks = threading.Thread(
        target=lambda: failed.extend(asyncio.run(_write_as_tasks(cluster, urls, over)))
    )

    with Writers(store, 2, "quorum") as writers:
        writers.wait_more(100)
        before = [memory_mib(process) for process in (os.getpid(), worker.process.pid)]
        liar.twist = _twist(1)
        with lying(cluster):
            tasks.start()
            writers.wait_more(writes, 600.0)
            over.set()
            tasks.join()
        liar.twist = lambda _: None
        after = [memory_mib(process) for process in (os.getpid(), worker.process.pid)]
    _log.info("%d answers replaced, memory in MiB %s, then %s", liar.answered, before, after)

    assert (writers.errors, failed) == ([], [])
    assert liar.answered
    assert store.topology.decider == "a"
    cluster.wait_settled()
    assert cluster.raw("a").records() == cluster.raw("b").records()
    # What c made up for itself may have stayed there: `verify` names it as foreign, and an operator
    # deletes it.
    assert {each.key for each in cluster.administration.verify().mismatches} <= {b"forged"}
    cluster.raw("c").client.delete(LAYOUT.data(b"forged"))
    kept = cluster.values_everywhere()
    assert {key: kept[key.encode()] for key in writers.last} == writers.last
    assert b"forged" not in kept
    assert [foreign_names(cluster, node) for node in "ab"] == [set(), set()]
    assert all(
        cluster.raw(node).client.hgetall(CLUSTERS_KEY) == {b"shop": node.encode()} for node in "ab"
    )
    assert max(now - was for was, now in zip(before, after, strict=True)) < GROWTH_MIB
    assert "Traceback" not in worker.log.read_text()
    assert worker.stop() == 0
