"""One replica of real servers tells what is not so: the others serve, no login leaves, and it is
filled anew.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace

import pytest

from redrepl import Administration, Coordinator, Unavailable, WriteFailure
from redrepl.values import limits
from redrepl.values.keys import CLUSTERS_KEY, KeyLayout
from redrepl.values.limits import MAX_EPOCH
from redrepl.values.topology import Topology
from redrepl_workers.monitor import Monitor
from tests.servers.support.cluster import Cluster, Store
from tests.support.liars import RUBBISH, Liar
from tests.support.waiting import wait_until

LAYOUT = KeyLayout("shop")


@pytest.fixture
def elsewhere() -> Iterator[socket.socket]:
    """An address where nobody of the cluster is."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        listener.setblocking(False)
        yield listener


def was_reached(listener: socket.socket) -> bool:
    try:
        listener.accept()[0].close()
    except BlockingIOError:
        return False
    return True


def forge_topology(cluster: Cluster, node: str, **changes: object) -> None:
    """Let a node tell another topology, and work in its epoch, as whoever may write there can."""
    client = cluster.raw(node).client
    told = json.loads(client.hget(LAYOUT.topology, "topology"))
    forged = {**told, "epoch": told["epoch"] + 1, **changes}
    client.hset(LAYOUT.topology, "topology", json.dumps(forged))
    client.hset(
        LAYOUT.member,
        mapping={"epoch": forged["epoch"], "lineage": forged["epoch"], "state": "active"},
    )
    client.set(LAYOUT.guard, f"{forged['epoch']} active")


def test_no_login_goes_to_an_address_that_one_node_names(
    cluster: Cluster, elsewhere: socket.socket
) -> None:
    store = cluster.open()
    store.set("key", b"1", level="all")
    members = json.loads(cluster.raw("c").client.hget(LAYOUT.topology, "topology"))["members"]
    evil = f"redis://127.0.0.1:{elsewhere.getsockname()[1]}/0"
    for forged in (
        [*members, {"id": "x", "url": evil, "role": "replica", "identity": "id-x"}],
        [{**each, "url": evil} if each["id"] == "b" else each for each in members],
    ):
        forge_topology(cluster, "c", members=forged)
        cluster["a"].kill()  # so that nobody who serves contradicts
        configuration = replace(cluster.configuration(timeout_seconds=0.3), queue_url=None)
        with closing(Administration(configuration)) as administration:
            administration.inspect()
            administration.inspect()
        with closing(Monitor(configuration)._administration) as administration:
            administration.probe(0.3, 0.3)
        program: Store = Coordinator(configuration)
        with program:
            program.health()
        assert not was_reached(elsewhere)
        cluster["a"].start()


def test_no_login_goes_to_an_address_that_the_one_node_that_is_heard_names(
    cluster: Cluster, elsewhere: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody contradicts, and whoever is silent counts: one of two is no majority."""
    monkeypatch.setattr(limits, "FIRST_CONTACT_SECONDS", 0.5)
    cluster.open().set("key", b"1", level="all")
    members = json.loads(cluster.raw("c").client.hget(LAYOUT.topology, "topology"))["members"]
    evil = f"redis://127.0.0.1:{elsewhere.getsockname()[1]}/0"
    forge_topology(
        cluster,
        "c",
        members=[*members, {"id": "x", "url": evil, "role": "replica", "identity": "id-x"}],
    )
    cluster["a"].kill()
    cluster["b"].freeze()
    with closing(Administration(cluster.configuration(timeout_seconds=0.3))) as administration:
        topology, _ = administration.inspect()
        assert topology is not None
        assert topology.member("x").url == evil, "it is heard"
        administration.inspect()
    assert not was_reached(elsewhere)


@pytest.mark.parametrize("kind", ["it alone", "it is primary"])
def test_programs_go_on_while_one_replica_tells_another_topology(
    cluster: Cluster, kind: str
) -> None:
    store = cluster.open()
    store.set("key", b"1", level="all")
    members = json.loads(cluster.raw("c").client.hget(LAYOUT.topology, "topology"))["members"]
    moved = [{**each, "role": "primary" if each["id"] == "c" else "replica"} for each in members]
    forge_topology(cluster, "c", members=moved if kind == "it is primary" else moved[2:])
    assert store.set("key", b"2").acked == {"a", "b"}
    other = cluster.open()
    assert (other.topology.decider, other.topology.ids) == ("a", ("a", "b", "c"))
    assert other.set("key", b"3").acked == {"a", "b"}
    assert other.get("key", level="quorum") == b"3"
    cluster.settle()
    assert cluster.values_everywhere() == {b"key": b"3"}


def test_one_that_says_it_is_the_primary_of_this_very_epoch_is_not_followed_when_the_primary_dies(
    cluster: Cluster,
) -> None:
    """It and the other replica are as many as a failover takes, but nobody gave it the role."""
    store = cluster.open()
    store.set("key", b"1", level="all")
    before, _ = cluster.administration.inspect()
    members = json.loads(cluster.raw("c").client.hget(LAYOUT.topology, "topology"))["members"]
    for each in members:
        each["role"] = "primary" if each["id"] == "c" else "replica"
        each["identity"] = "id-new" if each["id"] == "c" else each["identity"]
    forge_topology(cluster, "c", members=members, epoch=1)
    cluster.raw("c").client.hset(LAYOUT.member, mapping={"identity": "id-new", "rule": "decide"})
    cluster["a"].kill()
    assert cluster.administration.inspect()[0] == before
    with suppress(Unavailable):
        cluster.bring_up("b")
    with closing(Administration(cluster.configuration())) as another, suppress(Unavailable):
        another.bring_up("b")
    assert Topology.parse(cluster.raw("b").client.hget(LAYOUT.topology, "topology")) == before
    with pytest.raises(WriteFailure):
        store.set("key", b"2")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epoch", "x"),
        ("epoch", str(MAX_EPOCH)),
        ("lineage", "0"),
        ("state", "weird"),
        ("state", b"\xff\xfe"),
        ("max_skew_micros", "-1"),
    ],
)
def test_a_copy_that_holds_what_cannot_be_true_is_filled_anew(
    cluster: Cluster, field: str, value: str | bytes
) -> None:
    store = cluster.open()
    store.set("key", b"1", level="all")
    cluster.raw("c").client.hset(LAYOUT.member, field, value)
    assert "a" in store.set("key", b"2").acked
    epoch = store.topology.epoch
    topology, reports = cluster.administration.inspect()
    assert topology is not None
    assert "c" in cluster.administration.targets(topology, reports), "the tick has it filled"
    cluster.settle()
    assert cluster.values_everywhere() == {b"key": b"2"}
    wait_until(
        lambda: store.set("probe", b"1", level="all").acked == {"a", "b", "c"}, message="c confirms"
    )
    assert store.topology.epoch == epoch + 1
    cluster["a"].kill()
    assert cluster.administration.failover(away="a").primary in "bc"


def test_a_copy_without_a_readable_membership_is_reached_and_filled_anew(cluster: Cluster) -> None:
    """A worker that is started after that opens its connections then."""
    cluster.open().set("key", b"1", level="all")
    cluster.raw("c").client.delete(LAYOUT.member)
    cluster.raw("c").client.lpush(LAYOUT.member, "what?")
    with closing(Administration(cluster.configuration())) as administration:
        topology, reports = administration.inspect()
        assert topology is not None
        assert "c" in administration.targets(topology, reports)
    cluster.settle()
    assert cluster.values_everywhere() == {b"key": b"1"}


def test_the_list_of_clusters_is_nobodys_end(cluster: Cluster) -> None:
    """Every login of a server may write there."""
    store = cluster.open()
    for node in cluster.nodes:
        cluster.raw(node).client.set(CLUSTERS_KEY, "x")
    store.set("key", b"1")
    assert cluster.open().get("key", level="quorum") == b"1"
    topology, reports = cluster.administration.inspect()
    assert topology is not None
    assert reports.silent == {}


@pytest.mark.plain  # the proxy that puts in rubbish speaks no TLS
@pytest.mark.parametrize("command", [b"EVALSHA", b"MGET", b"INFO"])
def test_rubbish_of_one_replica_is_its_own_failure(cluster: Cluster, command: bytes) -> None:
    """Every call of programs, workers and monitors ends as if that replica had not answered."""
    with closing(Liar(cluster["c"].port)) as liar:
        urls = {"c": liar.url}
        store = cluster.open(urls)
        for number in range(4):
            store.set(f"key-{number}", b"5", level="all")
        for kind, answer in RUBBISH.items():
            liar.twist = lambda sent, answer=answer: answer if sent[0] == command else None  # type: ignore[misc]
            assert {"a"} < store.set("key-1", b"5").acked | {"b"}, kind
            assert store.get("key-1", level="quorum") == b"5", kind
            assert store.get("key-2", prefer="replica") == b"5", kind
            assert store.increment("key-3") > 5, kind
            assert set(store.get_many(["key-1", "key-2"], prefer="replica").values()) == {b"5"}, (
                kind
            )
            store.transact(lambda transaction: transaction.set("key-0", b"5"))
        with closing(Administration(cluster.configuration(urls))) as administration:
            topology, reports = administration.inspect()
            assert topology is not None
            administration.targets(topology, reports)
            administration.status(look_at_keys=False)
        assert liar.answered
        liar.twist = lambda _: None
        wait_until(
            lambda: store.set("probe", b"1", level="all").acked == {"a", "b", "c"},
            message="c is used again",
        )
