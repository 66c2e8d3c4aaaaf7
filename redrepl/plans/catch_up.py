"""Catching up from a change log: newest state per key, the mark moving with the data, then the cursor on the source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from redrepl.plans.copying import Copier
from redrepl.plans.steps import Steps
from redrepl.plans.view import ClusterView, check_admitted
from redrepl.values.effects import PlainCommand, Plan, Progress, ScriptCall
from redrepl.values.report import LOG_START, Mark, NodeReport, Position, id_order
from redrepl.values.stamp import Stamp

PAGE_CHANGES = 1000
"""Changes to read from a log at a time. An entry of a batch holds many, so the number of entries follows."""


class Page(NamedTuple):
    """A stretch of a change log: the newest stamp of each name, the entries read, and the place after them."""

    newest: dict[bytes, Stamp]
    entries: list[tuple[bytes, list[bytes]]]
    end: Position

    @property
    def changes(self) -> int:
        """Changes in the page, several of one key counted each."""
        return sum(len(fields) // 2 for _, fields in self.entries)


def starting_mark(source: NodeReport, target: NodeReport) -> Mark | None:
    """Where the target may go on in the source's log; None where only a full sync will do.

    A mark counts only for the log it was made in: same incarnation (or the one before, up to where that ended), not cut
    off since, and not beyond the log's end, which would mean that the source lost part of it. Without such a mark a log
    that is complete since its beginning can be read from there.
    """
    mark = target.marks.get(source.node)
    if mark is not None and _is_of_this_log(source, mark) and _is_within(source, mark):
        return Mark(source.incarnation, mark.position)
    complete = source.log_floor == LOG_START
    return Mark(source.incarnation, Position(LOG_START, 0)) if complete else None


def _is_within(source: NodeReport, mark: Mark) -> bool:
    """Whether the log still has everything after the mark, and reaches as far as the mark."""
    return id_order(source.log_floor) <= mark.position.order <= id_order(source.log.last_id)


def _is_of_this_log(source: NodeReport, mark: Mark) -> bool:
    """Whether the log is the mark's, or went on from it without loss before the mark when its incarnation changed."""
    if mark.incarnation == source.incarnation:
        return True
    if source.member.get("previous_incarnation") != mark.incarnation:
        return False
    return mark.position.order <= id_order(source.member.get("previous_end", LOG_START))


def read_page(view: ClusterView, node: str, after: Position, count: int, steps: Steps) -> Plan[Page]:
    """The next entries of a node's log."""
    command = PlainCommand((b"XRANGE", view.layout.log, b"(" + after.id.encode(), b"+", b"COUNT", count))
    entries = yield from steps.ask(node, command, "reading the change log")
    newest: dict[bytes, Stamp] = {}
    for _, fields in entries:
        for index in range(0, len(fields), 2):
            stamp = Stamp.parse(fields[index + 1])
            if stamp > newest.get(fields[index], stamp) or fields[index] not in newest:
                newest[fields[index]] = stamp
    end = Position(entries[-1][0].decode(), after.entries + len(entries)) if entries else after
    return Page(newest, entries, end)


def next_count(page: Page) -> int:
    """Entries to read next, so that about PAGE_CHANGES changes come."""
    return max(1, min(PAGE_CHANGES, PAGE_CHANGES * len(page.entries) // max(1, page.changes)))


class CaughtUp(NamedTuple):
    """What a catch-up did. ``finished``: the log's end was reached. ``foreign``: names left as they are, because
    something stands there that redrepl did not write.
    """

    entries: int
    records: int
    payload_bytes: int
    finished: bool
    foreign: tuple[bytes, ...] = ()


def ship_log(
    view: ClusterView, source: NodeReport, target: str, start: Mark, steps: Steps, stop_at: float
) -> Plan[CaughtUp]:
    """Ship what the log names after ``start``, until where it ended in the report, or until ``stop_at``.

    What came after the report is the next call's: under steady writes the end would move on for ever.
    """
    copier = Copier(view, source.node, target, steps, source.now_millis)
    position, count = start.position, PAGE_CHANGES // 10
    total = max(0, source.log.added - position.entries)
    while True:
        page = yield from read_page(view, source.node, position, count, steps)
        if not page.entries:
            finished = True
            break
        yield from copier.copy(page.newest, Mark(start.incarnation, page.end))
        position, count = page.end, next_count(page)
        yield from confirm(view, source.node, target, position, steps)
        yield Progress(f"{source.node} to {target}", position.entries - start.position.entries, total)
        finished = position.entries >= source.log.added
        if finished or steps.at >= stop_at:
            break
    if position == start.position:
        yield from confirm(view, source.node, target, position, steps)
    return CaughtUp(
        position.entries - start.position.entries, copier.records, copier.bytes, finished, tuple(copier.foreign)
    )


def confirm(
    view: ClusterView, source: str, target: str, position: Position, steps: Steps, force: bool = False
) -> Plan[None]:
    """Note on the source that its log is on the target up to here."""
    layout = view.layout
    arguments = (view.epoch, target.encode(), position.id.encode(), position.entries, b"1" if force else b"0")
    call = ScriptCall("confirm", (layout.member, layout.cursors), arguments)
    check_admitted((yield from steps.ask(source, call, "noting what is confirmed")), source, view.epoch)


def trim_log(view: ClusterView, node: str, keep_from: str, cap_entries: int, steps: Steps) -> Plan[int]:
    """Cut a node's log; answers how many entries went."""
    layout = view.layout
    call = ScriptCall("trim", (layout.member, layout.log), (view.epoch, keep_from.encode(), cap_entries))
    content = yield from steps.ask(node, call, "cutting the change log")
    check_admitted(content, node, view.epoch)
    removed: int = content[1]
    return removed


def positions_before(page: Page, names: Sequence[bytes], start: Position) -> Position:
    """The last place in the page before any entry that holds one of these names."""
    open_names = set(names)
    position = start
    for stream_id, fields in page.entries:
        if not open_names.isdisjoint(fields[::2]):
            break
        position = Position(stream_id.decode(), position.entries + 1)
    return position
