"""When a primary counts as gone: what a monitor concludes from one look at the nodes after the
other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from redrepl.plans.doubtful_clocks import doubtful_members
from redrepl.plans.epochs.soundness import successors
from redrepl.plans.epochs.takeover import (
    Takeover,
    cause_of,
    takeover_of,
    what_comes_next,
    why_not_replaced,
)
from redrepl.plans.epochs.under_way import CHANGE_ROUND_TRIPS, Trace, left_alone_seconds, trace_of
from redrepl.plans.lookout import OPENING_ROUND_TRIPS, Silence
from redrepl.plans.strangers import describe_stranger
from redrepl.values import limits
from redrepl.values.reasons import REFUSES, SILENT, is_crash, kind_of, refuses_us
from redrepl.values.report import NodeReport
from redrepl.values.reports import Reports
from redrepl.values.topology import Topology

HESITATION_ROUND_TRIPS = 5.0
"""Up to so many more, by chance: monitors that saw the same would all begin again within one round
trip, and each fence those members that are near to it.
"""

LONGEST_CHANGE_SECONDS = 60.0
"""Whoever moves on and on for longer holds nobody up: it may be one member that lies."""

TURNS_AWAY = "turns this monitor away"


class Verdict(NamedTuple):
    """What is to be done. is_due: fail over now. why: in words, '' where all is well.

    away: members that do not answer, for whom nobody is to wait. is_proved: the primary crashed for
    certain and is not merely silent. blocked: '' or, where it should be replaced and cannot be,
    what tells this cause from others.
    """

    is_due: bool
    why: str
    away: frozenset[str] = frozenset()
    is_proved: bool = False
    blocked: str = ""


_WELL = Verdict(False, "")

NOT_SEEN_YET = Verdict(False, "how the members are since the last attempt is not seen yet")


class _Unfinished(NamedTuple):
    """A change of epoch that is under way. since: when it was seen first; moved_at: when it was
    last seen to go on.

    trace: what tells the one moment from the other. hesitation: how long beyond others this monitor
    waits, 0 to 1.
    """

    epoch: int
    trace: Trace
    since: float
    moved_at: float
    hesitation: float


class _Look:
    """One look at the members of a cluster with one primary, and what it tells by itself.

    away: members that do not answer. silence: the primary's. doubtful: members whose clocks cannot
    be trusted, and why.
    """

    def __init__(
        self,
        topology: Topology,
        reports: Reports,
        now: float,
        own_ahead: float | None,
        silences: Mapping[str, Silence],
    ) -> None:
        self.topology = topology
        self.reports = reports
        self.now = now
        self.own_ahead = own_ahead
        self.silences = silences
        self.primary = topology.decider or ""
        self.report = reports.of(self.primary)
        self.reason = reports.reason(self.primary, "its address is not known")
        self.silence = silences.get(self.primary, Silence(now, 0.0))
        self.away = frozenset(node for node in topology.ids if node not in reports.present)
        self.doubtful = doubtful_members(topology, reports, own_ahead)

    @property
    def is_serving(self) -> bool:
        """Whether the primary serves in the published epoch."""
        report = self.report
        return report is not None and report.is_serving and report.epoch == self.topology.epoch

    @property
    def refuses(self) -> bool:
        """Whether it serves, and takes no writes."""
        return self.is_serving and self.report is not None and not self.report.takes_writes

    @property
    def is_well(self) -> bool:
        """Whether it serves as it should."""
        return self.is_serving and self.primary not in self.doubtful and not self.refuses

    @property
    def is_put_back(self) -> bool:
        """Whether workers put it back to work: it has restarted with its membership."""
        return self.report is not None and self.report.is_itself and self.report.has_restarted


class _Fault(NamedTuple):
    """What is wrong with a primary. patience: for how many seconds that is put up with.

    is_proved: it crashed for certain and is not merely silent.
    """

    why: str
    patience: float
    is_proved: bool


class Suspicion:
    """Remembers since when the primary has not been as it should.

    A crash shows at once and for certain (nothing listens at the address); silence may also be a
    long command. A slow answer is an answer: a node that is far gets its usual round trip besides.
    One that answers and takes no writes is away for its clients, but it may be over in a moment;
    and where too few others take any, the role stays, because it would only go round. One that
    refuses this program alone (its login, its certificate, one client more) is not replaced for
    that. Times are in seconds, by the caller's clock. Without ``replaces`` a primary is never
    replaced, and only changes of epoch that were left unfinished are due.
    """

    def __init__(
        self,
        crash_seconds: float,
        silence_seconds: float,
        replaces: bool = True,
        refusal_seconds: float = limits.FAILOVER_AFTER_REFUSAL_SECONDS,
        chance: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._replaces = replaces
        self._crash_seconds = crash_seconds
        self._silence_seconds = silence_seconds
        self._refusal_seconds = refusal_seconds
        self._refusals: dict[str, tuple[str | None, str]] = {}
        self._primary: str | None = None
        self._well_at = 0.0
        self._chance = chance
        self._unfinished: _Unfinished | None = None

    def judge(
        self,
        topology: Topology | None,
        reports: Reports,
        now: float,
        own_ahead: float | None = None,
        silences: Mapping[str, Silence] | None = None,
    ) -> Verdict:
        """What a look at this time means.

        own_ahead: see `redrepl.plans.doubtful_clocks.wrong_clocks`. silences: since when nodes have
        left questions unanswered; None: none has.
        """
        if topology is None or topology.decider is None:
            return _WELL
        look = _Look(topology, self._with_refusals(reports), now, own_ahead, silences or {})
        if look.primary != self._primary:
            self._primary, self._well_at = look.primary, now
        left, is_left_alone = self._between_epochs(topology, look.reports, now, look.silences)

        if look.is_well:
            self._well_at = max(self._well_at, look.silence.since)
            why = f"a change of epoch was left unfinished on {', '.join(left)}" if left else ""
            return Verdict(is_left_alone, why, look.away)
        if look.report is None and refuses_us(look.reason):
            return _turned_away(look, is_left_alone)
        return self._judge_fault(look, self._fault(look), left, is_left_alone)

    def _judge_fault(
        self, look: _Look, fault: _Fault, left: Sequence[str], is_left_alone: bool
    ) -> Verdict:
        """What is to be done about a primary that does not serve as it should."""
        why, away, is_proved = fault.why, look.away, fault.is_proved
        is_over = look.now - self._well_at >= fault.patience
        # One that takes no writes gives its role to none that takes none either.
        takeover = takeover_of(look.topology, look.reports, away, takes_writes=look.refuses)
        assert takeover is not None
        if (blocked := self._blocked(look, takeover, fault, is_over)) is not None:
            return blocked
        if is_over and not self._replaces and not left and not look.is_put_back:
            text = what_comes_next(takeover, why, False, False)
            return Verdict(False, text, away, is_proved, f"manual: {look.primary}")
        # Another process may be replacing it at this moment: whoever comes in between only makes
        # that start over.
        is_due = is_over and (is_left_alone or (self._replaces and not left))
        return Verdict(is_due, why, away, is_proved)

    def _blocked(
        self, look: _Look, takeover: Takeover, fault: _Fault, is_over: bool
    ) -> Verdict | None:
        """The verdict where no member can take over, whatever is set; None where one can."""
        if not takeover.is_possible:
            # What is said may repeat what a node said: the cause is told by what stays the same.
            blocked = cause_of(takeover, look.reports) if is_over and self._replaces else ""
            return Verdict(
                False, why_not_replaced(takeover, fault.why), look.away, fault.is_proved, blocked
            )
        if not successors(look.topology, look.reports, look.own_ahead, look.away):
            text = (
                f"{fault.why}, and no other node whose clock can be trusted is there to replace it"
            )
            blocked = f"clocks: {', '.join(look.doubtful)}" if is_over else ""
            return Verdict(False, text, look.away, fault.is_proved, blocked)
        return None

    def _between_epochs(
        self,
        topology: Topology,
        reports: Reports,
        now: float,
        silences: Mapping[str, Silence],
    ) -> tuple[list[str], bool]:
        """Members that were moved to an epoch that is not published, and whether nobody has gone on
        for long.
        """
        found = [report for report in reports.members(topology) if report.epoch > topology.epoch]
        if not found:
            self._unfinished = None
            return [], False
        seen = self._unfinished = self._followed(found, now)
        answering = [
            silences[report.node].usual_seconds for report in found if report.node in silences
        ]
        round_trips = CHANGE_ROUND_TRIPS + seen.hesitation * HESITATION_ROUND_TRIPS
        is_left_alone = now - seen.moved_at >= left_alone_seconds(
            max(answering, default=0.0), round_trips
        )
        return [
            report.node for report in found
        ], is_left_alone or now - seen.since >= LONGEST_CHANGE_SECONDS

    def _followed(self, found: Sequence[NodeReport], now: float) -> _Unfinished:
        """The change that is under way, as these members show it."""
        epoch, trace, before = (
            max(report.epoch for report in found),
            trace_of(found),
            self._unfinished,
        )
        if before is None:
            return _Unfinished(epoch, trace, now, now, self._chance())
        if before.epoch != epoch:
            return _Unfinished(epoch, trace, before.since, now, self._chance())
        return before if before.trace == trace else before._replace(trace=trace, moved_at=now)

    def _with_refusals(self, reports: Reports) -> Reports:
        """The reports of this look; nodes that were not asked to write now have what they said
        last.
        """
        found: dict[str, NodeReport] = {}
        for node, report in reports.present.items():
            refusal, denied = report.refusal, report.denied
            if refusal is None:
                refusal, denied = self._refusals.get(node, (None, ""))
            self._refusals[node] = refusal, denied
            found[node] = replace(report, refusal=refusal, denied=denied)
        self._refusals |= dict.fromkeys(reports.silent, (None, ""))
        return reports.updated(Reports(found))

    def _fault(self, look: _Look) -> _Fault:
        """What is wrong with the primary, at its distance."""
        fault = self._fault_told(look)
        if look.primary in look.doubtful:
            why = f"primary {look.primary!r}: {look.doubtful[look.primary]}"
            return fault._replace(why=why, patience=self._crash_seconds)
        answers = look.report is not None
        distance = (
            look.silence.usual_seconds if answers else _distance_seconds(look.reason, look.silence)
        )
        return fault._replace(patience=fault.patience + distance)

    def _fault_told(self, look: _Look) -> _Fault:
        """What is wrong with the primary, by its answer or the reason that there is none."""
        primary, report, reason = look.primary, look.report, look.reason
        if report is None:
            is_proved = is_crash(reason)
            patience = self._crash_seconds if is_proved else self._silence_seconds
            return _Fault(f"primary {primary!r} is away: {reason}", patience, is_proved)
        if not report.member:
            return _Fault(
                f"primary {primary!r} {describe_stranger(report, look.reports)}",
                self._crash_seconds,
                True,
            )
        if report.has_restarted:
            return _Fault(f"primary {primary!r} {report.restart}", self._crash_seconds, True)
        if report.refusal and report.is_serving:
            return _Fault(
                f"primary {primary!r} takes no writes: {report.refusal}",
                self._refusal_seconds,
                False,
            )
        return _Fault(
            f"primary {primary!r} is {report.state} in epoch {report.epoch}",
            self._crash_seconds,
            False,
        )


def _turned_away(look: _Look, is_left_alone: bool) -> Verdict:
    """The verdict where the primary turns this monitor away.

    Who has another login, or was connected before, may be served: that is no reason to replace it.
    A change of epoch that was left unfinished is ended all the same.
    """
    text = (
        f"primary {look.primary!r} {TURNS_AWAY}, which does not tell whether it serves others: "
        f"{look.reason}"
    )
    blocked = "" if is_left_alone else f"turned away: {look.primary}"
    return Verdict(is_left_alone, text, look.away, False, blocked)


def _distance_seconds(reason: str, silence: Silence) -> float:
    """What the distance of a node that gives no answer for this reason adds to the patience with
    it.
    """
    if REFUSES in reason:
        return 0.0  # that nothing listens there is certain
    if kind_of(reason) != SILENT:
        # A connection that was lost, or that ended while it was opened, is opened anew first, which
        # tells.
        return min(OPENING_ROUND_TRIPS * silence.usual_seconds, limits.FIRST_CONTACT_SECONDS)
    return silence.usual_seconds
