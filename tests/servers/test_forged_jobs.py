"""Whoever may write to the queue has nothing of theirs run, ends no worker, and keeps none from its
work.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from redrepl.edges.job_queue import JobQueue
from redrepl.edges.queue_connection import queue_connection
from redrepl.edges.wake_ups import enqueue_bring_up, open_queue
from redrepl.values.jobs import default_queue
from tests.servers.conftest import MakeCluster
from tests.servers.support.forgeries import KINDS, LIST
from tests.servers.support.processes import memory_mib
from tests.support.clients import connect
from tests.support.waiting import wait_until

MOST_MIB = 40
"""By how much the worker's memory may grow over all kinds together; a bomb alone is more."""

MOST_LINES = 60


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Where webhooks would be sent."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.settimeout(0.0)
        yield listening


def test_no_forged_job_runs_anything_or_ends_the_worker(
    make_cluster: MakeCluster,
    listener: socket.socket,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    mark = tmp_path / "mark"
    monkeypatch.setenv("REDREPL_TEST_MARK", str(mark))
    cluster = make_cluster(queue=True)
    assert cluster.queue is not None
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    cluster.open().set("x", b"1", level="all")
    with connect(cluster.queue) as client:
        KINDS["abandoned"](client, url)  # RQ looks after these when it starts
        KINDS["stuck"](client, url)
        worker = cluster.worker()
        wait_until(lambda: client.smembers("rq:workers"), 30, "the worker is registered")
        before = memory_mib(worker.process.pid, peak=True)
        for forge in KINDS.values():
            for _ in range(2):
                with suppress(Exception):  # a kind before it may be in its way
                    forge(client, url)
        wait_until(lambda: not client.exists(LIST), 40, "all are taken off the queue")
        assert memory_mib(worker.process.pid, peak=True) - before < MOST_MIB
        # Its own work goes on, by the queue too.
        cluster["b"].restart(empty=True)
        cluster.wait_settled()
        client.delete("rq:job:redrepl-4-shop-b-0", "rq:job:redrepl-4-shop-b-1")
        assert enqueue_bring_up(open_queue(cluster.queue.url, default_queue("shop")), "shop", "b")
        wait_until(
            lambda: not client.exists("rq:job:redrepl-4-shop-b-0"), 30, "a sound job is done"
        )
        # A list of another kind is no queue: the tick does it all, and the log says so once.
        client.set(LIST, "of another kind")
        cluster["c"].restart(empty=True)
        cluster.wait_settled()
        wait_until(lambda: "cannot be used (WRONGTYPE" in worker.log.read_text(), 30, "it is told")
        client.delete(LIST)
        wait_until(
            lambda: "works again" in worker.log.read_text(), 30, "it is told that it is over"
        )
    assert not mark.exists()
    with pytest.raises(BlockingIOError):
        listener.accept()
    log = worker.log.read_text()
    assert "Traceback" not in log
    assert len(log.splitlines()) < MOST_LINES, log
    assert worker.stop() == 0
    assert len(cluster.values_everywhere()) == 1


_RESPECTED_SHORTLY = """
from redrepl_workers import lease
lease.ONE_JOB_SECONDS = 1.0
"""


def test_a_lease_that_is_held_for_ever_stops_no_upkeep(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(queue=True)
    assert cluster.queue is not None
    cluster.open().set("x", b"1", level="all")
    with connect(cluster.queue) as client:
        client.set("redrepl:lease:shop:b", "x" * 1000)
        client.lpush("redrepl:lease:shop:c", "of another kind")
        worker = cluster.worker(beginning=_RESPECTED_SHORTLY)
        for node in "bc":
            cluster[node].restart(empty=True)
            cluster.wait_settled()
        assert client.strlen("redrepl:lease:shop:b") == 1000, "it was held all the time"
    assert worker.stop() == 0


KEY = "a key of this cluster's"


def test_with_a_key_unsigned_jobs_are_refused_and_signed_ones_run(
    make_cluster: MakeCluster,
) -> None:
    cluster = make_cluster(queue=True, queue_key=KEY)
    assert cluster.queue is not None
    worker = cluster.worker()
    hints = open_queue(cluster.queue.url, default_queue("shop"))
    jobs = JobQueue(queue_connection(cluster.queue.url), default_queue("shop"))
    for key, said in (
        ("", "it is not signed"),
        ("another key of another", "its signature is not made with"),
    ):
        assert enqueue_bring_up(hints, "shop", "b", key)
        wait_until(lambda: said in worker.log.read_text(), 30, "it is refused")  # noqa: B023  # called at once
        for job in jobs.jobs("shop", "queued") or ():
            raise AssertionError(job)
        jobs.connection.flushall()
    store = cluster.open()
    store.set("x", b"1", level="all")
    assert enqueue_bring_up(hints, "shop", "b", KEY)
    wait_until(
        lambda: not jobs.connection.exists("rq:job:redrepl-4-shop-b-0"), 30, "a signed one is done"
    )
    # What programs and the tick ask for is signed.
    cluster["c"].restart(empty=True)
    cluster.wait_settled()
    assert worker.log.read_text().count("was refused") == 2
    assert worker.stop() == 0
