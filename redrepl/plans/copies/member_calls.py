"""Asking one member for something that it does for the caller's epoch alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from redrepl.plans.steps import Steps
from redrepl.plans.view import ClusterView, admitted
from redrepl.values.answers.refusals import NotAdmitted
from redrepl.values.answers.upkeep import parse_noted
from redrepl.values.effects import Answer, Command, Plan

R = TypeVar("R")


def ask_member(
    view: ClusterView,
    node: str,
    command: Command,
    parse: Callable[[Answer], R | NotAdmitted],
    doing: str,
    steps: Steps,
) -> Plan[R]:
    """What a member returned, parsed.

    Raises Unavailable where the node gives no answer, EpochMoved or Refused where it did not admit
    the caller. ``doing``: names in words what could not be done then.
    """
    answer = parse((yield from steps.ask(node, command, doing)))
    return admitted(answer, node, view.epoch)


def note_on_member(
    view: ClusterView, node: str, command: Command, doing: str, steps: Steps
) -> Plan[None]:
    """Have a member store a note of upkeep. Raises as `ask_member` does."""
    yield from ask_member(view, node, command, parse_noted, doing, steps)
