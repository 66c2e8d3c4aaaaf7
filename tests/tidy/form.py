"""The form of the source in numbers: how long functions are, how dense lines, how many comments.

    python -m tests.tidy.form

A *token* is a name, number, operator or string as `tokenize` gives it: neither a comment, nor a
line's end, nor an indentation, nor a docstring. A *function* goes from its `def` to its end; one
within another counts with that, and by itself. A *branch* is a place where the flow forks: if,
elif, a loop, except, case, a conditional expression, or the condition of a comprehension; `and` and
`or` are none, nor is what functions within it do.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import NamedTuple

from tests.tidy.tree import PACKAGES, ROOT, python_files

MAX_BRANCHES = 10
MAX_TOKENS = 200

_DIRECTIVE = re.compile(r"#\s*(?:!|noqa\b|type:|mypy:|ruff:|fmt:|pragma\b|isort:)")
_RULER = re.compile(r"(?:-{4,}|={4,})$")

_NO_TOKENS = frozenset(
    (
        tokenize.COMMENT,
        tokenize.DEDENT,
        tokenize.ENCODING,
        tokenize.ENDMARKER,
        tokenize.INDENT,
        tokenize.NEWLINE,
        tokenize.NL,
    )
)

_FORKS = (ast.If, ast.IfExp, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.match_case)

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Measured(NamedTuple):
    """One function. ``where``: file and line."""

    where: str
    name: str
    tokens: int
    branches: int


@dataclass
class Form:
    """What was counted in some files.

    code_lines: lines with a token. function_lines, blank_lines: of outermost functions and methods
    without their docstrings; blank ones among them. lines: all that are not blank. comment_lines:
    those with a comment that tells a reader something, and neither a tool nor where a section
    begins.
    """

    functions: list[Measured] = field(default_factory=list)
    tokens: int = 0
    code_lines: int = 0
    function_lines: int = 0
    blank_lines: int = 0
    lines: int = 0
    comment_lines: int = 0

    def add(self, other: Form) -> None:
        """Count other files too."""
        self.functions += other.functions
        self.tokens += other.tokens
        self.code_lines += other.code_lines
        self.function_lines += other.function_lines
        self.blank_lines += other.blank_lines
        self.lines += other.lines
        self.comment_lines += other.comment_lines

    def tokens_at(self, share: float) -> int:
        """How many tokens this share of the functions has at most; 0 without functions."""
        counts = sorted(function.tokens for function in self.functions)
        return counts[max(0, ceil(share * len(counts)) - 1)] if counts else 0


def form_of(source: str, where: str = "") -> Form:
    """The form of one file."""
    tree = ast.parse(source)
    prose = _docstring_lines(tree)
    lines = source.splitlines()

    tokens: Counter[int] = Counter()
    code = set[int]()
    comments = set[int]()
    for token in _tokens(source):
        first, last = token.start[0], token.end[0]
        if token.type == tokenize.COMMENT and _tells_something(token.string):
            comments.add(first)
        if token.type in _NO_TOKENS or first in prose:
            continue
        tokens[first] += 1
        code.update(range(first, last + 1))

    form = Form(
        tokens=tokens.total(),
        code_lines=len(code),
        lines=sum(1 for line in lines if line.strip()),
        comment_lines=len(comments),
    )
    for function in _functions(tree):
        span = range(function.lineno, (function.end_lineno or function.lineno) + 1)
        counted = sum(tokens[line] for line in span)
        form.functions.append(
            Measured(f"{where}:{function.lineno}", function.name, counted, branches(function))
        )

    for function in _outermost(tree):
        span = range(function.lineno, (function.end_lineno or function.lineno) + 1)
        body = [line for line in span if line not in prose]
        form.function_lines += len(body)
        form.blank_lines += sum(
            1 for line in body if not lines[line - 1].strip() and line not in code
        )
    return form


def _tokens(source: str) -> Iterator[tokenize.TokenInfo]:
    """The tokens of Python 3.11, for which an f-string is one; later ones take it apart."""
    begins, ends = getattr(tokenize, "FSTRING_START", None), getattr(tokenize, "FSTRING_END", None)
    opened: list[tokenize.TokenInfo] = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == begins:
            opened.append(token)
        elif token.type == ends:
            first = opened.pop()
            token = token._replace(type=tokenize.STRING, start=first.start)
        if not opened:
            yield token


def branches(function: Function) -> int:
    """Places in a function where the flow forks."""
    count = 0
    waiting: list[ast.AST] = list(ast.iter_child_nodes(function))
    while waiting:
        node = waiting.pop()
        if isinstance(node, Function):
            continue
        count += isinstance(node, _FORKS)
        count += len(node.ifs) if isinstance(node, ast.comprehension) else 0
        waiting += ast.iter_child_nodes(node)
    return count


def _functions(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def _outermost(node: ast.AST) -> Iterator[Function]:
    """Functions that are in no other function."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function):
            yield child
        else:
            yield from _outermost(child)


def _docstring_lines(tree: ast.Module) -> set[int]:
    """Lines of strings that stand alone: docstrings, and what describes a constant."""
    found = set[int]()
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            found.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return found


def _tells_something(comment: str) -> bool:
    return _DIRECTIVE.match(comment) is None and _RULER.search(comment.rstrip()) is None


# The report --------------------------------------------------------------------------------------

_HEAD = (
    f"{'':32}{'functions':>10}{'median':>8}{'p90':>6}{'longest':>9}{'tokens/line':>13}"
    f"{'blank %':>9}{'comments %':>12}"
    f"{f'> {MAX_TOKENS} tokens':>14}{f'> {MAX_BRANCHES} branches':>15}"
)


def folder_of(path: Path) -> str:
    """The folder under which a file is reported."""
    return str(path.relative_to(ROOT).parent)


def row(name: str, form: Form) -> str:
    """One line of the table."""
    long = sum(1 for function in form.functions if function.tokens > MAX_TOKENS)
    forked = sum(1 for function in form.functions if function.branches > MAX_BRANCHES)
    return (
        f"{name:32}{len(form.functions):>10}{form.tokens_at(0.5):>8}"
        f"{form.tokens_at(0.9):>6}{form.tokens_at(1.0):>9}"
        f"{_ratio(form.tokens, form.code_lines):>13.1f}"
        f"{100 * _ratio(form.blank_lines, form.function_lines):>9.1f}"
        f"{100 * _ratio(form.comment_lines, form.lines):>12.1f}{long:>14}{forked:>15}"
    )


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def report(files: Iterable[Path]) -> Iterator[str]:
    """The table by folders, and the functions beyond the bounds."""
    folders: dict[str, Form] = {}
    packages: dict[str, Form] = {}
    everything = Form()
    for path in files:
        form = form_of(path.read_text("utf-8"), str(path.relative_to(ROOT)))
        package = path.relative_to(ROOT).parts[0]
        for counted in (
            folders.setdefault(folder_of(path), Form()),
            packages.setdefault(package, Form()),
            everything,
        ):
            counted.add(form)

    yield _HEAD
    yield from (row(name, form) for name, form in sorted(folders.items()))
    yield ""
    yield from (row(f"all of {name}", form) for name, form in packages.items())
    yield row("all", everything)

    tokens = [(function.tokens, function) for function in everything.functions]
    yield from _beyond("tokens", MAX_TOKENS, tokens)
    forks = [(function.branches, function) for function in everything.functions]
    yield from _beyond("branches", MAX_BRANCHES, forks)


def _beyond(what: str, allowed: int, counted: list[tuple[int, Measured]]) -> Iterator[str]:
    """Functions that have more than is allowed, the largest first."""
    found = [(count, function) for count, function in counted if count > allowed]
    if not found:
        return
    yield from ("", f"Functions of more than {allowed} {what}:")
    for count, function in sorted(found, reverse=True):
        yield f"{count:>5}  {function.where} {function.name}"


if __name__ == "__main__":
    for line in report(python_files(*PACKAGES.values())):
        sys.stdout.write(f"{line}\n")
