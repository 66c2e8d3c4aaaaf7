"""One chunk of a batch on its way: what the primary says of its keys, and a receipt for each."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import repeat

from redrepl.plans.operations.chunk import Chunk
from redrepl.plans.operations.outgoing import ManyRecords
from redrepl.plans.operations.replication import CopyState, Replication, Round
from redrepl.plans.operations.write import (
    FIRST_ROUND,
    SECOND_ROUND,
    Proposal,
    receipt_of,
    verdict_error,
)
from redrepl.plans.view import ClusterView
from redrepl.values.answers.refusals import NotAdmitted
from redrepl.values.answers.writes import (
    HasLater,
    Partly,
    Restamped,
    WriteVerdict,
    parse_write_many,
)
from redrepl.values.effects import Failure, Reply, Request
from redrepl.values.reasons import is_refusal
from redrepl.values.receipt import WriteReceipt
from redrepl.values.stamp import Stamp

ROUNDS = 2


class BatchRequest:
    """A chunk that left. Its keys are told by their place in it.

    replication: its way to the other copies. Keys to which the primary gave later stamps go in a
    round of their own, in which ``_second_place`` is their place.
    """

    def __init__(self, view: ClusterView, chunk: Chunk, first_tag: int) -> None:
        order = chunk.order
        self.chunk = chunk
        copies = view.others[order.home]
        started, until = order.started, order.until
        self.replication = Replication(copies, order.required, view.epoch, started, until)
        self._view = view
        self._order = order
        self._first_tag = first_tag
        self._records = ManyRecords(view, chunk.keys, chunk.records, chunk.stamps)
        self._first = self.replication.begin_round(self._records, first_tag + FIRST_ROUND)
        self._second: Round | None = None
        self._second_place: dict[int, int] = {}
        self._superseded: set[int] = set()
        self._refused: dict[int, str] = {}

    def opening(self) -> tuple[Request, ...]:
        """The chunk for all nodes; for the primary alone at ASYNC, or if that is asked first."""
        order, first = self._order, self._first
        request = Request(order.home, first.call, first.tag)
        if not order.reach_others or order.home_first:
            return (request,)
        first.replicate()
        return (request, *first.take_due(may_retry=False))

    def receive(self, event: Reply | Failure) -> list[WriteReceipt] | None:
        """What a node answered; receipts where it ended the chunk. Raises as `write_one` does."""
        if event.node != self._order.home:
            self.replication.receive(event)
            return self._refused_by_primary()

        if isinstance(event, Reply):
            return self._receive_decision(event)
        if not is_refusal(event.reason):
            return self._ended_by_primary(event, event.sent or self._is_held)
        self.replication.refuse(event)
        return self._refused_by_primary()

    def receipts(self, at: float) -> list[WriteReceipt]:
        """A receipt for each key; those that are no exception anywhere share most of it."""
        if (refusal := self.replication.refusal) is not None:
            return self._ended_by_primary(refusal, not self.replication.is_nowhere())

        special = self._first.tracker.uncertain() | self._second_place.keys()
        special |= self._refused.keys() | self._superseded
        places = range(len(self.chunk.keys))
        ordinary = next((place for place in places if place not in special), None)
        if ordinary is None:
            return [self._receipt(place, at) for place in places]

        receipts = self._alike(self._receipt(ordinary, at))
        for place in special:
            receipts[place] = self._receipt(place, at)
        return receipts

    def not_stored(self, reply: Reply) -> list[WriteReceipt]:
        """The primary stored nothing; what was sent to other copies may be there, uncommitted."""
        answer = parse_write_many(reply.content)
        assert not isinstance(answer, Partly), "the primary stored some"
        failure = Failure(reply.node, reply.tag, answer.reason, True, reply.at)
        return self._ended_by_primary(failure, self.replication.has_left or self._is_held)

    def _receive_decision(self, reply: Reply) -> list[WriteReceipt] | None:
        if reply.content == 1:
            self._decide()
            return None

        answer = parse_write_many(reply.content)
        if isinstance(answer, NotAdmitted) and answer.is_closed(self._view.epoch):
            return self.not_stored(reply)
        if not isinstance(answer, Partly):
            order = self._order._replace(reach_others=self.replication.has_left)
            first = Proposal(self.chunk.user_keys[0], self.chunk.stamps[0], reply.at)
            raise verdict_error(self._view, order, answer, first)

        self._sort_out(answer.exceptions)
        self._decide()
        return None

    def _sort_out(self, exceptions: Mapping[int, WriteVerdict]) -> None:
        """What the primary gave later stamps goes to the others again."""
        restamped: dict[int, Stamp] = {}
        for place, verdict in exceptions.items():
            match verdict:
                case Restamped(stamp):
                    restamped[place] = stamp
                case HasLater():
                    self._superseded.add(place)
                case _:
                    self._refused[place] = verdict.reason
        if not restamped:
            return

        self._second_place = {place: number for number, place in enumerate(restamped)}
        records, tag = self._records.restamped(restamped), self._first_tag + SECOND_ROUND
        self._second = self.replication.begin_second_round(records, tag, list(restamped))
        if self._order.reach_others:
            self._second.replicate()

    def _decide(self) -> None:
        """The primary has what it took. Where it was asked first, the others get it now."""
        if self._order.reach_others and not self.replication.has_left:
            self._first.replicate()
        # What it turned down a part of goes to no copy again.
        self.replication.decide(resends_early=not self._refused)

    @property
    def _is_held(self) -> bool:
        """Whether another copy has answered for what was sent first."""
        return bool(self._first.has(CopyState.ACKNOWLEDGED, CopyState.EARLY))

    def _receipt(self, place: int, at: float) -> WriteReceipt:
        asked, number = self._first, place
        if place in self._second_place and self._second is not None:
            asked, number = self._second, self._second_place[place]
        is_decided = self.replication.is_decided
        acked = asked.tracker.holders(number) if is_decided else ()
        failed = asked.refusals(number)
        if (refused := self._refused.get(place)) is not None:
            failed[self._order.home] = refused
            is_decided = False
        return receipt_of(
            self._order,
            self.replication.copies,
            self.chunk.user_keys[place],
            asked.records.stamps[number],
            at,
            acked,
            failed,
            is_decided,
            place not in self._superseded,
        )

    def _refused_by_primary(self) -> list[WriteReceipt] | None:
        """Receipts, if the primary did nothing and it is known of all other copies if they did."""
        refusal = self.replication.refusal
        if refusal is None or not self.replication.is_refusal_settled():
            return None
        return self._ended_by_primary(refusal, not self.replication.is_nowhere())

    def _ended_by_primary(self, failure: Failure, may_be_stored: bool) -> list[WriteReceipt]:
        """The primary failed: unknown, or rejected where nothing was stored at all."""
        others = self.replication.copies
        user_key, stamp = self.chunk.user_keys[0], self.chunk.stamps[0]
        required, elapsed = self._order.required, failure.at - self._order.started
        failed = {**self._first.failures(), failure.node: failure.reason}
        if not may_be_stored:
            unsent = dict.fromkeys(others, f"not sent: {failure.node} cannot be used")
            failed = {**unsent, **failed}
            like = WriteReceipt.rejected(
                user_key,
                stamp,
                failed=failed,
                required=required,
                elapsed=elapsed,
            )
            return self._alike(like)

        pending = [copy for copy in others if copy not in failed]
        like = WriteReceipt.unknown(
            user_key,
            stamp,
            failed=failed,
            pending=pending,
            required=required,
            elapsed=elapsed,
        )
        return self._alike(like)

    def _alike(self, like: WriteReceipt) -> list[WriteReceipt]:
        """A receipt for each key: its own key and stamp, and all else as in this one."""
        rows = zip(self.chunk.user_keys, self.chunk.stamps, *map(repeat, like[2:]), strict=False)
        return list(map(WriteReceipt._make, rows))
