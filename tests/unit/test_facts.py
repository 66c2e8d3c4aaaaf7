"""Each fact is told where it happens, once, with what is known of it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from redrepl import RequestError, Unavailable
from redrepl.doors.upkeep_facts import UpkeepFacts, why_resynced
from redrepl.edges import opening, wake_ups
from redrepl.edges.admission import Admission, Purpose
from redrepl.edges.channel import Channel
from redrepl.edges.clock import StampClock
from redrepl.edges.configuration import Configuration
from redrepl.edges.connection import NodeConnection
from redrepl.edges.endpoint import Endpoint, split_url
from redrepl.edges.introduction import NodeUnusable
from redrepl.edges.opening import NodeGate
from redrepl.edges.reporter import Dispatcher, Reporter
from redrepl.edges.wake_ups import QueueWakeUps
from redrepl.observe import Part
from redrepl.plans.client.cluster_state import ClusterState
from redrepl.plans.client.codecs import Codecs
from redrepl.plans.client.options import CallOptions
from redrepl.plans.client.store import ClientStore
from redrepl.plans.epochs.failover import FailedOver
from redrepl.plans.recovery.bring_up import BroughtUp
from redrepl.values.effects import Ask, PlainCommand, Plan, Progress, Request
from redrepl.values.errors import NotAReplicatedRecord, WriteNotConfirmed, WriteRejected
from redrepl.values.keys import KeyLayout
from redrepl.values.reasons import LOST, REFUSES, SILENT
from redrepl.values.receipt import Outcome, WriteReceipt
from redrepl.values.record import value_record
from redrepl.values.reports import Reports
from redrepl.values.session import Session
from redrepl.values.stamp import Stamp
from redrepl.values.topology import Mode, Topology
from tests.support.access import ByName
from tests.support.recorder import Recorder
from tests.support.waiting import wait_until
from tests.unit.support.by_hand import ByHand, topology
from tests.unit.support.in_memory import Nodes
from tests.unit.support.stores import Store
from tests.unit.test_following_epochs import Surroundings

SECRET = "s3cr3t-word"


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def reporter(recorder: Recorder) -> Reporter:
    return Reporter(Dispatcher(recorder), "shop", Part.CLIENT)


# Connections --------------------------------------------------------------------------------------


class Opening:
    """In the place of `open_connection`: fails with ``reason``, unless that is None."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self.ends: list[socket.socket] = []

    def __call__(self, endpoint: Endpoint, *_: object) -> NodeConnection:
        if self.reason is not None:
            raise NodeUnusable(self.reason)
        near, far = socket.socketpair()
        self.ends.append(far)
        return NodeConnection(endpoint.node, near, "run-1", 7)


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Opening:
    made = Opening()
    monkeypatch.setattr(opening, "open_connection", made)
    return made


@pytest.fixture
def gate(node: Opening, reporter: Reporter) -> NodeGate:
    del node
    endpoint = split_url("a", f"redis://ada:{SECRET}@127.0.0.1:1/0")
    return NodeGate(endpoint, Admission(KeyLayout("shop"), Purpose.SERVE), 1.0, reporter)


def _try(gate: NodeGate) -> None:
    """Have a connection opened, and wait until that has come out."""
    told = threading.Event()
    gate._retry_at = 0.0
    gate.request(told.set)
    assert told.wait(30)
    wait_until(lambda: not gate._openings)
    gate.take(told.set)


def test_a_node_that_cannot_be_reached_is_told_once_for_each_kind_of_reason(
    gate: NodeGate,
    node: Opening,
    recorder: Recorder,
    reporter: Reporter,
) -> None:
    reasons = (
        f"h:1 {REFUSES}: 1",
        f"h:1 {REFUSES}: 2",
        f"h:1 {SILENT} 1 s",
        f"h:1 {SILENT} 2 s",
        None,
    )
    for node.reason in reasons:
        _try(gate)
    reporter.finish()
    assert recorder.names() == [
        "node_unavailable",
        "node_unavailable",
        "connection_opened",
        "node_available",
    ]
    assert [fact.named["why"] for fact in recorder.of("node_unavailable")] == [
        f"h:1 {REFUSES}: 1",
        f"h:1 {SILENT} 1 s",
    ]
    assert recorder.of("connection_opened")[0].named == {"node": "a", "address": "127.0.0.1:1"}
    assert recorder.of("node_available")[0].named["node"] == "a"
    assert recorder.of("node_available")[0].named["away_seconds"] > 0
    assert SECRET not in repr(recorder.facts)


def test_a_connection_that_is_lost_does_not_make_its_node_unavailable(
    gate: NodeGate,
    recorder: Recorder,
    reporter: Reporter,
) -> None:
    _try(gate)
    gate.report(f"{LOST}: reset", pause=False)
    _try(gate)
    reporter.finish()
    assert recorder.names() == ["connection_opened", "connection_lost", "connection_opened"]
    assert recorder.of("connection_lost")[0].named == {"node": "a", "why": "reset"}


def test_a_node_that_misbehaves_on_a_connection_is_unavailable_for_a_moment(
    gate: NodeGate,
    recorder: Recorder,
    reporter: Reporter,
) -> None:
    gate.report("takes no more data: 5 bytes wait", pause=True)
    reporter.finish()
    assert recorder.names() == ["connection_lost", "node_unavailable"]


def test_a_gate_that_is_closed_tells_nothing(
    gate: NodeGate,
    node: Opening,
    recorder: Recorder,
    reporter: Reporter,
) -> None:
    node.reason = "h:1 refuses"
    gate._wanted.append(lambda: None)
    gate.close()
    gate._opened(None, "h:1 refuses")
    reporter.finish()
    assert recorder.facts == []


def _ping() -> Plan[object]:
    request = Request("a", PlainCommand((b"PING",)))
    return (yield Ask((request,), time.monotonic() + 30.0))


def test_a_connection_that_fails_in_use_is_told_and_closing_is_not(
    gate: NodeGate,
    node: Opening,
    recorder: Recorder,
    reporter: Reporter,
) -> None:
    channel = Channel(lambda: {"a": gate}, 1.0)
    answers = threading.Thread(target=lambda: _close_after_question(node), daemon=True)
    answers.start()
    channel.run(_ping())
    answers.join(30)
    _try(gate)
    channel.close()
    gate.close()
    reporter.finish()
    assert recorder.names() == ["connection_opened", "connection_lost", "connection_opened"]
    assert "client 7 of the server" in recorder.of("connection_lost")[0].named["why"]


def _close_after_question(node: Opening) -> None:
    far = wait_until(lambda: node.ends[0])
    far.recv(100)
    far.close()


def test_an_idle_connection_that_turns_out_dead_is_told(
    gate: NodeGate,
    node: Opening,
    recorder: Recorder,
    reporter: Reporter,
) -> None:
    _try(gate)
    node.reason = f"h:1 {REFUSES}"
    near, _ = socket.socketpair()
    connection = NodeConnection("a", near, "run-1")
    connection.proven_at = float("-inf")
    gate._fresh = [connection]
    channel = Channel(lambda: {"a": gate}, 1.0)
    channel.run(_ping())
    channel.close()
    reporter.finish()
    assert recorder.names() == ["connection_opened", "connection_lost", "node_unavailable"]
    why = recorder.of("connection_lost")[0].named["why"]
    assert why == "it was idle, and the node did not answer on it"


# Writes -------------------------------------------------------------------------------------------


def _coordinator(
    cluster: Topology,
    reporter: Reporter,
) -> tuple[ClientStore[Any, bytes], Surroundings]:
    endpoints = tuple(Endpoint(member.id, member.url) for member in cluster.members)
    roles = tuple(member.role for member in cluster.members)
    configuration = Configuration("shop", endpoints, roles, cluster.mode)
    around = Surroundings()
    state = ClusterState(configuration, cluster, around, StampClock(writer=9), ByName(), reporter)
    codecs: Codecs[Any, bytes] = Codecs()
    base = ClientStore(state, around, codecs, Session())
    return base, around


def _set(base: ClientStore[Any, bytes]) -> ByHand[WriteReceipt]:
    return ByHand(base.set_plan("key", b"value", None, CallOptions(None, None)))


def test_a_write_that_succeeds_is_no_fact(recorder: Recorder, reporter: Reporter) -> None:
    base, _ = _coordinator(topology(3), reporter)
    assert _set(base).replies("a", 1).replies("b", 1).result.outcome is Outcome.COMMITTED
    reporter.finish()
    assert recorder.names() == ["epoch_changed"]


def test_a_write_in_another_epoch_is_sent_again(recorder: Recorder, reporter: Reporter) -> None:
    base, _ = _coordinator(topology(3, epoch=7), reporter)
    write = _set(base).replies("a", [b"refused", b"8", b"active"])
    for node in ("a", "b"):
        write.replies(node, topology(3, epoch=8).encode().encode())
    receipt = write.replies("a", 1).replies("c", 1).result
    reporter.finish()
    told = [
        "epoch_changed",
        "write_in_doubt",
        "epoch_changed",
        "write_sent_again",
        "write_resolved",
    ]
    assert recorder.names() == told
    stamp = str(receipt.stamp)
    in_doubt, sent, resolved = (recorder.of(name)[0] for name in (told[1], told[3], told[4]))
    why = "the primary is in a later epoch"
    assert in_doubt.named == {"node": "a", "keys": ("key",), "stamp": stamp, "why": why}
    assert sent.named == {"node": "a", "keys": ("key",), "stamp": stamp}
    assert resolved.named == {
        "keys": ("key",),
        "stamp": stamp,
        "outcome": Outcome.COMMITTED,
        "why": "",
    }
    assert (in_doubt.source.epoch, resolved.source.epoch) == (7, 8)


def test_a_write_that_may_be_out_is_looked_up(recorder: Recorder, reporter: Reporter) -> None:
    base, _ = _coordinator(topology(3, epoch=7), reporter)
    write = _set(base)
    encoded = write.everything[0].command.arguments[1]
    assert isinstance(encoded, bytes)
    write.fails("a", f"{LOST}: reset")
    assert write.scripts() == ["read_many"], "it is looked for on a new connection"
    write.replies("a", [b"ok", encoded]).replies("a", [b"ok", encoded]).replies(
        "b",
        [b"ok", encoded[:35]],
        tag=1,
    )
    assert write.result.outcome is Outcome.COMMITTED
    reporter.finish()
    names = recorder.names("epoch_changed")
    assert names == ["write_in_doubt", "write_looked_up", "write_resolved"]
    assert recorder.of("write_in_doubt")[0].named["why"] == f"{LOST}: reset"
    assert {fact.named["node"] for fact in recorder.of("write_looked_up")} == {"a"}
    assert recorder.of("write_resolved")[0].named["outcome"] is Outcome.COMMITTED
    assert b"value" not in repr(recorder.facts).encode()


def test_a_write_that_finds_no_primary_is_resolved_as_rejected(
    recorder: Recorder,
    reporter: Reporter,
) -> None:
    base, around = _coordinator(topology(3), reporter)
    write = around.plan = _set(base)
    around.down.add("a")
    write.fails("a", "down", sent=False)
    for node in ("b", "c"):
        write.replies(node, topology(3).encode().encode())
    around.at += 30.0
    with pytest.raises(WriteRejected):
        write.times_out()
    reporter.finish()
    assert recorder.names("epoch_changed") == ["write_in_doubt", "write_resolved"]
    resolved = recorder.of("write_resolved")[0].named
    assert (resolved["outcome"], "a: down" in resolved["why"]) == (Outcome.REJECTED, True)


def test_a_write_that_is_only_unconfirmed_is_not_followed_up(
    recorder: Recorder,
    reporter: Reporter,
) -> None:
    base, _ = _coordinator(topology(3), reporter)
    with pytest.raises(WriteNotConfirmed):
        ByHand(base.set_plan("key", b"v", None, CallOptions("all", None))).replies("a", 1).replies(
            "b",
            1,
        ).fails("c", "down")
    reporter.finish()
    assert recorder.names() == ["epoch_changed"]


def test_a_write_goes_on_to_another_of_several_primaries(
    recorder: Recorder,
    reporter: Reporter,
) -> None:
    base, around = _coordinator(topology(3, Mode.MULTI_PRIMARY), reporter)
    write = _set(base)
    around.down.add("a")
    write.fails("a", "down", sent=False)
    assert write.replies("b", 1).replies("c", 1).result.outcome is Outcome.COMMITTED
    reporter.finish()
    assert recorder.of("epoch_changed")[0].named["primary"] is None
    assert recorder.names("epoch_changed") == ["write_sent_again", "write_resolved"]
    assert recorder.of("write_sent_again")[0].named["node"] == "b"


def test_an_update_without_effect_is_carried_out_again(
    recorder: Recorder,
    reporter: Reporter,
) -> None:
    base, _ = _coordinator(topology(3), reporter)
    update = ByHand(base.increment_plan("n", 2, CallOptions(None, None))).fails(
        "a", "down", sent=False
    )
    for node in ("b", "c"):
        update.replies(node, topology(3).with_primary("b", 8).encode().encode())
    made = value_record(Stamp(5_000, 9), b"2").encode()
    assert update.replies("b", [b"ok", made]).replies("c", 1).result == 2
    reporter.finish()
    names = ["write_in_doubt", "write_sent_again", "write_resolved"]
    assert recorder.names("epoch_changed") == names
    assert [recorder.of(name)[0].named.get("node") for name in names] == ["a", "b", None]
    assert recorder.of("write_resolved")[0].named["outcome"] is Outcome.COMMITTED


def test_an_update_that_is_given_up_is_resolved_too(recorder: Recorder, reporter: Reporter) -> None:
    base, around = _coordinator(topology(3), reporter)
    update = around.plan = ByHand(base.increment_plan("n", 2, CallOptions(None, None)))
    made = value_record(Stamp(5_000, 9), b"2").encode()
    update.replies("a", [b"ok", made])
    for node in ("b", "c"):
        update.replies(node, [b"refused", b"8", b"fenced"])
    around.at += 30.0
    for node in ("b", "c"):
        update.replies(node, topology(3).encode().encode())
    with pytest.raises(WriteNotConfirmed):
        update.times_out()
    reporter.finish()
    assert recorder.names("epoch_changed") == ["write_in_doubt", "write_resolved"]
    assert recorder.of("write_resolved")[0].named["outcome"] is Outcome.UNKNOWN


# Reads --------------------------------------------------------------------------------------------


def test_a_read_that_repairs_is_told(recorder: Recorder) -> None:
    store = Store(observer=recorder)
    store.run(store.set_plan("key", b"value", None, CallOptions("all", None)))
    store.run(store.get_plan("key", "quorum", "primary", None))
    store.reporter.finish()
    assert recorder.names() == ["epoch_changed"]
    for node in ("b", "c"):
        store.nodes.client(node).execute_command("DEL", store.nodes.layout.data(b"key"))
    store.run(store.get_plan("key", "all", "primary", None))
    store.reporter.finish()
    assert recorder.names("epoch_changed") == ["read_repaired"]
    assert recorder.of("read_repaired")[0].named == {"node": "a", "records": 2}


def test_a_record_that_the_primary_had_lost_is_told(recorder: Recorder) -> None:
    store = Store(observer=recorder)
    store.run(store.set_plan("key", b"value", None, CallOptions("all", None)))
    store.nodes.client("a").execute_command("DEL", store.nodes.layout.data(b"key"))
    assert store.run(store.get_plan("key", "quorum", "primary", None)) == b"value"
    store.reporter.finish()
    assert recorder.names("epoch_changed") == ["record_restored"]
    assert recorder.of("record_restored")[0].named == {"node": "a", "records": 1}


# Upkeep -------------------------------------------------------------------------------------------


def test_a_look_tells_states_that_changed(recorder: Recorder, reporter: Reporter) -> None:
    nodes, facts = Nodes(3), UpkeepFacts(reporter)
    found: dict[str, Any] = {node: nodes.report(node) for node in nodes.first.ids}
    facts.looked(nodes.first, Reports.collect(found))
    facts.looked(nodes.first, Reports.collect({**found, "b": f"h:1 {REFUSES}"}))
    nodes.restart("b")
    facts.looked(nodes.first, Reports.collect({**found, "b": nodes.report("b")}))
    nodes.lose_everything("c")
    facts.looked(
        nodes.first,
        Reports.collect({"a": found["a"], "b": nodes.report("b"), "c": nodes.report("c")}),
    )
    facts.looked(None, Reports.collect({}))
    reporter.finish()
    assert recorder.names() == ["epoch_changed", *["member_state_changed"] * 6]
    assert [tuple(fact.named.values()) for fact in recorder.of("member_state_changed")] == [
        ("a", "unknown", "active", ""),
        ("b", "unknown", "active", ""),
        ("c", "unknown", "active", ""),
        ("b", "active", "silent", f"h:1 {REFUSES}"),
        ("b", "silent", "restarted", ""),
        ("c", "active", "no member", ""),
    ]


def test_a_failover_is_told_with_what_came_of_it(recorder: Recorder, reporter: Reporter) -> None:
    facts, done = UpkeepFacts(reporter), FailedOver(4, "b", "a", ("b", "c"), seconds=0.5)
    steps = list[Progress]()

    def move(on_progress: Callable[[Progress], None]) -> FailedOver:
        on_progress(Progress("fenced in epoch 4: b, c", 2, 3))
        return done

    assert facts.failover("a", None, "it is away", steps.append, move) is done
    with pytest.raises(Unavailable):
        facts.failover(
            "b", "c", "asked for", None, _raising(Unavailable("no majority", {"a": "down"}))
        )
    with pytest.raises(KeyboardInterrupt):
        facts.failover("b", "c", "asked for", None, _raising(KeyboardInterrupt()))
    reporter.finish()
    begun = "failover_begun"
    assert recorder.names("failover_step") == [
        begun,
        "failover_decided",
        begun,
        "failover_refused",
        begun,
    ]
    assert steps == [Progress("fenced in epoch 4: b, c", 2, 3)]
    assert recorder.of("failover_step")[0].named == {
        "step": "fenced in epoch 4: b, c",
        "done": 2,
        "total": 3,
    }
    assert recorder.facts[0].named == {"primary": "a", "to": None, "why": "it is away"}
    assert recorder.of("failover_decided")[0].named == {
        "primary": "b",
        "previous": "a",
        "new_epoch": 4,
        "serving": ("b", "c"),
        "seconds": 0.5,
    }
    assert recorder.of("failover_refused")[0].named["primary"] == "b"
    assert "no majority" in recorder.of("failover_refused")[0].named["why"]


def _raising(error: BaseException) -> Callable[..., Any]:
    def call(*_: object) -> Any:
        raise error

    return call


def test_a_resync_is_told_from_its_beginning_to_its_end(
    recorder: Recorder,
    reporter: Reporter,
) -> None:
    facts, steps = UpkeepFacts(reporter), list[Progress]()
    done = BroughtUp("b", 7, 3, activated=True, notes=["was set to syncing"])

    def bring_up(progress: Callable[[Progress], None]) -> BroughtUp:
        progress(Progress("a to b", 5, 9))
        return done

    assert facts.resync("b", "it is syncing", steps.append, bring_up) is done
    assert steps == [Progress("a to b", 5, 9)]
    with pytest.raises(RequestError):
        facts.resync("b", "it lags", None, _raising(RequestError("no member")))
    with pytest.raises(NotAReplicatedRecord):
        facts.resync("b", "it lags", None, _raising(NotAReplicatedRecord(f"key {SECRET!r} ...")))
    reporter.finish()
    assert [tuple(fact.named.values()) for fact in recorder.facts] == [
        ("b", "it is syncing"),
        ("b", "a to b", 5, 9),
        ("b", True, 7, 3, True, "was set to syncing"),
        ("b", "it lags"),
        ("b", False, 0, 0, False, "no member"),
        ("b", "it lags"),
        ("b", False, 0, 0, False, "a member holds a value that redrepl did not write"),
    ]


def test_why_a_member_is_resynced() -> None:
    nodes = Nodes(3)
    assert why_resynced(nodes.report("b"), exactly=True) == "asked for, key by key"
    assert why_resynced(nodes.report("b"), exactly=False) == "it lags, or may lag"
    assert why_resynced(None, exactly=False) == "it is silent"
    nodes.restart("b")
    assert why_resynced(nodes.report("b"), exactly=False) == "it is restarted"


def test_a_queue_that_is_away_is_told_once_until_it_is_back(
    recorder: Recorder,
    reporter: Reporter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    errors: list[Exception | None] = [OSError("reset"), OSError("reset"), None, OSError("reset")]
    sent: list[str] = []

    def enqueue(_queue: object, _cluster: str, node: str, _key: str) -> None:
        sent.append(node)
        if (error := errors[len(sent) - 1]) is not None:
            raise error

    monkeypatch.setattr(wake_ups, "open_queue", lambda *_: object())
    monkeypatch.setattr(wake_ups, "enqueue_bring_up", enqueue)
    hints = QueueWakeUps(
        "shop",
        f"redis://:{SECRET}@queue.example:1/0",
        "redrepl-shop",
        reporter=reporter,
    )
    for count in range(1, 5):
        hints.request(["b"])
        wait_until(lambda count=count: len(sent) == count)  # type: ignore[misc]
        hints.finish()
    reporter.finish()
    assert recorder.names() == ["wake_up_failed", "wake_up_failed"]
    assert recorder.facts[0].named["queue"] == "queue.example:1"
    assert "reset" in recorder.facts[0].named["why"]
    assert SECRET not in repr(recorder.facts)
