"""A flood of forged jobs: the worker works through it, replaces a primary meanwhile, and takes no
more memory.
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from typing import Any

import pytest

from redrepl import RedreplError
from redrepl.values.jobs import BRING_UP, job_id
from tests.servers.conftest import MakeCluster
from tests.servers.support.cluster import Store
from tests.servers.support.forgeries import CREATED, LIST, MARK, QUEUE, packed
from tests.servers.support.processes import memory_mib
from tests.support.clients import connect
from tests.support.waiting import wait_until

CHUNK = 1_000
GROWTH_MIB = 16.0
"""Of the worker's memory, whatever the number of jobs."""

FAILOVER_SECONDS = 1.0

_log = logging.getLogger(__name__)


def flood(queue: Any, count: int) -> None:
    """Forged jobs: other functions, bombs, others' ids, a cluster's each, none at all."""
    contents = (
        packed(MARK),
        packed(BRING_UP, "shop", "b"),
        packed(BRING_UP, "other", "b") + b"x" * 500,
        b"x" * 2000,
    )
    for start in range(0, count, CHUNK):
        with queue.pipeline(transaction=False) as pipeline:
            for number in range(start, min(start + CHUNK, count)):
                name = f"forged-{number}" if number % 5 else job_id(f"cluster-{number}", "b", 0)
                data = (
                    contents[number % 4]
                    if number % 5
                    else packed(BRING_UP, f"cluster-{number}", "b")
                )
                fields = {
                    "data": data,
                    "created_at": CREATED,
                    "origin": QUEUE,
                    "failure_callback_name": MARK,
                }
                pipeline.hset(f"rq:job:{name}", mapping=fields)
                pipeline.rpush(LIST, name)
            pipeline.execute()


def seconds_without_writes(store: Store) -> float:
    """Until a write is committed."""
    began = time.monotonic()
    while time.monotonic() - began < 60:
        with suppress(RedreplError):
            store.set("key", b"v")
            return time.monotonic() - began
    raise AssertionError("no write was committed for a minute")


@pytest.mark.parametrize(
    "jobs", [500, pytest.param(100_000, marks=[pytest.mark.soak, pytest.mark.timeout(1_500)])]
)
def test_a_primary_is_replaced_in_the_midst_of_a_flood(
    make_cluster: MakeCluster, jobs: int
) -> None:
    cluster = make_cluster(queue=True)
    assert cluster.queue is not None
    store = cluster.open()
    store.set("key", b"1", level="all")
    worker = cluster.worker()
    with connect(cluster.queue) as client:
        wait_until(lambda: client.smembers("rq:workers"), 30, "the worker is registered")
        flood(client, 200)
        wait_until(lambda: not client.exists(LIST), 60, "the first are taken")
        before = memory_mib(worker.process.pid)
        flood(client, jobs)
        cluster["a"].kill()
        seconds = seconds_without_writes(store)
        left = client.llen(LIST)
        wait_until(lambda: not client.exists(LIST), 1_200, "all are taken")
        growth = memory_mib(worker.process.pid) - before
    _log.info(
        "%d jobs, %d left when it was replaced after %.2f s; %.1f MiB more",
        jobs,
        left,
        seconds,
        growth,
    )
    assert growth < GROWTH_MIB
    if jobs >= 100_000:  # a long run, on a machine of its own
        assert left, "the flood lasted until it was replaced"
        assert seconds < FAILOVER_SECONDS
    assert "Traceback" not in worker.log.read_text()
    # A failover has some 30 lines by itself; a line for each of the jobs would be hundreds.
    assert len(worker.log.read_text().splitlines()) < 100
    assert worker.stop() == 0
