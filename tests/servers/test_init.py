"""Making a cluster: it can be completed before the first write, and never afterwards."""

from __future__ import annotations

import pytest

from redrepl import RequestError
from redrepl.values.keys import CLUSTERS_KEY
from tests.servers.conftest import MakeCluster
from tests.servers.support.cluster import Cluster
from tests.servers.support.raw import LAYOUT


def forget_membership(cluster: Cluster, node: str) -> None:
    with cluster.raw(node).client as client:
        client.delete(LAYOUT.member, LAYOUT.topology, LAYOUT.log, LAYOUT.cursors, LAYOUT.marks, CLUSTERS_KEY)


def test_doing_it_again_changes_nothing(cluster: Cluster) -> None:
    cluster.open().set("key", b"v", level="all")
    before = {node: cluster.raw(node).member() for node in "abc"}
    assert cluster.administration.initialise() == dict.fromkeys("abc", "already a member")
    assert {node: cluster.raw(node).member() for node in "abc"} == before


def test_a_run_that_was_cut_off_is_completed(cluster: Cluster) -> None:
    forget_membership(cluster, "c")
    assert cluster.administration.initialise()["c"] == "created"
    assert cluster.open().set("key", b"v", level="all").acked == {"a", "b", "c"}


@pytest.mark.parametrize("node", ["a", "b"])
def test_a_member_that_came_back_empty_is_not_made_anew(cluster: Cluster, node: str) -> None:
    cluster.open().set("key", b"v", level="all")
    cluster[node].restart(empty=True)
    with pytest.raises(RequestError, match=f"at work on .*; {node} came back without membership"):
        cluster.administration.initialise()
    assert cluster.raw(node).member() == {}


def test_a_node_with_records_but_no_membership_is_refused(make_cluster: MakeCluster) -> None:
    cluster = make_cluster()
    cluster.open().set("key", b"v", level="all")
    for node in "abc":
        forget_membership(cluster, node)
    with pytest.raises(RequestError, match=r"holds records of cluster 'shop' .*but no membership"):
        cluster.administration.initialise()
    assert [cluster.raw(node).member() for node in "abc"] == [{}, {}, {}]
