"""One chunk on its way to all copies, and which of them hold which of its keys."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat

from redrepl.plans.operations.chunk import Chunk
from redrepl.plans.operations.write import (
    FIRST_ROUND,
    GRACE_SECONDS,
    RESEND_SECONDS,
    SECOND_ROUND,
    Proposal,
    is_behind,
    is_closed,
    may_be_sent_again,
    verdict_error,
)
from redrepl.plans.view import ClusterView, describe_refusal
from redrepl.values.effects import Answer, Failure, Reply, Request
from redrepl.values.reasons import LOST, is_refusal
from redrepl.values.receipt import Outcome, WriteReceipt
from redrepl.values.stamp import STAMP_BYTES, Stamp

ROUNDS = 2


class BatchRequest:
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
        self._too_early: set[str] = set()
        self._sent_as_decided: set[str] = set()
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
            self._send_as_decided()
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
        self._send_as_decided()

    def _send_as_decided(self) -> None:
        """What the deciding node has taken goes once more to copies whose clocks turned it down: they take it then.

        Not where it turned down a part itself, which no copy is to have.
        """
        if not self.decided or self.refused or not self._too_early:
            return
        chunk = self.chunk
        self._calls[FIRST_ROUND] = self.view.write_many_call(chunk.keys, chunk.records, are_decided=True)
        self.due += [(node, FIRST_ROUND) for node in sorted(self._too_early)]
        for node in self._too_early:
            del self.held[FIRST_ROUND][node]
        self._sent_as_decided |= self._too_early
        self._too_early.clear()

    def _prepare_second_round(self) -> None:
        """What the deciding node gave later stamps goes to the others again."""
        if not self.restamped or not self.order.reach_others:
            return
        records = [stamp.encode() + self.chunk.records[i][STAMP_BYTES:] for i, stamp in self.restamped.items()]
        keys = [self.chunk.keys[i] for i in self.restamped]
        self._calls[SECOND_ROUND] = self.view.write_many_call(keys, records, are_decided=True)
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
                if verdict == b"skewed" and turn == FIRST_ROUND and reply.node not in self._sent_as_decided:
                    self._too_early.add(reply.node)
        self.held[turn][reply.node] = lacking
        self._send_as_decided()

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
