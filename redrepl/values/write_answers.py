"""What the scripts that write return, as types: one parser for each script.

Nearly every answer of `write` and `write_many` is 1: everything is stored as it was sent. Plans
look at that first, and no object is made for it. The parsers take all other answers; their shape
was checked where they came in (`values/answers.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from redrepl.values.effects import Answer
from redrepl.values.reading import words
from redrepl.values.stamp import Stamp

TOO_OLD = "refused: the write is older than the node accepts"
TOO_FAR_AHEAD = "refused: the stamp is too far ahead of the node's clock"
"""How the reasons begin that are about clocks."""


@dataclass(frozen=True, slots=True)
class Restamped:
    """The primary stored the record under this later stamp."""

    stamp: Stamp


@dataclass(frozen=True, slots=True)
class HasLater:
    """A record with this later stamp is stored; the one that was sent is not."""

    stamp: Stamp


@dataclass(frozen=True, slots=True)
class NotAdmitted:
    """The node does not admit the caller.

    ``epoch``, ``state``: its own, empty where it is no member.
    """

    epoch: bytes
    state: bytes

    @property
    def reason(self) -> str:
        """The refusal in words."""
        return f"refused: epoch {words(self.epoch) or 'none'}, {words(self.state) or 'no member'}"

    def is_closed(self, epoch: bytes) -> bool:
        """Whether this node of the caller's own ``epoch`` does not serve, or is no member."""
        return self.epoch in (b"", epoch)

    def is_behind(self, epoch: bytes) -> bool:
        """Whether the node has not come to the caller's ``epoch`` yet; it will in a moment."""
        return self.state == b"active" and int(self.epoch) < int(epoch)


@dataclass(frozen=True, slots=True)
class Expired:
    """The record is older than the node accepts.

    ``now``: the node's clock, microseconds as text.
    """

    now: bytes

    @property
    def reason(self) -> str:
        """The refusal in words."""
        return f"{TOO_OLD} (its clock: {words(self.now)} microseconds)"


@dataclass(frozen=True, slots=True)
class Skewed:
    """The stamp is too far ahead of the node's clock (``now``, microseconds as text)."""

    now: bytes

    @property
    def reason(self) -> str:
        """The refusal in words."""
        return f"{TOO_FAR_AHEAD} ({words(self.now)} microseconds)"


@dataclass(frozen=True, slots=True)
class Foreign:
    """A value that redrepl did not write is stored under this name on the node."""

    name: bytes

    @property
    def reason(self) -> str:
        """The refusal in words."""
        return f"holds a value that redrepl did not write under {self.name!r:.200}"


@dataclass(frozen=True, slots=True)
class Unexpected:
    """An answer that no script of ours gives."""

    content: object

    @property
    def reason(self) -> str:
        """The refusal in words."""
        return f"unexpected answer {self.content!r:.200}"


Refusal: TypeAlias = NotAdmitted | Expired | Skewed | Foreign | Unexpected
"""Nothing was stored."""

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


def parse_refusal(content: Answer) -> Refusal:
    """The verdict of a script that stored nothing."""
    match content:
        case [b"refused", bytes(epoch), bytes(state)]:
            return NotAdmitted(epoch, state)
        case [b"expired", bytes(now), *_]:
            return Expired(now)
        case [b"skewed", bytes(now), *_]:
            return Skewed(now)
        case [b"foreign", bytes(name), *_]:
            return Foreign(name)
    return Unexpected(content)


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
