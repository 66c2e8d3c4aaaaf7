"""How long a node takes to answer, estimated as TCP does (RFC 6298): every wait for a node follows
it.
"""

from __future__ import annotations

_SHARE = 0.125
_DEVIATION_SHARE = 0.25
_DEVIATIONS = 4.0


class RoundTrip:
    """The usual round trip to one node, the node's own work included; 0 before the first answer.

    Times in seconds.

    smoothed_seconds: a moving average. deviation_seconds: how far single answers are off it, on
    average.
    """

    __slots__ = ("deviation_seconds", "smoothed_seconds")

    def __init__(self) -> None:
        self.smoothed_seconds = 0.0
        self.deviation_seconds = 0.0

    def note(self, seconds: float) -> None:
        """An answer took so long."""
        smoothed = self.smoothed_seconds
        if not smoothed:
            self.smoothed_seconds = seconds
            self.deviation_seconds = seconds / 2
            return
        error = seconds - smoothed
        self.smoothed_seconds = smoothed + error * _SHARE
        self.deviation_seconds += (
            (error if error > 0.0 else -error) - self.deviation_seconds
        ) * _DEVIATION_SHARE

    def longest_seconds(self) -> float:
        """An answer that takes longer than this is late; 0 where nothing is known.

        The average and four deviations, and half the average at least: a link that was steady so
        far may still vary.
        """
        return self.smoothed_seconds + max(
            _DEVIATIONS * self.deviation_seconds, self.smoothed_seconds / 2
        )

    def patience_seconds(self, floor_seconds: float, times: float = 1.0) -> float:
        """How long to wait for what takes so many round trips; ``floor_seconds`` where the node is
        near, or unknown.
        """
        waited = times * self.longest_seconds()
        return waited if waited > floor_seconds else floor_seconds
