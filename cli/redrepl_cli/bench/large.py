"""A cluster of many keys: how long an emptied replica takes until it serves again, beside writes,
and what it costs them.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from redrepl import Configuration, Coordinator
from redrepl.values.errors import RedreplError
from redrepl_cli.bench.servers import Cluster, configuration_of, embedded_servers, initialise
from redrepl_cli.bench.settings import PREFIX, Settings
from redrepl_cli.bench.stage import CannotMeasure
from redrepl_cli.children import SAFE_PATH

CHILD = (*SAFE_PATH, "-m", "redrepl_cli.bench.large_child")
WRITES_PER_SECOND = 5_000
ALONE_SECONDS = 10.0
FILLED_AT_A_TIME = 20_000
PROBE_PAUSE_SECONDS = 0.005
STAGES = 3


@dataclass(frozen=True, slots=True)
class Large:
    """What was found. refill_seconds: from the start of the worker's first job until the replica
    served.

    writes_per_second: what was written meanwhile. alone_micros, beside_micros: the median of single
    QUORUM writes without (before and afterwards) and with the refill, under the same load.
    worker_rss_bytes: resident memory of the process that fills, twice a second.
    """

    keys: int
    refill_seconds: float
    writes_per_second: float
    alone_micros: float
    beside_micros: float
    worker_rss_bytes: tuple[int, ...]

    @property
    def ratio(self) -> float:
        """What the refill costs a write."""
        return self.beside_micros / self.alone_micros

    def as_json(self) -> dict[str, Any]:
        """The form that stays stable."""
        rss = self.worker_rss_bytes or (0,)
        return {
            "keys": self.keys,
            "refill_seconds": round(self.refill_seconds, 2),
            "refill_keys_per_second": round(self.keys / self.refill_seconds),
            "writes_per_second": round(self.writes_per_second),
            "alone_micros": round(self.alone_micros, 1),
            "beside_micros": round(self.beside_micros, 1),
            "ratio": round(self.ratio, 3),
            "worker_rss_first_bytes": rss[0],
            "worker_rss_largest_bytes": max(rss),
            "worker_rss_last_bytes": rss[-1],
        }


def measure_large(settings: Settings, on_stage: Callable[[int], None]) -> Large:
    """Fill a cluster of the run's own, empty one replica, and fill that. Raises CannotMeasure."""
    if settings.copies < 3:
        raise CannotMeasure(
            "needs three copies or more: a QUORUM write must not wait for the one that is filled"
        )
    with embedded_servers(settings, settings.copies) as servers, TemporaryDirectory() as folder:
        configuration = configuration_of(servers.urls)
        initialise(configuration)
        file = _write_file(Path(folder), configuration)
        cluster = Cluster(configuration, servers)
        with Coordinator[str, bytes](configuration) as store:
            _fill(store, settings)
            on_stage(1)
            for node in store.topology.ids:
                _refill(file, node)
            return _measure(cluster, store, settings, file, on_stage)


def _measure(
    cluster: Cluster,
    store: Coordinator[str, bytes],
    settings: Settings,
    file: Path,
    on_stage: Callable[[int], None],
) -> Large:
    node = store.topology.ids[-1]
    assert cluster.servers is not None
    with _load(settings, file) as load:
        alone = _write_until(store, settings, time.monotonic() + ALONE_SECONDS)
        on_stage(2)
        cluster.servers[node].restart(empty=True)
        began = time.monotonic()
        command = [sys.executable, *CHILD, "refill", str(file), node]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as filling:
            beside = _write_until(store, settings, lambda: filling.poll() is not None)
            assert filling.stdout is not None
            text = filling.stdout.read()
        lasted = time.monotonic() - began
        # Once more, since a machine's speed changes over so long a time.
        alone += _write_until(store, settings, time.monotonic() + ALONE_SECONDS)
        written = load()
    on_stage(STAGES)
    if not text:
        raise CannotMeasure("the process that fills the replica ended without a word")
    found = json.loads(text)
    rate = written / (lasted + 2 * ALONE_SECONDS)
    return Large(
        settings.keys,
        found["seconds"],
        rate,
        median(alone),
        median(beside),
        tuple(found["rss_bytes"]),
    )


def _write_file(folder: Path, configuration: Configuration) -> Path:
    lines = [f'cluster = "{configuration.cluster}"']
    for member in configuration.members:
        lines += [
            "[[nodes]]",
            f'id = "{member.id}"',
            f'url = "{member.url}"',
            f'role = "{member.role.value}"',
        ]
    file = folder / "redrepl.toml"
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


def _fill(store: Coordinator[str, bytes], settings: Settings) -> None:
    for start in range(0, settings.keys, FILLED_AT_A_TIME):
        numbers = range(start, min(settings.keys, start + FILLED_AT_A_TIME))
        store.set_many(
            {f"{PREFIX}{number}": settings.value for number in numbers},
            level="all",
            timeout_seconds=20.0,
        )


def _refill(file: Path, node: str) -> None:
    subprocess.run(
        [sys.executable, *CHILD, "refill", str(file), node], stdout=subprocess.DEVNULL, check=True
    )


@contextmanager
def _load(settings: Settings, file: Path) -> Iterator[Callable[[], int]]:
    """Writes go on meanwhile; what is yielded ends them and answers how many there were."""
    sizes = (str(settings.keys), str(WRITES_PER_SECOND), str(settings.value_bytes))
    command = [sys.executable, *CHILD, "load", str(file), *sizes]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        try:
            yield lambda: int(child.communicate()[0])
        finally:
            child.kill()


def _write_until(
    store: Coordinator[str, bytes], settings: Settings, end: float | Callable[[], bool]
) -> list[float]:
    """Microseconds of single QUORUM writes, one after the other with a pause, until a time or a
    condition.
    """
    micros, number = [], 0
    while not (end() if callable(end) else time.monotonic() >= end):
        number += 1
        began = time.perf_counter_ns()
        try:
            store.set(f"{PREFIX}{number * 104_729 % settings.keys}", settings.value, level="quorum")
        except RedreplError:
            continue
        micros.append((time.perf_counter_ns() - began) / 1000)
        time.sleep(PROBE_PAUSE_SECONDS)
    if not micros:
        raise CannotMeasure("no write was confirmed meanwhile")
    return micros
