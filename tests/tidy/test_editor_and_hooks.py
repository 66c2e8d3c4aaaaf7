"""What editors and git's hooks are told about this project agrees with pyproject.toml."""

from __future__ import annotations

import configparser
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
HOOKS = ROOT / ".pre-commit-config.yaml"


def editor_settings() -> configparser.ConfigParser:
    """The sections of .editorconfig; what stands before the first one is in `top`."""
    parser = configparser.ConfigParser()
    parser.read_string("[top]\n" + (ROOT / ".editorconfig").read_text("utf-8"))
    return parser


def hooks(text: str) -> list[dict[str, Any]]:
    """All hooks of a configuration of pre-commit, each with the repository that it comes from."""
    loaded = yaml.safe_load(text)
    return [{"repo": entry["repo"], **hook} for entry in loaded["repos"] for hook in entry["hooks"]]


def trouble_with(hook: dict[str, Any]) -> list[str]:
    """Why a hook would fetch something, or run another program than `make test` does."""
    wrong = []
    if hook["repo"] != "local":
        wrong.append(f"comes from {hook['repo']}, which is fetched at commit time")
    if hook["language"] != "system":
        wrong.append(f"language {hook['language']} makes an environment of its own")
    if not hook["entry"].startswith(".venv/bin/"):
        wrong.append(f"{hook['entry']} is not a program of .venv")
    return [f"{hook['id']}: {what}" for what in wrong]


def test_editors_use_the_line_length_of_the_formatter() -> None:
    length = editor_settings()["*.py"]["max_line_length"]
    assert int(length) == PYPROJECT["tool"]["ruff"]["line-length"]


def test_editors_are_told_how_each_kind_of_file_is_indented() -> None:
    settings = editor_settings()
    assert settings["top"]["root"] == "true"
    assert (settings["*"]["indent_style"], settings["*"]["indent_size"]) == ("space", "4")
    assert settings["*.{lua,yml,yaml}"]["indent_size"] == "2"
    assert settings["{Makefile,*.mk}"]["indent_style"] == "tab"


def test_hooks_fetch_nothing_and_run_the_programs_of_the_project() -> None:
    found = hooks(HOOKS.read_text("utf-8"))
    assert [trouble for hook in found for trouble in trouble_with(hook)] == []
    programs = [hook["entry"].removeprefix(".venv/bin/").split()[0] for hook in found]
    assert programs == ["ruff", "ruff", "mypy", "pytest"]


def test_hooks_check_what_make_test_checks_but_for_the_tests() -> None:
    entries = [hook["entry"].removeprefix(".venv/bin/") for hook in hooks(HOOKS.read_text("utf-8"))]
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert entries.pop() == "pytest -q tests/tidy"
    checks = [entry.removesuffix(" --force-exclude") for entry in entries]
    assert [check for check in checks if f"\t$(BIN)/{check}\n" not in makefile] == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"repo": "elsewhere"}, "fetched at commit time"),
        ({"language": "python"}, "environment of its own"),
        ({"entry": "ruff check"}, "not a program of .venv"),
    ],
)
def test_a_hook_that_fetches_something_is_found(change: dict[str, str], said: str) -> None:
    sound = {"repo": "local", "id": "x", "language": "system", "entry": ".venv/bin/ruff check"}
    assert trouble_with(sound) == []
    assert said in " ".join(trouble_with({**sound, **change}))
