"""Writing many keys: one script call and one log entry per node and chunk, and several chunks on
their way at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from redrepl.plans.operations.batch_request import ROUNDS, BatchRequest
from redrepl.plans.operations.chunk import Chunk
from redrepl.plans.operations.watch import watching
from redrepl.plans.view import ClusterView, EpochMoved, Overtaken
from redrepl.values import limits
from redrepl.values.effects import (
    Ask,
    DeadlinePassed,
    Exchange,
    Failure,
    Plan,
    Reply,
    Request,
    Wait,
)
from redrepl.values.errors import RedreplError
from redrepl.values.receipt import WriteReceipt


class Written(NamedTuple):
    """What became of a chunk.

    number: its place among those that left. error: what the primary refused it with, having stored
    nothing.
    receipts: which copies may have it; None where that error is EpochMoved: write it again.
    """

    number: int
    chunk: Chunk
    receipts: list[WriteReceipt] | None
    error: RedreplError | None


def write_chunk(view: ClusterView, chunk: Chunk) -> Plan[list[WriteReceipt]]:
    """Write one chunk; returns a receipt for each key. Raises as `write_one` does."""
    ended: list[Written] = []
    yield from _Flight(view, iter((chunk,)), ended.append).run(chunk.order.started)
    ((_, _, receipts, error),) = ended
    if error is not None:
        raise error
    assert receipts is not None
    return receipts


def write_chunks(
    view: ClusterView, leaving: Iterator[Chunk], take: Callable[[Written], None], started: float
) -> Plan[None]:
    """Write chunks in this order, each taken from ``leaving`` at the moment it is sent; at its end
    ``take`` gets it.

    Chunks end in any order, and no more of them are kept here than are on their way. Where the
    primary refuses one, with what `write_one` raises, no more leave, and those under way are seen
    to their end.
    """
    yield from _Flight(view, leaving, take).run(started)


class _Flight:
    """Chunks on their way.

    The tag of a request tells its chunk and round.

    The next chunk leaves when a node has answered the newest: the connection to the primary is
    there then, and nothing more is sent to nodes that are all silent.
    """

    def __init__(
        self, view: ClusterView, leaving: Iterator[Chunk], ended: Callable[[Written], None]
    ) -> None:
        self._view = view
        self._leaving: Iterator[Chunk] | None = leaving
        self._ended = ended
        self._left = 0
        self._flying: dict[int, BatchRequest] = {}
        self._newest_is_answered = True

    def run(self, started: float) -> Plan[None]:
        """Until every chunk that left has its receipts, or is known to have to leave again."""
        view = self._view
        if view.decider is None:
            yield from self._fly()
            return
        try:
            yield from watching(view, self._fly(), started, view.others[view.decider])
        except Overtaken as overtaken:
            # What is on its way is as unknown as it is, and nothing more leaves in this epoch.
            self._leaving = None
            for number, batch in list(self._flying.items()):
                self._land(number, batch.receipts(overtaken.at))

    def _fly(self) -> Plan[None]:
        at = passed = 0.0
        while (effect := self._next_exchange(at, passed)) is not None:
            event = yield effect
            at = event.at
            if isinstance(event, DeadlinePassed):
                # Until then nothing more is there; an answer that merely comes late still counts.
                passed = at
            self._take(event)

    def _next_exchange(self, at: float, passed: float) -> Exchange | None:
        requests: list[Request] = []
        for number, batch in list(self._flying.items()):
            requests += batch.replication.take_due(at)
            if not batch.replication.is_pending(passed):
                self._land(number, batch.receipts(at))
        if requests:
            # What is sent again goes alone, and not behind the gate of a chunk that leaves. Where
            # all have landed nothing is waited for.
            return Wait(self._until() if self._flying else at, tuple(requests))
        launched = self._launch()
        if launched is not None:
            opening, home = launched.opening(), launched.chunk.order.home
            if self._left == 1:
                return Ask(opening, self._until(), home)
            return Wait(self._until(), opening, home)
        return Wait(self._until()) if self._flying else None

    def _launch(self) -> BatchRequest | None:
        if (
            self._leaving is None
            or not self._newest_is_answered
            or len(self._flying) >= limits.CHUNKS_IN_FLIGHT
        ):
            return None
        chunk = next(self._leaving, None)
        if chunk is None:
            self._leaving = None
            return None
        self._flying[self._left] = batch = BatchRequest(self._view, chunk, self._left * ROUNDS)
        self._left += 1
        self._newest_is_answered = False
        return batch

    def _land(
        self, number: int, receipts: list[WriteReceipt] | None, error: RedreplError | None = None
    ) -> None:
        chunk = self._flying.pop(number).chunk
        self._newest_is_answered |= number == self._left - 1
        self._ended(Written(number, chunk, receipts, error))

    def _until(self) -> float:
        return min(batch.replication.wake_at() for batch in self._flying.values())

    def _take(self, event: Reply | Failure | DeadlinePassed) -> None:
        if isinstance(event, DeadlinePassed):
            return
        number = event.tag // ROUNDS
        self._newest_is_answered |= number == self._left - 1
        batch = self._flying.get(number)
        if batch is None:
            return
        try:
            receipts = batch.receive(event)
        except RedreplError as error:
            self._leaving = None
            assert isinstance(event, Reply), "a verdict of the primary"
            self._land(
                number, None if isinstance(error, EpochMoved) else batch.not_stored(event), error
            )
            return
        if receipts is not None:
            self._land(number, receipts)
