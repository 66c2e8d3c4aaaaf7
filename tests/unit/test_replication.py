"""`Replication`: where a copy is with a request, by its table of states."""

from __future__ import annotations

import pytest

from redrepl.plans.operations.outgoing import ManyRecords
from redrepl.plans.operations.replication import (
    GRACE_SECONDS,
    RESEND_SECONDS,
    CopyState,
    Replication,
    Round,
)
from redrepl.values.effects import Answer, Failure, Reply, Request, ScriptCall
from redrepl.values.record import value_record
from redrepl.values.stamp import Stamp
from tests.unit.support.by_hand import START, UNTIL, view

STAMPS = [Stamp(1000, 1), Stamp(1001, 1)]
LATER = [b"has", Stamp(3000, 5).encode()]
BEHIND = [b"refused", b"6", b"active"]
LOST = "connection lost: reset by peer"
TAG, SECOND_TAG = 0, 1


class Sent:
    """Two records that left for the copies b and c, of which ``required`` must confirm."""

    def __init__(self, required: int = 1) -> None:
        cluster = view(3)
        encoded = [value_record(stamp, b"payload").encode() for stamp in STAMPS]
        self.records = ManyRecords(cluster, (b"x", b"y"), encoded, STAMPS)
        self.replication = Replication(("b", "c"), required, cluster.epoch, START, UNTIL)
        self.round = self.replication.begin_round(self.records, TAG)
        self.round.mark_sent()
        self.at = START

    def replies(self, copy: str, content: Answer, tag: int = TAG) -> Sent:
        self.at += 0.001
        self.replication.receive(Reply(copy, tag, content, self.at))
        return self

    def fails(self, copy: str, reason: str, sent: bool = True, tag: int = TAG) -> Sent:
        self.at += 0.001
        self.replication.receive(Failure(copy, tag, reason, sent, self.at))
        return self

    def take_due(self, after: float = 0.0) -> list[Request]:
        self.at += after
        return self.replication.take_due(self.at)

    def restamps(self, place: int, stamp: Stamp) -> Round:
        records = self.records.restamped({place: stamp})
        second = self.replication.begin_second_round(records, SECOND_TAG, [place])
        second.replicate()
        return second

    @property
    def is_pending(self) -> bool:
        return self.replication.is_pending(0.0)

    def state(self, copy: str = "b") -> CopyState:
        return self.round.states[copy]


def _is_decided(request: Request) -> bool:
    assert isinstance(request.command, ScriptCall)
    return request.command.arguments[-1] == b"decided"


def test_idle_copies_are_sent_what_the_primary_was_asked_for_alone() -> None:
    sent = Sent()
    sent.round.states = dict.fromkeys("bc", CopyState.IDLE)
    assert sent.take_due() == []
    sent.round.replicate()
    assert sent.state() is CopyState.DUE
    assert [request.node for request in sent.take_due()] == ["b", "c"]
    assert (sent.state(), sent.take_due()) == (CopyState.SENT, [])


SKEWED = [b"some", 1, b"skewed", b"9"]


@pytest.mark.parametrize(
    ("answer", "state", "holds"),
    [
        (1, CopyState.ACKNOWLEDGED, [True, True]),
        ([b"some", 0, *LATER], CopyState.ACKNOWLEDGED, [True, True]),
        ([b"some", 1, b"expired", b"9"], CopyState.ACKNOWLEDGED, [True, False]),
        ([b"some", 1, b"has", Stamp(1000, 9).encode()], CopyState.ACKNOWLEDGED, [True, False]),
        (SKEWED, CopyState.EARLY, [True, False]),
        (BEHIND, CopyState.WAITING, [False, False]),
        ([b"refused", b"8", b"active"], CopyState.FAILED, [False, False]),
        ([b"foreign", b"shop:k:x"], CopyState.FAILED, [False, False]),
    ],
)
def test_what_a_copy_answers(answer: Answer, state: CopyState, holds: list[bool]) -> None:
    sent = Sent().replies("b", answer)
    assert sent.state() is state
    assert ["b" in sent.round.tracker.holders(place) for place in (0, 1)] == holds
    assert [("b" in sent.round.refusals(place)) for place in (0, 1)] == [not each for each in holds]


@pytest.mark.parametrize(
    ("reason", "sent_it", "after", "state"),
    [
        (LOST, True, 0.0, CopyState.WAITING),
        (LOST, True, GRACE_SECONDS, CopyState.FAILED),
        ("refuses connections", False, 0.0, CopyState.WAITING),
        ("no answer in time", True, 0.0, CopyState.FAILED),
    ],
)
def test_a_copy_that_was_not_reached(
    reason: str,
    sent_it: bool,
    after: float,
    state: CopyState,
) -> None:
    sent = Sent()
    sent.at += after
    assert sent.fails("b", reason, sent_it).state() is state
    assert sent.round.failures() == {"b": reason}


def test_a_waiting_copy_is_sent_them_again_after_a_pause_while_more_has_to_be_known() -> None:
    sent = Sent().replies("b", BEHIND)
    assert sent.replication.wake_at() == pytest.approx(sent.at + RESEND_SECONDS)
    assert sent.take_due() == []
    assert [request.node for request in sent.take_due(RESEND_SECONDS)] == ["b"]
    assert sent.state() is CopyState.SENT

    sent.replies("b", BEHIND).replies("c", 1).replication.decide()
    assert not sent.is_pending
    assert sent.take_due(RESEND_SECONDS) == []


def test_nothing_is_sent_again_after_the_deadline_or_where_the_primary_refused() -> None:
    late = Sent().replies("b", BEHIND)
    assert late.take_due(UNTIL - START) == []

    refused = Sent().replies("b", BEHIND)
    refused.replication.refuse(Failure("a", TAG, "OOM ", True, refused.at))
    assert refused.take_due(RESEND_SECONDS) == []
    assert refused.replication.wake_at() == refused.replication.until < UNTIL


def test_an_early_copy_is_sent_them_as_decided_once() -> None:
    sent = Sent().replies("b", SKEWED)
    assert sent.take_due() == [], "the primary may turn them down too"
    sent.replication.decide()
    assert sent.state() is CopyState.DUE
    (request,) = sent.take_due()
    assert _is_decided(request)
    assert sent.is_pending
    sent.replies("b", SKEWED)
    assert (sent.state(), sent.take_due()) == (CopyState.ACKNOWLEDGED, [])


def test_not_where_the_primary_turned_down_a_part() -> None:
    sent = Sent().replies("b", SKEWED)
    sent.replication.decide(resends_early=False)
    assert sent.take_due() == []


def test_it_is_pending_until_the_primary_has_decided() -> None:
    sent = Sent().replies("b", 1).replies("c", 1)
    assert sent.is_pending
    sent.replication.decide()
    assert not sent.is_pending


def test_it_is_pending_while_one_record_is() -> None:
    sent = Sent()
    sent.replication.decide()
    assert sent.replies("b", [b"some", 1, b"expired", b"9"]).is_pending
    assert not sent.replies("c", 1).is_pending


def test_a_late_answer_counts_until_the_deadline_has_passed() -> None:
    sent = Sent()
    sent.replication.decide()
    sent.at = UNTIL + 1
    assert sent.replication.is_pending(passed=UNTIL - 0.1)
    assert not sent.replies("b", 1).is_pending
    assert not Sent().replication.is_pending(passed=UNTIL)


def test_what_is_due_is_sent_although_enough_is_known() -> None:
    sent = Sent(required=0).replies("b", SKEWED)
    sent.replication.decide()
    wait = sent.replication.next_wait(sent.at, 0.0)
    assert wait is not None
    assert ([request.node for request in wait.requests], wait.until) == (["b"], sent.at)
    assert sent.replication.next_wait(sent.at, 0.0) is None


def test_a_restamped_record_counts_in_the_second_round_alone() -> None:
    sent = Sent()
    second = sent.restamps(0, Stamp(2000, 9))
    sent.replication.decide()
    due = [(request.node, request.tag) for request in sent.take_due()]
    assert due == [("b", SECOND_TAG), ("c", SECOND_TAG)]
    assert sent.replies("b", 1).is_pending
    assert second.tracker.holders(0) == []
    assert not sent.replies("c", 1, SECOND_TAG).is_pending


@pytest.mark.parametrize("is_late", [False, True])
@pytest.mark.parametrize(("stamp", "holds"), [(Stamp(3000, 5), True), (Stamp(1999, 5), False)])
def test_a_copy_that_showed_a_later_record_holds_the_restamped_one(
    stamp: Stamp,
    holds: bool,
    is_late: bool,
) -> None:
    sent, answer = Sent(), [b"some", 0, b"has", stamp.encode()]
    if not is_late:
        sent.replies("b", answer)
    second = sent.restamps(0, Stamp(2000, 9))
    if is_late:
        sent.replies("b", answer)
    assert second.tracker.holders(0) == (["b"] if holds else [])
    due = {request.node for request in sent.take_due()}
    assert due == {"b", "c"}, "it is sent there nevertheless"


def test_a_round_that_no_record_is_left_in_is_not_repeated() -> None:
    sent = Sent().replies("b", BEHIND)
    sent.round.tracker.withdraw([0, 1])
    assert sent.take_due(RESEND_SECONDS) == []
    assert sent.replication.wake_at() == UNTIL


@pytest.mark.parametrize(
    ("reason", "sent_it", "is_settled", "is_nowhere"),
    [
        ("OOM command not allowed", True, True, True),
        ("refuses connections", False, True, True),
        (LOST, True, True, False),
        ("no answer in time", True, True, False),
        (None, False, False, False),
    ],
)
def test_what_is_known_of_records_that_the_primary_refused(
    reason: str | None, sent_it: bool, is_settled: bool, is_nowhere: bool
) -> None:
    sent = Sent().replies("c", [b"refused", b"8", b"active"])
    if reason is not None:
        sent.fails("b", reason, sent_it)
    replication = sent.replication
    assert (replication.is_refusal_settled(), replication.is_nowhere()) == (is_settled, is_nowhere)


def test_a_copy_whose_connection_was_lost_may_have_them_also_if_it_refuses_later() -> None:
    sent = Sent().replies("c", [b"refused", b"8", b"active"]).fails("b", LOST)
    assert not sent.replies("b", [b"refused", b"8", b"active"]).replication.is_nowhere()


def test_what_never_left_is_nowhere() -> None:
    replication = Replication(("b", "c"), 1, b"7", START, UNTIL)
    replication.begin_round(Sent().records, TAG)
    assert replication.is_refusal_settled()
    assert replication.is_nowhere()
