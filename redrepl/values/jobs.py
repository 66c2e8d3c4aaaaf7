"""Jobs as they stand on the queue: names, ids, signatures, and how they are read.

Names are part of the wire format: clients enqueue by name, workers of any version run them. The
queue is read as something that anybody may have written: sizes are bounded before anything is
unpacked, nothing is imported by name, and what is not exactly a job of redrepl is refused.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import zlib
from dataclasses import dataclass
from typing import Final

from redrepl.values import limits
from redrepl.values.errors import RequestError
from redrepl.values.validation import check_name

BRING_UP: Final = "redrepl_workers.jobs.bring_up"
"""Arguments: cluster, node. Bring that node up to what the others have."""

SWEEP: Final = "redrepl_workers.jobs.sweep"
"""Argument: cluster. Do a part of the sweep over all keys of all copies."""

SLOTS: Final = 2
"""Job ids per node that take turns: one may run while the next already waits, so no wake-up is
lost.
"""

SIGNATURE: Final = "signature"
"""Where it is in what RQ keeps beside a job (`meta`)."""


class JobRefused(Exception):
    """What is on the queue is no job that may run.

    kind: one of few, for logs; the text says more, and may hold what another program wrote.
    """

    def __init__(self, kind: str, text: str = "") -> None:
        super().__init__(f"{kind}: {text}" if text else kind)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Job:
    """Work that was asked for.

    ``node``: which one to bring up; None: a part of the sweep over all of them.
    """

    cluster: str
    node: str | None

    @property
    def function(self) -> str:
        """Its name on the queue."""
        return SWEEP if self.node is None else BRING_UP

    @property
    def arguments(self) -> tuple[str, ...]:
        """As they are on the queue."""
        return (self.cluster,) if self.node is None else (self.cluster, self.node)

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids that this work may have, and no other work."""
        if self.node is None:
            return (sweep_job_id(self.cluster),)
        return tuple(job_id(self.cluster, self.node, slot) for slot in range(SLOTS))

    @property
    def description(self) -> str:
        """In words."""
        return (
            f"sweep {self.cluster}"
            if self.node is None
            else f"bring up {self.node} of {self.cluster}"
        )

    def signature(self, key: str) -> str:
        """What only programs that have the key can write beside this work."""
        text = "\0".join(("redrepl job", self.function, *self.arguments))
        return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()


def read_job(job_id: str, data: bytes) -> Job:
    """The work that a job's packed arguments ask for.

    Raises JobRefused for anything that is not a job of redrepl.
    """
    try:
        function, instance, arguments, named = json.loads(_inflated(data))
    except (ValueError, TypeError, RecursionError) as error:
        raise JobRefused("its arguments cannot be read") from error
    if function not in (BRING_UP, SWEEP):
        raise JobRefused("it is no job of redrepl", _shown(function))
    if (
        instance is not None
        or named
        or not isinstance(arguments, list)
        or len(arguments) != 1 + (function == BRING_UP)
    ):
        raise JobRefused("its arguments are not those of a redrepl job")
    try:
        names = [check_name("a job's argument", argument) for argument in arguments]
    except RequestError as error:
        raise JobRefused("its arguments are not those of a redrepl job") from error
    job = Job(names[0], names[1] if len(names) > 1 else None)
    if job_id not in job.ids:
        raise JobRefused("its id is that of another job", _shown(job_id))
    return job


def check_signature(job: Job, meta: bytes | None, key: str) -> None:
    """Raise JobRefused unless what stands beside the job holds its signature with this key."""
    try:
        given = json.loads(meta or b"{}")[SIGNATURE]
    except (ValueError, TypeError, KeyError, RecursionError):
        given = None
    if not isinstance(given, str):
        raise JobRefused("it is not signed", job.description)
    if not hmac.compare_digest(given.encode(errors="replace"), job.signature(key).encode()):
        raise JobRefused("its signature is not made with this cluster's queue_key", job.description)


def _inflated(data: bytes) -> bytes:
    """The content of packed arguments, up to a bound. Raises JobRefused."""
    if len(data) > limits.MAX_JOB_DATA_BYTES:
        raise JobRefused("it is too large")
    unpacking = zlib.decompressobj()
    try:
        text = unpacking.decompress(data, limits.MAX_JOB_INFLATED_BYTES)
    except zlib.error as error:
        raise JobRefused("its arguments cannot be read") from error
    if not unpacking.eof:
        raise JobRefused("it is too large")
    return text


def _shown(value: object) -> str:
    """The beginning of what others wrote, in printable form."""
    return ascii(value)[:80]


def default_queue(cluster: str) -> str:
    """The name of a cluster's queue where the configuration names none.

    Its workers always listen there too.
    """
    return f"redrepl-{cluster}"


def job_id(cluster: str, node: str, slot: int) -> str:
    """The id of a wake-up.

    RQ allows letters, digits, `_` and `-`, as names of clusters and nodes do.

    The length tells where the cluster's name ends: cluster "a-b" with node "c" is not cluster "a"
    with node "b-c".
    """
    return f"redrepl-{len(cluster)}-{cluster}-{node}-{slot}"


def sweep_job_id(cluster: str) -> str:
    """The id of a part of the sweep: one of a cluster at a time."""
    return f"redrepl-{len(cluster)}-{cluster}-sweep-of-all-0"
