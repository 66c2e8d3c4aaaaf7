"""An observer that keeps every fact, and holds each call to what `Observer` promises of its
arguments.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from redrepl import Observer
from redrepl.observe import Source
from tests.support.waiting import wait_until

FACTS = [name for name in vars(Observer) if not name.startswith("_")]
"""The names of all facts."""


class Fact(NamedTuple):
    """A fact that was told. thread: the name of the thread that told it."""

    name: str
    source: Source
    named: dict[str, Any]
    thread: str


class Recorder(Observer):
    """``facts``: what was told so far, in order."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []

    def names(self, *but: str) -> list[str]:
        """The names of the facts so far, without some."""
        return [fact.name for fact in self.facts if fact.name not in but]

    def of(self, name: str) -> list[Fact]:
        """The facts of this name."""
        return [fact for fact in self.facts if fact.name == name]

    def wait_for(self, name: str, count: int = 1, timeout_seconds: float = 30.0) -> list[Fact]:
        """Wait for so many facts of this name."""
        wait_until(lambda: len(self.of(name)) >= count, timeout_seconds, f"{count} of {name}")
        return self.of(name)

    def take(self, name: str, source: Source, named: dict[str, Any]) -> None:
        """Keep a fact."""
        self.facts.append(Fact(name, source, named, threading.current_thread().name))


def _method(name: str) -> Callable[..., None]:
    signature = inspect.signature(getattr(Observer, name))

    def told(self: Recorder, source: Source, /, **named: Any) -> None:
        signature.bind(self, source, **named)
        self.take(name, source, named)

    return told


for _name in FACTS:
    setattr(Recorder, _name, _method(_name))
