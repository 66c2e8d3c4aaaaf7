"""Why no node takes over, and what an operator is told to do about it."""

from __future__ import annotations

import pytest

from redrepl.plans.epochs.suspicion import Suspicion, Verdict
from redrepl.plans.epochs.takeover import Takeover, cause_of, takeover_of, what_comes_next
from redrepl.values.report import NodeReport
from redrepl.values.reports import NO_REPORTS, Reports
from redrepl.values.topology import Mode
from tests.unit.support.by_hand import topology
from tests.unit.support.reports import RUN, report, stranger

Found = dict[str, NodeReport | str]
DEAD = "10.0.0.1:6379 refuses connections: no server runs there"
FROZEN = "10.0.0.1:6379 did not answer within 1 s"
ACCEPT = "redrepl failover --accept-loss --to"


def _member(node: str, run_id: str = RUN, state: str = "active") -> NodeReport:
    return report(node, lineage="7", run_id=run_id, state=state)


def _took(copies: int, reports: Found) -> Takeover:
    found = takeover_of(topology(copies), Reports.collect(reports))
    assert found is not None
    return found


def _cause(reports: Found) -> str:
    return cause_of(_took(3, reports), Reports.collect(reports))


def test_primary_and_a_replica_dead() -> None:
    takeover = _took(3, {"a": DEAD, "b": DEAD, "c": _member("c")})
    assert not takeover.is_possible
    assert (takeover.needed, takeover.counted, set(takeover.not_counted)) == (2, ("c",), {"a", "b"})
    text = what_comes_next(takeover, "primary 'a' is away", True, False)
    assert "no node takes over: 2 of 3 members must take part" in text
    assert f"c counts; not counted are a: {DEAD}; b: {DEAD}" in text
    assert f"`{ACCEPT} c`" in text
    assert "one that is started again does not" in text


def test_half_of_five_down_with_the_primary() -> None:
    takeover = _took(5, {"a": DEAD, "b": DEAD, "c": FROZEN, "d": _member("d"), "e": _member("e")})
    assert (takeover.needed, takeover.counted) == (3, ("d", "e"))
    # The frozen one alone is enough, and the dead ones would not count.
    assert takeover.ways[0].startswith("make c reachable again without restarting the server")


def test_two_of_five_down_beside_the_primary_can_be_replaced() -> None:
    takeover = _took(
        5, {"a": DEAD, "b": DEAD, "c": _member("c"), "d": _member("d"), "e": _member("e")}
    )
    assert takeover.is_possible
    assert "workers and monitors see to it" in what_comes_next(
        takeover, "primary 'a' is away", True, False
    )
    manual = what_comes_next(takeover, "primary 'a' is away", False, False)
    assert 'failover = "manual"' in manual
    assert "`redrepl failover`" in manual


def test_two_copies_wait_for_the_primarys_own_data() -> None:
    takeover = _took(2, {"a": DEAD, "b": _member("b")})
    assert (takeover.needed, takeover.counted) == (2, ("b",))
    assert any("start its server with its data directory" in way for way in takeover.ways)
    emptied = _took(2, {"a": stranger("a"), "b": _member("b")})
    assert any("restore its data directory and restart it" in way for way in emptied.ways)


def test_a_dead_primary_of_three_is_not_said_to_help_by_starting() -> None:
    ways = _took(3, {"a": DEAD, "b": stranger("b"), "c": _member("c")}).ways
    assert not any("data directory" in way for way in ways)


def test_where_all_restarted_all_are_to_be_there() -> None:
    restarted = _member("c", run_id="run-0")
    ways = _took(3, {"a": DEAD, "b": DEAD, "c": restarted}).ways
    assert any("have all 3 servers run with their data directories" in way for way in ways)


def test_members_that_do_not_count_say_why() -> None:
    reports: Found = {"a": DEAD, "b": _member("b", run_id="run-0"), "c": report("c", lineage="0")}
    assert _took(3, reports).not_counted == {
        "a": DEAD,
        "b": "restarted, and may have lost data",
        "c": "is being filled: it is new, or came back empty",
    }


def test_several_primaries_have_nothing_to_take_over() -> None:
    assert takeover_of(topology(3, Mode.MULTI_PRIMARY), NO_REPORTS) is None


def test_the_cause_stays_while_only_the_words_change() -> None:
    found: list[Found] = [
        {"a": f"has not answered for {seconds} s", "b": words, "c": _member("c")}
        for seconds, words in ((1.0, "connection lost: reset"), (2.5, DEAD))
    ]
    first, second = (_cause(reports) for reports in found)
    assert first == second
    back: Found = {"a": FROZEN, "b": stranger("b"), "c": _member("c")}
    assert _cause(back) != first


def _judged(reports: Found, *, replaces: bool = True) -> list[Verdict]:
    suspicion = Suspicion(0.1, 0.7, replaces)
    well: Found = {node: _member(node) for node in "abc"}
    suspicion.judge(topology(3), Reports.collect(well), 0.0)
    return [suspicion.judge(topology(3), Reports.collect(reports), at) for at in (0.05, 1.0)]


def test_a_monitor_is_told_that_it_is_blocked_once_it_would_act() -> None:
    early, late = _judged({"a": DEAD, "b": DEAD, "c": _member("c")})
    assert (early.blocked, early.is_due) == ("", False)
    assert late.blocked
    assert not late.is_due
    assert f"`{ACCEPT} c`" in late.why


def test_with_manual_failover_it_is_told_that_nothing_happens_by_itself() -> None:
    _, late = _judged({"a": DEAD, "b": _member("b"), "c": _member("c")}, replaces=False)
    assert late.blocked
    assert not late.is_due
    assert 'failover = "manual"' in late.why


@pytest.mark.parametrize(
    ("primary", "is_proved"),
    [
        (DEAD, True),
        ("connection lost: reset", True),
        (FROZEN, False),
        (stranger("a"), True),
        (_member("a", run_id="run-0"), True),
        (_member("a", state="syncing"), False),
    ],
)
def test_a_crash_is_told_from_silence(primary: NodeReport | str, is_proved: bool) -> None:
    _, late = _judged({"a": primary, "b": _member("b"), "c": _member("c")})
    assert (late.is_due, late.is_proved) == (True, is_proved)
