"""The blocking and the asyncio coordinator have the same operations, with the same arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import pytest

from redrepl import AsyncBatch, AsyncCoordinator, AsyncTransaction, Batch, Coordinator, Transaction

OPENING = {"open", "aclose"}
"""What only asyncio needs."""

PAIRS = [(Coordinator, AsyncCoordinator), (Batch, AsyncBatch), (Transaction, AsyncTransaction)]


def _public(door: type) -> set[str]:
    return {name for name in dir(door) if not name.startswith("_")}


@pytest.mark.parametrize(("blocking", "asynchronous"), PAIRS)
def test_the_names_are_the_same(blocking: type, asynchronous: type) -> None:
    assert _public(asynchronous) - OPENING == _public(blocking)


@pytest.mark.parametrize(
    ("blocking", "asynchronous", "name"),
    [(blocking, other, name) for blocking, other in PAIRS for name in sorted(_public(blocking))],
)
def test_the_arguments_are_the_same(blocking: type, asynchronous: type, name: str) -> None:
    first, second = getattr(blocking, name), getattr(asynchronous, name)
    if not callable(first):
        assert isinstance(first, property) == isinstance(second, property)
        return
    assert _parameters(first) == _parameters(second)


def _parameters(operation: Callable[..., object]) -> list[tuple[str, object, object]]:
    found = inspect.signature(operation).parameters.values()
    return [(parameter.name, parameter.kind, parameter.default) for parameter in found]


@pytest.mark.parametrize("name", sorted(_public(Coordinator)))
def test_the_texts_are_the_same(name: str) -> None:
    """Of the asynchronous one more may follow, about what differs there."""
    blocking = inspect.getdoc(getattr(Coordinator, name)) or ""
    asynchronous = inspect.getdoc(getattr(AsyncCoordinator, name)) or ""
    assert blocking
    assert asynchronous.startswith(blocking)
