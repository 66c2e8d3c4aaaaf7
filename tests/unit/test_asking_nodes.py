"""Plans that ask several nodes about themselves, and one node after another."""

from __future__ import annotations

from dataclasses import replace

import pytest

from redrepl.plans.epochs.membership import Tolerances, initialise, rule_of
from redrepl.plans.inspect import STRAGGLER_SECONDS, inspect_nodes, newest_topology, run_id_in
from redrepl.plans.steps import Steps
from redrepl.plans.topology import discover, read_topology
from redrepl.plans.view import ClusterView, EpochMoved, admitted
from redrepl.values.answers.refusals import NotAdmitted
from redrepl.values.answers.upkeep import Counted
from redrepl.values.effects import Ask, PlainCommand, ScriptCall
from redrepl.values.errors import RequestError, Unavailable
from redrepl.values.keys import KeyLayout
from redrepl.values.report import NodeReport
from redrepl.values.reports import NO_REPORTS, Reports
from redrepl.values.topology import Mode, Topology
from tests.unit.support.by_hand import START, UNTIL, ByHand, topology, view
from tests.unit.support.reports import report, stranger

LAYOUT = KeyLayout("shop")
INFO, INSPECTION = 0, 1
GUARD = 1
STRANGER: list[object] = [[], [0, b"0-0", 0, b"", b"", 0], [], [], b"", b"1000", [], [], [], b""]


def _answer(node: str, cluster: Topology, **clusters: str) -> list[object]:
    epoch = b"%d" % cluster.epoch
    member = [
        b"cluster",
        b"shop",
        b"node",
        node.encode(),
        b"epoch",
        epoch,
        b"lineage",
        epoch,
        b"state",
        b"active",
    ]
    names = [text.encode() for pair in (clusters or {"shop": node}).items() for text in pair]
    return [
        [*member, b"run_id", b"run-1"],
        [0, b"0-0", 0, b"", b"", 0],
        [],
        [],
        cluster.encode().encode(),
        b"1000",
        names,
        [],
        [],
        epoch + b" active",
    ]


def test_every_node_is_asked_for_its_run_id_and_then_for_all() -> None:
    plan: ByHand[Reports] = ByHand(inspect_nodes(LAYOUT, ("a", "b", "c"), UNTIL))
    assert [(request.node, request.tag) for request in plan.sent] == [
        (n, t) for n in "abc" for t in (INFO, INSPECTION)
    ]
    plan.replies("b", b"# Server\r\nrun_id:run-1\r\nother:1\r\n").replies(
        "b", _answer("b", topology(3)), INSPECTION
    )
    plan.fails("a", "down")
    found = plan.times_out().result
    assert found.silent == {"a": "down", "c": "no answer in time"}
    seen = found.present["b"]
    assert (seen.run_id, seen.is_serving, seen.topology) == ("run-1", True, topology(3))


def test_bookkeeping_that_cannot_be_read_is_told() -> None:
    plan = ByHand(inspect_nodes(LAYOUT, ("a",), UNTIL)).replies("a", b"run_id:1\r\n")
    broken = [[b"epoch", b"x", b"state", b"active"], *STRANGER[1:]]
    assert "cannot be read" in str(plan.replies("a", broken, INSPECTION).result.silent["a"])


def test_nobody_to_ask() -> None:
    assert ByHand(inspect_nodes(LAYOUT, (), UNTIL)).result == NO_REPORTS


@pytest.mark.parametrize(
    ("information", "run_id"),
    [
        (b"run_id:abc\r\n", "abc"),
        (b"redis_version:7\r\nrun_id:abc\r\nx:1", "abc"),
        (b"", ""),
        (b"xrun_id:abc", ""),
    ],
)
def test_the_run_id_in_the_information(information: bytes, run_id: str) -> None:
    assert run_id_in(information) == run_id


def test_the_newest_topology_of_a_majority() -> None:
    old, new = topology(5, epoch=7), topology(5, epoch=7).with_primary("b", 8)
    plan: ByHand[Topology] = ByHand(read_topology(view(5), UNTIL))
    assert plan.targets()[::2] == list("abcde")
    plan.replies("a", old.encode().encode()).replies("b", new.encode().encode()).replies(
        "c", None
    ).fails("d")
    assert plan.replies("e", old.encode().encode()).result == new


def test_the_newest_topology_of_whoever_answers() -> None:
    plan: ByHand[Topology] = ByHand(read_topology(view(3), UNTIL)).replies(
        "b", topology(3).encode().encode()
    )
    assert plan.times_out().result == topology(3)
    with pytest.raises(Unavailable):
        ByHand(read_topology(view(2), UNTIL)).fails("a", "down").replies("b", None)


def test_one_that_was_moved_and_told_nothing_yet_does_not_end_the_look() -> None:
    """a was left behind, and c knows only that it was moved: the new primary tells the rest."""
    old = topology(3).encode().encode()
    plan: ByHand[Topology] = ByHand(read_topology(view(3), UNTIL))
    plan.replies("a", b"7 active", GUARD).replies("a", old).replies(
        "c", b"8 active", GUARD
    ).replies("c", old)
    plan.replies("b", b"8 active", GUARD)
    new = topology(3).with_primary("b", 8)
    assert plan.replies("b", new.encode().encode()).result == new


@pytest.mark.parametrize("confirms", [True, False])
def test_where_one_tells_of_a_later_epoch_the_others_are_waited_for(confirms: bool) -> None:
    """It alone moves nobody while a serves; a reader that went on without waiting would keep to a
    former primary.
    """
    old, new = topology(3), topology(3).with_primary("b", 8)
    plan: ByHand[Topology] = ByHand(read_topology(view(3), UNTIL))
    plan.replies("a", b"7 active", GUARD).replies("a", old.encode().encode())
    plan.replies("c", b"8 active", GUARD).replies("c", new.encode().encode())
    assert plan.exchange.until == UNTIL
    if confirms:
        assert (
            plan.replies("b", b"8 active", GUARD).replies("b", new.encode().encode()).result == new
        )
    else:
        assert plan.times_out().result == old


def test_the_newest_of_some_reports() -> None:
    assert newest_topology(Reports.collect({"a": "down", "b": stranger("b")})) is None
    assert newest_topology(Reports.collect({"a": "down", "b": report("b")})) == topology(3)


def test_who_says_at_a_members_place_that_it_is_another_member_speaks_for_neither() -> None:
    """c has a's name and identity, and tells that c is the primary: it is not a that says so."""
    known = _with_identities("first", 7)
    lie = known.with_primary("c", 7)
    reports: dict[str, NodeReport | str] = {
        "a": "did not answer",
        "b": replace(report("b", identity=known.identities["b"]), topology=known),
        "c": replace(report("a", identity=known.identities["a"]), node="c", topology=lie),
    }
    assert newest_topology(Reports.collect(reports)) is None
    assert newest_topology(Reports.collect(reports), known) == known
    reports = {f"address-{node}": each for node, each in reports.items()}
    reports["address-c"] = replace(report("a", identity=known.identities["a"]), topology=known)
    assert newest_topology(Reports.collect(reports)) == known, (
        "bare addresses are no places of members"
    )


def test_former_members_do_not_outvote_those_that_replaced_them() -> None:
    """All members were replaced, one after the other, and all former ones are reached: it is one
    cluster still.
    """
    known = [_with_identities("first", 7)]
    for node in "abc":
        known.append(
            known[-1].with_replaced(replace(known[-1].member(node), identity=f"id-new-{node}"))
        )
    reports = {
        f"{number}": replace(report("a", epoch=str(each.epoch)), topology=each)
        for number, each in enumerate(known)
    }
    assert not known[-1].is_related_to(known[0])
    assert newest_topology(Reports.collect(reports)) == known[-1]
    reports["stranger"] = replace(report("a", epoch="90"), topology=_with_identities("other", 90))
    assert newest_topology(Reports.collect(reports)) == known[-1]
    two = Reports({"a": reports["0"], "b": reports["stranger"]})
    assert newest_topology(two) == reports["stranger"].topology


def _with_identities(kind: str, epoch: int) -> Topology:
    members = tuple(
        replace(member, identity=f"id-{kind}-{member.id}") for member in topology(3).members
    )
    return replace(topology(3, epoch=epoch), members=members)


def test_a_member_serves_in_the_epoch_of_its_lineage_alone() -> None:
    """Both are written in the step that lets it serve: without lineage it would count for no
    failover, unnoticed.
    """
    (member, *rest) = _answer("a", topology(3))
    forged = [*member[:7], b"0", *member[8:]] if isinstance(member, list) else []
    plan = ByHand(inspect_nodes(LAYOUT, ("a",), UNTIL)).replies("a", b"run_id:1\r\n")
    assert "active in epoch 7, of lineage 0" in str(
        plan.replies("a", [forged, *rest], INSPECTION).result.silent["a"]
    )


def test_a_cluster_is_found_behind_any_of_its_addresses() -> None:
    plan = ByHand(discover(LAYOUT, ("seed-0", "seed-1"), UNTIL)).fails("seed-0", "down")
    plan.replies("seed-1", b"run_id:run-1\r\n").replies(
        "seed-1", _answer("b", topology(3)), INSPECTION
    )
    assert (plan.result.topology, plan.result.seed_of) == (topology(3), {"b": "seed-1"})


def test_a_cluster_at_work_is_found_without_waiting_for_a_frozen_member() -> None:
    plan = ByHand(discover(LAYOUT, ("a", "b", "c"), UNTIL))
    for node in "ba":
        assert plan.exchange.until == UNTIL
        plan.replies(node, b"run_id:run-1\r\n").replies(
            node, _answer(node, topology(3)), INSPECTION
        )
    assert plan.exchange.until == pytest.approx(plan.at + STRAGGLER_SECONDS)
    found = plan.times_out().result
    assert (found.topology, found.reports.silent) == (topology(3), {"c": "no answer in time"})


@pytest.mark.parametrize("answering", ["a", "bc"])
def test_where_too_few_or_not_the_primary_have_answered_all_are_waited_for(answering: str) -> None:
    plan = ByHand(discover(LAYOUT, ("a", "b", "c"), UNTIL))
    for node in answering:
        plan.replies(node, b"run_id:run-1\r\n").replies(
            node, _answer(node, topology(3)), INSPECTION
        )
    assert plan.exchange.until == UNTIL


def test_where_no_cluster_is_found_every_address_tells() -> None:
    plan = ByHand(discover(LAYOUT, ("x", "y", "z"), UNTIL)).fails("x", "down")
    for seed, clusters in (("y", []), ("z", [b"bakery", b"q"])):
        plan.replies(seed, b"run_id:1\r\n")
        if seed == "y":
            plan.replies(seed, [*STRANGER[:6], clusters, *STRANGER[7:]], INSPECTION)
    with pytest.raises(Unavailable, match="redrepl init") as caught:
        plan.replies("z", [*STRANGER[:6], [b"bakery", b"q"], *STRANGER[7:]], INSPECTION)
    evidence = {
        "x": "down",
        "y": "holds no membership of any cluster, and no keys at all",
        "z": "belongs to cluster 'bakery'",
    }
    assert caught.value.evidence == evidence


def test_a_step_is_a_question_of_its_own() -> None:
    steps = Steps(START, 5.0)
    plan = ByHand(steps.ask("a", PlainCommand((b"PING",)), "greeting"))
    assert (plan.exchange.until, isinstance(plan.exchange, Ask)) == (START + 5.0, True)
    assert plan.replies("a", b"PONG").result == b"PONG"
    assert steps.until == plan.at + 5.0
    for reason in ("down", "no answer in time"):
        plan = ByHand(steps.ask("a", PlainCommand((b"PING",)), "greeting"))
        with pytest.raises(Unavailable, match="greeting failed on node 'a'") as caught:
            plan.fails("a", "down") if reason == "down" else plan.times_out()
        assert caught.value.evidence == {"a": reason}


def test_resting_lets_time_pass() -> None:
    steps = Steps(START, 5.0)
    plan = ByHand(steps.rest(2.0))
    assert (plan.sent, plan.exchange.until) == ((), START + 2.0)
    assert plan.times_out().is_done
    assert steps.at == START + 2.0


def test_a_refusal_tells_an_epoch_that_moved_from_a_node_that_does_not_serve() -> None:
    assert admitted(Counted(3), "a", b"7") == Counted(3)
    with pytest.raises(EpochMoved, match="epoch 8, the caller in epoch 7"):
        admitted(NotAdmitted("8", "active"), "a", b"7")
    with pytest.raises(Unavailable, match="is syncing"):
        admitted(NotAdmitted("7", "syncing"), "a", b"7")
    with pytest.raises(Unavailable, match="came back empty"):
        admitted(NotAdmitted("", ""), "a", b"7")


def test_every_node_has_the_rule_of_its_role() -> None:
    assert [rule_of(topology(3), node) for node in "abc"] == ["decide", "follow", "follow"]
    assert [rule_of(topology(2, Mode.MULTI_PRIMARY), node) for node in "ab"] == ["merge", "merge"]


def _initialise() -> ByHand[dict[str, str]]:
    return ByHand(
        initialise(topology(2, epoch=1), {"a": "i-a", "b": "i-b"}, Tolerances(30.0, 5.0), UNTIL)
    )


def test_a_cluster_is_made_on_free_nodes() -> None:
    plan = _initialise()
    for node in "ab":
        plan.replies(node, b"run_id:run-%s\r\n" % node.encode()).replies(node, STRANGER, INSPECTION)
    for node in "ab":
        assert plan.targets() == [node], "each is searched for records first"
        plan.replies(node, [b"7", []]).replies(node, [b"0", []])
    calls = []
    for node in "ab":
        assert plan.targets() == [node]
        command = plan.sent[0].command
        assert isinstance(command, ScriptCall)
        calls.append(command)
        plan.replies(node, 1)
    assert plan.result == {"a": "created", "b": "created"}
    for node, rule, writer, call in zip(
        "ab", ("decide", "follow"), ("80001000", "80001001"), calls, strict=True
    ):
        head, flat = (
            call.arguments[:4],
            [str(a, "ascii") for a in call.arguments[4:] if isinstance(a, bytes)],
        )
        assert head == (b"shop", node.encode(), b"1", topology(2, epoch=1).encode().encode())
        assert dict(zip(flat[::2], flat[1::2], strict=True)) == {
            "rule": rule,
            "restamp_writer": writer,
            "state": "active",
            "lineage": "1",
            "era": "1",
            "incarnation": f"i-{node}",
            "run_id": f"run-{node}",
            "max_age_micros": "30000000",
            "max_skew_micros": "5000000",
        }


def test_a_cluster_is_not_made_where_a_node_is_away_or_taken() -> None:
    plan = _initialise().replies("a", b"run_id:1\r\n").replies("a", STRANGER, INSPECTION)
    with pytest.raises(Unavailable) as caught:
        plan.fails("b", "down")
    assert caught.value.evidence == {"b": "down"}
    for taken, said in (
        ([*STRANGER[:6], [b"bakery", b"x"], *STRANGER[7:]], "belongs to cluster 'bakery'"),
        (_answer("b", topology(3, epoch=2)), "another topology"),
        (_answer("a", topology(2, epoch=1)), "is node 'a'"),
    ):
        plan = _initialise().replies("a", b"run_id:1\r\n").replies("a", STRANGER, INSPECTION)
        with pytest.raises(RequestError, match=said):
            plan.replies("b", b"run_id:1\r\n").replies("b", taken, INSPECTION)
        assert "enrol" not in [
            r.command.script for r in plan.everything if isinstance(r.command, ScriptCall)
        ]


def test_the_calls_of_a_view_name_the_keys_of_its_cluster() -> None:
    cluster = ClusterView(topology(3))
    assert cluster.write_call(b"k", b"r") == ScriptCall(
        "write", (b"shop:m:member", b"shop:m:log", b"shop:k:k"), (b"7", b"r", b"by a")
    )
    assert cluster.write_many_call([b"x", b"y"], [b"r", b"s"]) == ScriptCall(
        "write_many",
        (b"shop:m:member", b"shop:m:log", b"shop:k:x", b"shop:k:y"),
        (b"7", b"r", b"s", b"by a"),
    )
    assert (cluster.decider, cluster.others["b"]) == ("a", ("a", "c"))
