"""Planted bugs: each is known to lose or invent data, and each has a test that must notice.

A file for each area of the library; `tests/faults/planting.py` says how a bug finds its place.
"""

from __future__ import annotations

from tests.faults.mutants import (
    client,
    command_line,
    connection,
    data,
    discovery,
    failover,
    failure_detector,
    membership,
    plans,
    reading,
    recovery,
    reinstate,
    restarts,
    runtime,
    scripts,
    status,
    sync,
    topology,
    values,
    workers,
)
from tests.faults.planting import Mutant

AREAS = (
    client,
    command_line,
    connection,
    data,
    discovery,
    failover,
    failure_detector,
    membership,
    plans,
    reading,
    recovery,
    reinstate,
    restarts,
    runtime,
    scripts,
    status,
    sync,
    topology,
    values,
    workers,
)

MUTANTS: tuple[Mutant, ...] = tuple(mutant for area in AREAS for mutant in area.MUTANTS)
