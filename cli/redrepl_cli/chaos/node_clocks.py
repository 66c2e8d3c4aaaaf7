"""Faults of nodes' clocks: they step, and are set right at the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from redrepl_cli.chaos.client import DEADLINE_SECONDS
from redrepl_cli.chaos.scene import Harm, Scene

STEP_SECONDS = 2 * DEADLINE_SECONDS
"""A machine that resumed, a wrong time server: more than any tolerance, and than the deadlines of
what is stored.
"""


def stepped(seconds: float) -> Harm:
    """The node's clock is so far ahead of all others; negative: behind."""

    @contextmanager
    def harm(scene: Scene) -> Iterator[None]:
        server = scene.server
        scene.begins()
        server.set_clock(seconds)
        yield
        server.set_clock(0.0)

    return harm
