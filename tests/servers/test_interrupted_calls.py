"""An exception from outside ends a call at any line, and the calls after it tell the truth."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Callable, Coroutine
from contextlib import suppress
from random import Random
from typing import Any

import pytest

from redrepl import AsyncCoordinator, Coordinator, RedreplError
from tests.servers.support.cluster import Cluster
from tests.support.interruption import Alarm, Interrupted, interrupt

SHORT_SECONDS = 0.3
"""An operation that lost its turn by an interruption ends with its time-out."""

HANGS_SECONDS = 20.0

INTERRUPTIONS = 50_000
LONGEST_CALL_SECONDS = 0.001
MOST_DESCRIPTORS = 200

Store = Coordinator[str, bytes]

OPERATIONS: dict[str, Callable[[Store, bytes], Any]] = {
    "set": lambda store, value: store.set("key", value),
    "get": lambda store, _: store.get("key"),
    "get at QUORUM": lambda store, _: store.get("key", level="quorum"),
    "set ASYNC": lambda store, value: store.set("key", value, level="async"),
    "get_many": lambda store, _: store.get_many(["key", "other"], prefer="replica"),
    "set_many": lambda store, value: store.set_many({"key": value, "many": value}),
    "increment": lambda store, _: store.increment("counter"),
}
QUICK = ("set", "get")

AsyncStore = AsyncCoordinator[str, bytes]

ASYNC_OPERATIONS: dict[str, Callable[[AsyncStore, bytes], Coroutine[Any, Any, Any]]] = {
    "set": lambda store, value: store.set("key", value, timeout_seconds=SHORT_SECONDS),
    "get": lambda store, _: store.get("key", timeout_seconds=SHORT_SECONDS),
    "get at QUORUM": lambda store, _: store.get(
        "key", level="quorum", timeout_seconds=SHORT_SECONDS
    ),
    "sets side by side": lambda store, value: _side_by_side(store, value),
}


async def _side_by_side(store: AsyncStore, value: bytes) -> None:
    sets = [
        store.set(f"beside-{number}", value, timeout_seconds=SHORT_SECONDS) for number in range(5)
    ]
    await asyncio.gather(*sets, store.set("key", value, timeout_seconds=SHORT_SECONDS))


def _check(store: Store, number: int) -> None:
    """Calls of several shapes: each would take another's answer for its own where a connection is
    out of step.
    """
    value = b"sound-%d" % number
    receipt = store.set("other", value, level="all")
    assert sorted(receipt.acked) == ["a", "b", "c"], receipt
    assert store.get_many(["other", "absent"], prefer="replica") == {"other": value, "absent": None}
    assert store.get("other", level="quorum") == value
    assert store.get("other") == value


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in QUICK else pytest.mark.soak) for name in OPERATIONS],
)
@pytest.mark.plain
def test_a_call_that_is_interrupted_at_any_line_leaves_nothing_behind(
    cluster: Cluster, name: str
) -> None:
    store, call = cluster.open(), OPERATIONS[name]
    _check(store, 0)
    written = [None, b"0"]
    for line in itertools.count(1):
        value = b"%d" % line
        written.append(value)
        if not interrupt(lambda value=value: call(store, value), line):  # type: ignore[misc]
            break
        _check(store, line)
        assert store.get("key", level="quorum") in written
    assert line > 30, "the call came to its end before it could be interrupted in earnest"


async def _check_async(store: AsyncStore, number: int) -> None:
    value = b"sound-%d" % number
    receipt = await store.set("other", value, level="all")
    assert sorted(receipt.acked) == ["a", "b", "c"], receipt
    assert await store.get_many(["other", "absent"], prefer="replica") == {
        "other": value,
        "absent": None,
    }
    assert await store.get("other", level="quorum") == value


def _see_to_its_end(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> None:
    """The loop stops for each task that an interruption ends, and may be about to stop for the one
    before.
    """
    until = loop.time() + HANGS_SECONDS
    while not task.done() and (left := until - loop.time()) > 0:
        with suppress(KeyboardInterrupt, RuntimeError):
            loop.run_until_complete(asyncio.wait([task], timeout=left))
    assert task.done(), "it hangs"
    if not task.cancelled() and (error := task.exception()) is not None:
        assert isinstance(error, (KeyboardInterrupt, RedreplError)), error
    with suppress(KeyboardInterrupt, RuntimeError):
        loop.run_until_complete(asyncio.sleep(0))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name == "set" else pytest.mark.soak)
        for name in ASYNC_OPERATIONS
    ],
)
def test_a_loop_that_is_interrupted_at_any_line_goes_on_soundly(
    cluster: Cluster, name: str
) -> None:
    call = ASYNC_OPERATIONS[name]
    loop = asyncio.new_event_loop()
    try:
        store = AsyncStore(cluster.configuration())
        loop.run_until_complete(_check_async(store, 0))
        written = [None, b"0"]
        for line in itertools.count(1):
            value = b"%d" % line
            written.append(value)
            task = loop.create_task(call(store, value))
            was_raised = interrupt(lambda task=task: loop.run_until_complete(task), line)  # type: ignore[misc]
            _see_to_its_end(loop, task)
            if not was_raised:
                break
            loop.run_until_complete(_check_async(store, line))
            assert loop.run_until_complete(store.get("key", level="quorum")) in written
        assert line > 30, "the call came to its end before it could be interrupted in earnest"
        loop.run_until_complete(store.close())
    finally:
        loop.close()


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_calls_that_are_interrupted_at_random_moments_leave_nothing_behind(
    cluster: Cluster,
) -> None:
    store, random = cluster.open(), Random(1)
    calls = [call for name, call in OPERATIONS.items() if name != "set ASYNC"]
    written, came_through = [None, b"0"], 0
    _check(store, 0)
    with Alarm(random, LONGEST_CALL_SECONDS) as alarm:
        for number in itertools.count(1):
            value = b"%d" % number
            written.append(value)
            try:
                alarm.set()
                random.choice(calls)(store, value)
            except Interrupted:
                came_through += 1
            alarm.cancel()
            assert came_through == alarm.count, (
                "one was dropped: whoever pressed Ctrl-C waits in vain"
            )
            if alarm.count >= INTERRUPTIONS:
                break
            if number % 20 == 0:
                _check(store, number)
                assert store.get("key", level="quorum") in written
    assert len(os.listdir("/dev/fd")) < MOST_DESCRIPTORS


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_loop_that_is_interrupted_at_random_moments_goes_on_soundly(cluster: Cluster) -> None:
    random, loop = Random(2), asyncio.new_event_loop()
    calls = list(ASYNC_OPERATIONS.values())
    written = [None, b"0"]
    try:
        store = AsyncStore(cluster.configuration())
        loop.run_until_complete(_check_async(store, 0))
        with Alarm(random, LONGEST_CALL_SECONDS) as alarm:
            for number in itertools.count(1):
                value = b"%d" % number
                written.append(value)
                task = loop.create_task(random.choice(calls)(store, value))
                with suppress(Interrupted, RedreplError):
                    alarm.set()
                    loop.run_until_complete(task)
                alarm.cancel()
                _see_to_its_end(loop, task)
                if alarm.count >= INTERRUPTIONS:
                    break
                if number % 20 == 0:
                    loop.run_until_complete(_check_async(store, number))
                    assert loop.run_until_complete(store.get("key", level="quorum")) in written
        loop.run_until_complete(store.close())
    finally:
        loop.close()
    assert len(os.listdir("/dev/fd")) < MOST_DESCRIPTORS
