"""A server's wall clock that can be moved, for tests and fault runs: a small library preloaded into
the server.
"""

from __future__ import annotations

import functools
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from importlib import resources
from pathlib import Path

from redrepl.embedded.errors import ClockNotMovable

_COMPILERS = ("cc", "gcc", "clang")
_COMPILE_SECONDS = 60.0
_FORM = struct.Struct("=q")


def why_clocks_are_fixed() -> str | None:
    """Why servers with a movable clock cannot be started here, in words; None where they can."""
    try:
        _library()
    except ClockNotMovable as error:
        return str(error)
    return None


class MovableClock:
    """The wall clock of one server, by which it expires keys and answers TIME.

    It stays moved over restarts.
    """

    def __init__(self, folder: Path) -> None:
        """Put what is needed into a folder of the server's. Raises `ClockNotMovable`."""
        self._library_file = folder / "clock.so"
        self._offset_file = folder / "clock"
        self._library_file.write_bytes(_library())
        self._offset_file.write_bytes(_FORM.pack(0))

    @property
    def environment(self) -> dict[str, str]:
        """What the server is to be started with."""
        return {"LD_PRELOAD": str(self._library_file), "REDREPL_CLOCK": str(self._offset_file)}

    def set(self, seconds: float) -> None:
        """From now on the clock is so far ahead of the machine's; negative: behind."""
        with self._offset_file.open("r+b") as file:
            file.write(_FORM.pack(round(seconds * 1e6)))


@functools.cache
def _library() -> bytes:
    """The compiled library. Raises `ClockNotMovable` where it cannot be made."""
    if sys.platform != "linux":
        raise ClockNotMovable(
            f"a server's clock can be moved on Linux alone, not on {sys.platform}"
        )
    compiler = next(filter(None, map(shutil.which, _COMPILERS)), None)
    if compiler is None:
        raise ClockNotMovable(
            "moving a server's clock needs a C compiler (cc), which is not installed here"
        )
    source = resources.files("redrepl.embedded").joinpath("clock.c").read_text("ascii")
    with tempfile.TemporaryDirectory(prefix="redrepl-clock-") as folder:
        made = os.path.join(folder, "clock.so")
        command = [compiler, "-O1", "-shared", "-fPIC", "-x", "c", "-o", made, "-"]
        done = subprocess.run(
            command, input=source, capture_output=True, text=True, timeout=_COMPILE_SECONDS
        )
        if done.returncode:
            raise ClockNotMovable(
                f"moving a server's clock needs a C compiler: {' '.join(command)}: {done.stderr}"
            )
        return Path(made).read_bytes()
