"""`redrepl status`."""

from __future__ import annotations

import json
import signal

import pytest

from redrepl import Administration
from redrepl_cli.exit_codes import ExitCode
from tests.cli.conftest import Invoke
from tests.cli.support.clusters import CLUSTER, CliCluster, write_configuration
from tests.cli.support.programs import run_on_terminal, start
from tests.cli.support.results import json_of

pytestmark = pytest.mark.servers


def test_json_is_what_the_contract_says(cluster: CliCluster, invoke: Invoke) -> None:
    cluster.set_everywhere(x="1", y="2")
    result = invoke("status", "--format", "json", "--config", str(cluster.file))
    assert result.exit_code == 0
    found = json_of(result)
    head = {
        "cluster": CLUSTER,
        "mode": "primary-replica",
        "epoch": 1,
        "primary": "a",
        "condition": "healthy",
    }
    assert head.items() <= found.items()
    node = {
        "id": "a",
        "url": cluster["a"].url,
        "role": "primary",
        "state": "active",
        "healthy": True,
        "keys": 2,
    }
    assert {**node, "lag_entries": 0, "lag_seconds": 0.0, "error": None}.items() <= found["nodes"][
        0
    ].items()
    stats = {"total_replicas": 2, "active_replicas": 2, "primary_data_count": 2}
    assert stats.items() <= found["stats"].items()
    assert found["queue"] == {"pending": 0, "failed": 0, "workers": 0}
    assert [verdict["holds"] for verdict in found["conditions"]] == [True] * 4


def test_table_of_a_healthy_cluster(shared_cluster: CliCluster, invoke: Invoke) -> None:
    result = invoke("status", "--config", str(shared_cluster.file))
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[4].split() == ["condition", "healthy"]
    assert lines[6].split() == [
        "id",
        "role",
        "state",
        "healthy",
        "keys",
        "lag",
        "last",
        "sync",
        "address",
    ]
    assert [line.split()[:4] for line in lines[7:10]] == [
        ["a", "primary", "active", "yes"],
        ["b", "replica", "active", "yes"],
        ["c", "replica", "active", "yes"],
    ]
    assert "\x1b" not in result.stdout
    assert sum(line.startswith("yes ") for line in lines) == 4


def test_what_the_last_sweep_found(cluster: CliCluster, invoke: Invoke) -> None:
    config = ("--config", str(cluster.file))
    nothing = {"under_way": None, "last": None, "last_ended_seconds_ago": None}
    assert json_of(invoke("status", "--format", "json", *config))["anti_entropy"] == nothing
    assert "last sweep never" in " ".join(invoke("status", *config).stdout.split())
    cluster.set_everywhere(x="1", y="2")
    cluster["c"].kill()
    with Administration(cluster.configuration) as administration:
        assert administration.sweep().report is not None
    found = json_of(invoke("status", "--format", "json", *config))["anti_entropy"]
    counts = {
        "keys": 2,
        "differences": 0,
        "repaired": 0,
        "purged": 0,
        "waiting": 0,
        "missed": ["c"],
    }
    assert (found["under_way"], found["last"]) == (None, counts)
    assert 0 <= found["last_ended_seconds_ago"] < 60
    assert "2 keys, 0 differences; not compared: c" in invoke("status", *config).stdout


def test_degraded_is_3_and_unavailable_is_4(cluster: CliCluster, invoke: Invoke) -> None:
    cluster["b"].kill()
    result = invoke("status", "--config", str(cluster.file))
    assert result.exit_code == ExitCode.DEGRADED
    assert "condition  degraded" in result.stdout
    assert f"  b: 127.0.0.1:{cluster['b'].port}" in result.stdout
    cluster["c"].kill()
    result = invoke("status", "--format", "json", "--config", str(cluster.file))
    assert result.exit_code == ExitCode.UNAVAILABLE
    assert json_of(result)["condition"] == "unavailable"


@pytest.mark.parametrize("output_format", ["table", "json"])
def test_nobody_answers(output_format: str, cluster: CliCluster, invoke: Invoke) -> None:
    for name in ("a", "b", "c"):
        cluster[name].kill()
    result = invoke("status", "--format", output_format, "--config", str(cluster.file))
    assert result.exit_code == ExitCode.UNAVAILABLE
    assert f"error: no member of cluster {CLUSTER!r} answered" in result.stderr
    if output_format == "json":
        found = json_of(result)
        assert (found["epoch"], found["condition"]) == (0, "unavailable")
        assert [(node["state"], bool(node["error"])) for node in found["nodes"]] == [
            ("inactive", True)
        ] * 3


def test_a_primary_that_came_back_empty_says_what_can_be_done(
    cluster: CliCluster, invoke: Invoke
) -> None:
    config = ("--config", str(cluster.file))

    def said() -> str:
        found = json_of(invoke("status", "--format", "json", *config))
        assert found["problems"][-1] in " ".join(
            invoke("status", *config, variables={"COLUMNS": "5000"}).stdout.split()
        )
        return str(found["problems"][-1])

    cluster["a"].restart(empty=True)
    assert "start `redrepl worker`, or run `redrepl failover`" in said()
    cluster["b"].restart(empty=True)
    assert "`redrepl failover --accept-loss --to c`" in said()
    refused = invoke("failover", "--yes", *config)
    assert refused.exit_code == ExitCode.UNAVAILABLE
    assert "usable: c; go on from what one member has" in refused.stderr


def test_the_queue_is_away_or_not_configured(cluster: CliCluster, invoke: Invoke) -> None:
    cluster.queue.kill()
    result = invoke("status", "--format", "json", "--config", str(cluster.file))
    assert result.exit_code == 0
    queue = json_of(result)["queue"]
    assert (queue["pending"], queue["failed"], queue["workers"]) == (None, None, None)
    assert str(cluster.queue.port) in queue["error"]
    write_configuration(cluster.file, cluster.servers.urls, None)
    result = invoke("status", "--config", str(cluster.file))
    assert result.exit_code == 0
    assert "no queue_url is configured" in result.stdout


def test_without_keys(shared_cluster: CliCluster, invoke: Invoke) -> None:
    result = invoke("status", "--no-keys", "--format", "json", "--config", str(shared_cluster.file))
    assert [node["keys"] for node in json_of(result)["nodes"]] == [None] * 3


@pytest.mark.parametrize("columns", [30, 60, 120])
def test_fits_the_terminal(columns: int, shared_cluster: CliCluster) -> None:
    ended = run_on_terminal(["status"], shared_cluster.file, columns=columns)
    assert ended.exit_code == 0
    assert "\x1b[" in ended.output, "a terminal gets colours"
    for word in ("primary", "replica", "healthy", "127.0.0.1"):
        assert word in ended.output


def test_no_colour_where_it_is_not_wanted(
    shared_cluster: CliCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[32m" not in run_on_terminal(["status"], shared_cluster.file).output


def test_watch_writes_an_object_per_line_until_interrupted(shared_cluster: CliCluster) -> None:
    process = start(
        ["status", "--watch", "--interval", "0.1", "--format", "json"], shared_cluster.file
    )
    assert process.stdout is not None
    assert process.stderr is not None
    with process.stdout as output, process.stderr as messages:
        looks = [json.loads(output.readline()) for _ in range(2)]
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == ExitCode.INTERRUPTED
        assert messages.read().split() == ["stopped"]
    assert [(look["schema_version"], look["condition"]) for look in looks] == [(1, "healthy")] * 2


def test_watch_goes_on_while_nobody_answers(cluster: CliCluster) -> None:
    process = start(["status", "--watch", "--interval", "0.1", "--format", "json"], cluster.file)
    assert process.stdout is not None
    with process.stdout as output, process:
        assert json.loads(output.readline())["condition"] == "healthy"
        for name in ("a", "b", "c"):
            cluster[name].kill()
        conditions = (json.loads(line)["condition"] for line in output)
        assert next(condition for condition in conditions if condition == "unavailable")
        for name in ("a", "b", "c"):
            cluster[name].start()
        assert json.loads(output.readline())["schema_version"] == 1
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        messages = process.stderr.read()
    assert process.returncode == ExitCode.INTERRUPTED, messages
