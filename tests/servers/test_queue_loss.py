"""The queue is a hint: losing it, or a worker in the middle of a job, loses nothing and repeats
nothing harmful.
"""

from __future__ import annotations

import logging
import threading

import pytest

from redrepl.plans.copies.copying import Copier
from redrepl_workers import queue_worker, registration
from redrepl_workers.queue_worker import QueueWorker
from redrepl_workers.registration import Registration
from redrepl_workers.troubles import Troubles
from tests.servers.conftest import MakeCluster
from tests.servers.support.cluster import Cluster, Store
from tests.support.clients import connect
from tests.support.waiting import wait_until

KEYS = 20_000
DELETED = 3


_SIGNAL_WHILE_REGISTERING = """
import signal
from redrepl_workers.registration import Registration

announce = Registration.announce

def announce_and_signal(registration):
    announce(registration)
    signal.raise_signal(signal.SIGINT)

Registration.announce = announce_and_signal
"""


def outage(cluster: Cluster, store: Store) -> None:
    """Much to catch up with on b, deletes included."""
    store.set_many({f"key-{number}": b"old" for number in range(0, KEYS, 7)})
    cluster.settle()
    cluster["b"].kill()
    for start in range(0, KEYS, 1000):
        store.set_many({f"key-{number}": b"new" * 20 for number in range(start, start + 1000)})
    store.delete_many([f"key-{number}" for number in range(0, KEYS, DELETED)])
    cluster["b"].start()


def expect_done(cluster: Cluster) -> None:
    cluster.wait_settled()
    values = cluster.values_everywhere()
    assert len(values) == KEYS - len(range(0, KEYS, DELETED))
    assert set(values.values()) == {b"new" * 20}


def wait_for_progress(cluster: Cluster) -> None:
    """Some of the catch-up is done, and not all."""
    with cluster.raw("b").client as client:
        start = client.dbsize()
        wait_until(lambda: client.dbsize() > start + 200, 30, "the catch-up is under way")


def test_a_worker_killed_in_the_middle_of_a_job_is_taken_over(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(queue=True)
    outage(cluster, cluster.open())
    first = cluster.worker()
    wait_for_progress(cluster)
    first.kill()
    assert cluster.lacking(), "the job was in the middle"
    cluster.worker()
    expect_done(cluster)


def test_a_flushed_queue_costs_nothing(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(queue=True)
    outage(cluster, cluster.open())
    cluster.worker()
    assert cluster.queue is not None
    with connect(cluster.queue) as client:
        wait_for_progress(cluster)
        client.flushall()
    expect_done(cluster)
    store = cluster.open()
    store.set("after", b"1", level="async")
    wait_until(
        lambda: cluster.raw("b").stored("after") and cluster.raw("c").stored("after"),
        30,
        "work goes on",
    )


@pytest.mark.parametrize("fault", ["kill", "freeze"])
def test_without_the_queue_the_tick_does_it_all(make_cluster: MakeCluster, fault: str) -> None:
    cluster = make_cluster(queue=True)
    store = cluster.open()
    outage(cluster, store)
    cluster.worker()
    wait_for_progress(cluster)
    assert cluster.queue is not None
    getattr(cluster.queue, fault)()
    store.set("key-1", b"new" * 20, level="async")
    expect_done(cluster)


def test_where_each_job_is_taken_and_none_is_done_the_tick_does_the_work(
    make_cluster: MakeCluster,
) -> None:
    cluster = make_cluster(queue=True)
    cluster.open().set("x", b"1", level="all")
    assert cluster.queue is not None
    taken: list[bytes] = []
    over = threading.Event()

    def take() -> None:
        assert cluster.queue is not None
        with connect(cluster.queue) as client:
            while not over.is_set():
                found = client.blpop(["rq:queue:redrepl-shop"], 1)
                if found is not None:
                    taken.append(found[1])
                    client.delete(b"rq:job:" + found[1])

    thief = threading.Thread(target=take)
    thief.start()
    try:
        cluster["b"].restart(empty=True)
        cluster.ticker(asks_queue=True)
        cluster.wait_settled()
    finally:
        over.set()
        thief.join()
    assert taken


def test_a_queue_that_comes_back_is_used_again(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(queue=True)
    store = cluster.open()
    cluster.worker()
    assert cluster.queue is not None
    cluster.queue.kill()
    store.set("during", b"1", level="async")
    cluster.wait_settled()
    cluster.queue.start()
    store.set("after", b"1", level="async")
    cluster.wait_settled()
    with connect(cluster.queue) as client:
        wait_until(lambda: client.smembers("rq:workers"), 30, "the worker is registered again")
    assert cluster.values_everywhere().keys() == {b"during", b"after"}


def test_a_queue_that_goes_again_and_again_costs_no_connection_and_no_thread(
    make_cluster: MakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = make_cluster(queue=True)
    monkeypatch.setattr(queue_worker, "RECONNECT_SECONDS", 0.01)
    # A connection that is cut between two commands is made anew without a word: the next heartbeat
    # registers again.
    monkeypatch.setattr(registration, "HEARTBEAT_SECONDS", 0.05)
    monkeypatch.setattr(queue_worker, "WAIT_SECONDS", 0.1)
    assert cluster.queue is not None
    worker = QueueWorker(cluster.configuration(), "w1", Troubles(logging.getLogger("test")))
    with connect(cluster.queue) as client:

        def is_back() -> bool:
            return bool(client.smembers("rq:workers") == {b"rq:worker:w1"})

        worker.start()
        try:
            wait_until(is_back, 30, "the worker is registered")
            for _ in range(20):
                client.delete("rq:workers")
                client.client_kill_filter(_type="normal", skipme=True)
                wait_until(is_back, 30, "the worker is registered again")
            assert len(client.client_list()) <= 2, "this one's, and the worker's"
            assert [thread.name for thread in threading.enumerate()].count("redrepl-queue") == 1
        finally:
            worker.stop()
        assert client.smembers("rq:workers") == set()


def test_an_entry_whose_answer_was_lost_is_taken_out(
    make_cluster: MakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = make_cluster(queue=True)
    assert cluster.queue is not None
    entered = threading.Event()
    announce = Registration.announce

    def lose_the_answer(registration: Registration) -> None:
        announce(registration)
        entered.set()
        raise ConnectionResetError("the answer is lost")

    monkeypatch.setattr(Registration, "announce", lose_the_answer)
    worker = QueueWorker(cluster.configuration(), "w1", Troubles(logging.getLogger("test")))
    with connect(cluster.queue) as client:
        worker.start()
        try:
            assert entered.wait(30)
            assert client.smembers("rq:workers") == {b"rq:worker:w1"}
        finally:
            worker.stop()
        assert client.smembers("rq:workers") == set()


def test_a_worker_starts_under_the_name_of_one_that_was_killed(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(queue=True)
    assert cluster.queue is not None
    with connect(cluster.queue) as client:
        Registration(client, "w1", ["redrepl-shop"]).announce()  # and not a word since
        worker = QueueWorker(cluster.configuration(), "w1", Troubles(logging.getLogger("test")))
        worker.start()
        try:
            wait_until(lambda: len(client.smembers("rq:workers")) == 2, 30, "it is registered too")
        finally:
            worker.stop()
        assert client.smembers("rq:workers") == {b"rq:worker:w1"}


def test_two_workers_at_once_do_no_harm(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(queue=True)
    outage(cluster, cluster.open())
    cluster.worker()
    cluster.worker()
    expect_done(cluster)


def test_two_bring_ups_of_one_node_at_once_do_no_harm(make_cluster: MakeCluster) -> None:
    # Without a queue there is no lease: the two tickers really work against each other.
    cluster = make_cluster()
    outage(cluster, cluster.open())
    cluster.ticker()
    cluster.ticker()
    expect_done(cluster)


def test_a_worker_asked_to_stop_ends_with_0_and_another_goes_on(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(queue=True)
    outage(cluster, cluster.open())
    worker = cluster.worker()
    wait_for_progress(cluster)
    assert worker.stop() == 0
    cluster.worker()
    expect_done(cluster)


def test_a_worker_asked_to_stop_while_it_registers_ends_too(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(queue=True)
    worker = cluster.worker(beginning=_SIGNAL_WHILE_REGISTERING)
    assert worker.process.wait(30) == 0
    assert cluster.queue is not None
    with connect(cluster.queue) as client:
        assert client.smembers("rq:workers") == set()


def test_a_worker_that_dies_before_it_copied_has_moved_no_mark(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = cluster.open()
    store.set_many({f"key-{number}": b"v" for number in range(100)}, level="async")
    with monkeypatch.context() as patch:
        patch.setattr(Copier, "send", _die)
        for node in "bc":
            with pytest.raises(RuntimeError, match="killed"):
                cluster.bring_up(node)
    cluster.settle()
    assert len(cluster.assert_identical()) == 100


def _die(*_: object) -> None:
    raise RuntimeError("killed")
