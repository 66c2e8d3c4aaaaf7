"""Asks a server over a raw socket whether it is ready and which process it is."""

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from redrepl.embedded.configuration import LOOPBACK_ADDRESS
from redrepl.embedded.errors import EmbeddedError

POLL_INTERVAL_SECONDS = 0.001
"""A server is ready within tens of milliseconds, so waiting longer between looks would show in the
start time.
"""

PROBE_TIMEOUT_SECONDS = 2.0
"""For one answer of a server that accepts connections; loopback answers in well under a
millisecond.
"""


class ProbeError(EmbeddedError):
    """The server answered a probe with an error, broke the connection off or made no sense."""


@dataclass(frozen=True)
class StartProblem:
    """Why a server never became ready; `port_taken` when somebody else answers in its place."""

    reason: str
    port_taken: bool = False


def _encode(words: tuple[str, ...]) -> bytes:
    parts = [f"*{len(words)}\r\n".encode()]
    for word in words:
        data = word.encode("utf-8", "surrogateescape")
        parts.append(b"$%d\r\n%s\r\n" % (len(data), data))
    return b"".join(parts)


_MOST_LENGTH_DIGITS = 7
_MOST_LINE_BYTES = 4096
"""Whatever else listens on a port."""


def _read_reply(stream: BinaryIO) -> bytes:
    """One status or bulk reply; other kinds are not needed here."""
    line = stream.readline(_MOST_LINE_BYTES)
    kind, rest = line[:1], line[1:].rstrip(b"\r\n")
    if kind == b"+":
        return rest
    if kind == b"$" and rest.isdigit() and len(rest) <= _MOST_LENGTH_DIGITS:
        return stream.read(int(rest) + 2)[:-2]
    raise ProbeError(f"unexpected answer {line[:200]!r}")


def ask(
    port: int, *commands: tuple[str, ...], timeout_seconds: float = PROBE_TIMEOUT_SECONDS
) -> list[bytes]:
    """The replies to `commands` on a new connection to 127.0.0.1:`port`; raises `OSError` or
    `ProbeError`.
    """
    with (
        socket.create_connection((LOOPBACK_ADDRESS, port), timeout=timeout_seconds) as connection,
        connection.makefile("rb") as stream,
    ):
        connection.sendall(b"".join(map(_encode, commands)))
        return [_read_reply(stream) for _ in commands]


def authentication(password: str | None) -> tuple[tuple[str, ...], ...]:
    """The commands that must come first on a connection."""
    return () if password is None else (("AUTH", password),)


def answering_process_id(port: int, password: str | None) -> int:
    """The process id of the server that answers on `port`; raises `OSError` or `ProbeError` while
    it is not ready.
    """
    replies = ask(port, *authentication(password), ("PING",), ("INFO", "server"))
    for line in replies[-1].splitlines():
        if line.startswith(b"process_id:"):
            text = line.partition(b":")[2].strip()
            if text.isdigit() and len(text) <= _MOST_LENGTH_DIGITS:
                return int(text)
    raise ProbeError("INFO names no process_id")


def wait_until_ready(
    port: int,
    password: str | None,
    *,
    process_id: int,
    timeout_seconds: float,
    has_exited: Callable[[], bool],
) -> StartProblem | None:
    """Wait for process `process_id` to answer on `port`; None when it does, else the reason it
    never will.
    """
    deadline = time.monotonic() + timeout_seconds
    last_problem: Exception | None = None
    while time.monotonic() < deadline:
        if has_exited():
            return StartProblem("it exited during its start")
        try:
            answering = answering_process_id(port, password)
        except (OSError, ProbeError) as error:
            last_problem = error
            time.sleep(POLL_INTERVAL_SECONDS)
            continue
        if answering == process_id:
            return None
        return StartProblem(
            f"process {answering} answers there, not the started process {process_id}",
            port_taken=True,
        )
    return StartProblem(
        f"it was not ready after {timeout_seconds} s, last problem: {last_problem!r}"
    )
