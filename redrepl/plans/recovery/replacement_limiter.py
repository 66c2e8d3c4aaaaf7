"""How often the place of a member goes to the empty server that answers there."""

from __future__ import annotations

from typing import NamedTuple

FIRST_REPLACEMENT_PAUSE_SECONDS = 1.0
LONGEST_REPLACEMENT_PAUSE_SECONDS = 300.0
"""From the second time on. At this pace one worker uses up 288 of the 524,286 epochs in a day."""

REPLACEMENT_CALM_SECONDS = 600.0
"""After so long without it, a member that is empty counts as one that is for the first time."""


class _Replacement(NamedTuple):
    at: float
    pause_seconds: float


class ReplacementLimiter:
    """Keeps a member that is emptied again and again, or lies that it is, from using up all epochs.

    Each time that its place goes to the empty server begins an epoch. The first time is at once,
    and each further one waits for twice as long as the one before. All times are the driver's
    clock, seconds.
    """

    def __init__(self) -> None:
        self._last: dict[str, _Replacement] = {}

    def may_replace(self, node: str, now: float) -> bool:
        """Whether the place of a member may go to the empty server now."""
        last = self._last.get(node)
        return last is None or now >= last.at + last.pause_seconds

    def note(self, node: str, now: float) -> None:
        """The place of a member went to the empty server."""
        last = self._last.get(node)
        pause_seconds = FIRST_REPLACEMENT_PAUSE_SECONDS
        if last is not None and now < last.at + REPLACEMENT_CALM_SECONDS:
            pause_seconds = min(2 * last.pause_seconds, LONGEST_REPLACEMENT_PAUSE_SECONDS)
        self._last[node] = _Replacement(now, pause_seconds)
