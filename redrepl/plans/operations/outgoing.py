"""The records of one request: how they are sent to a copy, and what its answer says of each.

This is all in which a single write and a batch differ for `Replication`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from redrepl.plans.view import ClusterView
from redrepl.values.answers.refusals import Refusal, TooFarAhead, TooOld
from redrepl.values.answers.writes import (
    HasLater,
    Partly,
    Restamped,
    WriteVerdict,
    parse_write,
    parse_write_many,
)
from redrepl.values.effects import Answer, ScriptCall
from redrepl.values.record import Record
from redrepl.values.stamp import STAMP_BYTES, Stamp


class Acknowledgement(NamedTuple):
    """A copy holds the records, as they were sent but for these exceptions, by their place.

    stored_nothing: it is certain that the copy stored none of them.
    """

    exceptions: Mapping[int, WriteVerdict]
    stored_nothing: bool


class Outgoing(Protocol):
    """Records that leave in one request."""

    @property
    def stamps(self) -> Sequence[Stamp]:
        """The stamp of each record, as it is sent."""
        ...

    def call(self, is_decided: bool) -> ScriptCall:
        """The request. is_decided: the primary holds them, so a copy's clock does not matter."""
        ...

    def read(self, content: Answer) -> Acknowledgement | Refusal:
        """What a copy returned that is not 1."""
        ...


class OneRecord:
    """A single record, sent with `write`.

    is_smaller: it takes less memory than what it replaces.
    """

    def __init__(
        self,
        view: ClusterView,
        key: bytes,
        record: Record,
        is_smaller: bool = False,
    ) -> None:
        self.stamps: Sequence[Stamp] = (record.stamp,)
        self._view = view
        self._key = key
        self._record = record
        self._is_smaller = is_smaller

    def call(self, is_decided: bool) -> ScriptCall:
        """See `Outgoing`."""
        return self._view.write_call(self._key, self._record.encode(), self._is_smaller, is_decided)

    def restamped(self, stamp: Stamp) -> OneRecord:
        """The same record under the stamp that the primary gave it."""
        record = self._record._replace(stamp=stamp)
        return OneRecord(self._view, self._key, record, self._is_smaller)

    def read(self, content: Answer) -> Acknowledgement | Refusal:
        """See `Outgoing`."""
        verdict = parse_write(content)
        if isinstance(verdict, (Restamped, HasLater, TooOld, TooFarAhead)):
            return Acknowledgement({0: verdict}, stored_nothing=True)
        return verdict


class ManyRecords:
    """Encoded records of different keys, sent with `write_many`.

    are_smaller: as for `OneRecord`.
    """

    def __init__(
        self,
        view: ClusterView,
        keys: Sequence[bytes],
        records: Sequence[bytes],
        stamps: Sequence[Stamp],
        are_smaller: bool = False,
    ) -> None:
        self.stamps = stamps
        self._view = view
        self._keys = keys
        self._records = records
        self._are_smaller = are_smaller

    def call(self, is_decided: bool) -> ScriptCall:
        """See `Outgoing`."""
        return self._view.write_many_call(self._keys, self._records, self._are_smaller, is_decided)

    def restamped(self, stamps: Mapping[int, Stamp]) -> ManyRecords:
        """Those records to which the primary gave later stamps, by their place, and under these."""
        keys = [self._keys[place] for place in stamps]
        rests = [self._records[place][STAMP_BYTES:] for place in stamps]
        pairs = zip(stamps.values(), rests, strict=True)
        records = [stamp.encode() + rest for stamp, rest in pairs]
        return ManyRecords(self._view, keys, records, list(stamps.values()), self._are_smaller)

    def read(self, content: Answer) -> Acknowledgement | Refusal:
        """See `Outgoing`."""
        answer = parse_write_many(content)
        if isinstance(answer, Partly):
            return Acknowledgement(answer.exceptions, stored_nothing=False)
        return answer
