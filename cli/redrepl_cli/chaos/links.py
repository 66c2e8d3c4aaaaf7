"""Faults of the network between a node and everybody else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from redrepl.embedded.proxy import TcpProxy
from redrepl_cli.chaos.scene import Harm, Scene, meanwhile

FAR_SECONDS = 0.3
"""Each way: from one side of the earth to the other and back by a bad line; a round trip is within
the time-out.
"""

NARROW_BYTES_PER_SECOND = 64 * 1024
"""Of one connection, each way: some hundred small records a second."""

BETWEEN_RESETS_SECONDS = 0.25
"""Seldom enough that something is done in between, and often enough to hit what is under way."""

BETWEEN_FORGETTING_SECONDS = 1.5
"""Longer than the time-out of an operation, so that each forgotten connection is found out."""


def slow(seconds: float) -> Harm:
    """So many seconds of delay each way."""

    @contextmanager
    def harm(scene: Scene) -> Iterator[None]:
        proxies = scene.everywhere()
        scene.begins()
        for proxy in proxies:
            proxy.delay(seconds)
        yield
        for proxy in proxies:
            proxy.delay(0.0)

    return harm


@contextmanager
def narrow(scene: Scene) -> Iterator[None]:
    """Little goes through at a time."""
    proxies = scene.everywhere()
    scene.begins()
    for proxy in proxies:
        proxy.narrow(NARROW_BYTES_PER_SECOND)
    yield
    for proxy in proxies:
        proxy.narrow(0)


def again_and_again(order: Callable[[TcpProxy], None], between_seconds: float) -> Harm:
    """All that is open at that moment breaks in a way, again and again; new connections are
    served.
    """

    @contextmanager
    def harm(scene: Scene) -> Iterator[None]:
        proxies = scene.everywhere()

        def disturb(over: threading.Event) -> None:
            while not over.is_set():
                for proxy in proxies:
                    order(proxy)
                over.wait(between_seconds)

        scene.begins()
        with meanwhile(disturb):
            yield

    return harm
