"""The board that all tasks of an event loop share, in simulated time: deadlines, cancelled tasks,
lost callbacks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from redrepl.edges.loop_board import WATCH_SECONDS, LoopBoard
from redrepl.edges.switchboard import DEADLINE_EXTENSION_SECONDS, LONGEST_IDLE_SECONDS
from redrepl.values.errors import Unavailable, WriteNotConfirmed
from redrepl.values.receipt import Outcome
from tests.simulation.task_cluster import Tasks
from tests.simulation.world import in_virtual_time


@pytest.fixture(autouse=True)
def _virtual_time() -> Iterator[None]:
    with in_virtual_time():
        yield


def board_of(tasks: Tasks) -> LoopBoard:
    """The board that this program's tasks share."""
    driver = tasks.program.driver
    assert driver is not None
    assert driver._board is not None
    return driver._board


def freeze_all(tasks: Tasks) -> None:
    for machine in tasks.cluster.network.machines.values():
        machine.freeze()


def thaw_all(tasks: Tasks) -> None:
    for machine in tasks.cluster.network.machines.values():
        machine.thaw()


def test_a_write_to_servers_that_do_not_answer_ends_at_its_time_out() -> None:
    tasks = Tasks()
    tasks.connect()
    freeze_all(tasks)
    began_at = tasks.world.now
    with pytest.raises(WriteNotConfirmed):
        tasks.run(tasks.store.set("key", b"v", timeout_seconds=0.3))
    assert tasks.world.now == pytest.approx(began_at + 0.3)


def test_a_deadline_that_passed_while_the_loop_was_held_up_is_moved() -> None:
    """The write waits behind the question on connections that were idle, and nothing reads its
    answer meanwhile.
    """
    tasks = Tasks()
    tasks.connect()
    tasks.world.run(tasks.world.now + 2 * LONGEST_IDLE_SECONDS)
    written = tasks.begin(tasks.store.set("key", b"v", timeout_seconds=0.3))
    tasks.world.run(tasks.world.now + 0.0001)
    tasks.program.pause(0.8)
    tasks.world.run(tasks.world.now + 10.0, written.done)
    assert written.result().outcome is Outcome.COMMITTED


def test_a_cancelled_task_neither_takes_nor_leaves_an_answer_of_others() -> None:
    tasks = Tasks()
    tasks.connect()
    tasks.together(*(tasks.store.set(f"key-{n}", b"%d" % n, level="all") for n in range(3)))
    freeze_all(tasks)
    reads = [tasks.begin(tasks.store.get(f"key-{n}", level="quorum")) for n in range(3)]
    tasks.world.run(tasks.world.now + 0.01)
    reads[1].cancel()
    thaw_all(tasks)
    tasks.world.run(tasks.world.now + 1.0)
    assert [read.result() for read in reads if not read.cancelled()] == [b"0", b"2"]
    assert tasks.run(tasks.store.get("key-1", level="quorum")) == b"1"


def test_what_was_under_way_on_a_lost_connection_is_unknown_and_the_next_opens_another() -> None:
    tasks = Tasks()
    tasks.connect()
    freeze_all(tasks)
    written = tasks.begin(tasks.store.set("key", b"v", timeout_seconds=0.5))
    tasks.world.run(tasks.world.now + 0.01)
    for machine in tasks.cluster.network.machines.values():
        machine.kill()
    tasks.world.run(tasks.world.now + 1.0, written.done)
    assert isinstance(written.exception(), WriteNotConfirmed)
    thaw_all(tasks)
    for machine in tasks.cluster.network.machines.values():
        machine.start()
    # Servers that restarted admit no client before they are recovered, which these never are.
    with pytest.raises(Unavailable):
        tasks.run(tasks.store.get("key", level="quorum", timeout_seconds=0.5))


@pytest.mark.parametrize("whose", ["groups", "board"])
def test_a_callback_that_was_lost_is_made_up_for(whose: str) -> None:
    """Without that, writes that wait for the end of the turn would wait for good."""
    tasks = Tasks()
    tasks.connect()

    async def two_behind_a_read() -> list[Any]:
        operations = [
            tasks.store.get("busy"),
            tasks.store.set("x", b"v"),
            tasks.store.set("y", b"v"),
        ]
        return list(await asyncio.gather(*operations))

    done = tasks.begin(two_behind_a_read())
    began_at, loop = tasks.world.now, tasks.program.loop
    assert tasks.world.run(began_at + 1.0, lambda: bool(loop.calls_of(owner(tasks, whose))))
    loop.lose_calls(owner(tasks, whose))
    tasks.world.run(began_at + 5.0, done.done)
    assert [result.outcome for result in done.result()[1:]] == [Outcome.COMMITTED] * 2
    assert tasks.world.now - began_at <= 3 * WATCH_SECONDS


def owner(tasks: Tasks, whose: str) -> object:
    """Whose callbacks are lost: those of a group's collection, or of the board."""
    return tasks.write_groups()[-1] if whose == "groups" else board_of(tasks)


def test_a_deadline_whose_timer_was_lost_is_noticed_all_the_same() -> None:
    tasks = Tasks()
    tasks.connect()
    freeze_all(tasks)
    written = tasks.begin(tasks.store.set("key", b"v", timeout_seconds=0.3))
    began_at, loop = tasks.world.now, tasks.program.loop
    tasks.world.run(began_at + 0.01)
    (operation,) = board_of(tasks).under_way
    assert tasks.world.run(began_at + 1.0, lambda: bool(loop.calls_of(operation)))
    loop.lose_calls(operation)
    tasks.world.run(began_at + 5.0, written.done)
    assert isinstance(written.exception(), WriteNotConfirmed)
    # Noticed late, the deadline counts as one that passed while the loop was held up.
    assert tasks.world.now - began_at <= 0.3 + DEADLINE_EXTENSION_SECONDS + 3 * WATCH_SECONDS
