"""Reading a change log to its end, page by page."""

from __future__ import annotations

from redrepl.plans.copies.catch_up import FIRST_PAGE_ENTRIES, Page, next_count, read_page
from redrepl.plans.steps import Steps
from redrepl.plans.view import ClusterView
from redrepl.values.effects import Plan
from redrepl.values.report import NodeReport, Position


class LogReader:
    """What a node's log names after a position.

        log = LogReader(view, source, start, steps)
        while (page := (yield from log.next_page())) is not None:
            ...

    position: up to where it has been read.
    """

    def __init__(
        self, view: ClusterView, source: NodeReport, start: Position, steps: Steps
    ) -> None:
        self.position = start
        self._view = view
        self._source = source
        self._steps = steps
        self._count = FIRST_PAGE_ENTRIES

    def next_page(self) -> Plan[Page | None]:
        """The next entries; None at the end of the log. Raises as `read_page` does."""
        page = yield from read_page(
            self._view, self._source, self.position, self._count, self._steps
        )
        if not page.entries:
            return None

        self.position = page.end
        self._count = next_count(page)
        return page
