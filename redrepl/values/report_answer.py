"""Reading what a node tells about itself: at this one edge, whole, and within limits.

What no node of ours tells is no reason for anybody's error but that node's: it counts as one that
gives no answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from redrepl.values import limits
from redrepl.values.clocks import ClockReading
from redrepl.values.effects import Answer
from redrepl.values.errors import ConfigError
from redrepl.values.reading import entry_id, whole_number
from redrepl.values.report import (
    LOG_START,
    AsFound,
    Checkpoint,
    Cursor,
    LastEntry,
    Log,
    Mark,
    NodeReport,
    Position,
)
from redrepl.values.topology import Topology

T = TypeVar("T")
K = TypeVar("K")

UNREADABLE = (ConfigError, ValueError, TypeError, AttributeError, LookupError, RecursionError)
"""What reading an answer may raise that no node of ours gives."""


class Unreadable(str):
    """In place of a report: why what a node tells of itself cannot be true.

    ``as_found``: of whom that was.
    """

    as_found: AsFound

    def __new__(cls, reason: str, as_found: AsFound) -> Unreadable:
        made = super().__new__(cls, reason)
        made.as_found = as_found
        return made

    @property
    def epoch(self) -> int:
        """The epoch that it tells, 0 where that cannot be read."""
        found = self.as_found[0]
        return int(found) if re.fullmatch(rb"[0-9]{1,9}", found) else 0

    def stands_in(self, later: object) -> bool:
        """Whether a later look found the same.

        One look is not enough to touch anything: what a node tells is measured by what others told,
        and where its answer was long under way, an epoch may have begun since theirs.
        """
        return isinstance(later, Unreadable) and later.as_found == self.as_found


def as_found_in(answer: Answer) -> AsFound:
    """What stands in the member hash in an answer of `inspect` that cannot be read; nothing where
    there is none.
    """
    flat = answer[0] if isinstance(answer, list) and answer and isinstance(answer[0], list) else []
    pairs = (
        dict(zip(flat[::2], flat[1::2], strict=False))
        if all(type(part) is bytes for part in flat)
        else {}
    )
    return (
        pairs.get(b"epoch", b""),
        pairs.get(b"state", b""),
        pairs.get(b"run_id", b""),
        pairs.get(b"identity", b""),
    )


def parse_report(
    node: str,
    answer: Answer,
    run_id: str,
    between: tuple[float, float] | None = None,
    last: LastEntry | None = None,
) -> NodeReport:
    """Read the answer of the script `inspect`.

    ``between``: the driver's clock at the question and at the answer.
    ``last``: the entry that was asked for.

    Raises one of UNREADABLE where no node of ours gives this answer. What can be done without
    (cursors, marks, checkpoints, a topology) is left out where it cannot be read: it is made anew.
    """
    member, log, cursors, marks, topology, now, clusters, checkpoints, sweep, guard, *damaged = (
        answer
    )
    length, last_id, added, first_id, newest_id, is_there = log
    if damaged and damaged[0]:
        raise ValueError(f"{damaged[0].decode(errors='replace')} is of another type")
    report = NodeReport(
        node=node,
        member=_pairs(member),
        run_id=run_id,
        log=Log(
            whole_number(length),
            entry_id(last_id.decode()),
            whole_number(added),
            _id_or_none(first_id),
            _id_or_none(newest_id),
        ),
        cursors=_readable(_cursor, _pairs(cursors)),
        marks=_readable(_mark, _pairs(marks)),
        topology=_topology_in(topology),
        now_millis=whole_number(now),
        clusters=_pairs(clusters),
        checkpoints=tuple(
            _readable(Checkpoint.parse, dict(enumerate(map(_text, checkpoints)))).values()
        ),
        sweep=_pairs(sweep),
        guard=guard.decode(errors="replace"),
        clock=ClockReading(int(now) / 1000 - between[1], (int(now) + 1) / 1000 - between[0])
        if between
        else None,
    )
    _check_member(report)
    if last is not None and report.lacks(last, bool(is_there)):
        return replace(report, lost=last)
    return report


_RULES = ("decide", "follow", "merge")
_MICROS_FIELDS = (
    "max_age_micros",
    "max_skew_micros",
    "purged_before",
    "clock_latest",
    "clock_checked",
)
_WHOLE = re.compile(r"[0-9]{1,18}").fullmatch


def _check_member(report: NodeReport) -> None:
    """Raise ValueError unless the member hash holds what this library writes there."""
    member = report.member
    if not member:
        return
    if missing := [
        name for name in ("cluster", "node", "epoch", "state", "run_id") if not member.get(name)
    ]:
        raise ValueError(f"{missing[0]} is missing")
    for name in ("cluster", "node", "run_id", "identity"):
        if not member.get(name, "").isascii():  # as it was read it is never found there again
            raise ValueError(f"{name} is {member[name]!r:.80}")
    for name in (*_MICROS_FIELDS, "epoch", "lineage", "era", "settled"):
        if name in member and not _WHOLE(member[name]):
            raise ValueError(f"{name} is {member[name]!r:.80}")
    if not 0 < report.epoch <= limits.MAX_EPOCH or max(report.era, report.lineage) > report.epoch:
        raise ValueError(
            f"epoch, lineage and era are {report.epoch}, {report.lineage}, {report.era}"
        )
    if (
        report.state.serves and report.lineage != report.epoch
    ):  # both are written in the step that lets it serve
        raise ValueError(f"active in epoch {report.epoch}, of lineage {report.lineage}")
    if not report.state.is_stored or member.get("rule", _RULES[0]) not in _RULES:
        raise ValueError(
            f"state and rule are {member['state']!r:.80} and {member.get('rule')!r:.80}"
        )
    max_age_seconds = int(member.get("max_age_micros", "1")) / 1e6
    if (
        not 0 < max_age_seconds <= limits.MAX_AGE_SECONDS
        or report.max_skew_seconds > limits.MAX_AGE_SECONDS
    ):
        raise ValueError("max_age_micros or max_skew_micros is out of range")
    for name in ("log_floor", "previous_end"):
        entry_id(member.get(name, LOG_START))
    if report.voided is not None and not report.voided.node:
        raise ValueError(f"voided is {member['voided']!r:.80}")


def _id_or_none(text: bytes) -> str:
    return entry_id(text.decode()) if text else ""


def _topology_in(text: bytes) -> Topology | None:
    """The topology that a node tells, None where it tells none that can be read."""
    try:
        return Topology.parse(text) if text else None
    except (ConfigError, RecursionError):
        return None


def _readable(read: Callable[[str], T], texts: Mapping[K, str]) -> dict[K, T]:
    """What can be read of this."""
    found = {}
    for name, text in texts.items():
        with suppress(ValueError):
            found[name] = read(text)
    return found


def _text(part: bytes) -> str:
    return part.decode(errors="replace")


def _pairs(flat: Sequence[bytes]) -> dict[str, str]:
    decoded = [_text(part) for part in flat]
    return dict(zip(decoded[::2], decoded[1::2], strict=True))


def _cursor(text: str) -> Cursor:
    stream_id, count, at_millis = text.split()
    return Cursor(Position(entry_id(stream_id), whole_number(count)), whole_number(at_millis))


def _mark(text: str) -> Mark:
    incarnation, stream_id, count = text.split()
    return Mark(incarnation, Position(entry_id(stream_id), whole_number(count)))
