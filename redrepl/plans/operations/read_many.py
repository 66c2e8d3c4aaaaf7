"""Reading many keys from one copy by preference, or divided among several.

See docs/protocol.md, section 4.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from redrepl.plans.operations.read import Found, failure_of, stamp_of
from redrepl.plans.operations.refusals import Refusals
from redrepl.plans.view import ClusterView
from redrepl.values.effects import Ask, DeadlinePassed, Event, Exchange, Plan, Reply, Request, Wait
from redrepl.values.errors import RedreplError
from redrepl.values.preference import ReadPreference
from redrepl.values.stamp import Stamp

SHARE_KEYS = 8
"""Fewer keys of one read are not worth a request of their own, measured with three nodes on two
cores.
"""

NEAR_FACTOR = 2.0
"""Copies that take at most so many times what the nearest takes are near too: many keys are divided
among them.
"""


def width_of(
    preference: ReadPreference,
    nodes: Sequence[str],
    count: int,
    home: str,
    trouble: Callable[[str], str | None],
    latency_seconds: Callable[[str], float],
) -> int:
    """Among how many of the candidates, from the first on, to divide a read of ``count`` keys."""
    usable = [node for node in nodes if trouble(node) is None]
    width = 1
    if preference is ReadPreference.REPLICA:
        width = sum(1 for node in usable if node != home)
    elif preference is ReadPreference.NEAREST and usable:
        slowest = latency_seconds(usable[0]) * NEAR_FACTOR
        width = sum(1 for node in usable if latency_seconds(node) <= slowest)
    return max(1, min(width, count // SHARE_KEYS))


def read_many_from(
    view: ClusterView,
    keys: Sequence[bytes],
    nodes: Sequence[str],
    at_least: Sequence[Stamp],
    started: float,
    until: float,
    width: int = 1,
) -> Plan[list[Found]]:
    """Read many keys: divided among the first ``width`` nodes, asked at once, one plain MGET each.

    What a node that fails or stays silent was asked for, and keys with a record older than
    ``at_least``, are asked for elsewhere, in the order of ``nodes``; each gets its share of the
    time. Raises Unavailable where a key is left, and EpochMoved where a node is in a later epoch.
    """
    reading = _DividedRead(view, keys, nodes, at_least, until)
    effect: Exchange = reading.opening(width, started)
    while True:
        event = yield effect
        requests = reading.take(event)
        if reading.is_done():
            return reading.answer()
        is_over = isinstance(event, DeadlinePassed) and event.at >= until
        if is_over or not (requests or reading.is_waiting()):
            text = f"no copy could answer the read of {reading.left()} of {len(keys)} keys"
            raise reading.error(text)
        effect = Wait(reading.next_look(), requests)


class _Asked(NamedTuple):
    """Indexes of keys that a node was asked for, and until when nobody else is."""

    node: str
    indexes: Sequence[int]
    until: float


class _DividedRead:
    """The state of one read: which keys were found, and who was asked for the others.

    ``_asked`` has one entry for each request, by tag. ``_due``: those that nobody else is asked for
    yet; ``_silent``: those that others were asked for, whose answers still are welcome. ``_out``:
    nodes that are asked no more.
    """

    def __init__(
        self,
        view: ClusterView,
        keys: Sequence[bytes],
        nodes: Sequence[str],
        at_least: Sequence[Stamp],
        until: float,
    ) -> None:
        self.failures: dict[str, str] = {}
        self._refusals = Refusals(view)
        self._view = view
        self._names = [view.layout.data_prefix + key for key in keys]
        self._nodes = nodes
        self._at_least = at_least
        self._until = until
        self._found: dict[int, Found] = {}
        self._asked: list[_Asked] = []
        self._due: dict[int, _Asked] = {}
        self._silent: set[int] = set()
        self._out: set[str] = set()
        self._tried: dict[int, set[str]] = {index: set() for index in range(len(keys))}

    def opening(self, width: int, at: float) -> Ask:
        """The keys in equal parts to the first nodes."""
        count, width = len(self._names), min(width, len(self._nodes))
        bounds = [count * part // width for part in range(width + 1)]
        requests = tuple(
            self._ask(node, range(start, end), at)
            for node, start, end in zip(self._nodes, bounds, bounds[1:], strict=False)
            if start < end
        )
        return Ask(requests, self.next_look())

    def take(self, event: Event) -> tuple[Request, ...]:
        """Take in what happened; answers what to ask now."""
        if isinstance(event, DeadlinePassed):
            return self._give_up_silent(event.at)
        asked = self._asked[event.tag]
        self._due.pop(event.tag, None)
        self._silent.discard(event.tag)
        if isinstance(event, Reply):
            guard, *records = event.content
            if (reason := self._refusals.reason(asked.node, guard)) is not None:
                self.failures[asked.node] = reason
                self._out.add(asked.node)
                return self._ask_elsewhere(asked.indexes, event.at)
            lagging = self._take_records(asked, records)
            return self._ask_elsewhere(lagging, event.at)
        self.failures[asked.node] = failure_of(event)
        self._out.add(asked.node)
        return self._ask_elsewhere(asked.indexes, event.at)

    def _take_records(self, asked: _Asked, content: Sequence[bytes | None]) -> list[int]:
        """Keep what is no older than it must be; answers the rest."""
        node, view, lagging = asked.node, self._view, []
        for index, stored in zip(asked.indexes, content, strict=True):
            if index in self._found:
                continue
            record = None if stored is None else view.record_at(node, self._names[index], stored)
            if node == view.decider or stamp_of(record) >= self._at_least[index]:
                self._found[index] = Found(record, node)
            else:
                lagging.append(index)
        if lagging:
            self.failures[node] = "lags behind what this session has seen"
        return lagging

    def _give_up_silent(self, at: float) -> tuple[Request, ...]:
        """Ask others for what silent nodes were asked for."""
        silent = [tag for tag, asked in self._due.items() if asked.until <= at]
        self._silent.update(silent)
        self._out.update(self._asked[tag].node for tag in silent)
        requests: list[Request] = []
        for tag in silent:
            asked = self._due.pop(tag)
            self.failures[asked.node] = "no answer in time"
            requests += self._ask_elsewhere(asked.indexes, at)
        return tuple(requests)

    def _ask_elsewhere(self, indexes: Sequence[int], at: float) -> tuple[Request, ...]:
        """Ask the next node for each key that is not found, if there is one left."""
        parts: dict[str, list[int]] = {}
        for index in indexes:
            left = [
                node
                for node in self._nodes
                if node not in self._tried[index] and node not in self._out
            ]
            if index not in self._found and left:
                parts.setdefault(left[0], []).append(index)
        return tuple(self._ask(node, part, at) for node, part in parts.items())

    def _ask(self, node: str, indexes: Sequence[int], at: float) -> Request:
        for index in indexes:
            self._tried[index].add(node)
        tried = self._tried[indexes[0]]
        others_left = sum(
            1 for other in self._nodes if other not in tried and other not in self._out
        )
        asked = _Asked(node, indexes, at + max(0.0, self._until - at) / (others_left + 1))
        tag = len(self._asked)
        self._asked.append(asked)
        self._due[tag] = asked
        return Request(
            node, self._view.get_many_command([self._names[index] for index in indexes]), tag
        )

    def next_look(self) -> float:
        """When the next node has had its time."""
        return min((asked.until for asked in self._due.values()), default=self._until)

    def is_waiting(self) -> bool:
        """Whether an answer may still come that is needed."""
        return bool(self._due or self._silent)

    def is_done(self) -> bool:
        """Whether every key is found."""
        return len(self._found) == len(self._names)

    def left(self) -> int:
        """How many keys are not found."""
        return len(self._names) - len(self._found)

    def error(self, text: str) -> RedreplError:
        """What the read ends with where a key is left."""
        return self._refusals.error(text, self.failures)

    def answer(self) -> list[Found]:
        """What was found, in the order of the keys."""
        return [self._found[index] for index in range(len(self._names))]
