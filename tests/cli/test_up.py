"""`redrepl up`: a cluster from start to stop, with nothing left behind but the data."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from redrepl.embedded import ServerBinary
from redrepl_cli.exit_codes import ExitCode
from tests.cli.conftest import Invoke
from tests.cli.support.programs import start
from tests.cli.support.results import json_of
from tests.support.processes import all_gone
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.servers, pytest.mark.usefixtures("any_binary")]

Local = tuple[subprocess.Popen[str], dict[str, Any]]


@contextmanager
def running(directory: Path, *options: str) -> Iterator[Local]:
    """`redrepl up` once it is ready, with what it said; killed at the end if it still runs."""
    process = start(["up", "--directory", str(directory), "--format", "json", *options])
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, process.communicate()
        yield process, json.loads(line)
    finally:
        process.kill()
        process.communicate()


def pids_of(ready: dict[str, Any]) -> list[int]:
    """The processes that were started."""
    worker = [ready["worker_pid"]] if ready["worker_pid"] else []
    return [node["pid"] for node in ready["nodes"]] + worker


def stop(process: subprocess.Popen[str], number: signal.Signals = signal.SIGINT) -> str:
    """Stop it and return what it said."""
    process.send_signal(number)
    _, messages = process.communicate(timeout=60)
    assert process.returncode == 0, messages
    return messages


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_from_start_to_stop(number: signal.Signals, tmp_path: Path, invoke: Invoke) -> None:
    with running(tmp_path / "d") as (process, ready):
        assert (ready["schema_version"], ready["condition"], ready["cluster"]) == (
            1,
            "healthy",
            "local",
        )
        assert [node["role"] for node in ready["nodes"]] == ["primary", "replica", "replica"]
        config = ("--config", ready["config"])
        assert invoke("set", "k", "v", *config).exit_code == 0
        status = json_of(invoke("status", "--format", "json", *config))
        assert (status["condition"], status["queue"]["workers"]) == ("healthy", 1)
        messages = stop(process, number)
    assert "Traceback" not in messages
    assert f"the data stays in {tmp_path / 'd'}" in messages
    assert all_gone(pids_of(ready))


def test_again_with_the_same_data_and_ports(tmp_path: Path, invoke: Invoke) -> None:
    with running(tmp_path) as (process, first):
        assert invoke("set", "k", "v", "--level", "all", "--config", first["config"]).exit_code == 0
        stop(process)
    with running(tmp_path) as (process, second):
        assert second["condition"] == "healthy"
        assert [node["url"] for node in second["nodes"]] == [node["url"] for node in first["nodes"]]
        assert second["queue_url"] == first["queue_url"]
        assert invoke("get", "k", "--level", "all", "--config", second["config"]).stdout == "v"
        stop(process)


def test_several_primaries_come_back_too(tmp_path: Path, invoke: Invoke) -> None:
    for _ in range(2):
        with running(tmp_path, "--mode", "multi-primary", "--nodes", "2", "--cluster", "pair") as (
            process,
            ready,
        ):
            assert (ready["condition"], ready["cluster"], ready["mode"]) == (
                "healthy",
                "pair",
                "multi-primary",
            )
            assert [node["role"] for node in ready["nodes"]] == ["primary", "primary"]
            assert (
                invoke("set", "k", "v", "--level", "all", "--config", ready["config"]).exit_code
                == 0
            )
            stop(process)


def test_killed_it_leaves_no_process_and_the_data(tmp_path: Path, invoke: Invoke) -> None:
    with running(tmp_path) as (process, ready):
        assert invoke("set", "k", "v", "--config", ready["config"]).exit_code == 0
        process.kill()
        wait_until(
            lambda: all_gone(pids_of(ready)), message="servers and worker end with their owner"
        )
    with running(tmp_path) as (process, again):
        assert again["condition"] == "healthy"
        assert invoke("get", "k", "--level", "all", "--config", again["config"]).stdout == "v"
        stop(process)


def test_a_port_that_is_taken_by_now(tmp_path: Path, invoke: Invoke) -> None:
    with running(tmp_path) as (process, first):
        assert invoke("set", "k", "v", "--config", first["config"]).exit_code == 0
        stop(process)
    [replica] = [node for node in first["nodes"] if node["id"] == "b"]
    taken = int(replica["url"].rpartition(":")[2].partition("/")[0])
    with socket.create_server(("127.0.0.1", taken)), running(tmp_path) as (process, second):
        assert second["condition"] == "healthy"
        assert second["nodes"][1]["url"] != replica["url"]
        assert invoke("verify", "--config", second["config"]).exit_code == 0
        assert "the port of b was taken" in stop(process)


def test_without_a_worker(tmp_path: Path) -> None:
    with running(tmp_path, "--no-worker", "--nodes", "1") as (process, ready):
        assert (ready["worker_pid"], ready["condition"], len(ready["nodes"])) == (
            None,
            "healthy",
            1,
        )
        stop(process)


def test_what_ends_is_said(tmp_path: Path) -> None:
    with running(tmp_path) as (process, ready):
        assert process.stderr is not None
        assert process.stderr.readline() == "Ctrl-C stops it; the data stays\n"
        [replica] = [node for node in ready["nodes"] if node["id"] == "b"]
        subprocess.run(["kill", "-9", str(replica["pid"])], check=True)
        assert process.stderr.readline() == "node b has ended\n"
        stop(process)


def test_a_directory_in_use_and_contradictions(tmp_path: Path, invoke: Invoke) -> None:
    with running(tmp_path) as (process, _):
        result = invoke("up", "--directory", str(tmp_path))
        assert result.exit_code == ExitCode.ERROR
        assert "another `redrepl up` runs in" in result.stderr
        stop(process)
    for option, value, existing in (
        ("--nodes", "5", "3"),
        ("--mode", "multi-primary", "primary-replica"),
    ):
        result = invoke("up", "--directory", str(tmp_path), option, value)
        assert result.exit_code == ExitCode.USAGE
        assert f"describes a cluster with {option} {existing}, not {value}" in result.stderr


def test_it_says_how_to_go_on(tmp_path: Path) -> None:
    process = start(["up", "--directory", str(tmp_path), "--nodes", "2"])
    assert process.stdout is not None
    try:
        lines = []
        while "redrepl status" not in (line := process.stdout.readline()):
            assert line, process.communicate()
            lines.append(line.rstrip())
        assert lines[0] == "cluster local is up, primary-replica:"
        assert f"  export REDREPL_CONFIG={tmp_path}/redrepl.toml" in lines
        stop(process)
    finally:
        process.kill()


def test_a_server_program_that_is_none(
    tmp_path: Path, invoke: Invoke, any_binary: ServerBinary
) -> None:
    result = invoke(
        "up", "--directory", str(tmp_path), "--binary", str(any_binary.path.parent / "nowhere")
    )
    assert result.exit_code == ExitCode.ERROR
    assert result.stderr.startswith("error: ")
    assert "nowhere" in result.stderr
