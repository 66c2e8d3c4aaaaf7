"""Looks at processes from outside."""

import os
from pathlib import Path


def process_is_gone(pid: int) -> bool:
    """Whether `pid` has ended; a zombie that nobody waits for has ended too."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text(errors="replace").rpartition(")")[2].split()[0] == "Z"


def all_gone(pids: list[int]) -> bool:
    """Whether every one of `pids` has ended."""
    return all(map(process_is_gone, pids))
