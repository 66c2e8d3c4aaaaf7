"""Did acknowledged writes survive? A check of its own, simpler than linearizability: what a key holds in the end.

It needs values that are written once. A value must not be found where an acknowledged write began after the value's own
write had returned; a counter holds all acknowledged increments, and nothing that was not asked for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from redrepl.testing.history import Operation, Outcome
from redrepl.testing.model import DELETE, INCREMENT


def lost_writes(history: Iterable[Operation], final_reads: Iterable[Operation]) -> list[str]:
    """In words, for each read at a quiet moment that contradicts the writes before it, what was lost or made up."""
    writes: defaultdict[str, list[Operation]] = defaultdict(list)
    for operation in history:
        if operation.changes and operation.outcome is not Outcome.REJECTED:
            writes[operation.key].append(operation)
    found = []
    for read in final_reads:
        before = [write for write in writes[read.key] if write.invoked < read.invoked]
        judge = _judge_counter if any(write.kind == INCREMENT for write in before) else _judge_value
        problem = judge(before, read)
        if problem is not None:
            found.append(f"{read.key}: {problem}")
    return found


def _judge_counter(writes: Sequence[Operation], read: Operation) -> str | None:
    amounts = [(write, write.argument) for write in writes if isinstance(write.argument, int)]
    certain = sum(amount for write, amount in amounts if write.outcome is Outcome.OK)
    possible = sum(amount for _, amount in amounts)
    held = read.answer or 0
    assert isinstance(held, int), "a counter holds numbers"
    if certain <= held <= possible:
        return None
    return f"holds {held}, acknowledged increments make {certain}, with unknown ones {possible}"


def _judge_value(writes: Sequence[Operation], read: Operation) -> str | None:
    if read.answer is None:
        origins = [write for write in writes if write.kind == DELETE]
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
    return next((write for write in writes if write.is_committed_write and write.invoked > ended), None)
