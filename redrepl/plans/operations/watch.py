"""Waiting for a node that may have been replaced: after a moment the others are asked whether the
epoch moved.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from redrepl.plans.view import ClusterView, Overtaken
from redrepl.values.effects import (
    Ask,
    Command,
    DeadlinePassed,
    Event,
    Exchange,
    Failure,
    PlainCommand,
    Plan,
    Progress,
    Reply,
    Request,
    Wait,
)
from redrepl.values.errors import ConfigError
from redrepl.values.topology import Topology

R = TypeVar("R")

LOOK_SECONDS = 0.1
"""Between one look and the next."""

LOOK = -1
"""Tag of the questions asked here; plans count theirs from 0."""


def watching(view: ClusterView, plan: Plan[R], started: float, asked: Sequence[str]) -> Plan[R]:
    """Drive a plan; while it waits for long, look whether one of ``asked`` knows a later epoch.

    Then raises Overtaken.

    What the plan is waiting for may still come after that, and means nothing any more. Nor do
    answers to what was asked here outlast it: to whatever comes next they would look like its own.
    """
    look_at = started + view.suspect_seconds
    question = PlainCommand((b"HGET", view.layout.topology, b"topology"))
    unanswered: set[str] = (
        set()
    )  # nodes that are not asked again before they have answered: they may be slow too
    try:
        effect = next(plan)
        while True:
            if isinstance(effect, Progress):
                effect = plan.send((yield effect))
                continue
            until = effect.until
            if type(effect) is Ask:
                unanswered.clear()
            event = yield _until(effect, look_at)
            while _is_our_own(event, until):
                if isinstance(event, DeadlinePassed):
                    look_at = event.at + LOOK_SECONDS
                    looks = tuple(
                        [Request(node, question, LOOK) for node in asked if node not in unanswered]
                    )
                    unanswered.update(asked)
                    event = yield _until(Wait(until, looks), look_at)
                else:
                    assert isinstance(event, (Reply, Failure)), "it was asked for here"
                    unanswered.discard(event.node)
                    _check(view, event)
                    event = yield _until(Wait(until), look_at)
            effect = plan.send(event)
    except StopIteration as end:
        result: R = end.value
        if unanswered:
            yield Ask((), started)
        return result
    finally:
        plan.close()


def _until(effect: Exchange, look_at: float) -> Exchange:
    """The exchange, interrupted when it is time to look."""
    return effect if effect.until <= look_at else effect._replace(until=look_at, is_deadline=False)


def _is_our_own(event: Event, until: float) -> bool:
    """Whether the plan below did not ask for this event."""
    if isinstance(event, DeadlinePassed):
        return event.at < until
    return event is not None and event.tag == LOOK


def _check(view: ClusterView, event: Reply | Failure) -> None:
    if not isinstance(event, Reply) or event.content is None:
        return
    try:
        told = Topology.parse(event.content)
    except (ConfigError, TypeError):
        return  # whoever follows asks the others too
    if told.epoch > view.topology.epoch:
        evidence = {event.node: f"epoch {told.epoch}"}
        overtaken = Overtaken(
            f"no answer before epoch {told.epoch} began, as node {event.node!r} tells", evidence
        )
        overtaken.at = event.at
        raise overtaken


def ask_decider(
    view: ClusterView, home: str, command: Command, started: float, until: float
) -> Plan[Event]:
    """Ask the deciding node alone.

    Where a later epoch begins before it answers, that is a failure of what was sent.
    """
    question = _wait_for(Ask((Request(home, command),), until, home))
    if view.decider is None:
        return (yield from question)
    try:
        return (yield from watching(view, question, started, view.others[home]))
    except Overtaken as overtaken:
        return Failure(home, 0, overtaken.message, True, overtaken.at)


def _wait_for(effect: Exchange) -> Plan[Event]:
    return (yield effect)
