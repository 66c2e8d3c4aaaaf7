"""Whether a coordinator's memory stays flat: resident memory of this process over many
operations.
"""

from __future__ import annotations

import gc
import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redrepl import Coordinator
from redrepl_cli.bench.servers import coordinator
from redrepl_cli.bench.settings import KEYS, PREFIX, Settings, single_key
from redrepl_cli.bench.stage import CannotMeasure, Stage

LOOKS = 10
"""Readings after the first one, at equal distances."""

DIFFERENT_KEYS = 20_000
"""Different keys on embedded servers: more than a session remembers one by one.

On servers of yours a thousand.
"""


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory of the process, ``rss_bytes``, before the operations and after each tenth of
    them.
    """

    operations: int
    different_keys: int
    rss_bytes: tuple[int, ...]

    @property
    def growth_bytes(self) -> int:
        """From the first reading to the last; less than 0 where memory was given back."""
        return self.rss_bytes[-1] - self.rss_bytes[0]

    @property
    def growth_bytes_per_operation(self) -> float:
        """A leak of one small object per operation would be 50 and more."""
        return self.growth_bytes / self.operations

    def as_json(self) -> dict[str, Any]:
        """The form that stays stable."""
        return {
            "operations": self.operations,
            "different_keys": self.different_keys,
            "rss_before_bytes": self.rss_bytes[0],
            "rss_after_bytes": self.rss_bytes[-1],
            "growth_bytes": self.growth_bytes,
            "growth_bytes_per_operation": round(self.growth_bytes_per_operation, 3),
            "rss_bytes": list(self.rss_bytes),
        }


def measure_memory(settings: Settings, operations: int, on_look: Callable[[int], None]) -> Memory:
    """Set and get in turns. Raises CannotMeasure; ``on_look`` hears how many readings are taken."""
    resident_bytes()
    names = _names(settings)
    with Stage(settings) as stage:
        store = stage.use(coordinator)
        _warm_up(store, names, settings.value)
        readings = [_settled_bytes()]
        for look in range(LOOKS):
            first, last = operations * look // LOOKS, operations * (look + 1) // LOOKS
            _operate(store, names, settings.value, range(first, last))
            readings.append(_settled_bytes())
            on_look(look + 1)
    return Memory(operations, len(names), tuple(readings))


def _names(settings: Settings) -> list[str]:
    # Servers of yours keep a tombstone for each key that was deleted.
    if settings.own is not None:
        return [single_key(number) for number in range(KEYS)]
    return [f"{PREFIX}{number}" for number in range(DIFFERENT_KEYS)]


def _warm_up(store: Coordinator[str, bytes], names: Sequence[str], value: bytes) -> None:
    """Caches and buffers reach their size, and the session its number of keys, before the first
    reading.
    """
    store.set_many(dict.fromkeys(names, value))
    _operate(store, names, value, range(KEYS))


def _operate(
    store: Coordinator[str, bytes], names: Sequence[str], value: bytes, numbers: range
) -> None:
    for number in numbers:
        name = names[number // 2 % len(names)]
        if number % 2:
            store.get(name)
        else:
            store.set(name, value, level="quorum")


def _settled_bytes() -> int:
    gc.collect()
    return resident_bytes()


def resident_bytes() -> int:
    """Memory of this process that is in use now.

    Raises CannotMeasure where the system does not tell.
    """
    statm = Path("/proc/self/statm")
    try:
        if statm.exists():
            return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        command = ["ps", "-o", "rss=", "-p", str(os.getpid())]
        return (
            int(subprocess.run(command, capture_output=True, check=True, text=True).stdout) * 1024
        )
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        raise CannotMeasure(f"this system does not tell a process's memory: {error}") from error
