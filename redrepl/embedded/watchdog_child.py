"""The watchdog's own program: ends servers and removes directories whose owner is gone.

Run by path with `python -I -S`, so it imports nothing but light parts of the standard library. It
reads lines from its standard input: `+process <pid> <start>`, `-process <pid>`, `+directory <hex>`,
`-directory <hex>`. When the input ends, the owner has ended, however it ended: whatever is still
listed is killed and removed.
"""

import contextlib
import os
import signal
import sys
import time

UNKNOWN_START_TIME = "-"
"""Written where the system has no /proc to ask."""

OWNED_DIRECTORY_PREFIX = "redrepl-"
"""Only directories named so are ever removed: a broken line must not cost anybody's data."""

REMOVAL_ATTEMPTS = 200
REMOVAL_INTERVAL_SECONDS = 0.01
"""A killed server may still be writing its last file while its directory is removed; together 2
s.
"""


def process_start_time(pid: int) -> str:
    """When `pid` was started, in clock ticks since boot, to tell it from a later process with its
    number.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The command name in parentheses may hold anything; field 22 is the twentieth after it.
            return file.read().rpartition(b")")[2].split()[19].decode()
    except (OSError, IndexError):
        return UNKNOWN_START_TIME


def kill_group(pid: int) -> None:
    """SIGKILL the session `pid` leads, thus also a child that is saving or rewriting a file."""
    # It may be gone already, which is what is wanted.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def kill_registered(processes: dict[int, str]) -> None:
    """Kill every listed process that is still the one that was listed."""
    for pid, start_time in processes.items():
        if process_start_time(pid) == start_time:
            kill_group(pid)


def _writes_into(pid: str, directories: list[bytes]) -> bool:
    """Whether the log of `pid` lies in one of `directories`; its command line does not tell,
    servers rewrite that.
    """
    try:
        return os.path.dirname(os.readlink(f"/proc/{pid}/fd/1".encode())) in directories
    except OSError:
        return False


def kill_unregistered(directories: list[bytes]) -> None:
    """Kill servers whose owner died between starting and registering them, where /proc shows
    them.
    """
    if not os.path.isdir("/proc/self"):
        return
    for entry in os.listdir("/proc"):
        if entry.isdigit() and _writes_into(entry, directories):
            kill_group(int(entry))


def remove_directory(directory: bytes) -> None:
    """Remove an owned directory with everything in it; gone already is fine."""
    import shutil  # only here: it costs more than the rest of this program together

    if not os.path.basename(directory).startswith(OWNED_DIRECTORY_PREFIX.encode()):
        return
    for _ in range(REMOVAL_ATTEMPTS):
        shutil.rmtree(directory, ignore_errors=True)
        if not os.path.lexists(directory):
            return
        time.sleep(REMOVAL_INTERVAL_SECONDS)


class Register:
    """What the owner has listed so far."""

    def __init__(self) -> None:
        self.processes: dict[int, str] = {}
        self.directories: list[bytes] = []

    def apply(self, line: bytes) -> None:
        """Follow one line; a line cut short by the owner's death is ignored."""
        match line.split():
            case [b"+process", pid, start_time]:
                self.processes[int(pid)] = start_time.decode()
            case [b"-process", pid]:
                self.processes.pop(int(pid), None)
            case [b"+directory", name]:
                self.directories.append(bytes.fromhex(name.decode()))
            case [b"-directory", name]:
                # Unlisting what was never listed changes nothing.
                with contextlib.suppress(ValueError):
                    self.directories.remove(bytes.fromhex(name.decode()))

    def clean_up(self) -> None:
        """End and remove everything still listed."""
        kill_registered(self.processes)
        kill_unregistered(self.directories)
        for directory in self.directories:
            remove_directory(directory)


def main() -> None:
    """Follow the owner's lines until they end, then clean up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Only the owner's end may end the watchdog.
        signal.signal(number, signal.SIG_IGN)
    register = Register()
    for line in sys.stdin.buffer:
        if line.endswith(b"\n"):
            register.apply(line)
    register.clean_up()


if __name__ == "__main__":
    main()
