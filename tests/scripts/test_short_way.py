"""The short way of `write` does what the long way does, of which it repeats a part."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

import pytest

from redrepl.edges.scripts import all_scripts
from redrepl.values.limits import MAX_CLIENT_WRITER, MAX_MICROS
from redrepl.values.record import Record, is_record
from redrepl.values.stamp import Stamp
from tests.scripts.harness import (
    EPOCH,
    LAYOUT,
    MAX_AGE_SECONDS,
    MAX_SKEW_SECONDS,
    RESTAMP_WRITER,
    SECOND,
    Node,
)

CASES = 400
ENDS_SHORT = "  if is_later then\n"
BEGINS_LONG = "local member = read_member()\n"

NEAR_SECONDS = (-1, 0, 1)
OLD_SECONDS = (-MAX_AGE_SECONDS - 60, -MAX_AGE_SECONDS - 2, -MAX_AGE_SECONDS + 2)
AHEAD_SECONDS = (MAX_SKEW_SECONDS - 2, MAX_SKEW_SECONDS + 2, MAX_SKEW_SECONDS + 3600)
"""Never so near a limit that it would pass between two calls."""

WRITERS = (1, 2, MAX_CLIENT_WRITER, RESTAMP_WRITER)


class Case(NamedTuple):
    """What is stored, and the call.

    ``stored``: bytes, None for nothing, a list for a value of another type.
    """

    fields: dict[str, object]
    stored: bytes | list[bytes] | None
    arguments: tuple[bytes, ...]


class Found(NamedTuple):
    """What a call returned and what it left.

    The node's time in a verdict is cut: it is another one at each call.
    """

    answer: Any
    stored: bytes | None
    expires_at_millis: int
    log: list[dict[bytes, bytes]]
    has_noted_its_clock: bool


def _variant(name: str, old: str, new: str) -> str:
    source = all_scripts()[name].source
    assert source.count(old) == 1, f"{old!r} is not once in the script {name}"
    return source.replace(old, new)


def _record(random: Random, now_micros: int) -> bytes:
    seconds = random.choice((*NEAR_SECONDS * 4, *OLD_SECONDS, *AHEAD_SECONDS))
    micros = now_micros + seconds * SECOND + random.choice((-1, 0, 0, 1))
    stamp = Stamp(micros, random.choice(WRITERS))
    deadline = random.choice((0, 0, 0, now_micros // 1000 + random.choice((-5_000, 60_000))))
    is_value = random.random() < 0.8
    payload = random.choice((b"", b"", b"", b"x", b"pay|load", b"\0" * 90)) if is_value else b""
    causal = random.choice((b"", b"", b"", b"c" * 5))
    return Record(stamp, b"v" if is_value else b"d", deadline, payload, causal).encode()


def _stored(random: Random, now_micros: int) -> bytes | list[bytes] | None:
    record = _record(random, now_micros)
    impossible = Stamp(MAX_MICROS + 1, 1).encode() + record[22:]
    others: tuple[Callable[[], bytes | list[bytes] | None], ...] = (
        lambda: None,
        lambda: b"",
        lambda: [b"a list"],
        lambda: b"somebody else's value, which is longer than the header of a record",
        lambda: record[:39],
        lambda: record[:22] + b"x" + record[23:],
        lambda: record[:35] + b"ffff" + record[39:],
        lambda: impossible,
        lambda: record.upper(),
    )
    if random.random() < 0.6:
        return record
    return None if random.random() < 0.5 else random.choice(others)()


def _case(random: Random, now_micros: int, rule: str) -> Case:
    epoch = random.choice((EPOCH, EPOCH, EPOCH, EPOCH, b"8"))
    fields: dict[str, object] = {"rule": rule, "epoch": epoch}
    fields["state"] = random.choice(("active", "active", "active", "active", "syncing", "fenced"))
    old, wrong = now_micros - (MAX_AGE_SECONDS + 10) * SECOND, now_micros + 60 * SECOND
    fields["purged_before"] = random.choice((0, 0, old, wrong))
    said = random.choice(((), (b"decided",), (b"by a",), (b"by b",)))
    record = _record(random, now_micros)
    stored = _stored(random, now_micros)
    if isinstance(stored, bytes) and is_record(stored) and random.random() < 0.2:
        record = stored[:22] + record[22:]  # the same stamp
    return Case(fields, stored, (EPOCH, record, *said))


def _run(node: Node, source: str, case: Case) -> Found:
    name = LAYOUT.data(b"key")
    node.client.flushall()
    node.enrol(**case.fields)  # type: ignore[arg-type]
    if isinstance(case.stored, list):
        node.client.rpush(name, *case.stored)
    elif case.stored is not None:
        node.client.set(name, case.stored)
    answer = node.client.eval(source, 3, LAYOUT.member, LAYOUT.log, name, *case.arguments)
    if isinstance(answer, list) and answer[0] in (b"expired", b"skewed"):
        answer = answer[:1]
    kept = None if isinstance(case.stored, list) else node.stored(b"key")
    noted = node.client.hexists(LAYOUT.member, "clock_latest")
    return Found(answer, kept, node.expires_at_millis(b"key"), node.log(), noted)


@pytest.mark.parametrize("script", ["write", "write_oom"])
@pytest.mark.parametrize("rule", ["decide", "follow", "merge"])
def test_both_ways_do_the_same(real_node: Node, rule: str, script: str) -> None:
    both = all_scripts()[script].source
    long_alone = _variant(script, ENDS_SHORT, "  if false then\n")
    short_alone = _variant(script, BEGINS_LONG, f"do return 'long way' end\n{BEGINS_LONG}")
    random = Random(f"{rule} {script}")
    went_short = 0
    for number in range(CASES):
        case = _case(random, real_node.now_micros(), rule)
        found = _run(real_node, both, case)
        assert found == _run(real_node, long_alone, case), f"case {number}: {case}"
        went_short += _run(real_node, short_alone, case).answer == 1
    assert CASES / 100 < went_short < CASES / 2, f"{went_short} of {CASES} cases took the short way"
