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


def default_queue(cluster: str) -> str:
    """The name of a cluster's queue where the configuration names none. Its workers always listen there too."""
    return f"redrepl-{cluster}"


def job_id(cluster: str, node: str, slot: int) -> str:
    """The id of a wake-up. RQ allows letters, digits, `_` and `-`, as names of clusters and nodes do.

    The length tells where the cluster's name ends: cluster "a-b" with node "c" is not cluster "a" with node "b-c".
    """
    return f"redrepl-{len(cluster)}-{cluster}-{node}-{slot}"


def sweep_job_id(cluster: str, slot: int = 0) -> str:
    """The id of a part of the sweep: one of a cluster at a time. Slot 1 is for one that is handed on."""
    return f"redrepl-{len(cluster)}-{cluster}-sweep-of-all-{slot}"
