"""Walks over all keys and over whole logs take as long as they take: each step has a deadline of
its own.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import replace
from types import FunctionType, ModuleType
from typing import Any, TypeVar

import pytest

from redrepl.plans.copies import catch_up, copying
from redrepl.plans.copies import verify as verify_of
from redrepl.plans.copies.anti_entropy import SweepOrder, sweep
from redrepl.plans.copies.discarded import list_discarded
from redrepl.plans.copies.verify import verify
from redrepl.plans.epochs.failover import FailoverOrder, fail_over
from redrepl.plans.epochs.membership import Tolerances, initialise
from redrepl.plans.recovery.bring_up import BringUpOrder, bring_up
from redrepl.plans.scan import SCAN_START, scan_names
from redrepl.plans.status import Expectations, cluster_status
from redrepl.plans.steps import STEP_SECONDS, Steps
from redrepl.values import limits
from redrepl.values.effects import Effect, Plan
from redrepl.values.errors import Unavailable
from redrepl.values.record import tombstone
from tests.unit.support.by_hand import topology
from tests.unit.support.in_memory import MAX_AGE_SECONDS, QUICK_SECONDS, Nodes

KEYS = 60
ANSWER_SECONDS = 0.3 * STEP_SECONDS
"""A look at a node that is asked to write too is three answers."""

OLD = 3 * MAX_AGE_SECONDS
LONG = float("inf")


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> Nodes:
    """A primary a and replicas b and c with KEYS keys, in pages of a few."""
    monkeypatch.setattr(limits, "SCAN_KEYS", 5)
    monkeypatch.setattr(limits, "BATCH_KEYS", 5)
    monkeypatch.setattr(catch_up, "PAGE_CHANGES", 5)
    nodes = Nodes(3)
    for number in range(KEYS):
        nodes.write("abc", b"key-%02d" % number, nodes.value(b"%d" % number))
    return nodes


def _slowly(nodes: Nodes, work: Callable[[], Any]) -> Any:
    """Do it on nodes that take so long for each answer that four would exceed a deadline; it lasts
    long.
    """
    began, nodes.answer_seconds = nodes.at, ANSWER_SECONDS
    found = work()
    nodes.answer_seconds = QUICK_SECONDS
    assert nodes.at - began > 4 * STEP_SECONDS, "nothing long was done"
    return found


def _settle(nodes: Nodes) -> None:
    for node in "abcabc":
        nodes.bring_up(node)


def _bring_up_wholly(nodes: Nodes, node: str) -> None:
    """As many runs as it takes: each stops between pages when its time is over."""
    while not nodes.bring_up(node).finished:
        pass


def test_slow_nodes_of_these_tests_do_exceed_a_deadline(nodes: Nodes) -> None:
    call = nodes.view().read_call([nodes.layout.data(b"key-01")])
    nodes.answer_seconds = 1.1 * STEP_SECONDS
    with pytest.raises(Unavailable, match="no answer in time"):
        nodes.run(Steps(nodes.at).ask("a", call, "reading"))


def test_an_empty_replica_is_filled(nodes: Nodes) -> None:
    nodes.lose_everything("b")
    nodes.bring_up("b", budget_seconds=0.0)
    assert nodes.report("b").state == "syncing", "it is a member again, and not filled"
    assert _slowly(nodes, lambda: nodes.bring_up("b", budget_seconds=LONG)).activated
    assert nodes.contents("b") == nodes.contents("a")


def test_a_replica_is_walked_that_has_everything_and_more(nodes: Nodes) -> None:
    for number in range(KEYS):
        nodes.put("b", b"more-%02d" % number, nodes.value(b"more", OLD))
    done = _slowly(nodes, lambda: nodes.bring_up("b", exactly=True, budget_seconds=LONG))
    assert (done.full_syncs, done.undecided_replaced) == (1, KEYS)


def test_a_log_is_caught_up_with(nodes: Nodes) -> None:
    _settle(nodes)
    for number in range(KEYS):
        nodes.write("ac", b"later-%02d" % number, nodes.value(b"later"))
    _slowly(nodes, lambda: _bring_up_wholly(nodes, "b"))
    assert nodes.contents("b") == nodes.contents("a")


def test_a_replicas_log_is_checked(nodes: Nodes) -> None:
    for number in range(KEYS):
        nodes.put("b", b"undecided-%02d" % number, nodes.value(b"undecided", OLD))
    _slowly(nodes, lambda: _bring_up_wholly(nodes, "a"))
    assert nodes.contents("b") == nodes.contents("a")


def test_copies_are_compared(nodes: Nodes) -> None:
    client = nodes.client("c")
    client.execute_command("SET", nodes.layout.data(b"key-07"), nodes.value(b"damaged").encode())
    report = _slowly(nodes, lambda: nodes.run(verify(nodes.layout, nodes.first.ids, nodes.at)))
    assert (report.keys_checked, [found.key for found in report.mismatches]) == (KEYS, [b"key-07"])


def test_a_sweep_compares_and_purges(nodes: Nodes) -> None:
    for number in range(KEYS):
        nodes.write("abc", b"key-%02d" % number, tombstone(nodes.value(b"").stamp))
    _settle(nodes)
    order = SweepOrder(nodes.at, 1e9, repairs=True, retention_seconds=0.001)
    report = _slowly(nodes, lambda: nodes.run(sweep(nodes.layout, nodes.first.ids, order))).report
    assert report is not None
    assert report.findings.keys == KEYS


def test_the_status_counts_keys(nodes: Nodes) -> None:
    expected = Expectations("quorum", 30.0, 1)
    status = _slowly(
        nodes, lambda: nodes.run(cluster_status(nodes.layout, nodes.first.ids, expected, nodes.at))
    )
    assert {node.keys for node in status.nodes} == {KEYS}


def test_a_server_full_of_other_keys_is_looked_through(nodes: Nodes) -> None:
    for node in "xy":
        nodes.start(node)
        for number in range(KEYS):
            nodes.client(node).execute_command("SET", b"other-%d" % number, b"x")
    members = tuple(
        replace(member, id=node) for node, member in zip("xy", topology(2).members, strict=True)
    )
    made = replace(topology(2, epoch=1), members=members)
    incarnations = {"x": "i-x", "y": "i-y"}
    done = _slowly(nodes, lambda: nodes.run(initialise(made, incarnations, Tolerances(), nodes.at)))
    assert done == {"x": "created", "y": "created"}


@pytest.mark.parametrize("cut", ["a", "b", "abc"])
def test_a_failover_walks_where_logs_do_not_reach_back(nodes: Nodes, cut: str) -> None:
    nodes.write("b", b"alone", nodes.value(b"alone"))
    for node in cut:
        nodes.client(node).execute_command(
            "HSET", nodes.layout.member, "log_floor", nodes.report(node).log.last_id
        )
        nodes.client(node).execute_command("DEL", nodes.layout.marks)
    nodes.down.add("a")
    order = FailoverOrder(nodes.at, to="c", away=frozenset("a"), step_seconds=STEP_SECONDS)
    done = _slowly(nodes, lambda: nodes.run(fail_over(nodes.layout, nodes.first.ids, order)))
    assert done.primary == "c"
    assert nodes.record("c", b"alone") is not None


def test_a_primary_that_restarted_takes_all_that_its_replicas_have(nodes: Nodes) -> None:
    _settle(nodes)
    for node in "bc":
        nodes.client(node).execute_command(
            "HSET", nodes.layout.member, "log_floor", nodes.report(node).log.last_id
        )
    nodes.client("a").execute_command("DEL", nodes.layout.marks, nodes.layout.data(b"key-07"))
    nodes.restart("a")
    assert _slowly(nodes, lambda: nodes.bring_up("a")).activated
    assert nodes.contents("a") == nodes.contents("b")


def test_a_member_of_an_older_lineage_gives_up_what_it_alone_has(nodes: Nodes) -> None:
    _settle(nodes)
    for number in range(KEYS):
        nodes.write("a", b"alone-%02d" % number, nodes.value(b"alone"))
    nodes.down.add("a")
    nodes.run(
        fail_over(nodes.layout, nodes.first.ids, FailoverOrder(nodes.at, away=frozenset("a")))
    )
    nodes.down.clear()
    assert _slowly(nodes, lambda: nodes.bring_up("a")).undecided_replaced == KEYS
    nodes.answer_seconds = ANSWER_SECONDS
    listed = nodes.run(list_discarded(nodes.layout, ("a",), KEYS, nodes.at))
    assert len(listed.records) == KEYS


def test_names_are_listed_within_the_time_of_the_caller(nodes: Nodes) -> None:
    view, nodes.answer_seconds = nodes.view(), ANSWER_SECONDS
    steps = Steps(nodes.at, no_later_than=nodes.at + 1.5 * ANSWER_SECONDS)
    with pytest.raises(Unavailable, match="reading headers failed"):
        nodes.run(scan_names(view, "a", b"", SCAN_START, 0, steps))


R = TypeVar("R")
MANY_KEYS = 200
REMEMBERED = 30
MOST_NAMES = 100
"""Some pages, and twice what is remembered."""


class Watched:
    """Looks at each step of a plan at the names of keys that it holds. most: of them at a time;
    ever: all of them.
    """

    def __init__(self, nodes: Nodes) -> None:
        self.most = 0
        self.ever: set[bytes] = set()
        self._prefix = nodes.layout.data_prefix

    def run(self, plan: Plan[R]) -> Plan[R]:
        """Carry the plan out."""
        try:
            effect: Effect = next(plan)
            while True:
                names = self._names_in(plan)
                self.most, self.ever = max(self.most, len(names)), self.ever | names
                effect = plan.send((yield effect))
        except StopIteration as end:
            result: R = end.value
            return result

    def _names_in(self, plan: object) -> set[bytes]:
        """What can be reached from there, without what modules and classes have."""
        seen, left, names = set[int](), [plan], set[bytes]()
        while left:
            each = left.pop()
            if id(each) in seen or isinstance(each, (type, ModuleType, FunctionType)):
                continue
            seen.add(id(each))
            if isinstance(each, bytes) and each.startswith(self._prefix):
                names.add(each)
            left += gc.get_referents(each)
        return names


ALL_KEYS: dict[str, Callable[[Nodes], Plan[Any]]] = {
    "verify": lambda nodes: verify(nodes.layout, nodes.first.ids, nodes.at),
    "sweep": lambda nodes: sweep(
        nodes.layout, nodes.first.ids, SweepOrder(nodes.at, 1e9, True, 0.001)
    ),
    "filling": lambda nodes: bring_up(
        nodes.layout,
        nodes.first.ids,
        "b",
        BringUpOrder("inc-x", "id-x", Tolerances(), nodes.at, LONG, exactly=True),
    ),
}


@pytest.mark.parametrize("what", list(ALL_KEYS))
def test_what_goes_over_all_keys_holds_few_of_their_names(
    nodes: Nodes, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (verify_of, copying):
        monkeypatch.setattr(module, "REMEMBERED_NAMES", REMEMBERED)
    for number in range(MANY_KEYS):
        record = nodes.value(b"%d" % number).encode()
        for node in "ac" if what == "filling" else "abc":
            nodes.client(node).execute_command(
                "SET", nodes.layout.data(b"many-%03d" % number), record
            )
    watched = Watched(nodes)
    nodes.run(watched.run(ALL_KEYS[what](nodes)))
    assert nodes.contents("a") == nodes.contents("b")
    assert {nodes.layout.data(key) for key in nodes.contents("a")} <= watched.ever
    assert watched.most <= MOST_NAMES
