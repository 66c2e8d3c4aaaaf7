"""Bringing a replica, or one of several primaries, to what the others have: stop it, resync it,
admit it.
"""

from __future__ import annotations

from collections.abc import Sequence

from redrepl.plans.copies import full_sync
from redrepl.plans.copies.catch_up import confirm, forget_cursors, ship_log
from redrepl.plans.copies.copying import check_clock_steady
from redrepl.plans.copies.diverged import discard_diverged
from redrepl.plans.copies.marks import starting_mark
from redrepl.plans.copies.undecided import DIVERGED, UNDECIDED
from redrepl.plans.epochs.member_changes import change_member
from redrepl.plans.epochs.membership import (
    active_fields,
    clock_field,
    epoch_fields,
    forgotten_fields,
    new_log_fields,
    purge_field,
    trusted_fields,
)
from redrepl.plans.epochs.soundness import may_have_forgotten_epoch, returned_fields
from redrepl.plans.recovery.checkpoints import note_filled, note_gap
from redrepl.plans.recovery.classification import (
    UNDER_WAY,
    ResyncMethod,
    is_diverged,
    resync_facts,
    resync_method,
)
from redrepl.plans.recovery.run import RecoveryRun, reported
from redrepl.values.clocks import is_steady
from redrepl.values.effects import Plan
from redrepl.values.errors import Unavailable
from redrepl.values.member_state import MemberState
from redrepl.values.report import LastEntry, Mark, NodeReport
from redrepl.values.walk import walks_on


class ReplicaRecovery:
    """The recovery of one member that takes records from others.

    target: as it was found last. sources: members whose logs count for it.
    """

    def __init__(self, run: RecoveryRun, target: NodeReport, sources: Sequence[NodeReport]) -> None:
        self._run = run
        self._view = run.view
        self._order = run.order
        self._steps = run.steps
        self._done = run.done
        self._target = target
        self._sources = sources
        self._newest_entry = b""

    def stop_and_resync(self) -> Plan[None]:
        """Have it serve no client, bring it what the others have then, and admit it again."""
        purged_before = max((source.purged_before for source in self._sources), default=0)
        self._target = yield from self._stop(purged_before)
        self._run.note("was set to syncing")

        # What it must have before it serves again is what the sources have now that it takes no
        # writes any more.
        reports = yield from self._steps.inspect(
            self._view.layout, self._view.ids, known=self._view.topology
        )
        self._sources = self._run.sources_of(self._target.node, reports)
        if not self._sources:
            # Without this it would be admitted with whatever it has, which may be nothing.
            self._run.note("whoever it is to be brought up from fell silent")
            self._done.finished = False
            return
        yield from self.resync()

    def resync(self) -> Plan[None]:
        """Bring it what each source has; then admit clients, where they were not admitted."""
        self._newest_entry = self._target.log.newest_id.encode()
        for source in self._sources:
            yield from self._resync_from(source)
            if not self._done.finished:
                return
        if not self._target.state.serves:
            yield from self._admit()

    # Stopping -------------------------------------------------------------------------------------

    def _stop(self, purged_before: int) -> Plan[NodeReport]:
        """Set the node to `syncing` in this epoch, before anything is brought to it; returns its
        report after that.

        Where tombstones were purged without it, it has to turn down what these stood against, from
        the beginning.
        """
        view, target, steps = self._view, self._target, self._steps
        # The run id stays the old one until the node is active again: whoever comes meanwhile sees
        # a restart.
        fields = {
            **epoch_fields(view.topology, target.node),
            "state": MemberState.SYNCING,
            **purge_field(target, purged_before),
        }
        if target.was_ahead_seconds and not target.clock_off:
            fields |= clock_field(f"{target.was_ahead_seconds:.1f} s ahead")
        if target.has_lost_log:
            fields |= self._fields_of_lost_log()
        error = f"node {target.node!r} changed while it was being looked at"
        yield from change_member(
            target, view.layout, fields, view.topology, "setting it to syncing", steps, error
        )

        yield from forget_cursors(view, target, steps)
        now = yield from self._run.look_at(target.node)
        check_clock_steady(now, target)
        return now

    def _fields_of_lost_log(self) -> dict[str, str]:
        """The member fields that begin the log anew at once: what is brought to it makes a log that
        looks whole again.

        Not by the name that it gets when it is admitted: another worker may begin it anew in
        between, and no log goes back to an earlier incarnation.
        """
        fields = new_log_fields(self._target, f"{self._order.incarnation}-begun")
        if self._view.decider is not None:
            # What is gone, and what came since, may name what the primary never took: all keys are
            # compared.
            fields |= forgotten_fields(self._target)
        return fields

    # Resync ---------------------------------------------------------------------------------------

    def _resync_from(self, source: NodeReport) -> Plan[None]:
        """Bring it what one source has; `done.finished` says whether that came to its end."""
        view, target, steps = self._view, self._target, self._steps
        method = resync_method(resync_facts(view, source, target, self._order.exactly))
        if method is ResyncMethod.DISCARD_FIRST:
            discarded = yield from discard_diverged(view, source, target, steps)
            self._done.undecided_replaced += discarded or 0
            method = ResyncMethod.WALK if discarded is None else ResyncMethod.LOG

        mark = None if method is ResyncMethod.WALK else starting_mark(source, target)
        if mark is None:
            mark = yield from self._walk(source)
            if mark is None:
                return
        elif not target.state.serves:
            # It may have lost what was confirmed earlier: show the honest lag while it catches up.
            yield from confirm(view, source, target.node, mark.position, steps, force=True)
        yield from self._catch_up(source, mark)

    def _walk(self, source: NodeReport) -> Plan[Mark | None]:
        """Walk over all keys of the source, or continue that; returns where its log is to be read
        from after that.

        None: it is to be continued.
        """
        view, target, steps = self._view, self._target, self._steps
        if target.may_be_outdated and view.decider is not None:
            yield from note_gap(view, target, steps)
        yield from self._full_sync(source)
        if not self._done.finished:
            return None
        mark = (yield from self._run.look_at(target.node)).marks.get(source.node)
        if mark is None:
            raise Unavailable(
                f"node {target.node!r} was taken out while it was brought up",
                {target.node: "no mark"},
            )
        return mark

    def _full_sync(self, source: NodeReport) -> Plan[None]:
        order, done = self._order, self._done
        how = full_sync.WalkOrder(
            why=DIVERGED if is_diverged(self._view, self._target) else UNDECIDED,
            stop_at=order.stop_at,
            anew=order.exactly,
            keys_per_second=order.keys_per_second,
            newest_entry=self._newest_entry,
        )
        synced = yield from full_sync.full_sync(self._view, source, self._target, self._steps, how)

        self._newest_entry = synced.newest_entry
        done.full_syncs += 1
        done.records += synced.copied
        done.undecided_replaced += synced.replaced
        done.finished = synced.finished
        if not synced.finished:
            self._run.note(f"looked at {synced.keys} keys of {source.node}, to be continued")
        if synced.begun_anew:
            times = f"{synced.begun_anew} times by now"
            self._run.note(f"walk begun anew, {times}: {source.node}'s log was cut behind it")

    def _catch_up(self, source: NodeReport, mark: Mark) -> Plan[None]:
        """Bring it what the source's log names after this position."""
        view, target, done = self._view, self._target.node, self._done
        stop_at, newest_entry = self._order.stop_at, self._newest_entry
        shipped = yield from ship_log(
            view, source, target, mark, self._steps, stop_at, newest_entry=newest_entry
        )

        self._newest_entry = shipped.newest_entry
        done.entries += shipped.entries
        done.records += shipped.records
        done.payload_bytes += shipped.payload_bytes
        done.finished = shipped.finished
        if shipped.foreign:
            names = ", ".join(repr(view.layout.user_key(name)) for name in shipped.foreign[:3])
            count = len(shipped.foreign)
            self._run.note(f"{count} keys left as they are, redrepl did not write them: {names}")

    # Admitting ------------------------------------------------------------------------------------

    def _admit(self) -> Plan[None]:
        target = self._target
        # Positions of others in its log do not count where that is new: it is noted that nothing in
        # it is uncommitted.
        has_new_log = target.lineage == 0 or target.has_forgotten
        if has_new_log and self._view.decider is not None:
            incarnation = self._order.incarnation if target.has_restarted else target.incarnation
            yield from note_filled(
                self._view, (yield from self._run.look_at(target.node)), incarnation, self._steps
            )
        self._done.activated = yield from self._activate()
        if not self._done.activated:
            self._run.note(UNDER_WAY)

    def _activate(self) -> Plan[bool]:
        """Admit clients again, if the server is still the one that was recovered, and has what was
        brought to it.

        Returns False where it may have forgotten a later epoch, of which no other member had told
        before: to fill it may have taken long.
        """
        returned = yield from self._returned_fields()
        if returned is None:
            return False

        view, target, steps = self._view, self._target, self._steps
        known = {
            target.node: LastEntry(target.identity, target.incarnation, self._newest_entry.decode())
        }
        reports = yield from steps.inspect(
            view.layout, known, known=view.topology, last_entries=known
        )
        now = reported(target.node, reports)
        self._check_same(now)

        fields = {
            **active_fields(view.topology),
            "run_id": now.run_id,
            **trusted_fields(now),
            **returned,
        }
        if target.has_restarted:
            fields |= new_log_fields(target, self._order.incarnation)
        fields |= walks_on(now.member)
        error = f"node {target.node!r} changed while it was brought up"
        yield from change_member(now, view.layout, fields, None, "admitting it again", steps, error)
        return True

    def _returned_fields(self) -> Plan[dict[str, str] | None]:
        """The member fields that say whether it has returned; None where it may have forgotten a
        later epoch.
        """
        view, target = self._view, self._target
        if not target.has_restarted:
            return {}
        others = view.others[target.node]
        reports = yield from self._steps.inspect(view.layout, others, known=view.topology)
        if may_have_forgotten_epoch(view.topology, target, reports):
            return None
        return returned_fields(view.topology, target, reports)

    def _check_same(self, now: NodeReport) -> None:
        """Raise Unavailable unless it is the server that was recovered, in the same state, and has
        what it got.
        """
        target, node = self._target, self._target.node
        if now.run_id != target.run_id:
            raise Unavailable(
                f"node {node!r} restarted while it was brought up", {node: "restarted"}
            )
        if now.state is not MemberState.SYNCING:
            what = (
                f"is {now.state} in epoch {now.epoch} by now"
                if now.member
                else "holds no membership any more"
            )
            raise Unavailable(f"node {node!r} changed while it was brought up", {node: what})
        if now.lost is not None or (
            now.has_forgotten and now.member["run_id"] != target.member["run_id"]
        ):
            raise Unavailable(f"node {node!r} forgot while it was brought up", {node: now.restart})
        if now.epoch != self._view.topology.epoch:
            # A change of members moved it: it would serve in an epoch that may not have been won.
            raise Unavailable(
                f"node {node!r} was moved while it was brought up", {node: f"epoch {now.epoch}"}
            )
        if not is_steady(target.clock, now.clock, now.max_skew_seconds):
            raise Unavailable(
                f"the clock of node {node!r} moved while it was brought up", {node: "clock"}
            )
