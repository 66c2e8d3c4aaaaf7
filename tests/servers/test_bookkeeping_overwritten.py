"""Something of another type was put where a node keeps its bookkeeping: it is made anew, and
nothing is lost.
"""

from __future__ import annotations

from contextlib import suppress

import pytest

from redrepl import Administration, Mode, RedreplError, Unavailable
from redrepl.values.keys import CLUSTERS_KEY, KeyLayout
from tests.servers.conftest import MakeCluster
from tests.servers.support.cluster import Cluster
from tests.support.waiting import wait_until

LAYOUT = KeyLayout("shop")
NAMES = {
    name: key
    for name, key in vars(LAYOUT).items()
    if isinstance(key, bytes) and name != "data_prefix"
}
NAMES |= {"clusters": CLUSTERS_KEY}
NEEDED_TO_SERVE = ("member", "log")


def overwrite(cluster: Cluster, node: str, name: str) -> None:
    """Put a list there, or a string where a list belongs."""
    with cluster.raw(node).client as client:
        client.delete(NAMES[name])
        if name in ("checkpoints", "discarded"):
            client.set(NAMES[name], "x")
        else:
            client.rpush(NAMES[name], "x")


@pytest.mark.parametrize(
    ("node", "names"),
    [("c", list(NAMES)), ("a", [name for name in NAMES if name not in NEEDED_TO_SERVE])],
)
def test_what_was_overwritten_is_made_anew(cluster: Cluster, node: str, names: list[str]) -> None:
    store = cluster.open()
    for name in names:
        store.set("key", b"before", level="all")
        overwrite(cluster, node, name)
        assert "a" in store.set("key", name.encode()).acked, name
        cluster.settle()
        assert cluster.values_everywhere() == {b"key": name.encode()}, name
    with cluster.raw("c").client as client:
        client.flushall()
    cluster.settle()
    assert cluster.administration.failover("b").primary == "b"
    wait_until(
        lambda: store.set("key", b"end", level="all").acked == {"a", "b", "c"},
        message="all confirm",
    )


def test_a_worker_that_connects_afterwards_fills_it(cluster: Cluster) -> None:
    cluster.open().set("key", b"1", level="all")
    overwrite(cluster, "c", "member")
    with Administration(cluster.configuration()) as administration:
        wait_until(lambda: administration.bring_up("c").activated, message="c is active")
    assert cluster.values_everywhere() == {b"key": b"1"}


def test_a_primary_takes_writes_whatever_was_put_where_they_are_tried(cluster: Cluster) -> None:
    for name in ("probe", "no_stream", "no_string"):
        overwrite(cluster, "a", name)
        status = cluster.administration.status(look_at_keys=False)
        assert status.nodes[0].takes_writes, name


def test_a_server_whose_list_of_clusters_is_none_is_filled(cluster: Cluster) -> None:
    """The list is all that a restart without data can leave there."""
    store = cluster.open()
    store.set("key", b"1", level="all")
    with cluster.raw("c").client as client:
        client.flushall()
        client.set(CLUSTERS_KEY, "x")
    cluster.settle()
    assert cluster.values_everywhere() == {b"key": b"1"}
    with cluster.raw("c").client as client:
        assert client.hgetall(CLUSTERS_KEY) == {b"shop": b"c"}


@pytest.mark.parametrize("name", NEEDED_TO_SERVE)
def test_a_primary_that_cannot_serve_without_it_is_replaced(cluster: Cluster, name: str) -> None:
    store = cluster.open()
    store.set("key", b"1", level="all")
    cluster.monitor()
    overwrite(cluster, "a", name)

    def is_written() -> bool:
        with suppress(RedreplError):
            return bool(store.set("key", b"2").acked)
        return False

    wait_until(is_written, 20, "another primary takes writes")
    assert store.topology.decider != "a"
    cluster.settle()
    assert cluster.values_everywhere() == {b"key": b"2"}


def spoil(cluster: Cluster, node: str, how: str) -> None:
    """Put something else where the node keeps what it is, in one of several ways."""
    with cluster.raw(node).client as client:
        if how == "field":
            client.hdel(LAYOUT.member, "cluster")
            return
        client.delete(LAYOUT.member)
        if how == "hash":
            client.hset(LAYOUT.member, "x", "y")
        else:
            client.set(LAYOUT.member, "x")


def problem_of(cluster: Cluster, node: str) -> str:
    """What status says of a node."""
    return next(
        each.error or "" for each in cluster.administration.status().nodes if each.id == node
    )


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("how", ["hash", "string", "field"])
def test_of_several_primaries_one_is_made_anew_with_what_it_alone_had(
    make_cluster: MakeCluster, how: str, count: int
) -> None:
    cluster = make_cluster(count=count, mode=Mode.MULTI_PRIMARY)
    stores = {home: cluster.open(home=home) for home in cluster.nodes}
    stores["a"].set_many({"old": b"a", "both": b"a", "gone": b"a", "mine": b"a"}, level="all")
    stores["b"].set_many({"alone": b"b", "both": b"b"}, level="async")
    stores["b"].delete("gone", level="async")
    stores["a"].set("mine", b"later", level="async")
    spoil(cluster, "b", how)
    stores["a"].set("meanwhile", b"a", level="async")
    assert "the workers drop that and fill it anew" in problem_of(cluster, "b")
    cluster.settle()
    kept = {b"old": b"a", b"both": b"b", b"mine": b"later", b"alone": b"b", b"meanwhile": b"a"}
    assert cluster.values_everywhere() == kept
    wait_until(
        lambda: len(stores["b"].set("end", b"b", level="all").acked) == count, message="all confirm"
    )


@pytest.mark.parametrize("mode", list(Mode))
def test_an_operator_gives_its_place_to_it_anew_where_no_worker_runs(
    make_cluster: MakeCluster, mode: Mode
) -> None:
    cluster = make_cluster(mode=mode)
    cluster.open().set("key", b"1", level="all")
    spoil(cluster, "b", "hash")
    endpoint = cluster.administration.configuration.endpoints[1]
    assert f"`redrepl nodes replace b {endpoint.url}`" in problem_of(cluster, "b")
    assert cluster.administration.replace_node(endpoint)["b"].startswith("member, syncing")
    cluster.settle()
    assert cluster.values_everywhere() == {b"key": b"1"}


def test_where_too_few_others_are_there_it_is_left_and_an_operator_told(
    make_cluster: MakeCluster,
) -> None:
    cluster = make_cluster(mode=Mode.MULTI_PRIMARY)
    cluster.open(home="c").set("key", b"1", level="all")
    cluster["a"].kill()
    spoil(cluster, "b", "hash")
    own, needed = (
        cluster.administration.configuration.endpoints[1],
        "2 of the present 3 must be there; usable: c",
    )
    with pytest.raises(Unavailable, match=needed):
        cluster.bring_up("b")
    with pytest.raises(Unavailable, match=needed):
        cluster.administration.replace_node(own)
    assert "--accept-loss" in problem_of(cluster, "b")
    with cluster.raw("b").client as client:
        assert client.hgetall(LAYOUT.member) == {b"x": b"y"}, "nothing was touched"
    cluster.administration.replace_node(own, accept_loss=True)
    assert cluster.bring_up("b").activated
    assert cluster.raw("b").values() == {b"key": b"1"}
    cluster["a"].start()
    cluster.settle()
    assert cluster.values_everywhere() == {b"key": b"1"}
