"""What came of a simulated history."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from redrepl.testing.model import Content, content_of
from redrepl.values.record import VALUE, parse_record
from tests.simulation.settings import Settings


class Verdict(Enum):
    """SPLIT: two nodes decided in one epoch.

    CRASHED: an error that should never come up. DIFFERENT: the copies are not equal in the end.
    STUCK: the cluster did not come to rest, or serves nobody. WAITING: so it is where more members
    restarted than the guarantees allow.
    """

    RIGHT = "right"
    WRONG = "not linearizable"
    SPLIT = "two primaries in one epoch"
    GAVE_UP = "gave up"
    DIFFERENT = "copies differ"
    STUCK = "stuck"
    CRASHED = "crashed"
    REPLACED = "a primary that answered was replaced"
    ACCUSED = "a member that forgot nothing was set aside"
    UNNOTICED = "a member that forgot goes on as if it had not"
    STALE = "a read at ONE was older than may be"
    TRESPASS = "a lie reached another node"
    REFUSED = "operations failed although only one node lied"
    WAITING = "waits for its operator"


@dataclass(slots=True)
class Result:
    """What came of one history. ``digest`` names it: equal digests are equal histories."""

    seed: int
    verdict: Verdict
    details: list[str]
    settings: Settings
    operations: dict[str, int]
    faults: dict[str, int]
    upkeep: dict[str, int]
    trace: list[str] = field(default_factory=list)
    digest: str = ""

    @property
    def is_failure(self) -> bool:
        """Whether somebody should look at it."""
        return self.verdict not in (Verdict.RIGHT, Verdict.WAITING)


def value_in(stored: bytes | None) -> Content:
    """What a record reads as."""
    record = None if stored is None else parse_record(stored)
    return content_of(record.payload if record is not None and record.kind == VALUE else None)
