"""The definitions of the library by name, wherever its files are."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from tests.faults.patterns import DEFINITIONS

FOLDERS = ("redrepl", "cli", "workers")


class PlaceNotFound(Exception):
    """A bug has no place, or several: the library changed, adapt the mutant."""


class Place(NamedTuple):
    """The file of a definition, and its full name, such as redrepl.values.stamp.Stamp.parse."""

    path: str
    name: str


class Library:
    """The text of every source file by its path from the root of the repository."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self.texts = texts

    @classmethod
    def read(cls, root: Path) -> Library:
        """All Python files and scripts below a root."""
        paths = (path for folder in FOLDERS for path in sorted((root / folder).rglob("*")))
        wanted = (path for path in paths if path.suffix in (".py", ".lua"))
        return cls(
            {path.relative_to(root).as_posix(): path.read_text(encoding="utf-8") for path in wanted}
        )

    def changed(self, path: str, text: str) -> Library:
        """The library with another text in one file."""
        return Library({**self.texts, path: text})

    def find(self, name: str) -> Place:
        """The only definition whose full name ends with this name. Raises PlaceNotFound.

        name: of a class, function, method, constant or module, with as much before it as makes it
        unique.
        """
        found = {place for place in self._places() if f".{place.name}".endswith(f".{name}")}
        if len(found) == 1:
            return found.pop()
        if found:
            known = ", ".join(sorted(place.name for place in found))
            raise PlaceNotFound(f"{name!r} is in several places, name one of them: {known}")
        last = name.rpartition(".")[2]
        others = {place.name for place in self._places() if place.name.rpartition(".")[2] == last}
        near = sorted(others) or difflib.get_close_matches(
            name, {place.name for place in self._places()}
        )
        raise PlaceNotFound(
            f"the library defines no {name!r}"
            + (f"; meant is perhaps {', '.join(near)}" if near else "")
        )

    def find_script(self, name: str) -> str:
        """The path of the only script with this name or end of a path. Raises PlaceNotFound."""
        found = [path for path in self.texts if f"/{path}".endswith(f"/{name}")]
        if len(found) != 1:
            raise PlaceNotFound(f"{len(found)} scripts are called {name!r}, not one")
        return found[0]

    def _places(self) -> Iterator[Place]:
        for path, text in self.texts.items():
            if path.endswith(".py"):
                yield from _places_of(path, text)


def definitions(module: ast.Module, path: str) -> Iterator[tuple[str, ast.AST]]:
    """Every definition of a file with its full name, the module itself first.

    The parts of a property, or overloads, share a name.
    """
    name = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    yield name, module
    yield from _inner(module, name)


@lru_cache(maxsize=1000)
def _places_of(path: str, text: str) -> tuple[Place, ...]:
    return tuple(Place(path, name) for name, _ in definitions(ast.parse(text), path))


def _inner(parent: ast.AST, prefix: str) -> Iterator[tuple[str, ast.AST]]:
    for node in ast.iter_child_nodes(parent):
        if isinstance(node, DEFINITIONS):
            yield f"{prefix}.{node.name}", node
            yield from _inner(node, f"{prefix}.{node.name}")
        elif not isinstance(parent, (ast.FunctionDef, ast.AsyncFunctionDef)) and (
            name := _constant(node)
        ):
            yield f"{prefix}.{name}", node
        elif isinstance(node, ast.stmt):
            yield from _inner(node, prefix)


def _constant(node: ast.AST) -> str:
    """The name that a statement outside of functions assigns, or the empty string."""
    if isinstance(node, ast.Assign):
        target = node.targets[0]
    elif isinstance(node, ast.AnnAssign):
        target = node.target
    else:
        return ""
    return target.id if isinstance(target, ast.Name) else ""
