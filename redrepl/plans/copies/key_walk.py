"""Walking over all keys of a node, page by page."""

from __future__ import annotations

from collections.abc import Sequence

from redrepl.plans.copies.headers import holds_record, stamp_in
from redrepl.plans.scan import SCAN_START, parse_page, read_headers, scan_command
from redrepl.plans.steps import Steps
from redrepl.plans.view import FOR_UPKEEP, ClusterView
from redrepl.values.effects import Plan
from redrepl.values.stamp import Stamp


class KeyWalk:
    """All users' keys of a node; a name may come twice over a whole walk.

        keys = KeyWalk(view, node, steps)
        while not keys.is_over:
            names = yield from keys.next_page()

    A page may be empty. cursor: where the next page begins; a later walk of the same run of the
    server may begin there. is_over: the last page has been read. doing: named where the node gives
    no answer.
    """

    def __init__(
        self,
        view: ClusterView,
        node: str,
        steps: Steps,
        cursor: bytes = SCAN_START,
        doing: str = "listing keys",
    ) -> None:
        self.cursor = cursor
        self.is_over = False
        self._view = view
        self._node = node
        self._steps = steps
        self._doing = doing

    def next_page(self, count: int | None = None) -> Plan[list[bytes]]:
        """The next names. ``count``: keys that the server looks at, SCAN_KEYS unless told.

        Raises Unavailable where the node gives no answer.
        """
        command = scan_command(self._view, self.cursor, count=count)
        answer = yield from self._steps.ask(self._node, command, self._doing)
        self.cursor, names = parse_page(answer, self._view.layout.data_prefix)
        self.is_over = self.cursor == SCAN_START
        return names


def read_stamps(
    view: ClusterView,
    node: str,
    names: Sequence[bytes],
    steps: Steps,
    where: bytes = FOR_UPKEEP,
) -> Plan[dict[bytes, Stamp]]:
    """The stamps of the records under these names, without names that have no record."""
    headers = yield from read_headers(view, node, list(names), steps, where)
    pairs = zip(names, headers, strict=True)
    return {name: stamp_in(header) for name, header in pairs if holds_record(header)}
