"""The style and the structure of the source, held by looking at every file.

Each rule is shown to be able to fail.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tidy import rules
from tests.tidy.tree import PACKAGES, ROOT, module_of, python_files

PYTHON = python_files(*PACKAGES.values())
LIBRARY = [path for path in PYTHON if path.is_relative_to(ROOT / "redrepl")]
LUA = sorted((ROOT / "redrepl/lua").rglob("*.lua"))

DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
PROTOCOL = (ROOT / "docs/protocol.md").read_text("utf-8")

Rule = Callable[[str], list[str]]
ON_TEXT: dict[str, Rule] = {
    "functions are short": rules.long_functions,
    "files are short": rules.long_file,
    "no promises": rules.banned_words,
    "nothing prints": rules.prints,
}


def _findings(paths: list[Path], rule: Callable[[str, Path], list[str]]) -> list[str]:
    assert paths, "nothing was looked at"
    return [
        f"{path.relative_to(ROOT)}:{finding}"
        for path in paths
        for finding in rule(path.read_text("utf-8"), path)
    ]


@pytest.mark.parametrize("name", list(ON_TEXT))
def test_every_source_file_is_tidy(name: str) -> None:
    assert _findings(PYTHON, lambda source, _: ON_TEXT[name](source)) == []


def test_scripts_make_no_promises_and_are_short() -> None:
    assert (
        _findings(LUA, lambda source, _: rules.banned_words(source) + rules.long_file(source)) == []
    )


def test_workers_and_monitors_read_no_wall_clock() -> None:
    """They decide by the servers' clocks and by time that passes; their own is a vote where no
    majority agrees.
    """
    upkeep = [path for path in PYTHON if path.is_relative_to(ROOT / "workers")]
    upkeep += [ROOT / "redrepl/doors/administration.py", *(ROOT / "redrepl/plans").rglob("*.py")]
    assert _findings(upkeep, lambda source, _: rules.wall_clocks(source)) == []


def test_every_step_of_a_walk_has_a_deadline_of_its_own() -> None:
    plans = [path for path in PYTHON if path.name not in ("steps.py", "lanes.py")]
    assert _findings(plans, lambda source, _: rules.shared_deadlines(source)) == []


def test_everything_public_is_described() -> None:
    assert _findings(LIBRARY, lambda source, _: rules.missing_docstrings(source)) == []


def test_every_script_has_its_header() -> None:
    assert (
        _findings(LUA, lambda source, path: rules.lua_header(source, path.parent.name == "parts"))
        == []
    )


def test_sections_of_the_protocol_that_are_named_exist() -> None:
    assert (
        _findings(
            [*PYTHON, *LUA, *DOCUMENTS], lambda source, _: rules.unknown_sections(source, PROTOCOL)
        )
        == []
    )
    assert set("12345678") <= set(rules.SECTION_HEADING.findall(PROTOCOL))


def test_files_that_are_named_exist() -> None:
    def exists(name: str) -> bool:
        return (ROOT / "redrepl" / name).is_file()

    assert (
        _findings(
            [*PYTHON, *LUA, *DOCUMENTS], lambda source, _: rules.unknown_files(source, exists)
        )
        == []
    )


def test_constants_that_documents_name_exist() -> None:
    source = _all_text([*PYTHON, *LUA, ROOT / "Makefile"])
    assert _findings(DOCUMENTS, lambda text, _: rules.unknown_constants(text, source)) == []


def test_names_that_the_architecture_names_exist() -> None:
    source = _all_text([*PYTHON, *LUA, *python_files(ROOT / "tests")])
    assert (
        _findings([ROOT / "ARCHITECTURE.md"], lambda text, _: rules.unknown_names(text, source))
        == []
    )


def _all_text(paths: list[Path]) -> str:
    return "\n".join(path.read_text("utf-8") for path in paths)


def test_all_folders_are_looked_at() -> None:
    modules = {module_of(path) for path in PYTHON}
    assert {
        "redrepl",
        "redrepl.values.stamp",
        "redrepl.plans.operations.write",
        "redrepl.edges.driver",
    } <= modules
    assert any(module.startswith("redrepl_cli") for module in modules)
    assert any(module.startswith("redrepl_workers") for module in modules)
    assert {"write", "absorb", "guard"} <= {path.stem for path in LUA}


# Each rule finds what is planted, and leaves what is allowed. -------------------------------------


def _function(lines: int) -> str:
    return "def f():\n" + "    x = 1\n" * (lines - 1)


@pytest.mark.parametrize(
    ("rule", "bad", "good"),
    [
        (rules.long_functions, _function(76), _function(75)),
        (
            rules.long_functions,
            "class C:\n    async " + _function(76).replace("\n    ", "\n        "),
            _function(2),
        ),
        (rules.long_file, "x = 1\n" * 621, "x = 1\n" * 620),
        (rules.banned_words, "x = 1  # TODO later\n", "x = 1  # todos los dias, HACKNEY\n"),
        (rules.banned_words, '"""FIXME"""\n', '"""fixme"""\n'),
        (rules.banned_words, "-- XXX\n", "-- xxx\n"),
        (rules.banned_words, "HACK = 1\n", "HACKS = 1\n"),
        (
            rules.prints,
            "def f():\n    print('x')\n",
            "blueprint('x')\nx.print('y')\n# print('z')\n",
        ),
        (
            rules.wall_clocks,
            "import time\nx = time.time()\n",
            "import time\nx = time.monotonic()\n",
        ),
        (rules.wall_clocks, "from time import time_ns\n", "from time import monotonic\nx.time()\n"),
        (rules.wall_clocks, "def f():\n    import datetime\n", "import time\n"),
        (rules.shared_deadlines, "f(self._steps.until)\n", "f(order.until)\n"),
        (rules.shared_deadlines, "x = steps.until\n", "f(steps)\n"),
        (rules.missing_docstrings, "x = 1\n", '"""Module."""\n'),
        (rules.missing_docstrings, '"""M."""\ndef f(): ...\n', '"""M."""\ndef _f(): ...\n'),
        (
            rules.missing_docstrings,
            '"""M."""\nclass C: ...\n',
            '"""M."""\nclass _C:\n    def f(self): ...\n',
        ),
        (
            rules.missing_docstrings,
            '"""M."""\nclass C:\n    """C."""\n    async def f(self): ...\n',
            '"""M."""\nclass C:\n    """C."""\n    def __init__(self): ...\n',
        ),
    ],
)
def test_a_rule_finds_what_it_is_for(rule: Rule, bad: str, good: str) -> None:
    assert len(rule(bad)) == 1
    assert rule(good) == []


HEADER = "-- include: guard\n-- Does it.\n-- Keys:      a\n-- Arguments: none\n-- Answers:   1\n"


def test_a_script_without_its_header_is_found() -> None:
    assert rules.lua_header(f"{HEADER}return 1\n") == []
    assert len(rules.lua_header(f"local x = 1\n{HEADER}return 1\n")) == 5
    assert len(rules.lua_header(HEADER.replace("-- Does it.\n", ""))) == 1
    assert len(rules.lua_header(HEADER.replace("Keys:      a", "Keys:"))) == 1
    assert len(rules.lua_header(HEADER.replace("-- Answers:   1", "-- 1"))) == 1
    assert rules.lua_header("-- Part: some.\nlocal x = 1\n", is_part=True) == []
    assert len(rules.lua_header("-- Some.\nlocal x = 1\n", is_part=True)) == 1


@pytest.mark.parametrize(
    ("line", "findings"),
    [
        ("# (protocol, section 1)", 0),
        ("-- docs/protocol.md, section 2.1.", 0),
        ("# (docs/protocol.md, sections 1 and 2.1).", 0),
        ("# the protocol's section 2; section 9 may be anybody's", 0),
        ("# the protocol's section 9", 1),
        ("# (protocol, section 3)", 1),
        ("-- docs/protocol.md, section 2.2", 1),
        ("# (docs/protocol.md, sections 3 and 4)", 2),
    ],
)
def test_a_section_that_does_not_exist_is_found(line: str, findings: int) -> None:
    protocol = "# The protocol\n\n## 1. A\n\n## 2. B\n\n### 2.1 C\n\n3. no heading\n"
    assert len(rules.unknown_sections(f"{line}\n", protocol)) == findings


def test_a_file_that_does_not_exist_is_found() -> None:
    names = [
        "see plans/here.py",
        "`redrepl/lua/parts/here.lua`",
        "plans/gone.py, lua/gone.lua",
        "others/gone.py",
    ]
    assert len(rules.unknown_files("\n".join(names), lambda name: "here" in name)) == 2


def test_a_constant_that_does_not_exist_is_found() -> None:
    text = "After LONG_SECONDS, `SHORT_SECONDS` and GET, not MYLONG_SECONDS_TOO.\n"
    source = "LONG_SECONDS = 1\nMYLONG_SECONDS_TOO = 2\n"
    assert rules.unknown_constants(text, source) == ["1: nothing is called SHORT_SECONDS"]


def test_a_name_that_does_not_exist_is_found() -> None:
    text = (
        "See `here`, `plans.here`,\n`gone`, `here.gone` and `gone()`; gone is no code, `a b` "
        "no name.\n"
    )
    assert rules.unknown_names(text, "def here(): ...\n") == [
        f"2: nothing is called {name}" for name in ("gone", "here.gone", "gone")
    ]
