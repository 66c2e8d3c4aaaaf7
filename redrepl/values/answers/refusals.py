"""Answers by which a script stores nothing and returns nothing."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from redrepl.values.effects import Answer
from redrepl.values.reading import words

TOO_OLD = "refused: the write is older than the node accepts"
TOO_FAR_AHEAD = "refused: the stamp is too far ahead of the node's clock"
"""How the reasons begin that are about clocks."""

_ACTIVE = "active"


class NotAdmitted(NamedTuple):
    """The node works in another epoch than the caller, does not serve, or is no member.

    epoch: in decimal, '' where it is no member.
    state: the member's state, or in words why it does not answer this.
    """

    epoch: str
    state: str

    @property
    def reason(self) -> str:
        """The refusal in words."""
        return f"refused: epoch {self.epoch or 'none'}, {self.state or 'no member'}"

    def is_closed(self, epoch: bytes) -> bool:
        """Whether this node of the caller's own ``epoch`` does not serve, or is no member."""
        return self.epoch in ("", epoch.decode())

    def is_behind(self, epoch: bytes) -> bool:
        """Whether the node has not come to the caller's ``epoch`` yet; it will in a moment."""
        return self.state == _ACTIVE and int(self.epoch) < int(epoch)


class Foreign(NamedTuple):
    """Something that redrepl did not write is stored under this name."""

    name: bytes

    @property
    def reason(self) -> str:
        """The refusal in words."""
        return f"holds a value that redrepl did not write under {self.name!r:.200}"


class TooOld(NamedTuple):
    """The record is older than the node takes.

    now: the node's clock in microseconds, in decimal.
    """

    now: str

    @property
    def reason(self) -> str:
        """The refusal in words."""
        return f"{TOO_OLD} (its clock: {self.now} microseconds)"


class TooFarAhead(NamedTuple):
    """The record's stamp is ahead of the node's clock by more than is tolerated.

    now: the node's clock in microseconds, in decimal.
    """

    now: str

    @property
    def reason(self) -> str:
        """The refusal in words."""
        return f"{TOO_FAR_AHEAD} ({self.now} microseconds)"


class Unexpected(NamedTuple):
    """An answer that no script of ours gives."""

    content: object

    @property
    def reason(self) -> str:
        """The refusal in words."""
        return f"unexpected answer {self.content!r:.200}"


Refusal: TypeAlias = NotAdmitted | Foreign | TooOld | TooFarAhead | Unexpected
"""Nothing was stored."""


def parse_not_admitted(content: Answer) -> NotAdmitted | None:
    """The refusal with which every script begins, None where the caller was admitted."""
    if isinstance(content, list) and content[:1] == [b"refused"]:
        return not_admitted(content)
    return None


def not_admitted(content: Answer) -> NotAdmitted:
    """The same refusal, where the answer can be nothing else."""
    return NotAdmitted(words(content[1]), words(content[2]))


def parse_refusal(content: Answer) -> Refusal:
    """Why a script stored nothing."""
    if (refused := parse_not_admitted(content)) is not None:
        return refused
    match content:
        case [b"foreign", bytes(name), *_]:
            return Foreign(name)
        case [b"expired", bytes(now), *_]:
            return TooOld(words(now))
        case [b"skewed", bytes(now), *_]:
            return TooFarAhead(words(now))
    return Unexpected(content)
