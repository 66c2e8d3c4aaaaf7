"""Histories for tests of the checker: written by hand, or made by the model with concurrent
clients.
"""

from __future__ import annotations

import heapq
import random
from dataclasses import replace

from redrepl.testing.history import Operation, Outcome
from redrepl.testing.model import Content, carry_out
from redrepl.values.operation import ADD, GET, OPERATIONS, Condition, OperationKind

WITHOUT_VALUES = tuple(kind for kind in OPERATIONS if kind.argument.type is None)

FAMILIES = {
    "values": tuple(kind for kind in OPERATIONS if not kind.builds_on_value),
    **{kind.name: (*WITHOUT_VALUES, kind) for kind in OPERATIONS if kind.builds_on_value},
}
"""What is done with a key: it is overwritten, or one operation adds to what it holds."""


def done(
    kind: OperationKind,
    invoked: int,
    returned: int,
    argument: Content = None,
    answer: Content = None,
    expected: Content = None,
    key: str = "k",
) -> Operation:
    """An operation that was answered."""
    if kind.is_conditional and answer is None:
        answer = True
    return Operation("c", key, kind, invoked, argument, expected, returned, Outcome.OK, answer)


def unknown(
    kind: OperationKind,
    invoked: int,
    argument: Content = None,
    expected: Content = None,
    returned: int | None = None,
) -> Operation:
    """A write of which nobody knows what became."""
    return Operation("c", "k", kind, invoked, argument, expected, returned, Outcome.UNKNOWN)


def rejected(
    kind: OperationKind, invoked: int, returned: int, argument: Content = None
) -> Operation:
    """A write that must have no effect."""
    return Operation("c", "k", kind, invoked, argument, None, returned, Outcome.REJECTED)


def linearizable_history(
    operations: int, clients: int, seed: int, unknown_share: float = 0.0, family: str = "values"
) -> list[Operation]:
    """A history of one key that is linearizable because it was made so.

    Each client does one operation after the other, each with a moment between invocation and
    return. Of the unknown ones half take effect, some of them long after.
    """
    choose = random.Random(seed)
    content: Content = None
    free_at = [0] * clients
    begun: list[Operation] = []
    moments: list[tuple[int, int]] = []
    for number in range(operations):
        client = min(range(clients), key=free_at.__getitem__)
        invoked = free_at[client] + choose.randrange(1, 20)
        moment = invoked + choose.randrange(1, 40)
        free_at[client] = moment + choose.randrange(1, 40)
        operation = Operation(
            f"c{client}", "k", GET, invoked, returned=free_at[client], outcome=Outcome.OK
        )
        if choose.random() < unknown_share:
            operation = replace(operation, outcome=Outcome.UNKNOWN)
            moment = invoked + choose.randrange(1, 2000)
        begun.append(operation)
        heapq.heappush(moments, (moment, number))
    found = []
    while moments:
        _, number = heapq.heappop(moments)
        operation = _chosen(begun[number], number, content, choose, family)
        effect = carry_out(operation.kind, content, operation.argument, operation.expected)
        if operation.outcome is Outcome.OK:
            operation, content = replace(operation, answer=effect.answer), effect.content
        elif choose.random() < 0.5:
            content = effect.content
        found.append(operation)
    choose.shuffle(found)
    return found


def _chosen(
    operation: Operation, number: int, content: Content, choose: random.Random, family: str
) -> Operation:
    kind = choose.choice(FAMILIES[family])
    amount = choose.randrange(1, 1000)
    argument: Content = amount if kind.argument.type is int else f"v{number}"
    expected: Content = None
    if kind.condition is Condition.VERSION:
        expected = content if choose.random() < 0.7 else "old"
        kind = kind if expected is not None else ADD
    argument = None if kind.argument.type is None else argument
    return replace(operation, kind=kind, argument=argument, expected=expected)
