"""Many keys written in chunks: what has ended is noted and let go, so that memory holds only what
is on its way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import NamedTuple, Protocol

from redrepl.plans.client.cluster_state import ClusterState
from redrepl.plans.client.options import CallOptions
from redrepl.plans.operations.batch import Written, write_chunks
from redrepl.plans.operations.chunk import Chunk, Draft
from redrepl.plans.operations.write import WriteOrder
from redrepl.plans.view import ClusterView
from redrepl.values.effects import Plan
from redrepl.values.errors import RedreplError, RequestError
from redrepl.values.receipt import Outcome, WriteReceipt
from redrepl.values.stamp import NO_STAMP, Stamp


class ChunkWriter(Protocol):
    """What a batch needs of the writer that it is a part of."""

    def is_open(
        self, chunk: Chunk, view: ClusterView, receipts: Sequence[WriteReceipt] | None
    ) -> bool:
        """Whether a chunk that left once in this view has to be seen through."""
        ...

    def see_through(
        self, chunk: Chunk, view: ClusterView, receipts: Sequence[WriteReceipt] | None
    ) -> Plan[Sequence[WriteReceipt]]:
        """Its receipts in the end."""
        ...

    def given_up(
        self, order: WriteOrder, user_key: str | bytes, stamp: Stamp, error: RedreplError
    ) -> WriteReceipt:
        """The receipt of a write of which no more can be learned."""
        ...

    def note_chunk(self, chunk: Chunk, receipts: Sequence[WriteReceipt]) -> None:
        """It is committed, or not: a part of this session's past."""
        ...

    def wake_for(self, receipts: Sequence[WriteReceipt], reached_others: bool) -> None:
        """Wake the workers for the copies that lack some of these."""
        ...


class _Open(NamedTuple):
    """A chunk that left in this view and has to be seen through, in a new epoch or on another
    primary.
    """

    number: int
    chunk: Chunk
    view: ClusterView
    receipts: list[WriteReceipt] | None


class BulkWrite:
    """One batch of any size on its way.

    ``_receipts``: those of the chunks that have ended, by the chunk's place in the batch.
    ``_open``: chunks that need questions of their own, for which those under way have to land
    first. ``_error``: what ends the batch.
    ``_is_cut_off``: nothing could be sent to the primary, and no other took over in time; no more
    leave then.
    """

    def __init__(
        self, writer: ChunkWriter, cluster: ClusterState, draft: Draft, options: CallOptions
    ) -> None:
        _check_distinct(draft)
        self.order = cluster.order(options)
        self._writer = writer
        self._cluster = cluster
        self._draft = draft
        self._options = options
        self._parts = deque(draft.parts())
        self._view = cluster.view
        self._first = 0
        self._receipts: dict[int, Sequence[WriteReceipt]] = {}
        self._open: list[_Open] = []
        self._error: RedreplError | None = None
        self._is_cut_off = False

    def plan(self) -> Plan[list[WriteReceipt]]:
        """A receipt for each key, whatever the outcome.

        Raises what the deciding node refused a chunk with, with all receipts; what had not left is
        rejected then.
        """
        while self._parts and self._error is None and not self._is_cut_off:
            self._view, self._first = self._cluster.view, len(self._receipts)
            yield from write_chunks(
                self._view, self._leaving(self._view), self._take, self._cluster.driver.now()
            )
            yield from self._see_through()
        receipts = list(
            chain.from_iterable(self._receipts[number] for number in sorted(self._receipts))
        )
        receipts += self._not_sent()
        if self._error is not None:
            self._error.receipts = tuple(receipts)
            self._writer.wake_for(receipts, self.order.reach_others)
            raise self._error
        return receipts

    def _leaving(self, view: ClusterView) -> Iterator[Chunk]:
        """Chunks as they leave, each stamped only then: the primary refuses what is too old.

        Ends early where another thread has taken up another topology: an order belongs to the view
        it was made in.
        """
        cluster = self._cluster
        while self._parts and not self._open:
            try:
                order = cluster.order(self._options)
            except RequestError as error:  # fewer members now than the level asks for
                self._error = self._error or error
                return
            if cluster.view is not view:
                return
            yield self._draft.leave(self._parts.popleft(), cluster.clock.next(), order)

    def _take(self, written: Written) -> None:
        """A chunk has ended for now."""
        number, chunk, receipts, error = written
        number += self._first
        if receipts is not None and error is not None:
            self._error = self._error or error
        elif receipts is None or self._writer.is_open(chunk, self._view, receipts):
            self._open.append(_Open(number, chunk, self._view, receipts))
            return
        self._keep(number, chunk, receipts)

    def _see_through(self) -> Plan[None]:
        writer, still_open = self._writer, self._open
        self._open = []
        for number, chunk, view, receipts in still_open:
            done: Sequence[WriteReceipt]
            try:
                done = yield from writer.see_through(chunk, view, receipts)
            except RedreplError as error:
                self._error = self._error or error
                keys = zip(chunk.user_keys, chunk.stamps, strict=True)
                done = [writer.given_up(chunk.order, key, stamp, error) for key, stamp in keys]
            self._is_cut_off |= view.decider is not None and done[0].outcome is Outcome.REJECTED
            self._keep(number, chunk, done)

    def _keep(self, number: int, chunk: Chunk, receipts: Sequence[WriteReceipt]) -> None:
        self._writer.note_chunk(chunk, receipts)
        self._receipts[number] = receipts

    def _not_sent(self) -> list[WriteReceipt]:
        order = self.order
        keys = self._draft.user_keys[self._parts[0].start :] if self._parts else ()
        like = WriteReceipt.rejected(
            b"", NO_STAMP, failed={order.home: "not sent"}, required=order.required
        )
        return [like._replace(key=key) for key in keys]


def _check_distinct(draft: Draft) -> None:
    """One batch holds a key once: "a" and b"a" are the same key on a node."""
    if len(set(draft.keys)) == len(draft.keys):
        return
    seen: set[bytes] = set()
    for user_key, key in zip(draft.user_keys, draft.keys, strict=True):
        if key in seen:
            raise RequestError(
                f"key {user_key!r} is given twice in one batch (as str and as bytes?)"
            )
        seen.add(key)
