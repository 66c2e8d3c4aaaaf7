"""What the scripts that write return, as types: one parser for each script.

Nearly every answer of `write` and `write_many` is 1: everything is stored as it was sent. Plans
look at that first, and no object is made for it. The parsers take all other answers; their shape
was checked where they came in (`values/answers/shapes.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from redrepl.values.answers.refusals import Refusal, parse_refusal
from redrepl.values.effects import Answer
from redrepl.values.stamp import Stamp


@dataclass(frozen=True, slots=True)
class Restamped:
    """The primary stored the record under this later stamp."""

    stamp: Stamp


@dataclass(frozen=True, slots=True)
class HasLater:
    """A record with this later stamp is stored; the one that was sent is not."""

    stamp: Stamp


WriteVerdict: TypeAlias = Restamped | HasLater | Refusal
"""What became of one record that was not stored as it was sent."""


@dataclass(frozen=True, slots=True)
class Partly:
    """All records of a batch are stored as they were sent but these, by their place in it."""

    exceptions: Mapping[int, WriteVerdict]


@dataclass(frozen=True, slots=True)
class Applied:
    """An operation was carried out.

    ``made``: the record that it made; where the caller knows all else of that, its stamp alone.
    """

    made: bytes


@dataclass(frozen=True, slots=True)
class Unmet:
    """The condition does not hold. ``stamp``: of the record that is stored, None for nothing."""

    stamp: Stamp | None


@dataclass(frozen=True, slots=True)
class Unfit:
    """The operation cannot be carried out on what is stored, for this reason."""

    why: bytes


OperationVerdict: TypeAlias = Applied | Unmet | Unfit
"""What became of one operation with a condition."""


@dataclass(frozen=True, slots=True)
class Done:
    """What became of each operation of a call, in order."""

    verdicts: tuple[OperationVerdict, ...]


@dataclass(frozen=True, slots=True)
class Conflict:
    """Expectations and conditions that do not hold: nothing was stored.

    ``found``: by the place of their keys in the call, the stamps that are stored, None for nothing.
    """

    found: Mapping[int, Stamp | None]


@dataclass(frozen=True, slots=True)
class UnfitOperation:
    """The operation at this place cannot be carried out, for this reason: nothing was stored."""

    place: int
    why: bytes


def parse_write(content: Answer) -> WriteVerdict:
    """The answer of `write`, where that is not 1."""
    match content:
        case [b"ok", bytes(stamp)]:
            return Restamped(Stamp.parse(stamp))
        case [b"has", bytes(stamp)]:
            return HasLater(Stamp.parse(stamp))
    return parse_refusal(content)


def parse_write_many(content: Answer) -> Partly | Refusal:
    """The answer of `write_many`, where that is not 1."""
    if content[0] != b"some":
        return parse_refusal(content)
    triples = zip(content[1::3], content[2::3], content[3::3], strict=True)
    return Partly({place: parse_write([verdict, detail]) for place, verdict, detail in triples})


def parse_update(content: Answer) -> OperationVerdict | Refusal:
    """The answer of `update`."""
    match content:
        case [b"ok" | b"unmet" | b"unfit" as verdict, bytes(detail)]:
            return _operation(verdict, detail)
    return parse_refusal(content)


def parse_transact(content: Answer) -> Done | Conflict | UnfitOperation | Refusal:
    """The answer of `transact`."""
    match content:
        case [b"done", *parts]:
            pairs = zip(parts[::2], parts[1::2], strict=True)
            return Done(tuple([_operation(verdict, detail) for verdict, detail in pairs]))
        case [b"conflict", *parts]:
            pairs = zip(parts[::2], parts[1::2], strict=True)
            return Conflict({place: _stamp_or_none(stamp) for place, stamp in pairs})
        case [b"unfit", int(place), bytes(why)]:
            return UnfitOperation(place, why)
    return parse_refusal(content)


def _operation(verdict: bytes, detail: bytes) -> OperationVerdict:
    if verdict == b"ok":
        return Applied(detail)
    return Unmet(_stamp_or_none(detail)) if verdict == b"unmet" else Unfit(detail)


def _stamp_or_none(text: bytes) -> Stamp | None:
    return Stamp.parse(text) if text else None
