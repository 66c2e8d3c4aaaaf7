"""Asking several nodes at once, one request each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from redrepl.values.effects import (
    Answer,
    Ask,
    Command,
    DeadlinePassed,
    Exchange,
    Failure,
    Plan,
    Reply,
    Request,
    Wait,
)

NO_ANSWER = "no answer in time"


class Gathered(NamedTuple):
    """Answers, and in words why there is none, by node.

    ``at``: the driver's clock at the last of them.
    """

    answers: dict[str, Answer]
    failures: dict[str, str]
    at: float


def gather(commands: Mapping[str, Command], started: float, until: float) -> Plan[Gathered]:
    """Every node's answer to its command. Never raises for a node's failure."""
    answers: dict[str, Answer] = {}
    failures: dict[str, str] = {}
    at = started
    effect: Exchange = Ask(
        tuple(Request(node, command) for node, command in commands.items()), until
    )
    while len(answers) + len(failures) < len(commands):
        event = yield effect
        effect = Wait(until)
        at = event.at
        if isinstance(event, DeadlinePassed):
            silent = commands.keys() - answers.keys() - failures.keys()
            failures |= dict.fromkeys(silent, NO_ANSWER)
        elif isinstance(event, Failure):
            failures[event.node] = event.reason
        elif isinstance(event, Reply):
            answers[event.node] = event.content
    return Gathered(answers, failures, at)
