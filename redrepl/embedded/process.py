"""One running server process, its signals and its end."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from redrepl.embedded.errors import EmbeddedError
from redrepl.embedded.watchdog import watchdog
from redrepl.embedded.watchdog_child import kill_group

TERMINATION_TIMEOUT_SECONDS = 5.0
"""A server ends within its 100 ms timer after SIGTERM, later only if it has much to save; then it
is killed.
"""

KILL_TIMEOUT_SECONDS = 30.0
"""SIGKILL cannot be refused, but a process may be stuck in a slow disk."""


class ServerProcess:
    """A server process in a session of its own, so that Ctrl-C in a terminal does not reach it."""

    def __init__(
        self, command: Sequence[str], log_file: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self._owner_pid = os.getpid()
        self._frozen = False
        with log_file.open("ab") as log:
            self._popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=log_file.parent,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )
        self.pid: int = self._popen.pid
        try:
            watchdog.register_process(self.pid)
        except BaseException:
            self.kill()
            raise

    @property
    def running(self) -> bool:
        """Whether the process exists, frozen or not."""
        if os.getpid() == self._owner_pid:
            return self._popen.poll() is None
        # Only the owner can wait for it; a forked child can merely look.
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        return True

    @property
    def frozen(self) -> bool:
        """Whether the process is stopped by `freeze()`."""
        return self._frozen and self.running

    def freeze(self) -> None:
        """Stop the process where it is and wait until it has stopped."""
        if not self.running:
            raise EmbeddedError(f"process {self.pid} is not running and cannot be frozen")
        self._popen.send_signal(signal.SIGSTOP)
        if hasattr(os, "waitid"):
            # WNOWAIT leaves the state for Popen; WEXITED ends the wait if it was killed meanwhile.
            os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        self._frozen = True

    def resume(self) -> None:
        """Let a frozen process go on; it first runs the commands that are waiting in its
        sockets.
        """
        if self.frozen:
            self._popen.send_signal(signal.SIGCONT)
        self._frozen = False

    def kill(self) -> None:
        """SIGKILL the process and its helpers, frozen or not, and wait for its end."""
        if self.running:
            kill_group(self.pid)
        try:
            self._popen.wait(KILL_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise EmbeddedError(
                f"process {self.pid} is still there {KILL_TIMEOUT_SECONDS} s after SIGKILL"
            ) from error
        self._frozen = False
        watchdog.unregister_process(self.pid)

    def terminate(self) -> None:
        """Ask the process to save and end; kill it if that takes too long."""
        if self.running:
            self._popen.send_signal(signal.SIGTERM)
            # SIGTERM is already waiting, so a frozen server wakes up to end.
            self.resume()
            try:
                self._popen.wait(TERMINATION_TIMEOUT_SECONDS)
            except subprocess.TimeoutExpired:
                kill_group(self.pid)
        self.kill()
