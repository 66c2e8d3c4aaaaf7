"""A worker's entry in the queue's Redis, in RQ's format: `status`, and RQ's own tools, count and
show it there.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Sequence
from typing import Any

from redis.exceptions import ResponseError
from rq.defaults import RQ_KEY_PREFIX
from rq.utils import now, utcformat
from rq.version import VERSION

TTL_SECONDS = 30
"""A worker that is silent for longer counts as dead."""

HEARTBEAT_SECONDS = 10.0
SAMPLE = 100
"""Entries of other workers that are looked at with each heartbeat, whether their worker is still
there.
"""

WORKERS = f"{RQ_KEY_PREFIX}:workers"


def worker_key(name: str) -> str:
    """Where a worker of this name is described."""
    return f"{RQ_KEY_PREFIX}:worker:{name}"


class Registration:
    """The entry of one worker, which listens to these queues.

    The connection is the worker's own.
    """

    def __init__(self, connection: Any, name: str, queues: Sequence[str]) -> None:
        self._connection = connection
        self._key = worker_key(name)
        self._queues = queues
        self._sets = [WORKERS, *(f"{WORKERS}:{queue}" for queue in queues)]
        self._next_at = 0.0

    def announce(self) -> None:
        """Enter the worker anew. Raises redis errors where the queue does not take it."""
        described = {
            "birth": utcformat(now()),
            "last_heartbeat": utcformat(now()),
            "queues": ",".join(self._queues),
            "pid": os.getpid(),
            "hostname": socket.gethostname(),
            "ip_address": "unknown",
            "version": VERSION,
            "python_version": sys.version,
            "state": "idle",
        }
        with self._connection.pipeline() as pipeline:
            pipeline.delete(self._key)
            pipeline.hset(self._key, mapping=described)
            pipeline.expire(self._key, TTL_SECONDS)
            for name in self._sets:
                pipeline.sadd(name, self._key)
            _execute(pipeline)
        self._next_at = time.monotonic() + HEARTBEAT_SECONDS

    def keep(self) -> None:
        """Say that the worker is alive, when that is due."""
        if time.monotonic() < self._next_at:
            return
        self.announce()
        for name in self._sets[1:]:
            self._drop_dead(name)

    def leave(self, connection: Any) -> None:
        """Take the entry out, over another connection: the worker's own may be waiting for
        something.
        """
        with connection.pipeline() as pipeline:
            for name in self._sets:
                pipeline.srem(name, self._key)
            pipeline.delete(self._key)
            _execute(pipeline)

    def _drop_dead(self, name: str) -> None:
        with self._connection.pipeline() as pipeline:
            pipeline.srandmember(name, SAMPLE)
            (entries,) = _execute(pipeline)
            if not isinstance(entries, list) or not entries:
                return
            for entry in entries:
                pipeline.exists(entry)
            dead = [
                entry
                for entry, exists in zip(entries, _execute(pipeline), strict=True)
                if exists == 0
            ]
            if dead:
                pipeline.srem(name, *dead)
                pipeline.srem(WORKERS, *dead)
                _execute(pipeline)


def _execute(pipeline: Any) -> list[Any]:
    """The answers.

    A key of a kind that RQ never makes is left as it is, and keeps no worker from working.
    """
    answers: list[Any] = pipeline.execute(raise_on_error=False)
    for answer in answers:
        if isinstance(answer, ResponseError) and not str(answer).startswith("WRONGTYPE"):
            raise answer
    return answers
