"""What the blocking and the asyncio coordinator share: every operation as one plan, waiting left out."""

from __future__ import annotations

from redrepl.doors.foundation import K, Limits, OwnK, OwnV, PendingWrite, V
from redrepl.doors.reads import FoundRecord, Reads, Walk
from redrepl.doors.writes import Writes

__all__ = ["CoordinatorBase", "FoundRecord", "K", "Limits", "OwnK", "OwnV", "PendingWrite", "V", "Walk"]


class CoordinatorBase(Writes[K, V], Reads[K, V]):
    """State and plans of a coordinator. See `redrepl.doors.coordinator` for the operations' meaning."""
