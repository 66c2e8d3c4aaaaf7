"""`redrepl chaos` on real servers: short runs, refusals, and an end that leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from redrepl.embedded import ServerBinary
from redrepl_cli.chaos.faults import FAULTS, planned
from tests.cli.conftest import Invoke
from tests.cli.support.programs import REDREPL, environment
from tests.cli.support.results import json_of
from tests.support.processes import all_gone
from tests.support.waiting import wait_until

ALL_OF_A_RUN_SECONDS = 30
"""For servers, clients and workers to be there, on a busy machine."""


def run_chaos(invoke: Invoke, faults: str, *more: str) -> dict[str, dict[str, Any]]:
    """A run in which nothing may be found; answers its faults by name."""
    result = invoke("chaos", "--faults", faults, "--format", "json", *more)
    found = json_of(result)
    assert found["passed"], "\n".join(found["findings"])
    assert (found["findings"], result.exit_code) == ([], 0)
    assert (
        found["linearizability_violations"],
        found["acked_writes_lost"],
        found["keys_not_judged"],
    ) == (0, 0, [])
    by_name = {each["fault"]: each for each in found["faults"]}
    assert list(by_name) == [each.name for each in planned(faults)]
    for each in by_name.values():
        assert each["recovered"]
        assert each["first_committed_write_after_fault_seconds"] is not None
    for kind, outcomes in found["operations"].items():
        assert outcomes["ok"] > 0, f"no {kind} went well"
    return by_name


KINDS = {
    "down": "kill,freeze",
    "without data": "empty,old",
    "cut off": "cut,cut-clients",
    "in bad connection": "flaky,cut-workers,slow:primary",
    "around the nodes": ",".join(
        [
            "slow:replica",
            "clocks",
            "clients",
            "workers",
            "queue",
            "queue-emptied",
            "forged-jobs:primary",
        ]
    ),
    "bad links": "far:primary,narrow:primary,reset:primary,forget:primary",
    "taking no writes": ",".join(
        ["no-replicas:replica", "read-only:primary", "denied:primary", "full:primary", "all-full"]
    ),
    "another server": "replaced",
    "clocks of nodes": "clock-ahead,clock-behind:primary",
    "holding something else": "flushed:primary,log-deleted:primary,lies,refill:replica",
    "set back": "set-back",
}
"""Faults that one run has; on the other targets in `test_all_faults`.

A fault lasts until it has had its effect.
"""

WITHOUT_WRITES = ("cut-clients:primary",)
"""No QUORUM write can be committed while these last."""

ONLY_DELETES = ("all-full",)
"""At full memory deletes are committed, and nothing else: within a second there may be none."""

TAKEN_OVER = (
    *("kill:primary", "freeze:primary", "empty:primary", "old:primary", "cut:primary"),
    *(
        "read-only:primary",
        "denied:primary",
        "clock-ahead:primary",
        "clock-behind:primary",
        "replaced:primary",
    ),
    "forged-jobs:primary",
)


@pytest.mark.servers
@pytest.mark.usefixtures("any_binary", "movable_clocks")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seconds", ["1", pytest.param("20", marks=pytest.mark.soak)])
def test_nothing_is_lost_and_all_comes_back(
    invoke: Invoke, tmp_path: Path, kind: str, seconds: str
) -> None:
    picture = tmp_path / "chaos.svg"
    faults = run_chaos(
        invoke, KINDS[kind], "--seconds", seconds, "--clients", "2", "--report", str(picture)
    )
    for name, fault in faults.items():
        may_be_none = name in WITHOUT_WRITES or (name in ONLY_DELETES and seconds == "1")
        assert fault["committed_writes_during_fault"] > 0 or may_be_none, "a quorum was there"
        if name in TAKEN_OVER:
            assert fault["epoch_after"] > fault["epoch_before"]
            assert fault["primary_after"] != fault["primary_before"], "another node took over"
    names = {each.text for each in ElementTree.parse(picture).iter()}
    assert all(any(name in (text or "") for text in names) for name in faults)


def test_the_runs_have_every_fault() -> None:
    chosen = ",".join(KINDS.values())
    assert {each.fault.name for each in planned(chosen)} == set(FAULTS)


@pytest.mark.servers
@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "sizes",
    [
        ("--copies", "3", "--clients", "6", "--keys", "50"),
        ("--copies", "3", "--clients", "6", "--keys", "10"),
        ("--copies", "5", "--clients", "4", "--keys", "50"),
        ("--copies", "3", "--clients", "4", "--keys", "10000"),
    ],
    ids=" ".join,
)
def test_all_faults(
    invoke: Invoke, server_binary: ServerBinary, sizes: tuple[str, ...], tmp_path: Path
) -> None:
    page = tmp_path / "chaos.html"
    run_chaos(
        invoke, ",".join(FAULTS), *sizes, "--binary", str(server_binary.path), "--report", str(page)
    )
    assert page.stat().st_size > 10_000


# Errors -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--faults", "nonsense"), "'nonsense' is no fault; there are kill, freeze"),
        (("--faults", "kill,"), "'' is no fault"),
        (
            ("--faults", "kill:queue"),
            "'kill:queue' is no fault; there is kill:primary, kill:replica",
        ),
        (("--faults", "queue:primary"), "'queue:primary' is no fault; there is queue"),
        (("--seconds", "0"), "--seconds"),
        (("--copies", "2"), "--copies"),
        (("--clients", "0"), "--clients"),
        (("--keys", "0"), "--keys"),
        (("--report", "chaos.png"), "must end in .html or .svg"),
        (("--report", "/nowhere/chaos.svg"), "/nowhere is no directory"),
    ],
)
def test_wrong_options_are_refused_before_anything_starts(
    invoke: Invoke, arguments: tuple[str, ...], said: str
) -> None:
    result = invoke("chaos", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in " ".join(result.stderr.split())


def test_without_a_server_program_it_says_so(invoke: Invoke, tmp_path: Path) -> None:
    result = invoke("chaos", variables={"REDREPL_SERVER_BINARY": str(tmp_path / "nothing")})
    assert (result.exit_code, result.stdout) == (1, "")
    assert "REDREPL_SERVER_BINARY" in result.stderr


def test_faults_can_be_chosen_for_one_target_or_for_all() -> None:
    assert [each.name for each in planned("queue, kill,cut:replica")] == [
        "queue",
        "kill:primary",
        "kill:replica",
        "cut:replica",
    ]
    assert len(planned(None)) == sum(len(fault.targets) for fault in FAULTS.values())


def test_help_names_every_fault(invoke: Invoke) -> None:
    text = invoke("chaos", "--help").stdout
    assert "redrepl chaos --faults kill,cut:primary --seconds 10" in text
    for name in FAULTS:
        assert f"\n    {name} " in text


# The end ------------------------------------------------------------------------------------------


def descendants(pid: int) -> list[int]:
    """All processes below this one, itself included."""
    listing = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True
    ).stdout
    parents = {
        int(child): int(parent) for child, parent in (line.split() for line in listing.splitlines())
    }
    found = [pid]
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
    return found


@pytest.fixture
def running(
    any_binary: ServerBinary, tmp_path: Path
) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A run in the middle of its first fault, with the folder for its temporary files."""
    process = subprocess.Popen(
        [
            *REDREPL,
            "chaos",
            "--faults",
            "slow",
            "--seconds",
            "600",
            "--binary",
            str(any_binary.path),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(extra={"TMPDIR": str(tmp_path)}),
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("1/2 slow:primary"), process.stderr.read()
        yield process, tmp_path
    finally:
        process.kill()
        process.communicate(timeout=ALL_OF_A_RUN_SECONDS)


@pytest.mark.servers
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "kill -9"])
def test_its_end_leaves_nothing(
    running: tuple[subprocess.Popen[str], Path], number: signal.Signals
) -> None:
    process, temporary = running
    pids = descendants(process.pid)
    assert len(pids) >= 1 + 4 + 2 + 4, "itself, servers, workers and clients"
    process.send_signal(number)
    output, errors = process.communicate(timeout=ALL_OF_A_RUN_SECONDS)
    assert output == ""
    if number is signal.SIGINT:
        assert (process.returncode, errors.strip()) == (130, "stopped")
    wait_until(lambda: all_gone(pids), ALL_OF_A_RUN_SECONDS, f"processes {pids} end")
    wait_until(
        lambda: os.listdir(temporary) == [], ALL_OF_A_RUN_SECONDS, f"{temporary} becomes empty"
    )
