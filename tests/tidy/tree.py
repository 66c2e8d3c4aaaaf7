"""The files that the rules look at, by the names under which they are imported."""

from __future__ import annotations

from pathlib import Path

from tests.tidy.imports import Source

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "redrepl": ROOT / "redrepl",
    "redrepl_workers": ROOT / "workers/redrepl_workers",
    "redrepl_cli": ROOT / "cli/redrepl_cli",
}
TESTS = ROOT / "tests"


def module_of(path: Path) -> str:
    """The name of a file's module."""
    for name, folder in {**PACKAGES, "tests": TESTS}.items():
        if path.is_relative_to(folder):
            parts = (name, *path.relative_to(folder).with_suffix("").parts)
            return ".".join(parts).removesuffix(".__init__")
    raise ValueError(f"{path} is in no package")


def python_files(*folders: Path) -> list[Path]:
    """All Python files of these folders, in order."""
    return sorted(path for folder in folders for path in folder.rglob("*.py"))


def sources(*folders: Path) -> dict[str, Source]:
    """The modules of these folders."""
    files = python_files(*folders)
    return {
        module_of(path): Source(path.read_text("utf-8"), path.name == "__init__.py")
        for path in files
    }
