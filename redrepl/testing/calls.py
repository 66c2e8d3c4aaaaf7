"""Operations of the table as calls of the methods that carry them out, and what came of them."""

from __future__ import annotations

from typing import Any

from redrepl.testing.model import Content, content_of, payload_of
from redrepl.values.operation import Condition, OperationKind, Result
from redrepl.values.stamp import Stamp


def call(
    target: object,
    kind: OperationKind,
    key: str,
    argument: Content = None,
    expected: Stamp | None = None,
    ttl: float | None = None,
    suffix: str = "",
    **options: Any,
) -> Any:
    """Call the method of this operation on a coordinator, batch, transaction or store of plans.

    expected: of an operation on a certain version. ttl: of one that takes it. suffix: what the
    names of the methods end in. options: passed on.
    """
    given: list[str | bytes | int] = [key]
    if kind.argument.type is not None:
        assert argument is not None
        given.append(payload_of(argument) if kind.argument.type is bytes else int(argument))
    if kind.condition is Condition.VERSION:
        options["expected"] = expected
    if kind.takes_ttl:
        options["ttl"] = ttl
    return getattr(target, kind.name + suffix)(*given, **options)


def answer_of(kind: OperationKind, result: Any) -> Content:
    """What such a call returned, as `redrepl.testing.model.Effect` has it."""
    if kind.result is Result.VALUE:
        return content_of(result)
    if kind.result is Result.NUMBER:
        return int(result)
    return bool(result.applied) if kind.is_conditional else None
