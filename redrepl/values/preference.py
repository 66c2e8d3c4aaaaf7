"""Which copy a read at level ONE goes to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum

from redrepl.values.errors import RequestError
from redrepl.values.reading import shown


class ReadPreference(Enum):
    """PRIMARY: the primary alone.

    REPLICA: a replica, each in turn; the primary if none answers. NEAREST: whichever answers
    fastest. PRIMARY_PREFERRED: the primary; a replica, which may lag, if it does not answer.
    """

    PRIMARY = "primary"
    REPLICA = "replica"
    NEAREST = "nearest"
    PRIMARY_PREFERRED = "primary_preferred"


def parse_preference(prefer: ReadPreference | str) -> ReadPreference:
    """A preference from a member or its name in any case. Raises RequestError."""
    if isinstance(prefer, ReadPreference):
        return prefer
    text = prefer.strip().lower().replace("-", "_") if isinstance(prefer, str) else ""
    if text in ReadPreference._value2member_map_:
        return ReadPreference(text)
    allowed = ", ".join(member.value for member in ReadPreference)
    raise RequestError(f"prefer must be one of {allowed}, not {shown(prefer)}")


def candidates(
    prefer: ReadPreference,
    home: str,
    others: Sequence[str],
    turn: int,
    latency_seconds: Callable[[str], float],
) -> tuple[str, ...]:
    """The nodes to try, in order.

    ``home`` is the primary; ``turn`` counts reads, so that they spread evenly.
    """
    if prefer is ReadPreference.PRIMARY or not others:
        return (home,)
    if prefer is ReadPreference.NEAREST:
        return tuple(sorted((home, *others), key=latency_seconds))
    start = turn % len(others)
    rotated = (*others[start:], *others[:start])
    return (*rotated, home) if prefer is ReadPreference.REPLICA else (home, *rotated)
