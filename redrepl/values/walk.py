"""What is kept of a walk that fills a node: where to go on, and from where on the source's log is
needed afterwards.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from redrepl.values.reading import entry_id, is_cursor, load_json, whole_number
from redrepl.values.report import NodeReport, Position
from redrepl.values.sweep import check_counts, check_texts

COPYING = "copying"
COMPARING = "comparing"
WALKED = "walked"
"""Phases: the source's keys are copied; the target's keys are looked at, for what it has too much;
all is done.
"""

_FIELD = "walk "
_HOLD = "hold "
_START = "0"


@dataclass(frozen=True, slots=True)
class Walk:
    """A walk over all keys of a source, to fill a target; kept in the target's member hash beside
    what it brought.

    incarnation, source_run: of the source's log, and the run of its server, in which a cursor has a
    meaning.
    target_run: the same for the target, whose keys are walked second. merged_epoch: the last epoch
    that began with a merge; a walk is not resumed across the next one. began: where the source's
    log ended then. What the source had under the names walked so far is on the target, or its log
    names it after that place. keys, total: walked so far in this phase, and to walk, as far as that
    is known. begun_anew: how often before, because the log was cut behind ``began``. doubt: why the
    target may have dropped records by a wrong clock, if it may; with another reason later, what had
    been copied by then may be gone.
    """

    incarnation: str
    source_run: str
    target_run: str
    merged_epoch: int
    began: Position
    doubt: str = ""
    phase: str = COPYING
    cursor: str = _START
    keys: int = 0
    total: int = 0
    begun_anew: int = 0

    def encode(self) -> bytes:
        """As it is stored."""
        return json.dumps(asdict(self), separators=(",", ":")).encode()

    @classmethod
    def parse(cls, text: str) -> Walk:
        """Read what `encode` wrote. Raises ValueError on anything else."""
        try:
            content = load_json(text)
            stream_id, entries = content["began"]
            found = cls(
                **{**content, "began": Position(entry_id(stream_id), whole_number(entries))}
            )
            check_texts(
                [found.incarnation, found.source_run, found.target_run, found.doubt, found.phase]
            )
            check_counts([found.merged_epoch, found.keys, found.total, found.begun_anew])
            if not is_cursor(found.cursor):
                raise ValueError(f"no cursor: {found.cursor!r:.80}")
            return found
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"not a walk: {text!r:.80}") from error

    def next_phase(self, phase: str, total: int = 0) -> Walk:
        """The same walk at the beginning of a phase."""
        return replace(self, phase=phase, cursor=_START, keys=0, total=total)


def doubt_about(target: NodeReport) -> str:
    """What a walk notes of a target that dropped records by a wrong clock, or forgot some; '' where
    neither may be.

    It is another one each time: a worker that is slow may note its walk when that is over, and the
    note stays.
    """
    doubts = []
    if target.has_forgotten:
        doubts.append(target.member["run_id"])
    if target.is_in_doubt:
        latest = target.latest_millis if target.was_ahead_seconds else ""
        doubts.append(f"{target.clock_off} {latest} since {target.clock_checked}")
    return ", ".join(doubts)


def field_of(source: str) -> str:
    """The field of a target's member hash with its walk over a source."""
    return _FIELD + source


def hold_field_of(target: str) -> str:
    """The field of a source's member hash that keeps its log for a walk of this target."""
    return _HOLD + target


def read_walk(target: NodeReport, source: str) -> Walk | None:
    """The walk that is noted on the target, None where there is none, or none that this version
    understands.
    """
    try:
        return Walk.parse(target.member[field_of(source)])
    except (KeyError, ValueError):
        return None


def walks_under_way(target: NodeReport) -> dict[str, Walk]:
    """The walks that are noted on the target, by source."""
    sources = [name.removeprefix(_FIELD) for name in walks_on(target.member)]
    return {source: walk for source in sources if (walk := read_walk(target, source)) is not None}


def walks_on(member: Mapping[str, str]) -> dict[str, str]:
    """The fields of a member hash that note walks, as far as they are not over, each with '' in
    place of its text.
    """
    return {name: "" for name, text in member.items() if name.startswith(_FIELD) and text}


def held_for(source: NodeReport, target: str, hold_seconds: float) -> Position | None:
    """From where on a source keeps its log for a walk of this target; None where no hold is in
    force.

    A hold runs out by the source's own clock. One that lasts longer than any does is left from
    before a step of it.
    """
    try:
        stream_id, entries, until_millis = source.member[hold_field_of(target)].split()
        left = whole_number(until_millis) - source.now_millis
        return (
            Position(entry_id(stream_id), whole_number(entries))
            if 0 < left <= hold_seconds * 1000
            else None
        )
    except (KeyError, ValueError):
        return None
