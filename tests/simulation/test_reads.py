"""The reads that the simulation serves by itself answer what fakeredis answers."""

from __future__ import annotations

import random
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


def _calls(random: random.Random) -> list[tuple[str, tuple[bytes, ...]]]:
    """One call of each read, of a random name and with random arguments."""
    name, place = random.choice(NAMES), random.choice([b"0", b"1", b"2", b"9"])
    end = random.choice([b"-1", b"0", b"1", b"3", b"100"])
    first, last = random.choice([b"-", b"7-2", b"(7-3", b"7", b"8-0"]), random.choice([b"+", b"7-4", b"7", b"(7-4"])
    options: tuple[bytes, ...] = random.choice([(), (b"COUNT", b"2"), (b"COUNT", b"1")])
    fields = tuple(random.choices(FIELDS, k=3))
    return [
        ("get", (name,)),
        ("mget", (name, random.choice(NAMES))),
        ("strlen", (name,)),
        ("getrange", (name, place, end)),
        ("exists", (name, random.choice(NAMES))),
        ("hget", (name, fields[0])),
        ("hmget", (name, *fields)),
        ("hgetall", (name,)),
        ("hkeys", (name,)),
        ("lrange", (name, place, end)),
        ("time", ()),
        ("xrange", (name, first, last, *options)),
        ("xinfo stream", (name,)),
    ]


def _outcome(function: Any, *arguments: Any) -> Any:
    """What a script sees, as plain Python: tables as lists, an error as its text."""
    try:
        return _plain(function(*arguments))
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def _plain(value: Any) -> Any:
    return [_plain(each) for each in value.values()] if hasattr(value, "values") else value


@pytest.mark.parametrize("seed", range(20))
def test_a_read_answers_a_script_what_fakeredis_answers(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with virtual_server_time():
        server = _filled()
        served = set()
        socket = server._socket
        for name, arguments in _calls(random.Random(seed)):
            operation, *rest = name.split(" ")
            sent = (operation.encode(), *[each.encode() for each in rest], *arguments)
            quick = _outcome(socket.call_from_script, *sent)
            if serve(name, socket._db, arguments) is not NOT_SERVED:
                served.add(name)
            with monkeypatch.context() as patch:
                patch.setattr("tests.simulation.servers.serve", lambda *_: NOT_SERVED)
                assert quick == _outcome(socket.call_from_script, *sent), (name, arguments)
        assert {"mget", "time", "exists"} <= served
