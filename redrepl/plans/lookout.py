"""Looking at nodes again and again, without waiting for an answer before the next question.

How often a node is looked at does not depend on how far it is, and an answer that takes long is an
answer: silent is a node that has left a question unanswered for longer than its usual round trip
and the patience of whoever looks.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from redrepl.plans.inspect import QUESTIONS, Answers, as_seen, questions_to
from redrepl.values import limits
from redrepl.values.effects import (
    Ask,
    DeadlinePassed,
    Event,
    Exchange,
    Failure,
    Plan,
    Reply,
    Request,
    Wait,
)
from redrepl.values.keys import KeyLayout
from redrepl.values.report import LastEntry, NodeReport
from redrepl.values.reports import Reports
from redrepl.values.round_trip import RoundTrip

USUAL_FACTOR = 1.5
"""An answer takes so many times the average at most; the patience of whoever looks covers what
varies more.
"""

OPENING_ROUND_TRIPS = 3.0
"""The first answer also waits for the connection."""


_SILENT = "has not answered"


class Silence(NamedTuple):
    """since: when the oldest question left that a node has not answered, or the present where there
    is none.

    usual_seconds: how long its answers may take without being late.
    """

    since: float
    usual_seconds: float


class Seen(NamedTuple):
    """What one look came to: each node's newest report, or in words why there is none; and who has
    been silent.

    is_current: every node has been heard since `Lookout.forget`, or has been silent for longer than
    it may.
    """

    reports: Reports
    silences: dict[str, Silence]
    is_current: bool = True


class Lookout:
    """What is known of some nodes.

    All its looks are to be driven one after the other on one channel, and no other plan between
    them, unless `begin_anew` is called after it.

    patience_seconds: who leaves a question unanswered for so long, besides the usual round trip,
    counts as away.
    """

    def __init__(self, layout: KeyLayout, nodes: tuple[str, ...], patience_seconds: float) -> None:
        self._layout = layout
        self._watched = {node: _Watched(node) for node in nodes}
        self._patience_seconds = patience_seconds
        self._looks = 0
        self._is_first = True

    def begin_anew(self, nodes: tuple[str, ...]) -> None:
        """Look at these nodes from now on.

        What is under way will not be answered any more; what was learned stays.
        """
        self._is_first = True
        self._watched = {node: self._watched.get(node) or _Watched(node) for node in nodes}
        for watched in self._watched.values():
            watched.unanswered.clear()

    def forget(self) -> None:
        """What nodes said so far tells nothing any more: whoever looks changed them since, or tried
        to.

        The answers that a far node still owes are of the time before. How far it is stays known.
        """
        self._is_first = True
        for watched in self._watched.values():
            watched.forget()

    @property
    def last_entries(self) -> dict[str, LastEntry]:
        """What was seen of the nodes' logs, by node."""
        return {
            node: watched.last_entry
            for node, watched in self._watched.items()
            if watched.last_entry is not None
        }

    def forget_entries(self) -> None:
        """What was seen of the nodes' logs counts no more, nor do answers that are under way and
        tell of it.
        """
        self.begin_anew(tuple(self._watched))
        for watched in self._watched.values():
            watched.forget_log()

    def look(self, now: float, until: float, probe_as: bytes | None = None) -> Plan[Seen]:
        """Ask all nodes once more, and take what has come until then, whichever question it
        answers.

        It ends sooner where every node has answered this question. ``probe_as``: see
        `inspect_nodes`.
        """
        is_first, self._is_first, self._looks = self._is_first, False, self._looks + 1
        now = yield from self._take_what_has_come(now, is_first)
        requests = [
            request
            for watched in self._watched.values()
            for request in self._ask(watched, now, probe_as)
        ]
        effect = Wait(until, tuple(requests), is_deadline=False)
        while any(watched.unanswered for watched in self._watched.values()):
            event = yield effect
            effect = Wait(until, is_deadline=False)
            now = event.at
            if isinstance(event, DeadlinePassed):
                break
            self._take(event)
        return self._seen(now)

    def _take_what_has_come(self, now: float, is_first: bool) -> Plan[float]:
        """Before anybody is said to be silent: answers may have been here while nobody looked."""
        effect: Exchange = (
            Ask((), now, is_deadline=False) if is_first else Wait(now, is_deadline=False)
        )
        while True:
            event = yield effect
            if isinstance(event, DeadlinePassed):
                return event.at
            self._take(event)
            effect = Wait(now, is_deadline=False)

    def _ask(self, watched: _Watched, now: float, probe_as: bytes | None) -> tuple[Request, ...]:
        if not watched.may_be_asked():
            return ()
        watched.unanswered[self._looks] = Answers(now, watched.last_entry)
        return questions_to(
            self._layout, watched.node, QUESTIONS * self._looks, probe_as, watched.last_entry
        )

    def _take(self, event: Event) -> None:
        assert isinstance(event, (Reply, Failure)), "nothing else is asked for"
        watched = self._watched[event.node]
        look, kind = divmod(event.tag, QUESTIONS)
        if look not in watched.unanswered:
            return  # it failed already
        if (outcome := watched.unanswered[look].take(event, kind)) is None:
            return
        if isinstance(event, Failure):
            watched.fail(event.reason)
        else:
            watched.take(look, outcome, event.at)

    def _seen(self, now: float) -> Seen:
        reports = {
            node: watched.report(now, self._patience_seconds)
            for node, watched in self._watched.items()
        }
        silences = {node: watched.silence(now) for node, watched in self._watched.items()}
        is_current = all(watched.is_current for watched in self._watched.values())
        return Seen(as_seen(Reports.collect(reports), None), silences, is_current)


class _Watched:
    """One node. unanswered: when it was asked, by number of the look. is_current: see `Seen`.

    last_entry: the newest one that was seen in its log.
    """

    def __init__(self, node: str) -> None:
        self.node = node
        self.unanswered: dict[int, Answers] = {}
        self.is_current = True
        self.last_entry: LastEntry | None = None
        self._is_silent = False
        self._report: NodeReport | str = "no answer yet"
        self._answers = False
        self._round_trip = RoundTrip()

    def may_be_asked(self) -> bool:
        """While a connection is opened one question waits for it; then so many as the round trip
        has room for.
        """
        return len(self.unanswered) < (limits.MAX_UNANSWERED_LOOKS if self._answers else 1)

    def take(self, look: int, report: NodeReport | str, at: float) -> None:
        """A whole answer.

        Questions that were asked before it are answered, too: a node answers in order.
        """
        took_seconds = at - self.unanswered[look].asked_at
        if self._answers:
            self._round_trip.note(took_seconds)
        elif not self._round_trip.smoothed_seconds:
            self._round_trip.note(took_seconds / OPENING_ROUND_TRIPS)
        self._report = report
        self._answers = self.is_current = True
        if isinstance(report, NodeReport):
            self.last_entry = report.last_entry_after(self.last_entry)
        for number in [number for number in self.unanswered if number <= look]:
            del self.unanswered[number]

    def fail(self, reason: str) -> None:
        """All that was asked is lost: the connection is, or there was none."""
        self._report = reason
        self._answers = False
        self.is_current = True
        self.unanswered.clear()

    def forget(self) -> None:
        """It is to be heard again, unless it has not been heard anyway: nobody waits for that once
        more.
        """
        self.is_current = not self._round_trip.smoothed_seconds
        self.unanswered.clear()
        if self._is_silent or self._report == _SILENT:
            self._let_go()

    def forget_log(self) -> None:
        """See `Lookout.forget_entries`."""
        self.last_entry = None
        if isinstance(self._report, NodeReport):
            self._report = replace(self._report, lost=None)

    def _let_go(self) -> None:
        """What it said before is not to come back, whatever else begins anew: only an answer tells
        more.
        """
        self.is_current = True
        if isinstance(self._report, NodeReport):
            self._report = _SILENT

    def silence(self, now: float) -> Silence:
        """How long it has left a question unanswered, and how long it may, which is more where that
        is not known.
        """
        known_seconds, longest = (
            USUAL_FACTOR * self._round_trip.smoothed_seconds,
            limits.FIRST_CONTACT_SECONDS,
        )
        since = min((answers.asked_at for answers in self.unanswered.values()), default=now)
        return Silence(since, min(known_seconds, longest) or longest)

    def report(self, now: float, patience_seconds: float) -> NodeReport | str:
        """The newest report, unless it has been silent for longer than it may."""
        since, usual_seconds = self.silence(now)
        self._is_silent = now - since > patience_seconds + usual_seconds
        if self._is_silent and not self.is_current:
            self._let_go()
        if self._is_silent and isinstance(self._report, NodeReport):
            return f"{_SILENT} for {now - since:.1f} s"
        return self._report
