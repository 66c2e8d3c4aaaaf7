"""`redrepl init` and `redrepl nodes`."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from redrepl.embedded import EmbeddedServer, ServerBinary
from redrepl_cli.exit_codes import ExitCode
from tests.cli.conftest import Invoke
from tests.cli.support.clusters import CLUSTER, CliCluster, running_cluster, write_configuration
from tests.cli.support.programs import run_on_terminal
from tests.cli.support.results import json_of

pytestmark = pytest.mark.servers


@pytest.fixture
def fresh(any_binary: ServerBinary, tmp_path: Path) -> Iterator[CliCluster]:
    """Servers that are no cluster yet."""
    with running_cluster(any_binary, tmp_path, initialise=False) as running:
        yield running


@pytest.fixture
def spare(any_binary: ServerBinary) -> Iterator[EmbeddedServer]:
    """One more server."""
    with EmbeddedServer("d", any_binary) as running:
        yield running


def test_init_makes_a_cluster_once(fresh: CliCluster, invoke: Invoke) -> None:
    config = ("--config", str(fresh.file))
    before = invoke("status", *config)
    assert before.exit_code == ExitCode.UNAVAILABLE
    assert "redrepl init" in before.stderr
    first = invoke("init", *config)
    assert first.exit_code == 0
    assert [line.split(maxsplit=1) for line in first.stdout.splitlines()[1:]] == [
        [n, "created"] for n in "abc"
    ]
    again = json_of(invoke("init", "--format", "json", *config))
    assert again["nodes"] == [{"id": node, "result": "already a member"} for node in "abc"]
    assert invoke("status", *config).exit_code == 0


def test_init_refuses_where_another_cluster_lives(cluster: CliCluster, invoke: Invoke) -> None:
    write_configuration(cluster.file, cluster.servers.urls, None, cluster='"other"')
    result = invoke("init", "--config", str(cluster.file))
    assert (result.exit_code, result.stdout) == (ExitCode.USAGE, "")
    assert f"node 'a' belongs to cluster {CLUSTER!r} and cannot join 'other'" in result.stderr


def test_list(cluster: CliCluster, invoke: Invoke) -> None:
    config = ("--config", str(cluster.file))
    result = invoke("nodes", "list", *config)
    assert result.exit_code == 0
    rows = [line.split() for line in result.stdout.splitlines()]
    assert rows[0] == ["id", "role", "state", "epoch", "url"]
    assert rows[1] == ["a", "primary", "active", "1", cluster["a"].url]
    cluster["b"].kill()
    result = invoke("nodes", "list", "--format", "json", *config)
    assert result.exit_code == ExitCode.DEGRADED
    found = json_of(result)
    assert (found["epoch"], found["primary"]) == (1, "a")
    assert [(node["id"], node["state"]) for node in found["nodes"]] == [
        ("a", "active"),
        ("b", "inactive"),
        ("c", "active"),
    ]


def test_add_and_remove(cluster: CliCluster, spare: EmbeddedServer, invoke: Invoke) -> None:
    config = ("--config", str(cluster.file))
    added = invoke("nodes", "add", "d", spare.url, *config)
    assert added.exit_code == 0
    assert "d     member, syncing: the workers fill it" in added.stdout
    snippet = tomllib.loads(added.stderr[added.stderr.index("[[nodes]]") :])
    assert snippet == {"nodes": [{"id": "d", "url": spare.url, "role": "replica"}]}
    assert json_of(invoke("nodes", "list", "--format", "json", *config))["nodes"][3]["id"] == "d"
    removed = invoke("nodes", "remove", "d", "--yes", "--format", "json", *config)
    assert removed.exit_code == 0
    assert {"id": "d", "result": "taken out; its records stay until you delete them"} in json_of(
        removed
    )["nodes"]
    assert "epoch 2 -> 3" in removed.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["add", "b", "redis://127.0.0.1:1/0"], "node 'b' is a member already"),
        (["add", "d", "redis://:secret@127.0.0.1:1/0"], "the url must carry no password"),
        (["add", "d", "http://127.0.0.1"], "url must start with redis://"),
        (["add", "d d", "redis://127.0.0.1:1/0"], "node id must have"),
        (
            ["add", "d", "redis://127.0.0.1:1/0", "--password-env", "NOWHERE"],
            "the environment has no NOWHERE",
        ),
        (["remove", "z", "--yes"], "node 'z' is no member; members are a, b, c"),
        (["remove", "c"], "there is no terminal to ask on\ntry: give --yes"),
    ],
)
def test_requests_that_cannot_be(
    arguments: list[str], message: str, shared_cluster: CliCluster, invoke: Invoke
) -> None:
    result = invoke("nodes", *arguments, "--config", str(shared_cluster.file))
    assert (result.exit_code, result.stdout) == (ExitCode.USAGE, "")
    assert message in result.stderr
    assert "secret" not in result.stderr
    assert (
        json_of(invoke("nodes", "list", "--format", "json", "--config", str(shared_cluster.file)))[
            "epoch"
        ]
        == 1
    )


def test_a_node_that_does_not_answer_is_not_taken_in(
    shared_cluster: CliCluster, invoke: Invoke
) -> None:
    config = ("--config", str(shared_cluster.file))
    result = invoke("nodes", "add", "d", "redis://127.0.0.1:1/0", *config)
    assert (result.exit_code, result.stdout) == (ExitCode.UNAVAILABLE, "")
    assert "\n  d: 127.0.0.1:1" in result.stderr
    assert json_of(invoke("nodes", "list", "--format", "json", *config))["epoch"] == 1


def test_the_password_comes_from_the_environment(
    cluster: CliCluster, any_binary: ServerBinary, invoke: Invoke
) -> None:
    with EmbeddedServer("d", any_binary, password="s3cret") as guarded:
        bare = f"redis://127.0.0.1:{guarded.port}/0"
        command = (
            "nodes",
            "add",
            "d",
            bare,
            "--password-env",
            "D_PASSWORD",
            "--config",
            str(cluster.file),
        )
        result = invoke(*command, variables={"D_PASSWORD": "s3cret"})
        assert result.exit_code == 0
        assert 'password_env = "D_PASSWORD"' in result.stderr
        assert "s3cret" not in result.stdout + result.stderr


@pytest.mark.parametrize(("answer", "code", "epoch"), [("y", 0, 2), ("n", 1, 1), ("\x04", 130, 1)])
def test_removal_asks_on_a_terminal(
    answer: str, code: int, epoch: int, cluster: CliCluster, invoke: Invoke
) -> None:
    ended = run_on_terminal(["nodes", "remove", "c"], cluster.file, {"Go on? [y/N]": f"{answer}\n"})
    assert ended.exit_code == code
    assert f"leaves cluster {CLUSTER!r}, epoch 1 -> 2" in ended.output
    assert (
        json_of(invoke("nodes", "list", "--format", "json", "--config", str(cluster.file)))["epoch"]
        == epoch
    )
