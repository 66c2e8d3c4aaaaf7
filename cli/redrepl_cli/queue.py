"""What the workers' queue tells: counts for `status`, jobs for `jobs`."""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from redis.exceptions import NoPermissionError

from redrepl import Configuration
from redrepl.edges.endpoint import address, split_url
from redrepl.edges.job_queue import JobQueue, State
from redrepl.edges.queue_connection import describe_queue_error, queue_connection
from redrepl.values.jobs import BRING_UP, SWEEP, default_queue

NO_QUEUE = "no queue_url is configured: the workers' tick does it all"


_WORK = {BRING_UP: "bring up", SWEEP: "sweep"}


@dataclass(frozen=True, slots=True)
class QueueStatistics:
    """Jobs that wait and that failed, and workers that listen; None where the queue was not
    reached: see ``error``.
    """

    pending: int | None = None
    failed: int | None = None
    workers: int | None = None
    error: str | None = None

    def as_json(self) -> dict[str, Any]:
        """As `status --format json` gives it."""
        counts = {"pending": self.pending, "failed": self.failed, "workers": self.workers}
        return counts if self.error is None else {**counts, "error": self.error}


@dataclass(frozen=True, slots=True)
class QueuedJob:
    """A job of this cluster.

    ``state``: queued, started or failed. ``error``: the last line of what went wrong.

    work: "bring up" for one node, or "sweep" over all of them (then ``node`` is None).
    """

    id: str
    work: str
    node: str | None
    state: str
    enqueued_at: str | None
    error: str | None

    def as_json(self) -> dict[str, Any]:
        """As `jobs --format json` gives it."""
        return {name: getattr(self, name) for name in self.__slots__}


def queue_statistics(configuration: Configuration) -> QueueStatistics:
    """The counts. Never raises: a queue that is away is no reason to hide how the nodes are."""
    if configuration.queue_url is None:
        return QueueStatistics(error=NO_QUEUE)
    try:
        queues = _queues(configuration)
        connection = queues[0].connection
        with suppress(
            NoPermissionError
        ):  # of a login that is to read alone: what refuses jobs others will see
            # It finds nothing to do, and is refused where a job would be.
            connection.set(f"redrepl:probe:{secrets.token_hex(8)}", "", xx=True)
        pending = sum(connection.llen(queue.list_key) for queue in queues)
        failed = sum(connection.zcard(queue.key_of("failed")) for queue in queues)
        return QueueStatistics(pending, failed, queues[0].workers())
    except Exception as error:  # redis-py and the address each have their own
        where = address(split_url("queue", configuration.queue_url))
        return QueueStatistics(
            error=f"{where}: {describe_queue_error(configuration.queue_url, error)}"
        )


def cluster_jobs(configuration: Configuration, failed_only: bool) -> list[QueuedJob]:
    """This cluster's jobs. Raises redis errors where the queue does not answer."""
    found = []
    states: tuple[State, ...] = ("failed",) if failed_only else ("started", "queued", "failed")
    for queue in _queues(configuration):
        for state in states:
            for job_id, job, enqueued_at in queue.jobs(configuration.cluster, state):
                error = queue.failure(job_id) if state == "failed" else None
                found.append(
                    QueuedJob(job_id, _WORK[job.function], job.node, state, enqueued_at, error)
                )
    return found


def _queues(configuration: Configuration) -> list[JobQueue]:
    """The configured queue, and the one by the cluster's name, to which other clusters' workers
    hand on.
    """
    assert configuration.queue_url is not None
    connection = queue_connection(configuration.queue_url)
    names = dict.fromkeys((configuration.queue, default_queue(configuration.cluster)))
    return [JobQueue(connection, name) for name in names]
