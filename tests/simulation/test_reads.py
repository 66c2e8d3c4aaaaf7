"""The reads that the simulation serves by itself answer what fakeredis answers."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from redrepl.values.effects import PlainCommand
from tests.simulation.reads import NOT_SERVED, serve
from tests.simulation.servers import Server, virtual_server_time
from tests.simulation.sources import library_sources

SOURCES = library_sources()
NOW_SECONDS = 1_000_000.25
NAMES = [b"string", b"empty", b"due", b"past", b"hash", b"list", b"stream", b"nothing"]
FIELDS = [b"a", b"b", b"missing"]


def _filled() -> Server:
    """A server with a value of each type, one of them past its time."""
    server = Server("a")
    for command in (
        (b"SET", b"string", b"0123456789"),
        (b"SET", b"empty", b""),
        (b"SET", b"due", b"soon", b"PX", b"5000"),
        (b"SET", b"past", b"gone", b"PX", b"1000"),
        (b"HSET", b"hash", b"a", b"1", b"b", b""),
        (b"RPUSH", b"list", b"x", b"y", b"z"),
        *[(b"XADD", b"stream", b"7-%d" % number, b"f", b"v%d" % number) for number in range(1, 6)],
        (b"XTRIM", b"stream", b"MINID", b"7-2"),
    ):
        server.answer(PlainCommand(command), SOURCES, NOW_SECONDS)
    # Two seconds later one value is past its time, and another is not yet.
    server.answer(PlainCommand((b"TIME",)), SOURCES, NOW_SECONDS + 2.0)
    return server


def _calls(name: bytes) -> list[tuple[str, tuple[bytes, ...]]]:
    """Every read of this name, with every kind of arguments that the library's scripts use."""
    parts = list(itertools.product([b"0", b"1", b"9"], [b"-1", b"0", b"1", b"100"]))
    ranges = itertools.product(
        [b"-", b"7-2", b"(7-3", b"7", b"8-0"], [b"+", b"7-4", b"7"], [(), (b"COUNT", b"2")]
    )
    return [
        *[(read, (name,)) for read in ("get", "strlen", "hgetall", "hkeys", "xinfo stream")],
        *[(read, (name, other)) for read in ("mget", "exists") for other in NAMES],
        *[("hget", (name, field)) for field in FIELDS],
        ("hmget", (name, *FIELDS)),
        *[(read, (name, *part)) for read in ("getrange", "lrange") for part in parts],
        *[("xrange", (name, first, last, *options)) for first, last, options in ranges],
        ("time", ()),
    ]


def _outcome(function: Any, *arguments: Any) -> Any:
    """What a script sees, as plain Python: tables as lists, an error as its text."""
    try:
        return _plain(function(*arguments))
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def _plain(value: Any) -> Any:
    return [_plain(each) for each in value.values()] if hasattr(value, "values") else value


@pytest.mark.parametrize("name", NAMES)
def test_a_read_answers_a_script_what_fakeredis_answers(
    name: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with virtual_server_time():
        socket = _filled()._socket
        for read, arguments in _calls(name):
            sent = (*[each.encode() for each in read.split(" ")], *arguments)
            quick = _outcome(socket.call_from_script, *sent)
            with monkeypatch.context() as patch:
                patch.setattr("tests.simulation.servers.serve", lambda *_: NOT_SERVED)
                assert quick == _outcome(socket.call_from_script, *sent), (read, arguments)


def test_what_scripts_read_most_is_served_without_fakeredis() -> None:
    with virtual_server_time():
        database = _filled()._socket._db
        for read, name in (
            ("hgetall", b"hash"),
            ("hmget", b"hash"),
            ("mget", b"string"),
            ("xinfo stream", b"stream"),
        ):
            assert serve(read, database, (name,)) is not NOT_SERVED, read
