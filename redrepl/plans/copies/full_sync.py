"""Making a node equal to its source by walking over all keys, for when the log does not suffice.

First everything the source has and the target lacks; then, with one primary, what the target has
and the source does not: undecided or left over from another life. With several primaries nothing is
taken away: what a target has more is what the others do not have yet.

A walk over a large node takes long. How far it has come is noted on the target, so that another
worker goes on there, and its beginning holds the source's log, which names what has been changed
since (docs/protocol.md, section 6).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from redrepl.plans.copies.brake import Brake
from redrepl.plans.copies.catch_up import confirm
from redrepl.plans.copies.copying import Copier
from redrepl.plans.copies.key_walk import KeyWalk, read_stamps
from redrepl.plans.copies.member_calls import ask_member, note_on_member
from redrepl.plans.copies.undecided import UNDECIDED, max_age_micros, settle
from redrepl.plans.scan import SCAN_START, parse_page, scan_command
from redrepl.plans.steps import Steps
from redrepl.plans.view import ClusterView
from redrepl.values import limits
from redrepl.values.answers.upkeep import parse_hold
from redrepl.values.effects import PlainCommand, Plan, Progress, ScriptCall
from redrepl.values.errors import Unavailable
from redrepl.values.report import Mark, NodeReport, id_order
from redrepl.values.stamp import Stamp
from redrepl.values.walk import (
    COMPARING,
    COPYING,
    WALKED,
    Walk,
    doubt_about,
    field_of,
    hold_field_of,
    read_walk,
)

NOTE_SECONDS = 1.0
"""How often a walk is noted: what was done since is done again by whoever goes on after a worker
that died.
"""

_RETRY_SECONDS = 0.5


class WalkOrder(NamedTuple):
    """How to go about it.

    why: there may be too much: UNDECIDED records are waited for, DIVERGED ones go at once. stop_at:
    the driver's clock when to stop between pages. anew: begin from the beginning whatever is noted.
    keys_per_second: 0: as fast as clients allow. newest_entry: of the target's own log, as far as
    it is known.
    """

    why: bytes = UNDECIDED
    stop_at: float = float("inf")
    anew: bool = False
    keys_per_second: float = 0.0
    newest_entry: bytes = b""


class FullySynced(NamedTuple):
    """Keys looked at, records copied, and records replaced because the source does not have them,
    in this call.

    finished False: there is more to do, call again. begun_anew: how often the walk had to be, since
    the source's log was cut behind its beginning. newest_entry: of the target's own log, as far as
    it is known.
    """

    keys: int
    copied: int
    replaced: int
    finished: bool = True
    begun_anew: int = 0
    newest_entry: bytes = b""


def full_sync(
    view: ClusterView, source: NodeReport, target: NodeReport, steps: Steps, order: WalkOrder
) -> Plan[FullySynced]:
    """Copy all, take away what is too much, and set the mark to where the source's log stood when
    the walk began.
    """
    walk = None if order.anew else resumable(view, source, target)
    if walk is None:
        total = yield from steps.ask(source.node, PlainCommand((b"DBSIZE",)), "counting keys")
        walk = _begin(view, source, target, total)
    walking = _Walking(view, source, target, steps, order, walk)
    yield from walking.carry_out()
    copier = walking.copier
    begun_anew, newest_entry = walk.begun_anew, copier.newest_entry
    return FullySynced(
        walking.keys, copier.records, walking.replaced, walking.is_over, begun_anew, newest_entry
    )


def is_walked(view: ClusterView, source: NodeReport, target: NodeReport) -> bool:
    """Whether a walk over the source has come to its end, and what is left to do is in the source's
    log.
    """
    walk = resumable(view, source, target)
    return walk is not None and walk.phase == WALKED


def resumable(view: ClusterView, source: NodeReport, target: NodeReport) -> Walk | None:
    """The walk that is noted on the target, if it can be gone on with.

    A cursor has a meaning in one run of a server. The source's log must be whole from where the
    walk began. Nothing may have been merged into the source since, or taken from it.
    """
    walk = read_walk(target, source.node)
    if walk is None or (walk.incarnation, walk.source_run) != (source.incarnation, source.run_id):
        return None
    if walk.merged_epoch != view.topology.merged_epoch or walk.doubt != doubt_about(target):
        return None
    if not id_order(source.log_floor) <= walk.began.order <= source.log_end.order:
        return None
    if walk.target_run != target.run_id:
        # What was brought stands there, or went together with this note; the cursor over its own
        # keys is lost.
        walk = replace(walk, target_run=target.run_id)
        return walk.next_phase(COMPARING, walk.total) if walk.phase == COMPARING else walk
    return walk


def _begin(view: ClusterView, source: NodeReport, target: NodeReport, total: int) -> Walk:
    noted = read_walk(target, source.node)
    is_cut = (
        noted is not None
        and noted.phase != WALKED
        and id_order(source.log_floor) > noted.began.order
    )
    begun_anew = noted.begun_anew + 1 if noted is not None and is_cut else 0
    walk = Walk(
        source.incarnation, source.run_id, target.run_id, view.topology.merged_epoch, source.log_end
    )
    return replace(walk, total=total, begun_anew=begun_anew, doubt=doubt_about(target))


class _Walking:
    """One call's part of a walk. is_over: it has come to its end. keys, replaced: what was looked
    at, and taken away.
    """

    def __init__(
        self,
        view: ClusterView,
        source: NodeReport,
        target: NodeReport,
        steps: Steps,
        order: WalkOrder,
        walk: Walk,
    ) -> None:
        self.is_over = False
        self.keys = 0
        self.replaced = 0
        self.copier = Copier(view, source, target.node, steps)
        self.copier.newest_entry = order.newest_entry
        self._view = view
        self._source = source
        self._target = target
        self._steps = steps
        self._order = order
        self._walk = walk
        self._brake = Brake(view, source.node, self.copier.lanes, steps, order.keys_per_second)
        self._young: dict[bytes, Stamp] = {}
        self._noted_at = steps.at

    def carry_out(self) -> Plan[None]:
        """Go on until the end, or until it is time to stop."""
        yield from self._note()
        if self._walk.phase == COPYING:
            if not (yield from self._copy()):
                return
            self._walk = self._walk.next_phase(COMPARING, self._walk.total)
            yield from self._note()
        if (
            self._walk.phase == COMPARING
            and self._view.decider is not None
            and not (yield from self._take_away())
        ):
            return
        yield from self._end()
        self.is_over = True

    def _copy(self) -> Plan[bool]:
        """Bring the target what the source has; while it stores one page, the next is read.

        False: stopped before that.
        """
        coming = self._ask_for_page(self._walk.cursor.encode())
        while True:
            answer = yield from self.copier.lanes.answer(coming)
            following, names = parse_page(answer, self._view.layout.data_prefix)
            is_last = following == SCAN_START
            is_pausing = is_last or self._is_due()
            if not is_pausing:
                coming = self._ask_for_page(following)
            yield from self.copier.send_page(names)
            self._count(following, names)
            yield self._progress("copy")
            if is_pausing:
                yield from self.copier.settle()
            if is_last:
                return True
            if is_pausing:
                yield from self._note()
                if self._steps.at >= self._order.stop_at:
                    return False
                coming = self._ask_for_page(following)
            yield from self._brake.after(len(names))

    def _ask_for_page(self, cursor: bytes) -> int:
        """Have the source list its next keys; returns the number of the request."""
        command = scan_command(self._view, cursor, count=self._brake.page_keys)
        return self.copier.lanes.start(self._source.node, command, "listing keys")

    def _take_away(self) -> Plan[bool]:
        """Settle what the target has and the source does not. False: stopped before that."""
        keys = KeyWalk(self._view, self._target.node, self._steps, self._walk.cursor.encode())
        while True:
            names = yield from keys.next_page(self._brake.page_keys)
            yield from self._settle(
                (yield from read_stamps(self._view, self._target.node, names, self._steps))
            )
            self._count(keys.cursor, names)
            yield self._progress("compare")
            if keys.is_over:
                break
            if self._is_due():
                yield from self._note()
            if self._steps.at >= self._order.stop_at:
                return False
            yield from self._brake.after(len(names))
        return (yield from self._wait_for_young())

    def _wait_for_young(self) -> Plan[bool]:
        """Wait for what the primary may still take.

        False: it is time to stop; the next call finds it again.
        """
        give_up_at = self._steps.at + 2 * max_age_micros(self._source) / 1e6
        while self._young and self._steps.at < give_up_at:
            if self._steps.at >= self._order.stop_at:
                return False
            yield Progress(
                f"wait for {len(self._young)} undecided records on {self._target.node}", 0, None
            )
            yield from self._steps.rest(_RETRY_SECONDS)
            young, self._young = self._young, {}
            yield from self._settle(young)
            if self._is_due():
                yield from self._note()
        return True

    def _settle(self, found: Mapping[bytes, Stamp]) -> Plan[None]:
        settled = yield from settle(
            self._view, self._source, self._target, found, self._steps, self._order.why
        )
        self.replaced += settled.replaced
        self._young.update(settled.young)

    def _count(self, following: bytes, names: list[bytes]) -> None:
        self.keys += len(names)
        self._walk = replace(
            self._walk, cursor=following.decode(), keys=self._walk.keys + len(names)
        )

    def _progress(self, what: str) -> Progress:
        done, is_last = self._walk.keys, self._walk.cursor == SCAN_START.decode()
        stage = f"{what} {self._source.node} to {self._target.node}"
        return Progress(stage, done, done if is_last else max(done, self._walk.total))

    def _is_due(self) -> bool:
        return self._steps.at >= min(self._noted_at + NOTE_SECONDS, self._order.stop_at)

    def _note(self) -> Plan[None]:
        """Note on the target how far it has come, and hold the source's log a while longer.

        Undecided records that are waited for are not passed over: the note stays before them.
        """
        if not self._young:
            yield from self._write(self._walk.encode())
        yield from self._hold(self._walk.began.id)
        self._noted_at = self._steps.at

    def _write(self, text: bytes) -> Plan[None]:
        layout, node = self._view.layout, self._target.node
        arguments = (self._view.epoch, field_of(self._source.node).encode(), text)
        call = ScriptCall("note_walk", (layout.member,), arguments)
        yield from note_on_member(self._view, node, call, "noting how far a walk is", self._steps)

    def _hold(self, stream_id: str) -> Plan[None]:
        """Keep the source's log from the walk's beginning, '' lets go of it.

        Raises Unavailable where it was cut.
        """
        layout, node, began = self._view.layout, self._source.node, self._walk.began
        place = f"{stream_id} {began.entries}" if stream_id else ""
        field, millis = hold_field_of(self._target.node), int(limits.HOLD_SECONDS * 1000)
        arguments = (self._view.epoch, field.encode(), place.encode(), millis)
        call = ScriptCall("hold", (layout.member, layout.log), arguments)
        held = yield from ask_member(
            self._view, node, call, parse_hold, "holding the change log", self._steps
        )
        self._brake.note_writes(held.added)
        if stream_id and id_order(held.floor) > began.order:
            text = (
                f"the change log of {node!r} was cut while all its keys were copied to "
                f"{self._target.node!r}, which "
                "begins anew: more was written meanwhile than log_cap_bytes keeps; raise it, or "
                "sync_keys_per_second if that is set"
            )
            raise Unavailable(text, {node: f"cut up to {held.floor}, and {began.id} is needed"})

    def _end(self) -> Plan[None]:
        """Set the mark, and let go of the log."""
        began = self._walk.began
        yield from self.copier.absorb((), (), Mark(self._source.incarnation, began))
        yield from confirm(
            self._view, self._source, self._target.node, began, self._steps, force=True
        )
        # A member that serves needs no note: its mark says it all. One that is not admitted yet
        # would be walked again.
        is_serving = self._target.state.serves
        yield from self._write(
            b"" if is_serving else self._walk.next_phase(WALKED, self._walk.total).encode()
        )
        yield from self._hold("")
