"""Whatever a node answers: it is one of our answers, or known as none.

Reading it raises nothing.
"""

from __future__ import annotations

import socket

import hiredis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redrepl.edges.connection import NodeConnection
from redrepl.edges.pending import Run
from redrepl.edges.scripts import all_scripts
from redrepl.values import limits
from redrepl.values.answers import is_ours, most_answer_bytes
from redrepl.values.effects import Answer, Command, PlainCommand, Request, ScriptCall

STAMP = b"06614886a5700c2449ad5c"
HEADER = STAMP + b"v000000000000"
RECORD = HEADER + b"0000|hello"
SUM = HEADER + b"0000|-12"
WORDS = [
    b"ok",
    b"has",
    b"some",
    b"done",
    b"refused",
    b"foreign",
    b"expired",
    b"skewed",
    b"conflict",
    b"unmet",
    b"unfit",
]
SCRIPTS = sorted(all_scripts())
KEYS = (b"m", b"l", b"c", b"x", b"k1", b"k2")

atoms = st.one_of(
    st.none(),
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.binary(max_size=60),
    st.sampled_from([*WORDS, STAMP, HEADER, RECORD, b"", b"7", b"active", b"1-1"]),
)
rubbish = st.recursive(atoms, lambda inner: st.lists(inner, max_size=6), max_leaves=20)
commands = st.one_of(
    st.sampled_from(SCRIPTS).map(
        lambda script: ScriptCall(script, KEYS, _arguments(script.removesuffix("_oom")))
    ),
    st.sampled_from(
        [
            b"MGET",
            b"GET",
            b"HGET",
            b"SCAN",
            b"TIME",
            b"INFO",
            b"XRANGE",
            b"DBSIZE",
            b"PING",
            b"CLIENT",
        ]
    ).map(lambda name: PlainCommand((name, b"k1", b"k2"))),
)


@given(commands, rubbish)
def test_any_answer_is_ours_or_not(command: Command, content: Answer) -> None:
    assert is_ours(command, content) in (True, False)
    assert 0 < most_answer_bytes(command) <= limits.MAX_ANSWER_BYTES


def _arguments(script: str) -> tuple[bytes | int, ...]:
    """Of the scripts whose answers depend on them: an increment; three operations."""
    if script == "transact":
        operations = [
            (0, name, STAMP, b"000000000000", b"7") for name in (b"set", b"increment", b"add")
        ]
        return (b"7", b"each", 1000, 0, *(part for operation in operations for part in operation))
    return (b"7", b"increment", STAMP, b"000000000000", b"7") if script == "update" else ()


def _call(script: str, keys: int = 1) -> ScriptCall:
    first = {
        "write": 2,
        "write_many": 2,
        "update": 2,
        "transact": 2,
        "read_many": 1,
        "headers": 1,
        "vouch": 4,
    }
    return ScriptCall(
        script,
        (b"b",) * first.get(script.removesuffix("_oom"), 0) + (b"k",) * keys,
        _arguments(script.removesuffix("_oom")),
    )


SOUND: list[tuple[Command, Answer]] = [
    (_call("write"), 1),
    (_call("write_oom"), [b"ok", STAMP]),
    (_call("write"), [b"has", STAMP]),
    (_call("write"), [b"refused", b"", b""]),
    (_call("write"), [b"refused", b"7", b"in doubt: its clock is, or was, ahead"]),
    (
        _call("write"),
        [
            b"refused",
            b"7",
            b"in doubt: its clock shows 1795905262264258, the caller's 1795901662264258",
        ],
    ),
    (_call("write_many", 2), [b"some", 1, b"expired", b"1795858529014000"]),
    (_call("update"), [b"ok", SUM]),
    (_call("update"), [b"unmet", b""]),
    (_call("transact", 2), [b"done", b"ok", STAMP, b"ok", SUM, b"unfit", b"why"]),
    (_call("transact", 2), [b"conflict", 1, b""]),
    (_call("read_many", 2), [b"ok", None]),
    (_call("headers", 2), [b"ok", b"", b"foreign"]),
    (_call("log_page", 0), [b"ok", [[b"1-1", [b"k", STAMP]]], b"1-1", 1]),
    (_call("log_page", 0), [b"replaced"]),
    (_call("vouch"), [b"ok", b"inc", b"", b"", RECORD, b"1"]),
    (_call("change_member", 0), [b"changed", b"7", b"fenced"]),
    (_call("absorb"), [b"foreign", b"k"]),
    (_call("absorb"), [b"refused", b"7", b"syncing"]),
    (_call("purge"), [b"refused", b"", b""]),
    (PlainCommand((b"MGET", b"guard", b"k")), [b"7 active", None]),
    (PlainCommand((b"SCAN", b"0")), [b"0", [b"k"]]),
]
WRONG: list[tuple[Command, Answer]] = [
    (_call("write"), [b"ok"]),
    (_call("write"), [b"ok", b"z" * 22]),
    (_call("write"), [b"refused", b"x", b"y"]),
    (_call("write"), 7),
    (_call("write"), [b"refused", b"", b"active"]),
    (_call("write_many", 2), [b"some", 99, b"ok", STAMP]),
    (_call("write_many", 2), [b"some", 0]),
    (_call("headers", 2), [b"ok", b""]),
    (_call("headers", 1), [b"ok", b"x"]),
    (_call("read_many", 1), [b"ok", None, None]),
    (_call("read_many", 1), [b"ok"]),
    (_call("update"), [b"ok", STAMP]),
    (_call("update"), [b"ok", RECORD]),
    (_call("update"), [b"ok", b"ff" + SUM[2:]]),
    (_call("update"), [b"ok", HEADER + b"0009|12"]),
    (_call("transact", 2), [b"done", b"ok", STAMP]),
    (_call("transact", 2), [b"done", b"ok", SUM, b"ok", SUM, b"unfit", b"why"]),
    (_call("transact", 2), [b"done", b"ok", STAMP, b"ok", RECORD, b"unfit", b"why"]),
    (_call("transact", 2), [b"conflict"]),
    (_call("transact", 2), [b"unfit", 3, b"why"]),
    (_call("headers", 1), [b"expired", b"1795858529014000"]),
    (_call("read_many", 1), [b"foreign", b"k"]),
    (_call("digest", 1), [1, [b"x", 1, b"7"], []]),
    (_call("digest", 1), [1, [b"0", 1, b"7"], [0, b""]]),
    (_call("transact", 2), [b"conflict", 99, STAMP]),
    (_call("absorb"), [b"expired", b"1795858529014000"]),
    (_call("purge"), [b"foreign", b"k"]),
    (_call("trim"), [b"skewed", b"7"]),
    (PlainCommand((b"MGET", b"guard", b"k")), [b"7 active"]),
    (PlainCommand((b"HGET", b"h", b"f")), 7),
    (PlainCommand((b"TIME",)), [b"x", b"y"]),
]


@pytest.mark.parametrize(("command", "content"), SOUND)
def test_what_our_nodes_answer_is_known(command: Command, content: Answer) -> None:
    assert is_ours(command, content)


@pytest.mark.parametrize(("command", "content"), WRONG)
def test_what_no_node_of_ours_answers_is_known_too(command: Command, content: Answer) -> None:
    assert not is_ours(command, content)


@pytest.mark.parametrize("beginning", [b"$100000000\r\n", b"*1000000\r\n", b"*2\r\n*1000000\r\n"])
def test_an_answer_without_end_ends_its_connection(beginning: bytes) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        connection = NodeConnection("a", ours, "run-1")
        connection.owed.append((Run(), Request("a", _call("write")), 0.0))
        theirs.setblocking(True)
        theirs.sendall(beginning)
        with pytest.raises(hiredis.ProtocolError, match="without end"):
            _receive_all(theirs, connection)
        connection.close()


def _receive_all(theirs: socket.socket, connection: NodeConnection) -> None:
    for _ in range(40):
        theirs.sendall(b"$0\r\n\r\n" * 10_000)
        assert connection.receive() == []
