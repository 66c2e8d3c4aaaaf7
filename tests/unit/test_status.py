"""Status: what a node's report means, and the condition of the whole."""

from __future__ import annotations

from collections import Counter

import pytest

from redrepl.plans.conditions import verdicts_on
from redrepl.plans.status import (
    Expectations,
    Survey,
    cluster_status,
    condition_of,
    lag_of,
    node_state,
)
from redrepl.plans.view import ClusterView
from redrepl.values import limits
from redrepl.values.effects import Command, PlainCommand
from redrepl.values.errors import Unavailable
from redrepl.values.keys import KeyLayout
from redrepl.values.level import Level
from redrepl.values.record import tombstone, value_record
from redrepl.values.report import Log, NodeReport
from redrepl.values.reports import Reports
from redrepl.values.stamp import Stamp
from redrepl.values.status import Condition, NodeStatus
from redrepl.values.topology import Mode, NodeState
from tests.unit.support.by_hand import START, ByHand, view
from tests.unit.support.in_memory import Nodes
from tests.unit.support.reports import NOW_MILLIS, report, stranger

ACTIVE, SYNCING, INACTIVE = NodeState.ACTIVE, NodeState.SYNCING, NodeState.INACTIVE


def _status(
    cluster: ClusterView, node: str, state: NodeState = ACTIVE, healthy: bool = True
) -> NodeStatus:
    member = cluster.topology.member(node)
    return NodeStatus(node, member.url, member.role, state, healthy, 0, True, 0, 0.0, 0.0, 0, None)


def _condition(
    level: Level, *states: NodeState, mode: Mode = Mode.PRIMARY_REPLICA, healthy: bool = True
) -> Condition:
    cluster = view(len(states), mode)
    statuses = tuple(
        _status(cluster, node, state, healthy and state is ACTIVE)
        for node, state in zip("abcde", states, strict=False)
    )
    return condition_of(cluster, statuses, Expectations(level, 30.0, 1))


@pytest.mark.parametrize(
    ("level", "states", "condition"),
    [
        ("quorum", (ACTIVE,), Condition.HEALTHY),
        ("quorum", (ACTIVE, ACTIVE, ACTIVE), Condition.HEALTHY),
        ("quorum", (ACTIVE, ACTIVE, INACTIVE), Condition.DEGRADED),
        ("quorum", (ACTIVE, SYNCING, INACTIVE), Condition.UNAVAILABLE),
        ("quorum", (SYNCING, ACTIVE, ACTIVE), Condition.UNAVAILABLE),
        ("quorum", (INACTIVE, ACTIVE, ACTIVE), Condition.UNAVAILABLE),
        ("quorum", (ACTIVE, INACTIVE), Condition.UNAVAILABLE),
        ("quorum", (ACTIVE, ACTIVE, ACTIVE, INACTIVE, INACTIVE), Condition.DEGRADED),
        ("quorum", (ACTIVE, ACTIVE, SYNCING, INACTIVE, INACTIVE), Condition.UNAVAILABLE),
        ("all", (ACTIVE, ACTIVE, INACTIVE), Condition.UNAVAILABLE),
        ("one", (ACTIVE, ACTIVE, INACTIVE), Condition.DEGRADED),
        ("one", (ACTIVE, INACTIVE, INACTIVE), Condition.UNAVAILABLE),
        ("async", (ACTIVE, INACTIVE, INACTIVE), Condition.DEGRADED),
        (2, (ACTIVE, ACTIVE, INACTIVE), Condition.UNAVAILABLE),
        (0, (INACTIVE, ACTIVE, ACTIVE), Condition.UNAVAILABLE),
    ],
)
def test_the_condition_says_whether_a_write_can_be_confirmed(
    level: Level, states: tuple[NodeState, ...], condition: Condition
) -> None:
    assert _condition(level, *states) is condition


def test_of_several_primaries_any_may_decide() -> None:
    assert (
        _condition("quorum", INACTIVE, ACTIVE, ACTIVE, mode=Mode.MULTI_PRIMARY)
        is Condition.DEGRADED
    )
    assert (
        _condition("quorum", INACTIVE, INACTIVE, ACTIVE, mode=Mode.MULTI_PRIMARY)
        is Condition.UNAVAILABLE
    )
    assert (
        _condition("async", INACTIVE, INACTIVE, INACTIVE, mode=Mode.MULTI_PRIMARY)
        is Condition.UNAVAILABLE
    )


def test_a_copy_that_lags_degrades() -> None:
    assert _condition("quorum", ACTIVE, ACTIVE, healthy=False) is Condition.DEGRADED


@pytest.mark.parametrize(
    ("found", "state", "said"),
    [
        (report("b"), ACTIVE, None),
        (report("b", run_id="run-2"), SYNCING, "restarted"),
        (report("b", state="syncing"), SYNCING, "brought up"),
        (report("b", epoch="6"), SYNCING, "epoch 6"),
        (report("b", state="fenced"), INACTIVE, "fenced"),
        (stranger("b"), INACTIVE, "came back empty"),
        ("connection refused", INACTIVE, "connection refused"),
        (None, INACTIVE, "not asked"),
    ],
)
def test_a_nodes_state(found: NodeReport | str | None, state: NodeState, said: str | None) -> None:
    cluster = view(3)
    looked: dict[str, NodeReport | str] = {node: report(node) for node in "ac"}
    if found is not None:
        looked["b"] = found
    answer = node_state(cluster, cluster.topology.member("b"), Reports.collect(looked))
    assert answer[0] is state
    assert (answer[1] is None) if said is None else said in (answer[1] or "")


def test_an_empty_primary_is_told_from_an_empty_replica() -> None:
    cluster = view(3)
    state, said = node_state(cluster, cluster.topology.member("a"), Reports({"a": stranger("a")}))
    assert state is INACTIVE
    assert "writes wait" in (said or "")


def _survey(*reports: NodeReport | str, mode: Mode = Mode.PRIMARY_REPLICA) -> Survey:
    nodes = {found.node if isinstance(found, NodeReport) else "a": found for found in reports}
    return Survey(view(3, mode), Reports.collect(nodes))


def test_lag_is_counted_in_the_log_of_the_primary() -> None:
    survey = _survey(
        report("a", log=Log(5, "9-0", 10, "1-0"), cursors={"b": ("5-0", 7)}),
        report("b"),
        report("c"),
    )
    survey.ages = {("a", "b"): 2.5}
    lag = lag_of(survey, "b")
    assert lag is not None
    assert (lag.entries, lag.seconds, lag.sync_age_seconds) == (3, 2.5, 0.0)
    never = lag_of(survey, "c")
    assert never is not None
    assert (never.entries, never.sync_age_seconds) == (10, None)
    assert lag_of(survey, "a") == (0, 0.0, 0.0)


def test_lag_is_unknown_where_the_primary_does_not_answer() -> None:
    assert lag_of(_survey("down", report("b")), "b") is None
    assert lag_of(_survey(stranger("a"), report("b")), "b") is None


def test_lag_adds_up_over_several_primaries() -> None:
    log = Log(5, "9-0", 10, "1-0")
    survey = _survey(
        report("a", log=log, cursors={"c": ("5-0", 7)}),
        report("b", log=log, cursors={"c": ("5-0", 8)}),
        report("c"),
        mode=Mode.MULTI_PRIMARY,
    )
    survey.ages = {("a", "c"): 1.0, ("b", "c"): 4.0}
    lag = lag_of(survey, "c")
    assert lag is not None
    assert (lag.entries, lag.seconds) == (5, 4.0)


def _header(micros: int) -> bytes:
    return value_record(Stamp(micros, 1), b"").encode()[:35]


@pytest.mark.parametrize(
    ("primary", "b", "c", "subset", "agreement"),
    [
        ({b"x": _header(1)}, {b"x": _header(1)}, {b"x": _header(1)}, True, True),
        ({b"x": _header(2)}, {b"x": _header(1)}, {b"x": _header(2)}, True, False),
        ({b"x": _header(2)}, {}, {}, True, True),
        ({b"x": _header(1)}, {b"x": _header(2)}, {b"x": _header(2)}, False, True),
        ({}, {b"x": _header(1)}, {}, False, False),
    ],
)
def test_the_verdicts_on_contents(
    primary: dict[bytes, bytes],
    b: dict[bytes, bytes],
    c: dict[bytes, bytes],
    subset: bool,
    agreement: bool,
) -> None:
    cluster = view(3)
    statuses = tuple(_status(cluster, node) for node in "abc")
    verdicts = verdicts_on(cluster, statuses, {"a": primary, "b": b, "c": c}, 3)
    assert [verdict.holds for verdict in verdicts] == [subset, agreement, True, True]


def test_the_verdicts_without_contents_or_copies() -> None:
    cluster = view(3)
    alone = (_status(cluster, "a"), _status(cluster, "b", INACTIVE), _status(cluster, "c", SYNCING))
    assert [v.holds for v in verdicts_on(cluster, alone, {"a": {}}, 2)] == [
        True,
        True,
        False,
        False,
    ]
    all_up = tuple(_status(cluster, node) for node in "abc")
    assert [v.holds for v in verdicts_on(cluster, all_up, {"a": {}, "b": {}}, 2)] == [
        None,
        None,
        True,
        True,
    ]
    single = view(1)
    assert [v.holds for v in verdicts_on(single, (_status(single, "a"),), {"a": {}}, 1)] == [
        True
    ] * 4


def test_no_status_where_no_member_answers() -> None:
    plan = ByHand(
        cluster_status(KeyLayout("shop"), ("a", "b"), Expectations("quorum", 30.0, 1), START)
    )
    plan.fails("a", "down").replies("b", b"run_id:1\r\n", tag=0)
    with pytest.raises(Unavailable) as caught:
        plan.replies(
            "b",
            [[], [0, b"0-0", 0, b"", b"", 0], [], [], b"", b"%d" % NOW_MILLIS, [], [], [], b""],
            tag=1,
        )
    assert caught.value.evidence == {
        "a": "down",
        "b": "holds no membership of any cluster, and no keys at all",
    }


def _with_keys(nodes: Nodes) -> None:
    """On each node 20 values, 20 tombstones and 10 keys of another application."""
    there = nodes.value(b"1", 60.0)
    for node in nodes.first.ids:
        for number in range(20):
            nodes.put(node, b"%03d" % number, there)
            nodes.put(node, b"%03d gone" % number, tombstone(there.stamp))
        for number in range(10):
            nodes.client(node).execute_command("SET", b"other:%d" % number, b"1")


@pytest.mark.parametrize(("limit", "sample"), [(1000, 10), (30, 10), (30, 1000)])
def test_of_many_keys_status_looks_at_some(
    monkeypatch: pytest.MonkeyPatch, limit: int, sample: int
) -> None:
    monkeypatch.setattr(limits, "STATUS_SCAN_KEYS", limit)
    monkeypatch.setattr(limits, "STATUS_SAMPLE_KEYS", sample)
    monkeypatch.setattr(limits, "SCAN_KEYS", 5)
    nodes = Nodes(2)
    _with_keys(nodes)
    asked = Counter[str]()

    def counted(node: str, command: Command) -> object:
        asked["SCAN"] += isinstance(command, PlainCommand) and command.arguments[0] == b"SCAN"
        return send(node, command)

    send = nodes.send
    monkeypatch.setattr(nodes, "send", counted)
    status = nodes.run(
        cluster_status(nodes.layout, ("a", "b"), Expectations("quorum", 30.0, 1), nodes.at)
    )
    for node in status.nodes:
        assert node.keys_exact is (limit == 1000)
        if limit == 1000 or sample == 1000:
            assert node.keys == 20
        else:
            assert node.keys is not None
            assert 0 <= node.keys <= 60
    assert status.stats.primary_data_count == status.nodes[0].keys
    holds = status.verdicts[0].holds
    assert holds is (True if limit == 1000 else None)
    if sample == 10 and limit == 30:
        assert asked["SCAN"] <= 2 * 3
