"""Walking over all keys of a node, and reading a log to its end, page by page."""

from __future__ import annotations

import pytest

from redrepl.plans.copies.key_walk import KeyWalk, read_stamps
from redrepl.plans.copies.log_reader import LogReader
from redrepl.plans.steps import Steps
from redrepl.values import limits
from redrepl.values.effects import Plan
from redrepl.values.errors import Unavailable
from redrepl.values.record import tombstone
from redrepl.values.report import LOG_START, Position
from tests.unit.support.in_memory import Nodes

KEYS = 5


@pytest.fixture
def nodes() -> Nodes:
    """Two nodes with a few records each."""
    nodes = Nodes(2)
    for number in range(KEYS):
        nodes.write("ab", b"key-%d" % number, nodes.value(b"v"))
    return nodes


def _walked(keys: KeyWalk) -> Plan[list[list[bytes]]]:
    pages = []
    while not keys.is_over:
        pages.append((yield from keys.next_page()))
    return pages


def test_a_walk_comes_over_all_keys_and_ends(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SCAN_KEYS", 2)
    pages = nodes.run(_walked(KeyWalk(nodes.view(), "a", Steps(nodes.at))))
    assert len(pages) > 1
    found = {name for page in pages for name in page}
    assert found == {nodes.layout.data(b"key-%d" % number) for number in range(KEYS)}


def test_a_walk_over_nothing_is_one_empty_page() -> None:
    nodes = Nodes(2)
    assert nodes.run(_walked(KeyWalk(nodes.view(), "a", Steps(nodes.at)))) == [[]]


def test_a_walk_begins_where_an_earlier_one_stopped(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SCAN_KEYS", 2)
    earlier = KeyWalk(nodes.view(), "a", Steps(nodes.at))
    first = nodes.run(earlier.next_page())
    later = KeyWalk(nodes.view(), "a", Steps(nodes.at), earlier.cursor)
    rest = [name for page in nodes.run(_walked(later)) for name in page]
    assert len({*first, *rest}) == KEYS
    assert len(rest) < KEYS


def test_a_walk_that_gets_no_answer_names_what_it_was_for(nodes: Nodes) -> None:
    nodes.down.add("a")
    keys = KeyWalk(nodes.view(), "a", Steps(nodes.at), doing="looking for records")
    with pytest.raises(Unavailable, match="looking for records failed on node 'a'"):
        nodes.run(keys.next_page())


def test_stamps_are_of_records_alone(nodes: Nodes) -> None:
    deleted, gone, foreign = (nodes.layout.data(key) for key in (b"key-1", b"gone", b"foreign"))
    grave = nodes.value(b"")
    nodes.write("a", b"key-1", tombstone(grave.stamp))
    nodes.client("a").execute_command("SET", foreign, "not ours")
    names = [deleted, gone, foreign]
    assert nodes.run(read_stamps(nodes.view(), "a", names, Steps(nodes.at))) == {
        deleted: grave.stamp
    }


def _read(log: LogReader) -> Plan[list[int]]:
    counts = []
    while (page := (yield from log.next_page())) is not None:
        counts.append(len(page.entries))
    return counts


def test_a_log_is_read_to_its_end_and_no_entry_twice(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("redrepl.plans.copies.log_reader.FIRST_PAGE_ENTRIES", 2)
    source = nodes.report("a")
    log = LogReader(nodes.view(), source, Position(LOG_START, 0), Steps(nodes.at))
    assert nodes.run(_read(log)) == [2, KEYS - 2]
    assert log.position == source.log.end


def test_a_log_is_read_from_a_position_on(nodes: Nodes) -> None:
    log = LogReader(nodes.view(), nodes.report("a"), nodes.report("a").log.end, Steps(nodes.at))
    nodes.write("a", b"later", nodes.value(b"v"))
    assert nodes.run(_read(log)) == [1]
