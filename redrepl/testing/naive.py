"""The definition of linearizability itself, by trying every order: for histories of a handful of
operations.

It is as short as it can be, so that its verdict can be trusted, and
`redrepl.testing.linearizability` is compared with it.
"""

from __future__ import annotations

from collections.abc import Sequence

from redrepl.testing import model
from redrepl.testing.history import Operation, Outcome
from redrepl.testing.model import Content


def is_explained_by_some_order(operations: Sequence[Operation]) -> bool:
    """Whether the operations of one key, absent at first, could have taken effect one after the
    other.
    """
    return _extends([operation for operation in operations if operation.tells_anything], None)


def _extends(rest: list[Operation], content: Content) -> bool:
    """Whether an order of the rest explains all known operations in it, where the key holds this
    content.
    """
    known = [operation for operation in rest if operation.outcome is Outcome.OK]
    if not known:
        return True
    first_return = min(operation.returned or 0 for operation in known)
    for operation in rest:
        # What began after another had returned comes after that one.
        if operation.invoked > first_return:
            continue
        try:
            effect = model.carry_out(
                operation.kind, content, operation.argument, operation.expected
            )
        except model.Impossible:
            continue
        if operation.outcome is Outcome.OK and effect.answer != operation.answer:
            continue
        if _extends([other for other in rest if other is not operation], effect.content):
            return True
    return False
