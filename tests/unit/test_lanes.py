"""Requests of background work that are on their way while the plan rests, or goes on with something
else.
"""

from __future__ import annotations

import contextlib

from redrepl.plans.lanes import Lanes
from redrepl.plans.steps import STEP_SECONDS, Steps
from redrepl.values.effects import DeadlinePassed, Event, Exchange, PlainCommand, Plan, Reply

PING = PlainCommand((b"PING",))


def _begin(plan: Plan[object]) -> Exchange:
    effect = next(plan)
    assert isinstance(effect, Exchange)
    return effect


def _end(plan: Plan[object], event: Event) -> None:
    with contextlib.suppress(StopIteration):
        plan.send(event)


def test_the_end_of_a_rest_is_no_deadline_of_what_waits_for_a_connection() -> None:
    lanes = Lanes(Steps(100.0))
    ticket = lanes.start("a", PING, "looking")
    resting = lanes.rest(1.0)
    effect = _begin(resting)
    assert (len(effect.requests), effect.until, effect.is_deadline) == (1, 101.0, False)
    _end(resting, DeadlinePassed(101.0))
    effect = _begin(lanes.answer(ticket))
    assert (len(effect.requests), effect.until, effect.is_deadline) == (
        0,
        101.0 + STEP_SECONDS,
        True,
    )


def test_what_only_leaves_while_another_answer_is_taken_is_not_late() -> None:
    lanes = Lanes(Steps(100.0))
    first, second = lanes.start("a", PING, "looking"), lanes.start("b", PING, "looking")
    waiting = lanes.answer(second)
    assert len(_begin(waiting).requests) == 2
    waiting.send(Reply("a", first, b"PONG", 100.1))
    _end(waiting, Reply("b", second, b"PONG", 100.2))
    lanes.start("c", PING, "looking")
    effect = _begin(lanes.answer(first))
    assert (len(effect.requests), effect.until, effect.is_deadline) == (1, 100.2, False)
