"""A confirmed read that finds nothing on the primary, where another copy holds a live record.

The primary may have lost it: by a clock that was ahead and dropped what has a deadline, or by
somebody's hand. Where the logs prove that it had exactly this record, it gets it back, and the read
begins again (docs/protocol.md, 4.1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from redrepl.plans.operations.read import Confirmed, read_confirmed
from redrepl.plans.scan import FOREIGN
from redrepl.plans.view import ClocksDiffer, ClusterView, InDoubt, ask
from redrepl.values import limits
from redrepl.values.answers.reads import Headers, Vouched, parse_headers, parse_vouch
from redrepl.values.answers.upkeep import Counted, parse_count
from redrepl.values.effects import (
    Ask,
    DeadlinePassed,
    Exchange,
    Plan,
    Reply,
    Request,
    ScriptCall,
    Wait,
)
from redrepl.values.record import NO_DEADLINE, VALUE
from redrepl.values.stamp import STAMP_BYTES


def read_mended(
    view: ClusterView,
    home: str,
    keys: Sequence[bytes],
    required: int,
    until: float,
    now_micros: int,
    compares: bool = False,
) -> Plan[Confirmed]:
    """`read_confirmed`, after which the primary has again what it is proved to have lost of these
    keys.

    now_micros: the client's clock. What cannot be proved reads as absent, because only the primary
    decides. A primary whose clock is known to have been ahead answers nothing instead, as
    `read_confirmed` says.
    compares: the caller compares its clock with the nodes' where one differs, and reads again:
    raises ClocksDiffer.
    """
    reading = read_confirmed(view, home, keys, required, until, now_micros)
    if view.decider is None or not required:
        return (yield from reading)
    try:
        confirmed = yield from reading
    except InDoubt as doubt:
        if compares and isinstance(doubt, ClocksDiffer):
            raise
        shown = yield from _ask_others(view, home, keys, required, until)
        lost = _lost(keys, range(len(keys)), shown, now_micros)
        restored = (yield from _mend_all(view, home, lost, until, now_micros)) if lost else 0
        if not restored:
            raise
    else:
        if None not in confirmed.records:
            return confirmed
        absent = [place for place, record in enumerate(confirmed.records) if record is None]
        lost = _lost(keys, absent, confirmed.shown, now_micros)
        restored = (yield from _mend_all(view, home, lost, until, now_micros)) if lost else 0
        if not restored:
            return confirmed
    confirmed = yield from read_confirmed(view, home, keys, required, until, now_micros)
    return confirmed._replace(restored=restored)


def _lost(
    keys: Sequence[bytes],
    absent: Sequence[int],
    shown: Mapping[str, Sequence[bytes]],
    now_micros: int,
) -> dict[str, list[bytes]]:
    """Keys that the primary may have lost, by the copy that shows the latest record of each, where
    that is live.
    """
    lost: dict[str, list[bytes]] = {}
    for place in absent:
        found = [
            (headers[place][:STAMP_BYTES], node)
            for node, headers in shown.items()
            if headers[place] != FOREIGN
        ]
        stamp, node = max(found, default=(b"", ""))
        if stamp and _is_live(shown[node][place], now_micros):
            lost.setdefault(node, []).append(keys[place])
    return lost


def _is_live(header: bytes, now_micros: int) -> bool:
    deadline = int(header[23:35], 16)
    return header[22:23] == VALUE and (deadline == NO_DEADLINE or deadline * 1000 > now_micros)


def _ask_others(
    view: ClusterView, home: str, keys: Sequence[bytes], required: int, until: float
) -> Plan[dict[str, Sequence[bytes]]]:
    """Headers of as many other copies as must confirm a read, or of those that answer in time."""
    call = view.headers_call([view.layout.data(key) for key in keys])
    left, shown = len(view.others[home]), dict[str, Sequence[bytes]]()
    effect: Exchange = Ask(tuple(Request(node, call) for node in view.others[home]), until)
    while left and len(shown) < required:
        event = yield effect
        effect = Wait(until)
        if isinstance(event, DeadlinePassed):
            break
        left -= 1
        if isinstance(event, Reply) and isinstance(answer := parse_headers(event.content), Headers):
            shown[event.node] = answer.headers
    return shown


def _mend_all(
    view: ClusterView, home: str, lost: Mapping[str, Sequence[bytes]], until: float, now_micros: int
) -> Plan[int]:
    """Have the primary take back what copies vouch for; answers how many records it stored."""
    stored = 0
    for copy, keys in lost.items():
        while keys:
            vouched = yield from _vouch(view, home, copy, keys, until)
            if vouched is None or not vouched.keys:
                break
            part, keys = keys[: vouched.keys], keys[vouched.keys :]
            stored += yield from _mend(view, home, copy, part, vouched, until, now_micros)
    return stored


def _vouch(
    view: ClusterView, home: str, copy: str, keys: Sequence[bytes], until: float
) -> Plan[Vouched | None]:
    """What a copy's log tells of the first of these keys; None where it refused or did not
    answer.
    """
    layout, primary = view.layout, view.position_fields[home]
    arguments = (view.epoch, primary, limits.LOOKED_AT_NAMES, limits.BATCH_BYTES)
    names = tuple(layout.data(key) for key in keys)
    call = ScriptCall(
        "vouch", (layout.member, layout.log, layout.cursors, layout.marks, *names), arguments
    )
    event = yield ask(copy, call, until)
    answer = parse_vouch(event.content) if isinstance(event, Reply) else None
    return answer if isinstance(answer, Vouched) else None


def _mend(
    view: ClusterView,
    home: str,
    copy: str,
    keys: Sequence[bytes],
    vouched: Vouched,
    until: float,
    now_micros: int,
) -> Plan[int]:
    """Have the primary store what a copy vouched for; returns how many records that were."""
    layout, field = view.layout, view.position_fields[copy]
    head: tuple[bytes | int, ...] = (
        view.epoch,
        now_micros,
        field,
        *vouched.positions,
        limits.LOOKED_AT_NAMES,
    )
    names = tuple(layout.data(key) for key in keys)
    call = ScriptCall(
        "mend", (layout.member, layout.log, layout.marks, *names), (*head, *vouched.records)
    )
    event = yield ask(home, call, until)
    answer = parse_count(event.content) if isinstance(event, Reply) else None
    return answer.number if isinstance(answer, Counted) else 0
