"""What the workers' queue tells: counts for `status`, jobs for `jobs`."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from redrepl import Configuration
from redrepl.edges.endpoint import address, split_url
from redrepl.edges.wake_ups import open_queue
from redrepl.values.jobs import BRING_UP, SWEEP, default_queue

if TYPE_CHECKING:
    from rq import Queue
    from rq.job import Job

NO_QUEUE = "no queue_url is configured: the workers' tick does it all"


_WORK = {BRING_UP: "bring up", SWEEP: "sweep"}


@dataclass(frozen=True, slots=True)
class QueueStatistics:
    """Jobs that wait and that failed, and workers that listen; None where the queue was not reached: see ``error``."""

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
    """A job of this cluster. ``state``: queued, started or failed. ``error``: the last line of what went wrong.

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
    from rq import Worker
    from rq.registry import FailedJobRegistry

    try:
        queues = _queues(configuration)
        # Entries of workers that died stay in RQ's set; only those whose own key still stands are alive.
        workers = Worker.all(queue=queues[0], serializer=queues[0].serializer)
        # It finds nothing to do, and is refused where a job would be.
        queues[0].connection.set(f"redrepl:probe:{secrets.token_hex(8)}", "", xx=True)
        failed = sum(FailedJobRegistry(queue=queue).count for queue in queues)
        return QueueStatistics(sum(queue.count for queue in queues), failed, len(workers))
    except Exception as error:  # redis-py, RQ and the address each have their own
        where = address(split_url("queue", configuration.queue_url))
        return QueueStatistics(error=f"{where}: {error}")


def cluster_jobs(configuration: Configuration, failed_only: bool) -> list[QueuedJob]:
    """This cluster's jobs. Raises redis errors where the queue does not answer."""
    found = []
    for queue in _queues(configuration):
        for state, ids in _ids_by_state(queue, failed_only):
            found += [_described(job, state) for job in _ours(queue, ids, configuration.cluster)]
    return found


def _queues(configuration: Configuration) -> list[Queue]:
    """The configured queue, and the one by the cluster's name, to which other clusters' workers hand on."""
    assert configuration.queue_url is not None
    names = dict.fromkeys((configuration.queue, default_queue(configuration.cluster)))
    return [open_queue(configuration.queue_url, name) for name in names]


def _ids_by_state(queue: Queue, failed_only: bool) -> Iterable[tuple[str, list[str]]]:
    from rq.registry import FailedJobRegistry, StartedJobRegistry

    if not failed_only:
        # RQ's own clean-up would move jobs about; looking changes nothing.
        yield "started", StartedJobRegistry(queue=queue).get_job_ids(cleanup=False)
        yield "queued", queue.get_job_ids()
    yield "failed", FailedJobRegistry(queue=queue).get_job_ids(cleanup=False)


def _ours(queue: Queue, ids: list[str], cluster: str) -> list[Job]:
    from rq.job import Job

    fetched = Job.fetch_many(ids, connection=queue.connection, serializer=queue.serializer)
    return [job for job in fetched if job is not None and job.func_name in _WORK and job.args[0] == cluster]


def _described(job: Job, state: str) -> QueuedJob:
    enqueued_at = job.enqueued_at.isoformat() if job.enqueued_at else None
    node = str(job.args[1]) if job.func_name == BRING_UP else None
    error = _error_tail(job) if state == "failed" else None
    return QueuedJob(job.id, _WORK[str(job.func_name)], node, state, enqueued_at, error)


def _error_tail(job: Job) -> str | None:
    result = job.latest_result()
    text = (result.exc_string if result is not None else None) or ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else None
