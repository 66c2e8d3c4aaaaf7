"""What a channel lets pile up for a node that takes no data, and what it does about a caller that
was held up.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from redrepl.edges.admission import Admission, Purpose
from redrepl.edges.channel import Channel
from redrepl.edges.connection import NodeConnection
from redrepl.edges.endpoint import split_url
from redrepl.edges.opening import NodeGate
from redrepl.edges.switchboard import LATE_SECONDS
from redrepl.values import limits
from redrepl.values.effects import (
    Ask,
    DeadlinePassed,
    Event,
    Failure,
    PlainCommand,
    Plan,
    Progress,
    Reply,
    Request,
    Wait,
)
from redrepl.values.keys import KeyLayout
from tests.support.waiting import wait_until

MEBIBYTE = 1024 * 1024


@pytest.fixture
def node() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends of a connection to node a."""
    near, far = socket.socketpair()
    with near, far:
        yield near, far


@pytest.fixture
def channel(node: tuple[socket.socket, socket.socket]) -> Iterator[Channel]:
    """A channel with a connection to node a, which reads nothing."""
    near, _ = node
    gate = NodeGate(
        split_url("a", "redis://127.0.0.1:1/0"), Admission(KeyLayout("shop"), Purpose.SERVE), 1.0
    )
    connection = NodeConnection("a", near, "run-1")
    connection.proven_at = float(
        "inf"
    )  # on a slow machine it would count as idle, and be asked first
    gate._fresh.append(connection)
    gates = {"a": gate}
    with closing(Channel(lambda: gates, 60.0)) as made:
        yield made


def _sending(sizes: list[int]) -> Plan[list[Event]]:
    """Requests of these sizes in bytes, one after the other; what came of each."""
    events = []
    for number, size in enumerate(sizes):
        command = PlainCommand((b"SET", b"key", bytes(size)))
        request = Request("a", command, number)
        events.append((yield Wait(0.0, (request,)) if number else Ask((request,), 0.0)))
    return events


def _kinds(events: list[Any]) -> list[type[Any]]:
    return [type(event) for event in events]


def test_what_may_be_on_its_way_at_once_is_kept_however_large_it_is(channel: Channel) -> None:
    sizes = [30 * MEBIBYTE] * limits.CHUNKS_IN_FLIGHT
    assert _kinds(channel.run(_sending(sizes))) == [DeadlinePassed] * len(sizes)


def test_a_node_that_takes_nothing_is_given_up_when_more_piles_up(channel: Channel) -> None:
    count = limits.MAX_UNSENT_BYTES // MEBIBYTE + limits.CHUNKS_IN_FLIGHT + 2
    events = channel.run(_sending([MEBIBYTE] * count))
    failures = [event for event in events if isinstance(event, Failure)]
    assert failures
    assert "takes no more data" in failures[0].reason
    assert failures[0].sent


def _answer_everything(far: socket.socket) -> None:
    while far.recv(4096):
        time.sleep(LATE_SECONDS)  # a node that takes its time
        far.sendall(b"+OK\r\n")


def _asking_twice(until: float) -> Plan[list[Event]]:
    """Two questions with one deadline, and something that the caller is told in between."""
    request = Request("a", PlainCommand((b"PING",)))
    first = yield Ask((request,), until)
    yield Progress("between", 1, 1)
    second = yield Wait(until, (request,))
    third = yield Wait(until)
    return [first, second, third]


def test_a_caller_that_was_held_up_still_gets_answers_and_then_the_deadline_counts(
    channel: Channel, node: tuple[socket.socket, socket.socket]
) -> None:
    until = time.monotonic() + 5 * LATE_SECONDS

    def hold_up(_: Progress) -> None:
        wait_until(
            lambda: time.monotonic() > until + 2 * LATE_SECONDS, message="the deadline is over"
        )

    threading.Thread(target=_answer_everything, args=(node[1],), daemon=True).start()
    assert _kinds(channel.run(_asking_twice(until), hold_up)) == [Reply, Reply, DeadlinePassed]
