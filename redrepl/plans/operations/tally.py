"""Counting the copies that hold a write: won, lost or still pending. The quorum arithmetic of redrepl, alone."""

from __future__ import annotations

from enum import Enum

from redrepl.values.stamp import Stamp


class Standing(Enum):
    """WON: enough copies hold it. LOST: enough can no longer be reached. PENDING: neither yet."""

    WON = "won"
    LOST = "lost"
    PENDING = "pending"


class Tally:
    """Which of the other copies hold at least the decided stamp."""

    __slots__ = ("applied", "decided", "failed", "held", "others", "required", "waiting")

    def __init__(self, others: tuple[str, ...], required: int) -> None:
        self.others = others
        self.required = required
        self.decided: Stamp | None = None
        self.applied = True
        self.held: dict[str, Stamp] = {}
        self.failed: dict[str, str] = {}
        self.waiting: dict[str, str] = {}

    def holds(self, node: str, stamp: Stamp) -> None:
        """A copy says that this stamp, or a later one, stands there."""
        if stamp >= self.held.get(node, stamp):
            self.held[node] = stamp

    def fails(self, node: str, reason: str) -> None:
        """A copy refused or could not be reached."""
        self.failed[node] = reason

    def waits(self, node: str, reason: str) -> None:
        """A copy refused for now and is going to be asked again."""
        self.waiting[node] = reason

    def reasons(self) -> dict[str, str]:
        """Why copies have not confirmed, where they said so."""
        return {**self.waiting, **self.failed} if self.waiting else self.failed

    def acked(self) -> list[str]:
        """Other copies that hold at least the decided stamp."""
        decided = self.decided
        if decided is None:
            return []
        return [node for node, stamp in self.held.items() if stamp >= decided]

    def standing(self) -> Standing:
        """Won, lost or pending. Nothing is won or lost before the stamp is decided."""
        if self.decided is None:
            return Standing.PENDING
        acked = self.acked()
        if len(acked) >= self.required:
            return Standing.WON
        lost = len(self.failed.keys() - acked)
        return Standing.LOST if len(self.others) - lost < self.required else Standing.PENDING
