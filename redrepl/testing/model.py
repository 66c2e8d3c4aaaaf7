"""What each operation does to the value of one key, and what it returns: the model that stores are compared with.

It is the specification in its shortest form: one function without I/O, clocks or stamps. A comparison names the content
that it expects, where the library names the stamp of it; a time to live is not modelled.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple, TypeAlias

Content: TypeAlias = str | int | None
"""What a key holds: text, a whole number, or nothing (absent, deleted and expired are the same)."""

GET: Final = "get"
SET: Final = "set"
DELETE: Final = "delete"
ADD: Final = "add"
COMPARE_AND_SET: Final = "compare_and_set"
INCREMENT: Final = "increment"
EXPIRE: Final = "expire"
KINDS: Final = (GET, SET, DELETE, ADD, COMPARE_AND_SET, INCREMENT, EXPIRE)

READING: Final = frozenset({GET, EXPIRE})
"""Kinds that leave the content as it is."""

UNCONDITIONAL: Final = frozenset({SET, DELETE})
"""Kinds whose effect does not depend on what the key holds. They return nothing."""


_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,15}").fullmatch
"""As increments write them: up to 2^53, which has 16 digits."""


class NotANumber(ValueError):
    """An increment of a text. The library raises RequestError, and the value stays as it is."""


class Effect(NamedTuple):
    """What an operation makes of a key, and what it returns.

    answer: of a get the content, of an increment the sum, of add, compare_and_set and expire whether it was applied,
    of set and delete None.
    """

    content: Content
    answer: Content


class Step(NamedTuple):
    """One operation on one key. argument: the value to store, or the amount of an increment."""

    kind: str
    key: str
    argument: Content = None
    expected: Content = None


def carry_out(kind: str, content: Content, argument: Content = None, expected: Content = None) -> Effect:
    """The effect of one operation on a key that holds ``content``.

    expected: what a compare_and_set is to replace, None for an absent key. Raises NotANumber, and ValueError for a kind
    that does not exist.
    """
    match kind:
        case "get":
            return Effect(content, content)
        case "set":
            return Effect(argument, None)
        case "delete":
            return Effect(None, None)
        case "add":
            return Effect(argument, True) if content is None else Effect(content, False)
        case "compare_and_set":
            return Effect(argument, True) if content == expected else Effect(content, False)
        case "increment":
            return _incremented(content, argument)
        case "expire":
            return Effect(content, content is not None)
    raise ValueError(f"there is no operation {kind!r}")


def carry_out_batch(contents: Mapping[str, Content], steps: Iterable[Step]) -> tuple[dict[str, Content], list[Content]]:
    """All contents after the steps of a batch, and the answer of each. A batch is its operations one after the other.

    Raises NotANumber, as a batch ends with the error of its first impossible operation.
    """
    after, answers = dict(contents), []
    for step in steps:
        effect = carry_out(step.kind, after.get(step.key), step.argument, step.expected)
        after[step.key] = effect.content
        answers.append(effect.answer)
    return after, answers


def carry_out_transaction(contents: Mapping[str, Content], steps: Iterable[Step]) -> dict[str, Content] | None:
    """All contents after a transaction; None where it stores nothing, since one of its conditions does not hold."""
    after = dict(contents)
    for step in steps:
        try:
            effect = carry_out(step.kind, after.get(step.key), step.argument, step.expected)
        except NotANumber:
            return None
        # An expire of nothing is a condition that does not hold, as an add to a value is.
        if effect.answer is False:
            return None
        after[step.key] = effect.content
    return after


def content_of(payload: bytes | None) -> Content:
    """What a stored value is to the model: a number where it is written as increments write one, else text."""
    if payload is None:
        return None
    text = payload.decode("utf-8", "backslashreplace")
    return int(text) if _NUMBER(text) else text


def payload_of(content: str | int) -> bytes:
    """How a content is stored."""
    return content.encode() if isinstance(content, str) else b"%d" % content


def _incremented(content: Content, amount: Content) -> Effect:
    assert isinstance(amount, int), "an increment has an amount"
    if isinstance(content, str):
        raise NotANumber(f"{content!r} is not a whole number")
    total = (content or 0) + amount
    return Effect(total, total)
