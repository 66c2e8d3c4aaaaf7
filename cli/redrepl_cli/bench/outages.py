"""How long writes stop when a primary goes: what is measured, and the figures; pure arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from redrepl.embedded import EmbeddedServer
from redrepl_cli.bench.figures import Spread, spread
from redrepl_cli.bench.stage import Stage


@dataclass(frozen=True, slots=True)
class Scene:
    """A system in good order, and its client.

    ``write`` stores the value of a number under a key of its own.

    A write that returns was acknowledged; one that was not raises one of ``failures``. ``read``:
    what stands under the numbers' keys now.
    """

    primary: EmbeddedServer
    write: Callable[[int], object]
    read: Callable[[Sequence[int]], Sequence[bytes | None]]
    failures: tuple[type[Exception], ...]


@dataclass(frozen=True, slots=True)
class OutageSpec:
    """A subject: ``prepare`` opens its scene on a stage, anew for each outage; it may raise
    CannotMeasure.
    """

    name: str
    prepare: Callable[[Stage], Scene]


@dataclass(frozen=True, slots=True)
class OutageGroup:
    """Subjects whose primary meets the same ``fault``."""

    name: str
    title: str
    fault: Callable[[EmbeddedServer], None]
    specs: tuple[OutageSpec, ...]


class Outage(NamedTuple):
    """``seconds`` from the fault to the end of the first write that began after it and was
    acknowledged.

    failed: calls that ended without an acknowledgement. acknowledged: those that ended with one,
    before and after the fault. lost: acknowledged ones that were not found when writes went on.
    """

    seconds: float
    failed: int
    acknowledged: int
    lost: int


@dataclass(frozen=True, slots=True)
class OutageResult:
    """All outages of one subject."""

    group: str
    name: str
    outages: tuple[Outage, ...]

    @property
    def seconds(self) -> Spread:
        """How the outages' lengths scatter."""
        return spread([outage.seconds for outage in self.outages])

    @property
    def failed(self) -> Spread:
        """How many calls failed in an outage."""
        return spread([outage.failed for outage in self.outages])

    @property
    def acknowledged(self) -> int:
        """Writes acknowledged in all of them."""
        return sum(outage.acknowledged for outage in self.outages)

    @property
    def lost(self) -> int:
        """Acknowledged writes lost in all of them."""
        return sum(outage.lost for outage in self.outages)

    def as_json(self) -> dict[str, Any]:
        """The form that stays stable."""
        return {
            "group": self.group,
            "name": self.name,
            "outages": len(self.outages),
            **self.seconds.as_json("seconds"),
            **self.failed.as_json("failed_calls"),
            "acknowledged_writes": self.acknowledged,
            "lost_writes": self.lost,
            "each": [
                {
                    "seconds": round(outage.seconds, 4),
                    "failed_calls": outage.failed,
                    "lost_writes": outage.lost,
                }
                for outage in self.outages
            ],
        }
