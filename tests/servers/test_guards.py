"""A member's guard, the string that reads at ONE find beside a record, taken away by somebody's
hand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from redrepl.values.keys import KeyLayout
from redrepl.values.status import Condition
from tests.servers.conftest import MakeCluster
from tests.servers.support.cluster import Cluster
from tests.support.waiting import wait_until

pytestmark = pytest.mark.usefixtures("server_binary")

GUARD = KeyLayout("shop").guard


def _overwrite_with_list(client: Any) -> None:
    client.delete(GUARD)
    client.rpush(GUARD, "1 active")


TAKEN_AWAY: dict[str, Callable[[Any], Any]] = {
    "deleted": lambda client: client.delete(GUARD),
    "overwritten": lambda client: client.set(GUARD, b"\xff\x00"),
    "of another type": _overwrite_with_list,
    "expiring": lambda client: client.pexpire(GUARD, 1),
}


def _guards(cluster: Cluster) -> dict[str, bytes | None]:
    found: dict[str, bytes | None] = {}
    for node in cluster.nodes:
        with cluster.raw(node).client as client:
            (found[node],) = client.mget(GUARD)
    return found


def test_a_guard_that_somebody_took_away_is_named_and_restored(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(persistence="none")
    store = cluster.open()
    store.set("key", b"1", level="all")
    cluster.settle()
    whole = dict.fromkeys("abc", b"1 active")
    assert _guards(cluster) == whole
    for node in "ba":
        for kind, take_away in TAKEN_AWAY.items():
            with cluster.raw(node).client as client:
                take_away(client)
                wait_until(lambda client=client: client.mget(GUARD) != [b"1 active"], 10, kind)  # type: ignore[misc]
            status = cluster.administration.status()
            (problem,) = status.problems
            assert problem.startswith(
                f"{node}: its guard (the key shop:m:guard) was deleted or overwritten"
            ), kind
            assert status.condition is Condition.DEGRADED
            assert store.get("key", prefer="primary" if node == "b" else "replica") == b"1"
            assert store.get("key", level="quorum") == b"1"
            assert cluster.lacking() == [node]
            assert cluster.bring_up(node).notes == [
                "its guard was deleted or overwritten: it was restored"
            ]
            assert (_guards(cluster), cluster.lacking()) == (whole, [])
    assert cluster.administration.status().condition is Condition.HEALTHY


def test_a_server_that_is_not_the_member_gets_no_guard(make_cluster: MakeCluster) -> None:
    """One that was taken out, or restarted with what it had, has to be admitted again first."""
    cluster = make_cluster()
    cluster.administration.remove_node("c")
    with cluster.raw("b").client as client:
        client.delete(GUARD)
    cluster["b"].restart()
    report = cluster.administration.inspect()[1].present["b"]
    assert report.has_lost_guard
    assert report.has_restarted
    cluster.settle()
    assert _guards(cluster) == {"a": b"2 active", "b": b"2 active", "c": None}


def test_a_worker_restores_it_and_reads_wait_for_that(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(persistence="none", max_age_seconds=30)
    store = cluster.open()
    store.set("key", b"1")
    cluster.ticker()
    with cluster.raw("a").client as client:
        client.delete(GUARD)
        assert store.get("key", timeout_seconds=20) == b"1"
        assert client.get(GUARD) == b"1 active"
