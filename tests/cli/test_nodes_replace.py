"""`redrepl nodes replace`: every way in which it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from redrepl import Administration
from redrepl.embedded import EmbeddedServer, ServerBinary
from redrepl_cli.exit_codes import ExitCode
from tests.cli.conftest import Invoke
from tests.cli.support.clusters import CLUSTER, CliCluster
from tests.cli.support.programs import run_on_terminal
from tests.cli.support.results import json_of

pytestmark = pytest.mark.servers

NOBODY = "redis://127.0.0.1:1/0"


@pytest.fixture(scope="module")
def server(any_binary: ServerBinary) -> Iterator[EmbeddedServer]:
    """One more server."""
    with EmbeddedServer("new", any_binary) as running:
        yield running


@pytest.fixture
def spare(server: EmbeddedServer) -> Iterator[EmbeddedServer]:
    """The server, as it was made again afterwards."""
    yield server
    with redis.Redis.from_url(server.url) as client:
        client.execute_command("REPLICAOF", "NO", "ONE")
        client.config_set("maxmemory-policy", "noeviction")
        client.flushall()


def _replace(cluster: CliCluster, invoke: Invoke, *arguments: str) -> Any:
    return invoke("nodes", "replace", *arguments, "--config", str(cluster.file))


def _members(cluster: CliCluster) -> tuple[int, str | None, dict[str, str]]:
    """The epoch, the primary, and where the members are."""
    with Administration(cluster.configuration) as administration:
        topology = administration.find_members()
    return topology.epoch, topology.decider, {member.id: member.url for member in topology.members}


@pytest.mark.parametrize("is_dead", [True, False])
def test_a_replica_gives_its_place_away(
    is_dead: bool, cluster: CliCluster, spare: EmbeddedServer, invoke: Invoke
) -> None:
    old = cluster["c"].url
    if is_dead:
        cluster["c"].kill()
    result = _replace(cluster, invoke, "c", spare.url, "--yes")
    assert result.exit_code == ExitCode.DONE
    rows = [line.split(maxsplit=1) for line in result.stdout.splitlines()]
    assert rows[:3] == [["node", "result"], ["a", "moved to epoch 2"], ["b", "moved to epoch 2"]]
    assert rows[3][0] == "c"
    assert rows[3][1].startswith("member, syncing: the workers fill it")
    assert ("the former server was taken out" in rows[3][1]) is not is_dead
    assert f"node 'c' of cluster {CLUSTER!r}: {old} -> {spare.url}, in a new epoch" in result.stderr
    assert f"the server at {old} is no member any more, whatever it holds" in result.stderr
    assert f"change the url of node 'c' in {cluster.file}" in result.stderr
    assert _members(cluster) == (2, "a", {**cluster.servers.urls, "c": spare.url})


def test_a_primary_hands_its_role_over_and_the_answer_can_be_json(
    cluster: CliCluster, spare: EmbeddedServer, invoke: Invoke
) -> None:
    result = _replace(cluster, invoke, "a", spare.url, "--yes", "--format", "json")
    assert result.exit_code == ExitCode.DONE
    found = json_of(result)
    assert (found["schema_version"], [row["id"] for row in found["nodes"]]) == (1, ["a", "b", "c"])
    assert all(row.keys() == {"id", "result"} for row in found["nodes"])
    assert "primary 'a' first hands its role over to another node" in result.stderr
    epoch, primary, urls = _members(cluster)
    assert (epoch, urls) == (3, {**cluster.servers.urls, "a": spare.url})
    assert primary in ("b", "c")


def test_the_same_server_at_another_address_keeps_all_it_has(
    cluster: CliCluster, invoke: Invoke
) -> None:
    cluster.set_everywhere(key="value")
    elsewhere = cluster["c"].url.replace("127.0.0.1", "localhost")
    result = _replace(cluster, invoke, "c", elsewhere, "--yes")
    assert (result.exit_code, _members(cluster)) == (
        0,
        (2, "a", {**cluster.servers.urls, "c": elsewhere}),
    )
    with redis.Redis.from_url(cluster["c"].url) as client:
        assert client.exists(cluster.stored_name("key"))


def test_without_a_majority_the_operator_has_to_say_that_the_others_are_gone(
    cluster: CliCluster, spare: EmbeddedServer, invoke: Invoke
) -> None:
    for node in "bc":
        cluster[node].kill()
    refused = _replace(cluster, invoke, "c", spare.url, "--yes")
    assert (refused.exit_code, refused.stdout) == (ExitCode.UNAVAILABLE, "")
    assert "2 of the present 3 must be there; usable: a" in refused.stderr
    assert "--accept-loss" in refused.stderr
    assert _members(cluster) == (1, "a", cluster.servers.urls)
    result = _replace(cluster, invoke, "c", spare.url, "--yes", "--accept-loss")
    assert result.exit_code == ExitCode.DONE
    assert "if one still runs, its writes are lost" in result.stderr
    assert _members(cluster) == (101, "a", {**cluster.servers.urls, "c": spare.url})


def test_a_dead_primary_is_replaced_by_a_failover_first(
    cluster: CliCluster, spare: EmbeddedServer, invoke: Invoke
) -> None:
    cluster["a"].kill()
    for accept_loss in ([], ["--accept-loss"]):
        refused = _replace(cluster, invoke, "a", spare.url, "--yes", *accept_loss)
        assert refused.exit_code == (ExitCode.USAGE if accept_loss else ExitCode.UNAVAILABLE)
        assert (refused.stdout, "redrepl failover" in refused.stderr) == ("", True)
        assert "start the server of a" not in refused.stderr
    assert invoke("failover", "--yes", "--config", str(cluster.file)).exit_code == ExitCode.DEGRADED
    assert _replace(cluster, invoke, "a", spare.url, "--yes").exit_code == ExitCode.DONE


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["z", "NEW", "--yes"], ExitCode.USAGE, "node 'z' is no member; members are a, b, c"),
        (["c", "http://127.0.0.1", "--yes"], ExitCode.USAGE, "url must start with redis://"),
        (
            ["c", "redis://:secret@127.0.0.1:1/0", "--yes"],
            ExitCode.USAGE,
            "the url must carry no password",
        ),
        (
            ["c", NOBODY, "--yes", "--password-env", "NOWHERE"],
            ExitCode.USAGE,
            "the environment has no NOWHERE",
        ),
        (["c", "NEW"], ExitCode.USAGE, "there is no terminal to ask on\ntry: give --yes"),
        (["c", NOBODY, "--yes"], ExitCode.UNAVAILABLE, "refuses connections"),
        (["c", "OTHER", "--yes"], ExitCode.USAGE, "is the same server as node 'b'"),
        (
            ["c", "SAME", "--yes"],
            ExitCode.USAGE,
            "the members are a, b, c still, in epoch 1\ntry: mend what",
        ),
    ],
)
def test_requests_that_cannot_be(
    arguments: list[str],
    code: ExitCode,
    message: str,
    shared_cluster: CliCluster,
    spare: EmbeddedServer,
    invoke: Invoke,
) -> None:
    urls = {"NEW": spare.url, "OTHER": shared_cluster["b"].url, "SAME": shared_cluster["c"].url}
    result = _replace(
        shared_cluster, invoke, *[urls.get(argument, argument) for argument in arguments]
    )
    assert (result.exit_code, result.stdout) == (code, "")
    assert message in result.stderr
    assert "secret" not in result.stderr
    assert _members(shared_cluster) == (1, "a", shared_cluster.servers.urls)


UNFIT: dict[str, tuple[Callable[[Any], Any], str]] = {
    "another cluster's": (
        lambda client: client.hset("redrepl:clusters", "bakery", "x"),
        "belongs to cluster 'bakery'",
    ),
    "evicts keys": (
        lambda client: client.config_set("maxmemory-policy", "allkeys-lru"),
        "evicts keys",
    ),
    "a native replica": (
        lambda client: client.execute_command("REPLICAOF", "127.0.0.1", "1"),
        "is a native replica",
    ),
}


@pytest.mark.parametrize("kind", list(UNFIT))
def test_a_server_that_cannot_be_a_node_gets_no_place(
    kind: str, shared_cluster: CliCluster, spare: EmbeddedServer, invoke: Invoke
) -> None:
    spoil, message = UNFIT[kind]
    with redis.Redis.from_url(spare.url) as client:
        spoil(client)
    result = _replace(shared_cluster, invoke, "c", spare.url, "--yes", "--format", "json")
    assert (result.exit_code, result.stdout) == (ExitCode.USAGE, "")
    assert message in result.stderr
    assert _members(shared_cluster) == (1, "a", shared_cluster.servers.urls)


def test_where_nobody_answers_nothing_can_be_replaced(
    cluster: CliCluster, spare: EmbeddedServer, invoke: Invoke
) -> None:
    for node in "abc":
        cluster[node].kill()
    result = _replace(cluster, invoke, "c", spare.url, "--yes")
    assert (result.exit_code, result.stdout) == (ExitCode.UNAVAILABLE, "")
    assert f"no member of cluster {CLUSTER!r} answered" in result.stderr


@pytest.mark.parametrize(("answer", "code", "epoch"), [("y", 0, 2), ("n", 1, 1), ("\x04", 130, 1)])
def test_it_asks_on_a_terminal(
    answer: str, code: int, epoch: int, cluster: CliCluster, spare: EmbeddedServer
) -> None:
    ended = run_on_terminal(
        ["nodes", "replace", "c", spare.url], cluster.file, {"Go on? [y/N]": f"{answer}\n"}
    )
    assert ended.exit_code == code
    assert f"node 'c' of cluster {CLUSTER!r}:" in ended.output
    assert _members(cluster)[0] == epoch
