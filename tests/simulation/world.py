"""Time, chance and the order of things: everything that happens in a simulation happens here, one
after the other.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

from redrepl.edges import loop_board, loop_operation, opening, switchboard
from tests.simulation.servers import virtual_server_time

BEGINNING_SECONDS = 1_700_000_000.0
"""What a clock without skew shows when a simulation begins, in seconds since 1970."""

_HEAVY_TAIL = 0.02
_LONGEST_SECONDS = 10.0


class Event:
    """Something that is going to happen, unless it is called off."""

    __slots__ = ("arguments", "call")

    def __init__(self, call: Callable[..., object] | None, arguments: tuple[Any, ...]) -> None:
        self.call = call
        self.arguments = arguments

    def cancel(self) -> None:
        """It does not happen."""
        self.call = None


class World:
    """The scheduler of one simulation.

    ``now``: seconds since it began, the monotonic clock of every program.

    All chance follows from the seed. Whoever needs some has a stream of its own, so that what one
    does never changes what another draws: iteration over sets, whose order differs from process to
    process, then makes no difference.
    """

    def __init__(self, seed: int, is_traced: bool = False) -> None:
        self.seed = seed
        self.now = 0.0
        self.is_traced = is_traced
        self.trace: list[str] = []
        self._order = 0
        self._events: list[tuple[float, int, Event]] = []

    def stream(self, name: str) -> Random:
        """The chance of one part of the simulation."""
        return Random(f"{self.seed} {name}")

    def after(self, delay_seconds: float, call: Callable[..., object], *arguments: Any) -> Event:
        """Have something called later."""
        return self.at(self.now + delay_seconds, call, *arguments)

    def at(self, at: float, call: Callable[..., object], *arguments: Any) -> Event:
        """Have something called at a time."""
        self._order += 1
        event = Event(call, arguments)
        heapq.heappush(self._events, (at, self._order, event))
        return event

    def run(self, until: float, is_over: Callable[[], bool] | None = None) -> bool:
        """Let things happen until then; answers whether it was over before."""
        events = self._events
        while is_over is None or not is_over():
            if not events or events[0][0] > until:
                self.now = max(self.now, until)
                return False
            self.now, _, event = heapq.heappop(events)
            if event.call is not None:
                event.call(*event.arguments)
        return True

    def note(self, who: str, text: str) -> None:
        """A line of the trace."""
        self.trace.append(f"{self.now:10.4f}  {who:<10} {text}")


def latency_seconds(random: Random, usual_seconds: float) -> float:
    """How long something takes that mostly takes about so long, and sometimes very much longer."""
    factor = (
        random.expovariate(1.0) * 200 if random.random() < _HEAVY_TAIL else 0.5 + random.random()
    )
    return min(_LONGEST_SECONDS, usual_seconds * factor)


class _Time:
    """Stands in for the module `time` in the library's edges."""

    def __init__(self) -> None:
        self.world = World(0)

    def monotonic(self) -> float:
        return self.world.now


_TIME = _Time()
_TIMED = (switchboard, opening, loop_board, loop_operation)


@contextmanager
def in_virtual_time() -> Iterator[None]:
    """Inside, the library's connections and fakeredis read the clock of the world that was entered
    last.
    """
    kept = [vars(module)["time"] for module in _TIMED]
    for module in _TIMED:
        vars(module)["time"] = _TIME
    try:
        with virtual_server_time():
            yield
    finally:
        for module, time in zip(_TIMED, kept, strict=True):
            vars(module)["time"] = time


def enter(world: World) -> None:
    """From now on this world's clock is read."""
    _TIME.world = world
