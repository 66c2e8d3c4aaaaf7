"""When a primary counts as gone: above all one that answers, and takes no writes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from redrepl.plans.epochs.suspicion import Suspicion
from redrepl.values.report import NodeReport
from tests.unit.support.by_hand import topology
from tests.unit.support.reports import report

OOM = "OOM command not allowed when used memory > 'maxmemory'."
READONLY = "READONLY You can't write against a read only replica."
CLUSTER = topology(3)


def looks(**refusals: str | None) -> dict[str, NodeReport | str]:
    """Reports of active members that have said this to a write; None: they were not asked."""
    found = {node: report(node, lineage="7", era="7") for node in CLUSTER.ids}
    return {node: replace(each, refusal=refusals.get(node, "")) for node, each in found.items()}


def not_asked() -> dict[str, NodeReport | str]:
    return looks(a=None, b=None, c=None)


@pytest.mark.parametrize("refusal", [OOM, READONLY])
def test_one_that_refuses_for_a_second_is_replaced(refusal: str) -> None:
    suspicion = Suspicion(0.1, 0.7)
    assert suspicion.judge(CLUSTER, looks(), 10.0).why == ""
    verdict = suspicion.judge(CLUSTER, looks(a=refusal), 10.5)
    assert (verdict.is_due, verdict.why) == (False, f"primary 'a' takes no writes: {refusal}")
    assert not suspicion.judge(CLUSTER, looks(a=refusal), 10.9).is_due
    assert suspicion.judge(CLUSTER, looks(a=refusal), 11.1).is_due


def test_looks_that_ask_nothing_remember_what_was_said() -> None:
    suspicion = Suspicion(0.1, 0.7)
    suspicion.judge(CLUSTER, looks(), 10.0)
    suspicion.judge(CLUSTER, not_asked(), 10.4)
    suspicion.judge(CLUSTER, looks(a=OOM), 10.5)
    assert not suspicion.judge(CLUSTER, not_asked(), 11.3).is_due
    assert suspicion.judge(CLUSTER, not_asked(), 11.5).is_due


def test_one_that_takes_writes_again_in_time_stays() -> None:
    suspicion = Suspicion(0.1, 0.7)
    suspicion.judge(CLUSTER, looks(), 10.0)
    suspicion.judge(CLUSTER, looks(a=OOM), 10.5)
    assert suspicion.judge(CLUSTER, looks(), 10.9).why == ""
    assert not suspicion.judge(CLUSTER, looks(a=OOM), 11.6).is_due


@pytest.mark.parametrize("others", [{"b": OOM, "c": OOM}, {"b": OOM}, {"c": READONLY}])
def test_the_role_does_not_go_round_where_too_few_take_writes(others: dict[str, str]) -> None:
    suspicion = Suspicion(0.1, 0.7)
    suspicion.judge(CLUSTER, looks(), 10.0)
    suspicion.judge(CLUSTER, looks(a=OOM, **others), 10.5)
    verdict = suspicion.judge(CLUSTER, looks(a=OOM, **others), 20.0)
    assert not verdict.is_due
    assert "no node takes over: 2 of 3 members must take part" in verdict.why
    assert all(f"{node}: takes no writes: {words}" in verdict.why for node, words in {"a": OOM, **others}.items())


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
    suspicion.judge(CLUSTER, looks(), 10.0)
    verdict = suspicion.judge(CLUSTER, looks() | {"a": reason}, 60.0)
    assert (verdict.is_due, verdict.is_proved, verdict.blocked) == (False, False, "turned away: a")
    assert "turns this monitor away" in verdict.why
    gone = suspicion.judge(CLUSTER, looks() | {"a": "h:1 refuses connections: no server runs there"}, 60.1)
    assert (gone.is_due, gone.is_proved) == (True, True)


def test_a_change_of_epoch_is_ended_although_the_primary_turns_the_monitor_away() -> None:
    suspicion = Suspicion(0.1, 0.7)
    reason = "h:1 takes no more clients: ERR max number of clients reached"
    found = looks() | {"a": reason}
    found |= {node: report(node, epoch="8", state="fenced", lineage="7", era="7") for node in "bc"}
    assert not suspicion.judge(CLUSTER, found, 10.0).is_due
    assert suspicion.judge(CLUSTER, found, 11.1).is_due


def test_a_primary_that_crashed_is_replaced_although_the_others_are_full() -> None:
    suspicion = Suspicion(0.1, 0.7)
    suspicion.judge(CLUSTER, looks(b=OOM, c=OOM), 10.0)
    crashed = {**looks(b=OOM, c=OOM), "a": "127.0.0.1:1 refuses connections"}
    assert suspicion.judge(CLUSTER, crashed, 10.3).is_due
    unfenceable = {**looks(b=OOM, c=READONLY), "a": "127.0.0.1:1 refuses connections"}
    assert not suspicion.judge(CLUSTER, unfenceable, 10.4).is_due
