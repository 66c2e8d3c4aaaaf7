"""When a primary counts as gone: above all one that answers, and takes no writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from redrepl.plans.epochs.suspicion import LONGEST_CHANGE_SECONDS, Suspicion, Verdict
from redrepl.plans.lookout import Silence
from redrepl.values.report import Log, NodeReport
from redrepl.values.reports import Reports
from tests.unit.support.by_hand import topology
from tests.unit.support.reports import report

OOM = "OOM command not allowed when used memory > 'maxmemory'."
READONLY = "READONLY You can't write against a read only replica."
CLUSTER = topology(3)


def looks(**refusals: str | None) -> dict[str, NodeReport | str]:
    """Reports of active members that have said this to a write; None: they were not asked."""
    found = {node: report(node, lineage="7", era="7") for node in CLUSTER.ids}
    return {node: replace(each, refusal=refusals.get(node, "")) for node, each in found.items()}


def judged(
    suspicion: Suspicion, found: Mapping[str, NodeReport | str], at: float, *more: Any
) -> Verdict:
    """What a look that found this means."""
    return suspicion.judge(CLUSTER, Reports.collect(found), at, *more)


def not_asked() -> dict[str, NodeReport | str]:
    return looks(a=None, b=None, c=None)


@pytest.mark.parametrize("refusal", [OOM, READONLY])
def test_one_that_refuses_for_a_second_is_replaced(refusal: str) -> None:
    suspicion = Suspicion(0.1, 0.7)
    assert judged(suspicion, looks(), 10.0).why == ""
    verdict = judged(suspicion, looks(a=refusal), 10.5)
    assert (verdict.is_due, verdict.why) == (False, f"primary 'a' takes no writes: {refusal}")
    assert not judged(suspicion, looks(a=refusal), 10.9).is_due
    assert judged(suspicion, looks(a=refusal), 11.1).is_due


def test_looks_that_ask_nothing_remember_what_was_said() -> None:
    suspicion = Suspicion(0.1, 0.7)
    judged(suspicion, looks(), 10.0)
    judged(suspicion, not_asked(), 10.4)
    judged(suspicion, looks(a=OOM), 10.5)
    assert not judged(suspicion, not_asked(), 11.3).is_due
    assert judged(suspicion, not_asked(), 11.5).is_due


def test_one_that_takes_writes_again_in_time_stays() -> None:
    suspicion = Suspicion(0.1, 0.7)
    judged(suspicion, looks(), 10.0)
    judged(suspicion, looks(a=OOM), 10.5)
    assert judged(suspicion, looks(), 10.9).why == ""
    assert not judged(suspicion, looks(a=OOM), 11.6).is_due


@pytest.mark.parametrize("others", [{"b": OOM, "c": OOM}, {"b": OOM}, {"c": READONLY}])
def test_the_role_does_not_go_round_where_too_few_take_writes(others: dict[str, str]) -> None:
    suspicion = Suspicion(0.1, 0.7)
    judged(suspicion, looks(), 10.0)
    judged(suspicion, looks(a=OOM, **others), 10.5)
    verdict = judged(suspicion, looks(a=OOM, **others), 20.0)
    assert not verdict.is_due
    assert "no node takes over: 2 of 3 members must take part" in verdict.why
    assert all(
        f"{node}: takes no writes: {words}" in verdict.why
        for node, words in {"a": OOM, **others}.items()
    )


@pytest.mark.parametrize(
    "reason",
    [
        "h:1 refused the login: WRONGPASS invalid username-password pair",
        "h:1 takes no more clients: ERR max number of clients reached",
        "h:1 does not permit this login what it needs: NOPERM this user has no permissions",
        "h:1 has a TLS certificate that is not accepted: expired",
        "h:1 wants a certificate of its clients",
        "NOAUTH Authentication required.",
    ],
)
def test_one_that_turns_the_monitor_away_is_not_replaced(reason: str) -> None:
    """Others may be served: they have another login, or were connected before."""
    suspicion = Suspicion(0.1, 0.7)
    judged(suspicion, looks(), 10.0)
    verdict = judged(suspicion, looks() | {"a": reason}, 60.0)
    assert (verdict.is_due, verdict.is_proved, verdict.blocked) == (False, False, "turned away: a")
    assert "turns this monitor away" in verdict.why
    gone = judged(suspicion, looks() | {"a": "h:1 refuses connections: no server runs there"}, 60.1)
    assert (gone.is_due, gone.is_proved) == (True, True)


def test_a_change_of_epoch_is_ended_although_the_primary_turns_the_monitor_away() -> None:
    suspicion = Suspicion(0.1, 0.7)
    reason = "h:1 takes no more clients: ERR max number of clients reached"
    found = looks() | {"a": reason}
    found |= {node: report(node, epoch="8", state="fenced", lineage="7", era="7") for node in "bc"}
    assert not judged(suspicion, found, 10.0).is_due
    assert judged(suspicion, found, 11.1).is_due


def test_a_primary_that_crashed_is_replaced_although_the_others_are_full() -> None:
    suspicion = Suspicion(0.1, 0.7)
    judged(suspicion, looks(b=OOM, c=OOM), 10.0)
    crashed = {**looks(b=OOM, c=OOM), "a": "127.0.0.1:1 refuses connections"}
    assert judged(suspicion, crashed, 10.3).is_due
    unfenceable = {**looks(b=OOM, c=READONLY), "a": "127.0.0.1:1 refuses connections"}
    assert not judged(suspicion, unfenceable, 10.4).is_due


DOWN = "h:1 refuses connections: no server runs there"


def under_way(**more: Any) -> dict[str, NodeReport | str]:
    """The primary crashed, and somebody fenced the others."""
    fields = {"epoch": "8", "state": "fenced", "lineage": "7", "era": "7", **more}
    return {"a": DOWN} | {node: report(node, **fields) for node in "bc"}


def distances(
    now: float, usual_seconds: float, primary_seconds: float | None = None
) -> dict[str, Silence]:
    """Who has answered all, and how long its answers take."""
    far = usual_seconds if primary_seconds is None else primary_seconds
    return {
        "a": Silence(now, far),
        "b": Silence(now, usual_seconds),
        "c": Silence(now, usual_seconds),
    }


@pytest.mark.parametrize(
    "step",
    [
        {"log": Log(1, "1-0", 1, "1-0")},
        {"marks": {"a": ("inc-1", "1-0", 1)}},
        {"cursors": {"c": ("0-0", 0)}},
        {"state": "active"},
        {"epoch": "9"},
    ],
    ids=["records", "mark", "cursor", "state", "epoch"],
)
def test_a_change_of_epoch_is_left_alone_while_somebody_goes_on_with_it(
    step: dict[str, Any],
) -> None:
    suspicion = Suspicion(0.1, 0.7)
    judged(suspicion, looks(), 9.0)
    assert not judged(suspicion, under_way(), 10.0).is_due
    for now in (10.9, 11.8):
        assert not judged(suspicion, under_way(**step), now).is_due
    assert judged(suspicion, under_way(**step), 12.0).is_due


def test_who_goes_on_for_ever_holds_nobody_up() -> None:
    suspicion = Suspicion(0.1, 0.7)
    for second in range(int(LONGEST_CHANGE_SECONDS)):
        assert not judged(
            suspicion, under_way(log=Log(1, "1-0", second, "1-0")), 10.0 + second
        ).is_due
    assert judged(suspicion, under_way(), 10.0 + LONGEST_CHANGE_SECONDS).is_due


@pytest.mark.parametrize(
    ("chance", "usual", "seconds"), [(1.0, 0.01, 1.0), (0.0, 0.3, 3.0), (1.0, 0.3, 4.5)]
)
def test_who_ends_a_change_of_epoch_that_was_left_is_told_by_chance_where_members_are_far(
    chance: float, usual: float, seconds: float
) -> None:
    suspicion = Suspicion(0.1, 0.7, chance=lambda: chance)
    for now in (10.0, 10.0 + seconds - 0.1):
        assert not judged(suspicion, under_way(), now, None, distances(now, usual)).is_due
    now = 10.0 + seconds + 0.01
    assert judged(suspicion, under_way(), now, None, distances(now, usual)).is_due


def test_a_change_of_epoch_near_by_does_not_wait_for_a_member_of_which_nothing_is_known() -> None:
    suspicion = Suspicion(0.1, 0.7)
    assert not judged(suspicion, under_way(), 10.0, None, distances(10.0, 0.01, 4.0)).is_due
    assert judged(suspicion, under_way(), 11.1, None, distances(11.1, 0.01, 4.0)).is_due
