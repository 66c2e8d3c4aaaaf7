"""Asking one node after another, for plans that run in the background."""

from __future__ import annotations

from redrepl.plans.view import ask, expect_reply
from redrepl.values.effects import Answer, Command, DeadlinePassed, Exchange, Plan

STEP_SECONDS = 5.0
"""One request of upkeep; a node that takes longer is left for the next time."""


class Steps:
    """Requests one after the other, each with the same time-out. ``at`` is the driver's clock at the last answer."""

    def __init__(self, started: float, step_seconds: float = STEP_SECONDS) -> None:
        self.at = started
        self.started = started
        self.step_seconds = step_seconds

    @property
    def until(self) -> float:
        """When the next request times out."""
        return self.at + self.step_seconds

    def ask(self, node: str, command: Command, doing: str) -> Plan[Answer]:
        """One node's answer. Raises Unavailable naming what could not be done."""
        reply = expect_reply((yield ask(node, command, self.until)), node, doing)
        self.at = reply.at
        return reply.content

    def rest(self, seconds: float) -> Plan[None]:
        """Let time pass."""
        event = yield Exchange((), self.at + seconds)
        if isinstance(event, DeadlinePassed):
            self.at = event.at
