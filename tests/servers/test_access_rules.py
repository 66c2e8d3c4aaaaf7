"""A login with the rules that docs/operating.md names can do everything, from making the cluster to repairing it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import redis

from redrepl import Administration, Coordinator
from redrepl.edges.scripts import all_scripts
from redrepl.values.keys import KeyLayout
from tests.servers.conftest import MakeCluster
from tests.servers.support.cluster import Cluster

ROOT = Path(__file__).parents[2]
OPERATING = ROOT / "docs/operating.md"
COMMAND = re.compile(r"^ +ACL SETUSER redrepl on >\S+ (?P<rules>(?:.*\\\n)*.*)$", re.MULTILINE)

CALL = re.compile(r"""\bp?call\('([A-Z]+)'""")


def documented_rules() -> list[str]:
    """What the documented command allows, for a cluster named shop."""
    found = COMMAND.search(OPERATING.read_text("utf-8"))
    assert found is not None
    return found["rules"].replace("\\\n", " ").split()


def restricted(cluster: Cluster, rules: list[str]) -> dict[str, str]:
    """Addresses with a login that may do this and nothing else."""
    urls = {}
    for node, url in cluster.servers.urls.items():
        with redis.Redis.from_url(url) as client:
            client.execute_command("ACL", "SETUSER", "app", "reset", "on", ">secret", *rules)
        urls[node] = url.replace("://", "://app:secret@")
    return urls


def leave(cluster: Cluster) -> None:
    """Empty every server, so that the cluster can be made again."""
    for url in cluster.servers.urls.values():
        with redis.Redis.from_url(url) as client:
            client.flushall()


def test_what_scripts_call_is_documented() -> None:
    """Also what they call in cases that the test below does not come to."""
    # Those of the queue run on its server.
    scripts = [script for script in (ROOT / "redrepl/lua").rglob("*.lua") if script.parent.name != "queue"]
    called = {name for script in scripts for name in CALL.findall(script.read_text("utf-8"))}
    assert {"SET", "XADD", "STRLEN"} <= called
    assert {f"+{name.lower()}" for name in called} - set(documented_rules()) == set()


@pytest.mark.usefixtures("server_binary")
def test_the_documented_rules_suffice(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(log_retention_seconds=0.001)
    leave(cluster)
    configuration = cluster.configuration(restricted(cluster, documented_rules()))
    with Administration(configuration) as administration:
        assert set(administration.initialise().values()) == {"created"}
        with Coordinator[str, bytes](configuration) as store:
            store.set_many({f"k{number}": b"v" for number in range(50)}, ttl=600, level="all")
            store.set("one", b"1", level="all")
            store.increment("one", level="all")
            store.delete("k1", level="all")
            with store.transaction(level="all") as transaction:
                transaction.set("two", transaction.get("one") or b"")
            assert store.get("two", level="quorum") == b"2"
            assert store.get_many(["one", "two"], prefer="replica") == {"one": b"2", "two": b"2"}
            assert len(list(store.keys())) == 51
        with redis.Redis.from_url(cluster.servers.urls["b"]) as client:
            client.flushall()
        assert administration.bring_up("b").activated
        for node in ("a", "c"):
            administration.bring_up(node)
        topology, reports = administration.inspect()
        assert topology is not None
        administration.trim_logs(topology, reports)
        assert administration.verify(repair=True).consistent
        assert administration.status().nodes
        assert administration.discarded().unreachable == {}
        assert administration.failover("b").primary == "b"
        administration.remove_node("c")
    assert cluster.raw("a").records() == cluster.raw("b").records()


@pytest.mark.usefixtures("server_binary")
@pytest.mark.parametrize("other_type", [False, True])
def test_a_login_that_lacks_a_right_deletes_no_bookkeeping(cluster: Cluster, other_type: bool) -> None:
    """Only what stands there with another type is removed; an error of the login says nothing of the key."""
    script, layout = all_scripts()["note_sweep"], KeyLayout("shop")
    with redis.Redis.from_url(cluster.servers.urls["a"]) as owner:
        if other_type:
            owner.set(layout.sweep, "no hash")
        else:
            owner.hset(layout.sweep, "kept", "1")
        sha = owner.script_load(script.source)
    rules = [rule for rule in documented_rules() if other_type or rule != "+hget"]
    with redis.Redis.from_url(restricted(cluster, rules)["a"]) as client:
        assert client.evalsha(sha, 2, layout.member, layout.sweep, b"1", b"new", b"2", b"") == 1
    with redis.Redis.from_url(cluster.servers.urls["a"]) as owner:
        kept = {} if other_type else {b"kept": b"1"}
        assert owner.hgetall(layout.sweep) == {**kept, b"new": b"2"}
