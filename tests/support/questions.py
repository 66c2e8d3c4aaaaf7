"""Whether an answer goes to the generator that asked for it.

Plans are put together from generators. Where one ends with questions unanswered, and the next one
does not begin with a question of its own (`Ask`), an answer to the first would reach the second,
which takes it for its own.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Generator
from typing import Any

from redrepl.values.effects import Ask, Effect, Event, Exchange, Failure, Reply

TICKETED = ("Lanes.answer", "Lanes.rest", "Lookout.look")
"""Generators that take each other's answers and tell them apart by their tags, each of which is
used once.
"""


class Questions:
    """What one plan has asked since its last `Ask`, and which of its generators did."""

    def __init__(self) -> None:
        self._askers: defaultdict[tuple[str, int], deque[Any]] = defaultdict(deque)

    def asked(self, plan: Generator[Any, Any, Any], effect: Effect) -> None:
        """The plan has just yielded this."""
        if not isinstance(effect, Exchange):
            return
        if isinstance(effect, Ask):
            self._askers.clear()
        asker = _delegation(plan)[-1]
        for request in effect.requests:
            self._askers[request.node, request.tag].append(asker)

    def answered(self, plan: Generator[Any, Any, Any], event: Event) -> None:
        """The plan is about to get this.

        Fails where the generator that asked has come to its end since.
        """
        if not isinstance(event, (Reply, Failure)):
            return
        asker, delegation = self._askers[event.node, event.tag].popleft(), _delegation(plan)
        assert asker.__qualname__ in TICKETED or any(asker is each for each in delegation), (
            f"{event} answers what {asker.__qualname__} asked, and reaches "
            f"{delegation[-1].__qualname__}: "
            f"it has to begin with `Ask`"
        )


def _delegation(plan: Generator[Any, Any, Any]) -> list[Any]:
    """The generators that wait, from the plan to the one that yielded last."""
    found: list[Any] = [plan]
    while isinstance(found[-1].gi_yieldfrom, Generator):
        found.append(found[-1].gi_yieldfrom)
    return found
