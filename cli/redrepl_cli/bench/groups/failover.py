"""How long a client is without its writes when the primary is killed or freezes, beside
Sentinel.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from redrepl import Configuration, RedreplError
from redrepl.embedded import EmbeddedServer
from redrepl_cli.bench.calls import Store
from redrepl_cli.bench.outages import OutageGroup, OutageSpec, Scene
from redrepl_cli.bench.sentinel import sentinel_scene
from redrepl_cli.bench.servers import Cluster, embedded_cluster
from redrepl_cli.bench.stage import CannotMeasure, Stage
from redrepl_cli.bench.waiting import await_until
from redrepl_cli.bench.writer import event_key, event_value
from redrepl_cli.local.servers import WorkerProcess

FEWEST_COPIES = 3
"""Without three there is no majority, and no automatic failover."""

WORKER_SECONDS = 20.0
"""For the worker to say that it watches; it takes about a second."""

WATCHES = "worker for cluster"
"""The worker's line in its log, written once its monitor runs."""


@contextmanager
def _watched_cluster(stage: Stage) -> Iterator[Cluster]:
    """A cluster with one worker process."""
    copies = stage.settings.copies
    if copies < FEWEST_COPIES:
        raise CannotMeasure(
            f"fewer than {FEWEST_COPIES} copies have no majority, and no automatic failover"
        )
    with (
        embedded_cluster(stage.settings, copies) as cluster,
        tempfile.TemporaryDirectory(prefix="redrepl-bench-") as folder,
    ):
        file, log = Path(folder, "redrepl.toml"), Path(folder, "worker.log")
        file.write_text(_text_of(cluster.configuration), encoding="utf-8")
        with WorkerProcess(file, log) as worker:
            await_until(
                lambda: not worker.running or WATCHES in log.read_text(),
                WORKER_SECONDS,
                lambda: f"the worker did not begin in {WORKER_SECONDS:g} s",
            )
            if not worker.running:
                raise CannotMeasure(f"the worker ended: {log.read_text().strip()[-300:]}")
            yield cluster


def _text_of(configuration: Configuration) -> str:
    """The configuration file for the worker: default settings."""
    lines = [f"cluster = {json.dumps(configuration.cluster)}"]
    for endpoint, role in zip(configuration.endpoints, configuration.roles, strict=True):
        lines += [
            "[[nodes]]",
            f'id = "{endpoint.node}"',
            f"url = {json.dumps(endpoint.url)}",
            f'role = "{role.value}"',
        ]
    return "\n".join(lines) + "\n"


@contextmanager
def _store(stage: Stage) -> Iterator[Store]:
    with Store(stage.use(_watched_cluster).configuration) as store:
        yield store


def _redrepl_scene(stage: Stage) -> Scene:
    store, servers = stage.use(_store), stage.use(_watched_cluster).servers
    assert servers is not None
    value_bytes = stage.settings.value_bytes

    def write(number: int) -> object:
        return store.set(event_key(number), event_value(number, value_bytes), level="quorum")

    def read(numbers: list[int]) -> list[bytes | None]:
        found = store.get_many([event_key(number) for number in numbers], level="quorum")
        return [found[event_key(number)] for number in numbers]

    return Scene(
        servers[store.topology.primaries[0]],
        write,
        lambda numbers: read(list(numbers)),
        (RedreplError,),
    )


_SPECS = (
    OutageSpec("redrepl set QUORUM", _redrepl_scene),
    OutageSpec("Sentinel, SET", partial(sentinel_scene, False)),
    OutageSpec("Sentinel, SET + WAIT 1", partial(sentinel_scene, True)),
)

FAILOVER = (
    OutageGroup("killed", "writes stop: the primary is killed", EmbeddedServer.kill, _SPECS),
    OutageGroup("frozen", "writes stop: the primary freezes", EmbeddedServer.freeze, _SPECS),
)
"""kill -9, and SIGSTOP: such a server keeps its connections and answers nothing."""
