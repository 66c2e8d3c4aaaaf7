"""The jobs of redrepl.

Their dotted paths are part of the wire format (`redrepl.values.jobs`).

A redrepl worker calls what is with a lease; `bring_up` and `sweep` are what a plain worker of RQ
finds by their paths.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from redrepl.doors.operating import BroughtUp, Swept
from redrepl.edges.configuration import REPAIR
from redrepl.values.effects import Progress
from redrepl.values.errors import RedreplError
from redrepl_workers.context import WorkerContext, context_for
from redrepl_workers.lease import LEASE_SECONDS, Lease, lease
from redrepl_workers.troubles import without_numbers

RENEW_SECONDS = LEASE_SECONDS / 3

SWEEP_LEASE = ":sweep"
"""No node has this name."""

SHOWN_MISMATCHES = 10
"""Keys that differ are named in the log one by one, up to so many of one part."""

_log = logging.getLogger("redrepl.worker")


class Stopping(Exception):
    """This job ends in the middle, for the reason given; whoever is next goes on from where it
    came.
    """


def bring_up(cluster: str, node: str) -> str:
    """Bring one node up to what the others have; answers in words what was done.

    A node that fails in the middle is no failure of the job: the marks say where to go on, and the
    next tick does.
    """
    context = context_for(cluster)
    if context is None:
        return f"bring up {node} of cluster {cluster!r}: not the cluster of this process"
    return bring_up_with_lease(context, _queue_connection(), node)


def bring_up_with_lease(context: WorkerContext, connection: Any | None, node: str) -> str:
    """`bring_up` unless another worker is at it."""
    with lease(connection, context.configuration.cluster, node, context.holders) as held:
        if held is None:
            return f"{node}: another worker is at it"
        try:
            done = context.administration.bring_up(node, on_progress=_Watch(context, held))
        except Stopping as reason:
            return f"{node}: {reason}, to be continued"
        except RedreplError as error:
            context.troubles.note(
                _upkeep_of(node), without_numbers(str(error)), f"bringing up {node}: {error}"
            )
            return f"{node}: {error}"
    context.troubles.over(_upkeep_of(node), f"{node} can be brought up again")
    return _report(done)


def sweep(cluster: str) -> str:
    """Do a part of the sweep over all keys of all copies; answers in words what was found."""
    context = context_for(cluster)
    if context is None:
        return f"sweep of cluster {cluster!r}: not the cluster of this process"
    return sweep_with_lease(context, _queue_connection())


def sweep_with_lease(context: WorkerContext, connection: Any | None) -> str:
    """`sweep` unless another worker is at it."""
    with lease(connection, context.configuration.cluster, SWEEP_LEASE, context.holders) as held:
        if held is None:
            return "sweep: another worker is at it"
        try:
            swept = context.administration.sweep(on_progress=_Watch(context, held))
        except Stopping as reason:
            return f"sweep: {reason}, to be continued"
        except RedreplError as error:
            context.troubles.note(SWEEP_LEASE, without_numbers(str(error)), f"sweep: {error}")
            return f"sweep: {error}"
    context.troubles.over(SWEEP_LEASE, "the sweep goes on")
    return _sweep_report(swept, context.configuration.anti_entropy == REPAIR)


def _sweep_report(swept: Swept, repairs: bool) -> str:
    for mismatch in swept.mismatches[:SHOWN_MISMATCHES]:
        _log.warning("sweep: key %r differs on %s: %s", mismatch.key, mismatch.node, mismatch.kind)
    found, what = swept.findings, "mended" if repairs else "left as they are"
    text = (
        f"sweep: {found.keys} keys so far, {found.differences} differences {what}, "
        f"{found.purged} tombstones purged"
    )
    if swept.report is not None:
        text = text.replace(" so far", "")
        if found.missed:
            text += f"; not compared: {', '.join(found.missed)}"
        _log.log(logging.WARNING if found.differences else logging.INFO, "%s", text)
    return text


def _upkeep_of(node: str) -> str:
    """The subject of troubles in bringing it up."""
    return f"upkeep of {node}"


class _Watch:
    """Called between batches: keeps the lease, and ends the job when the worker is to stop or the
    lease is lost.
    """

    def __init__(self, context: WorkerContext, held: Lease) -> None:
        self._context = context
        self._held = held
        self._renewed_at = time.monotonic()

    def __call__(self, _: Progress) -> None:
        if self._context.is_stopping():
            raise Stopping("stopped on request")
        if time.monotonic() - self._renewed_at > RENEW_SECONDS:
            if not self._held.renew():
                raise Stopping("another worker took it over")
            self._renewed_at = time.monotonic()


def _report(done: BroughtUp) -> str:
    parts = [f"{done.entries} log entries", f"{done.records} records"]
    if done.full_syncs:
        parts.append("full sync")
    if done.undecided_replaced:
        parts.append(f"{done.undecided_replaced} undecided records replaced")
    if done.activated:
        parts.append("admitted again")
    text = f"{done.node}: {', '.join([*parts, *done.notes])}"
    eventful = done.full_syncs or done.activated or done.undecided_replaced or done.records
    _log.log(logging.INFO if eventful else logging.DEBUG, "%s", text)
    return text


def _queue_connection() -> Any | None:
    from rq import get_current_job

    job = get_current_job()
    return None if job is None else job.connection
