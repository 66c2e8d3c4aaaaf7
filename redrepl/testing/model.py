"""What each operation does to the content of one key, and what it returns.

This is the model that stores are compared with: one function without I/O, clocks or stamps, over
the table of operations. A comparison names the content that it expects, where the library names the
stamp of it; a time to live is not modelled.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeAlias

from redrepl.values.operation import OperationKind, Result

Content: TypeAlias = str | int | None
"""What a key holds: text, a whole number, or nothing (absent, deleted and expired are the same)."""

_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,15}").fullmatch
"""As increments write them: up to 2^53, which has 16 digits."""


class Impossible(ValueError):
    """An operation that cannot be carried out on what the key holds, such as an increment of a
    text.

    The library raises RequestError, and the value stays as it is.
    """


class Effect(NamedTuple):
    """What an operation makes of a key, and what it returns.

    answer: the value before it, or a number, where the operation returns these; whether it was
    applied, where it has a condition; else None.
    """

    content: Content
    answer: Content


class Step(NamedTuple):
    """One operation on one key. argument: the value to store or to add, a text or a number."""

    kind: OperationKind
    key: str
    argument: Content = None
    expected: Content = None


def carry_out(
    kind: OperationKind, content: Content, argument: Content = None, expected: Content = None
) -> Effect:
    """The effect of one operation on a key that holds ``content``.

    expected: what an operation on a certain version is to find, None for an absent key. Raises
    Impossible.
    """
    if kind.is_conditional and not kind.condition.holds(content is not None, content == expected):
        return Effect(content, False)
    after = _after(kind, content, argument)
    if kind.result is Result.VALUE:
        return Effect(after, content)
    if kind.number is not None:
        assert after is not None
        return Effect(after, kind.number(payload_of(after)))
    return Effect(after, True if kind.is_conditional else None)


def _after(kind: OperationKind, content: Content, argument: Content) -> Content:
    if kind.keeps_value:
        return content
    if kind.overwrites:
        return None if kind.removes_value else argument

    assert argument is not None, "there is something to add"
    held = None if content is None else payload_of(content)
    try:
        return content_of(kind.after(held, payload_of(argument)))
    except ValueError as error:
        raise Impossible(f"{kind}: {error}") from error


def carry_out_batch(
    contents: Mapping[str, Content], steps: Iterable[Step]
) -> tuple[dict[str, Content], list[Content]]:
    """All contents after the steps of a batch, and the answer of each.

    A batch is its operations one after the other.

    Raises Impossible, as a batch ends with the error of its first impossible operation.
    """
    after, answers = dict(contents), []
    for step in steps:
        effect = carry_out(step.kind, after.get(step.key), step.argument, step.expected)
        after[step.key] = effect.content
        answers.append(effect.answer)
    return after, answers


def carry_out_transaction(
    contents: Mapping[str, Content], steps: Iterable[Step]
) -> dict[str, Content] | None:
    """All contents after a transaction; None where it stores nothing, since one of its conditions
    does not hold.
    """
    after = dict(contents)
    for step in steps:
        try:
            effect = carry_out(step.kind, after.get(step.key), step.argument, step.expected)
        except Impossible:
            return None
        # An expire of nothing is a condition that does not hold, as an add to a value is.
        if effect.answer is False:
            return None
        after[step.key] = effect.content
    return after


def content_of(payload: bytes | None) -> Content:
    """What a stored value is to the model: a number where it is written as increments write one,
    else text.
    """
    if payload is None:
        return None
    text = payload.decode("utf-8", "backslashreplace")
    return int(text) if _NUMBER(text) else text


def payload_of(content: str | int) -> bytes:
    """How a content is stored."""
    return content.encode() if isinstance(content, str) else b"%d" % content
