"""What a run is told, and the sizes that are the same in every run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from redrepl import Configuration
    from redrepl.embedded import ServerBinary

PREFIX = "redrepl-bench:"
"""Every key begins so, on servers of your own too."""

KEYS = 1000
"""Different keys of single operations, each written again and again."""

BATCH_KEYS = 500
"""Keys of one batch: what redrepl sends in one round trip."""

TASKS = 64
"""Concurrent asyncio tasks."""


@dataclass(frozen=True, slots=True)
class Settings:
    """``rounds`` count, ``operations``: calls of a subject in a round.

    ``own``: your cluster; None: embedded servers.

    events: how often a fault happens to each subject, where faults are measured. keys: of the large
    cluster.
    binary: the embedded servers' program; None: what is found when it is needed.
    """

    rounds: int
    operations: int
    value_bytes: int
    copies: int
    events: int = 10
    keys: int = 1_000_000
    own: Configuration | None = None
    binary: ServerBinary | None = None

    @property
    def value(self) -> bytes:
        """The value that is stored."""
        return b"x" * self.value_bytes


def single_key(number: int) -> str:
    """The key of a single operation."""
    return f"{PREFIX}{number % KEYS}"


def batch_keys() -> list[str]:
    """The keys of a batch."""
    return [f"{PREFIX}batch:{number}" for number in range(BATCH_KEYS)]


def plain_key(key: str) -> str:
    """The key under which redis-py stores for itself what redrepl stores under ``key``."""
    return f"{PREFIX}plain:{key.removeprefix(PREFIX)}"
