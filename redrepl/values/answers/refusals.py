"""Answers by which a script stores nothing and returns nothing."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from redrepl.values.effects import Answer
from redrepl.values.reading import words


class NotAdmitted(NamedTuple):
    """The node works in another epoch than the caller, does not serve, or is no member.

    epoch: in decimal, '' where it is no member.
    state: the member's state, or in words why it does not answer this.
    """

    epoch: str
    state: str


class Foreign(NamedTuple):
    """Something that redrepl did not write is stored under this name."""

    name: bytes


class TooOld(NamedTuple):
    """The record is older than the node takes. ``now``: the node's clock in microseconds, in decimal."""

    now: str


class TooFarAhead(NamedTuple):
    """The record's stamp is ahead of the node's clock by more than is tolerated. ``now``: as in `TooOld`."""

    now: str


Refusal: TypeAlias = NotAdmitted | Foreign | TooOld | TooFarAhead


def parse_not_admitted(content: Answer) -> NotAdmitted | None:
    """The refusal with which every script begins, None where the caller was admitted."""
    return not_admitted(content) if isinstance(content, list) and content[:1] == [b"refused"] else None


def not_admitted(content: Answer) -> NotAdmitted:
    """The same refusal, where the answer can be nothing else."""
    return NotAdmitted(words(content[1]), words(content[2]))


def parse_refusal(content: Answer) -> Refusal | None:
    """Why a script stored nothing, None for any other answer."""
    if (refused := parse_not_admitted(content)) is not None:
        return refused
    match content:
        case [b"foreign", bytes(name), *_]:
            return Foreign(name)
        case [b"expired", bytes(now), *_]:
            return TooOld(words(now))
        case [b"skewed", bytes(now), *_]:
            return TooFarAhead(words(now))
    return None
