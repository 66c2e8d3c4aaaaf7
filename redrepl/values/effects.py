"""What a plan asks of its driver, and what the driver tells it.

A plan is a generator: it yields `Ask` or `Wait` (send these requests, then tell me the next thing
that happens) and receives one `Event` for it. It returns its result or raises a redrepl error.
Drivers alone know sockets and clocks.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, NamedTuple, TypeAlias, TypeVar, cast

Answer: TypeAlias = Any
"""A decoded reply: bytes, int, None, or a list of answers."""


class ScriptCall(NamedTuple):
    """A call of one of the node-side scripts.

    The same object sent to several nodes is encoded once.
    """

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


class Ask(NamedTuple):
    """Begin a question: send requests, and wait for the first event.

    Replies still owed to earlier requests of the plan are no longer wanted, and never come back as
    events. A plan begins each question with this, so that plans can be put together.

    requests: empty to let time pass. until: when to stop waiting; the driver's monotonic clock,
    seconds.
    required_node: where this node cannot be reached none of the requests leave, and a driver may
    report nothing else before its answer.
    is_deadline: False where the plan only wants to look around at that time: requests that wait for
    a connection then continue to wait, and do not fail.
    """

    requests: tuple[Request, ...]
    until: float
    required_node: str | None = None
    is_deadline: bool = True


class Wait(NamedTuple):
    """Continue a question: wait for the next event, and send more requests before.

    The fields mean what those of `Ask` do.
    """

    until: float
    requests: tuple[Request, ...] = ()
    required_node: str | None = None
    is_deadline: bool = True


class Progress(NamedTuple):
    """How far a long plan has come. ``total`` is None where it is unknown.

    No event is waited for: a driver tells at once that the time has passed.
    """

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
    """Nothing else happened until then."""

    at: float


Exchange: TypeAlias = Ask | Wait
Effect: TypeAlias = Ask | Wait | Progress
Event: TypeAlias = Reply | Failure | DeadlinePassed
R = TypeVar("R")
Plan: TypeAlias = Generator[Effect, Event, R]

NOT_BEGUN: Event = cast(Event, None)
"""What a generator is sent that has not begun: Python takes nothing but None there."""
