"""Answers of the scripts that read records: `read_many`, `headers` and `vouch`."""

from __future__ import annotations

from typing import NamedTuple

from redrepl.values.answers.refusals import NotAdmitted, parse_not_admitted
from redrepl.values.effects import Answer


class StoredRecords(NamedTuple):
    """What is stored under the first of the names that were asked for, None for nothing."""

    records: list[bytes | None]


def parse_read_many(content: Answer) -> StoredRecords | NotAdmitted:
    """The answer of `read_many`."""
    return parse_not_admitted(content) or StoredRecords(content[1:])


class Headers(NamedTuple):
    """The header under each name: b'' for nothing, b'foreign' where there is no record of ours."""

    headers: list[bytes]


def parse_headers(content: Answer) -> Headers | NotAdmitted:
    """The answer of `headers`."""
    return parse_not_admitted(content) or Headers(content[1:])


class Vouched(NamedTuple):
    """What a copy's log tells of the first of some keys.

    positions: incarnation of the log, the id up to which the primary has checked it, and the mark
    of the primary's log, each as `mend` takes it.
    records: for each key the record and b'1' or b'0', flat, as `mend` takes them too.
    """

    positions: tuple[bytes, ...]
    records: list[bytes]

    @property
    def keys(self) -> int:
        """For how many keys that is."""
        return len(self.records) // 2


def parse_vouch(content: Answer) -> Vouched | NotAdmitted:
    """The answer of `vouch`."""
    if (refused := parse_not_admitted(content)) is not None:
        return refused
    _, incarnation, checked, mark, *records = content
    return Vouched((incarnation, checked, mark), records)
