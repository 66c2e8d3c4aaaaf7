"""Requests on their way to nodes: waiting to be sent, or sent and without a reply yet."""

from __future__ import annotations

from collections import deque
from typing import TypeAlias

from redrepl.values.effects import Event, Request


class Run:
    """One question of one plan, and what has happened to it."""

    __slots__ = ("events", "is_live")

    def __init__(self) -> None:
        self.events: deque[Event] = deque()
        self.is_live = True

    def put(self, event: Event) -> None:
        """Something happened."""
        self.events.append(event)


class Resent(Request):
    """A request that is sent again because its node lacked the script; ``times``: how often so far.

    It counts as sent, whatever becomes of it now: the other copies have had theirs since the first
    time.
    """

    times: int


Waiting: TypeAlias = tuple[Run, Request]
"""A request that waits for a connection to its node."""

Owed: TypeAlias = tuple[Run, Request, float]
"""A reply that is still owed on a connection: who asked, what, and when it was sent."""
