"""What clients did and saw: one operation each, with the times between which it took effect."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Final, TypeAlias

Content: TypeAlias = str | int | None
"""What a key holds: text, a number (counters), or nothing."""

GET: Final = "get"
SET: Final = "set"
DELETE: Final = "delete"
ADD: Final = "add"
COMPARE_AND_SET: Final = "compare_and_set"
INCREMENT: Final = "increment"
KINDS: Final = (GET, SET, DELETE, ADD, COMPARE_AND_SET, INCREMENT)


class Outcome(Enum):
    """OK: answered. UNKNOWN: it may have taken effect, or do so later, or never. REJECTED: certainly no effect."""

    OK = "ok"
    UNKNOWN = "unknown"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation on one key.

    invoked, returned: readings of one clock in nanoseconds; ``returned`` is None where no answer ever came.
    argument: the value written, or the amount of an increment. expected: what a compare_and_set was to replace.
    answer: of a get the content; of add and compare_and_set whether it was applied; of an increment the sum.
    error: the kind of error and its text, where there was one.
    """

    client: str
    key: str
    kind: str
    invoked: int
    argument: Content = None
    expected: Content = None
    returned: int | None = None
    outcome: Outcome = Outcome.UNKNOWN
    answer: Content = None
    error: str | None = None

    @property
    def is_committed_write(self) -> bool:
        """Whether it certainly changed the key."""
        return self.outcome is Outcome.OK and self.kind != GET and self.answer is not False

    def __str__(self) -> str:
        given = [] if self.argument is None else [repr(self.argument)]
        given += [f"expected={self.expected!r}"] if self.kind == COMPARE_AND_SET else []
        seen = f" -> {self.answer!r}" if self.outcome is Outcome.OK and self.kind not in (SET, DELETE) else ""
        ended = "never" if self.returned is None else f"{self.returned / 1e9:.6f}"
        times = f"{self.invoked / 1e9:.6f} to {ended}"
        return f"{self.client} {self.kind}({', '.join([repr(self.key), *given])}){seen} {self.outcome.value}, {times}"


# In a log, an operation is two lines: what is begun and how it ended. A client that is killed leaves only the first.


def begun_line(operation: Operation) -> str:
    """The line that is written before anything is sent."""
    asked = [operation.key, operation.kind, operation.invoked, operation.argument, operation.expected]
    return json.dumps(asked, separators=(",", ":")) + "\n"


def ended_line(operation: Operation) -> str:
    """The line that follows it when the outcome is known."""
    found = [operation.returned, operation.outcome.value, operation.answer, operation.error]
    return json.dumps(found, separators=(",", ":")) + "\n"


def read_log(client: str, lines: Iterable[str]) -> list[Operation]:
    """The operations of one client's log. A last line that was cut short is left out."""
    found: list[Operation] = []
    for line in lines:
        if not line.endswith("\n"):
            break
        content: list[Any] = json.loads(line)
        if isinstance(content[0], str):
            key, kind, invoked, argument, expected = content
            found.append(Operation(client, key, kind, invoked, argument, expected))
        else:
            returned, outcome, answer, error = content
            found[-1] = replace(found[-1], returned=returned, outcome=Outcome(outcome), answer=answer, error=error)
    return found
