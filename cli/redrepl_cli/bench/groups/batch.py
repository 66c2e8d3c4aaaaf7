"""Many keys in one call."""

from __future__ import annotations

from redrepl_cli.bench.native import WAIT_MILLIS, native_primary
from redrepl_cli.bench.servers import coordinator, plain
from redrepl_cli.bench.settings import BATCH_KEYS, batch_keys, plain_key
from redrepl_cli.bench.stage import CannotMeasure, Stage
from redrepl_cli.bench.subjects import Group, Spec, TakeTurn, Unit, each_call

SHARE = 1 / 30
"""A batch takes as long as some sixty single operations."""

PIPELINE = "redis-py pipeline of sets"
MGET = "redis-py mget"
GETS = "redis-py pipeline of gets"


def pipeline_of_sets(stage: Stage) -> TakeTurn:
    """redis-py's way to store many keys on one server."""
    client, value, names = (
        stage.use(plain),
        stage.settings.value,
        list(map(plain_key, batch_keys())),
    )

    def call(_number: int) -> None:
        pipeline = client.pipeline(transaction=False)
        for name in names:
            pipeline.set(name, value)
        pipeline.execute()

    return each_call(call, BATCH_KEYS)


def _pipeline_and_wait(stage: Stage) -> TakeTurn:
    client, value, names = (
        stage.use(native_primary),
        stage.settings.value,
        list(map(plain_key, batch_keys())),
    )

    def call(_number: int) -> None:
        pipeline = client.pipeline(transaction=False)
        for name in names:
            pipeline.set(name, value)
        pipeline.wait(1, WAIT_MILLIS)
        if pipeline.execute()[-1] < 1:
            raise CannotMeasure("no native replica confirmed the batch")

    return each_call(call, BATCH_KEYS)


def _pipeline_of_gets(stage: Stage) -> TakeTurn:
    client, names = stage.use(plain), list(map(plain_key, batch_keys()))

    def call(_number: int) -> None:
        pipeline = client.pipeline(transaction=False)
        for name in names:
            pipeline.get(name)
        pipeline.execute()

    return each_call(call, BATCH_KEYS)


def _mget(stage: Stage) -> TakeTurn:
    client, names = stage.use(plain), list(map(plain_key, batch_keys()))
    return each_call(lambda _number: client.mget(names), BATCH_KEYS)


def _set_many(stage: Stage) -> TakeTurn:
    store, items = stage.use(coordinator), dict.fromkeys(batch_keys(), stage.settings.value)
    return each_call(lambda _number: store.set_many(items, level="quorum"), BATCH_KEYS)


def _get_many(stage: Stage) -> TakeTurn:
    store, names = stage.use(coordinator), batch_keys()
    return each_call(lambda _number: store.get_many(names), BATCH_KEYS)


_RATE = Unit.KEYS_PER_SECOND
_SPECS = (
    Spec(PIPELINE, pipeline_of_sets, (), _RATE, SHARE),
    Spec(MGET, _mget, (), _RATE, SHARE),
    Spec(GETS, _pipeline_of_gets, (MGET,), _RATE, SHARE),
    Spec("redrepl set_many QUORUM", _set_many, (PIPELINE,), _RATE, SHARE),
    Spec("redrepl get_many ONE", _get_many, (MGET, GETS), _RATE, SHARE),
)
_WAIT = Spec("pipeline of sets + WAIT 1", _pipeline_and_wait, (PIPELINE,), _RATE, SHARE)
_TITLE = f"batches of {BATCH_KEYS} keys"

BATCHES = Group("batch", _TITLE, _SPECS)
"""What the quick suite measures."""

WITH_WAIT = Group("batch", _TITLE, (*_SPECS, _WAIT))
"""Batches beside native replication."""
