"""What clients did and saw: one operation each, with the times between which it took effect."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from redrepl.testing.model import Content
from redrepl.values.operation import BY_NAME, Condition, OperationKind, Result


class Outcome(Enum):
    """OK: answered.

    UNKNOWN: it may have taken effect, or do so later, or never. REJECTED: certainly no effect.
    """

    OK = "ok"
    UNKNOWN = "unknown"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation on one key.

    kind: a row of `redrepl.values.operation.OPERATIONS`. invoked, returned: readings of one clock
    in nanoseconds; ``returned`` is None where no answer ever came. argument: the value written or
    added. expected: what a certain version that it was to replace held. answer: as in
    `redrepl.testing.model.Effect`. error: the kind of error and its text, where there was one.
    """

    client: str
    key: str
    kind: OperationKind
    invoked: int
    argument: Content = None
    expected: Content = None
    returned: int | None = None
    outcome: Outcome = Outcome.UNKNOWN
    answer: Content = None
    error: str | None = None

    @property
    def changes(self) -> bool:
        """Whether it may have changed the key: all but reads, and what was answered as not
        applied.
        """
        return not self.kind.keeps_value and self.answer is not False

    @property
    def is_committed_write(self) -> bool:
        """Whether it certainly changed the key."""
        return self.outcome is Outcome.OK and self.changes

    @property
    def tells_anything(self) -> bool:
        """Whether it restricts what the key held: not a rejected write, and no read without an
        answer.
        """
        if self.outcome is Outcome.UNKNOWN:
            return not self.kind.keeps_value
        return self.outcome is Outcome.OK

    def __str__(self) -> str:
        given = [] if self.argument is None else [repr(self.argument)]
        given += [f"expected={self.expected!r}"] if self.kind.condition is Condition.VERSION else []
        is_told = self.kind.is_conditional or self.kind.result is not Result.RECEIPT
        seen = f" -> {self.answer!r}" if self.outcome is Outcome.OK and is_told else ""
        ended = "never" if self.returned is None else f"{self.returned / 1e9:.6f}"
        times = f"{self.invoked / 1e9:.6f} to {ended}"
        return (
            f"{self.client} {self.kind}({', '.join([repr(self.key), *given])}){seen} "
            f"{self.outcome.value}, {times}"
        )


class History:
    """The operations of any number of clients, in the order in which they began.

    Not for several threads at once.
    """

    def __init__(self) -> None:
        self._operations: list[Operation] = []

    def __iter__(self) -> Iterator[Operation]:
        return iter(self._operations)

    def __len__(self) -> int:
        return len(self._operations)

    def __getitem__(self, number: int) -> Operation:
        return self._operations[number]

    def begin(
        self,
        client: str,
        key: str,
        kind: OperationKind,
        invoked: int,
        argument: Content = None,
        expected: Content = None,
    ) -> int:
        """Note an operation before anything is sent; returns its number.

        Its outcome is unknown until `end`.
        """
        self._operations.append(Operation(client, key, kind, invoked, argument, expected))
        return len(self._operations) - 1

    def end(
        self,
        number: int,
        returned: int,
        outcome: Outcome = Outcome.OK,
        answer: Content = None,
        error: str | None = None,
    ) -> Operation:
        """Note what became of an operation."""
        ended = replace(
            self._operations[number], returned=returned, outcome=outcome, answer=answer, error=error
        )
        self._operations[number] = ended
        return ended

    def of_key(self, key: str) -> list[Operation]:
        """The operations of one key."""
        return [operation for operation in self._operations if operation.key == key]


# In a log, an operation is two lines: what is begun and how it ended. A client that is killed
# leaves only the first.


def begun_line(operation: Operation) -> str:
    """The line that is written before anything is sent."""
    asked = [
        operation.key,
        operation.kind.name,
        operation.invoked,
        operation.argument,
        operation.expected,
    ]
    return json.dumps(asked, separators=(",", ":")) + "\n"


def ended_line(operation: Operation) -> str:
    """The line that follows it when the outcome is known."""
    found = [operation.returned, operation.outcome.value, operation.answer, operation.error]
    return json.dumps(found, separators=(",", ":")) + "\n"


def read_log(client: str, lines: Iterable[str]) -> list[Operation]:
    """The operations of one client's log. A last line that was cut short is left out.

    Raises ValueError where it names an operation that does not exist.
    """
    history = History()
    for line in lines:
        if not line.endswith("\n"):
            break
        content: list[Any] = json.loads(line)
        if isinstance(content[0], str):
            key, name, invoked, argument, expected = content
            if name not in BY_NAME:
                raise ValueError(f"there is no operation {name!r}")
            last = history.begin(client, key, BY_NAME[name], invoked, argument, expected)
        else:
            returned, outcome, answer, error = content
            history.end(last, returned, Outcome(outcome), answer, error)
    return list(history)
