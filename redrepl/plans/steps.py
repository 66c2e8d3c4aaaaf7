"""Asking one node after another, for plans that run in the background.

A walk over all keys or over a whole log is many steps. Each has a deadline of its own, which begins
where the one before ended: so whoever asks goes through `Steps`, which keeps the clock, and no plan
takes a deadline out of it to use twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from redrepl.plans.inspect import NO_ENTRIES, inspect_nodes
from redrepl.plans.scatter import Gathered, gather
from redrepl.plans.view import ask, expect_reply
from redrepl.values.effects import Answer, Ask, Command, DeadlinePassed, Plan
from redrepl.values.keys import KeyLayout
from redrepl.values.report import LastEntry
from redrepl.values.reports import Reports
from redrepl.values.topology import Topology

R = TypeVar("R")

STEP_SECONDS = 5.0
"""One request of upkeep; a node that takes longer is left for the next time."""


class Steps:
    """Requests one after the other, each with the same time-out.

    ``at`` is the driver's clock at the last answer.

    no_later_than: a deadline for all of them together, where somebody waits for the whole.
    last_entries: see `inspect_nodes`.
    """

    def __init__(
        self,
        started: float,
        step_seconds: float = STEP_SECONDS,
        no_later_than: float = float("inf"),
        last_entries: Mapping[str, LastEntry] = NO_ENTRIES,
    ) -> None:
        self.at = started
        self.started = started
        self.step_seconds = step_seconds
        self.no_later_than = no_later_than
        self._last_entries = last_entries

    @property
    def until(self) -> float:
        """When the next request times out.

        For `Lanes` and this class alone: it holds for one step.
        """
        return min(self.at + self.step_seconds, self.no_later_than)

    def ask(self, node: str, command: Command, doing: str) -> Plan[Answer]:
        """One node's answer. Raises Unavailable naming what could not be done."""
        reply = expect_reply(
            (yield from self.step(lambda until: _asked(node, command, until))), node, doing
        )
        return reply.content

    def gather(self, commands: Mapping[str, Command]) -> Plan[Gathered]:
        """Every node's answer to its command, all asked at once.

        Never raises for a node's failure.
        """
        return self.step(lambda until: gather(commands, self.at, until))

    def inspect(
        self,
        layout: KeyLayout,
        nodes: Iterable[str],
        is_enough: Callable[[Reports], bool] | None = None,
        known: Topology | None = None,
        probe_as: bytes | None = None,
        last_entries: Mapping[str, LastEntry] | None = None,
    ) -> Plan[Reports]:
        """Each node's report, as `inspect_nodes` gives it.

        ``last_entries``: in place of those known from the start.
        """
        last = self._last_entries if last_entries is None else last_entries
        return self.step(
            lambda until: inspect_nodes(layout, nodes, until, is_enough, known, probe_as, last)
        )

    def step(self, begin: Callable[[float], Plan[R]]) -> Plan[R]:
        """Carry out a plan of one deadline as one step: ``begin`` gets it, and the next step's
        begins when it ends.
        """
        plan = begin(self.until)
        try:
            effect = next(plan)
            while True:
                event = yield effect
                self.at = event.at
                effect = plan.send(event)
        except StopIteration as end:
            result: R = end.value
            return result

    def rest(self, seconds: float) -> Plan[None]:
        """Let time pass."""
        event = yield Ask((), self.at + seconds)
        if isinstance(event, DeadlinePassed):
            self.at = event.at


def _asked(node: str, command: Command, until: float) -> Plan[object]:
    return (yield ask(node, command, until))
