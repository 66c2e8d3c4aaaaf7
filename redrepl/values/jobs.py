"""Names of RQ jobs. They are part of the wire format: clients enqueue by name, workers of any version run them."""

from __future__ import annotations

from typing import Final

BRING_UP: Final = "redrepl_workers.jobs.bring_up"
"""Arguments: cluster, node. Bring that node up to what the others have."""

SWEEP: Final = "redrepl_workers.jobs.sweep"
"""Argument: cluster. Do a part of the sweep over all keys of all copies."""

ALLOWED: Final = frozenset({BRING_UP, SWEEP})
"""The only functions a redrepl worker runs."""

SLOTS: Final = 2
"""Job ids per node that take turns: one may run while the next already waits, so no wake-up is lost."""


def job_id(cluster: str, node: str, slot: int) -> str:
    """The id of a wake-up. RQ allows letters, digits, `_` and `-`."""
    return f"redrepl-{cluster}-{node}-{slot}"


def sweep_job_id(cluster: str) -> str:
    """The id of a part of the sweep: one of a cluster at a time."""
    return f"redrepl-{cluster}-sweep"
