"""What the exit codes mean, in every command."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """DONE: healthy or done.

    DEGRADED: works, but a copy is missing or behind. UNAVAILABLE: required copies are not there.
    INTERRUPTED and BROKEN_PIPE: 128 plus the number of the signal, as shells count.
    """

    DONE = 0
    ERROR = 1
    USAGE = 2
    DEGRADED = 3
    UNAVAILABLE = 4
    INTERRUPTED = 130
    BROKEN_PIPE = 141
