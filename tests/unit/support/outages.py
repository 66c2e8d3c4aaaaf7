"""A primary that is no server, for tests of how outages are measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from redrepl.embedded import EmbeddedServer
from redrepl_cli.bench.outages import OutageGroup, OutageSpec, Scene
from redrepl_cli.bench.stage import Stage
from redrepl_cli.bench.writer import event_value

VALUE_BYTES = 8


class Away(Exception):
    """The primary does not answer."""


class Invented:
    """Keeps values in a dictionary; after its end so many calls fail, then another takes over
    without the ``loses`` newest values.
    """

    def __init__(self, failing_calls: int = 3, loses: int = 0) -> None:
        self.values: dict[int, bytes] = {}
        self.failing_calls = failing_calls
        self.loses = loses
        self.is_gone = False

    def end(self) -> None:
        """The fault."""
        self.is_gone = True
        for number in sorted(self.values)[len(self.values) - self.loses :]:
            del self.values[number]

    def write(self, number: int) -> None:
        """As a client's call."""
        if self.is_gone and self.failing_calls:
            self.failing_calls -= 1
            raise Away
        self.values[number] = event_value(number, VALUE_BYTES)

    def read(self, numbers: Sequence[int]) -> list[bytes | None]:
        """What is there now."""
        return [self.values.get(number) for number in numbers]

    def scene(self, _stage: Stage | None = None) -> Scene:
        """With this in the place of its server."""
        return Scene(cast(EmbeddedServer, self), self.write, self.read, (Away,))


def end(primary: EmbeddedServer) -> None:
    """The fault of `Invented`."""
    cast(Invented, primary).end()


def group(*specs: OutageSpec) -> OutageGroup:
    """Subjects that meet this fault."""
    return OutageGroup("gone", "the primary is gone", end, specs)
