"""Several connections to one node are opened at once, in the order in which they were asked for."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from redrepl.edges import opening
from redrepl.edges.admission import Admission, Purpose
from redrepl.edges.connection import NodeConnection
from redrepl.edges.endpoint import split_url
from redrepl.edges.introduction import NodeUnusable
from redrepl.edges.opening import NodeGate
from redrepl.values import limits
from redrepl.values.keys import KeyLayout
from tests.support.waiting import wait_until


class Node:
    """Stands for a server: openings are under way until they are let through, or refused."""

    def __init__(self) -> None:
        self.opened: list[NodeConnection] = []
        self.under_way = 0
        self.begun = 0
        self._refuses = False
        self._turns = threading.Semaphore(0)
        self._lock = threading.Lock()

    def open(self, *_: object) -> NodeConnection:
        """In the place of `open_connection`."""
        with self._lock:
            self.under_way += 1
            self.begun += 1
        self._turns.acquire()
        with self._lock:
            self.under_way -= 1
        if self._refuses:
            raise NodeUnusable("refuses connections")
        connection = NodeConnection("a", socket.socket(), "run-1")
        self.opened.append(connection)
        return connection

    def let(self, count: int) -> None:
        """Let so many openings come to their end."""
        self._turns.release(count)

    def refuse(self, count: int) -> None:
        """Refuse so many, and all after them."""
        self._refuses = True
        self._turns.release(count)


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    """The node behind `gate`."""
    made = Node()
    monkeypatch.setattr(opening, "open_connection", made.open)
    yield made
    made.let(1000)
    for connection in made.opened:
        connection.close()


@pytest.fixture
def gate(node: Node) -> NodeGate:
    """The gate to it."""
    del node
    return NodeGate(
        split_url("a", "redis://127.0.0.1:1/0"), Admission(KeyLayout("shop"), Purpose.SERVE), 1.0
    )


def callers(count: int) -> tuple[list[int], list[Callable[[], None]]]:
    """So many callers, and the order in which they were woken."""
    woken: list[int] = []
    return woken, [lambda number=number: woken.append(number) for number in range(count)]  # type: ignore[misc]


def test_several_are_opened_at_once_and_no_more_than_may_be(gate: NodeGate, node: Node) -> None:
    woken, wakes = callers(3 * limits.OPENINGS_AT_ONCE)
    assert [gate.request(wake) for wake in wakes] == [None] * len(wakes)
    wait_until(lambda: node.under_way == limits.OPENINGS_AT_ONCE)
    node.let(len(wakes))
    wait_until(lambda: len(woken) == len(wakes))
    wait_until(lambda: not gate._openings)
    assert node.begun == len(wakes)
    assert all(gate.take(wake) is not None for wake in wakes)


def test_more_are_opened_at_once_to_a_node_that_is_far(gate: NodeGate, node: Node) -> None:
    gate.round_trip.note(0.3)
    _, wakes = callers(60)
    for wake in wakes:
        gate.request(wake)
    wait_until(lambda: node.under_way == 60)


def test_who_asked_first_gets_the_first_and_nobody_who_comes_later_takes_it(
    gate: NodeGate, node: Node
) -> None:
    woken, (first, second, later) = callers(3)
    gate.request(first)
    gate.request(second)
    wait_until(lambda: node.under_way == 2)
    node.let(1)
    wait_until(lambda: woken == [0])
    assert gate.take(later) is None
    assert gate.take(second) is None
    assert gate.take(first) is node.opened[0]


def test_what_was_opened_for_a_caller_that_waits_no_more_goes_to_the_next(
    gate: NodeGate, node: Node
) -> None:
    woken, (first, second) = callers(2)
    gate.request(first)
    gate.request(second)
    wait_until(lambda: node.under_way == 2)
    node.let(1)
    wait_until(lambda: woken == [0])
    gate.forget(first)
    assert woken == [0, 1]
    assert gate.take(second) is node.opened[0]
    node.let(1)
    wait_until(lambda: not gate._openings)
    assert gate.take() is node.opened[1]


def test_one_opening_that_fails_does_not_fail_those_who_wait_for_others(
    gate: NodeGate, node: Node
) -> None:
    woken, wakes = callers(2)
    for wake in wakes:
        gate.request(wake)
    wait_until(lambda: node.under_way == 2)
    with gate._lock:
        told = gate._failed(None, "max number of clients reached")
    assert (told, woken) == ([], [])
    node.refuse(2)
    wait_until(lambda: sorted(woken) == [0, 1])
    assert gate.failed_opening == "refuses connections"


def test_a_node_that_is_out_of_use_is_asked_by_one_alone(gate: NodeGate, node: Node) -> None:
    node.refuse(1)
    woken, wakes = callers(5)
    gate.request(wakes[0])
    wait_until(lambda: woken == [0])
    gate.report("lost", pause=False)
    for wake in wakes[1:]:
        assert gate.request(wake) is None
    wait_until(lambda: node.under_way == 1)
    assert node.begun == 2


def test_a_moment_without_threads_is_a_reason_like_another(
    gate: NodeGate, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken, (wake,) = callers(1)
    start = threading.Thread.start

    def fails(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fails)
    assert "can't start new thread" in str(gate.request(wake))
    assert "can't start new thread" in str(gate.current_trouble())
    monkeypatch.setattr(threading.Thread, "start", start)
    wait_until(lambda: gate.request(wake) is None)
    node.let(1)
    wait_until(lambda: woken == [0])
    assert gate.take(wake) is node.opened[0]
