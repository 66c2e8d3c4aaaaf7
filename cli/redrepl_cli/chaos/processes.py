"""The client processes of a run, each with its log; none outlives this process."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path

from redrepl.embedded.watchdog import watchdog
from redrepl.testing.history import Operation, read_log
from redrepl_cli.children import SAFE_PATH

ANSWER_SECONDS = 30.0
"""For a client to follow an order; it finishes the operation under way first."""

END_SECONDS = 10.0

LATEST_BYTES = 1 << 15
"""Of a client's log, for a look at what it did in the last moments."""


class ClientFailed(Exception):
    """A client ended by itself or does not follow; the text says what it wrote."""


class ClientProcess:
    """One client, in a session of its own so that Ctrl-C does not reach it."""

    def __init__(self, configuration: Path, folder: Path, name: str, seed: int, keys: int) -> None:
        self.name = name
        self._log = folder / f"{name}.jsonl"
        self._errors = folder / f"{name}.err"
        self._log.touch()
        command = [
            sys.executable,
            *SAFE_PATH,
            "-m",
            "redrepl_cli.chaos.client",
            str(configuration),
            str(self._log),
        ]
        with self._errors.open("ab") as errors:
            self._process = subprocess.Popen(
                [*command, name, str(seed), str(keys)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={
                    name: value
                    for name, value in os.environ.items()
                    if not name.startswith("REDREPL_")
                },
                start_new_session=True,
                bufsize=0,
            )
        watchdog.register_process(self._process.pid)

    def order(self, text: str) -> None:
        """Give an order; `followed` waits until it is done.

        Raises ClientFailed where the client has ended.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{text}\n".encode())
        except BrokenPipeError:
            raise self._failure("ended") from None

    def followed(self) -> None:
        """Wait for the answer to one order. Raises ClientFailed."""
        assert self._process.stdout is not None
        readable, _, _ = select.select([self._process.stdout], [], [], ANSWER_SECONDS)
        if not readable:
            raise self._failure(f"does not answer within {ANSWER_SECONDS:g} s")
        line = b""
        while not line.endswith(b"\n"):
            part = self._process.stdout.read(1)
            if not part:
                raise self._failure("ended")
            line += part

    def operations(self) -> list[Operation]:
        """All that it has logged so far."""
        with self._log.open(encoding="utf-8") as log:
            return read_log(self.name, log)

    def latest_operations(self) -> list[Operation]:
        """The last of them: some hundred, however many there were before."""
        with self._log.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - LATEST_BYTES))
            lines = log.read().decode().splitlines(keepends=True)
        begun = next(
            (number for number, line in enumerate(lines) if line.startswith('["')), len(lines)
        )
        return read_log(self.name, lines[begun:])

    def kill(self) -> None:
        """SIGKILL, whatever it is doing."""
        self._process.kill()
        self._close()

    def close(self) -> None:
        """Let it come to an end, or kill it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._close()

    def _close(self) -> None:
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        watchdog.unregister_process(self._process.pid)

    def _failure(self, what: str) -> ClientFailed:
        text = self._errors.read_text(encoding="utf-8", errors="replace")[-2000:]
        return ClientFailed(f"client {self.name} {what}; it wrote: {text.strip() or 'nothing'}")
