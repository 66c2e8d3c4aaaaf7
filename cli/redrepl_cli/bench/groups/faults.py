"""What a missing copy costs those who write: one replica killed, one frozen, beside a cluster that
lacks nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial

from redrepl.embedded import EmbeddedServer
from redrepl_cli.bench.calls import Store, store_sets
from redrepl_cli.bench.servers import embedded_cluster
from redrepl_cli.bench.settings import single_key
from redrepl_cli.bench.stage import CannotMeasure, Stage
from redrepl_cli.bench.subjects import Group, Spec, TakeTurn

SETTLE_TIMEOUTS = 1.5
"""Written before the rounds, in time-outs of an operation: by then a frozen copy's connection has
been given up.
"""

HEALTHY = "set QUORUM, healthy"


def _opener(
    fault: Callable[[EmbeddedServer], None] | None,
) -> Callable[[Stage], AbstractContextManager[Store]]:
    @contextmanager
    def opened(stage: Stage) -> Iterator[Store]:
        copies = stage.settings.copies
        if fault is not None and copies < 2:
            raise CannotMeasure("a cluster of one copy has no replica to lose")
        with (
            embedded_cluster(stage.settings, copies) as cluster,
            Store(cluster.configuration) as store,
        ):
            if fault is not None and cluster.servers is not None:
                store.set(single_key(0), b"", level="all")
                fault(cluster.servers[store.topology.ids[-1]])
                _settle(store)
            yield store

    return opened


def _settle(store: Store) -> None:
    until = time.monotonic() + SETTLE_TIMEOUTS * store.configuration.timeout_seconds
    while time.monotonic() < until:
        store.set(single_key(0), b"", level="quorum")


_STORES = {
    HEALTHY: _opener(None),
    "set QUORUM, one copy dead": _opener(EmbeddedServer.kill),
    "set QUORUM, one copy frozen": _opener(EmbeddedServer.freeze),
}


def _set(name: str, stage: Stage) -> TakeTurn:
    return store_sets(stage.use(_STORES[name]), stage.settings.value)


FAULTS = Group(
    "faults",
    "set QUORUM while a copy is missing",
    tuple(
        Spec(name, partial(_set, name), () if name == HEALTHY else (HEALTHY,)) for name in _STORES
    ),
)
"""Each fault has a cluster of its own."""
