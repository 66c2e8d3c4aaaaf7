"""Monitors beside nodes that are far: a slow answer is an answer, and silence is noticed all the
same.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any

import pytest

from redrepl.plans.epochs.suspicion import NOT_SEEN_YET, Suspicion, Verdict
from redrepl.plans.inspect import newest_topology
from redrepl.plans.lookout import Lookout, Seen
from redrepl.values import limits
from redrepl.values.effects import (
    NOT_BEGUN,
    DeadlinePassed,
    Event,
    Exchange,
    Failure,
    PlainCommand,
    Plan,
    Reply,
    Request,
)
from redrepl.values.keys import KeyLayout
from redrepl.values.reasons import CLOSES, LOST, REFUSES
from redrepl.values.topology import Topology
from tests.unit.support.by_hand import START, topology

PROBE_SECONDS = 0.1
SILENCE_SECONDS = 0.7
MEMBER = [b"cluster", b"shop", b"state", b"active", b"run_id", b"run-1"]


class Nodes:
    """Nodes at some distance, and a monitor that looks at them.

    ``silent``: what these are asked is never answered.
    """

    def __init__(self, **round_trips: float) -> None:
        self.round_trips = round_trips
        self.silent: set[str] = set()
        self.topology = topology(3)
        self.at = START
        self.asked = 0
        self._coming: list[tuple[float, int, Event]] = []
        self._count = 0
        self._lookout = Lookout(KeyLayout("shop"), tuple(round_trips), SILENCE_SECONDS / 3)
        self._suspicion = Suspicion(0.1, SILENCE_SECONDS)

    def look(self) -> tuple[Seen, Verdict]:
        """Look once, and let the rest of the pause pass."""
        began = self.at
        seen = self._drive(self._lookout.look(self.at, self.at + PROBE_SECONDS))
        verdict = NOT_SEEN_YET
        if seen.is_current:
            verdict = self._suspicion.judge(
                newest_topology(seen.reports), seen.reports, self.at, None, seen.silences
            )
        self.at = max(self.at, began + PROBE_SECONDS)
        return seen, verdict

    def watch(self, seconds: float) -> list[Verdict]:
        """Look for so long."""
        verdicts, end = [], self.at + seconds
        while self.at < end:
            verdicts.append(self.look()[1])
        return verdicts

    def until_due(self, within_seconds: float = 20.0) -> float:
        """After how many seconds the primary is to be replaced."""
        began = self.at
        while not self.look()[1].is_due:
            assert self.at - began < within_seconds, "nothing happens"
        return self.at - began

    def fails_over(self, to: str, seconds: float) -> None:
        """The monitor gives the role to this node, and looks at nobody meanwhile."""
        self.at += seconds
        self.topology = self.topology.with_primary(to, self.topology.epoch + 1)
        self._lookout.forget()

    def loses(self, node: str, reason: str) -> None:
        """The connection to a node goes, with all that is under way on it."""
        lost = [
            event for _, _, event in self._coming if isinstance(event, Reply) and event.node == node
        ]
        self._coming = [entry for entry in self._coming if entry[2] not in lost]
        heapq.heapify(self._coming)
        for event in lost:
            self._put(self.at, Failure(node, event.tag, reason, True, self.at))

    def _drive(self, plan: Plan[Seen]) -> Seen:
        event = NOT_BEGUN
        while True:
            try:
                effect = plan.send(event)
            except StopIteration as end:
                seen: Seen = end.value
                return seen
            assert isinstance(effect, Exchange)
            for request in effect.requests:
                self._answer(request)
            event = self._next(effect.until)

    def _answer(self, request: Request) -> None:
        self.asked += 1
        if request.node not in self.silent:
            is_information = isinstance(request.command, PlainCommand)
            content: Any = (
                b"run_id:run-1\r\n" if is_information else _inspection(request.node, self.topology)
            )
            at = self.at + self.round_trips[request.node]
            self._put(at, Reply(request.node, request.tag, content, at))

    def _put(self, at: float, event: Event) -> None:
        self._count += 1
        heapq.heappush(self._coming, (at, self._count, event))

    def _next(self, until: float) -> Event:
        if self._coming and self._coming[0][0] <= max(until, self.at):
            at, _, event = heapq.heappop(self._coming)
            self.at = max(self.at, at)
            assert isinstance(event, (Reply, Failure))
            return event._replace(at=self.at)
        self.at = max(self.at, until)
        return DeadlinePassed(self.at)


def _inspection(node: str, known: Topology) -> list[object]:
    names, epoch = [b"shop", node.encode()], b"%d" % known.epoch
    member = [*MEMBER, b"epoch", epoch, b"lineage", epoch, b"node", node.encode()]
    told = known.encode().encode()
    return [member, [0, b"0-0", 0, b"", b"", 0], [], [], told, b"1000", names, [], [], b"1 active"]


def _are_known(seen: Seen) -> bool:
    return not seen.reports.silent


def test_a_primary_that_answers_is_not_replaced_however_far_it_is() -> None:
    for distance in (0.001, 0.1, 0.3, 0.5, 1.0):
        nodes = Nodes(a=distance, b=0.001, c=distance)
        nodes.watch(3.0)
        for _ in range(200):
            seen, verdict = nodes.look()
            assert _are_known(seen)
            assert verdict == Verdict(False, "", frozenset())


def test_how_often_nodes_are_looked_at_does_not_depend_on_their_distance() -> None:
    counts = []
    for distance in (0.001, 0.5):
        nodes = Nodes(a=distance, b=distance, c=distance)
        nodes.watch(3.0)
        before = nodes.asked
        nodes.watch(10.0)
        counts.append(nodes.asked - before)
    assert min(counts) >= 0.95 * 3 * 2 * 100


def test_a_primary_that_falls_silent_is_replaced_after_that_and_its_usual_round_trip() -> None:
    for distance, longest in ((0.001, 0.95), (0.3, 1.4), (0.5, 1.7)):
        nodes = Nodes(a=distance, b=0.001, c=0.001)
        nodes.watch(5.0)
        nodes.silent.add("a")
        assert SILENCE_SECONDS <= nodes.until_due() <= longest


def test_a_link_that_becomes_slower_is_followed() -> None:
    nodes = Nodes(a=0.05, b=0.001, c=0.001)
    nodes.watch(5.0)
    for distance in (0.2, 0.5):
        nodes.round_trips["a"] = distance
        assert not [verdict for verdict in nodes.watch(10.0) if verdict.is_due]


def test_a_monitor_that_did_not_look_for_a_while_takes_nobody_for_silent() -> None:
    for distance in (0.001, 0.3):
        nodes = Nodes(a=distance, b=0.001, c=0.001)
        nodes.watch(5.0)
        nodes.at += 7.0
        assert not [verdict for verdict in nodes.watch(5.0) if verdict.is_due]


def test_a_lost_connection_to_a_far_primary_is_opened_anew_before_that_counts_as_a_crash() -> None:
    nodes = Nodes(a=0.3, b=0.001, c=0.001)
    nodes.watch(5.0)
    nodes.loses("a", f"{LOST}: reset")
    nodes.round_trips["a"] = 0.9  # as long as opening anew takes
    assert not [verdict for verdict in nodes.watch(3.0) if verdict.is_due]


def test_a_far_primary_that_ends_connections_while_they_are_opened_is_asked_once_more() -> None:
    nodes = Nodes(a=0.6, b=0.001, c=0.001)
    nodes.watch(5.0)
    nodes.loses("a", f"{LOST}: reset")
    nodes.look()
    nodes.loses("a", f"h:1 {CLOSES}: reset")
    nodes.round_trips["a"] = 1.8  # as long as opening anew takes
    nodes.look()
    nodes.round_trips["a"] = 0.6
    assert not [verdict for verdict in nodes.watch(5.0) if verdict.is_due]


def test_a_primary_where_nothing_listens_any_more_is_replaced_at_once_however_far() -> None:
    nodes = Nodes(a=0.3, b=0.001, c=0.001)
    nodes.watch(5.0)
    nodes.silent.add("a")
    nodes.loses("a", f"{REFUSES}: no server runs there")
    assert nodes.until_due() <= 0.3


def test_what_is_not_known_yet_gets_the_time_of_a_first_contact() -> None:
    nodes = Nodes(a=1.0, b=0.001, c=0.001)
    nodes.silent.add("a")
    assert nodes.until_due() >= limits.FIRST_CONTACT_SECONDS


def test_a_node_that_never_answers_is_not_asked_for_ever() -> None:
    nodes = Nodes(a=0.001, b=0.001, c=0.001)
    nodes.watch(1.0)
    nodes.silent.update("abc")
    before = nodes.asked
    nodes.watch(3 * limits.MAX_UNANSWERED_LOOKS * PROBE_SECONDS)
    assert nodes.asked - before == 3 * 2 * limits.MAX_UNANSWERED_LOOKS


def test_what_is_begun_anew_forgets_what_was_under_way_and_keeps_what_it_knows() -> None:
    nodes = Nodes(a=0.3, b=0.001, c=0.001)
    nodes.watch(5.0)
    nodes._lookout.begin_anew(("a", "b", "c"))
    nodes._coming.clear()
    forgets: Callable[[], bool] = lambda: any(verdict.is_due for verdict in nodes.watch(2.0))  # noqa: E731
    assert not forgets()
    assert _are_known(nodes.look()[0])


@pytest.mark.parametrize("distance", [0.001, 0.2, 0.6])
def test_what_was_seen_before_a_failover_of_its_own_is_no_reason_for_another(
    distance: float,
) -> None:
    nodes = Nodes(a=distance, b=distance, c=distance)
    nodes.watch(5.0)
    nodes.silent.add("a")
    nodes.loses("a", f"{REFUSES}: no server runs there")
    nodes.until_due()
    nodes.fails_over("b", 14 * distance)
    verdicts = nodes.watch(5.0)
    assert not [verdict for verdict in verdicts if verdict.is_due]
    assert verdicts[-1].why == ""


def test_a_node_that_was_silent_before_is_not_waited_for_again() -> None:
    nodes = Nodes(a=0.001, b=0.001, c=0.001)
    nodes.watch(5.0)
    nodes.silent.update("a")
    nodes.until_due()
    for _ in range(2):
        nodes.fails_over("b", 0.1)
        seen, verdict = nodes.look()
        assert (seen.is_current, verdict.why, verdict.away) == (True, "", frozenset("a"))


def test_a_node_that_falls_silent_in_a_failover_is_waited_for_no_longer_than_any_other() -> None:
    nodes = Nodes(a=0.001, b=0.001, c=0.001)
    nodes.watch(5.0)
    nodes.silent.update("c")
    nodes.fails_over("b", 0.1)
    assert not nodes.look()[0].is_current
    nodes.watch(SILENCE_SECONDS)
    assert nodes.look()[0].is_current
    nodes._lookout.begin_anew(("a", "b", "c"))
    assert nodes.look()[1].away == frozenset("c")  # what it said before is not back
