"""Plants bugs in a copy of the repository.

A bug is found by the function that it is in and by the code that it replaces. So it survives when
the library is formatted anew, when files are moved, and when variables are renamed.

`place`: a function, method, class or constant by name, with as much before the name as makes it
unique: `Copier.take`, `failover.choose`. The file does not matter. Of a script it is the file:
`write.lua`.

`old`: Python source that matches one piece of code there: an expression, a keyword argument, an
`except` clause or statements. Its layout does not matter, and a variable that has another name now
gets it in `new` too. `...` matches any expression, any arguments or a whole block (see Pattern).

`new`: what the bug makes of it. Where `old` has `...`, that of `new` is what it matched.

In scripts `old` and `new` are text, of which white space does not matter.
"""

from __future__ import annotations

import ast
import copy
import difflib
import re
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.faults.patterns import (
    Match,
    Pattern,
    Scope,
    bound_names,
    is_hole,
    names_a_variable,
)
from tests.faults.places import Library, PlaceNotFound, definitions

NEVER = "False"
"""A condition that does not hold any more."""
ALWAYS = "True"
"""A condition that holds whatever happens."""
REMOVED = ""
"""Statements, operands, arguments or elements are gone."""


class Edit(NamedTuple):
    """One change of the source."""

    place: str
    old: str
    new: str

    def made(self, library: Library) -> Library:
        """The library after the change.

        Raises PlaceNotFound unless `old` is there once, and `new` is other code that compiles.
        """
        if self.place.endswith(".lua"):
            path = library.find_script(self.place)
            return library.changed(path, _edit_script(self, library.texts[path]))
        place = library.find(self.place)
        module = ast.parse(library.texts[place.path])
        searched = [node for name, node in definitions(module, place.path) if name == place.name]
        _edit_python(self, module, searched)
        text = ast.unparse(module) + "\n"
        try:
            compile(text, place.path, "exec")
        except SyntaxError as error:
            raise PlaceNotFound(f"{place.path} is no Python any more: {error}") from None
        return library.changed(place.path, text)


class Mutant(NamedTuple):
    """One bug. ``killer`` is the test that fails with it, and ``evidence`` a part of how it fails.

    quick: run with the ordinary tests.
    also: further changes that belong to the same bug.
    """

    name: str
    place: str
    old: str
    new: str
    killer: str
    evidence: str
    quick: bool = False
    also: tuple[Edit, ...] = ()

    def planted(self, library: Library) -> dict[str, str]:
        """The new text of each file that has the bug, by path. Raises PlaceNotFound."""
        changed = library
        try:
            for edit in (Edit(self.place, self.old, self.new), *self.also):
                changed = edit.made(changed)
        except PlaceNotFound as error:
            raise PlaceNotFound(f"mutant {self.name!r}: {error}") from None
        return {path: text for path, text in changed.texts.items() if text != library.texts[path]}

    def plant(self, tree: Path) -> None:
        """Put the bug into a copy of the repository. Raises PlaceNotFound."""
        for path, text in self.planted(Library.read(tree)).items():
            (tree / path).write_text(text, encoding="utf-8")


class _Form(NamedTuple):
    """One way to read an edit: what is looked for, and what comes in its place."""

    wanted: list[ast.AST]
    put: list[ast.AST]


class _Found(NamedTuple):
    """What a form matches: a field of the parent, from index `at` on where that is a list."""

    form: _Form
    match: Match
    nodes: Sequence[ast.AST]
    parent: ast.AST
    field: str
    at: int | None


def _edit_script(edit: Edit, text: str) -> str:
    """The text with whatever white space there is between the words of the old one."""
    found = list(re.finditer(r"\s+".join(map(re.escape, edit.old.split())), text))
    if len(found) != 1:
        raise PlaceNotFound(f"{edit.old!r} is found {len(found)} times in {edit.place}, not once")
    return text[: found[0].start()] + _dedented(edit.new) + text[found[0].end() :]


def _dedented(source: str) -> str:
    return textwrap.dedent(source).strip()


def _edit_python(edit: Edit, module: ast.Module, searched: Sequence[ast.AST]) -> None:
    scope = Scope.of(module, searched)
    forms = list(_forms(_dedented(edit.old), _dedented(edit.new)))
    inside = {id(node) for each in searched for node in ast.walk(each)}
    # The parents of what is searched too: the whole definition may be replaced.
    parents = [
        node
        for node in ast.walk(module)
        if id(node) in inside or not inside.isdisjoint(map(id, ast.iter_child_nodes(node)))
    ]
    found = [each for form in forms for each in _matches(form, parents, inside, scope)]
    if len(found) != 1:
        near = "" if found else _nearest(forms, searched)
        raise PlaceNotFound(
            f"{edit.old!r} is found {len(found)} times in {edit.place}, not once{near}"
        )
    put = _filled(found[0], scope)
    if list(map(ast.dump, put)) == list(map(ast.dump, found[0].nodes)):
        raise PlaceNotFound(f"nothing changes in {edit.place}: {edit.old!r}")
    _put(found[0], put)
    for each in searched:
        _Tidied().visit(each)


def _forms(old: str, new: str) -> Iterator[_Form]:
    """All that the edit may mean; what does not read as one kind of source does as another."""
    for read in (_statements, _expression, _keywords, _handlers):
        try:
            form = _Form(read(old), read(new) if new else [])
        except SyntaxError:
            continue
        # Of two expressions the statement that consists of one is not meant too.
        if read is _statements and new and _is_expression(old) and _is_expression(new):
            continue
        yield form


def _statements(source: str) -> list[ast.AST]:
    return [*ast.parse(source).body]


def _expression(source: str) -> list[ast.AST]:
    return [ast.parse(source, mode="eval").body]


def _keywords(source: str) -> list[ast.AST]:
    call = ast.parse(f"_({source})", mode="eval").body
    if not isinstance(call, ast.Call) or call.args or not call.keywords:
        raise SyntaxError("no keyword arguments")
    return [*call.keywords]


def _handlers(source: str) -> list[ast.AST]:
    statements = ast.parse(f"try: pass\n{source}").body
    if len(statements) != 1 or not isinstance(statements[0], ast.Try):
        raise SyntaxError("no except clauses")
    return [*statements[0].handlers]


def _is_expression(source: str) -> bool:
    try:
        return bool(_expression(source))
    except SyntaxError:
        return False


def _matches(
    form: _Form, parents: Sequence[ast.AST], inside: set[int], scope: Scope
) -> Iterator[_Found]:
    """Everything inside that the form matches."""
    pattern, size = Pattern(form.wanted, scope), len(form.wanted)
    for parent in parents:
        # A statement that consists of an expression is removed as a statement.
        if isinstance(parent, ast.Expr) and not form.put:
            continue
        for field, value in ast.iter_fields(parent):
            nodes = value if isinstance(value, list) else [value]
            for index in range(len(nodes) - size + 1):
                window = nodes[index : index + size]
                if all(id(node) in inside for node in window) and (match := pattern.match(window)):
                    at = index if isinstance(value, list) else None
                    yield _Found(form, match, window, parent, field, at)


def _filled(found: _Found, scope: Scope) -> list[ast.AST]:
    """What is put there, with the variables' present names and what the holes matched."""
    put = [copy.deepcopy(node) for node in found.form.put]
    nodes = [node for each in put for node in ast.walk(each)]
    # The expression of a statement that is a hole is one too.
    holes = sum(is_hole(node) for node in nodes if not isinstance(node, ast.Expr))
    if holes and found.match.holes and holes != len(found.match.holes):
        raise PlaceNotFound(
            f"the new source has {holes} times `...`, the old one {len(found.match.holes)} times"
        )
    renamed = _Renamed(found.match)
    filled = [each for node in put for each in renamed.all_of(node)]
    known = scope.known.union(*map(bound_names, filled))
    for node in (node for each in filled for node in ast.walk(each)):
        if isinstance(node, ast.Name) and node.id not in known:
            raise PlaceNotFound(f"nothing there is called {node.id!r}")
    return filled


def _put(found: _Found, put: list[ast.AST]) -> None:
    value = getattr(found.parent, found.field)
    if found.at is not None:
        value[found.at : found.at + len(found.form.wanted)] = put
        if isinstance(found.parent, ast.Dict) and not put:
            del found.parent.keys[found.at]
    elif len(put) == 1:
        setattr(found.parent, found.field, put[0])
    else:
        raise PlaceNotFound(f"{ast.unparse(value)!r} cannot be removed from there")


class _Renamed(ast.NodeTransformer):
    """Puts in the names and the code that a match found."""

    def __init__(self, match: Match) -> None:
        self._names = match.names
        self._has_holes = bool(match.holes)
        self._holes = iter(match.holes)

    def all_of(self, node: ast.AST) -> list[ast.AST]:
        found = self.visit(node)
        return found if isinstance(found, list) else [found]

    def visit(self, node: ast.AST) -> ast.AST | list[ast.AST]:
        if self._has_holes and is_hole(node):
            matched = list(next(self._holes))
            return matched[0] if len(matched) == 1 else matched
        for field, value in ast.iter_fields(node):
            if isinstance(value, str) and names_a_variable(node, field):
                setattr(node, field, self._names.get(value, value))
        self.generic_visit(node)
        if isinstance(node, ast.Call):  # the `...` of a call matches keyword arguments too
            arguments: list[ast.AST] = [*node.args, *node.keywords]
            node.args = [each for each in arguments if isinstance(each, ast.expr)]
            node.keywords = [each for each in arguments if isinstance(each, ast.keyword)]
        return node


class _Tidied(ast.NodeTransformer):
    """Gives an empty block a `pass`, and leaves out an `and` or `or` of one operand."""

    def visit(self, node: ast.AST) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node, ast.BoolOp) and len(node.values) == 1:
            return node.values[0]
        if isinstance(node, (ast.stmt, ast.ExceptHandler)) and getattr(node, "body", None) == []:
            node.body = [ast.Pass()]  # type: ignore[union-attr]
        return node


def _nearest(forms: Sequence[_Form], searched: Sequence[ast.AST]) -> str:
    """The most similar code of the same kind, as a hint."""
    kinds = tuple(type(form.wanted[0]) for form in forms if len(form.wanted) == 1)
    nodes = (node for each in searched for node in ast.walk(each) if isinstance(node, kinds))
    sources = [ast.unparse(node).partition("\n")[0] for node in nodes]
    wanted = ast.unparse(forms[0].wanted[0]) if forms else ""
    near = difflib.get_close_matches(wanted, sources, 3, 0.0)
    return f"; nearest: {near}" if near else ""
