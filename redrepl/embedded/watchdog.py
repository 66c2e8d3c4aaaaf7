"""The owner's side of the watchdog: nothing started here outlives this process, not even after
`kill -9`.
"""

import atexit
import contextlib
import os
import subprocess
import sys
import threading
from pathlib import Path

from redrepl.embedded import watchdog_child
from redrepl.embedded.watchdog_child import process_start_time

EXIT_TIMEOUT_SECONDS = 5.0
"""At a normal end nothing is listed any more and the watchdog exits in milliseconds."""


class Watchdog:
    """One helper process that learns of the owner's death from the end of its standard input.

    It is started with the first registration and again if it was killed. Thread-safe.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._entries: dict[str, str] = {}

    @property
    def pid(self) -> int | None:
        """The watchdog's process id, None while nothing was ever registered."""
        child = self._child
        return None if child is None else child.pid

    def register_process(self, pid: int) -> None:
        """Kill `pid` and its process group when this process ends."""
        self._add(f"process {pid}", f"+process {pid} {process_start_time(pid)}\n")

    def unregister_process(self, pid: int) -> None:
        """Forget `pid`, which has ended."""
        self._remove(f"process {pid}")

    def register_directory(self, directory: Path) -> None:
        """Remove `directory` when this process ends; its name must start with
        `OWNED_DIRECTORY_PREFIX`.
        """
        name = os.fsencode(directory).hex()
        self._add(f"directory {name}", f"+directory {name}\n")

    def unregister_directory(self, directory: Path) -> None:
        """Forget `directory`, which was removed."""
        self._remove(f"directory {os.fsencode(directory).hex()}")

    def close(self) -> None:
        """End the watchdog, which first cleans up what is still registered."""
        with self._lock:
            child, self._child = self._child, None
            self._entries.clear()
        if child is None or child.stdin is None:
            return
        child.stdin.close()
        # A watchdog that still waits for a slow disk may finish on its own.
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(EXIT_TIMEOUT_SECONDS)

    def forget_after_fork(self) -> None:
        """In a forked child: let go of the owner's watchdog, or the owner's death would go
        unnoticed.
        """
        child, self._child = self._child, None
        self._lock = threading.Lock()  # another thread may have held it at the fork
        self._entries = {}
        if child is not None and child.stdin is not None:
            child.stdin.close()
            child.returncode = 0  # it is the parent's to wait for

    def _add(self, key: str, line: str) -> None:
        with self._lock:
            self._entries[key] = line
            self._send(line)

    def _remove(self, key: str) -> None:
        with self._lock:
            if self._entries.pop(key, None) is not None:
                self._send(f"-{key}\n")

    def _send(self, line: str) -> None:
        if self._child is not None and self._write(self._child, line):
            return
        self._child = self._spawn()
        self._write(self._child, "".join(self._entries.values()))

    @staticmethod
    def _write(child: subprocess.Popen[bytes], text: str) -> bool:
        """False when the watchdog is dead."""
        assert child.stdin is not None, "started with a pipe"
        try:
            child.stdin.write(text.encode())
        except BrokenPipeError:
            child.wait()
            return False
        return True

    @staticmethod
    def _spawn() -> subprocess.Popen[bytes]:
        # Unbuffered: a line must be on its way when the call returns. The pipe is close-on-exec, as
        # Popen makes it.
        return subprocess.Popen(
            [sys.executable, "-I", "-S", watchdog_child.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,
        )


watchdog = Watchdog()
"""This process's watchdog."""

os.register_at_fork(after_in_child=watchdog.forget_after_fork)
# Registered before any server registers its own stop, so it runs after all of them.
atexit.register(watchdog.close)
