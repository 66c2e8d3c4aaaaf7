"""Several plans at once, over the connections of one: what each waits for, the others do not wait
for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from redrepl.plans.steps import Steps
from redrepl.values.effects import (
    NOT_BEGUN,
    Ask,
    DeadlinePassed,
    Effect,
    Event,
    Failure,
    Plan,
    Progress,
    Reply,
    Request,
    Wait,
)

R = TypeVar("R")


def side_by_side(plans: Sequence[Plan[R]], steps: Steps) -> Plan[list[R]]:
    """Drive plans to their ends; answers their results in order.

    Where one raises, the others are given up.

    Each must keep a clock of its own (`steps_beside`); that of ``steps`` goes on to the last event.
    """
    lanes = [_Lane(plan) for plan in plans]
    owed: dict[int, tuple[_Lane[R], int]] = {}
    try:
        for lane in lanes:
            lane.go_on(NOT_BEGUN)
        is_first, tags = True, 0
        while any(not lane.is_over for lane in lanes):
            requests: list[Request] = []
            for lane in lanes:
                if lane.is_afresh:
                    owed = {tag: debt for tag, debt in owed.items() if debt[0] is not lane}
                for request in lane.take_unsent():
                    tags += 1
                    owed[tags] = (lane, request.tag)
                    requests.append(request._replace(tag=tags))
            waiting = [lane for lane in lanes if not lane.is_over]
            next_lane = min(waiting, key=lambda lane: lane.until)
            # That one has waited for long enough ends nothing of the others'.
            is_deadline = next_lane.is_deadline and len(waiting) == 1
            until, sent = next_lane.until, tuple(requests)
            event = (
                yield Ask(sent, until, None, is_deadline)
                if is_first
                else Wait(until, sent, None, is_deadline)
            )
            is_first = False
            steps.at = max(steps.at, event.at)
            _deliver(event, waiting, owed)
    finally:
        for lane in lanes:
            lane.close()
    return [lane.results[0] for lane in lanes]


def steps_beside(steps: Steps) -> Steps:
    """A clock for a plan that is driven side by side with others."""
    beside = Steps(steps.at, steps.step_seconds, steps.no_later_than)
    beside.started = steps.started
    return beside


class _Lane(Generic[R]):
    """One plan: what it is waiting for, and what is still to be sent for it.

    is_afresh: it wants no answer to what it asked before.
    """

    def __init__(self, plan: Plan[R]) -> None:
        self._plan = plan
        self.results: list[R] = []
        self.unsent: tuple[Request, ...] = ()
        self.until = 0.0
        self.is_deadline, self.is_afresh = True, False

    @property
    def is_over(self) -> bool:
        return bool(self.results)

    def go_on(self, event: Event) -> None:
        """Let it take an event, and go on until it waits for the next."""
        try:
            effect: Effect = self._plan.send(event)
            while isinstance(effect, Progress):
                effect = self._plan.send(DeadlinePassed(event.at))
        except StopIteration as end:
            self.results.append(end.value)
            return
        self.unsent, self.until = effect.requests, effect.until
        self.is_deadline, self.is_afresh = effect.is_deadline, isinstance(effect, Ask)

    def take_unsent(self) -> tuple[Request, ...]:
        """What is to be sent, once."""
        unsent, self.unsent, self.is_afresh = self.unsent, (), False
        return unsent

    def close(self) -> None:
        self._plan.close()


def _deliver(
    event: Event, waiting: Sequence[_Lane[R]], owed: dict[int, tuple[_Lane[R], int]]
) -> None:
    """Give an event to whom it belongs: an answer to who asked, a deadline to all whose time is
    over.
    """
    if isinstance(event, DeadlinePassed):
        for lane in waiting:
            if lane.until <= event.at:
                lane.go_on(event)
    elif isinstance(event, (Reply, Failure)) and event.tag in owed:
        lane, tag = owed.pop(event.tag)
        if not lane.is_over:
            lane.go_on(event._replace(tag=tag))
