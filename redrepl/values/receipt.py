"""What a write answers: the outcome and which copies have it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple

from redrepl.values.stamp import Stamp


class Outcome(Enum):
    """COMMITTED: the required copies have it. UNKNOWN: it may take effect or not. REJECTED: certainly no effect."""

    COMMITTED = "committed"
    UNKNOWN = "unknown"
    REJECTED = "rejected"


class WriteReceipt(NamedTuple):
    """The answer to a write.

    key: as the caller gave it.
    stamp: the version it got (as decided by the primary), or the proposed one while nothing is decided.
    applied: whether it changed the key: False for an `add` that found a value, a failed comparison, an `expire` of an
        absent key, and, with several primaries, a write that a later one already superseded.
    acked, pending: ids of the copies that confirmed, and of those whose answer was not waited for, or did not come.
    failed: ids of the copies that refused or could not be reached, each with the reason.
    required: copies besides the deciding one that had to confirm.
    elapsed: seconds.
    """

    key: str | bytes
    stamp: Stamp
    outcome: Outcome
    applied: bool
    acked: frozenset[str]
    pending: frozenset[str]
    failed: Mapping[str, str]
    required: int
    elapsed: float
