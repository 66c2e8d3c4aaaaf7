"""Yielding to clients: a walk over all keys rests between pages while others use the source."""

from __future__ import annotations

from redrepl.plans.lanes import Lanes
from redrepl.plans.steps import Steps
from redrepl.plans.view import ClusterView
from redrepl.values import limits
from redrepl.values.effects import PlainCommand, Plan

SHARE_BESIDE_WRITES = 0.25
"""The largest part of the time in which a walk works while clients write to its source: most writes
meet none of it.
"""

LEAST_SHARE = 0.2
"""It goes on however slow the source answers: the log that it holds grows meanwhile."""

SLOW_FACTOR = 3.0
"""A source that takes so many times as long as at its best for next to nothing is busy with
others.
"""

SLOW_SECONDS = 0.002
"""And not below this: times of fractions of a millisecond vary by themselves."""

FEW_WRITES_PER_SECOND = 20.0
FEWEST_KEYS = 10
BRAKE_PROBE_SECONDS = 0.2
LONGEST_REST_SECONDS = 2.0

_LIGHT = PlainCommand((b"TIME",))


class Brake:
    """Rests after each page: for a fixed rate, or for a share of the time that follows what clients
    need.

    Without writes at the source it does not rest. Beside them it works for a quarter of the time at
    most; less while the source takes long for a request that is next to nothing, which is asked
    right after a rest.
    """

    def __init__(
        self, view: ClusterView, source: str, lanes: Lanes, steps: Steps, keys_per_second: float
    ) -> None:
        self.share = SHARE_BESIDE_WRITES
        self._view = view
        self._source = source
        self._lanes = lanes
        self._steps = steps
        self._keys_per_second = keys_per_second
        self._worked_from = steps.at
        self._probed_at = steps.at
        self._best_seconds = float("inf")
        self._writes: tuple[int, float] | None = None
        self._is_busy = True

    @property
    def page_keys(self) -> int:
        """For how many keys to ask at a time: at a low rate for few, so that no rest is long."""
        if self._keys_per_second <= 0:
            return limits.SCAN_KEYS
        return min(limits.SCAN_KEYS, max(FEWEST_KEYS, int(self._keys_per_second / 2)))

    def note_writes(self, added: int) -> None:
        """Take in how many entries the source's log has ever had: clients that write are there, or
        not.
        """
        if self._writes is not None and self._steps.at > self._writes[1]:
            before, at = self._writes
            self._is_busy = (added - before) / (self._steps.at - at) >= FEW_WRITES_PER_SECOND
        self._writes = (added, self._steps.at)

    def after(self, keys: int) -> Plan[None]:
        """Rest as long as is due after a page of so many keys."""
        worked = max(0.0, self._steps.at - self._worked_from)
        if self._keys_per_second > 0:
            rest = keys / self._keys_per_second - worked
        else:
            rest = worked * (1 / self.share - 1) if self._is_busy else 0.0
        if rest > 0:
            yield from self._lanes.rest(min(rest, LONGEST_REST_SECONDS))
        if (
            self._is_busy
            and self._keys_per_second <= 0
            and self._steps.at >= self._probed_at + BRAKE_PROBE_SECONDS
        ):
            yield from self._probe()
        self._worked_from = self._steps.at

    def _probe(self) -> Plan[None]:
        """How long the source takes for next to nothing, when this walk asks it nothing else."""
        asked_at = self._steps.at
        yield from self._lanes.ask(self._source, _LIGHT, "seeing how busy it is")
        self._probed_at = self._steps.at
        took = self._steps.at - asked_at
        self._best_seconds = min(self._best_seconds, took)
        if took > max(SLOW_SECONDS, SLOW_FACTOR * self._best_seconds):
            self.share = max(LEAST_SHARE, self.share * 0.7)
        else:
            self.share = min(SHARE_BESIDE_WRITES, self.share * 1.1)
