"""Python source as a pattern that matches code of the same structure, in any layout."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_BUILTINS = frozenset(dir(builtins))
_IGNORED_FIELDS = frozenset(("ctx", "kind", "type_comment"))


class Scope(NamedTuple):
    """The names that mean something in the code that is searched.

    variables: parameters and local variables of its functions, which may have been renamed since.
    known: these, all that the module defines or imports, and the builtins.
    """

    variables: frozenset[str]
    known: frozenset[str]

    @classmethod
    def of(cls, module: ast.Module, searched: Iterable[ast.AST]) -> Scope:
        """The scope of definitions of the module."""
        variables = frozenset(name for each in searched for name in _variables(each))
        return cls(variables, variables | frozenset(_module_names(module)) | _BUILTINS)


class Match(NamedTuple):
    """What a pattern matched.

    names: what each variable of the pattern is called in the code.
    holes: what each `...` of the pattern matched, in the order of the syntax tree.
    """

    names: Mapping[str, str]
    holes: tuple[Sequence[ast.AST], ...]


NO_MATCH_YET = Match({}, ())


class Pattern:
    """A piece of source, of which each variable may have another name in the code.

    A `...` matches any expression, any number of arguments, elements or operands, or all statements
    of a block. At the end of a call's arguments it matches the other keyword arguments too.
    """

    def __init__(self, wanted: Sequence[ast.AST], scope: Scope) -> None:
        self._wanted = wanted
        self._scope = scope

    def match(self, nodes: Sequence[ast.AST]) -> Match | None:
        """What the pattern matches if it matches exactly these nodes, or None."""
        return self._list(self._wanted, nodes, NO_MATCH_YET)

    def _node(self, wanted: ast.AST, node: ast.AST, so_far: Match) -> Match | None:
        if is_hole(wanted):
            return Match(so_far.names, (*so_far.holes, (node,)))
        if type(wanted) is not type(node):
            return None
        found: Match | None = so_far
        for field in wanted._fields:
            if field in _IGNORED_FIELDS:
                continue
            if found is not None:
                found = self._field(wanted, node, field, found)
        return found

    def _field(self, wanted: ast.AST, node: ast.AST, field: str, so_far: Match) -> Match | None:
        ours, theirs = getattr(wanted, field, None), getattr(node, field, None)
        if isinstance(ours, list) and isinstance(theirs, list):
            if field == "keywords" and _has_open_arguments(wanted):
                return self._keywords(ours, theirs, so_far)
            return self._list(ours, theirs, so_far)

        if isinstance(ours, ast.AST) and isinstance(theirs, ast.AST):
            return self._node(ours, theirs, so_far)
        if isinstance(ours, str) and isinstance(theirs, str) and names_a_variable(wanted, field):
            return self._name(ours, theirs, so_far)
        return so_far if type(ours) is type(theirs) and ours == theirs else None

    def _list(
        self, wanted: Sequence[ast.AST | None], nodes: Sequence[ast.AST | None], so_far: Match
    ) -> Match | None:
        if not wanted:
            return so_far if not nodes else None
        first, rest = wanted[0], wanted[1:]
        if first is not None and is_hole(first):
            return self._hole(rest, nodes, so_far)
        if not nodes:
            return None

        node = nodes[0]
        if first is None or node is None:  # where {**others} has no key
            return self._list(rest, nodes[1:], so_far) if first is node else None
        match = self._node(first, node, so_far)
        return None if match is None else self._list(rest, nodes[1:], match)

    def _hole(
        self, rest: Sequence[ast.AST | None], nodes: Sequence[ast.AST | None], so_far: Match
    ) -> Match | None:
        """The longest list of nodes after which the rest of the pattern matches what is left."""
        for count in range(len(nodes), -1, -1):
            taken = tuple(node for node in nodes[:count] if node is not None)
            found = self._list(rest, nodes[count:], Match(so_far.names, (*so_far.holes, taken)))
            if found is not None:
                return found
        return None

    def _keywords(
        self, wanted: Sequence[ast.AST], nodes: Sequence[ast.AST], so_far: Match
    ) -> Match | None:
        """Every wanted keyword argument is there; all others belong to the `...` before them."""
        others, found = list(nodes), so_far
        for each in wanted:
            matches = ((node, self._node(each, node, found)) for node in others)
            node, match = next(((node, match) for node, match in matches if match), (None, None))
            if node is None or match is None:
                return None
            others.remove(node)
            found = match

        before = len(so_far.holes) - 1
        with_others = (*found.holes[before], *others)
        return Match(found.names, (*found.holes[:before], with_others, *found.holes[before + 1 :]))

    def _name(self, ours: str, theirs: str, so_far: Match) -> Match | None:
        names = so_far.names
        if ours in names or theirs in names.values():
            return so_far if names.get(ours) == theirs else None
        was_renamed = ours not in self._scope.known and theirs in self._scope.variables
        if ours != theirs and not was_renamed:
            return None
        return Match({**names, ours: theirs}, so_far.holes)


def is_hole(node: ast.AST) -> bool:
    """A `...`, as an expression or as a statement."""
    inner = node.value if isinstance(node, ast.Expr) else node
    return isinstance(inner, ast.Constant) and inner.value is Ellipsis


def _has_open_arguments(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and bool(node.args) and is_hole(node.args[-1])


def names_a_variable(node: ast.AST, field: str) -> bool:
    """Whether this field of the node is the name of a variable."""
    return (type(node), field) in ((ast.Name, "id"), (ast.arg, "arg"), (ast.ExceptHandler, "name"))


def bound_names(searched: ast.AST) -> Iterator[str]:
    """All names that something is assigned to, imported or defined as."""
    for node in ast.walk(searched):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.alias):
            yield node.asname or node.name.partition(".")[0]
        elif isinstance(node, (*DEFINITIONS, ast.ExceptHandler)) and node.name:
            yield node.name


def _variables(searched: ast.AST) -> Iterator[str]:
    for node in ast.walk(searched):
        if isinstance(node, _FUNCTIONS):
            yield from bound_names(node.args)
            for statement in node.body if isinstance(node.body, list) else [node.body]:
                yield from bound_names(statement)


def _module_names(module: ast.Module) -> Iterator[str]:
    """What is bound outside of functions and classes; the bodies of both are left out."""
    waiting: list[ast.AST] = list(module.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, DEFINITIONS):
            yield node.name
            continue
        if isinstance(node, (ast.Name, ast.alias)):
            yield from bound_names(node)
        waiting += ast.iter_child_nodes(node)
