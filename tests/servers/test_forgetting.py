"""A server that goes on and has less than before: its run id tells nothing, and what others have of its log does."""

from __future__ import annotations

import pytest

from tests.servers.conftest import MakeCluster
from tests.servers.support.cluster import Cluster
from tests.support.clients import connect
from tests.support.waiting import wait_until

KEYS = 30
MAY_DEBUG = ("--enable-debug-command", "yes")


def overwrite_everything(cluster: Cluster, value: bytes) -> None:
    store = cluster.open()
    for number in range(KEYS):
        store.set(f"key-{number}", value, level="all")
    cluster.settle()


@pytest.mark.usefixtures("server_binary")
@pytest.mark.parametrize("node", ["a", "b"])
def test_a_machine_set_back_to_a_snapshot_with_its_memory_loses_nothing(
    make_cluster: MakeCluster, node: str, caplog: pytest.LogCaptureFixture
) -> None:
    cluster = make_cluster(persistence="none", extra_arguments=MAY_DEBUG)
    overwrite_everything(cluster, b"old")
    with connect(cluster[node]) as owner:
        owner.save()
        overwrite_everything(cluster, b"new")
        owner.execute_command("DEBUG", "RELOAD", "NOSAVE")
    assert set(cluster.raw(node).values().values()) == {b"old"}
    cluster.ticker()
    wait_until(lambda: f"{node} lost part of its memory while its server went on" in caplog.text, 30, "it is noticed")
    cluster.wait_settled()
    store = cluster.open()
    assert {store.get(f"key-{number}", level="quorum") for number in range(KEYS)} == {b"new"}
    assert set(cluster.values_everywhere().values()) == {b"new"}
    assert (cluster.administration.status(look_at_keys=False).primary == "a") == (node != "a")
