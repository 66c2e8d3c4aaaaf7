"""Driving a plan by hand: the test says what happens next, and looks at what the plan sends.

As a driver does, it takes no events of requests that the plan never sent, or that a fresh exchange
made unwanted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Generic, TypeVar

from redrepl.plans.operations.batch import Written, write_chunk, write_chunks
from redrepl.plans.operations.chunk import Chunk, Item, chunk_of
from redrepl.plans.operations.watch import LOOK
from redrepl.plans.operations.write import WriteOrder
from redrepl.plans.view import ClusterView
from redrepl.values.effects import (
    NOT_BEGUN,
    Ask,
    DeadlinePassed,
    Effect,
    Event,
    Exchange,
    Failure,
    Plan,
    Progress,
    Reply,
    Request,
    ScriptCall,
)
from redrepl.values.receipt import WriteReceipt
from redrepl.values.topology import Member, Mode, NodeRole, Topology
from tests.support.questions import Questions

R = TypeVar("R")
START = 100.0
UNTIL = 101.0
IDS = ("a", "b", "c", "d", "e", "f", "g")


class ByHand(Generic[R]):
    """A plan that has been started.

    ``sent``: requests of the last exchange; ``everything``: of all.

    ``looks``: nodes that were asked, while the plan waited for long, whether the epoch has moved;
    in neither of these.
    """

    def __init__(self, plan: Plan[R]) -> None:
        self._plan = plan
        self._result: list[R] = []
        self.at = START
        self.sent: tuple[Request, ...] = ()
        self.everything: list[Request] = []
        self.exchange: Exchange = Ask((), 0.0)
        self.progress: list[Progress] = []
        self.looks: list[str] = []
        self._owed: list[tuple[str, int]] = []
        self._questions = Questions()
        self._go_on(NOT_BEGUN)

    @property
    def is_done(self) -> bool:
        """Whether the plan has come to its result."""
        return bool(self._result)

    @property
    def result(self) -> R:
        """What the plan answered."""
        assert self._result, f"the plan still waits; it last sent {self.sent}"
        return self._result[0]

    def replies(self, node: str, content: Any, tag: int = 0) -> ByHand[R]:
        """A node answers."""
        return self._happens(Reply(node, tag, content, self._tick()))

    def fails(
        self, node: str, reason: str = "connection lost", sent: bool = True, tag: int = 0
    ) -> ByHand[R]:
        """A node gives no usable answer."""
        return self._happens(Failure(node, tag, reason, sent, self._tick()))

    def times_out(self) -> ByHand[R]:
        """The deadline of the exchange passes, with all looks around before it."""
        while not self.exchange.is_deadline:
            self.looks_around()
        return self.looks_around()

    def looks_around(self) -> ByHand[R]:
        """Time passes until the plan wants to look whether the epoch has moved, or until its
        deadline.
        """
        self.at = max(self.at, self.exchange.until)
        return self._happens(DeadlinePassed(self.at))

    def happens(self, event: Event) -> ByHand[R]:
        """Any event."""
        return self._happens(event)

    def targets(self) -> list[str]:
        """Whom the last exchange went to."""
        return [request.node for request in self.sent]

    def scripts(self) -> list[str]:
        """Names of the scripts in the last exchange."""
        return [
            request.command.script
            for request in self.sent
            if isinstance(request.command, ScriptCall)
        ]

    def _tick(self) -> float:
        self.at += 0.01
        return self.at

    def _happens(self, event: Event) -> ByHand[R]:
        assert not self.is_done, f"the plan has ended with {self._result}"
        if isinstance(event, (Reply, Failure)):
            assert (event.node, event.tag) in self._owed, (
                f"no driver delivers this: only {self._owed} is owed"
            )
            self._owed.remove((event.node, event.tag))
            self._questions.answered(self._plan, event)
        self._go_on(event)
        return self

    def _go_on(self, event: Event) -> None:
        try:
            effect = self._plan.send(event)
            while not self._waits(effect):
                effect = self._plan.send(DeadlinePassed(self.at))
        except StopIteration as end:
            self._result.append(end.value)

    def _waits(self, effect: Effect) -> bool:
        """Take note of an effect.

        Progress, and what is to be sent without waiting, are answered at once.
        """
        if isinstance(effect, Progress):
            self.progress.append(effect)
            return False
        self.exchange = effect
        self._questions.asked(self._plan, effect)
        if isinstance(effect, Ask):
            self._owed.clear()
        self._owed += [(request.node, request.tag) for request in effect.requests]
        looks = [request for request in effect.requests if request.tag == LOOK]
        self.looks += [request.node for request in looks]
        if not looks:
            self.sent = effect.requests
            self.everything += effect.requests
        return effect.until > self.at


def write_many(
    view: ClusterView, order: WriteOrder, items: Sequence[Item]
) -> Plan[list[WriteReceipt]]:
    """`write_chunk` of some records."""
    return write_chunk(view, chunk_of(items, order))


def all_written(view: ClusterView, leaving: Iterator[Chunk]) -> Plan[list[Written]]:
    """`write_chunks`, and what became of the chunks in the order in which they left."""
    ended: list[Written] = []
    yield from write_chunks(view, leaving, ended.append, START)
    return sorted(ended, key=lambda written: written.number)


def topology(copies: int, mode: Mode = Mode.PRIMARY_REPLICA, epoch: int = 7) -> Topology:
    """Nodes a, b, c ...; a is the primary, or all are."""
    roles = [
        NodeRole.PRIMARY if mode is Mode.MULTI_PRIMARY or not i else NodeRole.REPLICA
        for i in range(copies)
    ]
    members = tuple(
        Member(IDS[i], f"redis://{IDS[i]}:6379/0", role) for i, role in enumerate(roles)
    )
    return Topology("shop", epoch, mode, members)


def view(copies: int, mode: Mode = Mode.PRIMARY_REPLICA) -> ClusterView:
    """The view of such a cluster."""
    return ClusterView(topology(copies, mode))


def order(required: int, reach_others: bool = True) -> WriteOrder:
    """A write on node a."""
    return WriteOrder("a", required, reach_others, START, UNTIL)


def copies_of(receipt: WriteReceipt) -> tuple[set[str], set[str], dict[str, str]]:
    """Who confirmed, who is pending and who failed why."""
    return set(receipt.acked), set(receipt.pending), dict(receipt.failed)
