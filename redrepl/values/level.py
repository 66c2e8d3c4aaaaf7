"""Consistency levels: how many copies besides the deciding node must confirm (docs/protocol.md,
section 2).
"""

from __future__ import annotations

import re
from enum import Enum
from typing import TypeAlias

from redrepl.values.errors import RequestError
from redrepl.values.reading import shown

_COUNT = re.compile(r"-?[0-9]{1,9}").fullmatch


class ConsistencyLevel(Enum):
    """How many other copies confirm before a write counts as committed."""

    ASYNC = "async"
    ONE = "one"
    QUORUM = "quorum"
    ALL = "all"

    def required(self, replicas: int) -> int:
        """Other copies that must confirm, of ``replicas`` other copies.

        QUORUM makes a majority of all copies together with the node that decides.
        """
        if replicas < 0:
            raise RequestError(f"replicas must be 0 or more, not {replicas}")
        if self is ConsistencyLevel.QUORUM:
            return (replicas + 1) // 2
        if self is ConsistencyLevel.ONE:
            return min(1, replicas)
        return replicas if self is ConsistencyLevel.ALL else 0


Level: TypeAlias = ConsistencyLevel | str | int
"""Wherever a level is taken: a member, its name in any case, or a count of other copies."""


def parse_level(level: Level) -> ConsistencyLevel | int:
    """A level from a member, a name or a count; the range of a count is checked by
    `required_copies`.
    """
    if isinstance(level, ConsistencyLevel):
        return level
    if isinstance(level, int) and not isinstance(level, bool):
        return level
    if isinstance(level, str):
        text = level.strip().lower()
        if _COUNT(text):
            return int(text)
        if text in ConsistencyLevel._value2member_map_:
            return ConsistencyLevel(text)
    raise RequestError(
        f"level must be ASYNC, ONE, QUORUM, ALL or a count of other copies, not {shown(level)}"
    )


def required_copies(level: Level, replicas: int) -> int:
    """Other copies that must confirm at this level among ``replicas`` other copies.

    Raises RequestError for an unknown name and for a count outside 0..replicas.
    """
    parsed = parse_level(level)
    if isinstance(parsed, ConsistencyLevel):
        return parsed.required(replicas)
    if not 0 <= parsed <= replicas:
        raise RequestError(
            f"level {shown(parsed)} is out of range: this cluster has {replicas} other copies, "
            f"allowed 0..{replicas}"
        )
    return parsed
