"""Plans side by side: none waits for what another waits for, and none gets another's answers."""

from __future__ import annotations

import pytest

from redrepl.plans.side_by_side import side_by_side, steps_beside
from redrepl.plans.steps import Steps
from redrepl.values.effects import Ask, DeadlinePassed, PlainCommand, Plan, Reply, Request
from redrepl.values.errors import Unavailable
from tests.unit.support.by_hand import START, ByHand

PING = PlainCommand((b"PING",))


def two_questions(node: str, steps: Steps) -> Plan[list[bytes]]:
    """One answer after the other."""
    return [
        (yield from steps.ask(node, PING, "asking")),
        (yield from steps.ask(node, PING, "asking again")),
    ]


def started(*nodes: str) -> tuple[ByHand[list[list[bytes]]], Steps]:
    steps = Steps(START, 2.0)
    return ByHand(
        side_by_side([two_questions(node, steps_beside(steps)) for node in nodes], steps)
    ), steps


def test_each_goes_on_when_its_own_answer_comes() -> None:
    plans, steps = started("b", "c")
    assert plans.targets() == ["b", "c"]
    assert plans.replies("b", b"b1", 1).targets() == ["b"]
    assert plans.replies("b", b"b2", 3).targets() == []
    assert plans.replies("c", b"c1", 2).targets() == ["c"]
    assert plans.replies("c", b"c2", 4).result == [[b"b1", b"b2"], [b"c1", b"c2"]]
    assert steps.at == plans.at


def test_answers_of_one_node_go_to_who_asked() -> None:
    plans, _ = started("b", "b")
    plans.replies("b", b"first", 1).replies("b", b"second", 2)
    assert plans.replies("b", b"third", 3).replies("b", b"fourth", 4).result == [
        [b"first", b"third"],
        [b"second", b"fourth"],
    ]


def test_the_deadline_is_that_of_each() -> None:
    plans, _ = started("b", "c")
    plans.replies("b", b"b1", 1)
    assert (plans.exchange.until, plans.exchange.is_deadline) == (START + 2.0, False)
    with pytest.raises(Unavailable, match="node 'c'"):
        plans.happens(DeadlinePassed(START + 2.0))


def test_a_failure_ends_all() -> None:
    plans, _ = started("b", "c")
    with pytest.raises(Unavailable, match="node 'b'"):
        plans.fails("b", tag=1)


def test_what_one_does_not_want_any_more_reaches_nobody() -> None:
    def impatient() -> Plan[bytes]:
        yield Ask((Request("b", PING, 7),), START + 0.5)
        event = yield Ask((Request("b", PING, 7),), START + 2.0)
        assert isinstance(event, Reply)
        assert event.tag == 7
        return bytes(event.content)

    def patient(steps: Steps) -> Plan[bytes]:
        return bytes((yield from steps.ask("c", PING, "asking")))

    steps = Steps(START, 2.0)
    plans = ByHand(side_by_side([impatient(), patient(steps_beside(steps))], steps))
    plans.happens(DeadlinePassed(START + 0.5))
    plans.replies("b", b"late", 1)
    assert not plans.is_done
    assert plans.replies("b", b"in time", 3).replies("c", b"c", 2).result == [b"in time", b"c"]


def test_none_at_all() -> None:
    steps = Steps(START)
    assert ByHand(side_by_side(list[Plan[bytes]](), steps)).result == []
