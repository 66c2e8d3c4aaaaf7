"""Answers of the scripts that copy records and keep change logs."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from redrepl.values.answers.refusals import Foreign, NotAdmitted, not_admitted, parse_not_admitted
from redrepl.values.effects import Answer

Entry = tuple[bytes, list[bytes]]
"""The id of an entry of a log, and its fields: name and stamp for each change."""


class Noted(NamedTuple):
    """What was to be noted is, or something later."""


def parse_noted(content: Answer) -> Noted | NotAdmitted:
    """The answer of `checkpoint`, `confirm`, `note_sweep` and `note_walk`."""
    return parse_not_admitted(content) or Noted()


class Counted(NamedTuple):
    """How many records or entries a script stored or removed."""

    number: int


def parse_count(content: Answer) -> Counted | NotAdmitted:
    """The answer of `mend`, `purge` and `trim`."""
    match content:
        case [b"ok", int(number)]:
            return Counted(number)
    return not_admitted(content)


class Absorbed(NamedTuple):
    """Records were taken. ``entry_id``: of the entry that names them, b'' where none was new."""

    records: int
    entry_id: bytes


class NotAbsorbed(Enum):
    """Why nothing of a slice was stored.

    PURGED: a tombstone later than one of the records may have been purged since these were read.
    SET_BACK: the newest entry that was known of this log is gone; the server forgot some of it.
    """

    PURGED = "purged"
    SET_BACK = "back"


def parse_absorb(content: Answer) -> Absorbed | NotAbsorbed | Foreign | NotAdmitted:
    """The answer of `absorb`."""
    match content:
        case [b"ok", int(records), bytes(entry_id)]:
            return Absorbed(records, entry_id)
        case [b"foreign", bytes(name)]:
            return Foreign(name)
        case [b"purged"]:
            return NotAbsorbed.PURGED
        case [b"back"]:
            return NotAbsorbed.SET_BACK
    return not_admitted(content)


class Replacement(Enum):
    """What became of one record.

    DONE: exactly that record was replaced.
    NOT_FOUND: something else is stored there, and was left as it is.
    """

    DONE = "done"
    NOT_FOUND = "not found"


def parse_replace(content: Answer) -> Replacement | NotAdmitted:
    """The answer of `replace`."""
    if content == 1:
        return Replacement.DONE
    return parse_not_admitted(content) or Replacement.NOT_FOUND


class LogPage(NamedTuple):
    """Entries of a log, the last id that it gave, and how many entries it ever had."""

    entries: list[Entry]
    last_id: str
    added: int


class LogCut(NamedTuple):
    """The log was cut beyond the place that was asked for.

    floor: the id from which on it is complete.
    """

    floor: str


class LogReplaced(NamedTuple):
    """The log is another one than the place was in: it was begun anew."""


def parse_log_page(content: Answer) -> LogPage | LogCut | LogReplaced:
    """The answer of `log_page`."""
    if content[0] == b"replaced":
        return LogReplaced()
    if content[0] == b"cut":
        return LogCut(content[1].decode())
    _, entries, last_id, added = content
    return LogPage(entries, last_id.decode(), added)


class Held(NamedTuple):
    """The log is kept.

    floor: the id from which on it is complete.
    added: how many entries it ever had.
    """

    floor: str
    added: int


def parse_hold(content: Answer) -> Held | NotAdmitted:
    """The answer of `hold`."""
    if (refused := parse_not_admitted(content)) is not None:
        return refused
    _, floor, added = content
    return Held(floor.decode(), added)
