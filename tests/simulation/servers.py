"""Servers of the simulation: fakeredis' commands and the library's scripts, with a clock that the
simulation sets.

A command runs at once and without threads, sockets or the protocol. Scripts are compiled once for
the whole process: a call then costs about a third of fakeredis' own EVALSHA, which compiles anew
and collects garbage each time. Data of a server can be set aside and put back, as a restart with an
older file does.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from zlib import crc32

import fakeredis
import hiredis
from fakeredis import _helpers as fake_helpers
from fakeredis._helpers import SimpleError, SimpleString
from fakeredis._socket import _base as fake_base
from fakeredis._socket._fakesocket import FakeSocket
from fakeredis.commands_mixins import server_mixin as fake_server_mixin
from fakeredis.commands_mixins.scripting_mixin import _convert_redis_arg
from fakeredis.model import _stream as fake_stream
from lupa import lua51

from redrepl.values.effects import Command, ScriptCall
from tests.simulation.reads import NOT_SERVED, serve
from tests.simulation.sources import Sources
from tests.support.scripts import without_flags

NO_SCRIPT = "NOSCRIPT No matching script. Please use EVAL."
Data = dict[bytes, Any]


class _Clock:
    """Stands in for the module `time` inside fakeredis: the clock of the server whose turn it
    is.
    """

    def __init__(self) -> None:
        self.seconds = 0.0

    def time(self) -> float:
        return self.seconds


_CLOCK = _Clock()
_TIMED = (fake_helpers, fake_base, fake_server_mixin, fake_stream)


@contextmanager
def virtual_server_time() -> Iterator[None]:
    """Inside, fakeredis reads the simulation's clock."""
    kept = [vars(module)["time"] for module in _TIMED]
    for module in _TIMED:
        vars(module)["time"] = _CLOCK
    try:
        yield
    finally:
        for module, time in zip(_TIMED, kept, strict=True):
            vars(module)["time"] = time


DENIED_AT_FULL_MEMORY = frozenset(("set", "mset", "xadd", "hset", "lpush"))
WRITING = DENIED_AT_FULL_MEMORY | {"del", "unlink", "hdel", "xtrim", "xdel", "ltrim"}


class _Socket(FakeSocket):
    """Runs commands and scripts for one server, without what only a real client needs.

    refusal: the error with which it refuses to write, None while it does not; the first word says
    for what reason.
    allows_oom: whether the script that runs may write at full memory.
    """

    refusal: str | None = None
    allows_oom = False

    def refusal_of(self, name: str) -> str | None:
        """The error where this command is refused inside a script."""
        if self.refusal is None or (self.refusal.startswith("OOM") and self.allows_oom):
            return None
        return (
            self.refusal
            if name in (DENIED_AT_FULL_MEMORY if self.refusal.startswith("OOM") else WRITING)
            else None
        )

    def run(self, name: str, arguments: tuple[bytes, ...]) -> Any:
        """What a command answers, as it comes over the wire; errors as values."""
        try:
            function, signature = self._name_to_func(name)
            for database in self._server.dbs.values():
                database.time = _CLOCK.seconds
            return _plain(self._run_command(function, signature, list(arguments), False))
        except SimpleError as error:
            return hiredis.ReplyError(error.value)

    def run_script(self, function: Any, keys: tuple[bytes, ...], arguments: list[bytes]) -> Any:
        """What a compiled script answers."""
        for database in self._server.dbs.values():
            database.time = _CLOCK.seconds
        self._script_resp = 2
        try:
            return _LUA.to_reply(_LUA.call(self, function, keys, arguments))
        except SimpleError as error:
            return hiredis.ReplyError(error.value)
        except lua51.LuaError as error:
            return hiredis.ReplyError(f"ERR {error}")
        finally:
            self._script_resp = None

    def call_from_script(self, operation: bytes, *arguments: Any) -> Any:
        """`redis.call`."""
        name, rest = operation.decode().lower(), arguments
        if name == "xinfo":
            name, rest = f"xinfo {arguments[0].decode().lower()}", arguments[1:]
        if (refusal := self.refusal_of(name)) is not None:
            raise SimpleError(refusal)
        sent = tuple([each if type(each) is bytes else _convert_redis_arg(each) for each in rest])
        result = serve(name, self._db, sent)
        if result is not NOT_SERVED:
            return _LUA.from_reply(result)
        function, signature = self._name_to_func(name)
        assert function is not None
        return self._convert_redis_result(
            _LUA.runtime, self._run_command(function, signature, list(sent), True)
        )


def _plain(result: Any) -> Any:
    """As hiredis gives it: status replies are bytes."""
    if type(result) is bytes or type(result) is int or result is None:
        return result
    if type(result) is SimpleString:
        return result.value
    if type(result) is SimpleError:
        return hiredis.ReplyError(result.value)
    if isinstance(result, (list, tuple)):
        return [_plain(each) for each in result]
    if isinstance(result, float):
        return b"%.17g" % result
    return result


def _encoded(arguments: tuple[bytes | int, ...]) -> list[bytes]:
    return [each if isinstance(each, bytes) else b"%d" % each for each in arguments]


class _Lua:
    """The one interpreter: scripts by their digest, and whose data `redis.call` reaches."""

    def __init__(self) -> None:
        self.runtime = lua51.LuaRuntime(encoding=None, unpack_returned_tuples=True)
        self._socket: _Socket | None = None
        self._functions: dict[bytes, Any] = {}
        prepare = self.runtime.eval(
            b"function(call, pcall, sha1hex) redis = {call = call, pcall = pcall, sha1hex = "
            b"sha1hex,"
            b" error_reply = function(text) return {err = text} end,"
            b" status_reply = function(text) return {ok = text} end} end"
        )
        prepare(self._call, self._pcall, lambda text: hashlib.sha1(text).hexdigest().encode())
        self._set_arguments = self.runtime.eval(b"function(keys, argv) KEYS = keys ARGV = argv end")
        self._unpacked = self.runtime.eval(
            b"function(t) return t.ok or false, t.err or false, unpack(t, 1, #t) end"
        )

    def function(self, sha: bytes, source: str) -> Any:
        """The script with this digest, compiled."""
        found = self._functions.get(sha)
        if found is None:
            found = self._functions[sha] = self.runtime.compile(without_flags(source).encode())
        return found

    def call(
        self, socket: _Socket, function: Any, keys: tuple[bytes, ...], arguments: list[bytes]
    ) -> Any:
        self._socket = socket
        table_from = self.runtime.table_from
        self._set_arguments(table_from(keys), table_from(arguments))
        return function()

    def from_reply(self, reply: Any) -> Any:
        """What a script sees of a reply: false for nil, a table for a list."""
        if reply is None:
            return False
        if type(reply) is not list:
            return reply
        return self.runtime.table_from(
            [each if type(each) is bytes else self.from_reply(each) for each in reply]
        )

    def to_reply(self, result: Any) -> Any:
        """A script's result as a client gets it from hiredis: numbers whole, nil for false, errors
        as values.
        """
        kind = type(result)
        if kind is bytes or kind is int:
            return result
        if kind is float:
            return int(result)
        if kind is bool:
            return 1 if result else None
        if result is None:
            return None
        ok, error, *items = self._unpacked(result)
        if ok or error:
            return ok or hiredis.ReplyError(error.decode("utf-8", "replace"))
        return [each if type(each) is bytes else self.to_reply(each) for each in items]

    def _call(self, operation: bytes, *arguments: Any) -> Any:
        assert self._socket is not None
        return self._socket.call_from_script(operation, *arguments)

    def _pcall(self, operation: bytes, *arguments: Any) -> Any:
        try:
            return self._call(operation, *arguments)
        except SimpleError as error:
            return self.runtime.table_from({b"err": error.value.encode()})


_LUA = _Lua()


class Server:
    """One server's data and what it answers.

    ``run_id`` changes with every start; then no script is loaded.

    page_names: the most that one SCAN answers.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.run_id = ""
        self.page_names = 1000
        self.scripts: set[bytes] = set()
        self._fake = fakeredis.FakeServer(version=(7,))
        # Streams are cut by whole blocks; blocks of two entries let short logs be cut at all.
        self._fake.config[b"stream-node-max-entries"] = b"2"
        self._socket = _Socket(self._fake, 0, client_class=fakeredis.FakeRedis)
        self._fake.lock.acquire()  # for good: its commands expect it held, and nobody else is there

    @property
    def refusal(self) -> str | None:
        """The error with which it refuses to write, None while it takes writes."""
        return self._socket.refusal

    @refusal.setter
    def refusal(self, error: str | None) -> None:
        self._socket.refusal = error

    @property
    def data(self) -> Data:
        """Everything it holds: fakeredis' items by name."""
        held: Data = self._fake.dbs[0]._dict
        return held

    def start(self, run_id: str, data: Data | None = None) -> None:
        """Begin a new run, with the data that is there, or with this instead."""
        self.run_id = run_id
        self.scripts.clear()
        self._fake.scan_cursors.clear()
        self.hold(data)

    def hold(self, data: Data | None) -> None:
        """Have this in place of what is there, in the same run; None: keep that."""
        if data is not None:
            database = self._fake.dbs[0]
            database._dict = data
            database._expiry_heap = [
                (item.expireat, name) for name, item in data.items() if item.expireat is not None
            ]
            database._expiry_heap.sort()

    def set_aside(self) -> Data:
        """A copy of all data, to be given to `start` later."""
        return copy.deepcopy(self.data)

    def answer(self, command: Command, sources: Sources, at_seconds: float) -> Any:
        """Carry out a command at this time of the server's clock; errors come as values."""
        _CLOCK.seconds = at_seconds
        if type(command) is ScriptCall:
            script = sources[command.script]
            if script.sha not in self.scripts:
                return hiredis.ReplyError(NO_SCRIPT)
            arguments = _encoded(command.arguments)
            self._socket.allows_oom = script.source.startswith("#!lua flags=allow-oom")
            if (
                self.refusal is not None
                and self._socket.allows_oom
                and not self.refusal.startswith("OOM")
            ):
                return hiredis.ReplyError(self.refusal)
            return self._socket.run_script(
                _LUA.function(script.sha, script.source), command.keys, arguments
            )
        name, *rest = _encoded(command.arguments)
        if name == b"INFO":
            return b"# Server\r\nrun_id:%b\r\n" % self.run_id.encode()
        if name == b"SCAN":
            return self._scan(*rest)
        return self._socket.run(name.decode().lower(), tuple(rest))

    def _scan(
        self, cursor: bytes, _match: bytes, pattern: bytes, _count: bytes, count: bytes
    ) -> list[Any]:
        """A page of names in an order that stays as keys come and go: what is there all the time
        comes, as promised.
        """
        names: list[bytes] = self._socket.run("keys", (pattern,))
        found = sorted((crc32(name) + 1, name) for name in names)
        left = [pair for pair in found if pair[0] > int(cursor)]
        page = left[: min(int(count), self.page_names)]
        is_last = len(page) == len(left)
        return [b"0" if is_last else b"%d" % page[-1][0], [name for _, name in page]]
