"""What a plan asks of its driver, and what the driver tells it.

A plan is a generator: it yields an `Exchange` (send these requests, then tell me the next thing that happens) and
receives one `Event` for it. It returns its result or raises a redrepl error. Drivers alone know sockets and clocks.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, NamedTuple, TypeAlias, TypeVar

Answer: TypeAlias = Any
"""A decoded reply: bytes, int, None, or a list of answers."""


class ScriptCall(NamedTuple):
    """A call of one of the node-side scripts. The same object sent to several nodes is encoded once."""

    script: str
    keys: tuple[bytes, ...]
    arguments: tuple[bytes | int, ...]


class PlainCommand(NamedTuple):
    """An ordinary Redis command."""

    arguments: tuple[bytes | int, ...]


Command: TypeAlias = ScriptCall | PlainCommand


class Request(NamedTuple):
    """A command for one node. ``tag`` comes back with the reply."""

    node: str
    command: Command
    tag: int = 0


class Exchange(NamedTuple):
    """Send ``requests`` and wait for the next event until ``until`` (the driver's monotonic clock, seconds).

    ``gate`` names the node without which nothing is sent: if it cannot be reached, none of the requests leave. A
    driver may report nothing else before its answer.
    ``fresh`` begins a new question: replies still owed to earlier requests of the plan are no longer wanted and never
    come back as events. Every first exchange of a question is fresh, so that plans can be put together.
    ``holds``: ``until`` is no deadline, only when the plan wants to look around: what still waits for a connection then
    goes on waiting. Without it, that fails when the time is over.
    """

    requests: tuple[Request, ...]
    until: float
    gate: str | None = None
    fresh: bool = False
    holds: bool = False


class Progress(NamedTuple):
    """How far a long plan has come; answered at once with no event. ``total`` is None where it is unknown."""

    stage: str
    done: int
    total: int | None


class Reply(NamedTuple):
    """A node answered. ``at`` is the driver's monotonic clock."""

    node: str
    tag: int
    content: Answer
    at: float


class Failure(NamedTuple):
    """A node gave no usable answer. ``sent``: the request may have reached it."""

    node: str
    tag: int
    reason: str
    sent: bool
    at: float


class DeadlinePassed(NamedTuple):
    """The exchange's deadline came first."""

    at: float


Effect: TypeAlias = Exchange | Progress
Event: TypeAlias = Reply | Failure | DeadlinePassed | None
R = TypeVar("R")
Plan: TypeAlias = Generator[Effect, Event, R]
