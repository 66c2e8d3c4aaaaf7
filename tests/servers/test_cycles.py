"""Opening, writing and closing, and queues that come and go, leave descriptors, threads and memory
as they were.
"""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from redrepl import AsyncCoordinator, Configuration, Coordinator
from tests.servers.conftest import MakeCluster
from tests.servers.support.processes import memory_mib
from tests.support.clients import connect
from tests.support.waiting import wait_until

GROWTH_MIB = 8.0
"""Over all cycles after the first: a leak of one connection's buffers a cycle comes to more in a
long run.
"""

SHORT, LONG = 20, 1_000
SLACK = 4
CYCLES = pytest.mark.parametrize(
    "cycles", [SHORT, pytest.param(LONG, marks=[pytest.mark.soak, pytest.mark.timeout(1_800)])]
)


class Held(NamedTuple):
    """What a process has of the system."""

    descriptors: int
    threads: int


def held_by(pid: int) -> Held:
    return Held(len(os.listdir(f"/proc/{pid}/fd")), len(os.listdir(f"/proc/{pid}/task")))


def wait_for(pid: int, expected: Held) -> None:
    """Helpers of what was closed end by themselves, a moment later.

    A connection more may be open than before.
    """
    most = Held(expected.descriptors + SLACK, expected.threads + SLACK)

    def is_back() -> bool:
        gc.collect()
        found = held_by(pid)
        assert found.descriptors <= most.descriptors, found
        assert found.threads <= most.threads, found
        return True

    wait_until(is_back, 20, f"no more than {most}")


def blocking(configuration: Configuration, number: int) -> None:
    with Coordinator[str, bytes](configuration) as store:
        store.set("key", b"%d" % number)
        store.set("later", b"%d" % number, level="async")  # leaves hints for the workers
        assert store.get("key", level="quorum") == b"%d" % number


def with_asyncio(configuration: Configuration, number: int) -> None:
    async def cycle() -> None:
        async with AsyncCoordinator[str, bytes](configuration) as store:
            await asyncio.gather(store.set("key", b"%d" % number), store.set("other", b"x"))
            await store.set("later", b"%d" % number, level="async")
            assert await store.get("key", level="quorum") == b"%d" % number

    asyncio.run(cycle())


@CYCLES
@pytest.mark.parametrize("cycle", [blocking, with_asyncio])
def test_programs_that_open_write_and_close(
    make_cluster: MakeCluster, cycle: Callable[[Configuration, int], None], cycles: int
) -> None:
    configuration, own = make_cluster(queue=True).configuration(), os.getpid()
    for number in range(SHORT):
        cycle(configuration, number)
    gc.collect()
    before, memory = held_by(own), memory_mib(own)
    for number in range(cycles):
        cycle(configuration, number)
    wait_for(own, before)
    assert memory_mib(own) - memory < GROWTH_MIB


@CYCLES
def test_a_queue_that_goes_and_comes_back(make_cluster: MakeCluster, cycles: int) -> None:
    """A program and a worker, both of which were there all the time."""
    cluster = make_cluster(queue=True)
    assert cluster.queue is not None
    store, worker = cluster.open(), cluster.worker()
    pids = (os.getpid(), worker.process.pid)

    def outage(number: int) -> None:
        assert cluster.queue is not None
        cluster.queue.kill()
        store.set("key", b"%d" % number, level="async")
        cluster.queue.start()
        store.set("key", b"again %d" % number, level="async")

    def worker_is_back() -> None:
        assert cluster.queue is not None
        with connect(cluster.queue) as client:
            wait_until(lambda: client.smembers("rq:workers"), 60, "the worker is registered")

    worker_is_back()
    for number in range(3):
        outage(number)
    worker_is_back()
    store.set("key", b"both are settled", level="all")
    gc.collect()
    before, memory = [held_by(pid) for pid in pids], [memory_mib(pid) for pid in pids]
    for number in range(cycles if cycles == LONG else 10):
        outage(number)
    worker_is_back()
    cluster.wait_settled()
    for pid, expected in zip(pids, before, strict=True):
        wait_for(pid, expected)
    assert max(memory_mib(pid) - was for pid, was in zip(pids, memory, strict=True)) < GROWTH_MIB
    assert Path(worker.log).read_text().count("Traceback") == 0
