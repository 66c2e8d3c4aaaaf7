"""One operation at a time: the levels, redis-py on one server, and native replication with WAIT."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from redrepl_cli.bench.calls import plain_gets, plain_sets, store_gets, store_sets
from redrepl_cli.bench.native import native_primary, set_and_wait_in_pipeline, set_then_wait
from redrepl_cli.bench.servers import coordinator, plain
from redrepl_cli.bench.stage import Stage
from redrepl_cli.bench.subjects import Group, Spec, TakeTurn, each_call

SET = "redis-py set"
GET = "redis-py get"
WAIT_1 = "SET + WAIT 1, pipeline"


def _set_at(level: str, stage: Stage) -> TakeTurn:
    return store_sets(stage.use(coordinator), stage.settings.value, level)


def _get_at(level: str, stage: Stage) -> TakeTurn:
    return store_gets(stage.use(coordinator), level)


def _wait(how: Callable[..., Callable[[int], None]], replicas: int, stage: Stage) -> TakeTurn:
    return each_call(how(stage.use(native_primary), stage.settings.value, replicas))


def _levels(quorum_baselines: tuple[str, ...]) -> tuple[Spec, ...]:
    return (
        Spec(SET, lambda stage: plain_sets(stage.use(plain), stage.settings.value)),
        Spec(GET, lambda stage: plain_gets(stage.use(plain))),
        Spec("redrepl set ASYNC", partial(_set_at, "async"), (SET,)),
        Spec("redrepl set ONE", partial(_set_at, "one"), (SET,)),
        Spec("redrepl set QUORUM", partial(_set_at, "quorum"), quorum_baselines),
        Spec("redrepl set ALL", partial(_set_at, "all"), (SET,)),
        Spec("redrepl get ONE", partial(_get_at, "one"), (GET,)),
        Spec("redrepl get QUORUM", partial(_get_at, "quorum"), (GET,)),
    )


_WAITS = (
    Spec(WAIT_1, partial(_wait, set_and_wait_in_pipeline, 1), (SET,)),
    Spec("SET + WAIT 2, pipeline", partial(_wait, set_and_wait_in_pipeline, 2), (SET,)),
    Spec("SET + WAIT 1, two calls", partial(_wait, set_then_wait, 1), (SET,)),
    Spec("SET + WAIT 2, two calls", partial(_wait, set_then_wait, 2), (SET,)),
)

_TITLE = "one operation at a time"

LEVELS = Group("single", _TITLE, _levels((SET,)))
"""What the quick suite measures."""

WITH_WAITS = Group("single", _TITLE, (*_levels((SET, WAIT_1)), *_WAITS))
"""The levels beside native replication."""
