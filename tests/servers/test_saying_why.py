"""When something is wrong and lasts, status and the workers' log say what, why nothing is done, and
what to do.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import pytest
from rq.queue import Queue

from redrepl import Administration, Condition, Coordinator, Mode, Unavailable, WriteNotConfirmed
from redrepl.edges.endpoint import Endpoint, split_url
from redrepl.edges.wake_ups import enqueue_bring_up, enqueue_sweep, open_queue
from redrepl.embedded import EmbeddedServer, ServerBinary
from redrepl.values.jobs import default_queue
from redrepl_workers.monitor import Monitor
from redrepl_workers.queue_worker import free_name
from redrepl_workers.tick import Ticker
from tests.servers.conftest import MakeCluster
from tests.servers.support.cluster import Cluster
from tests.support.clients import connect
from tests.support.waiting import wait_until

MOST_LINES = 12
"""Of a worker's log over an outage: one for each node and cause, however often it looks."""


def _ticker(servers: Cluster, **options: Any) -> Ticker:
    ticker = Ticker(replace(servers.configuration(), queue_url=None, **options))
    servers.stack.callback(ticker.stop)
    ticker.start()
    return ticker


def test_status_and_failover_say_why_no_node_takes_over(cluster: Cluster) -> None:
    cluster.open().set("x", b"1", level="all")
    for node in "ab":
        cluster[node].kill()
    status = cluster.administration.status(look_at_keys=False)
    assert status.condition is Condition.UNAVAILABLE
    said = status.problems[-1]
    assert said.startswith(
        "primary 'a' is away, and no node takes over: 2 of 3 members must take part"
    )
    assert "c counts; not counted are a: " in said
    assert "`redrepl failover --accept-loss --to c`" in said
    takeover = status.as_json()["takeover"]
    assert (takeover["possible"], takeover["needed"], takeover["counted"]) == (False, 2, ["c"])
    assert set(takeover["not_counted"]) == {"a", "b"}
    assert any("--accept-loss --to c" in way for way in takeover["ways"])
    with pytest.raises(
        Unavailable, match=r"usable: c; .*`redrepl failover --accept-loss --to c`"
    ) as caught:
        cluster.administration.failover()
    assert set(caught.value.evidence) == {"a", "b"}


def test_status_says_that_a_takeover_is_possible(cluster: Cluster) -> None:
    assert (
        cluster.administration.status(look_at_keys=False).as_json()["takeover"]["possible"] is True
    )
    cluster["a"].kill()
    status = cluster.administration.status(look_at_keys=False)
    assert status.as_json()["takeover"]["possible"] is True
    assert "b and c can take over, and workers and monitors see to it" in status.problems[-1]


def test_two_copies_say_what_brings_them_back(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(count=2)
    cluster["a"].kill()
    said = cluster.administration.status(look_at_keys=False).problems[-1]
    assert "2 of 2 members must take part" in said
    assert "start its server with its data directory" in said
    cluster["a"].start()
    cluster.ticker()
    cluster.wait_settled()


def test_a_workers_log_over_an_outage_is_short_and_says_why_and_when_it_is_over(
    cluster: Cluster,
) -> None:
    worker = cluster.worker()
    cluster["b"].freeze()
    cluster["a"].freeze()

    def log() -> str:
        return worker.log.read_text()

    wait_until(lambda: "no node takes over" in log(), 30, "the worker says why")
    assert "make one of a, b reachable again without restarting the server" in log()
    # It looks ten times a second, and ticks five times: a line for each look would be dozens by
    # now.
    looked = cluster.raw("c").calls("evalsha") + 5 * MOST_LINES
    wait_until(lambda: cluster.raw("c").calls("evalsha") > looked, 60, "it looks again and again")
    lines = [line for line in log().splitlines() if line]
    assert len(lines) <= MOST_LINES, log()
    assert "Traceback" not in log()
    for node in "ab":
        cluster[node].resume()
    wait_until(
        lambda: "node 'b' answers again, after" in log(), 30, "the worker says that it is over"
    )
    wait_until(lambda: " serves, after " in log(), 30, "the monitor says that it is over")
    cluster.wait_settled()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"cluster": "bakery"}, "belongs to cluster 'shop'"),
        ({"urls": "gone"}, "refuses connections"),
        ({"password": "wrong"}, "refused the login"),
    ],
)
def test_a_worker_that_finds_no_member_says_what_each_address_answered(
    cluster: Cluster, options: dict[str, str], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    configuration = cluster.configuration()
    wrong: dict[str, Any] = {"cluster": options["cluster"]} if "cluster" in options else {}
    if "password" in options:
        wrong["endpoints"] = tuple(
            replace(each, password="wrong") for each in configuration.endpoints
        )
    if "urls" in options:
        for node in cluster.nodes:
            cluster[node].kill()
    with caplog.at_level(logging.INFO, "redrepl.worker"):
        _ticker(cluster, **wrong)
        wait_until(lambda: said in caplog.text, 30, "the worker says it")
    told = [line for line in caplog.messages if "no member of cluster" in line]
    assert len(told) == 1
    for node in cluster.nodes:
        assert f"{node}: " in told[0]
    assert "What to do: " in told[0]
    assert "it is tried again all the time" in told[0]
    if "urls" in options:
        with caplog.at_level(logging.INFO, "redrepl.worker"):
            for node in cluster.nodes:
                cluster[node].start()
            wait_until(
                lambda: "cluster 'shop' answers, after" in caplog.text,
                30,
                "the worker says that it is over",
            )


def test_a_monitor_that_finds_no_member_says_so_too(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    monitor = Monitor(replace(cluster.configuration(), cluster="bakery"), tells=True)
    cluster.stack.callback(monitor.stop)
    with caplog.at_level(logging.INFO, "redrepl.monitor"):
        monitor.start()
        wait_until(
            lambda: "no member of cluster 'bakery' answered" in caplog.text,
            30,
            "the monitor says it",
        )
    assert "correct the cluster's name" in caplog.text


def test_a_mode_that_is_not_the_clusters_is_named(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    configuration = cluster.configuration()
    roles = (configuration.roles[0],) * 3
    with caplog.at_level(logging.WARNING, "redrepl.worker"):
        _ticker(cluster, mode=Mode.MULTI_PRIMARY, roles=roles)
        wait_until(
            lambda: 'says mode = "multi-primary"' in caplog.text, 30, "the worker names the mode"
        )
    assert 'was made with "primary-replica"' in caplog.text


def test_a_monitor_with_the_wrong_mode_watches_all_the_same(cluster: Cluster) -> None:
    cluster.open().set("x", b"1", level="all")
    configuration = cluster.configuration()
    roles = (configuration.roles[0],) * 3
    monitor = Monitor(replace(configuration, mode=Mode.MULTI_PRIMARY, roles=roles))
    cluster.stack.callback(monitor.stop)
    monitor.start()
    cluster["a"].kill()
    wait_until(
        lambda: cluster.administration.find_members().decider != "a", 30, "another node takes over"
    )


def test_a_node_that_was_emptied_is_told_from_one_that_came_back_empty(cluster: Cluster) -> None:
    store = cluster.open()
    with connect(cluster["b"]) as client:
        wait_until(
            lambda: client.info("server")["uptime_in_seconds"] >= 4,
            30,
            "the server has run for a while",
        )
        store.set("x", b"1", level="all")
        cluster.settle()
        client.flushall()
    assert "b: was emptied while its server ran (FLUSHALL)" in _problem(cluster, "b")
    cluster["b"].restart(empty=True)
    assert _problem(cluster, "b") == "b: came back empty; the workers fill it"


def _problem(cluster: Cluster, node: str) -> str:
    problems = cluster.administration.status(look_at_keys=False).problems
    return next(problem for problem in problems if problem.startswith(f"{node}: "))


def test_an_add_that_fails_says_what_it_has_changed(cluster: Cluster) -> None:
    spare = cluster.spare("d")
    endpoint = Endpoint("d", spare.url)
    spare.kill()
    with pytest.raises(
        Unavailable, match="nothing was changed: the members are a, b, c still, in epoch 1"
    ):
        cluster.administration.add_node(endpoint)
    spare.start()
    with connect(spare) as client:
        client.execute_command("CONFIG", "SET", "min-replicas-to-write", "1")
        changed = "d counts among them, but is not ready: .*`redrepl nodes remove d`"
        with pytest.raises(Unavailable, match=changed):
            cluster.administration.add_node(endpoint)
        assert cluster.administration.find_members().ids == ("a", "b", "c", "d")
        # What it advises is what helps.
        client.execute_command("CONFIG", "SET", "min-replicas-to-write", "0")
    cluster.ticker()
    cluster.wait_active("d")


# The queue ----------------------------------------------------------------------------------------


def _waiting(queue: Queue) -> set[str]:
    return {str(job.description) for job in queue.get_jobs()}


def test_a_foreign_clusters_job_is_handed_on(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(queue=True, queue_called="shared")
    assert cluster.queue is not None
    shared, own = (
        open_queue(cluster.queue.url, "shared"),
        open_queue(cluster.queue.url, default_queue("other")),
    )
    assert enqueue_bring_up(shared, "other", "b")
    assert enqueue_sweep(shared, "other")
    worker = cluster.worker()
    wait_until(
        lambda: _waiting(own) == {"bring up b of other", "sweep other"}, 30, "both are handed on"
    )
    # Its own go on being done, and what is handed on does not come back.
    cluster.open().set("x", b"1")
    cluster["b"].restart(empty=True)
    cluster.wait_settled()
    assert _waiting(own) == {"bring up b of other", "sweep other"}
    log = worker.log.read_text()
    assert log.count("queue 'shared' holds jobs of cluster 'other'") == 1
    assert "Traceback" not in log
    assert worker.stop() == 0


def test_clusters_have_queues_of_their_own_and_take_what_is_handed_to_them(
    make_cluster: MakeCluster,
) -> None:
    cluster = make_cluster(queue=True, queue_called="shared")
    assert cluster.queue is not None
    assert cluster.configuration(queue="").queue == default_queue("shop") == "redrepl-shop"
    handed = open_queue(cluster.queue.url, default_queue("shop"))
    cluster.open().set("x", b"1", level="all")
    assert enqueue_bring_up(handed, "shop", "b")
    worker = cluster.worker()
    wait_until(
        lambda: not _waiting(handed),
        30,
        "the worker listens to the queue by its cluster's name, too",
    )
    assert worker.stop() == 0


def test_a_queue_that_refuses_writes_fills_no_log(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(queue=True)
    assert cluster.queue is not None
    worker = cluster.worker()
    cluster.open().set("x", b"1", level="all")
    with connect(cluster.queue) as client:
        client.execute_command("CONFIG", "SET", "min-replicas-to-write", "1")
    cluster["b"].restart(empty=True)
    cluster.wait_settled()
    looked = cluster.raw("c").calls("evalsha") + 100
    wait_until(lambda: cluster.raw("c").calls("evalsha") > looked, 60, "it goes on for a while")
    with connect(cluster.queue) as client:
        client.execute_command("CONFIG", "SET", "min-replicas-to-write", "0")
    wait_until(
        lambda: "works again, after" in worker.log.read_text(),
        60,
        "the worker says that it is over",
    )
    log = worker.log.read_text()
    assert log.count("cannot be used (NOREPLICAS") == 1, log
    assert "Traceback" not in log
    assert len(log.splitlines()) <= MOST_LINES, log
    assert worker.stop() == 0


def test_a_name_that_a_killed_worker_left_behind_keeps_none_from_working(
    make_cluster: MakeCluster,
) -> None:
    cluster = make_cluster(queue=True)
    assert cluster.queue is not None
    with connect(cluster.queue) as client:
        client.hset("rq:worker:w1", "birth", "2026-01-01")
        other = free_name(client, "w1")
        assert other is not None
        assert other.startswith("w1-")
        client.hset("rq:worker:w1", "death", "2026-01-02")
        assert free_name(client, "w1") == "w1"
        assert free_name(client, None) is None
        client.set("rq:worker:w2", "of another kind")
        assert (free_name(client, "w2") or "").startswith("w2-")


def test_no_member_is_told_with_what_to_do(cluster: Cluster) -> None:
    wrong = replace(cluster.configuration(), cluster="bakery")
    with (
        Administration(wrong) as looking,
        pytest.raises(Unavailable, match="correct the cluster's name") as caught,
    ):
        looking.find_members()
    assert set(caught.value.evidence.values()) == {"belongs to cluster 'shop'"}


def test_a_server_in_cluster_mode_is_named_where_a_program_opens_it(
    server_binary: ServerBinary,
) -> None:
    with (
        EmbeddedServer("x", server_binary, extra_arguments=("--cluster-enabled", "yes")) as server,
        pytest.raises(Unavailable, match=r"runs in Redis Cluster mode.*CLUSTERDOWN") as caught,
    ):
        Coordinator.connect([server.url], cluster="shop")
    assert "set cluster-enabled no" in caught.value.message


def test_an_address_of_the_cluster_that_leads_nowhere_from_here_names_connect_url(
    cluster: Cluster,
) -> None:
    proxy = cluster.proxy("b")
    cluster.administration.replace_node(split_url("b", proxy.url()))
    proxy.cut()
    store = cluster.open()  # its file has the server's own address
    with pytest.raises(WriteNotConfirmed, match=f"found at {cluster['b'].url}: set connect_url"):
        store.set("key", b"1", level="all")
