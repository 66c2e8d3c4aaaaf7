"""A login loses a right on some nodes while programs write: nothing is taken for stored that is
not, and it is said.
"""

from __future__ import annotations

import pytest
import redis

from redrepl import Condition, Outcome
from tests.servers.conftest import MakeCluster
from tests.servers.support.cluster import Cluster
from tests.support.waiting import wait_until

pytestmark = pytest.mark.usefixtures("server_binary")

KEYS = [f"key-{number}" for number in range(50)]


@pytest.fixture
def cluster(make_cluster: MakeCluster) -> Cluster:
    """Primary a, replicas b and c."""
    return make_cluster(persistence="none")


def change_right(cluster: Cluster, nodes: str, rule: str) -> None:
    """Change what the login that all programs and workers share may do, from the next command
    on.
    """
    for node in nodes:
        with redis.Redis.from_url(cluster[node].url) as owner:
            owner.execute_command("ACL", "SETUSER", "default", rule)


def problems(cluster: Cluster) -> str:
    return "; ".join(cluster.administration.status(look_at_keys=False).problems)


@pytest.mark.parametrize("right", ["getrange", "get", "mget", "hget", "exists"])
def test_a_replica_that_could_not_be_read_has_what_was_acknowledged_meanwhile(
    cluster: Cluster, right: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = cluster.open()
    for key in KEYS:
        store.set(key, b"old", level="all")
    cluster.ticker()
    change_right(cluster, "b", f"-{right}")
    for key in KEYS:
        assert (
            store.set(key, b"new", level="quorum", timeout_seconds=10).outcome is Outcome.COMMITTED
        )
    status = cluster.administration.status(look_at_keys=False)
    assert status.condition is Condition.DEGRADED
    assert any(problem.startswith("b: ") and right in problem for problem in status.problems)
    if right == "getrange":  # b refuses the writes themselves without it
        wait_until(
            lambda: "bringing up b: " in caplog.text and "+getrange" in caplog.text,
            20,
            "it is not caught up",
        )

    change_right(cluster, "b", f"+{right}")
    cluster.wait_settled()
    assert set(cluster.values_everywhere().values()) == {b"new"}
    cluster["a"].kill()
    assert cluster.administration.failover(to="b").primary == "b"
    reader = cluster.open()
    assert set(reader.get_many(KEYS, level="quorum").values()) == {b"new"}


@pytest.mark.parametrize("right", ["getrange", "get"])
def test_a_primary_whose_records_cannot_be_read_is_replaced_and_nobody_is_told_to_delete_them(
    cluster: Cluster, right: str
) -> None:
    store = cluster.open()
    store.set("key", b"1", level="all")
    change_right(cluster, "a", f"-{right}")
    status = cluster.administration.status(look_at_keys=False)
    assert status.condition is Condition.UNAVAILABLE
    assert f"lacks +{right}" in problems(cluster)
    cluster.monitor()
    wait_until(lambda: cluster.administration.find_members().decider != "a", 20, "another primary")
    assert store.set("key", b"2", timeout_seconds=5).outcome is Outcome.COMMITTED


def test_where_no_node_can_be_read_writes_are_rejected_and_the_cluster_is_unavailable(
    cluster: Cluster,
) -> None:
    store = cluster.open()
    store.set("counter", b"1", level="all")
    change_right(cluster, "abc", "-get")
    with pytest.raises(Exception, match="lacks") as caught:
        store.increment("counter")
    assert "did not write" not in str(caught.value)
    assert cluster.administration.status(look_at_keys=False).condition is Condition.UNAVAILABLE


@pytest.mark.parametrize("right", ["hkeys", "hdel"])
def test_a_replica_that_cannot_be_moved_is_named_before_the_failover_that_needs_it(
    cluster: Cluster, right: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = cluster.open()
    store.set("key", b"1", level="all")
    change_right(cluster, "b", f"-{right}")
    status = cluster.administration.status(look_at_keys=False)
    assert status.condition is Condition.DEGRADED
    assert (
        "b: cannot be moved to another epoch by this login, so that it takes part in no failover: "
        "NOPERM" in problems(cluster)
    )
    assert store.set("key", b"2").outcome is Outcome.COMMITTED

    cluster.monitor()
    cluster["a"].kill()
    wait_until(
        lambda: (
            f"b: cannot be fenced: NOPERM this user has no permissions to run the {right}"
            in caplog.text
        ),
        20,
    )
    assert cluster.administration.inspect()[1].present["c"].epoch == 1, "nobody is fenced in vain"
    change_right(cluster, "b", f"+{right}")
    wait_until(
        lambda: cluster.administration.find_members().decider in ("b", "c"),
        20,
        "it goes on by itself",
    )
    assert cluster.open().get("key", level="quorum") == b"2"


def test_a_primary_that_turns_away_whoever_looks_is_said_to_stay(cluster: Cluster) -> None:
    """It may serve other logins."""
    cluster.open().set("key", b"1", level="all")
    change_right(cluster, "a", "-evalsha")
    told = problems(cluster)
    assert "primary 'a' turns this login away, and may serve others" in told
    assert "`redrepl failover`" in told
    assert "see to it" not in told
