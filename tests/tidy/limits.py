"""Numbers that modules give names to: where they are defined, and which other folders use them."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from tests.tidy.imports import Source, imports

LIMITS = "redrepl.values.limits"
FORMATS = frozenset(("STAMP_BYTES", "NO_DEADLINE", "SCHEMA_VERSION"))
"""Facts of the layout of records and reports, which limit nothing. They are beside these."""

_PLAIN = (
    ast.Constant,
    ast.BinOp,
    ast.UnaryOp,
    ast.operator,
    ast.unaryop,
    ast.Name,
    ast.Attribute,
    ast.expr_context,
)


def numbers(source: str) -> Iterator[tuple[int, str]]:
    """Constants that are a number or are calculated from numbers, by line and name."""
    for node in ast.parse(source).body:
        target, value = _assigned(node)
        if isinstance(target, ast.Name) and target.id.strip("_").isupper() and _is_number(value):
            yield node.lineno, target.id


def _assigned(node: ast.stmt) -> tuple[ast.expr | None, ast.expr | None]:
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        return node.targets[0], node.value
    if isinstance(node, ast.AnnAssign):
        return node.target, node.value
    return None, None


def _is_number(value: ast.expr | None) -> bool:
    if value is None or not all(isinstance(part, _PLAIN) for part in ast.walk(value)):
        return False
    constants = [part.value for part in ast.walk(value) if isinstance(part, ast.Constant)]
    return bool(constants) and all(type(constant) in (int, float) for constant in constants)


def defined_twice(sources: Mapping[str, Source]) -> list[str]:
    """Names that two modules give to numbers: who reads one of them may have the other in mind."""
    modules: dict[str, list[str]] = {}
    for module, source in sources.items():
        for _, name in numbers(source.text):
            modules.setdefault(name, []).append(module)
    return [
        f"{name}: {', '.join(found)}" for name, found in sorted(modules.items()) if len(found) > 1
    ]


def bounds_elsewhere(sources: Mapping[str, Source]) -> list[str]:
    """Largest and smallest values that are not in limits.py."""
    return [
        f"{module}:{line}: {name} belongs into {LIMITS}"
        for module, source in sources.items()
        if module != LIMITS
        for line, name in numbers(source.text)
        if name.startswith(("MAX_", "MIN_"))
    ]


def shared_elsewhere(sources: Mapping[str, Source]) -> list[str]:
    """Numbers outside limits.py that a folder uses although another one defines them."""
    defined = {
        f"{module}.{name}" for module, source in sources.items() for _, name in numbers(source.text)
    }
    return [
        f"{module}:{line}: {name} belongs into {LIMITS}"
        for module, source in sources.items()
        for line, name in imports(source.text, module, source.is_package)
        if name in defined and not name.startswith(f"{LIMITS}.")
        if _folder(name) != _folder(module) and name.rpartition(".")[2] not in FORMATS
    ]


def _folder(name: str) -> str:
    """`redrepl.plans` for all that is in it, `redrepl_cli` for all commands, and so on."""
    top, _, rest = name.partition(".")
    return f"redrepl.{rest.partition('.')[0]}" if top == "redrepl" else top
