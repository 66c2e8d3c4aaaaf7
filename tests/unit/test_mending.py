"""`read_mended`: what the primary lost and a copy still has is there again, without a record that
nobody decided.
"""

from __future__ import annotations

import pytest

from redrepl.plans.operations.mending import read_mended
from redrepl.plans.view import InDoubt
from redrepl.values.effects import ScriptCall
from redrepl.values.record import Record, tombstone
from tests.unit.support.in_memory import SECOND, Nodes

KEY, OTHER = b"key", b"other"
HOUR_MILLIS = 3_600_000


def now_micros(nodes: Nodes) -> int:
    seconds, micros = nodes.client("a").execute_command("TIME")
    return int(seconds) * SECOND + int(micros)


def read(nodes: Nodes, *keys: bytes, required: int = 1) -> list[Record | None]:
    plan = read_mended(nodes.view(), "a", keys, required, nodes.at + 1, now_micros(nodes))
    return nodes.run(plan).records


def kept(nodes: Nodes, seconds_ago: float = 600.0) -> Record:
    """A value with a deadline in an hour."""
    return nodes.value(b"1", seconds_ago)._replace(
        deadline_millis=now_micros(nodes) // 1000 + HOUR_MILLIS
    )


def everywhere(nodes: Nodes, *keys: bytes) -> dict[bytes, Record]:
    """Records that all nodes have, and that the workers have looked at."""
    records = {key: kept(nodes) for key in keys}
    for key, record in records.items():
        for node in nodes.first.ids:
            nodes.put(node, key, record)
    for node in nodes.first.ids:
        nodes.bring_up(node)
    return records


def drop(nodes: Nodes, node: str, *keys: bytes) -> None:
    """What native expiry does by a clock that is ahead: nobody is told."""
    nodes.client(node).execute_command("DEL", *map(nodes.layout.data, keys))


def forget(nodes: Nodes, *which: str) -> None:
    """Logs are cut to nothing, as they are some time after everything was confirmed."""
    for node in which:
        report = nodes.report(node)
        nodes.client(node).execute_command("XTRIM", nodes.layout.log, "MAXLEN", 0)
        nodes.client(node).execute_command(
            "HSET", nodes.layout.member, "log_floor", report.log.last_id
        )


def doubt(nodes: Nodes) -> None:
    """The primary noted that its clock was ahead by a day."""
    at = now_micros(nodes) // 1000 + 24 * HOUR_MILLIS
    nodes.client("a").execute_command("HSET", nodes.layout.member, "clock_latest", at)


@pytest.mark.parametrize("is_cut", [False, True])
@pytest.mark.parametrize("is_in_doubt", [False, True])
def test_what_the_primary_dropped_is_there_again(is_cut: bool, is_in_doubt: bool) -> None:
    nodes = Nodes(3)
    records = everywhere(nodes, KEY, OTHER, b"third")
    if is_cut:
        forget(nodes, "a", "b", "c")
    drop(nodes, "a", KEY, OTHER)
    if is_in_doubt:
        doubt(nodes)
    keys = (KEY, b"third", OTHER)
    assert read(nodes, *keys) == [records[key] for key in keys]
    assert nodes.contents("a") == records


def test_without_a_worker_the_primary_s_own_log_proves_it() -> None:
    nodes = Nodes(3)
    record = kept(nodes)
    for node in "abc":
        nodes.put(node, KEY, record)
    drop(nodes, "a", KEY)
    assert read(nodes, KEY) == [record]


def test_a_record_that_nobody_decided_is_not_mended() -> None:
    nodes = Nodes(3)
    everywhere(nodes, OTHER)
    nodes.put("b", KEY, kept(nodes, 5.0))
    nodes.put("c", KEY, kept(nodes, 5.0))
    assert read(nodes, KEY) == [None]
    assert nodes.bring_up("a").undecided_replaced == 0
    assert read(nodes, KEY) == [None]
    assert nodes.record("a", KEY) is None


def test_what_was_deleted_and_purged_stays_away() -> None:
    """Copies that were told and hold an old value again, by whatever mischief, do not bring it
    back.
    """
    nodes = Nodes(3)
    record = everywhere(nodes, KEY)[KEY]
    grave = tombstone(nodes.value(b"", 300.0).stamp)
    nodes.put("a", KEY, grave)
    drop(nodes, "a", KEY)
    assert nodes.record("b", KEY) == record
    assert read(nodes, KEY) == [None]
    forget(nodes, "a")
    assert read(nodes, KEY) == [None]
    assert nodes.record("a", KEY) is None


def test_what_another_copy_has_overwritten_is_not_brought_back() -> None:
    nodes = Nodes(3)
    everywhere(nodes, KEY)
    drop(nodes, "a", KEY)
    for node in "bc":
        nodes.put(node, KEY, tombstone(nodes.value(b"", 60.0).stamp))
    assert read(nodes, KEY, required=2) == [None]


def test_a_write_under_way_is_left_to_the_primary() -> None:
    nodes = Nodes(3)
    nodes.put("b", KEY, kept(nodes, 0.0))
    nodes.put("c", KEY, kept(nodes, 0.0))
    assert read(nodes, KEY) == [None]
    assert nodes.record("a", KEY) is None


def test_a_key_that_nobody_has_costs_no_question_more() -> None:
    nodes = Nodes(3)
    plan = read_mended(nodes.view(), "a", (KEY,), 1, nodes.at + 1, now_micros(nodes))
    asked = _scripts(nodes)
    assert nodes.run(plan).records == [None]
    assert set(asked) == {"read_many", "headers"}


def test_in_doubt_what_no_copy_has_is_not_called_absent() -> None:
    nodes = Nodes(3)
    everywhere(nodes, OTHER)
    drop(nodes, "a", OTHER)
    doubt(nodes)
    with pytest.raises(InDoubt):
        read(nodes, KEY, OTHER)
    assert read(nodes, OTHER) != [None]


def test_copies_that_do_not_answer_prove_nothing() -> None:
    nodes = Nodes(3)
    everywhere(nodes, KEY)
    drop(nodes, "a", KEY)
    nodes.meanwhile["vouch"] = lambda: drop(nodes, "b", KEY)
    nodes.down.add("c")
    assert read(nodes, KEY) == [None]
    doubt(nodes)
    nodes.down.add("b")
    with pytest.raises(InDoubt):
        read(nodes, KEY)


def _scripts(nodes: Nodes) -> list[str]:
    """Names of the scripts that are asked for from now on."""
    asked: list[str] = []
    send = nodes.send

    def noted(node: str, command: object) -> object:
        if isinstance(command, ScriptCall):
            asked.append(command.script)
        return send(node, command)  # type: ignore[arg-type]

    nodes.send = noted  # type: ignore[method-assign]
    return asked
