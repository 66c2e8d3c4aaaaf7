"""Writes of one turn of the loop: what leaves together, what does not, and what each task is told.

On the simulator's event loop and servers: the coordinator, groups, board and scripts are the
library's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from redrepl.edges.write_groups import GROUP_HOLD_SECONDS, GROUPS_IN_FLIGHT
from redrepl.values import limits
from redrepl.values.effects import PlainCommand
from redrepl.values.errors import NotAReplicatedRecord, WriteRejected
from redrepl.values.limits import MAX_GROUPS_IN_FLIGHT
from redrepl.values.receipt import Outcome, WriteReceipt
from tests.simulation.simulation import LAYOUT
from tests.simulation.task_cluster import Tasks
from tests.simulation.world import in_virtual_time


@pytest.fixture(autouse=True)
def _virtual_time() -> Iterator[None]:
    with in_virtual_time():
        yield


def test_writes_of_one_turn_leave_as_one_call_for_each_node_and_have_receipts_of_their_own() -> (
    None
):
    tasks = Tasks()
    tasks.connect()
    receipts: list[WriteReceipt] = tasks.together(
        *(tasks.store.set(f"key-{n}", b"%d" % n) for n in range(5))
    )
    assert [receipt.key for receipt in receipts] == [f"key-{n}" for n in range(5)]
    assert {receipt.outcome for receipt in receipts} == {Outcome.COMMITTED}
    assert [tasks.groups(node) for node in "abc"] == [[("write_many", 5)]] * 3
    assert tasks.values("key-3") == [b"3"] * 3


def test_a_write_that_comes_alone_leaves_at_once_and_as_a_single_one() -> None:
    tasks = Tasks()
    tasks.connect()

    async def two_at_once() -> None:
        await asyncio.gather(*(tasks.store.set(key, b"v") for key in ("first", "second")))

    tasks.run(two_at_once())
    assert tasks.groups() == [("write", 1), ("write", 1)]


def test_writes_of_one_key_leave_in_order_in_groups_of_their_own() -> None:
    tasks = Tasks()
    tasks.connect()
    sets = [tasks.store.set(key, value) for value in (b"1", b"2") for key in ("x", "y")]
    receipts = tasks.together(*sets)
    assert tasks.groups() == [("write_many", 2), ("write_many", 2)]
    assert tasks.values("x") == tasks.values("y") == [b"2"] * 3
    assert receipts[0].stamp < receipts[2].stamp


def test_what_differs_in_level_or_kind_leaves_apart() -> None:
    tasks = Tasks()
    tasks.connect()
    at_two_levels = [
        tasks.store.set("u", b"v", level="all"),
        tasks.store.set("v", b"v", level="quorum"),
    ]
    tasks.together(*at_two_levels, tasks.store.delete("w"), tasks.store.delete("x"))
    assert sorted(tasks.groups()) == [("write", 1), ("write", 1), ("write_many_oom", 2)]


def test_a_group_has_no_more_keys_and_bytes_than_a_batch_may_have() -> None:
    tasks = Tasks()
    tasks.connect()
    many = limits.BATCH_KEYS + 3
    tasks.together(*(tasks.store.set(f"key-{n}", b"v") for n in range(many)))
    assert tasks.groups() == [("write_many", limits.BATCH_KEYS), ("write_many", 3)]
    tasks.forget()
    large = bytes(limits.BATCH_BYTES // 2)
    tasks.together(*(tasks.store.set(f"key-{n}", large) for n in range(3)))
    assert tasks.groups() == [("write", 1)] * 3


def test_a_group_of_which_one_key_is_not_managed_is_written_one_by_one_with_the_stamps_it_has() -> (
    None
):
    tasks = Tasks()
    tasks.connect()
    tasks.cluster.network.machines["a"].ask(
        PlainCommand((b"SET", LAYOUT.data(b"foreign"), b"not a record"))
    )
    first, other, last = tasks.together(
        *(tasks.store.set(key, b"v") for key in ("first", "foreign", "last"))
    )
    assert isinstance(other, NotAReplicatedRecord)
    assert (first.outcome, last.outcome) == (Outcome.COMMITTED, Outcome.COMMITTED)
    assert first.stamp == last.stamp, "the stamp that the group had"
    assert [keys for _, keys in tasks.groups()] == [3, 1, 1, 1]
    assert tasks.values("first") == tasks.values("last") == [b"v"] * 3


def test_where_no_node_takes_writes_each_task_is_told_so_by_an_error_of_its_own() -> None:
    tasks = Tasks()
    tasks.cluster.network.machines["a"].kill()
    errors = tasks.together(
        *(tasks.store.set(f"key-{n}", b"v", timeout_seconds=0.2) for n in range(3))
    )
    assert [type(error) for error in errors] == [WriteRejected] * 3
    assert len({id(error) for error in errors}) == 3


def test_a_write_whose_task_was_cancelled_before_it_left_is_not_sent() -> None:
    tasks = Tasks()
    tasks.connect()

    async def one_of_two_cancelled() -> WriteReceipt:
        # The first operation leaves at once, and while it is on its way the others wait for the end
        # of the turn.
        reading = asyncio.ensure_future(tasks.store.get("key", level="quorum"))
        cancelled = asyncio.ensure_future(tasks.store.set("cancelled", b"v"))
        kept = asyncio.ensure_future(tasks.store.set("kept", b"v"))
        kept.add_done_callback(lambda _: None)
        await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.wait({reading, cancelled})
        return await kept

    assert tasks.run(one_of_two_cancelled()).outcome is Outcome.COMMITTED
    assert tasks.values("cancelled") == [None] * 3
    assert tasks.groups() == [("write", 1)]


def test_while_three_groups_are_on_their_way_the_next_is_held_for_a_moment_and_no_longer() -> None:
    """A group for every turn, to servers that do not answer."""
    tasks = Tasks()
    tasks.connect()
    for machine in tasks.cluster.network.machines.values():
        machine.freeze()

    async def one_group_a_turn(count: int) -> None:
        busy = asyncio.ensure_future(tasks.store.get("busy", level="quorum"))
        for turn in range(count):
            for key in ("x", "y"):
                tasks.begin(tasks.store.set(f"{key}-{turn}", b"v", timeout_seconds=1.0))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert not busy.done()

    began_at = tasks.world.now
    many = MAX_GROUPS_IN_FLIGHT + 4
    done = tasks.begin(one_group_a_turn(many))
    tasks.world.run(began_at + GROUP_HOLD_SECONDS / 2)
    assert done.done()
    assert tasks.groups_under_way() == GROUPS_IN_FLIGHT
    tasks.world.run(began_at + 2 * GROUP_HOLD_SECONDS)
    assert tasks.groups_under_way() == MAX_GROUPS_IN_FLIGHT
    for machine in tasks.cluster.network.machines.values():
        machine.thaw()
    tasks.world.run(began_at + 1.0)
    assert tasks.groups_under_way() == 0
    assert len(tasks.groups()) == many
