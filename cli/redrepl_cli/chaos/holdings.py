"""Faults of what a node holds, while its server goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from redrepl import RedreplError
from redrepl.values.keys import KeyLayout
from redrepl_cli.chaos.scene import Scene, tell
from redrepl_cli.chaos.stage import CLUSTER, Stage

BULK_KEYS = 40_000
"""Filling a node with them takes seconds, while clients write."""

_CHUNK_KEYS = 2_000
_STORE_SECONDS = 60.0


@contextmanager
def flushed(scene: Scene) -> Iterator[None]:
    """All keys are gone at once, the bookkeeping too; the server is the same and its connections
    stay.
    """
    scene.begins()
    tell(scene.server, ("FLUSHALL",))
    yield


@contextmanager
def log_deleted(scene: Scene) -> Iterator[None]:
    """The change log is deleted by hand, the records stay."""
    scene.begins()
    tell(scene.server, ("DEL", KeyLayout(CLUSTER).log.decode()))
    yield


@contextmanager
def refilled(scene: Scene) -> Iterator[None]:
    """The node comes back with nothing where there are many keys."""
    _store_many(scene.stage)
    scene.begins()
    scene.server.restart(empty=True)
    yield


def _store_many(stage: Stage) -> None:
    give_up_at = time.monotonic() + _STORE_SECONDS
    for start in range(0, BULK_KEYS, _CHUNK_KEYS):
        values = {f"bulk-{number}": b"%d" % number for number in range(start, start + _CHUNK_KEYS)}
        while time.monotonic() < give_up_at:
            # Clients write at the same time, on a machine that may be busy.
            with suppress(RedreplError):
                stage.store.set_many(values)
                break
