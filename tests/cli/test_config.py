"""`redrepl config check|show`."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tests.cli.conftest import Invoke
from tests.cli.support.clusters import CLUSTER, CliCluster, write_configuration
from tests.cli.support.results import json_of

SECRET = "hunter2"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A configuration with passwords wherever they can stand, of nodes that do not exist."""
    found = tmp_path / "redrepl.toml"
    urls = {"a": f"redis://joe:{SECRET}@127.0.0.1:1/0", "b": f"redis://127.0.0.1:2/0?password={SECRET}"}
    write_configuration(found, urls, f"redis://:{SECRET}@127.0.0.1:3/0")
    return found


def test_check_says_what_is_configured(file: Path, invoke: Invoke) -> None:
    result = invoke("config", "check", "--config", str(file))
    assert result.exit_code == 0
    assert f"cluster {CLUSTER}, primary-replica, nodes a (primary), b (replica)" in result.stdout
    content = json_of(invoke("config", "check", "--config", str(file), "--format", "json"))
    assert (content["valid"], content["problems"], content["nodes"]) == (True, [], [{"id": "a"}, {"id": "b"}])


def test_show_is_a_configuration_again(file: Path, invoke: Invoke) -> None:
    result = invoke("config", "show", "--config", str(file), variables={"REDREPL_TIMEOUT_SECONDS": "2.5"})
    content = tomllib.loads(result.stdout)
    assert (content["timeout_seconds"], content["level"]) == (2.5, "quorum")
    assert [node["id"] for node in content["nodes"]] == ["a", "b"]


@pytest.mark.parametrize("arguments", [["config", "show"], ["config", "check", "--connect"], ["status"], ["get", "k"]])
@pytest.mark.parametrize("output_format", ["table", "json"])
def test_passwords_never_show(arguments: list[str], output_format: str, file: Path, invoke: Invoke) -> None:
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
    assert ('"queue_key_set": true' if output_format == "json" else "# queue_key is set; it is not shown") in shown


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
def test_what_is_wrong_is_named(options: dict[str, str], message: str, tmp_path: Path, invoke: Invoke) -> None:
    file = tmp_path / "redrepl.toml"
    write_configuration(file, {"a": "redis://127.0.0.1:1/0", "b": "redis://127.0.0.1:2/0"}, None, **options)
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
