"""Bringing records to the other copies: single writes, batches, and what was decided already.

Nothing is sent here and no time passes: events go in, and the requests that are due come out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum

from redrepl.plans.operations.outgoing import Acknowledgement, Outgoing
from redrepl.plans.operations.quorum import AcknowledgementTracker, QuorumStatus
from redrepl.values.answers.refusals import NotAdmitted, TooFarAhead
from redrepl.values.answers.writes import HasLater, Restamped, WriteVerdict
from redrepl.values.effects import (
    Ask,
    DeadlinePassed,
    Event,
    Failure,
    Plan,
    Reply,
    Request,
    ScriptCall,
    Wait,
)
from redrepl.values.reasons import LOST, is_refusal
from redrepl.values.stamp import Stamp

RESEND_SECONDS = 0.02
"""Pause before a copy is sent the record again that has not come to the epoch yet, or is not
connected."""

GRACE_SECONDS = 0.3
"""How long a write that needs a copy waits for a connection to it. That is longer than the pause
between tries to connect, so that a copy that just came back is reached."""

_EARLIER_STAMP = "unexpected answer: an earlier stamp for a later one"


class CopyState(Enum):
    """Where a copy is with one request; see `Replication`."""

    IDLE = "idle"
    DUE = "due"
    SENT = "sent"
    WAITING = "waiting"
    EARLY = "early"
    ACKNOWLEDGED = "acknowledged"
    FAILED = "failed"


class Round:
    """One request to all other copies: its records, and where each copy is with it."""

    def __init__(
        self,
        copies: Sequence[str],
        required: int,
        records: Outgoing,
        tag: int,
        is_decided: bool,
    ) -> None:
        self.records = records
        self.tag = tag
        self.has_left = False
        self.tracker = AcknowledgementTracker(len(copies), required, len(records.stamps))
        self.states = dict.fromkeys(copies, CopyState.IDLE)
        self.exceptions: dict[str, Mapping[int, WriteVerdict]] = {}
        self._reasons: dict[str, str] = {}
        self._is_decided = is_decided
        self._call: ScriptCall | None = None
        self._sent_as_decided: set[str] = set()

    @property
    def call(self) -> ScriptCall:
        """The request, the same object for every copy."""
        if self._call is None:
            self._call = self.records.call(self._is_decided)
        return self._call

    def replicate(self) -> None:
        """All copies are to be sent the records."""
        self.has_left = True
        self.states = dict.fromkeys(self.states, CopyState.DUE)

    def mark_sent(self) -> None:
        """The records went to all copies together with the primary's."""
        self.has_left = True
        self.states = dict.fromkeys(self.states, CopyState.SENT)

    @property
    def is_waiting(self) -> bool:
        """Whether a copy is to be sent the records again in a moment."""
        return CopyState.WAITING in self.states.values() and self.tracker.counts_any

    def has(self, *states: CopyState) -> list[str]:
        """The copies in one of these states."""
        return [copy for copy, state in self.states.items() if state in states]

    def acknowledge(self, copy: str, exceptions: Mapping[int, WriteVerdict] | None = None) -> None:
        """A copy holds the records but for these exceptions."""
        self.states[copy] = CopyState.ACKNOWLEDGED
        if not exceptions:
            self.tracker.acknowledge(copy)
            return
        self.exceptions[copy] = exceptions
        lacking = [place for place in exceptions if not self._holds(place, exceptions)]
        self.tracker.acknowledge(copy, lacking)

        # Its clock is behind the primary's. Once the primary has a record, that does not matter.
        is_early = any(isinstance(verdict, TooFarAhead) for verdict in exceptions.values())
        if is_early and not self._is_decided and copy not in self._sent_as_decided:
            self.states[copy] = CopyState.EARLY

    def retry_later(self, copy: str, reason: str) -> None:
        """A copy refused for now."""
        self.states[copy] = CopyState.WAITING
        self._reasons[copy] = reason

    def fail(self, copy: str, reason: str) -> None:
        """A copy refused, or cannot be reached."""
        self.states[copy] = CopyState.FAILED
        self._reasons[copy] = reason
        self.tracker.fail(copy)

    def resend_early(self) -> None:
        """The primary has the records: copies whose clocks turned them down get them as decided."""
        early = self.has(CopyState.EARLY)
        if not early or not self.tracker.counts_any:
            return
        self._call = self.records.call(is_decided=True)
        self._sent_as_decided.update(early)
        for copy in early:
            self.states[copy] = CopyState.DUE
            self.tracker.reopen(copy)
            del self.exceptions[copy]

    def take_due(self, may_retry: bool) -> list[Request]:
        """Requests that are to be sent now, each once; may_retry: to waiting copies too."""
        due = [copy for copy, state in self.states.items() if state is CopyState.DUE]
        if may_retry and self.is_waiting:
            due += self.has(CopyState.WAITING)
        if not due:
            return []
        self.states.update(dict.fromkeys(due, CopyState.SENT))
        return [Request(copy, self.call, self.tag) for copy in due]

    def failures(self) -> dict[str, str]:
        """Why copies that were asked for all records have not confirmed any."""
        failed = (CopyState.WAITING, CopyState.FAILED)
        return {copy: self._reasons[copy] for copy, state in self.states.items() if state in failed}

    def refusals(self, record: int) -> dict[str, str]:
        """Why copies have not confirmed one record, where they said so."""
        refused = {
            copy: _reason(exceptions[record])
            for copy, exceptions in self.exceptions.items()
            if record in exceptions and not self._holds(record, exceptions)
        }
        return {**refused, **self.failures()}

    def _holds(self, place: int, exceptions: Mapping[int, WriteVerdict]) -> bool:
        verdict = exceptions[place]
        if not isinstance(verdict, (HasLater, Restamped)):
            return False
        return verdict.stamp >= self.records.stamps[place]


def _reason(verdict: WriteVerdict) -> str:
    return _EARLIER_STAMP if isinstance(verdict, (HasLater, Restamped)) else verdict.reason


class Replication:
    """A write, or a batch, on its way to the other copies.

    The records leave in one round, and those to which the primary gives later stamps in a second
    one. In each round every copy is in one of these states:

    ============  ==============================================  ============  ====================
    state         event                                           next state    what follows
    ============  ==============================================  ============  ====================
    idle          the primary is asked together with the others   sent
    idle          the primary, asked alone, has the records       due
    due           the next exchange                               sent          it leaves, also when
                                                                                enough is known
    sent          it holds the records                            acknowledged  each counts
    sent          it refuses some of them                         acknowledged  the others count
    sent          its clock turns some down (the first time)      early         the others count
    sent          it is in an earlier epoch                       waiting
    sent          it was not reached, in the grace time           waiting
    sent          any other refusal or failure                    failed
    early         the primary has the records                     due           they leave again, as
                                                                                decided ones
    waiting       the pause is over, and more has to be known     sent          they leave again
    ============  ==============================================  ============  ====================

    Acknowledged and failed copies stay so. An answer counts however late it comes, as long as the
    driver has not said that the deadline has passed. A copy that shows a later record than the
    primary's restamped one holds that in the second round too.

    Where the primary refuses the request, the others are waited for a moment, because the write has
    no effect if none of them has it. Nothing is sent again then.
    """

    def __init__(
        self,
        copies: Sequence[str],
        required: int,
        epoch: bytes,
        started: float,
        until: float,
    ) -> None:
        """copies: all but the primary, of which ``required`` must confirm. epoch: the caller's.

        started, until: the driver's clock, seconds.
        """
        self.copies = copies
        self.until = until
        self.refusal: Failure | None = None
        self.is_decided = False
        self.rounds: list[Round] = []
        self._required = required
        self._epoch = epoch
        self._origin: Sequence[int] = ()
        self._resends_early = False
        self._grace_until = started + GRACE_SECONDS
        self._retry_at = 0.0
        self._untouched: set[str] = set()
        self._may_have_it: set[str] = set()

    def begin_round(self, records: Outgoing, tag: int, is_decided: bool = False) -> Round:
        """The round in which these records leave. is_decided: the primary has them already."""
        begun = Round(self.copies, self._required, records, tag, is_decided)
        self.rounds.append(begun)
        return begun

    def begin_second_round(self, records: Outgoing, tag: int, origin: Sequence[int]) -> Round:
        """The round of records that the primary restamped. origin: their places in the first."""
        first = self.rounds[0]
        second = self.begin_round(records, tag, is_decided=True)
        first.tracker.withdraw(origin)
        self._origin = origin
        for copy in first.exceptions:
            self._carry_over(copy)
        return second

    def decide(self, resends_early: bool = True) -> None:
        """The primary has the records. resends_early: but for some, which no copy is to have."""
        self.is_decided = True
        self._resends_early = resends_early
        if resends_early:
            self.rounds[0].resend_early()

    def refuse(self, event: Failure) -> None:
        """The primary certainly did nothing: the others have a moment to say what they did."""
        self.refusal = event
        self.until = min(self.until, event.at + GRACE_SECONDS)

    def receive(self, event: Reply | Failure) -> None:
        """What another copy answered to a request, or why it did not answer."""
        asked = self.rounds[-1] if event.tag == self.rounds[-1].tag else self.rounds[0]
        if isinstance(event, Failure):
            self._receive_failure(asked, event)
        elif event.content == 1:
            asked.acknowledge(event.node)
        else:
            self._receive_answer(asked, event)
        if self._resends_early:
            asked.resend_early()

    def _receive_answer(self, asked: Round, reply: Reply) -> None:
        """A copy does not hold all records as they were sent."""
        answer = asked.records.read(reply.content)
        if isinstance(answer, Acknowledgement):
            if answer.stored_nothing:
                self._untouched.add(reply.node)
            asked.acknowledge(reply.node, answer.exceptions)
            self._carry_over(reply.node)
            return

        self._untouched.add(reply.node)
        if isinstance(answer, NotAdmitted) and answer.is_behind(self._epoch):
            self._retry_later(asked, reply.node, answer.reason, reply.at)
        else:
            asked.fail(reply.node, answer.reason)

    def _receive_failure(self, asked: Round, event: Failure) -> None:
        """A copy was not reached, or its connection was lost."""
        # What may have arrived may have it, also where it is told later that it was not reached.
        if event.sent and LOST in event.reason:
            self._may_have_it.add(event.node)
        elif not event.sent or is_refusal(event.reason):
            self._untouched.add(event.node)

        if may_be_sent_again(event) and event.at < self._grace_until:
            self._retry_later(asked, event.node, event.reason, event.at)
        else:
            asked.fail(event.node, event.reason)

    def _retry_later(self, asked: Round, copy: str, reason: str, at: float) -> None:
        asked.retry_later(copy, reason)
        if asked.tracker.counts_any:
            self._retry_at = at + RESEND_SECONDS

    def _carry_over(self, copy: str) -> None:
        """A copy that showed later records than the restamped ones holds these too."""
        if len(self.rounds) < 2:
            return
        first, second = self.rounds
        shown = first.exceptions.get(copy, {})
        stamps = zip(self._origin, second.records.stamps, strict=True)
        if all(_is_later(shown.get(place), stamp) for place, stamp in stamps):
            second.tracker.acknowledge(copy)

    def is_pending(self, passed: float) -> bool:
        """Whether waiting may still change an outcome.

        passed: up to when the driver has told all that happened. A late answer still counts.
        """
        if passed >= self.until:
            return False
        if not self.is_decided:
            return True
        statuses = [each.tracker.status() for each in self.rounds]
        return QuorumStatus.PENDING in statuses

    def take_due(self, at: float) -> list[Request]:
        """What is to be sent now, once; also where nothing is waited for any more."""
        may_retry = self._is_waiting() and at >= self._retry_at and self.is_pending(at)
        return [request for each in self.rounds for request in each.take_due(may_retry)]

    def wake_at(self) -> float:
        """When to look again if nothing happens."""
        return min(self.until, self._retry_at) if self._is_waiting() else self.until

    def next_wait(self, at: float, passed: float) -> Wait | None:
        """What to send or wait for next, where nothing else is under way; None at the end.

        at: now. passed: as for `is_pending`.
        """
        is_pending = self.is_pending(passed)
        requests = tuple(self.take_due(at))
        if is_pending:
            return Wait(self.wake_at(), requests)
        # Enough is known. What is still to be sent is sent, and not waited for.
        return Wait(at, requests) if requests else None

    def _is_waiting(self) -> bool:
        has_waited = self._retry_at > 0.0
        return has_waited and self.refusal is None and any(each.is_waiting for each in self.rounds)

    @property
    def has_left(self) -> bool:
        """Whether the records were sent to other copies, or are to be."""
        return self.rounds[0].has_left

    def is_refusal_settled(self) -> bool:
        """Whether it is known of every copy if it has records that the primary refused."""
        told = self._untouched | self._may_have_it
        told.update(self.rounds[0].has(CopyState.ACKNOWLEDGED, CopyState.EARLY, CopyState.FAILED))
        return not self.has_left or told.issuperset(self.copies)

    def is_nowhere(self) -> bool:
        """Whether certainly no copy has records that the primary refused."""
        return not self.has_left or (self._untouched - self._may_have_it).issuperset(self.copies)


def replicate(replication: Replication, at: float) -> Plan[float]:
    """Send what is due until enough is known of decided records. at: now; returns when it ended.

    This is a question of its own: no answer to an earlier one may be taken for one to this.
    """
    wait = replication.next_wait(at, 0.0)
    if wait is None:
        return at
    event = yield Ask(wait.requests, wait.until)
    return (yield from resume_replication(replication, event))


def resume_replication(replication: Replication, event: Event) -> Plan[float]:
    """Go on with decided records that were sent, from the next event; returns when it ended."""
    passed = 0.0
    while True:
        if isinstance(event, DeadlinePassed):
            passed = event.at
        else:
            replication.receive(event)
        wait = replication.next_wait(event.at, passed)
        if wait is None:
            return event.at
        event = yield wait


def may_be_sent_again(event: Failure) -> bool:
    """Whether a copy that does not decide may get the same record again: it did not leave, or the
    connection was lost.

    Such a copy keeps the later of two stamps, so it does no harm there that both may arrive.
    """
    return not event.sent or LOST in event.reason


def _is_later(verdict: WriteVerdict | None, stamp: Stamp) -> bool:
    return isinstance(verdict, HasLater) and verdict.stamp >= stamp
