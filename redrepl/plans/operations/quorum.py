"""Quorum arithmetic: whether enough copies hold some records, can no longer do so, or neither yet.

Only counts are known here: no answers, no stamps, no time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from enum import Enum


class QuorumStatus(Enum):
    """PENDING: neither of the others yet. LOST: too few copies are left. WON: enough hold it."""

    PENDING = "pending"
    LOST = "lost"
    WON = "won"


def quorum_status(copies: int, required: int, holding: int, lost: int) -> QuorumStatus:
    """The status of one record, of which ``required`` of so many ``copies`` have to confirm.

    holding: copies that hold it. lost: copies that neither hold it nor are going to.
    """
    if holding >= required:
        return QuorumStatus.WON
    return QuorumStatus.LOST if copies - lost < required else QuorumStatus.PENDING


class AcknowledgementTracker:
    """Which of the other copies hold which of the records that were sent to them together.

    Records are numbered by their place. Nearly every copy holds all of them, so only what one lacks
    is kept: what this costs does not depend on how many records there are.
    """

    __slots__ = ("_copies", "_failed", "_lacking", "_records", "_required", "_withdrawn")

    def __init__(self, copies: int, required: int, records: int) -> None:
        self._copies = copies
        self._required = required
        self._records = records
        self._lacking: dict[str, Collection[int]] = {}
        self._failed: set[str] = set()
        self._withdrawn: set[int] = set()

    def acknowledge(self, copy: str, lacking: Collection[int] = ()) -> None:
        """A copy holds all records but those that it is ``lacking``, which it will not take."""
        self._lacking[copy] = lacking
        self._failed.discard(copy)

    def fail(self, copy: str) -> None:
        """A copy will not take any record. What it was known to hold, it still holds."""
        if copy not in self._lacking:
            self._failed.add(copy)

    def reopen(self, copy: str) -> None:
        """A copy is asked anew: nothing is known of it."""
        self._lacking.pop(copy, None)
        self._failed.discard(copy)

    def withdraw(self, records: Iterable[int]) -> None:
        """These records do not count any more: others took their place."""
        self._withdrawn.update(records)

    @property
    def counts_any(self) -> bool:
        """Whether a record is left that counts."""
        return len(self._withdrawn) < self._records

    def uncertain(self) -> set[int]:
        """Records that some copy lacks; every other record is held wherever a copy acknowledged."""
        return set().union(*self._lacking.values()) - self._withdrawn

    def holders(self, record: int) -> list[str]:
        """The copies that hold one record."""
        return [copy for copy, lacking in self._lacking.items() if record not in lacking]

    def status(self) -> QuorumStatus:
        """The status of all records that count, together.

        PENDING while one of them is. After that WON where all are, and LOST where at least one is.
        """
        uncertain = self.uncertain()
        status = QuorumStatus.WON
        if len(uncertain) + len(self._withdrawn) < self._records:
            status = self._status_of(len(self._lacking))
        for record in uncertain:
            if status is QuorumStatus.PENDING:
                break
            found = self._status_of(len(self.holders(record)))
            status = status if found is QuorumStatus.WON else found
        return status

    def _status_of(self, holding: int) -> QuorumStatus:
        """The status of a record that so many of the copies hold that acknowledged."""
        lost = len(self._failed) + len(self._lacking) - holding
        return quorum_status(self._copies, self._required, holding, lost)
