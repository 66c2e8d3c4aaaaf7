"""Records on a replica that the primary never took (docs/protocol.md, section 3).

A stamp that sits on a replica alone is undecided: it is never copied to the primary, which may still take it while the
write is younger than max_age. After that it cannot any more, and the replica gets the primary's record instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from redrepl.plans.copies.catch_up import FIRST_PAGE_ENTRIES, CaughtUp, confirm, next_count, positions_before, read_page
from redrepl.plans.copies.copying import TIME, Copier, clock_stepped, micros_of, stamp_in
from redrepl.plans.scan import FOREIGN, read_headers
from redrepl.plans.steps import Steps
from redrepl.plans.view import ON_ACTIVE, ClusterView, admitted
from redrepl.values.answers.reads import parse_read_many
from redrepl.values.answers.upkeep import Replacement, parse_count, parse_replace
from redrepl.values.effects import Plan
from redrepl.values.record import NO_DEADLINE, TOMBSTONE, is_record, tombstone
from redrepl.values.report import Mark, NodeReport
from redrepl.values.stamp import Stamp

UNDECIDED = b"undecided"
DIVERGED = b"diverged"
"""Why a record goes: the primary did not take it in time, or it was written in an epoch that went on without it."""

BURIED = b"buried"
"""Why nothing gives way to a tombstone. Nothing is not kept, so nobody sees this word."""


class Settled(NamedTuple):
    """Names still too young to be judged, and how many undecided records were replaced."""

    young: dict[bytes, Stamp]
    replaced: int


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
    """Replace, on the replica, those of these records that the primary does not have and no longer can take.

    Both are given as they were found. Raises Unavailable where the clock of one has stepped ahead since, and this may
    be why it does not show a record.

    DIVERGED records were written in an older epoch alone: no primary can take them any more, however young they are.
    """
    names = list(stamps)
    headers = yield from read_headers(view, primary.node, names, steps, ON_ACTIVE)
    on_primary = dict(zip(names, headers, strict=True))
    ahead = [name for name in names if stamp_in(on_primary[name]) < stamps[name]]
    if not ahead:
        return Settled({}, 0)
    on_replica = yield from read_headers(view, replica.node, ahead, steps)
    if b"" in on_replica:
        # What a clock that is ahead hides is there again when the clock is right: it would have been passed over.
        yield from read_clock(replica, steps)
    now_micros = yield from read_clock(primary, steps)
    oldest_open = now_micros - max_age_micros(primary)
    # Further ahead no node takes a client's stamp: somebody else wrote it, and nothing is under way that has it.
    newest_open = now_micros + max_age_micros(primary) + int(primary.max_skew_seconds * 1e6)
    young: dict[bytes, Stamp] = {}
    replaced = 0
    for name, header in zip(ahead, on_replica, strict=True):
        # By the time of the look, at which the primary's clock was compared with the others': what is passed over here
        # must not come to life again by a clock that is set back.
        if header in (b"", FOREIGN) or _is_past_deadline(header, min(now_micros, primary.now_millis * 1000)):
            continue
        if not on_primary[name] and _is_purged(header, primary):
            yield from _purge(view, primary, replica.node, name, header, steps)
        elif why == UNDECIDED and oldest_open <= stamp_in(header).micros <= newest_open:
            young[name] = stamps[name]
        else:
            replaced += yield from replace_record(view, primary, replica.node, name, stamp_in(header), steps, why)
    return Settled(young, replaced)


def _is_purged(header: bytes, primary: NodeReport) -> bool:
    """Whether this is a tombstone so old that the primary may have purged its own."""
    return header[22:23] == TOMBSTONE and stamp_in(header).micros < primary.purged_before


def _purge(
    view: ClusterView, primary: NodeReport, replica: str, name: bytes, header: bytes, steps: Steps
) -> Plan[None]:
    """Remove a tombstone that the primary has purged: the replica was away then, or got it from an old log entry."""
    call = view.purge_call({name: stamp_in(header)}, primary.purged_before)
    answer = parse_count((yield from steps.ask(replica, call, "purging a tombstone")))
    admitted(answer, replica, view.epoch)


def fresh_tombstone(view: ClusterView, primary: NodeReport, found: Stamp, steps: Steps) -> Plan[bytes]:
    """A tombstone of the primary's present, and later than ``found``.

    An old stamp would not do: by its age a tombstone counts as known to all members, and is purged.
    """
    micros = max(found.micros + 1, (yield from read_clock(primary, steps)))
    return tombstone(Stamp(micros, view.topology.restamp_writer(primary.node))).encode()


def read_clock(looked_at: NodeReport, steps: Steps) -> Plan[int]:
    """A node's clock, in microseconds. Raises Unavailable where it has stepped ahead since the node was looked at.

    What it lacks may be what it dropped by that, and nothing may be concluded from it.
    """
    now_micros = micros_of((yield from steps.ask(looked_at.node, TIME, "reading the clock")))
    if looked_at.has_stepped_ahead(now_micros, steps.at):
        raise clock_stepped(looked_at.node)
    return now_micros


def _bury(view: ClusterView, primary: NodeReport, name: bytes, found: Stamp, steps: Steps) -> Plan[bytes | None]:
    """Have the primary decide that a key under which it has nothing is deleted, later than what a replica holds there.

    Simply to remove the replica's record would be wrong: its log would go on naming the stamp, and a record that the
    log names and that is gone counts as expired. Answers the tombstone, None where something stands there by now.
    """
    grave = yield from fresh_tombstone(view, primary, found, steps)
    call = view.replace_call(name, None, grave, BURIED)
    answer = parse_replace((yield from steps.ask(primary.node, call, "deciding that it is deleted")))
    replacement = admitted(answer, primary.node, view.epoch)
    return grave if replacement is Replacement.DONE else None


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
    """Replace exactly this record on the replica by the primary's; unless ``by_later``, only where that is earlier.

    Answers how many were replaced.
    """
    content = yield from steps.ask(primary.node, view.read_call((name,)), "reading the primary's record")
    record = admitted(parse_read_many(content), primary.node, view.epoch).records[0]
    if record is None:
        record = yield from _bury(view, primary, name, found, steps)
        by_later = True
    if record is None or not is_record(record):
        return 0  # somebody wrote there meanwhile: the next look decides
    if stamp_in(record) >= found and not by_later:
        return 0  # the primary has it after all: catch-up brings the rest
    answer = yield from steps.ask(replica, view.replace_call(name, found, record, why), "replacing a record")
    replacement = admitted(parse_replace(answer), replica, view.epoch)
    return 1 if replacement is Replacement.DONE else 0


def check_log(
    view: ClusterView,
    replica: NodeReport,
    primary: NodeReport,
    start: Mark,
    steps: Steps,
    stop_at: float,
    why: bytes = UNDECIDED,
) -> Plan[CaughtUp]:
    """Go through a replica's log and settle what the primary does not have; stops before what is too young.

    The mark on the primary and the cursor on the replica say how far that has been done.
    """
    position, count, replaced, finished = start.position, FIRST_PAGE_ENTRIES, 0, True
    marker = Copier(view, replica, primary.node, steps)
    marker.newest_entry = primary.log.newest_id.encode()
    while True:
        page = yield from read_page(view, replica, position, count, steps)
        if not page.entries:
            break
        settled = yield from settle(view, primary, replica, page.newest, steps, why)
        replaced += settled.replaced
        reached = positions_before(page, list(settled.young), position) if settled.young else page.end
        if reached != position:
            position = reached
            yield from marker.absorb((), (), Mark(start.incarnation, position))
            yield from confirm(view, replica, primary.node, position, steps)
        count = next_count(page)
        if settled.young:
            break
        if steps.at >= stop_at:
            finished = False
            break
    if position == start.position:
        # The start may follow from a checkpoint. A mark that stood before the cursor would look as if the primary had
        # been set back, at each look anew.
        if primary.marks.get(replica.node) != start:
            yield from marker.absorb((), (), start)
        yield from confirm(view, replica, primary.node, position, steps)
    return CaughtUp(position.entries - start.position.entries, replaced, 0, finished, reached=position)


def _is_past_deadline(header: bytes, now_micros: int) -> bool:
    deadline = int(header[23:35], 16)
    return deadline != NO_DEADLINE and deadline * 1000 <= now_micros
