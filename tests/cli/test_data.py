"""`redrepl get`, `set` and `delete` on a healthy cluster."""

from __future__ import annotations

import os
import subprocess
import time

import pytest

from redrepl_cli.text import argument_key
from tests.cli.conftest import Invoke
from tests.cli.support.clusters import CliCluster
from tests.cli.support.programs import REDREPL, environment, run_on_terminal
from tests.cli.support.results import json_of

pytestmark = pytest.mark.servers


@pytest.fixture
def config(shared_cluster: CliCluster) -> list[str]:
    """The option that leads to the cluster."""
    return ["--config", str(shared_cluster.file)]


def test_set_then_get_in_both_forms(config: list[str], invoke: Invoke) -> None:
    stored = invoke("set", "user:1", "ada", "--level", "all", *config)
    assert stored.exit_code == 0
    lines = dict(line.split(maxsplit=1) for line in stored.stdout.splitlines())
    assert (lines["outcome"], lines["acked"], lines["pending"], lines["failed"]) == (
        "committed",
        "a, b, c",
        "-",
        "-",
    )
    assert invoke("get", "user:1", *config).stdout_bytes == b"ada"
    found = json_of(invoke("get", "user:1", "--format", "json", *config))
    assert found["stamp"] == lines["stamp"]
    expected = {
        "key": "user:1",
        "found": True,
        "value": "ada",
        "encoding": "utf-8",
        "expires_at": None,
        "node": "a",
    }
    assert expected.items() <= found.items()


def test_set_receipt_in_json(config: list[str], invoke: Invoke) -> None:
    receipt = json_of(invoke("set", "r", "1", "--level", "1", "--format", "json", *config))
    assert (receipt["key"], receipt["outcome"], receipt["applied"], receipt["required"]) == (
        "r",
        "committed",
        True,
        1,
    )
    assert {*receipt["acked"], *receipt["pending"], *receipt["failed"]} == {"a", "b", "c"}
    assert len(receipt["stamp"]) == 22


@pytest.mark.parametrize(
    "value", [b"", b"\xff\x00\x1b[31m", "wört🎉".encode(), b"line\n", b"x" * 100_000]
)
def test_any_bytes_come_back_from_standard_input(
    value: bytes, config: list[str], invoke: Invoke
) -> None:
    assert invoke("set", "bytes", "-", *config, standard_input=value).exit_code == 0
    assert invoke("get", "bytes", *config).stdout_bytes == value


def test_json_of_a_value_that_is_no_text(config: list[str], invoke: Invoke) -> None:
    invoke("set", "binary", "-", *config, standard_input=b"\xffok")
    found = json_of(invoke("get", "binary", "--format", "json", *config))
    assert (found["value"], found["encoding"]) == ("\\xffok", "utf-8-backslashreplace")


def test_empty_value_is_no_absent_key(config: list[str], invoke: Invoke) -> None:
    assert invoke("set", "empty", "", *config).exit_code == 0
    result = invoke("get", "empty", *config)
    assert (result.exit_code, result.stdout_bytes, result.stderr) == (0, b"", "")


def test_keys_in_any_script_and_none(
    config: list[str], shared_cluster: CliCluster, invoke: Invoke
) -> None:
    assert invoke("set", "schlüssel🎉", "ö", *config).exit_code == 0
    assert (
        json_of(invoke("get", "schlüssel🎉", "--format", "json", *config))["key"] == "schlüssel🎉"
    )
    for command in ([b"set", b"k\xff", b"v"], [b"get", b"k\xff", b"--format", b"json"]):
        done = subprocess.run(
            [*REDREPL, *command],
            capture_output=True,
            env=environment(shared_cluster.file),
            check=True,
        )
    assert b'"key": "k\\\\xff"' in done.stdout


def test_output_is_utf8_in_every_locale(
    config: list[str], shared_cluster: CliCluster, invoke: Invoke
) -> None:
    invoke("set", "locale", "ö", *config)
    variables = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    command = [*REDREPL, "get", "locale", "--format", "json"]
    done = subprocess.run(
        command, capture_output=True, env=environment(shared_cluster.file, variables), check=True
    )
    assert '"value": "ö"'.encode() in done.stdout


def test_a_terminal_gets_a_newline_and_no_control_characters(
    shared_cluster: CliCluster, invoke: Invoke
) -> None:
    invoke(
        "set", "evil", "-", "--config", str(shared_cluster.file), standard_input=b"a\x1b[31mb\nc"
    )
    assert run_on_terminal(["get", "evil"], shared_cluster.file).output == "a\\x1b[31mb\r\nc\r\n"


@pytest.mark.parametrize("level", ["async", "one", "QUORUM", "all", "2"])
def test_get_at_each_level(level: str, config: list[str], invoke: Invoke) -> None:
    invoke("set", "levels", "v", "--level", "all", *config)
    assert invoke("get", "levels", "--level", level, *config).stdout == "v"


def test_get_from_a_replica(config: list[str], invoke: Invoke) -> None:
    invoke("set", "near", "v", "--level", "all", *config)
    found = json_of(invoke("get", "near", "--prefer", "replica", "--format", "json", *config))
    assert found["node"] in ("b", "c")


def test_an_absent_key(config: list[str], invoke: Invoke) -> None:
    result = invoke("get", "nothing", *config)
    assert (result.exit_code, result.stdout, result.stderr) == (
        1,
        "",
        "error: key 'nothing' is absent\n",
    )
    result = invoke("get", "nothing", "--format", "json", *config)
    assert result.exit_code == 1
    found = json_of(result)
    assert (found["found"], found["value"], found["node"]) == (False, None, None)


def test_ttl_becomes_a_deadline(config: list[str], invoke: Invoke) -> None:
    before = time.time()
    invoke("set", "short", "v", "--ttl", "90.5", *config)
    expires_at = json_of(invoke("get", "short", "--format", "json", *config))["expires_at"]
    assert before + 90 < expires_at < time.time() + 91


def test_delete_gives_a_receipt_for_each_key_once(config: list[str], invoke: Invoke) -> None:
    invoke("set", "d1", "v", *config)
    result = invoke("delete", "d1", "d2", "d1", "--level", "all", *config)
    assert result.exit_code == 0
    rows = [line.split() for line in result.stdout.splitlines()[1:]]
    assert [row[:2] for row in rows] == [["d1", "committed"], ["d2", "committed"]]
    assert invoke("get", "d1", *config).exit_code == 1
    receipts = json_of(invoke("delete", "d1", "--format", "json", *config))["receipts"]
    assert [(receipt["key"], receipt["outcome"]) for receipt in receipts] == [("d1", "committed")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["set", "", "v"], "key must have 1 to 32768 bytes, not 0"),
        (["set", "k", "v", "--ttl", "0"], "ttl must lie in"),
        (["set", "k", "v", "--ttl", "nan"], "ttl must lie in"),
        (["set", "k", "v", "--level", "three"], "level must be ASYNC, ONE, QUORUM, ALL or a count"),
        (["set", "k", "v", "--level", "7"], "this cluster has 2 other copies, allowed 0..2"),
        (["set", "k"], "Missing argument 'VALUE'"),
        (["delete"], "Missing argument 'KEY...'"),
        (["get", "k", "--prefer", "nobody"], "Invalid value for '--prefer'"),
    ],
)
def test_bad_arguments_are_usage_errors(
    arguments: list[str], message: str, config: list[str], invoke: Invoke
) -> None:
    result = invoke(*arguments, *config)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


def test_keys_are_text_where_they_can_be() -> None:
    assert argument_key("ö") == "ö"
    assert argument_key(os.fsdecode(b"k\xff")) == b"k\xff"
