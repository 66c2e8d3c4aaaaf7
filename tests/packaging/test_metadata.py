"""pyproject.toml, constraints.txt and the files that install from them agree, and name no
machine.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from redrepl import __version__

ROOT = Path(__file__).parents[2]
PIN = re.compile(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.]+)")
HOST = re.compile(r"\w+://|--(extra-)?index-url|--find-links|--trusted-host", re.IGNORECASE)
PRIVATE_PATH = re.compile(r"(?<![\w.$}])/(home|root|work|opt|srv|mnt|Users|tmp)/")


def _text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


PYPROJECT: dict[str, Any] = tomllib.loads(_text("pyproject.toml"))
PROJECT: dict[str, Any] = PYPROJECT["project"]


def _requirements() -> list[str]:
    """All that pyproject.toml asks for, but for `make fuzz`: its one package differs from Python to
    Python.
    """
    asked = {
        name: group for name, group in PYPROJECT["dependency-groups"].items() if name != "fuzz"
    }
    groups = [*asked.values(), *PROJECT["optional-dependencies"].values()]
    lists = [PYPROJECT["build-system"]["requires"], PROJECT["dependencies"], *groups]
    return [entry for found in lists for entry in found if isinstance(entry, str)]


def _pins() -> dict[str, str]:
    lines = [
        line for line in _text("constraints.txt").splitlines() if line and not line.startswith("#")
    ]
    matches = [PIN.fullmatch(line) for line in lines]
    assert all(matches), f"not of the form name==version: {lines}"
    return {canonicalize_name(match[1]): match[2] for match in matches if match}


PINS = _pins()


@pytest.mark.parametrize("text", _requirements())
def test_every_dependency_has_a_lower_bound_and_a_pin_that_keeps_it(text: str) -> None:
    requirement = Requirement(text)
    assert [specifier.operator for specifier in requirement.specifier] == [">="]
    assert requirement.specifier.contains(PINS[canonicalize_name(requirement.name)])


def test_pip_is_pinned_to_one_that_knows_dependency_groups() -> None:
    assert SpecifierSet(">=25.3").contains(PINS["pip"])


def test_python_versions() -> None:
    supported = SpecifierSet(PROJECT["requires-python"])
    prefix = "Programming Language :: Python :: "
    named = [
        text.removeprefix(prefix) for text in PROJECT["classifiers"] if text.startswith(prefix)
    ]
    assert named == sorted(named)
    assert named[0] == "3.11"
    assert all(supported.contains(version) for version in named)
    assert not supported.contains("3.10")


def test_the_version_is_written_the_same_everywhere() -> None:
    assert PROJECT["version"] == __version__
    assert f"image: redrepl:{__version__}\n" in _text("docker-compose.yml")


def test_every_packaged_folder_says_that_it_is_typed() -> None:
    packages = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert [Path(package).name for package in packages] == [
        "redrepl",
        "redrepl_cli",
        "redrepl_workers",
    ]
    assert all((ROOT / package / "py.typed").is_file() for package in packages)


def test_the_license_is_complete() -> None:
    assert PROJECT["license"] == "Apache-2.0"
    text = _text("LICENSE")
    assert "Apache License\n                           Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert "Copyright 2026 redrepl maintainers" in text


@pytest.mark.parametrize(
    "name",
    [
        "pyproject.toml",
        "constraints.txt",
        "Makefile",
        "docker/Dockerfile",
        "docker/Dockerfile.dockerignore",
        *sorted(f".ci/{path.name}" for path in (ROOT / ".ci").iterdir() if path.is_file()),
    ],
)
def test_no_package_index_and_no_path_of_one_machine(name: str) -> None:
    text = _text(name)
    assert HOST.findall(text) == []
    assert PRIVATE_PATH.findall(text) == []
