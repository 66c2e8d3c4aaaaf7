"""The rules of style and structure, each on the text of one file. A finding is 'line: what'."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator

from tests.tidy.imports import imports

MAX_FUNCTION_LINES = 75
MAX_FILE_LINES = 620
BANNED_WORDS = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
SECTION_REFERENCE = re.compile(
    r"\bprotocol(?:\.md|'s)?,? sections? ([\d.]+\d|\d)(?: and ([\d.]+\d|\d))?"
)
SECTION_HEADING = re.compile(r"^#{2,3} (\d[\d.]*\d|\d)[. ]", re.MULTILINE)
FILE_REFERENCE = re.compile(
    r"\b(?:values|plans|edges|doors|lua|embedded)/(?:\w+/)*\w+\.(?:py|lua)\b"
)
CONSTANT_REFERENCE = re.compile(r"\b[A-Z]{2,}(?:_[A-Z]+)+\b")
NAME_REFERENCE = re.compile(r"`([A-Za-z_]\w*(?:\.\w+)*)(?:\(\))?`")
WALL_CLOCKS = ("time", "time_ns", "gmtime", "localtime", "ctime", "strftime")
_CLOCK_IMPORTS = frozenset(f"time.{name}" for name in WALL_CLOCKS)
LUA_SECTIONS = ("-- Keys:", "-- Arguments:", "-- Answers:")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def _functions(tree: ast.AST) -> Iterator[Function]:
    return (
        node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    )


def long_functions(source: str) -> list[str]:
    """Functions of more lines than a reader takes in at once."""
    lengths = [
        (node, (node.end_lineno or node.lineno) - node.lineno + 1)
        for node in _functions(ast.parse(source))
    ]
    return [
        f"{node.lineno}: {node.name} has {length} lines, allowed {MAX_FUNCTION_LINES}"
        for node, length in lengths
        if length > MAX_FUNCTION_LINES
    ]


def long_file(source: str) -> list[str]:
    """A file of too many lines."""
    length = len(source.splitlines())
    return (
        [f"{length}: the file has {length} lines, allowed {MAX_FILE_LINES}"]
        if length > MAX_FILE_LINES
        else []
    )


def banned_words(source: str) -> list[str]:
    """Promises in the source that nobody keeps."""
    lines = enumerate(source.splitlines(), 1)
    return [
        f"{number}: {match[0]}" for number, line in lines if (match := BANNED_WORDS.search(line))
    ]


def prints(source: str) -> list[str]:
    """Calls of print."""
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return [
        f"{call.lineno}: print"
        for call in calls
        if isinstance(call.func, ast.Name) and call.func.id == "print"
    ]


def wall_clocks(source: str) -> list[str]:
    """Readings of the time of day, which may be wrong, and jump."""
    names = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute))
    found = [
        f"{node.lineno}: {node.attr}"
        for node in names
        if node.attr in WALL_CLOCKS and _is_time(node.value)
    ]
    modules = [
        f"{line}: {name}" for line, name in imports(source, "") if name.split(".")[0] == "datetime"
    ]
    return (
        found
        + modules
        + [f"{line}: {name}" for line, name in imports(source, "") if name in _CLOCK_IMPORTS]
    )


def shared_deadlines(source: str) -> list[str]:
    """Deadlines taken out of `Steps`: what holds for one step is used for the next one too, and a
    long walk fails.
    """
    taken = (
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute) and node.attr == "until"
    )
    names = ((node.lineno, ast.unparse(node.value).rsplit(".", 1)[-1]) for node in taken)
    return [
        f"{line}: {name}.until; ask through Steps"
        for line, name in names
        if name.lstrip("_") == "steps"
    ]


def _is_time(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "time"


def missing_docstrings(source: str) -> list[str]:
    """Public modules, classes, functions and methods without a docstring."""
    tree = ast.parse(source)
    found = [] if ast.get_docstring(tree) else ["1: the module"]
    return found + [
        f"{node.lineno}: {node.name}" for node in _public(tree) if not ast.get_docstring(node)
    ]


def _public(parent: ast.Module | ast.ClassDef) -> Iterator[ast.ClassDef | Function]:
    for node in parent.body:
        if isinstance(
            node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        ) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from _public(node)


def lua_header(source: str, is_part: bool = False) -> list[str]:
    """A script begins with comments: the parts it includes, what it does, its keys, arguments and
    answers.
    """
    head = []
    for line in source.splitlines():
        if not line.startswith("--"):
            break
        head.append(line)
    found = [] if head else ["1: no header"]
    text = [line for line in head if not line.startswith(("-- include:", *LUA_SECTIONS))]
    if not text:
        found.append("1: the header does not say what the script does")
    if is_part:
        return (
            found
            if text and text[0].startswith("-- Part:")
            else [*found, "1: a part begins with '-- Part:'"]
        )
    return found + [
        f"1: no {section!r} in the header" for section in LUA_SECTIONS if not _has(head, section)
    ]


def _has(head: list[str], section: str) -> bool:
    return any(line.startswith(section) and line.removeprefix(section).strip() for line in head)


def unknown_sections(source: str, protocol: str) -> list[str]:
    """References to sections that the protocol does not have."""
    known = set(SECTION_HEADING.findall(protocol))
    lines = enumerate(source.splitlines(), 1)
    named = (
        (number, name)
        for number, line in lines
        for found in SECTION_REFERENCE.findall(line)
        for name in found
    )
    return [
        f"{number}: no section {name} in the protocol"
        for number, name in named
        if name and name not in known
    ]


def unknown_files(source: str, exists: Callable[[str], bool]) -> list[str]:
    """Files of the library that a text names and that do not exist."""
    lines = enumerate(source.splitlines(), 1)
    named = ((number, name) for number, line in lines for name in FILE_REFERENCE.findall(line))
    return [f"{number}: no file {name}" for number, name in named if not exists(name)]


def unknown_constants(document: str, source: str) -> list[str]:
    """Constants that a document names and that no source has."""
    return _unknown(CONSTANT_REFERENCE.findall, document, source)


def unknown_names(document: str, source: str) -> list[str]:
    """Names in code spans of a document that no source has; of a dotted one the last part
    counts.
    """
    return _unknown(NAME_REFERENCE.findall, document, source)


def _unknown(names_in: Callable[[str], list[str]], document: str, source: str) -> list[str]:
    known = set(re.findall(r"\w+", source))
    lines = enumerate(document.splitlines(), 1)
    named = ((number, name) for number, line in lines for name in names_in(line))
    return [
        f"{number}: nothing is called {name}"
        for number, name in named
        if name.rpartition(".")[2] not in known
    ]
