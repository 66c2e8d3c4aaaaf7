"""What surrounds a command: closed and full streams, widths that are none, files of others in the
present directory.
"""

from __future__ import annotations

import ast
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

import redrepl_cli
from redrepl_cli.children import SAFE_PATH
from redrepl_cli.local.settings import locked
from redrepl_cli.output import NO_TERMINAL_COLUMNS, USUAL_COLUMNS, console_for
from tests.cli.conftest import Invoke
from tests.cli.support.clusters import write_configuration
from tests.cli.support.programs import REDREPL, TIMEOUT_SECONDS, environment

COMMAND = " ".join(REDREPL)


def _in_a_shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )


@pytest.mark.parametrize(
    ("redirection", "exit_code", "said"),
    [
        (">&-", 0, ""),
        ("<&- >&- 2>&-", 0, ""),
        (">/dev/full", 1, "error: what was to be written finds no room: No space left on device\n"),
    ],
)
@pytest.mark.parametrize("option", ["--version", "--help", "plan --help"])
def test_standard_streams_may_be_closed_or_full(
    tmp_path: Path, option: str, redirection: str, exit_code: int, said: str
) -> None:
    run = _in_a_shell(f"{COMMAND} {option} {redirection}", tmp_path)
    assert (run.returncode, run.stdout, run.stderr) == (exit_code, "", said)


def test_data_that_finds_no_room_is_an_error(tmp_path: Path) -> None:
    run = _in_a_shell(f"{COMMAND} plan --copies 3 --availability 0.99 >/dev/full", tmp_path)
    assert (run.returncode, run.stderr) == (
        1,
        "error: what was to be written finds no room: No space left on device\n",
    )


@pytest.mark.parametrize(
    ("columns", "width"),
    [
        ("0", NO_TERMINAL_COLUMNS),
        ("", NO_TERMINAL_COLUMNS),
        ("wide", NO_TERMINAL_COLUMNS),
        ("70", 70),
    ],
)
def test_columns_count_where_they_are_a_width(
    monkeypatch: pytest.MonkeyPatch, columns: str, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert console_for(io.StringIO()).width == width


def test_a_terminal_that_tells_no_width_has_a_usual_one(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("COLUMNS", "0")
    assert console_for(Terminal()).width == USUAL_COLUMNS


def test_the_file_may_be_named_before_the_command(tmp_path: Path, invoke: Invoke) -> None:
    file = tmp_path / "mine.toml"
    write_configuration(file, {"a": "redis://127.0.0.1:1"}, None)
    assert "nodes a (primary)" in invoke("--config", str(file), "config", "check").stdout
    other = str(tmp_path / "other.toml")
    result = invoke("--config", other, "config", "check", "--config", str(file))
    assert result.exit_code == 0, "what stands behind the command is nearer"
    assert other in invoke("--config", other, "status").stderr


def test_processes_that_commands_start_import_nothing_from_the_present_directory(
    tmp_path: Path,
) -> None:
    (tmp_path / "click.py").write_text("print('planted')\n")
    assert SAFE_PATH
    run = subprocess.run(
        [sys.executable, *SAFE_PATH, "-m", "redrepl_cli", "--version"],
        cwd=tmp_path,
        env={
            **environment(),
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if Path(path).is_absolute()),
        },
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    assert (run.returncode, run.stdout.startswith("redrepl "), run.stderr) == (0, True, "")


def test_every_process_is_started_in_that_way() -> None:
    for file in Path(redrepl_cli.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, (ast.List, ast.Tuple)) and any(
                isinstance(each, ast.Constant) and each.value == "-m" for each in node.elts
            ):
                assert "SAFE_PATH" in ast.unparse(node), f"{file.name}: {ast.unparse(node)}"


def test_the_directory_of_a_local_cluster_is_nothing_for_a_repository(tmp_path: Path) -> None:
    for folder in (tmp_path / "new", tmp_path):
        with locked(folder):
            assert (folder / ".gitignore").exists() == (folder != tmp_path)
    assert (tmp_path / "new" / ".gitignore").read_text().endswith("\n*\n")
