"""The API reference: it is made without warnings, has every public name, and explains arguments."""

from __future__ import annotations

import enum
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import redrepl
from docs import reference

ANCHOR = re.compile(r'<(?:section|div) id="([\w.]+)"')
COMMON = inspect.getdoc(redrepl) or ""
"""What the package says of arguments that mean the same everywhere."""

MADE_BY_OTHERS = ("Batch", "AsyncBatch", "Transaction", "AsyncTransaction")
"""Programs do not make these: a method of a coordinator does."""


def public_classes() -> dict[str, type]:
    """The public names that are classes."""
    named = {name: getattr(redrepl, name) for name in redrepl.__all__}
    return {name: each for name, each in named.items() if isinstance(each, type)}


def methods(cls: type) -> Iterator[tuple[str, Callable[..., Any]]]:
    """The public methods that redrepl defines, in the class or in one that it extends."""
    for name in dir(cls):
        function = getattr(cls, name)
        function = getattr(function, "__func__", function)  # of a class method
        is_public = inspect.isfunction(function) and not name.startswith("_")
        if is_public and function.__module__.startswith("redrepl."):
            yield name, function


def has_own_constructor(cls: type) -> bool:
    """Whether it is made by arguments that are more than the fields of a record."""
    is_record = hasattr(cls, "__dataclass_fields__") or hasattr(cls, "_fields")
    return not is_record and not issubclass(cls, enum.Enum) and not hasattr(cls, "_is_protocol")


def unexplained(function: Callable[..., Any], *texts: str) -> list[str]:
    """The arguments of which none of these texts, nor the function's own, says anything."""
    said = "\n".join([inspect.getdoc(function) or "", COMMON, *texts])
    arguments = set(inspect.signature(function).parameters) - {"self", "cls"}
    return [name for name in sorted(arguments) if not re.search(rf"\b{name}\b", said)]


def test_pdoc_renders_every_public_name_on_one_page(tmp_path: Path) -> None:
    reference.render(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.html", "redrepl.html"]
    page = (tmp_path / "redrepl.html").read_text("utf-8")
    anchors = set(ANCHOR.findall(page))
    assert set(redrepl.__all__) - {"__version__"} <= anchors
    assert {"Coordinator.set", "AsyncCoordinator.transact", "WriteReceipt.acked"} <= anchors
    assert "<li><strong>timeout_seconds</strong>: " in page


def test_arguments_become_a_list() -> None:
    text = (
        "Does it, thus::\n\n    x()\n\nkey: a text.\nleft, right: numbers,\n    both of "
        "them\n\nRaises: no."
    )
    shown = (
        "Does it, thus:\n\n    x()\n\n\n- **key**: a text.\n- **left, right**: numbers,\n    "
        "both of them"
    )
    assert reference.as_list(text) == f"{shown}\n\nRaises: no."
    assert reference.as_list("Does it: now.") == "Does it: now."


@pytest.mark.parametrize("name", list(public_classes()))
def test_a_public_class_and_its_methods_are_described(name: str) -> None:
    cls = public_classes()[name]
    twin = public_classes().get(name.removeprefix("Async"), cls)
    assert cls.__doc__
    lacking = []
    for method, function in methods(cls):
        inherited = [getattr(base, method, None) for base in cls.__mro__]
        texts = [
            inspect.getdoc(each) or ""
            for each in (*cls.__mro__[:-1], twin, getattr(twin, method, None), *inherited)
        ]
        is_described = inspect.getdoc(getattr(cls, method)) is not None
        lacking += [] if is_described else [method]
        lacking += [f"{method}({argument})" for argument in unexplained(function, *texts)]
    if has_own_constructor(cls) and name not in MADE_BY_OTHERS:
        lacking += [f"({argument})" for argument in unexplained(cls, inspect.getdoc(twin) or "")]
    assert lacking == []


def test_public_functions_are_described() -> None:
    assert unexplained(redrepl.load_configuration) == []


def test_an_argument_of_which_nothing_is_said_is_found() -> None:
    def example(key: str, mystery: int) -> None:
        """Does something with a key."""

    assert unexplained(example) == ["mystery"]
    assert unexplained(example, "mystery: not any more.") == []
