"""What a client does: a random mix over a few keys, with values that nobody else writes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final

from redrepl.testing.model import ADD, COMPARE_AND_SET, DELETE, GET, INCREMENT, SET, Step

COUNTER_SHARE = 5
"""One key in so many is a counter."""

LARGEST_AMOUNT = 1000
"""Increments by different amounts tell from a sum which of them it holds."""

ONCE_EVERY = 25
"""One step in so many writes a key of its own, once: what a copy missed of the shared keys is soon overwritten."""

_REGISTER_KINDS = {GET: 30, SET: 35, DELETE: 8, ADD: 10, COMPARE_AND_SET: 17}
_COUNTER_KINDS = {GET: 30, INCREMENT: 70}

KINDS: Final = (*_REGISTER_KINDS, INCREMENT)
"""What clients do, in the order of the report."""


def names_of_keys(count: int) -> tuple[str, ...]:
    """The keys, counters among them."""
    return tuple(f"counter-{n}" if is_counter_number(n) else f"key-{n}" for n in range(count))


def is_counter_number(number: int) -> bool:
    """Whether the key of this number is a counter."""
    return number % COUNTER_SHARE == COUNTER_SHARE - 1


def is_counter(key: str) -> bool:
    """Whether a key is used as a number."""
    return key.startswith("counter-")


def is_written_once(key: str) -> bool:
    """Whether a key is a client's own."""
    return key.startswith("once-")


def steps(client: str, keys: tuple[str, ...], choose: random.Random) -> Iterator[Step]:
    """What a client does, without end. Every value it writes is different.

    A compare_and_set follows a read of the same key, whose version it expects.
    """
    number = 0
    while True:
        if number % ONCE_EVERY == 0:
            yield Step(SET, f"once-{client}-{number}", f"{client}-{number}-once")
        key = choose.choice(keys)
        kinds = _COUNTER_KINDS if is_counter(key) else _REGISTER_KINDS
        kind = choose.choices(tuple(kinds), tuple(kinds.values()))[0]
        number += 1
        if kind == INCREMENT:
            yield Step(kind, key, choose.randint(1, LARGEST_AMOUNT))
        elif kind in (GET, DELETE):
            yield Step(kind, key, None)
        else:
            if kind == COMPARE_AND_SET:
                yield Step(GET, key, None)
            yield Step(kind, key, f"{client}-{number}")
