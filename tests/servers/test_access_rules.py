"""Logins with the rules that `redrepl acl` prints do what their role is for, and nothing to other
clusters.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from redrepl import (
    Administration,
    AsyncCoordinator,
    Condition,
    Configuration,
    Coordinator,
    Unavailable,
    WriteRejected,
)
from redrepl.edges.job_queue import JobQueue
from redrepl.edges.queue_connection import queue_connection
from redrepl.edges.scripts import all_scripts
from redrepl.edges.wake_ups import (
    QueueWakeUps,
    close_queue,
    enqueue_bring_up,
    enqueue_sweep,
    open_queue,
)
from redrepl.embedded import EmbeddedServer, ServerBinary
from redrepl.values.jobs import Job, default_queue, job_id, sweep_job_id
from redrepl.values.keys import KeyLayout
from redrepl.values.permissions import QueueNames, Role, node_rules, queue_rules
from redrepl_cli.queue import cluster_jobs, queue_statistics
from redrepl_workers.monitor import Monitor
from redrepl_workers.queue_worker import QueueWorker
from redrepl_workers.tick import Ticker
from redrepl_workers.troubles import Troubles
from tests.servers.conftest import MakeCluster
from tests.servers.support.cluster import Cluster
from tests.support.waiting import wait_until

OPERATING = Path(__file__).parents[2] / "docs/operating.md"
DOCUMENTED = re.compile(
    r"^ +ACL SETUSER shop-application reset on >PASSWORD (?P<rules>(?:.*\\\n)*.*)$", re.MULTILINE
)
QUEUES = QueueNames((default_queue("shop"),))
NOT_PERMITTED = r"[Nn]o permissions|can't run this command|can't access at least one of the keys"


def give(url: str, name: str, rules: list[str]) -> str:
    """Make a login; returns the url with it."""
    with redis.Redis.from_url(url) as client:
        client.execute_command(
            "ACL", "SETUSER", name, "reset", "on", ">secret", *" ".join(rules).split()
        )
    return url.replace("://", f"://{name}:secret@")


class Logins:
    """A cluster's servers, reached with the login of each role."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        for role in Role:
            for node in cluster.nodes:
                self.allow(node, role)
        if cluster.queue is not None:
            self.queue = {
                role: give(cluster.queue.url, role.value, queue_rules(role, "shop", QUEUES))
                for role in Role
            }

    def allow(self, node: str, role: Role, rules: list[str] | None = None) -> str:
        """Make the login of a role on a node; returns its url."""
        return give(
            self.cluster[node].url, role.value, node_rules(role, "shop") if rules is None else rules
        )

    def of(self, role: Role) -> Configuration:
        """The configuration of a program with the login of this role."""
        urls = {
            node: self.cluster[node].url.replace("://", f"://{role.value}:secret@")
            for node in self.cluster.nodes
        }
        options = {"queue_url": self.queue[role]} if self.cluster.queue is not None else {}
        return self.cluster.configuration(urls, **options)

    def denied(self, *servers: EmbeddedServer) -> set[tuple[str, str]]:
        """What logins were denied on these servers, in scripts too.

        A server that restarted knows none for a moment.
        """
        found = set()
        for server in servers:
            with redis.Redis.from_url(server.url) as client:
                entries = (entry for entry in client.acl_log() if entry["reason"] != "auth")
                found |= {(entry["username"], entry["object"]) for entry in entries}
        return found


def leave(cluster: Cluster) -> None:
    """Empty every server, so that the cluster can be made again."""
    for node in cluster.nodes:
        with redis.Redis.from_url(cluster[node].url) as client:
            client.flushall()


def listed(cluster: Cluster, node: str) -> dict[bytes, bytes]:
    """The clusters that a server says live there."""
    with redis.Redis.from_url(cluster[node].url) as client:
        found: dict[bytes, bytes] = client.hgetall("redrepl:clusters")
        return found


def use_as_application(configuration: Configuration) -> None:
    with Coordinator[str, bytes](configuration) as store:
        store.set_many({f"k{number}": b"v" for number in range(50)}, ttl=600, level="all")
        store.set("one", b"1", level="all")
        store.increment("one", level="all")
        store.add("new", b"1")
        store.expire("new", 60)
        store.delete("k1", level="all")
        with store.transaction(level="all") as transaction:
            transaction.set("two", transaction.get("one") or b"")
        batch = store.batch()
        batch.set("three", b"3")
        batch.execute()
        use_for_reading(store)
        assert store.health().nodes


def use_for_reading(store: Coordinator[str, bytes]) -> None:
    assert store.get("two", level="quorum") == b"2"
    assert store.get("two") == store.get("two", prefer="replica") == b"2"
    assert store.get_many(["one", "two"], prefer="replica") == {"one": b"2", "two": b"2"}
    assert set(store.get_many(["one", "two"], level="all").values()) == {b"2"}
    assert store.ttl("k2")
    assert store.get("absent", level="quorum") is None
    assert len(list(store.keys())) == 53


async def use_from_asyncio(configuration: Configuration) -> None:
    async with AsyncCoordinator[str, bytes](configuration) as store:
        await asyncio.gather(
            *(store.set(f"k{number}", b"w", level="all") for number in range(2, 20))
        )
        assert await store.get("k3", level="quorum") == b"w"
        await store.delete("k50")


@contextmanager
def upkeep(configuration: Configuration) -> Iterator[None]:
    """What a worker process runs."""
    troubles = Troubles(logging.getLogger("redrepl.worker"))
    parts = (
        Ticker(configuration, troubles),
        Monitor(configuration),
        QueueWorker(configuration, None, troubles),
    )
    for part in parts:
        part.start()
    try:
        yield
    finally:
        for part in parts:
            part.stop()


def use_the_queue(logins: Logins) -> None:
    """A program asks for work, a worker takes it and fails, and commands see that."""
    application, operator = logins.of(Role.APPLICATION), logins.of(Role.OPERATOR)
    assert application.queue_url is not None
    queue = open_queue(application.queue_url, application.queue)
    assert enqueue_bring_up(queue, "shop", "b")
    assert enqueue_sweep(queue, "shop")
    assert {(job.node, job.state) for job in cluster_jobs(operator, False)} == {
        ("b", "queued"),
        (None, "queued"),
    }
    of_worker = JobQueue(queue_connection(logins.queue[Role.WORKER]), application.queue)
    job = sweep_job_id("shop").encode()
    assert of_worker.take(job, "shop") == Job("shop", None)
    of_worker.begin(job, time.time())
    of_worker.fail(job, "Trouble: in a job", time.time())
    assert [job.error for job in cluster_jobs(operator, True)] == ["Trouble: in a job"]
    close_queue(queue)


def see_the_queue(logins: Logins) -> None:
    """A worker listens, and does the jobs that wait."""
    for role in (Role.OPERATOR, Role.READ_ONLY):
        configuration = logins.of(role)
        wait_until(
            lambda of=configuration: queue_statistics(of).workers == 1,  # type: ignore[misc]
            20,
            "a worker that listens",
        )
        assert queue_statistics(configuration).error is None
    bring_up = job_id("shop", "b", 0)
    operator = logins.of(Role.OPERATOR)
    wait_until(
        lambda: bring_up not in [job.id for job in cluster_jobs(operator, False)],
        20,
        "the job is done",
    )


@pytest.mark.usefixtures("server_binary")
def test_each_login_does_its_work(make_cluster: MakeCluster) -> None:
    """Through the loss of a copy's data and of the primary; and nothing is tried that a login may
    not do.
    """
    cluster = make_cluster(log_retention_seconds=0.001, queue=True)
    logins = Logins(cluster)
    leave(cluster)
    use_the_queue(logins)
    worker = logins.of(Role.WORKER)
    with (
        Administration(logins.of(Role.OPERATOR)) as operator,
        upkeep(worker),
        Administration(worker) as work,
    ):
        assert set(operator.initialise().values()) == {"created"}
        use_as_application(logins.of(Role.APPLICATION))
        asyncio.run(use_from_asyncio(logins.of(Role.APPLICATION)))
        see_the_queue(logins)
        with redis.Redis.from_url(cluster["b"].url) as client:
            client.flushall()
        wait_until(
            lambda: cluster.raw("b").records() == cluster.raw("a").records() != {},
            30,
            "b is filled",
        )
        assert listed(cluster, "b") == {}, "a worker's login adds nothing to what clusters share"
        work.sweep()
        cluster.wait_settled()
        assert set(operator.initialise().values()) == {"already a member"}
        assert listed(cluster, "b") == {b"shop": b"b"}
        with Coordinator[str, bytes](logins.of(Role.READ_ONLY)) as store:
            use_for_reading(store)
        with Coordinator[str, bytes](logins.of(Role.APPLICATION)) as store:
            cluster["a"].kill()
            store.set("after", b"1", timeout_seconds=20)
            assert store.get("after", level="quorum") == b"1"
            cluster["a"].start()
            logins.allow("a", Role.WORKER)
            cluster.wait_settled()
        logins.allow("a", Role.OPERATOR)
        assert operator.switchover("a").primary == "a"
        assert operator.verify(repair=True).consistent
        assert operator.discarded().unreachable == {}
        operator.remove_node("c")
        assert listed(cluster, "c") == {b"shop": b"c"}, (
            "no login removes what may be another cluster's"
        )
        assert {node.id for node in operator.status().nodes} == {"a", "b"}
    assert logins.denied(*(cluster[node] for node in cluster.nodes)) == set()
    assert cluster.queue is not None
    assert logins.denied(cluster.queue) == {("read-only", "set")}, (
        "`status` tries whether the queue takes jobs"
    )


def test_what_is_documented_is_what_is_printed() -> None:
    found = DOCUMENTED.search(OPERATING.read_text("utf-8"))
    assert found is not None
    assert (
        found["rules"].replace("\\\n", " ").split()
        == " ".join(node_rules(Role.APPLICATION, "shop")).split()
    )


THEIRS: dict[str, Callable[[Any], object]] = {
    "redrepl:clusters": lambda client: client.hset("redrepl:clusters", "bakery", "a"),
    "bakery:k:key": lambda client: client.set("bakery:k:key", "v"),
    "bakery:m:member": lambda client: client.hset("bakery:m:member", "epoch", "7"),
    "bakery:m:log": lambda client: client.xadd("bakery:m:log", {"key": "stamp"}, "1-1"),
    "bakery:m:checkpoints": lambda client: client.rpush("bakery:m:checkpoints", "x"),
    "shopping:k:key": lambda client: client.set("shopping:k:key", "v"),
    "rq:job:redrepl-6-bakery-a-0": lambda client: client.hset(
        "rq:job:redrepl-6-bakery-a-0", "data", "x"
    ),
    "rq:queue:redrepl-bakery": lambda client: client.rpush("rq:queue:redrepl-bakery", "x"),
    "redrepl:lease:bakery:a": lambda client: client.set("redrepl:lease:bakery:a", "x"),
}
"""What others have on the same server: another cluster, one whose name begins alike, and its
jobs.
"""

CHANGES = (
    *(
        ("SET", "x"),
        ("GETSET", "x"),
        ("SETNX", "x"),
        ("MSET", "x"),
        ("APPEND", "x"),
        ("DEL",),
        ("UNLINK",),
    ),
    *(
        ("RENAME", "shop:k:key"),
        ("COPY", "shop:k:key"),
        ("PEXPIRE", "1"),
        ("EXPIRE", "1"),
        ("PERSIST",),
        ("RESTORE", "0", "x"),
    ),
    *(
        ("HSET", "bakery", "x"),
        ("HMSET", "bakery", "x"),
        ("HDEL", "bakery"),
        ("HINCRBY", "epoch", "1"),
    ),
    *(
        ("XADD", "*", "key", "x"),
        ("XTRIM", "MAXLEN", "0"),
        ("XDEL", "1-1"),
        ("LPUSH", "x"),
        ("RPUSH", "x"),
    ),
    *(
        ("LTRIM", "1", "0"),
        ("LPOP",),
        ("SADD", "x"),
        ("SREM", "x"),
        ("ZADD", "1", "x"),
        ("ZREM", "x"),
        ("GETDEL",),
    ),
)
"""Ways to change what is under a key: the command, and what follows the key."""

ON_THE_SERVER = (
    *(
        ("FLUSHALL",),
        ("FLUSHDB",),
        ("SWAPDB", "0", "1"),
        ("CONFIG", "SET", "maxmemory", "1"),
        ("SCRIPT", "FLUSH"),
    ),
    *(("ACL", "SETUSER", "x"), ("SHUTDOWN", "NOSAVE"), ("REPLICAOF", "NO", "ONE")),
    *(("FUNCTION", "FLUSH"), ("SELECT", "1"), ("KEYS", "*"), ("MONITOR",)),
)

LOGINS = {
    **{role.value: node_rules(role, "shop") for role in Role},
    **{f"{role.value}-queue": queue_rules(role, "shop", QUEUES) for role in Role},
}


def test_no_login_changes_what_other_clusters_have(server_binary: ServerBinary) -> None:
    """Neither by commands nor in scripts, whether these declare their keys or not."""
    with EmbeddedServer("a", server_binary) as server, redis.Redis.from_url(server.url) as owner:
        for make in THEIRS.values():
            make(owner)
        before = {key: owner.dump(key) for key in owner.scan_iter()}
        undeclared = owner.script_load("return redis.call(unpack(ARGV))")
        for name, rules in LOGINS.items():
            with redis.Redis.from_url(give(server.url, name, rules)) as client:
                for key, (command, *rest) in itertools.product(THEIRS, CHANGES):
                    for call in (
                        (command, key, *rest),
                        ("EVALSHA", undeclared, 0, command, key, *rest),
                    ):
                        with pytest.raises(redis.ResponseError, match=NOT_PERMITTED):
                            client.execute_command(*call)
                    with pytest.raises(redis.ResponseError, match=NOT_PERMITTED):
                        client.evalsha(undeclared, 1, key, command, key, *rest)
                for command in ON_THE_SERVER:
                    with pytest.raises(redis.ResponseError, match=NOT_PERMITTED):
                        client.execute_command(*command)
        assert {key: owner.dump(key) for key in owner.scan_iter()} == before
        with redis.Redis.from_url(
            give(server.url, "o", node_rules(Role.OPERATOR, "shop"))
        ) as client:
            assert client.hsetnx("redrepl:clusters", "bakery", "b") == 0, (
                "an operator adds to the list, and no more"
            )


@pytest.mark.usefixtures("server_binary")
def test_an_error_names_the_login_the_right_and_the_command_that_prints_it(
    make_cluster: MakeCluster,
) -> None:
    cluster = make_cluster(persistence="none")
    logins = Logins(cluster)
    with Coordinator[str, bytes](logins.of(Role.READ_ONLY)) as store:
        with pytest.raises(WriteRejected) as rejected:
            store.set("key", b"v")
        assert store.health().condition is Condition.HEALTHY
        assert any("this login may not write" in problem for problem in store.health().problems)
    for reason in rejected.value.evidence.values():
        assert re.match(
            r"NOPERM login 'read-only' lacks .*\+xadd.* for the script write: .*redrepl acl --role",
            reason,
        )
    without = [rule for rule in node_rules(Role.APPLICATION, "shop") if rule != "+mget"]
    with Coordinator[str, bytes](logins.of(Role.APPLICATION)) as store:
        for node in cluster.nodes:
            logins.allow(node, Role.APPLICATION, without)
        with pytest.raises(
            Unavailable, match=r"NOPERM login 'application' lacks \+mget: .*redrepl acl --role"
        ):
            store.get("key")
    for node in cluster.nodes:
        logins.allow(node, Role.APPLICATION, [rule for rule in without if rule != "+script|exists"])
    with pytest.raises(
        Unavailable,
        match=r"this login what it needs: NOPERM login 'application' lacks \+script\|exists",
    ):
        Coordinator(logins.of(Role.APPLICATION))


def test_the_queues_login_is_named_too(
    server_binary: ServerBinary, make_cluster: MakeCluster, caplog: pytest.LogCaptureFixture
) -> None:
    assert server_binary
    cluster = make_cluster(persistence="none", queue=True)
    assert cluster.queue is not None
    url = give(cluster.queue.url, "mute", ["~*", "+ping"])
    configuration = cluster.configuration(queue_url=url)
    lacks = (
        r"login 'mute' lacks a right: .*; `redrepl acl --role ROLE --queue` prints what it needs"
    )
    assert re.search(lacks, queue_statistics(configuration).error or "")
    wake_ups = QueueWakeUps("shop", url, configuration.queue)
    wake_ups.request(["b"])
    wait_until(lambda: re.search(lacks, caplog.text), 20, "the program says so")
    caplog.clear()
    with upkeep(configuration):
        wait_until(lambda: re.search(lacks, caplog.text), 20, "the worker says so")
    wake_ups.close()


@pytest.mark.usefixtures("server_binary")
def test_a_login_that_may_not_fail_over_stops_no_node(make_cluster: MakeCluster) -> None:
    """It would stop them first, and could not let them go on."""
    cluster = make_cluster(persistence="none")
    with Coordinator[str, bytes](Logins(cluster).of(Role.APPLICATION)) as store:
        with pytest.raises(Unavailable, match="login 'application' lacks"):
            store.failover("b")
        assert store.set("key", b"v", level="all").acked == {"a", "b", "c"}


@pytest.mark.usefixtures("server_binary")
@pytest.mark.parametrize("other_type", [False, True])
def test_a_login_that_lacks_a_right_deletes_no_bookkeeping(
    cluster: Cluster, other_type: bool
) -> None:
    """Only what stands there with another type is removed; an error of the login says nothing of
    the key.
    """
    script, layout = all_scripts()["note_sweep"], KeyLayout("shop")
    with redis.Redis.from_url(cluster.servers.urls["a"]) as owner:
        if other_type:
            owner.set(layout.sweep, "no hash")
        else:
            owner.hset(layout.sweep, "kept", "1")
        sha = owner.script_load(script.source)
    rules = [rule for rule in node_rules(Role.WORKER, "shop") if other_type or rule != "+hget"]
    with redis.Redis.from_url(give(cluster["a"].url, "worker", rules)) as client:
        note = (sha, 2, layout.member, layout.sweep, b"1", b"new", b"2", b"")
        if other_type:
            assert client.evalsha(*note) == 1
        else:
            with pytest.raises(redis.ResponseError, match=r"can't run|no permissions"):
                client.evalsha(*note)
    with redis.Redis.from_url(cluster.servers.urls["a"]) as owner:
        assert owner.hgetall(layout.sweep) == ({b"new": b"2"} if other_type else {b"kept": b"1"})
