"""Records on a replica that the primary never took (docs/protocol.md, section 3).

A stamp that sits on a replica alone is uncommitted: it is never copied to the primary, which may
still take it while the write is younger than max_age. After that it cannot any more, and the
replica gets the primary's record instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple

from redrepl.plans.copies.catch_up import CaughtUp, confirm, positions_before
from redrepl.plans.copies.copying import TIME, Copier, clock_stepped, micros_of
from redrepl.plans.copies.headers import deadline_in, holds_record, is_tombstone, stamp_in
from redrepl.plans.copies.log_reader import LogReader
from redrepl.plans.copies.member_calls import ask_member
from redrepl.plans.scan import read_headers
from redrepl.plans.steps import Steps
from redrepl.plans.view import ON_ACTIVE, ClusterView
from redrepl.values.answers.reads import parse_read_many
from redrepl.values.answers.upkeep import Replacement, parse_count, parse_replace
from redrepl.values.effects import Plan, ScriptCall
from redrepl.values.record import is_record, tombstone
from redrepl.values.report import Mark, NodeReport
from redrepl.values.stamp import Stamp

UNDECIDED = b"undecided"
DIVERGED = b"diverged"
"""Why a record goes: the primary did not take it in time, or it was written in an epoch that went
on without it.
"""

BURIED = b"buried"
"""Why nothing gives way to a tombstone. Nothing is not kept, so no discarded log has this word."""


class Settled(NamedTuple):
    """Names still too young to be judged, and how many uncommitted records were replaced."""

    young: dict[bytes, Stamp]
    replaced: int


class _Fate(Enum):
    """What becomes of a record that is later on a replica than on the primary.

    LEFT: by now there is none, or it has expired.
    PURGED: a tombstone that the primary has purged; it is purged on the replica too.
    YOUNG: the primary may still take it.
    REPLACED: the primary cannot take it any more; its own record replaces it.
    """

    LEFT = "left"
    PURGED = "purged"
    YOUNG = "young"
    REPLACED = "replaced"


def max_age_micros(report: NodeReport) -> int:
    """The age beyond which this primary takes no write."""
    return report.max_age_micros


def settle(
    view: ClusterView,
    primary: NodeReport,
    replica: NodeReport,
    stamps: Mapping[bytes, Stamp],
    steps: Steps,
    why: bytes = UNDECIDED,
) -> Plan[Settled]:
    """Replace, on the replica, those of these records that the primary does not have and no longer
    can take.

    Both are given as they were found. Raises Unavailable where the clock of one has stepped ahead
    since, and this may be why it does not show a record.

    DIVERGED records were written in an older epoch alone: no primary can take them any more,
    however young they are.
    """
    young: dict[bytes, Stamp] = {}
    replaced = 0
    fates = yield from _judge(view, primary, replica, stamps, steps, why)
    for name, (fate, header) in fates.items():
        match fate:
            case _Fate.PURGED:
                yield from _purge(view, primary, replica.node, name, header, steps)
            case _Fate.YOUNG:
                young[name] = stamps[name]
            case _Fate.REPLACED:
                replaced += yield from replace_record(
                    view, primary, replica.node, name, stamp_in(header), steps, why
                )
    return Settled(young, replaced)


def _judge(
    view: ClusterView,
    primary: NodeReport,
    replica: NodeReport,
    stamps: Mapping[bytes, Stamp],
    steps: Steps,
    why: bytes,
) -> Plan[dict[bytes, tuple[_Fate, bytes]]]:
    """What becomes of the replica's records that are later than the primary's, each with its
    header; see `settle`.
    """
    ahead = yield from _ahead_of(view, primary, stamps, steps)
    if not ahead:
        return {}
    on_replica = yield from read_headers(view, replica.node, list(ahead), steps)
    if b"" in on_replica:
        # What a clock that is ahead hides is there again when the clock is right: it would have
        # been passed over.
        yield from read_clock(replica, steps)
    now_micros = yield from read_clock(primary, steps)
    return {
        name: (_fate_of(header, on_primary, primary, now_micros, why), header)
        for (name, on_primary), header in zip(ahead.items(), on_replica, strict=True)
    }


def _ahead_of(
    view: ClusterView, primary: NodeReport, stamps: Mapping[bytes, Stamp], steps: Steps
) -> Plan[dict[bytes, bytes]]:
    """Names under which the primary has an earlier stamp, or nothing, with the header there."""
    names = list(stamps)
    headers = yield from read_headers(view, primary.node, names, steps, ON_ACTIVE)
    found = zip(names, headers, strict=True)
    return {name: header for name, header in found if stamp_in(header) < stamps[name]}


def _fate_of(
    header: bytes, on_primary: bytes, primary: NodeReport, now_micros: int, why: bytes
) -> _Fate:
    """What becomes of a replica's record with this header.

    ``on_primary``: what is there under its name.
    """
    # By the time of the look, at which the primary's clock was compared with the others': what is
    # passed over here must not come to life again by a clock that is set back.
    if not holds_record(header) or _is_past_deadline(
        header, min(now_micros, primary.now_millis * 1000)
    ):
        return _Fate.LEFT
    if not on_primary and _is_purged(header, primary):
        return _Fate.PURGED
    if why == UNDECIDED and _may_be_under_way(header, primary, now_micros):
        return _Fate.YOUNG
    return _Fate.REPLACED


def _may_be_under_way(header: bytes, primary: NodeReport, now_micros: int) -> bool:
    """Whether the primary may still get a write with this stamp, and take it."""
    oldest_open = now_micros - max_age_micros(primary)
    # Further ahead no node takes a client's stamp: another program wrote it, and no request has it.
    newest_open = now_micros + max_age_micros(primary) + int(primary.max_skew_seconds * 1e6)
    return oldest_open <= stamp_in(header).micros <= newest_open


def _is_purged(header: bytes, primary: NodeReport) -> bool:
    """Whether this is a tombstone so old that the primary may have purged its own."""
    return is_tombstone(header) and stamp_in(header).micros < primary.purged_before


def _is_past_deadline(header: bytes, now_micros: int) -> bool:
    deadline = deadline_in(header)
    return deadline is not None and deadline * 1000 <= now_micros


def _purge(
    view: ClusterView, primary: NodeReport, replica: str, name: bytes, header: bytes, steps: Steps
) -> Plan[None]:
    """Remove a tombstone that the primary has purged: the replica was away then, or got it from an
    old log entry.
    """
    call = view.purge_call({name: stamp_in(header)}, primary.purged_before)
    yield from ask_member(view, replica, call, parse_count, "purging a tombstone", steps)


def fresh_tombstone(
    view: ClusterView, primary: NodeReport, found: Stamp, steps: Steps
) -> Plan[bytes]:
    """A tombstone of the primary's present, and later than ``found``.

    An old stamp would not do: by its age a tombstone counts as known to all members, and is purged.
    """
    micros = max(found.micros + 1, (yield from read_clock(primary, steps)))
    return tombstone(Stamp(micros, view.topology.restamp_writer(primary.node))).encode()


def read_clock(looked_at: NodeReport, steps: Steps) -> Plan[int]:
    """A node's clock, in microseconds.

    Raises Unavailable where it has stepped ahead since the node was looked at.

    What it lacks may be what it dropped by that, and nothing may be concluded from it.
    """
    now_micros = micros_of((yield from steps.ask(looked_at.node, TIME, "reading the clock")))
    if looked_at.has_stepped_ahead(now_micros, steps.at):
        raise clock_stepped(looked_at.node)
    return now_micros


def replace_exactly(
    view: ClusterView, node: str, call: ScriptCall, doing: str, steps: Steps
) -> Plan[bool]:
    """Carry out a `ClusterView.replace_call`; returns whether the expected record was there."""
    return (
        yield from ask_member(view, node, call, parse_replace, doing, steps)
    ) is Replacement.DONE


def _bury(
    view: ClusterView, primary: NodeReport, name: bytes, found: Stamp, steps: Steps
) -> Plan[bytes | None]:
    """Have the primary decide that a key under which it has nothing is deleted, later than what a
    replica holds there.

    Simply to remove the replica's record would be wrong: its log would go on naming the stamp, and
    a record that the log names and that is gone counts as expired. Returns the tombstone, None
    where there is something by now.
    """
    grave = yield from fresh_tombstone(view, primary, found, steps)
    call = view.replace_call(name, None, grave, BURIED)
    is_done = yield from replace_exactly(
        view, primary.node, call, "deciding that it is deleted", steps
    )
    return grave if is_done else None


def replace_record(
    view: ClusterView,
    primary: NodeReport,
    replica: str,
    name: bytes,
    found: Stamp,
    steps: Steps,
    why: bytes,
    by_later: bool = False,
) -> Plan[int]:
    """Replace exactly this record on the replica by the primary's; unless ``by_later``, only where
    that is earlier.

    Returns how many were replaced.
    """
    call = view.read_call((name,))
    answer = yield from ask_member(
        view, primary.node, call, parse_read_many, "reading the primary's record", steps
    )
    record = answer.records[0]
    if record is None:
        record = yield from _bury(view, primary, name, found, steps)
        by_later = True
    if record is None or not is_record(record):
        return 0  # another program wrote there meanwhile: the next look decides
    if stamp_in(record) >= found and not by_later:
        return 0  # the primary has it after all: catch-up brings the rest
    call = view.replace_call(name, found, record, why)
    return int((yield from replace_exactly(view, replica, call, "replacing a record", steps)))


def check_log(
    view: ClusterView,
    replica: NodeReport,
    primary: NodeReport,
    start: Mark,
    steps: Steps,
    stop_at: float,
    why: bytes = UNDECIDED,
) -> Plan[CaughtUp]:
    """Go through a replica's log and settle what the primary does not have; stops before what is
    too young.

    The applied position on the primary and the acknowledged one on the replica say how far that has
    been done.
    """
    check = _LogCheck(view, replica, primary, start, steps)
    yield from check.carry_out(stop_at, why)
    if check.reached == start.position:
        yield from check.note_start()
    entries = check.reached.entries - start.position.entries
    return CaughtUp(entries, check.replaced, 0, check.finished, reached=check.reached)


class _LogCheck:
    """Going through a replica's log.

    ``reached``: up to where that has been done. ``replaced``: how many records were.

    finished: it has come to the log's end, or to what is too young.
    """

    def __init__(
        self, view: ClusterView, replica: NodeReport, primary: NodeReport, start: Mark, steps: Steps
    ) -> None:
        self.reached = start.position
        self.replaced = 0
        self.finished = True
        self._view = view
        self._replica = replica
        self._primary = primary
        self._start = start
        self._steps = steps
        self._marker = Copier(view, replica, primary.node, steps)
        self._marker.newest_entry = primary.log.newest_id.encode()

    def carry_out(self, stop_at: float, why: bytes) -> Plan[None]:
        """Settle page after page."""
        log = LogReader(self._view, self._replica, self._start.position, self._steps)
        while (page := (yield from log.next_page())) is not None:
            settled = yield from settle(
                self._view, self._primary, self._replica, page.newest, self._steps, why
            )
            self.replaced += settled.replaced
            checked = (
                positions_before(page, list(settled.young), self.reached)
                if settled.young
                else page.end
            )
            if checked != self.reached:
                self.reached = checked
                yield from self._marker.absorb((), (), Mark(self._start.incarnation, checked))
                yield from self._confirm()
            if settled.young:
                return
            if self._steps.at >= stop_at:
                self.finished = False
                return

    def note_start(self) -> Plan[None]:
        """Note where nothing was to be done that it is so.

        The start may follow from a checkpoint. An applied position before the acknowledged one
        would look as if the primary had been set back, at each look anew.
        """
        if self._primary.marks.get(self._replica.node) != self._start:
            yield from self._marker.absorb((), (), self._start)
        yield from self._confirm()

    def _confirm(self) -> Plan[None]:
        yield from confirm(self._view, self._replica, self._primary.node, self.reached, self._steps)
