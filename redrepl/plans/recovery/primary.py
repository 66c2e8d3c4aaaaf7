"""What recovery does for the one primary: it takes nothing from replicas while it serves; otherwise
it is replaced, or put back to work.
"""

from __future__ import annotations

from collections.abc import Sequence

from redrepl.plans.copies.catch_up import confirm
from redrepl.plans.copies.marks import oldest_mark, starting_mark
from redrepl.plans.copies.undecided import check_log
from redrepl.plans.epochs.failover import FailoverOrder, fail_over
from redrepl.plans.epochs.soundness import between_epochs, newest_epoch, way_out
from redrepl.plans.epochs.under_way import goes_on
from redrepl.plans.recovery.checkpoints import note_checked
from redrepl.plans.recovery.reinstate import reinstate
from redrepl.plans.recovery.run import RecoveryRun
from redrepl.values.effects import Plan
from redrepl.values.errors import RedreplError
from redrepl.values.report import LOG_START, Mark, NodeReport, Position


class PrimaryRecovery:
    """The recovery of the one primary. ``primary``: as it was found last."""

    def __init__(self, run: RecoveryRun, primary: NodeReport) -> None:
        self._run = run
        self._view = run.view
        self._steps = run.steps
        self._done = run.done
        self._primary = primary

    def is_change_under_way(self) -> Plan[bool]:
        """Whether another process is at work on members that were moved to an epoch that is not
        published.
        """
        moved = between_epochs(self._view.topology, self._run.reports)
        if not moved:
            return False
        return (yield from goes_on(self._view.layout, self._view.topology, moved, self._steps))

    def check_replicas(self, replicas: Sequence[NodeReport]) -> Plan[None]:
        """Check the replicas' logs for uncommitted records, and note how far that was done."""
        reached: dict[str, Position] = {}
        for replica in replicas:
            mark = yield from self._mark_in(replica)
            checked = yield from check_log(
                self._view, replica, self._primary, mark, self._steps, self._run.order.stop_at
            )
            self._done.entries += checked.entries
            self._done.undecided_replaced += checked.records
            self._done.finished = self._done.finished and checked.finished
            if checked.reached is not None:
                reached[replica.node] = checked.reached
        now = yield from self._run.look_at(self._primary.node)
        yield from note_checked(self._view, now, replicas, reached, self._steps)

    def _mark_in(self, replica: NodeReport) -> Plan[Mark]:
        """From where on a replica's log is looked through."""
        mark = starting_mark(replica, self._primary)
        if mark is not None:
            return mark
        mark = oldest_mark(replica)
        if mark.position.id != LOG_START:
            self._run.note(
                f"the log of {replica.node} may have been cut before it was looked through: "
                "`redrepl verify --repair` finds what is undecided there"
            )
        yield from confirm(
            self._view, replica, self._primary.node, mark.position, self._steps, force=True
        )
        return mark

    def hand_over_role(self) -> Plan[None]:
        """Have another member take the role over, or this one in a new epoch."""
        run = self._run
        seen_epoch = newest_epoch(run.reports)
        order = FailoverOrder(self._steps.at, own_ahead=run.order.own_ahead, seen_epoch=seen_epoch)
        changed = yield from fail_over(self._view.layout, self._view.ids, order)
        run.note(f"handed its role over to {changed.primary} in epoch {changed.epoch}")
        self._done.finished = False

    def reinstate(self) -> Plan[None]:
        """Put it back to work."""
        run = self._run
        reinstated = yield from reinstate(
            self._view, self._primary, run.reports, run.order.incarnation, self._steps
        )
        self._done.records += reinstated.records
        self._done.activated = True
        self._done.notes += reinstated.notes

    def empty_error(self) -> RedreplError:
        """The error where it came back empty, and no other member can take over."""
        reports = self._run.reports
        others = [report for report in reports.present.values() if report.member]
        text = _EMPTY_PRIMARY.format(
            node=self._primary.node, way_out=way_out(self._view.topology, reports)
        )
        return RedreplError(
            text, {report.node: f"{report.log.added} changes in its log" for report in others}
        )


_EMPTY_PRIMARY = (
    "primary {node!r} came back empty, or is another server at its address: writes stay stopped, "
    "and it is not used to "
    "bring up replicas, which would empty them. The replicas keep the data; restore the primary's "
    "data directory and "
    "restart it, or: {way_out}"
)
