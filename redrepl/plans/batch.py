"""Writing many keys in one round trip: one script call and one log entry per node and chunk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from redrepl.plans.view import ClusterView, describe_refusal
from redrepl.plans.write import SECOND_ROUND, WriteOrder, verdict_error
from redrepl.values import limits
from redrepl.values.effects import Answer, DeadlinePassed, Exchange, Failure, Plan, Reply, Request
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
    effect = batch.opening()
    at = order.started
    while effect.requests or not batch.is_done():
        event = yield effect
        effect = Exchange((), order.until)
        assert event is not None
        at = event.at
        if isinstance(event, DeadlinePassed):
            break
        if isinstance(event, Failure):
            if event.node == order.home:
                return batch.undecided(event)
            batch.failed[event.node] = event.reason
        elif event.node == order.home:
            batch.take_decision(event.content)
            effect = batch.second_round()
        else:
            batch.take_answer(event)
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
        self.decided: list[Stamp] | None = None
        self.restamped: dict[int, Stamp] = {}
        self.second_position: dict[int, int] = {}
        self.superseded: set[int] = set()
        self.refused: dict[int, str] = {}
        self.held: dict[int, dict[str, dict[int, Stamp | None]]] = {0: {}, SECOND_ROUND: {}}
        self.failed: dict[str, str] = {}

    def opening(self) -> Exchange:
        """The chunk to all nodes at once; at ASYNC to the deciding one alone."""
        keys = [item.key for item in self.items]
        call = self.view.write_many_call(keys, [item.record.encode() for item in self.items])
        targets = (self.order.home, *self.others) if self.order.reach_others else (self.order.home,)
        requests = tuple(Request(node, call) for node in targets)
        return Exchange(requests, self.order.until, self.order.home, fresh=True)

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

    def second_round(self) -> Exchange:
        """What the deciding node gave later stamps goes to the others again."""
        if not self.restamped or not self.order.reach_others:
            return Exchange((), self.order.until)
        records = [self.items[i].record._replace(stamp=stamp).encode() for i, stamp in self.restamped.items()]
        call = self.view.write_many_call([self.items[i].key for i in self.restamped], records)
        return Exchange(tuple(Request(node, call, SECOND_ROUND) for node in self.others), self.order.until)

    def take_answer(self, reply: Reply) -> None:
        """Another copy's answer: which items it does not hold as they were sent."""
        lacking: dict[int, Stamp | None] = {}
        if reply.content != 1:
            if reply.content[0] != b"some":
                self.failed[reply.node] = describe_refusal(reply.content)
                return
            for index, verdict, stamp in _exceptions(reply.content):
                lacking[index] = Stamp.parse(stamp) if verdict in (b"ok", b"has") else None
        self.held[reply.tag][reply.node] = lacking

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
        """Whether every item is confirmed, or enough can no longer be."""
        if self.decided is None:
            return False
        if len(self.others) - len(self.failed) < self.order.required:
            return True
        rounds = [self.held[0]] if len(self.restamped) < len(self.items) else []
        rounds += [self.held[SECOND_ROUND]] if self.restamped and self.order.reach_others else []
        answered = min((len(held) for held in rounds), default=0)
        if answered < self.order.required:
            return False
        if answered + len(self.failed) >= len(self.others):
            return True
        return all(len(self._holders(index)) >= self.order.required for index in self._uncertain())

    def _uncertain(self) -> set[int]:
        """Items that some answer made an exception of; all others are held wherever there was an answer."""
        positions = list(self.restamped)
        first = {index for lacking in self.held[0].values() for index in lacking}
        return first | {positions[index] for lacking in self.held[SECOND_ROUND].values() for index in lacking}

    def receipts(self, at: float) -> list[WriteReceipt]:
        """A receipt for each item."""
        everybody = frozenset((self.order.home, *self.others))
        elapsed = at - self.order.started
        uncertain = self._uncertain() | self.restamped.keys()
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
        return acked, {node: reason for node, reason in self.failed.items() if node not in acked}

    def undecided(self, event: Failure) -> list[WriteReceipt]:
        """The deciding node failed: unknown, or rejected where nothing was sent at all."""
        failed = {**self.failed, event.node: event.reason}
        if not event.sent:
            failed = {**dict.fromkeys(self.others, f"not sent: {event.node} cannot be used"), **failed}
        outcome = Outcome.UNKNOWN if event.sent else Outcome.REJECTED
        nobody: frozenset[str] = frozenset()
        pending = frozenset(node for node in self.others if event.sent and node not in failed)
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
