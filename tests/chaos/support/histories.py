"""Histories for tests of the checker: written by hand, or made by an imaginary store with concurrent clients."""

from __future__ import annotations

import heapq
import random
from dataclasses import replace

from redrepl_cli.chaos.history import (
    ADD,
    COMPARE_AND_SET,
    DELETE,
    GET,
    INCREMENT,
    KINDS,
    SET,
    Content,
    Operation,
    Outcome,
)


def done(
    kind: str,
    invoked: int,
    returned: int,
    argument: Content = None,
    answer: Content = None,
    expected: Content = None,
    key: str = "k",
) -> Operation:
    """An operation that was answered."""
    if kind in (ADD, COMPARE_AND_SET) and answer is None:
        answer = True
    return Operation("c", key, kind, invoked, argument, expected, returned, Outcome.OK, answer)


def unknown(
    kind: str, invoked: int, argument: Content = None, expected: Content = None, returned: int | None = None
) -> Operation:
    """A write of which nobody knows what became."""
    return Operation("c", "k", kind, invoked, argument, expected, returned, Outcome.UNKNOWN)


def rejected(kind: str, invoked: int, returned: int, argument: Content = None) -> Operation:
    """A write that must have no effect."""
    return Operation("c", "k", kind, invoked, argument, None, returned, Outcome.REJECTED)


class ImaginaryStore:
    """One key, and what operations do to it at one moment each."""

    def __init__(self) -> None:
        self.content: Content = None

    def apply(self, operation: Operation) -> Content:
        """Carry it out; answers what the client is told."""
        argument = operation.argument
        match operation.kind:
            case "get":
                return self.content
            case "set" | "delete":
                self.content = argument
                return None
            case "increment":
                assert isinstance(argument, int)
                assert not isinstance(self.content, str)
                self.content = (self.content or 0) + argument
                return self.content
        wanted = None if operation.kind == ADD else operation.expected
        if self.content != wanted:
            return False
        self.content = argument
        return True


def linearizable_history(
    operations: int, clients: int, seed: int, unknown_share: float = 0.0, counter: bool = False
) -> list[Operation]:
    """A history of one key that is linearizable because it was made so.

    Each client does one operation after the other, each with a moment between invocation and return. Of the unknown
    ones half take effect, some of them long after.
    """
    choose, store = random.Random(seed), ImaginaryStore()
    free_at = [0] * clients
    begun: list[Operation] = []
    moments: list[tuple[int, int]] = []
    for number in range(operations):
        client = min(range(clients), key=free_at.__getitem__)
        invoked = free_at[client] + choose.randrange(1, 20)
        moment = invoked + choose.randrange(1, 40)
        free_at[client] = moment + choose.randrange(1, 40)
        operation = Operation(f"c{client}", "k", "", invoked, returned=free_at[client], outcome=Outcome.OK)
        if choose.random() < unknown_share:
            operation = replace(operation, outcome=Outcome.UNKNOWN)
            moment = invoked + choose.randrange(1, 2000)
        begun.append(operation)
        heapq.heappush(moments, (moment, number))
    found = []
    while moments:
        _, number = heapq.heappop(moments)
        operation = _chosen(begun[number], number, store.content, choose, counter)
        if operation.outcome is Outcome.OK:
            operation = replace(operation, answer=store.apply(operation))
        elif choose.random() < 0.5:
            store.apply(operation)
        found.append(operation)
    choose.shuffle(found)
    return found


def _chosen(operation: Operation, number: int, content: Content, choose: random.Random, counter: bool) -> Operation:
    kind = choose.choice((GET, INCREMENT) if counter else tuple(kind for kind in KINDS if kind != INCREMENT))
    argument: Content = choose.randrange(1, 1000) if kind == INCREMENT else f"v{number}"
    expected = (content if choose.random() < 0.7 else "old") if kind == COMPARE_AND_SET else None
    if kind == COMPARE_AND_SET and expected is None:
        kind = ADD
    return replace(operation, kind=kind, argument=None if kind in (GET, DELETE) else argument, expected=expected)


def is_explained_by_some_order(history: list[Operation]) -> bool:
    """The definition itself, by trying everything: for tiny histories."""
    counted = [op for op in history if op.outcome is Outcome.OK or (op.outcome is Outcome.UNKNOWN and op.kind != GET)]
    return _extends(counted, None)


def _extends(rest: list[Operation], content: Content) -> bool:
    known = [operation for operation in rest if operation.outcome is Outcome.OK]
    if not known:
        return True
    first_return = min(operation.returned or 0 for operation in known)
    for operation in rest:
        if operation.invoked > first_return:
            continue
        store = ImaginaryStore()
        store.content = content
        if operation.kind == INCREMENT and isinstance(content, str):
            continue
        answer = store.apply(operation)
        fits = operation.outcome is Outcome.UNKNOWN or operation.kind in (SET, DELETE) or answer == operation.answer
        if fits and _extends([other for other in rest if other is not operation], store.content):
            return True
    return False
