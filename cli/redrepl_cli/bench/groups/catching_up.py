"""How fast a copy that lags is brought up, by what a worker's job does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from redrepl import Administration
from redrepl_cli.bench.groups.batch import PIPELINE, pipeline_of_sets
from redrepl_cli.bench.servers import cluster, coordinator
from redrepl_cli.bench.settings import PREFIX
from redrepl_cli.bench.stage import CannotMeasure, Stage
from redrepl_cli.bench.subjects import Group, Spec, TakeTurn, Turn, Unit

RECORDS = 10_000
"""Records that the copy lacks each time: written at ASYNC in batches, over those of the time
before.
"""

SHARE = 1 / 150
"""One catch-up a round."""


@contextmanager
def _administration(stage: Stage) -> Iterator[Administration]:
    configuration = stage.use(cluster).configuration
    if stage.settings.own is not None:
        raise CannotMeasure(
            "needs servers of its own: on those of --config your workers do the same work"
        )
    if len(configuration.endpoints) < 2:
        raise CannotMeasure("a cluster of one copy has no replica to bring up")
    with Administration(configuration) as administration:
        administration.find_members()
        yield administration


def _catch_up(stage: Stage) -> TakeTurn:
    administration, store = stage.use(_administration), stage.use(coordinator)
    items = dict.fromkeys(
        [f"{PREFIX}lag:{number}" for number in range(RECORDS)], stage.settings.value
    )
    replica = store.topology.ids[-1]

    def take_turn(calls: int) -> Turn:
        micros, records = [], 0
        for _ in range(calls):
            store.set_many(items, level="async")
            started = time.perf_counter_ns()
            records += administration.bring_up(replica).records
            micros.append((time.perf_counter_ns() - started) / 1000)
        if records < calls * RECORDS:
            raise CannotMeasure(f"only {records} of {calls * RECORDS} records were lacking")
        return Turn(micros, sum(micros) / 1e6, records)

    return take_turn


CATCHING_UP = Group(
    "catch-up",
    f"a lagging copy is brought {RECORDS:,} records",
    (
        Spec(PIPELINE, pipeline_of_sets, (), Unit.KEYS_PER_SECOND, 1 / 30),
        Spec("catch-up", _catch_up, (PIPELINE,), Unit.KEYS_PER_SECOND, SHARE),
    ),
)
"""Beside what redis-py's pipeline stores on one server, which copies nothing."""
