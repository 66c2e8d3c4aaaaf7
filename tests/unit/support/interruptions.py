"""Plans that are disturbed or die in the middle."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from redrepl.values.effects import Ask, Exchange, Plan

R = TypeVar("R")


class Died(Exception):
    """The process that runs a plan is no more."""


def die() -> None:
    """As an action of `interrupted`: the process dies there."""
    raise Died


def interrupted_once(
    plan: Plan[R], is_so: Callable[[], bool], action: Callable[[], object]
) -> Plan[R]:
    """The plan, with something happening right before the first question that it asks when this is
    so.
    """
    try:
        effect = next(plan)
        while True:
            if isinstance(effect, Ask) and is_so():
                action()
            effect = plan.send((yield effect))
    except StopIteration as end:
        result: R = end.value
        return result


def interrupted(
    plan: Plan[R], question: int, action: Callable[[], object], every_request: bool = False
) -> Plan[R]:
    """The plan, with something happening right before it asks its ``question``-th question.

    every_request: what is sent while answers are waited for counts too.
    """
    asked = 0
    try:
        effect = next(plan)
        while True:
            # `inspect_nodes` first only wants to know what time it is.
            is_question = isinstance(effect, Ask) and effect.until > 0
            if every_request:
                is_question = isinstance(effect, Exchange) and bool(effect.requests)
            asked += is_question
            if asked == question and is_question:
                action()
            effect = plan.send((yield effect))
    except StopIteration as end:
        result: R = end.value
        return result
