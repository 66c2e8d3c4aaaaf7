"""Private names of one class that another file uses.

    python -m tests.tidy.private_names

prints all of them, as they are written in the list of `test_private_names.py`.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from tests.tidy.imports import Source
from tests.tidy.tree import PACKAGES, sources

_STANDARD = frozenset(("_replace", "_make", "_asdict", "_fields", "_value2member_map_"))
"""Public names of named tuples and enums, which begin so in order not to meet names of fields."""


class Uses(NamedTuple):
    """What each module uses of classes in other files: of other objects, and of base classes.

    Types are not known here. A name of another object counts unless this file alone has a class
    that defines it, an inherited one where no class of this file does.
    """

    of_others: dict[str, set[str]]
    inherited: dict[str, set[str]]


def uses(texts: Mapping[str, Source]) -> Uses:
    """The uses in these modules of what is private to classes in other ones."""
    trees = {module: ast.parse(source.text) for module, source in texts.items()}
    defined = {module: set(_defined(tree)) for module, tree in trees.items()}

    found = Uses({}, {})
    for module, tree in trees.items():
        others = [
            names for other, names in defined.items() if other != module and _may_use(module, other)
        ]
        elsewhere = set[str]().union(*others)
        for name, is_own in _used(tree):
            if is_own and name not in defined[module]:
                found.inherited.setdefault(module, set()).add(name)
            elif not is_own and (name not in defined[module] or name in elsewhere):
                found.of_others.setdefault(module, set()).add(name)
        for name in _imported(tree):
            found.of_others.setdefault(module, set()).add(name)
    return found


def _may_use(module: str, other: str) -> bool:
    return other.partition(".")[0] in (module.partition(".")[0], "redrepl")


def _is_private(name: str) -> bool:
    return (
        name.startswith("_") and not name.startswith("__") and name != "_" and name not in _STANDARD
    )


def _defined(tree: ast.Module) -> Iterator[str]:
    """Private names that classes of a file define: methods, fields, slots, what `self` gets."""
    classes = (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    for node in (node for each in classes for node in ast.walk(each)):
        name: object = None
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            name = node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            name = node.id
        elif (
            isinstance(node, ast.Attribute)
            and isinstance(node.ctx, ast.Store)
            and _is_self(node.value)
        ):
            name = node.attr
        elif isinstance(node, ast.Constant):
            name = node.value  # as in __slots__
        if isinstance(name, str) and _is_private(name):
            yield name


def _used(tree: ast.Module) -> Iterator[tuple[str, bool]]:
    """Private attributes that are used, and whether of `self`, the class or `super()`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and _is_private(node.attr):
            yield node.attr, _is_self(node.value)


def _is_self(node: ast.expr) -> bool:
    if isinstance(node, ast.Call):
        node = node.func
    return isinstance(node, ast.Name) and node.id in ("self", "cls", "super")


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names if _is_private(alias.name))


def differences(found: Mapping[str, set[str]], known: Mapping[str, str]) -> list[str]:
    """What is used and not known, and what is known and not used any more."""
    listed_names = {(module, name) for module, names in known.items() for name in names.split()}
    present = {(module, name) for module, names in found.items() for name in names}
    new = [
        f"{module} uses {name}, which is private to a class in another file"
        for module, name in present - listed_names
    ]
    gone = [
        f"{module} does not use {name} any more: take it off the list"
        for module, name in listed_names - present
    ]
    return sorted(new) + sorted(gone)


def listed(found: Mapping[str, Iterable[str]]) -> Iterator[str]:
    """The uses as source text."""
    for module, names in sorted(found.items()):
        yield f'    "{module}": """'
        yield from (f"        {name}" for name in sorted(names))
        yield '    """,'


if __name__ == "__main__":
    present = uses(sources(*PACKAGES.values()))
    lines = ["Of others:", *listed(present.of_others), "Inherited:", *listed(present.inherited)]
    sys.stdout.write("\n".join(lines) + "\n")
