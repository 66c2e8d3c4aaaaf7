"""When a primary counts as gone: what a monitor concludes from one look at the nodes after the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from redrepl.plans.epochs.clocks import doubtful_members
from redrepl.plans.epochs.soundness import successors
from redrepl.plans.epochs.takeover import cause_of, takeover_of, what_comes_next, why_not_replaced
from redrepl.plans.lookout import Silence
from redrepl.plans.strangers import describe_stranger
from redrepl.values import limits
from redrepl.values.reasons import LOST, is_crash, refuses_us
from redrepl.values.report import NodeReport
from redrepl.values.topology import Topology

UNFINISHED_SECONDS = 1.0
"""A change of epoch takes milliseconds; members that have been between epochs for so long were left there."""

CHANGE_ROUND_TRIPS = 10.0
"""Where the members are far, a change of epoch takes about so many of their round trips."""

TURNS_AWAY = "turns this monitor away"

_OPENING_ROUND_TRIPS = 3.0
"""For a connection to be opened anew, and a question on it."""


class Verdict(NamedTuple):
    """What is to be done. is_due: fail over now. why: in words, '' where all is well.

    away: members that do not answer, for whom nobody is to wait. is_proved: the primary crashed for certain and
    is not merely silent. blocked: '' or, where it should be replaced and cannot be, what tells this cause from others.
    """

    is_due: bool
    why: str
    away: frozenset[str] = frozenset()
    is_proved: bool = False
    blocked: str = ""


_WELL = Verdict(False, "")


class Suspicion:
    """Remembers since when the primary has not been as it should.

    A crash shows at once and for certain (nothing listens at the address); silence may also be a long command. A slow
    answer is an answer: a node that is far gets its usual round trip besides. One that answers and takes no writes is
    away for its clients, but it may be over in a moment; and where too few others take any, the role stays, because it
    would only go round. One that refuses this program alone (its login, its certificate, one client more) is not
    replaced for that. Times are in seconds, by the caller's clock. Without ``replaces`` a primary is never replaced,
    and only changes of epoch that were left unfinished are due.
    """

    def __init__(
        self,
        crash_seconds: float,
        silence_seconds: float,
        replaces: bool = True,
        refusal_seconds: float = limits.FAILOVER_AFTER_REFUSAL_SECONDS,
    ) -> None:
        self._replaces = replaces
        self._crash_seconds = crash_seconds
        self._silence_seconds = silence_seconds
        self._refusal_seconds = refusal_seconds
        self._refusals: dict[str, tuple[str | None, str]] = {}
        self._primary: str | None = None
        self._well_at = 0.0
        self._unfinished: tuple[int, float] | None = None

    def judge(
        self,
        topology: Topology | None,
        reports: dict[str, NodeReport | str],
        now: float,
        own_ahead: float | None = None,
        silences: Mapping[str, Silence] | None = None,
    ) -> Verdict:
        """What a look at this time means.

        own_ahead: see `redrepl.plans.epochs.clocks.wrong_clocks`. silences: since when nodes have left questions
        unanswered; None: none has.
        """
        if topology is None or topology.decider is None:
            return _WELL
        reports = self._with_refusals(reports)
        primary = topology.decider
        if primary != self._primary:
            self._primary, self._well_at = primary, now
        away = frozenset(node for node in topology.ids if not isinstance(reports.get(node), NodeReport))
        silences = silences or {}
        left, is_left_alone = self._between_epochs(topology, reports, now, silences)
        silence = silences.get(primary, Silence(now, 0.0))
        report = reports.get(primary, "its address is not known")
        doubtful = doubtful_members(topology, reports, own_ahead)
        is_serving = isinstance(report, NodeReport) and report.is_serving and report.epoch == topology.epoch
        refuses = is_serving and isinstance(report, NodeReport) and not report.takes_writes
        if is_serving and primary not in doubtful and not refuses:
            self._well_at = max(self._well_at, silence.since)
            why = f"a change of epoch was left unfinished on {', '.join(left)}" if left else ""
            return Verdict(is_left_alone, why, away)
        if isinstance(report, str) and refuses_us(report):
            # Who has another login, or was connected before, may be served: that is no reason to replace it. A change
            # of epoch that was left unfinished is ended all the same.
            text = f"primary {primary!r} {TURNS_AWAY}, which does not tell whether it serves others: {report}"
            return Verdict(is_left_alone, text, away, False, "" if is_left_alone else f"turned away: {primary}")
        why, patience, is_proved = self._fault(primary, report, reports)
        if primary in doubtful:
            why, patience = f"primary {primary!r}: {doubtful[primary]}", self._crash_seconds
        else:
            patience += _distance_seconds(report, silence)
        is_over = now - self._well_at >= patience
        # One that takes no writes gives its role to nobody who takes none either.
        takeover = takeover_of(topology, reports, away, takes_writes=refuses)
        assert takeover is not None
        if not takeover.is_possible:
            # What is said may repeat what a node said: the cause is told by what stays the same.
            blocked = cause_of(takeover, reports) if is_over and self._replaces else ""
            return Verdict(False, why_not_replaced(takeover, why), away, is_proved, blocked)
        if not successors(topology, reports, own_ahead, away):
            text = f"{why}, and no other node whose clock can be trusted is there to replace it"
            return Verdict(False, text, away, is_proved, f"clocks: {', '.join(doubtful)}" if is_over else "")
        is_put_back = isinstance(report, NodeReport) and report.is_itself and report.has_restarted
        if is_over and not self._replaces and not left and not is_put_back:
            return Verdict(False, what_comes_next(takeover, why, False, False), away, is_proved, f"manual: {primary}")
        # Somebody may be replacing it at this moment: who comes in between only makes that start over.
        is_due = is_over and (is_left_alone or (self._replaces and not left))
        return Verdict(is_due, why, away, is_proved)

    def _between_epochs(
        self,
        topology: Topology,
        reports: dict[str, NodeReport | str],
        now: float,
        silences: Mapping[str, Silence],
    ) -> tuple[list[str], bool]:
        """Members that were moved to an epoch that is not published, and whether nothing happened for long."""
        found = [r for r in map(reports.get, topology.ids) if isinstance(r, NodeReport) and r.epoch > topology.epoch]
        if not found:
            self._unfinished = None
            return [], False
        epoch = max(report.epoch for report in found)
        if self._unfinished is None or self._unfinished[0] != epoch:
            self._unfinished = (epoch, now)
        farthest = max((silence.usual_seconds for silence in silences.values()), default=0.0)
        patience = max(UNFINISHED_SECONDS, CHANGE_ROUND_TRIPS * min(farthest, UNFINISHED_SECONDS))
        return [report.node for report in found], now - self._unfinished[1] >= patience

    def _with_refusals(self, reports: Mapping[str, NodeReport | str]) -> dict[str, NodeReport | str]:
        """The reports of this look; nodes that were not asked to write now have what they said last."""
        found: dict[str, NodeReport | str] = {}
        for node, report in reports.items():
            if isinstance(report, NodeReport) and report.refusal is None:
                refusal, denied = self._refusals.get(node, (None, ""))
                report = replace(report, refusal=refusal, denied=denied)
            self._refusals[node] = (report.refusal, report.denied) if isinstance(report, NodeReport) else (None, "")
            found[node] = report
        return found

    def _fault(
        self, primary: str, report: NodeReport | str, reports: dict[str, NodeReport | str]
    ) -> tuple[str, float, bool]:
        """What is wrong with the primary, how long that is to be put up with, and whether a crash is proved."""
        if isinstance(report, str):
            is_proved = is_crash(report)
            patience = self._crash_seconds if is_proved else self._silence_seconds
            return f"primary {primary!r} is away: {report}", patience, is_proved
        if not report.member:
            return f"primary {primary!r} {describe_stranger(report, reports)}", self._crash_seconds, True
        if report.has_restarted:
            return f"primary {primary!r} {report.restart}", self._crash_seconds, True
        if report.refusal and report.is_serving:
            return f"primary {primary!r} takes no writes: {report.refusal}", self._refusal_seconds, False
        return f"primary {primary!r} is {report.state} in epoch {report.epoch}", self._crash_seconds, False


def _distance_seconds(report: NodeReport | str, silence: Silence) -> float:
    """What the distance of a node adds to the patience with it."""
    if isinstance(report, str) and is_crash(report):
        # That nothing listens there is certain. A connection that was lost is opened anew first, which tells.
        needed = _OPENING_ROUND_TRIPS * silence.usual_seconds if LOST in report else 0.0
        return min(needed, limits.FIRST_CONTACT_SECONDS)
    return silence.usual_seconds
