"""Comparing clocks: which nodes' clocks are off the majority's, as far as the time that answers
take lets one tell.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from statistics import median
from typing import NamedTuple


class ClockReading(NamedTuple):
    """Between which bounds a wall clock was ahead of the driver's monotonic clock, in seconds.

    A node reads its clock after it was asked and before its answer came.
    """

    least: float
    most: float

    @property
    def middle(self) -> float:
        """The best guess."""
        return (self.least + self.most) / 2


def clocks_off(
    readings: Mapping[str, ClockReading],
    members: int,
    max_skew_seconds: float,
    own_ahead: float | None = None,
) -> dict[str, float]:
    """Nodes whose clocks are certainly off the majority's by more than ``max_skew_seconds``, and by
    how much (positive: ahead).

    A node is in order where it may agree with a majority of all members. Where no majority agrees
    (two copies, say), the judging process's own clock (``own_ahead``: of its monotonic clock, in
    seconds) is one more vote among those that answered. Where that does not decide it either, no
    clock is off.
    """
    votes = list(readings.values())
    agreed = _agreed(votes, members // 2 + 1, max_skew_seconds)
    if not agreed and own_ahead is not None:
        votes.append(ClockReading(own_ahead, own_ahead))
        agreed = _agreed(votes, len(votes) // 2 + 1, max_skew_seconds)
    if not agreed:
        return {}
    wrong = [
        node
        for node, each in readings.items()
        if not any(_covers(each, at, max_skew_seconds) for at in agreed)
    ]
    right = median(
        each.middle for each in votes if any(_covers(each, at, max_skew_seconds) for at in agreed)
    )
    return {node: readings[node].middle - right for node in wrong}


def majority_ahead(
    readings: Collection[ClockReading], members: int, max_skew_seconds: float
) -> float | None:
    """What the majority's clocks are ahead of the driver's monotonic clock, in seconds; None where
    none agrees.
    """
    agreed = _agreed(readings, members // 2 + 1, max_skew_seconds)
    if not agreed:
        return None
    return median(
        each.middle
        for each in readings
        if any(_covers(each, at, max_skew_seconds) for at in agreed)
    )


def believed_ahead(
    readings: Mapping[str, ClockReading],
    primary: str,
    members: int,
    max_skew_seconds: float,
    own_ahead: float,
) -> float | None:
    """What a client takes for the cluster's clock, ahead of its monotonic clock in seconds; None:
    its own.

    The majority's; where none agrees, the primary's, unless that is off by this process's own vote.
    """
    ahead = majority_ahead(readings.values(), members, max_skew_seconds)
    if ahead is not None or not readings:
        return ahead
    off = clocks_off(readings, members, max_skew_seconds, own_ahead)
    right = {node: reading for node, reading in readings.items() if node not in off}
    best = right.get(primary) or next(iter(right.values()), None)
    return best.middle if best else None


def _agreed(votes: Collection[ClockReading], needed: int, max_skew_seconds: float) -> list[float]:
    """Times on which so many may agree: of each such stretch the earliest end of a vote in it.

    Two readings may agree within the tolerance where, each made wider by half of it, they have a
    point in common; any number of stretches of which each two have one in common have one all
    together.
    """
    ends = [each.least - max_skew_seconds / 2 for each in votes]
    return [
        at for at in ends if sum(_covers(each, at, max_skew_seconds) for each in votes) >= needed
    ]


def _covers(reading: ClockReading, at: float, max_skew_seconds: float) -> bool:
    half = max_skew_seconds / 2
    return reading.least - half <= at <= reading.most + half


def is_steady(
    before: ClockReading | None, after: ClockReading | None, max_skew_seconds: float
) -> bool:
    """Whether a clock may have gone on evenly between two readings by one driver."""
    if before is None or after is None:
        return True
    return max(before.least - after.most, after.least - before.most) <= max_skew_seconds


def describe_offset(seconds: float) -> str:
    """How far a clock is off, in words."""
    return f"{abs(seconds):.1f} s {'ahead' if seconds > 0 else 'behind'}"


def describe_time(micros: int) -> str:
    """A time in microseconds since 1970 that has at most 16 digits, in words: later ones have no
    date.
    """
    return datetime.fromtimestamp(micros // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
