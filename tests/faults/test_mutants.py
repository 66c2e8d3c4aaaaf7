"""Every planted bug is noticed by its test, on a copy of the repository."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.mutants import MUTANTS
from tests.faults.planting import Mutant

pytestmark = pytest.mark.servers

ROOT = Path(__file__).parents[2]
COPIED = ("redrepl", "workers", "cli", "tests")
TESTS_FAILED = 1
"""The exit code of pytest; a mutant that cannot even be imported gives another."""


def copy_repository(target: Path) -> Path:
    """What the tests need, to plant a bug in."""
    target.mkdir()
    for name in COPIED:
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", target)
    return target


def run_tests(
    tree: Path, *tests: str, timeout_seconds: float = 110
) -> subprocess.CompletedProcess[str]:
    """Run tests of the copy against the copy."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")
    }
    # The parallel run's plugin is not for the inner run, and the copy must not find the original.
    environment.pop("PYTHONPATH", None)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "-p",
        "no:cacheprovider",
        "-W",
        "ignore",
        *tests,
    ]
    return subprocess.run(
        command,
        cwd=tree,
        env={**environment, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=timeout_seconds,
        check=False,
    )


def _parameter(mutant: Mutant) -> object:
    return pytest.param(mutant, id=mutant.name, marks=[] if mutant.quick else [pytest.mark.soak])


@pytest.mark.parametrize("mutant", [_parameter(mutant) for mutant in MUTANTS])
def test_a_planted_bug_is_noticed(mutant: Mutant, tmp_path: Path) -> None:
    tree = copy_repository(tmp_path / "tree")
    mutant.plant(tree)
    run = run_tests(tree, mutant.killer)
    assert run.returncode == TESTS_FAILED, (
        f"{mutant.name} is not noticed by {mutant.killer}:\n{run.stdout}{run.stderr}"
    )
    assert mutant.evidence in run.stdout, f"{mutant.name} fails for another reason:\n{run.stdout}"


@pytest.mark.soak
@pytest.mark.timeout(1000)
def test_without_a_planted_bug_their_tests_pass(tmp_path: Path) -> None:
    tree = copy_repository(tmp_path / "tree")
    run = run_tests(tree, *dict.fromkeys(mutant.killer for mutant in MUTANTS), timeout_seconds=900)
    assert run.returncode == 0, run.stdout
