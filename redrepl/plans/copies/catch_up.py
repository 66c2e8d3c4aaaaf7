"""Catching up from a change log: newest state per key, the mark moving with the data, then the
cursor on the source.

See docs/protocol.md, section 6.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from operator import itemgetter
from typing import Any, NamedTuple

from redrepl.plans.copies.copying import Copier
from redrepl.plans.copies.member_calls import ask_member, note_on_member
from redrepl.plans.lanes import Lanes
from redrepl.plans.steps import Steps
from redrepl.plans.view import ON_ACTIVE, ClusterView, admitted
from redrepl.values.answers.upkeep import (
    Entry,
    LogCut,
    LogPage,
    LogReplaced,
    parse_count,
    parse_log_page,
    parse_noted,
)
from redrepl.values.effects import Plan, Progress, ScriptCall
from redrepl.values.errors import Unavailable
from redrepl.values.report import LOG_START, Mark, NodeReport, Position, id_order
from redrepl.values.stamp import Stamp, is_possible

PAGE_CHANGES = 1000
"""Changes to read from a log at a time.

An entry of a batch holds many, so the number of entries follows.
"""

FIRST_PAGE_ENTRIES = 10
"""Entries in the first page, before it is known how many changes an entry holds."""

_fields_of = itemgetter(1)


class Page(NamedTuple):
    """A stretch of a change log: the newest stamp of each name as written there, the entries, the
    place after them.
    """

    stamps: dict[bytes, bytes]
    entries: list[tuple[bytes, list[bytes]]]
    end: Position

    @property
    def newest(self) -> dict[bytes, Stamp]:
        """The newest stamp of each name."""
        return {name: Stamp.parse(stamp) for name, stamp in self.stamps.items()}

    @property
    def changes(self) -> int:
        """Changes in the page, several of one key counted each."""
        return sum(map(len, map(_fields_of, self.entries))) // 2


def read_page(
    view: ClusterView, source: NodeReport, after: Position, count: int, steps: Steps
) -> Plan[Page]:
    """The next entries of a node's log.

    ``source``: as the node was when the place was found in its log. Raises Unavailable where the
    log was cut beyond the place since, or begun anew.
    """
    call = _page_call(view, source, after, count)
    content = yield from steps.ask(source.node, call, "reading the change log")
    return _page_of(parse_log_page(content), after, source.node, view.layout.data_prefix)


def _page_of(
    answer: LogPage | LogCut | LogReplaced, after: Position, node: str, prefix: bytes
) -> Page:
    """The page in a node's answer.

    Raises Unavailable where the log is not what it was when the place was found.
    """
    if isinstance(answer, LogCut):
        reason = f"cut up to {answer.floor}, and {after.id} was reached"
        raise Unavailable(
            "the change log was cut while it was read; a full sync is needed", {node: reason}
        )
    if isinstance(answer, LogReplaced):
        reason = "restarted, or lost its log, and was brought up since"
        raise Unavailable("the change log was begun anew while it was read", {node: reason})

    entries = answer.entries
    end = _end_of(entries, after, Position(answer.last_id, answer.added))
    return Page(_newest_stamps(entries, prefix), entries, end)


def _newest_stamps(entries: Sequence[Entry], prefix: bytes) -> dict[bytes, bytes]:
    """What a log tells of users' keys.

    What else it names, or with which stamps, no script of ours wrote: to copy that would carry it
    to other programs' keys, and to the bookkeeping of other nodes.
    """
    flat = list(chain.from_iterable(map(_fields_of, entries)))
    stamps: dict[bytes, bytes] = {}
    for name, stamp in zip(flat[::2], flat[1::2], strict=True):
        # Of one length and case, they compare as the stamps do.
        if stamp > stamps.get(name, b""):
            stamps[name] = stamp
    if not all(map(is_possible, stamps.values())) or not all(
        name.startswith(prefix) for name in stamps
    ):
        return {
            name: stamp
            for name, stamp in stamps.items()
            if name.startswith(prefix) and is_possible(stamp)
        }
    return stamps


def _end_of(entries: Sequence[tuple[bytes, Any]], after: Position, log_end: Position) -> Position:
    """Where a page ends.

    It counts no more entries up to there than the log itself has had.

    The place after which it begins is the target's word, and one that counts too many would be
    noted at the source: it would look as if it had lost a part of its log. One that counts too few
    stepped over some, and stays as it is.
    """
    last = entries[-1][0].decode() if entries else after.id
    most = log_end.entries if id_order(last) >= log_end.order else max(0, log_end.entries - 1)
    return Position(last, min(after.entries + len(entries), most))


def _page_call(view: ClusterView, source: NodeReport, after: Position, count: int) -> ScriptCall:
    arguments = (after.id.encode(), count, source.incarnation.encode())
    return ScriptCall("log_page", (view.layout.member, view.layout.log), arguments)


def next_count(page: Page) -> int:
    """Entries to read next, so that about PAGE_CHANGES changes come."""
    return max(1, min(PAGE_CHANGES, PAGE_CHANGES * len(page.entries) // max(1, page.changes)))


class CaughtUp(NamedTuple):
    """What a catch-up did.

    ``finished``: the log's end was reached. ``foreign``: names left as they are, because something
    stands there that redrepl did not write. ``reached``: the place in the log up to which it was
    done.
    ``newest_entry``: of the target's own log.
    """

    entries: int
    records: int
    payload_bytes: int
    finished: bool
    foreign: tuple[bytes, ...] = ()
    reached: Position | None = None
    newest_entry: bytes = b""


def ship_log(
    view: ClusterView,
    source: NodeReport,
    target: str,
    start: Mark,
    steps: Steps,
    stop_at: float,
    where: bytes = ON_ACTIVE,
    merges: bool = False,
    skips_gone: bool = False,
    newest_entry: bytes = b"",
) -> Plan[CaughtUp]:
    """Ship what the log names after ``start``, until where it ended in the report, or until
    ``stop_at``.

    What came after the report is the next call's: under steady writes the end would move on for
    ever. While the target stores one page, the next is read. ``merges``, ``skips_gone``,
    ``newest_entry``: see `Copier`.
    """
    copier = Copier(view, source, target, steps, where, merges, skips_gone)
    copier.frees_memory = True
    copier.newest_entry = newest_entry
    shipping = _Shipping(view, source, copier, start, steps)
    finished = yield from shipping.carry_out(stop_at)

    shipped, foreign = shipping.shipped, tuple(copier.foreign)
    return CaughtUp(
        shipped,
        copier.records,
        copier.bytes,
        finished,
        foreign,
        shipping.reached,
        copier.newest_entry,
    )


class _Shipping:
    """Shipping a source's log to one target: while this stores a page, the next one is read."""

    def __init__(
        self, view: ClusterView, source: NodeReport, copier: Copier, start: Mark, steps: Steps
    ) -> None:
        self._view = view
        self._source = source
        self._copier = copier
        self._start = start
        self._steps = steps
        self._position = start.position
        self._confirming = _Confirming(view, source, copier.target, copier.lanes, start.position)

    @property
    def reached(self) -> Position:
        """The last position that was noted on the source as acknowledged."""
        return self._confirming.reached

    @property
    def shipped(self) -> int:
        """How many entries that is."""
        return self.reached.entries - self._start.position.entries

    def carry_out(self, stop_at: float) -> Plan[bool]:
        """Ship page after page; returns whether the log's end, as reported, was reached."""
        coming = self._ask_for_page(FIRST_PAGE_ENTRIES)
        finished = is_last = False
        while not is_last:
            page = yield from self._take_page(coming)
            finished = not page.entries or self._position.entries >= self._source.log.added
            is_last = finished or self._steps.at >= stop_at
            if not is_last:
                coming = self._ask_for_page(next_count(page))

            yield from self._store(page)
            if is_last:
                yield from self._copier.settle()
            yield from self._confirming.follow(self._copier.stored)
            yield self._progress()

        yield from self._confirming.settle()
        if self._copier.full is not None:
            raise self._copier.full
        return finished

    def _ask_for_page(self, count: int) -> int:
        call = _page_call(self._view, self._source, self._position, count)
        return self._copier.lanes.start(self._source.node, call, "reading the change log")

    def _take_page(self, coming: int) -> Plan[Page]:
        content = yield from self._copier.lanes.answer(coming)
        prefix = self._view.layout.data_prefix
        page = _page_of(parse_log_page(content), self._position, self._source.node, prefix)
        self._position = page.end
        return page

    def _store(self, page: Page) -> Plan[None]:
        """Have the target store what a page names, and its applied position move with that."""
        if page.entries or self._position == self._start.position:
            # Also where there is nothing: the start may follow from a checkpoint, and a mark of its
            # own lasts longer.
            yield from self._copier.send(page.stamps, Mark(self._start.incarnation, self._position))

    def _progress(self) -> Progress:
        total = max(0, self._source.log.added - self._start.position.entries)
        return Progress(f"{self._source.node} to {self._copier.target}", self.shipped, total)


class _Confirming:
    """Notes on the source what is on the target, without waiting each time.

    ``reached``: the last place noted.
    """

    def __init__(
        self, view: ClusterView, source: NodeReport, target: str, lanes: Lanes, start: Position
    ) -> None:
        self.reached = start
        self._view = view
        self._source = source
        self._target = target
        self._lanes = lanes
        self._ticket: int | None = None

    def follow(self, stored: Position | None) -> Plan[None]:
        """Note a place that the target has answered for, unless it is noted already."""
        if self._ticket is not None and stored in (None, self.reached):
            return
        yield from self.settle()
        self.reached = stored or self.reached
        call = _confirm_call(self._view, self._source, self._target, self.reached, force=False)
        self._ticket = self._lanes.start(self._source.node, call, "noting what is confirmed")

    def settle(self) -> Plan[None]:
        """Wait for the answer to the last note. Raises for a refusal."""
        if self._ticket is not None:
            ticket, self._ticket = self._ticket, None
            answer = parse_noted((yield from self._lanes.answer(ticket)))
            admitted(answer, self._source.node, self._view.epoch)


def confirm(
    view: ClusterView,
    source: NodeReport,
    target: str,
    position: Position,
    steps: Steps,
    force: bool = False,
) -> Plan[None]:
    """Note on the source that its log is on the target up to here.

    ``source``: as the node was when the place was found in its log. Nothing is noted where that
    log was begun anew since: a job may be late by as much as it takes to bring the source up.
    """
    call = _confirm_call(view, source, target, position, force)
    yield from note_on_member(view, source.node, call, "noting what is confirmed", steps)


def forget_cursors(view: ClusterView, source: NodeReport, steps: Steps) -> Plan[None]:
    """Have a log that replaced a lost one count as confirmed nowhere: the old cursors would hide
    what it names.
    """
    for target, cursor in source.cursors.items():
        if cursor.position.entries > source.log.added:
            call = _cursor_call(view, target, Position(LOG_START, 0), force=True, incarnation="")
            yield from note_on_member(view, source.node, call, "noting what is confirmed", steps)


def _confirm_call(
    view: ClusterView, source: NodeReport, target: str, position: Position, force: bool
) -> ScriptCall:
    return _cursor_call(view, target, position, force, source.incarnation)


def _cursor_call(
    view: ClusterView, target: str, position: Position, force: bool, incarnation: str
) -> ScriptCall:
    """``incarnation``: of the log that the place is in; '' for the beginning of any log."""
    layout, field = view.layout, view.position_fields[target]
    place = (position.id.encode(), position.entries)
    arguments = (view.epoch, field, *place, b"1" if force else b"0", incarnation.encode())
    return ScriptCall("confirm", (layout.member, layout.log, layout.cursors), arguments)


def trim_log(
    view: ClusterView,
    source: NodeReport,
    keep_from: str,
    cap_entries: int,
    steps: Steps,
    held: str = "",
    cap_bytes: int = 0,
) -> Plan[int]:
    """Cut a node's log, unless it was begun anew since the report; returns how many entries went.

    held: the place from which on a walk needs the log, '' for none: it may then take ``cap_bytes``.
    """
    layout, node = view.layout, source.node
    places = (keep_from.encode(), cap_entries, held.encode(), cap_bytes)
    arguments = (view.epoch, *places, source.incarnation.encode())
    call = ScriptCall("trim", (layout.member, layout.log), arguments)
    return (
        yield from ask_member(view, node, call, parse_count, "cutting the change log", steps)
    ).number


def positions_before(page: Page, names: Sequence[bytes], start: Position) -> Position:
    """The last place in the page before any entry that holds one of these names."""
    open_names = set(names)
    position = start
    for stream_id, fields in page.entries:
        if not open_names.isdisjoint(fields[::2]):
            break
        position = Position(stream_id.decode(), min(position.entries + 1, page.end.entries))
    return position
