"""`redrepl discarded`: what nodes gave up, and writing it again."""

from __future__ import annotations

import time
from typing import Any

import pytest

from redrepl import Administration, Coordinator
from redrepl.values.keys import KeyLayout
from redrepl.values.record import Record, parse_record, tombstone, value_record
from redrepl.values.stamp import Stamp
from redrepl_cli.exit_codes import ExitCode
from tests.cli.conftest import Invoke
from tests.cli.support.clusters import CLUSTER, CliCluster
from tests.cli.support.programs import run_on_terminal
from tests.cli.support.results import json_of
from tests.support.clients import connect

pytestmark = pytest.mark.servers

LAYOUT = KeyLayout(CLUSTER)
BINARY_KEY, BINARY_VALUE = b"\xff\x00key", b"\xfe\x1b[31m\n"


def give_up(cluster: CliCluster, node: str, key: bytes, record: Record) -> str:
    """Let a node hold a record that nobody else has, and bring it back in line as the workers do;
    answers the id.
    """
    with connect(cluster[node]) as client:
        name = LAYOUT.data(key)
        client.set(name, record.encode())
        client.xadd(LAYOUT.log, {name: record.stamp.encode()})
    with Administration(cluster.configuration) as administration:
        administration.bring_up("a")
        (found, *_) = administration.discarded(node).records
    assert found.key == key
    return found.id


def stamp(seconds_ago: float) -> Stamp:
    """A stamp of the past: the primary can no longer take it."""
    return Stamp(int((time.time() - seconds_ago) * 1e6), 7)


def value(payload: bytes, seconds_ago: float = 60.0) -> Record:
    return value_record(stamp(seconds_ago), payload)


def standing_stamp(cluster: CliCluster, node: str, key: bytes) -> Stamp:
    with connect(cluster[node]) as client:
        return parse_record(client.get(LAYOUT.data(key))).stamp


def listed(cluster: CliCluster, invoke: Invoke, *arguments: str) -> Any:
    return json_of(
        invoke("discarded", "list", "--format", "json", *arguments, "--config", str(cluster.file))
    )


def read(cluster: CliCluster, key: bytes) -> bytes | None:
    with Coordinator[bytes, bytes](cluster.configuration) as store:
        return store.get(key, level="all")


def test_nothing_was_given_up(shared_cluster: CliCluster, invoke: Invoke) -> None:
    result = invoke("discarded", "list", "--config", str(shared_cluster.file))
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "nothing was given up\n")
    assert listed(shared_cluster, invoke) == {"schema_version": 1, "records": [], "unreachable": {}}


def test_list_in_both_forms(cluster: CliCluster, invoke: Invoke) -> None:
    first = give_up(cluster, "b", b"plain", value(b"abc"))
    second = give_up(cluster, "b", BINARY_KEY, tombstone(stamp(60.0)))
    other = give_up(cluster, "c", b"binary", value(BINARY_VALUE))
    result = invoke("discarded", "list", "--config", str(cluster.file))
    assert result.exit_code == 0
    head, *rows = [line.split() for line in result.stdout.splitlines()]
    assert head == ["node", "id", "time", "key", "what", "stamp", "why", "epoch", "replaced", "by"]
    assert [row[:2] for row in rows] == [["b", second], ["b", first], ["c", other]]
    assert rows[0][3:5] == ["\\xff\\x00key", "delete"]
    assert rows[1][3:6] == ["plain", "3", "bytes"]
    records = listed(cluster, invoke)["records"]
    assert [record["id"] for record in records] == [second, first, other]
    assert (records[0]["key"], records[0]["key_encoding"]) == (
        "\\xff\x00key",
        "utf-8-backslashreplace",
    )
    assert (records[0]["deleted"], records[0]["value"], records[0]["encoding"]) == (
        True,
        None,
        None,
    )
    assert (records[1]["value"], records[1]["encoding"], records[1]["deleted"]) == (
        "abc",
        "utf-8",
        False,
    )
    assert (records[2]["why"], records[2]["epoch"]) == ("undecided", 1)
    assert records[2]["replaced_by"] == str(standing_stamp(cluster, "c", b"binary"))
    assert abs(records[2]["time"] - time.time()) < 600
    assert [record["id"] for record in listed(cluster, invoke, "--limit", "1")["records"]] == [
        second,
        other,
    ]
    assert [record["id"] for record in listed(cluster, invoke, "--node", "c")["records"]] == [other]


def test_list_without_a_node(cluster: CliCluster, invoke: Invoke) -> None:
    cluster["c"].kill()
    result = invoke("discarded", "list", "--config", str(cluster.file))
    assert result.exit_code == ExitCode.DEGRADED
    assert "could not be asked\n  c: " in result.stderr
    assert (
        invoke("discarded", "list", "--node", "c", "--config", str(cluster.file)).exit_code
        == ExitCode.UNAVAILABLE
    )


def test_show_prints_the_bytes(cluster: CliCluster, invoke: Invoke) -> None:
    config = ("--config", str(cluster.file))
    given_up = give_up(cluster, "b", BINARY_KEY, value(BINARY_VALUE))
    assert (
        invoke("discarded", "show", given_up, "--node", "b", *config).stdout_bytes == BINARY_VALUE
    )
    found = json_of(
        invoke("discarded", "show", given_up, "--node", "b", "--format", "json", *config)
    )
    assert (found["id"], found["value"], found["encoding"]) == (
        given_up,
        "\\xfe\x1b[31m\n",
        "utf-8-backslashreplace",
    )
    ended = run_on_terminal(["discarded", "show", given_up, "--node", "b"], cluster.file)
    assert "\x1b" not in ended.output
    deleted = give_up(cluster, "c", b"gone", tombstone(stamp(60.0)))
    result = invoke("discarded", "show", deleted, "--node", "c", *config)
    assert (result.exit_code, result.stdout_bytes) == (0, b"")
    assert "a delete of key 'gone'" in result.stderr


def test_restore_writes_the_value_again(cluster: CliCluster, invoke: Invoke) -> None:
    config = ("--config", str(cluster.file))
    given_up = give_up(cluster, "b", BINARY_KEY, value(BINARY_VALUE))
    result = invoke("discarded", "restore", given_up, "--node", "b", "--yes", *config)
    assert result.exit_code == 0
    assert "nothing -> a value of 7 bytes" in result.stderr
    assert result.stderr.endswith("replaced: nothing\n")
    assert read(cluster, BINARY_KEY) == BINARY_VALUE
    with Coordinator[bytes, bytes](cluster.configuration) as store:
        store.set(BINARY_KEY, b"newer", level="all")
    result = invoke(
        "discarded", "restore", given_up, "--node", "b", "--yes", "--format", "json", *config
    )
    done = json_of(result)
    assert (done["restored"]["id"], done["replaced"]["value"]) == (given_up, "newer")
    assert (done["receipt"]["outcome"], done["receipt"]["applied"]) == ("committed", True)
    assert read(cluster, BINARY_KEY) == BINARY_VALUE


def test_restore_of_a_delete_deletes(cluster: CliCluster, invoke: Invoke) -> None:
    deleted = give_up(cluster, "b", b"key", tombstone(stamp(60.0)))
    cluster.set_everywhere(key="stands")
    command = ("discarded", "restore", deleted, "--node", "b", "--yes", "--format", "json")
    done = json_of(invoke(*command, "--config", str(cluster.file)))
    assert (done["restored"]["deleted"], done["replaced"]["value"]) == (True, "stands")
    assert read(cluster, b"key") is None


def test_restore_keeps_the_deadline(cluster: CliCluster, invoke: Invoke) -> None:
    config = ("--config", str(cluster.file))
    deadline = int((time.time() + 500) * 1000)
    given_up = give_up(cluster, "b", b"key", value_record(stamp(60.0), b"v", deadline))
    assert invoke("discarded", "restore", given_up, "--node", "b", "--yes", *config).exit_code == 0
    with Coordinator[str, bytes](cluster.configuration) as store:
        assert store.ttl("key") == pytest.approx(500, abs=100)


def test_a_value_past_its_deadline_is_not_restored(cluster: CliCluster, invoke: Invoke) -> None:
    given_up = give_up(cluster, "b", b"key", value(b"v"))
    with connect(cluster["b"]) as client:
        [(_, fields)] = client.xrange(LAYOUT.discarded)
        past = value_record(stamp(60.0), b"v", 1000).encode()
        later = client.xadd(LAYOUT.discarded, {**fields, b"record": past}).decode()
    assert later != given_up
    result = invoke(
        "discarded", "restore", later, "--node", "b", "--yes", "--config", str(cluster.file)
    )
    assert (result.exit_code, result.stdout) == (ExitCode.ERROR, "")
    assert "the deadline of this value passed" in result.stderr
    assert read(cluster, b"key") is None


@pytest.mark.parametrize("what", ["value", "delete"])
def test_what_changed_while_somebody_thought_is_left(
    what: str, cluster: CliCluster, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_up = give_up(
        cluster, "b", b"key", value(b"v") if what == "value" else tombstone(stamp(60.0))
    )

    def think(*_: object) -> None:
        cluster.set_everywhere(key="meanwhile")

    monkeypatch.setattr("redrepl_cli.commands.discarded.confirm", think)
    result = invoke(
        "discarded", "restore", given_up, "--node", "b", "--yes", "--config", str(cluster.file)
    )
    assert (result.exit_code, result.stdout) == (ExitCode.ERROR, "")
    assert "error: " in result.stderr
    assert read(cluster, b"key") == b"meanwhile"


@pytest.mark.parametrize(("answer", "code", "after"), [("y", 0, b"v"), ("n", 1, None)])
def test_restore_asks_on_a_terminal(
    answer: str, code: int, after: bytes | None, cluster: CliCluster
) -> None:
    given_up = give_up(cluster, "b", b"key", value(b"v"))
    command = ["discarded", "restore", given_up, "--node", "b"]
    ended = run_on_terminal(command, cluster.file, {"Go on? [y/N]": f"{answer}\n"})
    assert ended.exit_code == code
    assert "key 'key': nothing -> a value of 1 bytes" in ended.output
    assert read(cluster, b"key") == after


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["list", "--node", "z"], "node 'z' is no member; members are a, b, c"),
        (["list", "--limit", "0"], "0 is not in the range"),
        (["show", "1-1", "--node", "a"], "the discarded log of node 'a' has no record 1-1"),
        (["show", "-"], "Missing option '--node'"),
        (["show", "x", "--node", "a"], "id must be two numbers"),
        (
            ["restore", "1-1", "--node", "a", "--yes"],
            "the discarded log of node 'a' has no record 1-1",
        ),
        (["restore", "1-1", "--node", "a"], "there is no terminal to ask on\ntry: give --yes"),
    ],
)
def test_requests_that_cannot_be(
    arguments: list[str], message: str, shared_cluster: CliCluster, invoke: Invoke
) -> None:
    result = invoke("discarded", *arguments, "--config", str(shared_cluster.file))
    assert (result.exit_code, result.stdout) == (ExitCode.USAGE, "")
    assert message in result.stderr


def test_a_log_that_something_else_wrote_to_is_named(cluster: CliCluster, invoke: Invoke) -> None:
    with connect(cluster["b"]) as client:
        client.xadd(LAYOUT.discarded, {"what": "ever"})
    result = invoke("discarded", "list", "--config", str(cluster.file))
    assert result.exit_code == ExitCode.DEGRADED
    assert "b: something else wrote" in result.stderr
