"""What a write answers: the outcome and which copies have it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import Enum
from typing import NamedTuple

from redrepl.values.stamp import Stamp


class Outcome(Enum):
    """COMMITTED: the required copies have it.

    UNKNOWN: it may take effect or not. REJECTED: certainly no effect.
    """

    COMMITTED = "committed"
    UNKNOWN = "unknown"
    REJECTED = "rejected"


class WriteReceipt(NamedTuple):
    """The answer to a write.

    key: as the caller gave it.
    stamp: the version it got (as decided by the primary), or the proposed one while nothing is
        decided.
    applied: whether it changed the key: False for an `add` that found a value, a failed comparison,
        an `expire` of an absent key, and, with several primaries, a write that a later one already
        superseded.
    acked, pending: ids of the copies that confirmed, and of those whose answer was not waited for,
        or did not come.
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

    @classmethod
    def committed(
        cls,
        key: str | bytes,
        stamp: Stamp,
        *,
        acked: Collection[str],
        required: int,
        elapsed: float,
        applied: bool = True,
        pending: Collection[str] = (),
        failed: Mapping[str, str] | None = None,
    ) -> WriteReceipt:
        """The receipt of a write that the required copies have.

        ``applied`` is False where nothing was to be changed: a failed comparison, or a write that
        a later one had superseded.
        """
        copies = frozenset(acked), frozenset(pending), dict(failed or {})
        return cls(key, stamp, Outcome.COMMITTED, applied, *copies, required, elapsed)

    @classmethod
    def unknown(
        cls,
        key: str | bytes,
        stamp: Stamp,
        *,
        failed: Mapping[str, str],
        required: int,
        elapsed: float,
        applied: bool = False,
        acked: Collection[str] = (),
        pending: Collection[str] = (),
    ) -> WriteReceipt:
        """The receipt of a write that may take effect or not.

        ``applied`` is True where the primary stored it and too few of the other copies confirmed.
        """
        copies = frozenset(acked), frozenset(pending), dict(failed)
        return cls(key, stamp, Outcome.UNKNOWN, applied, *copies, required, elapsed)

    @classmethod
    def rejected(
        cls,
        key: str | bytes,
        stamp: Stamp,
        *,
        failed: Mapping[str, str],
        required: int,
        elapsed: float = 0.0,
    ) -> WriteReceipt:
        """The receipt of a write that certainly had no effect: no copy has it, or can get it."""
        nowhere = frozenset[str]()
        copies = nowhere, nowhere, dict(failed)
        return cls(key, stamp, Outcome.REJECTED, False, *copies, required, elapsed)
