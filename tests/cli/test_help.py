"""Help: fast, complete and with examples."""

from __future__ import annotations

import json
import subprocess
import sys

import click
import pytest

from redrepl_cli.lazy import LazyGroup
from redrepl_cli.main import COMMANDS, cli
from tests.cli.conftest import Invoke
from tests.cli.support.programs import environment

OWN_COMMANDS = sorted(set(COMMANDS) - {"demo", "bench", "chaos"})
HEAVY = ("redis", "rq", "rich", "redrepl", "asyncio", "redrepl_cli.queue")

LIST_MODULES = """
import json, sys
from redrepl_cli.main import main
try:
    main()
finally:
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


def modules_after(*arguments: str) -> list[str]:
    """What has been imported when the program ends."""
    command = [sys.executable, "-c", LIST_MODULES, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), check=True)
    found: list[str] = json.loads(done.stderr)
    return found


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    assert not set(HEAVY) & set(modules_after(*arguments))


def test_a_command_imports_its_own_modules_alone() -> None:
    found = modules_after("plan", "--copies", "1", "--availability", "0.9", "--format", "json")
    assert "redrepl_cli.commands.plan" in found
    assert "redrepl_cli.commands.status" not in found


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_name_in_the_table_leads_to_a_command(name: str) -> None:
    assert isinstance(cli, LazyGroup)
    assert isinstance(cli.get_command(click.Context(cli), name), click.Command)


def leaf_commands() -> list[list[str]]:
    """The arguments that lead to each command of this package that does something."""
    found = []
    for name in OWN_COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        inner = list(command.commands) if isinstance(command, click.Group) else []
        found += [[name, each] for each in inner] or [[name]]
    return found


@pytest.mark.parametrize("path", leaf_commands(), ids=" ".join)
def test_every_command_explains_itself(path: list[str], invoke: Invoke) -> None:
    result = invoke(*path, "--help")
    assert result.exit_code == 0
    assert f"redrepl {' '.join(path)}" in result.stdout.partition("\n")[2], "an example of its use"
    for option in ("--config", "--format", "--debug"):
        assert option in result.stdout


def test_the_list_of_commands_shows_every_line(invoke: Invoke) -> None:
    text = invoke("--help").stdout
    for name, command in COMMANDS.items():
        assert f"  {name} " in text
        assert command.summary in text
    assert "Exit codes: 0 healthy or done, 1 error, 2 usage, 3 degraded, 4 unavailable." in text


def test_version(invoke: Invoke) -> None:
    result = invoke("--version")
    assert (result.exit_code, result.stdout.split()[0]) == (0, "redrepl")


def test_a_mistyped_command_gets_a_suggestion(invoke: Invoke) -> None:
    result = invoke("stauts")
    assert result.exit_code == 2
    assert "Did you mean 'status'?" in result.stderr


def test_completion_offers_commands_without_importing_them() -> None:
    assert isinstance(cli, LazyGroup)
    found = cli.shell_complete(click.Context(cli), "st")
    assert [(item.value, item.help) for item in found] == [("status", COMMANDS["status"].summary)]
