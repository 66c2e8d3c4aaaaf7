"""A real Redis or Valkey server as a child of this process, for development, demonstrations and
tests.
"""

import atexit
import contextlib
import os
import threading
from collections.abc import Generator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from redrepl.embedded.binary import ServerBinary, find_server_binary
from redrepl.embedded.configuration import LOOPBACK_ADDRESS, Persistence, check_persistence
from redrepl.embedded.errors import ClockNotMovable, EmbeddedError
from redrepl.embedded.instance import Instance
from redrepl.embedded.launch import LaunchSettings

START_TIMEOUT_SECONDS = 15.0
"""A server is ready in 10 to 40 ms; the rest is for overloaded machines and for loading much
data.
"""


class EmbeddedServer:
    """A server on 127.0.0.1 that ends with this process, however this process ends.

    `binary` is a `ServerBinary`, a path, or None for the best one found. `directory` receives the
    data and stays after `stop()`; without it the data lies in a temporary directory that `stop()`
    removes. A `port` of None lets the operating system choose. `extra_arguments` are appended to
    the command line, as in `("--maxmemory", "50mb")`. With `movable_clock` the server's wall clock
    can be moved by `set_clock()`; where that cannot be, `start()` raises `ClockNotMovable`
    (`why_clocks_are_fixed()` tells before).

    Methods may be called from several threads. A forked child of the owner can use the server, but
    not end it: there `stop()` does nothing and the other lifecycle methods raise `EmbeddedError`.
    """

    def __init__(
        self,
        name: str = "server",
        binary: ServerBinary | str | os.PathLike[str] | None = None,
        directory: str | os.PathLike[str] | None = None,
        port: int | None = None,
        persistence: Persistence = "none",
        password: str | None = None,
        extra_arguments: Sequence[str] = (),
        *,
        start_timeout_seconds: float = START_TIMEOUT_SECONDS,
        movable_clock: bool = False,
    ) -> None:
        check_persistence(persistence)
        found = binary if isinstance(binary, ServerBinary) else find_server_binary(binary)
        settings = LaunchSettings(
            name,
            found,
            persistence,
            password,
            tuple(extra_arguments),
            start_timeout_seconds,
            movable_clock,
        )
        self._instance = Instance(
            settings, None if directory is None else Path(directory), port or None
        )
        self._lock = threading.RLock()
        self._owner_pid: int | None = None

    @property
    def name(self) -> str:
        """The name it was given, for messages and directory names."""
        return self._instance.settings.name

    @property
    def binary(self) -> ServerBinary:
        """The program it runs."""
        return self._instance.settings.binary

    @property
    def running(self) -> bool:
        """Whether the server process exists, frozen or not."""
        process = self._instance.process
        return process is not None and process.running

    @property
    def frozen(self) -> bool:
        """Whether the server process is stopped by `freeze()`."""
        process = self._instance.process
        return process is not None and process.frozen

    @property
    def pid(self) -> int:
        """The server's process id; raises `EmbeddedError` when it is not running."""
        return self._instance.running_process().pid

    @property
    def port(self) -> int:
        """The TCP port, the same from `start()` to `stop()`; raises `EmbeddedError` outside of that
        unless given.
        """
        reserved, given = self._instance.port, self._instance.given_port
        if reserved is None and given is None:
            raise EmbeddedError(f"server {self.name} has no port: it is not started")
        return reserved.number if reserved is not None else given or 0

    @property
    def url(self) -> str:
        """The address for clients, with the password: redis://:secret@127.0.0.1:6379/0."""
        password = self._instance.settings.password
        secret = "" if password is None else f":{quote(password, safe='')}@"
        return f"redis://{secret}{LOOPBACK_ADDRESS}:{self.port}/0"

    @property
    def directory(self) -> Path:
        """Where the server keeps its data; raises `EmbeddedError` before `start()` unless one was
        given.
        """
        return self._instance.given_directory or self._instance.started_home().data

    def log_tail(self) -> str:
        """The last lines the server wrote, also after its end."""
        home = self._instance.home
        return self._instance.last_log if home is None else home.log_tail()

    def start(self) -> Self:
        """Start the server and wait until it answers; does nothing when it runs.

        Raises `ServerStartError`.

        After `kill()` it comes back with its port and data, after `stop()` as a new server.
        """
        with self._owned():
            if not self.running:
                self._start()
        return self

    def stop(self) -> None:
        """End the server and remove what it owns; works on frozen and dead servers and may be
        called again.

        Where the data stays behind the end is graceful (SIGTERM, SIGKILL after 5 s), else it is
        immediate.
        """
        if self._is_foreign():
            return
        with self._lock:
            home = self._instance.home
            self._instance.end(graceful=home is not None and home.keeps_data)
            self._instance.release()
            self._owner_pid = None
            _started.discard(self)

    def kill(self) -> None:
        """SIGKILL the server, as a crash does; port and data stay for `start()` or `restart()`."""
        with self._owned():
            self._instance.end(graceful=False)

    def freeze(self) -> None:
        """SIGSTOP the server: connections stay open and nothing answers; raises `EmbeddedError` if
        it is not running.

        When resumed it runs the commands that arrived meanwhile.
        """
        with self._owned():
            self._instance.running_process().freeze()

    def resume(self) -> None:
        """SIGCONT a frozen server; does nothing to others."""
        with self._owned():
            if self._instance.process is not None:
                self._instance.process.resume()

    def set_clock(self, seconds: float) -> None:
        """Set the server's wall clock so far ahead of the machine's (negative: behind), at once,
        also over restarts.

        Raises `ClockNotMovable` unless the server was made with `movable_clock`.
        """
        with self._owned():
            if not self._instance.settings.has_movable_clock:
                raise ClockNotMovable(f"server {self.name} was made without movable_clock")
            self._instance.started_home().movable_clock().set(seconds)

    def restart(self, empty: bool = False) -> None:
        """End the server if it runs and start it on the same port with its stored data, or with
        none if `empty`.

        The end is graceful where data is stored; a frozen server first wakes up for that.
        """
        with self._owned():
            self._instance.end(graceful=self._instance.settings.persistence != "none" and not empty)
            if empty and self._instance.home is not None:
                self._instance.home.wipe_data()
            self._start()

    def snapshot_directory(self) -> Path:
        """Copy the stored data for a later `restore_directory()`; the copy lives until `stop()`.

        A running server is frozen during the copy, so it holds every write confirmed before the
        call. With persistence 'rdb' it is told to SAVE first; with 'none' there is nothing to copy:
        `EmbeddedError`.
        """
        with self._owned():
            return self._instance.snapshot()

    def restore_directory(self, snapshot: str | os.PathLike[str]) -> None:
        """Put the data of `snapshot` in place of the present one; a running server is killed first.

        It stays down until `start()` or `restart()`. Raises `FileNotFoundError` when there is no
        such snapshot.
        """
        with self._owned():
            home = self._instance.started_home()
            self._instance.end(graceful=False)
            home.restore_snapshot(Path(snapshot))

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        state = "frozen" if self.frozen else "running" if self.running else "not running"
        reserved = self._instance.port
        port = self._instance.given_port if reserved is None else reserved.number
        return f"<EmbeddedServer {self.name} {self.binary.engine} port={port} {state}>"

    def _start(self) -> None:
        self._owner_pid = os.getpid()
        _started.add(self)
        try:
            self._instance.start()
        except BaseException:
            if self._instance.home is None:
                self._owner_pid = None
                _started.discard(self)
            raise

    def _is_foreign(self) -> bool:
        return self._owner_pid not in (None, os.getpid())

    @contextlib.contextmanager
    def _owned(self) -> Generator[None]:
        # Before the lock, because a lock held by another thread at the fork is never released in
        # the child.
        if self._is_foreign():
            raise EmbeddedError(
                f"server {self.name} belongs to process {self._owner_pid}, not to its forked child"
            )
        with self._lock:
            yield


_started: set[EmbeddedServer] = set()
"""Servers that own a process or files; this also keeps them from being collected while they run."""


def _stop_all() -> None:
    for server in list(_started):
        # One that fails must not keep the others running; the watchdog, which ends next, takes what
        # is left.
        with contextlib.suppress(EmbeddedError, OSError):
            server.stop()


# After the watchdog's own registration, so it runs before it.
atexit.register(_stop_all)
