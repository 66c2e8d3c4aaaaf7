"""`redrepl` as a process of its own, with pipes or on a terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

REDREPL = (sys.executable, "-m", "redrepl_cli")
TIMEOUT_SECONDS = 60


def environment(file: Path | None = None, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment without settings of redrepl but these."""
    found = {name: value for name, value in os.environ.items() if not name.startswith("REDREPL_")}
    if file is not None:
        found["REDREPL_CONFIG"] = str(file)
    # For runs without an installed redrepl; harmless with one.
    return {
        **found,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        **(extra or {}),
    }


def start(arguments: list[str], file: Path | None = None) -> subprocess.Popen[str]:
    """Start it with pipes; nothing is on its standard input."""
    return subprocess.Popen(
        [*REDREPL, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(file),
        text=True,
    )


class Ended(NamedTuple):
    """What a run on a terminal left behind; standard output and error are one there."""

    exit_code: int
    output: str


def run_on_terminal(
    arguments: list[str], file: Path, answers: Mapping[str, str] | None = None, columns: int = 100
) -> Ended:
    """Run it on a terminal of this width; where a prompt (a key of ``answers``) appears, type the
    answer.
    """
    reader, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(
        [*REDREPL, *arguments],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env={**environment(file), "TERM": "xterm"},
    )
    os.close(terminal)
    try:
        output = _converse(reader, dict(answers or {}))
        return Ended(process.wait(TIMEOUT_SECONDS), output)
    finally:
        os.close(reader)
        process.kill()


def _converse(reader: int, answers: dict[str, str]) -> str:
    output = b""
    while True:
        try:
            data = os.read(reader, 65536)
        except OSError:  # how Linux says that the other side is closed
            data = b""
        if not data:
            return output.decode()
        output += data
        for prompt in [prompt for prompt in answers if prompt.encode() in output]:
            os.write(reader, answers.pop(prompt).encode())
