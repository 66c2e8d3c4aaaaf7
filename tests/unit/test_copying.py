"""Copying with several requests on their way: the mark leaves when everything before it is stored,
and not earlier.
"""

from __future__ import annotations

import pytest

from redrepl.plans.copies.copying import MOSTLY_LACKING, REMEMBERED_NAMES, TIME, Copier
from redrepl.plans.lanes import Lanes
from redrepl.plans.steps import STEP_SECONDS, Steps
from redrepl.values.effects import Answer, Ask, PlainCommand, Plan, ScriptCall
from redrepl.values.errors import NotAReplicatedRecord, Unavailable
from redrepl.values.record import parse_record, value_record
from redrepl.values.report import Mark, Position
from redrepl.values.stamp import Stamp
from tests.unit.support.by_hand import START, ByHand, view
from tests.unit.support.reports import NOW_MILLIS, report

MARK = Mark("inc-1", Position("5-0", 12))
NAMES = [b"shop:k:%d" % number for number in range(4)]
WANTED = {name: Stamp(100 + number, 1).encode() for number, name in enumerate(NAMES)}
RECORDS = [value_record(Stamp(100 + number, 1), b"payload").encode() for number in range(4)]


def _copier(slice_keys: int = 2, asks_first: bool = False) -> Copier:
    copier = Copier(view(2), report("a"), "b", Steps(START))
    copier._slice_keys, copier._asks_first, copier._seen_purged_before = slice_keys, asks_first, 0
    return copier


def _whole(copier: Copier, mark: Mark | None = MARK) -> Plan[None]:
    yield from copier.send(WANTED, mark)
    yield from copier.settle()


def _calls(plan: ByHand[None], script: str) -> list[ScriptCall]:
    sent = [request.command for request in plan.everything]
    return [
        command for command in sent if isinstance(command, ScriptCall) and command.script == script
    ]


def _tag(plan: ByHand[None], script: str) -> int:
    found = [
        r.tag
        for r in plan.everything
        if isinstance(r.command, ScriptCall) and r.command.script == script
    ]
    return found[-1]


def _read(plan: ByHand[None], *records: bytes | None) -> ByHand[None]:
    return plan.replies("a", [b"ok", *records], tag=_tag(plan, "read_many"))


def _clock_read(plan: ByHand[None], now_millis: int) -> ByHand[None]:
    tag = next(request.tag for request in reversed(plan.everything) if request.command == TIME)
    return plan.replies("a", [b"%d" % (now_millis // 1000), b"0"], tag=tag)


def _stored(plan: ByHand[None], count: int) -> ByHand[None]:
    return plan.replies("b", [b"ok", count, b""], tag=_tag(plan, "absorb"))


def test_the_next_slice_is_read_while_the_target_stores() -> None:
    copier = _copier()
    plan = ByHand(_whole(copier))
    _read(plan, *RECORDS[:2])
    assert [len(_calls(plan, script)) for script in ("read_many", "absorb")] == [2, 1]
    assert _calls(plan, "absorb")[0].arguments[2:5] == (b"", b"", 0), (
        "the mark goes with the last slice"
    )
    _read(plan, *RECORDS[2:])
    assert len(_calls(plan, "absorb")) == 1, "the first is not answered yet"
    _stored(plan, 2)
    assert _calls(plan, "absorb")[1].arguments[2:5] == (b"inc-1", b"5-0", 12)
    before = copier.stored
    _stored(plan, 2)
    assert (plan.is_done, before, copier.stored, copier.records) == (True, None, MARK.position, 4)


@pytest.mark.parametrize("answer", [[b"refused", b"7", b"fenced"], [b"refused", b"", b""]])
def test_a_slice_that_was_not_stored_keeps_the_mark_back(answer: Answer) -> None:
    plan = _read(_read(ByHand(_whole(_copier())), *RECORDS[:2]), *RECORDS[2:])
    with pytest.raises(Unavailable):
        plan.replies("b", answer, tag=_tag(plan, "absorb"))
    assert [call.arguments[2] for call in _calls(plan, "absorb")] == [b""]


def test_a_target_that_fails_ends_it_wherever_it_is() -> None:
    plan = _read(ByHand(_whole(_copier())), *RECORDS[:2])
    with pytest.raises(Unavailable, match="storing copied records failed on node 'b'"):
        plan.fails("b", tag=_tag(plan, "absorb"))


def test_before_anything_is_read_the_target_says_what_it_has_purged() -> None:
    copier = _copier(slice_keys=4)
    copier._seen_purged_before = None
    plan = ByHand(_whole(copier))
    assert [request.node for request in plan.everything] == ["b"]
    plan.replies("b", b"55", tag=1)
    _read(plan, *RECORDS)
    assert _calls(plan, "absorb")[0].arguments[5] == 55
    with pytest.raises(
        Unavailable, match="node 'b' purged tombstones while records were copied to it"
    ):
        plan.replies("b", [b"purged"], tag=_tag(plan, "absorb"))


def test_a_foreign_value_is_left_out_and_noted() -> None:
    copier = _copier(slice_keys=4)
    plan = _read(ByHand(_whole(copier)), *RECORDS)
    plan.replies("b", [b"foreign", NAMES[2]], tag=_tag(plan, "absorb"))
    headers = [b"", RECORDS[1][:35], b"foreign", b""]
    plan.replies("b", [b"ok", *headers], tag=_tag(plan, "headers"))
    again = _calls(plan, "absorb")[1]
    assert (again.keys[3:], again.arguments[7:]) == ((NAMES[0], NAMES[3]), (RECORDS[0], RECORDS[3]))
    assert again.arguments[2] == b"inc-1"
    _stored(plan, 2)
    assert (plan.is_done, copier.foreign, copier.stored, copier.records) == (
        True,
        [NAMES[2]],
        MARK.position,
        2,
    )


def test_a_foreign_value_that_comes_up_meanwhile_is_an_error() -> None:
    plan = _read(ByHand(_whole(_copier(slice_keys=4))), *RECORDS)
    plan.replies("b", [b"foreign", NAMES[2]], tag=_tag(plan, "absorb"))
    plan.replies("b", [b"ok", b"", b"", b"foreign", b""], tag=_tag(plan, "headers"))
    with pytest.raises(NotAReplicatedRecord):
        plan.replies("b", [b"foreign", NAMES[3]], tag=_tag(plan, "absorb"))


def test_what_the_source_lost_is_sent_as_deleted_and_what_is_foreign_there_is_not() -> None:
    copier = _copier(slice_keys=4)
    plan = _read(ByHand(_whole(copier)), RECORDS[0], None, b"foreign", RECORDS[3])
    assert not _calls(plan, "absorb"), "its clock may have stepped, and it lost them by that"
    _clock_read(plan, NOW_MILLIS)
    call = _calls(plan, "absorb")[0]
    records = [parse_record(record) for record in call.arguments[7:] if isinstance(record, bytes)]
    assert [record.kind for record in records] == [b"v", b"d", b"v"]
    assert records[1].stamp == Stamp(101, 1)
    assert copier.foreign == [NAMES[2]]


def test_whether_the_target_is_asked_first_follows_what_it_lacked() -> None:
    copier = _copier(slice_keys=4, asks_first=True)
    plan = ByHand(_whole(copier)).replies("b", [b"ok", b"", b"", b"", b""], tag=1)
    assert not copier._asks_first
    _stored(_read(plan, *RECORDS), int(MOSTLY_LACKING * 4) - 1)
    assert copier._asks_first, "most of it stood there already"


def test_what_was_sent_lately_is_not_sent_for_an_earlier_stamp() -> None:
    copier = _copier(slice_keys=4)
    later = value_record(Stamp(500, 1), b"later").encode()
    _stored(_read(ByHand(_whole(copier)), later, *RECORDS[1:]), 4)
    again = {
        NAMES[0]: Stamp(499, 1).encode(),
        NAMES[1]: Stamp(101, 1).encode(),
        NAMES[2]: Stamp(103, 1).encode(),
    }
    assert copier._not_sent_yet(again) == [NAMES[2]]
    copier._sent.update(dict.fromkeys([b"%d" % number for number in range(REMEMBERED_NAMES)], b"x"))
    copier._remember([b"one more"], [later])
    assert copier._not_sent_yet(again) == [NAMES[2]]
    copier._sent.update(dict.fromkeys([b"%d" % number for number in range(REMEMBERED_NAMES)], b"x"))
    copier._remember([b"another"], [later])
    assert copier._not_sent_yet(again) == NAMES[:3], "what is long ago is forgotten"


# Lanes --------------------------------------------------------------------------------------------

PING = PlainCommand((b"PING",))


def _both(lanes: Lanes) -> Plan[list[Answer]]:
    first, second = lanes.start("a", PING, "pinging a"), lanes.start("b", PING, "pinging b")
    return [(yield from lanes.answer(first)), (yield from lanes.answer(second))]


def test_answers_may_come_in_any_order() -> None:
    plan = ByHand(_both(Lanes(Steps(START))))
    assert (plan.targets(), isinstance(plan.exchange, Ask)) == (["a", "b"], True)
    assert plan.replies("b", 2, tag=2).replies("a", 1, tag=1).result == [1, 2]


def test_what_is_started_while_others_are_under_way_leaves_them_wanted() -> None:
    def plan_of(lanes: Lanes) -> Plan[list[Answer]]:
        first = lanes.start("a", PING, "pinging a")
        second = yield from lanes.ask("b", PING, "pinging b")
        third = lanes.start("b", PING, "pinging b")
        answers = [second, (yield from lanes.answer(first)), (yield from lanes.answer(third))]
        return [*answers, (yield from lanes.ask("a", PING, "pinging a"))]

    plan = ByHand(plan_of(Lanes(Steps(START)))).replies("b", 2, tag=2)
    assert (plan.targets(), isinstance(plan.exchange, Ask)) == (["b"], False)
    plan.replies("a", 1, tag=1).replies("b", 3, tag=3)
    assert isinstance(plan.exchange, Ask), "nothing else is under way"
    assert plan.replies("a", 4, tag=4).result == [2, 1, 3, 4]


def test_what_is_started_leaves_although_the_answer_asked_for_is_there() -> None:
    def plan_of(lanes: Lanes) -> Plan[Answer]:
        first, second = lanes.start("a", PING, "pinging a"), lanes.start("b", PING, "pinging b")
        yield from lanes.answer(first)
        lanes.start("a", PING, "pinging a again")
        return (yield from lanes.answer(second))

    plan = ByHand(plan_of(Lanes(Steps(START)))).replies("b", 2, tag=2).replies("a", 1, tag=1)
    assert plan.result == 2
    assert [request.tag for request in plan.everything] == [1, 2, 3]


def test_silence_and_failures_say_what_could_not_be_done() -> None:
    with pytest.raises(Unavailable, match="pinging b failed on node 'b'"):
        ByHand(_both(Lanes(Steps(START)))).fails("b", tag=2)
    plan = ByHand(_both(Lanes(Steps(START)))).replies("b", 2, tag=2)
    assert plan.exchange.until == pytest.approx(plan.at + STEP_SECONDS)
    with pytest.raises(Unavailable, match="pinging a failed") as caught:
        plan.times_out()
    assert caught.value.evidence == {"a": "no answer in time"}
