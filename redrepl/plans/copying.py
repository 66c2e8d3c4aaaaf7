"""Moving records from one node to another: read what stands there now, and let the later stamp win."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from redrepl.plans.scan import FOREIGN, read_headers
from redrepl.plans.steps import Steps
from redrepl.plans.view import ON_ACTIVE, ClusterView, check_admitted, foreign_value
from redrepl.values import limits
from redrepl.values.effects import Plan, ScriptCall
from redrepl.values.record import is_record, tombstone
from redrepl.values.report import Mark
from redrepl.values.stamp import NO_STAMP, STAMP_BYTES, Stamp

UNTOUCHABLE = Stamp((1 << 56) - 1, (1 << 32) - 1)
"""Stands for a value that redrepl did not write: no record is later."""

_FIRST_SLICE = 32
"""Keys in the first slice, before the size of the records is known."""


class Copier:
    """Copies records from a source to a target in slices of bounded bytes, and counts them."""

    def __init__(
        self, view: ClusterView, source: str, target: str, steps: Steps, now_millis: int, where: bytes = ON_ACTIVE
    ) -> None:
        self.where = where
        self.view = view
        self.source = source
        self.target = target
        self.steps = steps
        self.now_millis = now_millis
        self.records = 0
        self.bytes = 0
        self.foreign: list[bytes] = []
        self._slice = _FIRST_SLICE

    def copy(self, wanted: Mapping[bytes, Stamp], mark: Mark | None = None) -> Plan[None]:
        """Bring the target to at least these stamps. The mark moves with the last record, never before it."""
        lacking = yield from self.lacking(wanted)
        start = 0
        while start < len(lacking):
            names = lacking[start : start + self._slice]
            start += len(names)
            records = yield from self._read(names, wanted)
            yield from self.absorb(tuple(records), tuple(records.values()), mark if start >= len(lacking) else None)
        if not lacking and mark is not None:
            yield from self.absorb((), (), mark)

    def lacking(self, wanted: Mapping[bytes, Stamp]) -> Plan[list[bytes]]:
        """Names of records that stand on the target with an earlier stamp, or not at all."""
        names = list(wanted)
        lacking = []
        for start in range(0, len(names), limits.SCAN_KEYS):
            page = names[start : start + limits.SCAN_KEYS]
            headers = yield from read_headers(self.view, self.target, page, self.steps.until)
            lacking += [name for name, header in zip(page, headers, strict=True) if stamp_in(header) < wanted[name]]
            self.foreign += [name for name, header in zip(page, headers, strict=True) if header == FOREIGN]
        return lacking

    def _read(self, names: Sequence[bytes], wanted: Mapping[bytes, Stamp]) -> Plan[dict[bytes, bytes]]:
        """What stands on the source now, by name. What redrepl did not write is left out and noted."""
        call = self.view.read_call(names, self.where)
        content = yield from self.steps.ask(self.source, call, "reading records to copy")
        check_admitted(content, self.source, self.view.epoch)
        records: dict[bytes, bytes] = {}
        for name, found in zip(names, content[1:], strict=True):
            if found is None:
                # Gone although the log names it: expired or evicted. The target must not keep an older value.
                records[name] = tombstone(wanted[name], self.now_millis).encode()
            elif is_record(found):
                records[name] = found
            else:
                self.foreign.append(name)
        size = sum(map(len, records.values()))
        self._slice = max(1, min(limits.BATCH_KEYS, limits.BATCH_BYTES * max(1, len(records)) // max(1, size)))
        self.bytes += size
        return records

    def absorb(self, names: Sequence[bytes], records: Sequence[bytes], mark: Mark | None) -> Plan[None]:
        """Store records on the target unless later ones stand there, and move the mark."""
        layout, view = self.view.layout, self.view
        arguments: list[bytes | int] = [view.epoch, self.source.encode(), b"", b"", 0]
        if mark is not None:
            arguments[2:] = [mark.incarnation.encode(), mark.position.id.encode(), mark.position.entries]
        call = ScriptCall("absorb", (layout.member, layout.log, layout.marks, *names), (*arguments, *records))
        content = yield from self.steps.ask(self.target, call, "storing copied records")
        check_admitted(content, self.target, view.epoch)
        if content[0] == b"foreign":
            raise foreign_value(layout, self.target, content[1])
        self.records += content[1]


def stamp_in(header: bytes) -> Stamp:
    """The stamp at the start of a header; the earliest for nothing, the latest for what must not be overwritten."""
    if header == FOREIGN:
        return UNTOUCHABLE
    return Stamp.parse(header[:STAMP_BYTES]) if header else NO_STAMP
