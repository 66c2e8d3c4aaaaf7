"""Reading the discarded logs: records that nodes gave up for earlier ones (docs/protocol.md,
sections 3 and 5.4).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from redrepl.plans.steps import Steps
from redrepl.values import limits
from redrepl.values.effects import Answer, PlainCommand, Plan
from redrepl.values.errors import RequestError, Unavailable
from redrepl.values.keys import KeyLayout
from redrepl.values.reading import whole_number
from redrepl.values.record import NO_DEADLINE, VALUE, Record, parse_record
from redrepl.values.report import id_order
from redrepl.values.stamp import Stamp

_ID = re.compile(r"[0-9]{1,20}-[0-9]{1,20}")
_MOST_PER_PAGE = 100


class DiscardedRecord(NamedTuple):
    """A record that a node gave up.

    id: names it on that node. why: "undecided" (the primary never took it) or "diverged" (the
    cluster went on without it). epoch: in which it was given up. replaced_by: the stamp of the
    record that stands instead.
    at: seconds since 1970, by the node's clock.
    """

    node: str
    id: str
    key: bytes
    record: Record
    why: str
    epoch: int
    replaced_by: Stamp
    at: float

    @property
    def value(self) -> bytes | None:
        """The value, None where a delete was given up."""
        return self.record.payload if self.record.kind == VALUE else None

    @property
    def expires_at(self) -> float | None:
        """The record's deadline in seconds since 1970, None for none."""
        deadline = self.record.deadline_millis
        return None if deadline == NO_DEADLINE else deadline / 1000


class DiscardedRecords(NamedTuple):
    """Records node by node, the newest of each first, and which nodes could not be asked and
    why.
    """

    records: tuple[DiscardedRecord, ...]
    unreachable: dict[str, str]


def list_discarded(
    layout: KeyLayout, nodes: tuple[str, ...], limit: int, started: float
) -> Plan[DiscardedRecords]:
    """Up to ``limit`` records of each node. Raises Unavailable where no node could be asked."""
    if limit < 1:
        raise RequestError(f"limit must be at least 1, not {limit}")
    steps, found, unreachable = Steps(started), list[DiscardedRecord](), dict[str, str]()
    for node in nodes:
        try:
            found += yield from _newest(layout, node, limit, steps)
        except Unavailable as error:
            unreachable[node] = error.evidence.get(node, str(error))
    if len(unreachable) == len(nodes):
        raise Unavailable("no node could be asked for its discarded log", unreachable)
    return DiscardedRecords(tuple(found), unreachable)


def read_discarded(
    layout: KeyLayout, node: str, record_id: str, started: float
) -> Plan[DiscardedRecord]:
    """One record. Raises RequestError where the node's log has none with this id."""
    if _ID.fullmatch(record_id) is None:
        raise RequestError(
            "id must be two numbers with a dash between, as `redrepl discarded list` shows, not "
            f"{record_id!r}"
        )
    name = record_id.encode()
    entries = yield from Steps(started).ask(
        node, _range(layout, b"XRANGE", name, name, 1), "reading the discarded log"
    )
    if not entries:
        raise RequestError(f"the discarded log of node {node!r} has no record {record_id}")
    return _parse(layout, node, entries[0])


def _newest(layout: KeyLayout, node: str, limit: int, steps: Steps) -> Plan[list[DiscardedRecord]]:
    """In pages that grow while records are small."""
    found: list[DiscardedRecord] = []
    before, count = b"+", 1
    while len(found) < limit:
        count = min(count, limit - len(found))
        command = _range(layout, b"XREVRANGE", before, b"-", count)
        entries = yield from steps.ask(node, command, "reading the discarded log")
        page = [_parse(layout, node, entry) for entry in entries]
        found += page
        if len(page) < count:
            break
        before = b"(" + entries[-1][0]
        size = sum(len(each.record.payload) + len(each.key) for each in page) // len(page)
        count = max(1, min(2 * count, _MOST_PER_PAGE, limits.BATCH_BYTES // max(1, size)))
    return found


def _range(layout: KeyLayout, name: bytes, first: bytes, last: bytes, count: int) -> PlainCommand:
    return PlainCommand((name, layout.discarded, first, last, b"COUNT", count))


def _parse(layout: KeyLayout, node: str, entry: Answer) -> DiscardedRecord:
    """Read what `replace.lua` wrote. Raises Unavailable on anything else."""
    record_id = entry[0].decode()
    fields = dict(zip(entry[1][::2], entry[1][1::2], strict=True))
    try:
        replaced_by = Stamp.parse(fields[b"replaced_by"])
        record, epoch = parse_record(fields[b"record"]), whole_number(fields[b"epoch"])
        name, why = fields[b"key"], fields[b"why"].decode()
        if not name.startswith(layout.data_prefix):
            raise ValueError(f"no key of a user's: {name!r:.80}")
    except (KeyError, ValueError) as error:
        raise Unavailable(
            f"the discarded log of node {node!r} cannot be read",
            {node: f"something else wrote {record_id}: {error!r}"},
        ) from error
    key, at = layout.user_key(name), id_order(record_id)[0] / 1000
    return DiscardedRecord(node, record_id, key, record, why, epoch, replaced_by, at)
