"""Whether what clients saw of one key can be explained by operations that took effect one after the other.

The search is that of Wing and Gong, remembering (operations done, value) as Lowe does. Operations whose outcome is not
known may take effect at any later time, or never. An operation that changes nothing and fits is taken at once: taking
it earlier than needed never makes anything else impossible.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum

NEVER = float("inf")
MOST_STATES = 200_000

SET, DELETE, ADD, COMPARE, INCREMENT, GET = "set", "delete", "add", "compare", "increment", "get"
CONDITIONAL = (ADD, COMPARE, INCREMENT)

Value = bytes | None


@dataclass(slots=True, eq=False)
class Operation:
    """What a client asked of a key, and what it was told.

    returned: NEVER while the outcome is not known. value: what a write stores, or the amount of an increment.
    expected: the value that a comparison wants to stand. applied: whether a conditional write changed something.
    result: what a read or an increment answered.
    """

    program: str
    key: str
    kind: str
    invoked: float
    value: Value = None
    expected: Value = None
    returned: float = NEVER
    applied: bool = True
    result: Value = None

    @property
    def is_known(self) -> bool:
        """Whether the client was told that it took effect, or what it saw."""
        return self.returned != NEVER

    @property
    def is_read(self) -> bool:
        """Whether it is known to have changed nothing."""
        return self.kind == GET or not self.applied

    def fits(self, value: Value) -> bool:
        """Whether it can have happened where this value stood."""
        if self.kind == GET:
            return value == self.result
        if self.kind == ADD:
            return (value is None) == self.applied
        if self.kind == COMPARE:
            return (value == self.expected) == self.applied
        if self.kind == INCREMENT and self.is_known:
            return self.after(value) == self.result
        return True

    def after(self, value: Value) -> Value:
        """What stands after it where it took effect."""
        if self.kind == INCREMENT:
            return b"%d" % (int(value or b"0") + int(self.value or b"0"))
        return None if self.kind == DELETE else self.value

    def __str__(self) -> str:
        until = f"{self.returned:.4f}" if self.is_known else "unknown"
        wanted = f" if {self.expected!r}" if self.kind == COMPARE else ""
        what = repr(self.value)
        if self.kind in (GET, INCREMENT):
            what = f"{what if self.kind == INCREMENT else ''} = {self.result!r}".lstrip()
        turned_down = "" if self.applied else " (not applied)"
        return f"[{self.invoked:.4f}, {until}] {self.program}: {self.kind} {self.key} {what}{wanted}{turned_down}"


class Verdict(Enum):
    """GAVE_UP: the search was too long, nothing is known."""

    LINEARIZABLE = "linearizable"
    VIOLATED = "violated"
    GAVE_UP = "gave up"


def check_key(operations: Iterable[Operation], most_states: int = MOST_STATES) -> Verdict:
    """The verdict on all operations of one key that were not rejected."""
    found = sorted(_that_matter(list(operations)), key=lambda operation: operation.invoked)
    needed = sum(1 << number for number, operation in enumerate(found) if operation.is_known)
    start: tuple[int, Value] = (0, None)
    seen, stack = {start}, [start]
    while stack:
        done, value = stack.pop()
        if done & needed == needed:
            return Verdict.LINEARIZABLE
        if len(seen) > most_states:
            return Verdict.GAVE_UP
        for following in _following(found, done, value):
            if following not in seen:
                seen.add(following)
                stack.append(following)
    return Verdict.VIOLATED


def _following(operations: list[Operation], done: int, value: Value) -> list[tuple[int, Value]]:
    """States that one more operation leads to."""
    earliest_return, found = NEVER, []
    tried: set[tuple[str, Value]] = set()
    for number, operation in enumerate(operations):
        if operation.invoked > earliest_return:
            break
        if done >> number & 1:
            continue
        earliest_return = min(earliest_return, operation.returned)
        if operation.fits(value):
            if operation.is_read:
                return [(done | 1 << number, value)]
            if not operation.is_known:
                # What changes nothing may as well never happen, and of deletes the earliest can stand for any other, as
                # can that of writes of values that nobody saw.
                if operation.after(value) == value or (operation.kind, operation.value) in tried:
                    continue
                if operation.kind in (DELETE, SET):
                    tried.add((operation.kind, operation.value))
            found.append((done | 1 << number, operation.after(value)))
    return found


def _that_matter(operations: list[Operation]) -> list[Operation]:
    """Without reads that were not answered, and writes of unknown outcome that nobody can have noticed."""
    shown = {operation.result for operation in operations} | {operation.expected for operation in operations}
    is_plain = all(operation.kind in (SET, GET) for operation in operations)
    return [
        operation
        if operation.is_known or operation.value in shown or operation.kind == INCREMENT
        else _unseen(operation)
        for operation in operations
        if operation.is_known or (operation.kind != GET and not (is_plain and operation.value not in shown))
    ]


def _unseen(operation: Operation) -> Operation:
    """The same operation with a value that stands for all that nobody saw: they make no difference to each other."""
    return operation if operation.value is None else replace(operation, value=b"a value that nobody saw")
