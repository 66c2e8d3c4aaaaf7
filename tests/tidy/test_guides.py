"""HACKING.md and CONTRIBUTING.md: what they tell a newcomer to run or to open exists."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from redrepl_cli.chaos.faults import FAULTS
from redrepl_cli.main import COMMANDS
from tests.faults.mutants import MUTANTS
from tests.simulation.settings import PROFILES

ROOT = Path(__file__).parents[2]
GUIDES = {name: (ROOT / name).read_text("utf-8") for name in ("HACKING.md", "CONTRIBUTING.md")}

Check = Callable[[str], list[str]]
"""What is wrong with a text, as the names that it has and that do not exist."""

SPAN = re.compile(r"`([^`\n]+)`")
INDENTED = re.compile(r"^ {4,}(.+)$", re.MULTILINE)
FENCED = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]+)\)")
PLACEHOLDER = re.compile(r"<\w+>")
TARGETS = frozenset(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
MADE = {".venv", "build", "dist"}
FOLDERS = {path.name for path in ROOT.iterdir() if path.is_dir()} - MADE
PYTEST = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["pytest"]
MARKERS = frozenset(text.partition(":")[0] for text in PYTEST["ini_options"]["markers"])


def commands(text: str) -> Iterator[list[str]]:
    """The words of each line and span of code in a guide, Python left out."""
    shell = FENCED.sub(lambda found: found[2] if found[1] == "sh" else "", text)
    shell = shell.replace("\\\n", " ")
    for found in (*INDENTED.findall(shell), *SPAN.findall(shell)):
        try:
            yield shlex.split(found.partition("|")[0])
        except ValueError:  # a half of a quoted word, as in the middle of a program
            yield found.split()


def wrong_paths(text: str) -> list[str]:
    """Files, folders and tests that are named as code, or linked to, and do not exist."""
    words = (word for words in commands(text) for word in words if not PLACEHOLDER.search(word))
    named = [word for word in words if "/" in word and word.partition("/")[0] in FOLDERS]

    wrong = []
    for word in (*named, *LINK.findall(text)):
        path, _, function = word.partition("::")
        file = ROOT / path
        if not file.exists() or (function and f"def {function}(" not in file.read_text("utf-8")):
            wrong.append(word)
    return wrong


def wrong_targets(text: str) -> list[str]:
    """Targets of make that the Makefile does not have."""
    called = [words[1] for words in commands(text) if words[:1] == ["make"] and len(words) > 1]
    return [name for name in called if name not in TARGETS]


def after(words: list[str], option: str) -> list[str]:
    """What follows an option, each time that it is given."""
    return [value for name, value in pairwise(words) if name == option]


def wrong_selections(text: str) -> list[str]:
    """Markers that pytest does not know, and words of -k that are in none of the files named."""
    wrong = []
    for words in (words for words in commands(text) if words and words[0].endswith("pytest")):
        for expression in after(words, "-m"):
            wrong += [name for name in _names(expression) if name not in MARKERS]
        sources = "".join(map(_text_of, words[1:]))
        for expression in after(words, "-k"):
            wrong += [name for name in _names(expression) if name not in sources]
    return wrong


def _names(expression: str) -> list[str]:
    return [word for word in re.findall(r"\w+", expression) if word not in ("and", "or", "not")]


def _text_of(word: str) -> str:
    """What names of tests can be made of: a file, all files of a folder, engines, and mutants."""
    path = ROOT / word.partition("::")[0]
    if "/" not in word or not path.exists():
        return ""
    files = sorted(path.glob("*.py")) if path.is_dir() else [path]
    names = [mutant.name for mutant in MUTANTS] if path.name == "faults" else ["valkey", "redis"]
    return "".join(file.read_text("utf-8") for file in files) + "\n".join(names)


def wrong_commands(text: str) -> list[str]:
    """Commands, faults and profiles that redrepl and its simulator do not have."""
    wrong = []
    for words in commands(text):
        program, *arguments = words or [""]
        if program in ("redrepl", ".venv/bin/redrepl"):
            wrong += [name for name in arguments[:1] if name not in COMMANDS]
        faults = ",".join(after(words, "--faults")).split(",")
        wrong += [name for name in faults if name and name.partition(":")[0] not in FAULTS]
        wrong += [name for name in after(words, "--profile") if name not in PROFILES]
    return wrong


CHECKS = (wrong_paths, wrong_targets, wrong_selections, wrong_commands)


@pytest.mark.parametrize("name", list(GUIDES))
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_what_a_guide_names_exists(check: Check, name: str) -> None:
    assert check(GUIDES[name]) == []


def test_something_is_looked_at() -> None:
    words = [words for text in GUIDES.values() for words in commands(text)]
    assert sum(each[:1] == ["make"] for each in words) > 10
    assert sum(each[:1] == [".venv/bin/pytest"] for each in words) > 8
    assert sum(each[:2] == [".venv/bin/redrepl", "chaos"] for each in words) == 1


def test_the_test_that_is_shown_passes() -> None:
    (source,) = [text for kind, text in FENCED.findall(GUIDES["HACKING.md"]) if kind == "python"]
    namespace: dict[str, object] = {}
    exec(compile(source, "HACKING.md", "exec"), namespace)
    shown = [each for name, each in namespace.items() if name.startswith("test_")]
    assert len(shown) == 1
    assert callable(shown[0])
    shown[0]()


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (wrong_paths, "`tests/tidy/test_guides.py`", "`tests/tidy/test_gone.py`"),
        (wrong_paths, "`redrepl/lua/<name>.lua`", "`redrepl/lua/name.lua`"),
        (wrong_paths, "[x](README.md)", "[x](READYOU.md)"),
        (wrong_paths, "`tests/tidy/test_guides.py::after`", "`tests/tidy/test_guides.py::gone`"),
        (wrong_targets, "`make test JOBS=0`, to make sure", "`make sure`"),
        (wrong_selections, "`pytest -m 'tls and not soak'`", "`pytest -m 'tsl and not soak'`"),
        (wrong_selections, "`pytest tests/unit -k stamp`", "`pytest tests/unit -k stmap`"),
        (wrong_commands, "`redrepl status`, `redrepl`", "`redrepl statsu`"),
        (wrong_commands, "`redrepl chaos --faults kill,full:b`", "`redrepl chaos --faults kil`"),
        (wrong_commands, "    python -m x --profile mixed", "    python -m x --profile mixde"),
    ],
)
def test_what_does_not_exist_is_found(check: Check, good: str, bad: str) -> None:
    assert check(good) == []
    assert len(check(bad)) == 1
