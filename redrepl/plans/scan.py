"""Walking over a node's keys."""

from __future__ import annotations

from redrepl.plans.steps import Steps
from redrepl.plans.view import FOR_UPKEEP, ON_ACTIVE, ClusterView, admitted
from redrepl.values import limits
from redrepl.values.answers.reads import parse_headers
from redrepl.values.effects import Answer, PlainCommand, Plan, ScriptCall
from redrepl.values.record import NO_DEADLINE

SCAN_START = b"0"
FOREIGN = b"foreign"


def scan_page(
    view: ClusterView, node: str, cursor: bytes, steps: Steps, prefix: bytes = b""
) -> Plan[tuple[bytes, list[bytes]]]:
    """One page of names of user keys; a name may come twice over a whole walk.

    Cursor `0` again: the walk is over.
    """
    answer = yield from steps.ask(node, scan_command(view, cursor, prefix), "listing keys")
    return parse_page(answer, view.layout.data_prefix + prefix)


def scan_command(
    view: ClusterView, cursor: bytes, prefix: bytes = b"", count: int | None = None
) -> PlainCommand:
    """The request of `scan_page`; ``count``: keys that the server looks at, SCAN_KEYS unless
    told.
    """
    pattern = view.layout.pattern_for(prefix)
    return PlainCommand((b"SCAN", cursor, b"MATCH", pattern, b"COUNT", count or limits.SCAN_KEYS))


def parse_page(answer: Answer, prefix: bytes) -> tuple[bytes, list[bytes]]:
    """What `scan_page` returns, from the server's answer.

    Names that were not asked for are left out.
    """
    following, names = answer
    return following, [name for name in dict.fromkeys(names) if name.startswith(prefix)]


def read_headers(
    view: ClusterView, node: str, names: list[bytes], steps: Steps, where: bytes = FOR_UPKEEP
) -> Plan[list[bytes]]:
    """The 35-byte headers under these names, b'' where nothing stands, FOREIGN where no record
    does.

    SCAN_KEYS of them are asked for at a time.
    """
    headers: list[bytes] = []
    for start in range(0, len(names), limits.SCAN_KEYS):
        call: ScriptCall = view.headers_call(names[start : start + limits.SCAN_KEYS], where)
        answer = parse_headers((yield from steps.ask(node, call, "reading headers")))
        headers += admitted(answer, node, view.epoch).headers
    return headers


def header_is_live(header: bytes, now_millis: int) -> bool:
    """Whether a header belongs to a value that reads as present."""
    if header[22:23] != b"v":
        return False
    deadline = int(header[23:35], 16)
    return deadline == NO_DEADLINE or deadline > now_millis


def scan_names(
    view: ClusterView, node: str, prefix: bytes, cursor: bytes, now_millis: int, steps: Steps
) -> Plan[tuple[bytes, list[bytes]]]:
    """One page of names whose records read as present."""
    following, names = yield from scan_page(view, node, cursor, steps, prefix)
    if not names:  # that there are none is told by a node that serves, or by nobody
        guard = yield from steps.ask(
            node, PlainCommand((b"GET", view.layout.guard)), "listing keys"
        )
        view.check_serving(guard, node)
    headers = yield from read_headers(view, node, names, steps, ON_ACTIVE)
    live = [
        name
        for name, header in zip(names, headers, strict=True)
        if header_is_live(header, now_millis)
    ]
    return following, live
