"""How busy other programs kept this machine during a run: they decide where the scheduler puts
client and servers.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

STAT = Path("/proc/stat")


class ProcessorTimes(NamedTuple):
    """Seconds since some moment, summed over all processors: all there were, all that were used,
    and used by us.
    """

    available: float
    used: float
    own: float


def processor_times(stat: Path = STAT) -> ProcessorTimes | None:
    """The times now; None where the system does not tell.

    ``own``: this process and its children that have ended.
    """
    try:
        words = stat.read_text().partition("\n")[0].split()
        ticks = [int(word) for word in words[1:9]]
        per_second = os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError):
        return None
    if len(ticks) < 8:
        return None
    user, nice, system, _idle, _iowait, _irq, _softirq, stolen = ticks
    # Interrupts are left out: the network's, which are ours, would count as somebody else's.
    used, own = (user + nice + system + stolen) / per_second, sum(os.times()[:4])
    return ProcessorTimes(sum(ticks) / per_second, used, own)


def others_percent(before: ProcessorTimes | None, after: ProcessorTimes | None) -> float | None:
    """The part of all processors that others used in between; None where it is not known."""
    if before is None or after is None or after.available <= before.available:
        return None
    others = (after.used - before.used) - (after.own - before.own)
    return round(100 * min(1.0, max(0.0, others / (after.available - before.available))), 1)
