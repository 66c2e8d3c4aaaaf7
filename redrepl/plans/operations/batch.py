"""Writing many keys: one script call and one log entry per node and chunk, and several chunks on their way at once.

The records of a chunk carry one stamp: it names one record *of a key*, and a batch holds each key once. Their header is
then made, checked and compared once for all of them, by the client and by every node, which halves what a chunk costs.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, repeat
from operator import add
from typing import NamedTuple, TypeVar

from redrepl.plans.operations.watch import watching
from redrepl.plans.operations.write import (
    FIRST_ROUND,
    GRACE_SECONDS,
    RESEND_SECONDS,
    SECOND_ROUND,
    Proposal,
    WriteOrder,
    is_behind,
    is_closed,
    may_be_sent_again,
    verdict_error,
)
from redrepl.plans.view import ClusterView, EpochMoved, Overtaken, describe_refusal
from redrepl.values import limits
from redrepl.values.effects import Answer, DeadlinePassed, Exchange, Failure, Plan, Reply, Request
from redrepl.values.errors import RedreplError
from redrepl.values.reasons import LOST, is_refusal
from redrepl.values.receipt import Outcome, WriteReceipt
from redrepl.values.record import Record
from redrepl.values.stamp import STAMP_BYTES, Stamp

T = TypeVar("T")

_ROUNDS = 2


class Item(NamedTuple):
    """One key of a batch: as the caller gave it, as bytes, and the record to write."""

    user_key: str | bytes
    key: bytes
    record: Record


class Draft(NamedTuple):
    """A batch before it is stamped, in columns: keys as the caller gave them, as bytes (all different), payloads."""

    user_keys: Sequence[str | bytes]
    keys: Sequence[bytes]
    payloads: Sequence[bytes]
    kind: bytes
    deadline_millis: int

    def parts(self) -> Iterator[slice]:
        """Cuts into at most BATCH_KEYS keys and BATCH_BYTES bytes (a single record may be larger)."""
        ends = list(accumulate(map(add, map(len, self.keys), map(len, self.payloads))))
        start, before = 0, 0
        while start < len(ends):
            stop = min(start + limits.BATCH_KEYS, bisect_right(ends, before + limits.BATCH_BYTES, start))
            stop = max(stop, start + 1)
            yield slice(start, stop)
            start, before = stop, ends[stop - 1]

    def leave(self, part: slice, stamp: Stamp, order: WriteOrder) -> Chunk:
        """The chunk that this part makes."""
        header = Record(stamp, self.kind, self.deadline_millis, b"").encode()
        records = [header + payload for payload in self.payloads[part]]
        return Chunk(self.user_keys[part], self.keys[part], [stamp] * len(records), records, order)


class Chunk(NamedTuple):
    """Keys as the caller gave them and as bytes, stamps, and records as nodes store them; and how to write them."""

    user_keys: Sequence[str | bytes]
    keys: Sequence[bytes]
    stamps: Sequence[Stamp]
    records: Sequence[bytes]
    order: WriteOrder

    def part(self, indexes: Sequence[int], order: WriteOrder) -> Chunk:
        """Some of these writes, in another order."""

        def pick(column: Sequence[T]) -> list[T]:
            return [column[index] for index in indexes]

        return Chunk(pick(self.user_keys), pick(self.keys), pick(self.stamps), pick(self.records), order)


class Written(NamedTuple):
    """What became of a chunk.

    number: its place among those that left. error: what the deciding node refused it with, having stored nothing.
    receipts: which copies may have it; None where that error is EpochMoved: write it again.
    """

    number: int
    chunk: Chunk
    receipts: list[WriteReceipt] | None
    error: RedreplError | None


def chunk_of(items: Sequence[Item], order: WriteOrder) -> Chunk:
    """These records as one chunk."""
    records = [item.record for item in items]
    encoded, stamps = [record.encode() for record in records], [record.stamp for record in records]
    return Chunk([item.user_key for item in items], [item.key for item in items], stamps, encoded, order)


def write_chunk(view: ClusterView, chunk: Chunk) -> Plan[list[WriteReceipt]]:
    """Write one chunk; answers a receipt for each key. Raises as `write_one` does."""
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
    """Write chunks in this order, each taken from ``leaving`` at the moment it is sent; at its end ``take`` gets it.

    Chunks end in any order, and no more of them are kept here than are on their way. Where the deciding node refuses
    one, with what `write_one` raises, no more leave, and those under way are seen to their end.
    """
    yield from _Flight(view, leaving, take).run(started)


class _Flight:
    """Chunks on their way. The tag of a request tells its chunk and round.

    The next chunk leaves when somebody has answered the newest: the connection to the deciding node is there then, and
    nothing more is sent to nodes that are all silent.
    """

    def __init__(self, view: ClusterView, leaving: Iterator[Chunk], ended: Callable[[Written], None]) -> None:
        self._view = view
        self._leaving: Iterator[Chunk] | None = leaving
        self._ended = ended
        self._left = 0
        self._flying: dict[int, _Batch] = {}
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
            assert event is not None
            at = event.at
            if isinstance(event, DeadlinePassed):
                passed = at  # until then nothing more is there; an answer that merely comes late still counts
            self._take(event)

    def _next_exchange(self, at: float, passed: float) -> Exchange | None:
        requests: list[Request] = []
        for number, batch in list(self._flying.items()):
            requests += batch.due_requests(at)
            if not batch.is_pending(passed):
                self._land(number, batch.receipts(at))
        if requests:
            # What is sent again goes alone, and not behind the gate of a chunk that leaves. Where all have landed
            # nobody is waited for.
            return Exchange(tuple(requests), self._until() if self._flying else at)
        launched = self._launch()
        if launched is not None:
            first = self._left == 1
            return Exchange(launched.opening(), self._until(), launched.chunk.order.home, fresh=first)
        return Exchange((), self._until()) if self._flying else None

    def _launch(self) -> _Batch | None:
        if self._leaving is None or not self._newest_is_answered or len(self._flying) >= limits.CHUNKS_IN_FLIGHT:
            return None
        chunk = next(self._leaving, None)
        if chunk is None:
            self._leaving = None
            return None
        self._flying[self._left] = batch = _Batch(self._view, chunk, self._left * _ROUNDS)
        self._left += 1
        self._newest_is_answered = False
        return batch

    def _land(self, number: int, receipts: list[WriteReceipt] | None, error: RedreplError | None = None) -> None:
        chunk = self._flying.pop(number).chunk
        self._newest_is_answered |= number == self._left - 1
        self._ended(Written(number, chunk, receipts, error))

    def _until(self) -> float:
        return min(batch.until for batch in self._flying.values())

    def _take(self, event: Reply | Failure | DeadlinePassed) -> None:
        if isinstance(event, DeadlinePassed):
            return
        number = event.tag // _ROUNDS
        self._newest_is_answered |= number == self._left - 1
        batch = self._flying.get(number)
        if batch is None:
            return
        try:
            receipts = batch.take(event)
        except RedreplError as error:
            self._leaving = None
            self._land(number, None if isinstance(error, EpochMoved) else batch.turned_down(event), error)
            return
        if receipts is not None:
            self._land(number, receipts)


class _Batch:
    """Which copies hold which keys of one chunk, told by their place in it.

    held: the other copies that answered in a round, each with the keys that it does not hold as they were sent (by
        place in that round) and the stamp that stands there instead, None where it refused the key.
    restamped: what the deciding node gave later stamps; ``second_position`` is their place in the second round.
    until: when to look at it again if nothing happens. ``_has_spread``: the other copies were, or are to be, sent it.
    """

    def __init__(self, view: ClusterView, chunk: Chunk, first_tag: int) -> None:
        self.view = view
        self.chunk = chunk
        self.order = chunk.order
        self.others = view.others[chunk.order.home]
        self.until = self._deadline = chunk.order.until
        self.refusal: Failure | None = None
        self._untouched: set[str] = set()
        self._may_have_it: set[str] = set()
        self._first_tag = first_tag
        self._has_spread = self.order.reach_others and not self.order.home_first
        self._calls = {FIRST_ROUND: view.write_many_call(chunk.keys, chunk.records)}
        self.due: list[tuple[str, int]] = []
        self.decided = False
        self.restamped: dict[int, Stamp] = {}
        self.second_position: dict[int, int] = {}
        self.superseded: set[int] = set()
        self.refused: dict[int, str] = {}
        self.held: dict[int, dict[str, dict[int, Stamp | None]]] = {FIRST_ROUND: {}, SECOND_ROUND: {}}
        self.failed: dict[int, dict[str, str]] = {FIRST_ROUND: {}, SECOND_ROUND: {}}
        self.waiting: dict[tuple[str, int], str] = {}
        self.resend_at = 0.0

    def opening(self) -> tuple[Request, ...]:
        """The chunk for all nodes at once; for the deciding one alone at ASYNC, or where that is to be asked first."""
        targets = (self.order.home, *self.others) if self._has_spread else (self.order.home,)
        return tuple([self._request(node, FIRST_ROUND) for node in targets])

    def _request(self, node: str, turn: int) -> Request:
        return Request(node, self._calls[turn], self._first_tag + turn)

    def take(self, event: Reply | Failure) -> list[WriteReceipt] | None:
        """What a node answered; receipts where it ended the chunk. Raises what `write_one` raises."""
        if event.node != self.order.home:
            if isinstance(event, Reply):
                self._take_answer(event)
            else:
                self._take_failure(event)
            return self._refused()
        if isinstance(event, Failure) and is_refusal(event.reason):
            self.refusal, self._deadline = event, min(self._deadline, event.at + GRACE_SECONDS)
            return self._refused()
        if isinstance(event, Failure):
            return self._undecided(event)
        if event.content != 1 and is_closed(event.content, self.view.epoch):
            return self.turned_down(event)
        self._take_decision(event.content, event.at)
        return None

    def is_pending(self, passed: float) -> bool:
        """Whether waiting may still change something; ``passed``: up to when everything that happened is known."""
        return passed < self._deadline and not self._is_done()

    def due_requests(self, at: float) -> list[Request]:
        """What is to be sent now, once; also where nobody is waited for any more."""
        due, self.due = self.due, []
        if self.waiting and at >= self.resend_at and self.is_pending(at) and self.refusal is None:
            due += list(self.waiting)
            self.waiting.clear()
        is_resent = self.waiting and self.refusal is None
        self.until = min(self._deadline, self.resend_at) if is_resent else self._deadline
        return [self._request(node, turn) for node, turn in due]

    def _take_decision(self, content: Answer, at: float) -> None:
        """The deciding node's answer."""
        if content != 1 and content[0] != b"some":
            order = self.order._replace(reach_others=self._has_spread)
            first = Proposal(self.chunk.user_keys[0], self.chunk.stamps[0], at)
            raise verdict_error(self.view, order, content, content[1], first)
        self.decided = True
        if self.order.reach_others and not self._has_spread:
            self._has_spread, self.due = True, [(node, FIRST_ROUND) for node in self.others]
        if content == 1:
            return
        for index, verdict, stamp in _exceptions(content):
            if verdict == b"ok":
                self.second_position[index] = len(self.restamped)
                self.restamped[index] = Stamp.parse(stamp)
            elif verdict == b"has":
                self.superseded.add(index)
            else:
                self.refused[index] = describe_refusal([verdict, stamp])
        self._prepare_second_round()

    def _prepare_second_round(self) -> None:
        """What the deciding node gave later stamps goes to the others again."""
        if not self.restamped or not self.order.reach_others:
            return
        records = [stamp.encode() + self.chunk.records[i][STAMP_BYTES:] for i, stamp in self.restamped.items()]
        keys = [self.chunk.keys[i] for i in self.restamped]
        self._calls[SECOND_ROUND] = self.view.write_many_call(keys, records)
        self.due += [(node, SECOND_ROUND) for node in self.others]

    def _take_answer(self, reply: Reply) -> None:
        """Another copy's answer: which keys it does not hold as they were sent."""
        content, turn = reply.content, reply.tag - self._first_tag
        if content != 1 and content[0] != b"some":
            self._untouched.add(reply.node)
            if is_behind(content, self.view.epoch):
                self.waiting[reply.node, turn] = describe_refusal(content)
                self.resend_at = reply.at + RESEND_SECONDS
            else:
                self.failed[turn][reply.node] = describe_refusal(content)
            return
        lacking: dict[int, Stamp | None] = {}
        if content != 1:
            for index, verdict, stamp in _exceptions(content):
                lacking[index] = Stamp.parse(stamp) if verdict in (b"ok", b"has") else None
        self.held[turn][reply.node] = lacking

    def _take_failure(self, event: Failure) -> None:
        """A copy that could not be reached; one whose connection is lost gets another chance soon."""
        turn = event.tag - self._first_tag
        if event.sent and LOST in event.reason:
            self._may_have_it.add(event.node)  # also where it is told later that it was not reached
        elif not event.sent or is_refusal(event.reason):
            self._untouched.add(event.node)
        if may_be_sent_again(event) and event.at < self.order.started + GRACE_SECONDS:
            self.waiting[event.node, turn] = event.reason
            self.resend_at = event.at + RESEND_SECONDS
        else:
            self.failed[turn][event.node] = event.reason

    def _stamp_of(self, index: int) -> Stamp:
        """As decided, or as proposed while nothing is decided."""
        return self.restamped.get(index) or self.chunk.stamps[index]

    def _holders(self, index: int) -> list[str]:
        """Other copies that hold at least the decided stamp of one key."""
        turn, position, decided = FIRST_ROUND, index, self._stamp_of(index)
        if index in self.restamped:
            turn, position = SECOND_ROUND, self.second_position[index]
        holders = []
        for node, lacking in self.held[turn].items():
            stamp = lacking.get(position, decided)
            if stamp is not None and stamp >= decided:
                holders.append(node)
        return holders

    def _is_done(self) -> bool:
        """Whether every key is confirmed, or can no longer be."""
        if not self.decided:
            return False
        rounds = [FIRST_ROUND] if len(self.restamped) < len(self.chunk.keys) else []
        rounds += [SECOND_ROUND] if self.restamped and self.order.reach_others else []
        return all(self._is_round_done(turn) for turn in rounds)

    def _is_round_done(self, turn: int) -> bool:
        held, failed, required = self.held[turn], self.failed[turn], self.order.required
        if len(held) + len(failed) >= len(self.others) or len(self.others) - len(failed) < required:
            return True
        if len(held) < required:
            return False
        return all(len(self._holders(index)) >= required for index in self._uncertain(turn))

    def _uncertain(self, turn: int) -> set[int]:
        """Keys of a round that some answer made an exception of; all others are held wherever there was an answer."""
        positions = {position for lacking in self.held[turn].values() for position in lacking}
        if turn == FIRST_ROUND:
            return positions - self.restamped.keys()
        names = list(self.restamped)
        return {names[position] for position in positions}

    def receipts(self, at: float) -> list[WriteReceipt]:
        """A receipt for each key; those that are no exception anywhere share all but key and stamp."""
        if self.refusal is not None:
            return self._undecided(self.refusal)
        special = self._uncertain(FIRST_ROUND) | self.restamped.keys() | self.refused.keys() | self.superseded
        ordinary = next((index for index in range(len(self.chunk.keys)) if index not in special), None)
        if ordinary is None:
            return [self._receipt(index, at) for index in range(len(self.chunk.keys))]
        receipts = self._alike(self._receipt(ordinary, at))
        for index in special:
            receipts[index] = self._receipt(index, at)
        return receipts

    def _receipt(self, index: int, at: float) -> WriteReceipt:
        order, refused = self.order, index in self.refused
        acked = frozenset(self._holders(index)) if self.decided else frozenset()
        failed = self._failures(index, acked)
        holders = acked | {order.home} if self.decided and not refused else acked
        if refused:
            failed[order.home] = self.refused[index]
        committed = self.decided and not refused and len(acked) >= order.required
        return WriteReceipt(
            self.chunk.user_keys[index],
            self._stamp_of(index),
            Outcome.COMMITTED if committed else Outcome.UNKNOWN,
            self.decided and not refused and index not in self.superseded,
            holders,
            frozenset((order.home, *self.others)) - holders - frozenset(failed),
            failed,
            order.required,
            at - order.started,
        )

    def _failures(self, index: int, acked: frozenset[str]) -> dict[str, str]:
        turn = SECOND_ROUND if index in self.restamped and self.order.reach_others else FIRST_ROUND
        waiting = {node: reason for (node, tried), reason in self.waiting.items() if tried == turn}
        failed = {**waiting, **self.failed[turn]}
        return {node: reason for node, reason in failed.items() if node not in acked}

    def turned_down(self, event: Reply | Failure) -> list[WriteReceipt]:
        """The deciding node stored nothing; what was sent to others may be there, undecided."""
        reason = describe_refusal(event.content) if isinstance(event, Reply) else event.reason
        return self._undecided(Failure(event.node, event.tag, reason, self._has_spread, event.at))

    def _refused(self) -> list[WriteReceipt] | None:
        """Receipts, where the deciding node did nothing and it is known of all others if they did."""
        if self.refusal is None:
            return None
        answered = self._untouched | self._may_have_it | self.held[FIRST_ROUND].keys() | self.failed[FIRST_ROUND].keys()
        is_known = not self._has_spread or answered.issuperset(self.others)
        return self._undecided(self.refusal) if is_known else None

    def _undecided(self, event: Failure) -> list[WriteReceipt]:
        """The deciding node failed: unknown, or rejected where nothing was stored at all."""
        waiting = {node: reason for (node, _), reason in self.waiting.items()}
        failed = {**waiting, **self.failed[FIRST_ROUND], event.node: event.reason}
        sent = event.sent or bool(self.held[FIRST_ROUND])
        if self.refusal is not None:
            sent = self._has_spread and not (self._untouched - self._may_have_it).issuperset(self.others)
        if not sent:
            failed = {**dict.fromkeys(self.others, f"not sent: {event.node} cannot be used"), **failed}
        outcome = Outcome.UNKNOWN if sent else Outcome.REJECTED
        nobody: frozenset[str] = frozenset()
        pending = frozenset(node for node in self.others if sent and node not in failed)
        like = WriteReceipt(
            self.chunk.user_keys[0],
            self.chunk.stamps[0],
            outcome,
            False,
            nobody,
            pending,
            failed,
            self.order.required,
            event.at - self.order.started,
        )
        return self._alike(like)

    def _alike(self, like: WriteReceipt) -> list[WriteReceipt]:
        """A receipt for each key: its own key and stamp, and all else as in this one."""
        rows = zip(self.chunk.user_keys, self.chunk.stamps, *map(repeat, like[2:]), strict=False)
        return list(map(WriteReceipt._make, rows))


def _exceptions(content: list[bytes | int]) -> Iterator[tuple[int, bytes, bytes]]:
    """The triples of a 'some' answer."""
    for start in range(1, len(content), 3):
        index, verdict, stamp = content[start : start + 3]
        assert isinstance(index, int)
        assert isinstance(verdict, bytes)
        assert isinstance(stamp, bytes)
        yield index, verdict, stamp
