"""`redrepl config check|show`."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from redrepl.embedded import EmbeddedServer, ServerBinary
from redrepl_cli.exit_codes import ExitCode
from tests.cli.conftest import Invoke
from tests.cli.support.clusters import CLUSTER, CliCluster, running_cluster, write_configuration
from tests.cli.support.results import json_of

SECRET = "hunter2"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A configuration with passwords wherever they can stand, of nodes that do not exist."""
    found = tmp_path / "redrepl.toml"
    urls = {
        "a": f"redis://joe:{SECRET}@127.0.0.1:1/0",
        "b": f"redis://127.0.0.1:2/0?password={SECRET}",
    }
    write_configuration(found, urls, f"redis://:{SECRET}@127.0.0.1:3/0")
    return found


def test_check_says_what_is_configured(file: Path, invoke: Invoke) -> None:
    result = invoke("config", "check", "--config", str(file))
    assert result.exit_code == 0
    assert f"cluster {CLUSTER}, primary-replica, nodes a (primary), b (replica)" in result.stdout
    content = json_of(invoke("config", "check", "--config", str(file), "--format", "json"))
    assert (content["valid"], content["problems"], content["nodes"]) == (
        True,
        [],
        [{"id": "a"}, {"id": "b"}],
    )


def test_show_is_a_configuration_again(file: Path, invoke: Invoke) -> None:
    result = invoke(
        "config", "show", "--config", str(file), variables={"REDREPL_TIMEOUT_SECONDS": "2.5"}
    )
    content = tomllib.loads(result.stdout)
    assert (content["timeout_seconds"], content["level"]) == (2.5, "quorum")
    assert [node["id"] for node in content["nodes"]] == ["a", "b"]


@pytest.mark.parametrize(
    "arguments", [["config", "show"], ["config", "check", "--connect"], ["status"], ["get", "k"]]
)
@pytest.mark.parametrize("output_format", ["table", "json"])
def test_passwords_never_show(
    arguments: list[str], output_format: str, file: Path, invoke: Invoke
) -> None:
    result = invoke(*arguments, "--config", str(file), "--format", output_format)
    assert SECRET not in result.stdout + result.stderr


def test_show_tells_that_there_is_a_password(file: Path, invoke: Invoke) -> None:
    content = json_of(invoke("config", "show", "--config", str(file), "--format", "json"))
    assert [node["password_set"] for node in content["nodes"]] == [True, True]
    assert content["nodes"][0]["username"] == "joe"
    assert content["queue_url"] == "redis://127.0.0.1:3/0"


@pytest.mark.parametrize("output_format", ["table", "json"])
def test_show_tells_that_there_is_a_key_of_the_queue(
    output_format: str, file: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDREPL_QUEUE_KEY", f"{SECRET} and sixteen more")
    shown = invoke("config", "show", "--config", str(file), "--format", output_format).stdout
    assert SECRET not in shown
    assert (
        '"queue_key_set": true'
        if output_format == "json"
        else "# queue_key is set; it is not shown"
    ) in shown


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"levle": '"all"'}, "unknown option 'levle'; known are cluster, mode, level"),
        ({"timeout_seconds": '"soon"'}, "timeout_seconds must be a number, not 'soon'"),
        ({"mode": '"both"'}, "mode must be one of 'primary-replica', 'multi-primary', not 'both'"),
        ({"level": "5"}, "level 5 is out of range: this cluster has 1 other copies"),
        ({"required_readers": "3"}, "required_readers is 3, but there are 2 nodes"),
    ],
)
def test_what_is_wrong_is_named(
    options: dict[str, str], message: str, tmp_path: Path, invoke: Invoke
) -> None:
    file = tmp_path / "redrepl.toml"
    write_configuration(
        file, {"a": "redis://127.0.0.1:1/0", "b": "redis://127.0.0.1:2/0"}, None, **options
    )
    result = invoke("config", "check", "--config", str(file), "--format", "json")
    assert result.exit_code == 1
    assert message in result.stderr
    assert str(file) in result.stderr
    content = json_of(result)
    assert content["valid"] is False
    assert message in content["problems"][0]


def test_one_server_given_twice_in_different_words(tmp_path: Path, invoke: Invoke) -> None:
    file = tmp_path / "redrepl.toml"
    write_configuration(file, {"a": "redis://127.0.0.1:1/0", "b": "redis://127.0.0.1:1"}, None)
    result = invoke("config", "check", "--config", str(file))
    assert result.exit_code == 1
    assert "nodes 'a' and 'b' are the same server and database" in result.stderr


def test_no_file(tmp_path: Path, invoke: Invoke) -> None:
    result = invoke("config", "check", "--config", str(tmp_path / "none.toml"))
    assert result.exit_code == 1
    assert "no such file; give --config, set REDREPL_CONFIG" in result.stderr


@pytest.mark.servers
def test_connect_contacts_nodes_and_queue(cluster: CliCluster, invoke: Invoke) -> None:
    command = ("config", "check", "--connect", "--format", "json", "--config", str(cluster.file))
    assert invoke(*command).exit_code == 0
    cluster["b"].kill()
    result = invoke(*command)
    assert result.exit_code == 3
    content = json_of(result)
    assert [node["reachable"] for node in content["nodes"]] == [True, False, True]
    assert content["queue"] == {"reachable": True, "error": None}
    for name in ("a", "c"):
        cluster[name].kill()
    assert invoke(*command).exit_code == 4
    assert "not everything answers as it should" in invoke(*command[:3], *command[5:]).stderr


@contextmanager
def told(server: EmbeddedServer, set_up: tuple[str, ...], back: tuple[str, ...]) -> Iterator[None]:
    """A server that is set up otherwise for a while."""
    with redis.Redis.from_url(server.url) as client:
        client.execute_command(*set_up)
        yield
        client.execute_command(*back)


@pytest.mark.servers
def test_connect_names_servers_that_cannot_be_nodes_before_init_refuses_them(
    any_binary: ServerBinary, tmp_path: Path, invoke: Invoke
) -> None:
    with running_cluster(any_binary, tmp_path, initialise=False) as cluster:
        check = ("config", "check", "--connect", "--format", "json", "--config", str(cluster.file))
        urls, queue_url = cluster.servers.urls, cluster.queue.url

        def refused(said: str) -> None:
            result = invoke(*check)
            assert result.exit_code == ExitCode.DEGRADED
            a, b, c = json_of(result)["nodes"]
            assert (a["reachable"], b["reachable"], c["reachable"]) == (True, True, False)
            assert said in c["error"]
            assert f"c: {c['error']}" in " ".join(result.stderr.split())
            made = invoke("init", "--config", str(cluster.file))
            assert (made.exit_code, made.stdout) == (ExitCode.USAGE, "")
            assert said in " ".join(made.stderr.split())

        for other in (urls["b"].replace("127.0.0.1", "localhost"), urls["b"][:-1] + "1"):
            write_configuration(cluster.file, {**urls, "c": other}, queue_url)
            refused("is the same server as node 'b'")
        write_configuration(cluster.file, urls, queue_url)
        with told(cluster["c"], ("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE")):
            refused("is a native replica of 127.0.0.1:1")
        policy = ("CONFIG", "SET", "maxmemory-policy")
        with told(cluster["c"], (*policy, "allkeys-lru"), (*policy, "noeviction")):
            refused("evicts keys when memory is full (maxmemory-policy allkeys-lru)")
        assert invoke("init", "--config", str(cluster.file)).exit_code == ExitCode.DONE
        assert invoke(*check).exit_code == ExitCode.DONE


@pytest.mark.servers
def test_connect_names_a_member_that_evicts(cluster: CliCluster, invoke: Invoke) -> None:
    policy = ("CONFIG", "SET", "maxmemory-policy")
    with told(cluster["b"], (*policy, "allkeys-random"), (*policy, "noeviction")):
        result = invoke(
            "config", "check", "--connect", "--format", "json", "--config", str(cluster.file)
        )
    assert result.exit_code == ExitCode.DEGRADED
    errors = {node["id"]: node["error"] for node in json_of(result)["nodes"]}
    assert (errors["a"], errors["c"]) == (None, None)
    assert "evicts keys when memory is full (maxmemory-policy allkeys-random)" in errors["b"]


@pytest.mark.servers
def test_connect_and_status_name_what_contradicts_the_cluster(
    cluster: CliCluster, any_binary: ServerBinary, invoke: Invoke
) -> None:
    def named(node: str, url: str, said: str) -> None:
        write_configuration(cluster.file, {**cluster.servers.urls, node: url}, None)
        text = f"{cluster.file} has it at {url}, the cluster at {cluster[node].url}: {said}"
        found = invoke(
            "config", "check", "--connect", "--format", "json", "--config", str(cluster.file)
        )
        assert found.exit_code == ExitCode.DEGRADED
        errors = {each["id"]: each["error"] for each in json_of(found)["nodes"]}
        assert {other for other, error in errors.items() if error} == {node}
        assert text in errors[node]
        status = invoke("status", "--format", "json", "--config", str(cluster.file))
        problems = json_of(status)["problems"]
        assert [problem for problem in problems if problem.startswith(f"{node}: ")] == [
            f"{node}: {errors[node]}"
        ]

    with EmbeddedServer("other", any_binary) as other:
        named("c", other.url, "an empty server is there, no member; the cluster's address counts")
        other.kill()
        named(
            "c",
            other.url,
            f"the cluster's address counts; 127.0.0.1:{other.port} refuses connections",
        )
