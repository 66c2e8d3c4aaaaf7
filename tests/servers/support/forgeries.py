"""What others could write to the queue: each is to run nothing, end nothing, and take no memory."""

from __future__ import annotations

import json
import os
import pickle
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from redrepl.values.jobs import BRING_UP, SWEEP, default_queue, job_id, sweep_job_id

QUEUE = default_queue("shop")
LIST = f"rq:queue:{QUEUE}"
MARK = f"{__name__}.mark"
CREATED = "2026-01-01T00:00:00.000000Z"

BOMB = zlib.compress(b"[" + b"0," * (64 << 20) + b"0]", 9)
"""A hundred kilobytes that inflate to 128 MiB."""


def mark(*_: object, **__: object) -> None:
    """What a forged job would have run: it leaves a trace."""
    Path(os.environ["REDREPL_TEST_MARK"]).write_text("a forged job was run")


def packed(function: object, *arguments: object, **named: object) -> bytes:
    """A job's content as RQ writes it."""
    return zlib.compress(json.dumps([function, None, list(arguments), named]).encode())


def write(queue: Any, name: str | bytes, data: bytes, *, waits: bool = True, **fields: Any) -> None:
    """A job as RQ would have written it."""
    name = name.encode() if isinstance(name, str) else name
    content = {
        "data": data,
        "created_at": CREATED,
        "origin": QUEUE,
        "status": "queued",
        "timeout": 60,
        **fields,
    }
    queue.hset(b"rq:job:" + name, mapping=content)
    if waits:
        queue.rpush(LIST, name)


OWN = job_id("shop", "b", 0)


def _hooks(url: str) -> str:
    return json.dumps([{"url": url, "job_status": "failed", "method": "POST", "headers": {}}])


def abandoned(queue: Any, url: str) -> None:
    """RQ's maintenance would run its failure callback and send its webhook."""
    write(
        queue,
        "abandoned",
        packed(BRING_UP, "shop", "b"),
        waits=False,
        failure_callback_name=MARK,
        webhooks=_hooks(url),
    )
    queue.zadd(f"rq:wip:{QUEUE}", {"abandoned:1": 1})


def stuck(queue: Any, url: str) -> None:
    """RQ's maintenance would send its webhook."""
    write(queue, "stuck", packed(BRING_UP, "shop", "b"), waits=False, webhooks=_hooks(url))
    queue.rpush(f"{LIST}:intermediate", "stuck")
    queue.set(f"{LIST}:intermediate:first_seen:stuck", time.monotonic() - 3600)


def with_callbacks(queue: Any, url: str) -> None:
    """Sound work that names callbacks and webhooks, to be run when it has ended."""
    names: dict[str, Any] = {
        f"{kind}_callback_name": MARK for kind in ("success", "failure", "stopped")
    }
    write(queue, OWN, packed(BRING_UP, "shop", "b"), webhooks=_hooks(url), result_ttl=1000, **names)


def ready(queue: Any, _: str) -> None:
    """Waits in the other registries that RQ's maintenance goes through."""
    write(queue, "ready", packed(MARK), waits=False)
    for registry in ("deferred", "scheduled", "finished", "failed", "canceled", "ready"):
        queue.zadd(f"rq:{registry}:{QUEUE}", {"ready": 1})


def _job(data: bytes, name: str | bytes = "forged", **fields: Any) -> Callable[[Any, str], None]:
    return lambda queue, _: write(queue, name, data, **fields)


def _other_kind(queue: Any, _: str) -> None:
    queue.set("rq:job:text", "x" * 1000)
    queue.sadd("rq:job:set", "x")
    queue.rpush(LIST, "text", "set", "not there", b"\xff\xfe", "")


def _huge_hash(queue: Any, _: str) -> None:
    fields: dict[str, Any] = {f"field-{number}": "x" * 100 for number in range(20_000)}
    write(queue, "huge", packed(BRING_UP, "shop", "b"), **fields)


def _huge_id(queue: Any, _: str) -> None:
    queue.rpush(LIST, b"x" * (8 << 20))


def _commands(queue: Any, _: str) -> None:
    """RQ's own workers would end, or wait."""
    for key in queue.smembers("rq:workers"):
        channel = key.decode().replace("rq:worker:", "rq:pubsub:")
        queue.publish(channel, json.dumps({"command": "shutdown"}))
    queue.set("rq:suspended", 1)


def _registries_of_other_kinds(queue: Any, _: str) -> None:
    for name in (f"rq:wip:{QUEUE}", f"rq:failed:{QUEUE}", f"rq:workers:{QUEUE}", "rq:workers"):
        queue.delete(name)
        queue.set(name, "of another kind")


def _more_clusters(queue: Any, _: str) -> None:
    for number in range(100):
        cluster = f"other-{number}"
        write(queue, job_id(cluster, "b", 0), packed(BRING_UP, cluster, "b"))


KINDS: dict[str, Callable[[Any, str], None]] = {
    "abandoned": abandoned,
    "stuck": stuck,
    "with callbacks": with_callbacks,
    "ready": ready,
    "another function": _job(packed(MARK)),
    "another function under a sound id": _job(packed("os.system", "touch /tmp/forged"), OWN),
    "pickled": _job(zlib.compress(pickle.dumps((MARK, None, (), {})))),
    "not packed": _job(b"\x00" * 100),
    "empty": _job(b""),
    "no content": lambda queue, _: (
        queue.rpush(LIST, "hollow") and queue.hset("rq:job:hollow", "status", "queued")
    ),
    "bomb": _job(BOMB),
    "small bomb": _job(zlib.compress(b"0" * 500_000, 9)),
    "deep": _job(zlib.compress(b"[" * 2000)),
    "number": _job(zlib.compress(b"1e400")),
    "instance": _job(
        zlib.compress(json.dumps([BRING_UP, {"a": 1}, ["shop", "b"], {}]).encode()), OWN
    ),
    "named arguments": _job(packed(BRING_UP, "shop", node="b"), OWN),
    "too many arguments": _job(packed(SWEEP, "shop", "b"), sweep_job_id("shop")),
    "arguments of other types": _job(packed(BRING_UP, 1, ["b"]), OWN),
    "strange names": _job(packed(BRING_UP, "shop", "../b\x1b[2J"), OWN),
    "another id": _job(packed(BRING_UP, "shop", "b"), "any-id"),
    "repeats and retries": _job(
        packed(MARK), "again", repeats_left=9, retries_left=9, repeat_intervals="[0]"
    ),
    "strange fields": _job(
        packed(MARK), "strange", enqueued_at="no date", timeout="never", status="no status"
    ),
    "other kinds": _other_kind,
    "huge hash": _huge_hash,
    "huge id": _huge_id,
    "commands": _commands,
    "registries of other kinds": _registries_of_other_kinds,
    "more clusters": _more_clusters,
}
"""Writes each kind to the queue, given a client of it and a url to which nothing is to be sent."""
