"""Did acknowledged writes survive?

A check of its own, simpler than linearizability: what a key holds in the end.

It needs values that are written once. A value must not be found where an acknowledged write began
after the value's own write had returned; a key that is only added to, as a counter, holds all
acknowledged additions, and nothing that was not asked for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from redrepl.testing.history import Operation, Outcome
from redrepl.testing.model import Content, payload_of


def lost_writes(history: Iterable[Operation], final_reads: Iterable[Operation]) -> list[str]:
    """In words, for each read at a quiet moment that contradicts the writes before it, what was
    lost or made up.
    """
    writes: defaultdict[str, list[Operation]] = defaultdict(list)
    for operation in history:
        if operation.changes and operation.outcome is not Outcome.REJECTED:
            writes[operation.key].append(operation)
    found = []
    for read in final_reads:
        before = [write for write in writes[read.key] if write.invoked < read.invoked]
        judge = _judge_sum if any(write.kind.builds_on_value for write in before) else _judge_value
        problem = judge(before, read)
        if problem is not None:
            found.append(f"{read.key}: {problem}")
    return found


def _judge_sum(writes: Sequence[Operation], read: Operation) -> str | None:
    certain = sum(_size(write.argument) for write in writes if write.outcome is Outcome.OK)
    possible = sum(_size(write.argument) for write in writes)
    held = _size(read.answer)
    if certain <= held <= possible:
        return None
    return f"holds {held}, acknowledged additions make {certain}, with unknown ones {possible}"


def _size(content: Content) -> int:
    """What additions sum up to: numbers themselves, the lengths of texts."""
    if isinstance(content, int):
        return content
    return 0 if content is None else len(payload_of(content))


def _judge_value(writes: Sequence[Operation], read: Operation) -> str | None:
    if read.answer is None:
        origins = [write for write in writes if write.kind.removes_value]
    else:
        origins = [write for write in writes if write.argument == read.answer]
    later = _overwritten_by(writes, 0) if read.answer is None else None
    for origin in origins:
        ended = origin.returned if origin.outcome is Outcome.OK else None
        later = None if ended is None else _overwritten_by(writes, ended)
        if later is None:
            return None
    if later is not None:
        return f"holds {read.answer!r}, but acknowledged after that was: {later}"
    return None if read.answer is None else f"holds {read.answer!r}, which nobody wrote"


def _overwritten_by(writes: Sequence[Operation], ended: int) -> Operation | None:
    """An acknowledged write that began after this time."""
    return next(
        (write for write in writes if write.is_committed_write and write.invoked > ended), None
    )
