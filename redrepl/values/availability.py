"""What replication buys: how likely writes and reads succeed when each copy is up with a known probability.

The copies fail independently of each other; where they share a rack, a switch or an operator, the truth is worse.
With p the availability of the primary, the first copy, and q the availabilities of the others:

    a write at a level that requires k other copies     p * P(at least k of q are up)
    a read at such a level                              the same: the primary's record, confirmed by k others
    a read that any copy may answer                     1 - (1 - p) * product of (1 - q)

P(at least k of q) is the tail of the Poisson binomial distribution, summed exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum, isfinite, prod
from typing import Any

from redrepl.values import limits
from redrepl.values.errors import RequestError
from redrepl.values.level import ConsistencyLevel
from redrepl.values.status import SCHEMA_VERSION


@dataclass(frozen=True, slots=True)
class LevelAvailability:
    """Writes at one level: other copies that must confirm, the levels' names for that, and how likely it succeeds."""

    required: int
    names: tuple[str, ...]
    write_availability: float

    def as_json(self) -> dict[str, Any]:
        """As `plan --format json` gives it."""
        return {
            "required": self.required,
            "levels": list(self.names),
            "write_availability": self.write_availability,
            "read_availability": self.write_availability,
        }


@dataclass(frozen=True, slots=True)
class AvailabilityPlan:
    """What a set of copies can be expected to do; the first copy is the primary.

    levels: one per count of other copies, from 0 to all. any_copy_read_availability: a read that any copy may answer.
    quorum_read_availability: a read at level QUORUM. reads_per_second: what all copies carry together while they are
    up, and expected_reads_per_second with each counted by its availability; None where a copy's rate is not known.
    """

    availabilities: tuple[float, ...]
    levels: tuple[LevelAvailability, ...]
    any_copy_read_availability: float
    quorum_read_availability: float
    reads_per_second: float | None
    expected_reads_per_second: float | None

    def as_json(self) -> dict[str, Any]:
        """As `plan --format json` gives it."""
        return {
            "schema_version": SCHEMA_VERSION,
            "copies": len(self.availabilities),
            "availabilities": list(self.availabilities),
            "levels": [level.as_json() for level in self.levels],
            "any_copy_read_availability": self.any_copy_read_availability,
            "quorum_read_availability": self.quorum_read_availability,
            "reads_per_second": self.reads_per_second,
            "expected_reads_per_second": self.expected_reads_per_second,
        }


def plan_availability(
    availabilities: Sequence[float], reads_per_second_per_copy: float | None = None
) -> AvailabilityPlan:
    """The plan for copies with these availabilities, the primary's first. Raises RequestError for what cannot be."""
    _check(availabilities, reads_per_second_per_copy)
    primary, others = availabilities[0], availabilities[1:]
    levels = tuple(
        LevelAvailability(required, level_names(required, len(others)), write_availability(primary, others, required))
        for required in range(len(others) + 1)
    )
    rate = reads_per_second_per_copy
    return AvailabilityPlan(
        availabilities=tuple(availabilities),
        levels=levels,
        any_copy_read_availability=any_copy_availability(availabilities),
        quorum_read_availability=levels[ConsistencyLevel.QUORUM.required(len(others))].write_availability,
        reads_per_second=None if rate is None else rate * len(availabilities),
        expected_reads_per_second=None if rate is None else rate * fsum(availabilities),
    )


def level_names(required: int, others: int) -> tuple[str, ...]:
    """The levels that require this many of ``others`` other copies."""
    return tuple(level.name for level in ConsistencyLevel if level.required(others) == required)


def write_availability(primary: float, others: Sequence[float], required: int) -> float:
    """How likely the primary and at least ``required`` of the others are up."""
    return primary * at_least(others, required)


def any_copy_availability(availabilities: Sequence[float]) -> float:
    """How likely at least one copy is up."""
    return 1.0 - prod(1.0 - availability for availability in availabilities)


def at_least(availabilities: Sequence[float], count: int) -> float:
    """How likely at least ``count`` copies are up at once."""
    return min(1.0, fsum(count_distribution(availabilities)[max(0, count) :]))


def count_distribution(availabilities: Sequence[float]) -> tuple[float, ...]:
    """How likely exactly 0, 1, 2 ... copies are up at once (the Poisson binomial distribution)."""
    chances = [1.0]
    for up in availabilities:
        with_none_more = [chance * (1.0 - up) for chance in chances] + [0.0]
        with_one_more = [0.0] + [chance * up for chance in chances]
        chances = [none + one for none, one in zip(with_none_more, with_one_more, strict=True)]
    return tuple(chances)


def _check(availabilities: Sequence[float], reads_per_second_per_copy: float | None) -> None:
    if not 0 < len(availabilities) <= limits.MAX_NODES:
        raise RequestError(f"copies must be 1 to {limits.MAX_NODES}, not {len(availabilities)}")
    for availability in availabilities:
        if not 0.0 <= availability <= 1.0:
            raise RequestError(f"availability must lie in 0..1, not {availability!r}")
    rate = reads_per_second_per_copy
    if rate is not None and not (isfinite(rate) and rate >= 0):
        raise RequestError(f"reads per second per copy must be 0 or more, not {rate!r}")
