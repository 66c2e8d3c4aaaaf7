"""asyncio: many tasks at once, one task, and batches, beside redis.asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from redrepl_cli.bench.clients import primary_endpoint, redis_url
from redrepl_cli.bench.groups.batch import SHARE as BATCH_SHARE
from redrepl_cli.bench.servers import cluster, coordinator
from redrepl_cli.bench.settings import BATCH_KEYS, TASKS, batch_keys, plain_key, single_key
from redrepl_cli.bench.stage import Stage
from redrepl_cli.bench.subjects import Group, Spec, TakeTurn, Unit, each_await

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from redrepl import AsyncCoordinator

SET = f"redis.asyncio set, {TASKS} tasks"
GET = f"redis.asyncio get, {TASKS} tasks"
ONE_SET = "redis.asyncio set, 1 task"
PIPELINE = "redis.asyncio pipeline"

SHARE = 4.0
"""Each of the tasks takes many calls in a turn, so that its start and end do not matter."""


@contextmanager
def _runner(_stage: Stage) -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@contextmanager
def _plain(stage: Stage) -> Iterator[Redis]:
    from redis.asyncio import Redis

    runner, endpoint = stage.use(_runner), primary_endpoint(stage.use(coordinator))
    client = Redis.from_url(
        redis_url(endpoint), username=endpoint.username, password=endpoint.password
    )
    try:
        yield client
    finally:
        runner.run(client.aclose())


@contextmanager
def _store(stage: Stage) -> Iterator[AsyncCoordinator[str, bytes]]:
    from redrepl import AsyncCoordinator

    runner, store = (
        stage.use(_runner),
        AsyncCoordinator[str, bytes](stage.use(cluster).configuration),
    )
    runner.run(store.open())
    try:
        yield store
    finally:
        runner.run(store.close())


def _plain_set(tasks: int, stage: Stage) -> TakeTurn:
    client, value = stage.use(_plain), stage.settings.value
    return each_await(
        stage.use(_runner), lambda number: client.set(plain_key(single_key(number)), value), tasks
    )


def _plain_get(stage: Stage) -> TakeTurn:
    client = stage.use(_plain)
    return each_await(
        stage.use(_runner), lambda number: client.get(plain_key(single_key(number))), TASKS
    )


def _plain_batch(stage: Stage) -> TakeTurn:
    client, value, names = (
        stage.use(_plain),
        stage.settings.value,
        list(map(plain_key, batch_keys())),
    )

    async def call(_number: int) -> None:
        pipeline = client.pipeline(transaction=False)
        for name in names:
            pipeline.set(name, value)
        await pipeline.execute()

    return each_await(stage.use(_runner), call, units=BATCH_KEYS)


def _set(tasks: int, stage: Stage) -> TakeTurn:
    store, value = stage.use(_store), stage.settings.value
    return each_await(
        stage.use(_runner),
        lambda number: store.set(single_key(number), value, level="quorum"),
        tasks,
    )


def _get(stage: Stage) -> TakeTurn:
    store = stage.use(_store)
    return each_await(stage.use(_runner), lambda number: store.get(single_key(number)), TASKS)


def _set_many(stage: Stage) -> TakeTurn:
    store, items = stage.use(_store), dict.fromkeys(batch_keys(), stage.settings.value)
    return each_await(
        stage.use(_runner), lambda _number: store.set_many(items, level="quorum"), units=BATCH_KEYS
    )


_OPERATIONS = Unit.OPERATIONS_PER_SECOND
_KEYS = Unit.KEYS_PER_SECOND

ASYNCIO = Group(
    "asyncio",
    f"asyncio, {TASKS} tasks at once or one",
    (
        Spec(SET, partial(_plain_set, TASKS), (), _OPERATIONS, SHARE),
        Spec(GET, _plain_get, (), _OPERATIONS, SHARE),
        Spec(f"set QUORUM, {TASKS} tasks", partial(_set, TASKS), (SET,), _OPERATIONS, SHARE),
        Spec(f"get ONE, {TASKS} tasks", _get, (GET,), _OPERATIONS, SHARE),
        Spec(ONE_SET, partial(_plain_set, 1), (), _OPERATIONS),
        Spec("set QUORUM, 1 task", partial(_set, 1), (ONE_SET,), _OPERATIONS),
        Spec(PIPELINE, _plain_batch, (), _KEYS, BATCH_SHARE),
        Spec("set_many QUORUM", _set_many, (PIPELINE,), _KEYS, BATCH_SHARE),
    ),
)
"""Subjects without another name are AsyncCoordinator's."""
