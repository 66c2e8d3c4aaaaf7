"""What a client does: a random mix over a few keys, with values that nobody else writes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final, NamedTuple

from redrepl.testing.model import Content, Step
from redrepl.values.operation import (
    COMPARE_AND_SET,
    DELETE,
    GET,
    INCREMENT,
    OPERATIONS,
    SET,
    Condition,
    OperationKind,
    Way,
)

SHARE = 5
"""One key in so many is a counter, and one a text that grows."""

LARGEST_AMOUNT = 1000
"""Increments by different amounts tell from a sum which of them it holds."""

ONCE_EVERY = 25
"""One step in so many writes a key of its own, once: what a copy missed of the shared keys is soon
overwritten.
"""

TEXT_STEPS = 200
"""Steps of a client after which it begins another text, so that texts stay short."""

_WEIGHTS = {GET: 30, SET: 35, DELETE: 8, COMPARE_AND_SET: 17, INCREMENT: 70}
_OTHER_WEIGHT = 10


class _Family(NamedTuple):
    """Keys of one use: how their names begin, and what is done with them."""

    prefix: str
    kinds: tuple[OperationKind, ...]


def _family(prefix: str, kinds: list[OperationKind]) -> _Family:
    reads = [kind for kind in OPERATIONS if kind.way is Way.READ]
    return _Family(prefix, (*reads, *kinds))


def _built(prefix: str, content: type) -> _Family:
    """Keys whose values are added to and never overwritten: all additions can be found in them.

    Operations that leave the value as it is come here too. They make another version of the same
    content, and a comparison of versions is judged by contents.
    """
    changing = [kind for kind in OPERATIONS if kind.way is not Way.READ and not kind.overwrites]
    return _family(prefix, [kind for kind in changing if kind.argument.type in (content, None)])


_VALUES: Final = _family("key-", [kind for kind in OPERATIONS if kind.overwrites])
_COUNTERS: Final = _built("counter-", int)
_TEXTS: Final = _built("text-", bytes)

_BY_REST: Final = {SHARE - 1: _COUNTERS, SHARE - 2: _TEXTS, 0: _VALUES}
"""By the rest of a key's number divided by SHARE."""


def names_of_keys(count: int) -> tuple[str, ...]:
    """The keys, counters and texts among them."""
    return tuple(f"{_family_of_number(number).prefix}{number}" for number in range(count))


def is_counter(key: str) -> bool:
    """Whether a key is used as a number."""
    return key.startswith(_COUNTERS.prefix)


def is_passing(key: str) -> bool:
    """Whether a key is written for a while alone: a client's own, or a part of a text."""
    return key.startswith(("once-", f"part-of-{_TEXTS.prefix}"))


def _family_of_number(number: int) -> _Family:
    return _BY_REST.get(number % SHARE, _VALUES)


def _family_of(key: str) -> _Family:
    return next(each for each in _BY_REST.values() if key.startswith(each.prefix))


def steps(client: str, keys: tuple[str, ...], choose: random.Random) -> Iterator[Step]:
    """What a client does, without end. Every value it writes is different.

    An operation on a certain version follows a read of the same key.
    """
    number = 0
    while True:
        if number % ONCE_EVERY == 0:
            yield Step(SET, f"once-{client}-{number}", f"{client}-{number}-once")
        key = choose.choice(keys)
        family = _family_of(key)
        weights = [_WEIGHTS.get(kind, _OTHER_WEIGHT) for kind in family.kinds]
        kind = choose.choices(family.kinds, weights)[0]
        number += 1

        if family is _TEXTS:
            key = f"part-of-{key}-{number // TEXT_STEPS}"
        if kind.condition is Condition.VERSION:
            yield Step(GET, key)
        yield Step(kind, key, _argument(kind, f"{client}-{number}", choose))


def _argument(kind: OperationKind, value: str, choose: random.Random) -> Content:
    if kind.argument.type is int:
        return choose.randint(1, LARGEST_AMOUNT)
    return None if kind.argument.type is None else value
