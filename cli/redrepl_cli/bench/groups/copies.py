"""What a further copy costs: QUORUM writes to three, five and seven copies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial

from redis import Redis

from redrepl_cli.bench.calls import Store, plain_sets, store_sets
from redrepl_cli.bench.clients import client_of, primary_endpoint
from redrepl_cli.bench.groups.single import SET
from redrepl_cli.bench.servers import embedded_cluster
from redrepl_cli.bench.stage import Stage
from redrepl_cli.bench.subjects import Group, Spec, TakeTurn

COUNTS = (3, 5, 7)


def _opener(copies: int) -> Callable[[Stage], AbstractContextManager[Store]]:
    @contextmanager
    def opened(stage: Stage) -> Iterator[Store]:
        with (
            embedded_cluster(stage.settings, copies) as cluster,
            Store(cluster.configuration) as store,
        ):
            yield store

    return opened


_STORES = {copies: _opener(copies) for copies in COUNTS}


@contextmanager
def _plain(stage: Stage) -> Iterator[Redis]:
    with client_of(primary_endpoint(stage.use(_STORES[COUNTS[0]]))) as client:
        yield client


def _set(copies: int, stage: Stage) -> TakeTurn:
    return store_sets(stage.use(_STORES[copies]), stage.settings.value)


def _name(copies: int) -> str:
    return f"set QUORUM, {copies} copies"


COPIES = Group(
    "copies",
    "set QUORUM on more copies",
    (
        Spec(SET, lambda stage: plain_sets(stage.use(_plain), stage.settings.value)),
        Spec(_name(COUNTS[0]), partial(_set, COUNTS[0]), (SET,)),
        *(
            Spec(_name(copies), partial(_set, copies), (SET, _name(COUNTS[0])))
            for copies in COUNTS[1:]
        ),
    ),
)
"""Each number of copies is a cluster of its own."""
