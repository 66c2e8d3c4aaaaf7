"""Imports: circles, those against the folders' direction, and impure ones.

An import counts wherever it is written: in a function, or under TYPE_CHECKING.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import NamedTuple, TypeAlias

IMPURE = frozenset(
    (
        "redis",
        "hiredis",
        "rq",
        "asyncio",
        "threading",
        "time",
        "random",
        "socket",
        "select",
        "os",
        "secrets",
    )
)

OWN = frozenset(("redrepl", "redrepl_workers", "redrepl_cli", "tests"))
"""The top packages whose imports of each other are looked at."""

OPERATING_EDGES = tuple(
    f"redrepl.edges.{name}"
    for name in (
        "cluster",
        "configuration",
        "endpoint",
        "job_queue",
        "queue_connection",
        "tls",
        "wake_ups",
    )
)
"""What workers and commands may use of the edges: configuration and addresses, and the queue."""

_OPERATING = ("redrepl", "redrepl.values", "redrepl.observe", "redrepl.doors", *OPERATING_EDGES)

_PLANS = ("redrepl.values", "redrepl.plans")

LAYERS: dict[str, tuple[str, ...]] = {
    "redrepl": (
        "redrepl.values",
        "redrepl.observe",
        "redrepl.logging_observer",
        "redrepl.plans.client",
        "redrepl.plans.copies",
        "redrepl.plans.epochs",
        "redrepl.edges",
        "redrepl.doors",
    ),
    "redrepl.values": ("redrepl.values",),
    # What lies directly in plans is below its folders, but for status.py; the rule on circles holds
    # that.
    "redrepl.plans": (
        *_PLANS,
        "redrepl.plans.copies",
        "redrepl.plans.epochs",
        "redrepl.plans.recovery",
    ),
    "redrepl.plans.operations": (*_PLANS, "redrepl.plans.operations"),
    "redrepl.plans.client": (
        *_PLANS,
        "redrepl.observe",
        "redrepl.plans.operations",
        "redrepl.plans.client",
    ),
    "redrepl.plans.copies": (*_PLANS, "redrepl.plans.copies"),
    "redrepl.plans.epochs": (*_PLANS, "redrepl.plans.copies", "redrepl.plans.epochs"),
    "redrepl.plans.recovery": (
        *_PLANS,
        "redrepl.plans.copies",
        "redrepl.plans.epochs",
        "redrepl.plans.recovery",
    ),
    "redrepl.observe": ("redrepl.values",),
    "redrepl.logging_observer": ("redrepl.values", "redrepl.observe"),
    "redrepl.edges": (
        "redrepl.values",
        "redrepl.observe",
        "redrepl.logging_observer",
        "redrepl.edges",
        "redrepl.plans.inspect",
        "redrepl.plans.topology",
    ),
    "redrepl.doors": (
        *_PLANS,
        "redrepl.observe",
        "redrepl.logging_observer",
        "redrepl.plans.client",
        "redrepl.plans.copies",
        "redrepl.plans.epochs",
        "redrepl.plans.recovery",
        "redrepl.edges",
        "redrepl.doors",
    ),
    "redrepl.embedded": ("redrepl.embedded",),
    # For tests of those who use the library, and our own: nothing that programs import needs it.
    "redrepl.testing": ("redrepl.values", "redrepl.testing"),
    "redrepl_workers": (*_OPERATING, "redrepl_workers"),
    "redrepl_cli": (
        *_OPERATING,
        "redrepl.embedded",
        "redrepl.testing",
        "redrepl_workers",
        "redrepl_cli",
    ),
}
"""For each folder what its modules may import: modules, or folders.

A folder stands for what is in it, without the folders in it that have a row of their own.
"""

TEST_HELPERS = "tests.support"
"""The helpers that several folders of tests share: these import no folder of tests."""


class Source(NamedTuple):
    """A module's text; ``is_package``: it is an `__init__`."""

    text: str
    is_package: bool = False


Graph: TypeAlias = dict[str, set[str]]


def imports(source: str, module: str, is_package: bool = False) -> list[tuple[int, str]]:
    """Every import of a module by line and full name; `from a import b` gives a.b."""
    found = []
    package = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            found += [(node.lineno, f"{origin}.{alias.name}") for alias in node.names]
    return found


def dynamic_imports(source: str) -> list[str]:
    """Imports that a reader of import statements would not see."""
    names = (
        node for node in ast.walk(ast.parse(source)) if isinstance(node, (ast.Name, ast.Attribute))
    )
    spelled = (
        (node.lineno, node.id if isinstance(node, ast.Name) else node.attr) for node in names
    )
    return [f"{line}: {name}" for line, name in spelled if name in ("__import__", "import_module")]


def impure_imports(source: str, module: str) -> list[str]:
    """Values and plans import nothing that has clocks, randomness or I/O."""
    if not module.startswith(("redrepl.values", "redrepl.plans")):
        return []
    found = [(line, name) for line, name in imports(source, module) if name.split(".")[0] in IMPURE]
    return [f"{line}: imports {name}" for line, name in found] + dynamic_imports(source)


# Direction ---------------------------------------------------------------------------------------


def wrong_direction(source: str, module: str, is_package: bool = False) -> list[str]:
    """Imports against the direction in which the folders depend on each other."""
    layer = _layer_of(module)
    if layer is None:
        return []

    own = [
        (line, name)
        for line, name in imports(source, module, is_package)
        if name.split(".")[0] in OWN
    ]
    return [
        f"{line}: {module} must not import {name}"
        for line, name in own
        if not any(_is_in(name, allowed) for allowed in LAYERS[layer])
    ]


def _layer_of(name: str) -> str | None:
    """The innermost folder of the table that a module or an imported name is in."""
    return max((layer for layer in LAYERS if _starts(name, layer)), key=len, default=None)


def _is_in(name: str, allowed: str) -> bool:
    return _starts(name, allowed) and _layer_of(name) == _layer_of(allowed)


def _starts(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(f"{prefix}.")


def helpers_that_import_tests(source: str, module: str) -> list[str]:
    """What the shared helpers of the tests import of the folders that use them."""
    own = [(line, name) for line, name in imports(source, module) if _starts(name, "tests")]
    return [
        f"{line}: {module} must not import {name}"
        for line, name in own
        if not _starts(name, TEST_HELPERS)
    ]


# Circles -----------------------------------------------------------------------------------------


def graph_of(sources: Mapping[str, Source]) -> Graph:
    """For each module the others that it imports.

    `from package import module` is an import of that module, and not of what else the package's
    `__init__` names.
    """
    graph: Graph = {}
    for module, source in sources.items():
        named = [name for _, name in imports(source.text, module, source.is_package)]
        found = {_module_of(name, sources) for name in named}
        graph[module] = {each for each in found if each is not None and each != module}
    return graph


def _module_of(name: str, sources: Mapping[str, Source]) -> str | None:
    """The module that an imported name is, or is defined in; None where it is none of these."""
    while name and name not in sources:
        name = name.rpartition(".")[0]
    return name or None


def circles(graph: Graph) -> list[list[str]]:
    """Modules that import each other, directly or over others: each such set once, in order."""
    reached = {module: _reached_from(module, graph) for module in graph}
    found = {
        tuple(sorted(other for other in reached[module] if module in reached[other]))
        for module in graph
    }
    return sorted(list(circle) for circle in found if circle)


def _reached_from(module: str, graph: Graph) -> set[str]:
    reached: set[str] = set()
    waiting = list(graph[module])
    while waiting:
        if (each := waiting.pop()) not in reached:
            reached.add(each)
            waiting += graph[each]
    return reached


def folder_circles(graph: Graph) -> list[list[str]]:
    """For every folder: what lies in it, files and folders as a whole, that imports each other."""
    return [circle for folder in _folders(graph) for circle in circles(_within(folder, graph))]


def _folders(graph: Graph) -> Iterator[str]:
    """Every folder that holds modules or folders; '' holds the top packages."""
    seen = {""}
    for module in graph:
        while module := module.rpartition(".")[0]:
            seen.add(module)
    yield from sorted(seen)


def _within(folder: str, graph: Graph) -> Graph:
    """The imports among what lies directly in a folder."""
    found: Graph = {}
    for module, imported in graph.items():
        if (name := _child(module, folder)) is None:
            continue
        others = {child for each in imported if (child := _child(each, folder)) is not None}
        found.setdefault(name, set()).update(others - {name})
    return {name: {each for each in others if each in found} for name, others in found.items()}


def _child(module: str, folder: str) -> str | None:
    """What of a folder a module is or is in; the folder's `__init__` is a file of it."""
    if not folder:
        return module.partition(".")[0]
    if module == folder:
        return f"{folder}.__init__"
    if not module.startswith(f"{folder}."):
        return None
    return f"{folder}.{module[len(folder) + 1 :].partition('.')[0]}"
