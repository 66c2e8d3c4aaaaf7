"""A queue of jobs in RQ's format, read with bounds: anything on it may be another program's, or an
attacker's.

RQ's own classes read whole hashes, inflate what they hold whatever comes out, and carry out
callbacks and webhooks that a job names. So no job is read with them; they are used to enqueue.
"""

from __future__ import annotations

import base64
import zlib
from functools import cache
from importlib import resources
from typing import Any, Final, Literal, NamedTuple

from redis.exceptions import RedisError

from redrepl.values import limits
from redrepl.values.jobs import Job, JobRefused, check_signature, read_job

RUNNING_SECONDS: Final = 120
"""A job that was taken is forgotten after so long, and its id may be used again.

It ends by itself well before.
"""

FAILURE_SECONDS: Final = 60
"""A failed job's hash blocks its id; the next tick tries again anyway."""

LOOKED_AT: Final = 10_000
LISTED: Final = 1_000
State = Literal["queued", "started", "failed"]
_KEYS: Final = {"queued": "queue", "started": "wip", "failed": "failed"}


class FoundJob(NamedTuple):
    """A job of a cluster as `jobs` lists it."""

    id: str
    job: Job
    enqueued_at: str | None


class _Fields(NamedTuple):
    data: bytes
    meta: bytes | None
    enqueued_at: bytes | None


class JobQueue:
    """One queue. ``key``: jobs must be signed with it where it is not empty."""

    def __init__(self, connection: Any, name: str, key: str = "") -> None:
        self.connection = connection
        self.name = name
        self._key = key
        self._scripts: dict[str, Any] = {}

    @property
    def list_key(self) -> str:
        """The list of ids that wait."""
        return self.key_of("queued")

    def key_of(self, state: State) -> str:
        """Where RQ keeps the ids of jobs in this state."""
        return f"{queue_prefix()}:{_KEYS[state]}:{self.name}"

    def take(self, job_id: bytes, cluster: str) -> Job | None:
        """The work behind an id; None where it is gone.

        Raises JobRefused where it is none that may run.

        What another cluster signed cannot be judged here.
        """
        found = self._look(job_id, RUNNING_SECONDS)
        if found is None:
            return None
        job = read_job(job_id.decode("ascii", "replace"), found.data)
        if self._key and job.cluster == cluster:
            check_signature(job, found.meta, self._key)
        return job

    def begin(self, job_id: bytes, seconds_now: float) -> None:
        """Note for `jobs` and RQ's tools that a job runs, and forget those whose worker ended."""
        with self.connection.pipeline() as pipeline:
            for state in ("started", "failed"):
                pipeline.zremrangebyscore(self.key_of(state), "-inf", int(seconds_now))
            pipeline.zadd(
                self.key_of("started"), {job_id + b":redrepl": int(seconds_now) + RUNNING_SECONDS}
            )
            pipeline.execute(raise_on_error=False)  # whatever else is there, the work is done

    def finish(self, job_id: bytes) -> None:
        """Forget a job."""
        with self.connection.pipeline() as pipeline:
            pipeline.delete(_job_key(job_id))
            pipeline.zrem(self.key_of("started"), job_id + b":redrepl")
            pipeline.execute(raise_on_error=False)

    def move(self, job_id: bytes, queue: str) -> None:
        """Pass a job that was taken to another queue, as it is."""
        with self.connection.pipeline() as pipeline:
            pipeline.hset(_job_key(job_id), mapping={"status": "queued", "origin": queue})
            pipeline.rpush(f"{queue_prefix()}:queue:{queue}", job_id)
            pipeline.execute(raise_on_error=False)

    def fail(self, job_id: bytes, text: str, seconds_now: float) -> None:
        """Note why a job failed, where `jobs --failed` and RQ's tools find it.

        It is forgotten soon.
        """
        packed = base64.b64encode(
            zlib.compress(text.encode(errors="replace")[-limits.MAX_JOB_ERROR_BYTES // 2 :])
        )
        results = f"{queue_prefix()}:results:{job_id.decode()}"
        with self.connection.pipeline() as pipeline:
            pipeline.hset(_job_key(job_id), "status", "failed")
            pipeline.expire(_job_key(job_id), FAILURE_SECONDS)
            pipeline.zadd(self.key_of("failed"), {job_id: int(seconds_now) + FAILURE_SECONDS})
            pipeline.xadd(results, {"type": 2, "worker_name": "", "exc_string": packed}, maxlen=10)
            pipeline.expire(results, FAILURE_SECONDS)
            pipeline.zrem(self.key_of("started"), job_id + b":redrepl")
            pipeline.execute(raise_on_error=False)

    def jobs(self, cluster: str, state: State) -> list[FoundJob]:
        """This cluster's jobs in a state, whatever else is there."""
        start = f"redrepl-{len(cluster)}-{cluster}-"
        arguments = (start, limits.MAX_JOB_ID_BYTES + 64, LOOKED_AT, LISTED)
        entries = self._call("list_jobs", self.key_of(state), *arguments)
        found = []
        listed = entries if isinstance(entries, list) else []
        for job_id in dict.fromkeys(
            entry.partition(b":")[0] for entry in listed if isinstance(entry, bytes)
        ):
            try:
                parts = self._look(job_id, 0)
                if parts is not None:
                    job = read_job(job_id.decode("ascii", "replace"), parts.data)
                    enqueued_at = (parts.enqueued_at or b"").decode("ascii", "replace") or None
                    found.append(FoundJob(job_id.decode(), job, enqueued_at))
            except JobRefused:
                continue
        return found

    def workers(self) -> int:
        """How many workers listen.

        Entries of workers that died stay in RQ's set; those that are described live.
        """
        entries = self.connection.srandmember(f"{queue_prefix()}:workers:{self.name}", LISTED)
        with self.connection.pipeline() as pipeline:
            for entry in entries:
                pipeline.exists(entry)
            return sum(pipeline.execute())

    def failure(self, job_id: str) -> str | None:
        """The last line of what went wrong with a failed job, None where that is not known."""
        try:
            entries = self.connection.xrevrange(f"{queue_prefix()}:results:{job_id}", count=1)
            unpacking = zlib.decompressobj()
            text = unpacking.decompress(
                base64.b64decode(entries[0][1][b"exc_string"]), limits.MAX_JOB_ERROR_BYTES
            )
        except (
            RedisError,
            LookupError,
            ValueError,
            TypeError,
            zlib.error,
        ):  # it may be another program's entry
            return None
        lines = [
            line.strip() for line in text.decode("utf-8", "replace").splitlines() if line.strip()
        ]
        return lines[-1] if lines else None

    def _look(self, job_id: bytes, seconds: int) -> _Fields | None:
        if len(job_id) > limits.MAX_JOB_ID_BYTES:
            raise JobRefused("its id is that of another job", ascii(job_id[:80]))
        found = self._call("take_job", _job_key(job_id), seconds, limits.MAX_JOB_DATA_BYTES)
        if isinstance(found, bytes):
            raise JobRefused(found.decode("ascii", "replace"), ascii(job_id[:80]))
        if found is None:
            return None
        try:
            fields = _Fields(*found)
        except TypeError:
            fields = _Fields(b"", None, None)
        if type(fields.data) is not bytes or not all(
            part is None or type(part) is bytes for part in fields
        ):
            raise JobRefused("it is no job of RQ", ascii(job_id[:80]))
        return fields

    def _call(self, name: str, key: str | bytes, *arguments: str | int) -> Any:
        """Run a script by its digest, or by its text where the server does not know it."""
        if name not in self._scripts:
            self._scripts[name] = self.connection.register_script(queue_script(name))
        return self._scripts[name](keys=[key], args=arguments)


@cache
def queue_script(name: str) -> str:
    """The text of a script of the queue."""
    return (resources.files("redrepl") / "lua" / "queue" / f"{name}.lua").read_text(
        encoding="utf-8"
    )


def _job_key(job_id: bytes) -> bytes:
    return f"{queue_prefix()}:job:".encode() + job_id


@cache
def queue_prefix() -> str:
    """How RQ's keys begin: RQ lets the environment choose it."""
    from rq.defaults import RQ_KEY_PREFIX

    return RQ_KEY_PREFIX
