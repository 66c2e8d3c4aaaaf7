"""`redrepl bench` on real servers: it measures, says what it could not, and leaves nothing.

No figure is judged.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from json import loads as load_json
from pathlib import Path
from xml.etree import ElementTree

import pytest
import redis

from redrepl import Coordinator
from redrepl.embedded.watchdog import watchdog
from redrepl_cli.bench import delay
from redrepl_cli.bench.suites import SUITES, Suite
from tests.cli.conftest import Invoke
from tests.cli.support.clusters import CliCluster, write_configuration
from tests.cli.support.programs import run_on_terminal, start
from tests.cli.support.results import json_of
from tests.support.waiting import wait_until

SMALL = ("--rounds", "2", "--operations", "20")
PREFIX = "redrepl-bench:"
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def leftovers(cluster: CliCluster) -> list[bytes]:
    """Keys of the benchmark that a client, or redis-py on a node, still finds; tombstones are no
    keys.
    """
    with Coordinator[str, bytes](cluster.configuration) as coordinator:
        found = list(coordinator.keys(PREFIX))
    for url in cluster.servers.urls.values():
        with redis.Redis.from_url(url) as client:
            found += list(client.scan_iter(f"{PREFIX}*"))
    return found


@pytest.mark.servers
@pytest.mark.usefixtures("any_binary")
def test_the_quick_suite_measures(invoke: Invoke) -> None:
    found = json_of(invoke("bench", *SMALL, "--format", "json"))
    results = {each["name"]: each for each in found["results"]}
    assert results["redis-py set"]["ratio"] is None
    assert results["redrepl set QUORUM"]["baseline"] == "redis-py set"
    assert results["redrepl set_many QUORUM"]["ratio_of"] == "keys_per_second"
    for each in results.values():
        assert each["operations"] == (40 if each["group"] == "single" else 2)
        assert 0 < each["median_micros"] <= each["p99_micros"] <= each["slowest_micros"]
        assert each["ratio"] is None or each["ratio"] > 0
    assert (found["suite"], found["rounds"], found["copies"], found["not_measured"]) == (
        "basic",
        2,
        3,
        [],
    )
    assert found["machine"]["engine_version"].count(".") == 2


@pytest.mark.servers
@pytest.mark.usefixtures("any_binary")
def test_all_groups_measure(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(SUITES, "peers", Suite(SUITES["peers"].groups, memory_operations=200))
    file = tmp_path / "bench.svg"
    result = invoke("bench", "--suite", "peers", *SMALL, "--format", "json", "--chart", str(file))
    found = json_of(result)
    assert found["not_measured"] == []
    assert {f"{each['group']}/{each['name']}" for each in found["results"]} == {
        name for name in SUITES["peers"].names if not name.startswith("memory/")
    }
    assert (found["memory"]["operations"], found["memory"]["different_keys"]) == (200, 20_000)
    assert found["groups"][0]["name"] == "memory"
    assert ElementTree.parse(file).getroot().tag.endswith("svg")
    assert result.stderr == "", "nobody looks, so no progress"


def children() -> set[int]:
    """Processes of this one that have not ended, without the watchdog, which stays."""
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,stat=,comm="], capture_output=True, text=True, check=True
    )
    rows = [line.split(None, 3) for line in listed.stdout.splitlines()]
    return {
        int(pid) for pid, parent, _, name in rows if int(parent) == os.getpid() and name != "ps"
    } - {watchdog.pid}


@pytest.mark.servers
@pytest.mark.usefixtures("any_binary")
def test_outages_are_measured_and_no_process_is_left(invoke: Invoke, tmp_path: Path) -> None:
    before = children()
    file = tmp_path / "bench.svg"
    result = invoke(
        "bench", "--suite", "failover", "--events", "1", "--format", "json", "--chart", str(file)
    )
    found = json_of(result)
    assert found["not_measured"] == []
    assert [f"{each['group']}/{each['name']}" for each in found["outages"]] == SUITES[
        "failover"
    ].names
    for each in found["outages"]:
        assert each["outages"] == 1
        assert each["seconds"] > 0
        assert each["acknowledged_writes"] > 0
        assert each["name"] != "redrepl set QUORUM" or each["lost_writes"] == 0
    assert children() == before
    assert ElementTree.parse(file).getroot().tag.endswith("svg")


@pytest.mark.servers
@pytest.mark.usefixtures("any_binary")
def test_what_cannot_fail_over_is_not_measured(invoke: Invoke, cluster: CliCluster) -> None:
    few = invoke(
        "bench", "--suite", "failover", "--copies", "2", "--only", "redrepl", "--format", "json"
    )
    assert few.exit_code == 1
    assert all("no majority" in each["reason"] for each in json_of(few)["not_measured"])
    own = invoke("bench", "--suite", "failover", "--config", str(cluster.file), "--format", "json")
    assert own.exit_code == 1
    assert {f"{each['group']}/{each['name']}" for each in json_of(own)["not_measured"]} == set(
        SUITES["failover"].names
    )
    assert all("--config" in each["reason"] for each in json_of(own)["not_measured"])


@pytest.mark.servers
def test_servers_of_yours_are_measured_and_left_as_they_were(
    invoke: Invoke, cluster: CliCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SUITES, "peers", Suite(SUITES["peers"].groups, memory_operations=200))
    cluster.set_everywhere(mine="stays")
    pids = {name: server.pid for name, server in cluster.servers.servers.items()}
    found = json_of(
        invoke(
            "bench", "--suite", "peers", "--config", str(cluster.file), *SMALL, "--format", "json"
        )
    )
    assert {each["group"] for each in found["results"]} == {
        "single",
        "batch",
        "catch-up",
        "asyncio",
    }
    assert found["servers"].startswith("configured ")
    assert found["memory"]["different_keys"] == 1000
    assert found["servers_on_this_machine"] == 3
    assert min(found["round_trip_micros"][node] for node in "abc") > 0
    assert "a PING to each server" in found["notes"][0]
    missing = {each["group"] for each in found["not_measured"]}
    assert missing == {"single", "batch", "catch-up", "copies", "faults", "delay"}
    assert all("--config" in each["reason"] for each in found["not_measured"])
    assert leftovers(cluster) == []
    assert {name: server.pid for name, server in cluster.servers.servers.items()} == pids
    with Coordinator[str, bytes](cluster.configuration) as coordinator:
        assert list(coordinator.keys()) == [b"mine"]


@pytest.mark.servers
def test_ctrl_c_leaves_nothing(cluster: CliCluster) -> None:
    process = start(["bench", "--config", str(cluster.file), "--rounds", "1000"])
    try:
        wait_until(lambda: leftovers(cluster) != [], timeout_seconds=20)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, output, errors.strip()) == (130, "", "stopped")
    assert leftovers(cluster) == []


@pytest.mark.servers
def test_a_copy_that_dies_costs_only_what_needs_it(invoke: Invoke, cluster: CliCluster) -> None:
    write_configuration(cluster.file, cluster.servers.urls, None, timeout_seconds=0.3)
    cluster["c"].kill()
    result = invoke(
        "bench", "--config", str(cluster.file), *SMALL, "--only", "single/*set*", "--format", "json"
    )
    found = json_of(result)
    assert result.exit_code == 0
    assert [each["name"] for each in found["not_measured"]] == ["redrepl set ALL"]
    assert "c" in found["not_measured"][0]["reason"]
    assert found["round_trip_micros"]["c"] is None
    assert "redrepl set QUORUM" in {each["name"] for each in found["results"]}


@pytest.mark.servers
def test_a_cluster_that_does_not_answer_is_an_error(invoke: Invoke, cluster: CliCluster) -> None:
    cluster.servers.stop()
    result = invoke("bench", "--config", str(cluster.file), *SMALL)
    assert (result.exit_code, result.stdout) == (4, "")
    assert result.stderr.startswith("error: ")


def test_without_a_server_program_it_says_so(invoke: Invoke, tmp_path: Path) -> None:
    nowhere = {"REDREPL_SERVER_BINARY": str(tmp_path / "nothing")}
    file = tmp_path / "bench.svg"
    result = invoke("bench", *SMALL, "--format", "json", "--chart", str(file), variables=nowhere)
    assert result.exit_code == 1
    found = json_of(result)
    assert (found["results"], found["machine"]["engine"]) == ([], None)
    assert {each["name"] for each in found["not_measured"]} >= {
        "redis-py set",
        "redrepl set QUORUM",
    }
    assert all("REDREPL_SERVER_BINARY" in each["reason"] for each in found["not_measured"])
    assert result.stderr.startswith("error: nothing could be measured")
    assert "REDREPL_SERVER_BINARY" in file.read_text()


@pytest.mark.servers
@pytest.mark.usefixtures("any_binary")
def test_a_wrong_proxy_costs_only_what_is_delayed(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delay, "CHILD", ("-c", "pass"))
    found = json_of(
        invoke(
            "bench", "--suite", "peers", "--only", "delay/redis-py set*", *SMALL, "--format", "json"
        )
    )
    assert [each["name"] for each in found["results"]] == ["redis-py set, no proxy"]
    assert {each["reason"] for each in found["not_measured"]} == {
        "the delaying proxy did not start"
    }


@pytest.mark.servers
def test_on_a_terminal_it_shows_progress_and_a_table_that_fits(cluster: CliCluster) -> None:
    ended = run_on_terminal(["bench", *SMALL, "--only", "single/*get*"], cluster.file, columns=80)
    assert ended.exit_code == 0
    assert "redrepl get ONE" in ended.output
    assert "single" in ended.output.partition("redrepl bench --suite")[0], "the bar"
    table = COLOURS.sub("", ended.output[ended.output.rindex("redrepl bench --suite") :])
    assert max(map(len, table.splitlines())) <= 80


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--only", "nobody"), "nothing in suite basic fits"),
        (("--suite", "all"), "'all' is not one of 'basic', 'peers', 'memory', 'failover', 'large'"),
        (("--rounds", "0"), "--rounds"),
        (("--copies", "17"), "--copies"),
        (("--events", "0"), "--events"),
        (("--chart", "/nowhere/bench.svg"), "/nowhere is no directory"),
    ],
)
def test_wrong_options_are_refused_before_anything_starts(
    invoke: Invoke, arguments: tuple[str, ...], said: str
) -> None:
    result = invoke("bench", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


def test_a_missing_configuration_or_program_is_an_error(invoke: Invoke, tmp_path: Path) -> None:
    for option in ("--config", "--binary"):
        result = invoke("bench", option, str(tmp_path / "nothing"))
        assert (result.exit_code, result.stdout) == (1, "")
        assert str(tmp_path / "nothing") in result.stderr


def test_help_has_examples_and_the_usual_options(invoke: Invoke) -> None:
    text = invoke("bench", "--help").stdout
    assert "redrepl bench --suite peers --chart bench.svg" in text
    for option in ("--config", "--format", "--debug", "--only", "--rounds", "--events"):
        assert option in text


@pytest.mark.soak
def test_an_emptied_replica_is_filled_beside_writes(invoke: Invoke) -> None:
    result = invoke("bench", "--suite", "large", "--keys", "2000", "--format", "json")
    assert result.exit_code == 0, result.output
    large = load_json(result.stdout)["large"]
    assert large["keys"] == 2000
    assert large["worker_rss_largest_bytes"] >= large["worker_rss_first_bytes"] > 0
    assert min(large["alone_micros"], large["beside_micros"], large["writes_per_second"]) > 0
