"""The table "Where to change what" of ARCHITECTURE: whether what it names exists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

HEADING = "## Where to change what"
_CODE = re.compile(r"`([^`]+)`")
_FILE = re.compile(r"[\w./-]+/[\w.-]*|[\w-]+\.(?:py|lua|md|toml)")


def rows(document: str) -> list[tuple[str, str]]:
    """What is to be changed, and where to look."""
    section = document.partition(HEADING)[2].partition("\n## ")[0]
    lines = [
        line
        for line in section.splitlines()
        if line.startswith("|") and not line.startswith("|---")
    ]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [(row[0], row[-1]) for row in cells[1:]]


def wrong_names(where: str, roots: tuple[Path, ...]) -> list[str]:
    """What a row names that does not exist, and names that stand in none of the row's files.

    roots: folders from which files are named. A folder stands for all files in it.
    """
    named = _CODE.findall(where)
    files = {name: _found(name, roots) for name in named if _FILE.fullmatch(name)}
    missing = [f"no file {name}" for name, path in files.items() if path is None]
    if not files:
        return ["names no file"]

    text = "\n".join(text for path in files.values() if path is not None for text in _texts(path))
    names = [name for name in named if name not in files]
    return missing + [
        f"no {name} in these files"
        for name in names
        if not re.search(rf"\b{re.escape(name)}\b", text)
    ]


def _found(name: str, roots: tuple[Path, ...]) -> Path | None:
    return next((root / name for root in roots if (root / name).exists()), None)


def _texts(path: Path) -> Iterator[str]:
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    yield from (file.read_text("utf-8") for file in files)
