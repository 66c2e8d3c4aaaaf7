"""The table of operations: whether anything else asks which operation it has, and what Lua
knows.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator

TABLE = "redrepl.values.operation"

_BRANCH = re.compile(r"if operation == '(\w+)' then")
_ANSWERS = re.compile(r"^local ANSWER = \{(.*)\}$", re.MULTILINE)
_ANSWER = re.compile(r"(\w+) = '(\w+)'")


def asked_for(source: str, constants: Collection[str], words: Collection[str | bytes]) -> list[str]:
    """Comparisons with an operation of the table, by its constant or by one of its names.

    constants: names of the rows in the table's module. words: what the operations are called.
    """
    tree = ast.parse(source)
    local = _local_names(tree, constants)
    return [
        f"{part.lineno}: compares with {ast.unparse(part)}"
        for node in ast.walk(tree)
        for part in _compared(node)
        if _is_row(part, local, constants) or _is_word(part, words)
    ]


def branches(script: str) -> list[str]:
    """The operations for which the script has a branch."""
    return _BRANCH.findall(script)


def answers(script: str) -> dict[str, str]:
    """How the script answers operations, where the stamp is not enough."""
    return dict(pair for table in _ANSWERS.findall(script) for pair in _ANSWER.findall(table))


def _local_names(tree: ast.AST, constants: Collection[str]) -> set[str]:
    """Under which names this module has rows of the table."""
    imported = [
        alias
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == TABLE
        for alias in node.names
    ]
    return {alias.asname or alias.name for alias in imported if alias.name in constants}


def _compared(node: ast.AST) -> Iterator[ast.expr]:
    """What a comparison or a case looks at; of collections what is in them."""
    if isinstance(node, ast.Compare):
        for part in (node.left, *node.comparators):
            yield from part.elts if isinstance(part, (ast.Tuple, ast.List, ast.Set)) else (part,)
    elif isinstance(node, ast.MatchValue):
        yield node.value


def _is_row(part: ast.expr, local: set[str], constants: Collection[str]) -> bool:
    if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name):
        is_of_table = part.value.id == TABLE.rpartition(".")[2]
        return (is_of_table and part.attr in constants) or part.value.id in local
    return isinstance(part, ast.Name) and part.id in local


def _is_word(part: ast.expr, words: Collection[str | bytes]) -> bool:
    return isinstance(part, ast.Constant) and part.value in words
