"""Moving records from one node to another: read what stands there now, and let the later stamp win.

Stamps are compared as they are written, 22 digits of the same case: bytes then compare as the
stamps do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from redrepl.plans.copies.headers import holds_record, is_tombstone, is_value
from redrepl.plans.copies.key_walk import KeyWalk, read_stamps
from redrepl.plans.lanes import Lanes
from redrepl.plans.scan import FOREIGN
from redrepl.plans.steps import Steps
from redrepl.plans.view import (
    FOR_UPKEEP,
    ON_ACTIVE,
    ClusterView,
    admitted,
    foreign_value,
    keys_to_ask,
    not_admitted_error,
)
from redrepl.values import limits
from redrepl.values.answers.reads import parse_headers, parse_read_many
from redrepl.values.answers.refusals import Foreign, NotAdmitted
from redrepl.values.answers.upkeep import Absorbed, NotAbsorbed, parse_absorb
from redrepl.values.effects import Answer, PlainCommand, Plan, ScriptCall
from redrepl.values.errors import Unavailable
from redrepl.values.reading import whole_number
from redrepl.values.reasons import is_out_of_memory
from redrepl.values.record import is_record, tombstone
from redrepl.values.report import Mark, NodeReport, Position
from redrepl.values.stamp import STAMP_BYTES, Stamp

MOSTLY_LACKING = 0.9
"""Where the target lacked this share of what was looked at last, it is not asked first: it compares
by itself.
"""

REMEMBERED_NAMES = 20_000
"""Names of records sent lately: a key that is written all the time is sent once, for the newest of
its stamps.
"""

_AT_ALL = b"~"
"""In place of a stamp that is wanted: whatever stands there. It is later than any."""

TIME = PlainCommand((b"TIME",))

_FIRST_SLICE = 32
"""Keys to ask for first, before the size of the records is known."""


class _Slice(NamedTuple):
    """Records under way to the target, and the mark that moves with them.

    seen: up to which stamp the target had purged tombstones before they were read.
    """

    names: Sequence[bytes]
    records: Sequence[bytes]
    mark: Mark | None
    ticket: int
    seen: int


class Copier:
    """Copies records from a source to a target in slices of bounded bytes, and counts them.

    While the target stores a slice the next one is read. One at a time is under way to the target:
    a mark never leaves before everything that it stands for has been stored.

    records, bytes: what was new on the target, and what was sent. foreign: names left as they are.
    stored: the last mark that the target has answered for.
    frees_memory: what is done about a target at full memory: the deletes among the records are
    brought to it all the same, and ``full`` is the error that remains. Without it the error ends
    the copying.
    merges: the target lacks nothing that is older than the tombstones it has purged; where the
    source has something so old, it was deleted since, and is passed over.
    newest_entry: the newest entry of the target's own log that is known, b"" for none. Where it is
    gone the target forgot what was brought to it, and the copying ends with an error.
    skips_gone: the source may have dropped records by a wrong clock. That its log names one that is
    gone says nothing then; as a tombstone it would end the copies of others.

    The source is given as it was found. Where its clock has stepped ahead since, nothing is
    concluded from what is gone there: the copying ends with an error.
    """

    def __init__(
        self,
        view: ClusterView,
        source: NodeReport,
        target: str,
        steps: Steps,
        where: bytes = ON_ACTIVE,
        merges: bool = False,
        skips_gone: bool = False,
    ) -> None:
        self.where = where
        self.skips_gone = skips_gone
        self.newest_entry = b""
        self.merges = merges
        self.view = view
        self.source = source.node
        self.target = target
        self.lanes = Lanes(steps)
        self.records = 0
        self.bytes = 0
        self.foreign: list[bytes] = []
        self.frees_memory = False
        self.full: Unavailable | None = None
        self.stored: Position | None = None
        self._found = source
        self._slice_keys = _FIRST_SLICE
        self._asks_first = True
        self._under_way: _Slice | None = None
        self._seen_purged_before: int | None = None
        self._sent: dict[bytes, bytes] = {}
        self._sent_before: dict[bytes, bytes] = {}

    def copy(self, wanted: Mapping[bytes, Stamp], mark: Mark | None = None) -> Plan[None]:
        """Bring the target to at least these stamps.

        The mark moves with the last record, never before it.
        """
        # A walk over many keys would meet every purge meanwhile, and be tried again from its
        # beginning.
        self._seen_purged_before = None
        yield from self.send({name: stamp.encode() for name, stamp in wanted.items()}, mark)
        yield from self.settle()

    def send(self, wanted: Mapping[bytes, bytes], mark: Mark | None = None) -> Plan[None]:
        """`copy` for encoded stamps; the last slice may still be under way afterwards: `settle`
        waits for it.
        """
        if wanted and self._seen_purged_before is None and not self.merges:
            self._seen_purged_before = yield from self._purged_before()
        names = yield from self._to_read(wanted)

        start = 0
        while start < len(names):
            part, stored = yield from self._read(names[start : start + self._slice_keys])
            if None in stored and not self.skips_gone:
                yield from self._check_clock()
            start += len(part)
            found, records = self._take_up(part, stored, wanted)
            yield from self._store(found, records, mark if start >= len(names) else None)
        if not names and mark is not None:
            yield from self._store((), (), mark)

    def send_page(self, names: Sequence[bytes]) -> Plan[None]:
        """Bring the target to what stands under these names now; the last slice may still be under
        way afterwards.

        Where the target lacks nearly all, records are read at once. One that is gone since the name
        was listed is passed over, like those that were gone before.
        """
        # A walk over many keys would meet every purge meanwhile, and be tried again from its
        # beginning.
        self._seen_purged_before = None
        if self._asks_first and names:
            headers = yield from self._headers(self.source, names, self.where)
            pairs = zip(names, headers, strict=True)
            found = {name: header[:STAMP_BYTES] for name, header in pairs if holds_record(header)}
            yield from self.send(found)
        else:
            yield from self.send(dict.fromkeys(names, _AT_ALL))

    def settle(self) -> Plan[None]:
        """Wait until the target has answered for everything that was sent."""
        if self._under_way is None:
            return
        sent, self._under_way = self._under_way, None
        names, mark = sent.names, sent.mark
        try:
            content = yield from self.lanes.answer(sent.ticket)
        except Unavailable as error:
            if not self.frees_memory or not is_out_of_memory(error.evidence.get(self.target, "")):
                raise
            self.full = error
            yield from self._free_memory(sent)
            return
        answer = self._checked(content)
        stored = (yield from self._store_around(sent)) if isinstance(answer, Foreign) else answer
        self.records += stored.records
        self.newest_entry = stored.entry_id or self.newest_entry
        if stored.records < MOSTLY_LACKING * len(names):
            self._asks_first = True
        if mark is not None:
            self.stored = mark.position

    def absorb(
        self, names: Sequence[bytes], records: Sequence[bytes], mark: Mark | None
    ) -> Plan[None]:
        """Store records on the target unless later ones stand there, and move the mark."""
        yield from self._store(names, records, mark)
        yield from self.settle()

    def _check_clock(self) -> Plan[None]:
        """Raise Unavailable where the source's clock has stepped ahead since it was looked at."""
        now_micros = micros_of((yield from self.lanes.ask(self.source, TIME, "reading the clock")))
        if self._found.has_stepped_ahead(now_micros, self.lanes.at):
            raise clock_stepped(self.source)

    def _purged_before(self) -> Plan[int]:
        """Up to which stamp the target has purged tombstones, asked before anything is read: what
        is read after that is later than they were, or was never deleted.
        """
        command = PlainCommand((b"HGET", self.view.layout.member, b"purged_before"))
        noted = (yield from self.lanes.ask(self.target, command, "looking at the target")) or 0
        try:
            return whole_number(noted)
        except ValueError as error:
            raise Unavailable(
                f"node {self.target!r} cannot be filled", {self.target: f"purged_before: {error}"}
            ) from error

    def _checked(self, content: Answer) -> Absorbed | Foreign:
        """What the target made of a slice.

        Raises where it refused, forgot, or has purged tombstones since the records were read.
        """
        answer = parse_absorb(content)
        if isinstance(answer, NotAdmitted):
            raise not_admitted_error(answer, self.target, self.view.epoch)
        if answer is NotAbsorbed.PURGED:
            text = (
                f"node {self.target!r} purged tombstones while records were copied to it; it "
                "is tried again"
            )
            raise Unavailable(text, {self.target: "purged"})
        if answer is NotAbsorbed.SET_BACK:
            text = (
                f"node {self.target!r} forgot a part of what was brought to it; it is tried again"
            )
            raise Unavailable(
                text,
                {self.target: f"entry {self.newest_entry.decode()} is gone from its change log"},
            )
        return answer

    def _to_read(self, wanted: Mapping[bytes, bytes]) -> Plan[list[bytes]]:
        """Those of the names of which the target lacks the record, as far as that is known."""
        names = self._not_sent_yet(wanted)
        if not self._asks_first or not names:
            return names
        lacking = yield from self._lacking(names, wanted)
        self._asks_first = len(lacking) < MOSTLY_LACKING * len(names)
        return lacking

    def _not_sent_yet(self, wanted: Mapping[bytes, bytes]) -> list[bytes]:
        """What was read for an earlier stamp was sent as it stood then, which may have been this
        one.
        """
        sent, before = self._sent, self._sent_before
        if sent.keys().isdisjoint(wanted) and before.keys().isdisjoint(wanted):
            return list(wanted)
        return [
            name
            for name, stamp in wanted.items()
            if sent.get(name, b"") < stamp and before.get(name, b"") < stamp
        ]

    def _remember(self, names: Iterable[bytes], records: Sequence[bytes]) -> None:
        if len(self._sent) >= REMEMBERED_NAMES:
            self._sent, self._sent_before = {}, self._sent
        self._sent.update(zip(names, [record[:STAMP_BYTES] for record in records], strict=True))

    def _lacking(self, names: Sequence[bytes], wanted: Mapping[bytes, bytes]) -> Plan[list[bytes]]:
        """Names of records that stand on the target with an earlier stamp, or not at all."""
        lacking = []
        for name, header in zip(
            names, (yield from self._headers(self.target, names, FOR_UPKEEP)), strict=True
        ):
            if header == FOREIGN:
                self.foreign.append(name)
            elif header[:STAMP_BYTES] < wanted[name]:
                lacking.append(name)
        return lacking

    def _headers(self, node: str, names: Sequence[bytes], where: bytes) -> Plan[list[bytes]]:
        headers: list[bytes] = []
        for start in range(0, len(names), limits.SCAN_KEYS):
            call = self.view.headers_call(names[start : start + limits.SCAN_KEYS], where)
            answer = parse_headers((yield from self.lanes.ask(node, call, "reading headers")))
            headers += admitted(answer, node, self.view.epoch).headers
        return headers

    def _read(self, names: Sequence[bytes]) -> Plan[tuple[Sequence[bytes], Sequence[Any]]]:
        """The first of these names, as many as one answer holds, and what stands under them on the
        source now.
        """
        call = self.view.read_call(names, self.where)
        answer = parse_read_many(
            (yield from self.lanes.ask(self.source, call, "reading records to copy"))
        )
        stored = admitted(answer, self.source, self.view.epoch).records
        self._slice_keys = keys_to_ask(len(stored))
        return names[: len(stored)], stored

    def _take_up(
        self, names: Sequence[bytes], stored: Sequence[Any], wanted: Mapping[bytes, bytes]
    ) -> tuple[Sequence[bytes], Sequence[bytes]]:
        """Names and records to send. What redrepl did not write is left out and noted."""
        records: Sequence[bytes] = stored
        if None in stored or not all(map(is_record, stored)):
            names, records = self._sort_out(names, stored, wanted)
        self.bytes += sum(map(len, records))
        self._remember(names, records)
        return names, records

    def _sort_out(
        self, names: Sequence[bytes], found: Sequence[bytes | None], wanted: Mapping[bytes, bytes]
    ) -> tuple[list[bytes], list[bytes]]:
        records: dict[bytes, bytes] = {}
        for name, stored in zip(names, found, strict=True):
            if stored is None and (self.skips_gone or wanted[name] == _AT_ALL):
                continue
            if stored is None:
                # Gone although the log names it: expired or evicted. The target must not keep an
                # older value.
                records[name] = tombstone(
                    Stamp.parse(wanted[name]), self._found.now_millis
                ).encode()
            elif is_record(stored):
                records[name] = stored
            else:
                self.foreign.append(name)
        return list(records), list(records.values())

    def _store(
        self, names: Sequence[bytes], records: Sequence[bytes], mark: Mark | None
    ) -> Plan[None]:
        """Have a slice stored, once everything before it is.

        Where the target is full, nothing but its deletes is.
        """
        yield from self.settle()
        slice_ = _Slice(names, records, mark, 0, self._seen_purged_before or 0)
        if self.full is not None:
            yield from self._free_memory(slice_)
            return
        call = self._absorb_call(slice_)
        ticket = self.lanes.start(
            self.target, call, "storing copied records", is_alone=self.frees_memory
        )
        self._under_way = slice_._replace(ticket=ticket)

    def _free_memory(self, sent: _Slice) -> Plan[None]:
        """Bring the target those of these tombstones that replace values there.

        The mark stays where it is.
        """
        pairs = zip(sent.names, sent.records, strict=True)
        graves = {name: record for name, record in pairs if is_tombstone(record)}
        headers = yield from self._headers(self.target, list(graves), FOR_UPKEEP)
        values = [name for name, header in zip(graves, headers, strict=True) if is_value(header)]
        if not values:
            return

        part = sent._replace(names=values, records=[graves[name] for name in values], mark=None)
        call = self._absorb_call(part, "absorb_oom")
        stored = self._checked((yield from self.lanes.ask(self.target, call, "storing deletes")))
        if isinstance(stored, Absorbed):
            self.newest_entry = stored.entry_id or self.newest_entry

    def _store_around(self, sent: _Slice) -> Plan[Absorbed]:
        """Store the rest of a slice of which nothing was stored, because redrepl did not write what
        stands there.

        Raises NotAReplicatedRecord where such a value comes up meanwhile.
        """
        names, records = sent.names, sent.records
        stamps = [record[:STAMP_BYTES] for record in records]
        lacking = set((yield from self._lacking(names, dict(zip(names, stamps, strict=True)))))
        rest = [
            (name, record) for name, record in zip(names, records, strict=True) if name in lacking
        ]
        part = sent._replace(
            names=[name for name, _ in rest], records=[record for _, record in rest]
        )
        call = self._absorb_call(part)
        answer = self._checked(
            (yield from self.lanes.ask(self.target, call, "storing copied records"))
        )
        if isinstance(answer, Foreign):
            raise foreign_value(self.view.layout, self.target, answer.name)
        return answer

    def _absorb_call(self, sent: _Slice, script: str = "") -> ScriptCall:
        """At full memory a mark alone may move, and a change of epoch must not wait: it copies the
        last few writes.
        """
        layout = self.view.layout
        names, records, mark = sent.names, sent.records, sent.mark
        script = script or ("absorb" if names and self.where == ON_ACTIVE else "absorb_oom")
        seen: bytes | int = b"" if self.merges else sent.seen
        source = self.view.position_fields[self.source]
        arguments: list[bytes | int] = [
            self.view.epoch,
            source,
            b"",
            b"",
            0,
            seen,
            self.newest_entry,
        ]
        if mark is not None:
            arguments[2:5] = [
                mark.incarnation.encode(),
                mark.position.id.encode(),
                mark.position.entries,
            ]
        return ScriptCall(
            script, (layout.member, layout.log, layout.marks, *names), (*arguments, *records)
        )


def copy_all(copier: Copier, steps: Steps) -> Plan[None]:
    """Walk over all keys of the source, wherever it may be read, and bring the target to at least
    its stamps.
    """
    keys = KeyWalk(copier.view, copier.source, steps)
    while not keys.is_over:
        names = yield from keys.next_page()
        yield from copier.copy((yield from read_stamps(copier.view, copier.source, names, steps)))


def micros_of(time: Answer) -> int:
    """What a server answered to TIME, in microseconds."""
    seconds, micros = time
    return int(seconds) * 1_000_000 + int(micros)


def check_clock_steady(now: NodeReport, before: NodeReport) -> None:
    """Raise Unavailable where a node's clock has stepped ahead since an earlier look.

    It may have dropped records by that.
    """
    if now.has_stepped_since(before):
        raise clock_stepped(now.node)


def clock_stepped(node: str) -> Unavailable:
    """The error where a node's clock is ahead of what it was when the node was looked at."""
    reason = "its clock has stepped ahead"
    return Unavailable(
        f"the clock of node {node!r} stepped while records were compared; it is tried again",
        {node: reason},
    )
