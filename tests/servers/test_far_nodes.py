"""Nodes that are far: their answers are slow, and they are as good as any."""

from __future__ import annotations

from dataclasses import replace

from redrepl_workers.monitor import Monitor
from tests.servers.support.cluster import Cluster
from tests.support.waiting import wait_until


def primary_of(cluster: Cluster) -> str:
    """Who is the primary, as the nodes say."""
    topology, _ = cluster.administration.inspect()
    assert topology is not None
    return str(topology.decider)


def test_a_primary_that_is_far_and_answers_is_not_replaced_and_a_frozen_one_is(cluster: Cluster) -> None:
    proxies = {node: cluster.proxy(node) for node in cluster.nodes}
    for node, proxy in proxies.items():
        proxy.delay(0.15 if node == "a" else 0.0)  # a round trip longer than what a look used to wait
    urls = {node: proxy.url(cluster[node].url) for node, proxy in proxies.items()}
    monitor = Monitor(replace(cluster.configuration(urls), queue_url=None))
    cluster.stack.callback(monitor.stop)
    answered = 0
    while answered < 20:
        verdict = monitor.look().verdict
        assert not verdict.is_due
        answered += not verdict.away
    assert primary_of(cluster) == "a"
    cluster["a"].freeze()
    wait_until(lambda: monitor.look().failed_over is not None, message="another primary")
    assert primary_of(cluster) != "a"
