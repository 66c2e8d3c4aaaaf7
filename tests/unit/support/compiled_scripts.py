"""Fake servers that compile a script once.

fakeredis compiles a script and collects garbage at every call, and looks for new global variables
at every command in it: two thirds of what the unit tests with several servers took. Real servers
hold scripts to their rules in `tests/scripts`.
"""

from __future__ import annotations

from typing import Any

import fakeredis
from fakeredis.commands_mixins import scripting_mixin

CALLS_BETWEEN_COLLECTIONS = 500


class _CompilingRuntime:
    """A server's Lua interpreter that keeps the functions it made of scripts."""

    def __init__(self, runtime: Any) -> None:
        self._runtime = runtime
        self._functions: dict[bytes, Any] = {}
        self._calls = 0

    def execute(self, source: bytes | str) -> Any:
        """Run a script; fakeredis' own call for a collection, which is text, counts now and
        then.
        """
        if isinstance(source, str):
            self._calls += 1
            return (
                self._runtime.execute(source)
                if self._calls % CALLS_BETWEEN_COLLECTIONS == 0
                else None
            )
        function = self._functions.get(source)
        if function is None:
            function = self._functions[source] = self._runtime.compile(source)
        return function()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runtime, name)


def compile_scripts_once(server: fakeredis.FakeServer, client: Any) -> None:
    """Have this server keep compiled scripts. ``client``: any client of it."""
    client.execute_command("EVAL", "return 1", 0)  # it makes its interpreter at the first script
    held: Any = server
    if not isinstance(held._lua_runtime, _CompilingRuntime):
        held._lua_runtime = _CompilingRuntime(held._lua_runtime)


def _no_check(lua_runtime: Any, expected_globals: set[Any]) -> None:
    """Globals are looked for by real servers."""


scripting_mixin._check_for_lua_globals = _no_check
