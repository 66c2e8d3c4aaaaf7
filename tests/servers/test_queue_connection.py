"""Connections to the queue: any Redis serves, and none costs more memory than a bound."""

from __future__ import annotations

import gc
import socket
import threading
import weakref

import pytest
from redis.exceptions import ConnectionError

from redrepl.edges.job_queue import JobQueue
from redrepl.edges.queue_connection import BoundedSocket, interrupt, queue_connection
from redrepl.edges.wake_ups import close_queue, enqueue_bring_up, open_queue
from redrepl.embedded import EmbeddedServer, ServerBinary
from redrepl.values import limits
from redrepl.values.jobs import Job
from redrepl_workers.registration import Registration
from tests.support.waiting import wait_until


def test_a_queue_that_knows_no_hello_serves(some_binary: ServerBinary) -> None:
    with EmbeddedServer(
        "queue", some_binary, extra_arguments=("--rename-command", "HELLO", "")
    ) as server:
        hints = open_queue(server.url, "redrepl-shop")
        assert enqueue_bring_up(hints, "shop", "b")
        close_queue(hints)
        connection = queue_connection(server.url)
        queue = JobQueue(connection, "redrepl-shop")
        Registration(connection, "w1", [queue.name]).announce()
        assert queue.workers() == 1
        assert [found.job for found in queue.jobs("shop", "queued")] == [Job("shop", "b")]
        _, job_id = connection.blpop([queue.list_key], 1)
        assert queue.take(job_id, "shop") == Job("shop", "b")
        assert queue.take(b"redrepl-4-shop-b-1", "shop") is None
        connection.close()


def test_a_queue_that_is_dropped_leaves_nothing_open(some_binary: ServerBinary) -> None:
    with EmbeddedServer("queue", some_binary) as server:
        hints = open_queue(server.url, "redrepl-shop")
        assert enqueue_bring_up(hints, "shop", "b")
        connection = weakref.ref(hints.connection)
        del hints
        gc.collect()
        assert connection() is None


def test_an_answer_without_end_ends_the_connection(some_binary: ServerBinary) -> None:
    with EmbeddedServer("queue", some_binary) as server:
        connection = queue_connection(server.url)
        connection.set("small", b"x" * (limits.MAX_QUEUE_ANSWER_BYTES // 2))
        connection.set("large", b"x" * (2 * limits.MAX_QUEUE_ANSWER_BYTES))
        for _ in range(3):
            assert len(connection.get("small")) == limits.MAX_QUEUE_ANSWER_BYTES // 2, (
                "the bound is of one answer"
            )
        with pytest.raises(ConnectionError, match="longer than"):
            connection.get("large")
        assert connection.ping(), "it connects again"
        connection.close()


def test_a_wait_is_ended_from_another_thread_and_its_connection_closed_by_its_own(
    some_binary: ServerBinary,
) -> None:
    def wait() -> None:
        with pytest.raises(ConnectionError):
            connection.blpop(["nothing"], 0)

    with EmbeddedServer("queue", some_binary) as server:
        connection, owner = (
            queue_connection(server.url, socket_timeout=None),
            queue_connection(server.url),
        )
        waiting = threading.Thread(target=wait, name="waiting")
        waiting.start()
        wait_until(lambda: owner.info("clients")["blocked_clients"] == 1, message="it waits")
        interrupt(connection)
        waiting.join(10)
        assert not waiting.is_alive()
        assert connection.ping(), "it connects again"
        connection.close()
        owner.close()


def test_an_interrupted_socket_stays_open_for_its_owner_to_close() -> None:
    """Closed from another thread, one that is just being opened would be lost from redis-py's
    books.
    """
    connection = queue_connection("redis://127.0.0.1:1/0")
    ours, theirs = socket.socketpair()
    theirs.settimeout(10)
    with ours, theirs:
        opened = connection.connection_pool.connection_class.open_sockets.add(BoundedSocket(ours))
        interrupt(connection)
        assert theirs.recv(1) == b"", "who waits on it gets an end"
        assert opened.fileno() >= 0
