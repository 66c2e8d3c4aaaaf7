"""The fault of a queue that others write to: jobs that redrepl did not queue, and keys of other
kinds.
"""

from __future__ import annotations

import json
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis

from redrepl.values.jobs import BRING_UP, default_queue, job_id
from redrepl_cli.chaos.scene import Scene, meanwhile
from redrepl_cli.chaos.stage import CLUSTER

AT_ONCE = 200
MOST_WAITING = 5_000
"""The flood goes on as fast as workers take it, and fills no memory."""

BETWEEN_SECONDS = 0.05
BOMB_BYTES = 1 << 20

_LIST = f"rq:queue:{default_queue(CLUSTER)}"


def _packed(function: str, *arguments: str) -> bytes:
    return zlib.compress(json.dumps([function, None, arguments, {}]).encode())


_CONTENTS = (
    _packed("os.abort"),
    _packed(BRING_UP, CLUSTER, "a"),
    _packed(BRING_UP, "other", "a"),
    zlib.compress(b"[" * BOMB_BYTES, 9),
    b"not packed",
)


@contextmanager
def killed_in_a_flood(scene: Scene) -> Iterator[None]:
    """Flood the queue with forged jobs from before the node is killed until it is back."""
    queue = redis.Redis.from_url(scene.stage.queue.url, protocol=2)

    def flood(over: threading.Event) -> None:
        number = 0
        while not over.is_set():
            if queue.llen(_LIST) < MOST_WAITING:
                _forge(queue, number)
                number += AT_ONCE
            over.wait(BETWEEN_SECONDS)

    with queue, meanwhile(flood):
        scene.begins()
        scene.server.kill()
        for proxy in scene.everywhere():
            proxy.cut()
        yield
        scene.server.start()
        for proxy in scene.everywhere():
            proxy.heal()
    with redis.Redis.from_url(scene.stage.queue.url, protocol=2) as after:
        after.delete(_LIST)


def _forge(queue: Any, start: int) -> None:
    """Jobs of every content under made-up ids, those of nodes among them, as RQ would have written
    them.
    """
    with queue.pipeline(transaction=False) as pipeline:
        for number in range(start, start + AT_ONCE):
            name = job_id(CLUSTER, "abc"[number % 3], 0) if number % 50 == 0 else f"forged-{number}"
            content = _CONTENTS[number % len(_CONTENTS)]
            fields = {"data": content, "failure_callback_name": "os.abort", "status": "started"}
            pipeline.hset(f"rq:job:{name}", mapping=fields)
            pipeline.rpush(_LIST, name)
            pipeline.zadd(_LIST.replace(":queue:", ":wip:"), {f"{name}:1": 1})
        pipeline.delete("rq:workers")
        pipeline.set("rq:workers", "of another kind")
        pipeline.execute()
