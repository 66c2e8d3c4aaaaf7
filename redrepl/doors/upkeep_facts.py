"""What an observer is told of failovers and resyncs that an administration carries out."""

from __future__ import annotations

from collections.abc import Callable

from redrepl.edges.reporter import Reporter
from redrepl.observe import Observer
from redrepl.plans.epochs.failover import FailedOver
from redrepl.plans.recovery.bring_up import BroughtUp
from redrepl.values.effects import Progress
from redrepl.values.errors import NotAReplicatedRecord, RedreplError
from redrepl.values.reasons import shown_reason
from redrepl.values.report import NodeReport
from redrepl.values.reports import Reports
from redrepl.values.topology import Topology

_OnProgress = Callable[[Progress], None]


class UpkeepFacts:
    """Notes how failovers and resyncs begin, go on and end around the calls that carry them out."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter

    def looked(self, topology: Topology | None, reports: Reports) -> None:
        """Note a newer epoch, and members that are in another state than at the last look."""
        if topology is None:
            return
        self._reporter.epoch_is(topology)
        for node in topology.ids:
            report = reports.of(node) or reports.reason(node, "its address is not known")
            self._reporter.state_is(node, *_state_in(report))

    def failover(
        self,
        primary: str | None,
        to: str | None,
        why: str,
        on_progress: _OnProgress | None,
        move: Callable[[_OnProgress], FailedOver],
    ) -> FailedOver:
        """Move the primary's role. Raises what both callables raise."""

        def progress(step: Progress) -> None:
            self._reporter.note(
                Observer.failover_step,
                step=step.stage,
                done=step.done,
                total=step.total,
            )
            if on_progress is not None:
                on_progress(step)

        self._reporter.note(Observer.failover_begun, primary=primary, to=to, why=shown_reason(why))
        try:
            done = move(progress)
        except RedreplError as error:
            self._reporter.note(
                Observer.failover_refused,
                primary=primary,
                why=_why_of(error),
            )
            raise
        self._reporter.note(
            Observer.failover_decided,
            primary=done.primary,
            previous=done.previous,
            new_epoch=done.epoch,
            serving=tuple(done.active),
            seconds=done.seconds,
        )
        return done

    def resync(
        self,
        node: str,
        why: str,
        on_progress: _OnProgress | None,
        bring_up: Callable[[_OnProgress], BroughtUp],
    ) -> BroughtUp:
        """Bring a member to the others' state. Raises what both callables raise."""

        def progress(step: Progress) -> None:
            self._reporter.note(
                Observer.resync_progress,
                node=node,
                stage=step.stage,
                done=step.done,
                total=step.total,
            )
            if on_progress is not None:
                on_progress(step)

        self._reporter.note(Observer.resync_began, node=node, why=why)
        done, ended_by = BroughtUp(node, finished=False), ""
        try:
            done = bring_up(progress)
        except Exception as error:
            ended_by = _why_of(error)
            raise
        finally:
            self._reporter.note(
                Observer.resync_ended,
                node=node,
                finished=done.finished,
                entries=done.entries,
                records=done.records,
                admitted=done.activated,
                why=shown_reason(ended_by or ", ".join(done.notes)),
            )
        return done


def _why_of(error: Exception) -> str:
    """An error for an observer. One about a user's key would name it."""
    if isinstance(error, NotAReplicatedRecord):
        return "a member holds a value that redrepl did not write"
    return shown_reason(str(error))


def why_resynced(report: NodeReport | str | None, exactly: bool) -> str:
    """Why a member is brought to the others' state, in a word or two."""
    if exactly:
        return "asked for, key by key"
    state, _ = _state_in(report or "silent")
    return "it lags, or may lag" if state == "active" else f"it is {state}"


def _state_in(report: NodeReport | str) -> tuple[str, str]:
    """A member's state for an observer, and what is to be said of it beside that."""
    if not isinstance(report, NodeReport):
        return "silent", shown_reason(report)
    if report.has_restarted:
        return "restarted", "" if report.restart == "restarted" else report.restart
    return report.state or "no member", ""
