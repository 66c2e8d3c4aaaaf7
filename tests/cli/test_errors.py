"""Errors end at one edge: text for people, exit codes for programs, no tracebacks."""

from __future__ import annotations

import subprocess
from pathlib import Path

import click
import pytest

from redrepl import (
    ClockSkew,
    ConfigError,
    Outcome,
    RedreplError,
    RequestError,
    Stamp,
    Unavailable,
    WriteReceipt,
)
from redrepl.embedded import EmbeddedError
from redrepl_cli.errors import CommandFailed, describe, report
from redrepl_cli.exit_codes import ExitCode
from redrepl_cli.main import COMMANDS
from tests.cli.conftest import Invoke
from tests.cli.support.clusters import write_configuration
from tests.cli.support.programs import REDREPL, environment

RECEIPT = WriteReceipt(
    "k", Stamp(5, 1), Outcome.UNKNOWN, False, frozenset(), frozenset("b"), {"a": "ahead"}, 1, 0.5
)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RequestError("key must be text"), ExitCode.USAGE),
        (ConfigError("file: wrong"), ExitCode.ERROR),
        (RedreplError("something"), ExitCode.ERROR),
        (ClockSkew("the clock", RECEIPT), ExitCode.ERROR),
        (Unavailable("nobody", {"a": "silent"}), ExitCode.UNAVAILABLE),
        (CommandFailed("no", ExitCode.DEGRADED), ExitCode.DEGRADED),
        (EmbeddedError("no server"), ExitCode.ERROR),
        (OSError("disk full"), ExitCode.ERROR),
        (ModuleNotFoundError("x", name="redrepl_cli.demo"), ExitCode.ERROR),
        (ZeroDivisionError("oops"), ExitCode.ERROR),
    ],
)
def test_each_kind_has_its_code(error: Exception, code: ExitCode) -> None:
    assert describe(error).exit_code is code


def test_evidence_is_an_indented_list_with_control_characters_escaped(
    capsys: pytest.CaptureFixture[str],
) -> None:
    report(Unavailable("nobody answered", {"b": "evil \x1b[31m", "a": "silent"}), debug=False)
    lines = capsys.readouterr().err.splitlines()
    assert lines[:3] == ["error: nobody answered", "  a: silent", "  b: evil \\x1b[31m"]
    assert lines[3].startswith("try: ")


def test_a_stranger_is_told_to_initialise() -> None:
    what = "holds no membership of any cluster, and no keys at all"
    advice = describe(Unavailable("nobody", {"a": what, "b": what})).advice
    assert advice is not None
    assert "redrepl init" in advice


@pytest.mark.parametrize("error", [KeyboardInterrupt(), EOFError(), click.Abort()])
def test_interruption_is_short(error: BaseException, capsys: pytest.CaptureFixture[str]) -> None:
    assert report(error, debug=False) is ExitCode.INTERRUPTED
    assert capsys.readouterr().err.split() == ["stopped"]


def test_a_surprise_shows_no_traceback_unless_asked(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object) -> None:
        raise ZeroDivisionError("surprise")

    monkeypatch.setattr("redrepl_cli.commands.plan.plan_availability", fail)
    command = ("plan", "--copies", "1", "--availability", "0.9")
    for arguments, variables in (
        (command, {}),
        ((*command, "--debug"), {}),
        (command, {"REDREPL_DEBUG": "1"}),
    ):
        result = invoke(*arguments, variables=variables)
        assert result.exit_code == 1
        assert "error: unexpected ZeroDivisionError: surprise" in result.stderr
        assert ("Traceback" in result.stderr) == (len(arguments) > len(command) or bool(variables))


def test_a_missing_module_of_a_command_is_no_traceback(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(
        COMMANDS, "plan", COMMANDS["plan"]._replace(where="redrepl_cli.nowhere:plan")
    )
    result = invoke("plan")
    assert (result.exit_code, result.stderr.splitlines()[0]) == (
        1,
        "error: this installation of redrepl lacks redrepl_cli.nowhere",
    )


def test_a_closed_pipe_is_quiet(tmp_path: Path) -> None:
    file = tmp_path / "redrepl.toml"
    write_configuration(file, {f"n{i}": f"redis://127.0.0.1:{i + 1}/0" for i in range(16)}, None)
    process = subprocess.Popen(
        [*REDREPL, "status", "--watch", "--interval", "0.1", "--format", "json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(file),
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(60) == ExitCode.BROKEN_PIPE
    assert process.stderr.read() == b""
    process.stderr.close()
