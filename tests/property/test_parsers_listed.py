"""The table of parsers is complete: who adds a parser adds it there, or says here why not."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.property.parsers.table import PARSERS, TRIED_BY

LIBRARY = Path(__file__).parents[2] / "redrepl"
READS = re.compile(r"_*(parse|read|decode|decoded|load|loads|from|split)(_\w+|)$")

NOT_PARSERS = {
    "values.codec.Codec.decode": "a protocol for codecs of programs; what it raises becomes "
    "UndecodableValue",
    "edges.introduction._load_scripts": "sends redrepl's own scripts",
    "edges.configuration._read_secret": "read_text in other words, as is tls.read_secret",
}
"""And why."""

PLANS_THAT_ASK = re.compile(r"_*read(_\w+|)$")
"""In plans: they send requests. They are tried as plans, by the answers that they get."""


LAYERS = ("values", "edges", "plans")


@functools.cache
def functions_in(layer: str) -> frozenset[str]:
    """All functions and methods, by their names below `redrepl`."""
    found: list[str] = []
    for file in sorted((LIBRARY / layer).rglob("*.py")):
        module = ".".join(file.relative_to(LIBRARY).with_suffix("").parts)
        found += (f"{module}.{name}" for name in _named(ast.parse(file.read_text("utf-8")), ""))
    return frozenset(found)


def _named(parent: ast.AST, prefix: str) -> Iterator[str]:
    for node in ast.iter_child_nodes(parent):
        if isinstance(node, ast.ClassDef):
            yield from _named(node, f"{prefix}{node.name}.")
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield prefix + node.name


def _reads(name: str) -> bool:
    """Whether a function's name says that it reads."""
    return READS.match(name.rpartition(".")[2]) is not None


@pytest.mark.parametrize("layer", LAYERS)
def test_every_parser_is_in_the_table(layer: str) -> None:
    found = set(filter(_reads, functions_in(layer)))
    if layer == "plans":
        found = {name for name in found if not PLANS_THAT_ASK.match(name.rpartition(".")[2])}
    assert sorted(found - TRIED_BY.keys() - NOT_PARSERS.keys()) == []


def test_what_is_listed_exists() -> None:
    assert set(TRIED_BY.values()) <= PARSERS.keys()
    assert sorted({*TRIED_BY, *NOT_PARSERS} - frozenset.union(*map(functions_in, LAYERS))) == []


def test_names_are_found_in_classes_too() -> None:
    tree = ast.parse(
        "def parse_x(): ...\nclass C:\n    def from_y(self): ...\n    def reads(self): ...\ndef "
        "unread(): ..."
    )
    assert list(filter(_reads, _named(tree, ""))) == ["parse_x", "C.from_y"]
