"""Several primaries: cut from each other both sides write, afterwards all agree on the later
stamp.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest

from redrepl import Mode, Outcome, WriteReceipt
from redrepl.embedded.proxy import TcpProxy
from redrepl.values.record import parse_record
from redrepl.values.stamp import Stamp
from tests.servers.conftest import MakeCluster
from tests.servers.support.cluster import Cluster, Store
from tests.support.waiting import wait_until

KEYS = [f"key-{number}" for number in range(200)]


class Side(NamedTuple):
    """A client that lives beside one primary, and the network between it and the other
    primaries.
    """

    home: str
    store: Store
    links: list[TcpProxy]

    def cut(self) -> None:
        for link in self.links:
            link.cut()

    def heal(self) -> None:
        for link in self.links:
            link.heal()


def side(cluster: Cluster, home: str) -> Side:
    proxies = {node: cluster.proxy(node) for node in cluster.nodes if node != home}
    store = cluster.open({node: proxy.url() for node, proxy in proxies.items()}, home=home)
    return Side(home, store, list(proxies.values()))


def write_all(side: Side, round_number: int) -> dict[str, WriteReceipt]:
    """Every key, a third of them as deletes, a third in batches."""
    receipts: dict[str, WriteReceipt] = {}
    value = f"{side.home}{round_number}".encode()
    for number, key in enumerate(KEYS):
        if number % 3 == 0:
            receipts[key] = side.store.delete(key, level="async")
        elif number % 3 == 1:
            receipts[key] = side.store.set(key, value, level="async")
    receipts |= side.store.set_many(
        {key: value for key in KEYS if key not in receipts}, level="async"
    )
    for receipt in receipts.values():
        assert receipt.outcome is Outcome.COMMITTED
        assert receipt.acked == {side.home}
    return receipts


@pytest.mark.parametrize("count", [2, 3])
def test_primaries_cut_from_each_other_agree_on_the_later_stamp(
    make_cluster: MakeCluster, count: int
) -> None:
    cluster = make_cluster(count=count, mode=Mode.MULTI_PRIMARY)
    sides = [side(cluster, home) for home in cluster.nodes]
    for each in sides:
        each.store.set("warm", b"up", level="async")
        each.cut()
    # The last of each key is another side's, so that no side wins by coming last.
    latest: dict[str, Stamp] = {}
    for round_number in range(2):
        for each in sides if round_number else reversed(sides):
            for key, receipt in write_all(each, round_number).items():
                latest[key] = max(latest.get(key, receipt.stamp), receipt.stamp)
    contents = [cluster.raw(node).records() for node in cluster.nodes]
    assert all(contents[0] != other for other in contents[1:]), "the primaries diverged"
    for each in sides:
        each.heal()
    cluster.ticker()
    cluster.wait_settled(20)
    records = cluster.assert_identical()
    for key in KEYS:
        assert parse_record(records[key.encode()]).stamp == latest[key], key
    for each in sides:
        wait_until(
            lambda each=each: each.store.set("after", each.home.encode(), level="all"),  # type: ignore[misc]
            20,
            "all confirm again",
        )


def test_a_write_of_one_primary_is_on_all(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(mode=Mode.MULTI_PRIMARY)
    for home in cluster.nodes:
        store = cluster.open(home=home)
        assert store.set(f"from-{home}", b"v", level="all").acked == {"a", "b", "c"}
        assert store.get_record(f"from-{home}").node == home  # type: ignore[union-attr]
    assert len(cluster.values_everywhere()) == 3


def test_quorum_writes_go_on_without_one_primary_and_it_catches_up(
    make_cluster: MakeCluster,
) -> None:
    cluster = make_cluster(mode=Mode.MULTI_PRIMARY)
    stores = [cluster.open(home=home) for home in "ab"]
    cluster["c"].kill()
    for number in range(100):
        for store in stores:
            assert store.set(f"key-{number}", b"%d" % number).outcome is Outcome.COMMITTED
    cluster["c"].restart(empty=True)
    cluster.ticker()
    cluster.wait_settled()
    assert len(cluster.values_everywhere()) == 100


def test_a_client_whose_primary_dies_goes_on_at_another(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(mode=Mode.MULTI_PRIMARY)
    store = cluster.open(home="a")
    store.set("key", b"1")
    cluster["a"].kill()
    wait_until(
        lambda: store.set("key", b"2").outcome is Outcome.COMMITTED,
        message="another primary takes writes",
    )
    assert store.get("key") == b"2"
    cluster["a"].start()
    cluster.ticker()
    cluster.wait_settled()
    assert cluster.values_everywhere() == {b"key": b"2"}


def test_what_only_a_dead_primary_had_comes_back_with_it(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(mode=Mode.MULTI_PRIMARY)
    store_a, store_b = cluster.open(home="a"), cluster.open(home="b")
    store_a.set_many({"mine": b"a", "both": b"a"}, level="async")
    cluster["a"].kill()
    store_b.set("both", b"b")
    cluster["a"].start()
    cluster.ticker()
    cluster.wait_settled()
    assert cluster.values_everywhere() == {b"mine": b"a", b"both": b"b"}


def test_a_deleted_key_does_not_come_back_from_an_older_directory(
    make_cluster: MakeCluster,
) -> None:
    cluster = make_cluster(mode=Mode.MULTI_PRIMARY)
    store = cluster.open(home="a")
    store.set_many(dict.fromkeys(KEYS, b"v"), level="all")
    snapshot = cluster["b"].snapshot_directory()
    store.delete_many(KEYS, level="all")
    store.set("new", b"v", level="all")
    cluster["b"].restore_directory(snapshot)
    cluster["b"].start()
    cluster.ticker()
    cluster.wait_settled()
    assert cluster.values_everywhere() == {b"new": b"v"}


def test_a_quorum_read_finds_what_another_primary_took(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(mode=Mode.MULTI_PRIMARY)
    store_a, store_b = cluster.open(home="a"), cluster.open(home="b")
    store_a.set("key", b"1", level="all")
    cluster["c"].kill()
    store_b.set("key", b"2", level="async")
    assert store_a.get("key", level="quorum") == b"2"
    assert cluster.raw("a").values() == {b"key": b"2"}, "the read repaired its own primary"
