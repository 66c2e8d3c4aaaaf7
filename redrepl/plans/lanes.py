"""Several requests of background work on their way at once: while one node works, the next thing is
made ready.
"""

from __future__ import annotations

from typing import NamedTuple

from redrepl.plans.steps import Steps
from redrepl.values.effects import (
    Answer,
    Ask,
    Command,
    Event,
    Exchange,
    Failure,
    Plan,
    Reply,
    Request,
    Wait,
)
from redrepl.values.errors import Unavailable


class _Started(NamedTuple):
    """A request whose answer has not been taken yet."""

    request: Request
    doing: str
    is_alone: bool


class Lanes:
    """Requests that are started at once and whose answers are taken later, each by its ticket.

    A node answers its requests in the order in which they were started. While any is under way,
    nothing else may be asked through `Steps`: a fresh question makes all answers before it
    unwanted.
    """

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._tickets = 0
        self._unsent: list[Request] = []
        self._started: dict[int, _Started] = {}
        self._answers: dict[int, Answer] = {}
        self._failures: dict[int, Unavailable] = {}

    @property
    def at(self) -> float:
        """The driver's clock at the last answer, in seconds."""
        return self._steps.at

    def start(self, node: str, command: Command, doing: str, is_alone: bool = False) -> int:
        """Have a request sent at the next opportunity; answers its ticket.

        ``is_alone``: it alone fails.
        """
        self._tickets += 1
        request = Request(node, command, self._tickets)
        self._unsent.append(request)
        self._started[self._tickets] = _Started(request, doing, is_alone)
        return self._tickets

    def answer(self, ticket: int) -> Plan[Answer]:
        """The answer to one request.

        Raises Unavailable where it, or any other under way, could not be carried out.
        """
        while self._unsent or not self._is_over(ticket):
            requests, self._unsent = tuple(self._unsent), []
            # Where the answer is here, requests are only to leave: those that wait for a connection
            # are not late.
            only_sends = self._is_over(ticket)
            until = self._steps.at if only_sends else self._steps.until
            self._take((yield self._exchange(requests, until, is_deadline=not only_sends)), ticket)
        del self._started[ticket]
        if ticket in self._failures:
            raise self._failures.pop(ticket)
        return self._answers.pop(ticket)

    def _is_over(self, ticket: int) -> bool:
        return ticket in self._answers or ticket in self._failures

    def ask(self, node: str, command: Command, doing: str) -> Plan[Answer]:
        """Start a request and wait for its answer."""
        return self.answer(self.start(node, command, doing))

    def rest(self, seconds: float) -> Plan[None]:
        """Let time pass; answers that come meanwhile are kept for those who wait for them."""
        until = self._steps.at + seconds
        while self._steps.at < until:
            requests, self._unsent = tuple(self._unsent), []
            event = yield self._exchange(requests, until, is_deadline=False)
            self._take(event, ticket=None)

    def _exchange(self, requests: tuple[Request, ...], until: float, is_deadline: bool) -> Exchange:
        """Send these. Where nothing else is under way, that begins a question."""
        if len(requests) == len(self._started):
            return Ask(requests, until, is_deadline=is_deadline)
        return Wait(until, requests, is_deadline=is_deadline)

    def _take(self, event: Event, ticket: int | None) -> None:
        self._steps.at = event.at
        if isinstance(event, Reply):
            self._answers[event.tag] = event.content
        elif isinstance(event, Failure) and self._started[event.tag].is_alone:
            self._failures[event.tag] = self._failure(event.tag, event.reason)
        elif isinstance(event, Failure):
            raise self._failure(event.tag, event.reason)
        elif ticket is not None and not self._is_over(ticket):
            raise self._failure(ticket, "no answer in time")

    def _failure(self, ticket: int, reason: str) -> Unavailable:
        (node, _, _), doing, _ = self._started[ticket]
        return Unavailable(f"{doing} failed on node {node!r}", {node: reason})
