"""Imports go in one direction, without circles. Each rule is shown to be able to fail."""

from __future__ import annotations

import pytest

from tests.tidy import imports
from tests.tidy.imports import Source
from tests.tidy.tree import PACKAGES, TESTS, sources

LIBRARY = sources(PACKAGES["redrepl"])
INSTALLED = sources(*PACKAGES.values())
EVERYTHING = sources(*PACKAGES.values(), TESTS)


def test_values_and_plans_have_no_clocks_randomness_or_input() -> None:
    found = [
        f"{module}:{text}" for module, source in LIBRARY.items() for text in _impure(module, source)
    ]
    assert found == []


def _impure(module: str, source: Source) -> list[str]:
    return imports.impure_imports(source.text, module)


def test_folders_depend_on_each_other_in_one_direction() -> None:
    found = [
        text
        for module, source in INSTALLED.items()
        for text in imports.wrong_direction(source.text, module, source.is_package)
    ]
    assert found == []


MODULES_OF_THEIR_OWN = {"redrepl.observe", "redrepl.logging_observer"}
"""Layers that are no folders."""

WITHIN_A_LAYER = {"redrepl.values.answers"}
"""Folders that only divide a layer."""


def test_every_folder_of_the_library_has_a_direction() -> None:
    folders = {module for module, source in LIBRARY.items() if source.is_package} - WITHIN_A_LAYER
    layers = {
        layer for layer in imports.LAYERS if layer.startswith("redrepl.")
    } - MODULES_OF_THEIR_OWN
    assert folders == layers | {"redrepl"}


def test_helpers_of_all_tests_import_no_folder_of_tests() -> None:
    helpers = {
        module: source
        for module, source in EVERYTHING.items()
        if module.startswith("tests.support.")
    }
    assert helpers
    found = [
        text
        for module, source in helpers.items()
        for text in imports.helpers_that_import_tests(source.text, module)
    ]
    assert found == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = imports.graph_of(EVERYTHING)
    assert len(graph) > 400
    assert imports.circles(graph) == []


def test_nothing_that_lies_in_one_folder_imports_each_other_in_a_circle() -> None:
    assert imports.folder_circles(imports.graph_of(EVERYTHING)) == []


# Each rule finds what is planted, and leaves what is allowed. ------------------------------------


@pytest.mark.parametrize(
    ("module", "line"),
    [
        *(("redrepl.values.x", f"import {name}") for name in sorted(imports.IMPURE)),
        ("redrepl.plans.x", "from time import monotonic"),
        ("redrepl.plans.x", "import os.path as p"),
        ("redrepl.plans.x", "def f():\n    import asyncio"),
        ("redrepl.plans.x", "if TYPE_CHECKING:\n    import redis"),
        ("redrepl.values.x", "x = __import__('time')"),
        ("redrepl.values.x", "importlib.import_module('time')"),
    ],
)
def test_an_impure_import_is_found(module: str, line: str) -> None:
    assert len(imports.impure_imports(f"{line}\n", module)) == 1


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("redrepl.edges.x", "import time"),
        ("redrepl.values.x", "import json, timeit"),
        ("redrepl.plans.x", "from redrepl.plans.time import x"),
    ],
)
def test_a_pure_import_is_left(module: str, line: str) -> None:
    assert imports.impure_imports(f"{line}\n", module) == []


@pytest.mark.parametrize(
    ("module", "line", "findings"),
    [
        ("redrepl.values.x", "from redrepl.plans.operations.write import y", 1),
        ("redrepl.values.x", "from redrepl.edges import clock", 1),
        ("redrepl.values.x", "from redrepl import plans", 1),
        ("redrepl.values.x", "from ..plans import write", 1),
        ("redrepl.values.x", "from . import stamp", 0),
        ("redrepl.values.x", "from redrepl.values.stamp import Stamp", 0),
        ("redrepl.plans.x", "from redrepl.edges.clock import y", 1),
        ("redrepl.plans.x", "import redrepl.doors.base", 1),
        ("redrepl.plans.x", "from redrepl.values import limits", 0),
        ("redrepl.plans.x", "from redrepl.plans.view import ClusterView", 0),
        ("redrepl.plans.x", "from redrepl.plans.operations.write import y", 1),
        ("redrepl.plans.operations.x", "from redrepl.plans.copies.copying import y", 1),
        ("redrepl.plans.operations.x", "from redrepl.plans.view import ClusterView", 0),
        ("redrepl.plans.copies.x", "from redrepl.plans.epochs.membership import y", 1),
        (
            "redrepl.plans.copies.x",
            "if TYPE_CHECKING:\n    from redrepl.plans.epochs import membership",
            1,
        ),
        ("redrepl.plans.copies.x", "from redrepl.plans.copies.marks import y", 0),
        ("redrepl.plans.epochs.x", "from redrepl.plans.recovery.reinstate import y", 1),
        ("redrepl.plans.epochs.x", "from redrepl.plans.copies.marks import y", 0),
        ("redrepl.plans.recovery.x", "from redrepl.plans.epochs.failover import y", 0),
        ("redrepl.edges.x", "from redrepl.plans.operations.write import y", 1),
        ("redrepl.edges.x", "from redrepl.doors.base import y", 1),
        ("redrepl.edges.x", "def f():\n    from redrepl.doors import base", 1),
        ("redrepl.edges.x", "from redrepl.plans.inspect import run_id_in", 0),
        ("redrepl.edges.x", "from redrepl.plans.topology import discover", 0),
        ("redrepl.edges.x", "from redrepl.plans.topologyx import y", 1),
        ("redrepl.doors.x", "from redrepl.plans.operations.write import y", 1),
        ("redrepl.doors.x", "from redrepl.plans.client.store import y", 0),
        ("redrepl.doors.x", "from redrepl import Coordinator", 1),
        ("redrepl.doors.x", "from redrepl_cli import output", 1),
        ("redrepl.doors.x", "from tests.support import waiting", 1),
        ("redrepl.embedded.x", "from redrepl.edges.endpoint import Endpoint", 1),
        ("redrepl_workers.x", "from redrepl.plans.strangers import y", 1),
        ("redrepl_workers.x", "from redrepl.edges.switchboard import Switchboard", 1),
        ("redrepl_workers.x", "from redrepl.embedded import EmbeddedServer", 1),
        ("redrepl_workers.x", "import redrepl_cli.output", 1),
        ("redrepl_workers.x", "from redrepl.edges.configuration import y", 0),
        ("redrepl_workers.x", "from redrepl.doors.operating import Suspicion", 0),
        ("redrepl_cli.x.y", "from redrepl.plans.view import ClusterView", 1),
        ("redrepl_cli.x.y", "from redrepl.edges import connection", 1),
        ("redrepl_cli.x.y", "from redrepl import Coordinator", 0),
        ("redrepl_cli.x.y", "from redrepl.embedded.proxy import TcpProxy", 0),
        ("redrepl_cli.x.y", "from redrepl_workers.worker import run_worker", 0),
    ],
)
def test_an_import_against_the_direction_is_found(module: str, line: str, findings: int) -> None:
    assert len(imports.wrong_direction(f"{line}\n", module)) == findings


def test_a_shared_helper_that_imports_a_folder_of_tests_is_found() -> None:
    text = (
        "from tests.support import waiting\nfrom tests.unit.support import reports\nimport "
        "redrepl\n"
    )
    assert imports.helpers_that_import_tests(text, "tests.support.x") == [
        "2: tests.support.x must not import tests.unit.support.reports"
    ]


def _graph(**lines: str) -> imports.Graph:
    """Modules by name, with two underscores for each dot; one that ends with these is a package."""
    named = {name.replace("__", "."): text for name, text in lines.items()}
    return imports.graph_of(
        {name.rstrip("."): Source(text, name.endswith(".")) for name, text in named.items()}
    )


@pytest.mark.parametrize(
    ("graph", "found"),
    [
        (_graph(p__a="from p import b", p__b="from p.a import x"), [["p.a", "p.b"]]),
        (
            _graph(p__a="from p import b", p__b="if TYPE_CHECKING:\n    from p.a import x"),
            [["p.a", "p.b"]],
        ),
        (
            _graph(p__a="import p.b", p__b="def f():\n    from . import c", p__c="import p.a"),
            [["p.a", "p.b", "p.c"]],
        ),
        (_graph(p__="from p.a import x", p__a="from p import x"), [["p", "p.a"]]),
        (_graph(p__="from p.a import x", p__a="from p import b", p__b=""), []),
        (_graph(p__a="from p import b, c", p__b="from p import c", p__c="import other"), []),
    ],
)
def test_modules_that_import_each_other_are_found(
    graph: imports.Graph, found: list[list[str]]
) -> None:
    assert imports.circles(graph) == found


@pytest.mark.parametrize(
    ("graph", "found"),
    [
        (
            _graph(p__a__x="import p.b.x", p__b__x="", p__b__y="import p.a.y", p__a__y=""),
            [["p.a", "p.b"]],
        ),
        (_graph(p__a="import q.a", q__a="", q__b="import p.b", p__b=""), [["p", "q"]]),
        (_graph(p__top="import p.a.x", p__a__x="import p.low", p__low=""), []),
        (
            _graph(
                p__top="import p.a.x", p__a__x="import p.low", p__low="", p__a__y="import p.top"
            ),
            [["p.a", "p.top"]],
        ),
    ],
)
def test_folders_that_import_each_other_are_found(
    graph: imports.Graph, found: list[list[str]]
) -> None:
    assert imports.circles(graph) == []
    assert imports.folder_circles(graph) == found
