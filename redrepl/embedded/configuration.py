"""The configuration file of an embedded server, as text."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

Persistence = Literal["none", "aof", "rdb"]

LOOPBACK_ADDRESS = "127.0.0.1"
"""The only address an embedded server listens on: it has no business on a network."""

RDB_SAVE_POINTS = "3600 1 300 100 60 10000"
"""Seconds and changes, the defaults of Redis 7: what 'rdb' means to somebody who runs a plain
server.
"""

_PERSISTENCE_LINES: dict[Persistence, tuple[str, ...]] = {
    "none": ('save ""', "appendonly no"),
    "aof": ('save ""', "appendonly yes", "appendfsync everysec"),
    "rdb": (f"save {RDB_SAVE_POINTS}", "appendonly no"),
}

_FIXED_LINES = (
    f"bind {LOOPBACK_ADDRESS}",
    # Loopback clients never notice protected mode; it only guards a caller who widens `bind`.
    "protected-mode yes",
    "daemonize no",
    # Eviction would also remove the bookkeeping keys.
    "maxmemory-policy noeviction",
    # The default waits up to 10 s for lagging replicas, which would stretch every stop.
    "shutdown-timeout 0",
)


def _quoted(value: str) -> str:
    """`value` as a double-quoted configuration word, every byte outside plain ASCII escaped."""
    plain = {byte: chr(byte) for byte in range(0x20, 0x7F) if chr(byte) not in '"\\'}
    escaped = "".join(
        plain.get(byte, f"\\x{byte:02x}") for byte in value.encode("utf-8", "surrogateescape")
    )
    return f'"{escaped}"'


def _lines(
    port: int, data_directory: Path, persistence: Persistence, password: str | None
) -> Iterator[str]:
    yield from _FIXED_LINES
    yield f"port {port}"
    yield f"dir {_quoted(str(data_directory))}"
    yield from _PERSISTENCE_LINES[persistence]
    if password is not None:
        yield f"requirepass {_quoted(password)}"


def check_persistence(persistence: str) -> None:
    """Raise `ValueError` unless `persistence` is one of the known kinds."""
    if persistence not in _PERSISTENCE_LINES:
        raise ValueError(
            f"persistence is {persistence!r}, but must be one of {', '.join(_PERSISTENCE_LINES)}"
        )


def render_configuration(
    *, port: int, data_directory: Path, persistence: Persistence, password: str | None
) -> str:
    """The text of the configuration file; the password is in it, so store it readable by the owner
    only.
    """
    return "\n".join(_lines(port, data_directory, persistence, password)) + "\n"
