"""Is a history linearizable?

Each key on its own, which is enough: linearizability is a local property.

A history is linearizable if every operation can be given one moment between its invocation and its
return, so that the answers are those of a store that does one thing at a time. An unknown write has
no end: its moment may come at any time after its invocation, or never. A rejected one has no moment
at all. A read without an answer says nothing.

The search goes through the returns in the order of time and keeps all *configurations* that explain
everything so far: what the key holds, which operations under way have had their moment, which
unknown writes were used. When an operation returns, it must have had its moment: each configuration
is continued by operations under way until it has. Nothing is decided before it must be, so a
quiescent moment leaves one configuration, or few, whatever came before.

Three rules keep the search short, and none of them loses an explanation:

- An operation under way that changes nothing has its moment as soon as it can answer as it did.
- Unknown writes are used only right before an operation that could not answer as it did without
  them: if it could, the
  unknown write can as well come after it, or never.
- Values that no answer names are all the same; where operations make longer ones of them, those of
  one length that are a part of no answer.

The search begins *sparing*: it uses unknown writes only where nothing else explains a return. Where
that leads to a dead end, it goes some returns back and tries everything from there, then from
further back. Only a dead end of a search that tried everything from the beginning is a violation.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from redrepl.testing import model
from redrepl.testing.history import Operation, Outcome
from redrepl.testing.model import Content, payload_of
from redrepl.values.operation import Condition, Result, is_number

MOST_STEPS: Final = 3_000_000
"""Steps of the search for one key, about ten seconds; beyond them it gives up.

Ordinary histories take a few steps per operation.
"""

BACK: Final = (8, 64, 512, 4096)
"""How many returns it goes back from a dead end, one after the other; then to the beginning."""

SHOWN_OPERATIONS: Final = 12
"""Of the operations before a violation, those that are shown with it."""


@dataclass(frozen=True, slots=True)
class Violation:
    """An operation that no order explains.

    possible: what the key may have held before it. before: operations that returned last or were
    under way.
    """

    operation: Operation
    possible: tuple[Content, ...]
    before: tuple[Operation, ...]

    def __str__(self) -> str:
        held = " or ".join(
            content if content == UNSEEN else repr(content) for content in self.possible
        )
        lines = [
            f"no order explains: {self.operation}",
            f"before it the key held {held}; the operations before it:",
        ]
        return "\n".join([*lines, *(f"  {operation}" for operation in self.before)])


@dataclass(frozen=True, slots=True)
class KeyVerdict:
    """What was found for one key.

    ``gave_up``: the search was too long; a violation is then only where it got stuck.
    """

    key: str
    operations: int
    steps: int
    violation: Violation | None = None
    gave_up: bool = False

    @property
    def is_linearizable(self) -> bool:
        """Whether an order was found."""
        return self.violation is None and not self.gave_up


def check(history: Iterable[Operation], most_steps: int = MOST_STEPS) -> list[KeyVerdict]:
    """A verdict for each key of a history, which may be in any order.

    All keys are absent at its beginning.
    """
    by_key: defaultdict[str, list[Operation]] = defaultdict(list)
    for operation in history:
        by_key[operation.key].append(operation)
    return [check_key(key, operations, most_steps) for key, operations in sorted(by_key.items())]


def check_key(
    key: str, operations: Sequence[Operation], most_steps: int = MOST_STEPS
) -> KeyVerdict:
    """The verdict for the operations of one key."""
    search = _Search(
        [operation for operation in operations if operation.tells_anything], most_steps
    )
    try:
        return KeyVerdict(key, len(operations), violation=search.run(), steps=search.steps)
    except _GaveUp:
        return KeyVerdict(key, len(operations), search.steps, search.stuck_at, gave_up=True)


UNSEEN: Final = "(a value that no answer names)"

NO_PART: Final = "\0"
"""So many of these stand for a part of a text that no answer has in it."""


def _seen_contents(operations: Sequence[Operation]) -> set[Content]:
    """What answers and comparisons name."""
    named = {each.answer for each in operations if each.kind.result is Result.VALUE}
    return named | {
        each.expected for each in operations if each.kind.condition is Condition.VERSION
    }


def _simplified(operations: Sequence[Operation]) -> list[Operation]:
    """The operations with UNSEEN, or others like it, in place of values that play no part."""
    building = [each.argument for each in operations if each.kind.builds_on_value]
    makes_texts = any(isinstance(argument, str) for argument in building)
    makes_numbers = any(isinstance(argument, int) for argument in building)
    seen = _seen_contents(operations)
    if makes_texts and (makes_numbers or any(NO_PART in str(content) for content in seen)):
        return list(operations)

    texts = "\n".join(content for content in seen if isinstance(content, str))
    found = []
    for operation in operations:
        argument = operation.argument
        is_text = isinstance(argument, str) and not is_number(argument.encode())
        # A text that is added to may be seen as a part, and how long it is may be known.
        is_unseen = str(argument) not in texts if makes_texts else argument not in seen
        if is_text and is_unseen:
            unseen = NO_PART * len(str(argument).encode()) if makes_texts else UNSEEN
            found.append(replace(operation, argument=unseen))
        else:
            found.append(operation)
    return found


class _Impossible:
    """In place of a content: the operation cannot have answered so."""


_IMPOSSIBLE: Final = _Impossible()


def _after(operation: Operation, content: Content) -> Content | _Impossible:
    """What a key holds after an operation on this content; an unknown one may have given any
    answer.
    """
    try:
        after, answer = model.carry_out(
            operation.kind, content, operation.argument, operation.expected
        )
    except model.Impossible:
        return _IMPOSSIBLE
    return _IMPOSSIBLE if operation.outcome is Outcome.OK and answer != operation.answer else after


def _holds_too_much(content: Content, operation: Operation) -> bool:
    """Whether a key that holds this holds too much already for what the operation returned.

    What operations build on a value only adds to it: numbers grow, and texts get longer.
    """
    kind, answer, argument = operation.kind, operation.answer, operation.argument
    if content is None or answer is None or operation.outcome is not Outcome.OK:
        return False
    if kind.result is Result.VALUE:
        if isinstance(answer, int):
            return isinstance(content, int) and content > answer
        return len(payload_of(content)) > len(payload_of(answer))
    if kind.number is None or argument is None:
        return False
    held = payload_of(content)
    if kind.is_payload is not None and not kind.is_payload(held):
        return False
    return kind.number(held) > int(answer) - kind.number(payload_of(argument))


class _Configuration(NamedTuple):
    """What the key holds; which operations under way have had their moment; which unknown ones were
    used.
    """

    content: Content
    done: frozenset[int]
    used: frozenset[int]


class _Place(NamedTuple):
    """How far the search has come: the next event, what explains all before it, and operations
    known there.

    recent: those that returned last.
    """

    event: int
    configurations: frozenset[_Configuration]
    under_way: tuple[int, ...]
    unknown: tuple[int, ...]
    recent: tuple[int, ...]


class _GaveUp(Exception):
    """Too many steps."""


class _Search:
    """A search over one key's operations, known by their numbers."""

    def __init__(self, operations: list[Operation], most_steps: int) -> None:
        self._given = operations
        self._operations = _simplified(operations)
        self._changes = [operation.changes for operation in operations]
        self._most_steps = most_steps
        self._beginning = _Place(
            0, frozenset({_Configuration(None, frozenset(), frozenset())}), (), (), ()
        )
        self._now = self._beginning
        self.steps = 0
        self.stuck_at: Violation | None = None

    def run(self) -> Violation | None:
        """The first operation without an explanation, None if all have one. Raises _GaveUp."""
        events = self._events()
        passed: list[_Place] = []
        dead_end, ways_back, tried_all = -1, iter(BACK), False
        while self._now.event < len(events):
            position = self._now.event
            _, is_return, number = events[position]
            if not is_return:
                self._now = self._invoked(number)
            elif after := self._returned(number, is_sparing=position > dead_end):
                passed.append(self._now)
                self._now = after
            elif position == dead_end and tried_all:
                return self._violation(number)
            else:
                if position != dead_end:
                    dead_end, ways_back, self.stuck_at = (
                        position,
                        iter(BACK),
                        self._violation(number),
                    )
                tried_all = self._go_back(passed, next(ways_back, len(passed)))
        return None

    def _go_back(self, passed: list[_Place], returns: int) -> bool:
        """Go so many returns back; answers whether that is the beginning."""
        self._now = passed[-returns] if returns < len(passed) else self._beginning
        del passed[-min(returns, len(passed)) :]
        return self._now is self._beginning

    def _invoked(self, number: int) -> _Place:
        now = self._now
        if self._operations[number].outcome is Outcome.UNKNOWN:
            return now._replace(event=now.event + 1, unknown=(*now.unknown, number))
        self._now = now = now._replace(event=now.event + 1, under_way=(*now.under_way, number))
        if self._changes[number]:
            return now
        return now._replace(configurations=frozenset(map(self._absorbed, now.configurations)))

    def _returned(self, number: int, is_sparing: bool) -> _Place | None:
        """The place after a return, None where nothing explains it."""
        found = self._complete(number, with_unknown=not is_sparing)
        if not found and is_sparing:
            found = self._complete(number, with_unknown=True)
        if not found:
            return None
        now = self._now
        under_way = tuple(other for other in now.under_way if other != number)
        recent = (*now.recent, number)[-SHOWN_OPERATIONS:]
        return now._replace(
            event=now.event + 1, configurations=frozenset(found), under_way=under_way, recent=recent
        )

    def _events(self) -> list[tuple[int, bool, int]]:
        """Invocations and returns in the order of time; at the same time invocations first, which
        is the milder.
        """
        events = [
            (operation.invoked, False, number) for number, operation in enumerate(self._operations)
        ]
        for number, operation in enumerate(self._operations):
            if operation.outcome is Outcome.OK:
                assert operation.returned is not None, "an answer has a time"
                events.append((operation.returned, True, number))
        return sorted(events)

    def _complete(self, number: int, with_unknown: bool) -> set[_Configuration]:
        """All configurations in which this operation has had its moment, without those that others
        make needless.
        """
        found: set[_Configuration] = set()
        seen: set[_Configuration] = set()
        waiting = list(self._now.configurations)
        while waiting:
            configuration = waiting.pop()
            if configuration in seen:
                continue
            seen.add(configuration)
            self._count_step()
            if number in configuration.done:
                found.add(configuration._replace(done=configuration.done - {number}))
                continue
            for candidate in self._now.under_way:
                if candidate not in configuration.done:
                    waiting += self._continued(configuration, candidate, with_unknown)
        return _smallest(found)

    def _continued(
        self, configuration: _Configuration, number: int, with_unknown: bool
    ) -> Iterator[_Configuration]:
        """The configuration after this operation, with unknown writes before it where they are
        needed.
        """
        operation, done = self._operations[number], configuration.done | {number}
        after = _after(operation, configuration.content)
        if not isinstance(after, _Impossible):
            yield self._absorbed(_Configuration(after, done, configuration.used))
        elif with_unknown:
            for content, used in self._prepared(configuration, operation):
                after = _after(operation, content)
                assert not isinstance(after, _Impossible)
                yield self._absorbed(_Configuration(after, done, used))

    def _absorbed(self, configuration: _Configuration) -> _Configuration:
        """The configuration after all operations under way that change nothing and can answer as
        they did.
        """
        content, done, used = configuration
        more = [
            number
            for number in self._now.under_way
            if not (self._changes[number] or number in done)
            and _after(self._operations[number], content) == content
        ]
        return _Configuration(content, done.union(more), used) if more else configuration

    def _prepared(
        self, configuration: _Configuration, operation: Operation
    ) -> Iterator[tuple[Content, frozenset[int]]]:
        """Contents, made by chains of unknown writes, on which the operation can answer as it
        did.
        """
        waiting = [(configuration.content, configuration.used, True)]
        seen = set()
        while waiting:
            content, used, is_first = waiting.pop()
            for number in self._different(used, is_first):
                after = _after(self._operations[number], content)
                if (
                    isinstance(after, _Impossible)
                    or after == content
                    or (after, used | {number}) in seen
                ):
                    continue
                if _holds_too_much(after, operation):
                    continue
                seen.add((after, used | {number}))
                if isinstance(_after(operation, after), _Impossible):
                    waiting.append((after, used | {number}, False))
                else:
                    yield after, used | {number}

    def _different(self, used: frozenset[int], is_first: bool) -> Iterator[int]:
        """Unknown writes that are still unused, one of each effect: those of the same effect are as
        good.
        """
        effects = set()
        for number in self._now.unknown:
            operation = self._operations[number]
            # What is overwritten in any case need not have happened: a chain begins with that.
            if number in used or not (is_first or not operation.kind.always_overwrites):
                continue
            self._count_step()
            effect = (operation.kind, operation.argument, operation.expected)
            if effect not in effects:
                effects.add(effect)
                yield number

    def _count_step(self) -> None:
        self.steps += 1
        if self.steps > self._most_steps:
            raise _GaveUp

    def _violation(self, number: int) -> Violation:
        possible = dict.fromkeys(
            configuration.content for configuration in self._now.configurations
        )
        invoked = self._operations[number].invoked
        relevant = [*self._now.recent, *self._now.under_way, *self._now.unknown[-SHOWN_OPERATIONS:]]
        shown = {other for other in relevant if other != number}
        before = sorted((self._given[other] for other in shown), key=lambda each: each.invoked)
        before = [
            each
            for each in before
            if each.invoked <= (self._operations[number].returned or invoked)
        ]
        return Violation(self._given[number], tuple(possible), tuple(before[-SHOWN_OPERATIONS:]))


def _smallest(configurations: set[_Configuration]) -> set[_Configuration]:
    """Without configurations that differ from another only in having used more: the other can do
    all they can.
    """
    if len(configurations) == 1:
        return configurations
    groups: defaultdict[tuple[Content, frozenset[int]], list[frozenset[int]]] = defaultdict(list)
    for configuration in sorted(configurations, key=lambda each: len(each.used)):
        kept = groups[configuration.content, configuration.done]
        if not any(used <= configuration.used for used in kept):
            kept.append(configuration.used)
    return {
        _Configuration(content, done, used)
        for (content, done), kept in groups.items()
        for used in kept
    }
