"""Writing many keys in one round trip: one script call and one log entry per node and chunk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from redrepl.plans.view import ClusterView, describe_refusal
from redrepl.plans.write import (
    FIRST_ROUND,
    GRACE_SECONDS,
    RESEND_SECONDS,
    SECOND_ROUND,
    WriteOrder,
    is_behind,
    is_closed,
    verdict_error,
)
from redrepl.values import limits
from redrepl.values.effects import Answer, Exchange, Failure, Plan, Reply, Request
from redrepl.values.receipt import Outcome, WriteReceipt
from redrepl.values.record import Record
from redrepl.values.stamp import Stamp


class Item(NamedTuple):
    """One key of a batch: as the caller gave it, as bytes, and the record to write."""

    user_key: str | bytes
    key: bytes
    record: Record


def chunks(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """Cut a batch into pieces of at most BATCH_KEYS keys and BATCH_BYTES bytes (a single record may be larger)."""
    start, size = 0, 0
    for index, item in enumerate(items):
        weight = len(item.record.payload) + len(item.key)
        if index > start and (index - start >= limits.BATCH_KEYS or size + weight > limits.BATCH_BYTES):
            yield items[start:index]
            start, size = index, 0
        size += weight
    if start < len(items):
        yield items[start:]


def write_many(view: ClusterView, order: WriteOrder, items: Sequence[Item]) -> Plan[list[WriteReceipt]]:
    """Write one chunk; answers a receipt for each item. Raises as `write_one` does."""
    batch = _Batch(view, order, items)
    effect: Exchange | None = batch.opening()
    at = order.started
    while effect is not None:
        event = yield effect
        assert event is not None
        at = event.at
        if isinstance(event, Failure):
            if event.node == order.home:
                return batch.undecided(event)
            batch.take_failure(event)
        elif isinstance(event, Reply) and event.node == order.home:
            if event.content != 1 and is_closed(event.content, view.epoch):
                return batch.turned_down(event)
            batch.take_decision(event.content)
        elif isinstance(event, Reply):
            batch.take_answer(event)
        effect = batch.next_exchange(at)
    return batch.receipts(at)


class _Batch:
    """Which copies hold which items of one chunk.

    ``acks`` maps the other copies that answered to the indexes they do not hold with the decided stamp.
    """

    def __init__(self, view: ClusterView, order: WriteOrder, items: Sequence[Item]) -> None:
        self.view = view
        self.order = order
        self.items = items
        self.others = view.others[order.home]
        keys = [item.key for item in items]
        self._calls = {FIRST_ROUND: view.write_many_call(keys, [item.record.encode() for item in items])}
        self.due: list[tuple[str, int]] = []
        self.decided: list[Stamp] | None = None
        self.restamped: dict[int, Stamp] = {}
        self.second_position: dict[int, int] = {}
        self.superseded: set[int] = set()
        self.refused: dict[int, str] = {}
        self.held: dict[int, dict[str, dict[int, Stamp | None]]] = {FIRST_ROUND: {}, SECOND_ROUND: {}}
        self.failed: dict[int, dict[str, str]] = {FIRST_ROUND: {}, SECOND_ROUND: {}}
        self.waiting: dict[tuple[str, int], str] = {}
        self.resend_at = 0.0

    def opening(self) -> Exchange:
        """The chunk to all nodes at once; at ASYNC to the deciding one alone."""
        call = self._calls[FIRST_ROUND]
        targets = (self.order.home, *self.others) if self.order.reach_others else (self.order.home,)
        requests = tuple(Request(node, call) for node in targets)
        return Exchange(requests, self.order.until, self.order.home, fresh=True)

    def next_exchange(self, at: float) -> Exchange | None:
        """What to send or wait for next; None when the receipts can be given."""
        pending = at < self.order.until and not self.is_done()
        due, self.due = self.due, []
        if pending and self.waiting and at >= self.resend_at:
            due += list(self.waiting)
            self.waiting.clear()
        requests = tuple(Request(node, self._calls[tag], tag) for node, tag in due)
        if not pending:
            # Enough is known. What is still to be sent is sent, and nobody is waited for.
            return Exchange(requests, at) if requests else None
        return Exchange(requests, min(self.order.until, self.resend_at) if self.waiting else self.order.until)

    def take_decision(self, content: Answer) -> None:
        """The deciding node's answer."""
        self.decided = [item.record.stamp for item in self.items]
        if content == 1:
            return
        if content[0] != b"some":
            raise verdict_error(self.view, self.order, self.order.home, content, content[1])
        for index, verdict, stamp in _exceptions(content):
            if verdict == b"ok":
                self.second_position[index] = len(self.restamped)
                self.decided[index] = self.restamped[index] = Stamp.parse(stamp)
            elif verdict == b"has":
                self.superseded.add(index)
            else:
                self.refused[index] = describe_refusal([verdict, stamp])
        self._prepare_second_round()

    def _prepare_second_round(self) -> None:
        """What the deciding node gave later stamps goes to the others again."""
        if not self.restamped or not self.order.reach_others:
            return
        records = [self.items[i].record._replace(stamp=stamp).encode() for i, stamp in self.restamped.items()]
        keys = [self.items[i].key for i in self.restamped]
        self._calls[SECOND_ROUND] = self.view.write_many_call(keys, records)
        self.due = [(node, SECOND_ROUND) for node in self.others]

    def take_answer(self, reply: Reply) -> None:
        """Another copy's answer: which items it does not hold as they were sent."""
        content = reply.content
        if content != 1 and content[0] != b"some":
            if is_behind(content, self.view.epoch):
                self.waiting[reply.node, reply.tag] = describe_refusal(content)
                self.resend_at = reply.at + RESEND_SECONDS
            else:
                self.failed[reply.tag][reply.node] = describe_refusal(content)
            return
        lacking: dict[int, Stamp | None] = {}
        if content != 1:
            for index, verdict, stamp in _exceptions(content):
                lacking[index] = Stamp.parse(stamp) if verdict in (b"ok", b"has") else None
        self.held[reply.tag][reply.node] = lacking

    def take_failure(self, event: Failure) -> None:
        """A copy that could not be reached; one that is not connected gets another chance soon."""
        if not event.sent and event.at < self.order.started + GRACE_SECONDS:
            self.waiting[event.node, event.tag] = event.reason
            self.resend_at = event.at + RESEND_SECONDS
        else:
            self.failed[event.tag][event.node] = event.reason

    def _holders(self, index: int) -> list[str]:
        """Other copies that hold at least the decided stamp of one item."""
        assert self.decided is not None
        tag, position = 0, index
        if index in self.restamped:
            tag, position = SECOND_ROUND, self.second_position[index]
        decided = self.decided[index]
        holders = []
        for node, lacking in self.held[tag].items():
            stamp = lacking.get(position, decided)
            if stamp is not None and stamp >= decided:
                holders.append(node)
        return holders

    def is_done(self) -> bool:
        """Whether every item is confirmed, or can no longer be."""
        if self.decided is None:
            return False
        rounds = [FIRST_ROUND] if len(self.restamped) < len(self.items) else []
        rounds += [SECOND_ROUND] if self.restamped and self.order.reach_others else []
        return all(self._is_round_done(tag) for tag in rounds)

    def _is_round_done(self, tag: int) -> bool:
        held, failed, required = self.held[tag], self.failed[tag], self.order.required
        if len(held) + len(failed) >= len(self.others) or len(self.others) - len(failed) < required:
            return True
        if len(held) < required:
            return False
        return all(len(self._holders(index)) >= required for index in self._uncertain(tag))

    def _uncertain(self, tag: int) -> set[int]:
        """Items of a round that some answer made an exception of; all others are held wherever there was an answer."""
        positions = {position for lacking in self.held[tag].values() for position in lacking}
        if tag == FIRST_ROUND:
            return positions - self.restamped.keys()
        names = list(self.restamped)
        return {names[position] for position in positions}

    def receipts(self, at: float) -> list[WriteReceipt]:
        """A receipt for each item."""
        everybody = frozenset((self.order.home, *self.others))
        elapsed = at - self.order.started
        uncertain = self._uncertain(FIRST_ROUND) | self.restamped.keys()
        common = self._receipt_parts(next((i for i in range(len(self.items)) if i not in uncertain), 0))
        receipts = []
        for index, item in enumerate(self.items):
            acked, failed = self._receipt_parts(index) if index in uncertain else common
            refused = index in self.refused
            holders = frozenset(acked) if refused or self.decided is None else acked | {self.order.home}
            if refused:
                failed = {**failed, self.order.home: self.refused[index]}
            committed = self.decided is not None and not refused and len(acked) >= self.order.required
            receipts.append(
                WriteReceipt(
                    item.user_key,
                    self.decided[index] if self.decided else item.record.stamp,
                    Outcome.COMMITTED if committed else Outcome.UNKNOWN,
                    self.decided is not None and not refused and index not in self.superseded,
                    holders,
                    everybody - holders - frozenset(failed),
                    failed,
                    self.order.required,
                    elapsed,
                )
            )
        return receipts

    def _receipt_parts(self, index: int) -> tuple[frozenset[str], dict[str, str]]:
        acked = frozenset(self._holders(index)) if self.decided is not None else frozenset()
        tag = SECOND_ROUND if index in self.restamped and self.order.reach_others else FIRST_ROUND
        waiting = {node: reason for (node, round_tag), reason in self.waiting.items() if round_tag == tag}
        failed = {**waiting, **self.failed[tag]}
        return acked, {node: reason for node, reason in failed.items() if node not in acked}

    def turned_down(self, reply: Reply) -> list[WriteReceipt]:
        """The deciding node stored nothing; what was sent to others may be there, undecided."""
        reason = describe_refusal(reply.content)
        return self.undecided(Failure(reply.node, reply.tag, reason, self.order.reach_others, reply.at))

    def undecided(self, event: Failure) -> list[WriteReceipt]:
        """The deciding node failed: unknown, or rejected where nothing was sent at all."""
        failed = {**self.failed[FIRST_ROUND], event.node: event.reason}
        sent = event.sent or bool(self.held[FIRST_ROUND])
        if not sent:
            failed = {**dict.fromkeys(self.others, f"not sent: {event.node} cannot be used"), **failed}
        outcome = Outcome.UNKNOWN if sent else Outcome.REJECTED
        nobody: frozenset[str] = frozenset()
        pending = frozenset(node for node in self.others if sent and node not in failed)
        elapsed = event.at - self.order.started
        required = self.order.required
        return [
            WriteReceipt(item.user_key, item.record.stamp, outcome, False, nobody, pending, failed, required, elapsed)
            for item in self.items
        ]


def _exceptions(content: list[bytes | int]) -> Iterator[tuple[int, bytes, bytes]]:
    """The triples of a 'some' answer."""
    for start in range(1, len(content), 3):
        index, verdict, stamp = content[start : start + 3]
        assert isinstance(index, int)
        assert isinstance(verdict, bytes)
        assert isinstance(stamp, bytes)
        yield index, verdict, stamp
