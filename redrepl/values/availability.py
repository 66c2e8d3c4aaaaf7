"""What replication buys: how likely writes and reads succeed when each copy is up with a known
probability.

The copies fail independently of each other; where they share a rack, a switch or an operator, the
truth is worse. A copy is up while it serves, so an absence lasts until it has been brought up
again.

Where a primary that fails stays the primary (`failover = "manual"`, or two copies), with p its
availability and q those of the others:

    a write at a level that requires k other copies     F(k) = p * P(at least k of q are up)

With automatic failover, n copies and a majority m = n // 2 + 1, any need = max(m, k + 1) copies
that are up are enough. Each time that the primary fails while so many others are up, writes wait
until one of them has taken over; s is how long that takes, as a part of how long a copy that fails
is away (1 at most):

    the same write     P(at least need of n are up) - s * R, with R the mean over the copies i of
                       (1 - p_i) * P(at least need of the others are up)

and F(k) where that is more: with fewer than a majority, a primary that is up itself goes on with
writes below QUORUM. That is a lower bound for these levels, since any copy may be the primary by
then.

    a read at such a level              as a write: the primary's record, confirmed by k others
    a read that any copy may answer     1 - product of (1 - p_i)

P(at least k of q) is the tail of the Poisson binomial distribution, summed exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum, isfinite, prod
from typing import Any, NamedTuple

from redrepl.values import limits
from redrepl.values.errors import RequestError
from redrepl.values.level import ConsistencyLevel
from redrepl.values.reading import shown
from redrepl.values.status import SCHEMA_VERSION

SECONDS_PER_YEAR = 365.25 * 24 * 3600


@dataclass(frozen=True, slots=True)
class LevelAvailability:
    """Writes at one level: other copies that must confirm, the levels' names for that, and how
    likely it succeeds.
    """

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


class Switching(NamedTuple):
    """Automatic failover. seconds: from a primary's failure until another one takes writes.
    away_seconds: how long a copy that fails is away, until it has been brought up again.
    """

    seconds: float = limits.SWITCHING_SECONDS
    away_seconds: float = limits.AWAY_SECONDS

    @property
    def part(self) -> float:
        """How much of a primary's absence passes before it is replaced."""
        return min(1.0, self.seconds / self.away_seconds)


DEFAULT_SWITCHING = Switching()


@dataclass(frozen=True, slots=True)
class AvailabilityPlan:
    """What a set of copies can be expected to do; the first copy is the primary at the beginning.

    switching: automatic failover, None where a primary that fails stays the primary.
    switches_per_year: how often one that fails is replaced.

    levels: one per count of other copies, from 0 to all. any_copy_read_availability: a read that
    any copy may answer.
    quorum_read_availability: a read at level QUORUM. reads_per_second: what all copies carry
    together while they are up, and expected_reads_per_second with each counted by its availability;
    None where a copy's rate is not known.
    """

    availabilities: tuple[float, ...]
    levels: tuple[LevelAvailability, ...]
    any_copy_read_availability: float
    quorum_read_availability: float
    reads_per_second: float | None
    expected_reads_per_second: float | None
    switching: Switching | None = None
    switches_per_year: float = 0.0

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
            "failover": {
                "automatic": self.switching is not None,
                "switching_seconds": self.switching.seconds if self.switching else None,
                "away_seconds": self.switching.away_seconds if self.switching else None,
                "switches_per_year": self.switches_per_year,
            },
        }


def plan_availability(
    availabilities: Sequence[float],
    reads_per_second_per_copy: float | None = None,
    switching: Switching | None = DEFAULT_SWITCHING,
) -> AvailabilityPlan:
    """The plan for copies with these availabilities, the first primary's first.

    Raises RequestError for what cannot be.

    switching: automatic failover; None: a primary that fails stays the primary.
    """
    _check(availabilities, reads_per_second_per_copy, switching)
    others = len(availabilities) - 1
    levels = tuple(
        LevelAvailability(
            required, level_names(required, others), _level(availabilities, required, switching)
        )
        for required in range(others + 1)
    )
    rate = reads_per_second_per_copy
    return AvailabilityPlan(
        availabilities=tuple(availabilities),
        levels=levels,
        any_copy_read_availability=any_copy_availability(availabilities),
        quorum_read_availability=levels[
            ConsistencyLevel.QUORUM.required(others)
        ].write_availability,
        reads_per_second=None if rate is None else rate * len(availabilities),
        expected_reads_per_second=None if rate is None else rate * fsum(availabilities),
        switching=switching,
        switches_per_year=_switches_per_year(availabilities, switching),
    )


def _level(availabilities: Sequence[float], required: int, switching: Switching | None) -> float:
    """How likely a write is possible that requires so many other copies."""
    fixed = write_availability(availabilities[0], availabilities[1:], required)
    if switching is None:
        return fixed
    needed = max(majority(len(availabilities)), required + 1)
    moving = at_least(availabilities, needed) - switching.part * replaced_primary(
        availabilities, needed
    )
    return max(fixed, moving)


def majority(copies: int) -> int:
    """How many copies a failover takes."""
    return copies // 2 + 1


def replaced_primary(availabilities: Sequence[float], needed: int) -> float:
    """How likely a copy is away while at least ``needed`` others are up, which take over where it
    is the primary.
    """
    each = [
        (1.0 - own) * at_least([*availabilities[:i], *availabilities[i + 1 :]], needed)
        for i, own in enumerate(availabilities)
    ]
    return fsum(each) / len(each)


def _switches_per_year(availabilities: Sequence[float], switching: Switching | None) -> float:
    if switching is None:
        return 0.0
    return (
        replaced_primary(availabilities, majority(len(availabilities)))
        * SECONDS_PER_YEAR
        / switching.away_seconds
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


def _check(
    availabilities: Sequence[float],
    reads_per_second_per_copy: float | None,
    switching: Switching | None,
) -> None:
    if not 0 < len(availabilities) <= limits.MAX_NODES:
        raise RequestError(f"copies must be 1 to {limits.MAX_NODES}, not {len(availabilities)}")
    for availability in availabilities:
        if not 0.0 <= availability <= 1.0:
            raise RequestError(f"availability must lie in 0..1, not {shown(availability)}")
    rate = reads_per_second_per_copy
    if rate is not None and not (isfinite(rate) and rate >= 0):
        raise RequestError(f"reads per second per copy must be 0 or more, not {shown(rate)}")
    if switching is not None and not (switching.seconds >= 0 and switching.away_seconds > 0):
        raise RequestError(
            "the time of a failover must be 0 or more, and that of a copy's absence more than 0"
        )
