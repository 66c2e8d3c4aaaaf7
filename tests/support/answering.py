"""Nodes that answer as ours do, but for some answers, of which bytes were changed; and plans that
ask them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import Any

from hypothesis import strategies as st

from redrepl.values.answers import is_ours
from redrepl.values.effects import (
    Answer,
    Ask,
    DeadlinePassed,
    Event,
    Exchange,
    Failure,
    Plan,
    Reply,
    Request,
    ScriptCall,
)
from redrepl.values.operation import CHANGING, AnswerForm
from redrepl.values.topology import Member, Mode, NodeRole, Topology
from tests.support.mutation import TOKENS

STAMP = b"0386a1b2c3d4e500000001"
HEADER = STAMP + b"v000000000000"
RECORD = HEADER + b"0000|7"
NOW_MICROS = 0x0386A1B2C3D4E5
MEMBERS = tuple(
    Member(
        node,
        f"redis://{node}:6379",
        NodeRole.PRIMARY if node == "a" else NodeRole.REPLICA,
        f"id-{node}",
    )
    for node in "abc"
)
TOPOLOGY = Topology("shop", 7, Mode.PRIMARY_REPLICA, MEMBERS)
NAME = b"shop:k:key"
MOST_REQUESTS = 150


def inspection(node: str, moved: Mapping[str, str] = MappingProxyType({})) -> list[Any]:
    """The answer of `inspect` of a member that serves.

    ``moved``: fields that were changed since.
    """
    fields = {
        "cluster": "shop",
        "node": node,
        "epoch": "7",
        "state": "active",
        "run_id": "run-1",
        "lineage": "7",
    }
    fields |= {
        "max_age_micros": "30000000",
        "max_skew_micros": "5000000",
        "incarnation": "inc",
        "identity": f"id-{node}",
    }
    fields |= {
        "settled": "7",
        "log_floor": "1-1",
        "walk c": WALK,
        "hold c": "1-1 1 9999999999999",
        "rule": "decide",
    }
    fields |= {
        "voided": "8 c id-x",
        "purged_before": "0",
        "clock_latest": "1",
        "clock_checked": "1",
    }
    fields |= moved
    log = [1, b"1-1", 1, b"1-1", b"1-1", 1]
    cursors, marks = {"b@id-b": "1-1 1 1000", "c@id-c": "1-1 1 1000"}, {"a@id-a": "inc 1-1 1"}
    checkpoint = b"inc 1-1 1 a inc 1-1 1 7"
    now, guard = b"%d" % (NOW_MICROS // 1000), f"{fields['epoch']} {fields['state']}".encode()
    sweep = {"under_way": SWEEP, "last": LAST}
    flat = [_flat(fields), log, _flat(cursors), _flat(marks), TOPOLOGY.encode().encode(), now]
    return [*flat, [b"shop", node.encode()], [checkpoint], _flat(sweep), guard, b""]


WALK = (
    '{"incarnation":"inc","source_run":"run-1","target_run":"run-1","merged_epoch":1,"began":["1-1",1],'
    '"doubt":"","phase":"copying","cursor":"0","keys":0,"total":0,"begun_anew":0}'
)
SWEEP = (
    '{"epoch":7,"node":"a","run_id":"run-1","left":["b","c"],"purge_before":1,"confirmed_entries":1,'
    '"checked_entries":{"b":1},"began_millis":1,"at_millis":1,"cursor":"0","findings":{"keys":0,"differences":0,'
    '"repaired":0,"purged":0,"waiting":0,"missed":["c"]}}'
)
LAST = (
    '{"began_millis":1,"ended_millis":2,"findings":{"keys":0,"differences":0,"repaired":0,"purged":0,"waiting":0,'
    '"missed":[]}}'
)


def _flat(pairs: dict[str, str]) -> list[bytes]:
    return [text.encode() for pair in pairs.items() for text in pair]


def usual_answer(request: Request, moved: dict[str, dict[str, str]]) -> Answer:
    """What a member of the cluster would answer, more or less.

    ``moved``: by node, what was changed of it.
    """
    command = request.command
    if isinstance(command, ScriptCall):
        name, keys = command.script.removesuffix("_oom"), len(command.keys)
        if name == "change_member":
            words = [word.decode() for word in command.arguments if isinstance(word, bytes)]
            changed = {
                field: word
                for field, word in pairwise(words)
                if field in ("epoch", "state", "lineage")
            }
            moved.setdefault(request.node, {}).update(changed)
        if name == "inspect":
            return inspection(request.node, moved.get(request.node, {}))
        return _SCRIPTS[name](command, keys)
    return _COMMANDS[bytes(command.arguments[0])](command.arguments)


def _done(call: ScriptCall) -> list[Any]:
    """An answer to each operation of a transaction."""
    names = call.arguments[5 + 2 * int(call.arguments[3]) :: 5]
    return [b"done", *(part for name in names for part in (b"ok", _DETAILS.get(name, STAMP)))]


_BY_FORM = {AnswerForm.STAMP: STAMP, AnswerForm.RECORD: RECORD, AnswerForm.BEFORE: STAMP + RECORD}
_DETAILS: dict[bytes | int, bytes] = {kind.wire: _BY_FORM[kind.answer] for kind in CHANGING}
"""What `transact` answers to each operation."""


_SCRIPTS: dict[str, Callable[[ScriptCall, int], Answer]] = {
    "absorb": lambda _, __: [b"ok", 1, b"1-1"],
    "change_member": lambda _, __: 1,
    "checkpoint": lambda _, __: 1,
    "confirm": lambda _, __: 1,
    "digest": lambda _, keys: [keys, [b"0", keys, b"7"], [0, STAMP]],
    "disown": lambda _, __: 1,
    "enrol": lambda _, __: 1,
    "headers": lambda _, keys: [b"ok", *[HEADER] * (keys - 1)],
    "hold": lambda _, __: [b"ok", b"1-1", 1],
    "leave": lambda _, __: 1,
    "log_page": lambda call, _: [
        b"ok",
        [[b"2-1", [NAME, STAMP]]] if call.arguments[0] == b"1-1" else [],
        b"2-1",
        2,
    ],
    "mend": lambda _, __: [b"ok", 1],
    "note_sweep": lambda _, __: 1,
    "note_walk": lambda _, __: 1,
    "probe_write": lambda _, __: [0, b""],
    "purge": lambda _, __: [b"ok", 1],
    "read_many": lambda _, keys: [b"ok", *[RECORD] * (keys - 1)],
    "replace": lambda _, __: 1,
    "transact": lambda call, _: _done(call),
    "trim": lambda _, __: [b"ok", 1],
    "update": lambda _, __: [b"ok", RECORD],
    "vouch": lambda _, keys: [b"ok", b"inc", b"1-1", b"inc 1-1 1", *[RECORD, b"1"] * (keys - 4)],
    "write": lambda _, __: 1,
    "write_many": lambda _, __: 1,
}
_DISCARDED = [
    *(b"key", NAME, b"record", RECORD, b"replaced_by", STAMP),
    *(b"epoch", b"7", b"why", b"diverged"),
]
_COMMANDS: dict[bytes, Callable[[tuple[bytes | int, ...]], Answer]] = {
    b"DBSIZE": lambda _: 3,
    b"EXISTS": lambda _: 0,
    b"GET": lambda _: b"7 active",
    b"HGET": lambda words: b"0" if words[2] == b"purged_before" else TOPOLOGY.encode().encode(),
    b"INFO": lambda _: (
        b"run_id:run-1\r\nuptime_in_seconds:9\r\nredis_version:7.0.0\r\ndb0:keys=1\r\n"
    ),
    b"MGET": lambda words: [b"7 active", *[RECORD] * (len(words) - 2)],
    b"SCAN": lambda _: [b"0", [NAME]],
    b"TIME": lambda _: [b"%d" % (NOW_MICROS // 1_000_000), b"7"],
    b"XRANGE": lambda _: [[b"2-1", list(_DISCARDED)]],
    b"XREVRANGE": lambda _: [[b"2-1", list(_DISCARDED)]],
}


def encode_answer(answer: Answer) -> bytes:
    """An answer as lines, of which any change makes another answer."""
    if isinstance(answer, list):
        return b"[\n" + b"".join(map(encode_answer, answer)) + b"]\n"
    if answer is None:
        return b"_\n"
    return (
        b":%d\n" % answer
        if isinstance(answer, int)
        else b"." + answer.replace(b"\n", b"\x1f") + b"\n"
    )


def decode_answer(data: bytes) -> Answer:
    """The answer that any lines are: lists that are not closed end with the text, and the first
    value counts.
    """
    stack: list[list[Answer]] = [[]]
    for line in data.split(b"\n")[:5_000]:
        if line == b"[" and len(stack) < 9:
            stack.append([])
        elif line == b"]" and len(stack) > 1:
            ended = stack.pop()
            stack[-1].append(ended)
        elif line == b"_":
            stack[-1].append(None)
        elif re.fullmatch(rb":-?[0-9]{1,18}", line):
            stack[-1].append(int(line[1:]))
        elif line:
            stack[-1].append(line[1:].replace(b"\x1f", b"\n"))
    while len(stack) > 1:
        ended = stack.pop()
        stack[-1].append(ended)
    return stack[0][0] if stack[0] else None


_EDIT = re.compile(rb"([0-9]{1,3}) ([0-9]{1,5}) ([0-9]{1,5})\|([^|]*)\|", re.DOTALL)


def edits() -> st.SearchStrategy[bytes]:
    """Changes of answers: of which request, from where, how many bytes, and what comes there
    instead.
    """
    replacement = st.one_of(
        st.sampled_from(TOKENS),
        st.sampled_from([STAMP, RECORD, b"refused", b"]\n", b"\n.7\n", b":7"]),
    )
    one = st.tuples(
        st.integers(0, 12),
        st.integers(0, 700),
        st.sampled_from([0, 0, 1, 2, 9, 30, 9999]),
        replacement,
    )
    return st.lists(one, min_size=1, max_size=3).map(
        lambda found: b"".join(
            b"%d %d %d|%b|" % (*each[:3], each[3].replace(b"|", b"")) for each in found
        )
    )


def driven(plan: Plan[Any], data: bytes) -> object:
    """Carry a plan out with usual answers, those changed that ``data`` names.

    What no node of ours answers is a failure, as the edges make it.
    """
    changes: dict[int, list[tuple[int, int, bytes]]] = {}
    for number, start, length, replacement in _EDIT.findall(data):
        changes.setdefault(int(number), []).append((int(start), int(length), replacement))
    owed: list[Request] = []
    moved: dict[str, dict[str, str]] = {}
    count, at = 0, 100.0
    try:
        effect = next(plan)
        while count < MOST_REQUESTS:
            event: Event = DeadlinePassed(at)
            if isinstance(effect, Exchange):
                owed = [*([] if isinstance(effect, Ask) else owed), *effect.requests]
                at += 0.001
                if owed:
                    event = _event_of(
                        owed[0], usual_answer(owed.pop(0), moved), changes.get(count, []), at
                    )
                else:
                    at = max(at, effect.until)
                    event = DeadlinePassed(at)
            count += 1
            effect = plan.send(event)
    except StopIteration as end:
        return end.value
    plan.close()
    return None


def _event_of(
    request: Request, answer: Answer, changes: list[tuple[int, int, bytes]], at: float
) -> Event:
    if changes:
        encoded = encode_answer(answer)
        for start, length, replacement in changes:
            start = start % (len(encoded) + 1)
            encoded = encoded[:start] + replacement + encoded[start + length :]
        answer = decode_answer(encoded)
        if not is_ours(request.command, answer):
            return Failure(
                request.node, request.tag, f"answers as no node does: {answer!r:.80}", True, at
            )
    return Reply(request.node, request.tag, answer, at)
