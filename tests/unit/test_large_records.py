"""However large records are: what is answered and sent at a time stays within BATCH_BYTES, or is a
single record.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from redrepl.plans.copies.comparison import Comparison, Yardstick
from redrepl.plans.copies.copying import Copier
from redrepl.plans.operations.read import read_confirmed
from redrepl.plans.steps import Steps
from redrepl.values import limits
from redrepl.values.effects import Command, ScriptCall
from redrepl.values.record import HEADER_BYTES, Record
from redrepl.values.report import Mark, Position
from redrepl.values.topology import Mode
from tests.unit.support.in_memory import MAX_AGE_SECONDS, Nodes

OLD = MAX_AGE_SECONDS * 3
LARGE = 400_000
KEYS = [b"key-%03d" % number for number in range(160)]

LAYOUTS: dict[str, Callable[[int], bool]] = {
    "all large": lambda place: place < 40,
    "large after small": lambda place: place >= 120,
    "small at both ends": lambda place: 60 <= place < 100,
    "every fourth": lambda place: place % 4 == 3,
}


class Carried(NamedTuple):
    """A script call: the users' keys in it, and bytes of records in the call and in its answer."""

    node: str
    script: str
    keys: int
    sent: list[int]
    answered: list[int]


class WatchedNodes(Nodes):
    """Nodes that note what every script call carries."""

    def __init__(self, copies: int, mode: Mode = Mode.PRIMARY_REPLICA) -> None:
        self.carried: list[Carried] = []
        super().__init__(copies, mode)

    def send(self, node: str, command: Command) -> Any:
        content = super().send(node, command)
        if isinstance(command, ScriptCall):
            users = sum(name.startswith(self.layout.data_prefix) for name in command.keys)
            self.carried.append(
                Carried(node, command.script, users, _records(command.arguments), _records(content))
            )
        return content

    def of(self, script: str) -> list[Carried]:
        """The calls of one script."""
        return [call for call in self.carried if call.script == script]

    def assert_bounded(self) -> None:
        """No call and no answer held more than it should."""
        for call in self.carried:
            for sizes in (call.sent, call.answered):
                payloads = sum(sizes) - HEADER_BYTES * len(sizes)
                assert payloads <= limits.BATCH_BYTES or len(sizes) == 1, (
                    call.node,
                    call.script,
                    sizes,
                )
            assert call.keys <= limits.SCAN_KEYS, (call.node, call.script)


def _records(parts: object) -> list[int]:
    if not isinstance(parts, (tuple, list)):
        return []
    return [
        len(part)
        for part in parts
        if isinstance(part, bytes) and part[HEADER_BYTES - 1 : HEADER_BYTES] == b"|"
    ]


def _put(
    nodes: Nodes, on: str, is_large: Callable[[int], bool], seconds_ago: float = OLD
) -> dict[bytes, Record]:
    records = {
        key: nodes.value(b"x" * (LARGE if is_large(place) else 20), seconds_ago)
        for place, key in enumerate(KEYS)
    }
    for node in on:
        for key, record in records.items():
            nodes.put(node, key, record)
    return records


# Copying ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_a_log_with_large_records_is_shipped_in_bounded_slices(layout: str) -> None:
    nodes = WatchedNodes(2)
    records = _put(nodes, "a", LAYOUTS[layout])
    done = nodes.bring_up("b")
    assert (done.records, done.full_syncs, done.finished) == (len(KEYS), 0, True)
    assert nodes.contents("b") == records
    assert done.payload_bytes == sum(len(record.encode()) for record in records.values()), (
        "each was sent once"
    )
    nodes.assert_bounded()
    assert len(nodes.of("absorb")) < len(KEYS), "small ones go together"


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_a_full_sync_with_large_records_goes_in_bounded_slices(layout: str) -> None:
    nodes = WatchedNodes(2)
    records = _put(nodes, "a", LAYOUTS[layout])
    assert nodes.bring_up("b", exactly=True).full_syncs == 1
    assert nodes.contents("b") == records
    nodes.assert_bounded()


def test_what_was_left_out_of_an_answer_is_asked_for_before_the_mark_moves() -> None:
    nodes = WatchedNodes(2)
    records = _put(nodes, "a", LAYOUTS["large after small"])
    copier = Copier(nodes.view(), nodes.report("a"), "b", Steps(nodes.at))
    copier._slice_keys = len(KEYS)
    mark = Mark("inc", Position("9-0", 9))
    wanted = {nodes.layout.data(key): record.stamp for key, record in records.items()}
    nodes.run(copier.copy(wanted, mark))
    asked, answered = (
        [c.keys for c in nodes.of("read_many")],
        [len(c.answered) for c in nodes.of("read_many")],
    )
    assert asked[:2] == [160, 38], (
        "the first answer held 120 small ones and two that fitted beside them"
    )
    assert answered[:2] == [122, 2]
    assert max(asked[2:]) == 8, "no more names than about what one answer will hold"
    assert sum(answered) == len(KEYS)
    assert nodes.contents("b") == records
    assert nodes.report("b").marks == {"a": mark}
    nodes.assert_bounded()


def test_comparing_copies_of_large_records_finds_what_differs() -> None:
    nodes = WatchedNodes(2)
    _put(nodes, "ab", LAYOUTS["every fourth"])
    for place in (0, 63, 159):
        nodes.put("b", KEYS[place], nodes.value(b"y" * LARGE, OLD - 1))
    comparison = Comparison(
        nodes.view(), nodes.report("a"), nodes.report("b"), Yardstick(0), Steps(nodes.at)
    )
    differing = nodes.run(comparison.still_differing([nodes.layout.data(key) for key in KEYS]))
    assert differing == [nodes.layout.data(KEYS[place]) for place in (0, 63, 159)]
    nodes.assert_bounded()


# Reading ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", list(LAYOUTS))
@pytest.mark.parametrize("required", [0, 1, 2])
def test_a_confirmed_read_answers_every_key(layout: str, required: int) -> None:
    nodes = WatchedNodes(3)
    records = _put(nodes, "abc", LAYOUTS[layout])
    keys = [*KEYS, b"absent"]
    found = nodes.run(read_confirmed(nodes.view(), "a", keys, required, nodes.at + 60))
    assert found.records == [*records.values(), None]
    assert found.repaired == 0
    nodes.assert_bounded()


def test_copies_that_lack_large_records_get_them_in_bounded_parts() -> None:
    nodes = WatchedNodes(3)
    records = _put(nodes, "ab", LAYOUTS["large after small"], seconds_ago=1)
    nodes.client("b").delete(*(nodes.layout.data(key) for key in KEYS[100:]))
    found = nodes.run(read_confirmed(nodes.view(), "a", KEYS, 2, nodes.at + 60))
    assert found.records == list(records.values())
    assert (found.holders, found.repaired) == (frozenset("abc"), 60 + 160)
    assert nodes.contents("b") == nodes.contents("c") == records
    nodes.assert_bounded()
    assert [call.keys for call in nodes.of("write_many") if call.node == "b"] == [22, *[2] * 19]


def test_of_several_primaries_the_latest_of_each_key_comes_whole() -> None:
    nodes = WatchedNodes(2, Mode.MULTI_PRIMARY)
    older = _put(nodes, "ab", LAYOUTS["every fourth"], seconds_ago=2)
    newer = {key: nodes.value(b"y" * LARGE, 1) for key in KEYS[50:60]}
    for key, record in newer.items():
        nodes.put("b", key, record)
    found = nodes.run(read_confirmed(nodes.view(), "a", KEYS, 1, nodes.at + 60))
    assert dict(zip(KEYS, found.records, strict=True)) == {**older, **newer}
    assert nodes.contents("a") == {**older, **newer}
    nodes.assert_bounded()


# Undecided ----------------------------------------------------------------------------------------


def test_a_log_of_large_batches_is_checked_in_bounded_steps() -> None:
    nodes = WatchedNodes(2)
    size, entries = 500, 5
    client = nodes.client("b")
    stamp = nodes.value(b"", OLD).stamp.encode()
    for entry in range(entries):
        fields = [
            part for n in range(size) for part in (nodes.layout.data(b"%d-%d" % (entry, n)), stamp)
        ]
        client.execute_command("XADD", nodes.layout.log, "*", *fields)
    stray = nodes.value(b"stray", OLD)
    client.set(nodes.layout.data(b"4-499"), stray.encode())
    done = nodes.bring_up("a")
    # What replaced it, the primary's tombstone, is an entry too.
    assert (done.entries, done.undecided_replaced, done.finished) == (entries + 1, 1, True)
    assert nodes.present("b") == {}
    nodes.assert_bounded()
    assert [call.keys for call in nodes.of("headers")][:3] == [1000, 1000, 500]
