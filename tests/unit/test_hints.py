"""Offering jobs to the queue: it may be silent, and the tick goes on."""

from __future__ import annotations

import logging
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from redrepl import Configuration, NodeRole
from redrepl.edges.endpoint import split_url
from redrepl.edges.queue_connection import queue_connection
from redrepl_workers import hints as module
from redrepl_workers.hints import Hints
from redrepl_workers.lease import ONE_JOB_SECONDS, RESPECT_SECONDS, UNSEEN_SECONDS, Holders
from redrepl_workers.troubles import Troubles
from tests.support.waiting import wait_until

POOL = queue_connection("redis://127.0.0.1:2/0").connection_pool
QUEUE = SimpleNamespace(connection=SimpleNamespace(connection_pool=POOL))


@pytest.fixture
def hints(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(module, "open_queue", lambda *_: QUEUE)
    endpoint = split_url("a", "redis://127.0.0.1:1/0")
    configuration = Configuration(
        "shop", (endpoint,), (NodeRole.PRIMARY,), queue_url="redis://127.0.0.1:2/0"
    )
    made = Hints(configuration, Troubles(logging.getLogger("test")))
    yield made
    made.stop()


def test_a_queue_that_is_silent_holds_no_tick_up(hints: Hints) -> None:
    speaks, asked, ended = threading.Event(), threading.Event(), threading.Event()

    def enqueue(_: object) -> bool:
        asked.set()
        speaks.wait(10)
        ended.set()
        return True

    hints.start()
    assert not hints.offer("b", enqueue)
    assert asked.wait(10)
    assert not hints.offer("b", enqueue)
    assert not ended.is_set()
    assert hints.connection is None, "a lease would wait for it too"
    speaks.set()
    wait_until(lambda: hints.offer("b", enqueue), message="it is known what became of it")
    wait_until(lambda: hints.connection is QUEUE.connection, message="leases are taken again")


def test_without_a_thread_what_comes_of_an_offer_is_known_at_once(hints: Hints) -> None:
    assert hints.offer("b", lambda _: True)
    assert not hints.offer("b", lambda _: False)


def test_a_queue_that_fails_is_away_until_it_takes_a_job(hints: Hints) -> None:
    def fail(_: object) -> bool:
        raise OSError("gone")

    assert not hints.offer("b", fail)
    assert hints.is_away
    assert hints.connection is None
    assert hints.offer("b", lambda _: True)
    assert not hints.is_away


def test_leases_are_respected_for_a_while() -> None:
    now = 0.0
    holders = Holders(lambda: now)

    def looks(seconds: float, token: bytes) -> bool:
        """Look often, for so long; returns whether it was respected to the end."""
        nonlocal now
        until, respected = now + seconds, True
        while now < until:
            now += UNSEEN_SECONDS / 2
            respected = holders.is_respected("b", token)
        return respected

    assert looks(ONE_JOB_SECONDS - UNSEEN_SECONDS, b"1")
    assert not looks(2 * UNSEEN_SECONDS, b"1"), "no job takes so long"
    holders.forget("b")
    jobs = [
        looks(ONE_JOB_SECONDS / 2, b"%d" % number)
        for number in range(int(RESPECT_SECONDS / ONE_JOB_SECONDS * 2))
    ]
    assert all(jobs[:-1]), "one job after the other"
    assert not looks(ONE_JOB_SECONDS / 2, b"last"), "others hold it all the time"
    now += 2 * UNSEEN_SECONDS
    assert holders.is_respected("b", b"last"), "it may have been free"
